//! Groups of one thread: combinations of codes, and how often each was met. Knows codes alone.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use arrow::array::ArrayRef;

use super::aside::{Aside, Gather, Person, Value};
use super::codes::{Coder, Found};
use crate::error::{Code, Error, Result};

/// Hashes of numbers that the program made itself, and of values that nobody chooses to be slow: the
/// custodian's.
pub(super) type Fast = BuildHasherDefault<FastHasher>;

/// Multiplies and folds.
#[derive(Default)]
pub(super) struct FastHasher(u64);

impl FastHasher {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * 0x9E37_79B9_7F4A_7C15;
        let folded = (product ^ (product >> 64)) & u128::from(u64::MAX);
        self.0 = u64::try_from(folded).unwrap_or(0);
    }
}

impl Hasher for FastHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        self.mix(u64::from_le_bytes(last) ^ ((rest.len() as u64) << 56));
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.mix(word as u64);
    }
}

/// About how many bytes an entry of a map takes.
pub(super) const fn entry_bytes<K, V>() -> usize {
    // A seventh stays empty, and each has a byte of its hash.
    (size_of::<(K, V)>() + 1) * 8 / 7
}

/// Pairs of two numbers, numbered as they are met.
#[derive(Default)]
struct Pairs {
    known: HashMap<u64, u32, Fast>,
    /// The numbers of each pair.
    pairs: Vec<(u32, u32)>,
}

impl Pairs {
    /// In place of each first number that of its pair with the second.
    fn number(&mut self, first: &mut [u32], second: &[u32]) -> Result<()> {
        let mut last = (u64::MAX, 0);
        for (first, second) in first.iter_mut().zip(second) {
            let pair = key(*first, *second);
            if pair != last.0 {
                let next = u32::try_from(self.pairs.len()).ok().filter(|next| *next < u32::MAX);
                let next = next.ok_or_else(|| {
                    Error::new(Code::QueryMemory, "there are too many distinct combinations")
                })?;
                let number = *self.known.entry(pair).or_insert(next);
                if number == next {
                    self.pairs.push((*first, *second));
                }
                last = (pair, number);
            }
            *first = last.1;
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.known.capacity() * entry_bytes::<u64, u32>() + self.pairs.capacity() * 8
    }
}

fn key(first: u32, second: u32) -> u64 {
    u64::from(first) << 32 | u64::from(second)
}

/// What a thread counted.
pub(super) struct Groups {
    coders: Vec<Coder>,
    quasi: usize,
    sensitive: usize,
    /// For each quasi-identifier but the first: pairs of a combination of those before and its code.
    steps: Vec<Pairs>,
    /// Rows by combination.
    pub(super) rows: Vec<u64>,
    /// For each sensitive column: rows by combination and code.
    values: Vec<HashMap<u64, u64, Fast>>,
    /// For each sensitive column: the rows that were put aside, by code.
    put: Vec<Vec<u64>>,
    /// Combinations and codes of persons.
    units: HashSet<u64, Fast>,
    has_unit: bool,
    /// By quasi-identifier: the leaf of each combination, once leaves are known.
    pub(super) leaves: Vec<Vec<u32>>,
    /// By quasi-identifier: the code of each combination, once no more come.
    codes: Option<Vec<Vec<u32>>>,
    buffers: Vec<Vec<u32>>,
}

impl Groups {
    /// None yet. Columns come as quasi-identifiers, sensitive columns, unit.
    pub(super) fn new(quasi: usize, sensitive: usize, has_unit: bool) -> Self {
        let columns = quasi + sensitive + usize::from(has_unit);
        Self {
            coders: (0..columns).map(|_| Coder::default()).collect(),
            quasi,
            sensitive,
            steps: (1..quasi).map(|_| Pairs::default()).collect(),
            rows: Vec::new(),
            values: (0..sensitive).map(|_| HashMap::default()).collect(),
            put: vec![Vec::new(); sensitive],
            units: HashSet::default(),
            has_unit,
            leaves: Vec::new(),
            codes: None,
            buffers: vec![Vec::new(); columns],
        }
    }

    /// Adds rows: a column each.
    pub(super) fn add(&mut self, columns: &[ArrayRef]) -> Result<()> {
        for ((coder, column), codes) in self.coders.iter_mut().zip(columns).zip(&mut self.buffers) {
            coder.codes(column, codes)?;
        }
        let mut buffers = std::mem::take(&mut self.buffers);
        let added = self.group(&mut buffers);
        self.buffers = buffers;
        added
    }

    fn group(&mut self, buffers: &mut [Vec<u32>]) -> Result<()> {
        let Some((combinations, others)) = buffers.split_first_mut() else { return Ok(()) };
        for (step, codes) in self.steps.iter_mut().zip(others.iter()) {
            step.number(combinations, codes)?;
        }
        let count = match self.steps.last() {
            Some(step) => step.pairs.len(),
            None => self.coders.first().map_or(0, Coder::len),
        };
        self.rows.resize(count.max(self.rows.len()), 0);
        for combination in combinations.iter() {
            if let Some(rows) = place(&mut self.rows, *combination) {
                *rows += 1;
            }
        }
        let beside = others.get(self.quasi.saturating_sub(1)..).unwrap_or_default();
        for (values, codes) in self.values.iter_mut().zip(beside) {
            for (combination, code) in combinations.iter().zip(codes) {
                *values.entry(key(*combination, *code)).or_insert(0) += 1;
            }
        }
        if self.has_unit
            && let Some(codes) = beside.last()
        {
            let mut last = u64::MAX;
            for (combination, code) in combinations.iter().zip(codes) {
                let pair = key(*combination, *code);
                if pair != last {
                    self.units.insert(pair);
                    last = pair;
                }
            }
        }
        Ok(())
    }

    /// About how many bytes it holds: what stays, and what can be put aside.
    pub(super) fn bytes(&self) -> Bytes {
        let kept = self.quasi + self.sensitive;
        let coders = |coders: &[Coder]| coders.iter().map(Coder::bytes).sum::<usize>();
        let (stay, persons) = self.coders.split_at_checked(kept).unwrap_or_default();
        Bytes {
            stay: coders(stay)
                + self.steps.iter().map(Pairs::bytes).sum::<usize>()
                + (self.rows.capacity() + self.put.iter().map(Vec::capacity).sum::<usize>()) * 8,
            loose: coders(persons)
                + self.values.iter().map(HashMap::capacity).sum::<usize>()
                    * entry_bytes::<u64, u64>()
                + self.units.capacity() * entry_bytes::<u64, ()>(),
        }
    }

    /// Puts aside who is behind combinations, and which values they have. Combinations and values stay.
    #[expect(
        clippy::iter_over_hash_type,
        reason = "what is put aside is put in order when it is read"
    )]
    pub(super) fn put_aside(&mut self, thread: u32, aside: &Aside) -> Result<()> {
        for (at, put) in self.put.iter_mut().enumerate() {
            let Some(values) = self.values.get_mut(at).map(std::mem::take) else { continue };
            let heap = aside.values.get(at..=at).unwrap_or_default();
            let mut gather = Gather::new(heap);
            for (pair, rows) in values {
                let (combination, code) = (first(pair), second(pair));
                gather.add(0, Value { thread, combination, code, rows })?;
                if put.len() <= index(code) {
                    put.resize(index(code) + 1, 0);
                }
                if let Some(sum) = place(put, code) {
                    *sum += rows;
                }
            }
            gather.finish()?;
        }
        let units = std::mem::take(&mut self.units);
        let Some(coder) = self.coders.get_mut(self.quasi + self.sensitive) else { return Ok(()) };
        let numbers = coder.numbers(|name| aside.number(name))?;
        let mut gather = Gather::new(&aside.persons);
        for pair in units {
            // Null is nobody.
            let number = index(second(pair)).checked_sub(1).and_then(|code| numbers.get(code));
            if let Some(number) = number.copied() {
                let combination = first(pair);
                gather.add(aside.part(number), Person { number, thread, combination })?;
            }
        }
        gather.finish()
    }

    /// The distinct values of a column, which is not counted any more.
    pub(super) fn take_values(&mut self, at: usize) -> Result<Found> {
        self.end();
        let len = self.coders.get(at).map_or(0, Coder::len);
        let mut rows = vec![0_u64; len];
        if at < self.quasi {
            let codes = self.codes.as_ref().and_then(|codes| codes.get(at));
            for (code, counted) in codes.into_iter().flatten().zip(&self.rows) {
                if let Some(rows) = place(&mut rows, *code) {
                    *rows += counted;
                }
            }
        } else if at - self.quasi < self.sensitive {
            let put = self.put.get(at - self.quasi);
            for (rows, put) in rows.iter_mut().zip(put.into_iter().flatten()) {
                *rows += put;
            }
            for (_, code, counted) in self.values(at - self.quasi) {
                if let Some(rows) = place(&mut rows, code) {
                    *rows += counted;
                }
            }
        } else {
            for (_, code) in self.units() {
                if let Some(rows) = place(&mut rows, code) {
                    *rows += 1;
                }
            }
        }
        let coder = self.coders.get_mut(at);
        coder.ok_or_else(|| Error::new(Code::Internal, "no such column"))?.found(rows)
    }

    /// Once no more rows come: the codes of each combination, and what was needed to number them let go.
    fn end(&mut self) {
        if self.codes.is_some() {
            return;
        }
        let mut codes: Vec<Vec<u32>> = Vec::new();
        let mut combinations: Option<Vec<u32>> = None;
        for step in std::mem::take(&mut self.steps).into_iter().rev() {
            let pairs = step.pairs;
            let pick = |number: &u32| {
                let pair = usize::try_from(*number).ok().and_then(|number| pairs.get(number));
                pair.copied().unwrap_or_default()
            };
            let of = match combinations.take() {
                None => pairs,
                Some(before) => before.iter().map(pick).collect(),
            };
            let (first, second) = of.into_iter().unzip();
            codes.push(second);
            combinations = Some(first);
        }
        let first = combinations
            .unwrap_or_else(|| (0..u32::try_from(self.rows.len()).unwrap_or(u32::MAX)).collect());
        codes.push(first);
        codes.reverse();
        self.codes = Some(codes);
        self.buffers.clear();
    }

    /// Puts leaves in place of the codes of the next quasi-identifier.
    pub(super) fn place(&mut self, leaf_of: &[u32]) -> Result<()> {
        let at = self.leaves.len();
        let codes = self.codes.as_mut().and_then(|codes| codes.get_mut(at)).map(std::mem::take);
        let codes = codes.ok_or_else(|| Error::new(Code::Internal, "no such quasi-identifier"))?;
        let leaf =
            |code: u32| usize::try_from(code).ok().and_then(|code| leaf_of.get(code)).copied();
        self.leaves.push(codes.into_iter().map(|code| leaf(code).unwrap_or(u32::MAX)).collect());
        Ok(())
    }

    /// Rows by combination and code of a sensitive column, in no order.
    pub(super) fn values(&self, at: usize) -> impl Iterator<Item = (u32, u32, u64)> + '_ {
        let values = self.values.get(at).into_iter().flatten();
        values.map(|(pair, rows)| (first(*pair), second(*pair), *rows))
    }

    /// The same as [`pair`]s, which are let go.
    pub(super) fn take_units(&mut self) -> HashSet<u64, Fast> {
        std::mem::take(&mut self.units)
    }

    /// Combinations and codes of persons, in no order.
    fn units(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.units.iter().copied().map(pair)
    }
}

/// What a thread holds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bytes {
    /// The table itself: distinct combinations and distinct values.
    pub(super) stay: usize,
    /// What can be put aside: who is behind combinations, and which values they have.
    pub(super) loose: usize,
}

/// The two numbers of a pair.
pub(super) fn pair(pair: u64) -> (u32, u32) {
    (first(pair), second(pair))
}

fn index(code: u32) -> usize {
    usize::try_from(code).unwrap_or(usize::MAX)
}

fn first(pair: u64) -> u32 {
    u32::try_from(pair >> 32).unwrap_or(0)
}

fn second(pair: u64) -> u32 {
    u32::try_from(pair & u64::from(u32::MAX)).unwrap_or(0)
}

fn place<T>(items: &mut [T], at: u32) -> Option<&mut T> {
    items.get_mut(usize::try_from(at).ok()?)
}
