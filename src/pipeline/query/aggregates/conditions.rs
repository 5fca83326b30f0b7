//! Conditions and computations that may stand around an aggregation: comparisons, which cannot fail, and nothing
//! that looks beyond the groups. Which columns may be compared is in [`super::columns`].

use datafusion::common::Column;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Distinct, Expr, Filter, LogicalPlan};

use super::{bare, broken, refused};
use crate::error::Result;
use crate::pipeline::query::Logic;

/// Whether an expression is a value that the statement itself says: it depends on no row.
pub(super) fn is_value(expr: &Expr) -> bool {
    let mut value = true;
    let walked = expr.apply(|part| {
        value &= matches!(
            part,
            Expr::Literal(..)
                | Expr::Placeholder(_)
                | Expr::Alias(_)
                | Expr::Cast(_)
                | Expr::TryCast(_)
                | Expr::Negative(_)
                | Expr::BinaryExpr(_)
                | Expr::ScalarFunction(_)
        );
        Ok(if value { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    walked.is_ok() && value
}

/// Refuses a condition above an aggregation that could fail on a group, or see one that is too small.
///
/// PRIVACY: the optimizer may work it together with the bound, or below the aggregation. So it is made of
/// comparisons, which cannot fail, and of columns that nothing was computed for.
pub(super) fn having(filter: &Filter) -> Result<()> {
    simple(&filter.predicate, true)?;
    let mut input = filter.input.as_ref();
    loop {
        input = match input {
            LogicalPlan::Aggregate(_) => return Ok(()),
            LogicalPlan::Projection(projection) => {
                if !projection.expr.iter().all(|expr| matches!(bare(expr), Expr::Column(_))) {
                    return Err(refused(
                        "conditions on groups compare aggregates and keys as they are",
                    ));
                }
                &projection.input
            }
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            LogicalPlan::Filter(filter) => &filter.input,
            LogicalPlan::Sort(sort) => &sort.input,
            LogicalPlan::Limit(limit) => &limit.input,
            LogicalPlan::Distinct(Distinct::All(input)) => input,
            // Not an aggregation at all; the walk says so.
            _ => return Ok(()),
        };
    }
}

/// The columns of a condition that is made of comparisons with values, and `among` columns where allowed.
pub(super) fn simple(condition: &Expr, among: bool) -> Result<Vec<Column>> {
    let only = || {
        refused(
            "conditions compare columns with values: =, <, IN, BETWEEN, LIKE, IS NULL, and AND, OR, NOT",
        )
    };
    let one = |expr: &Expr, values: &[&Expr]| match bare(expr) {
        Expr::Column(column) if values.iter().all(|value| is_value(value)) => {
            Ok(vec![column.clone()])
        }
        _ => Err(only()),
    };
    let condition = bare(condition);
    match Logic::of(condition) {
        Some(Logic::Of(parts)) => {
            let columns = parts.into_iter().map(|part| simple(part, among));
            Ok(columns.collect::<Result<Vec<_>>>()?.concat())
        }
        Some(Logic::Compared(left, others)) => match (bare(left), others.as_slice()) {
            (Expr::Column(left), [right]) if among && matches!(bare(right), Expr::Column(_)) => {
                Ok([vec![left.clone()], one(right, &[])?].concat())
            }
            (Expr::Column(_), values) => one(left, values),
            (value, [right]) => one(right, &[value]),
            _ => Err(only()),
        },
        Some(Logic::Null(inner)) => one(inner, &[]),
        Some(Logic::Like(text, pattern)) => one(text, &[pattern]),
        None => match condition {
            // A column of flags, or a condition that holds for all rows or for none.
            Expr::Column(column) => Ok(vec![column.clone()]),
            value if is_value(value) => Ok(Vec::new()),
            _ => Err(only()),
        },
    }
}

/// Refuses what looks beyond the groups that a node is given.
pub(super) fn computes(node: &LogicalPlan) -> Result<()> {
    let mut beyond = None;
    let walked = node.apply_expressions(|expr| {
        expr.apply(|part| {
            beyond = match part {
                Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::ScalarSubquery(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..) => {
                    Some("subqueries are not answered over aggregates")
                }
                Expr::WindowFunction(_) => {
                    Some("window functions are not answered over aggregates")
                }
                Expr::AggregateFunction(_) => {
                    Some("an aggregation of an aggregation is not answered")
                }
                Expr::Unnest(_) => Some("lists are not answered over aggregates"),
                _ => return Ok(TreeNodeRecursion::Continue),
            };
            Ok(TreeNodeRecursion::Stop)
        })
    });
    walked.map_err(broken)?;
    beyond.map_or(Ok(()), |text| Err(refused(text)))
}
