//! Writes columns into the body of an Arrow IPC message, value by value into fresh zeroed memory.
//! Knows Arrow's layouts; knows nothing of policies, and hands no buffer on.

use arrow::array::{Array, AsArray, BooleanArray, DictionaryArray};
use arrow::datatypes::{DataType, Field, Int32Type};
use arrow_ipc::{Buffer, FieldNode};

use crate::error::{Code, Error, Result};
use run::{Part, Validity, set_bit};

mod compress;
mod dictionary;
mod nested;
mod run;
mod size;
mod texts;

pub(super) use compress::Compressor;
pub(super) use dictionary::Dictionary;
pub(super) use run::{Run, means};
pub(super) use size::row_bytes;

/// Where buffers begin: cache lines, so that readers may use them in place.
const ALIGNMENT: usize = 64;

/// The body under construction, and the description that the header needs.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Vec<u8>,
    nodes: Vec<FieldNode>,
    buffers: Vec<Buffer>,
    variadic: Vec<i64>,
    dictionaries: Vec<Dictionary>,
}

/// A finished body.
#[derive(Debug)]
pub(super) struct Encoded {
    /// The bytes of all buffers.
    pub(super) bytes: Vec<u8>,
    /// Length and nulls of each array, in depth-first order.
    pub(super) nodes: Vec<FieldNode>,
    /// Where each buffer lies, in the order of the layouts.
    pub(super) buffers: Vec<Buffer>,
    /// How many data buffers each array of views has, in depth-first order.
    pub(super) variadic: Vec<i64>,
    /// The values that the keys in the body stand for, by the number of their dictionary.
    pub(super) dictionaries: Vec<Dictionary>,
}

impl Body {
    /// A body in emptied memory.
    pub(super) fn new(mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        Self {
            bytes,
            nodes: Vec::new(),
            buffers: Vec::new(),
            variadic: Vec::new(),
            dictionaries: Vec::new(),
        }
    }

    /// What was written.
    pub(super) fn finish(self) -> Encoded {
        let Self { bytes, nodes, buffers, variadic, dictionaries } = self;
        Encoded { bytes, nodes, buffers, variadic, dictionaries }
    }

    /// Appends one column of a wire type. Runs are of a type that [`means`] the same.
    ///
    /// # Errors
    /// [`Code::Internal`] when an array is not of the field's type or null where the field is not.
    pub(super) fn column(&mut self, field: &Field, runs: &[Run<'_>]) -> Result<()> {
        let unpacked;
        let unpacked_runs;
        let runs = if run::packed(field.data_type(), runs) {
            unpacked = run::unpack(runs)?;
            unpacked_runs = run::over(&unpacked, runs);
            &unpacked_runs
        } else {
            runs
        };
        let rows: usize = runs.iter().map(Run::len).sum();
        match field.data_type() {
            DataType::Null => {
                self.nodes.push(FieldNode::new(signed(rows)?, signed(rows)?));
                return Ok(());
            }
            DataType::Union(fields, mode) => return self.unions(fields, *mode, runs, rows),
            _ => {}
        }
        let validity = Validity::of(field, runs);
        if validity.nulls > 0 && !field.is_nullable() {
            return Err(internal("null in a column that has none"));
        }
        self.nodes.push(FieldNode::new(signed(rows)?, signed(validity.nulls)?));
        self.bitmap(&validity, rows)?;
        match field.data_type() {
            DataType::Boolean => self.booleans(runs, rows),
            DataType::Utf8 | DataType::Binary => self.texts::<texts::Narrow>(runs, rows, &validity),
            DataType::LargeUtf8 | DataType::LargeBinary => {
                self.texts::<texts::Wide>(runs, rows, &validity)
            }
            DataType::Utf8View | DataType::BinaryView => self.views(runs, rows, &validity),
            DataType::Dictionary(_, values) => self.dictionary(values, runs, rows, &validity),
            DataType::List(item) | DataType::Map(item, _) => self.lists(item, runs, rows),
            DataType::FixedSizeList(item, size) => self.fixed_lists(item, *size, runs),
            DataType::Struct(children) => {
                for (at, child) in children.iter().enumerate() {
                    self.column(child, &nested::struct_runs(at, runs)?)?;
                }
                Ok(())
            }
            DataType::FixedSizeBinary(width) => {
                self.fixed(usize::try_from(*width).unwrap_or(0), runs, &validity)
            }
            other => match other.primitive_width() {
                Some(width) => self.fixed(width, runs, &validity),
                None => Err(internal("a type that cannot be sent")),
            },
        }
    }

    /// A whole buffer of `len` zero bytes.
    fn buffer(&mut self, len: usize) -> Result<&mut [u8]> {
        let start = self.bytes.len();
        self.bytes.resize(start + len, 0);
        self.close(start)?;
        self.bytes.get_mut(start..start + len).ok_or_else(mismatch)
    }

    /// More zero bytes at the end of the buffer that is being written.
    fn zeros(&mut self, len: usize) -> Result<&mut [u8]> {
        let start = self.bytes.len();
        self.bytes.resize(start + len, 0);
        self.bytes.get_mut(start..).ok_or_else(mismatch)
    }

    /// Ends the buffer that began at `start` and pads with zeros to the next boundary.
    fn close(&mut self, start: usize) -> Result<()> {
        let len = self.bytes.len() - start;
        self.buffers.push(Buffer::new(signed(start)?, signed(len)?));
        self.bytes.resize((start + len).next_multiple_of(ALIGNMENT), 0);
        Ok(())
    }

    fn bitmap(&mut self, validity: &Validity, rows: usize) -> Result<()> {
        if validity.nulls == 0 {
            self.buffer(0)?;
            return Ok(());
        }
        validity.write(self.buffer(rows.div_ceil(8))?);
        Ok(())
    }

    fn booleans(&mut self, runs: &[Run<'_>], rows: usize) -> Result<()> {
        let bits = self.buffer(rows.div_ceil(8))?;
        let mut at = 0;
        for run in runs {
            if let Run::Values { array, start, len } = run {
                let array: &BooleanArray = array.as_boolean_opt().ok_or_else(mismatch)?;
                for row in 0..*len {
                    if array.is_valid(start + row) && array.value(start + row) {
                        set_bit(bits, at + row);
                    }
                }
            }
            at += run.len();
        }
        Ok(())
    }

    /// Values of a fixed width: numbers, times, fixed binaries.
    fn fixed(&mut self, width: usize, runs: &[Run<'_>], validity: &Validity) -> Result<()> {
        let start = self.bytes.len();
        for (run, part) in runs.iter().zip(&validity.parts) {
            let Run::Values { array, start, len } = run else {
                self.bytes.resize(self.bytes.len() + run.len() * width, 0);
                continue;
            };
            if width == 0 {
                continue;
            }
            if let Some(dictionary) = array.as_any().downcast_ref::<DictionaryArray<Int32Type>>() {
                let values = dictionary.values().to_data();
                let from = values.buffers().first().ok_or_else(mismatch)?.as_slice();
                let keys =
                    dictionary.keys().values().get(*start..start + len).ok_or_else(mismatch)?;
                let mine = self.zeros(len * width)?;
                for (row, (key, to)) in keys.iter().zip(mine.chunks_exact_mut(width)).enumerate() {
                    if part.is_valid(row) {
                        let at = (values.offset() + index(*key)?) * width;
                        to.copy_from_slice(from.get(at..at + width).ok_or_else(mismatch)?);
                    }
                }
                continue;
            }
            let data = array.to_data();
            let begin = (data.offset() + start) * width;
            let from = data
                .buffers()
                .first()
                .and_then(|buffer| buffer.as_slice().get(begin..begin + len * width))
                .ok_or_else(mismatch)?;
            if let Part::Valid(_) = part {
                self.bytes.extend_from_slice(from);
                continue;
            }
            let mine = self.zeros(len * width)?;
            let pairs = mine.chunks_exact_mut(width).zip(from.chunks_exact(width));
            for (row, (to, from)) in pairs.enumerate() {
                if part.is_valid(row) {
                    to.copy_from_slice(from);
                }
            }
        }
        self.close(start)
    }
}

#[inline]
fn index(value: i32) -> Result<usize> {
    usize::try_from(value).map_err(|_| mismatch())
}

fn signed(length: usize) -> Result<i64> {
    i64::try_from(length).map_err(|_| internal("a message is too long"))
}

fn mismatch() -> Error {
    internal("an array does not have the layout of its type")
}

fn internal(what: &str) -> Error {
    Error::new(Code::Internal, format!("sealing: {what}"))
}
