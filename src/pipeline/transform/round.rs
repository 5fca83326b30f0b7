//! `round`: to the nearest multiple of a number, halves away from zero. It adds no noise, so a value
//! that differs from all others still does after rounding if the step is small.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::numbers::{self, Shape, ten_to, units, written};
use super::params::{optional, refusal_of_rule};
use super::{Bind, Change, Exposure, Kernel, Refusal, Spec, Transform};
use crate::error::{Code, Error, Result};
use crate::policy::args::{Args, Kind};

/// The nearest multiple.
///
/// - What it does: rounds to the nearest multiple of `to`, or to `decimals` digits after the point,
///   halves away from zero. Where the nearest multiple does not fit the type, the next one toward zero
///   is taken. Infinities stay, every not-a-number becomes the same one.
/// - What it hides: the digits below the step.
/// - What still leaks: the value to within half a step; outliers stay outliers.
/// - Parameters: `to` or `decimals`, one of them.
/// - Example: `{round: 1000}`, `{round: {decimals: 2}}`.
#[derive(Debug)]
pub(super) struct Round;

static SPEC: Spec = Spec {
    verb: "round",
    method: None,
    primary: Some("to"),
    params: &[
        optional("to", Kind::Number { min: 1e-12, max: 1e15 }, "The step: 1000, 0.25."),
        optional(
            "decimals",
            Kind::Integer { min: -15, max: 12 },
            "How many digits to keep after the point; -3 rounds to thousands.",
        ),
    ],
    does: "Rounds to the nearest multiple of a number, or to some digits after the point; halves go \
           away from zero.",
    hides: "What is smaller than the step.",
    leaks: "The value to within half a step: outliers stay recognizable, and many rounded columns \
            together can be as unique as the values were.",
    takes: "whole numbers, decimals and floats",
    example: "{round: 1000}",
    references: &[
        "Willenborg, de Waal: Elements of Statistical Disclosure Control (2001), rounding",
    ],
};

impl Transform for Round {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, args: &Args) -> Vec<Refusal> {
        let help = "write `{round: 1000}` or `{round: {decimals: 2}}`";
        match (args.value("to"), args.value("decimals")) {
            (Some(_), Some(_)) => {
                vec![refusal_of_rule("`to` and `decimals` exclude each other", help)]
            }
            (None, None) => vec![refusal_of_rule("`to` or `decimals` is missing", help)],
            _ => Vec::new(),
        }
    }

    fn output(&self, args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        Step::new(args, input)?;
        Ok(Some(input.clone()))
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::Coarse
    }

    fn explain(&self, args: &Args) -> String {
        match (args.number("to"), args.integer("decimals")) {
            (Some(to), _) => {
                format!("Leaves rounded to the nearest multiple of {}.", written(to))
            }
            (None, Some(1)) => "Leaves rounded to one digit after the point.".to_owned(),
            (None, Some(decimals)) if decimals >= 0 => {
                format!("Leaves rounded to {decimals} digits after the point.")
            }
            _ => format!("Leaves rounded to the nearest multiple of {}.", written(step(args))),
        }
    }

    fn explain_leaks(&self, args: &Args) -> String {
        format!(
            "The value to within {}; outliers stay recognizable, and many rounded columns together \
             can be as unique as the values were.",
            written(step(args) / 2.0)
        )
    }

    fn compare(&self, old: &Args, new: &Args) -> Change {
        let (old, new) = (step(old), step(new));
        // A step that is a multiple of the old one forgets more; any other larger step only moves.
        let multiple = |large: f64, small: f64| {
            let times = large / small;
            times > 1.0 && (times - times.round()).abs() < 1e-9 * times
        };
        if multiple(new, old) {
            Change::Strengthens
        } else if new < old {
            Change::Weakens
        } else {
            Change::Moves
        }
    }

    fn kernel(&self, args: &Args, bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        let step = Step::new(args, bind.input);
        Ok(Box::new(step.map_err(|reason| Error::new(Code::SchemaDrift, reason))?))
    }
}

fn step(args: &Args) -> f64 {
    let power = |decimals: i64| i32::try_from(decimals).map_or(1.0, |d| 10_f64.powi(-d));
    args.number("to").or_else(|| args.integer("decimals").map(power)).unwrap_or(1.0)
}

/// The step in the arithmetic of the column.
#[derive(Debug)]
enum Step {
    Exact {
        step: i128,
        min: i128,
        max: i128,
    },
    /// `times` is how many steps make one, where that is a whole number: 100 for 0.01. Dividing by it
    /// gives the float that is written `0.07`; multiplying by 0.01 does not.
    Float {
        step: f64,
        times: Option<f64>,
        max: f64,
    },
}

impl Step {
    fn new(args: &Args, input: &DataType) -> Result<Self, String> {
        match numbers::shape(input)? {
            Shape::Exact { scale, min, max } => {
                let step = match args.integer("decimals") {
                    Some(decimals) => u32::try_from(i64::from(scale) - decimals)
                        .ok()
                        .filter(|power| *power > 0)
                        .and_then(ten_to)
                        .ok_or(
                            "the column has no more digits after the point than `decimals` keeps",
                        )?,
                    None => units(args, "to", scale).filter(|step| *step > 0).ok_or(
                        "`to` has more digits after the point than the column; take a multiple of \
                         the column's last digit",
                    )?,
                };
                Ok(Self::Exact { step, min, max })
            }
            Shape::Float { max } => {
                let step = step(args);
                let times = (1.0 / step).round();
                let whole = times >= 1.0 && (times * step - 1.0).abs() < 1e-12;
                Ok(Self::Float { step, times: whole.then_some(times), max })
            }
        }
    }
}

impl Kernel for Step {
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        // A column holds either kind, so the other closure is never called.
        match *self {
            Self::Exact { step, min, max } => {
                numbers::map(values, &mut |value| Some(nearest(value, step, min, max)), &mut |_| {
                    None
                })
            }
            Self::Float { step, times, max } => numbers::map(values, &mut |_| None, &mut |value| {
                Some(nearest_float(value, step, times, max))
            }),
        }
    }
}

/// The nearest multiple of `step` within bounds, halves away from zero.
fn nearest(value: i128, step: i128, min: i128, max: i128) -> i128 {
    // Columns hold at most 38 digits and steps at most 37, so neither sum nor product overflows.
    let toward = value / step * step;
    if (value - toward).abs() < step - (value - toward).abs() {
        return toward;
    }
    match toward.checked_add(step * value.signum()) {
        Some(away) if (min..=max).contains(&away) => away,
        _ => toward,
    }
}

fn nearest_float(value: f64, step: f64, times: Option<f64>, max: f64) -> f64 {
    if value.is_nan() {
        // PRIVACY: the bits of a not-a-number can carry anything.
        return f64::NAN;
    }
    if value.is_infinite() {
        return value;
    }
    let rounded = match times {
        Some(times) if (value * times).is_finite() => (value * times).round() / times,
        // So large that its steps are far below its last digit.
        Some(_) => value,
        None => (value / step).round() * step,
    };
    let rounded = if rounded.abs() > max { (value / step).trunc() * step } else { rounded };
    // No negative zero: its sign would tell the sign of the value.
    rounded + 0.0
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::types::{Float64Type, Int64Type};
    use arrow::array::{
        Array, AsArray, Decimal128Array, Float32Array, Float64Array, Int64Array, UInt8Array,
    };
    use proptest::prelude::*;

    use super::super::testing::{apply, args};
    use super::*;
    use crate::policy::args::Value;

    fn to(step: f64) -> [(&'static str, Value); 1] {
        [("to", Value::Number(step))]
    }

    #[test]
    fn halves_go_away_from_zero() {
        let raw: ArrayRef = Arc::new(Int64Array::from(vec![149, 150, -149, -150, 0, -49]));
        let out = apply(&Round, &to(100.0), &raw);
        assert_eq!(out.as_primitive::<Int64Type>().values(), &[100, 200, -100, -200, 0, 0]);
    }

    #[test]
    fn a_multiple_that_does_not_fit_the_type_gives_way_to_the_one_below() {
        let raw: ArrayRef = Arc::new(UInt8Array::from(vec![250, 255, 149]));
        let out = apply(&Round, &to(100.0), &raw);
        assert_eq!(out.as_ref(), &UInt8Array::from(vec![200, 200, 100]) as &dyn Array);
        let raw: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX, i64::MIN]));
        let out = apply(&Round, &to(1000.0), &raw);
        assert_eq!(
            out.as_primitive::<Int64Type>().values(),
            &[9_223_372_036_854_775_000, -9_223_372_036_854_775_000]
        );
    }

    #[test]
    fn floats_come_out_as_they_are_written() {
        let raw: ArrayRef =
            Arc::new(Float64Array::from(vec![0.074, 0.28999, -0.001, 1e300, 1e308]));
        let out = apply(&Round, &[("decimals", Value::Integer(2))], &raw);
        let out = out.as_primitive::<Float64Type>();
        assert_eq!(out.values(), &[0.07, 0.29, 0.0, 1e300, 1e308]);
        assert!(out.value(2).is_sign_positive());
    }

    #[test]
    fn infinities_stay_and_every_not_a_number_is_the_same_one() {
        let odd = f64::from_bits(0x7ff8_dead_beef_0001);
        let raw: ArrayRef =
            Arc::new(Float64Array::from(vec![f64::INFINITY, f64::NEG_INFINITY, odd, -odd]));
        let out = apply(&Round, &to(10.0), &raw);
        let bits: Vec<_> =
            out.as_primitive::<Float64Type>().values().iter().map(|v| v.to_bits()).collect();
        let nan = f64::NAN.to_bits();
        assert_eq!(bits, [f64::INFINITY.to_bits(), f64::NEG_INFINITY.to_bits(), nan, nan]);
    }

    #[test]
    fn the_greatest_floats_do_not_become_infinite() {
        let raw: ArrayRef = Arc::new(Float32Array::from(vec![f32::MAX, f32::MIN]));
        let out = apply(&Round, &to(1e15), &raw);
        let out = out.as_primitive::<arrow::datatypes::Float32Type>();
        assert!(out.values().iter().all(|value| value.is_finite()));
    }

    #[test]
    fn decimals_round_exactly_and_keep_precision_and_scale() {
        let raw: ArrayRef = Arc::new(
            Decimal128Array::from(vec![12345, -12355, 99999])
                .with_precision_and_scale(5, 2)
                .unwrap(),
        );
        let out = apply(&Round, &to(0.5), &raw);
        let expected = Decimal128Array::from(vec![12350, -12350, 99950])
            .with_precision_and_scale(5, 2)
            .unwrap();
        assert_eq!(out.as_ref(), &expected as &dyn Array);
    }

    #[test]
    fn a_step_that_the_type_cannot_hold_is_refused() {
        let half = args(&Round, &to(0.5));
        assert!(Round.output(&half, &DataType::Int32).unwrap_err().starts_with("`to` has more"));
        assert!(Round.output(&half, &DataType::Utf8).unwrap_err().contains("holds text"));
        let two = args(&Round, &[("decimals", Value::Integer(2))]);
        assert!(Round.output(&two, &DataType::Int32).is_err());
        assert!(Round.output(&two, &DataType::Decimal128(9, 2)).is_err());
        assert!(Round.output(&two, &DataType::Decimal128(9, 3)).is_ok());
    }

    #[test]
    fn to_and_decimals_exclude_each_other_and_one_is_needed() {
        assert_eq!(Round.check(&args(&Round, &[])).len(), 1);
        let both = args(&Round, &[("to", Value::Integer(1)), ("decimals", Value::Integer(1))]);
        assert_eq!(Round.check(&both).len(), 1);
        assert_eq!(Round.check(&args(&Round, &to(1.0))), []);
    }

    #[test]
    fn a_multiple_of_the_old_step_strengthens() {
        let [ten, fifteen, thousand] = [10.0, 15.0, 1000.0].map(|step| args(&Round, &to(step)));
        assert_eq!(Round.compare(&ten, &thousand), Change::Strengthens);
        assert_eq!(Round.compare(&thousand, &ten), Change::Weakens);
        assert_eq!(Round.compare(&ten, &fifteen), Change::Moves);
    }

    proptest! {
        #[test]
        fn a_rounded_whole_number_is_a_multiple_within_half_a_step(
            value in any::<i32>(), step in 1_i64..1_000_000,
        ) {
            let value = i64::from(value);
            let raw: ArrayRef = Arc::new(Int64Array::from(vec![value]));
            let out = apply(&Round, &[("to", Value::Integer(step))], &raw);
            let out = out.as_primitive::<Int64Type>().value(0);
            prop_assert_eq!(out % step, 0);
            prop_assert!(2 * (out - value).abs() <= step);
        }

        #[test]
        fn a_rounded_float_is_within_half_a_step(value in -1e9_f64..1e9, decimals in 0_i64..6) {
            let raw: ArrayRef = Arc::new(Float64Array::from(vec![value]));
            let out = apply(&Round, &[("decimals", Value::Integer(decimals))], &raw);
            let out = out.as_primitive::<Float64Type>().value(0);
            let step = 10_f64.powi(-(decimals as i32));
            prop_assert!((out - value).abs() <= 0.5 * step + 4.0 * f64::EPSILON * value.abs());
        }
    }
}
