//! Sums over what was chosen: by measure and group, in whole numbers. Chooses nothing.

use super::choice::Choice;
use super::gather::Kept;
use super::steps::NONE;
use crate::pipeline::noise::question::{Measure, Measured};

/// The measurements of groups, so far.
pub(super) struct Tally {
    groups: usize,
    columns: Vec<Column>,
}

struct Column {
    /// The number of the first of its cells, among those of all columns.
    first: u64,
    sums: Sums,
}

enum Sums {
    Numbers(Vec<i128>),
    /// Counts of the cells of each group, group behind group.
    Cells {
        each: usize,
        counts: Vec<u64>,
    },
}

/// Rows of one unit in one group: the group by its number in the tally, how many rows, and their values behind a
/// word each.
pub(super) type Found<'a> = (usize, u64, &'a [u64]);

/// So much is summed measure by measure.
const AT_ONCE: usize = 1 << 10;

impl Tally {
    /// Nothing yet.
    pub(super) fn new(measures: &[Measure], groups: usize) -> Self {
        let mut first = 0;
        let column = |measure: &Measure| {
            let (cells, sums) = match measure {
                Measure::Quantile { grid, .. } => {
                    let each = grid.len() + 1;
                    (each, Sums::Cells { each, counts: Vec::new() })
                }
                _ => (1, Sums::Numbers(Vec::new())),
            };
            let column = Column { first, sums };
            first += cells as u64;
            column
        };
        let mut tally = Self { groups: 0, columns: measures.iter().map(column).collect() };
        tally.grow(groups);
        tally
    }

    /// The memory that one takes.
    pub(super) fn bytes(measures: &[Measure], groups: usize) -> usize {
        let each = |measure: &Measure| match measure {
            Measure::Quantile { grid, .. } => (grid.len() + 1).saturating_mul(size_of::<u64>()),
            _ => size_of::<i128>(),
        };
        measures.iter().map(each).fold(0, usize::saturating_add).saturating_mul(groups)
    }

    /// For how many groups there is room.
    pub(super) const fn groups(&self) -> usize {
        self.groups
    }

    /// Makes room for more groups.
    pub(super) fn grow(&mut self, groups: usize) {
        self.groups = groups;
        for column in &mut self.columns {
            match &mut column.sums {
                Sums::Numbers(sums) => {
                    sums.reserve_exact(groups.saturating_sub(sums.len()));
                    sums.resize(groups, 0);
                }
                Sums::Cells { each, counts } => {
                    let cells = each.saturating_mul(groups);
                    counts.reserve_exact(cells.saturating_sub(counts.len()));
                    counts.resize(cells, 0);
                }
            }
        }
    }

    /// Adds all that was chosen, under the numbers that its groups have there.
    pub(super) fn add_all(&mut self, measures: &[Measure], kept: &Kept<'_>) {
        let mut some = Vec::with_capacity(AT_ONCE);
        for (group, rows, values) in kept.choice.found() {
            some.push((group as usize, rows, values));
            if some.len() == AT_ONCE {
                self.add(measures, &some, kept.choice, kept.goes_on);
                some.clear();
            }
        }
        self.add(measures, &some, kept.choice, kept.goes_on);
    }

    /// Adds what was chosen. Where rows go on that began before, their units were counted.
    #[expect(clippy::indexing_slicing, reason = "groups and values were numbered by whoever chose")]
    pub(super) fn add(
        &mut self,
        measures: &[Measure],
        found: &[Found<'_>],
        choice: &Choice,
        goes_on: bool,
    ) {
        let width = choice.row_width();
        for (measure, column) in measures.iter().zip(&mut self.columns) {
            match (measure, &mut column.sums) {
                (Measure::Units, Sums::Numbers(sums)) if !goes_on => {
                    found.iter().for_each(|(group, ..)| sums[*group] += 1);
                }
                (Measure::Rows, Sums::Numbers(sums)) => {
                    found.iter().for_each(|(group, rows, _)| sums[*group] += i128::from(*rows));
                }
                (Measure::Count(value), Sums::Numbers(sums)) => {
                    for (group, _, rows) in found {
                        sums[*group] += steps(rows, width, *value).count() as i128;
                    }
                }
                (Measure::Sum { value, center }, Sums::Numbers(sums)) => {
                    let off = |steps| i128::from(steps) - i128::from(*center);
                    for (group, _, rows) in found {
                        sums[*group] += steps(rows, width, *value).map(off).sum::<i128>();
                    }
                }
                (Measure::Squares { value, center }, Sums::Numbers(sums)) => {
                    for (group, _, rows) in found {
                        let sum = &mut sums[*group];
                        for steps in steps(rows, width, *value) {
                            let off = i128::from(steps) - i128::from(*center);
                            // INVARIANT: no square is negative, so a sum that stays at the largest number
                            // moves by no more than its terms, in whichever order they come.
                            *sum = sum.saturating_add(off.saturating_mul(off));
                        }
                    }
                }
                (Measure::Quantile { value, grid, .. }, Sums::Cells { each, counts }) => {
                    for (group, _, rows) in found {
                        let cells = &mut counts[*group * *each..][..*each];
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

    /// Hands over what is not nought of the first so many groups: the group, which number it is of the group's,
    /// and the number.
    pub(super) fn numbers(&self, groups: usize, mut number: impl FnMut(usize, u64, i128)) {
        for column in &self.columns {
            match &column.sums {
                Sums::Numbers(sums) => {
                    for (group, sum) in sums.iter().take(groups).enumerate() {
                        if *sum != 0 {
                            number(group, column.first, *sum);
                        }
                    }
                }
                Sums::Cells { each, counts } => {
                    let cells = counts.iter().take(groups.saturating_mul(*each)).enumerate();
                    for (at, count) in cells.filter(|(_, count)| **count > 0) {
                        let cell = column.first + (at % each) as u64;
                        number(at / each, cell, i128::from(*count));
                    }
                }
            }
        }
    }

    /// Adds a number that was handed over.
    pub(super) fn put(&mut self, group: usize, at: u64, number: i128) {
        let column = self.columns.partition_point(|column| column.first <= at);
        let Some(column) = column.checked_sub(1).and_then(|at| self.columns.get_mut(at)) else {
            return;
        };
        match &mut column.sums {
            Sums::Numbers(sums) => {
                if let Some(sum) = sums.get_mut(group) {
                    *sum = sum.saturating_add(number);
                }
            }
            Sums::Cells { each, counts } => {
                let cell = usize::try_from(at - column.first).unwrap_or(usize::MAX);
                let place = (group * *each).saturating_add(cell);
                if let Some(count) = counts.get_mut(place) {
                    *count = count.saturating_add(u64::try_from(number).unwrap_or(u64::MAX));
                }
            }
        }
    }

    /// Adds another one of the same measures and groups.
    pub(super) fn merge(&mut self, other: &Self) {
        for (ours, theirs) in self.columns.iter_mut().zip(&other.columns) {
            match (&mut ours.sums, &theirs.sums) {
                (Sums::Numbers(ours), Sums::Numbers(theirs)) => {
                    for (ours, theirs) in ours.iter_mut().zip(theirs) {
                        *ours = ours.saturating_add(*theirs);
                    }
                }
                (Sums::Cells { counts: ours, .. }, Sums::Cells { counts: theirs, .. }) => {
                    for (ours, theirs) in ours.iter_mut().zip(theirs) {
                        *ours += theirs;
                    }
                }
                _ => {}
            }
        }
    }

    /// The numbers of the first so many groups.
    pub(super) fn measured(self, groups: usize) -> Vec<Measured> {
        let column = |column: Column| match column.sums {
            Sums::Numbers(mut sums) => {
                sums.truncate(groups);
                Measured::Numbers(sums)
            }
            Sums::Cells { each, counts } => {
                Measured::Cells(counts.chunks(each).take(groups).map(<[u64]>::to_vec).collect())
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
