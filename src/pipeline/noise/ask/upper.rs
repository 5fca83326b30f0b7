//! What a statement does with its groups: the part of its plan above the aggregation, put over a noisy answer.
//! Aggregates that leave as they are, or times and plus constants (`scaled`), take their half-widths with them to
//! the end of the columns.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{Column, DFSchemaRef};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, LogicalPlan, LogicalPlanBuilder, Projection, SubqueryAlias,
};

use super::below::{DISTINCT, broken, row_by_row, shape};
use super::scaled;
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::query::{bare, refused};

/// How the columns of an answer are called below the statement's own names: no text can name them.
const COLUMN: &str = "\u{0}column";
const WIDTH: &str = "\u{0}width";
const TABLE: &str = "\u{0}answer";
/// What is put behind the name of a column for that of its half-width.
const SUFFIX: &str = "_hw95";

/// Finds the one aggregation of a statement, and refuses what may not stand above one.
///
/// # Errors
/// [`Code::NoisyOnly`].
pub(super) fn aggregation(plan: &LogicalPlan) -> Result<&Aggregate> {
    let input = match plan {
        LogicalPlan::Aggregate(aggregate) => return Ok(aggregate),
        LogicalPlan::Projection(projection) => &projection.input,
        LogicalPlan::Sort(sort) => &sort.input,
        LogicalPlan::Limit(limit) => &limit.input,
        LogicalPlan::SubqueryAlias(alias) => &alias.input,
        LogicalPlan::Filter(filter) => &filter.input,
        LogicalPlan::TableScan(_) => {
            return Err(refused(
                "rows are not answered: ask for COUNT, SUM, AVG, VAR, STDDEV, MEDIAN or quantiles, by groups",
            ));
        }
        // `UNION` without `ALL` is both, and asked for the first.
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let union = matches!(input.as_ref(), LogicalPlan::Union(_));
            return Err(refused(if union { shape(input) } else { DISTINCT }));
        }
        LogicalPlan::Distinct(_) => return Err(refused(DISTINCT)),
        other => return Err(refused(shape(other))),
    };
    let found = aggregation(input)?;
    plan.expressions().iter().try_for_each(row_by_row)?;
    Ok(found)
}

/// The columns of an aggregation with noise in them: first the keys, then the aggregates.
pub(super) struct Filled {
    /// A column each, as the aggregation has them.
    pub(super) columns: Vec<ArrayRef>,
    /// Metadata of each.
    pub(super) fields: Vec<Field>,
    /// Half-widths of each; none of keys.
    pub(super) widths: Vec<Option<ArrayRef>>,
    /// How many groups.
    pub(super) groups: usize,
}

/// The plan above the aggregation, over these columns.
///
/// # Errors
/// [`Code::Internal`].
pub(super) fn over(plan: &LogicalPlan, filled: &Filled) -> Result<LogicalPlan> {
    let (plan, widths) = carried(plan, filled)?;
    let shown = widths.len();
    let mut columns: Vec<Expr> =
        plan.schema().columns().into_iter().take(shown).map(Expr::Column).collect();
    let mut names: BTreeSet<String> =
        plan.schema().fields().iter().take(shown).map(|field| field.name().clone()).collect();
    for (at, width) in widths.into_iter().enumerate() {
        let Some(width) = width else { continue };
        let name = format!("{}{SUFFIX}", plan.schema().field(at).name());
        let free = (1..).map(|number| match number {
            1 => name.clone(),
            number => format!("{name}_{number}"),
        });
        let Some(name) = free.into_iter().find(|name| !names.contains(name)) else { continue };
        names.insert(name.clone());
        columns.push(Expr::Column(width).alias(name));
    }
    LogicalPlanBuilder::from(plan)
        .project(columns)
        .and_then(LogicalPlanBuilder::build)
        .map_err(broken)
}

/// A node over noisy columns, with half-widths behind its own; by column of its own: its half-width.
fn carried(plan: &LogicalPlan, filled: &Filled) -> Result<(LogicalPlan, Vec<Option<Column>>)> {
    let inner = |input: &LogicalPlan| carried(input, filled);
    match plan {
        LogicalPlan::Aggregate(aggregate) => base(&aggregate.schema, filled),
        LogicalPlan::Projection(projection) => {
            let (input, widths) = inner(&projection.input)?;
            let names = projection.input.schema();
            let of = |column: &Column| {
                widths.get(names.maybe_index_of_column(column)?).cloned().flatten()
            };
            let (mut exprs, mut mine) = (projection.expr.clone(), Vec::new());
            let mut seen = BTreeSet::new();
            for (at, expr) in projection.expr.iter().enumerate() {
                let width = match scaled::width(bare(expr), names, &of) {
                    Some(Expr::Column(width)) => {
                        if seen.insert(width.clone()) {
                            exprs.push(Expr::Column(width.clone()));
                        }
                        Some(width)
                    }
                    Some(computed) => {
                        let name = format!("{WIDTH}{}\u{0}{at}", depth(plan));
                        exprs.push(computed.alias(&name));
                        Some(Column::new_unqualified(name))
                    }
                    None => None,
                };
                mine.push(width);
            }
            let projection = Projection::try_new(exprs, Arc::new(input)).map_err(broken)?;
            Ok((LogicalPlan::Projection(projection), mine))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let (input, widths) = inner(&alias.input)?;
            let name = alias.alias.clone();
            let renamed = |width: Column| Column::new(Some(name.clone()), width.name);
            let widths = widths.into_iter().map(|width| width.map(renamed)).collect();
            let alias = SubqueryAlias::try_new(Arc::new(input), name.clone()).map_err(broken)?;
            Ok((LogicalPlan::SubqueryAlias(alias), widths))
        }
        LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => {
            let inputs = plan.inputs();
            let [input] = inputs.as_slice() else {
                return Err(Error::new(Code::Internal, "a step without an input"));
            };
            let (input, widths) = inner(input)?;
            let plan = plan.with_new_exprs(plan.expressions(), vec![input]).map_err(broken)?;
            Ok((plan, widths))
        }
        other => Err(refused(shape(other))),
    }
}

/// How many nodes stand below a node of one input each: no two of a plan have as many.
fn depth(plan: &LogicalPlan) -> usize {
    let inputs = plan.inputs();
    inputs.first().map_or(0, |input| depth(input).saturating_add(1))
}

/// The noisy columns under the names that the aggregation gave them.
fn base(names: &DFSchemaRef, filled: &Filled) -> Result<(LogicalPlan, Vec<Option<Column>>)> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    let (mut exprs, mut widths) = (Vec::new(), Vec::new());
    let column = |name: String| Column::new(Some(TABLE), name);
    let parts = names.iter().zip(&filled.fields).zip(&filled.columns).zip(&filled.widths);
    for (at, ((((table, named), field), array), width)) in parts.enumerate() {
        let name = format!("{COLUMN}{at}");
        fields.push(field.clone().with_name(&name));
        arrays.push(Arc::clone(array));
        let named = Expr::Column(column(name)).alias_qualified(table.cloned(), named.name());
        exprs.push(named);
        widths.push(width.as_ref().map(|width| {
            let name = format!("{WIDTH}{at}");
            fields.push(Field::new(&name, DataType::Float64, true));
            arrays.push(Arc::clone(width));
            column(name)
        }));
    }
    exprs.extend(widths.iter().flatten().cloned().map(Expr::Column));
    let schema = Arc::new(Schema::new(fields));
    let options = RecordBatchOptions::new().with_row_count(Some(filled.groups));
    let failed = || "a noisy answer does not fit its statement".to_owned();
    let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), arrays, &options)
        .context(Code::Internal, failed)?;
    let table = MemTable::try_new(schema, vec![vec![batch]]).context(Code::Internal, failed)?;
    let plan = LogicalPlanBuilder::scan(TABLE, provider_as_source(Arc::new(table)), None)
        .and_then(|builder| builder.project(exprs))
        .and_then(LogicalPlanBuilder::build)
        .map_err(broken)?;
    Ok((plan, widths))
}
