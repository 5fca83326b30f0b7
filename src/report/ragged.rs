//! Ragged records: one JSON line a row with the pairs of column and value that are not null, so that lines are
//! as long as rows are full. Reads rows once and keeps none.

use std::io::Write;

use serde_json::Value;

use super::Output;
use super::page::{Page, Show, Table};
use super::study::{Study, quoted, share};
use crate::error::{Code, Context, Result};

/// The file of the lines.
pub const FILE: &str = "ragged.jsonl";

/// The report.
///
/// # Errors
/// When a column is not released, the rows cannot be had or the file cannot be written.
pub fn report(study: &Study<'_>, columns: &[String], output: &mut Output<'_>) -> Result<Page> {
    let mut page = Page {
        stem: "ragged".to_owned(),
        title: "Ragged records".to_owned(),
        summary: format!(
            "One line a row in `{FILE}`: the pairs of column and value that are not null."
        ),
        found: true,
        ..Page::default()
    };
    output.refuse(&page)?;
    let names = chosen(study, columns)?;
    let mut draft = output.folder.draft(FILE)?;
    let (mut records, mut pairs) = (0_u64, 0_u64);
    let mut filled = vec![0_u64; names.len()];
    // The names are the same in every line.
    let begins: Vec<_> =
        names.iter().map(|name| format!("{{\"k\":{},\"v\":", Value::from(name.as_str()))).collect();
    let failed = || "a record cannot be written as JSON".to_owned();
    let mut line = Vec::new();
    let answer = match columns {
        [] => study.pull()?,
        _ => {
            let list: Vec<_> = names.iter().map(|name| quoted(name)).collect();
            study.query(&format!("SELECT {} FROM {}", list.join(", "), study.table()))?
        }
    };
    study.rows(answer, |row| {
        line.clear();
        line.push(b'[');
        for ((begin, value), filled) in begins.iter().zip(row).zip(&mut filled) {
            if value.is_null() {
                continue;
            }
            *filled = filled.saturating_add(1);
            pairs = pairs.saturating_add(1);
            if line.len() > 1 {
                line.push(b',');
            }
            line.extend_from_slice(begin.as_bytes());
            serde_json::to_writer(&mut line, &value).context(Code::Internal, failed)?;
            line.push(b'}');
        }
        line.extend_from_slice(b"]\n");
        records = records.saturating_add(1);
        draft.write_all(&line).map_err(|cause| draft.failed(cause))
    })?;
    output.folder.keep(draft)?;
    page.written.push(FILE.to_owned());
    page.figure("records", "Records", records, Show::Count);
    page.figure("pairs", "Pairs", pairs, Show::Count);
    let mut table = Table::new(
        "columns",
        "How full the columns are",
        "In the order of the pairs.",
        &[
            ("column", "Column", Show::Text),
            ("count", "Rows with a value", Show::Count),
            ("share", "Share of all rows", Show::Share),
        ],
    );
    for (name, filled) in names.iter().zip(filled) {
        table.rows.push(vec![name.clone().into(), filled.into(), share(filled, records)]);
    }
    page.tables.push(table);
    page.columns = names;
    page.notes.push(
        "UTF-8, one list a line: [{\"k\": column, \"v\": value}, ...]. A line of a row without any value is []. \
         Times are texts of ISO 8601, decimals texts with all digits, bytes lower-case hexadecimal; what is not \
         a number (NaN) counts as missing."
            .to_owned(),
    );
    Ok(page)
}

/// The columns that were asked for, or all.
///
/// # Errors
/// When one is not released.
pub fn chosen(study: &Study<'_>, columns: &[String]) -> Result<Vec<String>> {
    match columns {
        [] => Ok(study.names()),
        some => some.iter().map(|name| study.named(name).map(str::to_owned)).collect(),
    }
}
