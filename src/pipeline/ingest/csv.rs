//! Delimited text by RFC 4180: fields may stand in quotes, and then hold delimiters and newlines. Kinds
//! of columns are inferred from the first records of each input, or named. Mends no quotes.

use std::sync::Arc;

use super::chunk::{HEAD_BYTES, survey};
use super::column::{Column, Kind};
use super::format::{Format, Opened, Options, Plan, Reader};
use super::infer::{self, Guess};
use super::input::Input;
use super::rows::Rows;
use crate::error::{Code, Error, Result};

/// How many records of each input kinds are inferred from, unless said otherwise.
const SAMPLE: u64 = 100_000;

/// Characters that may stand between fields, the likeliest first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The format.
#[derive(Debug, Clone, Copy)]
pub(super) struct Csv;

impl Format for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn about(&self) -> &'static str {
        "delimited text with a header line or --fields, quoted by RFC 4180; kinds are inferred"
    }

    fn plan(&self, inputs: &[Input], options: &Options) -> Result<Arc<dyn Plan>> {
        let first = inputs.first().ok_or_else(|| Error::new(Code::Usage, "there are no inputs"))?;
        let names = header(first, &first.head(HEAD_BYTES)?, options)?.names;
        let mut guesses = vec![Guess::default(); names.len()];
        let columns = names.iter().map(|name| Column::new(name, Kind::Text)).collect();
        let mut plan = Table { columns, options: options.clone() };
        let most = options.sample.unwrap_or(SAMPLE);
        for input in inputs {
            let mut left = if most == 0 { u64::MAX } else { most };
            let head = input.head(HEAD_BYTES)?;
            let reader = plan.reader(input, &head)?.0;
            survey(input, &plan, |text| {
                left = reader.look(text, left, &mut guesses);
                left > 0
            })?;
        }
        plan.columns = infer::columns(names.into_iter().zip(guesses), &options.types)?;
        Ok(Arc::new(plan))
    }
}

/// What the first record of an input says.
struct Header {
    names: Vec<String>,
    delimiter: u8,
    bytes: usize,
}

fn header(input: &Input, head: &[u8], options: &Options) -> Result<Header> {
    let refuse = |what: String| {
        Err(Error::new(Code::Usage, format!("`{}`: {what}", input.path().display())))
    };
    let delimiter = options.delimiter.unwrap_or_else(|| detect(head));
    let mut spans = Vec::new();
    let bytes = match next(head, delimiter, &mut spans) {
        Next::Record(bytes) => bytes,
        Next::Open if head.is_empty() => 0,
        Next::Open | Next::Broken(..) => {
            return refuse("the quotes of the first line do not pair up".to_owned());
        }
    };
    let read = |span: &Span| String::from_utf8_lossy(&span.value(head)).trim().to_owned();
    let first: Vec<String> = spans.iter().map(read).collect();
    if let Some(names) = &options.fields {
        // A header line that says the same is no record.
        let bytes = if first == *names { bytes } else { 0 };
        return Ok(Header { names: names.clone(), delimiter, bytes });
    }
    if bytes == 0 || first.iter().all(String::is_empty) {
        return refuse("is empty; a header line is needed, or `--fields`".to_owned());
    }
    for (at, name) in first.iter().enumerate() {
        if name.is_empty() {
            return refuse(format!("field {} of the header line has no name", at + 1));
        }
        if first.iter().take(at).any(|other| other == name) {
            return refuse(format!("the header line names `{name}` twice"));
        }
    }
    Ok(Header { names: first, delimiter, bytes })
}

/// The character that cuts the first records into equally many fields, and into most.
fn detect(head: &[u8]) -> u8 {
    let score = |delimiter: u8| {
        let (mut at, mut counts, mut spans) = (0, Vec::new(), Vec::new());
        while counts.len() < 20 {
            let rest = head.get(at..).unwrap_or_default();
            spans.clear();
            match next(rest, delimiter, &mut spans) {
                Next::Record(bytes) if !rest.is_empty() => at += bytes,
                _ => break,
            }
            counts.push(spans.len());
        }
        let first = counts.first().copied().unwrap_or(0);
        let equal = counts.iter().filter(|count| **count == first).count();
        if first > 1 { (equal * 1_000 / counts.len().max(1), first) } else { (0, 0) }
    };
    let mut best = (DELIMITERS[0], (0, 0));
    for delimiter in DELIMITERS {
        let score = score(delimiter);
        if score > best.1 {
            best = (delimiter, score);
        }
    }
    best.0
}

/// Inputs with these columns.
#[derive(Debug)]
struct Table {
    columns: Vec<Column>,
    options: Options,
}

impl Table {
    /// The reader of an input, which may have the columns in another order, and its header's length.
    fn reader(&self, input: &Input, head: &[u8]) -> Result<(Records, usize)> {
        let header = header(input, head, &self.options)?;
        let mut columns = Vec::with_capacity(header.names.len());
        for name in &header.names {
            let at = self.columns.iter().position(|column| column.name == *name);
            columns.push(at.ok_or_else(|| {
                let text = format!(
                    "`{}` has the column `{name}`, which the first input lacks; bring it into a \
                     folder of its own",
                    input.path().display()
                );
                Error::new(Code::Usage, text)
            })?);
        }
        if let Some(lacks) = self.columns.iter().find(|own| !header.names.contains(&own.name)) {
            let text = format!(
                "`{}` lacks the column `{}` of the first input; bring it into a folder of its own",
                input.path().display(),
                lacks.name
            );
            return Err(Error::new(Code::Usage, text));
        }
        Ok((Records { delimiter: header.delimiter, columns }, header.bytes))
    }
}

impl Plan for Table {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn open(&self, input: &Input, head: &[u8]) -> Result<Opened> {
        let (reader, header) = self.reader(input, head)?;
        Ok(Opened { reader: Arc::new(reader), header })
    }
}

/// Reads records of one input.
#[derive(Debug)]
struct Records {
    delimiter: u8,
    /// For each field the number of its column.
    columns: Vec<usize>,
}

impl Records {
    /// Looks at values of a block for their kinds; gives how many records more are to be looked at.
    fn look(&self, text: &[u8], mut left: u64, guesses: &mut [Guess]) -> u64 {
        let (mut at, mut spans) = (0, Vec::new());
        while left > 0 && at < text.len() {
            let rest = text.get(at..).unwrap_or_default();
            spans.clear();
            match next(rest, self.delimiter, &mut spans) {
                Next::Record(bytes) => at += bytes,
                Next::Broken(..) | Next::Open => {
                    at += first_line(rest);
                    continue;
                }
            }
            // What will be rejected says nothing about kinds.
            if spans.len() != self.columns.len() {
                continue;
            }
            left -= 1;
            for (span, column) in spans.iter().zip(&self.columns) {
                if let Some(guess) = guesses.get_mut(*column)
                    && !span.is_null()
                {
                    guess.see(&span.value(rest));
                }
            }
        }
        left
    }

    fn is_blank(&self, spans: &[Span]) -> bool {
        self.columns.len() > 1 && spans.len() == 1 && spans.first().is_some_and(Span::is_null)
    }
}

impl Reader for Records {
    fn whole(&self, text: &[u8]) -> usize {
        if memchr::memchr(b'"', text).is_none() {
            return memchr::memrchr(b'\n', text).map_or(0, |newline| newline + 1);
        }
        let (mut at, mut spans) = (0, Vec::new());
        loop {
            let rest = text.get(at..).unwrap_or_default();
            spans.clear();
            let bytes = match next(rest, self.delimiter, &mut spans) {
                Next::Record(bytes) | Next::Broken(bytes) => bytes,
                Next::Open => return at,
            };
            if rest.get(..bytes).is_none_or(|record| !record.ends_with(b"\n")) {
                return at;
            }
            at += bytes;
        }
    }

    fn read(&self, rows: &mut Rows<'_>) {
        let mut spans = Vec::with_capacity(self.columns.len());
        loop {
            let text = rows.rest();
            if text.is_empty() {
                return;
            }
            spans.clear();
            let bytes = match next(text, self.delimiter, &mut spans) {
                Next::Record(bytes) => bytes,
                // One line goes, and the next begins a record: a stray quote swallows nothing.
                Next::Broken(_) | Next::Open => {
                    rows.reject(first_line(text), "quotes that do not pair up");
                    continue;
                }
            };
            if spans.len() == self.columns.len() {
                for (span, column) in spans.iter().zip(&self.columns) {
                    if span.doubled {
                        let value = span.value(text);
                        rows.set_made(*column, |made| made.extend_from_slice(&value));
                    } else if !span.is_null() {
                        rows.set(*column, text.get(span.start..span.end).unwrap_or_default());
                    }
                }
                rows.row(bytes);
            } else if self.is_blank(&spans) {
                rows.skip(bytes);
            } else {
                let few = spans.len() < self.columns.len();
                rows.reject(bytes, if few { "too few fields" } else { "too many fields" });
            }
        }
    }
}

/// A field's place, without the quotes around it.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
    quoted: bool,
    /// There are quotes in it, each written twice.
    doubled: bool,
}

impl Span {
    /// Nothing stands there; a pair of quotes is an empty text.
    const fn is_null(&self) -> bool {
        self.start == self.end && !self.quoted
    }

    fn value(&self, text: &[u8]) -> Vec<u8> {
        let inner = text.get(self.start..self.end).unwrap_or_default();
        if !self.doubled {
            return inner.to_vec();
        }
        let mut value = Vec::with_capacity(inner.len());
        let mut quote = false;
        for byte in inner {
            quote = *byte == b'"' && !quote;
            if !quote {
                value.push(*byte);
            }
        }
        value
    }
}

/// What stands at the beginning of a text.
enum Next {
    /// A record of so many bytes, its newline included.
    Record(usize),
    /// So many bytes whose quotes are wrong: one line.
    Broken(usize),
    /// A quoted field that the text does not end.
    Open,
}

fn first_line(text: &[u8]) -> usize {
    memchr::memchr(b'\n', text).map_or(text.len(), |newline| newline + 1)
}

/// Cuts the first record into fields.
fn next(text: &[u8], delimiter: u8, spans: &mut Vec<Span>) -> Next {
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let (span, behind) = if rest.first() == Some(&b'"') {
            let Some((length, doubled)) = quoted(rest) else { return Next::Open };
            let span = Span { start: at + 1, end: at + 1 + length, quoted: true, doubled };
            (span, at + length + 2)
        } else {
            let length = memchr::memchr2(delimiter, b'\n', rest).unwrap_or(rest.len());
            let end = at + length;
            // The carriage return of a line's end is no part of the last field.
            let is_last = text.get(end) != Some(&delimiter);
            let returned =
                is_last && rest.get(..length).is_some_and(|field| field.ends_with(b"\r"));
            let end = end - usize::from(returned);
            (Span { start: at, end, quoted: false, doubled: false }, end)
        };
        spans.push(span);
        match text.get(behind..).unwrap_or_default() {
            [first, ..] if *first == delimiter => at = behind + 1,
            [b'\n', ..] => return Next::Record(behind + 1),
            [b'\r', b'\n', ..] => return Next::Record(behind + 2),
            [] | [b'\r'] => return Next::Record(text.len()),
            _ => return Next::Broken(first_line(text)),
        }
    }
}

/// The length of what stands between the quotes at the beginning of a text, and whether quotes are in
/// it; none if it is not closed.
fn quoted(text: &[u8]) -> Option<(usize, bool)> {
    let mut at = 1;
    let mut doubled = false;
    loop {
        at += memchr::memchr(b'"', text.get(at..)?)?;
        if text.get(at + 1) != Some(&b'"') {
            return Some((at - 1, doubled));
        }
        doubled = true;
        at += 2;
    }
}

#[cfg(test)]
#[path = "csv_tests.rs"]
mod tests;
