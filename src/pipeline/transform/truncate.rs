//! `truncate`: a date or timestamp becomes the start of its minute, hour, ..., year. Days are days in
//! UTC, whatever zone the column names; it does not know of daylight saving.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use chrono::{Datelike, NaiveDate};

use super::params::required;
use super::{Bind, Change, Exposure, Kernel, Spec, Transform, times};
use crate::error::{Code, Error, Result};
use crate::policy::args::{Args, Kind};

/// The start of the period a time lies in.
///
/// - What it does: sets everything below the unit to its start, in UTC; weeks start on Monday. Type,
///   unit and zone stay. A time whose period starts before the type's first becomes null, as does a
///   time beyond the calendar (years of six digits) for weeks and longer.
/// - What it hides: when within the period.
/// - What still leaks: the period, and the order of rows of different periods; hours of activity show
///   time zones and habits.
/// - Parameters: `to`.
/// - Example: `{truncate: hour}`.
#[derive(Debug)]
pub(super) struct Truncate;

const UNITS: &[&str] = &["minute", "hour", "day", "week", "month", "quarter", "year"];

static SPEC: Spec = Spec {
    verb: "truncate",
    method: None,
    primary: Some("to"),
    params: &[required(
        "to",
        Kind::Choice(UNITS),
        "The period whose start leaves; weeks start on Monday.",
    )],
    does: "Replaces a time by the start of its minute, hour, day, week, month, quarter or year, in \
           UTC.",
    hides: "When within that period.",
    leaks: "The period, and the order of rows from different periods. Fine periods show habits and \
            time zones, and can be joined with what others know of the moment.",
    takes: "dates (from `day` up) and timestamps of every unit, with or without a zone",
    example: "{truncate: hour}",
    references: &["ISO 8601: a week starts on Monday"],
};

impl Transform for Truncate {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn output(&self, args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        times::per_day(input)?;
        if times::is_date(input) && Period::of(args).is_some_and(|period| period < Period::Day) {
            return Err("dates have no hours and minutes; truncate to `day` or longer".to_owned());
        }
        Ok(Some(input.clone()))
    }

    fn adds_nulls(&self, _args: &Args) -> bool {
        true
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::Coarse
    }

    fn explain(&self, args: &Args) -> String {
        let unit = args.text("to").unwrap_or("day");
        let note = if unit == "week" { ", which is a Monday" } else { "" };
        format!("Leaves as the start of its {unit} in UTC{note}.")
    }

    fn explain_leaks(&self, args: &Args) -> String {
        let unit = args.text("to").unwrap_or("day");
        let more = match Period::of(args) {
            Some(Period::Minute | Period::Hour) => {
                " Daily habits and the time zone show, and a known moment can be found."
            }
            Some(Period::Day) => " Weekdays show, and a known day can be found.",
            _ => "",
        };
        format!("The {unit}, and the order of rows from different {unit}s.{more}")
    }

    fn compare(&self, old: &Args, new: &Args) -> Change {
        match (Period::of(old), Period::of(new)) {
            (Some(old), Some(new)) if old == new => Change::Moves,
            // Weeks and months do not nest: a longer period is coarser all the same, but a week that
            // spans two months tells more than either.
            (Some(Period::Week), Some(Period::Month | Period::Quarter | Period::Year)) => {
                Change::Moves
            }
            (Some(old), Some(new)) if new > old => Change::Strengthens,
            _ => Change::Weakens,
        }
    }

    fn kernel(&self, args: &Args, bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        let period = Period::of(args).ok_or_else(|| Error::new(Code::Internal, "no period"))?;
        let per_day =
            times::per_day(bind.input).map_err(|reason| Error::new(Code::SchemaDrift, reason))?;
        Ok(Box::new(Start { period, per_day }))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Period {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Period {
    fn of(args: &Args) -> Option<Self> {
        Some(match args.text("to")? {
            "minute" => Self::Minute,
            "hour" => Self::Hour,
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "quarter" => Self::Quarter,
            "year" => Self::Year,
            _ => return None,
        })
    }

    /// The first day of the period that a day lies in.
    fn first_day(self, days: i64) -> Option<i64> {
        // Day 0 was a Thursday, so Mondays are three days before a multiple of seven.
        if self == Self::Week {
            return Some((days.checked_add(3)?).div_euclid(7) * 7 - 3);
        }
        let date = times::day(days)?;
        let month = match self {
            Self::Minute | Self::Hour | Self::Day | Self::Week => return Some(days),
            Self::Month => date.month(),
            Self::Quarter => date.month0() / 3 * 3 + 1,
            Self::Year => 1,
        };
        NaiveDate::from_ymd_opt(date.year(), month, 1).map(times::days_of)
    }
}

struct Start {
    period: Period,
    /// Counts a day.
    per_day: i64,
}

impl Kernel for Start {
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        let step = match self.period {
            Period::Minute => self.per_day / 1440,
            Period::Hour => self.per_day / 24,
            _ => self.per_day,
        };
        let step = step.max(1);
        // Times of neighbouring rows are often near each other, and comparing is cheaper than dividing:
        // the last step (a day for weeks and longer) is kept with its answer.
        let mut last = (1, 0, None);
        times::map(values, |_, count| {
            let (first, end, start) = last;
            if first <= count && count < end {
                return start;
            }
            let steps = count.div_euclid(step);
            let first = steps.checked_mul(step)?;
            let start = match self.period {
                Period::Minute | Period::Hour | Period::Day => Some(first),
                _ => self.period.first_day(steps).and_then(|day| day.checked_mul(step)),
            };
            last = (first, first.saturating_add(step), start);
            start
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::types::{TimestampNanosecondType, TimestampSecondType};
    use arrow::array::{
        Array, AsArray, Date32Array, Date64Array, TimestampMicrosecondArray,
        TimestampNanosecondArray, TimestampSecondArray,
    };
    use arrow::compute::cast;
    use arrow::datatypes::TimeUnit;
    use proptest::prelude::*;

    use super::super::testing::{apply, args, texts, word};
    use super::*;

    fn seconds(time: &str) -> i64 {
        chrono::NaiveDateTime::parse_from_str(time, "%Y-%m-%dT%H:%M:%S")
            .unwrap()
            .and_utc()
            .timestamp()
    }

    fn truncated(unit: &str, time: &str) -> String {
        let raw: ArrayRef = Arc::new(TimestampSecondArray::from(vec![seconds(time)]));
        texts(&apply(&Truncate, &[("to", word(unit))], &raw))[0].clone().unwrap()
    }

    #[test]
    fn each_unit_gives_the_start_of_its_period() {
        let time = "2024-02-29T13:47:59";
        assert_eq!(truncated("minute", time), "2024-02-29T13:47:00");
        assert_eq!(truncated("hour", time), "2024-02-29T13:00:00");
        assert_eq!(truncated("day", time), "2024-02-29T00:00:00");
        assert_eq!(truncated("week", time), "2024-02-26T00:00:00");
        assert_eq!(truncated("month", time), "2024-02-01T00:00:00");
        assert_eq!(truncated("quarter", time), "2024-01-01T00:00:00");
        assert_eq!(truncated("year", time), "2024-01-01T00:00:00");
    }

    #[test]
    fn times_before_1970_are_floored_not_cut() {
        assert_eq!(truncated("hour", "1969-12-31T23:59:59"), "1969-12-31T23:00:00");
        assert_eq!(truncated("week", "1969-12-28T23:59:59"), "1969-12-22T00:00:00");
        assert_eq!(truncated("quarter", "1899-12-31T00:00:01"), "1899-10-01T00:00:00");
    }

    #[test]
    fn unit_and_zone_of_the_column_stay() {
        let micros = seconds("2026-03-05T10:20:30") * 1_000_000 + 5;
        let raw: ArrayRef = Arc::new(
            TimestampMicrosecondArray::from(vec![micros]).with_timezone("Europe/Helsinki"),
        );
        let out = apply(&Truncate, &[("to", word("day"))], &raw);
        let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Helsinki".into()));
        assert_eq!(out.data_type(), &zoned);
        let expected =
            TimestampMicrosecondArray::from(vec![seconds("2026-03-05T00:00:00") * 1_000_000])
                .with_timezone("Europe/Helsinki");
        assert_eq!(out.as_ref(), &expected as &dyn Array);
    }

    #[test]
    fn dates_go_to_months_but_not_to_hours() {
        let raw: ArrayRef =
            Arc::new(Date32Array::from(vec![seconds("2026-03-05T00:00:00") as i32 / 86_400]));
        assert_eq!(
            texts(&apply(&Truncate, &[("to", word("month"))], &raw)),
            [Some("2026-03-01".to_owned())]
        );
        let raw: ArrayRef =
            Arc::new(Date64Array::from(vec![seconds("2026-03-05T00:00:00") * 1000]));
        let out =
            cast(&apply(&Truncate, &[("to", word("year"))], &raw), &DataType::Date32).unwrap();
        assert_eq!(texts(&out), [Some("2026-01-01".to_owned())]);
        let hour = args(&Truncate, &[("to", word("hour"))]);
        assert!(Truncate.output(&hour, &DataType::Date32).is_err());
        assert!(Truncate.output(&hour, &DataType::Utf8).unwrap_err().contains("holds text"));
    }

    #[test]
    fn the_first_and_last_times_of_a_type_become_null_instead_of_wrapping() {
        let raw: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![i64::MIN, i64::MAX]));
        for unit in UNITS {
            let out = apply(&Truncate, &[("to", word(unit))], &raw);
            let out = out.as_primitive::<TimestampNanosecondType>();
            assert!(out.is_null(0), "{unit}");
            assert!(out.value(1) > 0, "{unit}");
        }
        let raw: ArrayRef = Arc::new(TimestampSecondArray::from(vec![i64::MIN, i64::MAX]));
        let out = apply(&Truncate, &[("to", word("month"))], &raw);
        assert_eq!(out.as_primitive::<TimestampSecondType>().null_count(), 2);
    }

    #[test]
    fn a_longer_period_strengthens() {
        let [hour, week, month] =
            ["hour", "week", "month"].map(|unit| args(&Truncate, &[("to", word(unit))]));
        assert_eq!(Truncate.compare(&hour, &month), Change::Strengthens);
        assert_eq!(Truncate.compare(&month, &week), Change::Weakens);
        assert_eq!(Truncate.compare(&week, &month), Change::Moves);
    }

    proptest! {
        #[test]
        fn truncation_keeps_order_and_changes_nothing_twice(
            a in -100_000_000_000_i64..100_000_000_000,
            b in -100_000_000_000_i64..100_000_000_000,
            unit in proptest::sample::select(UNITS),
        ) {
            let raw: ArrayRef = Arc::new(TimestampSecondArray::from(vec![a.min(b), a.max(b)]));
            let set = [("to", word(unit))];
            let once = apply(&Truncate, &set, &raw);
            let twice = apply(&Truncate, &set, &once);
            prop_assert_eq!(once.as_ref(), twice.as_ref());
            let once = once.as_primitive::<TimestampSecondType>();
            prop_assert!(once.value(0) <= once.value(1));
            prop_assert!(once.value(0) <= a.min(b));
        }
    }
}
