//! `information_schema`: the catalogue as tables, made from plans alone. Lists what the partner is
//! granted and nothing else; knows no files, no settings and no functions.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;

use super::statement::{CATALOGUE, INFORMATION_SCHEMA, SCHEMA};
use crate::error::{Code, Context, Result};
use crate::policy::plan::Plan;

/// A view or a public table of a policy, as it is told of.
#[derive(Debug, Clone)]
pub struct Described {
    /// The dataset in whose schema it stands; none for a view, which stands beside datasets.
    pub within: Option<String>,
    /// Its name.
    pub name: String,
    /// What it shows.
    pub description: String,
    /// Its columns.
    pub schema: SchemaRef,
}

impl Described {
    fn schema_name(&self) -> &str {
        self.within.as_deref().unwrap_or(SCHEMA)
    }
}

/// The names of the tables.
pub(super) const TABLES: &[&str] = &["tables", "columns", "schemata"];

/// The tables, by name, in the order of [`TABLES`].
///
/// # Errors
/// When a table cannot be made.
pub(super) fn tables<'a>(
    plans: impl Iterator<Item = &'a Plan>,
    views: &[Described],
) -> Result<Vec<(&'static str, Arc<dyn TableProvider>)>> {
    let mut plans: Vec<&Plan> = plans.collect();
    plans.sort_by(|one, other| one.dataset().cmp(other.dataset()));
    plans.dedup_by(|one, other| one.dataset() == other.dataset());
    Ok(vec![
        ("tables", described(&plans, views)?),
        ("columns", columns(&plans, views)?),
        ("schemata", schemata(views)?),
    ])
}

fn described(plans: &[&Plan], views: &[Described]) -> Result<Arc<dyn TableProvider>> {
    let own = TABLES.iter().map(|name| (INFORMATION_SCHEMA, *name, "VIEW", None));
    let words = |words: &'_ str| (!words.is_empty()).then(|| words.to_owned());
    let datasets = plans
        .iter()
        .map(|plan| (SCHEMA, plan.dataset(), "BASE TABLE", words(&plan.policy().description)));
    let views = views.iter().map(|view| {
        let kind = if view.within.is_some() { "BASE TABLE" } else { "VIEW" };
        (view.schema_name(), view.name.as_str(), kind, words(&view.description))
    });
    let all: Vec<_> = datasets.chain(views).chain(own).collect();
    table(vec![
        texts("table_catalog", all.iter().map(|_| CATALOGUE)),
        texts("table_schema", all.iter().map(|row| row.0)),
        texts("table_name", all.iter().map(|row| row.1)),
        texts("table_type", all.iter().map(|row| row.2)),
        maybe_texts("table_comment", all.iter().map(|row| row.3.as_deref())),
    ])
}

fn columns(plans: &[&Plan], views: &[Described]) -> Result<Arc<dyn TableProvider>> {
    let mut rows = Vec::new();
    let datasets = plans.iter().map(|plan| (SCHEMA, plan.dataset(), plan.schema()));
    let views = views.iter().map(|view| (view.schema_name(), view.name.as_str(), &view.schema));
    for (within, name, schema) in datasets.chain(views) {
        for (at, field) in (1_i32..).zip(schema.fields()) {
            rows.push((name, at, field, within));
        }
    }
    let protection = |field: &Field| field.metadata().get("veilflight.protection").cloned();
    table(vec![
        texts("table_catalog", rows.iter().map(|_| CATALOGUE)),
        texts("table_schema", rows.iter().map(|row| row.3)),
        texts("table_name", rows.iter().map(|row| row.0)),
        texts("column_name", rows.iter().map(|row| row.2.name().as_str())),
        (
            Field::new("ordinal_position", DataType::Int32, false),
            Arc::new(rows.iter().map(|row| Some(row.1)).collect::<Int32Array>()),
        ),
        maybe_texts("column_default", rows.iter().map(|_| None::<&str>)),
        texts("is_nullable", rows.iter().map(|row| if row.2.is_nullable() { "YES" } else { "NO" })),
        texts("data_type", rows.iter().map(|row| row.2.data_type().to_string())),
        maybe_texts("veilflight.protection", rows.iter().map(|row| protection(row.2))),
    ])
}

fn schemata(described: &[Described]) -> Result<Arc<dyn TableProvider>> {
    let mut names = vec![SCHEMA, INFORMATION_SCHEMA];
    for name in described.iter().filter_map(|table| table.within.as_deref()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    table(vec![
        texts("catalog_name", names.iter().map(|_| CATALOGUE)),
        texts("schema_name", names.iter()),
        maybe_texts("schema_owner", names.iter().map(|_| None::<&str>)),
    ])
}

type Column = (Field, ArrayRef);

fn texts<T: AsRef<str>>(name: &str, values: impl IntoIterator<Item = T>) -> Column {
    let values = StringArray::from_iter_values(values);
    (Field::new(name, DataType::Utf8, false), Arc::new(values))
}

fn maybe_texts<T: AsRef<str>>(name: &str, values: impl IntoIterator<Item = Option<T>>) -> Column {
    let values: StringArray = values.into_iter().collect();
    (Field::new(name, DataType::Utf8, true), Arc::new(values))
}

fn table(columns: Vec<Column>) -> Result<Arc<dyn TableProvider>> {
    let (fields, values): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    let schema = Arc::new(Schema::new(fields));
    let problem = || "information_schema cannot be made".to_owned();
    let batch =
        RecordBatch::try_new(Arc::clone(&schema), values).context(Code::Internal, problem)?;
    let table = MemTable::try_new(schema, vec![vec![batch]]).context(Code::Internal, problem)?;
    Ok(Arc::new(table))
}
