//! Aggregates over groups of enough units: which statements a grant of aggregates answers, and the bound
//! that is put into their plans. Adds no noise: what two answers tell together is beyond it, see
//! SECURITY.md.
//!
//! A statement must be one aggregation over one dataset. Below it stand comparisons of columns with
//! values, above it anything that computes with its groups. Between them this file puts a filter: only
//! groups with `group_min` distinct units go on, so that nothing above can see the others, neither by a
//! value, nor by an order or a limit, nor by an error.

use std::sync::Arc;

use datafusion::common::{Column, DFSchema, DataFusionError};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, Filter, LogicalPlan, LogicalPlanBuilder, Projection, SubqueryAlias,
    TableSource, lit,
};

use super::guard::guarded;
use super::logical::UNIT_COLUMN;
use super::{expand, hint};
use crate::error::{Code, Error, Result};
use crate::policy::plan::Plan;

mod casts;
mod columns;
mod conditions;

pub(super) use casts::cannot_fail;
pub(in crate::pipeline) use casts::widens;
use conditions::{computes, having};

const ALONE: &str =
    "a dataset that is granted as aggregates stands alone: no other tables, joins or subqueries";
/// How the columns that count units are called: no text can name them.
const UNITS: &str = "\u{0}units";

/// A table whose groups must be large enough.
pub(super) struct Counted {
    /// What leaves.
    pub(super) plan: Plan,
    /// The source with the column of units.
    pub(super) source: Arc<dyn TableSource>,
    /// The fewest units of a group.
    pub(super) group_min: u64,
}

/// Checks that a plan is one aggregation of an allowed shape, and puts the bound into it. The plan is as
/// the statement says it, before types are made to fit.
///
/// # Errors
/// [`Code::AggregatesOnly`].
pub(super) fn protect(plan: &LogicalPlan, counted: &Counted) -> Result<LogicalPlan> {
    let work = Protect { counted };
    let protected = work.above(plan)?;
    // Hidden columns end below a projection; a plan that shows one is not sent on.
    let names = |plan: &LogicalPlan| plan.schema().field_names();
    if names(&protected) == names(plan) {
        Ok(protected)
    } else {
        Err(refused("this shape of statement is not answered over aggregates"))
    }
}

fn refused(text: &str) -> Error {
    hint::error(Code::AggregatesOnly, text)
}

fn broken(cause: DataFusionError) -> Error {
    Error::new(Code::Internal, "a plan of aggregates cannot be made").because(cause)
}

struct Protect<'a> {
    counted: &'a Counted,
}

impl Protect<'_> {
    /// The plan from the top down to the aggregation, over an input that is protected.
    fn above(&self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        let input = match plan {
            LogicalPlan::Aggregate(aggregate) => return self.aggregate(aggregate),
            LogicalPlan::Projection(projection) => &projection.input,
            LogicalPlan::Sort(sort) => &sort.input,
            LogicalPlan::Limit(limit) => &limit.input,
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            LogicalPlan::Distinct(Distinct::All(input)) => input,
            LogicalPlan::Filter(filter) => {
                having(filter)?;
                &filter.input
            }
            LogicalPlan::TableScan(_) => return Err(self.rows()),
            other => return Err(refused(shape(other))),
        };
        computes(plan)?;
        let input = self.above(input)?;
        plan.with_new_exprs(plan.expressions(), vec![input]).map_err(broken)
    }

    /// The partner asks for rows.
    fn rows(&self) -> Error {
        let name = self.counted.plan.dataset();
        refused(&format!(
            "`{}` is granted as aggregates: ask for count, sum, avg, var or stddev, by groups",
            hint::short(name)
        ))
    }

    /// The aggregation, with its units counted, under the filter that holds small groups back.
    fn aggregate(&self, aggregate: &Aggregate) -> Result<LogicalPlan> {
        for key in &aggregate.group_expr {
            self.key(key, &aggregate.input)?;
        }
        let mut arguments = Vec::new();
        for call in &aggregate.aggr_expr {
            let Expr::AggregateFunction(call) = bare(call) else {
                return Err(refused("this aggregate function is not offered over aggregates"));
            };
            if let Some(argument) = self.call(call, &aggregate.input)?
                && !arguments.contains(&argument)
            {
                arguments.push(argument);
            }
        }
        let (input, unit) = self.below(&aggregate.input)?;
        let unit = Expr::Column(unit);

        // PRIVACY: a group leaves when it has enough units, and when each column of which it tells
        // something has a value for enough of them: the sum over a column that one person has a value in
        // is that person's value, however many stand beside them.
        let mut calls = aggregate.aggr_expr.clone();
        let mut bounds = Vec::new();
        let conditions = std::iter::once(None).chain(arguments.into_iter().map(Some));
        for (at, argument) in conditions.enumerate() {
            let name = format!("{UNITS}{at}");
            let there = argument.map(|column| Expr::Column(column).is_not_null());
            calls.push(units(unit.clone(), there).alias(&name));
            bounds.push(Expr::Column(Column::new_unqualified(name)).gt_eq(lit(self.least())));
        }
        // PRIVACY: a time that no calendar has would fail, also under a null, and tell that its row is there.
        let schema = aggregate.input.schema();
        let keys = aggregate.group_expr.iter().map(|key| safe(key, schema));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let grouped = Aggregate::try_new(Arc::new(input), keys, calls).map_err(broken)?;
        let grouped = LogicalPlan::Aggregate(grouped);
        let Some(bound) = bounds.into_iter().reduce(Expr::and) else {
            return Err(Error::new(Code::Internal, "a group without a bound"));
        };
        Ok(LogicalPlan::Filter(Filter::try_new(bound, Arc::new(grouped)).map_err(broken)?))
    }

    fn least(&self) -> i64 {
        // The loader takes no smaller bound; a plan from elsewhere gets none either.
        i64::try_from(self.counted.group_min.max(2)).unwrap_or(i64::MAX)
    }

    /// What stands below the aggregation, with the column of units, and what it is called there.
    fn below(&self, plan: &LogicalPlan) -> Result<(LogicalPlan, Column)> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                if scan.projection.is_some() || !scan.filters.is_empty() || scan.fetch.is_some() {
                    return Err(Error::new(Code::Internal, "a scan was changed before its time"));
                }
                let name = scan.table_name.clone();
                // A dataset that only an unused table of WITH names is not the one that is scanned.
                if name.schema().is_some()
                    || expand::dataset(name.table()) != self.counted.plan.dataset()
                {
                    return Err(refused(ALONE));
                }
                let scan =
                    LogicalPlanBuilder::scan(name.clone(), Arc::clone(&self.counted.source), None)
                        .and_then(LogicalPlanBuilder::build)
                        .map_err(broken)?;
                Ok((scan, Column::new(Some(name), UNIT_COLUMN)))
            }
            LogicalPlan::Filter(filter) => {
                self.condition(&filter.predicate, &filter.input)?;
                let (input, unit) = self.below(&filter.input)?;
                let filter =
                    Filter::try_new(filter.predicate.clone(), Arc::new(input)).map_err(broken)?;
                Ok((LogicalPlan::Filter(filter), unit))
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let (input, unit) = self.below(&alias.input)?;
                let name = alias.alias.clone();
                let alias =
                    SubqueryAlias::try_new(Arc::new(input), name.clone()).map_err(broken)?;
                Ok((LogicalPlan::SubqueryAlias(alias), Column::new(Some(name), unit.name)))
            }
            LogicalPlan::Projection(projection) => {
                if !projection.expr.iter().all(|expr| matches!(bare(expr), Expr::Column(_))) {
                    return Err(refused(
                        "below an aggregation columns are picked and named, not computed",
                    ));
                }
                let (input, unit) = self.below(&projection.input)?;
                let mut columns = projection.expr.clone();
                columns.push(Expr::Column(unit.clone()));
                let projection = Projection::try_new(columns, Arc::new(input)).map_err(broken)?;
                Ok((LogicalPlan::Projection(projection), unit))
            }
            LogicalPlan::Aggregate(_) => {
                Err(refused("an aggregation of an aggregation is not answered"))
            }
            LogicalPlan::Limit(_) | LogicalPlan::Sort(_) => {
                Err(refused("ORDER BY and LIMIT stand above an aggregation, not below it"))
            }
            LogicalPlan::Distinct(_) => Err(refused("write `GROUP BY` instead of `DISTINCT`")),
            other => Err(refused(shape(other))),
        }
    }
}

/// A key that fails on no value, under the name that it had.
fn safe(key: &Expr, schema: &DFSchema) -> Result<Expr> {
    let guarded = guarded(key.clone(), schema).map_err(broken)?;
    let guarded = guarded.ok_or_else(|| refused("the parts of a time are those of a column"))?;
    match guarded == *key {
        true => Ok(guarded),
        false if matches!(guarded, Expr::Alias(_)) => Ok(guarded),
        false => Ok(guarded.alias(key.schema_name().to_string())),
    }
}

/// The number of distinct units, of all rows or of those for which something holds. Null is no unit.
fn units(unit: Expr, holds: Option<Expr>) -> Expr {
    Expr::AggregateFunction(AggregateFunction::new_udf(
        count_udaf(),
        vec![unit],
        true,
        holds.map(Box::new),
        Vec::new(),
        None,
    ))
}

/// An expression without the names it is given.
pub(in crate::pipeline) fn bare(mut expr: &Expr) -> &Expr {
    while let Expr::Alias(alias) = expr {
        expr = &alias.expr;
    }
    expr
}

/// Why a node has no place in an aggregation.
fn shape(node: &LogicalPlan) -> &'static str {
    match node {
        LogicalPlan::Join(_) | LogicalPlan::Subquery(_) => ALONE,
        LogicalPlan::Union(_) => "set operations are not answered over aggregates",
        LogicalPlan::Window(_) => "window functions are not answered over aggregates",
        LogicalPlan::Unnest(_) => "lists are not answered over aggregates",
        LogicalPlan::Distinct(_) => "`DISTINCT ON` is not answered over aggregates",
        _ => {
            "a dataset that is granted as aggregates is asked by one aggregation, and nothing else"
        }
    }
}

#[cfg(test)]
mod tests;
