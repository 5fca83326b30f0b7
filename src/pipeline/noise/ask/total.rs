//! Expressions that cannot fail, whatever the data hold: what may stand below an aggregation that is answered
//! with noise. An error would tell that a row is there, and no noise would be added to that. Each part must be
//! sure by itself, so that the engine may work them in any order.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::{Case, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, Volatility};

use super::below::broken;
use super::functions;
use super::joins::shown;
use super::patterns::compiled;
use crate::error::Result;
pub(super) use crate::pipeline::query::is_literal;
use crate::pipeline::query::{Logic, UNIT_COLUMN, guarded, refused, widens};

/// Checks an expression over the dataset's columns, and gives it with the guards that it needs: times that no
/// calendar has are null before anything is computed of them, and patterns are compiled.
///
/// # Errors
/// [`Code::NoisyOnly`](crate::error::Code::NoisyOnly), with what to write instead.
pub(super) fn total(expr: &Expr, schema: &DFSchema) -> Result<Expr> {
    check(expr, schema)?;
    let guarded = guarded(expr.clone(), schema).map_err(broken)?.ok_or_else(|| {
        refused(
            "times and roots are computed of one another too often: write fewer of them in one expression",
        )
    });
    compiled(guarded?)
}

/// The type of an expression that was checked; null where there is none.
pub(super) fn kind(expr: &Expr, schema: &DFSchema) -> DataType {
    expr.get_type(schema).unwrap_or(DataType::Null)
}

fn check(expr: &Expr, schema: &DFSchema) -> Result<()> {
    let all = |parts: &[&Expr]| parts.iter().try_for_each(|part| check(part, schema));
    if let Some(logic) = Logic::of(expr) {
        all(&logic.parts())?;
        return match logic {
            Logic::Of(_) | Logic::Null(_) => Ok(()),
            Logic::Compared(one, others) => {
                others.into_iter().try_for_each(|other| alike(one, other, schema))
            }
            Logic::Like(_, text) => pattern(text),
        };
    }
    match expr {
        Expr::Alias(alias) => check(&alias.expr, schema),
        Expr::Column(column) => {
            // PRIVACY: no statement can name the column of units; a plan that does is not ours.
            let here = column.name != UNIT_COLUMN && schema.has_column(column);
            if !here {
                return Err(not_told(&column.name));
            }
            if is_plain(&kind(expr, schema)) {
                return Ok(());
            }
            let text = format!(
                "`{}` holds lists or structures: these are not asked with noise",
                shown(&column.name)
            );
            Err(refused(&text))
        }
        Expr::Literal(..) | Expr::Placeholder(_) => Ok(()),
        Expr::Negative(inner) => {
            check(inner, schema)?;
            number(inner, schema)
        }
        Expr::BinaryExpr(binary) => {
            all(&[&binary.left, &binary.right])?;
            operator(binary, schema)
        }
        Expr::Case(Case { expr, when_then_expr, else_expr }) => {
            for (when, then) in when_then_expr {
                all(&[when, then])?;
                if let Some(base) = expr {
                    alike(base, when, schema)?;
                }
            }
            let rest = expr.iter().chain(else_expr).map(AsRef::as_ref);
            all(&rest.collect::<Vec<_>>())
        }
        Expr::Cast(cast) => {
            check(&cast.expr, schema)?;
            let (from, to) = (kind(&cast.expr, schema), cast.field.data_type());
            if is_literal(&cast.expr) || casts(&from, to) { Ok(()) } else { Err(refused(CAST)) }
        }
        Expr::TryCast(cast) => {
            check(&cast.expr, schema)?;
            let (from, to) = (kind(&cast.expr, schema), cast.field.data_type());
            if is_literal(&cast.expr) || casts(&from, to) || tries(&from, to) {
                Ok(())
            } else {
                Err(refused("a cast between these types is not answered with noise"))
            }
        }
        Expr::ScalarFunction(call) => function(call, schema),
        Expr::SimilarTo(_) => Err(refused("write `LIKE` or `~` instead of `SIMILAR TO`")),
        _ => Err(refused(
            "below an aggregation that is answered with noise stand columns, values, comparisons, CASE and functions",
        )),
    }
}

/// A column that is the unit's and does not leave, or none that is there.
fn not_told(name: &str) -> crate::error::Error {
    let name = shown(name);
    let text = format!(
        "`{name}` is the unit and does not leave: it is counted by `COUNT(DISTINCT \"{name}\")`, and nothing else"
    );
    refused(&text)
}

fn operator(binary: &BinaryExpr, schema: &DFSchema) -> Result<()> {
    let BinaryExpr { left, op, right } = binary;
    match op {
        Operator::RegexMatch
        | Operator::RegexIMatch
        | Operator::RegexNotMatch
        | Operator::RegexNotIMatch
        | Operator::LikeMatch
        | Operator::ILikeMatch
        | Operator::NotLikeMatch
        | Operator::NotILikeMatch => pattern(right),
        // Whole numbers wrap around, and are clamped afterwards.
        Operator::Plus | Operator::Minus | Operator::Multiply => {
            number(left, schema)?;
            number(right, schema)
        }
        Operator::Divide | Operator::Modulo => {
            number(left, schema)?;
            number(right, schema)?;
            let float = kind(left, schema).is_floating() && kind(right, schema).is_floating();
            if float || is_positive(right) { Ok(()) } else { Err(refused(DIVISION)) }
        }
        Operator::StringConcat => Err(refused(
            "texts are not put together below an aggregation: group by each of them instead",
        )),
        _ => Err(refused("this operator is not answered with noise")),
    }
}

fn function(call: &ScalarFunction, schema: &DFSchema) -> Result<()> {
    call.args.iter().try_for_each(|arg| check(arg, schema))?;
    if call.func.signature().volatility != Volatility::Immutable {
        return Err(refused("what changes with time or chance is not answered with noise"));
    }
    functions::check(call, schema)
}

fn pattern(expr: &Expr) -> Result<()> {
    if is_literal(expr) {
        Ok(())
    } else {
        Err(refused("a pattern is written in the statement: it is not a column"))
    }
}

/// Whether an expression is a number over zero, so that dividing by it cannot fail.
fn is_positive(expr: &Expr) -> bool {
    use datafusion::common::ScalarValue::{
        Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64,
    };
    match expr {
        Expr::Literal(value, _) => match value {
            Int8(Some(number)) => *number > 0,
            Int16(Some(number)) => *number > 0,
            Int32(Some(number)) => *number > 0,
            Int64(Some(number)) => *number > 0,
            UInt8(Some(number)) => *number > 0,
            UInt16(Some(number)) => *number > 0,
            UInt32(Some(number)) => *number > 0,
            UInt64(Some(number)) => *number > 0,
            _ => false,
        },
        _ => false,
    }
}

/// Refuses to compute with what is no number, or a decimal, which overflows.
fn number(expr: &Expr, schema: &DFSchema) -> Result<()> {
    let kind = kind(expr, schema);
    if kind.is_integer() || kind.is_floating() || kind.is_null() {
        Ok(())
    } else if kind.is_decimal() {
        Err(refused(
            "computing with decimals may overflow: write `CAST(... AS DOUBLE)` around them",
        ))
    } else {
        Err(refused(
            "times and texts are not computed with below an aggregation: compare the column with a value, as in `t > now() - INTERVAL '1 day'`, and take durations from a column of numbers",
        ))
    }
}

/// Refuses to compare what has not the same type once types are made to fit.
fn alike(one: &Expr, other: &Expr, schema: &DFSchema) -> Result<()> {
    let (one, other) = (kind(one, schema), kind(other, schema));
    if one == other || one.is_null() || other.is_null() || (is_text(&one) && is_text(&other)) {
        Ok(())
    } else {
        Err(refused(
            "two values of different types are compared: write the value in the column's type",
        ))
    }
}

/// Whether values of a type are single ones that are compared and grouped.
pub(super) fn is_plain(kind: &DataType) -> bool {
    use DataType::{
        Binary, BinaryView, Boolean, Date32, Date64, LargeBinary, Null, Time32, Time64,
    };
    kind.is_numeric()
        || is_text(kind)
        || matches!(
            kind,
            Null | Boolean
                | Date32
                | Date64
                | Time32(_)
                | Time64(_)
                | DataType::Timestamp(..)
                | Binary
                | BinaryView
                | LargeBinary
        )
}

pub(super) const fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8)
}

/// Whether a cast cannot fail on any value, or on none that [`guarded`] leaves.
fn casts(from: &DataType, to: &DataType) -> bool {
    use DataType::{Boolean, Date32, Timestamp};
    let counts = |kind: &DataType| kind.is_integer() || kind.is_floating();
    match (from, to) {
        (from, to) if widens(from, to) => true,
        (DataType::Null, to) => is_plain(to),
        (Boolean, to) => counts(to) || is_text(to),
        (from, to) if is_text(to) => counts(from),
        (Date32, Timestamp(_, None)) | (Timestamp(_, None), Date32) => true,
        (Timestamp(_, one), Timestamp(_, other)) => one == other,
        _ => false,
    }
}

/// Whether a cast gives null where it cannot give a value.
fn tries(from: &DataType, to: &DataType) -> bool {
    let simple = |kind: &DataType| {
        kind.is_integer() || kind.is_floating() || is_text(kind) || *kind == DataType::Boolean
    };
    match (from, to) {
        (from, to) if simple(from) && simple(to) => true,
        (DataType::Decimal128(..), to) => to.is_integer() || to.is_floating(),
        (from, DataType::Date32) => is_text(from),
        (from, DataType::Timestamp(unit, None)) => {
            is_text(from)
                && matches!(
                    unit,
                    TimeUnit::Second
                        | TimeUnit::Millisecond
                        | TimeUnit::Microsecond
                        | TimeUnit::Nanosecond
                )
        }
        _ => false,
    }
}

const CAST: &str =
    "a cast may fail on a value: write `TRY_CAST(... AS ...)`, which gives null there";
const DIVISION: &str = "a division of whole numbers may fail: divide by a number over zero, or write `CAST(... AS DOUBLE) / ...`";
