//! Which class a row joins, by its combination of leaves. Where a method divides a combination over
//! classes, which of its rows go where follows from what the rows hold, not from their order.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::recoding::{Part, Recoding};
use super::shown::Shown;
use super::table::Table;
use crate::error::{Code, Error, Result};

/// Where rows of a combination go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joins {
    /// None joins a class.
    None,
    /// All show this rank.
    Rank(u32),
    /// Some go here, some there.
    Divided,
}

/// The combinations of a table and where they go.
pub(super) struct Classes {
    index: Index,
    joins: Vec<Joins>,
    /// By combination that is divided: ranks and rows, in the order of ranks, those without one last.
    divided: HashMap<u32, Vec<(Option<u32>, u64)>>,
    /// By combination: its rows where it is divided, else none.
    divided_rows: Vec<u64>,
    rank_rows: Vec<u64>,
    suppressed: u64,
}

/// Combinations by their leaves.
enum Index {
    /// By leaves packed into one number.
    Packed { bits: Vec<u32>, places: HashMap<u128, u32, BuildHasherDefault<Mix>> },
    /// By leaves as they are.
    Plain(HashMap<Box<[u32]>, u32>),
}

impl Classes {
    /// Of a recoding of `table` whose labels are `shown`.
    ///
    /// # Errors
    /// [`Code::Internal`] when the recoding is not one of this table.
    pub(super) fn new(table: &Table, recoding: &Recoding, shown: &Shown) -> Result<Self> {
        let odd = || Error::new(Code::Internal, "the recoding is not of this table");
        let mut joins = vec![Joins::None; table.len()];
        let mut divided: HashMap<u32, Vec<(Option<u32>, u64)>> = HashMap::new();
        let mut divided_rows = vec![0; table.len()];
        let mut rank_rows = vec![0_u64; shown.len()];
        let mut suppressed = 0;
        let mut seen = vec![0_u64; table.len()];
        for run in recoding.parts.chunk_by(|one, other| one.combination == other.combination) {
            let mut ranked: Vec<(Option<u32>, u64)> = Vec::with_capacity(run.len());
            for Part { class, rows, .. } in run {
                let rank = match class {
                    Some(class) => Some(*shown.ranks.get(*class as usize).ok_or_else(odd)?),
                    None => None,
                };
                match ranked.iter_mut().find(|(known, _)| *known == rank) {
                    Some((_, all)) => *all += rows,
                    None => ranked.push((rank, *rows)),
                }
            }
            let at = run.first().map(|part| part.combination).ok_or_else(odd)?;
            let place = at as usize;
            let rows: u64 = ranked.iter().map(|(_, rows)| rows).sum();
            *seen.get_mut(place).ok_or_else(odd)? += rows;
            for (rank, rows) in &ranked {
                match rank {
                    Some(rank) => *rank_rows.get_mut(*rank as usize).ok_or_else(odd)? += rows,
                    None => suppressed += rows,
                }
            }
            let own = joins.get_mut(place).ok_or_else(odd)?;
            *own = match ranked.as_slice() {
                [(None, _)] => Joins::None,
                [(Some(rank), _)] => Joins::Rank(*rank),
                _ => {
                    ranked.sort_by_key(|(rank, _)| (rank.is_none(), *rank));
                    divided.insert(at, ranked);
                    *divided_rows.get_mut(place).ok_or_else(odd)? = rows;
                    Joins::Divided
                }
            };
        }
        // INVARIANT: every row of the table is in the recoding once.
        if seen != table.rows {
            return Err(odd());
        }
        let index = Index::new(table)?;
        Ok(Self { index, joins, divided, divided_rows, rank_rows, suppressed })
    }

    /// By rank: its rows.
    pub(super) fn rank_rows(&self) -> &[u64] {
        &self.rank_rows
    }

    /// The rows that join no class.
    pub(super) const fn suppressed(&self) -> u64 {
        self.suppressed
    }

    /// By combination: the rows that are divided. Nothing where no combination is.
    pub(super) fn divided_rows(&self) -> Option<&[u64]> {
        (!self.divided.is_empty()).then_some(self.divided_rows.as_slice())
    }

    /// By row: its combination, and where its rows go.
    ///
    /// # Errors
    /// [`Code::SourceUnreadable`] for a combination that was not counted.
    pub(super) fn of(&self, leaves: &[Vec<u32>], rows: usize) -> Result<Vec<(u32, Joins)>> {
        let mut found = Vec::with_capacity(rows);
        let mut plain = Vec::new();
        for row in 0..rows {
            let place = match &self.index {
                Index::Packed { bits, places } => {
                    let mut key = 0_u128;
                    for (column, bits) in leaves.iter().zip(bits) {
                        let leaf = column.get(row).copied().ok_or_else(uncounted)?;
                        key = (key << bits) | u128::from(leaf);
                    }
                    places.get(&key)
                }
                Index::Plain(places) => {
                    plain.clear();
                    plain.extend(leaves.iter().filter_map(|column| column.get(row)));
                    places.get(plain.as_slice())
                }
            };
            let place = *place.ok_or_else(uncounted)?;
            let joins = self.joins.get(place as usize).copied().ok_or_else(uncounted)?;
            found.push((place, joins));
        }
        Ok(found)
    }

    /// Which rank the rows of a divided combination join, when they come in their order.
    pub(super) fn ranks(&self, combination: u32) -> impl Iterator<Item = Option<u32>> + '_ {
        let ranked = self.divided.get(&combination).map(Vec::as_slice).unwrap_or_default();
        let many = |rows: &u64| usize::try_from(*rows).unwrap_or(usize::MAX);
        ranked.iter().flat_map(move |(rank, rows)| std::iter::repeat_n(*rank, many(rows)))
    }
}

fn uncounted() -> Error {
    let what = "a row is of a combination that was not counted: the data changed, build again";
    Error::new(Code::SourceUnreadable, what)
}

impl Index {
    fn new(table: &Table) -> Result<Self> {
        let odd = || Error::new(Code::Internal, "the table's columns have different lengths");
        let count = u32::try_from(table.len())
            .map_err(|_| Error::new(Code::Internal, "too many combinations"))?;
        let bits: Vec<u32> = table
            .hierarchies
            .iter()
            .map(|hierarchy| usize::BITS - hierarchy.leaves().saturating_sub(1).leading_zeros())
            .collect();
        let leaf = |column: &Vec<u32>, at: u32| column.get(at as usize).copied().ok_or_else(odd);
        if bits.iter().sum::<u32>() > 128 {
            let mut places = HashMap::with_capacity(table.len());
            for at in 0..count {
                let key = table.leaves.iter().map(|column| leaf(column, at));
                places.insert(key.collect::<Result<Box<[u32]>>>()?, at);
            }
            return Ok(Self::Plain(places));
        }
        let mut places =
            HashMap::with_capacity_and_hasher(table.len(), BuildHasherDefault::default());
        for at in 0..count {
            let mut key = 0_u128;
            for (column, bits) in table.leaves.iter().zip(&bits) {
                key = (key << bits) | u128::from(leaf(column, at)?);
            }
            places.insert(key, at);
        }
        Ok(Self::Packed { bits, places })
    }
}

/// Spreads packed leaves over the places of a table. They come from the custodian's own data, and each is
/// looked up for every row.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn write_u128(&mut self, number: u128) {
        self.write_u64((number >> 64) as u64);
        self.write_u64(number as u64);
        self.0 = self.0.wrapping_mul(0xd6e8_feb8_6659_fd93);
        self.0 ^= self.0 >> 32;
    }
}
