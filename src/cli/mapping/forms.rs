//! How a token map is written to a file, and read from one: the text that the old script wrote, CSV, and
//! the JSON of the old notebooks. Knows no state, and does not say what a token's number is.

use std::io::Write;

use serde::Serialize;

use crate::error::{Code, Context, Error, Result};

mod json;
mod text;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// Sections of `user_0001       -> jsmith`
    Text,
    /// `token,original,count,valid`
    Csv,
    /// `entries` and `config`
    Json,
}

/// One token.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct Entry {
    /// As the policy writes it.
    pub(super) token: String,
    /// In how many rows it stood.
    pub(super) count: u64,
    /// Whether the value can be meant.
    pub(super) valid: bool,
    /// The value.
    pub(super) original: String,
}

/// The tokens of one column, by number.
pub(super) struct Section {
    /// `USER` in `USER MAPPINGS:`.
    pub(super) name: String,
    /// Text before each number.
    pub(super) prefix: String,
    /// The lowest number.
    pub(super) start: u64,
    /// The highest number that was given out.
    pub(super) counter: u64,
    /// The tokens.
    pub(super) entries: Vec<Entry>,
}

/// Writes sections; CSV and JSON hold one.
///
/// # Errors
/// [`Code::Usage`] where the form cannot hold them, or `out` cannot be written.
pub(super) fn write(format: Format, sections: &[Section], out: &mut dyn Write) -> Result<()> {
    match (format, sections) {
        (Format::Text, _) => text::write(sections, out),
        (Format::Csv, [section]) => write_csv(section, out),
        (Format::Json, [section]) => json::write(section, out),
        _ => Err(Error::new(
            Code::Usage,
            "CSV and JSON hold the tokens of one column; name one, or write `--format text`",
        )),
    }
}

fn write_csv(section: &Section, out: &mut dyn Write) -> Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    let mut row = |cells: [&str; 4]| writer.write_record(cells).context(Code::Usage, unwritable);
    row(COLUMNS)?;
    for entry in &section.entries {
        let valid = if entry.valid { "true" } else { "false" };
        row([&entry.token, &entry.original, &entry.count.to_string(), valid])?;
    }
    writer.flush().context(Code::Usage, unwritable)
}

fn unwritable() -> String {
    "the file cannot be written".to_owned()
}

/// The columns of CSV.
const COLUMNS: [&str; 4] = ["token", "original", "count", "valid"];

/// What a file holds.
#[derive(Default, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct Found {
    /// The tokens, in the order of the file.
    pub(super) entries: Vec<FoundEntry>,
    /// Text before each number, where the file says.
    pub(super) prefix: Option<String>,
    /// The highest number that was given out, where the file says.
    pub(super) counter: Option<u64>,
    /// Sections of a text that are about other columns.
    pub(super) passed_over: Vec<String>,
}

/// One token of a file.
#[derive(PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct FoundEntry {
    /// `line 12` or `entry 12`.
    pub(super) place: String,
    /// The token.
    pub(super) token: String,
    /// The value.
    pub(super) original: String,
    /// In how many rows it stood, where the file says.
    pub(super) count: Option<u64>,
}

/// Reads a file. Of the sections of a text those count whose first token begins with `prefix`.
///
/// # Errors
/// What is wrong with it and where, without a value of it.
pub(super) fn read(bytes: &[u8], format: Option<Format>, prefix: &str) -> Result<Found, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let lines = bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count();
        format!("line {} is not UTF-8", lines + 1)
    })?;
    match format.unwrap_or_else(|| guess(text)) {
        Format::Text => text::read(text, prefix),
        Format::Csv => read_csv(text),
        Format::Json => json::read(text),
    }
}

/// The form that a file seems to have.
fn guess(text: &str) -> Format {
    if text.trim_start().starts_with(['{', '[']) {
        return Format::Json;
    }
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let header = first.split(',').map(|name| name.trim_matches(['"', ' ']));
    if header.clone().any(|name| name == "token") { Format::Csv } else { Format::Text }
}

fn read_csv(text: &str) -> Result<Found, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|_| "the first line cannot be read".to_owned())?.clone();
    let place = |name: &str| header.iter().position(|cell| cell.trim() == name);
    let needed = |name: &str| place(name).ok_or_else(|| format!("there is no column `{name}`"));
    let (token, original, count) = (needed("token")?, needed("original")?, place("count"));
    let mut found = Found::default();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            format!("line {line} cannot be read")
        })?;
        let place = format!("line {}", record.position().map_or(0, csv::Position::line));
        if record.len() != header.len() {
            return Err(format!("{place} has {} cells, not {}", record.len(), header.len()));
        }
        let cell = |at: usize| record.get(at).unwrap_or_default();
        let count = match count.map(cell).filter(|count| !count.is_empty()) {
            None => None,
            Some(count) => {
                Some(count.parse().map_err(|_| format!("{place}: the count is no whole number"))?)
            }
        };
        let (token, original) = (cell(token).to_owned(), cell(original).to_owned());
        found.entries.push(FoundEntry { place, token, original, count });
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
