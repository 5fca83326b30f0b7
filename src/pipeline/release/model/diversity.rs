//! l-diversity: how many values a class must spread over, so that who is known to be in it is not known
//! by value. After Machanavajjhala, Kifer, Gehrke, Venkitasubramaniam, "l-Diversity: Privacy beyond
//! k-Anonymity", TKDD 1(1), 2007. Knows nothing of how values relate to each other.

use crate::policy::release::Estimator;

use super::Histogram;

/// At least l distinct values.
#[derive(Debug)]
pub(super) struct Distinct {
    l: usize,
}

impl Distinct {
    pub(super) fn new(l: u64) -> Self {
        Self { l: usize::try_from(l).unwrap_or(usize::MAX) }
    }

    pub(super) fn holds(&self, class: &Histogram) -> bool {
        class.len() >= self.l
    }
}

/// An entropy of at least ln l, estimated as `H = psi(n) - 1/n * sum n_i psi(n_i)`: psi is ln in the
/// paper, and Grassberger's G for small classes (Grassberger, "Entropy Estimates from Insufficient
/// Samplings", arXiv:physics/0307138; Stammler, Katzenbeisser, Hamacher, PSD 2016). Where l distinct
/// values are missing it never holds.
#[derive(Debug)]
pub(super) struct Entropy {
    ln_l: f64,
    values_min: usize,
    estimator: Estimator,
    /// Grassberger's G of even numbers, by their half.
    small: Vec<f64>,
}

/// From this number on G is taken from its expansion, which is then exact to the last digit.
const EXPANSION_FROM: u64 = 101;

impl Entropy {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "l is a small positive number, and too large a one is never reached"
    )]
    pub(super) fn new(l: f64, estimator: Estimator) -> Self {
        let mut term = -EULER_GAMMA - std::f64::consts::LN_2;
        let mut small = vec![term];
        for half in 1..=EXPANSION_FROM / 2 {
            #[expect(clippy::cast_precision_loss, reason = "at most 50")]
            let odd = (2 * half - 1) as f64;
            term += 2.0 / odd;
            small.push(term);
        }
        Self { ln_l: l.ln(), values_min: l.ceil() as usize, estimator, small }
    }

    pub(super) const fn estimator(&self) -> Estimator {
        self.estimator
    }

    pub(super) fn holds(&self, rows: u64, class: &Histogram) -> bool {
        if class.len() < self.values_min {
            return false;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
        let (sum, bound) = (
            class.iter().map(|(_, count)| *count as f64 * self.psi(*count)).sum::<f64>(),
            rows as f64 * (self.psi(rows) - self.ln_l),
        );
        sum <= bound
    }

    /// At least this share of the rows fails however the class is divided: the entropy of a class is at
    /// least the mean of its parts' (it is concave), so parts that hold have at most the rest.
    #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
    pub(super) fn failing(&self, rows: u64, class: &Histogram) -> f64 {
        if self.estimator != Estimator::Shannon || self.ln_l <= 0.0 {
            return 0.0;
        }
        let sum: f64 = class.iter().map(|(_, count)| *count as f64 * self.psi(*count)).sum();
        let entropy = self.psi(rows) - sum / rows as f64;
        (1.0 - entropy / self.ln_l).max(0.0)
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
    pub(super) fn psi(&self, count: u64) -> f64 {
        match self.estimator {
            Estimator::Shannon => (count as f64).ln(),
            Estimator::Grassberger if count < EXPANSION_FROM => {
                let half = usize::try_from(count / 2).unwrap_or(usize::MAX);
                self.small.get(half).copied().unwrap_or_default()
            }
            Estimator::Grassberger => {
                let half = (count / 2) as f64;
                let m = 1.0 / (half * half);
                let correction = 1.0 / 24.0 - m * (7.0 / 960.0 - m * (31.0 / 8064.0));
                (2.0 * half).ln() + m * correction
            }
        }
    }
}

const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;

/// The most frequent value stands less often than c times the l-th most frequent and all rarer ones
/// together: `n_1 < c * (n_l + ... + n_m)`.
#[derive(Debug)]
pub(super) struct Recursive {
    c: f64,
    l: usize,
}

impl Recursive {
    pub(super) fn new(c: f64, l: u64) -> Self {
        Self { c, l: usize::try_from(l).unwrap_or(usize::MAX) }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
    pub(super) fn holds(&self, class: &Histogram) -> bool {
        if class.len() < self.l {
            return false;
        }
        let mut counts: Vec<u64> = class.iter().map(|(_, count)| *count).collect();
        counts.sort_unstable_by(|one, other| other.cmp(one));
        let rest: u64 = counts.iter().skip(self.l.saturating_sub(1)).sum();
        counts.first().is_some_and(|most| (*most as f64) < rest as f64 * self.c)
    }
}
