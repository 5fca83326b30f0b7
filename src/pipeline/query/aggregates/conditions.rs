//! Conditions and computations that may stand around an aggregation: comparisons, which cannot fail, and nothing
//! that looks beyond the groups. Which columns may be compared is in [`super::columns`].

use datafusion::common::Column;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{
    Between, BinaryExpr, Distinct, Expr, Filter, Like, LogicalPlan, Operator,
};

use super::{bare, broken, refused};
use crate::error::Result;

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
    match bare(condition) {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
            let mut columns = simple(left, among)?;
            columns.extend(simple(right, among)?);
            Ok(columns)
        }
        Expr::Not(inner)
        | Expr::IsTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsUnknown(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsNotFalse(inner)
        | Expr::IsNotUnknown(inner) => simple(inner, among),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let compares = matches!(
                op,
                Operator::Eq
                    | Operator::NotEq
                    | Operator::Lt
                    | Operator::LtEq
                    | Operator::Gt
                    | Operator::GtEq
                    | Operator::IsDistinctFrom
                    | Operator::IsNotDistinctFrom
            );
            match (bare(left), bare(right)) {
                _ if !compares => Err(only()),
                (Expr::Column(one), Expr::Column(other)) if among => {
                    Ok(vec![one.clone(), other.clone()])
                }
                (Expr::Column(_), value) => one(left, &[value]),
                (value, _) => one(right, &[value]),
            }
        }
        Expr::IsNull(inner) | Expr::IsNotNull(inner) => one(inner, &[]),
        Expr::Between(Between { expr, low, high, .. }) => one(expr, &[low, high]),
        Expr::InList(InList { expr, list, .. }) => one(expr, &list.iter().collect::<Vec<_>>()),
        Expr::Like(Like { expr, pattern, .. }) => one(expr, &[pattern]),
        // A column of flags, or a condition that holds for all rows or for none.
        Expr::Column(column) => Ok(vec![column.clone()]),
        value if is_value(value) => Ok(Vec::new()),
        _ => Err(only()),
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
