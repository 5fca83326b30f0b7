//! Sums over what was chosen: by measure and group, in whole numbers. Chooses nothing.

use super::choice::Choice;
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

    /// Adds what was chosen.
    #[expect(clippy::indexing_slicing, reason = "groups and values were numbered by whoever chose")]
    pub(super) fn add(&mut self, measures: &[Measure], choice: &Choice) {
        let width = choice.row_width();
        for (measure, column) in measures.iter().zip(&mut self.columns) {
            match (measure, column) {
                (Measure::Units, Column::Numbers(sums)) => {
                    choice.found().for_each(|(group, ..)| sums[group as usize] += 1);
                }
                (Measure::Rows, Column::Numbers(sums)) => {
                    choice
                        .found()
                        .for_each(|(group, rows, _)| sums[group as usize] += i128::from(rows));
                }
                (Measure::Count(value), Column::Numbers(sums)) => {
                    for (group, _, rows) in choice.found() {
                        sums[group as usize] += steps(rows, width, *value).count() as i128;
                    }
                }
                (Measure::Sum { value, center }, Column::Numbers(sums)) => {
                    let off = |steps| i128::from(steps) - i128::from(*center);
                    for (group, _, rows) in choice.found() {
                        sums[group as usize] += steps(rows, width, *value).map(off).sum::<i128>();
                    }
                }
                (Measure::Squares { value, center }, Column::Numbers(sums)) => {
                    for (group, _, rows) in choice.found() {
                        let sum = &mut sums[group as usize];
                        for steps in steps(rows, width, *value) {
                            let off = i128::from(steps) - i128::from(*center);
                            // INVARIANT: no square is negative, so a sum that stays at the largest number
                            // moves by no more than its terms, in whichever order they come.
                            *sum = sum.saturating_add(off.saturating_mul(off));
                        }
                    }
                }
                (Measure::Quantile { value, grid, .. }, Column::Cells { each, counts }) => {
                    for (group, _, rows) in choice.found() {
                        let cells = &mut counts[group as usize * *each..][..*each];
                        for steps in steps(rows, width, *value) {
                            cells[grid.partition_point(|point| *point < steps)] += 1;
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

/// The steps of a value in each row that has one.
#[inline]
fn steps(rows: &[u64], width: usize, value: usize) -> impl Iterator<Item = i64> {
    let steps = rows.chunks_exact(width).filter_map(move |row| row.get(1 + value).copied());
    steps.map(u64::cast_signed).filter(|steps| *steps != NONE)
}
