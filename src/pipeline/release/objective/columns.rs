//! Objectives that are made of one figure a column. The share that generalization has in a figure
//! depends on the column's level alone and is known before anything is grouped: it is the bound.
//! Groups nothing.

use crate::error::{Code, Error, Result};
use crate::policy::release::Aggregate;

use super::super::table::Table;
use super::{Loss, Marginals, Tally};

/// How much generalization and suppression count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Factors {
    generalization: f64,
    suppression: f64,
}

impl Factors {
    pub(super) fn new(gs_factor: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&gs_factor) {
            return Err(Error::new(Code::Policy, "gs_factor lies between 0 and 1"));
        }
        Ok(Self {
            generalization: if gs_factor <= 0.5 { 1.0 } else { 1.0 - 2.0 * (gs_factor - 0.5) },
            suppression: if gs_factor < 0.5 { 2.0 * gs_factor } else { 1.0 },
        })
    }
}

/// The figure.
#[derive(Debug, Clone, Copy)]
pub(super) enum By {
    Loss(Factors),
    Entropy { factors: Factors, monotonic: bool },
    Precision { monotonic: bool },
    Height,
}

/// An objective by columns over a table.
#[derive(Debug)]
pub(in super::super) struct Columns {
    by: By,
    aggregate: Aggregate,
    rows: u64,
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    weight: f64,
    leaves: u64,
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    /// The figure when nothing is suppressed: cut, not weighted.
    plain: f64,
    /// The same before it is cut; for entropy with the sign that logarithms have.
    raw: f64,
    /// For loss: rows times leaves of their groups.
    cover: u64,
    /// For loss: leaves by group.
    group_leaves: Vec<u64>,
}

/// More than what figures are cut by, and than what sums are rounded by.
const SLACK: f64 = 1e-9;
const SLACK_SHARE: f64 = 1e-12;

/// Ten digits count.
const DIGITS: f64 = 1e10;

fn cut(figure: f64) -> f64 {
    (figure * DIGITS).floor() / DIGITS
}

#[expect(clippy::cast_precision_loss, reason = "a figure is a floating number")]
impl Columns {
    pub(super) fn new(by: By, aggregate: Aggregate, table: &Table, known: &Marginals) -> Self {
        let rows = table.rows.iter().sum();
        let heaviest = table.hierarchies.iter().map(|one| one.weight).fold(0.0, f64::max);
        let marginals = known.rows.iter().zip(&known.leaves);
        let columns = table.hierarchies.iter().zip(marginals);
        let columns = columns.map(|(hierarchy, (by_group, leaves))| {
            let leaf_rows = by_group.first().map_or(&[][..], Vec::as_slice);
            let height = hierarchy.levels().saturating_sub(1);
            let levels = (0..).zip(&hierarchy.groups).zip(by_group.iter().zip(leaves));
            let levels = levels.map(|((level, groups), (group_rows, group_leaves))| {
                let cover = group_rows.iter().zip(group_leaves).map(|(rows, leaves)| rows * leaves);
                let cover: u64 = cover.sum();
                let raw = match by {
                    By::Loss(_) => 0.0,
                    By::Entropy { factors, .. } => {
                        entropy(leaf_rows, groups, group_rows) * factors.generalization
                    }
                    By::Precision { .. } => {
                        if height == 0 {
                            0.0
                        } else {
                            f64::from(level) / height as f64
                        }
                    }
                    By::Height => f64::from(level),
                };
                let group_leaves =
                    if matches!(by, By::Loss(_)) { group_leaves.clone() } else { Vec::new() };
                Level { plain: 0.0, raw, cover, group_leaves }
            });
            Column {
                weight: if heaviest > 0.0 { hierarchy.weight / heaviest } else { 1.0 },
                leaves: hierarchy.leaves() as u64,
                levels: levels.collect(),
            }
        });
        let mut all = Self { by, aggregate, rows, columns: columns.collect() };
        let plain: Vec<Vec<f64>> = all
            .columns
            .iter()
            .map(|column| {
                column.levels.iter().map(|level| all.figure(column, level, 0, &[])).collect()
            })
            .collect();
        for (column, plain) in all.columns.iter_mut().zip(plain) {
            for (level, plain) in column.levels.iter_mut().zip(plain) {
                level.plain = plain;
            }
        }
        all
    }

    pub(super) const fn ask_for_groups(&self) -> bool {
        matches!(self.by, By::Loss(_) | By::Entropy { monotonic: false, .. })
    }

    /// Whether suppression does not count.
    pub(in super::super) const fn steady(&self) -> bool {
        matches!(
            self.by,
            By::Entropy { monotonic: true, .. } | By::Precision { monotonic: true } | By::Height
        )
    }

    /// The figure of a column when so many rows are suppressed, by group.
    fn figure(&self, column: &Column, level: &Level, suppressed: u64, groups: &[u64]) -> f64 {
        match self.by {
            By::Loss(factors) => {
                let (n, m) = (self.rows as f64, column.leaves as f64);
                let covered = groups.iter().zip(&level.group_leaves);
                let covered: u64 = covered.map(|(rows, leaves)| rows * leaves).sum();
                let kept = (level.cover - covered) as f64 / m * factors.generalization;
                let share = covered as f64 / m;
                let dropped = suppressed as f64;
                let dropped = if factors.suppression < 1.0 {
                    share + factors.suppression * (dropped - share)
                } else {
                    dropped
                };
                let figure = kept + dropped;
                let least = factors.generalization * n / m;
                let figure = (figure - least) / (n - least);
                // A column of one leaf has nothing to lose.
                cut(if figure >= 0.0 { figure } else { 0.0 })
            }
            By::Entropy { factors, monotonic } => {
                let mut sum = level.raw;
                if !monotonic && suppressed > 0 {
                    let groups = groups.iter().filter(|rows| **rows > 0).map(|rows| *rows as f64);
                    let all = suppressed as f64;
                    sum += groups.map(|rows| rows * (rows / all).log2()).sum::<f64>()
                        * factors.suppression;
                }
                cut(if sum == 0.0 { 0.0 } else { -sum })
            }
            By::Precision { monotonic: false } => {
                let kept = (self.rows - suppressed) as f64;
                (kept * level.raw + suppressed as f64) / self.rows as f64
            }
            By::Precision { monotonic: true } | By::Height => level.raw,
        }
    }

    /// The loss when nothing is suppressed.
    pub(super) fn bound(&self, levels: &[u8]) -> Loss {
        let chosen = self.columns.iter().zip(levels);
        self.aggregate(chosen.map(|(column, level)| {
            let level = column.levels.get(usize::from(*level));
            (level.map_or(0.0, |level| level.plain), column.weight)
        }))
    }

    /// What suppression adds to each figure.
    ///
    /// INVARIANT: for rows suppressed at finer levels too, it adds no less there: a loss, a precision and
    /// an entropy have less to lose the more was lost before.
    pub(super) fn added(&self, levels: &[u8], tally: &Tally) -> Vec<f64> {
        if tally.suppressed == 0 || self.steady() {
            return Vec::new();
        }
        let chosen = self.columns.iter().zip(levels).enumerate();
        let added = chosen.map(|(place, (column, level))| {
            let groups = tally.groups.get(place).map_or(&[][..], Vec::as_slice);
            let level = column.levels.get(usize::from(*level));
            level.map_or(0.0, |level| {
                let figure = self.figure(column, level, tally.suppressed, groups);
                // Rounding must not make it more than it is.
                (figure - level.plain - SLACK - figure * SLACK_SHARE).max(0.0)
            })
        });
        added.collect()
    }

    /// The bound when suppression adds at least so much.
    pub(super) fn bound_with(&self, levels: &[u8], added: &[f64]) -> Loss {
        let chosen = self.columns.iter().zip(levels).zip(added);
        self.aggregate(chosen.map(|((column, level), added)| {
            let level = column.levels.get(usize::from(*level));
            (level.map_or(0.0, |level| level.plain) + added, column.weight)
        }))
    }

    pub(super) fn loss(&self, levels: &[u8], tally: &Tally) -> Loss {
        let chosen = self.columns.iter().zip(levels).enumerate();
        self.aggregate(chosen.map(|(place, (column, level))| {
            let groups = tally.groups.get(place).map_or(&[][..], Vec::as_slice);
            let level = column.levels.get(usize::from(*level));
            let figure = level.map_or(0.0, |level| {
                if tally.suppressed == 0 {
                    level.plain
                } else {
                    self.figure(column, level, tally.suppressed, groups)
                }
            });
            (figure, column.weight)
        }))
    }

    /// By column and level: the weighted figure when nothing is suppressed.
    pub(in super::super) fn plain(&self) -> Vec<Vec<f64>> {
        let columns = self.columns.iter();
        columns
            .map(|column| column.levels.iter().map(|one| one.plain * column.weight).collect())
            .collect()
    }

    /// Whether losses are compared column by column, the largest first.
    pub(in super::super) fn rank(&self) -> bool {
        self.aggregate == Aggregate::Rank
    }

    fn aggregate(&self, weighted: impl Iterator<Item = (f64, f64)>) -> Loss {
        let count = self.columns.len() as f64;
        Loss(match self.aggregate {
            Aggregate::Rank => {
                let mut all: Vec<f64> = weighted.map(|(figure, weight)| figure * weight).collect();
                all.sort_unstable_by(|one, other| other.total_cmp(one));
                all
            }
            Aggregate::Maximum => {
                vec![weighted.map(|(figure, weight)| figure * weight).fold(0.0, f64::max)]
            }
            Aggregate::Sum => vec![weighted.map(|(figure, weight)| figure * weight).sum()],
            Aggregate::ArithmeticMean => {
                vec![weighted.map(|(figure, weight)| figure / count * weight).sum()]
            }
            // One is added to each so that a column that loses nothing does not hide the others.
            Aggregate::GeometricMean => {
                let root =
                    |(figure, weight): (f64, f64)| ((figure + 1.0) * weight).powf(1.0 / count);
                vec![weighted.map(root).product::<f64>() - 1.0]
            }
        })
    }
}

/// `sum f(v) * log2(f(v)/f(g))` over the leaves of a column: never above 0.
#[expect(clippy::cast_precision_loss, reason = "a figure is a floating number")]
fn entropy(leaf_rows: &[u64], groups: &[u32], group_rows: &[u64]) -> f64 {
    let leaves = leaf_rows.iter().zip(groups).filter(|(rows, _)| **rows > 0);
    let terms = leaves.map(|(rows, group)| {
        let all = group_rows.get(*group as usize).copied().unwrap_or(*rows);
        *rows as f64 * (*rows as f64 / all as f64).log2()
    });
    terms.sum()
}
