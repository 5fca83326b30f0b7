//! The custodian's row filter: SQL of the policy, compiled once a stream, true or out. Refuses what
//! is not the same every time it is asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::compute::prep_null_mask_filter;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, ExprSchemable, Volatility};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::diagnostic::did_you_mean;
use crate::error::{Code, Error, Result};
use crate::pipeline::transform::column::{canonical, to_canonical};
use crate::policy::Policy;

/// A compiled filter and the columns it reads.
#[derive(Debug)]
pub(in crate::pipeline) struct RowFilter {
    columns: Vec<String>,
    schema: SchemaRef,
    expression: Arc<dyn PhysicalExpr>,
}

impl RowFilter {
    /// The filter of a policy, where it has one.
    pub(super) fn of(policy: &Policy, raw: &SchemaRef) -> Result<Option<Self>> {
        let Some(sql) = &policy.rows else { return Ok(None) };
        // The policy's author wrote the text; it holds no data, so the library's words may be told.
        let refused = |reason: String| {
            Error::new(Code::Policy, format!("`rows` of dataset `{}`: {reason}", policy.dataset))
        };
        let fields: Vec<_> = raw
            .fields()
            .iter()
            .map(|field| Field::new(field.name(), canonical(field.data_type()), true))
            .collect();
        let whole = DFSchema::try_from(Schema::new(fields)).map_err(|e| refused(told(&e)))?;
        let mut config = SessionConfig::new();
        // Column names are taken as written: `JobStatus` is not `jobstatus`.
        config.options_mut().sql_parser.enable_ident_normalization = false;
        let context = SessionContext::new_with_config(config);
        let parsed = context.parse_sql_expr(sql, &whole).map_err(|e| refused(told(&e)))?;
        if parsed.exists(|part| Ok(changes_its_mind(part))).unwrap_or(true) {
            return Err(refused(
                "the filter must give the same answer every time, without chance and without the clock"
                    .to_owned(),
            ));
        }
        if parsed.exists(|part| Ok(looks_beyond(part))).unwrap_or(true) {
            return Err(refused("the filter looks at one row at a time".to_owned()));
        }
        if parsed.column_refs().is_empty() {
            return Err(refused("the filter names no column".to_owned()));
        }
        let names: BTreeSet<String> =
            parsed.column_refs().into_iter().map(|column| column.name.clone()).collect();
        let used: Vec<_> = whole
            .fields()
            .iter()
            .filter(|field| names.contains(field.name()))
            .map(Arc::clone)
            .collect();
        let schema = Arc::new(Schema::new(used));
        let narrow = DFSchema::try_from(schema.as_ref().clone()).map_err(|e| refused(told(&e)))?;
        let kind = parsed.get_type(&narrow).map_err(|e| refused(told(&e)))?;
        if kind != DataType::Boolean {
            return Err(refused("the filter must be true or false".to_owned()));
        }
        let expression =
            context.create_physical_expr(parsed, &narrow).map_err(|e| refused(told(&e)))?;
        Ok(Some(Self { columns: names.into_iter().collect(), schema, expression }))
    }

    /// The columns that the filter reads.
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Which rows stay: those for which the filter is true; null is not true.
    pub(super) fn matches(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        // PRIVACY: the library's errors hold cell values ("cannot cast string ..."), so they end here.
        let failed =
            || Error::new(Code::SourceValue, "the row filter fails on a value of this file");
        let columns = self
            .schema
            .fields()
            .iter()
            .map(|field| {
                let column = batch.column_by_name(field.name()).ok_or_else(failed)?;
                to_canonical(column)
            })
            .collect::<Result<Vec<_>>>()?;
        let narrow =
            RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|_| failed())?;
        let value = self.expression.evaluate(&narrow).map_err(|_| failed())?;
        let array = value.into_array(batch.num_rows()).map_err(|_| failed())?;
        let truth = array.as_any().downcast_ref::<BooleanArray>().ok_or_else(failed)?;
        Ok(if truth.null_count() > 0 { prep_null_mask_filter(truth) } else { truth.clone() })
    }
}

/// Whether the same row may be in now and out later: chance, and the clock too. Shards of one answer
/// are filtered one after the other, and values are counted before they are used.
fn changes_its_mind(part: &Expr) -> bool {
    matches!(part, Expr::ScalarFunction(call)
        if call.func.signature().volatility != Volatility::Immutable)
}

/// Whether more than the row at hand is asked for.
const fn looks_beyond(part: &Expr) -> bool {
    matches!(
        part,
        Expr::AggregateFunction(_)
            | Expr::WindowFunction(_)
            | Expr::ScalarSubquery(_)
            | Expr::InSubquery(_)
            | Expr::Exists(_)
            | Expr::SetComparison(_)
            | Expr::OuterReferenceColumn(_, _)
            | Expr::Placeholder(_)
            | Expr::ScalarVariable(_, _)
    )
}

/// What the library found, in one line and without its own names for things.
fn told(error: &DataFusionError) -> String {
    let root = error.find_root();
    if let DataFusionError::SchemaError(schema, _) = root
        && let SchemaError::FieldNotFound { field, valid_fields } = schema.as_ref()
    {
        let meant = did_you_mean(&field.name, valid_fields.iter().map(|known| known.name.as_str()));
        let meant = meant.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        return format!("the data has no column `{}`{meant}", field.name);
    }
    let text = match root {
        DataFusionError::SQL(parser, _) => parser.to_string(),
        other => other.strip_backtrace(),
    };
    let text = text.trim_start_matches("sql parser error: ");
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}
