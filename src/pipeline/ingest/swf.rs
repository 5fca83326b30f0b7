//! The Standard Workload Format of the Parallel Workloads Archive: 18 columns of numbers, comments behind
//! `;`. The comments at the beginning, with the acknowledgements, are kept as metadata of the output.

use std::sync::Arc;

use super::column::{Column, Kind};
use super::format::{Format, Opened, Options, Plan, Reader};
use super::input::Input;
use super::rows::Rows;
use crate::error::{Code, Error, Result};

/// How much of an input may be its comments; `open` is given as much.
const HEAD_BYTES: usize = 1 << 20;
/// How much of the comments is kept of each input.
const NOTES_BYTES: usize = 64 << 10;

/// The format.
#[derive(Debug)]
pub(super) struct Swf;

impl Format for Swf {
    fn name(&self) -> &'static str {
        "swf"
    }

    fn about(&self) -> &'static str {
        "the Standard Workload Format, plain or .gz: 18 columns, comments kept as metadata"
    }

    fn plan(&self, inputs: &[Input], _options: &Options) -> Result<Arc<dyn Plan>> {
        let mut notes = Vec::new();
        for input in inputs {
            let head = input.head(HEAD_BYTES)?;
            let text = String::from_utf8_lossy(comments(&head)).into_owned();
            if !text.trim().is_empty() {
                notes.push((format!("swf.header.{}", input.stem()), bounded(text)));
            }
        }
        Ok(Arc::new(Columns { columns: columns(), notes }))
    }
}

/// The first so many bytes.
fn bounded(mut text: String) -> String {
    if text.len() > NOTES_BYTES {
        text.truncate(text.floor_char_boundary(NOTES_BYTES));
    }
    text
}

/// The lines with `;` and the blank ones that a text begins with.
fn comments(text: &[u8]) -> &[u8] {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let length = lines.take_while(|line| is_comment(line)).map(<[u8]>::len).sum();
    text.get(..length).unwrap_or_default()
}

fn is_comment(line: &[u8]) -> bool {
    let line = line.trim_ascii_start();
    line.is_empty() || line.starts_with(b";")
}

/// The 18 columns in their order; -1 says that there is no value.
fn columns() -> Vec<Column> {
    const NONE: &[&str] = &["-1", "-1.0", "-1.00"];
    let column = |name: &str, kind| Column::new(name, kind).with_nulls(NONE);
    let whole = |name| column(name, Kind::Integer);
    vec![
        whole("job_number"),
        whole("submit_time").in_unit("seconds since the log's start"),
        whole("wait_time").in_unit("seconds"),
        whole("run_time").in_unit("seconds"),
        whole("allocated_processors"),
        column("average_cpu_time_used", Kind::Number).in_unit("seconds"),
        column("used_memory", Kind::Number).in_unit("kibibytes"),
        whole("requested_processors"),
        whole("requested_time").in_unit("seconds"),
        column("requested_memory", Kind::Number).in_unit("kibibytes"),
        whole("status"),
        whole("user_id"),
        whole("group_id"),
        whole("executable"),
        whole("queue"),
        whole("partition"),
        whole("preceding_job"),
        whole("think_time").in_unit("seconds"),
    ]
}

#[derive(Debug)]
struct Columns {
    columns: Vec<Column>,
    notes: Vec<(String, String)>,
}

impl Plan for Columns {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn notes(&self) -> &[(String, String)] {
        &self.notes
    }

    fn open(&self, input: &Input, head: &[u8]) -> Result<Opened> {
        let header = comments(head).len();
        let first = head.get(header..).unwrap_or_default().split(|byte| *byte == b'\n').next();
        let fields = first.map_or(0, |line| fields(line).count());
        let known = self.columns.len();
        if fields != 0 && fields != known {
            let text = format!(
                "`{}` is no SWF: its first line has {fields} fields, and there are {known}",
                input.path().display()
            );
            return Err(Error::new(Code::Usage, text));
        }
        Ok(Opened { reader: Arc::new(Lines(known)), header })
    }
}

fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty())
}

#[derive(Debug)]
struct Lines(usize);

impl Reader for Lines {
    fn whole(&self, text: &[u8]) -> usize {
        text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
    }

    fn read(&self, rows: &mut Rows<'_>) {
        for line in rows.text().split_inclusive(|byte| *byte == b'\n') {
            if is_comment(line) {
                rows.skip(line.len());
                continue;
            }
            let mut count = 0;
            for field in fields(line) {
                if count < self.0 {
                    rows.set(count, field);
                }
                count += 1;
            }
            if count == self.0 {
                rows.row(line.len());
            } else {
                rows.reject(line.len(), format!("{count} fields, and there are {}", self.0));
            }
        }
    }
}

#[cfg(test)]
mod tests;
