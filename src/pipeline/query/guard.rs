//! Guards around arguments that a function would fail on: a time that no calendar has, from a damaged or hostile
//! file, and a number under a root that is below zero. What is computed of them is null.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result as PlanResult, ScalarValue};
use datafusion::logical_expr::{Expr, ExprSchemable, when};

/// The functions whose last argument is a time that must be of the calendar.
const OF_TIME: &[&str] = &["date_part", "date_trunc"];
/// The first and the last day that is a time: of the years 1 and 9999.
const DAYS: (i64, i64) = (-719_162, 2_932_896);
/// The same where nanoseconds are counted: of the years 1678 and 2261, inclusive.
const DAYS_NANO: (i64, i64) = (-106_650, 106_750);
/// How deep guarded calls may stand in one another: each writes its argument several times.
const DEEP_MAX: usize = 3;

/// The same expression, with guards.
///
/// INVARIANT: a guarded call is given an argument that it takes in every row, also where the answer is null:
/// some functions compute what lies under nulls. So no part fails by itself, in whatever order the engine
/// works them.
///
/// None where guards would stand too deep in one another.
///
/// # Errors
/// What the engine says where a part cannot be made.
pub(in crate::pipeline) fn guarded(expr: Expr, schema: &DFSchema) -> PlanResult<Option<Expr>> {
    if nested(&expr, schema)? > DEEP_MAX {
        return Ok(None);
    }
    let guarded = expr.transform_up(|part| {
        let Some(argument) = argument(&part, schema).cloned() else {
            return Ok(Transformed::no(part));
        };
        let to = match &part {
            Expr::Cast(cast) => cast.field.data_type().clone(),
            Expr::TryCast(cast) => cast.field.data_type().clone(),
            // PRIVACY: it counts in nanoseconds, whatever it is given, and fails where they have no room: the
            // last day of 9999, which stands for "never" in many tables, would tell that its row is there.
            Expr::ScalarFunction(call) if call.func.name() == "date_trunc" => {
                DataType::Timestamp(TimeUnit::Nanosecond, None)
            }
            _ => DataType::Null,
        };
        let Some((holds, instead)) = taken(&argument, &to, schema)? else {
            return Ok(Transformed::no(part));
        };
        let safe = when(holds.clone(), argument).otherwise(instead)?;
        Ok(Transformed::yes(when(holds, with_argument(part, safe)).end()?))
    });
    Ok(Some(guarded?.data))
}

/// Whether a value that the statement itself writes.
pub(in crate::pipeline) fn is_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_literal(&alias.expr),
        Expr::Cast(cast) => is_literal(&cast.expr),
        Expr::Literal(..) | Expr::Placeholder(_) => true,
        _ => false,
    }
}

/// The type of an expression that was checked; null where there is none.
fn kind(expr: &Expr, schema: &DFSchema) -> DataType {
    expr.get_type(schema).unwrap_or(DataType::Null)
}

/// How deep guarded calls stand in one another.
fn nested(expr: &Expr, schema: &DFSchema) -> PlanResult<usize> {
    let mut most = 0;
    expr.apply_children(|part| {
        most = most.max(nested(part, schema)?);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(most + usize::from(argument(expr, schema).is_some()))
}

/// The argument of a call that needs a guard.
fn argument<'a>(expr: &'a Expr, schema: &DFSchema) -> Option<&'a Expr> {
    let found = match expr {
        Expr::ScalarFunction(call) => {
            let name = call.func.name();
            if OF_TIME.contains(&name) || name == "sqrt" { call.args.last() } else { None }
        }
        Expr::Cast(cast) => of_time(&cast.expr, schema),
        Expr::TryCast(cast) => of_time(&cast.expr, schema),
        _ => None,
    };
    found.filter(|argument| !is_literal(argument))
}

fn of_time<'a>(expr: &'a Expr, schema: &DFSchema) -> Option<&'a Expr> {
    matches!(kind(expr, schema), DataType::Date32 | DataType::Timestamp(..)).then_some(expr)
}

/// The same call of another argument.
fn with_argument(expr: Expr, argument: Expr) -> Expr {
    match expr {
        Expr::ScalarFunction(mut call) => {
            call.args.pop();
            call.args.push(argument);
            Expr::ScalarFunction(call)
        }
        Expr::Cast(mut cast) => {
            cast.expr = Box::new(argument);
            Expr::Cast(cast)
        }
        Expr::TryCast(mut cast) => {
            cast.expr = Box::new(argument);
            Expr::TryCast(cast)
        }
        other => other,
    }
}

/// Where an argument is taken, and what is given where it is not.
fn taken(argument: &Expr, to: &DataType, schema: &DFSchema) -> PlanResult<Option<(Expr, Expr)>> {
    let literal = |value| Expr::Literal(value, None);
    let from = kind(argument, schema);
    if from.is_floating() {
        let zero = literal(ScalarValue::new_zero(&from)?);
        return Ok(Some((argument.clone().gt_eq(zero.clone()), zero)));
    }
    let (first, last) = days(&from, to);
    let (Some(low), Some(high), Some(epoch)) = (at(first, &from), at(last, &from), at(0, &from))
    else {
        return Ok(None);
    };
    let holds = argument.clone().gt_eq(literal(low)).and(argument.clone().lt(literal(high)));
    Ok(Some((holds, literal(epoch))))
}

/// Which days both types hold.
const fn days(from: &DataType, to: &DataType) -> (i64, i64) {
    match (from, to) {
        (DataType::Timestamp(TimeUnit::Nanosecond, _), _)
        | (_, DataType::Timestamp(TimeUnit::Nanosecond, _)) => DAYS_NANO,
        _ => DAYS,
    }
}

/// A day as a value of a type of times.
fn at(day: i64, kind: &DataType) -> Option<ScalarValue> {
    let scaled = |by: i64| day.checked_mul(86_400)?.checked_mul(by);
    Some(match kind {
        DataType::Date32 => ScalarValue::Date32(Some(i32::try_from(day).ok()?)),
        DataType::Timestamp(unit, zone) => {
            let zone = zone.clone();
            match unit {
                TimeUnit::Second => ScalarValue::TimestampSecond(Some(scaled(1)?), zone),
                TimeUnit::Millisecond => {
                    ScalarValue::TimestampMillisecond(Some(scaled(1_000)?), zone)
                }
                TimeUnit::Microsecond => {
                    ScalarValue::TimestampMicrosecond(Some(scaled(1_000_000)?), zone)
                }
                TimeUnit::Nanosecond => {
                    ScalarValue::TimestampNanosecond(Some(scaled(1_000_000_000)?), zone)
                }
            }
        }
        _ => return None,
    })
}
