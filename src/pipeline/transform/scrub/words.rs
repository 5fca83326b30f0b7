//! A text cut into words, and where words begin and end: the one rule of boundaries that detectors and
//! dictionary share. Finds nothing by itself.
//!
//! A word is a run of ASCII letters and digits and of Latin letters with marks. Everything else stands
//! between words: blanks, punctuation, and `_`, `-`, `.`, `/` and `@` too, because identifiers are glued
//! to other text by just these. Letters of scripts that do without blanks are words of one letter each,
//! so that a name between them is found.

/// A text with its words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    /// The text.
    pub(super) text: &'a str,
    /// The same, as bytes.
    pub(super) bytes: &'a [u8],
    /// Its words, in order.
    pub(super) words: &'a [Word],
    /// Which marks occur at all: the union of [`mark`].
    pub(super) marks: u16,
}

/// A word: where it is, and what it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    /// The first byte.
    pub(super) start: usize,
    /// Past the last byte.
    pub(super) end: usize,
    /// The union of [`DIGIT`], [`UPPER`], [`LOWER`], [`NOT_HEX`] and [`OTHER`] over its characters.
    pub(super) made_of: u8,
}

/// A digit.
pub(super) const DIGIT: u8 = 1;
/// A capital ASCII letter.
pub(super) const UPPER: u8 = 2;
/// A small ASCII letter.
pub(super) const LOWER: u8 = 4;
/// A letter that no hexadecimal number has.
pub(super) const NOT_HEX: u8 = 8;
/// A character beyond ASCII.
pub(super) const OTHER: u8 = 128;

impl Word {
    /// Its length in bytes.
    pub(super) const fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether it has digits and nothing else.
    pub(super) const fn is_number(&self) -> bool {
        self.made_of == DIGIT
    }

    /// Whether it is a hexadecimal number, in capitals or not.
    pub(super) const fn is_hex(&self) -> bool {
        self.made_of & (NOT_HEX | OTHER) == 0 && self.made_of & (UPPER | LOWER) != UPPER | LOWER
    }
}

#[expect(clippy::indexing_slicing, reason = "a table is filled when this is compiled")]
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'A'..=b'F' => UPPER,
            b'a'..=b'f' => LOWER,
            b'G'..=b'Z' => UPPER | NOT_HEX,
            b'g'..=b'z' => LOWER | NOT_HEX,
            0x80.. => OTHER,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

/// The bit of a byte that detectors look for; 0 for all others.
pub(super) const fn mark(byte: u8) -> u16 {
    match byte {
        b'@' => 1,
        b':' => 2,
        b'=' => 4,
        b'/' => 8,
        b'\\' => 16,
        b'~' => 32,
        b'.' => 64,
        b'-' => 128,
        _ => 0,
    }
}

#[expect(clippy::indexing_slicing, reason = "a table is filled when this is compiled")]
const MARKS: [u16; 256] = {
    let mut marks = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        marks[byte] = mark(byte as u8);
        byte += 1;
    }
    marks
};

/// The class of a byte.
#[inline]
fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(0)
}

/// Cuts a text into words, which replace what `words` held. Gives the marks.
pub(super) fn cut(text: &str, words: &mut Vec<Word>) -> u16 {
    words.clear();
    let bytes = text.as_bytes();
    let mut marks = 0;
    let mut at = 0;
    let mut open: Option<Word> = None;
    while let Some(&byte) = bytes.get(at) {
        let made_of = class(byte);
        if made_of == 0 {
            marks |= MARKS.get(usize::from(byte)).copied().unwrap_or(0);
            words.extend(open.take());
            at += 1;
            continue;
        }
        let (width, joins) = match made_of {
            OTHER => match char_at(text, at) {
                Some(other) => (other.len_utf8(), is_latin(other)),
                None => (1, false),
            },
            _ => (1, true),
        };
        match &mut open {
            Some(word) if joins => {
                word.end = at + width;
                word.made_of |= made_of;
            }
            _ => {
                words.extend(open.take());
                let word = Word { start: at, end: at + width, made_of };
                if joins {
                    open = Some(word);
                } else {
                    words.push(word);
                }
            }
        }
        at += width;
    }
    words.extend(open);
    marks
}

/// A letter with a mark, or one like it, that stands in words among ASCII letters.
fn is_latin(other: char) -> bool {
    matches!(other, '\u{aa}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' | '\u{2c60}'..='\u{2c7f}')
        && other.is_alphabetic()
}

fn char_at(text: &str, at: usize) -> Option<char> {
    text.get(at..)?.chars().next()
}

/// Whether the character at `at` would prolong a word that ends there.
#[inline]
pub(super) fn joins_after(text: &str, at: usize) -> bool {
    match text.as_bytes().get(at).map(|byte| class(*byte)) {
        None | Some(0) => false,
        Some(OTHER) => char_at(text, at).is_some_and(is_latin),
        Some(_) => true,
    }
}

/// Whether the character before `at` would prolong a word that begins there.
#[inline]
pub(super) fn joins_before(text: &str, at: usize) -> bool {
    match at.checked_sub(1).and_then(|at| text.as_bytes().get(at)).map(|byte| class(*byte)) {
        None | Some(0) => false,
        Some(OTHER) => text.get(..at).and_then(|t| t.chars().next_back()).is_some_and(is_latin),
        Some(_) => true,
    }
}

/// The byte at `at`, or 0 outside of the text.
#[inline]
pub(super) fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// The byte before `at`, or 0 at the beginning.
#[inline]
pub(super) fn byte_before(bytes: &[u8], at: usize) -> u8 {
    at.checked_sub(1).map_or(0, |at| byte(bytes, at))
}

/// Where the bytes that satisfy `is` and end at `at` begin.
pub(super) fn back(bytes: &[u8], at: usize, is: impl Fn(u8) -> bool) -> usize {
    let before = bytes.get(..at).unwrap_or_default();
    let count = before.iter().rev().take_while(|byte| is(**byte)).count();
    spend(count);
    at - count
}

/// Where the bytes that satisfy `is` and begin at `at` end.
pub(super) fn forward(bytes: &[u8], at: usize, is: impl Fn(u8) -> bool) -> usize {
    let after = bytes.get(at..).unwrap_or_default();
    let count = after.iter().take_while(|byte| is(**byte)).count();
    spend(count);
    at + count
}

/// Counts steps that depend on the text, so that a test can see them grow.
#[cfg(not(test))]
#[inline]
pub(super) const fn spend(_steps: usize) {}

#[cfg(test)]
pub(super) fn spend(steps: usize) {
    STEPS.with(|all| all.set(all.get() + steps + 1));
}

#[cfg(test)]
thread_local! {
    /// The steps of this thread so far.
    pub(super) static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// A part of the bytes; empty where there is none.
#[inline]
pub(super) fn part(bytes: &[u8], start: usize, end: usize) -> &[u8] {
    bytes.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        cut(text, &mut words);
        words.iter().map(|word| text.get(word.start..word.end).unwrap().to_owned()).collect()
    }

    #[test]
    fn words_end_at_everything_but_latin_letters_and_digits() {
        assert_eq!(words("a_run-1.sh /x@y"), ["a", "run", "1", "sh", "x", "y"]);
        assert_eq!(
            words("Åsa josé\u{201c}jsmith\u{201d}"),
            ["Åsa", "josé", "jsmith"]
                .map(str::to_owned)
                .into_iter()
                .flat_map(|w| match w.as_str() {
                    "josé" => vec![w, "\u{201c}".to_owned()],
                    "jsmith" => vec![w, "\u{201d}".to_owned()],
                    _ => vec![w],
                })
                .collect::<Vec<_>>()
        );
        assert_eq!(words("用户jsmith是"), ["用", "户", "jsmith", "是"]);
        assert_eq!(words(""), [""; 0]);
    }

    #[test]
    fn what_a_word_is_made_of_is_the_union_over_its_characters() {
        let mut words = Vec::new();
        let marks = cut("0aF z9 é=", &mut words);
        let made_of: Vec<u8> = words.iter().map(|word| word.made_of).collect();
        assert_eq!(made_of, [DIGIT | LOWER | UPPER, LOWER | NOT_HEX | DIGIT, OTHER]);
        assert_eq!(marks, mark(b'='));
        assert!(!words[0].is_hex(), "of both cases");
    }

    #[test]
    fn boundaries_see_the_whole_character_on_either_side() {
        let text = "é用a";
        assert!(joins_after(text, 0) && joins_before(text, 2));
        assert!(!joins_after(text, 2) && !joins_before(text, 5));
        assert!(joins_after(text, 5) && !joins_after(text, 6) && !joins_before(text, 0));
    }
}
