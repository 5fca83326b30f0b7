//! How many who are unique in the sample are unique in the population that it was drawn from: three estimates
//! from the sizes of classes alone, and the rule that chooses among them. They hold for simple random samples;
//! a table that is its own population needs none of them.

use std::collections::BTreeMap;

use super::gamma::{digamma, ln_gamma, trigamma};

/// An estimate and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Who made the model.
    pub model: Model,
    /// How many of the population are unique in it.
    pub uniques: f64,
}

/// Models of how classes of the sample come from classes of the population.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// Pitman's sampling formula (Hoshino 2001).
    Pitman,
    /// Zayatz 1991.
    Zayatz,
    /// The slide negative binomial (Chen and Keller-McNulty 1998).
    Snb,
    /// Nobody is unique in the sample, so there is nothing to estimate.
    None,
}

impl Model {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pitman => "Pitman",
            Self::Zayatz => "Zayatz",
            Self::Snb => "SNB",
            Self::None => "no unique in the sample",
        }
    }
}

/// A sample's classes: how many classes have so many rows.
pub type Sizes = BTreeMap<u64, u64>;

/// The rule of Dankar et al. (2012): Pitman's model for samples of at most a tenth; for larger ones the lower of
/// Zayatz and SNB. Zayatz where the other does not converge.
pub fn estimate(sizes: &Sizes, population: f64) -> Estimate {
    let rows = rows(sizes);
    if class(sizes, 1) == 0.0 || population <= 0.0 {
        return Estimate { model: Model::None, uniques: 0.0 };
    }
    let zayatz = Estimate { model: Model::Zayatz, uniques: zayatz(sizes, population) };
    if rows / population <= 0.1 {
        return match pitman(sizes, population) {
            Some(uniques) => Estimate { model: Model::Pitman, uniques },
            None => zayatz,
        };
    }
    match snb(sizes, population) {
        Some(uniques) if uniques <= zayatz.uniques => Estimate { model: Model::Snb, uniques },
        _ => zayatz,
    }
}

fn rows(sizes: &Sizes) -> f64 {
    sizes.iter().map(|(size, classes)| *size as f64 * *classes as f64).sum()
}

fn classes(sizes: &Sizes) -> f64 {
    sizes.values().sum::<u64>() as f64
}

fn class(sizes: &Sizes, size: u64) -> f64 {
    sizes.get(&size).copied().unwrap_or(0) as f64
}

/// Zayatz: classes of the population are taken to be as large as those of the sample are, so that the chance that
/// a unique of the sample comes from a class of one follows by Bayes; that share of them, scaled up.
pub fn zayatz(sizes: &Sizes, population: f64) -> f64 {
    let sample = rows(sizes);
    let all = classes(sizes);
    // The chance that exactly one of a class of this size is drawn, without putting back.
    let one = |size: f64| -> f64 {
        if size > population - sample + 1.0 {
            return 0.0;
        }
        let choose = |n: f64, k: f64| ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0);
        let others = choose(population - size, sample - 1.0) - choose(population, sample);
        (size.ln() + others).exp()
    };
    let any: f64 = sizes.iter().map(|(size, n)| *n as f64 / all * one(*size as f64)).sum();
    let unique = class(sizes, 1) / all * (sample / population);
    if any <= 0.0 {
        return 0.0;
    }
    class(sizes, 1) * (unique / any) / (sample / population)
}

/// Pitman: the likeliest theta and alpha for the sample; the population then has
/// `gamma(theta + 1) / gamma(theta + alpha) * N^alpha` uniques. Nothing where no likeliest pair is found.
pub fn pitman(sizes: &Sizes, population: f64) -> Option<f64> {
    let (n, u) = (rows(sizes), classes(sizes));
    let (c1, c2) = (class(sizes, 1), class(sizes, 2).max(1.0));
    // The start of Hoshino (2001), from the numbers of uniques and pairs.
    let c = c1 * (c1 - 1.0) / c2;
    let theta = (n * u * c - c1 * (n - 1.0) * (2.0 * u + c)) / (2.0 * c1 * u + c1 * c - n * c);
    let alpha = (theta * (c1 - n) + (n - 1.0) * c1) / (n * u);
    let starts = [(theta, alpha), (1.0, 0.5), (u, 0.5), (u / 10.0, 0.9), (u, 0.1)];
    let (theta, alpha) = starts.into_iter().find_map(|start| climb(sizes, n, u, start))?;
    let uniques = (ln_gamma(theta + 1.0) - ln_gamma(theta + alpha) + alpha * population.ln()).exp();
    (uniques.is_finite() && uniques <= population).then_some(uniques)
}

/// Newton's method on the likelihood's slope, with steps halved until they climb; stops at a maximum inside
/// `theta > -alpha`, `0 < alpha < 1`.
fn climb(sizes: &Sizes, n: f64, u: f64, start: (f64, f64)) -> Option<(f64, f64)> {
    let inside = |theta: f64, alpha: f64| theta > -alpha && alpha > 1e-9 && alpha < 1.0 - 1e-9;
    let (mut theta, mut alpha) = start;
    if !inside(theta, alpha) || !theta.is_finite() {
        return None;
    }
    let mut height = likelihood(sizes, n, u, theta, alpha)?;
    for _ in 0..500 {
        let (slope, bend) = slopes(sizes, n, u, theta, alpha);
        let size = (slope.0 * theta.abs().max(1.0)).abs().max(slope.1.abs());
        if size < 1e-7 * u.max(1.0) {
            return Some((theta, alpha));
        }
        let (a, b, c) = bend;
        let determinant = a * c - b * b;
        // Uphill by Newton where the hill is round, else straight up, in the scale of each.
        let mut step = if determinant > 0.0 && a < 0.0 {
            ((b * slope.1 - c * slope.0) / determinant, (b * slope.0 - a * slope.1) / determinant)
        } else {
            let scale = theta.abs().max(1.0);
            (slope.0.signum() * 0.1 * scale, slope.1.signum() * 0.01)
        };
        let mut moved = false;
        for _ in 0..60 {
            let next = (theta + step.0, alpha + step.1);
            if inside(next.0, next.1)
                && let Some(higher) = likelihood(sizes, n, u, next.0, next.1)
                && higher >= height
            {
                moved = higher > height;
                ((theta, alpha), height) = (next, higher);
                break;
            }
            step = (step.0 / 2.0, step.1 / 2.0);
        }
        if !moved {
            // No way up that numbers of this precision show.
            return (size < 1e-3 * u.max(1.0)).then_some((theta, alpha));
        }
    }
    None
}

/// ln of the probability of the sample's classes, but for what does not depend on theta and alpha:
/// `sum ln(theta + i alpha), i < u`, less `sum ln(theta + i), i < n`, and for each class `sum ln(i - alpha)`.
fn likelihood(sizes: &Sizes, n: f64, u: f64, theta: f64, alpha: f64) -> Option<f64> {
    let ratio = theta / alpha;
    let first = (u - 1.0) * alpha.ln() + ln_gamma(ratio + u) - ln_gamma(ratio + 1.0);
    let second = ln_gamma(theta + n) - ln_gamma(theta + 1.0);
    let third: f64 = sizes
        .iter()
        .map(|(size, classes)| {
            *classes as f64 * (ln_gamma(*size as f64 - alpha) - ln_gamma(1.0 - alpha))
        })
        .sum();
    let all = first - second + third;
    all.is_finite().then_some(all)
}

/// First and second derivatives of the likelihood: by theta, by alpha; twice theta, both, twice alpha.
fn slopes(sizes: &Sizes, n: f64, u: f64, theta: f64, alpha: f64) -> ((f64, f64), (f64, f64, f64)) {
    let ratio = theta / alpha;
    // Sums over i = 1 .. u - 1 of 1 / (theta + i alpha) and its like, in closed form.
    let psi = digamma(ratio + u) - digamma(ratio + 1.0);
    let phi = trigamma(ratio + 1.0) - trigamma(ratio + u);
    let one = psi / alpha;
    let with_i = (u - 1.0 - ratio * psi) / alpha;
    let squared = phi / (alpha * alpha);
    let squared_i = (psi - ratio * phi) / (alpha * alpha);
    let squared_ii = (u - 1.0 - 2.0 * ratio * psi + ratio * ratio * phi) / (alpha * alpha);
    let harmonic = digamma(theta + n) - digamma(theta + 1.0);
    let harmonic_squared = trigamma(theta + 1.0) - trigamma(theta + n);
    let (mut below, mut below_squared) = (0.0, 0.0);
    for (size, classes) in sizes {
        let (size, classes) = (*size as f64, *classes as f64);
        below += classes * (digamma(size - alpha) - digamma(1.0 - alpha));
        below_squared += classes * (trigamma(1.0 - alpha) - trigamma(size - alpha));
    }
    (
        (one - harmonic, with_i - below),
        (harmonic_squared - squared, -squared_i, -squared_ii - below_squared),
    )
}

/// The slide negative binomial: sizes of the population's classes are one more than a negative binomial number,
/// whose a and b make the expected numbers of uniques and pairs in the sample what they are; `K b^a` of the K
/// classes are then of one. Nothing where no such a and b exist.
pub fn snb(sizes: &Sizes, population: f64) -> Option<f64> {
    let f = rows(sizes) / population;
    let (c1, c2) = (class(sizes, 1), class(sizes, 2));
    let all = shlosser(sizes, f)?;
    if f >= 1.0 {
        return Some(c1);
    }
    // For each b an a that makes uniques right, of two at most; then the b that makes pairs right as well.
    [Side::Near, Side::Far].into_iter().find_map(|side| {
        let pairs = |b: f64| {
            let a = alike(all, f, c1, b, side)?;
            let d = (1.0 - f) * (1.0 - b);
            let logarithm = all.ln() + a.ln() + a * b.ln() + 2.0 * f.ln() + (1.0 - b).ln()
                - (a + 2.0) * (1.0 - d).ln();
            let expected = logarithm.exp() / 2.0 * (2.0 - (1.0 - a) * d);
            expected.is_finite().then_some((a, expected - c2))
        };
        let (a, b) = crossing(pairs)?;
        let uniques = all * b.powf(a);
        (uniques.is_finite() && uniques <= population).then_some(uniques)
    })
}

/// The expected number of uniques rises with a, if at all, and then falls to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Near,
    Far,
}

/// The a for which so many uniques are expected, on one side of where most are.
fn alike(all: f64, f: f64, uniques: f64, b: f64, side: Side) -> Option<f64> {
    let d = (1.0 - f) * (1.0 - b);
    let ratio = b / (1.0 - d);
    let off = |a: f64| all * f * ratio.powf(a) * (1.0 + a * d / (1.0 - d)) - uniques;
    let top = (-1.0 / ratio.ln() - (1.0 - d) / d).max(0.0);
    if off(top) < 0.0 {
        return None;
    }
    // `few` is where too few are expected, `many` where there are too many.
    let (mut few, mut many) = match side {
        Side::Near => (0.0, top),
        Side::Far => ((top.max(1.0)) * 2.0, top),
    };
    while side == Side::Far && off(few) > 0.0 {
        few *= 2.0;
        if few > 1e12 {
            return None;
        }
    }
    if off(few) > 0.0 {
        return None;
    }
    for _ in 0..200 {
        let middle = many + (few - many) / 2.0;
        if off(middle) > 0.0 { many = middle } else { few = middle }
    }
    Some(many)
}

/// The first b between 0 and 1 where a difference changes its sign, and its a.
fn crossing(off: impl Fn(f64) -> Option<(f64, f64)>) -> Option<(f64, f64)> {
    const STEPS: u32 = 400;
    let mut before: Option<(f64, f64)> = None;
    for step in 1..STEPS {
        // Closer together at both ends.
        let part = f64::from(step) / f64::from(STEPS);
        let b = part * part * (3.0 - 2.0 * part);
        let Some((_, here)) = off(b) else {
            before = None;
            continue;
        };
        if let Some((from, was)) = before
            && (was < 0.0) != (here < 0.0)
        {
            let (mut low, mut high) = (from, b);
            for _ in 0..200 {
                let middle = low + (high - low) / 2.0;
                let (_, here) = off(middle)?;
                if (here < 0.0) == (was < 0.0) { low = middle } else { high = middle }
            }
            return Some((off(low)?.0, low));
        }
        before = Some((b, here));
    }
    None
}

/// How many classes the population has, by Shlosser's estimator as modified by Haas and Stokes (1998).
fn shlosser(sizes: &Sizes, f: f64) -> Option<f64> {
    let (mut above, mut below, mut missed, mut met) = (0.0, 0.0, 0.0, 0.0);
    for (size, classes) in sizes {
        let (size, classes) = (*size as f64, *classes as f64);
        above += size * f * f * (1.0 - f * f).powf(size - 1.0) * classes;
        below += (1.0 - f).powf(size) * ((1.0 + f).powf(size) - 1.0) * classes;
        missed += (1.0 - f).powf(size) * classes;
        met += size * f * (1.0 - f).powf(size - 1.0) * classes;
    }
    if f >= 1.0 {
        return Some(classes(sizes));
    }
    let ratio = missed / met;
    let all = classes(sizes) + class(sizes, 1) * (above / below) * ratio * ratio;
    all.is_finite().then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: f64, other: f64, part: f64) {
        assert!((one - other).abs() <= part * other.abs(), "{one} {other}");
    }

    /// A population with classes of known sizes and a sample of it by a fixed rule of numbers that look random.
    fn drawn(fraction: f64) -> (Sizes, f64, f64) {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        // One more than a geometric number: the slide negative binomial with a = 1, b = 0.3.
        let (mut population, mut uniques, mut sizes) = (0.0, 0.0, Sizes::new());
        for _ in 0..40_000 {
            let size = 1 + (random().ln() / 0.7_f64.ln()) as u64;
            population += size as f64;
            uniques += f64::from(u8::from(size == 1));
            let met = (0..size).filter(|_| random() < fraction).count() as u64;
            if met > 0 {
                *sizes.entry(met).or_default() += 1;
            }
        }
        (sizes, population, uniques)
    }

    #[test]
    fn snb_finds_the_uniques_of_a_population_of_its_own_kind() {
        for fraction in [0.5, 0.8] {
            let (sizes, population, uniques) = drawn(fraction);
            near(snb(&sizes, population).unwrap(), uniques, 0.05);
        }
    }

    #[test]
    fn the_whole_population_has_the_uniques_that_it_has() {
        let (sizes, population, uniques) = drawn(1.0);
        near(zayatz(&sizes, population), uniques, 1e-6);
        near(snb(&sizes, population).unwrap(), uniques, 1e-9);
        near(estimate(&sizes, population).uniques, uniques, 1e-6);
    }

    #[test]
    fn zayatz_is_the_formula_by_hand() {
        // Two uniques and a pair, of a population of eight: N = 8, n = 4.
        let sizes = Sizes::from([(1, 2), (2, 1)]);
        // Of a class of one 4/8 is drawn; of a class of two exactly one with 2 C(6,3) / C(8,4) = 40/70.
        let any = 2.0 / 3.0 * 0.5 + 1.0 / 3.0 * 40.0 / 70.0;
        let bayes = (2.0 / 3.0 * 0.5) / any;
        near(zayatz(&sizes, 8.0), 2.0 * bayes / 0.5, 1e-9);
    }

    #[test]
    fn the_slopes_of_pitman_are_those_of_its_likelihood() {
        let (sizes, _, _) = drawn(0.05);
        let (n, u) = (rows(&sizes), classes(&sizes));
        let (theta, alpha) = (700.0, 0.3);
        let at = |theta, alpha| likelihood(&sizes, n, u, theta, alpha).unwrap();
        let ((by_theta, by_alpha), (tt, ta, aa)) = slopes(&sizes, n, u, theta, alpha);
        let (h, g) = (1e-2, 1e-6);
        near((at(theta + h, alpha) - at(theta - h, alpha)) / (2.0 * h), by_theta, 1e-5);
        near((at(theta, alpha + g) - at(theta, alpha - g)) / (2.0 * g), by_alpha, 1e-5);
        let slope = |theta, alpha| slopes(&sizes, n, u, theta, alpha).0;
        near((slope(theta + h, alpha).0 - slope(theta - h, alpha).0) / (2.0 * h), tt, 1e-5);
        near((slope(theta + h, alpha).1 - slope(theta - h, alpha).1) / (2.0 * h), ta, 1e-5);
        near((slope(theta, alpha + g).1 - slope(theta, alpha - g).1) / (2.0 * g), aa, 1e-5);
    }

    /// A sample by Pitman's own urn: the estimate finds the uniques that the urn had when it was full.
    #[test]
    fn pitman_finds_the_uniques_of_its_own_urn() {
        let (theta, alpha) = (50.0, 0.6);
        let mut state = 42_u64;
        let mut random = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        };
        let (mut sizes, mut owner) = (Vec::<u64>::new(), Vec::<usize>::new());
        let histogram = |sizes: &[u64]| {
            let mut histogram = Sizes::new();
            sizes.iter().for_each(|size| *histogram.entry(*size).or_default() += 1);
            histogram
        };
        let mut sample = Sizes::new();
        for drawn in 0..50_000_usize {
            if drawn == 2_500 {
                sample = histogram(&sizes);
            }
            let new = (theta + alpha * sizes.len() as f64) / (theta + drawn as f64);
            let class = if random() < new {
                sizes.push(0);
                sizes.len() - 1
            } else {
                // By size, less alpha: a row at random, kept with the chance (size - alpha) / size.
                loop {
                    let class = owner[(random() * owner.len() as f64) as usize];
                    if random() < (sizes[class] as f64 - alpha) / sizes[class] as f64 {
                        break class;
                    }
                }
            };
            sizes[class] += 1;
            owner.push(class);
        }
        let uniques = class(&histogram(&sizes), 1);
        near(pitman(&sample, 50_000.0).unwrap(), uniques, 0.2);
        assert_eq!(estimate(&sample, 50_000.0).model, Model::Pitman);
    }

    #[test]
    fn without_a_unique_there_is_nothing_to_estimate() {
        let none = Estimate { model: Model::None, uniques: 0.0 };
        assert_eq!(estimate(&Sizes::from([(2, 9)]), 1e6), none);
        assert_eq!(estimate(&Sizes::new(), 1e6), none);
        // All are unique: no model of classes fits, and Zayatz says what can be said.
        let all = estimate(&Sizes::from([(1, 100)]), 1_000.0);
        assert!(all.uniques > 0.0 && all.uniques <= 1_000.0 + 1e-6, "{all:?}");
    }
}
