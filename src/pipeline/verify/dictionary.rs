//! Identifiers that are looked for at one time, and the automaton that finds them inside texts. Knows no
//! file; never shown.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::Rules;
use crate::error::{Code, Error, Result};

/// What an automaton needs beside each value, about.
const BESIDE_BYTES: usize = 24;

/// Of a longer value its beginning is looked for: texts that are cut into pieces overlap by as much.
const NEEDLE_BYTES_MAX: usize = 4 << 10;

/// Sources that are told apart; all further ones have one bit together.
const SOURCES_MAX: usize = 64;

/// The bit of a source.
pub(super) fn bit(source: usize) -> u64 {
    1 << source.min(SOURCES_MAX - 1)
}

/// Distinct identifiers with the sources that they are of, one bit a source.
///
/// PRIVACY: it has no `Debug`: these are raw values.
#[derive(Default)]
pub(super) struct Dictionary {
    of: HashMap<Box<str>, u64>,
    bytes: usize,
    /// Raw values that say nothing.
    pub(super) empty: u64,
}

impl Dictionary {
    /// About how much it holds.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a value of a source.
    pub(super) fn add(&mut self, text: &str, source: usize) {
        let bit = bit(source);
        match self.of.get_mut(text) {
            Some(sources) => *sources |= bit,
            None => {
                self.bytes += text.len() + BESIDE_BYTES;
                self.of.insert(text.into(), bit);
            }
        }
    }

    /// Leaves out what `stays` does not want.
    pub(super) fn retain(&mut self, stays: impl Fn(&str) -> bool) {
        self.of.retain(|text, _| stays(text));
        self.bytes = self.of.keys().map(|text| text.len() + BESIDE_BYTES).sum();
    }

    /// The dictionary, ready to be asked.
    pub(super) fn compile(self, rules: Rules) -> Result<Compiled> {
        let mut entries: Vec<(Box<str>, u64)> = self.of.into_iter().collect();
        // The same order each time, whatever the map's.
        entries.sort_unstable();
        let (mut patterns, mut places) = (Vec::new(), Vec::new());
        let (mut short, mut numbers) = (0, 0);
        for (at, (text, _)) in entries.iter().enumerate() {
            if is_number(text) && digits(text) < rules.number_digits_min {
                numbers += 1;
            } else if text.chars().count() < rules.inside_chars_min {
                short += 1;
            } else {
                patterns.push(text.as_bytes());
                places.push(at);
            }
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&patterns)
            // The library's words may quote a pattern.
            .map_err(|_| Error::new(Code::Internal, "identifiers make no automaton"))?;
        drop(patterns);
        let whole = entries.iter().enumerate().map(|(at, (text, _))| (text.clone(), at)).collect();
        Ok(Compiled { entries, whole, automaton, places, short, numbers })
    }
}

/// A dictionary that can be asked.
pub(super) struct Compiled {
    entries: Vec<(Box<str>, u64)>,
    whole: HashMap<Box<str>, usize>,
    automaton: AhoCorasick,
    /// The entry of each pattern.
    places: Vec<usize>,
    pub(super) short: u64,
    pub(super) numbers: u64,
}

impl Compiled {
    pub(super) const fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry that a text is.
    pub(super) fn whole(&self, text: &str) -> Option<usize> {
        self.whole.get(text).copied()
    }

    /// The value of an entry and the sources that it is of.
    pub(super) fn entry(&self, at: usize) -> Option<(&str, u64)> {
        self.entries.get(at).map(|(text, sources)| (&**text, *sources))
    }

    /// How many entries are of any of these sources.
    pub(super) fn count_of(&self, sources: u64) -> u64 {
        self.entries.iter().filter(|(_, of)| of & sources != 0).count() as u64
    }

    /// Tells every entry that stands in a text between word boundaries.
    pub(super) fn inside(&self, text: &str, mut found: impl FnMut(usize)) {
        for hit in self.automaton.find_overlapping_iter(text) {
            let Some(at) = self.places.get(hit.pattern().as_usize()) else { continue };
            // One that was cut goes on, perhaps within its last word.
            let is_cut = hit.end() - hit.start() > NEEDLE_BYTES_MAX - 4;
            let end = if is_cut { text.len() } else { hit.end() };
            if is_bounded(text, hit.start(), end) {
                found(*at);
            }
        }
    }
}

/// What is looked for of a value: all of it, or its beginning.
pub(super) fn needle(text: &str) -> &str {
    let mut end = text.len().min(NEEDLE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}

/// Whether what stands between two places of a text is not a part of a longer word: letters and digits make
/// words, underscores and all else end them.
fn is_bounded(text: &str, start: usize, end: usize) -> bool {
    let (Some(before), Some(word), Some(after)) =
        (text.get(..start), text.get(start..end), text.get(end..))
    else {
        return false;
    };
    let joins = |left: Option<char>, right: Option<char>| {
        left.is_some_and(char::is_alphanumeric) && right.is_some_and(char::is_alphanumeric)
    };
    !joins(before.chars().next_back(), word.chars().next())
        && !joins(word.chars().next_back(), after.chars().next())
}

/// Whether a text is one whole number.
pub(super) fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// How many digits a number has.
pub(super) fn digits(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_digit).count()
}

/// A number without the fraction of nothing that it has as a double; other texts as they are.
pub(super) fn normal(text: &str) -> &str {
    match text.split_once('.') {
        Some((whole, fraction))
            if is_number(whole)
                && !fraction.is_empty()
                && fraction.bytes().all(|byte| byte == b'0') =>
        {
            whole
        }
        _ => text,
    }
}
