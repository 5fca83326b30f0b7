//! Noise: how much, of which kind, from whose generator. Needs the proof that its loss was spent.
//!
//! What each mechanism promises, and why, is in `docs/privacy/`. Scales are known before a row is read
//! (`sensitivity.rs`), draws come from one thread (`generator.rs`), unknown groups show above a threshold
//! (`threshold.rs`), and what an answer may be off by is said in `interval.rs`. Reads no row, decides
//! nothing about budgets.

mod exact;
mod generator;
pub(super) mod interval;
mod sensitivity;
mod threshold;

use arrow::array::ArrayRef;
use dashu::integer::IBig;
use dashu::rational::RBig;

use super::question::{Counts, Exact, Hidden, Measure, Measured, Noise, Noisy, Question};
use crate::budget::ledger::Spent;
use crate::error::{Code, Error, Result};

pub(super) use generator::Generator;
pub(super) use sensitivity::{noise_of, rank_off};
pub(super) use threshold::threshold;

use generator::Choices;

/// Adds noise to exact answers: the one way from [`Exact`] to what may leave. Draws measure by measure,
/// group by group, for every group there is; takes out groups that stay under the threshold, and then looks
/// the keys of the others up. May wait for other questions' draws.
///
/// # Errors
/// [`Code::NoisyOnly`] where the question has no noise (see [`noise_of`]); [`Code::Internal`] where what was
/// spent or counted is not what the question says, or nothing could be drawn. Then nothing may leave.
pub(super) fn measure(
    question: &Question,
    exact: Exact,
    spent: &Spent,
    generator: &Generator,
) -> Result<Noisy> {
    // PRIVACY: noise is made for the loss that the ledger wrote down, and for no other.
    if spent.loss() != question.loss {
        return Err(Error::new(Code::Internal, "what was spent is not what the question costs"));
    }
    add_noise(question, exact, generator)
}

fn add_noise(question: &Question, exact: Exact, generator: &Generator) -> Result<Noisy> {
    let noise = noise_of(question)?;
    let threshold = threshold(question, &noise)?;
    let (keys, groups, measured) = match (exact, threshold) {
        (Exact::All(Counts { keys, groups, measured }), None) => {
            let measured = noised(question, &noise, groups, measured, generator)?;
            (keys, groups, measured)
        }
        (Exact::Hidden(hidden), Some(threshold)) => {
            above(question, &noise, hidden, threshold, generator)?
        }
        // PRIVACY: what needs a threshold never goes without.
        _ => return Err(Error::new(Code::Internal, "exact answers are of another kind of keys")),
    };
    if keys.len() != question.keys.len() || keys.iter().any(|key| key.len() != groups) {
        return Err(misshapen());
    }
    Ok(Noisy { keys, groups, measured, noise })
}

fn misshapen() -> Error {
    Error::new(Code::Internal, "exact answers do not have the question's shape")
}

/// Measurements of some groups, with noise.
fn noised(
    question: &Question,
    noise: &[Noise],
    groups: usize,
    measured: Vec<Measured>,
    generator: &Generator,
) -> Result<Vec<Vec<i128>>> {
    if measured.len() != noise.len() {
        return Err(misshapen());
    }
    let mut noisy = Vec::with_capacity(measured.len());
    for ((measure, noise), measured) in question.measures.iter().zip(noise).zip(measured) {
        let numbers = match (measure, noise, measured) {
            (
                Measure::Quantile { rank, grid, .. },
                Noise::Choice { scale },
                Measured::Cells(cells),
            ) => choose(question, *rank, grid, scale, &cells, generator)?,
            (Measure::Quantile { .. }, _, _) | (_, _, Measured::Cells(_)) => {
                return Err(Error::new(Code::Internal, "cells are counted for quantiles alone"));
            }
            (_, noise, Measured::Numbers(numbers)) => blur(noise, &numbers, generator)?,
        };
        if numbers.len() != groups {
            return Err(Error::new(Code::Internal, "a measurement does not have every group"));
        }
        noisy.push(numbers);
    }
    Ok(noisy)
}

/// The groups whose noisy number of units reaches the threshold: their keys, how many, and their noisy numbers.
///
/// PRIVACY: what is left out leaves nothing behind. Of its numbers none is copied, and its keys are not looked up.
fn above(
    question: &Question,
    noise: &[Noise],
    mut hidden: Box<dyn Hidden>,
    threshold: i128,
    generator: &Generator,
) -> Result<(Vec<ArrayRef>, usize, Vec<Vec<i128>>)> {
    let at = question.measures.iter().position(|measure| *measure == Measure::Units);
    let at = at.ok_or_else(|| Error::new(Code::Internal, "units are not measured"))?;
    let (mut groups, mut shown) = (Vec::new(), vec![Vec::new(); question.measures.len()]);
    while let Some(part) = hidden.next()? {
        let noisy = noised(question, noise, part.groups.len(), part.measured, generator)?;
        let units = noisy.get(at).ok_or_else(misshapen)?;
        let shows = |units: &i128| *units >= threshold;
        let both = part.groups.iter().zip(units);
        groups.extend(both.filter_map(|(group, units)| shows(units).then_some(*group)));
        for (shown, noisy) in shown.iter_mut().zip(&noisy) {
            let both = noisy.iter().zip(units);
            shown.extend(both.filter_map(|(number, units)| shows(units).then_some(*number)));
        }
    }
    let (keys, order) = hidden.keys(&groups)?;
    let sorted = |numbers: Vec<i128>| {
        let numbers = order.iter().map(|at| numbers.get(*at).copied());
        numbers.collect::<Option<Vec<_>>>().filter(|numbers| numbers.len() == groups.len())
    };
    let measured = shown.into_iter().map(sorted).collect::<Option<_>>().ok_or_else(misshapen)?;
    Ok((keys, groups.len(), measured))
}

/// Numbers with noise. The sum is exact and then clamped to what an `i128` holds: that is done to the noisy
/// number, so it tells nothing.
fn blur(noise: &Noise, numbers: &[i128], generator: &Generator) -> Result<Vec<i128>> {
    let draws = generator.numbers(noise, numbers.len())?;
    let both = numbers.iter().zip(draws);
    Ok(both.map(|(number, draw)| clamped(IBig::from(*number) + draw)).collect())
}

/// The number, or the nearest that is an `i128`.
fn clamped(number: IBig) -> i128 {
    let bound = if number < IBig::ZERO { i128::MIN } else { i128::MAX };
    i128::try_from(number).unwrap_or(bound)
}

/// A point of the grid for each group.
fn choose(
    question: &Question,
    rank: (u64, u64),
    grid: &[i64],
    scale: &RBig,
    cells: &[Vec<u64>],
    generator: &Generator,
) -> Result<Vec<i128>> {
    let rank = sensitivity::Rank::new(rank)?;
    if cells.iter().any(|cells| cells.len() != grid.len() + 1) {
        return Err(Error::new(Code::Internal, "a group does not have every cell of its grid"));
    }
    let scores = cells.iter().map(|cells| rank.scores(cells)).collect();
    let choices = Choices {
        scores,
        scale: scale.clone(),
        accounting: question.accounting,
        one_way: rank.one_way(),
    };
    let chosen = generator.choices(choices)?;
    let points = chosen.into_iter().map(|index| grid.get(index).map(|point| i128::from(*point)));
    points
        .collect::<Option<_>>()
        .ok_or_else(|| Error::new(Code::Internal, "a choice is not of the grid"))
}

#[cfg(test)]
mod tests;
