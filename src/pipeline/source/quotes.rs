//! Whether the quotes of a delimited file pair up. A reader takes what follows an open quote into one
//! value, so one stray quote would carry the columns of later rows out in a column that is kept. Does
//! not cut fields; that is the reader's work.

use std::io;

use super::text::BYTE_ORDER_MARK;

/// Follows a file's bytes as they are written to it.
#[derive(Debug)]
pub(super) struct Quotes {
    delimiter: u8,
    quote: u8,
    state: State,
    begun: bool,
    line: u64,
    opened: u64,
    wrong: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the start of a field.
    Start,
    /// In a field without quotes around it; quotes in it are ordinary.
    Bare,
    /// Behind an opening quote.
    Open,
    /// Behind a quote that closes the field, or is the first of two that mean one.
    Closing,
}

impl Quotes {
    pub(super) const fn new(delimiter: u8, quote: u8) -> Self {
        let state = State::Start;
        Self { delimiter, quote, state, begun: false, line: 1, opened: 1, wrong: None }
    }

    /// The line where a quote is opened that nothing closes as it should.
    pub(super) fn wrong(&self) -> Option<u64> {
        self.wrong.or_else(|| (self.state == State::Open).then_some(self.opened))
    }

    fn take(&mut self, byte: u8) {
        let ends = byte == self.delimiter || matches!(byte, b'\n' | b'\r');
        self.state = match self.state {
            State::Start if byte == self.quote => {
                self.opened = self.line;
                State::Open
            }
            State::Open if byte == self.quote => State::Closing,
            State::Open => State::Open,
            State::Closing if byte == self.quote => State::Open,
            State::Closing if !ends => {
                self.wrong = self.wrong.or(Some(self.opened));
                State::Bare
            }
            _ if ends => State::Start,
            _ => State::Bare,
        };
        self.line += u64::from(byte == b'\n');
    }
}

impl io::Write for Quotes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mark = (!self.begun).then(|| bytes.strip_prefix(&BYTE_ORDER_MARK)).flatten();
        self.begun = true;
        mark.unwrap_or(bytes).iter().for_each(|byte| self.take(*byte));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn wrong(text: &str) -> Option<u64> {
        let mut quotes = Quotes::new(b'|', b'"');
        quotes.write_all(text.as_bytes()).unwrap();
        quotes.wrong()
    }

    #[test]
    fn quotes_that_pair_up_are_good() {
        for text in ["", "a|b\n", "\"a|b\"|c\r\n", "\"a\nb\"", "\"say \"\"hi\"\"\"|x", "a\"b|5\"\n"]
        {
            assert_eq!(wrong(text), None, "{text}");
        }
        assert_eq!(wrong("\u{feff}\"a|b\"|c\n"), None);
    }

    #[test]
    fn a_quote_that_nothing_closes_is_found_where_it_is_opened() {
        assert_eq!(wrong("a|b\nc|\"d\ne|f\n"), Some(2));
        assert_eq!(wrong("a|\"b\nc|\"d|e\n"), Some(1));
        assert_eq!(wrong("\u{feff}\"a|b\n"), Some(1));
        assert_eq!(wrong("a|\"b\"c\n"), Some(1));
    }
}
