//! What making types fit may put into a protected plan: only casts that cannot fail on a value. Knows nothing of
//! groups.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::conditions::is_value;
use super::{broken, refused};
use crate::error::Result;

/// Refuses a protected plan in which making types fit put something that can fail on a value: whether it
/// fails would tell of rows in groups that are too small. The plan's types are made to fit.
///
/// # Errors
/// [`Code::AggregatesOnly`](crate::error::Code::AggregatesOnly).
pub(in crate::pipeline::query) fn cannot_fail(plan: &LogicalPlan) -> Result<()> {
    let mut fails = false;
    let walked = plan.apply(|node| {
        // What projections and sorts compute, they compute of groups that are large enough.
        if matches!(node, LogicalPlan::Filter(_) | LogicalPlan::Aggregate(_)) {
            node.apply_expressions(|expr| {
                expr.apply(|part| {
                    if let Expr::Cast(cast) = part
                        && !is_value(&cast.expr)
                    {
                        let inputs = node.inputs();
                        let from = inputs.first().and_then(|input| cast.expr.get_type_of(input));
                        fails |= !from.is_some_and(|from| widens(&from, cast.field.data_type()));
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    });
    walked.map_err(broken)?;
    if fails {
        return Err(refused(
            "a column is compared with a value of another type: write the value in the column's type",
        ));
    }
    Ok(())
}

/// The type of an expression over a plan.
pub(super) trait TypeOf {
    fn get_type_of(&self, input: &LogicalPlan) -> Option<DataType>;
}

impl TypeOf for Expr {
    fn get_type_of(&self, input: &LogicalPlan) -> Option<DataType> {
        use datafusion::logical_expr::ExprSchemable;
        self.get_type(input.schema()).ok()
    }
}

/// Whether every value of a type is one of the other, so that a cast cannot fail.
pub(in crate::pipeline) fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType::{
        Binary, BinaryView, Date32, Decimal32, Decimal64, Decimal128, Float32, Float64, Int8,
        Int16, Int32, Int64, LargeBinary, LargeUtf8, UInt8, UInt16, UInt32, UInt64, Utf8, Utf8View,
    };
    match (from, to) {
        (from, to) if from == to => true,
        (Utf8 | Utf8View | LargeUtf8, Utf8 | Utf8View | LargeUtf8)
        | (Binary | BinaryView | LargeBinary, Binary | BinaryView | LargeBinary)
        | (
            Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 | Float32
            | Decimal32(..) | Decimal64(..) | Decimal128(..),
            Float64,
        )
        | (Int8, Int16 | Int32 | Int64)
        | (Int16, Int32 | Int64)
        | (Int32, Int64)
        | (UInt8, UInt16 | UInt32 | UInt64 | Int16 | Int32 | Int64)
        | (UInt16, UInt32 | UInt64 | Int32 | Int64)
        | (UInt32, UInt64 | Int64)
        | (Date32, DataType::Date64) => true,
        (Int8 | UInt8, Decimal128(digits, scale)) => fits(*digits, *scale, 3),
        (Int16 | UInt16, Decimal128(digits, scale)) => fits(*digits, *scale, 5),
        (Int32 | UInt32, Decimal128(digits, scale)) => fits(*digits, *scale, 10),
        (Int64 | UInt64, Decimal128(digits, scale)) => fits(*digits, *scale, 20),
        (Decimal128(digits, scale), Decimal128(more, finer)) => {
            finer >= scale
                && i16::from(*more) - i16::from(*finer) >= i16::from(*digits) - i16::from(*scale)
        }
        _ => false,
    }
}

/// Whether a decimal has room for whole numbers of so many digits.
fn fits(digits: u8, scale: i8, whole: i16) -> bool {
    scale >= 0 && i16::from(digits) - i16::from(scale) >= whole
}
