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

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::filter;
use dashu::integer::IBig;
use dashu::rational::RBig;

use super::question::{Exact, Measure, Measured, Noise, Noisy, Question};
use crate::budget::ledger::Spent;
use crate::error::{Code, Error, Result};

pub(super) use generator::Generator;
pub(super) use sensitivity::{noise_of, rank_off};
pub(super) use threshold::threshold;

use generator::Choices;

/// Adds noise to exact answers: the one way from [`Exact`] to what may leave. Draws measure by measure,
/// group by group, for every group there is; then takes out groups that stay under the threshold. May wait
/// for other questions' draws.
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
    let Exact { keys, groups, measured } = exact;
    let whole = measured.len() == noise.len() && keys.len() == question.keys.len();
    if !whole || keys.iter().any(|key| key.len() != groups) {
        return Err(Error::new(Code::Internal, "exact answers do not have the question's shape"));
    }
    let mut noisy = Vec::with_capacity(measured.len());
    for ((measure, noise), measured) in question.measures.iter().zip(&noise).zip(measured) {
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
    let noisy = Noisy { keys, groups, measured: noisy, noise };
    match threshold {
        None => Ok(noisy),
        Some(threshold) => above(noisy, &question.measures, threshold),
    }
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

/// The groups whose noisy number of units reaches the threshold.
///
/// PRIVACY: what is left out leaves nothing behind; keys are copied, dictionaries without their unused values.
fn above(noisy: Noisy, measures: &[Measure], threshold: i128) -> Result<Noisy> {
    let at = measures.iter().position(|measure| *measure == Measure::Units);
    let units = at.and_then(|at| noisy.measured.get(at));
    let units = units.ok_or_else(|| Error::new(Code::Internal, "units are not measured"))?;
    let shown: Vec<bool> = units.iter().map(|units| *units >= threshold).collect();
    let keep = |numbers: &Vec<i128>| -> Vec<i128> {
        let both = numbers.iter().zip(&shown);
        both.filter_map(|(number, shown)| shown.then_some(*number)).collect()
    };
    let measured: Vec<_> = noisy.measured.iter().map(keep).collect();
    let groups = shown.iter().filter(|shown| **shown).count();
    let mask = BooleanArray::from(shown);
    let keys = noisy.keys.iter().map(|key| kept(key, &mask)).collect::<Result<_>>()?;
    Ok(Noisy { keys, groups, measured, noise: noisy.noise })
}

/// The values that the mask keeps, in buffers that hold no other.
fn kept(key: &ArrayRef, mask: &BooleanArray) -> Result<ArrayRef> {
    use arrow::array::AsArray;
    use arrow::datatypes::DataType;
    let failed = |_| Error::new(Code::Internal, "keys of groups cannot be taken");
    let key = filter(key, mask).map_err(failed)?;
    Ok(match key.data_type() {
        DataType::Utf8View => std::sync::Arc::new(key.as_string_view().gc()),
        DataType::BinaryView => std::sync::Arc::new(key.as_binary_view().gc()),
        DataType::Dictionary(_, values) => {
            let plain = arrow::compute::cast(&key, values).map_err(failed)?;
            arrow::compute::cast(&plain, key.data_type()).map_err(failed)?
        }
        _ => key,
    })
}

#[cfg(test)]
mod tests;
