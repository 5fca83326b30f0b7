//! What is measured for one statement, and what is known of it before and after noise. Types only.

use arrow::array::{ArrayRef, RecordBatch};
use dashu::rational::RBig;
use datafusion::logical_expr::LogicalPlan;

use crate::error::Result;
use crate::policy::privacy::{Accounting, Bounds, Loss};

/// What a statement asks, as measurements.
///
/// INVARIANT: nothing in it was read from data. Two statements with the same canonical text over the same
/// version of the data under the same policy ask the same.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// The dataset that is asked.
    pub(super) dataset: String,
    /// The question without what does not matter: names of columns that the statement gives, orders of
    /// conditions that may be swapped, all that stands above the aggregation.
    pub(super) canonical: String,
    /// Gives, in this order: the privacy unit (`UInt64`; null is nobody), the keys, the values. One row per
    /// row that the statement's conditions let through. Its expressions cannot fail, whatever the data.
    pub(super) rows: LogicalPlan,
    /// What the aggregation groups by; none for one group of all rows.
    pub(super) keys: Vec<Key>,
    /// What is measured about.
    pub(super) values: Vec<Value>,
    /// What is measured of each group, each once. With a key that is not public, [`Measure::Units`] is among
    /// them.
    pub(super) measures: Vec<Measure>,
    /// How much one unit contributes at most.
    pub(super) bounding: Bounding,
    /// What it may cost, and how losses add up.
    pub(super) loss: Loss,
    /// How losses add up.
    pub(super) accounting: Accounting,
}

/// What groups differ in.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// All values that it has, in the order of the policy, in the type of the plan's column; `None` where they
    /// are not public: then a group shows only above a threshold.
    pub(super) public: Option<ArrayRef>,
}

/// A column or expression of numbers, as whole steps.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Value {
    /// How the statement's plan calls it.
    pub(super) name: String,
    /// Between which values it is taken. A value is divided by the step, rounded to the nearest whole number
    /// (ties to even) and clamped to [`Bounds::steps`]; infinities are clamped; null and NaN are no value.
    pub(super) bounds: Bounds,
}

/// One measurement of a group's rows, those that bounding left. All are whole numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Measure {
    /// How many units.
    Units,
    /// How many rows.
    Rows,
    /// In how many rows the value of this number is one.
    Count(usize),
    /// The sum of the steps of a value, each less `center`.
    Sum {
        /// Which value.
        value: usize,
        /// What is taken off each, in steps.
        center: i64,
    },
    /// The sum of the squares of the steps of a value, each less `center` before it is squared.
    Squares {
        /// Which value.
        value: usize,
        /// What is taken off each, in steps.
        center: i64,
    },
    /// How many rows lie in each cell of a grid: before its first point, between two, behind the last.
    /// What is told of it is the point that best cuts off `rank` of the rows.
    Quantile {
        /// Which value.
        value: usize,
        /// Which part of the rows lies below: 0.5 for the median, as numerator and denominator.
        rank: (u64, u64),
        /// Points of the grid, in steps, ascending: what can be told.
        grid: std::sync::Arc<[i64]>,
    },
}

/// How much one unit contributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounding {
    /// To how many groups at most.
    pub(super) groups: u64,
    /// With how many rows a group at most.
    pub(super) rows: u64,
    /// Whether rows and groups past it are left out. Off in tests alone, to show that the audit sees it.
    #[cfg(test)]
    pub(super) off: bool,
}

/// The exact answers: what `bound` gives and `mechanism` alone reads.
///
/// PRIVACY: no `Debug`, `Display` or `Serialize`; it goes into `mechanism` and nowhere else.
pub(super) enum Exact {
    /// Where all keys are public: every combination, in the order of the policy, the last key fastest.
    All(Counts),
    /// Otherwise the groups that some unit contributes to, and, where some keys are public, only groups of
    /// public values.
    Hidden(Box<dyn Hidden>),
}

/// Groups, and what was measured of them.
pub(super) struct Counts {
    /// A row a group, a column a key.
    pub(super) keys: Vec<ArrayRef>,
    /// How many groups there are.
    pub(super) groups: usize,
    /// By measure, then by group.
    pub(super) measured: Vec<Measured>,
}

/// What stands for the key of a group whose keys are not all public: a keyed hash of it.
pub(super) type GroupId = [u64; 2];

/// Groups of keys that are not public, of which there may be more than memory holds: some at a time.
///
/// PRIVACY: their keys are looked up last, and only those of groups that are asked for: those that show.
pub(super) trait Hidden: Send {
    /// The next groups; none when there are no more. Each group comes once.
    ///
    /// # Errors
    /// [`Code::QueryMemory`](crate::error::Code::QueryMemory) where the folder for spilled data has no room,
    /// here and below.
    fn next(&mut self) -> Result<Option<Part>>;

    /// The keys of some groups, a column a key, sorted (the order of the data must not show); and of each row
    /// of them which of the groups it is.
    fn keys(self: Box<Self>, groups: &[GroupId]) -> Result<(Vec<ArrayRef>, Vec<usize>)>;
}

/// Some groups without their keys.
pub(super) struct Part {
    /// What stands for their keys.
    pub(super) groups: Vec<GroupId>,
    /// By measure, then by group.
    pub(super) measured: Vec<Measured>,
}

#[cfg(test)]
impl Exact {
    /// All groups with their keys, which nobody but a test may see.
    pub(super) fn whole(self) -> Result<Counts> {
        let mut hidden = match self {
            Self::All(counts) => return Ok(counts),
            Self::Hidden(hidden) => hidden,
        };
        let (mut groups, mut all) = (Vec::new(), Vec::<Measured>::new());
        while let Some(part) = hidden.next()? {
            groups.extend(part.groups);
            if all.is_empty() {
                all = part.measured;
                continue;
            }
            for both in all.iter_mut().zip(part.measured) {
                match both {
                    (Measured::Numbers(all), Measured::Numbers(some)) => all.extend(some),
                    (Measured::Cells(all), Measured::Cells(some)) => all.extend(some),
                    _ => panic!("parts of several shapes"),
                }
            }
        }
        let (keys, order) = hidden.keys(&groups)?;
        let measured = all.into_iter().map(|measured| match measured {
            Measured::Numbers(all) => Measured::Numbers(order.iter().map(|at| all[*at]).collect()),
            Measured::Cells(all) => {
                Measured::Cells(order.iter().map(|at| all[*at].clone()).collect())
            }
        });
        Ok(Counts { keys, groups: order.len(), measured: measured.collect() })
    }
}

/// One measurement of all groups.
pub(super) enum Measured {
    /// A number a group.
    Numbers(Vec<i128>),
    /// For [`Measure::Quantile`]: the counts of the grid's cells (one more than points) a group.
    Cells(Vec<Vec<u64>>),
}

/// What may leave: keys that are public or passed the threshold, and noisy numbers.
///
/// INVARIANT: made in `mechanism` alone, which needs the proof that its loss was spent.
#[derive(Debug, Clone)]
pub(super) struct Noisy {
    /// A row a group, a column a key, in the order of [`Counts::keys`].
    pub(super) keys: Vec<ArrayRef>,
    /// How many groups there are.
    pub(super) groups: usize,
    /// By measure, then by group: numbers in units of the measure (of quantiles: the point chosen, in steps).
    pub(super) measured: Vec<Vec<i128>>,
    /// By measure: the noise that was added.
    pub(super) noise: Vec<Noise>,
}

/// A distribution of noise, exactly.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Noise {
    /// Discrete Laplace: the chance of `x` is proportional to `exp(-|x| / scale)`.
    Laplace {
        /// The scale.
        scale: RBig,
    },
    /// Discrete Gaussian: the chance of `x` is proportional to `exp(-x^2 / (2 variance))`.
    Gaussian {
        /// The variance parameter, sigma squared.
        variance: RBig,
    },
    /// A choice among points by the exponential mechanism (permute-and-flip), with this scale of scores.
    Choice {
        /// Scores are divided by it.
        scale: RBig,
    },
}

/// An answer in the columns of the statement's aggregation, before what stands above it: what is stored, and
/// given again to whoever asks the same.
#[derive(Debug, Clone)]
pub(super) struct Answer(pub(super) RecordBatch);
