//! Between which values an expression lies whose columns are clipped to the bounds of the grant: what makes a
//! sum of it bounded. Knows expressions that [`super::total`] let through; reads no data.

use std::collections::BTreeMap;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{Case, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use super::joins::shown;
use crate::error::Result;
use crate::pipeline::query::{refused, short};
use crate::policy::privacy::Bounds;

/// What whole numbers stay under, so that sums of steps are exact.
const STEPS_MAX: f64 = 9_007_199_254_740_992.0;

/// Where the values of an expression lie.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Range {
    low: f64,
    high: f64,
    /// How finely they differ; none for one value.
    step: Option<f64>,
}

/// The bounds of an expression, by those of its columns.
///
/// # Errors
/// [`Code::NoisyOnly`](crate::error::Code::NoisyOnly) where it has none; `what` is asked of it.
pub(super) fn bounds(expr: &Expr, of: &BTreeMap<String, Bounds>, what: &str) -> Result<Bounds> {
    let range = range(expr, of).map_err(|cause| unbounded(what, &cause, of))?;
    let Range { mut low, mut high, step } = range;
    // One value alone, as in SUM(1): from zero to it.
    if low == high {
        low = low.min(0.0);
        high = if low == high { high + 1.0 } else { high.max(0.0) };
    }
    let step = step.unwrap_or_else(|| step_of_values(low, high));
    let sound = low.is_finite() && high.is_finite() && low < high && step > 0.0;
    if sound && (low / step).abs() < STEPS_MAX && (high / step).abs() < STEPS_MAX {
        Ok(Bounds { low, high, step })
    } else {
        Err(refused("the values that are summed have no bounds that are counted in steps"))
    }
}

/// The step of values that the statement writes: one where they are whole.
fn step_of_values(low: f64, high: f64) -> f64 {
    if low.fract() == 0.0 && high.fract() == 0.0 { 1.0 } else { Bounds::step_of(low, high) }
}

/// Why an expression has no bounds.
enum Cause {
    /// A column that the grant does not bound.
    Column(String),
    /// Something of which bounds are not known.
    Shape,
}

fn unbounded(what: &str, cause: &Cause, of: &BTreeMap<String, Bounds>) -> crate::error::Error {
    let mut names: Vec<String> =
        of.keys().take(6).map(|name| format!("`{}`", shown(name))).collect();
    if of.len() > names.len() {
        names.push("...".to_owned());
    }
    let bounded = match names.as_slice() {
        [] => "the grant bounds no column".to_owned(),
        names => format!("bounded are {}", names.join(", ")),
    };
    let what = short(what);
    match cause {
        Cause::Column(name) => refused(&format!(
            "`{what}` needs bounds of `{}`, which the grant does not have ({bounded}): ask the custodian for `bounds: {{...}}`",
            shown(name)
        )),
        Cause::Shape => refused(&format!(
            "`{what}` is of columns with bounds ({bounded}), of CASE, LEAST, GREATEST, COALESCE, NANVL, +, -, * of them, and / by a number"
        )),
    }
}

fn range(expr: &Expr, of: &BTreeMap<String, Bounds>) -> Result<Range, Cause> {
    let one = |expr: &Expr| range(expr, of);
    match expr {
        Expr::Alias(alias) => one(&alias.expr),
        Expr::Cast(cast) if cast.field.data_type().is_numeric() => one(&cast.expr),
        Expr::TryCast(cast) if cast.field.data_type().is_floating() => one(&cast.expr),
        Expr::Column(column) => {
            let Some(bounds) = of.get(&column.name) else {
                return Err(Cause::Column(column.name.clone()));
            };
            Ok(Range { low: bounds.low, high: bounds.high, step: Some(bounds.step) })
        }
        Expr::Literal(value, _) => literal(value),
        // Its value is not known yet; it is when the statement runs.
        Expr::Placeholder(_) => Ok(Range { low: 0.0, high: 1.0, step: None }),
        Expr::Negative(inner) => {
            let Range { low, high, step } = one(inner)?;
            Ok(Range { low: -high, high: -low, step })
        }
        Expr::Case(Case { when_then_expr, else_expr, .. }) => {
            let branches = when_then_expr.iter().map(|(_, then)| then).chain(else_expr);
            either(branches.map(AsRef::as_ref), of)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (left, right) = (one(left)?, one(right)?);
            match op {
                Operator::Plus => Ok(left.and(right, left.low + right.low, left.high + right.high)),
                Operator::Minus => {
                    Ok(left.and(right, left.low - right.high, left.high - right.low))
                }
                Operator::Multiply => Ok(left.times(right)),
                Operator::Divide if right.low == right.high && right.low != 0.0 => {
                    let by = 1.0 / right.low;
                    Ok(left.times(Range { low: by, high: by, step: None }))
                }
                _ => Err(Cause::Shape),
            }
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) => match func.name() {
            "coalesce" | "nvl" | "nanvl" => either(args.iter(), of),
            "nullif" => args.first().map_or(Err(Cause::Shape), one),
            "nvl2" => either(args.iter().skip(1), of),
            "least" => each(args, of, |one, other| Range {
                low: one.low.min(other.low),
                high: one.high.min(other.high),
                step: finer(one.step, other.step),
            }),
            "greatest" => each(args, of, |one, other| Range {
                low: one.low.max(other.low),
                high: one.high.max(other.high),
                step: finer(one.step, other.step),
            }),
            _ => Err(Cause::Shape),
        },
        _ => Err(Cause::Shape),
    }
}

impl Range {
    fn and(self, other: Self, low: f64, high: f64) -> Self {
        Self { low, high, step: finer(self.step, other.step) }
    }

    fn times(self, other: Self) -> Self {
        let corners = [
            self.low * other.low,
            self.low * other.high,
            self.high * other.low,
            self.high * other.high,
        ];
        let low = corners.into_iter().fold(f64::INFINITY, f64::min);
        let high = corners.into_iter().fold(f64::NEG_INFINITY, f64::max);
        let step = match (self.step, other.step) {
            (None, None) => None,
            // By a number: the steps are as many, of another size.
            (Some(step), None) => Some(step * other.low.abs()),
            (None, Some(step)) => Some(step * self.low.abs()),
            (Some(_), Some(_)) => Some(Bounds::step_of(low, high)),
        };
        // Zero times something is zero; it has no steps.
        Self { low, high, step: step.filter(|step| *step > 0.0) }
    }
}

/// The finer of two steps.
fn finer(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The values of one of several expressions.
fn either<'a>(
    parts: impl Iterator<Item = &'a Expr>,
    of: &BTreeMap<String, Bounds>,
) -> Result<Range, Cause> {
    let mut all: Option<Range> = None;
    for part in parts.filter(|part| !is_null(part)) {
        let next = range(part, of)?;
        all = Some(match all {
            None => next,
            Some(one) => {
                let (low, high) = (one.low.min(next.low), one.high.max(next.high));
                let mut step = finer(one.step, next.step);
                // A value beside steps that it is no multiple of is rounded to them.
                if step.is_none() && low != high {
                    step = Some(
                        step_of_values(one.low, one.high).min(step_of_values(next.low, next.high)),
                    );
                }
                Range { low, high, step }
            }
        });
    }
    all.ok_or(Cause::Shape)
}

fn each(
    args: &[Expr],
    of: &BTreeMap<String, Bounds>,
    fold: impl Fn(Range, Range) -> Range,
) -> Result<Range, Cause> {
    let mut all: Option<Range> = None;
    for arg in args {
        let next = range(arg, of)?;
        all = Some(all.map_or(next, |one| fold(one, next)));
    }
    all.ok_or(Cause::Shape)
}

fn is_null(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => value.is_null(),
        Expr::Cast(cast) => is_null(&cast.expr),
        _ => false,
    }
}

fn literal(value: &ScalarValue) -> Result<Range, Cause> {
    let float = value.cast_to(&arrow::datatypes::DataType::Float64);
    match float {
        Ok(ScalarValue::Float64(Some(number)))
            if number.is_finite() && value.data_type().is_numeric() =>
        {
            Ok(Range { low: number, high: number, step: None })
        }
        _ => Err(Cause::Shape),
    }
}
