//! How losses of privacy add up, in exact decimals and with every rounding against the spender. Knows no
//! partners, no store and no time.
//!
//! Pure accounting sums epsilons and deltas. Zero-concentrated accounting sums rhos (Bun and Steinke,
//! arXiv 1605.02065) and turns a sum into epsilon at a delta by the bound of Canonne, Kamath and Steinke
//! (arXiv 2004.00010, proposition 12): what is rho-zCDP is (epsilon, delta)-DP for every order a > 1 with
//!
//! ```text
//! ln delta = (a - 1)(a rho - epsilon) + (a - 1) ln(a - 1) - a ln a
//! ```

use dashu::base::{DivEuclid, SquareRoot};
use dashu::integer::{IBig, UBig};

use crate::policy::decimal::Decimal;
use crate::policy::privacy::{Accounting, Loss};

/// Losses that were summed up, in every way in which they may have to be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// Of epsilons.
    pub epsilon: Decimal,
    /// Of rhos; each the square of an epsilon, halved, rounded up.
    pub rho: Decimal,
    /// Of deltas, which thresholds cost.
    pub delta: Decimal,
}

impl Sum {
    /// With one loss more; `None` where it is larger than is counted.
    pub fn plus(self, loss: Loss) -> Option<Self> {
        Some(Self {
            epsilon: self.epsilon.plus(loss.epsilon)?,
            rho: self.rho.plus(rho_of(loss.epsilon)?)?,
            delta: self.delta.plus(loss.delta)?,
        })
    }

    /// Both together; `None` where it is larger than is counted.
    pub fn and(self, other: Self) -> Option<Self> {
        Some(Self {
            epsilon: self.epsilon.plus(other.epsilon)?,
            rho: self.rho.plus(other.rho)?,
            delta: self.delta.plus(other.delta)?,
        })
    }
}

/// What may be spent in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    total: Loss,
    /// With zero-concentrated accounting: the largest sum of rhos.
    rho: Option<Decimal>,
    /// The delta at which a sum of rhos is read as an epsilon; nothing with pure accounting.
    conversion: Decimal,
    /// The largest sum of deltas of thresholds.
    thresholds: Decimal,
}

impl Limit {
    /// The limit that a total sets. With zero-concentrated accounting half of delta turns rho into epsilon,
    /// and the other half pays for thresholds.
    pub fn new(accounting: Accounting, total: Loss) -> Self {
        match accounting {
            Accounting::Pure => {
                Self { total, rho: None, conversion: Decimal::ZERO, thresholds: total.delta }
            }
            Accounting::Zcdp => {
                let conversion = total.delta.over(2);
                let rho = rho_max(total.epsilon, conversion);
                let thresholds = total.delta.minus(conversion).unwrap_or_default();
                Self { total, rho: Some(rho), conversion, thresholds }
            }
        }
    }

    /// Whether a sum stays within it.
    pub fn covers(&self, sum: &Sum) -> bool {
        let spent = match self.rho {
            None => sum.epsilon <= self.total.epsilon,
            Some(rho) => sum.rho <= rho,
        };
        spent && sum.delta <= self.thresholds
    }

    /// What a sum comes to, in epsilon and delta; what is too large to be counted is all of it.
    pub fn spent(&self, sum: &Sum) -> Loss {
        let Some(_) = self.rho else { return Loss { epsilon: sum.epsilon, delta: sum.delta } };
        let epsilon = epsilon_max(sum.rho, self.conversion).unwrap_or(self.total.epsilon);
        let conversion = if sum.rho.is_zero() { Decimal::ZERO } else { self.conversion };
        Loss { epsilon, delta: sum.delta.plus(conversion).unwrap_or(self.total.delta) }
    }

    /// The most that one statement may still cost.
    pub fn largest(&self, sum: &Sum) -> Loss {
        let less = |of: Decimal, by: Decimal| of.minus(by).unwrap_or_default();
        let epsilon = match self.rho {
            None => less(self.total.epsilon, sum.epsilon),
            Some(rho) => epsilon_of(less(rho, sum.rho)),
        };
        Loss { epsilon, delta: less(self.thresholds, sum.delta) }
    }
}

/// The rho of an answer that is stated with an epsilon: its square, halved, rounded up. `None` where it is
/// larger than is counted.
///
/// PRIVACY: an answer of pure epsilon is epsilon^2/2-zCDP as well (Bun and Steinke, proposition 1.4), so
/// answers under pure accounting have a rho, too.
pub fn rho_of(epsilon: Decimal) -> Option<Decimal> {
    let square = IBig::from(epsilon.units()) * IBig::from(epsilon.units());
    decimal(&ceil(square, &(IBig::from(Decimal::one()) * 2)))
}

/// The largest epsilon whose rho is at most this.
pub fn epsilon_of(rho: Decimal) -> Decimal {
    let square = UBig::from(rho.units()) * UBig::from(Decimal::one()) * UBig::from(2_u8);
    decimal(&square.sqrt().into()).unwrap_or_default()
}

/// A sum of rhos that is (epsilon, delta)-DP, the largest that is found, rounded down; nothing without a
/// delta.
pub fn rho_max(epsilon: Decimal, delta: Decimal) -> Decimal {
    if delta.is_zero() {
        return Decimal::ZERO;
    }
    let (e, log) = (epsilon.approximate(), delta.approximate().ln());
    let order = Order::best(|a| (e - (a - 1.0).ln() + (a * a.ln() + log) / (a - 1.0)) / a);
    let sum = fixed(epsilon) - order.beyond(delta);
    let rho = floor(sum * order.grain(), &order.whole());
    decimal(&floor(rho, &(scale() / IBig::from(Decimal::one())))).unwrap_or_default()
}

/// What a sum of rhos comes to in epsilon at a delta, rounded up. `None` where it is larger than is counted,
/// or something without a delta.
pub fn epsilon_max(rho: Decimal, delta: Decimal) -> Option<Decimal> {
    if rho.is_zero() {
        return Some(Decimal::ZERO);
    }
    if delta.is_zero() {
        return None;
    }
    let (r, log) = (rho.approximate(), delta.approximate().ln());
    let order = Order::best(|a| -(a * r + (a - 1.0).ln() - (a * a.ln() + log) / (a - 1.0)));
    let sum = ceil(fixed(rho) * order.whole(), &order.grain()) + order.beyond(delta);
    let epsilon = ceil(sum, &(scale() / IBig::from(Decimal::one())));
    decimal(&epsilon.max(IBig::ZERO))
}

/// An order of the divergence, in millionths: a = 1 + `less_one` / 10^6.
struct Order {
    less_one: u128,
}

impl Order {
    const GRAIN: u32 = 1_000_000;

    /// The order with the highest score.
    ///
    /// PROOF: floating point chooses here and nowhere else. The bound holds for every order, so a bad choice
    /// costs the spender some budget and nobody their privacy.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "any whole number does, and what is too large is cut"
    )]
    fn best(score: impl Fn(f64) -> f64) -> Self {
        let score = |log: f64| score(1.0 + log.exp());
        let coarse = (0..1_480).map(|at| f64::from(at) * 0.05 - 14.0);
        let start = coarse
            .map(|log| (score(log), log))
            .max_by(|(one, _), (other, _)| one.total_cmp(other))
            .map_or(0.0, |(_, log)| log);
        let (mut low, mut high) = (start - 0.05, start + 0.05);
        for _ in 0..100 {
            let third = (high - low) / 3.0;
            if score(low + third) < score(high - third) { low += third } else { high -= third }
        }
        let less_one = (f64::midpoint(low, high).exp() * f64::from(Self::GRAIN)).round();
        Self { less_one: (less_one as u128).max(1) }
    }

    fn grain(&self) -> IBig {
        IBig::from(Self::GRAIN)
    }

    fn whole(&self) -> IBig {
        IBig::from(self.less_one) + self.grain()
    }

    /// ln(a - 1) - (ln delta + a ln a) / (a - 1), from above: what epsilon has to have beyond a rho.
    fn beyond(&self, delta: Decimal) -> IBig {
        let one_less = IBig::from(self.less_one);
        let (_, of_less) = logarithm(&one_less, &self.grain());
        let (of_whole, _) = logarithm(&self.whole(), &self.grain());
        let (of_delta, _) = logarithm(&delta.units().into(), &Decimal::one().into());
        let sum = of_delta + floor(of_whole * self.whole(), &self.grain());
        of_less - floor(sum * self.grain(), &one_less)
    }
}

/// Units of fixed-point numbers here: 10^48 make one.
fn scale() -> IBig {
    IBig::from(10_u8).pow(48)
}

/// A decimal in these units.
fn fixed(value: Decimal) -> IBig {
    IBig::from(value.units()) * (scale() / IBig::from(Decimal::one()))
}

/// Units of a decimal's last place as a decimal; nothing below nought, `None` where it is too large.
fn decimal(units: &IBig) -> Option<Decimal> {
    if *units < IBig::ZERO {
        return Some(Decimal::ZERO);
    }
    u128::try_from(units.clone()).ok().map(Decimal::of_units)
}

fn floor(of: IBig, by: &IBig) -> IBig {
    of.div_euclid(by)
}

fn ceil(of: IBig, by: &IBig) -> IBig {
    -((-of).div_euclid(by))
}

/// Numbers below and above the natural logarithm of a fraction of positive numbers.
///
/// PROOF: with x = m 2^k and m between 1/2 and 2, ln x = 2 atanh((m - 1)/(m + 1)) + 2 k atanh(1/3). Each series
/// has 60 terms, the rest of it is under 3^-120; each term is off by less than 4 units, so a series by less
/// than 500, and all of it by less than 1,000 (1 + |k|). Numbers here have fewer than 200 binary digits.
fn logarithm(of: &IBig, by: &IBig) -> (IBig, IBig) {
    let bits = |number: &IBig| i64::try_from(bit_length(number)).unwrap_or(i64::MAX);
    let k = bits(of) - bits(by);
    let shift = |number: &IBig, by: i64| number << usize::try_from(by).unwrap_or(0);
    let (of, by) = (shift(of, -k), shift(by, k));
    let m = atanh(&floor((&of - &by) * scale(), &(&of + &by)));
    let two = atanh(&floor(scale(), &IBig::from(3)));
    let near = (m + two * k) * 2;
    let off = IBig::from(1_000 * (1 + k.unsigned_abs()));
    (&near - &off, near + off)
}

/// The series of the inverse hyperbolic tangent of a number of at most 1/3.
fn atanh(z: &IBig) -> IBig {
    let square = floor(z * z, &scale());
    let (mut sum, mut power) = (IBig::ZERO, z.clone());
    for at in 0..60_u32 {
        sum += floor(power.clone(), &IBig::from(2 * at + 1));
        power = floor(power * &square, &scale());
    }
    sum
}

fn bit_length(number: &IBig) -> usize {
    use dashu::base::BitTest;
    number.bit_len()
}

#[cfg(test)]
mod tests;
