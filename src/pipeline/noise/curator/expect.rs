//! What is known of an answer's error before a row is read: the noise of each measurement and the threshold of
//! unknown groups, from the grant's bounds and the statement's epsilon; and what bounding leaves out, estimated from
//! the numbers that the policy declares public. How much it does leave out follows from the rows, and is not told.
//!
//! PRIVACY: made of a question, which holds nothing of the data, and of the policy.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::pipeline::noise::ask::Asked;
use crate::pipeline::noise::mechanism::interval::half_width;
use crate::pipeline::noise::mechanism::{noise_of, rank_off, threshold};
use crate::pipeline::noise::question::{Measure, Noise, Question};
use crate::policy::Policy;
use crate::policy::privacy::{DpGrant, Spread, model};

/// How likely an interval holds what it is for.
const CONFIDENCE: f64 = 0.95;

/// What is known of an answer before it is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// The measurements.
    pub measures: Vec<Measured>,
    /// Columns whose nulls count as a value in what is measured, and as which: the policy's word.
    pub null_as: BTreeMap<String, f64>,
    /// Under how many rows of a group its means and spreads are mostly noise: by so much the count is off, 95 times in
    /// 100, that they are divided by. Nothing where the statement has none.
    pub means_from: Option<f64>,
    /// From how many noisy units on a group of unknown keys shows; nothing where all groups show.
    pub threshold: Option<i128>,
    /// What bounding is estimated to leave out, where the policy declares numbers for it.
    pub clipped: Option<Clipped>,
}

/// One measurement of each group, and its noise.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// What is measured, in words.
    pub measure: String,
    /// How noise is added: `discrete_laplace`, `discrete_gaussian` or `permute_and_flip`.
    pub mechanism: &'static str,
    /// Half the width of the interval that holds the measured number with 95 %, in the unit of the column; nothing
    /// where it follows from the rows.
    pub half_width: Option<f64>,
    /// That half-width as a share of the largest that the number can be in a group of average size; nothing where
    /// the policy does not tell how many rows there are, or groups are not public.
    pub half_width_share: Option<f64>,
    /// Of a quantile: by how many rows the number of rows up to the answer is off from that of the best point of the
    /// grid, with 95 %, at most.
    pub rows_off: Option<f64>,
}

/// What is estimated to be left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Clipped {
    /// At least this share of all rows, where no condition takes rows out before.
    pub share: f64,
    /// From what, in words.
    pub model: String,
}

/// What is known of the answer to what was asked.
///
/// # Errors
/// Those of [`noise_of`] and of [`threshold`].
pub(super) fn expected(asked: &Asked, policy: &Policy, grant: &DpGrant) -> Result<Expected> {
    let (question, said) = (&asked.question, &asked.said);
    let noises = noise_of(question)?;
    let measures = question.measures.iter().zip(&noises);
    let measures =
        measures.map(|(measure, noise)| measured(question, said, policy, measure, noise));
    let numbers = policy.public_numbers.as_ref();
    let spread = numbers.and_then(|numbers| Some((numbers, Spread::of(numbers)?)));
    Ok(Expected {
        measures: measures.collect::<Result<_>>()?,
        null_as: asked.null_as.clone(),
        means_from: asked
            .divisors()
            .filter_map(|at| half_width(&[(1.0, noises.get(at)?)], CONFIDENCE))
            .max_by(f64::total_cmp),
        threshold: threshold(question, &noises)?,
        clipped: spread.map(|(numbers, spread)| Clipped {
            share: spread.clipped(real(question.bounding.groups) * real(question.bounding.rows)),
            model: model(numbers, &grant.unit, &spread),
        }),
    })
}

fn measured(
    question: &Question,
    said: &[String],
    policy: &Policy,
    measure: &Measure,
    noise: &Noise,
) -> Result<Measured> {
    let (words, unit) = words(question, said, measure);
    let mechanism = match noise {
        Noise::Laplace { .. } => "discrete_laplace",
        Noise::Gaussian { .. } => "discrete_gaussian",
        Noise::Choice { .. } => "permute_and_flip",
    };
    let half_width = half_width(&[(unit, noise)], CONFIDENCE);
    let largest = largest(question, policy, measure).filter(|largest| *largest > 0.0);
    Ok(Measured {
        measure: words,
        mechanism,
        half_width,
        half_width_share: half_width.zip(largest).map(|(width, largest)| width / (largest * unit)),
        rows_off: rank_off(measure, noise, CONFIDENCE)?,
    })
}

/// The largest that a measurement can be in a group of average size, in its own steps.
fn largest(question: &Question, policy: &Policy, measure: &Measure) -> Option<f64> {
    let numbers = policy.public_numbers?;
    let (units, rows) = (real(numbers.units?), real(numbers.rows?));
    let mut groups = 1.0;
    for key in &question.keys {
        groups *= real(key.public.as_ref()?.len() as u64);
    }
    let rows = rows / groups;
    let farthest = |value: &usize, center: &i64| {
        let (low, high) = question.values.get(*value)?.bounds.steps();
        Some(real(low.abs_diff(*center).max(high.abs_diff(*center))))
    };
    match measure {
        Measure::Units => Some(rows.min(units)),
        Measure::Rows | Measure::Count(_) => Some(rows),
        Measure::Sum { value, center } => Some(rows * farthest(value, center)?),
        Measure::Squares { value, center } => Some(rows * farthest(value, center)?.powi(2)),
        Measure::Quantile { .. } => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate for people")]
const fn real(count: u64) -> f64 {
    count as f64
}

/// A measurement in words, and how large one unit of it is.
fn words(question: &Question, said: &[String], measure: &Measure) -> (String, f64) {
    let value = |at: &usize| question.values.get(*at);
    let name = |at: &usize| said.get(*at).map_or("", String::as_str);
    let step = |at: &usize| value(at).map_or(1.0, |value| value.bounds.step);
    let less = |at: &usize, center: &i64| match center {
        0 => String::new(),
        // Shown only, so it need not be exact.
        #[expect(clippy::cast_precision_loss, reason = "a number for people")]
        center => format!(", each less {}", *center as f64 * step(at)),
    };
    match measure {
        Measure::Units => ("units".to_owned(), 1.0),
        Measure::Rows => ("rows".to_owned(), 1.0),
        Measure::Count(at) => (format!("values of {}", name(at)), 1.0),
        Measure::Sum { value, center } => {
            (format!("sum of {}{}", name(value), less(value, center)), step(value))
        }
        Measure::Squares { value, center } => {
            let words = format!("sum of squares of {}{}", name(value), less(value, center));
            (words, step(value) * step(value))
        }
        Measure::Quantile { value, rank: (part, whole), .. } => {
            (format!("quantile {part}/{whole} of {}", name(value)), step(value))
        }
    }
}
