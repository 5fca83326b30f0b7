//! What is told of a dataset, a view and their columns beside names and types, in the metadata where Flight SQL's
//! clients look. Decides nothing about what is listed.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};

use crate::policy::Access;
use crate::policy::plan::Plan;
use crate::wire::session::CATALOG;
use crate::wire::sql::types;

/// What is told of a dataset or a view as a whole: what it is, and what this partner may ask of it.
pub(super) fn told_of(
    plan: &Plan,
    description: &str,
    view_of: Option<&str>,
) -> HashMap<String, String> {
    let (access, group_min, unit) = match plan.access() {
        Access::Rows => ("rows", None, None),
        Access::Aggregates { group_min } => ("aggregates", Some(group_min.to_string()), None),
        Access::Dp(grant) => ("dp", None, Some(grant.unit.clone())),
    };
    let description = Some(description.to_owned()).filter(|words| !words.is_empty());
    [
        ("veilflight.access", Some(access.to_owned())),
        ("veilflight.group_min", group_min),
        ("veilflight.dp.unit", unit),
        ("veilflight.description", description),
        ("veilflight.view_of", view_of.map(str::to_owned)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect()
}

/// What is told of a public table as a whole.
pub(super) fn told_of_public(description: &str) -> HashMap<String, String> {
    [("veilflight.access", "public"), ("veilflight.description", description)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// Each column with what was done to it in words, where clients look for a comment.
pub(super) fn remarked(columns: Schema, plan: &Plan) -> Schema {
    let fields: Vec<FieldRef> = columns
        .fields()
        .iter()
        .zip(plan.columns())
        .map(|(field, column)| {
            let mut metadata = field.metadata().clone();
            let does = column.rule.transform.spec().does.to_owned();
            metadata.insert("ARROW:FLIGHT:SQL:REMARKS".to_owned(), does);
            Arc::new(field.as_ref().clone().with_metadata(metadata))
        })
        .collect();
    Schema::new_with_metadata(fields, columns.metadata)
}

/// A table's columns with what Flight SQL's clients look for beside our own metadata.
pub(super) fn described(schema: &str, table: &str, columns: &Schema) -> Schema {
    let fields: Vec<FieldRef> = columns
        .fields()
        .iter()
        .map(|field| {
            let mut metadata = field.metadata().clone();
            metadata.extend(flight_sql(schema, table, field));
            Arc::new(field.as_ref().clone().with_metadata(metadata))
        })
        .collect();
    Schema::new_with_metadata(fields, columns.metadata().clone())
}

fn flight_sql(schema: &str, table: &str, field: &Field) -> HashMap<String, String> {
    let kind = field.data_type();
    let text = matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let (precision, scale) = types::precision_and_scale(kind);
    let flag = |flag: bool| Some(if flag { "1" } else { "0" }.to_owned());
    [
        ("CATALOG_NAME", Some(CATALOG.to_owned())),
        ("DB_SCHEMA_NAME", Some(schema.to_owned())),
        ("TABLE_NAME", Some(table.to_owned())),
        ("TYPE_NAME", Some(types::name(kind).to_owned())),
        ("PRECISION", precision.map(|precision| precision.to_string())),
        ("SCALE", scale.map(|scale| scale.to_string())),
        ("IS_AUTO_INCREMENT", flag(false)),
        ("IS_CASE_SENSITIVE", flag(text)),
        ("IS_READ_ONLY", flag(true)),
        ("IS_SEARCHABLE", flag(true)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((format!("ARROW:FLIGHT:SQL:{name}"), value?)))
    .collect()
}
