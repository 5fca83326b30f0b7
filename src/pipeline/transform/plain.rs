//! Values of text, binary, whole-number and date columns as the bytes that a pseudonym is made of:
//! text and binary as they are, numbers in decimal, dates as `2026-01-31`. The same value in another
//! type gives the same bytes, so that pseudonyms join across tables. Knows nothing of keys.

use std::fmt::Write as _;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow::temporal_conversions::date32_to_datetime;

use crate::error::{Code, Error, Result};

/// The types it reads, for [`super::Spec::takes`].
pub(super) const TAKES: &str = "text, whole numbers, dates and binary";

/// Whether values of this canonical type can be read.
pub(super) const fn reads(input: &DataType) -> bool {
    use DataType as T;
    matches!(
        input,
        T::Utf8
            | T::Binary
            | T::Int8
            | T::Int16
            | T::Int32
            | T::Int64
            | T::UInt8
            | T::UInt16
            | T::UInt32
            | T::UInt64
            | T::Date32
    )
}

/// Shows each value, in order, or `None` for null.
///
/// # Errors
/// What `see` says; [`Code::SourceValue`] for a date that no calendar has.
pub(super) fn for_each(
    values: &ArrayRef,
    mut see: impl FnMut(Option<&[u8]>) -> Result<()>,
) -> Result<()> {
    match values.data_type() {
        DataType::Utf8 => {
            values.as_string::<i32>().iter().try_for_each(|value| see(value.map(str::as_bytes)))
        }
        DataType::Binary => values.as_binary::<i32>().iter().try_for_each(see),
        DataType::Int8 => numbers(values.as_primitive::<Int8Type>(), see),
        DataType::Int16 => numbers(values.as_primitive::<Int16Type>(), see),
        DataType::Int32 => numbers(values.as_primitive::<Int32Type>(), see),
        DataType::Int64 => numbers(values.as_primitive::<Int64Type>(), see),
        DataType::UInt8 => numbers(values.as_primitive::<UInt8Type>(), see),
        DataType::UInt16 => numbers(values.as_primitive::<UInt16Type>(), see),
        DataType::UInt32 => numbers(values.as_primitive::<UInt32Type>(), see),
        DataType::UInt64 => numbers(values.as_primitive::<UInt64Type>(), see),
        DataType::Date32 => dates(values.as_primitive::<Date32Type>(), see),
        _ => Err(Error::new(Code::Internal, "a pseudonym was asked of a type it does not take")),
    }
}

fn numbers<T: ArrowPrimitiveType>(
    values: &PrimitiveArray<T>,
    mut see: impl FnMut(Option<&[u8]>) -> Result<()>,
) -> Result<()>
where
    T::Native: std::fmt::Display,
{
    let mut text = String::new();
    for value in values {
        match value {
            None => see(None)?,
            Some(value) => {
                text.clear();
                write!(text, "{value}").map_err(|_| unwritable())?;
                see(Some(text.as_bytes()))?;
            }
        }
    }
    Ok(())
}

fn dates(
    values: &PrimitiveArray<Date32Type>,
    mut see: impl FnMut(Option<&[u8]>) -> Result<()>,
) -> Result<()> {
    let mut text = String::new();
    for value in values {
        match value {
            None => see(None)?,
            Some(value) => {
                let date = date32_to_datetime(value)
                    .ok_or_else(|| Error::new(Code::SourceValue, "a date is out of range"))?
                    .date();
                text.clear();
                write!(text, "{date}").map_err(|_| unwritable())?;
                see(Some(text.as_bytes()))?;
            }
        }
    }
    Ok(())
}

fn unwritable() -> Error {
    Error::new(Code::Internal, "a value has no text form")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BinaryArray, Date32Array, Float64Array, Int8Array, Int64Array, StringArray, UInt64Array,
    };

    use super::*;

    fn seen(values: ArrayRef) -> Vec<String> {
        let mut out = Vec::new();
        for_each(&values, |value| {
            out.push(value.map_or("(null)".to_owned(), |v| String::from_utf8(v.to_vec()).unwrap()));
            Ok(())
        })
        .unwrap();
        out
    }

    #[test]
    fn the_same_value_in_another_type_gives_the_same_bytes() {
        assert_eq!(seen(Arc::new(StringArray::from(vec![Some("-7"), None]))), ["-7", "(null)"]);
        assert_eq!(seen(Arc::new(Int8Array::from(vec![Some(-7), None]))), ["-7", "(null)"]);
        assert_eq!(
            seen(Arc::new(Int64Array::from(vec![-7, i64::MIN]))),
            ["-7", "-9223372036854775808"]
        );
        assert_eq!(seen(Arc::new(UInt64Array::from(vec![u64::MAX]))), ["18446744073709551615"]);
        assert_eq!(seen(Arc::new(BinaryArray::from(vec![b"-7".as_slice()]))), ["-7"]);
        assert_eq!(
            seen(Arc::new(Date32Array::from(vec![Some(0), Some(20_454), Some(-1), None]))),
            ["1970-01-01", "2026-01-01", "1969-12-31", "(null)"]
        );
    }

    #[test]
    fn a_date_that_no_calendar_has_is_an_error_without_the_value() {
        let values: ArrayRef = Arc::new(Date32Array::from(vec![i32::MAX]));
        let error = for_each(&values, |_| Ok(())).unwrap_err();
        assert_eq!(error.chain(), "a date is out of range");
    }

    #[test]
    fn a_fraction_is_not_read() {
        assert!(!reads(&DataType::Float64));
        let values: ArrayRef = Arc::new(Float64Array::from(vec![0.5]));
        assert!(for_each(&values, |_| Ok(())).is_err());
    }
}
