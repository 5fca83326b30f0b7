//! Which columns hold a value of their own in nearly every row, such as numbers of jobs. A dictionary of
//! those is built for nothing. Looks at a few rows; what it says changes how values are packed, and never
//! a value.

use std::collections::HashSet;

use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType};

/// How many rows are looked at.
const ROWS: usize = 1_024;
/// Fewer rows say nothing.
const ROWS_MIN: usize = 64;

/// For each column whether more than three in four of its first values, nulls left out, are distinct.
pub(super) fn mostly_distinct(arrays: &[ArrayRef]) -> Vec<bool> {
    arrays
        .iter()
        .map(|array| match array.data_type() {
            DataType::Utf8 => is_mostly_distinct(array.as_string::<i32>().iter().take(ROWS)),
            DataType::Int64 => primitive::<Int64Type>(array),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                primitive::<TimestampMicrosecondType>(array)
            }
            _ => false,
        })
        .collect()
}

fn primitive<T: ArrowPrimitiveType<Native = i64>>(array: &ArrayRef) -> bool {
    is_mostly_distinct(array.as_primitive::<T>().iter().take(ROWS))
}

fn is_mostly_distinct<T: Eq + std::hash::Hash>(values: impl Iterator<Item = Option<T>>) -> bool {
    let (mut seen, mut count) = (HashSet::with_capacity(ROWS), 0);
    for value in values.flatten() {
        count += 1;
        seen.insert(value);
    }
    count >= ROWS_MIN && seen.len() * 4 > count * 3
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray, TimestampMicrosecondArray};

    use super::*;

    #[test]
    fn numbers_of_jobs_are_and_names_of_users_are_not() {
        let text = |text: &dyn Fn(i64) -> Option<String>| {
            Arc::new((0..500).map(text).collect::<StringArray>()) as ArrayRef
        };
        let times =
            (0..500).map(|row| Some(row * 1_000_000)).collect::<TimestampMicrosecondArray>();
        let arrays = [
            text(&|row| Some(row.to_string())),
            text(&|row| Some(format!("user{}", row % 100))),
            text(&|row| (row % 5 == 0).then(|| row.to_string())),
            text(&|row| (row % 50 == 0).then(|| row.to_string())),
            Arc::new((0..500).map(|row| row * 3 / 4).collect::<Int64Array>()),
            Arc::new((0..500).map(|row| row * 7 / 8).collect::<Int64Array>()),
            Arc::new(times.with_timezone("UTC")),
        ];
        let found = mostly_distinct(&arrays);
        assert_eq!(found, [true, false, true, false, false, true, true]);
    }
}
