//! A table as comma-separated text with a header. A missing value is an empty field. Numbers are written in
//! full, not as people read them.

use super::super::cell::text;
use super::super::page::Table;
use crate::error::{Code, Context, Result};

/// The text.
///
/// # Errors
/// [`Code::Internal`] when it cannot be written.
pub fn table(table: &Table) -> Result<Vec<u8>> {
    let failed = || "a table cannot be written as CSV".to_owned();
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let keys = table.columns.iter().map(|column| column.key.as_str());
    writer.write_record(keys).context(Code::Internal, failed)?;
    for row in &table.rows {
        writer.write_record(row.iter().map(text)).context(Code::Internal, failed)?;
    }
    writer.into_inner().context(Code::Internal, failed)
}
