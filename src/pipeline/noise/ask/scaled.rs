//! Half-widths of what a statement makes of one noisy column and constants: another unit (`avg(x) / 3600`), a
//! percentage, a rounded number. Says nothing of what is made of two noisy columns, or of anything that is not a
//! straight line: there is no width that would hold at every value.

use arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::functions::math::expr_fn::{abs, power};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, cast, lit};

/// The half-width of an expression over columns of which `of` gives the half-widths; nothing where it is neither
/// such a column nor one moved, scaled or rounded by constants. What cuts or rounds adds the step that it cuts to,
/// so that the interval holds the number without noise before it was cut, too.
pub(super) fn width(
    expr: &Expr,
    schema: &DFSchema,
    of: &dyn Fn(&Column) -> Option<Column>,
) -> Option<Expr> {
    let inner = |expr: &Expr| width(expr, schema, of);
    let kind = |expr: &Expr| expr.get_type(schema).ok();
    match expr {
        Expr::Column(column) => of(column).map(Expr::Column),
        Expr::Alias(alias) => inner(&alias.expr),
        Expr::Negative(negative) => inner(negative),
        Expr::Cast(to) => {
            let width = inner(&to.expr)?;
            match to.field.data_type() {
                kind if kind.is_floating() => Some(width),
                kind if kind.is_integer() => Some(cut(width, lit(1.0))),
                _ => None,
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (noisy, constant) = match (is_constant(left), is_constant(right)) {
                (false, true) => (left, right),
                (true, false) if *op != Operator::Divide => (right, left),
                _ => return None,
            };
            let width = inner(noisy)?;
            let by = || abs(cast((**constant).clone(), DataType::Float64));
            match op {
                Operator::Plus | Operator::Minus => Some(width),
                Operator::Multiply => Some(width * by()),
                Operator::Divide if kind(expr)?.is_floating() => Some(width / by()),
                Operator::Divide if kind(expr)?.is_integer() => Some(cut(width / by(), lit(1.0))),
                _ => None,
            }
        }
        Expr::ScalarFunction(call) => match (call.func.name(), call.args.as_slice()) {
            ("round" | "floor" | "ceil" | "trunc", [noisy]) => Some(cut(inner(noisy)?, lit(1.0))),
            ("round" | "trunc", [noisy, digits]) if is_constant(digits) => {
                let digits = cast(digits.clone(), DataType::Float64);
                Some(cut(inner(noisy)?, power(lit(10.0), -digits)))
            }
            _ => None,
        },
        _ => None,
    }
}

fn cut(width: Expr, step: Expr) -> Expr {
    width + step
}

/// Whether a number that the statement writes, or one computed from such numbers alone.
fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => {
            value.data_type().is_numeric() || matches!(value, ScalarValue::Null)
        }
        Expr::Placeholder(_) => true,
        Expr::Alias(alias) => is_constant(&alias.expr),
        Expr::Cast(cast) => is_constant(&cast.expr),
        Expr::Negative(inner) => is_constant(inner),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide)
                && is_constant(left)
                && is_constant(right)
        }
        _ => false,
    }
}
