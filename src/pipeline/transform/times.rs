//! Date and timestamp columns as counts since 1970-01-01 UTC, each value into fresh buffers of the same
//! type, unit and zone. Time zones are not applied: a day is a day in UTC.

use std::sync::Arc;

use arrow::array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow::array::{Array, ArrayRef, AsArray, NullBufferBuilder, PrimitiveArray};
use arrow::datatypes::{DataType, TimeUnit};
use chrono::NaiveDate;

use super::text::in_words;
use crate::error::{Code, Error, Result};

/// How many counts a day has, or why the type holds no days.
///
/// # Errors
/// A reason for the policy's author.
pub(super) fn per_day(input: &DataType) -> Result<i64, String> {
    match input {
        DataType::Date32 => Ok(1),
        DataType::Date64 => Ok(86_400_000),
        DataType::Timestamp(unit, _) => Ok(86_400 * per_second(*unit)),
        other => {
            Err(format!("takes dates and timestamps, and the column holds {}", in_words(other)))
        }
    }
}

/// Whether the type holds days and no time of day.
pub(super) fn is_date(input: &DataType) -> bool {
    matches!(input, DataType::Date32 | DataType::Date64)
}

/// Each row's count through `f`, which also gets the row; `None` is null, and so is a count that the
/// type cannot hold. Null stays null.
///
/// # Errors
/// [`Code::Internal`] when the column holds no dates or timestamps.
pub(super) fn map(values: &ArrayRef, f: impl FnMut(usize, i64) -> Option<i64>) -> Result<ArrayRef> {
    match values.data_type() {
        DataType::Date32 => build::<Date32Type>(values, f),
        DataType::Date64 => build::<Date64Type>(values, f),
        DataType::Timestamp(TimeUnit::Second, _) => build::<TimestampSecondType>(values, f),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            build::<TimestampMillisecondType>(values, f)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            build::<TimestampMicrosecondType>(values, f)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => build::<TimestampNanosecondType>(values, f),
        _ => Err(not_times()),
    }
}

/// The day of each row in UTC; null and days beyond the calendar are `None`.
///
/// # Errors
/// [`Code::Internal`] when the column holds no dates or timestamps.
pub(super) fn days(values: &ArrayRef) -> Result<Vec<Option<NaiveDate>>> {
    let per_day = per_day(values.data_type()).map_err(|_| not_times())?;
    let mut out = vec![None; values.len()];
    map(values, |row, count| {
        if let Some(slot) = out.get_mut(row) {
            *slot = day(count.div_euclid(per_day));
        }
        None
    })?;
    Ok(out)
}

/// The calendar day of a count of days since 1970-01-01, where the calendar reaches that far.
pub(super) fn day(days: i64) -> Option<NaiveDate> {
    i32::try_from(days).ok().and_then(NaiveDate::from_epoch_days)
}

/// The count of days since 1970-01-01.
pub(super) fn days_of(date: NaiveDate) -> i64 {
    i64::from(date.to_epoch_days())
}

const fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

// INVARIANT: zero stands under a null, so nothing raw stays in the buffer.
fn build<T>(values: &ArrayRef, mut f: impl FnMut(usize, i64) -> Option<i64>) -> Result<ArrayRef>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i64> + TryFrom<i64>,
{
    let array = values.as_primitive_opt::<T>().ok_or_else(not_times)?;
    let mut counts = Vec::with_capacity(array.len());
    let mut valid = NullBufferBuilder::new(array.len());
    for (row, value) in array.values().iter().enumerate() {
        let told = match array.nulls() {
            Some(nulls) if nulls.is_null(row) => None,
            _ => f(row, (*value).into()).and_then(|count| T::Native::try_from(count).ok()),
        };
        valid.append(told.is_some());
        counts.push(told.unwrap_or_default());
    }
    let out = PrimitiveArray::<T>::new(counts.into(), valid.finish());
    Ok(Arc::new(out.with_data_type(values.data_type().clone())))
}

fn not_times() -> Error {
    Error::new(Code::Internal, "not a column of dates or timestamps")
}
