//! The last step before the wire: copies what the plan lets out into one fresh Arrow IPC message.
//! Sealing and encoding are one copy; nothing of a raw buffer is ever handed on.
//!
//! Why copy at all: an Arrow array is a window. `nullif` clears a bit and leaves the value, a filter
//! over views keeps every buffer, a dictionary carries values that no row uses. Whoever writes arrays
//! "as they are" ships all of that. Here each value that a row shows is written once, defaults stand
//! under nulls, padding is zero, and the schema is the plan's.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, RecordBatch, new_empty_array};
use arrow::datatypes::SchemaRef;
use bytes::Bytes;

use super::encode::{Body, Compressor, Encoded, Run, means, row_bytes};
use super::format::Format;
use super::message::Layout;
pub use super::message::{schema_encapsulated, schema_message};
use super::stream::SealedStream;
use crate::error::{Code, Error, Result};

/// The size that messages made from plans aim at, in bytes.
const METADATA_BYTES: usize = 1_572_864;

/// The size that no message made from plans passes, in bytes.
const METADATA_BYTES_MAX: usize = 3_670_016;

/// One encoded Arrow IPC message that holds only what the plan lets out: rows, or the values of a
/// dictionary that the next message of rows uses.
///
/// INVARIANT: made in this file alone, from fresh buffers, under the plan's schema.
#[derive(Debug, Clone)]
pub struct Sealed {
    header: Bytes,
    body: Bytes,
    rows: u64,
    dictionary: bool,
}

impl Sealed {
    /// The IPC message's flatbuffer header.
    pub const fn header(&self) -> &Bytes {
        &self.header
    }

    /// The IPC message's body.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The number of rows; none in a dictionary.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether these are the values of a dictionary: the message of rows that they are for comes after.
    pub const fn is_dictionary(&self) -> bool {
        self.dictionary
    }
}

/// Seals a table that was made from plans: names of datasets, columns and types, and what this server can
/// do.
///
/// PRIVACY: no value of any dataset may be in such a table. What is sealed here passes no policy, so one
/// file alone may call this, and it has nothing but plans to make tables from.
///
/// # Errors
/// [`Code::Internal`] when the table cannot be sealed.
pub fn metadata(table: RecordBatch, format: Format) -> Result<SealedStream> {
    let mut sealer = Sealer::new(table.schema(), format, METADATA_BYTES, METADATA_BYTES_MAX);
    let mut sealed = sealer.push(table.columns().to_vec(), table.num_rows())?;
    sealed.extend(sealer.finish()?);
    Ok(Box::pin(futures::stream::iter(sealed.into_iter().map(Ok))))
}

/// Cuts transformed batches into messages of about equal size and seals them.
///
/// Message boundaries follow from the data that leaves, not from row groups or raw batches. Rows are cut
/// by their size in plain form, so the cut is the same in every format.
#[derive(Debug)]
pub(super) struct Sealer {
    plain: SchemaRef,
    wire: SchemaRef,
    format: Format,
    compressor: Compressor,
    message_bytes: usize,
    message_bytes_max: usize,
    queue: Vec<Batch>,
    memory: Memory,
}

/// Columns of equal length that wait to be sealed, from `start` on.
#[derive(Debug)]
struct Batch {
    columns: Vec<ArrayRef>,
    start: usize,
    rows: usize,
    /// About how many bytes a row takes.
    width: usize,
}

impl Sealer {
    /// A sealer for a schema of plain types, in whose wire form ([`Format::schema`]) it writes.
    ///
    /// Messages aim at `message_bytes`, before compression, and none passes `message_bytes_max`, neither
    /// before compression nor after.
    pub(super) fn new(
        plain: SchemaRef,
        format: Format,
        message_bytes: usize,
        message_bytes_max: usize,
    ) -> Self {
        Self {
            wire: format.schema(&plain),
            plain,
            format,
            compressor: Compressor::new(format.compression),
            message_bytes,
            message_bytes_max,
            queue: Vec::new(),
            memory: Memory::default(),
        }
    }

    /// The messages of a batch without rows, for [`super::keep_alive`].
    ///
    /// # Errors
    /// [`Code::Internal`] when the schema has a type that cannot be sent.
    pub(super) fn empty(plain: SchemaRef, format: Format) -> Result<Vec<Sealed>> {
        let columns = plain.fields().iter().map(|field| new_empty_array(field.data_type()));
        let batch = Batch { columns: columns.collect(), start: 0, rows: 0, width: 0 };
        let mut sealed = Vec::new();
        Self::new(plain, format, 0, usize::MAX).seal(&[batch], &mut sealed)?;
        Ok(sealed)
    }

    /// Takes a batch and returns the messages that are full.
    ///
    /// # Errors
    /// [`Code::Internal`] when a column is not of the plan's type, [`Code::RowTooLarge`].
    pub(super) fn push(&mut self, columns: Vec<ArrayRef>, rows: usize) -> Result<Vec<Sealed>> {
        self.admit(&columns, rows)?;
        let width = columns.iter().map(row_bytes).sum();
        self.queue.push(Batch { columns, start: 0, rows, width });
        self.drain(false)
    }

    /// The last messages.
    ///
    /// # Errors
    /// As [`Sealer::push`].
    pub(super) fn finish(&mut self) -> Result<Vec<Sealed>> {
        self.drain(true)
    }

    /// INVARIANT: nothing is queued that is not exactly what the plan's schema says.
    fn admit(&self, columns: &[ArrayRef], rows: usize) -> Result<()> {
        let wrong = |what: &str| Err(internal(what));
        if columns.len() != self.plain.fields().len() {
            return wrong("the number of columns is not the plan's");
        }
        for (field, column) in self.plain.fields().iter().zip(columns) {
            if !means(column.data_type(), field.data_type()) {
                return wrong("a column is not of the plan's type");
            }
            if column.len() != rows {
                return wrong("a column has another length");
            }
        }
        Ok(())
    }

    fn drain(&mut self, all: bool) -> Result<Vec<Sealed>> {
        let mut sealed = Vec::new();
        loop {
            let waiting: usize = self.queue.iter().map(|batch| batch.rows).sum();
            let fits = self.rows_that_fit(waiting);
            if waiting == 0 || (waiting < fits && !all) {
                return Ok(sealed);
            }
            let taken = self.take(fits.min(waiting));
            self.seal(&taken, &mut sealed)?;
        }
    }

    /// How many rows a message should have, by the size of what is waiting.
    fn rows_that_fit(&self, waiting: usize) -> usize {
        let bytes: usize = self.queue.iter().map(|batch| batch.width * batch.rows).sum();
        match bytes.checked_div(waiting) {
            Some(width) => (self.message_bytes / width.max(1)).max(1),
            None => 1,
        }
    }

    /// Takes `rows` rows off the front of the queue.
    fn take(&mut self, rows: usize) -> Vec<Batch> {
        let mut taken = Vec::new();
        let mut missing = rows;
        while missing > 0 && !self.queue.is_empty() {
            let Some(first) = self.queue.first_mut() else { break };
            let part = missing.min(first.rows);
            taken.push(Batch { columns: first.columns.clone(), rows: part, ..*first });
            missing -= part;
            if part == first.rows {
                self.queue.remove(0);
            } else {
                first.start += part;
                first.rows -= part;
            }
        }
        taken
    }

    /// Seals batches into one message of rows, or into several where one would be too large, each behind
    /// the dictionaries it needs.
    fn seal(&mut self, batches: &[Batch], sealed: &mut Vec<Sealed>) -> Result<()> {
        let (messages, largest) = self.encode(batches)?;
        if largest <= self.message_bytes_max {
            sealed.extend(messages);
            return Ok(());
        }
        drop(messages);
        let rows: usize = batches.iter().map(|batch| batch.rows).sum();
        if rows <= 1 {
            return Err(Error::new(Code::RowTooLarge, "a row is larger than a message may be"));
        }
        let (front, back) = halves(batches, rows / 2);
        self.seal(&front, sealed)?;
        self.seal(&back, sealed)
    }

    /// The messages of batches, and the bytes of the largest, before compression or after.
    fn encode(&mut self, batches: &[Batch]) -> Result<(Vec<Sealed>, usize)> {
        let rows: usize = batches.iter().map(|batch| batch.rows).sum();
        let mut body = Body::new(self.fresh());
        let wire = Arc::clone(&self.wire);
        for (at, field) in wire.fields().iter().enumerate() {
            let runs: Vec<Run<'_>> = batches
                .iter()
                .filter_map(|batch| {
                    let array = batch.columns.get(at)?;
                    Some(Run::Values { array, start: batch.start, len: batch.rows })
                })
                .collect();
            body.column(field, &runs)?;
        }
        let mut body = body.finish();
        let (mut messages, mut largest) = (Vec::new(), 0);
        // INVARIANT: the number of a dictionary is its place in the schema, as in `schema_message`; every
        // message of rows has its own values, so none shows what an earlier one did.
        for (id, dictionary) in std::mem::take(&mut body.dictionaries).iter().enumerate() {
            let values = dictionary.encode()?;
            let id = i64::try_from(id).map_err(|_| internal("too many dictionaries"))?;
            messages.push(self.message(values, dictionary.len(), Some(id), &mut largest)?);
        }
        messages.push(self.message(body, rows, None, &mut largest)?);
        Ok((messages, largest))
    }

    fn message(
        &mut self,
        mut body: Encoded,
        len: usize,
        dictionary: Option<i64>,
        largest: &mut usize,
    ) -> Result<Sealed> {
        let before = body.bytes.len();
        // Dictionaries are small and would fill the stream's memory with many small pieces.
        let small = dictionary.is_some();
        if self.compressor.compresses() {
            let out = if small { Vec::new() } else { self.fresh() };
            let spent = self.compressor.compress(&mut body, out)?;
            if !small {
                self.memory.give(spent);
            }
        }
        let Encoded { bytes, nodes, buffers, variadic, .. } = body;
        let compression = self.format.compression;
        let layout = Layout { rows: len, nodes, buffers, variadic, compression, body: bytes.len() };
        let header = layout.header(dictionary)?;
        *largest = (*largest).max(header.len() + before.max(bytes.len()));
        let body = if small { Bytes::from(bytes) } else { self.memory.lend(bytes) };
        Ok(Sealed { header, body, rows: if small { 0 } else { len as u64 }, dictionary: small })
    }

    /// Memory for a body.
    fn fresh(&self) -> Vec<u8> {
        self.memory.take(self.message_bytes + self.message_bytes / 4)
    }
}

fn internal(what: &str) -> Error {
    Error::new(Code::Internal, format!("sealing: {what}"))
}

/// The memory of one stream's messages, used again once a message is sent: fetching fresh pages for
/// each costs more than filling them.
///
/// PRIVACY: it belongs to one stream and so to one partner and one plan, and it is emptied before it
/// is used again; a body has no byte that was not written for it.
#[derive(Debug, Clone, Default)]
struct Memory(Arc<Mutex<Vec<Vec<u8>>>>);

impl Memory {
    fn take(&self, capacity: usize) -> Vec<u8> {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| Vec::with_capacity(capacity))
    }

    fn give(&self, bytes: Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
    }

    fn lend(&self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { bytes, home: self.clone() })
    }
}

/// A body on its way out, which goes home when it was sent.
struct Lent {
    bytes: Vec<u8>,
    home: Memory,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.give(std::mem::take(&mut self.bytes));
    }
}

/// Splits batches after `rows` rows.
fn halves(batches: &[Batch], rows: usize) -> (Vec<Batch>, Vec<Batch>) {
    let (mut front, mut back) = (Vec::new(), Vec::new());
    let mut missing = rows;
    for batch in batches {
        let part = missing.min(batch.rows);
        let slice = |start: usize, rows: usize| Batch {
            columns: batch.columns.iter().map(Arc::clone).collect(),
            start,
            rows,
            width: batch.width,
        };
        if part > 0 {
            front.push(slice(batch.start, part));
        }
        if part < batch.rows {
            back.push(slice(batch.start + part, batch.rows - part));
        }
        missing -= part;
    }
    (front, back)
}

#[cfg(test)]
mod tests;
