//! The JSON form: `entries` of token, count, valid and original, and `config` with prefix, start and
//! counter, as the old notebooks wrote and read it. Reads the shapes beside it that were in use, too.

use std::io::Write;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Entry, Found, FoundEntry, Section, unwritable};
use crate::error::{Code, Context, Result};

#[derive(Serialize)]
struct File<'a> {
    entries: &'a [Entry],
    config: Config<'a>,
}

#[derive(Serialize)]
struct Config<'a> {
    prefix: &'a str,
    start: u64,
    counter: u64,
}

/// Writes a section.
pub(super) fn write(section: &Section, out: &mut dyn Write) -> Result<()> {
    let Section { prefix, start, counter, entries, .. } = section;
    let config = Config { prefix, start: *start, counter: *counter };
    serde_json::to_writer_pretty(&mut *out, &File { entries, config })
        .context(Code::Usage, unwritable)?;
    writeln!(out).context(Code::Usage, unwritable)
}

/// Reads a list of entries, alone or as `entries` beside `config`, or entries by their original, alone or
/// as `keys` beside prefix and counter.
pub(super) fn read(text: &str) -> Result<Found, String> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("line {} is not JSON", error.line()))?;
    let shape = || "there are no `entries` of token and original".to_owned();
    let (settings, entries) = match &value {
        Value::Array(_) => (None, &value),
        Value::Object(object) => {
            let entries = object.get("entries").or_else(|| object.get("keys"));
            (Some(object), entries.unwrap_or(&value))
        }
        _ => return Err(shape()),
    };
    let mut found = Found::default();
    if let Some(object) = settings {
        let config = object.get("config").and_then(Value::as_object).unwrap_or(object);
        found.prefix = config.get("prefix").and_then(Value::as_str).map(str::to_owned);
        found.counter = match config.get("counter") {
            None => None,
            Some(counter) => {
                Some(counter.as_u64().ok_or_else(|| "`counter` is no whole number".to_owned())?)
            }
        };
    }
    match entries {
        Value::Array(list) => {
            for (at, entry) in list.iter().enumerate() {
                let place = format!("entry {}", at + 1);
                let entry = entry.as_object().ok_or_else(|| format!("{place} is no object"))?;
                let original = text_of(entry, &["original", "key"])
                    .ok_or_else(|| format!("{place} has no `original`"))?;
                found.entries.push(self::entry(place, entry, original)?);
            }
        }
        Value::Object(by_original) => {
            let entries = by_original.iter().filter(|(name, _)| !SETTINGS.contains(&name.as_str()));
            for (at, (original, entry)) in entries.enumerate() {
                let entry = entry.as_object().ok_or_else(shape)?;
                found.entries.push(self::entry(format!("entry {}", at + 1), entry, original)?);
            }
        }
        _ => return Err(shape()),
    }
    Ok(found)
}

fn entry(place: String, entry: &Map<String, Value>, original: &str) -> Result<FoundEntry, String> {
    let token =
        text_of(entry, &["token", "id"]).ok_or_else(|| format!("{place} has no `token`"))?;
    let count = match entry.get("count") {
        None | Some(Value::Null) => None,
        Some(count) => {
            Some(count.as_u64().ok_or_else(|| format!("{place}: the count is no whole number"))?)
        }
    };
    Ok(FoundEntry { token: token.to_owned(), original: original.to_owned(), place, count })
}

fn text_of<'a>(entry: &'a Map<String, Value>, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|name| entry.get(*name).and_then(Value::as_str))
}

/// What may stand beside entries that are named by their originals, and is none.
const SETTINGS: [&str; 4] = ["config", "prefix", "start", "counter"];
