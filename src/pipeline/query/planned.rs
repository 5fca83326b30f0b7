//! A planned query: what it answers, how it can be split, and what it reads. Plans nothing and runs
//! nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan, Volatility};
use datafusion::physical_plan::ExecutionPlan;

use super::View;
use super::logical::Logical;
use super::view::ViewTable;
use crate::error::{Code, Error, Result};
use crate::pipeline::stream::rowless;
use crate::pipeline::transform::column::canonical;

/// The keys of metadata that leave: how a column was protected, and what local noise in it needs to be read.
const TOLD: [&str; 3] = ["veilflight.protection", "veilflight.local.", "veilflight.rappor."];

/// A planned query.
#[derive(Clone)]
pub struct Query(pub(super) Arc<Planned>);

/// What is known of a planned query.
pub(super) struct Planned {
    pub(super) schema: SchemaRef,
    pub(super) parameters: SchemaRef,
    pub(super) ordered: bool,
    pub(super) reads: Vec<(String, Vec<String>)>,
    pub(super) views: Vec<View>,
    pub(super) work: Work,
    /// What the plan is run in.
    pub(super) state: SessionState,
}

/// How the answer is made.
pub(super) enum Work {
    /// Columns of one view, picked and named: done as a plain pull, a shard an endpoint.
    Direct { view: Box<View>, columns: Vec<usize> },
    /// Each row from one row of one view: done shard by shard.
    ByRow { plan: Arc<dyn ExecutionPlan>, shards: u32 },
    /// All else.
    Whole(Arc<dyn ExecutionPlan>),
    /// Parameters are open: it can be described and not run.
    Open,
}

impl Query {
    /// The exact schema of the answer, in plain types ([`super::super::format::Format::schema`] gives that of
    /// the wire).
    pub fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    /// The types of the parameters, in order, named `$1`, `$2`, ... Empty where there are none.
    pub fn parameters(&self) -> &SchemaRef {
        &self.0.parameters
    }

    /// Into how many endpoints the answer may be split: more than one only where each row of the answer
    /// is made from one row of one dataset.
    pub fn shards(&self) -> u32 {
        match &self.0.work {
            Work::Direct { view, .. } => view.snapshot.shards(),
            Work::ByRow { shards, .. } => *shards,
            Work::Whole(_) | Work::Open => 1,
        }
    }

    /// Whether each row of the answer is made from one row of one dataset, so that its streams are pulls.
    pub fn is_by_row(&self) -> bool {
        matches!(self.0.work, Work::Direct { .. } | Work::ByRow { .. })
    }

    /// Whether the order of rows means something.
    pub fn ordered(&self) -> bool {
        self.0.ordered
    }

    /// What is read: columns by dataset, both by name.
    pub fn reads(&self) -> Vec<(String, Vec<String>)> {
        self.0.reads.clone()
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query")
            .field("schema", &self.0.schema)
            .field("reads", &self.0.reads)
            .finish_non_exhaustive()
    }
}

/// What kind of work a checked and optimized plan asks for.
pub(super) enum Shape {
    Direct { view: Box<View>, columns: Vec<usize> },
    ByRow { view: Box<View> },
    Whole,
}

impl Shape {
    /// Of an optimized plan. One that `asks_the_time` is not split: its endpoints are asked one after the
    /// other, and would not agree.
    ///
    /// # Errors
    /// [`Code::AggregatesOnly`] and [`Code::NoisyOnly`] where each row would be made from one row of what is
    /// granted as aggregates or with noise.
    pub(super) fn of(plan: &LogicalPlan, asks_the_time: bool) -> Result<Self> {
        let shape = if let Some((view, columns)) = direct(plan) {
            Self::Direct { view: Box::new(view), columns }
        } else if let Some(view) = by_row(plan) {
            Self::ByRow { view: Box::new(view) }
        } else {
            Self::Whole
        };
        if let Self::Direct { view, .. } | Self::ByRow { view } = &shape
            && let Some(refused) = rowless(view.plan.access())
        {
            // PRIVACY: the guard lets no such plan through. This is the last door before the rows.
            return Err(refused);
        }
        match shape {
            Self::ByRow { .. } if asks_the_time => Ok(Self::Whole),
            shape => Ok(shape),
        }
    }
}

/// The view of a scan; none where the scan is of names.
fn view_of(scan: &TableScan) -> Option<View> {
    let provider = source_as_provider(&scan.source).ok()?;
    provider.downcast_ref::<ViewTable>().map(|table| table.view().clone())
}

/// The columns of one view that a plan picks, where it does nothing else.
fn direct(plan: &LogicalPlan) -> Option<(View, Vec<usize>)> {
    match plan {
        LogicalPlan::TableScan(scan) if scan.filters.is_empty() && scan.fetch.is_none() => {
            let view = view_of(scan)?;
            let all = view.plan.columns().len();
            let columns = scan.projection.clone().unwrap_or_else(|| (0..all).collect());
            // The column of units is none of the plan's, and leaves by no way.
            columns.iter().all(|column| *column < all).then_some((view, columns))
        }
        LogicalPlan::SubqueryAlias(alias) => direct(&alias.input),
        LogicalPlan::Projection(projection) => {
            let (view, input) = direct(&projection.input)?;
            let names = projection.input.schema();
            let column = |expr: &Expr| match bare(expr) {
                Expr::Column(column) => input.get(names.maybe_index_of_column(column)?).copied(),
                _ => None,
            };
            let columns = projection.expr.iter().map(column).collect::<Option<Vec<_>>>()?;
            Some((view, columns))
        }
        _ => None,
    }
}

/// An expression without the names it is given.
fn bare(mut expr: &Expr) -> &Expr {
    while let Expr::Alias(alias) = expr {
        expr = &alias.expr;
    }
    expr
}

/// The one view of a plan that looks at one row at a time.
fn by_row(plan: &LogicalPlan) -> Option<View> {
    let input = match plan {
        LogicalPlan::TableScan(scan) if scan.fetch.is_none() => return view_of(scan),
        LogicalPlan::SubqueryAlias(alias) => &alias.input,
        LogicalPlan::Projection(projection) => &projection.input,
        LogicalPlan::Filter(filter) => &filter.input,
        _ => return None,
    };
    let alone = plan.expressions().iter().all(|expr| {
        let beyond = expr.exists(|part| {
            Ok(match part {
                Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
                | Expr::AggregateFunction(_)
                | Expr::WindowFunction(_)
                | Expr::Unnest(_) => true,
                // The endpoints of one answer are asked at different times.
                Expr::ScalarFunction(call) => {
                    call.func.signature().volatility != Volatility::Immutable
                }
                _ => false,
            })
        });
        matches!(beyond, Ok(false))
    });
    if alone { by_row(input) } else { None }
}

/// Whether the order of the answer's rows was asked for.
pub(super) fn is_ordered(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Projection(projection) => is_ordered(&projection.input),
        LogicalPlan::Limit(limit) => is_ordered(&limit.input),
        LogicalPlan::SubqueryAlias(alias) => is_ordered(&alias.input),
        LogicalPlan::Filter(filter) => is_ordered(&filter.input),
        _ => false,
    }
}

/// The columns that a plan reads, by dataset.
pub(super) fn reads(plan: &LogicalPlan) -> Result<Vec<(String, Vec<String>)>> {
    let mut reads: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut see = |scan: &TableScan| {
        let Some(view) = view_of(scan) else { return };
        let columns = view.plan.columns();
        let all = || (0..columns.len()).collect();
        let places = scan.projection.clone().unwrap_or_else(all);
        let named = reads.entry(view.plan.dataset().to_owned()).or_default();
        named.extend(places.iter().filter_map(|at| Some(columns.get(*at)?.name.clone())));
        let filters = scan.filters.iter().flat_map(|filter| filter.column_refs());
        named.extend(filters.map(|column| column.name.clone()));
    };
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            see(scan);
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(|_| Error::new(Code::Internal, "a plan cannot be walked"))?;
    Ok(reads.into_iter().map(|(name, columns)| (name, columns.into_iter().collect())).collect())
}

/// The schema of an answer: plain types, and of metadata how a column was protected. A column may be null
/// where either plan says so.
pub(super) fn answer(logical: &Logical, physical: Option<&SchemaRef>) -> Result<SchemaRef> {
    let fields = logical.plan.schema().fields().iter().enumerate().map(|(at, field)| {
        let Some(physical) = physical else { return Ok(plain(field, field)) };
        let other = physical.fields().get(at).ok_or_else(|| {
            Error::new(Code::Internal, "the plans of a statement differ in their columns")
        })?;
        Ok(plain(field, other))
    });
    let fields = fields.collect::<Result<Vec<FieldRef>>>()?;
    if physical.is_some_and(|physical| physical.fields().len() != fields.len()) {
        return Err(Error::new(
            Code::Internal,
            "the plans of a statement differ in their number of columns",
        ));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// A field of the answer, by how it is named and by how it runs.
fn plain(named: &Field, runs: &Field) -> FieldRef {
    let nullable = named.is_nullable() || runs.is_nullable();
    let told =
        named.metadata().iter().filter(|(key, _)| TOLD.iter().any(|own| key.starts_with(own)));
    let metadata = told.map(|(key, value)| (key.clone(), value.clone())).collect();
    let kind = canonical(runs.data_type());
    Arc::new(Field::new(named.name(), kind, nullable).with_metadata(metadata))
}
