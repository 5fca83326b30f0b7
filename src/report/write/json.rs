//! A report as one JSON object: the lists that earlier tools gave under their old keys, the tables as objects a
//! row, and `meta`. Nulls are null. Holds no rule of what is told.

use serde_json::{Map, Value};

use super::super::page::{Page, Table};
use super::Meta;
use crate::error::{Code, Context, Result};

/// The object, indented.
///
/// # Errors
/// [`Code::Internal`] when it cannot be written.
pub fn page(page: &Page, meta: &Meta) -> Result<Vec<u8>> {
    let mut object = Map::new();
    object.extend(page.lists.clone());
    for table in &page.tables {
        object.insert(table.key.to_owned(), rows(table));
    }
    if !page.blocks.is_empty() {
        object.insert("blocks".to_owned(), page.blocks.clone().into());
    }
    object.insert("meta".to_owned(), meta.json(page));
    object.insert("notes".to_owned(), page.notes.clone().into());
    object.insert("guarantees".to_owned(), meta.policy.general.clone().into());
    let mut text = serde_json::to_vec_pretty(&Value::Object(object))
        .context(Code::Internal, || "a report cannot be written as JSON".to_owned())?;
    text.push(b'\n');
    Ok(text)
}

/// A table as a list of objects.
pub fn rows(table: &Table) -> Value {
    let keys = || table.columns.iter().map(|column| column.key.clone());
    let object = |row: &Vec<Value>| Value::Object(keys().zip(row.iter().cloned()).collect());
    Value::Array(table.rows.iter().map(object).collect())
}
