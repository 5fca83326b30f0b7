//! Dates and times cut to units, level by level. Times are those of the column; where it has a zone, of UTC.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMillisecondType};
use chrono::{DateTime, Datelike, NaiveDateTime, Timelike};

/// By level: the label of each value.
pub(super) fn levels(units: &[String], values: &ArrayRef) -> Result<Vec<Vec<String>>, String> {
    let moments = moments(values)?;
    units
        .iter()
        .map(|unit| {
            let label = cut(unit).ok_or_else(|| format!("there is no unit `{unit}`"))?;
            Ok(moments.iter().map(label).collect())
        })
        .collect()
}

fn moments(values: &ArrayRef) -> Result<Vec<NaiveDateTime>, String> {
    // Seconds hold every date; of a fraction nothing is told at any unit.
    let whole = match values.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            cast(values, &DataType::Int64).ok().map(|array| (array, 1))
        }
        DataType::Timestamp(unit, _) => {
            let of = match unit {
                TimeUnit::Nanosecond => 1_000_000_000,
                TimeUnit::Microsecond => 1_000_000,
                TimeUnit::Millisecond | TimeUnit::Second => 1_000,
            };
            cast(values, &DataType::Int64).ok().map(|array| (array, of))
        }
        DataType::Date32 | DataType::Date64 => {
            let milliseconds = DataType::Timestamp(TimeUnit::Millisecond, None);
            let array = cast(values, &milliseconds).ok();
            let array = array.map(|array| {
                let numbers = array.as_primitive::<TimestampMillisecondType>();
                let numbers = numbers.reinterpret_cast::<arrow::datatypes::Int64Type>();
                std::sync::Arc::new(numbers) as ArrayRef
            });
            array.map(|array| (array, 1_000))
        }
        _ => None,
    };
    let (whole, of) = whole.ok_or_else(|| "it holds no dates or times".to_owned())?;
    let whole = whole.as_primitive::<arrow::datatypes::Int64Type>();
    if whole.null_count() > 0 {
        return Err("a value is a time that no calendar has".to_owned());
    }
    let moment = |value: &i64| {
        DateTime::from_timestamp(value.div_euclid(of), 0)
            .map(|moment| moment.naive_utc())
            .ok_or_else(|| "a value is a time that no calendar has".to_owned())
    };
    whole.values().iter().map(moment).collect()
}

type Cut = fn(&NaiveDateTime) -> String;

fn cut(unit: &str) -> Option<Cut> {
    Some(match unit {
        "hour" => |at| format!("{}T{:02}", at.format("%Y-%m-%d"), at.hour()),
        "day" => |at| at.format("%Y-%m-%d").to_string(),
        "week" => |at| at.format("%G-W%V").to_string(),
        "month" => |at| at.format("%Y-%m").to_string(),
        "quarter" => |at| format!("{}-Q{}", at.format("%Y"), at.month0() / 3 + 1),
        "year" => |at| at.format("%Y").to_string(),
        "decade" => |at| format!("{}s", at.year().div_euclid(10) * 10),
        _ => return None,
    })
}
