//! How far a noisy number is off at most, 95 times in 100: half-widths of intervals around it, from the
//! distribution of the noise alone. Exact for one noise; for weighted sums of independent noises within a
//! thousandth of the chance. Floating point: nothing here decides how much noise there is.
//!
//! A choice among points ([`Noise::Choice`]) has no half-width in values: how far the chosen point is from the
//! true quantile depends on how dense the data are there, which is not known without asking again.

use super::super::question::Noise;

mod part;
mod smooth;

use part::Part;
use smooth::Smooth;

/// A weighted noise whose steps are this part of the sum's deviation, or less, counts as continuous.
const STEP: f64 = 0.05;
/// So does noise whose deviation is this many steps.
const FINE: f64 = 12.0;

/// The least number that a weighted sum of independent noises stays within, in both directions, with a chance
/// of at least `level`. `None` where it cannot be said: with a choice among points, or a weight that is no
/// number.
pub(in crate::pipeline::noise) fn half_width(terms: &[(f64, &Noise)], level: f64) -> Option<f64> {
    let mut parts = Vec::with_capacity(terms.len());
    for (weight, noise) in terms {
        let part = Part::new(weight.abs(), noise)?;
        if part.weight > 0.0 {
            parts.push(part);
        }
    }
    match parts.as_slice() {
        [] => Some(0.0),
        [part] => Some(part.weight * part.within(level)),
        _ => Some(of_sum(&parts, level)),
    }
}

/// Of a sum of more than one: coarse parts are taken value by value, the others as one continuous noise.
fn of_sum(parts: &[Part], level: f64) -> f64 {
    let total = parts.iter().map(|part| part.spread().powi(2)).sum::<f64>().sqrt();
    let coarse = |part: &&Part| part.weight > STEP * total && part.deviation() < FINE;
    let (mut coarse, fine): (Vec<_>, Vec<_>) = parts.iter().partition(coarse);
    let rest = if fine.is_empty() {
        // The one with the most values stays whole.
        coarse.sort_by(|one, other| one.deviation().total_cmp(&other.deviation()));
        coarse.pop().map(Rest::Steps)
    } else {
        Smooth::new(&fine).map(Rest::Smooth)
    };
    let Some(rest) = rest else { return 0.0 };
    let atoms = coarse.iter().fold(vec![(0.0, 1.0)], |atoms, part| part.spread_over(&atoms));
    let inside = |width: f64| -> f64 {
        let each = atoms.iter();
        // The rest is symmetric: P(-w - a <= R <= w - a) = F(w - a) + F(w + a) - 1.
        each.map(|(at, chance)| {
            chance * (rest.below(width - at) + rest.below(width + at) - 1.0).max(0.0)
        })
        .sum()
    };
    let mut high = total;
    while inside(high) < level && high.is_finite() {
        high *= 2.0;
    }
    let mut low = 0.0;
    while high - low > 1e-7 * high {
        let middle = f64::midpoint(low, high);
        if inside(middle) < level {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// What is left beside the parts taken value by value.
enum Rest<'a> {
    Steps(&'a Part),
    Smooth(Smooth),
}

impl Rest<'_> {
    /// The chance that it is `at` or less.
    fn below(&self, at: f64) -> f64 {
        match self {
            Self::Steps(part) => part.below(at),
            Self::Smooth(smooth) => smooth.below(at),
        }
    }
}

#[cfg(test)]
mod tests;
