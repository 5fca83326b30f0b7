//! Sums over what was chosen: by measure and group, in whole numbers. Chooses nothing.

use super::choice::{Choice, Rule, VALUES_AT};
use super::steps::NONE;
use crate::pipeline::noise::question::{Measure, Measured};

/// The measurements of all groups, so far.
pub(super) struct Tally {
    groups: usize,
    columns: Vec<Column>,
}

enum Column {
    Numbers(Vec<i128>),
    /// Counts of the cells of each group, group behind group.
    Cells {
        each: usize,
        counts: Vec<u64>,
    },
}

impl Tally {
    /// Nothing yet.
    pub(super) fn new(measures: &[Measure], groups: usize) -> Self {
        let column = |measure: &Measure| match measure {
            Measure::Quantile { grid, .. } => {
                let each = grid.len() + 1;
                Column::Cells { each, counts: vec![0; each.saturating_mul(groups)] }
            }
            _ => Column::Numbers(vec![0; groups]),
        };
        Self { groups, columns: measures.iter().map(column).collect() }
    }

    /// The memory that one takes.
    pub(super) fn bytes(measures: &[Measure], groups: usize) -> usize {
        let each = |measure: &Measure| match measure {
            Measure::Quantile { grid, .. } => (grid.len() + 1).saturating_mul(size_of::<u64>()),
            _ => size_of::<i128>(),
        };
        measures.iter().map(each).fold(0, usize::saturating_add).saturating_mul(groups)
    }

    /// Adds what was chosen of `records`.
    #[expect(
        clippy::indexing_slicing,
        reason = "records, groups and values were numbered by whoever made the records"
    )]
    pub(super) fn add(
        &mut self,
        measures: &[Measure],
        records: &[u64],
        rule: &Rule,
        choice: &Choice,
    ) {
        let width = rule.width;
        let record = |at: &u32| &records[*at as usize * width..][..width];
        let kept = || choice.kept().iter().map(record);
        for (measure, column) in measures.iter().zip(&mut self.columns) {
            match (measure, column) {
                (Measure::Units, Column::Numbers(sums)) => {
                    choice.slots(rule).for_each(|(group, _)| sums[group as usize] += 1);
                }
                (Measure::Rows, Column::Numbers(sums)) => choice
                    .slots(rule)
                    .for_each(|(group, rows)| sums[group as usize] += i128::from(rows)),
                (Measure::Count(value), Column::Numbers(sums)) => {
                    for record in kept() {
                        let there = record[VALUES_AT + value] as i64 != NONE;
                        sums[record[1] as usize] += i128::from(there);
                    }
                }
                (Measure::Sum { value, center }, Column::Numbers(sums)) => {
                    for record in kept() {
                        let steps = record[VALUES_AT + value] as i64;
                        if steps != NONE {
                            sums[record[1] as usize] += i128::from(steps) - i128::from(*center);
                        }
                    }
                }
                (Measure::Squares { value, center }, Column::Numbers(sums)) => {
                    for record in kept() {
                        let steps = record[VALUES_AT + value] as i64;
                        if steps != NONE {
                            let off = i128::from(steps) - i128::from(*center);
                            let sum = &mut sums[record[1] as usize];
                            // INVARIANT: no square is negative, so a sum that stays at the largest number
                            // moves by no more than its terms, in whichever order they come.
                            *sum = sum.saturating_add(off.saturating_mul(off));
                        }
                    }
                }
                (Measure::Quantile { value, grid, .. }, Column::Cells { each, counts }) => {
                    for record in kept() {
                        let steps = record[VALUES_AT + value] as i64;
                        if steps != NONE {
                            let cell = grid.partition_point(|point| *point < steps);
                            counts[record[1] as usize * *each + cell] += 1;
                        }
                    }
                }
                // Columns were made from the measures.
                _ => {}
            }
        }
    }

    /// Adds another one of the same measures and groups.
    pub(super) fn merge(&mut self, other: &Self) {
        for (ours, theirs) in self.columns.iter_mut().zip(&other.columns) {
            match (ours, theirs) {
                (Column::Numbers(ours), Column::Numbers(theirs)) => {
                    for (ours, theirs) in ours.iter_mut().zip(theirs) {
                        *ours = ours.saturating_add(*theirs);
                    }
                }
                (Column::Cells { counts: ours, .. }, Column::Cells { counts: theirs, .. }) => {
                    for (ours, theirs) in ours.iter_mut().zip(theirs) {
                        *ours += theirs;
                    }
                }
                _ => {}
            }
        }
    }

    /// The numbers of a measure by group, where it has numbers.
    pub(super) fn numbers(&self, measure: usize) -> Option<&[i128]> {
        match self.columns.get(measure)? {
            Column::Numbers(sums) => Some(sums),
            Column::Cells { .. } => None,
        }
    }

    /// The numbers of some groups, in this order; of all groups without an order.
    pub(super) fn measured(self, order: Option<&[usize]>) -> Vec<Measured> {
        let groups = self.groups;
        let all = || order.map_or_else(|| (0..groups).collect(), <[usize]>::to_vec);
        let places: Vec<usize> = all();
        let column = |column: Column| match column {
            Column::Numbers(sums) => {
                let at = |at: &usize| sums.get(*at).copied().unwrap_or_default();
                Measured::Numbers(places.iter().map(at).collect())
            }
            Column::Cells { each, counts } => {
                let at = |at: &usize| {
                    let cells = counts.get(at * each..(at + 1) * each);
                    cells.map(<[u64]>::to_vec).unwrap_or_default()
                };
                Measured::Cells(places.iter().map(at).collect())
            }
        };
        self.columns.into_iter().map(column).collect()
    }
}
