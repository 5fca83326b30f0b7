//! A public table by its keys, and the codes of keys: each value of a key's column has a number, and so has each
//! combination of them that stands in the table. Texts that come again are not hashed again. Knows no dataset.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::hash_utils::RandomState;

use crate::error::{Code, Context as _, Error, Result};
use crate::pipeline::query::public::Public;

/// The code of what does not stand in the table.
pub(super) const NONE: u32 = u32::MAX;
/// The code of an entry that nothing came for yet.
const OPEN: u32 = u32::MAX - 1;
/// So many words are remembered: few, so that they stay close.
const ENTRIES: usize = 1 << 10;

/// One public table, made ready to be looked up.
#[derive(Debug)]
pub(in crate::pipeline) struct Lookup {
    /// The table.
    pub(in crate::pipeline) public: Arc<Public>,
    /// Whether rows without a match stay.
    pub(in crate::pipeline) keeps: bool,
    /// The dataset's column, that of the public table, and the type that both are compared in.
    pub(in crate::pipeline) keys: Vec<(String, String, DataType)>,
    pub(super) index: Arc<Index>,
}

impl Lookup {
    /// A public table by its keys.
    ///
    /// # Errors
    /// [`Code::Internal`] for keys of types that were not checked.
    pub(in crate::pipeline) fn new(
        public: Arc<Public>,
        keeps: bool,
        keys: Vec<(String, String, DataType)>,
    ) -> Result<Self> {
        let by = keys.iter().map(|(_, public, kind)| (public.clone(), kind.clone())).collect();
        let index = public.index(by)?;
        Ok(Self { public, keeps, keys, index })
    }

    /// The most rows of one key, at least one.
    pub(in crate::pipeline) fn most(&self) -> usize {
        self.index.most
    }
}

/// The rows of a table by their keys.
#[derive(Debug)]
pub(in crate::pipeline::query) struct Index {
    /// Columns, and the types that they are compared in.
    pub(in crate::pipeline::query) by: Vec<(String, DataType)>,
    most: usize,
    /// By column: the codes of its values.
    columns: Vec<Values>,
    /// By column but the first: the codes of combinations, by that of the columns before and its own.
    pairs: Vec<HashMap<(u32, u32), u32, RandomState>>,
    /// By code: where its rows stand in `rows`, and how many there are.
    places: Vec<(u32, u32)>,
    rows: Vec<u32>,
}

impl Index {
    /// Sorts a table by columns, each in a type. Null is no key.
    ///
    /// # Errors
    /// [`Code::Internal`] for keys of types that were not checked.
    pub(in crate::pipeline::query) fn new(
        table: &RecordBatch,
        by: Vec<(String, DataType)>,
    ) -> Result<Self> {
        let (mut columns, mut pairs, mut codes) = (Vec::new(), Vec::new(), Vec::new());
        for (name, kind) in &by {
            let column = table.column_by_name(name);
            let none = || Error::new(Code::Internal, "no such public column");
            let (values, own) = Values::of(&fitted(column.ok_or_else(none)?, kind)?)?;
            columns.push(values);
            if columns.len() == 1 {
                codes = own;
                continue;
            }
            let mut known = HashMap::default();
            for (code, own) in codes.iter_mut().zip(own) {
                *code = match (*code, own) {
                    (NONE, _) | (_, NONE) => NONE,
                    pair => next(&mut known, pair)?,
                };
            }
            pairs.push(known);
        }
        let many = codes.iter().filter(|code| **code != NONE).max();
        let mut places: Vec<(u32, u32)> = vec![(0, 0); many.map_or(0, |code| *code as usize + 1)];
        for code in &codes {
            if let Some((_, len)) = places.get_mut(*code as usize) {
                *len += 1;
            }
        }
        let mut start = 0;
        let most = places.iter().map(|(_, len)| *len as usize).max().unwrap_or(0).max(1);
        for (first, len) in &mut places {
            *first = start;
            start += std::mem::take(len);
        }
        let mut rows = vec![0; start as usize];
        for (row, code) in (0..).zip(&codes) {
            if let Some((first, len)) = places.get_mut(*code as usize) {
                if let Some(place) = rows.get_mut((*first + *len) as usize) {
                    *place = row;
                }
                *len += 1;
            }
        }
        Ok(Self { by, most, columns, pairs, places, rows })
    }

    /// What each of its columns remembers of one stream.
    pub(super) fn recent(&self) -> Vec<Recent> {
        self.columns.iter().map(|_| Recent::default()).collect()
    }

    /// The code of each row's key; [`NONE`] where it does not stand in the table, or a part of it is null.
    ///
    /// # Errors
    /// [`Code::Internal`] for keys of types that were not checked.
    pub(super) fn codes(&self, keys: &[&ArrayRef], recent: &mut [Recent]) -> Result<Vec<u32>> {
        let (mut codes, mut scratch) = (Vec::new(), Vec::new());
        let parts = keys.iter().zip(&self.by).zip(&self.columns).zip(recent);
        for (at, (((key, (_, kind)), values), recent)) in parts.enumerate() {
            let key = fitted(key, kind)?;
            let Some(pairs) = at.checked_sub(1).and_then(|at| self.pairs.get(at)) else {
                recent.codes(&key, values, &mut codes)?;
                continue;
            };
            recent.codes(&key, values, &mut scratch)?;
            for (code, own) in codes.iter_mut().zip(&scratch) {
                // No combination has a part that is none.
                *code = pairs.get(&(*code, *own)).copied().unwrap_or(NONE);
            }
        }
        Ok(codes)
    }

    /// Where the rows of a code stand, and how many there are.
    pub(super) fn place(&self, code: u32) -> (u32, u32) {
        self.places.get(code as usize).copied().unwrap_or_default()
    }

    /// The row of the table in this place.
    pub(super) fn row(&self, place: usize) -> u32 {
        self.rows.get(place).copied().unwrap_or(NONE)
    }
}

/// A column in the type that it is compared in; texts in one layout.
fn fitted(column: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
    let kind = match kind {
        DataType::Utf8 | DataType::LargeUtf8 => &DataType::Utf8View,
        kind => kind,
    };
    cast(column, kind).context(Code::Internal, || "keys of a join cannot be compared".to_owned())
}

/// The code of what is new, or has one.
fn next<K: std::hash::Hash + Eq>(known: &mut HashMap<K, u32, RandomState>, key: K) -> Result<u32> {
    let fresh = u32::try_from(known.len()).ok().filter(|code| *code < OPEN);
    let fresh =
        fresh.ok_or_else(|| Error::new(Code::Internal, "a public table of too many rows"))?;
    Ok(*known.entry(key).or_insert(fresh))
}

/// The values of a column, with a code each.
#[derive(Debug)]
enum Values {
    Texts(HashMap<Box<[u8]>, u32, RandomState>),
    /// What is equal where its bits are.
    Bits(HashMap<u128, u32, RandomState>),
}

impl Values {
    /// Those of a column, and the code of each row.
    fn of(column: &ArrayRef) -> Result<(Self, Vec<u32>)> {
        let mut codes = Vec::with_capacity(column.len());
        if let Some(texts) = column.as_string_view_opt() {
            let mut known = HashMap::default();
            for text in texts {
                codes.push(match text {
                    Some(text) => next(&mut known, Box::from(text.as_bytes()))?,
                    None => NONE,
                });
            }
            return Ok((Self::Texts(known), codes));
        }
        let mut known = HashMap::default();
        for (row, word) in words(column)?.into_iter().enumerate() {
            codes.push(if column.is_null(row) { NONE } else { next(&mut known, word)? });
        }
        Ok((Self::Bits(known), codes))
    }
}

/// The values of a column of whole numbers, flags, dates or times, as their bits.
fn words(column: &ArrayRef) -> Result<Vec<u128>> {
    let unknown = || Error::new(Code::Internal, "keys of a join cannot be compared");
    if let Some(flags) = column.as_boolean_opt() {
        return Ok(flags.values().iter().map(u128::from).collect());
    }
    let data = column.to_data();
    Ok(match column.data_type().primitive_width() {
        Some(1) => data.buffer::<u8>(0).iter().map(|it| u128::from(*it)).collect(),
        Some(2) => data.buffer::<u16>(0).iter().map(|it| u128::from(*it)).collect(),
        Some(4) => data.buffer::<u32>(0).iter().map(|it| u128::from(*it)).collect(),
        Some(8) => data.buffer::<u64>(0).iter().map(|it| u128::from(*it)).collect(),
        Some(16) => data.buffer::<i128>(0).iter().map(|it| it.cast_unsigned()).collect(),
        _ => return Err(unknown()),
    })
}

/// The codes of words that came lately. A word is a value's bits or a text's view: the same sixteen bytes in the
/// same memory are the same text.
#[derive(Debug, Default)]
pub(super) struct Recent {
    entries: Vec<(u128, u32)>,
    /// What views point into. Held, so that nothing else comes to lie there.
    texts: Vec<Buffer>,
}

impl Recent {
    /// Puts the code of each of a column's values into `out`.
    fn codes(&mut self, column: &ArrayRef, values: &Values, out: &mut Vec<u32>) -> Result<()> {
        out.clear();
        if self.entries.is_empty() {
            self.entries.resize(ENTRIES, (0, OPEN));
        }
        match values {
            Values::Texts(known) => {
                let none = || Error::new(Code::Internal, "keys of a join are no texts");
                let texts = column.as_string_view_opt().ok_or_else(none)?;
                self.lies_in(texts.data_buffers());
                let find = |row: usize| known.get(texts.value(row).as_bytes()).copied();
                self.look(texts.views(), column.nulls(), find, out);
            }
            Values::Bits(known) => {
                let words = words(column)?;
                let find = |row: usize| words.get(row).and_then(|word| known.get(word)).copied();
                self.look(&words, column.nulls(), find, out);
            }
        }
        Ok(())
    }

    /// Forgets what lay in other memory.
    fn lies_in(&mut self, texts: &[Buffer]) {
        let same = |(a, b): (&Buffer, &Buffer)| a.as_ptr() == b.as_ptr() && a.len() == b.len();
        if texts.len() != self.texts.len() || !texts.iter().zip(&self.texts).all(same) {
            self.entries.fill((0, OPEN));
            self.texts = texts.to_vec();
        }
    }

    fn look(
        &mut self,
        words: &[u128],
        nulls: Option<&NullBuffer>,
        find: impl Fn(usize) -> Option<u32>,
        out: &mut Vec<u32>,
    ) {
        let code = |(row, word): (usize, &u128)| match self.entries.get_mut(entry_of(*word)) {
            Some((known, code)) if known == word && *code != OPEN => *code,
            entry => {
                let code = find(row).unwrap_or(NONE);
                if let Some(entry) = entry {
                    *entry = (*word, code);
                }
                code
            }
        };
        match nulls.filter(|nulls| nulls.null_count() > 0) {
            None => out.extend(words.iter().enumerate().map(code)),
            // What stands under a null is nobody's value.
            Some(nulls) => {
                out.resize(words.len(), NONE);
                let mut code = code;
                for row in nulls.valid_indices() {
                    if let (Some(out), Some(word)) = (out.get_mut(row), words.get(row)) {
                        *out = code((row, word));
                    }
                }
            }
        }
    }
}

/// Where a word stands.
#[inline(always)]
const fn entry_of(word: u128) -> usize {
    let mixed =
        ((word as u64) ^ ((word >> 64) as u64).rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 54) as usize & (ENTRIES - 1)
}
