//! Stretches of columns that wait to be written: which of their rows are null, and which shapes of an
//! array mean the same as a plain one. Writes no value.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RunArray, UInt64Array, new_empty_array};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Int16Type, Int32Type, Int64Type, RunEndIndexType};
use arrow::util::bit_mask::set_bits;

use super::{internal, mismatch};
use crate::error::Result;

/// A stretch of a column.
#[derive(Clone, Copy)]
pub(in crate::pipeline) enum Run<'a> {
    /// Rows `start..start + len` of an array.
    Values { array: &'a ArrayRef, start: usize, len: usize },
    /// Rows of a child under a null parent: defaults.
    Blank(usize),
}

impl Run<'_> {
    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Values { len, .. } | Self::Blank(len) => *len,
        }
    }
}

/// Adds rows of a child, in one run with what is before them where they touch.
pub(super) fn push_run<'a>(runs: &mut Vec<Run<'a>>, array: &'a ArrayRef, start: usize, len: usize) {
    if let Some(Run::Values { array: last, start: begin, len: before }) = runs.last_mut()
        && std::ptr::eq(*last, array)
        && *begin + *before == start
    {
        *before += len;
        return;
    }
    runs.push(Run::Values { array, start, len });
}

/// Adds blank rows of a child.
pub(super) fn push_blank(runs: &mut Vec<Run<'_>>, len: usize) {
    match runs.last_mut() {
        Some(Run::Blank(before)) => *before += len,
        _ => runs.push(Run::Blank(len)),
    }
}

/// Whether arrays of type `kind` hold values of the plain type `plain`, in whatever shape: large and view
/// forms, dictionaries and run ends, at any depth. The names of the fields of structs have to agree;
/// those of items, keys and values, and what the inner fields say of nulls, differ between writers.
pub(in crate::pipeline) fn means(kind: &DataType, plain: &DataType) -> bool {
    match (kind, plain) {
        (DataType::Dictionary(_, values), _) => means(values, plain),
        (DataType::RunEndEncoded(_, values), _) => means(values.data_type(), plain),
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, DataType::Utf8)
        | (DataType::Binary | DataType::LargeBinary | DataType::BinaryView, DataType::Binary) => {
            true
        }
        (
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item),
            DataType::List(plain),
        ) => means(item.data_type(), plain.data_type()),
        (DataType::FixedSizeList(item, size), DataType::FixedSizeList(plain, plain_size)) => {
            size == plain_size && means(item.data_type(), plain.data_type())
        }
        (DataType::Map(entries, _), DataType::Map(plain, _)) => {
            let (DataType::Struct(parts), DataType::Struct(plain)) =
                (entries.data_type(), plain.data_type())
            else {
                return false;
            };
            parts.len() == plain.len()
                && parts
                    .iter()
                    .zip(plain)
                    .all(|(part, plain)| means(part.data_type(), plain.data_type()))
        }
        (DataType::Struct(fields), DataType::Struct(plain)) => {
            fields.len() == plain.len()
                && fields.iter().zip(plain).all(|(field, plain)| {
                    field.name() == plain.name() && means(field.data_type(), plain.data_type())
                })
        }
        _ => kind == plain,
    }
}

/// Whether a run is in a shape that the writer of a wire type does not read as it is.
pub(super) fn packed(wire: &DataType, runs: &[Run<'_>]) -> bool {
    let wire = match wire {
        DataType::Dictionary(_, values) => values,
        wire => wire,
    };
    let text = matches!(
        wire,
        DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
    );
    let fixed = matches!(wire, DataType::FixedSizeBinary(_)) || wire.primitive_width().is_some();
    runs.iter().any(|run| match run {
        Run::Blank(_) => false,
        Run::Values { array, .. } => match array.data_type() {
            DataType::Dictionary(key, values) if **key == DataType::Int32 => match &**values {
                DataType::Utf8 | DataType::Binary => !text,
                values => !fixed || values.is_nested() || values != wire,
            },
            DataType::Dictionary(..) | DataType::RunEndEncoded(..) | DataType::Map(..) => true,
            _ => false,
        },
    })
}

/// The rows of each run in a shape that is read as it is; blanks give an empty one.
///
/// PRIVACY: these arrays may share a raw buffer; they are read from, row by row, and dropped.
pub(super) fn unpack(runs: &[Run<'_>]) -> Result<Vec<ArrayRef>> {
    runs.iter()
        .map(|run| match run {
            Run::Blank(_) => Ok(new_empty_array(&DataType::Null)),
            Run::Values { array, start, len } => plain_rows(&array.slice(*start, *len)),
        })
        .collect()
}

/// Runs over all of `unpacked`, an array for each of `runs`.
pub(super) fn over<'a>(unpacked: &'a [ArrayRef], runs: &[Run<'_>]) -> Vec<Run<'a>> {
    let pairs = unpacked.iter().zip(runs);
    pairs
        .map(|(array, run)| match run {
            Run::Blank(len) => Run::Blank(*len),
            Run::Values { len, .. } => Run::Values { array, start: 0, len: *len },
        })
        .collect()
}

fn plain_rows(rows: &ArrayRef) -> Result<ArrayRef> {
    let picked = match rows.data_type() {
        DataType::Dictionary(..) => {
            let dictionary = rows.as_any_dictionary_opt().ok_or_else(mismatch)?;
            take(dictionary.values(), dictionary.keys(), None)
                .map_err(|_| internal("unpack a dictionary"))?
        }
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => unrolled::<Int16Type>(rows)?,
            DataType::Int32 => unrolled::<Int32Type>(rows)?,
            _ => unrolled::<Int64Type>(rows)?,
        },
        DataType::Map(..) => {
            let map = rows.as_map_opt().ok_or_else(mismatch)?;
            return Ok(Arc::new(ListArray::from(map.clone())));
        }
        _ => return Ok(Arc::clone(rows)),
    };
    plain_rows(&picked)
}

fn unrolled<T: RunEndIndexType>(rows: &ArrayRef) -> Result<ArrayRef> {
    let runs = rows.as_any().downcast_ref::<RunArray<T>>().ok_or_else(mismatch)?;
    let unroll = || internal("unroll runs");
    let logical: Vec<u64> = (0..runs.len() as u64).collect();
    let physical = runs.get_physical_indices(&logical).map_err(|_| unroll())?;
    let physical: UInt64Array = physical.into_iter().map(|at| at as u64).collect();
    take(runs.values(), &physical, None).map_err(|_| unroll())
}

/// Which rows of a column are null, run by run.
pub(super) struct Validity {
    pub(super) parts: Vec<Part>,
    pub(super) nulls: usize,
}

pub(super) enum Part {
    Valid(usize),
    Null(usize),
    Mixed(NullBuffer),
}

impl Validity {
    pub(super) fn of(field: &Field, runs: &[Run<'_>]) -> Self {
        let mut nulls = 0;
        let parts = runs
            .iter()
            .map(|run| match run {
                // A child that cannot be null is a default under its null parent.
                Run::Blank(len) if !field.is_nullable() => Part::Valid(*len),
                Run::Blank(len) => {
                    nulls += len;
                    Part::Null(*len)
                }
                Run::Values { array, start, len } => {
                    let own = array.slice(*start, *len).logical_nulls();
                    match own.filter(|own| own.null_count() > 0) {
                        None => Part::Valid(*len),
                        Some(own) => {
                            nulls += own.null_count();
                            Part::Mixed(own)
                        }
                    }
                }
            })
            .collect();
        Self { parts, nulls }
    }

    /// Sets the bits of the rows that are not null.
    pub(super) fn write(&self, bits: &mut [u8]) {
        let mut at = 0;
        for part in &self.parts {
            match part {
                Part::Valid(len) => {
                    (at..at + len).for_each(|row| set_bit(bits, row));
                    at += len;
                }
                Part::Null(len) => at += len,
                Part::Mixed(nulls) => {
                    set_bits(bits, nulls.validity(), at, nulls.offset(), nulls.len());
                    at += nulls.len();
                }
            }
        }
    }
}

impl Part {
    pub(super) fn is_valid(&self, row: usize) -> bool {
        match self {
            Self::Valid(_) => true,
            Self::Null(_) => false,
            Self::Mixed(nulls) => nulls.is_valid(row),
        }
    }
}

#[inline]
pub(super) fn set_bit(bits: &mut [u8], row: usize) {
    if let Some(byte) = bits.get_mut(row / 8) {
        *byte |= 1 << (row % 8);
    }
}
