//! Records as a reader finds them: for each row its fields as texts, and for each byte of the block what
//! became of it. Knows no formats and no types; typing is done a column at a time in `cells.rs`.
//!
//! What a reader owes: it goes through `rows.text()` from its start to its end, and gives every byte away
//! exactly once, in order, by one of [`Rows::row`], [`Rows::step`], [`Rows::reject`], [`Rows::skip`] and
//! [`Rows::leave_out`], each of which takes so many bytes, newlines included. Before `row` or `step` it
//! says the row's fields with [`Rows::set`]; what it does not set is null.

use std::borrow::Cow;
use std::ops::Range;

use crate::error::{Code, Error, Result};

/// A field: a range of the block's text or of the texts that readers made. 32 bits each, as they are
/// written and read once for every field of every row.
#[derive(Debug, Clone, Copy)]
struct Cell {
    start: u32,
    length: u32,
}

impl Cell {
    const NULL: Self = Self { start: 0, length: u32::MAX };
    /// In the start: the text is among those that the reader made.
    const MADE: u32 = 1 << 31;
}

/// A block holds fewer bytes, so that a [`Cell`] can say where a field is.
pub(super) const BLOCK_BYTES_MAX: usize = 1 << 30;

/// Whether a row is a job's or of one of its steps, to be folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// A row of its own.
    Whole,
    /// To be folded into the last whole row before it.
    Step,
}

/// What could not be read, and where it stands in the block.
#[derive(Debug)]
pub(super) struct Reject {
    pub(super) reason: Cow<'static, str>,
    pub(super) bytes: Range<usize>,
}

/// The rows of one block.
pub struct Rows<'a> {
    text: &'a [u8],
    columns: usize,
    cells: Vec<Cell>,
    made: Vec<u8>,
    rows: Vec<(u32, u32, Part)>,
    rejects: Vec<Reject>,
    left_out: u64,
    /// The name of the last job; empty where steps would be nobody's.
    job: Vec<u8>,
    at: usize,
    fault: bool,
}

impl<'a> Rows<'a> {
    /// No rows yet of this block.
    ///
    /// # Errors
    /// When the block is larger than a block may be.
    pub fn new(text: &'a [u8], columns: usize) -> Result<Self> {
        if text.len() >= BLOCK_BYTES_MAX {
            return Err(Error::new(Code::Internal, "a block of text is too large"));
        }
        let mut this = Self {
            text,
            columns,
            cells: Vec::new(),
            made: Vec::new(),
            rows: Vec::new(),
            rejects: Vec::new(),
            left_out: 0,
            job: Vec::new(),
            at: 0,
            fault: false,
        };
        this.begin();
        Ok(this)
    }

    /// The block.
    pub const fn text(&self) -> &'a [u8] {
        self.text
    }

    /// The text that was not given away yet.
    pub fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Sets a field of the row that is being read, by the number of its column. Texts that are part of
    /// the block are not copied. What is set last counts.
    pub fn set(&mut self, column: usize, value: &[u8]) {
        let start = (value.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        let inside = start.checked_add(value.len()).is_some_and(|end| end <= self.text.len());
        if !inside {
            return self.set_made(column, |made| made.extend_from_slice(value));
        }
        let cell = u32::try_from(start).ok().zip(u32::try_from(value.len()).ok());
        let slot = (column < self.columns)
            .then(|| self.cells.len() - self.columns + column)
            .and_then(|at| self.cells.get_mut(at));
        match (slot, cell) {
            (Some(slot), Some((start, length))) => *slot = Cell { start, length },
            _ => self.fault = true,
        }
    }

    /// Sets a field to a text that `write` appends: for what does not stand in the block as it is meant,
    /// such as a field with quotes in it.
    pub fn set_made(&mut self, column: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.made.len();
        write(&mut self.made);
        let length = self.made.len().saturating_sub(start);
        let slot = (column < self.columns && self.made.len() < BLOCK_BYTES_MAX)
            .then(|| self.cells.len() - self.columns + column)
            .and_then(|at| self.cells.get_mut(at));
        match (slot, u32::try_from(start), u32::try_from(length)) {
            (Some(slot), Ok(start), Ok(length)) => {
                *slot = Cell { start: start | Cell::MADE, length };
            }
            _ => self.fault = true,
        }
    }

    /// Makes a field of the row that is being read null again.
    pub fn unset(&mut self, column: usize) {
        let slot = (column < self.columns)
            .then(|| self.cells.len() - self.columns + column)
            .and_then(|at| self.cells.get_mut(at));
        match slot {
            Some(slot) => *slot = Cell::NULL,
            None => self.fault = true,
        }
    }

    /// Forgets the fields of the row that is being read.
    pub fn forget(&mut self) {
        self.cells.truncate(self.rows.len() * self.columns);
        self.begin();
    }

    /// The row is complete; it took so many bytes of the text.
    pub fn row(&mut self, bytes: usize) {
        self.end(bytes, Part::Whole);
    }

    /// The row is complete, and the job of this name, which steps may follow.
    pub fn job(&mut self, bytes: usize, name: &[u8]) {
        self.job.clear();
        self.job.extend_from_slice(name);
        self.end(bytes, Part::Whole);
    }

    /// What was read may have been a job, and cannot be told: steps that follow are nobody's.
    pub fn lose_job(&mut self) {
        self.job.clear();
    }

    /// The row is complete, and a step of the job of this name; to be folded into it, which must be the
    /// last before it.
    pub fn step(&mut self, bytes: usize, of: &[u8]) {
        if self.job.is_empty() || self.job != of {
            return self.reject(bytes, "a step whose job is not before it");
        }
        self.end(bytes, Part::Step);
    }

    /// So many bytes cannot be read, and why. Fields that were set are forgotten. The reason is for the
    /// custodian's eyes; it still holds no values, which stand beside it.
    pub fn reject(&mut self, bytes: usize, reason: impl Into<Cow<'static, str>>) {
        self.forget();
        let taken = self.take(bytes);
        self.rejects.push(Reject { reason: reason.into(), bytes: taken });
    }

    /// So many bytes are no record: blank lines, comments, headings.
    pub fn skip(&mut self, bytes: usize) {
        self.take(bytes);
    }

    /// So many bytes are one record that was asked to be left out, such as a job's step. It is counted.
    pub fn leave_out(&mut self, bytes: usize) {
        self.forget();
        self.take(bytes);
        self.left_out += 1;
    }

    fn begin(&mut self) {
        self.cells.resize(self.cells.len() + self.columns, Cell::NULL);
    }

    fn end(&mut self, bytes: usize, part: Part) {
        let taken = self.take(bytes);
        match (u32::try_from(taken.start), u32::try_from(taken.end)) {
            (Ok(start), Ok(end)) => self.rows.push((start, end, part)),
            _ => self.fault = true,
        }
        self.begin();
    }

    fn take(&mut self, bytes: usize) -> Range<usize> {
        let end = self.at.saturating_add(bytes);
        self.fault |= end > self.text.len();
        let taken = self.at..end.min(self.text.len());
        self.at = taken.end;
        taken
    }

    /// Whether the reader kept its side.
    ///
    /// INVARIANT: a byte that no row, reject or skip accounts for is a defect that stops the run; nothing
    /// is dropped silently.
    pub(super) fn check(&self) -> Result<()> {
        if self.fault || self.at != self.text.len() {
            let (at, all) = (self.at, self.text.len());
            let text = format!("the reader accounts for {at} bytes of a block of {all}");
            return Err(Error::new(Code::Internal, text));
        }
        Ok(())
    }

    /// How many rows there are, steps included.
    pub(super) const fn len(&self) -> usize {
        self.rows.len()
    }

    /// The texts of a column, row by row.
    pub(super) fn column(&self, column: usize) -> impl Iterator<Item = Option<&[u8]>> {
        let cells = self.cells.get(column..).unwrap_or_default();
        cells.iter().step_by(self.columns.max(1)).take(self.rows.len()).map(|cell| self.cell(*cell))
    }

    fn cell(&self, cell: Cell) -> Option<&[u8]> {
        if cell.length == u32::MAX {
            return None;
        }
        let (texts, start) = if cell.start & Cell::MADE == 0 {
            (self.text, cell.start)
        } else {
            (self.made.as_slice(), cell.start & !Cell::MADE)
        };
        let start = start as usize;
        texts.get(start..start + cell.length as usize)
    }

    /// Where a row stands in the block, and whether it is a step.
    pub(super) fn place(&self, row: usize) -> Option<(Range<usize>, Part)> {
        self.rows.get(row).map(|(start, end, part)| (*start as usize..*end as usize, *part))
    }

    /// What could not be read.
    pub(super) fn into_rejects(self) -> Vec<Reject> {
        self.rejects
    }

    /// How many records were left out because it was asked for.
    pub(super) const fn left_out(&self) -> u64 {
        self.left_out
    }
}

impl std::fmt::Debug for Rows<'_> {
    // PRIVACY: fields are raw values; only numbers are shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows")
            .field("rows", &self.rows.len())
            .field("rejects", &self.rejects.len())
            .finish_non_exhaustive()
    }
}
