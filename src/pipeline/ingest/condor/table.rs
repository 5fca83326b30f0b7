//! Ads as a table: a heading of attributes and values between tabs, as `-af:ht` prints them. Strings are not
//! quoted there, so a value with a tab or a newline in it has as many fields too many, and is rejected.

use std::sync::Arc;

use super::super::attributes::{Found, Layout, Piece, Record, Value};
use super::super::numbers::number;

/// A table with the names of its columns.
#[derive(Debug)]
pub(super) struct Table {
    names: Vec<String>,
}

impl Table {
    /// The table that begins with its heading.
    pub(super) fn look(head: &[u8]) -> Option<Found> {
        let end = head.iter().position(|byte| *byte == b'\n').map_or(head.len(), |end| end + 1);
        let heading = std::str::from_utf8(head.get(..end)?).ok()?.trim_end_matches(['\r', '\n']);
        let names: Vec<String> = heading.split('\t').map(|name| name.trim().to_owned()).collect();
        let is_name = |name: &String| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c))
        };
        let told = names.iter().all(is_name) && names.iter().any(|name| !name.is_empty());
        let mut known: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
        known.sort();
        known.dedup();
        let distinct = known.len() == names.len();
        (told && distinct).then(|| Found { layout: Arc::new(Self { names }), header: end })
    }
}

impl Layout for Table {
    fn whole(&self, text: &[u8]) -> usize {
        text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
    }

    fn piece<'t>(&self, text: &'t [u8]) -> (usize, Piece<'t>) {
        let end = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| end + 1);
        let line = text.get(..end).unwrap_or_default();
        let Ok(line) = std::str::from_utf8(line) else {
            return (end, Piece::Reject("not UTF-8".into()));
        };
        let line = line.trim_end_matches(['\r', '\n']);
        if line.trim().is_empty() {
            return (end, Piece::Skip);
        }
        let fields = line.split('\t').count();
        if fields != self.names.len() {
            let reason = format!("{fields} fields, and the heading has {}", self.names.len());
            return (end, Piece::Reject(reason.into()));
        }
        let record: Record<'t> =
            self.names.iter().cloned().map(Into::into).zip(line.split('\t').map(value)).collect();
        (end, Piece::Record(record))
    }
}

fn value(field: &str) -> Value<'_> {
    match field {
        "" => Value::Undefined,
        _ if ["undefined", "error"].iter().any(|none| field.eq_ignore_ascii_case(none)) => {
            Value::Undefined
        }
        "true" | "false" => Value::Flag(field.into()),
        _ => number(field).unwrap_or_else(|| Value::of(field)),
    }
}
