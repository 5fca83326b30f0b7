//! Runs a kernel over a column as it was read: dictionaries value by value, views and large types
//! made canonical, nulls by the policy's rule. Kernels see none of that.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, DictionaryArray, UInt32Array, UInt32Builder, new_null_array};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{DataType, Field, FieldRef, Int32Type};

use super::Kernel;
use crate::error::{Code, Context, Error, Result};

/// The type that kernels see for a raw type: `Utf8` for every string, `Binary` for every
/// variable-length binary, `List` for every variable-length list, the value type for dictionaries and
/// run-end encoding. All other types are themselves.
pub fn canonical(raw: &DataType) -> DataType {
    match raw {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => canonical(values),
        DataType::RunEndEncoded(_, values) => canonical(values.data_type()),
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

/// A kernel with what it remembers of the dictionary it saw last.
pub struct ColumnKernel {
    kernel: Box<dyn Kernel>,
    by_row: bool,
    null_token: bool,
    dictionary: Option<Remembered>,
}

/// The transformed values of one dictionary: which were done, and where they went.
struct Remembered {
    raw: ArrayRef,
    place: Vec<u32>,
    done: ArrayRef,
}

const UNSEEN: u32 = u32::MAX;

impl std::fmt::Debug for ColumnKernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ColumnKernel").field("by_row", &self.by_row).finish_non_exhaustive()
    }
}

impl ColumnKernel {
    /// `by_row`: the kernel reads other columns, so equal values may differ in output. `null_token`:
    /// null gets a stand-in.
    pub fn new(kernel: Box<dyn Kernel>, by_row: bool, null_token: bool) -> Self {
        Self { kernel, by_row, null_token, dictionary: None }
    }

    /// Transforms a raw column. The output is canonical, or a dictionary of canonical values where the
    /// input was one.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn apply(&mut self, raw: &ArrayRef, reads: &[ArrayRef]) -> Result<ArrayRef> {
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

    /// Transforms the values that the keys use, each once, and points the keys at them.
    fn apply_dictionary(&mut self, raw: &DictionaryArray<Int32Type>) -> Result<ArrayRef> {
        let fresh = !self
            .dictionary
            .as_ref()
            .is_some_and(|known| known.raw.to_data().ptr_eq(&raw.values().to_data()));
        if fresh {
            let none = to_canonical(&raw.values().slice(0, 0))?;
            self.dictionary = Some(Remembered {
                raw: Arc::clone(raw.values()),
                place: vec![UNSEEN; raw.values().len()],
                done: self.kernel.apply(&none, &[])?,
            });
        }
        let Some(known) = self.dictionary.as_mut() else {
            return Err(Error::new(Code::Internal, "no dictionary to remember"));
        };
        // PRIVACY: only values that a row of this batch uses are looked at; a dictionary may hold the
        // values of rows that the policy's filter took out.
        let keys = raw.keys();
        let mut news = Vec::new();
        let start = index(known.done.len())?;
        for key in keys.iter().flatten() {
            let slot =
                usize::try_from(key).ok().and_then(|key| known.place.get_mut(key)).ok_or_else(
                    || Error::new(Code::SourceUnreadable, "a dictionary key is out of range"),
                )?;
            if *slot == UNSEEN {
                *slot = start + index(news.len())?;
                news.push(u32::try_from(key).unwrap_or(UNSEEN));
            }
        }
        if !news.is_empty() {
            let values = take(&known.raw, &UInt32Array::from(news), None)
                .context(Code::Internal, || "dictionary values".to_owned())?;
            let values = to_canonical(&values)?;
            let mut out = self.kernel.apply(&values, &[])?;
            if out.len() != values.len() {
                return Err(Error::new(Code::Internal, "a kernel changed the number of rows"));
            }
            if self.null_token && values.null_count() > 0 {
                out = fill_nulls(self.kernel.as_mut(), &values, &out)?;
            }
            known.done = concat(&[&known.done, &out])
                .context(Code::Internal, || "dictionary values".to_owned())?;
        }
        let null_at =
            if self.null_token && keys.null_count() > 0 { self.kernel.null_token()? } else { None };
        let mut values = Arc::clone(&known.done);
        let mut null_key = None;
        if let Some(token) = null_at {
            null_key = Some(index(values.len())?);
            values =
                concat(&[&values, &token]).context(Code::Internal, || "null tokens".to_owned())?;
        }
        let mut places = UInt32Builder::with_capacity(keys.len());
        for key in keys {
            match key {
                Some(key) => places.append_option(
                    usize::try_from(key).ok().and_then(|key| known.place.get(key)).copied(),
                ),
                None => places.append_option(null_key),
            }
        }
        let keys = cast(&places.finish(), &DataType::Int32)
            .context(Code::Internal, || "dictionary keys".to_owned())?;
        let keys = keys
            .as_any()
            .downcast_ref::<arrow::array::Int32Array>()
            .ok_or_else(|| Error::new(Code::Internal, "dictionary keys"))?;
        let out = DictionaryArray::<Int32Type>::try_new(keys.clone(), values)
            .context(Code::Internal, || "dictionary keys".to_owned())?;
        Ok(Arc::new(out))
    }
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
