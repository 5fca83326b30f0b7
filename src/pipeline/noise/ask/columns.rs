//! The columns of a statement's aggregation, computed from noisy numbers: sums and means in the types that SQL
//! gives them, each with its half-width. Rules for what cannot be computed are here; noise is not.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Float64Array, Int64Array, UInt64Array};
use arrow::datatypes::DataType;

use super::measures::Formula;
use super::stored::Unpacked;
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::noise::question::Noise;
use crate::policy::privacy::Bounds;

/// The half-width of a weighted sum of independent noises, for a confidence.
pub(super) type HalfWidth<'a> = &'a dyn Fn(&[(f64, &Noise)], f64) -> f64;

/// The confidence of half-widths.
const CONFIDENCE: f64 = 0.95;

/// A number of the answer.
#[derive(Debug, Clone, Copy)]
enum Number {
    Whole(i128),
    Real(f64),
}

/// The column of a formula and the column of its half-widths.
///
/// A mean of a count that came out at zero or less is null, and so is its half-width; a mean is clamped to its
/// bounds. A variance needs a count over zero (of a sample: over one) and is zero where it came out negative;
/// then its root has no half-width. Half-widths of means and spreads are of the function's linear part at the
/// noisy numbers (the delta method).
pub(super) fn column(
    formula: &Formula,
    kind: &DataType,
    answer: &Unpacked,
    half_width: HalfWidth<'_>,
) -> Result<(ArrayRef, ArrayRef)> {
    let missing = || Error::new(Code::Internal, "a measure is not there");
    let places = formula.of();
    let noise = places.iter().map(|at| answer.noise.get(*at).ok_or_else(missing));
    let noise = noise.collect::<Result<Vec<&Noise>>>()?;
    let measured = places.iter().map(|at| answer.measured.get(*at).ok_or_else(missing));
    let measured = measured.collect::<Result<Vec<_>>>()?;
    let mut numbers = Vec::with_capacity(answer.groups);
    let mut widths = Vec::with_capacity(answer.groups);
    // Weights of sums are the same for all groups: their widths too.
    let mut known: Option<(Vec<f64>, Option<f64>)> = None;
    for group in 0..answer.groups {
        let group: Vec<i128> = measured.iter().map(|column| column.value(group)).collect();
        let (number, weights) = computed(formula, &group).unzip();
        numbers.push(number);
        let weights: Option<Vec<f64>> = weights;
        let width = weights.and_then(|weights| {
            if noise.iter().any(|noise| matches!(noise, Noise::Choice { .. })) {
                return None;
            }
            if let Some((same, width)) = &known
                && *same == weights
            {
                return *width;
            }
            let terms: Vec<(f64, &Noise)> =
                weights.iter().copied().zip(noise.iter().copied()).collect();
            let width = half_width(&terms, CONFIDENCE);
            let width = width.is_finite().then_some(width);
            known = Some((weights, width));
            width
        });
        widths.push(width);
    }
    Ok((typed(&numbers, kind)?, Arc::new(Float64Array::from(widths))))
}

/// A formula's value, and by how much it changes with each number that it is computed from.
fn computed(formula: &Formula, numbers: &[i128]) -> Option<(Number, Vec<f64>)> {
    match (formula, numbers) {
        (Formula::Whole(_), [count]) => Some((Number::Whole(*count), vec![1.0])),
        (Formula::Sum { center: None, bounds, .. }, [sum]) => {
            Some((scaled(*sum, bounds.step), vec![bounds.step]))
        }
        (Formula::Sum { center: Some((center, _)), bounds, .. }, [sum, count]) => {
            let steps = sum.saturating_add(i128::from(*center).saturating_mul(*count));
            let by_count = real(i128::from(*center)) * bounds.step;
            Some((scaled(steps, bounds.step), vec![bounds.step, by_count]))
        }
        (Formula::Average { center, bounds, .. }, [sum, count]) => {
            let (sum, count) = (real(*sum), positive(*count)?);
            let distance = sum / count;
            let mean = in_steps(real(i128::from(*center)) + distance, bounds.step);
            let weights = vec![bounds.step / count, -bounds.step * distance / count];
            Some((Number::Real(mean.clamp(bounds.low, bounds.high)), weights))
        }
        (Formula::Spread { sample, root, bounds, .. }, [squares, sum, count]) => {
            spread(*sample, *root, *bounds, real(*squares), real(*sum), positive(*count)?)
        }
        (Formula::Point { bounds, .. }, [point]) => {
            Some((scaled(*point, bounds.step), vec![bounds.step]))
        }
        _ => None,
    }
}

fn spread(
    sample: bool,
    root: bool,
    bounds: Bounds,
    squares: f64,
    sum: f64,
    count: f64,
) -> Option<(Number, Vec<f64>)> {
    let over = if sample { count - 1.0 } else { count };
    if over <= 0.0 {
        return None;
    }
    let mean = sum / count;
    let variance = ((squares - sum * mean) / over).max(0.0);
    // By squares, by the sum, by the count.
    let weights = [1.0 / over, -2.0 * mean / over, (mean * mean - variance) / over];
    let unit = bounds.step * bounds.step;
    if !root {
        let weights = weights.map(|weight| weight * unit).to_vec();
        return Some((Number::Real(variance * unit), weights));
    }
    let deviation = variance.sqrt();
    let weights = weights.map(|weight| weight * bounds.step / (2.0 * deviation)).to_vec();
    Some((Number::Real(deviation * bounds.step), weights))
}

/// A count that something can be divided by.
fn positive(count: i128) -> Option<f64> {
    (count > 0).then(|| real(count))
}

#[expect(clippy::cast_precision_loss, reason = "means and widths are floating-point numbers")]
fn real(number: i128) -> f64 {
    number as f64
}

/// Steps as a number: whole where the step is.
#[expect(clippy::cast_possible_truncation, reason = "the step is whole and under 2^53")]
fn scaled(steps: i128, step: f64) -> Number {
    if step.fract() == 0.0 && step < 9_007_199_254_740_992.0 {
        Number::Whole(steps.saturating_mul(step as i128))
    } else {
        Number::Real(in_steps(real(steps), step))
    }
}

/// So many steps. Where a whole number of steps makes one, it is divided by that: a thousandth is no
/// floating-point number, a thousand is.
fn in_steps(steps: f64, step: f64) -> f64 {
    let parts = (1.0 / step).round();
    if step < 1.0 && (parts * step - 1.0).abs() < 1e-12 { steps / parts } else { steps * step }
}

/// Numbers as a column of the type that SQL gives it. What does not fit is the nearest that does.
fn typed(numbers: &[Option<Number>], kind: &DataType) -> Result<ArrayRef> {
    let failed = || "a noisy column has no such type".to_owned();
    let real = |number: &Option<Number>| {
        number.map(|number| match number {
            Number::Whole(whole) => real(whole),
            Number::Real(real) => real,
        })
    };
    let column: ArrayRef = match kind {
        DataType::UInt64 => {
            let whole = |number: &Option<Number>| {
                let whole = number.map(whole)?;
                Some(u64::try_from(whole.max(0)).unwrap_or(u64::MAX))
            };
            Arc::new(numbers.iter().map(whole).collect::<UInt64Array>())
        }
        kind if kind.is_integer() => {
            let (low, high) = range(kind);
            let whole = |number: &Option<Number>| {
                let whole = number.map(whole)?.clamp(i128::from(low), i128::from(high));
                i64::try_from(whole).ok()
            };
            Arc::new(numbers.iter().map(whole).collect::<Int64Array>())
        }
        DataType::Decimal128(digits, scale) => {
            let most = 10_i128.saturating_pow(u32::from(*digits)) - 1;
            let tens = 10_f64.powi(i32::from(*scale));
            let exact = |number: Number| match number {
                Number::Whole(whole) if *scale >= 0 => {
                    whole.saturating_mul(10_i128.saturating_pow(u32::from(scale.unsigned_abs())))
                }
                Number::Whole(whole_number) => nearest(self::real(whole_number) * tens),
                Number::Real(real) => nearest(real * tens),
            };
            let exact = numbers.iter().map(|number| number.map(|n| exact(n).clamp(-most, most)));
            let column = exact.collect::<Decimal128Array>();
            Arc::new(
                column.with_precision_and_scale(*digits, *scale).context(Code::Internal, failed)?,
            )
        }
        _ => Arc::new(numbers.iter().map(real).collect::<Float64Array>()),
    };
    arrow::compute::cast(&column, kind).context(Code::Internal, failed)
}

fn whole(number: Number) -> i128 {
    match number {
        Number::Whole(whole) => whole,
        Number::Real(real) => nearest(real),
    }
}

/// The nearest whole number; the outermost where there is none.
#[expect(clippy::cast_possible_truncation, reason = "this conversion saturates")]
fn nearest(real: f64) -> i128 {
    real.round_ties_even() as i128
}

/// The least and the greatest of a type of whole numbers that Int64 holds.
fn range(kind: &DataType) -> (i64, i64) {
    match kind {
        DataType::Int8 => (i64::from(i8::MIN), i64::from(i8::MAX)),
        DataType::Int16 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        DataType::Int32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        DataType::UInt8 => (0, i64::from(u8::MAX)),
        DataType::UInt16 => (0, i64::from(u16::MAX)),
        DataType::UInt32 => (0, i64::from(u32::MAX)),
        _ => (i64::MIN, i64::MAX),
    }
}
