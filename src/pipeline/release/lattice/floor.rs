//! What can be ruled out from columns alone and in pairs. A class has no more rows than its group in one
//! column or in two, so rows that stand in groups smaller than k there are suppressed at every
//! generalization with these levels; where they are more than may be suppressed, it fails whatever the
//! other columns do. Sees only rows and k, and so rules out nothing that could hold.

use super::super::model::Guarantees;
use super::super::objective::Marginals;
use super::super::table::Table;
use super::space::Space;

/// Pairs whose table would be larger are not looked at.
const CELLS_MAX: usize = 1 << 22;

/// The levels that are ruled out.
#[derive(Debug)]
pub(super) struct Floor {
    /// By column: the lowest level left.
    lowest: Vec<u8>,
    /// By pair of columns, the earlier first, by level of the earlier: the lowest level of the later.
    pairs: Vec<Vec<Vec<u8>>>,
}

impl Floor {
    pub(super) fn of(
        table: &Table,
        space: &Space,
        marginals: &Marginals,
        guarantees: &Guarantees,
    ) -> Self {
        let (k, limit) = (guarantees.k(), guarantees.suppressible());
        let columns = marginals.rows.iter();
        let lowest: Vec<u8> = columns
            .map(|levels| {
                let found = levels.iter().position(|groups| small(groups, k) <= limit);
                found.and_then(|level| u8::try_from(level).ok()).unwrap_or(0)
            })
            .collect();
        let mut floor = Self { lowest, pairs: vec![Vec::new(); space.columns()] };
        if k > 1 {
            floor.look_at_pairs(table, space, (k, limit));
        }
        floor
    }

    fn look_at_pairs(&mut self, table: &Table, space: &Space, (k, limit): (u64, u64)) {
        let columns = table.hierarchies.iter().zip(&table.leaves).zip(&self.lowest);
        let groups: Vec<Vec<u32>> = columns
            .map(|((hierarchy, leaves), lowest)| {
                let groups = hierarchy.groups.get(usize::from(*lowest));
                let group = |leaf: &u32| groups?.get(*leaf as usize).copied();
                leaves.iter().map(|leaf| group(leaf).unwrap_or(0)).collect()
            })
            .collect();
        let mut cells = Vec::new();
        for (later, later_groups) in groups.iter().enumerate() {
            for (earlier, earlier_groups) in groups.iter().take(later).enumerate() {
                let pair = Pair::of(table, (earlier, later), &self.lowest);
                let size = pair.size();
                let found = if size > CELLS_MAX {
                    Vec::new()
                } else {
                    cells.clear();
                    cells.resize(size, 0);
                    let rows = earlier_groups.iter().zip(later_groups).zip(&table.rows);
                    for ((earlier, later), rows) in rows {
                        let cell = *earlier as usize * pair.width() + *later as usize;
                        if let Some(sum) = cells.get_mut(cell) {
                            *sum += rows;
                        }
                    }
                    pair.lowest(space, &cells, (k, limit))
                };
                if let Some(pairs) = self.pairs.get_mut(later) {
                    pairs.push(found);
                }
            }
        }
    }

    /// By column: the lowest level left.
    pub(super) fn lowest(&self) -> &[u8] {
        &self.lowest
    }

    /// Whether a column may have this level beside those of the columns before it.
    pub(super) fn allows(&self, before: &[u8], level: u8) -> bool {
        let Some(pairs) = self.pairs.get(before.len()) else { return true };
        pairs.iter().zip(before).all(|(lowest, earlier)| {
            lowest.get(usize::from(*earlier)).is_none_or(|lowest| level >= *lowest)
        })
    }
}

/// Rows in groups smaller than k.
fn small(groups: &[u64], k: u64) -> u64 {
    groups.iter().filter(|rows| **rows < k).sum()
}

/// Two columns, from their lowest levels on.
struct Pair<'a> {
    table: &'a Table,
    columns: (usize, usize),
    from: (u8, u8),
    sizes: (usize, usize),
}

impl<'a> Pair<'a> {
    fn of(table: &'a Table, columns: (usize, usize), lowest: &[u8]) -> Self {
        let from = |column| lowest.get(column).copied().unwrap_or(0);
        let from = (from(columns.0), from(columns.1));
        let mut pair = Self { table, columns, from, sizes: (0, 0) };
        pair.sizes = (pair.groups(columns.0, from.0), pair.groups(columns.1, from.1));
        pair
    }

    fn groups(&self, column: usize, level: u8) -> usize {
        let hierarchy = self.table.hierarchies.get(column);
        let groups = hierarchy.and_then(|one| one.groups.get(usize::from(level)));
        groups.and_then(|groups| groups.iter().max()).map_or(1, |most| *most as usize + 1)
    }

    const fn size(&self) -> usize {
        self.sizes.0.saturating_mul(self.sizes.1)
    }

    const fn width(&self) -> usize {
        self.sizes.1
    }

    /// By level of the earlier column: the lowest level of the later at which not too many rows stand in
    /// small cells. It never rises as the earlier one does.
    fn lowest(&self, space: &Space, cells: &[u64], (k, limit): (u64, u64)) -> Vec<u8> {
        let count = |column: usize| space.levels().get(column).copied().unwrap_or(1);
        let (earlier_levels, later_levels) = (count(self.columns.0), count(self.columns.1));
        let mut lowest = vec![self.from.1; usize::from(earlier_levels)];
        let mut later = later_levels;
        for earlier in (self.from.0..earlier_levels).rev() {
            // What failed further up fails here too, so go up from where the level above stopped.
            let mut at = if later == later_levels { self.from.1 } else { later };
            while at + 1 < later_levels && self.small(cells, (earlier, at), k) > limit {
                at += 1;
            }
            later = at;
            if let Some(slot) = lowest.get_mut(usize::from(earlier)) {
                *slot = at;
            }
        }
        lowest
    }

    fn small(&self, cells: &[u64], levels: (u8, u8), k: u64) -> u64 {
        let (rows, columns) = (
            self.map(self.columns.0, (self.from.0, levels.0)),
            self.map(self.columns.1, (self.from.1, levels.1)),
        );
        let width = columns.iter().max().map_or(1, |most| *most as usize + 1);
        let height = rows.iter().max().map_or(1, |most| *most as usize + 1);
        let mut sums = vec![0_u64; width * height];
        for (line, row) in cells.chunks(self.width().max(1)).zip(&rows) {
            let start = *row as usize * width;
            for (cell, column) in line.iter().zip(&columns) {
                if let Some(sum) = sums.get_mut(start + *column as usize) {
                    *sum += cell;
                }
            }
        }
        small(&sums, k)
    }

    /// By group of one level: its group of another.
    fn map(&self, column: usize, (from, to): (u8, u8)) -> Vec<u32> {
        let mut map = vec![0; self.groups(column, from)];
        let hierarchy = self.table.hierarchies.get(column);
        let groups = |level: u8| hierarchy.and_then(|one| one.groups.get(usize::from(level)));
        if let (Some(from), Some(to)) = (groups(from), groups(to)) {
            for (from, to) in from.iter().zip(to) {
                if let Some(slot) = map.get_mut(*from as usize) {
                    *slot = *to;
                }
            }
        }
        map
    }
}
