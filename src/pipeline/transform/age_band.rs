//! `age_band`: a birth date becomes a band of ages as of a stated day. It never asks what day it is
//! today: the same policy gives the same bands next year.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use arrow::datatypes::DataType;
use chrono::NaiveDate;

use super::params::{defaulted, required};
use super::{Bind, Change, Exposure, Kernel, Spec, Transform, times};
use crate::error::{Code, Error, Result};
use crate::policy::args::{Args, Default, Kind};

/// A band of ages.
///
/// - What it does: counts completed years from birth to `as_of` and names the band of `width` years
///   from 0; ages from `top` on share one band. A birth after `as_of`, or beyond the calendar, gives
///   null. Who was born on 29 February completes a year on 1 March where there is no 29th.
/// - What it hides: birthday and exact age; how old the oldest are.
/// - What still leaks: the band; small bands at both ends can hold one person.
/// - Parameters: `width`, `as_of`, `top`.
/// - Example: `{age_band: {width: 10, as_of: 2026-01-01}}` makes 1990-05-17 into `30-39`.
#[derive(Debug)]
pub(super) struct AgeBand;

static SPEC: Spec = Spec {
    verb: "age_band",
    method: None,
    primary: None,
    params: &[
        defaulted(
            "width",
            Kind::Integer { min: 1, max: 100 },
            Default::Integer(10),
            "How many years a band has.",
        ),
        required("as_of", Kind::Date, "The day on which ages are counted."),
        defaulted(
            "top",
            Kind::Integer { min: 1, max: 120 },
            Default::Integer(90),
            "The age from which all share one band.",
        ),
    ],
    does: "Replaces a birth date by a band of ages, counted in completed years on a stated day.",
    hides: "The birthday and the exact age, and how old the oldest are.",
    leaks: "The band; few very young or very old persons can be singled out by it, and together with \
            place and sex a narrow band can single out others.",
    takes: "dates and timestamps, which count as their day in UTC",
    example: "{age_band: {width: 10, as_of: 2026-01-01}}",
    references: &["45 CFR 164.514(b)(2)(i)(C): ages over 89 share one category"],
};

impl Transform for AgeBand {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn output(&self, _args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        times::per_day(input)?;
        Ok(Some(DataType::Utf8))
    }

    fn adds_nulls(&self, _args: &Args) -> bool {
        true
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::Coarse
    }

    fn explain(&self, args: &Args) -> String {
        let bands = Bands::from(args);
        let as_of = bands.as_of.map_or_else(String::new, |day| format!(" on {day}"));
        let width = match bands.width {
            1 => "the age in years".to_owned(),
            width => format!("a band of {width} years of age"),
        };
        format!(
            "Leaves as {width}{as_of}; ages of {} and more share one band, and births after that \
             day leave as null.",
            bands.top
        )
    }

    fn compare(&self, old: &Args, new: &Args) -> Change {
        let (old, new) = (Bands::from(old), Bands::from(new));
        if old.as_of != new.as_of || (old.width, old.top) == (new.width, new.top) {
            Change::Moves
        } else if new.width.is_multiple_of(old.width) && new.top <= old.top {
            Change::Strengthens
        } else if new.width < old.width || new.top > old.top {
            Change::Weakens
        } else {
            Change::Moves
        }
    }

    fn kernel(&self, args: &Args, _bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        let bands = Bands::from(args);
        if bands.as_of.is_none() {
            return Err(Error::new(Code::Internal, "no day to count ages on"));
        }
        Ok(Box::new(bands))
    }
}

#[derive(Debug, Clone, Copy)]
struct Bands {
    width: u32,
    top: u32,
    as_of: Option<NaiveDate>,
}

impl From<&Args> for Bands {
    fn from(args: &Args) -> Self {
        let years = |name| args.integer(name).and_then(|n| u32::try_from(n).ok());
        Self {
            width: years("width").unwrap_or(10).max(1),
            top: years("top").unwrap_or(90).max(1),
            as_of: args.date("as_of"),
        }
    }
}

impl Bands {
    fn label(&self, born: NaiveDate) -> Option<String> {
        let age = self.as_of?.years_since(born)?;
        if age >= self.top {
            return Some(format!("{}+", self.top));
        }
        let lower = age / self.width * self.width;
        let upper = (lower + self.width).min(self.top) - 1;
        Some(if lower == upper { lower.to_string() } else { format!("{lower}-{upper}") })
    }
}

impl Kernel for Bands {
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        let days = times::days(values)?;
        let mut out = StringBuilder::with_capacity(days.len(), 6 * days.len());
        for day in days {
            out.append_option(day.and_then(|born| self.label(born)));
        }
        Ok(Arc::new(out.finish()))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, TimestampMillisecondArray};
    use proptest::prelude::*;

    use super::super::testing::{apply, args, texts};
    use super::*;
    use crate::policy::args::Value;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn bands(width: i64, top: i64, as_of: &str, births: &[&str]) -> Vec<String> {
        let days: Vec<i32> = births
            .iter()
            .map(|birth| i32::try_from(times::days_of(date(birth))).unwrap())
            .collect();
        let raw: ArrayRef = Arc::new(Date32Array::from(days));
        let set = [
            ("width", Value::Integer(width)),
            ("top", Value::Integer(top)),
            ("as_of", Value::Date(date(as_of))),
        ];
        let out = texts(&apply(&AgeBand, &set, &raw));
        out.into_iter().map(|band| band.unwrap_or_else(|| "(null)".to_owned())).collect()
    }

    #[test]
    fn years_are_completed_on_the_birthday() {
        let births = ["1986-01-01", "1986-01-02", "1996-01-01", "2025-12-31"];
        assert_eq!(bands(10, 90, "2026-01-01", &births), ["40-49", "30-39", "30-39", "0-9"]);
    }

    #[test]
    fn the_oldest_share_a_band_also_where_it_cuts_one_short() {
        let births = ["1936-01-01", "1936-01-02", "1880-06-30"];
        assert_eq!(bands(10, 90, "2026-01-01", &births), ["90+", "80-89", "90+"]);
        assert_eq!(bands(20, 90, "2026-01-01", &["1943-06-01", "1936-06-01"]), ["80-89", "80-89"]);
        assert_eq!(bands(1, 90, "2026-01-01", &["1996-01-01"]), ["30"]);
    }

    #[test]
    fn a_leap_day_counts_from_the_first_of_march() {
        assert_eq!(bands(1, 90, "2026-02-28", &["2004-02-29"]), ["21"]);
        assert_eq!(bands(1, 90, "2026-03-01", &["2004-02-29"]), ["22"]);
    }

    #[test]
    fn births_in_the_future_and_beyond_the_calendar_become_null() {
        assert_eq!(bands(10, 90, "2026-01-01", &["2026-01-02", "2026-01-01"]), ["(null)", "0-9"]);
        let raw: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![i64::MIN, i64::MAX, -1]));
        let set = [("as_of", Value::Date(date("2026-01-01")))];
        let out = texts(&apply(&AgeBand, &set, &raw));
        assert_eq!(out, [None, None, Some("50-59".to_owned())]);
    }

    #[test]
    fn wider_bands_strengthen() {
        let band = |width, top| {
            let day = Value::Date(date("2026-01-01"));
            args(
                &AgeBand,
                &[("width", Value::Integer(width)), ("top", Value::Integer(top)), ("as_of", day)],
            )
        };
        assert_eq!(AgeBand.compare(&band(5, 90), &band(10, 90)), Change::Strengthens);
        assert_eq!(AgeBand.compare(&band(10, 80), &band(10, 90)), Change::Weakens);
        assert_eq!(AgeBand.compare(&band(4, 90), &band(10, 90)), Change::Moves);
    }

    proptest! {
        #[test]
        fn a_band_holds_the_age(days in 0_i32..32_000, width in 1_i64..30) {
            let as_of = date("2026-01-01");
            let born = as_of - chrono::Days::new(u64::try_from(days).unwrap());
            let age = as_of.years_since(born).unwrap();
            let found = bands(width, 90, "2026-01-01", &[&born.to_string()]);
            let (lower, upper) = found[0].split_once('-').unwrap_or((&found[0], &found[0]));
            let (lower, upper): (u32, u32) = (lower.parse().unwrap(), upper.parse().unwrap());
            prop_assert!(lower <= age && age <= upper);
        }
    }
}
