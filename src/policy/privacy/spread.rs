//! How many rows each unit has, by a stated model and a policy's public numbers: what `groups_max` and `rows_max`
//! are estimated to leave out. Never looks at data, and claims nothing that a promise rests on.
//!
//! The unit of rank `k` by rows has `max(1, largest / k^exponent)` rows. The exponent is the one with which these
//! add up to all rows. Where `largest` is not told, the exponent is 1 (Zipf's law), and `largest` is what adds up.

use super::numbers::PublicNumbers;

/// Up to this rank sums are made term by term; beyond, by the formula of Euler and Maclaurin.
const TERMS: f64 = 512.0;
/// No exponent is greater: with it the second unit has one row whatever the first has.
const EXPONENT_MAX: f64 = 64.0;
/// Halvings of an interval: more than the digits of a number.
const STEPS: usize = 100;

/// Rows by rank. An estimate for people.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    units: f64,
    rows: f64,
    /// Rows of the heaviest unit.
    pub largest: f64,
    /// How steeply rows fall with rank.
    pub exponent: f64,
}

impl Spread {
    /// The model that fits the numbers; `None` where units or rows are not told, or no model fits.
    pub fn of(numbers: &PublicNumbers) -> Option<Self> {
        let (units, rows) = (real(numbers.units?), real(numbers.rows?));
        if units < 1.0 || rows < units {
            return None;
        }
        let mut spread = Self { units, rows, largest: 1.0, exponent: 1.0 };
        match numbers.largest {
            Some(largest) => {
                spread.largest = real(largest);
                // The steeper, the fewer rows.
                spread.exponent = fitted(0.0, EXPONENT_MAX, |exponent| {
                    Self { exponent, ..spread }.total() >= rows
                });
            }
            None => {
                spread.largest =
                    fitted(1.0, rows, |largest| Self { largest, ..spread }.total() <= rows);
            }
        }
        // What one unit has at most, or at least, may not reach the rows.
        ((spread.total() - rows).abs() <= 0.01 * rows).then_some(spread)
    }

    /// The share of all rows that is left out where a unit counts with at most so many.
    pub fn clipped(&self, most: f64) -> f64 {
        let most = most.max(1.0);
        let over = self.ranks_over(most);
        let left_out = self.largest * powers(over, self.exponent) - most * over;
        (left_out / self.rows).clamp(0.0, 1.0)
    }

    /// The least number of rows a unit with which at most this share is left out.
    pub fn keeping(&self, left_out: f64) -> f64 {
        let (mut low, mut high) = (0.0, self.largest.ceil().max(1.0));
        while high - low > 1.0 {
            let middle = f64::midpoint(low, high).floor();
            if self.clipped(middle) <= left_out { high = middle } else { low = middle }
        }
        high
    }

    /// All rows of the model.
    fn total(&self) -> f64 {
        let over = self.ranks_over(1.0);
        self.largest * powers(over, self.exponent) + (self.units - over)
    }

    /// How many units have more rows than that.
    fn ranks_over(&self, most: f64) -> f64 {
        if self.largest <= most {
            return 0.0;
        }
        if self.exponent <= 0.0 {
            return self.units;
        }
        ((self.largest / most).ln() / self.exponent).exp().floor().min(self.units)
    }
}

/// The greatest point of an interval, nearly, up to which a test holds that holds at its start.
fn fitted(low: f64, high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (low, high);
    for _ in 0..STEPS {
        let middle = f64::midpoint(low, high);
        if holds(middle) { low = middle } else { high = middle }
    }
    low
}

/// The sum of `k^-exponent` over the ranks from 1 to `last`.
fn powers(last: f64, exponent: f64) -> f64 {
    let term = |rank: f64| (-exponent * rank.ln()).exp();
    let (mut sum, mut rank) = (0.0, 1.0);
    while rank <= last.min(TERMS) {
        sum += term(rank);
        rank += 1.0;
    }
    if last <= TERMS {
        return sum;
    }
    // The integral between the two ranks, in a form that holds for an exponent of 1 too.
    let ratio = (last / TERMS).ln();
    let power = (1.0 - exponent) * ratio;
    let stretched = if power.abs() < 1e-12 { 1.0 } else { power.exp_m1() / power };
    let integral = TERMS * term(TERMS) * ratio * stretched;
    let slope = |rank: f64| -exponent * term(rank) / rank;
    sum + integral + (term(last) - term(TERMS)) / 2.0 + (slope(last) - slope(TERMS)) / 12.0
}

/// A count as a number for estimates.
#[expect(clippy::cast_precision_loss, reason = "an estimate for people")]
pub(super) const fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(units: u64, rows: u64, largest: Option<u64>) -> Spread {
        let numbers =
            PublicNumbers { units: Some(units), rows: Some(rows), largest, smallest_group: None };
        Spread::of(&numbers).unwrap()
    }

    /// Rows by rank, one by one.
    fn ranks(spread: &Spread, units: u64) -> Vec<f64> {
        let of = |rank: u64| spread.largest * (rank as f64).powf(-spread.exponent);
        (1..=units).map(|rank| of(rank).max(1.0)).collect()
    }

    #[test]
    fn the_model_adds_up_to_all_rows_and_clips_as_if_counted_one_by_one() {
        for (units, rows, largest) in [
            (1_200, 1_000_000, Some(50_000)),
            (15_700, 400_000, Some(513)),
            (15_700, 400_000, None),
            (500, 200_000, None),
            (100_000, 100_500, Some(300)),
            (1_000_000, 1_000_100, Some(90)),
            (50_000, 5_000_000, Some(4_000_000)),
            (1_000, 1_000_000, Some(1_000)),
            (1_000, 1_000_000, Some(1_001)),
            (1, 17, Some(17)),
            (2, 1_000, Some(999)),
            (7, 7, None),
        ] {
            let spread = of(units, rows, largest);
            let ranks = ranks(&spread, units);
            let sum: f64 = ranks.iter().sum();
            let rows = rows as f64;
            assert!((sum / rows - 1.0).abs() < 1e-5, "{units} {rows} {largest:?}: {sum}");
            if let Some(largest) = largest {
                assert!((spread.largest - largest as f64).abs() < 1e-9);
            }
            for most in [1.0, 2.0, 7.0, 50.0, 600.0, 1e4, 1e7] {
                let over: f64 = ranks.iter().map(|rows| (rows - most).max(0.0)).sum();
                let clipped = spread.clipped(most);
                assert!((clipped - over / rows).abs() < 1e-5, "{units} {rows} {most}: {clipped}");
            }
        }
    }

    #[test]
    fn zipfs_law_is_taken_where_the_heaviest_is_not_told() {
        let spread = of(500, 200_000, None);
        assert!((spread.exponent - 1.0).abs() < 1e-12);
        let harmonic: f64 = (1..=500).map(|rank| 1.0 / f64::from(rank)).sum();
        assert!((spread.largest - 200_000.0 / harmonic).abs() < 1e-3);
        // The very law that the numbers come from is found again.
        let numbers: f64 = (1..=500).map(|rank| 29_000.0 * f64::from(rank).powf(-0.8)).sum();
        assert!((of(500, numbers as u64, Some(29_000)).exponent - 0.8).abs() < 1e-3);
    }

    #[test]
    fn what_keeps_a_share_is_the_least_bound_that_does() {
        let spread = of(1_200, 1_000_000, Some(50_000));
        for share in [0.5, 0.2, 0.05, 0.001, 0.0] {
            let most = spread.keeping(share);
            assert!(spread.clipped(most) <= share);
            assert!(most < 2.0 || spread.clipped(most - 1.0) > share, "{share}: {most}");
        }
        assert!((of(10, 10, None).keeping(0.05) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn without_units_or_rows_nothing_is_estimated() {
        let numbers =
            PublicNumbers { units: None, rows: Some(10), largest: Some(2), smallest_group: None };
        assert_eq!(Spread::of(&numbers), None);
        let numbers =
            PublicNumbers { units: Some(3), rows: None, largest: Some(2), smallest_group: None };
        assert_eq!(Spread::of(&numbers), None);
        // Numbers of no table: more rows than all units can have, fewer than they must.
        let numbers = PublicNumbers {
            units: Some(3),
            rows: Some(10),
            largest: Some(2),
            smallest_group: None,
        };
        assert_eq!(Spread::of(&numbers), None);
        let numbers =
            PublicNumbers { units: Some(30), rows: Some(10), largest: None, smallest_group: None };
        assert_eq!(Spread::of(&numbers), None);
    }
}
