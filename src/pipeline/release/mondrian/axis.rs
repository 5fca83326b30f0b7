//! One quasi-identifier as Mondrian sees it: a line of values in their own order, or the tree of its
//! hierarchy; how much of it a part of it covers, and what that part is called. Splits nothing.

use crate::pipeline::release::recoding::Cell;
use crate::pipeline::release::table::Hierarchy;
use crate::policy::release::HierarchyRule;

/// A part of an axis: on a line the first and the last rank, in a tree a level and a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span(pub(super) u32, pub(super) u32);

/// A quasi-identifier.
#[derive(Debug)]
pub(super) struct Axis<'a> {
    hierarchy: &'a Hierarchy,
    kind: Kind,
    weight: f64,
}

#[derive(Debug)]
enum Kind {
    /// Numbers and times, by rank; null is the last rank.
    Line(Line),
    /// Anything else: by level and group the share of leaves below it, 0 for a single leaf.
    Tree(Vec<Vec<f64>>),
}

#[derive(Debug)]
struct Line {
    ranks: Vec<u32>,
    leaves: Vec<u32>,
    /// By rank, from 0 for the least value of the data to 1 for the largest.
    places: Vec<f64>,
    null: Option<u32>,
    /// The last rank: null where some row has it, else the largest value.
    last: u32,
}

impl<'a> Axis<'a> {
    /// An axis; widths are measured over the leaves that rows of the dataset have.
    pub(super) fn new(
        hierarchy: &'a Hierarchy,
        rule: Option<&HierarchyRule>,
        leaves: &[u32],
        rows: &[u64],
    ) -> Self {
        // Whoever masks characters means text, even where all of them are digits.
        let text = matches!(rule, Some(HierarchyRule::Mask(_)));
        let positions = if text { None } else { hierarchy.positions() };
        let kind = match positions {
            Some(positions) => Kind::Line(Line::new(&positions, leaves, rows)),
            None => Kind::Tree(shares(hierarchy)),
        };
        Self { hierarchy, kind, weight: hierarchy.weight.max(0.0) }
    }

    /// Whether values have an order.
    pub(super) const fn is_line(&self) -> bool {
        matches!(self.kind, Kind::Line(_))
    }

    /// The number of leaves.
    pub(super) fn leaves(&self) -> usize {
        self.hierarchy.leaves()
    }

    /// How much its loss counts.
    pub(super) const fn weight(&self) -> f64 {
        self.weight
    }

    /// The number that stands for a leaf: its rank on a line, itself in a tree.
    pub(super) fn rank(&self, leaf: u32) -> u32 {
        match &self.kind {
            Kind::Line(line) => line.ranks.get(leaf as usize).copied().unwrap_or(leaf),
            Kind::Tree(_) => leaf,
        }
    }

    /// All of it.
    pub(super) fn whole(&self) -> Span {
        let last = |count: usize| u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX);
        match &self.kind {
            Kind::Line(line) => Span(0, line.last),
            Kind::Tree(shares) => Span(last(shares.len()), 0),
        }
    }

    /// The normalized certainty penalty of one cell: on a line the width over the width of the data,
    /// in a tree the share of leaves; 1 where null stands together with a value.
    pub(super) fn penalty(&self, span: Span) -> f64 {
        match &self.kind {
            Kind::Line(line) => line.width(span),
            Kind::Tree(shares) => {
                let level = shares.get(span.0 as usize);
                level.and_then(|level| level.get(span.1 as usize)).copied().unwrap_or(1.0)
            }
        }
    }

    /// The group of a leaf at a level.
    pub(super) fn group(&self, level: u32, leaf: u32) -> u32 {
        let groups = self.hierarchy.groups.get(level as usize);
        groups.and_then(|groups| groups.get(leaf as usize)).copied().unwrap_or_default()
    }

    /// The smallest part that covers these ranks, which ascend.
    pub(super) fn cover(&self, ranks: impl Iterator<Item = u32> + Clone) -> Span {
        let (Some(first), Some(last)) = (ranks.clone().next(), ranks.clone().last()) else {
            return self.whole();
        };
        if self.is_line() {
            return Span(first, last);
        }
        for level in 0..u32::try_from(self.hierarchy.levels()).unwrap_or(u32::MAX) {
            let group = self.group(level, first);
            if ranks.clone().all(|leaf| self.group(level, leaf) == group) {
                return Span(level, group);
            }
        }
        self.whole()
    }

    /// What the rows of a part show.
    pub(super) fn cell(&self, span: Span) -> Cell {
        let Kind::Line(line) = &self.kind else {
            return Cell::Group { level: span.0, group: span.1 };
        };
        let leaf = |rank: u32| line.leaves.get(rank as usize).copied().unwrap_or_default();
        let label = |leaf: u32| {
            let labels = self.hierarchy.labels.first();
            labels.and_then(|labels| labels.get(leaf as usize)).and_then(Option::as_deref)
        };
        if span.0 == span.1 {
            return Cell::Group { level: 0, group: leaf(span.0) };
        }
        match (label(leaf(span.0)), label(leaf(span.1))) {
            (Some(from), Some(to)) => Cell::Label(Some(format!("[{from}, {to}]"))),
            // Null and something else: nothing but the root holds both.
            _ => {
                let root = self.hierarchy.levels().saturating_sub(1);
                Cell::Group { level: u32::try_from(root).unwrap_or(u32::MAX), group: 0 }
            }
        }
    }
}

impl Line {
    fn new(positions: &[Option<f64>], present: &[u32], rows: &[u64]) -> Self {
        let mut leaves: Vec<u32> =
            (0..u32::try_from(positions.len()).unwrap_or(u32::MAX)).collect();
        let position = |leaf: &u32| positions.get(*leaf as usize).copied().flatten();
        leaves.sort_by(|left, right| match (position(left), position(right)) {
            (Some(left), Some(right)) => left.total_cmp(&right),
            (left, right) => right.is_some().cmp(&left.is_some()),
        });
        let mut ranks = vec![0; leaves.len()];
        for (rank, leaf) in (0..).zip(&leaves) {
            if let Some(slot) = ranks.get_mut(*leaf as usize) {
                *slot = rank;
            }
        }
        let bounds = (f64::INFINITY, f64::NEG_INFINITY);
        let (least, most) = present
            .iter()
            .zip(rows)
            .filter(|(_, rows)| **rows > 0)
            .filter_map(|(leaf, _)| position(leaf))
            .fold(bounds, |(least, most), at| (at.min(least), at.max(most)));
        let place = |leaf: &u32| match position(leaf) {
            Some(at) if most > least => (at.clamp(least, most) - least) / (most - least),
            _ => 0.0,
        };
        let places = leaves.iter().map(place).collect();
        let null = (0_u32..).zip(&leaves).find(|(_, leaf)| position(leaf).is_none());
        let null = null.map(|(rank, leaf)| (rank, present.contains(leaf)));
        let last = match null {
            Some((rank, false)) => rank.saturating_sub(1),
            _ => u32::try_from(leaves.len().saturating_sub(1)).unwrap_or(u32::MAX),
        };
        Self { ranks, places, null: null.map(|(rank, _)| rank), last, leaves }
    }

    fn width(&self, span: Span) -> f64 {
        if span.0 == span.1 {
            return 0.0;
        }
        if self.null.is_some_and(|null| span.1 >= null) {
            return 1.0;
        }
        let place = |rank: u32| self.places.get(rank as usize).copied().unwrap_or_default();
        place(span.1) - place(span.0)
    }
}

/// By level and group the share of leaves that it holds, 0 where that is one.
fn shares(hierarchy: &Hierarchy) -> Vec<Vec<f64>> {
    let share = |count: u32| match count {
        0 | 1 => 0.0,
        _ => f64::from(count) / f64::from(u32::try_from(hierarchy.leaves()).unwrap_or(u32::MAX)),
    };
    let mut shares = Vec::with_capacity(hierarchy.levels());
    for groups in &hierarchy.groups {
        let mut counts = vec![0_u32; groups.iter().max().map_or(0, |group| *group as usize + 1)];
        for group in groups {
            if let Some(count) = counts.get_mut(*group as usize) {
                *count += 1;
            }
        }
        shares.push(counts.into_iter().map(share).collect());
    }
    shares
}
