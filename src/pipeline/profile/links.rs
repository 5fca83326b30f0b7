//! Columns that hold values of other columns: a user's name in a path, a uid in a state. Finds the
//! values of some columns, all at once, in the texts of all others. Counts, and keeps no value.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::AhoCorasick;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::Link;
use super::column::{counted, items};
use crate::error::{Code, Context, Result};
use crate::pipeline::transform::column::to_canonical;

/// Shorter words are found everywhere.
const WORD_MIN: usize = 3;
/// Shorter numbers are found everywhere.
const DIGITS_MIN: usize = 4;
/// How many values are looked for; more take memory and tell no more.
const WORDS_MAX: usize = 100_000;
/// Longer texts are looked at up to here.
const BYTES_MAX: usize = 16 * 1024;

/// The words to look for, and the columns they come from.
pub(super) struct Words {
    automaton: AhoCorasick,
    columns: Vec<BTreeSet<usize>>,
}

impl Words {
    /// Takes the values of columns, given with their places.
    pub(super) fn of(columns: &[(usize, &[ArrayRef])]) -> Result<Option<Self>> {
        let mut words: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for (at, pieces) in columns {
            let texts = texts(pieces)?;
            let share = WORDS_MAX / columns.len().max(1);
            for (text, _) in counted(&texts).into_iter().take(share) {
                for word in forms(text) {
                    words.entry(word.to_lowercase()).or_default().insert(*at);
                }
            }
        }
        if words.is_empty() {
            return Ok(None);
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(words.keys())
            .context(Code::Internal, || "look for values of columns".to_owned())?;
        Ok(Some(Self { automaton, columns: words.into_values().collect() }))
    }

    /// How many values of a column are, or hold, one of the words.
    pub(super) fn within(&self, at: usize, pieces: &[ArrayRef]) -> Result<Vec<Link>> {
        let texts = texts(pieces)?;
        let (mut whole, mut inside) = (BTreeMap::new(), BTreeMap::new());
        let mut values = 0;
        for (text, count) in counted(&texts) {
            values += count;
            let (in_whole, in_part) = self.found(cut(text.trim()), at);
            in_part.difference(&in_whole).for_each(|of| *inside.entry(*of).or_default() += count);
            in_whole.iter().for_each(|of| *whole.entry(*of).or_default() += count);
        }
        let places: BTreeSet<usize> = whole.keys().chain(inside.keys()).copied().collect();
        let counted = |counts: &BTreeMap<usize, u64>, of| counts.get(&of).copied().unwrap_or(0);
        Ok(places
            .into_iter()
            .map(|of| Link {
                of,
                within: at,
                whole: counted(&whole, of),
                inside: counted(&inside, of),
                values,
            })
            .collect())
    }

    /// The columns of which a text is a value, and those of which it holds one between others.
    fn found(&self, text: &str, at: usize) -> (BTreeSet<usize>, BTreeSet<usize>) {
        let (mut whole, mut inside) = (BTreeSet::new(), BTreeSet::new());
        for found in self.automaton.find_overlapping_iter(text) {
            let before = text.get(..found.start()).and_then(|text| text.chars().next_back());
            let after = text.get(found.end()..).and_then(|text| text.chars().next());
            if before.is_some_and(char::is_alphanumeric) || after.is_some_and(char::is_alphanumeric)
            {
                continue;
            }
            let columns = self.columns.get(found.pattern().as_usize()).into_iter().flatten();
            let into = if before.is_none() && after.is_none() { &mut whole } else { &mut inside };
            into.extend(columns.filter(|of| **of != at));
        }
        (whole, inside)
    }
}

/// What is looked for of one value: itself, what stands around its `@`, and a host's short name.
fn forms(text: &str) -> impl Iterator<Item = &str> {
    let text = text.trim();
    let (handle, place) = match text.split_once('@') {
        Some((handle, place)) => (Some(handle), Some(place)),
        None => (None, None),
    };
    // A slot's number is nobody's name, and the domain of an address is many people's.
    let slot = handle.is_some_and(|handle| handle.starts_with("slot"));
    let short = if slot { place } else { Some(text).filter(|text| !text.contains('@')) };
    let short = short.and_then(|host| host.split_once('.')).map(|(short, _)| short);
    let short = short.filter(|short| short.chars().any(char::is_alphabetic));
    [Some(text), handle.filter(|_| !slot), place.filter(|_| slot), short]
        .into_iter()
        .flatten()
        .filter(|word| {
            let number = word.bytes().all(|byte| byte.is_ascii_digit());
            word.len() >= if number { DIGITS_MIN } else { WORD_MIN }
                && !super::looks::is_blank(word)
        })
}

/// A column's values as texts: whole numbers written out, lists by their items, nothing else.
fn texts(pieces: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    let mut texts = Vec::new();
    for piece in pieces {
        let piece = to_canonical(piece)?;
        let piece = items(&piece).unwrap_or(piece);
        if piece.data_type().is_integer() {
            texts.extend(cast(&piece, &DataType::Utf8));
        } else if piece.as_string_opt::<i32>().is_some() {
            texts.push(piece);
        }
    }
    Ok(texts)
}

fn cut(text: &str) -> &str {
    let end = (0..=text.len().min(BYTES_MAX)).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}
