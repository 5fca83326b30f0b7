//! The distinct values of a column that several threads met, each once and in their own order. Reads no row.

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array, new_empty_array};
use arrow::compute::{SortOptions, concat, sort_to_indices, take};
use arrow::datatypes::DataType;

use super::codes::Found;
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::release::hierarchy::Values;
use crate::pipeline::release::text::texts;

/// Belongs nowhere.
pub(super) const NOWHERE: u32 = u32::MAX;

/// Where another value begins: equal ones lie side by side. What has one text is one value.
fn begins(sorted: &ArrayRef) -> Result<Vec<bool>> {
    let bytes;
    let words: Vec<&[u8]> = match sorted.data_type() {
        DataType::Binary => sorted.as_binary::<i32>().iter().flatten().collect(),
        _ => {
            bytes = texts(sorted)?;
            bytes.as_string::<i32>().iter().flatten().map(str::as_bytes).collect()
        }
    };
    if words.len() != sorted.len() {
        return Err(Error::new(Code::Internal, "a distinct value is null"));
    }
    let mut before: Option<&[u8]> = None;
    Ok(words.into_iter().map(|word| before.replace(word) != Some(word)).collect())
}

/// Distinct values: numbers as numbers, times as times, text as text; null last.
pub(super) struct Distinct {
    name: String,
    values: ArrayRef,
    null: bool,
    /// Rows by value, null last.
    rows: Vec<u64>,
    /// By thread, by code: the place of the value.
    places: Vec<Vec<u32>>,
}

impl Distinct {
    /// Joins what threads met.
    ///
    /// # Errors
    /// [`Code::QueryMemory`] for too many.
    pub(super) fn join(name: &str, parts: Vec<Found>) -> Result<Self> {
        let failed = || "distinct values cannot be put in order".to_owned();
        let arrays: Vec<&dyn Array> =
            parts.iter().filter_map(|part| part.values.as_deref()).collect();
        let all = match arrays.is_empty() {
            true => new_empty_array(&DataType::Utf8),
            false => concat(&arrays).context(Code::QueryMemory, failed)?,
        };
        let options = SortOptions { descending: false, nulls_first: false };
        let order = sort_to_indices(&all, Some(options), None).context(Code::Internal, failed)?;
        let sorted = take(&all, &order, None).context(Code::Internal, failed)?;
        let begins = begins(&sorted)?;
        let mut first: Vec<u32> = Vec::new();
        let mut place_of = vec![0_u32; all.len()];
        for ((at, index), begins) in (0_u32..).zip(order.values()).zip(begins) {
            if begins {
                first.push(at);
            }
            let place = usize::try_from(*index).ok().and_then(|index| place_of.get_mut(index));
            if let Some(place) = place {
                *place = u32::try_from(first.len() - 1).unwrap_or(u32::MAX);
            }
        }
        let count = u32::try_from(first.len()).ok().filter(|count| *count < NOWHERE - 1);
        let count = count.ok_or_else(|| {
            Error::new(Code::QueryMemory, format!("column `{name}` has too many distinct values"))
        })?;
        let first = UInt32Array::from(first);
        let values = take(&sorted, &first, None).context(Code::Internal, failed)?;
        let null = parts.iter().any(|part| part.null);
        let mut rows = vec![0; first.len() + 1];
        let mut places = Vec::with_capacity(parts.len());
        let mut rest = place_of.as_slice();
        for part in &parts {
            let own = part.values.as_ref().map_or(0, |values| values.len());
            let (head, tail) = rest.split_at_checked(own).unwrap_or_default();
            rest = tail;
            let mut of_code = Vec::with_capacity(own + 1);
            of_code.push(if null { count } else { NOWHERE });
            of_code.extend_from_slice(head);
            for (place, counted) in of_code.iter().zip(&part.rows) {
                if let Some(rows) = usize::try_from(*place).ok().and_then(|at| rows.get_mut(at)) {
                    *rows += counted;
                }
            }
            places.push(of_code);
        }
        Ok(Self { name: name.to_owned(), values, null, rows, places })
    }

    /// Shows the values.
    pub(super) fn values<T>(&self, see: impl FnOnce(Values<'_>) -> T) -> T {
        let Self { name, values, null, rows, .. } = self;
        see(Values { name, values, null: *null, rows })
    }

    /// Each value's own place; null last.
    pub(super) fn identity(&self) -> Vec<u32> {
        let count = self.values.len() + usize::from(self.null);
        (0..u32::try_from(count).unwrap_or(NOWHERE)).collect()
    }

    /// Gives null no place.
    pub(super) fn forget_null(&self, places: &mut [u32]) {
        if self.null
            && let Some(last) = places.last_mut()
        {
            *last = NOWHERE;
        }
    }

    /// By thread, by code: what stands for the value in `of`, which has an entry a value, null last.
    pub(super) fn places(&self, of: &[u32]) -> Vec<Vec<u32>> {
        let new = |place: &u32| {
            usize::try_from(*place).ok().and_then(|place| of.get(place)).copied().unwrap_or(NOWHERE)
        };
        self.places.iter().map(|codes| codes.iter().map(new).collect()).collect()
    }
}
