//! How much noise a question needs: what one unit changes at most in each measurement, how the loss is
//! shared among them, and the scale that follows. Whole numbers and fractions only; known before a row is
//! read. Draws nothing.
//!
//! Neighbouring tables differ by all rows of one unit, which is in at most `groups` groups with at most
//! `rows` rows each. A measurement that changes by at most `s` in each of these groups changes by
//! `groups * s` in the sum of absolute changes (L1) and by `sqrt(groups) * s` in their Euclidean length (L2).

use dashu::integer::{IBig, UBig};
use dashu::rational::RBig;

use super::exact;
use crate::error::{Code, Error, Result};
use crate::pipeline::noise::question::{Measure, Noise, Question};
use crate::policy::decimal::Decimal;
use crate::policy::privacy::Accounting;

/// The loss of each measurement: epsilons under pure accounting, rhos under zCDP. Equal, and exact: their sum
/// is the question's loss.
///
/// # Errors
/// [`Code::NoisyOnly`] where epsilon is zero.
fn shares(question: &Question) -> Result<Vec<RBig>> {
    let epsilon = fraction(question.loss.epsilon);
    if epsilon.is_zero() {
        return Err(Error::new(Code::NoisyOnly, "a statement of no epsilon has no answer"));
    }
    let whole = match question.accounting {
        Accounting::Pure => epsilon,
        // Noise that is rho-zCDP with rho = epsilon^2 / 2 (Bun and Steinke 2016, Proposition 1.4).
        Accounting::Zcdp => epsilon.clone() * epsilon / UBig::from(2_u8),
    };
    let parts = question.measures.len();
    let share = whole / UBig::from(parts.max(1));
    Ok(vec![share; parts])
}

/// The noise of each measurement.
///
/// # Errors
/// [`Code::NoisyOnly`] where epsilon is zero; [`Code::Internal`] where the question breaks its own rules: no
/// contribution is allowed, no unit can change anything, a rank is not between 0 and 1, a grid has no point.
pub(in crate::pipeline::noise) fn noise_of(question: &Question) -> Result<Vec<Noise>> {
    let shares = shares(question)?;
    let groups = UBig::from(question.bounding.groups);
    let each = question.measures.iter().zip(shares);
    each.map(|(measure, share)| {
        let change = RBig::from(change(question, measure)?);
        if groups == UBig::ZERO || change.is_zero() {
            return Err(Error::new(
                Code::Internal,
                "a measurement that nobody changes has no noise",
            ));
        }
        // PRIVACY: every rounding below is upwards, to more noise.
        Ok(match (measure, question.accounting) {
            // Each of the unit's groups is a choice of its own: share / groups each.
            (Measure::Quantile { .. }, Accounting::Pure) => {
                Noise::Choice { scale: exact::float_over(&(change * &groups / share))? }
            }
            // (change / scale)^2 / 8 for each of the unit's groups.
            (Measure::Quantile { .. }, Accounting::Zcdp) => {
                let square = change.clone() * change * &groups / (share * UBig::from(8_u8));
                Noise::Choice { scale: exact::float_over(&exact::root_over(&square))? }
            }
            (_, Accounting::Pure) => Noise::Laplace { scale: change * &groups / share },
            // groups * change^2 / (2 variance); sigma is a fraction, so that it is drawn exactly.
            (_, Accounting::Zcdp) => {
                let square = change.clone() * change * &groups / (share * UBig::from(2_u8));
                let sigma = exact::root_over(&square);
                Noise::Gaussian { variance: sigma.clone() * sigma }
            }
        })
    })
    .collect()
}

/// By how much one unit changes a measurement of one group at most. Of quantiles: by how much it changes the
/// difference of two scores ([`Rank::change`]).
fn change(question: &Question, measure: &Measure) -> Result<UBig> {
    let rows = UBig::from(question.bounding.rows);
    // The farthest that a value of one row is from the center, in steps.
    let farthest = |value: usize, center: i64| -> Result<UBig> {
        let value = question.values.get(value);
        let value = value.ok_or_else(|| Error::new(Code::Internal, "a measure of no value"))?;
        let (low, high) = value.bounds.steps();
        let away = |end: i64| end.abs_diff(center);
        Ok(UBig::from(away(low).max(away(high))))
    };
    Ok(match measure {
        Measure::Units => UBig::ONE,
        Measure::Rows | Measure::Count(_) => rows,
        Measure::Sum { value, center } => farthest(*value, *center)? * rows,
        Measure::Squares { value, center } => {
            let farthest = farthest(*value, *center)?;
            &farthest * &farthest * rows
        }
        Measure::Quantile { rank, grid, .. } => {
            if grid.is_empty() {
                return Err(Error::new(Code::Internal, "a quantile of no grid"));
            }
            Rank::new(*rank)?.change() * rows
        }
    })
}

/// Which part of the rows lies below, and what it makes of a group's cells: scores of the grid's points.
///
/// The score of a point with `b` rows up to it and `a` rows above is `-|(d - n) b - n a|`, for the rank
/// `n / d`: zero where exactly that part is not above.
///
/// `k` rows more, `i` of them up to the point, change what stands between the bars by
/// `(d - n) i - n (k - i)`, which is between `-n k` and `(d - n) k`. So a score changes by at most
/// `max(n, d - n) k`, and the difference of two scores by at most twice that. For the smallest and greatest
/// value (`n = 0` or `n = d`) what stands between the bars has one sign always and scores only fall as rows
/// are added: then the difference of two scores changes by at most `d k`, once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rank {
    below: u64,
    above: u64,
}

impl Rank {
    /// A rank as numerator and denominator, in lowest terms.
    pub(super) fn new((numerator, denominator): (u64, u64)) -> Result<Self> {
        let above = denominator.checked_sub(numerator).filter(|_| denominator > 0);
        let above = above.ok_or_else(|| Error::new(Code::Internal, "a rank is between 0 and 1"))?;
        let divisor = divisor(numerator, above).max(1);
        Ok(Self { below: numerator / divisor, above: above / divisor })
    }

    /// Whether more rows make every score less, or leave it.
    pub(super) const fn one_way(self) -> bool {
        self.below == 0 || self.above == 0
    }

    /// By how much one row changes the difference of two scores at most.
    fn change(self) -> UBig {
        let most = UBig::from(self.below.max(self.above));
        if self.one_way() { most } else { most * UBig::from(2_u8) }
    }

    /// The score of each point. Saturates, which takes no score further from another.
    pub(super) fn scores(self, cells: &[u64]) -> Vec<i128> {
        let all: i128 = cells.iter().map(|count| i128::from(*count)).sum();
        let points = cells.len().saturating_sub(1);
        let mut below = 0_i128;
        let counts = cells.iter().take(points);
        counts
            .map(|count| {
                below += i128::from(*count);
                let low = below.saturating_mul(i128::from(self.above));
                let high = (all - below).saturating_mul(i128::from(self.below));
                low.abs_diff(high).try_into().map_or(i128::MIN, |off: i128| -off)
            })
            .collect()
    }
}

/// The greatest number that divides both.
const fn divisor(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

/// By how many rows the number of rows up to a chosen point is off from that of the best point of its grid, at most,
/// with a chance of at least `level`; `None` for what is not chosen.
///
/// The score is within `scale (ln points + ln 1/(1 - level))` of the best: a point further off is chosen with a chance
/// of at most `1 - level` by the exponential mechanism, and no more often by permute-and-flip. A score is the rows
/// that the number is off from the rank, times its denominator.
///
/// # Errors
/// [`Code::Internal`] where a rank is not between 0 and 1.
pub(in crate::pipeline::noise) fn rank_off(
    measure: &Measure,
    noise: &Noise,
    level: f64,
) -> Result<Option<f64>> {
    let (Measure::Quantile { rank, grid, .. }, Noise::Choice { scale }) = (measure, noise) else {
        return Ok(None);
    };
    let rank = Rank::new(*rank)?;
    #[expect(clippy::cast_precision_loss, reason = "a width for people, and at most 1,000 points")]
    let (points, whole) = (grid.len() as f64, (rank.below + rank.above) as f64);
    Ok(Some(scale.to_f64().value() * (points.ln() - (1.0 - level).ln()) / whole))
}

/// A decimal as a fraction, exactly.
pub(super) fn fraction(decimal: Decimal) -> RBig {
    RBig::from_parts(IBig::from(decimal.units()), UBig::from(Decimal::one()))
}

#[cfg(test)]
mod tests;
