//! Keys of groups whose values the statement itself says, whatever the data: flags, CASE over written values,
//! parts of a time. Such groups need no threshold; all of them are answered. Looks at expressions alone.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::Case;

/// Parts of a time, with their first and last number.
const PARTS: &[(&str, i32, i32)] =
    &[("quarter", 1, 4), ("month", 1, 12), ("dow", 0, 6), ("hour", 0, 23), ("minute", 0, 59)];

/// All values of an expression of this type, null last where it can be; none where its words do not tell them.
///
/// PRIVACY: nothing but the expression and its type is looked at.
pub(super) fn known(expr: &Expr, kind: &DataType) -> Option<ArrayRef> {
    let mut values = values(expr, kind)?;
    if !is_whole(expr) {
        values.push(ScalarValue::try_from(kind).ok()?);
    }
    let mut each: Vec<ScalarValue> = Vec::new();
    for value in values {
        let value = value.cast_to(kind).ok()?;
        if !each.contains(&value) && (!value.is_null() || !each.iter().any(ScalarValue::is_null)) {
            each.push(value);
        }
    }
    // Null is last, also where a branch says it.
    each.sort_by_key(ScalarValue::is_null);
    ScalarValue::iter_to_array(each).ok()
}

/// Whether each row has a value: every branch of a CASE is one that is written, and there is an ELSE.
fn is_whole(expr: &Expr) -> bool {
    let written = |branch: &Expr| written(branch).is_some_and(|value| !value.is_null());
    match expr {
        Expr::Case(Case { when_then_expr, else_expr: Some(rest), .. }) => {
            written(rest) && when_then_expr.iter().all(|(_, then)| written(then))
        }
        _ => false,
    }
}

fn values(expr: &Expr, kind: &DataType) -> Option<Vec<ScalarValue>> {
    if *kind == DataType::Boolean {
        return Some([false, true].map(|flag| ScalarValue::Boolean(Some(flag))).to_vec());
    }
    match expr {
        Expr::Case(Case { when_then_expr, else_expr, .. }) => {
            let branches = when_then_expr.iter().map(|(_, then)| then).chain(else_expr);
            branches.map(|branch| written(branch)).collect()
        }
        Expr::ScalarFunction(call) if call.func.name() == "date_part" => {
            let part = written(call.args.first()?)?;
            let part = part.try_as_str()??.to_lowercase();
            let (_, first, last) = PARTS.iter().find(|(name, ..)| *name == part)?;
            Some((*first..=*last).map(|number| ScalarValue::Int32(Some(number))).collect())
        }
        _ => None,
    }
}

/// A value that the statement writes.
fn written(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        _ => None,
    }
}
