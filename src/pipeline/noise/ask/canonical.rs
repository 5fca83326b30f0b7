//! The text of an expression by which questions are compared. Two expressions with the same text give the same
//! on every row; many that do have the same text: operands that may be swapped are sorted.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};

use crate::pipeline::query::public_name;

/// The functions whose first argument names a part of a time.
const OF_PARTS: &[&str] = &["date_part", "date_trunc"];

/// The text of an expression over the dataset's columns, types made to fit.
///
/// INVARIANT: texts are told apart by what is in them: names and literals are quoted, operands stand in
/// brackets. What is swapped gives the same for all values: AND, OR, =, <>, + and * of two, and comparisons
/// that are turned around.
pub(super) fn text(expr: &Expr) -> String {
    match expr {
        Expr::Alias(alias) => text(&alias.expr),
        Expr::Column(column) => match public_name(&column.name) {
            Some((table, name)) => format!("column {} of {}", quoted(name), quoted(table)),
            None => format!("column {}", quoted(&column.name)),
        },
        Expr::Literal(value, _) => literal(value),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => binary(left, *op, right),
        Expr::Between(_) | Expr::InList(_) => {
            let (name, terms) = comparisons(expr).unwrap_or_default();
            sorted(name, terms)
        }
        Expr::Not(inner) => call("not", &[inner]),
        Expr::Negative(inner) => call("negative", &[inner]),
        Expr::IsNull(inner) => call("is_null", &[inner]),
        Expr::IsNotNull(inner) => call("is_not_null", &[inner]),
        Expr::IsTrue(inner) => call("is_true", &[inner]),
        Expr::IsFalse(inner) => call("is_false", &[inner]),
        Expr::IsUnknown(inner) => call("is_unknown", &[inner]),
        Expr::IsNotTrue(inner) => call("is_not_true", &[inner]),
        Expr::IsNotFalse(inner) => call("is_not_false", &[inner]),
        Expr::IsNotUnknown(inner) => call("is_not_unknown", &[inner]),
        Expr::Cast(cast) => {
            let name = format!("cast {}", quoted(&cast.field.data_type().to_string()));
            call(&name, &[&cast.expr])
        }
        Expr::TryCast(cast) => {
            let name = format!("try_cast {}", quoted(&cast.field.data_type().to_string()));
            call(&name, &[&cast.expr])
        }
        Expr::Case(case) => {
            let part = |expr: &Option<Box<Expr>>| {
                expr.as_ref().map_or("none".to_owned(), |expr| text(expr))
            };
            let branches = case.when_then_expr.iter();
            let branches = branches.map(|(when, then)| format!("({} {})", text(when), text(then)));
            let branches: Vec<String> = branches.collect();
            format!("(case {} {} {})", part(&case.expr), branches.join(" "), part(&case.else_expr))
        }
        Expr::Like(like) => format!(
            "(like negated {} insensitive {} escape {:?} {} {})",
            like.negated,
            like.case_insensitive,
            like.escape_char,
            text(&like.expr),
            text(&like.pattern)
        ),
        Expr::ScalarFunction(function) => {
            let args: Vec<&Expr> = function.args.iter().collect();
            let name = format!("function {}", quoted(function.name()));
            match args.as_slice() {
                // The names of parts are the same in capitals.
                [Expr::Literal(part, _), time] if OF_PARTS.contains(&function.name()) => {
                    format!("({name} {} {})", literal(part).to_lowercase(), text(time))
                }
                args => call(&name, args),
            }
        }
        // What is left is not answered. Its own words tell it apart all the same.
        other => format!("other {}", quoted(&format!("{other:?}"))),
    }
}

/// Terms of which the order and the number do not matter, as of AND and OR.
pub(super) fn sorted(name: &str, mut terms: Vec<String>) -> String {
    terms.sort();
    terms.dedup();
    match terms.as_slice() {
        [one] => one.clone(),
        _ => format!("({name} {})", terms.join(" ")),
    }
}

fn binary(left: &Expr, op: Operator, right: &Expr) -> String {
    let pair = |name: &str, left: String, right: String| format!("({name} {left} {right})");
    let (one, other) = (text(left), text(right));
    match op {
        Operator::And | Operator::Or => {
            let mut terms = Vec::new();
            flat(left, op, &mut terms);
            flat(right, op, &mut terms);
            sorted(if op == Operator::And { "and" } else { "or" }, terms)
        }
        Operator::Gt => pair("<", other, one),
        Operator::GtEq => pair("<=", other, one),
        // The order of two does not matter; three are not regrouped, which rounds differently.
        Operator::Eq
        | Operator::NotEq
        | Operator::IsDistinctFrom
        | Operator::IsNotDistinctFrom
        | Operator::Plus
        | Operator::Multiply
            if other < one =>
        {
            pair(&op.to_string(), other, one)
        }
        _ => pair(&op.to_string(), one, other),
    }
}

/// The terms of nested AND or OR.
fn flat(expr: &Expr, op: Operator, terms: &mut Vec<String>) {
    let name = if op == Operator::And { "and" } else { "or" };
    match expr {
        Expr::Alias(alias) => flat(&alias.expr, op, terms),
        Expr::BinaryExpr(inner) if inner.op == op => {
            flat(&inner.left, op, terms);
            flat(&inner.right, op, terms);
        }
        other => match comparisons(other) {
            Some((kind, each)) if kind == name || each.len() == 1 => terms.extend(each),
            _ => terms.push(text(other)),
        },
    }
}

/// BETWEEN and IN as the comparisons that they stand for, and what joins them.
fn comparisons(expr: &Expr) -> Option<(&'static str, Vec<String>)> {
    match expr {
        Expr::Between(Between { expr, negated: false, low, high }) => Some((
            "and",
            vec![binary(expr, Operator::GtEq, low), binary(expr, Operator::LtEq, high)],
        )),
        Expr::Between(Between { expr, negated: true, low, high }) => {
            Some(("or", vec![binary(expr, Operator::Lt, low), binary(expr, Operator::Gt, high)]))
        }
        Expr::InList(InList { expr, list, negated }) => {
            let op = if *negated { Operator::NotEq } else { Operator::Eq };
            let each = list.iter().map(|value| binary(expr, op, value)).collect();
            Some((if *negated { "and" } else { "or" }, each))
        }
        _ => None,
    }
}

fn call(name: &str, args: &[&Expr]) -> String {
    let args: Vec<String> = args.iter().map(|arg| text(arg)).collect();
    format!("({name} {})", args.join(" "))
}

fn literal(value: &ScalarValue) -> String {
    match value {
        // The same text in another layout.
        ScalarValue::Utf8(Some(value))
        | ScalarValue::Utf8View(Some(value))
        | ScalarValue::LargeUtf8(Some(value)) => format!("text {}", quoted(value)),
        // A literal's kind is in these words, and a float's digits are those that read as the same again.
        other => format!("value {}", quoted(&format!("{other:?}"))),
    }
}

/// A text in quotes, with what would end it escaped.
pub(super) fn quoted(text: &str) -> String {
    format!("{text:?}")
}
