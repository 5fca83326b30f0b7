//! What differential privacy is promised with: budgets, bounds of contributions and of values, public keys.
//! The types, and what policies may say of them; the arithmetic of budgets is in `budget/`, the noise in
//! `pipeline/noise/`.

use std::collections::BTreeMap;

use super::decimal::Decimal;

mod diff;
mod explain;
mod file;
mod lint;
mod numbers;
mod outlook;
mod resolve;
mod schema;
mod spread;

pub(super) use diff::{changes, privacy_changes};
pub use explain::spoken;
pub(super) use explain::{promised, sentences};
pub(super) use lint::{fit, lint};
pub use numbers::PublicNumbers;
pub(super) use numbers::{numbers, numbers_changes, of_one_unit};
pub use outlook::{model, off, outlook, rows_off};
pub(super) use resolve::{Beside, grant, privacy};
pub use resolve::{DpPlaces, KEYS_MAX, accounting, fails_on_values, is_learned};
pub(super) use schema::{bounds, delta, epsilon, keys, numbers_schema, query, schema};
pub use spread::Spread;

/// Privacy loss as policies, statements and people state it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loss {
    /// Epsilon.
    pub epsilon: Decimal,
    /// Delta.
    pub delta: Decimal,
}

/// How losses of several answers add up. One dataset has one, for all its grants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Accounting {
    /// Epsilons and deltas are summed (basic composition); noise is discrete Laplace.
    #[default]
    Pure,
    /// Rhos are summed (zero-concentrated differential privacy, Bun and Steinke 2016); noise is discrete
    /// Gaussian.
    Zcdp,
}

impl Accounting {
    /// Its name in policies, in the account book, and to partners.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Zcdp => "zcdp",
        }
    }
}

/// What holds for all partners of a dataset together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Privacy {
    /// How losses add up.
    pub accounting: Accounting,
    /// What all partners together may spend.
    pub cap: Loss,
}

/// The budget and bounds of a differentially private grant.
#[derive(Debug, Clone, PartialEq)]
pub struct DpGrant {
    /// What the partner may spend in all.
    pub total: Loss,
    /// What a statement costs that does not say. At most `total`.
    pub query: Loss,
    /// The column that names the privacy unit.
    pub unit: String,
    /// The most groups a unit may contribute to.
    pub groups_max: u64,
    /// The most rows a unit may contribute to a group.
    pub rows_max: u64,
    /// Clipping bounds by column.
    pub bounds: BTreeMap<String, Bounds>,
    /// Columns of which a null or NaN that is measured counts as a value, and as which: one between the column's
    /// bounds, and a multiple of its step.
    pub null_as: BTreeMap<String, f64>,
    /// The public values of columns: groups by such a column are these, in this order, also where no row has
    /// them. Texts; compared with the column's values as SQL shows them.
    pub keys: BTreeMap<String, Vec<String>>,
}

/// Between which values a column is taken, and how finely.
///
/// INVARIANT: `low < high`, both finite; `step > 0`; `low / step` and `high / step`, rounded outwards, are
/// under 2^53 in size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// The least value.
    pub low: f64,
    /// The greatest value.
    pub high: f64,
    /// Values are rounded to multiples of it, and sums are counted in it; also the grid of quantiles.
    pub step: f64,
}

impl Bounds {
    /// The bounds in steps, outwards.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "an invariant of the type keeps both under 2^53"
    )]
    pub fn steps(&self) -> (i64, i64) {
        ((self.low / self.step).floor() as i64, (self.high / self.step).ceil() as i64)
    }

    /// The step of bounds that do not say: 1 where that cuts the range finely enough, else the power of ten
    /// that cuts it into 100,000 to a million.
    pub fn step_of(low: f64, high: f64) -> f64 {
        let exponent = ((high - low) / 100_000.0).log10().floor();
        if (high - low) >= 1_000.0 { 10_f64.powf(exponent).max(1.0) } else { 10_f64.powf(exponent) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_hold_all_that_the_bounds_hold() {
        let bounds = Bounds { low: 0.0, high: 864_000.0, step: 1.0 };
        assert_eq!(bounds.steps(), (0, 864_000));
        let bounds = Bounds { low: -0.05, high: 1.01, step: 0.1 };
        assert_eq!(bounds.steps(), (-1, 11));
        assert!((Bounds::step_of(0.0, 864_000.0) - 1.0).abs() < 1e-12);
        assert!((Bounds::step_of(0.0, 1.0) - 1e-5).abs() < 1e-12);
        assert!((Bounds::step_of(0.0, 1e12) - 1e7).abs() < 1e-3);
    }
}
