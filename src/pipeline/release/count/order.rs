//! The combinations of all threads in the order of their leaves. Joins and counts nothing.

use std::cmp::Ordering;

use super::distinct::NOWHERE;
use super::groups::Groups;
use crate::error::{Code, Error, Result};
use crate::pipeline::release::table::Hierarchy;

/// Where the leaf of each column stands in a number that has the order of all leaves together.
struct Packing(Vec<(u32, u64)>);

impl Packing {
    /// Nothing where the leaves of all columns do not go into one number.
    fn of(hierarchies: &[Hierarchy]) -> Option<Self> {
        let bits = |leaves: usize| usize::BITS - leaves.saturating_sub(1).leading_zeros();
        let mut fields = Vec::with_capacity(hierarchies.len());
        let mut shift = 0;
        for hierarchy in hierarchies.iter().rev() {
            let bits = bits(hierarchy.leaves());
            fields.push((shift, (1_u64 << bits) - 1));
            shift += bits;
        }
        fields.reverse();
        (shift < u64::BITS).then_some(Self(fields))
    }

    fn pack(&self, leaves: impl Iterator<Item = u32>) -> u64 {
        let fields = self.0.iter().zip(leaves);
        fields.fold(0, |key, ((shift, mask), leaf)| key | ((u64::from(leaf) & mask) << shift))
    }

    fn leaf(&self, key: u64, column: usize) -> u32 {
        let field = self.0.get(column).map(|(shift, mask)| (key >> shift) & mask);
        field.and_then(|leaf| u32::try_from(leaf).ok()).unwrap_or(NOWHERE)
    }
}

/// A combination of a thread.
pub(super) struct Met<'a> {
    pub(super) thread: usize,
    pub(super) combination: u32,
    pub(super) rows: u64,
    /// Its leaves, where it is not the same combination as the one before.
    pub(super) fresh: Option<&'a [u32]>,
}

/// Hears of combinations.
pub(super) type Each<'a> = dyn FnMut(Met<'_>) -> Result<()> + 'a;

/// Tells of all combinations that were met, in the order of their leaves. Groups have no leaves afterwards.
///
/// INVARIANT: the order is that of leaves, column by column, whichever way it is found.
pub(super) fn in_order(
    all: &mut [Groups],
    hierarchies: &[Hierarchy],
    each: &mut Each<'_>,
) -> Result<()> {
    match Packing::of(hierarchies) {
        Some(packing) => packed(all, &packing, hierarchies.len(), each),
        None => compared(all, each),
    }
}

/// By numbers, which each thread's part has in order before all are joined.
fn packed(
    all: &mut [Groups],
    packing: &Packing,
    columns: usize,
    each: &mut Each<'_>,
) -> Result<()> {
    let sort = |groups: &mut Groups| {
        let leaves = std::mem::take(&mut groups.leaves);
        let met = (0_u32..).zip(&groups.rows).filter(|(_, rows)| **rows > 0);
        let leaf = |column: &Vec<u32>, at: u32| of(column, at);
        let mut keys: Vec<(u64, u32)> = Vec::with_capacity(groups.rows.len());
        keys.extend(met.map(|(at, _)| (packing.pack(leaves.iter().map(|of| leaf(of, at))), at)));
        keys.sort_unstable();
        keys
    };
    let keys = in_threads(all.iter_mut().map(|groups| || sort(groups)))?;
    let mut leaves = vec![0; columns];
    let mut last = None;
    for (thread, (key, combination)) in Merged::new(keys) {
        let fresh = last.replace(key) != Some(key);
        if fresh {
            for (column, leaf) in leaves.iter_mut().enumerate() {
                *leaf = packing.leaf(key, column);
            }
        }
        let rows = rows(all, thread, combination);
        each(Met { thread, combination, rows, fresh: fresh.then_some(leaves.as_slice()) })?;
    }
    Ok(())
}

/// By leaves, one after the other.
fn compared(all: &mut [Groups], each: &mut Each<'_>) -> Result<()> {
    let mut order = Vec::with_capacity(all.iter().map(|groups| groups.rows.len()).sum());
    for (thread, groups) in (0_u32..).zip(&*all) {
        let met = (0_u32..).zip(&groups.rows).filter(|(_, rows)| **rows > 0);
        order.extend(met.map(|(combination, _)| (thread, combination)));
    }
    order.sort_unstable_by(|one, other| compare(all, *one, *other).then(one.cmp(other)));
    let mut before: Option<(u32, u32)> = None;
    for at in order {
        let fresh = before.is_none_or(|before| compare(all, before, at).is_ne());
        let leaves: Option<Vec<u32>> =
            fresh.then(|| (0..columns(all)).map(|column| leaf(all, at, column)).collect());
        before = Some(at);
        let (thread, combination) = (index(at.0), at.1);
        let rows = rows(all, thread, combination);
        each(Met { thread, combination, rows, fresh: leaves.as_deref() })?;
    }
    all.iter_mut().for_each(|groups| groups.leaves = Vec::new());
    Ok(())
}

fn rows(all: &[Groups], thread: usize, combination: u32) -> u64 {
    let rows = all.get(thread).and_then(|groups| groups.rows.get(index(combination)));
    rows.copied().unwrap_or_default()
}

fn columns(all: &[Groups]) -> usize {
    all.first().map_or(0, |groups| groups.leaves.len())
}

fn compare(all: &[Groups], one: (u32, u32), other: (u32, u32)) -> Ordering {
    let mut differ =
        (0..columns(all)).map(|column| leaf(all, one, column).cmp(&leaf(all, other, column)));
    differ.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn leaf(all: &[Groups], (thread, combination): (u32, u32), column: usize) -> u32 {
    let leaves = all.get(index(thread)).and_then(|groups| groups.leaves.get(column));
    leaves.map_or(NOWHERE, |leaves| of(leaves, combination))
}

/// A number as a place.
pub(super) fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The item at a place.
pub(super) fn of(items: &[u32], at: u32) -> u32 {
    items.get(index(at)).copied().unwrap_or(NOWHERE)
}

/// Runs each in a thread of its own; what they give, in their order.
pub(super) fn in_threads<T: Send>(
    work: impl Iterator<Item = impl FnOnce() -> T + Send>,
) -> Result<Vec<T>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = work.map(|work| scope.spawn(work)).collect();
        let panicked = |_| Error::new(Code::Internal, "counting panicked");
        threads.into_iter().map(|thread| thread.join().map_err(panicked)).collect()
    })
}

/// Lists that are in order, as one: each item with the number of its list.
pub(super) struct Merged<T> {
    lists: Vec<std::vec::IntoIter<T>>,
    heads: Vec<Option<T>>,
}

impl<T: Ord + Copy> Merged<T> {
    pub(super) fn new(lists: Vec<Vec<T>>) -> Self {
        let mut lists: Vec<_> = lists.into_iter().map(Vec::into_iter).collect();
        let heads = lists.iter_mut().map(Iterator::next).collect();
        Self { lists, heads }
    }
}

impl<T: Ord + Copy> Iterator for Merged<T> {
    type Item = (usize, T);

    fn next(&mut self) -> Option<Self::Item> {
        let heads = self.heads.iter().enumerate();
        let known = heads.filter_map(|(list, head)| Some((list, (*head)?)));
        // Of equal ones the first list's.
        let (list, least) = known.min_by_key(|(_, head)| *head)?;
        let (items, head) = self.lists.get_mut(list).zip(self.heads.get_mut(list))?;
        *head = items.next();
        Some((list, least))
    }
}
