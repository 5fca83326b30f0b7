//! ClassAd text: `Name = literal` a line, ads between blank lines or lines of `***`. Literals are typed,
//! expressions stay text. Evaluates nothing.

use std::borrow::Cow;

use super::super::attributes::{Layout, Piece, Record, Value};
use super::super::numbers::number;

/// Ads as text.
#[derive(Debug)]
pub(super) struct Ads;

impl Layout for Ads {
    fn whole(&self, text: &[u8]) -> usize {
        let mut end = 0;
        let mut at = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            at += line.len();
            if line.ends_with(b"\n") && is_separator(line) {
                end = at;
            }
        }
        end
    }

    fn piece<'t>(&self, text: &'t [u8]) -> (usize, Piece<'t>) {
        let mut bytes = 0;
        let mut record: Record<'t> = Vec::new();
        let mut refused: Option<Cow<'static, str>> = None;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if is_separator(line) {
                if bytes > 0 {
                    break;
                }
                return (line.len(), Piece::Skip);
            }
            bytes += line.len();
            let Ok(line) = std::str::from_utf8(line) else {
                refused.get_or_insert("not UTF-8".into());
                continue;
            };
            match assignment(line.trim()) {
                Some((name, written)) => match literal(written) {
                    Ok(value) => record.push((name.into(), value)),
                    Err(reason) => {
                        refused.get_or_insert(reason.into());
                    }
                },
                None => {
                    refused.get_or_insert("a line that is no `Name = value`".into());
                }
            }
        }
        match refused {
            Some(reason) => (bytes, Piece::Reject(reason)),
            None => (bytes, Piece::Record(record)),
        }
    }
}

/// Whether a line stands between two ads: blank, or `*** Offset = ...`.
fn is_separator(line: &[u8]) -> bool {
    line.trim_ascii().is_empty() || line.starts_with(b"***")
}

/// Name and value of `Name = value`.
pub(super) fn assignment(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim_end();
    let mut letters = name.chars();
    let begins = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    let goes_on = letters.all(|letter| letter.is_ascii_alphanumeric() || "_.".contains(letter));
    // `a == b` is no assignment.
    (begins && goes_on && !value.starts_with('=')).then(|| (name, value.trim()))
}

/// What a literal says; what is none is an expression and stays as it is written.
///
/// # Errors
/// When a string is not ended.
pub(super) fn literal(written: &str) -> Result<Value<'_>, &'static str> {
    if let Some(inside) = written.strip_prefix('"') {
        return match string(inside)? {
            (text, "") => Ok(Value::Text(text)),
            // `"a" == "b"`: an expression that begins with a string.
            _ => Ok(Value::of(written)),
        };
    }
    // `error` stands where an expression had no value: nothing that could be shared.
    if ["undefined", "error"].iter().any(|none| written.eq_ignore_ascii_case(none)) {
        return Ok(Value::Undefined);
    }
    if ["true", "false"].iter().any(|flag| written.eq_ignore_ascii_case(flag)) {
        return Ok(Value::Flag(written.into()));
    }
    // `real("INF")` and its kin stay expressions.
    Ok(number(written).unwrap_or_else(|| Value::of(written)))
}

/// The text of a string behind its first quote, and what stands behind its last.
fn string(written: &str) -> Result<(Cow<'_, str>, &str), &'static str> {
    let plain = written.find(['"', '\\']).ok_or("a string that does not end")?;
    if let (Some(text), Some(rest)) =
        (written.get(..plain), written.get(plain..).and_then(|rest| rest.strip_prefix('"')))
    {
        return Ok((text.into(), rest));
    }
    let mut text = String::with_capacity(written.len());
    let mut letters = written.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((text.into(), written.get(at + 1..).unwrap_or_default())),
            '\\' => match letters.next().map(|(_, next)| next) {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('r') => text.push('\r'),
                Some(same @ ('"' | '\\' | '\'')) => text.push(same),
                // Old ads know no escape but that of a quote: what stands there is meant.
                Some(other) => text.extend(['\\', other]),
                None => break,
            },
            other => text.push(other),
        }
    }
    Err("a string that does not end")
}
