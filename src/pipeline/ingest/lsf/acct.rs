//! `lsb.acct`: a record a line, fields between blanks, strings in quotes in which a quote is written twice.
//! Reads `JOB_FINISH` up to the greatest memory use; what follows is read in [`super::tail`].

use std::borrow::Cow;

use super::super::attributes::{Layout, Piece, Record, Value};
use super::super::numbers::number;
use super::{ACCT, tail};

/// Records, one a line.
#[derive(Debug)]
pub(super) struct Lines;

impl Layout for Lines {
    fn whole(&self, text: &[u8]) -> usize {
        text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
    }

    fn piece<'t>(&self, text: &'t [u8]) -> (usize, Piece<'t>) {
        let end = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| end + 1);
        let piece = match std::str::from_utf8(text.get(..end).unwrap_or_default()) {
            Ok(line) => piece(line.trim()),
            Err(_) => Piece::Reject("not UTF-8".into()),
        };
        (end, piece)
    }
}

fn piece(line: &str) -> Piece<'_> {
    if line.is_empty() {
        return Piece::Skip;
    }
    let mut fields = Fields { rest: line, broken: false };
    match fields.next().as_deref() {
        Some("JOB_FINISH") => {}
        // Resized jobs and reservations are records of their own.
        Some(_) => return Piece::LeaveOut,
        None => return Piece::Reject("a record that does not begin with its type".into()),
    }
    match finish(&mut fields) {
        Some(record) if !fields.broken => Piece::Record(record),
        _ => Piece::Reject("a record that ends before its fields do".into()),
    }
}

/// The fields of a finished job.
fn finish<'t>(fields: &mut Fields<'t>) -> Option<Record<'t>> {
    let mut record: Record<'t> = Vec::with_capacity(ACCT.len());
    for known in ACCT {
        let value = match known.name {
            // A number of hosts, and as many names.
            "askedHosts" => fields.hosts()?.1,
            "execHosts" => {
                let (count, hosts) = fields.hosts()?;
                record.push(("numExHosts".into(), count));
                hosts
            }
            "numExHosts" => continue,
            _ => match fields.next()? {
                Cow::Borrowed("") => Value::Undefined,
                Cow::Borrowed(text) if known.kind != super::Kind::Text => {
                    number(text).unwrap_or_else(|| Value::of(text))
                }
                text => Value::Text(text),
            },
        };
        record.push((known.name.into(), value));
    }
    tail::read(fields, &mut record);
    Some(record)
}

/// The fields of a line that were not read yet.
#[derive(Clone)]
pub(super) struct Fields<'t> {
    rest: &'t str,
    /// A quote that does not close.
    broken: bool,
}

impl<'t> Fields<'t> {
    /// What was not read yet.
    pub(super) const fn rest(&self) -> &'t str {
        self.rest
    }

    /// Goes back to where only `rest` was not read.
    pub(super) const fn leave(&mut self, rest: &'t str) {
        self.rest = rest;
    }

    /// The next field if it stands in quotes.
    pub(super) fn quoted(&mut self) -> Option<Cow<'t, str>> {
        self.rest.trim_start_matches(' ').starts_with('"').then(|| self.next()).flatten()
    }

    /// The next field if it does not.
    pub(super) fn plain(&mut self) -> Option<&'t str> {
        if self.rest.trim_start_matches(' ').starts_with('"') {
            return None;
        }
        match self.next()? {
            Cow::Borrowed(field) => Some(field),
            Cow::Owned(_) => None,
        }
    }

    /// The next field, whichever it is.
    pub(super) fn either(&mut self) -> Option<Cow<'t, str>> {
        self.next()
    }

    /// The next field as the length of a list.
    pub(super) fn count(&mut self) -> Option<usize> {
        self.plain()?.parse().ok()
    }

    fn hosts(&mut self) -> Option<(Value<'t>, Value<'t>)> {
        let written = self.next()?;
        let count: usize = written.parse().ok()?;
        let mut hosts = String::new();
        for at in 0..count {
            if at > 0 {
                hosts.push(':');
            }
            hosts.push_str(&self.next()?);
        }
        let hosts = if count == 0 { Value::Undefined } else { Value::of(hosts) };
        Some((Value::Integer(written), hosts))
    }
}

impl<'t> Iterator for Fields<'t> {
    type Item = Cow<'t, str>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.trim_start_matches(' ');
        let Some(inside) = rest.strip_prefix('"') else {
            let end = rest.find(' ').unwrap_or(rest.len());
            let (field, after) = rest.split_at_checked(end)?;
            self.rest = after;
            return (!field.is_empty()).then_some(field.into());
        };
        let mut text = Cow::Borrowed("");
        let mut left = inside;
        loop {
            let Some((part, after)) = left.split_once('"') else {
                self.broken = true;
                self.rest = "";
                return None;
            };
            if text.is_empty() {
                text = part.into()
            } else {
                text.to_mut().push_str(part)
            }
            match after.strip_prefix('"') {
                Some(more) => {
                    text.to_mut().push('"');
                    left = more;
                }
                None => {
                    self.rest = after;
                    return Some(text);
                }
            }
        }
    }
}
