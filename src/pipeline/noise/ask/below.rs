//! What stands below the one aggregation of a statement, written out: conditions and columns as expressions
//! over the dataset's own columns, and those of public tables beside them, whatever names and steps the
//! statement gave them. Decides nothing about what may be asked but the shape.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef, DataFusionError, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::execution::context::{ExecutionProps, SessionState};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use super::joins::{self, WithPublic};
use crate::error::{Code, Error, Hint, Result};
use crate::pipeline::query::{Beside, Joined, Lookup, Public, Table, UNIT_COLUMN, refused};
use crate::policy::privacy::{Bounds, DpGrant};

/// How many operations an expression may stand for. A `CASE` has them done for some rows and not for others, so
/// the time that they take tells of these.
const OPERATIONS_MAX: usize = 2_000;

/// The rows that an aggregation is of.
pub(super) struct Below {
    /// The public tables that the dataset is joined with, in an order of their own.
    pub(super) joins: Vec<Arc<Lookup>>,
    /// The bounds of columns: those of the grant, and those of public tables.
    pub(super) bounds: BTreeMap<String, Bounds>,
    dataset: Arc<dyn TableProvider>,
    /// The scan of the dataset, with its column of units.
    pub(super) scan: LogicalPlan,
    /// What the aggregation calls its columns.
    input: DFSchemaRef,
    /// What each of them is, over the scan.
    columns: Vec<Expr>,
    /// Which rows there are: all of these hold.
    pub(super) conditions: Vec<Expr>,
    name: TableReference,
    simplifier: ExprSimplifier,
    props: ExecutionProps,
}

/// The columns of a step, and the conditions and joins so far.
pub(super) struct Step {
    pub(super) name: TableReference,
    pub(super) columns: Vec<Expr>,
    pub(super) conditions: Vec<Expr>,
    pub(super) joins: Vec<WithPublic>,
}

/// What stands at one side of a join.
pub(super) enum Side {
    /// Rows of the dataset.
    Rows(Step),
    /// A public table as it is.
    Public(Arc<Public>),
}

impl Below {
    /// Writes out what an aggregation is of.
    ///
    /// # Errors
    /// [`Code::NoisyOnly`] where it is more than rows of one dataset, chosen one by one.
    pub(super) fn of(
        aggregate: &Aggregate,
        table: &Table,
        grant: &DpGrant,
        state: &SessionState,
    ) -> Result<Self> {
        let Side::Rows(step) = walk(&aggregate.input, table, &grant.unit)? else {
            return Err(refused(ALONE));
        };
        let Step { name, columns, conditions, joins } = step;
        let joins = WithPublic::ready(joins)?;
        let mut bounds = grant.bounds.clone();
        bounds.extend(joins::bounds(&joins));
        let dataset = Arc::clone(&table.provider);
        let scan = scan(&name, &dataset, joins.clone(), Vec::new())?;
        let mut props = state.execution_props().clone();
        props.config_options = Some(Arc::clone(state.config_options()));
        let context = SimplifyContext::builder()
            .with_schema(Arc::clone(scan.schema()))
            .with_config_options(Arc::clone(state.config_options()))
            .with_query_execution_start_time(state.execution_props().query_execution_start_time)
            .build();
        Ok(Self {
            joins,
            bounds,
            dataset,
            scan,
            input: Arc::clone(aggregate.input.schema()),
            columns,
            conditions,
            name,
            simplifier: ExprSimplifier::new(context),
            props,
        })
    }

    /// An expression of the aggregation over the dataset's columns.
    pub(super) fn written_out(&self, expr: &Expr) -> Result<Expr> {
        written_out(expr, &self.input, &self.columns)
    }

    /// The same expression with what is known of it worked out: all that runs, and all that statements are
    /// compared by, went through here.
    ///
    /// # Errors
    /// [`Code::SqlInvalid`] where a value of the statement's own cannot be computed.
    pub(super) fn simple(&self, expr: Expr) -> Result<Expr> {
        self.simplifier.simplify(expr).map_err(|error| {
            let hint = "a value that the statement writes does not fit what it is compared or computed with: \
                        information_schema.columns has the types";
            Error::new(Code::SqlInvalid, "a value of the statement cannot be computed")
                .hinting(Hint::new(hint))
                .because(error)
        })
    }

    /// The schema of the scan.
    pub(super) fn schema(&self) -> &DFSchemaRef {
        self.scan.schema()
    }

    /// The scan with more lookups behind those of the joins, and columns of numbers beside it.
    pub(super) fn scan_with(
        &self,
        more: &[Arc<Lookup>],
        beside: Vec<Beside>,
    ) -> Result<LogicalPlan> {
        if more.is_empty() && beside.is_empty() {
            return Ok(self.scan.clone());
        }
        scan(&self.name, &self.dataset, [&self.joins, more].concat(), beside)
    }

    /// What the scan is called.
    pub(super) const fn name(&self) -> &TableReference {
        &self.name
    }

    /// What expressions are worked with.
    pub(super) const fn props(&self) -> &ExecutionProps {
        &self.props
    }

    /// A column of the scan.
    pub(super) fn column(&self, name: &str) -> Expr {
        Expr::Column(Column::new(Some(self.name.clone()), name))
    }

    /// The column of units.
    pub(super) fn unit(&self) -> Expr {
        self.column(UNIT_COLUMN)
    }
}

/// The scan of the dataset, with public tables beside it where there are any.
fn scan(
    name: &TableReference,
    dataset: &Arc<dyn TableProvider>,
    lookups: Vec<Arc<Lookup>>,
    beside: Vec<Beside>,
) -> Result<LogicalPlan> {
    let provider: Arc<dyn TableProvider> = match lookups.is_empty() {
        true => Arc::clone(dataset),
        false => Arc::new(Joined::new(Arc::clone(dataset), lookups, beside)),
    };
    LogicalPlanBuilder::scan(name.clone(), provider_as_source(provider), None)
        .and_then(LogicalPlanBuilder::build)
        .map_err(broken)
}

fn rows(side: Side) -> Result<Step> {
    match side {
        Side::Rows(step) => Ok(step),
        Side::Public(_) => Err(refused(ALONE)),
    }
}

fn walk(plan: &LogicalPlan, table: &Table, unit: &str) -> Result<Side> {
    let walk = |plan: &LogicalPlan| walk(plan, table, unit);
    let step = match plan {
        LogicalPlan::TableScan(scan) => {
            if scan.projection.is_some() || !scan.filters.is_empty() || scan.fetch.is_some() {
                return Err(Error::new(Code::Internal, "a scan was changed before its time"));
            }
            let name = scan.table_name.clone();
            // The dataset's own name has no schema in a plan.
            if name.schema().is_some() {
                let public = table.public(name.table()).cloned();
                let none = || Error::new(Code::Internal, "a scan of no table that is known");
                return public.map(Side::Public).ok_or_else(none);
            }
            let column = |name: &TableReference, field: &str| {
                Expr::Column(Column::new(Some(name.clone()), field))
            };
            let fields = scan.projected_schema.fields().iter();
            let columns = fields.map(|field| column(&name, field.name())).collect();
            Step { name, columns, conditions: Vec::new(), joins: Vec::new() }
        }
        LogicalPlan::SubqueryAlias(alias) => return walk(&alias.input),
        LogicalPlan::Join(join) => {
            let (left, right) = (walk(&join.left)?, walk(&join.right)?);
            joins::joined(join, left, right, table, unit)?
        }
        LogicalPlan::Filter(filter) => {
            let mut step = rows(walk(&filter.input)?)?;
            let predicate = written_out(&filter.predicate, filter.input.schema(), &step.columns)?;
            step.conditions.push(predicate);
            step
        }
        LogicalPlan::Projection(projection) => {
            let mut step = rows(walk(&projection.input)?)?;
            let out = |expr| written_out(expr, projection.input.schema(), &step.columns);
            step.columns = projection.expr.iter().map(out).collect::<Result<_>>()?;
            step
        }
        LogicalPlan::Values(_) => return Err(refused(joins::DATASETS)),
        other => return Err(refused(shape(other))),
    };
    Ok(Side::Rows(step))
}

/// An expression whose columns are replaced by what they stand for, without names that are given in it.
pub(super) fn written_out(expr: &Expr, schema: &DFSchemaRef, columns: &[Expr]) -> Result<Expr> {
    row_by_row(expr)?;
    let mut lost = false;
    let replaced = expr.clone().transform_up(|part| {
        Ok(match part {
            Expr::Column(column) => {
                let at = schema.maybe_index_of_column(&column);
                match at.and_then(|at| columns.get(at)) {
                    Some(expr) => Transformed::yes(expr.clone()),
                    None => {
                        lost = true;
                        Transformed::no(Expr::Column(column))
                    }
                }
            }
            Expr::Alias(alias) => Transformed::yes(*alias.expr),
            other => Transformed::no(other),
        })
    });
    let replaced = replaced.map_err(broken)?.data;
    if lost {
        return Err(Error::new(Code::Internal, "a column is not one of its input's"));
    }
    if operations(&replaced)? > OPERATIONS_MAX {
        return Err(refused(&format!(
            "an expression stands for more than {OPERATIONS_MAX} operations once its columns are written out: compute in fewer steps"
        )));
    }
    Ok(replaced)
}

/// How many operations and functions there are in an expression.
fn operations(expr: &Expr) -> Result<usize> {
    let mut count = 0_usize;
    let walked = expr.apply(|part| {
        count += usize::from(!matches!(part, Expr::Column(_) | Expr::Literal(..)));
        Ok(TreeNodeRecursion::Continue)
    });
    walked.map_err(broken)?;
    Ok(count)
}

/// Refuses an expression that looks at more than one row.
pub(super) fn row_by_row(expr: &Expr) -> Result<()> {
    let mut beyond = None;
    let walked = expr.apply(|part| {
        beyond = match part {
            Expr::Exists(_)
            | Expr::InSubquery(_)
            | Expr::ScalarSubquery(_)
            | Expr::SetComparison(_)
            | Expr::OuterReferenceColumn(..) => Some(SUBQUERY),
            Expr::WindowFunction(_) => Some(WINDOW),
            Expr::AggregateFunction(_) => Some(NESTED),
            Expr::Unnest(_) => Some(LISTS),
            Expr::GroupingSet(_) => Some(SETS),
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        Ok(TreeNodeRecursion::Stop)
    });
    walked.map_err(broken)?;
    beyond.map_or(Ok(()), |text| Err(refused(text)))
}

pub(super) const SUBQUERY: &str =
    "subqueries in expressions are not answered with noise: ask first, and write the value";
pub(super) const WINDOW: &str = "window functions are not answered with noise: write `GROUP BY`, and order or number the answer yourself";
pub(super) const NESTED: &str = "an aggregation of an aggregation is not answered with noise: ask the inner one, and compute with its answer";
const LISTS: &str = "lists are not answered with noise: name single values";
pub(super) const SETS: &str =
    "GROUPING SETS, ROLLUP and CUBE are not answered with noise: ask one `GROUP BY` at a time";
pub(super) const DISTINCT: &str =
    "write `GROUP BY` with `COUNT(*)` instead of `DISTINCT`: values that many have are counted";
const JOIN: &str = "answers with noise are not joined: join the dataset with its public tables below the one aggregation";
const ALONE: &str = "a public table stands as it is beside the dataset, in `FROM dataset JOIN public_table ON ...`: conditions stand in `WHERE`; alone it is asked without the dataset";
const UNION: &str = "set operations are not answered with noise: ask each side by itself";

/// Why a node has no place below or above an aggregation.
pub(super) fn shape(node: &LogicalPlan) -> &'static str {
    match node {
        LogicalPlan::Join(_) => JOIN,
        LogicalPlan::Subquery(_) => SUBQUERY,
        LogicalPlan::Union(_) => UNION,
        LogicalPlan::Window(_) => WINDOW,
        LogicalPlan::Unnest(_) => LISTS,
        LogicalPlan::Distinct(_) => DISTINCT,
        LogicalPlan::Aggregate(_) => NESTED,
        LogicalPlan::Limit(_) | LogicalPlan::Sort(_) => {
            "ORDER BY and LIMIT stand above the aggregation, not below it: choose rows by `WHERE`"
        }
        _ => {
            "write one aggregation over the dataset: `SELECT COUNT(*) FROM dataset WHERE ... GROUP BY ...`"
        }
    }
}

/// A plan of ours that the engine does not take.
pub(super) fn broken(cause: DataFusionError) -> Error {
    Error::new(Code::Internal, "a plan of noisy aggregates cannot be made").because(cause)
}
