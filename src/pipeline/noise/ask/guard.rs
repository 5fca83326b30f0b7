//! Guards around what is computed of times: a time that no calendar has, from a damaged or hostile file, becomes
//! null before a function or a cast that would fail on it sees it.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Expr, when};

use super::below::broken;
use super::total::{is_literal, kind};
use crate::error::Result;

/// The functions whose last argument is a time that must be of the calendar.
const OF_TIME: &[&str] = &["date_part", "date_trunc"];
/// The first and the last day that is a time: of the years 1 and 9999.
const DAYS: (i64, i64) = (-719_162, 2_932_896);
/// The same where nanoseconds are counted: of the years 1678 and 2261, inclusive.
const DAYS_NANO: (i64, i64) = (-106_650, 106_750);

/// The same expression, where times outside of the calendar are null before they are computed with.
///
/// INVARIANT: what is guarded is the argument, not the call, so that no part fails by itself, in whatever order
/// the engine works them.
pub(super) fn guarded(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let guarded = expr.transform_up(|part| {
        Ok(match part {
            Expr::ScalarFunction(mut call) if OF_TIME.contains(&call.func.name()) => {
                let Some(time) = call.args.pop() else {
                    return Ok(Transformed::no(Expr::ScalarFunction(call)));
                };
                let within = days(&kind(&time, schema), &DataType::Null);
                call.args.push(between(time, within, schema)?);
                Transformed::yes(Expr::ScalarFunction(call))
            }
            Expr::Cast(mut cast) if is_of_time(&kind(&cast.expr, schema)) => {
                let within = days(&kind(&cast.expr, schema), cast.field.data_type());
                cast.expr = Box::new(between(*cast.expr, within, schema)?);
                Transformed::yes(Expr::Cast(cast))
            }
            Expr::TryCast(mut cast) if is_of_time(&kind(&cast.expr, schema)) => {
                let within = days(&kind(&cast.expr, schema), cast.field.data_type());
                cast.expr = Box::new(between(*cast.expr, within, schema)?);
                Transformed::yes(Expr::TryCast(cast))
            }
            other => Transformed::no(other),
        })
    });
    Ok(guarded.map_err(broken)?.data)
}

const fn is_of_time(kind: &DataType) -> bool {
    matches!(kind, DataType::Date32 | DataType::Timestamp(..))
}

/// Which days both types hold.
const fn days(from: &DataType, to: &DataType) -> (i64, i64) {
    match (from, to) {
        (DataType::Timestamp(TimeUnit::Nanosecond, _), _)
        | (_, DataType::Timestamp(TimeUnit::Nanosecond, _)) => DAYS_NANO,
        _ => DAYS,
    }
}

/// A time, where it lies between two days; null elsewhere.
fn between(
    time: Expr,
    (first, last): (i64, i64),
    schema: &DFSchema,
) -> datafusion::common::Result<Expr> {
    if is_literal(&time) {
        return Ok(time);
    }
    let value = |day: i64| match kind(&time, schema) {
        DataType::Date32 => ScalarValue::Date32(i32::try_from(day).ok()),
        DataType::Timestamp(unit, zone) => {
            let second = day.checked_mul(86_400);
            let scaled = |by: i64| second.and_then(|second| second.checked_mul(by));
            match unit {
                TimeUnit::Second => ScalarValue::TimestampSecond(second, zone),
                TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(scaled(1_000), zone),
                TimeUnit::Microsecond => ScalarValue::TimestampMicrosecond(scaled(1_000_000), zone),
                TimeUnit::Nanosecond => {
                    ScalarValue::TimestampNanosecond(scaled(1_000_000_000), zone)
                }
            }
        }
        _ => ScalarValue::Null,
    };
    let low = time.clone().gt_eq(Expr::Literal(value(first), None));
    let high = time.clone().lt(Expr::Literal(value(last), None));
    when(low.and(high), time).end()
}
