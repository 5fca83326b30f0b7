//! Cuts the text of an input into chunks of whole records, each one row group's worth, in order. Reads no
//! records; where they end, the format's reader says.

use std::io::{Cursor, Read};
use std::sync::Arc;

use super::format::{Plan, Reader};
use super::input::{Input, Text};
use crate::error::{Code, Context, Error, Result};

/// What a chunk is at most, unless one record is larger.
const CHUNK_BYTES: usize = 64 << 20;
/// A record is at most so large; a longer one is cut at a newline, and rejected.
const RECORD_BYTES_MAX: usize = 16 << 20;
/// How much of an input a format sees to find the header.
pub(super) const HEAD_BYTES: usize = 1 << 20;

/// Whole records, and where they stand.
pub(super) struct Chunk {
    pub(super) text: Vec<u8>,
    /// The number of its first line, from 1.
    pub(super) line: u64,
    /// Where the input's text goes on behind it.
    pub(super) end: Mark,
}

/// A place in the text of an input, unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mark {
    /// Bytes before it.
    pub(super) bytes: u64,
    /// Lines before it.
    pub(super) lines: u64,
}

impl Mark {
    fn behind(self, text: &[u8]) -> Self {
        let lines = memchr::memchr_iter(b'\n', text).count();
        Self { bytes: self.bytes + text.len() as u64, lines: self.lines + lines as u64 }
    }
}

/// The chunks of one input.
pub(super) struct Chunks {
    text: Box<dyn Text>,
    reader: Arc<dyn Reader>,
    name: String,
    rows: usize,
    carried: Vec<u8>,
    at: Mark,
    ended: bool,
}

impl Chunks {
    /// Opens an input and reads its header; goes on at a place where a chunk ended once.
    pub(super) fn open(
        input: &Input,
        plan: &dyn Plan,
        rows: usize,
        from: Option<Mark>,
        seen: impl FnMut(u64) + Send + 'static,
    ) -> Result<Self> {
        let name = input.path().display().to_string();
        let reading = || format!("`{name}` cannot be read");
        let mut text = input.open(seen)?;
        let mut head = Vec::new();
        let taken = text.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head);
        taken.context(Code::SourceUnreadable, reading)?;
        let opened = plan.open(input, &head)?;
        let header = head.get(..opened.header).unwrap_or(&head);
        let mut at = Mark::default().behind(header);
        let length = header.len();
        head.drain(..length);
        let mut text = Cursor::new(head).chain(text);
        if let Some(from) = from {
            let rest = from.bytes.checked_sub(at.bytes).ok_or_else(|| {
                Error::new(Code::SourceUnreadable, format!("`{name}` does not go on where it did"))
            })?;
            let gone = std::io::copy(&mut text.by_ref().take(rest), &mut std::io::sink());
            if gone.context(Code::SourceUnreadable, reading)? != rest {
                let text = format!("`{name}` ends before the place where the run stopped");
                return Err(Error::new(Code::SourceUnreadable, text));
            }
            at = from;
        }
        let (text, carried) = (Box::new(text), Vec::new());
        Ok(Self { text, reader: opened.reader, name, rows, carried, at, ended: false })
    }

    /// Reads the input's records.
    pub(super) const fn reader(&self) -> &Arc<dyn Reader> {
        &self.reader
    }

    /// The next chunk; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Chunk>> {
        let mut text = std::mem::take(&mut self.carried);
        let mut lines = memchr::memchr_iter(b'\n', &text).count();
        let step = (self.rows.saturating_mul(128)).clamp(1 << 8, 1 << 20);
        loop {
            if !self.ended && (lines >= self.rows || text.len() >= CHUNK_BYTES) {
                let whole = self.cut(&text);
                if whole > 0 {
                    self.carried = text.split_off(whole);
                    break;
                }
            }
            if self.ended {
                break;
            }
            let before = text.len();
            let reading = || format!("`{}` cannot be read", self.name);
            let taken = self.text.by_ref().take(step as u64).read_to_end(&mut text);
            self.ended = taken.context(Code::SourceUnreadable, reading)? == 0;
            lines += memchr::memchr_iter(b'\n', text.get(before..).unwrap_or_default()).count();
        }
        if text.is_empty() {
            return Ok(None);
        }
        let line = self.at.lines + 1;
        self.at = self.at.behind(&text);
        Ok(Some(Chunk { text, line, end: self.at }))
    }

    fn cut(&self, text: &[u8]) -> usize {
        let whole = self.reader.whole(text);
        if whole > 0 || text.len() < CHUNK_BYTES + RECORD_BYTES_MAX {
            return whole.min(text.len());
        }
        memchr::memrchr(b'\n', text).map_or(text.len(), |newline| newline + 1)
    }

    /// Where the text goes on.
    pub(super) const fn at(&self) -> Mark {
        self.at
    }
}

/// Shows the text of an input behind its header, in pieces of whole records, until `see` says that it
/// has seen enough: for formats that learn their columns from the data.
///
/// # Errors
/// When the input cannot be read.
pub(super) fn survey(
    input: &Input,
    plan: &dyn Plan,
    mut see: impl FnMut(&[u8]) -> bool,
) -> Result<()> {
    let mut chunks = Chunks::open(input, plan, 8_192, None, |_| ())?;
    while let Some(chunk) = chunks.next()? {
        if !see(&chunk.text) {
            break;
        }
    }
    Ok(())
}
