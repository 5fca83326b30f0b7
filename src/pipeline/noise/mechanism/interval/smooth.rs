//! Sums of noises that are fine enough to be taken as continuous: Laplace noises in closed form, Gaussian
//! ones as one. Each keeps the deviation of the discrete noise that it stands for.

use super::part::{Part, Shape};

/// Scales of Laplace noises are kept this far apart, in proportion, so that the closed form holds.
const APART: f64 = 1e-3;

/// The distribution of a sum.
#[derive(Debug)]
pub(super) enum Smooth {
    /// `P(S > t)` is half the sum of `weight * exp(-t / scale)`.
    Laplaces(Vec<(f64, f64)>),
    /// One Gaussian.
    Normal { sigma: f64 },
}

impl Smooth {
    /// `None` of nothing.
    pub(super) fn new(parts: &[&Part]) -> Option<Self> {
        let gaussian = |part: &&Part| matches!(part.shape, Shape::Gaussian { .. });
        let mut scales = Vec::with_capacity(parts.len());
        if parts.iter().all(gaussian) {
            let square: f64 = parts.iter().map(|part| part.spread().powi(2)).sum();
            return (square > 0.0).then_some(Self::Normal { sigma: square.sqrt() });
        }
        for part in parts {
            scales.push(part.spread() / std::f64::consts::SQRT_2);
        }
        // What is a ten-thousandth of the rest is lost in rounding and changes nothing.
        let largest = scales.iter().copied().fold(0.0, f64::max);
        scales.retain(|scale| *scale > 1e-4 * largest);
        scales.sort_by(f64::total_cmp);
        let mut least = 0.0_f64;
        for scale in &mut scales {
            *scale = scale.max(least);
            least = *scale * (1.0 + APART);
        }
        (!scales.is_empty()).then(|| Self::Laplaces(fractions(&scales)))
    }

    /// The chance that the sum is `at` or less.
    pub(super) fn below(&self, at: f64) -> f64 {
        match self {
            Self::Normal { sigma } => normal_below(at / sigma),
            Self::Laplaces(terms) => {
                let each = terms.iter().map(|(weight, scale)| weight * (-at.abs() / scale).exp());
                let half = each.sum::<f64>() / 2.0;
                if at < 0.0 { half } else { 1.0 - half }
            }
        }
    }
}

/// Of the product of `1 / (1 + b^2 t^2)`, the sum's characteristic function: the weights of its partial
/// fractions, `product of b_i^2 / (b_i^2 - b_j^2)` over the others.
fn fractions(scales: &[f64]) -> Vec<(f64, f64)> {
    let weight = |one: f64| -> f64 {
        let others = scales.iter().filter(|other| **other != one);
        others.map(|other| one * one / ((one - other) * (one + other))).product()
    };
    scales.iter().map(|scale| (weight(*scale), *scale)).collect()
}

/// The chance that standard normal noise is `at` or less.
pub(super) fn normal_below(at: f64) -> f64 {
    let x = at.abs() / std::f64::consts::SQRT_2;
    let above = if x < 3.0 { 1.0 - erf(x) } else { erfc(x) } / 2.0;
    if at < 0.0 { above } else { 1.0 - above }
}

/// By its series of positive terms.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1_u32..=60 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// By its continued fraction, for an `x` of 3 and more.
fn erfc(x: f64) -> f64 {
    let mut tail = 0.0;
    for n in (1_u32..=40).rev() {
        tail = f64::from(n) / 2.0 / (x + tail);
    }
    (-x * x).exp() / (x + tail) * std::f64::consts::FRAC_2_SQRT_PI / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_distribution_is_that_of_tables() {
        for (at, expected) in [
            (0.0, 0.5),
            (1.0, 0.841_344_746_068_542_9),
            (1.959_963_984_540_054, 0.975),
            (-3.0, 1.349_898_031_630_094_6e-3),
            (-4.242_640_687_119_285, 1.104_524_849_929_275_5e-5),
            (-6.0, 9.865_876_450_376_946e-10),
        ] {
            let near = normal_below(at) / expected;
            assert!((near - 1.0).abs() < 1e-9, "{at}: {near}");
        }
    }
}
