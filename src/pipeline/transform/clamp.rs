//! `top_code`, `bottom_code` and `clamp`: extreme values become the bound. Values between the bounds
//! leave as they are; coarsening those is `round`'s and `bucket`'s work.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::numbers::{self, Shape, units, written};
use super::params::{refusal_of_rule, required};
use super::{Bind, Change, Exposure, Kernel, Refusal, Spec, Transform};
use crate::error::{Code, Error, Result};
use crate::policy::args::{Args, Kind, Param};

/// Bounds for extreme values, known as top and bottom coding.
///
/// - What it does: a value above `top` becomes `top`, one below `bottom` becomes `bottom`. Infinities
///   are extreme values like others; every not-a-number becomes the same one.
/// - What it hides: how extreme the extremes are.
/// - What still leaks: every value between the bounds, and that a value was at or beyond a bound.
/// - Parameters: `at` for `top_code` and `bottom_code`; `bottom` and `top` for `clamp`.
/// - Example: `{top_code: 90}`, `{clamp: {bottom: 0, top: 100000}}`.
#[derive(Debug)]
pub(super) struct Clamp(Ends);

/// Which ends are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Top,
    Bottom,
    Both,
}

impl Clamp {
    /// `top_code`.
    pub(super) const TOP: Self = Self(Ends::Top);
    /// `bottom_code`.
    pub(super) const BOTTOM: Self = Self(Ends::Bottom);
    /// `clamp`.
    pub(super) const BOTH: Self = Self(Ends::Both);

    /// The names of the bottom and top parameters.
    fn names(&self) -> (Option<&'static str>, Option<&'static str>) {
        match self.0 {
            Ends::Top => (None, Some("at")),
            Ends::Bottom => (Some("at"), None),
            Ends::Both => (Some("bottom"), Some("top")),
        }
    }

    /// The bottom and top bounds as written.
    fn bounds(&self, args: &Args) -> (Option<f64>, Option<f64>) {
        let (bottom, top) = self.names();
        let number = |name: Option<&str>| name.and_then(|name| args.number(name));
        (number(bottom), number(top))
    }
}

const ANY: Kind = Kind::Number { min: -1e18, max: 1e18 };

const fn bound(name: &'static str, doc: &'static str) -> Param {
    required(name, ANY, doc)
}

static TOP: Spec = Spec {
    verb: "top_code",
    method: None,
    primary: Some("at"),
    params: &[bound("at", "The greatest value that leaves.")],
    does: "Every value above a bound becomes the bound.",
    hides: "How large the largest values are.",
    leaks: "Every value up to the bound, exactly, and which values were at or above it.",
    takes: "whole numbers, decimals and floats",
    example: "{top_code: 90}",
    references: &["Hundepool et al.: Statistical Disclosure Control (2012), top and bottom coding"],
};

static BOTTOM: Spec = Spec {
    verb: "bottom_code",
    method: None,
    primary: Some("at"),
    params: &[bound("at", "The least value that leaves.")],
    does: "Every value below a bound becomes the bound.",
    hides: "How small the smallest values are.",
    leaks: "Every value down to the bound, exactly, and which values were at or below it.",
    takes: "whole numbers, decimals and floats",
    example: "{bottom_code: 18}",
    references: &["Hundepool et al.: Statistical Disclosure Control (2012), top and bottom coding"],
};

static BOTH: Spec = Spec {
    verb: "clamp",
    method: None,
    primary: None,
    params: &[
        bound("bottom", "The least value that leaves."),
        bound("top", "The greatest value that leaves."),
    ],
    does: "Every value below the bottom becomes the bottom, every value above the top becomes the top.",
    hides: "How extreme the smallest and largest values are.",
    leaks: "Every value between the bounds, exactly, and which values were at or beyond a bound.",
    takes: "whole numbers, decimals and floats",
    example: "{clamp: {bottom: 18, top: 90}}",
    references: &["Hundepool et al.: Statistical Disclosure Control (2012), top and bottom coding"],
};

impl Transform for Clamp {
    fn spec(&self) -> &'static Spec {
        match self.0 {
            Ends::Top => &TOP,
            Ends::Bottom => &BOTTOM,
            Ends::Both => &BOTH,
        }
    }

    fn check(&self, args: &Args) -> Vec<Refusal> {
        match self.bounds(args) {
            (Some(bottom), Some(top)) if bottom >= top => vec![refusal_of_rule(
                format!("`bottom` {} is not below `top` {}", written(bottom), written(top)),
                "`bottom` is the least value that leaves, `top` the greatest",
            )],
            _ => Vec::new(),
        }
    }

    fn output(&self, args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        Bounds::new(self, args, input)?;
        Ok(Some(input.clone()))
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::Coarse
    }

    fn explain(&self, args: &Args) -> String {
        match self.bounds(args) {
            (None, Some(top)) => {
                let top = written(top);
                format!("Leaves as it is up to {top}; a larger value leaves as {top}.")
            }
            (Some(bottom), None) => {
                let bottom = written(bottom);
                format!("Leaves as it is down to {bottom}; a smaller value leaves as {bottom}.")
            }
            (bottom, top) => {
                let (bottom, top) = (bottom.unwrap_or(0.0), top.unwrap_or(0.0));
                let (bottom, top) = (written(bottom), written(top));
                format!(
                    "Leaves as it is from {bottom} to {top}; a smaller value leaves as {bottom}, a \
                     larger one as {top}."
                )
            }
        }
    }

    fn compare(&self, old: &Args, new: &Args) -> Change {
        let range = |args| {
            let (bottom, top) = self.bounds(args);
            (bottom.unwrap_or(f64::NEG_INFINITY), top.unwrap_or(f64::INFINITY))
        };
        let (old, new) = (range(old), range(new));
        if old == new {
            Change::Moves
        } else if new.0 >= old.0 && new.1 <= old.1 {
            Change::Strengthens
        } else {
            Change::Weakens
        }
    }

    fn kernel(&self, args: &Args, bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        let bounds = Bounds::new(self, args, bind.input);
        Ok(Box::new(bounds.map_err(|reason| Error::new(Code::SchemaDrift, reason))?))
    }
}

/// The bounds in the arithmetic of the column.
#[derive(Debug)]
enum Bounds {
    Exact { bottom: i128, top: i128 },
    Float { bottom: f64, top: f64 },
}

impl Bounds {
    fn new(clamp: &Clamp, args: &Args, input: &DataType) -> Result<Self, String> {
        let (bottom, top) = clamp.names();
        match numbers::shape(input)? {
            Shape::Exact { scale, min, max } => {
                let bound = |name: Option<&str>, open: i128| match name {
                    Some(name) => units(args, name, scale).ok_or_else(|| {
                        format!("`{name}` has more digits after the point than the column")
                    }),
                    None => Ok(open),
                };
                let (bottom, top) = (bound(bottom, min)?, bound(top, max)?);
                if bottom > max || top < min {
                    return Err("a bound lies beyond what the column's type can hold".to_owned());
                }
                Ok(Self::Exact { bottom, top })
            }
            Shape::Float { max } => {
                let (bottom, top) = clamp.bounds(args);
                if bottom.is_some_and(|bottom| bottom > max) || top.is_some_and(|top| top < -max) {
                    return Err("a bound lies beyond what the column's type can hold".to_owned());
                }
                Ok(Self::Float {
                    bottom: bottom.unwrap_or(f64::NEG_INFINITY),
                    top: top.unwrap_or(f64::INFINITY),
                })
            }
        }
    }
}

impl Kernel for Bounds {
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        // A column holds either kind, so the other closure is never called.
        match *self {
            Self::Exact { bottom, top } => {
                numbers::map(values, &mut |value| Some(value.max(bottom).min(top)), &mut |_| None)
            }
            Self::Float { bottom, top } => numbers::map(values, &mut |_| None, &mut |value| {
                // PRIVACY: the bits of a not-a-number can carry anything.
                Some(if value.is_nan() { f64::NAN } else { value.max(bottom).min(top) })
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::types::{Float64Type, Int64Type};
    use arrow::array::{Array, AsArray, Decimal128Array, Float64Array, Int64Array};
    use proptest::prelude::*;

    use super::super::testing::{apply, args};
    use super::*;
    use crate::policy::args::Value;

    #[test]
    fn extremes_become_the_bound_and_the_rest_stays() {
        let raw: ArrayRef = Arc::new(Int64Array::from(vec![17, 18, 50, 90, 91]));
        let whole = |transform: &Clamp, set: &[(&str, Value)]| {
            apply(transform, set, &raw).as_primitive::<Int64Type>().values().to_vec()
        };
        assert_eq!(whole(&Clamp::TOP, &[("at", Value::Integer(90))]), [17, 18, 50, 90, 90]);
        assert_eq!(whole(&Clamp::BOTTOM, &[("at", Value::Integer(18))]), [18, 18, 50, 90, 91]);
        let both = [("bottom", Value::Integer(18)), ("top", Value::Integer(90))];
        assert_eq!(whole(&Clamp::BOTH, &both), [18, 18, 50, 90, 90]);
    }

    #[test]
    fn infinities_are_extremes_and_not_a_number_stays_without_its_bits() {
        let odd = f64::from_bits(0x7ff8_dead_beef_0001);
        let raw: ArrayRef =
            Arc::new(Float64Array::from(vec![f64::INFINITY, f64::NEG_INFINITY, odd]));
        let out = apply(&Clamp::TOP, &[("at", Value::Number(1.5))], &raw);
        let bits: Vec<_> =
            out.as_primitive::<Float64Type>().values().iter().map(|v| v.to_bits()).collect();
        assert_eq!(bits, [1.5, f64::NEG_INFINITY, f64::NAN].map(f64::to_bits));
    }

    #[test]
    fn decimals_are_bounded_exactly() {
        let raw: ArrayRef = Arc::new(
            Decimal128Array::from(vec![1999, 2001]).with_precision_and_scale(6, 2).unwrap(),
        );
        let out = apply(&Clamp::TOP, &[("at", Value::Number(19.99))], &raw);
        let expected =
            Decimal128Array::from(vec![1999, 1999]).with_precision_and_scale(6, 2).unwrap();
        assert_eq!(out.as_ref(), &expected as &dyn Array);
    }

    #[test]
    fn bounds_that_cannot_be_are_refused() {
        let set = [("bottom", Value::Integer(5)), ("top", Value::Integer(5))];
        let problems = Clamp::BOTH.check(&args(&Clamp::BOTH, &set));
        assert_eq!(problems[0].message, "`bottom` 5 is not below `top` 5");
        let below = args(&Clamp::TOP, &[("at", Value::Integer(-1))]);
        assert!(Clamp::TOP.output(&below, &DataType::UInt8).is_err());
        let half = args(&Clamp::TOP, &[("at", Value::Number(0.5))]);
        assert!(Clamp::TOP.output(&half, &DataType::Int32).is_err());
        assert!(Clamp::TOP.output(&half, &DataType::Utf8).is_err());
    }

    #[test]
    fn a_narrower_range_strengthens() {
        let range = |bottom, top| {
            args(&Clamp::BOTH, &[("bottom", Value::Integer(bottom)), ("top", Value::Integer(top))])
        };
        assert_eq!(Clamp::BOTH.compare(&range(0, 100), &range(10, 100)), Change::Strengthens);
        assert_eq!(Clamp::BOTH.compare(&range(10, 100), &range(5, 90)), Change::Weakens);
    }

    proptest! {
        #[test]
        fn every_value_lies_within_the_bounds_and_order_is_kept(
            a in any::<i64>(), b in any::<i64>(), bottom in -1000_i64..0, top in 0_i64..1000,
        ) {
            let raw: ArrayRef = Arc::new(Int64Array::from(vec![a.min(b), a.max(b)]));
            let set = [("bottom", Value::Integer(bottom)), ("top", Value::Integer(top))];
            let out = apply(&Clamp::BOTH, &set, &raw);
            let out = out.as_primitive::<Int64Type>();
            prop_assert!(out.values().iter().all(|value| (bottom..=top).contains(value)));
            prop_assert!(out.value(0) <= out.value(1));
        }
    }
}
