//! One discrete noise with a weight: its chances in floating point. Adds nothing up.

use super::smooth::normal_below;
use crate::pipeline::noise::question::Noise;

/// Values rarer than this, on each side, are left out when values are taken one by one.
const RARE: f64 = 1e-7;
/// From this deviation on, sums over a discrete Gaussian are those of the continuous one up to rounding of
/// floats, when cells are half a step wide on both sides.
const WIDE: f64 = 40.0;

/// A noise, whole numbers times a weight.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) weight: f64,
    pub(super) shape: Shape,
}

/// How its whole numbers are distributed.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// Discrete Laplace.
    Laplace { scale: f64 },
    /// Discrete Gaussian; where it is narrow, the chances of 0, 1, 2, ...
    Gaussian { sigma: f64, narrow: Option<Vec<f64>> },
}

impl Part {
    /// `None` for what has no such distribution.
    pub(super) fn new(weight: f64, noise: &Noise) -> Option<Self> {
        let shape = match noise {
            Noise::Laplace { scale } => Shape::Laplace { scale: scale.to_f64().value() },
            Noise::Gaussian { variance } => {
                let sigma = variance.to_f64().value().sqrt();
                let narrow = (sigma < WIDE).then(|| chances(sigma));
                Shape::Gaussian { sigma, narrow }
            }
            Noise::Choice { .. } => return None,
        };
        let finite = match &shape {
            Shape::Laplace { scale } => scale.is_finite(),
            Shape::Gaussian { sigma, .. } => sigma.is_finite(),
        };
        (weight.is_finite() && finite).then_some(Self { weight, shape })
    }

    /// The deviation of the whole numbers.
    pub(super) fn deviation(&self) -> f64 {
        match &self.shape {
            // sqrt(2 q) / (1 - q), with q = exp(-1 / scale).
            Shape::Laplace { scale } => {
                let away = -(-1.0 / scale).exp_m1();
                (2.0 * (1.0 - away)).sqrt() / away
            }
            Shape::Gaussian { sigma, narrow: None } => *sigma,
            Shape::Gaussian { narrow: Some(chances), .. } => {
                let each = (0_u32..).zip(chances);
                let square = |(at, chance): (u32, &f64)| f64::from(at).powi(2) * chance;
                (2.0 * each.map(square).sum::<f64>()).sqrt()
            }
        }
    }

    /// The deviation of what is added up.
    pub(super) fn spread(&self) -> f64 {
        self.weight * self.deviation()
    }

    /// The least whole number with at least this chance of not being passed on either side.
    pub(super) fn within(&self, level: f64) -> f64 {
        match &self.shape {
            // P(|X| > w) = 2 q^(w + 1) / (1 + q)
            Shape::Laplace { scale } => {
                let both = 1.0 + (-1.0 / scale).exp();
                let outside = ((1.0 - level) * both / 2.0).ln();
                ((-scale * outside) - 1e-12).ceil().max(1.0) - 1.0
            }
            Shape::Gaussian { narrow: Some(chances), .. } => {
                let mut inside = 0.0;
                for (at, chance) in (0_u32..).zip(chances) {
                    inside += if at == 0 { *chance } else { 2.0 * chance };
                    if inside >= level {
                        return f64::from(at);
                    }
                }
                f64::INFINITY
            }
            Shape::Gaussian { sigma, narrow: None } => {
                let (mut low, mut high) = (0.0, 64.0);
                for _ in 0..60 {
                    let middle = f64::midpoint(low, high);
                    if 2.0 * normal_below(middle) - 1.0 < level {
                        low = middle;
                    } else {
                        high = middle;
                    }
                }
                (high * sigma - 0.5).ceil().max(0.0)
            }
        }
    }

    /// The chance that the whole number times the weight is `at` or less.
    pub(super) fn below(&self, at: f64) -> f64 {
        // Sums of floats that should meet a step meet it.
        let step = (at / self.weight + 1e-9).floor();
        if step < 0.0 {
            return 1.0 - self.up_to(-step - 1.0);
        }
        self.up_to(step)
    }

    /// The chance of at most a whole number that is not negative.
    fn up_to(&self, step: f64) -> f64 {
        match &self.shape {
            Shape::Laplace { scale } => {
                1.0 - (-(step + 1.0) / scale).exp() / (1.0 + (-1.0 / scale).exp())
            }
            Shape::Gaussian { sigma, narrow: None } => normal_below((step + 0.5) / sigma),
            Shape::Gaussian { narrow: Some(chances), .. } => {
                let each = (0_u32..).zip(chances);
                let above = each.filter(|(at, _)| f64::from(*at) > step);
                1.0 - above.map(|(_, chance)| chance).sum::<f64>()
            }
        }
    }

    /// The chance of a whole number.
    fn chance(&self, at: u32) -> f64 {
        match &self.shape {
            Shape::Laplace { scale } => {
                let q = (-1.0 / scale).exp();
                (1.0 - q) / (1.0 + q) * (-f64::from(at) / scale).exp()
            }
            Shape::Gaussian { narrow: Some(chances), .. } => {
                usize::try_from(at).ok().and_then(|at| chances.get(at)).copied().unwrap_or(0.0)
            }
            Shape::Gaussian { sigma, narrow: None } => {
                let at = f64::from(at);
                normal_below((at + 0.5) / sigma) - normal_below((at - 0.5) / sigma)
            }
        }
    }

    /// Each atom once for each value, that much further.
    pub(super) fn spread_over(&self, atoms: &[(f64, f64)]) -> Vec<(f64, f64)> {
        let mut spread = Vec::new();
        for at in 0_u32.. {
            let chance = self.chance(at);
            if at > 0 && (chance < RARE || at > 1_000) {
                break;
            }
            let away = f64::from(at) * self.weight;
            for (from, weight) in atoms {
                spread.push((from + away, weight * chance));
                if at > 0 {
                    spread.push((from - away, weight * chance));
                }
            }
        }
        spread
    }
}

/// The chances of 0, 1, 2, ... of a discrete Gaussian that is not wide.
fn chances(sigma: f64) -> Vec<f64> {
    let weight = |at: u32| (-f64::from(at).powi(2) / (2.0 * sigma * sigma)).exp();
    let mut chances: Vec<f64> =
        (0_u32..1_000).map(weight).take_while(|weight| *weight > 0.0).collect();
    let all = 2.0 * chances.iter().sum::<f64>() - 1.0;
    chances.iter_mut().for_each(|chance| *chance /= all);
    chances
}
