//! The log for people and for other programs: one line a request, or every record as JSON lines. It
//! shows what is stored; whether that is sound, [`super::verify`] says.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;

use super::chain::hex;
use super::record::{Deed, Event, Payment, Record, Subject};
use crate::error::{Code, Context, Result};
use crate::state::Store;

/// Which requests to show.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this partner's.
    pub partner: Option<String>,
    /// Only for this dataset.
    pub dataset: Option<String>,
    /// Only from this moment on, in microseconds since 1970.
    pub since_micros: Option<i64>,
    /// At most so many, the latest ones.
    pub limit: Option<usize>,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The number of its first record.
    pub seq: u64,
    /// When it came.
    pub time: String,
    /// Who asked for what.
    #[serde(flatten)]
    pub subject: Subject,
    /// `open`, `done`, `failed`, `interrupted` or `refused`.
    pub outcome: &'static str,
    /// The code, where it failed.
    pub code: Option<String>,
    /// The rows that left.
    pub rows: Option<u64>,
    /// The bytes that left.
    pub bytes: Option<u64>,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// What was paid of a privacy budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid: Option<Payment>,
    /// How many refusals stand in this line.
    pub count: u64,
}

/// The requests that pass the filter, oldest first.
///
/// # Errors
/// [`Code::State`] when the log cannot be read.
pub fn lines(store: &dyn Store, filter: &Filter) -> Result<Vec<Line>> {
    let mut lines: BTreeMap<u64, Line> = BTreeMap::new();
    store.audit_read(&mut |row| {
        // A record that cannot be read is `verify`'s to tell; the others are still worth showing.
        let Ok(record) = Record::from_body(&row.body) else { return Ok(()) };
        let time_micros = record.time_micros();
        let blank = |subject: Subject, outcome| Line {
            seq: record.seq,
            time: record.time.clone(),
            subject,
            outcome,
            code: None,
            rows: None,
            bytes: None,
            duration_ms: None,
            paid: None,
            count: 1,
        };
        let line = match record.event {
            Event::Close(close) => {
                if let Some(line) = lines.get_mut(&close.opened) {
                    line.outcome = close.outcome.as_str();
                    line.code = close.code;
                    line.rows = close.rows;
                    line.bytes = close.bytes;
                    line.duration_ms = close.duration_ms;
                    line.paid = close.paid;
                }
                return Ok(());
            }
            // No request: what it was paid for has a line, with what was paid.
            Event::Book(_) => return Ok(()),
            Event::Open(subject) => blank(subject, "open"),
            Event::Refuse(refuse) => Line {
                code: Some(refuse.code),
                count: refuse.count,
                ..blank(refuse.subject, "refused")
            },
        };
        let wanted = filter.partner.as_ref().is_none_or(|partner| *partner == line.subject.partner)
            && filter.dataset.as_ref().is_none_or(|dataset| line.subject.is_about(dataset))
            && filter
                .since_micros
                .is_none_or(|since| time_micros.is_some_and(|time| time >= since));
        if wanted {
            lines.insert(line.seq, line);
            if filter.limit.is_some_and(|limit| lines.len() > limit) {
                lines.pop_first();
            }
        }
        Ok(())
    })?;
    Ok(lines.into_values().collect())
}

/// Writes lines as a table.
///
/// # Errors
/// [`Code::Config`] when `out` cannot be written.
pub fn write_table(lines: &[Line], out: &mut dyn Write) -> Result<()> {
    let any_statement = lines.iter().any(|line| line.subject.statement.is_some());
    let any_deed = lines.iter().any(|line| line.subject.deed.is_some());
    let last = match (any_statement, any_deed) {
        (true, true) => "statement or reason",
        (true, false) => "statement",
        (false, true) => "reason",
        (false, false) => "",
    };
    let heads = [
        "seq", "time", "partner", "peer", "method", "dataset", "outcome", "rows", "bytes", "ms",
        "request", last,
    ];
    let number = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
    let rows: Vec<[String; 12]> = lines
        .iter()
        .map(|line| {
            let mut outcome = line.outcome.to_owned();
            if let Some(code) = &line.code {
                outcome = format!("{outcome} {code}");
            }
            match &line.paid {
                Some(paid) if paid.stored => outcome.push_str(" stored"),
                Some(paid) => outcome = format!("{outcome} epsilon={}", paid.epsilon),
                None => {}
            }
            if line.count > 1 {
                outcome = format!("{outcome} x{}", line.count);
            }
            let dataset = line.subject.datasets().join("+");
            let dataset = match line.subject.shard {
                Some(shard) => format!("{dataset}#{shard}"),
                None => dataset,
            };
            [
                line.seq.to_string(),
                line.time
                    .split_once('.')
                    .map_or(line.time.clone(), |(seconds, _)| format!("{seconds}Z")),
                line.subject.partner.clone(),
                line.subject.peer.clone(),
                line.subject.method.clone(),
                dataset,
                outcome,
                number(line.rows),
                number(line.bytes),
                number(line.duration_ms),
                line.subject.request.clone(),
                match (&line.subject.statement, &line.subject.deed) {
                    (Some(statement), _) => in_one_line(statement.text()),
                    (None, Some(deed)) => in_one_line(&told(deed)),
                    (None, None) => String::new(),
                },
            ]
        })
        .collect();
    let mut widths = heads.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    write_row(&heads.map(str::to_owned), &widths, out)?;
    rows.iter().try_for_each(|row| write_row(row, &widths, out))
}

/// What was asked by hand, and why.
fn told(deed: &Deed) -> String {
    match &deed.pseudonym {
        Some(pseudonym) => format!("{pseudonym}: {}", deed.reason),
        None => deed.reason.clone(),
    }
}

/// The beginning of a statement or a reason; all of it is in the JSON.
fn in_one_line(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(STATEMENT_CHARS_SHOWN) {
        Some((at, _)) => format!("{}...", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

/// How much of a statement the table shows, in characters.
const STATEMENT_CHARS_SHOWN: usize = 72;

fn write_row(cells: &[String; 12], widths: &[usize; 12], out: &mut dyn Write) -> Result<()> {
    let mut text = String::new();
    for (position, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if position > 0 {
            text.push_str("  ");
        }
        let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
        // Numbers stand to the right.
        if matches!(position, 0 | 7..=9) {
            text.push_str(&pad);
            text.push_str(cell);
        } else {
            text.push_str(cell);
            text.push_str(&pad);
        }
    }
    writeln!(out, "{}", text.trim_end()).context(Code::Config, cannot_write)
}

/// Writes lines as a JSON array.
///
/// # Errors
/// [`Code::Config`] when `out` cannot be written.
pub fn write_json(lines: &[Line], out: &mut dyn Write) -> Result<()> {
    serde_json::to_writer_pretty(&mut *out, lines).context(Code::Config, cannot_write)?;
    writeln!(out).context(Code::Config, cannot_write)
}

/// Writes every record as one JSON line: `record` is exactly the text that was hashed, so that a
/// reader can recompute the chain without this program.
///
/// # Errors
/// [`Code::State`] when the log cannot be read, [`Code::Config`] when `out` cannot be written.
pub fn export(store: &dyn Store, out: &mut dyn Write) -> Result<u64> {
    let mut records = 0;
    store.audit_read(&mut |row| {
        records += 1;
        writeln!(
            out,
            r#"{{"record":{},"hash":"{}","mac":"{}"}}"#,
            row.body,
            hex(&row.hash),
            hex(&row.mac)
        )
        .context(Code::Config, cannot_write)
    })?;
    Ok(records)
}

fn cannot_write() -> String {
    "the audit log cannot be written out".to_owned()
}
