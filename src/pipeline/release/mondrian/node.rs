//! A part of the table while it is cut: its combinations as ranks, what bounds it on each axis, and
//! how it falls apart. Chooses the cut that gains most and leaves all guarantees standing.

use std::collections::BTreeMap;

use super::axis::{Axis, Span};
use super::cut::{self, Branch, Cut, Place, Tally, Terms};
use crate::pipeline::release::assembly;
use crate::pipeline::release::model::{ClassCounts, Guarantees};
use crate::pipeline::release::table::Table;

/// Marks a rank that a part has, where none of its rows may be in the dataset.
const SEEN: u64 = 1 << 63;

/// After so many cuts lines are cut at medians alone, so that depth stays in the order of the
/// logarithm of the rows, whatever the values.
const DEPTH_GREEDY: u32 = 64;

/// A part of the table. A record is the ranks, the combination, and its rows in two halves.
#[derive(Debug)]
pub(super) struct Node {
    records: Vec<u32>,
    /// By axis.
    pub(super) spans: Vec<Span>,
    depth: u32,
}

/// What all parts share.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    pub(super) table: &'a Table,
    pub(super) guarantees: &'a Guarantees,
    pub(super) axes: Vec<Axis<'a>>,
    /// Whether equal rows may go into different classes.
    pub(super) divisible: bool,
    pub(super) terms: Terms,
}

/// Sums by rank, kept from one part to the next so that they are not made anew.
#[derive(Debug, Default)]
pub(super) struct Scratch(Vec<Vec<u64>>);

impl Node {
    /// All of the table.
    pub(super) fn root(ground: &Ground<'_>) -> Self {
        let table = ground.table;
        let mut records = Vec::with_capacity(table.len() * ground.stride());
        for (combination, rows) in (0_u32..).zip(&table.rows) {
            for (axis, leaves) in ground.axes.iter().zip(&table.leaves) {
                let leaf = leaves.get(combination as usize).copied().unwrap_or_default();
                records.push(axis.rank(leaf));
            }
            push_tail(&mut records, combination, *rows);
        }
        Self { records, spans: ground.axes.iter().map(Axis::whole).collect(), depth: 0 }
    }

    /// The number of combinations.
    pub(super) fn len(&self, ground: &Ground<'_>) -> usize {
        self.records.len() / ground.stride()
    }

    /// Combinations and their rows.
    pub(super) fn members<'a>(
        &'a self,
        ground: &Ground<'_>,
    ) -> impl Iterator<Item = (u32, u64)> + 'a {
        self.records.chunks_exact(ground.stride()).map(tail)
    }

    /// Its parts, or none where no cut leaves the guarantees standing. With tight bounds it learns its
    /// own first.
    pub(super) fn split(
        &mut self,
        ground: &Ground<'_>,
        scratch: &mut Scratch,
    ) -> Option<Vec<Self>> {
        let rows: u64 = self.members(ground).map(|(_, rows)| rows).sum();
        let small = rows < 2 * ground.terms.rows_min;
        if small && !ground.terms.tight {
            return None;
        }
        let tallies = scratch.tallies(self, ground);
        if ground.terms.tight {
            for ((axis, span), tally) in ground.axes.iter().zip(&mut self.spans).zip(&tallies) {
                *span = axis.cover(tally.iter().map(|(rank, _)| *rank));
            }
        }
        if small {
            return None;
        }
        let terms =
            Terms { medians: ground.terms.medians || self.depth >= DEPTH_GREEDY, ..ground.terms };
        let mut cuts: Vec<Cut> = Vec::new();
        for (number, ((axis, span), tally)) in
            ground.axes.iter().zip(&self.spans).zip(&tallies).enumerate()
        {
            cuts.extend(cut::cuts(axis, number, *span, tally, terms));
        }
        // Ties go to the column that the policy names first.
        cuts.sort_by(|left, right| right.gain.total_cmp(&left.gain));
        cuts.into_iter().find_map(|cut| self.take(ground, cut))
    }

    /// Its parts by this cut, if all of them hold.
    fn take(&self, ground: &Ground<'_>, cut: Cut) -> Option<Vec<Self>> {
        match cut.place {
            Place::Line { at, of_at, left, right } => {
                let (mut lower, mut upper) =
                    (self.empty(cut.axis, left), self.empty(cut.axis, right));
                let mut quota = of_at;
                for record in self.records.chunks_exact(ground.stride()) {
                    let rank = record.get(cut.axis).copied().unwrap_or_default();
                    let (combination, rows) = tail(record);
                    let to_lower = match &mut quota {
                        Some(quota) if rank == at => {
                            let taken = rows.min(*quota);
                            if ground.divisible && taken > 0 && taken < rows {
                                let ranks = record.get(..ground.axes.len()).unwrap_or_default();
                                lower.records.extend_from_slice(ranks);
                                push_tail(&mut lower.records, combination, taken);
                                upper.records.extend_from_slice(ranks);
                                push_tail(&mut upper.records, combination, rows - taken);
                                *quota = 0;
                                continue;
                            }
                            *quota -= taken;
                            taken > 0
                        }
                        _ => rank <= at,
                    };
                    let side = if to_lower { &mut lower } else { &mut upper };
                    side.records.extend_from_slice(record);
                }
                let sound = |node: &Self| {
                    let rows: u64 = node.members(ground).map(|(_, rows)| rows).sum();
                    rows >= ground.terms.rows_min && node.holds(ground)
                };
                (sound(&lower) && sound(&upper)).then(|| vec![lower, upper])
            }
            Place::Tree { level, cover, parts } => {
                self.branch(ground, cut.axis, (level, cover), parts)
            }
        }
    }

    /// Children for which the guarantees do not hold stay together.
    fn branch(
        &self,
        ground: &Ground<'_>,
        axis: usize,
        (level, cover): (u32, Span),
        parts: Vec<Branch>,
    ) -> Option<Vec<Self>> {
        let tree = ground.axes.get(axis)?;
        let group =
            |record: &[u32]| tree.group(level, record.get(axis).copied().unwrap_or_default());
        let parts = if ground.divisible {
            parts
        } else {
            let mut members: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
            for record in self.records.chunks_exact(ground.stride()) {
                members.entry(group(record)).or_default().push(tail(record).0);
            }
            let counts: BTreeMap<u32, ClassCounts> = members
                .into_iter()
                .map(|(group, members)| (group, ClassCounts::of(ground.table, &members)))
                .collect();
            let fails = |part: &Branch| {
                let mut counts = part.groups.iter().filter_map(|group| counts.get(group));
                let Some(mut sum) = counts.next().cloned() else { return true };
                counts.for_each(|more| sum.merge(more));
                !ground.guarantees.hold(&sum)
            };
            cut::gather(parts, cover, &fails)?
        };
        let mut place = BTreeMap::new();
        for (number, part) in parts.iter().enumerate() {
            place.extend(part.groups.iter().map(|group| (*group, number)));
        }
        let most = place.keys().next_back().map_or(0, |group| *group as usize + 1);
        let mut places = vec![usize::MAX; most];
        for (group, number) in place {
            if let Some(slot) = places.get_mut(group as usize) {
                *slot = number;
            }
        }
        let mut nodes: Vec<Self> = parts.iter().map(|part| self.empty(axis, part.span)).collect();
        for record in self.records.chunks_exact(ground.stride()) {
            let number = places.get(group(record) as usize).copied();
            if let Some(node) = number.and_then(|number| nodes.get_mut(number)) {
                node.records.extend_from_slice(record);
            }
        }
        Some(nodes)
    }

    /// A part of this one, without records yet.
    fn empty(&self, axis: usize, span: Span) -> Self {
        let mut spans = self.spans.clone();
        if let Some(slot) = spans.get_mut(axis) {
            *slot = span;
        }
        Self { records: Vec::new(), spans, depth: self.depth + 1 }
    }

    /// Whether the guarantees hold for its rows together.
    pub(super) fn holds(&self, ground: &Ground<'_>) -> bool {
        let members: Vec<(u32, u64)> = self.members(ground).collect();
        assembly::holds(ground.table, ground.guarantees, ground.divisible, &members)
    }
}

impl Ground<'_> {
    /// The length of a record.
    fn stride(&self) -> usize {
        self.axes.len() + 3
    }
}

impl Scratch {
    /// By axis the ranks that a part has, with their rows.
    fn tallies(&mut self, node: &Node, ground: &Ground<'_>) -> Vec<Tally> {
        let combinations = node.len(ground);
        self.0.resize_with(ground.axes.len(), Vec::new);
        // Where a part is small beside an axis, sorting is quicker than looking through all ranks.
        let counted = |axis: &Axis<'_>| axis.leaves() <= combinations.saturating_mul(2);
        for (axis, sums) in ground.axes.iter().zip(&mut self.0) {
            sums.clear();
            sums.resize(if counted(axis) { axis.leaves() } else { 0 }, 0);
        }
        for record in node.records.chunks_exact(ground.stride()) {
            let (_, rows) = tail(record);
            for (sums, rank) in self.0.iter_mut().zip(record) {
                if let Some(sum) = sums.get_mut(*rank as usize) {
                    *sum = (*sum + rows) | SEEN;
                }
            }
        }
        let mut tallies = Vec::with_capacity(ground.axes.len());
        for (number, (axis, sums)) in ground.axes.iter().zip(&self.0).enumerate() {
            if counted(axis) {
                let seen = (0_u32..).zip(sums).filter(|(_, sum)| **sum != 0);
                tallies.push(seen.map(|(rank, sum)| (rank, sum & !SEEN)).collect());
                continue;
            }
            let record =
                |record: &[u32]| (record.get(number).copied().unwrap_or_default(), tail(record).1);
            let mut tally: Tally = node.records.chunks_exact(ground.stride()).map(record).collect();
            tally.sort_unstable_by_key(|(rank, _)| *rank);
            tally.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                if same {
                    kept.1 += next.1;
                }
                same
            });
            tallies.push(tally);
        }
        tallies
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves of a number")]
fn push_tail(records: &mut Vec<u32>, combination: u32, rows: u64) {
    records.extend([combination, rows as u32, (rows >> 32) as u32]);
}

/// The combination of a record and its rows.
fn tail(record: &[u32]) -> (u32, u64) {
    match record {
        [.., combination, low, high] => (*combination, u64::from(*high) << 32 | u64::from(*low)),
        _ => (0, 0),
    }
}
