//! CSV record by record, as `export` writes it: with the line that each begins in, and whether a cell had
//! quotes, which tells an empty text from null. Knows no types; reads no other dialect.

use std::io::BufRead;

use super::typed::{ROW_BYTES_MAX, TOO_LONG};
use crate::error::{Code, Context, Result};

/// What is wrong with the text, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: u64,
    pub(super) what: &'static str,
}

/// One record.
#[derive(Debug, Default)]
pub(super) struct Record {
    line: u64,
    text: Vec<u8>,
    /// Where each cell ends in the text, and whether it had quotes.
    ends: Vec<(usize, bool)>,
}

impl Record {
    /// The line in which it begins, from 1.
    pub(super) const fn line(&self) -> u64 {
        self.line
    }

    /// Its cells, and whether each had quotes.
    pub(super) fn cells(&self) -> impl Iterator<Item = (&[u8], bool)> {
        let mut start = 0;
        self.ends.iter().map(move |(end, quoted)| {
            let cell = self.text.get(start..*end).unwrap_or_default();
            start = *end;
            (cell, *quoted)
        })
    }
}

/// Where in a record a byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Plain,
    Quoted,
    /// Behind a quote that ends a cell, or is the first of two.
    Quote,
    /// Behind the return behind a cell with quotes.
    Return,
}

/// Records of a text.
#[derive(Debug)]
pub(super) struct Records<R> {
    text: R,
    line: u64,
}

impl<R: BufRead> Records<R> {
    pub(super) const fn new(text: R) -> Self {
        Self { text, line: 0 }
    }

    /// Reads the next record, if there is one; the inner error is the text's own fault.
    ///
    /// # Errors
    /// [`Code::Usage`] when the file cannot be read.
    pub(super) fn read(&mut self, record: &mut Record) -> Result<Result<bool, Fault>> {
        self.line += 1;
        record.line = self.line;
        record.text.clear();
        record.ends.clear();
        let fault = |line, what| Ok(Err(Fault { line, what }));
        let (mut place, mut any) = (Place::Start, false);
        loop {
            let bytes = self.text.fill_buf();
            let bytes = bytes.context(Code::Usage, || "the file cannot be read".to_owned())?;
            if bytes.is_empty() {
                return match place {
                    Place::Start if !any => Ok(Ok(false)),
                    Place::Quoted => fault(record.line, "a quote is not closed"),
                    _ => {
                        record.ends.push((record.text.len(), place == Place::Quote));
                        Ok(Ok(true))
                    }
                };
            }
            any = true;
            let mut used = 0;
            for byte in bytes {
                used += 1;
                match (place, byte) {
                    (Place::Quoted, b'"') => place = Place::Quote,
                    (Place::Quoted, byte) => {
                        self.line += u64::from(*byte == b'\n');
                        record.text.push(*byte);
                    }
                    (Place::Quote, b'"') => {
                        record.text.push(b'"');
                        place = Place::Quoted;
                    }
                    (Place::Start, b'"') => place = Place::Quoted,
                    (Place::Quote, b'\r') => place = Place::Return,
                    (_, b'\n') => {
                        let quoted = matches!(place, Place::Quote | Place::Return);
                        if !quoted && record.text.last() == Some(&b'\r') && place == Place::Plain {
                            record.text.pop();
                        }
                        record.ends.push((record.text.len(), quoted));
                        self.text.consume(used);
                        return Ok(Ok(true));
                    }
                    (Place::Start | Place::Plain | Place::Quote, b',') => {
                        record.ends.push((record.text.len(), place == Place::Quote));
                        place = Place::Start;
                    }
                    (Place::Quote | Place::Return, _) | (Place::Plain, b'"') => {
                        return fault(self.line, "a quote stands where none can be");
                    }
                    (Place::Start | Place::Plain, byte) => {
                        record.text.push(*byte);
                        place = Place::Plain;
                    }
                }
            }
            self.text.consume(used);
            if record.text.len() > ROW_BYTES_MAX {
                return fault(record.line, TOO_LONG);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, room: usize) -> Result<Vec<(u64, String)>, Fault> {
        let text = std::io::BufReader::with_capacity(room, text.as_bytes());
        let (mut records, mut record) = (Records::new(text), Record::default());
        let mut all = Vec::new();
        while records.read(&mut record).unwrap()? {
            let cell = |(cell, quoted): (&[u8], bool)| {
                let cell = String::from_utf8_lossy(cell);
                if quoted { format!("<{cell}>") } else { cell.into_owned() }
            };
            all.push((record.line(), record.cells().map(cell).collect::<Vec<_>>().join("|")));
        }
        Ok(all)
    }

    #[test]
    fn records_have_their_line_and_cells_their_quotes_wherever_the_text_is_cut() {
        let text = "a,b\r\n1,\"x\"\"y\r\n, z\"\r\n,\"\"\r\n\n\"q\"\n5,";
        let expected =
            [(1, "a|b"), (2, "1|<x\"y\r\n, z>"), (4, "|<>"), (5, ""), (6, "<q>"), (7, "5|")];
        for room in [1, 2, 3, 100] {
            let expected = expected.map(|(line, cells)| (line, cells.to_owned()));
            assert_eq!(all(text, room).unwrap(), expected, "{room}");
        }
        assert_eq!(all("", 8).unwrap(), []);
    }

    #[test]
    fn a_text_that_is_no_csv_is_said_to_be_none() {
        for (text, line) in
            [("a\n\"b\nc", 2), ("a\nb\"c\"\n", 2), ("\"a\"b\n", 1), ("\"a\"\rb\n", 1)]
        {
            assert_eq!(all(text, 4).unwrap_err().line, line, "{text}");
        }
    }
}
