//! PBS: accounting logs of OpenPBS, PBS Professional and Torque, a record a line:
//! `date;type;job;key=value key=value ...`. Reads no job scripts and no server logs.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::attributes::{self, Attributed, Found, Known, Layout, Piece, Record, Value};
use super::column::Kind;
use super::format::{Format, Options, Plan};
use super::input::Input;
use super::moments::moment;
use super::numbers::number;
use crate::error::{Code, Error, Result};

/// The records that are read where nothing else is asked for: jobs that ended.
const ENDED: &str = "E";

/// The format.
#[derive(Debug)]
pub(super) struct Pbs;

impl Format for Pbs {
    fn name(&self) -> &'static str {
        "pbs"
    }

    fn about(&self) -> &'static str {
        "PBS accounting logs (OpenPBS, PBS Professional, Torque); records of type E unless --records says more"
    }

    fn plan(&self, inputs: &[Input], options: &Options) -> Result<Arc<dyn Plan>> {
        let mut wanted: BTreeSet<String> = options.records.iter().cloned().collect();
        if wanted.is_empty() {
            wanted.insert(ENDED.to_owned());
        }
        attributes::plan(Arc::new(Logs(Arc::new(wanted))), inputs, options)
    }
}

#[derive(Debug)]
pub(super) struct Logs(pub(super) Arc<BTreeSet<String>>);

impl Attributed for Logs {
    fn known(&self) -> &'static [Known] {
        KNOWN
    }

    fn always(&self, _name: &str) -> bool {
        true
    }

    fn look(&self, input: &Input, head: &[u8]) -> Result<Found> {
        let text = String::from_utf8_lossy(head);
        let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        if !first.is_empty() && first.split(';').count() < 3 {
            let text = format!(
                "`{}` is no accounting log of PBS: its lines are `date;type;job;key=value ...`",
                input.path().display()
            );
            return Err(Error::new(Code::Usage, text));
        }
        Ok(Found { layout: Arc::new(Lines(Arc::clone(&self.0))), header: 0 })
    }
}

#[derive(Debug)]
struct Lines(Arc<BTreeSet<String>>);

impl Layout for Lines {
    fn whole(&self, text: &[u8]) -> usize {
        text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
    }

    fn piece<'t>(&self, text: &'t [u8]) -> (usize, Piece<'t>) {
        let end = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| end + 1);
        let piece = match std::str::from_utf8(text.get(..end).unwrap_or_default()) {
            Ok(line) => self.line(line.trim_end_matches(['\r', '\n'])),
            Err(_) => Piece::Reject("not UTF-8".into()),
        };
        (end, piece)
    }
}

impl Lines {
    fn line<'t>(&self, line: &'t str) -> Piece<'t> {
        if line.trim().is_empty() {
            return Piece::Skip;
        }
        let mut parts = line.splitn(4, ';');
        let (Some(date), Some(kind), Some(job)) = (parts.next(), parts.next(), parts.next()) else {
            return Piece::Reject("a line that is no `date;type;job;...`".into());
        };
        if !self.0.contains(kind) {
            return Piece::LeaveOut;
        }
        let mut record: Record<'t> = vec![
            ("record_time".into(), moment(date)),
            ("record_type".into(), Value::of(kind)),
            ("job_id".into(), Value::of(job)),
        ];
        for pair in pairs(parts.next().unwrap_or_default()) {
            let (key, written) = match pair {
                Ok(pair) => pair,
                Err(reason) => return Piece::Reject(reason.into()),
            };
            if record.iter().any(|(known, _)| known.eq_ignore_ascii_case(key)) {
                // What a job is called must not say who ran it.
                return Piece::Reject("one key stands twice".into());
            }
            record.push((key.into(), value(written)));
        }
        Piece::Record(record)
    }
}

/// Keys and values of a message. Between them stands a blank, or a semicolon where one stands before every
/// key; a value goes on as long as no key follows, or to its closing quote.
fn pairs(message: &str) -> Vec<Result<(&str, Cow<'_, str>), &'static str>> {
    let by_semicolon = message.contains(';')
        && message
            .split(';')
            .all(|part| part.trim().is_empty() || key(part.trim_start()).is_some());
    let separator = if by_semicolon { ';' } else { ' ' };
    let mut pairs = Vec::new();
    let mut rest = message.trim();
    while !rest.is_empty() {
        let Some((name, after)) = key(rest) else {
            pairs.push(Err("text that is no `key=value`"));
            return pairs;
        };
        if let Some(inside) = after.strip_prefix('"') {
            let Some((text, left)) = quoted(inside) else {
                pairs.push(Err("a quote that does not close"));
                return pairs;
            };
            pairs.push(Ok((name, text)));
            rest = left.trim_start_matches([separator, ' ']);
            continue;
        }
        let mut end = after.len();
        for (at, _) in after.match_indices(separator) {
            let next = after.get(at + 1..).unwrap_or_default().trim_start();
            if next.is_empty() || key(next).is_some() {
                end = at;
                break;
            }
        }
        let (text, left) = after.split_at_checked(end).unwrap_or((after, ""));
        pairs.push(Ok((name, text.trim_end().into())));
        rest = left.trim_start_matches([separator, ' ']);
    }
    pairs
}

/// `key` and what stands behind its `=`.
fn key(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once('=')?;
    let mut letters = name.chars();
    let begins = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    let goes_on = letters.all(|letter| letter.is_ascii_alphanumeric() || "_.-".contains(letter));
    (begins && goes_on).then_some((name, rest))
}

/// Up to the closing quote, and what follows; a backslash keeps the letter behind it.
fn quoted(inside: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut text = String::new();
    let mut letters = inside.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((text.into(), inside.get(at + 1..)?)),
            '\\' => text.push(letters.next()?.1),
            other => text.push(other),
        }
    }
    None
}

/// A number where it is one; the kinds of what is known make amounts and spans of texts.
fn value(written: Cow<'_, str>) -> Value<'_> {
    match written {
        Cow::Borrowed("") => Value::Undefined,
        Cow::Borrowed(written) => number(written).unwrap_or_else(|| Value::of(written)),
        owned => Value::Text(owned),
    }
}

const fn known(name: &'static str, kind: Kind) -> Known {
    Known::new(name, kind)
}

const fn epoch(name: &'static str) -> Known {
    Known::new(name, Kind::Epoch).nulls(&["0"])
}

/// What most records of ended jobs have.
pub(super) const KNOWN: &[Known] = &[
    known("record_time", Kind::Time),
    known("record_type", Kind::Text),
    known("job_id", Kind::Text),
    known("user", Kind::Text),
    known("group", Kind::Text),
    known("account", Kind::Text),
    known("project", Kind::Text),
    known("jobname", Kind::Text),
    known("queue", Kind::Text),
    epoch("ctime"),
    epoch("qtime"),
    epoch("etime"),
    epoch("start"),
    epoch("end"),
    known("exec_host", Kind::Nodes),
    known("session", Kind::Integer),
    known("Exit_status", Kind::Integer),
    known("Resource_List.ncpus", Kind::Integer),
    known("Resource_List.nodect", Kind::Integer),
    known("Resource_List.mem", Kind::Bytes),
    known("Resource_List.walltime", Kind::Seconds),
    known("resources_used.cput", Kind::Seconds),
    known("resources_used.mem", Kind::Bytes),
    known("resources_used.vmem", Kind::Bytes),
    known("resources_used.ncpus", Kind::Integer),
    known("resources_used.walltime", Kind::Seconds),
];

#[cfg(test)]
mod tests;
