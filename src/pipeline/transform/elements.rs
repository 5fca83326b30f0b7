//! Lists under rules: a rule that does not take a list but takes its elements is applied to each of them.
//! Decides which of the two a rule does, and takes lists apart and together. Transforms no value.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, ListArray};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, FieldRef};

use super::Transform;
use super::column::to_canonical;
use crate::error::{Code, Context, Error, Result};
use crate::policy::args::Args;

/// What holds of every rule that is applied to the elements of a list, for `explain`.
pub const LEAKS: &str = "How many elements a list has, which of them are equal, their order, and where \
                         elements or whole lists are missing, stays.";

/// How a rule meets a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    /// The canonical type that leaves; none where the column does not.
    pub output: Option<DataType>,
    /// Whether the rule is applied to each element of a list, not to the list.
    pub by_element: bool,
}

/// What leaves when a canonical `input` enters: the list as a whole where the transform takes it, else
/// each element where it takes those. Lists in lists and structs in lists are taken whole or not at all.
///
/// # Errors
/// Why the type does not fit, in words for who writes the policy.
pub fn fit(transform: &dyn Transform, args: &Args, input: &DataType) -> Result<Fit, String> {
    let refused = match transform.output(args, input) {
        Ok(output) => return Ok(Fit { output, by_element: false }),
        Err(reason) => reason,
    };
    let DataType::List(item) = input else { return Err(refused) };
    if item.data_type().is_nested() {
        return Err(refused);
    }
    let inside = |reason: String| format!("{reason}, in its lists");
    let Some(output) = transform.output(args, item.data_type()).map_err(inside)? else {
        return Err(refused);
    };
    if !transform.reads(args).is_empty() {
        return Err(
            "it holds lists, and the rule reads other columns: a row has one value there and \
                    many here"
                .to_owned(),
        );
    }
    if let Some(reason) = transform.refuses_elements() {
        return Err(format!("it holds lists, and {reason}"));
    }
    let nullable = item.is_nullable() || transform.adds_nulls(args);
    let output = DataType::List(Arc::new(Field::new(item.name(), output, nullable)));
    Ok(Fit { output: Some(output), by_element: true })
}

/// The type that the kernel of a rule is bound to.
pub fn bound<'a>(input: &'a DataType, by_element: bool) -> &'a DataType {
    match input {
        DataType::List(item) if by_element => item.data_type(),
        whole => whole,
    }
}

/// The elements of the lists that are there, and where each row's begin and end in them.
///
/// PRIVACY: what stands under a null list, or before and behind a slice, is not among them: no kernel and
/// no learner sees it.
///
/// # Errors
/// [`Code::Internal`] when `raw` has no canonical form that is a list.
pub fn elements(raw: &ArrayRef) -> Result<(ArrayRef, OffsetBuffer<i32>, Option<NullBuffer>)> {
    let raw = to_canonical(raw)?;
    let list: &ListArray = raw.as_list_opt().ok_or_else(no_list)?;
    let nulls = list.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
    let valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    let ranges = list.offsets().windows(2).enumerate().map(|(row, ends)| match *ends {
        [start, end] if valid(row) => start..end,
        _ => 0..0,
    });
    let lengths = ranges.clone().map(|range| usize::try_from(range.end - range.start).unwrap_or(0));
    let offsets = OffsetBuffer::from_lengths(lengths);
    let values = if nulls.is_some() {
        let places: Int32Array = ranges.flatten().collect();
        take(list.values(), &places, None)
            .context(Code::Internal, || "elements of lists".to_owned())?
    } else {
        let first = list.offsets().first().copied().and_then(|first| usize::try_from(first).ok());
        let last = offsets.last().copied().and_then(|last| usize::try_from(last).ok());
        list.values().slice(first.unwrap_or(0), last.unwrap_or(0))
    };
    Ok((values, offsets, nulls))
}

/// Lists of transformed elements.
///
/// # Errors
/// [`Code::Internal`] when the elements are not those that were promised.
pub(super) fn lists(
    item: &FieldRef,
    offsets: OffsetBuffer<i32>,
    elements: ArrayRef,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let lists = ListArray::try_new(Arc::clone(item), offsets, elements, nulls)
        .map_err(|_| Error::new(Code::Internal, "a kernel gave other elements than promised"))?;
    Ok(Arc::new(lists))
}

/// Which rows of a column of lists have a list, and in it no element that is missing.
///
/// # Errors
/// As [`elements`].
pub fn complete(raw: &ArrayRef) -> Result<NullBuffer> {
    let (values, offsets, nulls) = elements(raw)?;
    let missing = values.logical_nulls().filter(|nulls| nulls.null_count() > 0);
    let rows = offsets.windows(2).enumerate().map(|(row, ends)| {
        let there = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        let [start, end] = *ends else { return there };
        there
            && missing.as_ref().is_none_or(|missing| {
                (start..end).all(|at| usize::try_from(at).is_ok_and(|at| missing.is_valid(at)))
            })
    });
    Ok(NullBuffer::new(rows.collect::<BooleanBuffer>()))
}

fn no_list() -> Error {
    Error::new(Code::Internal, "a column that holds no lists was taken for one that does")
}

#[cfg(test)]
mod tests;
