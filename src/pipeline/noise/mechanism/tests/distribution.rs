//! Draws against their exact distributions: chi-square over cells of about the same chance. Each comparison
//! rejects what is right once in a hundred million times or less often (all ten together: 4.4e-8), and is shown
//! to reject what is a tenth off, which it misses less often than once in 10^12 times.

use super::*;

/// How many draws are compared.
const DRAWS: usize = 60_000;
/// Of the standard normal the upper part of 10^-8.
const RARE: f64 = 5.612_001_244;

/// Above this a chi-square of so many degrees lies once in 10^8 times (Wilson and Hilferty; of few degrees less
/// often).
fn critical(degrees: usize) -> f64 {
    let part = 2.0 / (9.0 * f64::from(u32::try_from(degrees).unwrap()));
    f64::from(u32::try_from(degrees).unwrap()) * (1.0 - part + RARE * part.sqrt()).powi(3)
}

/// Whether counts are those of these chances.
fn fits(counts: &[u32], chances: &[f64]) -> bool {
    let all = f64::from(counts.iter().sum::<u32>());
    assert!((chances.iter().sum::<f64>() - 1.0).abs() < 1e-9, "chances");
    assert!(chances.iter().all(|chance| chance * all >= 5.0), "cells are too small");
    let cells = counts.iter().zip(chances);
    let off =
        cells.map(|(count, chance)| (f64::from(*count) - all * chance).powi(2) / (all * chance));
    off.sum::<f64>() <= critical(counts.len() - 1)
}

/// `P(X <= x)`, from its definition.
pub(super) fn below(noise: &Noise, factor: f64, x: f64) -> f64 {
    if x < 0.0 {
        return 1.0 - below(noise, factor, -x - 1.0);
    }
    match noise {
        Noise::Laplace { scale } => {
            let q = (-1.0 / (scale.to_f64().value() * factor)).exp();
            1.0 - q.powf(x + 1.0) / (1.0 + q)
        }
        Noise::Gaussian { variance } => {
            let double = 2.0 * variance.to_f64().value() * factor * factor;
            let weight = |at: f64| (-at * at / double).exp();
            let reach = (double.sqrt() * 8.0).ceil() as u32;
            let half: f64 = (1..=reach).map(|at| weight(f64::from(at))).sum();
            let inside: f64 = (1..=(x as u32).min(reach)).map(|at| weight(f64::from(at))).sum();
            0.5 + (0.5 + inside) / (1.0 + 2.0 * half)
        }
        Noise::Choice { .. } => panic!(),
    }
}

/// The upper ends of cells of about one part in 40, the last excepted.
fn ends(noise: &Noise) -> Vec<f64> {
    let spread = match noise {
        Noise::Laplace { scale } => scale.to_f64().value(),
        Noise::Gaussian { variance } => variance.to_f64().value().sqrt(),
        Noise::Choice { .. } => panic!(),
    };
    let (step, mut ends, mut last) = ((spread / 40.0).floor().max(1.0), vec![], 0.0);
    let mut at = -(spread * 10.0).ceil();
    while at < spread * 10.0 {
        let now = below(noise, 1.0, at);
        if now - last >= 0.025 && 1.0 - now >= 0.002 {
            ends.push(at);
            last = now;
        }
        at += step;
    }
    ends
}

fn chances(noise: &Noise, factor: f64, ends: &[f64]) -> Vec<f64> {
    let mut last = 0.0;
    let inner = ends.iter().map(|end| below(noise, factor, *end)).chain([1.0]);
    inner.map(|now| now - std::mem::replace(&mut last, now)).collect()
}

fn ratio(top: u64, bottom: u64) -> RBig {
    RBig::from_parts(top.into(), bottom.into())
}

#[test]
fn noise_has_its_exact_distribution_and_a_tenth_more_or_less_is_seen() {
    let generator = Generator::start().unwrap();
    let laplace = |scale| Noise::Laplace { scale };
    let gaussian = |sigma: RBig| Noise::Gaussian { variance: sigma.clone() * sigma };
    for noise in [
        laplace(ratio(1, 2)),
        laplace(ratio(10, 3)),
        laplace(ratio(2_000, 1)),
        laplace(ratio(1_000_000_000_001, 1_000_003)),
        gaussian(ratio(1, 2)),
        gaussian(ratio(22, 7)),
        gaussian(ratio(1_001, 3)),
    ] {
        let ends = ends(&noise);
        let mut counts = vec![0_u32; ends.len() + 1];
        for draw in generator.numbers(&noise, DRAWS).unwrap() {
            let draw = draw.to_f64().value();
            counts[ends.partition_point(|end| *end < draw)] += 1;
        }
        let (named, says) =
            (format!("{noise:?}"), |factor| fits(&counts, &chances(&noise, factor, &ends)));
        assert!(says(1.0), "{named}: {counts:?}");
        assert!(!says(1.1), "{named} is not told from what is a tenth more");
        assert!(!says(1.0 / 1.1), "{named} is not told from what is a tenth less");
    }
}

/// The chance of each point under permute-and-flip: over all orders, the first that passes its coin.
fn permute_and_flip(coins: &[f64]) -> Vec<f64> {
    fn walk(left: &mut Vec<usize>, reached: f64, coins: &[f64], chances: &mut [f64]) {
        let each = reached / left.len() as f64;
        for at in 0..left.len() {
            let point = left.swap_remove(at);
            chances[point] += each * coins[point];
            if !left.is_empty() {
                walk(left, each * (1.0 - coins[point]), coins, chances);
            }
            left.push(point);
            let last = left.len() - 1;
            left.swap(at, last);
        }
    }
    let mut chances = vec![0.0; coins.len()];
    walk(&mut (0..coins.len()).collect(), 1.0, coins, &mut chances);
    chances
}

#[test]
fn points_are_chosen_with_their_exact_chances() {
    let generator = Generator::start().unwrap();
    let grid = [0, 10, 20, 30, 40, 50];
    let cells = vec![3, 1, 0, 4, 2, 2, 5];
    for (accounting, epsilon) in [(Accounting::Pure, "1.2"), (Accounting::Zcdp, "0.6")] {
        let asked = question(accounting, (epsilon, "0"), (1, 1), vec![median(&grid)], vec![]);
        let answers = exact(vec![], vec![Measured::Cells(vec![cells.clone(); DRAWS])]);
        let noisy = add_noise(&asked, answers, &generator).unwrap();
        let [Noise::Choice { scale }] = noisy.noise.as_slice() else { panic!() };
        let scale = scale.to_f64().value();
        let expected = |factor: f64| {
            let scores = sensitivity::Rank::new((1, 2)).unwrap().scores(&cells);
            let best = scores.iter().max().unwrap();
            let coin = |score: &i128| ((score - best) as f64 / (scale * factor)).exp();
            let coins: Vec<f64> = scores.iter().map(coin).collect();
            match accounting {
                Accounting::Pure => permute_and_flip(&coins),
                Accounting::Zcdp => {
                    coins.iter().map(|coin| coin / coins.iter().sum::<f64>()).collect()
                }
            }
        };
        let mut counts = vec![0_u32; grid.len()];
        for point in &noisy.measured[0] {
            counts[grid.iter().position(|at| i128::from(*at) == *point).unwrap()] += 1;
        }
        assert!(fits(&counts, &expected(1.0)), "{accounting:?}: {counts:?}");
        assert!(!fits(&counts, &expected(1.1)) && !fits(&counts, &expected(1.0 / 1.1)));
    }
}

#[test]
fn a_quantile_of_no_rows_is_any_point_of_the_grid() {
    let grid: Vec<i64> = (0..20).collect();
    let asked = question(Accounting::Pure, ("1", "0"), (1, 1), vec![median(&grid)], vec![]);
    let answers = exact(vec![], vec![Measured::Cells(vec![vec![0; 21]; 4_000])]);
    let noisy = add_noise(&asked, answers, &Generator::start().unwrap()).unwrap();
    let mut counts = vec![0_u32; 20];
    noisy.measured[0].iter().for_each(|point| counts[usize::try_from(*point).unwrap()] += 1);
    assert!(fits(&counts, &[0.05; 20]), "{counts:?}");
}
