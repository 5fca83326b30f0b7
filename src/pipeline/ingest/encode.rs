//! One chunk of text becomes one row group: read, typed and encoded block by block on one thread, so that
//! what is in memory at once stays small. Writes no files.

use std::ops::Range;

use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};

use super::chunk::{Chunk, Mark};
use super::column::Column;
use super::distinct::mostly_distinct;
use super::format::Reader;
use super::output::Output;
use super::rows::{Reject, Rows};
use super::typing::type_rows;
use super::zone::Zone;
use crate::error::{Code, Context, Result};

/// How much text is typed at once: its fields should fit into the processor's cache.
const BLOCK_BYTES: usize = 1 << 20;

/// What all chunks of a run have in common.
pub(super) struct Encoder {
    pub(super) columns: Vec<Column>,
    pub(super) schema: SchemaRef,
    pub(super) zone: Zone,
}

/// A chunk, encoded.
pub(super) struct Group {
    pub(super) columns: Vec<ArrowColumnChunk>,
    pub(super) counts: Counts,
    /// Lines of the rejects file.
    pub(super) rejects: Vec<u8>,
    pub(super) end: Mark,
}

/// What became of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Rows that were written.
    pub rows: u64,
    /// Records that could not be read.
    pub rejected: u64,
    /// Steps that were folded or left out.
    pub left_out: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.rejected += other.rejected;
        self.left_out += other.left_out;
    }
}

impl Encoder {
    /// Encodes a chunk of the input with this name.
    pub(super) fn encode(&self, chunk: &Chunk, reader: &dyn Reader, name: &str) -> Result<Group> {
        let failed = || "a row group cannot be encoded".to_owned();
        let mut columns = None;
        let mut counts = Counts::default();
        let mut rejects = Rejects::new(chunk, name);
        for block in blocks(&chunk.text, reader) {
            let start = block.start;
            let text = chunk.text.get(block).unwrap_or_default();
            let mut rows = Rows::new(text, self.columns.len())?;
            reader.read(&mut rows);
            rows.check()?;
            let typed = type_rows(rows, &self.columns, self.zone)?;
            counts += Counts {
                rows: typed.rows as u64,
                rejected: typed.rejects.len() as u64,
                left_out: typed.left_out,
            };
            for reject in &typed.rejects {
                rejects.add(reject, start)?;
            }
            let columns = match &mut columns {
                Some(columns) => columns,
                None if typed.rows == 0 => continue,
                // INVARIANT: what the first rows of a chunk are decides how it is written, so that no
                // thread and no other chunk does.
                None => {
                    let factory = Output::factory(&self.schema, &mostly_distinct(&typed.arrays))?;
                    let writers = factory.create_column_writers(0);
                    let writers = writers.context(Code::Internal, failed)?;
                    columns.insert(Columns { writers, schema: &self.schema })
                }
            };
            columns.write(&typed.arrays)?;
        }
        let columns = columns.map(Columns::close).transpose()?.unwrap_or_default();
        Ok(Group { columns, counts, rejects: rejects.finish()?, end: chunk.end })
    }
}

/// Cuts a chunk into blocks of whole records.
fn blocks(text: &[u8], reader: &dyn Reader) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let mut size = BLOCK_BYTES;
        let length = loop {
            let Some(part) = rest.get(..size).filter(|part| part.len() < rest.len()) else {
                break rest.len();
            };
            match reader.whole(part) {
                0 => size *= 2,
                whole => break whole.min(part.len()),
            }
        };
        let block = at..at + length;
        at = block.end;
        Some(block)
    })
}

struct Columns<'a> {
    writers: Vec<ArrowColumnWriter>,
    schema: &'a SchemaRef,
}

impl Columns<'_> {
    fn write(&mut self, arrays: &[arrow::array::ArrayRef]) -> Result<()> {
        let failed = || "a column cannot be encoded".to_owned();
        // No column of ours has more than one leaf: there are no structs.
        let mut writers = self.writers.iter_mut();
        for (field, array) in self.schema.fields().iter().zip(arrays) {
            for leaf in compute_leaves(field, array).context(Code::Internal, failed)? {
                if let Some(writer) = writers.next() {
                    writer.write(&leaf).context(Code::Internal, failed)?;
                }
            }
        }
        Ok(())
    }

    fn close(self) -> Result<Vec<ArrowColumnChunk>> {
        let failed = || "a column cannot be encoded".to_owned();
        self.writers
            .into_iter()
            .map(|writer| writer.close().context(Code::Internal, failed))
            .collect()
    }
}

/// Lines of the rejects file of one chunk.
struct Rejects<'a> {
    chunk: &'a Chunk,
    name: &'a str,
    out: csv::Writer<Vec<u8>>,
    counted: usize,
    line: u64,
}

/// The first line of the rejects file.
pub(super) const REJECTS_HEADER: &[u8] = b"reason,input,line,text\n";

impl<'a> Rejects<'a> {
    fn new(chunk: &'a Chunk, name: &'a str) -> Self {
        let out = csv::WriterBuilder::new().from_writer(Vec::new());
        Self { chunk, name, out, counted: 0, line: chunk.line }
    }

    fn add(&mut self, reject: &Reject, block: usize) -> Result<()> {
        let failed = || "a reject cannot be written".to_owned();
        let (start, end) = (block + reject.bytes.start, block + reject.bytes.end);
        let before = self.chunk.text.get(self.counted..start).unwrap_or_default();
        self.line += memchr::memchr_iter(b'\n', before).count() as u64;
        self.counted = start;
        let text = self.chunk.text.get(start..end).unwrap_or_default();
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let line = self.line.to_string();
        let fields = [reject.reason.as_bytes(), self.name.as_bytes(), line.as_bytes(), text];
        self.out.write_record(fields).context(Code::Internal, failed)
    }

    fn finish(self) -> Result<Vec<u8>> {
        self.out.into_inner().map_err(|error| {
            crate::error::Error::new(Code::Internal, "rejects cannot be written")
                .because(error.into_error())
        })
    }
}
