//! What an optimal generalization makes least. Every objective gives each generalization a [`Loss`],
//! and a bound below which neither its own loss nor that of anything coarser can fall. Searches
//! nothing.
//!
//! With n rows, c rows in a class, s rows suppressed, and for a column the level chosen:
//! - **loss** (Iyengar, KDD 2002; ARX's variant): the mean share of the column's leaves that a cell
//!   covers, 1 for a suppressed one, stretched from `1/m..1` to `0..1` where the column has m leaves.
//! - **entropy** (Gionis and Tassa, TKDE 2009; de Waal and Willenborg 1999): `-sum log2(f(v)/f(g))` over
//!   cells, v the value and g its group; suppressed cells add the same once more from their group to
//!   the suppressed rows as a whole, unless the objective is monotonic.
//! - **discernibility** (Bayardo and Agrawal, ICDE 2005): `sum c^2`, and `n*c` for suppressed classes
//!   unless it is monotonic (DM*).
//! - **class size** (LeFevre et al., ICDE 2006, not divided by k): n over the number of classes, where
//!   all suppressed rows are one more.
//! - **precision** (Sweeney 2002): level over height, 1 for a suppressed cell, in the mean.
//! - **height**: the sum of levels.
//!
//! Figures by column are cut to ten digits, weighted (the largest weight becomes 1) and made one by the
//! aggregate; entropy and height are summed, precision is averaged. `gs_factor` g below 1/2 lets
//! suppression count 2g, above it lets generalization count 2(1-g); all as in ARX.

mod columns;
mod marginals;

use std::cmp::Ordering;

use crate::error::Result;
use crate::policy::release::{Aggregate, Objective};

use super::table::Table;
pub(super) use columns::Columns;
pub(super) use marginals::Marginals;

/// What a generalization costs: one figure, or several that are compared one by one.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss(pub Vec<f64>);

impl Loss {
    /// Which of two is less.
    pub fn compare(&self, other: &Self) -> Ordering {
        let pairs = self.0.iter().zip(&other.0);
        let decided = pairs.map(|(one, other)| one.total_cmp(other)).find(|order| order.is_ne());
        decided.unwrap_or(Ordering::Equal)
    }
}

/// What becomes of the classes of a generalization.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// All rows.
    pub(super) rows: u64,
    /// Classes that have rows.
    pub(super) classes: u64,
    /// Of these, the suppressed.
    pub(super) classes_suppressed: u64,
    /// Rows of suppressed classes.
    pub(super) suppressed: u64,
    /// Sum of the squares of all classes' rows.
    pub(super) squares: u128,
    /// The part of suppressed classes.
    pub(super) squares_suppressed: u128,
    /// Suppressed rows by column and group; empty where the objective does not ask for them.
    pub(super) groups: Vec<Vec<u64>>,
}

impl Tally {
    /// Counts one class that has rows.
    #[inline]
    pub(super) fn count(&mut self, rows: u64, suppressed: bool, squares: bool) {
        self.rows += rows;
        self.classes += 1;
        self.classes_suppressed += u64::from(suppressed);
        self.suppressed += if suppressed { rows } else { 0 };
        if squares {
            let square = u128::from(rows) * u128::from(rows);
            self.squares += square;
            self.squares_suppressed += if suppressed { square } else { 0 };
        }
    }
}

/// An objective over a table.
#[derive(Debug)]
pub(super) struct Measure {
    rows: u64,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Columns(Columns),
    Discernibility { monotonic: bool },
    ClassSize,
}

impl Measure {
    pub(super) fn new(objective: &Objective, table: &Table) -> Result<Self> {
        let rows = table.rows.iter().sum();
        let columns = |measure, aggregate| {
            let marginals = Marginals::of(table);
            Kind::Columns(Columns::new(measure, aggregate, table, &marginals))
        };
        let kind = match *objective {
            Objective::Loss { aggregate, gs_factor } => {
                columns(columns::By::Loss(columns::Factors::new(gs_factor)?), aggregate)
            }
            Objective::Entropy { monotonic, gs_factor } => {
                let factors = columns::Factors::new(gs_factor)?;
                columns(columns::By::Entropy { factors, monotonic }, Aggregate::Sum)
            }
            Objective::Discernibility { monotonic } => Kind::Discernibility { monotonic },
            Objective::ClassSize => Kind::ClassSize,
            Objective::Precision { monotonic } => {
                columns(columns::By::Precision { monotonic }, Aggregate::ArithmeticMean)
            }
            Objective::Height => columns(columns::By::Height, Aggregate::Sum),
        };
        Ok(Self { rows, kind })
    }

    /// The objective by columns, where it is one.
    pub(super) const fn columns(&self) -> Option<&Columns> {
        if let Kind::Columns(columns) = &self.kind { Some(columns) } else { None }
    }

    /// Whether the loss depends on the squares of classes' rows.
    pub(super) const fn asks_for_squares(&self) -> bool {
        matches!(self.kind, Kind::Discernibility { .. })
    }

    /// Whether suppression does not count, so that nothing coarser loses less.
    pub(super) fn steady(&self) -> bool {
        match &self.kind {
            Kind::Columns(columns) => columns.steady(),
            Kind::Discernibility { monotonic } => *monotonic,
            Kind::ClassSize => false,
        }
    }

    /// Whether the loss depends on suppressed rows by column and group.
    pub(super) fn asks_for_groups(&self) -> bool {
        self.columns().is_some_and(Columns::ask_for_groups)
    }

    /// No coarser generalization, nor this one, loses less, whatever is suppressed.
    pub(super) fn bound(&self, levels: &[u8]) -> Loss {
        match &self.kind {
            Kind::Columns(columns) => columns.bound(levels),
            Kind::Discernibility { .. } | Kind::ClassSize => Loss(vec![0.0]),
        }
    }

    /// What suppression adds to each column's figure here. Where only more rows are suppressed in finer
    /// generalizations, it adds no less to theirs. Empty where that is not so by column.
    pub(super) fn added(&self, levels: &[u8], tally: &Tally) -> Vec<f64> {
        self.columns().map_or_else(Vec::new, |columns| columns.added(levels, tally))
    }

    /// The bound of a generalization when suppression adds at least so much.
    pub(super) fn bound_with(&self, levels: &[u8], added: &[f64]) -> Loss {
        self.columns()
            .map_or_else(|| self.bound(levels), |columns| columns.bound_with(levels, added))
    }

    /// No coarser generalization loses less than this, which is known once classes are counted.
    #[expect(clippy::cast_precision_loss, reason = "a loss is a floating number")]
    pub(super) fn bound_above(&self, levels: &[u8], tally: &Tally) -> Loss {
        match &self.kind {
            Kind::Columns(columns) => columns.bound(levels),
            Kind::Discernibility { .. } => Loss(vec![tally.squares as f64]),
            Kind::ClassSize => Loss(vec![self.rows as f64 / tally.classes as f64]),
        }
    }

    /// What this generalization loses.
    #[expect(clippy::cast_precision_loss, reason = "a loss is a floating number")]
    pub(super) fn loss(&self, levels: &[u8], tally: &Tally) -> Loss {
        match &self.kind {
            Kind::Columns(columns) => columns.loss(levels, tally),
            Kind::Discernibility { monotonic: true } => Loss(vec![tally.squares as f64]),
            Kind::Discernibility { monotonic: false } => {
                let kept = tally.squares - tally.squares_suppressed;
                let suppressed = u128::from(self.rows) * u128::from(tally.suppressed);
                Loss(vec![(kept + suppressed) as f64])
            }
            Kind::ClassSize => {
                let kept = tally.classes - tally.classes_suppressed;
                let classes = kept + u64::from(tally.classes_suppressed > 0);
                Loss(vec![self.rows as f64 / classes as f64])
            }
        }
    }
}
