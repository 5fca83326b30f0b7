//! Reads records of `sacct --parsable2`, where nothing is quoted: newlines and delimiters may stand inside
//! the free texts of a record. Guesses only where there is one answer; types are checked elsewhere.
//!
//! A line with all delimiters that a record needs, or more, begins a record, whatever stands before it: a
//! record that is damaged spoils no other. Shorter lines are joined until they make a record, if every
//! newline between them is then inside a free text. Short lines behind a record whose last field is free
//! go on with that field, unless they begin as records do.

use super::super::cells::fits;
use super::super::column::{Column, Kind};
use super::super::format::{Options, Reader, Steps};
use super::super::rows::Rows;
use super::super::zone::Zone;
use super::fields::{Field, Shape};

/// A record that spreads over more lines than this is none.
const LINES_MAX: usize = 1_000;

/// Reads inputs with these fields.
#[derive(Debug)]
pub(super) struct Sacct {
    fields: Vec<Field>,
    columns: Vec<Column>,
    delimiter: u8,
    /// How many delimiters a record has.
    delimiters: usize,
    trailing: bool,
    quoted: bool,
    steps: Steps,
    zone: Zone,
    /// Fields in which anything may stand.
    free: Vec<usize>,
    /// The field that says whether a record is a step's.
    job: Option<usize>,
}

/// A record's fields as ranges of the block, and where it ends.
type Cells = Vec<(usize, usize)>;

impl Sacct {
    pub(super) fn new(
        fields: Vec<Field>,
        columns: Vec<Column>,
        delimiter: u8,
        trailing: bool,
        quoted: bool,
        options: &Options,
    ) -> Self {
        let free = |(at, field): (usize, &Field)| (field.shape == Shape::Free).then_some(at);
        Self {
            delimiters: (fields.len() + usize::from(trailing)).saturating_sub(1),
            free: fields.iter().enumerate().filter_map(free).collect(),
            job: fields.iter().position(|field| field.shape == Shape::Job),
            fields,
            columns,
            delimiter,
            trailing,
            quoted,
            steps: options.steps,
            zone: options.zone,
        }
    }

    fn count(&self, line: &[u8]) -> usize {
        memchr::memchr_iter(self.delimiter, line).count()
    }

    /// Whether a line that lacks delimiters begins as a record does; unknown where the first field may be
    /// any text.
    fn begins(&self, line: &[u8]) -> Option<bool> {
        let first = self.fields.first()?;
        let plain = matches!(first.shape, Shape::Plain(Kind::Text) | Shape::Free);
        if plain {
            return None;
        }
        let end = memchr::memchr(self.delimiter, line).unwrap_or(line.len());
        let text = line.get(..end).unwrap_or_default().trim_ascii_end();
        Some(!text.is_empty() && self.fits(*first, text))
    }

    /// Whether a text may stand in a field that is not free.
    fn fits(&self, field: Field, text: &[u8]) -> bool {
        match field.shape {
            Shape::Free | Shape::Plain(Kind::Text) => true,
            Shape::Job => is_job(text),
            Shape::State => {
                let (state, by) = state(text);
                state.iter().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'_' | b'+'))
                    && by.is_none_or(|by| !by.is_empty() && by.iter().all(u8::is_ascii_digit))
            }
            Shape::ExitCode => text.is_empty() || exit_code(text).is_some(),
            Shape::RequestedMemory => {
                let (memory, _) = requested_memory(text);
                self.column_fits(field, memory)
            }
            Shape::Plain(_) | Shape::Unit(..) => self.column_fits(field, text),
        }
    }

    fn column_fits(&self, field: Field, text: &[u8]) -> bool {
        self.columns.get(field.column).is_some_and(|column| fits(column, self.zone, text))
    }

    /// Reads a record that is one line with as many delimiters as it needs: nearly all are.
    fn plain(&self, rows: &mut Rows<'_>, line: &[u8], cells: &Cells, bytes: usize) {
        if self.trailing {
            let last = cells.last().is_some_and(|(start, end)| start == end);
            if !last {
                return rows.reject(bytes, "text behind the last delimiter");
            }
        }
        self.put(rows, line, cells, bytes);
    }

    /// Hands a record over. Ranges are of `text`.
    fn put(&self, rows: &mut Rows<'_>, text: &[u8], cells: &Cells, bytes: usize) {
        let name = self
            .job
            .filter(|_| self.steps != Steps::Keep)
            .and_then(|job| cells.get(job))
            .map(|(start, end)| text.get(*start..*end).unwrap_or_default());
        let Some(name) = name else {
            self.set_all(rows, text, cells);
            return rows.row(bytes);
        };
        match memchr::memchr(b'.', name) {
            Some(_) if self.steps == Steps::Drop => rows.leave_out(bytes),
            Some(dot) => {
                self.set_all(rows, text, cells);
                rows.step(bytes, name.get(..dot).unwrap_or_default());
            }
            None => {
                self.set_all(rows, text, cells);
                rows.job(bytes, name);
            }
        }
    }

    fn set_all(&self, rows: &mut Rows<'_>, text: &[u8], cells: &Cells) {
        for (field, (start, end)) in self.fields.iter().zip(cells) {
            let cell = text.get(*start..*end).unwrap_or_default();
            if cell.is_empty() {
                continue;
            }
            if self.quoted && cell.starts_with(b"\"") {
                let inner = unquoted(cell);
                rows.set_made(field.column, |made| made.extend_from_slice(&inner));
                continue;
            }
            match field.shape {
                Shape::Plain(_) | Shape::Unit(..) | Shape::Free | Shape::Job => {
                    rows.set(field.column, cell);
                }
                Shape::State => {
                    let (state, by) = state(cell);
                    rows.set(field.column, state);
                    if let Some(by) = by {
                        rows.set(field.column + 1, by);
                    }
                }
                Shape::ExitCode => match exit_code(cell) {
                    Some((code, signal)) => {
                        rows.set(field.column, code);
                        rows.set(field.column + 1, signal);
                    }
                    // No integer, so the row is rejected.
                    None => rows.set(field.column, cell),
                },
                Shape::RequestedMemory => {
                    let (memory, per) = requested_memory(cell);
                    rows.set(field.column, memory);
                    if let Some(per) = per {
                        rows.set(field.column + 1, per.as_bytes());
                    }
                }
            }
        }
    }

    /// Reads a record of several lines, or one with more delimiters than it needs.
    ///
    /// The delimiters that are too many all belong to one free text. If exactly one of them makes every
    /// other field fit what stands in it, that is the answer.
    fn resolve(&self, text: &[u8]) -> Result<Cells, &'static str> {
        let body = text.strip_suffix(b"\n").unwrap_or(text);
        let body = body.strip_suffix(b"\r").unwrap_or(body);
        let mut ends: Vec<usize> = memchr::memchr_iter(self.delimiter, body).collect();
        let Some(excess) = ends.len().checked_sub(self.delimiters) else {
            return Err("too few fields");
        };
        ends.push(body.len());
        if excess == 0 {
            let cells = ranges(&ends, usize::MAX, 0);
            return if self.is_sound(body, &cells) {
                Ok(cells)
            } else {
                Err("a newline outside the free texts of a record")
            };
        }
        let mut found = None;
        for free in &self.free {
            let cells = ranges(&ends, *free, excess);
            if self.is_sound(body, &cells) && self.all_fit(body, &cells) {
                if found.is_some() {
                    return Err(
                        "too many fields, and more than one free text may hold the delimiter",
                    );
                }
                found = Some(cells);
            }
        }
        found.ok_or("too many fields")
    }

    /// Whether newlines are in free texts only, and nothing stands behind the last delimiter.
    fn is_sound(&self, body: &[u8], cells: &Cells) -> bool {
        let inside = |at: usize| self.free.contains(&at);
        let cells_sound = cells.iter().enumerate().all(|(at, (start, end))| {
            let cell = body.get(*start..*end).unwrap_or_default();
            inside(at) || memchr::memchr(b'\n', cell).is_none()
        });
        cells_sound && (!self.trailing || cells.last().is_some_and(|(start, end)| start == end))
    }

    fn all_fit(&self, body: &[u8], cells: &Cells) -> bool {
        self.fields.iter().zip(cells).all(|(field, (start, end))| {
            self.fits(*field, body.get(*start..*end).unwrap_or_default())
        })
    }

    /// How many of the short lines at the beginning of `text` go on with the record before them.
    fn continued(&self, text: &[u8]) -> usize {
        // Nearly always a job's number follows.
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let first_is_job = self.fields.first().is_some_and(|field| field.shape == Shape::Job);
        if first_is_job && digits > 0 && text.get(digits) == Some(&self.delimiter) {
            return 0;
        }
        if self.free.last().is_none_or(|last| last + 1 != self.fields.len()) || self.trailing {
            return 0;
        }
        let (mut length, mut blank) = (0, 0);
        for line in lines(text) {
            // Nearly every line begins a record, so that is asked first.
            let goes_on = match self.begins(line) {
                Some(begins) => !begins && self.count(line) < self.delimiters,
                None => self.count(line) == 0,
            };
            if !goes_on {
                break;
            }
            blank += line.len();
            // Blank lines belong to a text if it goes on behind them.
            if !line.trim_ascii().is_empty() {
                length += std::mem::take(&mut blank);
            }
        }
        length
    }

    /// Reads what begins with a line that is too short.
    fn broken(&self, rows: &mut Rows<'_>) {
        let text = rows.rest();
        let first = lines(text).next().map_or(0, <[u8]>::len);
        let line = text.get(..first).unwrap_or_default();
        if line.trim_ascii().is_empty() {
            return rows.skip(first);
        }
        if self.begins(line) == Some(false) {
            return rows.reject(first, "a line that neither begins nor goes on with a record");
        }
        let (mut length, mut count) = (0, 0);
        for (at, line) in lines(text).enumerate() {
            let delimiters = self.count(line);
            let other =
                at > 0 && (delimiters >= self.delimiters || self.begins(line) == Some(true));
            if other || at > LINES_MAX {
                break;
            }
            length += line.len();
            count += delimiters;
            if count >= self.delimiters {
                let more = self.continued(text.get(length..).unwrap_or_default());
                let record = text.get(..length + more).unwrap_or_default();
                return match self.resolve(record) {
                    Ok(cells) => self.put(rows, record, &cells, length + more),
                    Err(_) => rows.reject(first, "too few fields"),
                };
            }
        }
        rows.reject(first, "too few fields");
    }
}

impl Reader for Sacct {
    fn whole(&self, text: &[u8]) -> usize {
        let mut end = text.len();
        // The last line that is there in full, begins a record, and is no step that goes with others.
        while let Some(newline) = memchr::memrchr(b'\n', text.get(..end).unwrap_or_default()) {
            let before = text.get(..newline).unwrap_or_default();
            let start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
            let line = text.get(start..newline).unwrap_or_default();
            if start > 0 && self.count(line) >= self.delimiters && !self.is_step(line) {
                return start;
            }
            end = newline;
        }
        0
    }

    fn read(&self, rows: &mut Rows<'_>) {
        let mut cells: Cells = Vec::with_capacity(self.delimiters + 1);
        loop {
            let text = rows.rest();
            if text.is_empty() {
                return;
            }
            cells.clear();
            let mut start = 0;
            let mut bytes = text.len();
            for at in memchr::memchr2_iter(self.delimiter, b'\n', text) {
                if text.get(at) == Some(&b'\n') {
                    bytes = at + 1;
                    break;
                }
                cells.push((start, at));
                start = at + 1;
            }
            let line = text.get(..bytes).unwrap_or_default();
            let body = line.strip_suffix(b"\n").unwrap_or(line);
            let body = body.strip_suffix(b"\r").unwrap_or(body);
            cells.push((start, body.len().max(start)));
            if cells.len() <= self.delimiters {
                self.broken(rows);
                continue;
            }
            let more = self.continued(text.get(bytes..).unwrap_or_default());
            if more == 0 && cells.len() == self.delimiters + 1 {
                self.plain(rows, line, &cells, bytes);
                continue;
            }
            let record = text.get(..bytes + more).unwrap_or_default();
            match self.resolve(record) {
                Ok(cells) => self.put(rows, record, &cells, bytes + more),
                Err(reason) => {
                    rows.reject(bytes + more, reason);
                    rows.lose_job();
                }
            }
        }
    }
}

impl Sacct {
    fn is_step(&self, line: &[u8]) -> bool {
        let Some(job) = self.job.filter(|_| self.steps == Steps::Fold) else { return false };
        let cell = line.split(|byte| *byte == self.delimiter).nth(job).unwrap_or_default();
        memchr::memchr(b'.', cell).is_some()
    }
}

/// Lines with their newlines.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

/// The ranges between delimiters, where `excess` delimiters belong to the field `owner`.
fn ranges(ends: &[usize], owner: usize, excess: usize) -> Cells {
    let mut cells = Vec::with_capacity(ends.len());
    let mut start = 0;
    let mut ends = ends.iter();
    let mut field = 0;
    loop {
        let end = if field == owner { ends.nth(excess) } else { ends.next() };
        let Some(end) = end else { return cells };
        cells.push((start, *end));
        start = end + 1;
        field += 1;
    }
}

/// `123`, `123_4`, `123_[5-9%2]`, `123+1`, each perhaps with `.batch`, `.extern`, `.0` behind it.
fn is_job(text: &[u8]) -> bool {
    let number = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = text.get(number..).unwrap_or_default();
    let behind = |byte: &u8| byte.is_ascii_alphanumeric() || b"_[]-,%+.:".contains(byte);
    number > 0 && rest.first().is_none_or(|byte| b"_+.".contains(byte)) && rest.iter().all(behind)
}

/// `CANCELLED by 423120`: the state and who cancelled.
fn state(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.strip_prefix(b"CANCELLED by ") {
        Some(by) => (text.get(..b"CANCELLED".len()).unwrap_or_default(), Some(by)),
        None => (text, None),
    }
}

/// `0:15`: the exit status and the signal.
fn exit_code(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', text)?;
    let (code, signal) = (text.get(..colon)?, text.get(colon + 1..)?);
    let number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    (number(code) && number(signal)).then_some((code, signal))
}

/// `48000Mn`, `4Gc`, `16G`: the memory, and what it is for.
fn requested_memory(text: &[u8]) -> (&[u8], Option<&'static str>) {
    match text.split_last() {
        Some((b'n', memory)) => (memory, Some("node")),
        Some((b'c', memory)) => (memory, Some("cpu")),
        _ => (text, None),
    }
}

/// A field that stood in quotes.
fn unquoted(cell: &[u8]) -> Vec<u8> {
    let inner = cell.strip_prefix(b"\"").and_then(|cell| cell.strip_suffix(b"\""));
    let mut text = Vec::new();
    let mut quote = false;
    for byte in inner.unwrap_or(cell) {
        quote = *byte == b'"' && !quote;
        if !quote {
            text.push(*byte);
        }
    }
    text
}
