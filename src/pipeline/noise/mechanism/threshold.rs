//! From how many units on a group of unknown keys shows. Exact or proven in whole numbers; draws nothing.
//!
//! A group that only one unit is in must not show, but for a chance that `delta` pays. That unit may be alone
//! in up to `groups` groups. With the chance `p` that one of them shows, the chance that any does is
//! `1 - (1 - p)^groups`, which is at most `delta` for `p = 1 - (1 - delta)^(1 / groups)`. We take
//! `p = delta / groups`, which is not more (Bernoulli's inequality) and a fraction.

use dashu::integer::{IBig, UBig};
use dashu::rational::RBig;

use super::exact::{exp_over, exp_under, root_over};
use super::sensitivity::fraction;
use crate::error::{Code, Error, Result};
use crate::pipeline::noise::question::{Measure, Noise, Question};

/// The least noisy number of units with which a group shows; `None` where all keys are public, and every
/// group shows.
///
/// # Errors
/// [`Code::NoisyOnly`] where delta is zero or no number is large enough; [`Code::Internal`] where units are
/// not measured.
pub(in crate::pipeline::noise) fn threshold(
    question: &Question,
    noise: &[Noise],
) -> Result<Option<i128>> {
    if question.keys.iter().all(|key| key.public.is_some()) {
        return Ok(None);
    }
    let delta = fraction(question.loss.delta);
    if delta.is_zero() {
        return Err(Error::new(Code::NoisyOnly, "groups of unknown keys need a delta"));
    }
    let mut measures = question.measures.iter().zip(noise);
    let units = measures.find(|(measure, _)| **measure == Measure::Units);
    let chance = delta / UBig::from(question.bounding.groups.max(1));
    let (_, noise) = units
        .ok_or_else(|| Error::new(Code::Internal, "unknown keys need units to be measured"))?;
    let above = rare(noise, &chance).ok_or_else(|| {
        Error::new(Code::NoisyOnly, "so little epsilon lets no group of unknown keys show")
    })?;
    Ok(Some(1 + above))
}

/// The least whole number, from 1 on, that noise reaches with at most this chance.
fn rare(noise: &Noise, chance: &RBig) -> Option<i128> {
    match noise {
        Noise::Laplace { scale } => least(|k| laplace_tail(scale, k) <= *chance),
        Noise::Gaussian { variance } => least(|k| gaussian_tail(variance, k) <= *chance),
        Noise::Choice { .. } => None,
    }
}

/// At least the chance that discrete Laplace noise is `k` or more, for `k >= 1`: exactly, that is
/// `q^k / (1 + q)` with `q = exp(-1 / scale)`.
fn laplace_tail(scale: &RBig, k: &UBig) -> RBig {
    let inverse = RBig::ONE / scale;
    exp_over(&(inverse.clone() * k)) / (RBig::ONE + exp_under(&inverse))
}

/// At least the chance that discrete Gaussian noise is `k` or more, for `k >= 1`.
///
/// The chances of `k`, `k + 1`, ... are `exp(-k^2 / 2v)` times at most `exp(-k j / v)`, `j = 0, 1, ...`, over a
/// sum that is at least 1 (its term at zero) and at least `sqrt(2 pi v)` (Poisson's summation formula: it is
/// that times a sum of positive terms of which one is 1).
fn gaussian_tail(variance: &RBig, k: &UBig) -> RBig {
    let ratio = RBig::from(k.clone()) / variance;
    let first = exp_over(&(ratio.clone() * k / UBig::from(2_u8)));
    let series = RBig::ONE - exp_over(&ratio);
    if series <= RBig::ZERO {
        return RBig::ONE;
    }
    // Under the root: 31415926535 / 5 * 10^9 is under 2 pi; the root is over by less than one in 2^30.
    let two_pi = RBig::from_parts(IBig::from(31_415_926_535_u64), UBig::from(5_000_000_000_u64));
    let close = RBig::from_parts(IBig::from((1_u64 << 30) - 1), UBig::from(1_u64 << 30));
    let root = root_over(&(two_pi * variance)) * close;
    first / series / root.max(RBig::ONE)
}

/// The least whole number from 1 on for which a test holds that holds for all above it; `None` above `2^120`.
fn least(holds: impl Fn(&UBig) -> bool) -> Option<i128> {
    let holds = |k: i128| holds(&UBig::from(k.unsigned_abs()));
    let mut high = 1_i128;
    while !holds(high) {
        high = high.checked_mul(2).filter(|high| *high <= 1 << 120)?;
    }
    // It does not hold below `low + 1`, and holds at `high`.
    let mut low = high / 2;
    while high - low > 1 {
        let middle = low.midpoint(high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

#[cfg(test)]
mod tests;
