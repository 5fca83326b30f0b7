//! From what a statement asks to what is measured, each once and in one order, and how its columns are computed
//! from that. Adds no noise and sees no data.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::logical_expr::Expr;

use super::calls::{Call, Number};
use crate::error::{Code, Error, Result};
use crate::pipeline::noise::question::{Measure, Value};
use crate::policy::privacy::Bounds;

/// How many points a quantile is chosen among, at most.
const POINTS_MAX: i64 = 1_000;

/// How a column of the answer is computed from what was measured. Numbers are places of measures.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Formula {
    /// A count as it stands.
    Whole(usize),
    /// A sum of values, from one of their distances to a center where there is one.
    Sum {
        /// The sum of steps, each less the center.
        sum: usize,
        /// The center in steps, and the count of values; none for zero.
        center: Option<(i64, usize)>,
        /// The value's bounds.
        bounds: Bounds,
    },
    /// A mean: the center, and the sum of distances over the count.
    Average {
        /// The sum of steps, each less the center.
        sum: usize,
        /// How many.
        count: usize,
        /// In steps.
        center: i64,
        /// The value's bounds.
        bounds: Bounds,
    },
    /// A variance or a standard deviation.
    Spread {
        /// The sum of squares of distances to a center.
        squares: usize,
        /// The sum of the distances.
        sum: usize,
        /// How many.
        count: usize,
        /// Of a sample rather than of all.
        sample: bool,
        /// The root of it.
        root: bool,
        /// The value's bounds.
        bounds: Bounds,
    },
    /// A point of a grid.
    Point {
        /// Which choice.
        chosen: usize,
        /// The value's bounds.
        bounds: Bounds,
    },
}

impl Formula {
    /// The measures that it is computed from.
    pub(super) fn of(&self) -> Vec<usize> {
        match *self {
            Self::Whole(at) | Self::Point { chosen: at, .. } => vec![at],
            Self::Sum { sum, center, .. } => {
                std::iter::once(sum).chain(center.map(|(_, count)| count)).collect()
            }
            Self::Average { sum, count, .. } => vec![sum, count],
            Self::Spread { squares, sum, count, .. } => vec![squares, sum, count],
        }
    }

    /// The count that it is divided by.
    pub(super) const fn divisor(&self) -> Option<usize> {
        match *self {
            Self::Average { count, .. } | Self::Spread { count, .. } => Some(count),
            Self::Whole(_) | Self::Sum { .. } | Self::Point { .. } => None,
        }
    }

    /// The bounds of what it is of; none of rows and units.
    pub(super) const fn bounds(&self) -> Option<Bounds> {
        match self {
            Self::Whole(_) => None,
            Self::Sum { bounds, .. }
            | Self::Average { bounds, .. }
            | Self::Spread { bounds, .. }
            | Self::Point { bounds, .. } => Some(*bounds),
        }
    }
}

/// What is measured for the calls of a statement.
pub(super) struct Layout {
    /// What is measured about, each once.
    pub(super) values: Vec<Value>,
    /// The expressions that give them.
    pub(super) exprs: Vec<Expr>,
    /// The texts that tell them apart.
    pub(super) texts: Vec<String>,
    /// What they are in words, where their texts are not that.
    pub(super) said: Vec<Option<String>>,
    /// What is measured, each once.
    pub(super) measures: Vec<Measure>,
    /// By call: how it is computed.
    pub(super) formulas: Vec<Formula>,
}

/// What one call needs, before measures have places.
enum Needs {
    One(Measure),
    Sum(Measure, Option<(i64, Measure)>, Bounds),
    Average(Measure, Measure, i64, Bounds),
    Spread(Measure, Measure, Measure, bool, bool, Bounds),
    Point(Measure, Bounds),
}

impl Layout {
    /// What is measured for calls, and units where groups must pass a threshold.
    ///
    /// A value that is there in every row is counted by the rows. A sum whose values are counted anyway (for a mean,
    /// a spread or a count of them) is computed from the
    /// distances to the middle of the bounds: that costs nothing more, and its noise is never larger, since
    /// the square of the farthest value is at least that of the middle and of half the width together.
    pub(super) fn of(calls: &[Call], units: bool) -> Result<Self> {
        let mut numbers: BTreeMap<&str, &Number> = BTreeMap::new();
        for number in calls.iter().filter_map(Call::number) {
            numbers.insert(&number.text, number);
        }
        let place = |number: &Number| numbers.keys().position(|text| *text == number.text);
        let counted = |number: &Number| {
            calls.iter().any(|call| match call {
                Call::Count(other) | Call::Average(other) | Call::Spread { number: other, .. } => {
                    other.text == number.text || (other.always && number.always)
                }
                Call::Rows(_) => number.always,
                Call::Units | Call::Sum(_) | Call::Quantile(..) => false,
            })
        };
        let needs: Vec<Needs> = calls
            .iter()
            .map(|call| {
                let lost = || Error::new(Code::Internal, "a value has no place");
                let value = match call.number() {
                    Some(number) => place(number).ok_or_else(lost)?,
                    None => 0,
                };
                Ok(needed(call, value, call.number().is_some_and(counted)))
            })
            .collect::<Result<_>>()?;

        let mut measures: Vec<Measure> = needs.iter().flat_map(Needs::measures).collect();
        if units {
            measures.push(Measure::Units);
        }
        measures.sort_by_key(order);
        measures.dedup();
        let at = |measure: &Measure| {
            let at = measures.iter().position(|known| known == measure);
            at.ok_or_else(|| Error::new(Code::Internal, "a measure has no place"))
        };
        let formulas = needs.iter().map(|needs| needs.placed(&at)).collect::<Result<_>>()?;
        let value = |number: &&Number| Value { name: String::new(), bounds: number.bounds };
        let mut values: Vec<Value> = numbers.values().map(value).collect();
        for (at, value) in values.iter_mut().enumerate() {
            value.name = format!("value{at}");
        }
        Ok(Self {
            values,
            exprs: numbers.values().map(|number| number.expr.clone()).collect(),
            said: numbers.values().map(|number| number.said.clone()).collect(),
            texts: numbers.keys().map(|text| (*text).to_owned()).collect(),
            measures,
            formulas,
        })
    }
}

fn needed(call: &Call, value: usize, counted: bool) -> Needs {
    let count = match call.number() {
        Some(number) if !number.always => Measure::Count(value),
        _ => Measure::Rows,
    };
    match call {
        Call::Units => Needs::One(Measure::Units),
        Call::Rows(_) | Call::Count(_) => Needs::One(count),
        Call::Sum(number) if counted => {
            let center = middle(number.bounds);
            let sum = Measure::Sum { value, center };
            Needs::Sum(sum, Some((center, count)), number.bounds)
        }
        Call::Sum(number) => Needs::Sum(Measure::Sum { value, center: 0 }, None, number.bounds),
        Call::Average(number) => {
            let center = middle(number.bounds);
            let sum = Measure::Sum { value, center };
            Needs::Average(sum, count, center, number.bounds)
        }
        Call::Spread { number, sample, root } => {
            let center = middle(number.bounds);
            Needs::Spread(
                Measure::Squares { value, center },
                Measure::Sum { value, center },
                count,
                *sample,
                *root,
                number.bounds,
            )
        }
        Call::Quantile(number, rank) => {
            let measure = Measure::Quantile { value, rank: *rank, grid: grid(number.bounds) };
            Needs::Point(measure, number.bounds)
        }
    }
}

impl Needs {
    fn measures(&self) -> Vec<Measure> {
        match self {
            Self::One(one) | Self::Point(one, _) => vec![one.clone()],
            Self::Sum(sum, count, _) => {
                let count = count.iter().map(|(_, count)| count.clone());
                std::iter::once(sum.clone()).chain(count).collect()
            }
            Self::Average(sum, count, ..) => vec![sum.clone(), count.clone()],
            Self::Spread(squares, sum, count, ..) => {
                vec![squares.clone(), sum.clone(), count.clone()]
            }
        }
    }

    fn placed(&self, at: &dyn Fn(&Measure) -> Result<usize>) -> Result<Formula> {
        Ok(match self {
            Self::One(one) => Formula::Whole(at(one)?),
            Self::Sum(sum, None, bounds) => {
                Formula::Sum { sum: at(sum)?, center: None, bounds: *bounds }
            }
            Self::Sum(sum, Some((center, count)), bounds) => {
                let center = Some((*center, at(count)?));
                Formula::Sum { sum: at(sum)?, center, bounds: *bounds }
            }
            Self::Average(sum, count, center, bounds) => Formula::Average {
                sum: at(sum)?,
                count: at(count)?,
                center: *center,
                bounds: *bounds,
            },
            Self::Spread(squares, sum, count, sample, root, bounds) => Formula::Spread {
                squares: at(squares)?,
                sum: at(sum)?,
                count: at(count)?,
                sample: *sample,
                root: *root,
                bounds: *bounds,
            },
            Self::Point(chosen, bounds) => Formula::Point { chosen: at(chosen)?, bounds: *bounds },
        })
    }
}

/// The middle of bounds, in steps.
fn middle(bounds: Bounds) -> i64 {
    let (low, high) = bounds.steps();
    low + (high - low) / 2
}

/// The points that a quantile is chosen among: all steps where they are few, else evenly many of them.
fn grid(bounds: Bounds) -> Arc<[i64]> {
    let (low, high) = bounds.steps();
    let steps = high - low;
    if steps < POINTS_MAX {
        return (low..=high).collect();
    }
    let last = i128::from(POINTS_MAX - 1);
    let point = |at: i64| {
        let distance = i128::from(steps) * i128::from(at) / last;
        low + i64::try_from(distance).unwrap_or(steps)
    };
    (0..POINTS_MAX).map(point).collect()
}

/// The one order of measures.
fn order(measure: &Measure) -> (u8, usize, i64, (u64, u64)) {
    match measure {
        Measure::Units => (0, 0, 0, (0, 0)),
        Measure::Rows => (1, 0, 0, (0, 0)),
        Measure::Count(value) => (2, *value, 0, (0, 0)),
        Measure::Sum { value, center } => (3, *value, *center, (0, 0)),
        Measure::Squares { value, center } => (4, *value, *center, (0, 0)),
        Measure::Quantile { value, rank, .. } => (5, *value, 0, *rank),
    }
}

/// A measure as part of the text that questions are compared by.
pub(super) fn told(measure: &Measure, texts: &[String]) -> String {
    let of = |value: usize| texts.get(value).map_or("", String::as_str);
    match measure {
        Measure::Units => "units".to_owned(),
        Measure::Rows => "rows".to_owned(),
        Measure::Count(value) => format!("(count {})", of(*value)),
        Measure::Sum { value, center } => format!("(sum less {center} {})", of(*value)),
        Measure::Squares { value, center } => format!("(squares less {center} {})", of(*value)),
        Measure::Quantile { value, rank: (below, all), .. } => {
            format!("(quantile {below}/{all} {})", of(*value))
        }
    }
}
