//! What a measured expression is where it has no value: what `null_as` of the grant says, and what the statement's
//! own COALESCE says; and which expressions have a value in every row, so that COUNT of them is COUNT(*). Follows
//! from the statement and the policy alone.
//!
//! PRIVACY: nullability in a schema is not looked at, and statistics are not: writers exist that call a column
//! `REQUIRED` where it happens to hold no null, so that one person's row would decide how much noise there is.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::functions::expr_fn::isnan;
use datafusion::logical_expr::expr::{Case, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, cast, lit, when};

use super::below::broken;
use super::total::kind;
use crate::error::Result;
use crate::pipeline::query::{Logic, public_name, widens};

/// Columns whose nulls count as a value in what is measured, and as which.
pub(super) type Filled = BTreeMap<String, f64>;

/// A measured expression with values for what is missing in its columns, and which columns those are.
///
/// A column counts as `null_as` says where its own value is taken. Where the statement looks whether there is one (in
/// conditions, in the arguments of COALESCE before the last, of NULLIF and of NANVL), it finds what the table holds.
/// COALESCE passes over NaN as over null, since neither is a value.
pub(super) fn filled(expr: Expr, null_as: &Filled, schema: &DFSchema) -> Result<(Expr, Filled)> {
    let mut found = Filled::new();
    let expr = Filling { null_as, schema, found: &mut found }.of(expr)?;
    Ok((expr, found))
}

struct Filling<'a> {
    null_as: &'a Filled,
    schema: &'a DFSchema,
    found: &'a mut Filled,
}

impl Filling<'_> {
    /// An expression in a place where its value is taken.
    fn of(&mut self, expr: Expr) -> Result<Expr> {
        Ok(match expr {
            Expr::Column(column) => match self.null_as.get(&column.name) {
                None => Expr::Column(column),
                Some(value) => {
                    self.found.insert(column.name.clone(), *value);
                    self.column(Expr::Column(column), *value)?
                }
            },
            Expr::Cast(mut cast) => {
                let inner = self.of(*cast.expr)?;
                // What stands for a null may have made the column as wide already.
                if kind(&inner, self.schema) == *cast.field.data_type() {
                    return Ok(inner);
                }
                *cast.expr = inner;
                Expr::Cast(cast)
            }
            Expr::TryCast(mut cast) => {
                *cast.expr = self.of(*cast.expr)?;
                Expr::TryCast(cast)
            }
            Expr::Negative(inner) => Expr::Negative(Box::new(self.of(*inner)?)),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if computes(op) => {
                let (left, right) = (self.of(*left)?, self.of(*right)?);
                Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
            }
            Expr::Case(Case { expr, when_then_expr, else_expr }) => {
                let branch = |(when, then): (Box<Expr>, Box<Expr>)| {
                    Ok(match excludes(&when, &then, Absent::Null, self.schema) {
                        true => (Box::new(self.is_value(*then.clone())), then),
                        false => (when, Box::new(self.of(*then)?)),
                    })
                };
                let branches = when_then_expr.into_iter().map(branch).collect::<Result<_>>()?;
                let rest = else_expr.map(|rest| self.of(*rest)).transpose()?;
                Expr::Case(Case::new(expr, branches, rest.map(Box::new)))
            }
            Expr::ScalarFunction(ScalarFunction { func, args })
                if matches!(func.name(), "least" | "greatest") =>
            {
                let args = args.into_iter().map(|arg| self.of(arg)).collect::<Result<_>>()?;
                Expr::ScalarFunction(ScalarFunction { func, args })
            }
            other => other,
        })
    }

    /// A column, or `value` where it has none; in the type that COALESCE gives to a column and a written number.
    fn column(&self, column: Expr, value: f64) -> Result<Expr> {
        let own = kind(&column, self.schema);
        let number = ScalarValue::Float64(Some(value));
        let narrow = own.is_integer() && widens(&own, &DataType::Int64);
        let of = |kind: &DataType| {
            let written = number.cast_to(kind).ok()?;
            let back = written.cast_to(&number.data_type()).ok()?;
            (back == number).then_some(written)
        };
        let kind = if narrow { DataType::Int64 } else { own.clone() };
        // A fraction among whole numbers makes them numbers with one.
        let value = of(&kind).unwrap_or(number.clone());
        let kind = value.data_type();
        let column = if kind == own { column } else { cast(column, kind) };
        when(self.is_value(column.clone()), column).otherwise(lit(value)).map_err(broken)
    }

    /// Whether an expression is a value: neither null nor NaN.
    fn is_value(&self, expr: Expr) -> Expr {
        match kind(&expr, self.schema).is_floating() {
            true => isnan(expr).is_false(),
            false => expr.is_not_null(),
        }
    }
}

/// Whether an expression has a value in every row, whatever the rows hold: neither null nor NaN.
///
/// INVARIANT: true for no expression that has none in some row; columns are taken to lack values.
pub(super) fn always(expr: &Expr, schema: &DFSchema) -> bool {
    !Absent::Null.may(expr, schema) && !Absent::Nan.may(expr, schema)
}

/// A column whose nulls count as a written number, in words.
pub(super) fn said(expr: &Expr, schema: &DFSchema) -> Option<String> {
    let Expr::Case(Case { expr: None, when_then_expr, else_expr: Some(value) }) = expr else {
        return None;
    };
    let [(when, then)] = when_then_expr.as_slice() else { return None };
    match (narrow(then, schema), value.as_ref()) {
        (Expr::Column(column), Expr::Literal(value, _))
            if excludes(when, then, Absent::Null, schema)
                && public_name(&column.name).is_none() =>
        {
            Some(format!("{}, null as {value}", column.name))
        }
        _ => None,
    }
}

/// A way not to be a value.
#[derive(Clone, Copy, PartialEq)]
enum Absent {
    Null,
    Nan,
}

impl Absent {
    /// Whether an expression may be this in some row.
    fn may(self, expr: &Expr, schema: &DFSchema) -> bool {
        let may = |expr: &Expr| self.may(expr, schema);
        if self == Self::Nan && !kind(expr, schema).is_floating() {
            return false;
        }
        if let Some(Logic::Null(_)) = Logic::of(expr) {
            return false;
        }
        match expr {
            Expr::Alias(alias) => may(&alias.expr),
            Expr::Literal(value, _) => match self {
                Self::Null => value.is_null(),
                Self::Nan => finite(expr, schema).is_none(),
            },
            Expr::Negative(inner) => may(inner),
            Expr::Cast(cast) => {
                let (from, to) = (kind(&cast.expr, schema), cast.field.data_type());
                !widens(&from, to) || may(&cast.expr)
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if computes(*op) => {
                may(left)
                    || may(right)
                    || (self == Self::Nan && !stays_number(left, *op, right, schema))
            }
            Expr::Case(Case { expr: None, when_then_expr, else_expr }) => {
                let branch = |(when, then): &(Box<Expr>, Box<Expr>)| {
                    may(then) && !(excludes(when, then, self, schema))
                };
                let rest = || match else_expr {
                    Some(rest) => may(rest),
                    None => self == Self::Null,
                };
                when_then_expr.iter().any(branch) || rest()
            }
            Expr::ScalarFunction(ScalarFunction { func, args }) => match func.name() {
                "coalesce" | "nvl" | "least" | "greatest" => match self {
                    Self::Null => args.iter().all(may),
                    Self::Nan => args.iter().any(may),
                },
                "nanvl" => match self {
                    Self::Null => args.iter().any(may),
                    Self::Nan => args.iter().skip(1).all(may),
                },
                _ => true,
            },
            _ => true,
        }
    }
}

/// Whether two numbers that are no NaN make none: an infinity less itself is one, and nought times it.
fn stays_number(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema) -> bool {
    let (left, right) = (finite(left, schema), finite(right, schema));
    let is_nonzero = |size: Option<Option<f64>>| size.flatten().is_some_and(|value| value != 0.0);
    match op {
        Operator::Plus | Operator::Minus => left.is_some() || right.is_some(),
        Operator::Multiply => {
            (left.is_some() && right.is_some()) || is_nonzero(left) || is_nonzero(right)
        }
        Operator::Divide => is_nonzero(right),
        _ => false,
    }
}

/// Whether an expression is a finite number or null in every row, and which it is where it is written.
fn finite(expr: &Expr, schema: &DFSchema) -> Option<Option<f64>> {
    match expr {
        Expr::Literal(value, _) => match value.cast_to(&DataType::Float64) {
            Ok(ScalarValue::Float64(Some(number))) => number.is_finite().then_some(Some(number)),
            _ => None,
        },
        Expr::Cast(cast) => {
            let from = kind(&cast.expr, schema);
            (from.is_integer() && widens(&from, cast.field.data_type())).then_some(None)
        }
        _ => None,
    }
}

/// Whether an operator makes a number of two.
const fn computes(op: Operator) -> bool {
    matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide)
}

/// Whether an expression cannot be absent in this way where a condition holds: a branch of CASE that is that of
/// COALESCE.
fn excludes(when: &Expr, then: &Expr, absent: Absent, schema: &DFSchema) -> bool {
    let is_it = |looked: &Expr| narrow(looked, schema) == narrow(then, schema);
    match when {
        Expr::IsNotNull(looked) => absent == Absent::Null && is_it(looked),
        // Of null it is null, which is not false.
        Expr::IsFalse(looked) => match looked.as_ref() {
            Expr::ScalarFunction(call) if call.func.name() == "isnan" => {
                matches!(call.args.as_slice(), [looked] if is_it(looked))
            }
            _ => false,
        },
        _ => false,
    }
}

/// An expression without casts that only widen it: it is null, or NaN, where they are.
fn narrow<'a>(mut expr: &'a Expr, schema: &DFSchema) -> &'a Expr {
    while let Expr::Cast(cast) = expr
        && widens(&kind(&cast.expr, schema), cast.field.data_type())
    {
        expr = &cast.expr;
    }
    expr
}
