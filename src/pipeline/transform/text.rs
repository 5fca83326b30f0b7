//! Text columns, value by value, into fresh buffers. What happens to a value is the kernel's business.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use crate::error::{Code, Context, Error, Result};

/// Whether the type is canonical text, or why not.
///
/// # Errors
/// A reason for the policy's author.
pub(super) fn only(input: &DataType) -> Result<(), String> {
    match input {
        DataType::Utf8 => Ok(()),
        other => Err(format!("takes text, and the column holds {}", in_words(other))),
    }
}

/// Whether the type is text or whole numbers, which have one decimal form, or why not.
///
/// # Errors
/// A reason for the policy's author.
pub(super) fn or_whole(input: &DataType) -> Result<(), String> {
    if *input == DataType::Utf8 || input.is_integer() {
        return Ok(());
    }
    Err(format!("takes text and whole numbers, and the column holds {}", in_words(input)))
}

/// A column of text or whole numbers as text.
///
/// # Errors
/// [`Code::Internal`] for other types.
pub(super) fn of(values: &ArrayRef) -> Result<StringArray> {
    if values.data_type().is_integer() {
        let text = cast(values, &DataType::Utf8)
            .context(Code::Internal, || "whole numbers as text".to_owned())?;
        return strings(&text).cloned();
    }
    strings(values).cloned()
}

/// The column as strings.
///
/// # Errors
/// [`Code::Internal`] when it is not canonical text.
pub(super) fn strings(values: &ArrayRef) -> Result<&StringArray> {
    values.as_string_opt::<i32>().ok_or_else(|| Error::new(Code::Internal, "not a text column"))
}

/// Each value through `f`, where `None` is null; null stays null.
pub(super) fn map(
    values: &StringArray,
    mut f: impl for<'a> FnMut(&'a str) -> Option<Cow<'a, str>>,
) -> ArrayRef {
    let mut out = StringBuilder::with_capacity(values.len(), 16 * values.len());
    for value in values {
        match value.and_then(&mut f) {
            Some(text) => out.append_value(text),
            None => out.append_null(),
        }
    }
    Arc::new(out.finish())
}

/// A type for people who do not know Arrow.
pub(super) fn in_words(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "flags".to_owned(),
        DataType::Utf8 => "text".to_owned(),
        DataType::Binary | DataType::FixedSizeBinary(_) => "bytes".to_owned(),
        DataType::Date32 | DataType::Date64 => "dates".to_owned(),
        DataType::Timestamp(..) => "timestamps".to_owned(),
        DataType::Time32(_) | DataType::Time64(_) => "times of day".to_owned(),
        DataType::Duration(_) | DataType::Interval(_) => "durations".to_owned(),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            "numbers with a fraction".to_owned()
        }
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => "decimals".to_owned(),
        DataType::List(_) | DataType::FixedSizeList(..) => "lists".to_owned(),
        DataType::Struct(_) => "structures".to_owned(),
        DataType::Map(..) => "maps".to_owned(),
        other if other.is_integer() => "whole numbers".to_owned(),
        other => format!("`{other}`"),
    }
}
