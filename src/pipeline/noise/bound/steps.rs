//! Values as whole steps between their bounds. Any number of Arrow's can be one; what is none, is no value.
//! Sums nothing.
//!
//! Dates, times and durations count in the unit of their type, truth as one and nought.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use crate::error::{Code, Context, Error, Result};
use crate::policy::privacy::Bounds;

/// What stands for no value. No bound reaches it.
pub(super) const NONE: i64 = i64::MIN;

/// Numbers under this in size are rounded by adding and taking off [`ROUNDER`].
const ROUNDS: i64 = 1 << 51;
/// The least number whose neighbours are a whole apart and that leaves room for both signs.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// Rounds values of one column to steps.
#[derive(Debug, Clone)]
pub(super) struct Stepper {
    low: i64,
    high: i64,
    step: f64,
    /// The step, where it is a whole number: whole values are then divided without rounding twice.
    whole: Option<i64>,
}

impl Stepper {
    /// For values between these bounds.
    #[expect(clippy::cast_possible_truncation, reason = "a whole number under 2^53")]
    pub(super) fn new(bounds: &Bounds) -> Self {
        let (low, high) = bounds.steps();
        let step = bounds.step;
        let is_whole = step.fract() == 0.0 && (1.0..9_007_199_254_740_992.0).contains(&step);
        Self { low, high, step, whole: is_whole.then_some(step as i64) }
    }

    /// The steps of each value, behind what `out` holds.
    ///
    /// # Errors
    /// [`Code::Internal`] for a column that holds no numbers.
    pub(super) fn steps(&self, values: &ArrayRef, out: &mut Vec<i64>) -> Result<()> {
        use DataType as T;
        let as_type = |kind: &T| {
            cast(values, kind).context(Code::Internal, || "numbers cannot be read".to_owned())
        };
        match values.data_type() {
            T::Null => out.resize(out.len() + values.len(), NONE),
            T::Boolean => self.truths(values.as_boolean(), out),
            T::Int8 => self.wholes::<Int8Type>(values, out),
            T::Int16 => self.wholes::<Int16Type>(values, out),
            T::Int32 => self.wholes::<Int32Type>(values, out),
            T::Int64 => self.wholes::<Int64Type>(values, out),
            T::UInt8 => self.wholes::<UInt8Type>(values, out),
            T::UInt16 => self.wholes::<UInt16Type>(values, out),
            T::UInt32 => self.wholes::<UInt32Type>(values, out),
            T::UInt64 => self.wholes::<UInt64Type>(values, out),
            T::Float16 => each::<Float16Type>(values, out, |value| self.of(value.to_f64())),
            T::Float32 => each::<Float32Type>(values, out, |value| self.of(f64::from(value))),
            T::Float64 => self.floats(values.as_primitive(), out),
            T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) | T::Decimal256(..) => {
                return self.steps(&as_type(&T::Float64)?, out);
            }
            T::Date32 | T::Time32(_) => return self.steps(&as_type(&T::Int32)?, out),
            T::Date64 | T::Time64(_) | T::Timestamp(..) | T::Duration(_) => {
                return self.steps(&as_type(&T::Int64)?, out);
            }
            T::Dictionary(_, kind) => return self.steps(&as_type(kind)?, out),
            T::RunEndEncoded(_, field) => return self.steps(&as_type(field.data_type())?, out),
            _ => return Err(Error::new(Code::Internal, "a column without numbers has no steps")),
        }
        Ok(())
    }

    fn truths(&self, values: &BooleanArray, out: &mut Vec<i64>) {
        out.extend(values.iter().map(|value| value.map_or(NONE, |is| self.divided(is.into()))));
    }

    fn wholes<T: ArrowPrimitiveType>(&self, values: &ArrayRef, out: &mut Vec<i64>)
    where
        T::Native: Whole,
    {
        // Most sums are of whole numbers counted one by one.
        if self.whole == Some(1) {
            each::<T>(values, out, |value| value.clamped(self.low, self.high));
        } else if self.whole.is_some() {
            each::<T>(values, out, |value| self.divided(value.wide()));
        } else {
            each::<T>(values, out, |value| self.of(value.float()));
        }
    }

    fn floats(&self, values: &PrimitiveArray<Float64Type>, out: &mut Vec<i64>) {
        if self.low < -ROUNDS || self.high > ROUNDS {
            return each_of(values, out, |value| self.of(value));
        }
        let (low, high) = (self.low as f64, self.high as f64);
        // Bounds are whole, so clamping may come first; then adding and taking off rounds, ties to even.
        each_of(values, out, |value| {
            let steps = value / self.step;
            if steps.is_nan() {
                NONE
            } else {
                ((steps.max(low).min(high) + ROUNDER) - ROUNDER) as i64
            }
        });
    }

    fn of(&self, value: f64) -> i64 {
        let steps = value / self.step;
        if steps.is_nan() {
            return NONE;
        }
        // Bounds are under 2^53 in size and so exact.
        steps.round_ties_even().clamp(self.low as f64, self.high as f64) as i64
    }

    /// A whole value by a whole step, or by one that is none.
    fn divided(&self, value: i128) -> i64 {
        let Some(step) = self.whole else { return self.of(value as f64) };
        let step = i128::from(step);
        let (quotient, rest) = (value.div_euclid(step), value.rem_euclid(step));
        let up = match (2 * rest).cmp(&step) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => quotient & 1,
            std::cmp::Ordering::Greater => 1,
        };
        let clamped = (quotient + up).clamp(self.low.into(), self.high.into());
        i64::try_from(clamped).unwrap_or(self.high)
    }
}

/// Whole numbers of any width.
trait Whole: Copy {
    fn wide(self) -> i128;
    fn float(self) -> f64;
    fn clamped(self, low: i64, high: i64) -> i64;
}

macro_rules! whole {
    ($($kind:ty),*) => {$(
        impl Whole for $kind {
            #[inline]
            fn wide(self) -> i128 {
                self.into()
            }

            #[inline]
            fn float(self) -> f64 {
                self as f64
            }

            #[inline]
            fn clamped(self, low: i64, high: i64) -> i64 {
                // What is larger than any of the narrower type is larger than any bound.
                i64::try_from(self).unwrap_or(i64::MAX).clamp(low, high)
            }
        }
    )*};
}

whole!(i8, i16, i32, i64, u8, u16, u32, u64);

fn each<T: ArrowPrimitiveType>(
    values: &ArrayRef,
    out: &mut Vec<i64>,
    steps: impl Fn(T::Native) -> i64,
) {
    each_of(values.as_primitive::<T>(), out, steps);
}

#[inline]
fn each_of<T: ArrowPrimitiveType>(
    values: &PrimitiveArray<T>,
    out: &mut Vec<i64>,
    steps: impl Fn(T::Native) -> i64,
) {
    match values.nulls() {
        None => out.extend(values.values().iter().map(|value| steps(*value))),
        Some(nulls) => {
            let valued = values.values().iter().zip(nulls.iter());
            out.extend(valued.map(|(value, is)| if is { steps(*value) } else { NONE }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BooleanArray, Decimal128Array, DictionaryArray, Float16Array, Float32Array, Float64Array,
        Int64Array, NullArray, StringArray, UInt64Array,
    };
    use arrow::datatypes::{Int32Type, TimeUnit};

    use super::*;

    fn steps(low: f64, high: f64, step: f64, values: impl Array + 'static) -> Vec<i64> {
        let mut out = vec![77];
        let values: ArrayRef = Arc::new(values);
        Stepper::new(&Bounds { low, high, step }).steps(&values, &mut out).unwrap();
        assert_eq!(out.remove(0), 77, "what was there stays");
        out
    }

    #[test]
    fn fractions_round_to_even_and_clamp_and_what_is_no_number_is_no_value() {
        let values = vec![
            Some(0.5),
            Some(1.5),
            Some(2.5),
            Some(-0.5),
            Some(-1.5),
            Some(1e300),
            Some(f64::INFINITY),
            Some(f64::NEG_INFINITY),
            Some(f64::NAN),
            None,
            Some(-0.0),
            Some(2.4999),
        ];
        let expected = [0, 2, 2, 0, -2, 10, 10, -10, NONE, NONE, 0, 2];
        assert_eq!(steps(-10.0, 10.0, 1.0, Float64Array::from(values.clone())), expected);
        // The same beyond the size at which adding and taking off would round.
        let far = 9_007_199_254_740_990.0;
        let wide = steps(-far, far, 1.0, Float64Array::from(values));
        assert_eq!(wide[..5], expected[..5]);
        assert_eq!(wide[5..8], [far as i64, far as i64, -far as i64]);
    }

    #[test]
    fn whole_numbers_do_not_pass_through_fractions() {
        let large = (1_i64 << 62) + 1;
        let values = Int64Array::from(vec![i64::MIN, -6, -5, 2, 6, 10, large, i64::MAX]);
        // By fours: -1.5, -1.25, 0.5, 1.5 and 2.5, ties to even.
        assert_eq!(steps(-8.0, 40.0, 4.0, values.clone()), [-2, -2, -1, 0, 2, 2, 10, 10]);
        assert_eq!(steps(-8.0, 40.0, 1.0, values), [-8, -6, -5, 2, 6, 10, 40, 40]);
        let unsigned = UInt64Array::from(vec![0, 5, u64::MAX]);
        assert_eq!(steps(0.0, 1e18, 1024.0, unsigned.clone()), [0, 0, 976_562_500_000_000]);
        assert_eq!(steps(0.0, 7.0, 1.0, unsigned), [0, 5, 7]);
    }

    #[test]
    fn numbers_of_every_type_have_steps_and_texts_have_none() {
        let decimals = Decimal128Array::from(vec![Some(125), None, Some(-99_999)]);
        let decimals = decimals.with_precision_and_scale(10, 2).unwrap();
        assert_eq!(steps(0.0, 10.0, 0.25, decimals), [5, NONE, 0]);
        assert_eq!(steps(0.0, 1.0, 1.0, BooleanArray::from(vec![Some(true), None])), [1, NONE]);
        assert_eq!(steps(0.0, 9.0, 1.0, NullArray::new(2)), [NONE, NONE]);
        assert_eq!(steps(0.0, 9.0, 0.5, Float32Array::from(vec![1.25, f32::NAN])), [2, NONE]);
        let half = Float16Array::from(vec![<Float16Type as ArrowPrimitiveType>::Native::ONE]);
        assert_eq!(steps(0.0, 9.0, 0.5, half), [2]);
        let keys = arrow::array::Int32Array::from(vec![Some(1), None, Some(0)]);
        let values = Arc::new(Int64Array::from(vec![3, 4]));
        let dictionary = DictionaryArray::<Int32Type>::try_new(keys, values).unwrap();
        assert_eq!(steps(0.0, 9.0, 1.0, dictionary), [4, NONE, 3]);
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![60, 120]));
        let kinds =
            [DataType::Timestamp(TimeUnit::Second, None), DataType::Duration(TimeUnit::Second)];
        for kind in kinds {
            let mut out = Vec::new();
            let stepper = Stepper::new(&Bounds { low: 0.0, high: 100.0, step: 1.0 });
            stepper.steps(&cast(&numbers, &kind).unwrap(), &mut out).unwrap();
            assert_eq!(out, [60, 100], "{kind}");
        }
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["1"]));
        let stepper = Stepper::new(&Bounds { low: 0.0, high: 1.0, step: 1.0 });
        assert!(stepper.steps(&texts, &mut Vec::new()).is_err());
    }
}
