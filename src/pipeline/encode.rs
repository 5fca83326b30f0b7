//! Writes columns into the body of an Arrow IPC message, value by value into fresh zeroed memory.
//! Knows Arrow's layouts; knows nothing of policies, and hands no buffer on.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, FixedSizeListArray, GenericListArray,
    StructArray,
};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Int32Type};
use arrow::util::bit_mask::set_bits;
use arrow_ipc::{Buffer, FieldNode};

use crate::error::{Code, Error, Result};

/// Where buffers begin: cache lines, so that readers may use them in place.
const ALIGNMENT: usize = 64;

/// How many bytes a short copy moves at once.
const STRIDE: usize = 32;

/// A stretch of a column.
#[derive(Clone, Copy)]
pub(super) enum Run<'a> {
    /// Rows `start..start + len` of an array.
    Values { array: &'a ArrayRef, start: usize, len: usize },
    /// Rows of a child under a null parent: defaults.
    Blank(usize),
}

impl Run<'_> {
    const fn len(&self) -> usize {
        match self {
            Self::Values { len, .. } | Self::Blank(len) => *len,
        }
    }
}

/// The body under construction, and the description that the header needs.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Vec<u8>,
    nodes: Vec<FieldNode>,
    buffers: Vec<Buffer>,
}

impl Body {
    /// A body in emptied memory.
    pub(super) fn new(mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        Self { bytes, nodes: Vec::new(), buffers: Vec::new() }
    }

    /// The bytes, the nodes in depth-first order and the buffers in the order of the layouts.
    pub(super) fn finish(self) -> (Vec<u8>, Vec<FieldNode>, Vec<Buffer>) {
        (self.bytes, self.nodes, self.buffers)
    }

    /// Appends one column. Runs are canonical arrays of the field's type, or dictionaries of it.
    ///
    /// # Errors
    /// [`Code::Internal`] when an array is not of the field's type or null where the field is not.
    pub(super) fn column(&mut self, field: &Field, runs: &[Run<'_>]) -> Result<()> {
        let flat;
        let flat_runs;
        let runs = if needs_flattening(field.data_type(), runs) {
            flat = flatten(runs)?;
            flat_runs =
                flat.iter().zip(runs).map(|(flat, run)| run_over(flat, run)).collect::<Vec<_>>();
            &flat_runs
        } else {
            runs
        };
        let rows: usize = runs.iter().map(Run::len).sum();
        if *field.data_type() == DataType::Null {
            self.nodes.push(FieldNode::new(signed(rows)?, signed(rows)?));
            return Ok(());
        }
        let validity = Validity::of(field, runs);
        if validity.nulls > 0 && !field.is_nullable() {
            return Err(internal("null in a column that has none"));
        }
        self.nodes.push(FieldNode::new(signed(rows)?, signed(validity.nulls)?));
        self.bitmap(&validity, rows)?;
        match field.data_type() {
            DataType::Boolean => self.booleans(runs, rows),
            DataType::Utf8 | DataType::Binary => self.texts(runs, rows, &validity),
            DataType::List(item) | DataType::Map(item, _) => self.lists(item, runs, rows),
            DataType::FixedSizeList(item, size) => self.fixed_lists(item, *size, runs),
            DataType::Struct(children) => {
                for (at, child) in children.iter().enumerate() {
                    self.column(child, &struct_runs(at, runs)?)?;
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
        let bits = self.buffer(rows.div_ceil(8))?;
        let mut at = 0;
        for part in &validity.parts {
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

    /// Text and binary: offsets, then the bytes.
    fn texts(&mut self, runs: &[Run<'_>], rows: usize, validity: &Validity) -> Result<()> {
        let views = runs.iter().map(Texts::of).collect::<Result<Vec<_>>>()?;
        let mut total = 0_usize;
        let mut slots = self.buffer((rows + 1) * 4)?.chunks_exact_mut(4).skip(1);
        for ((run, part), view) in runs.iter().zip(&validity.parts).zip(&views) {
            view.each_span(part, run.len(), |from, to| {
                total += to.checked_sub(from)?;
                slots.next()?.copy_from_slice(&u32::try_from(total).ok()?.to_le_bytes());
                Some(())
            })?;
        }
        // The field's offsets are signed; more than a message may hold is cut into smaller messages,
        // but not past this.
        if i32::try_from(total).is_err() {
            return Err(Error::new(Code::RowTooLarge, "the texts of a batch are too long"));
        }
        let start = self.bytes.len();
        let out = self.zeros(total + STRIDE)?;
        let mut at = 0;
        for ((run, part), view) in runs.iter().zip(&validity.parts).zip(&views) {
            let source = view.bytes();
            if let (Texts::Plain { offsets, .. }, Part::Valid(_)) = (view, part) {
                let (from, to) = ends(offsets)?;
                copy(out, &mut at, source, from, to).ok_or_else(mismatch)?;
            } else {
                view.each_span(part, run.len(), |from, to| copy(out, &mut at, source, from, to))?;
            }
        }
        // PRIVACY: what the last copies wrote past the end goes before the buffer is closed.
        self.bytes.truncate(start + total);
        self.close(start)
    }

    fn lists(&mut self, item: &Field, runs: &[Run<'_>], rows: usize) -> Result<()> {
        let mut children = Vec::new();
        let mut total = 0_usize;
        let out = self.buffer((rows + 1) * 4)?;
        let mut slots = out.chunks_exact_mut(4).skip(1);
        for run in runs {
            let (offsets, values, nulls, start) = match run {
                Run::Blank(len) => {
                    for slot in slots.by_ref().take(*len) {
                        slot.copy_from_slice(&offset(total)?);
                    }
                    continue;
                }
                Run::Values { array, start, .. } => list_parts(array, *start)?,
            };
            for row in start..start + run.len() {
                let from = offsets.get(row).copied().ok_or_else(mismatch).and_then(index)?;
                let to = offsets.get(row + 1).copied().ok_or_else(mismatch).and_then(index)?;
                // PRIVACY: a null list may cover items; they are not looked at.
                if nulls.is_none_or(|nulls| nulls.is_valid(row)) && to > from {
                    push_run(&mut children, values, from, to - from);
                    total += to - from;
                }
                if let Some(slot) = slots.next() {
                    slot.copy_from_slice(&offset(total)?);
                }
            }
        }
        self.column(item, &children)
    }

    fn fixed_lists(&mut self, item: &Field, size: i32, runs: &[Run<'_>]) -> Result<()> {
        let size = index(size)?;
        let mut children = Vec::new();
        for run in runs {
            match run {
                Run::Blank(len) => children.push(Run::Blank(len * size)),
                Run::Values { array, start, len } => {
                    let list: &FixedSizeListArray =
                        array.as_fixed_size_list_opt().ok_or_else(mismatch)?;
                    for row in *start..start + len {
                        if list.is_valid(row) {
                            let from = index(list.value_offset(row))?;
                            push_run(&mut children, list.values(), from, size);
                        } else {
                            children.push(Run::Blank(size));
                        }
                    }
                }
            }
        }
        self.column(item, &children)
    }
}

/// Adds rows of a child, in one run with what is before them where they touch.
fn push_run<'a>(runs: &mut Vec<Run<'a>>, array: &'a ArrayRef, start: usize, len: usize) {
    if let Some(Run::Values { array: last, start: begin, len: before }) = runs.last_mut()
        && std::ptr::eq(*last, array)
        && *begin + *before == start
    {
        *before += len;
        return;
    }
    runs.push(Run::Values { array, start, len });
}

/// The offsets, items, validity and first row of a list or map.
type ListParts<'a> = (&'a [i32], &'a ArrayRef, Option<&'a NullBuffer>, usize);

fn list_parts(array: &ArrayRef, start: usize) -> Result<ListParts<'_>> {
    if let Some(list) = array.as_any().downcast_ref::<GenericListArray<i32>>() {
        return Ok((list.value_offsets(), list.values(), list.nulls(), start));
    }
    Err(mismatch())
}

/// The child of each run of structs; blank under a null struct.
fn struct_runs<'a>(at: usize, runs: &[Run<'a>]) -> Result<Vec<Run<'a>>> {
    let mut children = Vec::new();
    for run in runs {
        match run {
            Run::Blank(len) => children.push(Run::Blank(*len)),
            Run::Values { array, start, len } => {
                let parent: &StructArray = array.as_struct_opt().ok_or_else(mismatch)?;
                let child = parent.columns().get(at).ok_or_else(mismatch)?;
                match parent.nulls() {
                    None => children.push(Run::Values { array: child, start: *start, len: *len }),
                    Some(nulls) => {
                        for row in *start..start + len {
                            if nulls.is_valid(row) {
                                push_run(&mut children, child, row, 1);
                            } else {
                                children.push(Run::Blank(1));
                            }
                        }
                    }
                }
            }
        }
    }
    Ok(children)
}

/// Whether a run is a dictionary of something other than texts and fixed widths.
fn needs_flattening(kind: &DataType, runs: &[Run<'_>]) -> bool {
    let direct = matches!(kind, DataType::Utf8 | DataType::Binary | DataType::FixedSizeBinary(_))
        || kind.primitive_width().is_some();
    runs.iter().any(|run| match run {
        Run::Blank(_) => false,
        Run::Values { array, .. } => match array.data_type() {
            DataType::Dictionary(key, _) => !direct || **key != DataType::Int32,
            DataType::Map(_, _) => true,
            _ => false,
        },
    })
}

/// The rows of each run as plain arrays; blanks give an empty one.
fn flatten(runs: &[Run<'_>]) -> Result<Vec<ArrayRef>> {
    runs.iter()
        .map(|run| match run {
            Run::Blank(_) => Ok(arrow::array::new_empty_array(&DataType::Null)),
            Run::Values { array, start, len } => {
                let rows = array.slice(*start, *len);
                match rows.as_any_dictionary_opt() {
                    Some(dictionary) => take(dictionary.values(), dictionary.keys(), None)
                        .map_err(|_| internal("unpack a dictionary")),
                    None => match rows.as_map_opt() {
                        Some(map) => {
                            Ok(std::sync::Arc::new(arrow::array::ListArray::from(map.clone()))
                                as ArrayRef)
                        }
                        None => Ok(rows),
                    },
                }
            }
        })
        .collect()
}

fn run_over<'a>(flat: &'a ArrayRef, run: &Run<'_>) -> Run<'a> {
    match run {
        Run::Blank(len) => Run::Blank(*len),
        Run::Values { len, .. } => Run::Values { array: flat, start: 0, len: *len },
    }
}

/// Which rows of a column are null, run by run.
struct Validity {
    parts: Vec<Part>,
    nulls: usize,
}

enum Part {
    Valid(usize),
    Null(usize),
    Mixed(NullBuffer),
}

impl Validity {
    fn of(field: &Field, runs: &[Run<'_>]) -> Self {
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
}

impl Part {
    fn is_valid(&self, row: usize) -> bool {
        match self {
            Self::Valid(_) => true,
            Self::Null(_) => false,
            Self::Mixed(nulls) => nulls.is_valid(row),
        }
    }
}

/// The texts of one run.
enum Texts<'a> {
    Blank,
    Plain { offsets: &'a [i32], bytes: &'a [u8] },
    Dictionary { keys: &'a [i32], offsets: &'a [i32], bytes: &'a [u8] },
}

impl<'a> Texts<'a> {
    fn of(run: &Run<'a>) -> Result<Self> {
        let Run::Values { array, start, len } = *run else { return Ok(Self::Blank) };
        if let Some(dictionary) = array.as_any().downcast_ref::<DictionaryArray<Int32Type>>() {
            let keys = dictionary.keys().values().get(start..start + len).ok_or_else(mismatch)?;
            let (offsets, bytes) = text_parts(dictionary.values())?;
            return Ok(Self::Dictionary { keys, offsets, bytes });
        }
        let (offsets, bytes) = text_parts(array)?;
        let offsets = offsets.get(start..=start + len).ok_or_else(mismatch)?;
        Ok(Self::Plain { offsets, bytes })
    }

    /// Tells where the bytes of each row begin and end; null rows have none.
    #[inline]
    fn each_span(
        &self,
        part: &Part,
        len: usize,
        mut tell: impl FnMut(usize, usize) -> Option<()>,
    ) -> Result<()> {
        let span = |offsets: &[i32], at: usize| {
            let from = usize::try_from(*offsets.get(at)?).ok()?;
            let to = usize::try_from(*offsets.get(at + 1)?).ok()?;
            Some((from, to))
        };
        let told = match (self, part) {
            (Self::Dictionary { keys, offsets, .. }, Part::Valid(_)) => {
                keys.iter().try_for_each(|key| {
                    let (from, to) = span(offsets, usize::try_from(*key).ok()?)?;
                    tell(from, to)
                })
            }
            _ => (0..len).try_for_each(|row| {
                let (from, to) = match self {
                    _ if !part.is_valid(row) => (0, 0),
                    Self::Blank => (0, 0),
                    Self::Plain { offsets, .. } => span(offsets, row)?,
                    Self::Dictionary { keys, offsets, .. } => {
                        span(offsets, usize::try_from(*keys.get(row)?).ok()?)?
                    }
                };
                tell(from, to)
            }),
        };
        told.ok_or_else(mismatch)
    }

    const fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Blank => &[],
            Self::Plain { bytes, .. } | Self::Dictionary { bytes, .. } => bytes,
        }
    }
}

fn text_parts(array: &ArrayRef) -> Result<(&[i32], &[u8])> {
    match array.data_type() {
        DataType::Utf8 => {
            let text = array.as_string_opt::<i32>().ok_or_else(mismatch)?;
            Ok((text.value_offsets(), text.value_data()))
        }
        DataType::Binary => {
            let binary = array.as_binary_opt::<i32>().ok_or_else(mismatch)?;
            Ok((binary.value_offsets(), binary.value_data()))
        }
        _ => Err(mismatch()),
    }
}

/// Copies `source[from..to]` to `out[at..]` and moves `at` behind it.
///
/// Short texts are copied a stride at a time, past their end, because a copy of fixed size is a few
/// instructions and a copy of any size is a call. `out` is a stride longer than all texts together.
///
/// PRIVACY: what is written past the end of a text is overwritten by the next, and the caller cuts off
/// what is behind the last.
#[inline]
fn copy(out: &mut [u8], at: &mut usize, source: &[u8], from: usize, to: usize) -> Option<()> {
    let len = to.checked_sub(from)?;
    let room = out.get_mut(*at..)?;
    if len <= STRIDE
        && let Some(stride) = source.get(from..).and_then(|rest| rest.first_chunk::<STRIDE>())
        && let Some(room) = room.first_chunk_mut::<STRIDE>()
    {
        *room = *stride;
    } else {
        room.get_mut(..len)?.copy_from_slice(source.get(from..to)?);
    }
    *at += len;
    Some(())
}

fn ends(offsets: &[i32]) -> Result<(usize, usize)> {
    match (offsets.first(), offsets.last()) {
        (Some(from), Some(to)) => Ok((index(*from)?, index(*to)?)),
        _ => Err(mismatch()),
    }
}

#[inline]
fn set_bit(bits: &mut [u8], row: usize) {
    if let Some(byte) = bits.get_mut(row / 8) {
        *byte |= 1 << (row % 8);
    }
}

#[inline]
fn index(value: i32) -> Result<usize> {
    usize::try_from(value).map_err(|_| mismatch())
}

fn offset(total: usize) -> Result<[u8; 4]> {
    // More than a message may hold is cut into smaller messages, but not past 2 GiB.
    i32::try_from(total)
        .map(i32::to_le_bytes)
        .map_err(|_| Error::new(Code::RowTooLarge, "the texts of a batch are too long"))
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
