//! Numbers in half-open intervals, level by level. Rounds nothing: which interval holds a number is decided
//! by whole numbers of the narrowest one, so that levels nest.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};

/// Whole numbers up to here are exact as `f64`.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// By level: the label of each value.
pub(super) fn levels(
    from: f64,
    widths: &[f64],
    values: &ArrayRef,
) -> Result<Vec<Vec<String>>, String> {
    let numbers = cast(values, &DataType::Float64).map_err(|_| "it holds no numbers".to_owned())?;
    let numbers = numbers.as_primitive::<Float64Type>();
    if numbers.null_count() > 0 {
        return Err("a value is no number of 64 bits".to_owned());
    }
    let Some(narrowest) = widths.first() else { return Ok(Vec::new()) };
    let steps = numbers.values().iter().map(|number| step(*number, from, *narrowest));
    let steps = steps.collect::<Result<Vec<Step>, String>>()?;
    widths
        .iter()
        .map(|width| {
            let ratio = whole((width / narrowest).round()).filter(|ratio| *ratio > 0);
            let ratio = ratio.ok_or_else(|| "widths lie too far apart".to_owned())?;
            Ok(steps.iter().map(|step| label(*step, from, *narrowest, ratio)).collect())
        })
        .collect()
}

/// Where a number lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// In so many narrowest intervals from the beginning.
    Interval(i64),
    /// At no place.
    Other(&'static str),
}

fn step(number: f64, from: f64, width: f64) -> Result<Step, String> {
    if number.is_nan() {
        return Ok(Step::Other("NaN"));
    }
    if number.is_infinite() {
        return Ok(Step::Other(if number > 0.0 { "inf" } else { "-inf" }));
    }
    let count = ((number - from) / width).floor();
    let Some(mut count) = whole(count) else {
        return Err("a value lies too far from where intervals begin".to_owned());
    };
    // Division rounds; the ends that labels show decide.
    if number < lower(count, from, width) {
        count -= 1;
    } else if number >= lower(count + 1, from, width) {
        count += 1;
    }
    Ok(Step::Interval(count))
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and exact")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < EXACT).then_some(number as i64)
}

/// Where an interval begins, as its label shows it: what binary fractions add behind the twelfth digit is
/// left out.
#[expect(clippy::cast_precision_loss, reason = "steps are below 2^53")]
fn lower(count: i64, from: f64, width: f64) -> f64 {
    let exact = from + count as f64 * width;
    format!("{exact:.12e}").parse().unwrap_or(exact) + 0.0
}

fn label(step: Step, from: f64, narrowest: f64, ratio: i64) -> String {
    let count = match step {
        Step::Interval(count) => count,
        Step::Other(name) => return name.to_owned(),
    };
    let first = count.div_euclid(ratio).saturating_mul(ratio);
    let (low, high) =
        (lower(first, from, narrowest), lower(first.saturating_add(ratio), from, narrowest));
    format!("[{low}, {high})")
}
