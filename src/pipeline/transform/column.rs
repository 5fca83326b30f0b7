//! Runs a kernel over a column as it was read: dictionaries value by value, views and large types
//! made canonical, nulls by the policy's rule. Kernels see none of that.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, DictionaryArray, UInt32Array, UInt32Builder, make_array, new_null_array,
};
use arrow::compute::{can_cast_types, cast, concat, take};
use arrow::datatypes::{DataType, Field, FieldRef, Int32Type, IntervalUnit};

use super::{Kernel, elements};
use crate::error::{Code, Context, Error, Result};

/// The type that kernels see for a raw type: `Utf8` for every string, `Binary` for every
/// variable-length binary, `List` for every variable-length list, the value type for dictionaries and
/// run-end encoding, months, days and nanoseconds for every interval, because clients know no other. All
/// other types are themselves.
pub fn canonical(raw: &DataType) -> DataType {
    match raw {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => canonical(values),
        DataType::RunEndEncoded(_, values) => canonical(values.data_type()),
        DataType::Interval(_) => DataType::Interval(IntervalUnit::MonthDayNano),
        DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::List(item) => DataType::List(canonical_field(item)),
        DataType::FixedSizeList(item, size) => {
            DataType::FixedSizeList(canonical_field(item), *size)
        }
        DataType::Map(entries, sorted) => DataType::Map(canonical_field(entries), *sorted),
        DataType::Struct(children) => {
            DataType::Struct(children.iter().map(canonical_field).collect())
        }
        other => other.clone(),
    }
}

/// A field of the canonical type, without metadata.
fn canonical_field(field: &FieldRef) -> FieldRef {
    Arc::new(Field::new(field.name(), canonical(field.data_type()), field.is_nullable()))
}

/// Whether a raw column has a canonical form that can be sent, at every depth.
///
/// # Errors
/// Why not, in words for who writes the policy.
pub fn carried(raw: &DataType) -> Result<(), String> {
    let plain = canonical(raw);
    if let Some(kind) = unsent(&plain) {
        return Err(format!("`{kind}` cannot be sent"));
    }
    if plain != *raw && !can_cast_types(raw, &plain) {
        return Err(format!("`{raw}` has no plain form that can be sent"));
    }
    Ok(())
}

/// The first type inside that the seal does not write.
fn unsent(plain: &DataType) -> Option<&DataType> {
    match plain {
        DataType::List(item) | DataType::FixedSizeList(item, _) | DataType::Map(item, _) => {
            unsent(item.data_type())
        }
        DataType::Struct(children) => children.iter().find_map(|child| unsent(child.data_type())),
        DataType::Null
        | DataType::Boolean
        | DataType::Utf8
        | DataType::Binary
        | DataType::FixedSizeBinary(_) => None,
        kind if kind.primitive_width().is_some() => None,
        kind => Some(kind),
    }
}

/// An array of the canonical type with the same values.
///
/// # Errors
/// [`Code::Internal`] when Arrow has no such cast.
pub fn to_canonical(raw: &ArrayRef) -> Result<ArrayRef> {
    let target = canonical(raw.data_type());
    if *raw.data_type() == target {
        return Ok(Arc::clone(raw));
    }
    cast(raw, &target).context(Code::Internal, || "a raw column has no canonical form".to_owned())
}

/// What a learner sees of a raw column: its values, or the elements of its lists.
///
/// # Errors
/// As [`to_canonical`].
pub fn observed(raw: &ArrayRef, by_element: bool) -> Result<ArrayRef> {
    if by_element { Ok(elements::elements(raw)?.0) } else { to_canonical(raw) }
}

/// A kernel with what it remembers of the dictionary it saw last.
pub struct ColumnKernel {
    kernel: Box<dyn Kernel>,
    by_row: bool,
    null_token: bool,
    dictionary: Option<Remembered>,
    /// The field of the elements that leave, where the column holds lists and the kernel takes elements.
    elements: Option<FieldRef>,
}

/// The transformed values of one dictionary, at the places of the raw ones, so that keys stay as they
/// are. A value that no row has used yet is blank here.
struct Remembered {
    raw: ArrayRef,
    seen: Vec<bool>,
    unseen: usize,
    done: ArrayRef,
}

impl std::fmt::Debug for ColumnKernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ColumnKernel").field("by_row", &self.by_row).finish_non_exhaustive()
    }
}

impl ColumnKernel {
    /// `by_row`: the kernel reads other columns, so equal values may differ in output. `null_token`:
    /// null gets a stand-in.
    pub fn new(kernel: Box<dyn Kernel>, by_row: bool, null_token: bool) -> Self {
        Self { kernel, by_row, null_token, dictionary: None, elements: None }
    }

    /// The same for a column of lists of which the kernel takes each element; `item` is the field of
    /// those that leave. Nothing changes without one.
    #[must_use]
    pub fn with_elements(mut self, item: Option<&FieldRef>) -> Self {
        self.elements = item.cloned();
        self
    }

    /// Transforms a raw column. The output is canonical, or a dictionary of canonical values where the
    /// input was one.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn apply(&mut self, raw: &ArrayRef, reads: &[ArrayRef]) -> Result<ArrayRef> {
        let Some(item) = self.elements.clone() else { return self.apply_values(raw, reads) };
        // A list that is missing stays missing, whatever the policy says of null: a stand-in stands for
        // an element.
        let (values, offsets, nulls) = elements::elements(raw)?;
        let out = to_canonical(&self.apply_values(&values, &[])?)?;
        elements::lists(&item, offsets, out, nulls)
    }

    fn apply_values(&mut self, raw: &ArrayRef, reads: &[ArrayRef]) -> Result<ArrayRef> {
        if !self.by_row
            && !self.kernel.replaces_nulls()
            && let Some(dictionary) = raw.as_any().downcast_ref::<DictionaryArray<Int32Type>>()
        {
            return self.apply_dictionary(dictionary);
        }
        let values = to_canonical(raw)?;
        let reads = reads.iter().map(to_canonical).collect::<Result<Vec<_>>>()?;
        let out = self.kernel.apply(&values, &reads)?;
        if out.len() != values.len() {
            return Err(Error::new(Code::Internal, "a kernel changed the number of rows"));
        }
        if self.null_token && values.null_count() > 0 {
            return fill_nulls(self.kernel.as_mut(), &values, &out);
        }
        Ok(out)
    }

    /// Transforms the values that the keys use, each once, and leaves the keys alone.
    fn apply_dictionary(&mut self, raw: &DictionaryArray<Int32Type>) -> Result<ArrayRef> {
        let same = |known: &Remembered| known.raw.to_data().ptr_eq(&raw.values().to_data());
        let mut known = match self.dictionary.take().filter(same) {
            Some(known) => known,
            None => self.meet(raw.values())?,
        };
        if known.unseen > 0 {
            self.catch_up(&mut known, raw)?;
        }
        let values = Arc::clone(&known.done);
        self.dictionary = Some(known);
        let token = match raw.nulls() {
            Some(_) if self.null_token => self.kernel.null_token()?,
            _ => None,
        };
        let Some(token) = token else { return Ok(Arc::new(raw.with_values(values))) };
        let last = i32::try_from(values.len())
            .map_err(|_| Error::new(Code::Internal, "a dictionary is too long"))?;
        let keys = raw.keys().iter().map(|key| Some(key.unwrap_or(last))).collect();
        let values =
            concat(&[&values, &token]).context(Code::Internal, || "null tokens".to_owned())?;
        let out = DictionaryArray::<Int32Type>::try_new(keys, values)
            .context(Code::Internal, || "dictionary keys".to_owned())?;
        Ok(Arc::new(out))
    }

    /// A dictionary of which no value was used yet.
    fn meet(&mut self, raw: &ArrayRef) -> Result<Remembered> {
        let none = self.kernel.apply(&to_canonical(&raw.slice(0, 0))?, &[])?;
        Ok(Remembered {
            raw: Arc::clone(raw),
            seen: vec![false; raw.len()],
            unseen: raw.len(),
            done: blank(none.data_type(), raw.len())?,
        })
    }

    /// Transforms the values that this batch is the first to use.
    ///
    /// PRIVACY: only values that a row of this batch uses are looked at; a dictionary may hold the
    /// values of rows that the policy's filter took out.
    fn catch_up(&mut self, known: &mut Remembered, raw: &DictionaryArray<Int32Type>) -> Result<()> {
        let mut fresh = Vec::new();
        for (row, key) in raw.keys().values().iter().enumerate() {
            let place = usize::try_from(*key).ok().and_then(|key| known.seen.get_mut(key));
            match place {
                Some(true) => {}
                _ if raw.keys().is_null(row) => {}
                Some(seen) => {
                    *seen = true;
                    fresh.push(key.cast_unsigned());
                }
                None => {
                    return Err(Error::new(
                        Code::SourceUnreadable,
                        "a dictionary key is out of range",
                    ));
                }
            }
        }
        if fresh.is_empty() {
            return Ok(());
        }
        // In the order of the dictionary, so that kernels meet values in an order that the cut into
        // batches has no part in.
        fresh.sort_unstable();
        let before = known.done.len();
        let mut from: Vec<u32> = (0..index(before)?).collect();
        for (at, key) in fresh.iter().enumerate() {
            if let Some(place) = usize::try_from(*key).ok().and_then(|key| from.get_mut(key)) {
                *place = index(before + at)?;
            }
        }
        known.unseen -= fresh.len();
        let values = take(&known.raw, &UInt32Array::from(fresh), None)
            .context(Code::Internal, || "dictionary values".to_owned())?;
        let values = to_canonical(&values)?;
        let mut out = self.kernel.apply(&values, &[])?;
        if out.len() != values.len() {
            return Err(Error::new(Code::Internal, "a kernel changed the number of rows"));
        }
        if self.null_token && values.null_count() > 0 {
            out = fill_nulls(self.kernel.as_mut(), &values, &out)?;
        }
        let both = concat(&[&known.done, &out])
            .context(Code::Internal, || "dictionary values".to_owned())?;
        known.done = take(&both, &UInt32Array::from(from), None)
            .context(Code::Internal, || "dictionary values".to_owned())?;
        Ok(())
    }
}

/// Values that stand for nothing: not null where the type allows it, because a dictionary whose values
/// have nulls makes every reader look up each row's value to know whether it is null.
fn blank(kind: &DataType, len: usize) -> Result<ArrayRef> {
    let nulls = new_null_array(kind, len);
    if kind.is_nested() || *kind == DataType::Null {
        return Ok(nulls);
    }
    let data = nulls.to_data().into_builder().nulls(None).build();
    Ok(make_array(data.context(Code::Internal, || "blank values".to_owned())?))
}

/// Puts the stand-in where the input is null.
fn fill_nulls(kernel: &mut dyn Kernel, values: &ArrayRef, out: &ArrayRef) -> Result<ArrayRef> {
    let Some(token) = kernel.null_token()? else { return Ok(Arc::clone(out)) };
    let both = concat(&[out, &token]).context(Code::Internal, || "null tokens".to_owned())?;
    let last = index(out.len())?;
    let mut indices = UInt32Builder::with_capacity(out.len());
    for row in 0..out.len() {
        indices.append_value(if values.is_null(row) { last } else { index(row)? });
    }
    take(&both, &indices.finish(), None).context(Code::Internal, || "null tokens".to_owned())
}

fn index(row: usize) -> Result<u32> {
    u32::try_from(row).map_err(|_| Error::new(Code::Internal, "a batch is too long"))
}

/// An all-null array, for kernels whose output does not depend on the input.
pub fn nulls(output: &DataType, len: usize) -> ArrayRef {
    new_null_array(output, len)
}

#[cfg(test)]
mod tests;
