//! Thresholds beside published ones, beside the best there can be, and beside sums of chances.

use super::super::sensitivity::noise_of;
use super::super::tests::{question, unknown};
use super::*;
use crate::policy::decimal::Decimal;
use crate::policy::privacy::Accounting;
use crate::shared::shared;

/// The rows of a table of numbers.
fn table(name: &str) -> Option<Vec<Vec<f64>>> {
    let text = std::fs::read_to_string(shared(name)?).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    Some(rows.map(|row| row.split('\t').map(|cell| cell.parse().unwrap()).collect()).collect())
}

fn ratio(number: f64) -> RBig {
    RBig::try_from(number).unwrap()
}

/// The threshold for continuous Laplace noise, in its closed form.
fn closed(epsilon: f64, delta: f64, groups: f64) -> f64 {
    // 1 - (1 - delta)^(1 / groups)
    let chance = -((-delta).ln_1p() / groups).exp_m1();
    if chance <= 0.5 {
        1.0 - groups * (2.0 * chance).ln() / epsilon
    } else {
        1.0 + groups * (2.0 * (1.0 - chance)).ln() / epsilon
    }
}

/// `P(X >= k)` of discrete Laplace noise.
fn laplace(scale: f64, k: i128) -> f64 {
    let q = (-1.0 / scale).exp();
    if k > 0 { (-(k as f64) / scale).exp() / (1.0 + q) } else { 1.0 - laplace(scale, 1 - k) }
}

#[test]
fn ours_is_the_published_threshold_to_the_next_whole_numbers() {
    let Some(rows) = table("vectors/dp/tau_threshold_laplace.tsv") else { return };
    let (mut read, mut compared) = (0, 0);
    for row in rows {
        let [epsilon, delta, groups, published] = row[..] else { panic!("{row:?}") };
        let formula = closed(epsilon, delta, groups);
        read += 1;
        if published.is_finite() && formula.is_finite() {
            assert!((formula / published - 1.0).abs() < 2e-5, "{row:?}: {formula}");
        }
        // What decimals can be: the rest has no threshold, or every group shows.
        if !(1e-20..=1e9).contains(&epsilon) || !(1e-30..1.0).contains(&delta) {
            continue;
        }
        let scale = ratio(groups) / ratio(epsilon);
        let chance = ratio(delta) / ratio(groups);
        let ours = 1.0 + rare(&Noise::Laplace { scale }, &chance).unwrap() as f64;
        // Half a number for discrete noise, one for whole numbers, and those of floats.
        assert!(ours >= formula * (1.0 - 1e-12), "{row:?}: {ours} under {formula}");
        assert!(ours <= formula.max(0.5) * (1.0 + 1e-9) + 1.5, "{row:?}: {ours} over {formula}");
        compared += 1;
    }
    assert!(read >= 60 && compared >= 30, "{read} {compared}");
}

#[test]
fn no_group_shows_more_often_than_the_best_selection_lets_it() {
    let Some(rows) = table("vectors/dp/keep_partition_probability.tsv") else { return };
    let mut compared = 0;
    for row in rows {
        let [groups, epsilon, delta, units, best] = row[..] else { panic!("{row:?}") };
        // Less than decimals can be.
        if delta < 1e-30 {
            continue;
        }
        let scale = ratio(groups) / ratio(epsilon);
        let chance = ratio(delta) / ratio(groups);
        let least = 1 + rare(&Noise::Laplace { scale: scale.clone() }, &chance).unwrap();
        // A group without units is not there to be shown.
        let shows =
            if units == 0.0 { 0.0 } else { laplace(scale.to_f64().value(), least - units as i128) };
        assert!(shows <= best + 1e-9, "{row:?}: {shows}");
        compared += 1;
    }
    assert!(compared >= 25, "{compared}");
}

#[test]
fn one_unit_alone_shows_with_at_most_the_chance_and_one_less_would_be_more() {
    for (scale, delta) in
        [(0.1, 1e-9), (1.0, 1e-6), (7.5, 1e-10), (400.0, 1e-5), (1e6, 1e-12), (3.0, 0.3)]
    {
        let k = rare(&Noise::Laplace { scale: ratio(scale) }, &ratio(delta)).unwrap();
        assert!(laplace(scale, k) <= delta * (1.0 + 1e-9), "{scale}");
        assert!(k == 1 || laplace(scale, k - 1) > delta * (1.0 - 1e-9), "{scale}");
    }
}

#[test]
fn the_gaussian_bound_is_over_the_sum_and_close_to_it() {
    for (sigma, delta) in
        [(0.3_f64, 1e-9), (1.0, 1e-6), (9.5, 1e-10), (300.0, 1e-5), (20_000.0, 1e-12)]
    {
        let weight = |x: i128| (-(x as f64).powi(2) / (2.0 * sigma * sigma)).exp();
        let reach = (sigma * 12.0).ceil() as i128 + 2;
        let whole: f64 = (-reach..=reach).map(weight).sum();
        let noise = Noise::Gaussian { variance: ratio(sigma) * ratio(sigma) };
        let k = rare(&noise, &ratio(delta)).unwrap();
        // From the end: the chance of each number or more.
        let (mut tail, mut exact) = (0.0, reach);
        for x in (1..=reach).rev() {
            tail += weight(x) / whole;
            if tail > delta {
                break;
            }
            exact = x;
        }
        assert!(k >= exact, "{sigma}: {k} for {exact}");
        assert!((k - exact) as f64 <= 1.0 + sigma * 0.02, "{sigma}: {k} for {exact}");
    }
}

#[test]
fn all_groups_of_a_unit_together_show_with_at_most_delta() {
    for (accounting, groups) in
        [(Accounting::Pure, 1), (Accounting::Pure, 50), (Accounting::Zcdp, 50)]
    {
        let measures = vec![Measure::Units];
        let asked = question(accounting, ("1", "1e-6"), (groups, 4), measures, vec![unknown()]);
        let noise = noise_of(&asked).unwrap();
        let least = threshold(&asked, &noise).unwrap().unwrap();
        let k = UBig::try_from(least - 1).unwrap();
        let one = match &noise[0] {
            Noise::Laplace { scale } => laplace_tail(scale, &k),
            Noise::Gaussian { variance } => gaussian_tail(variance, &k),
            Noise::Choice { .. } => panic!(),
        };
        let any = -(groups as f64 * (-one.to_f64().value()).ln_1p()).exp_m1();
        assert!(any <= 1e-6 && any > 5e-7, "{accounting:?} {groups}: {any}");
    }
}

#[test]
fn unknown_keys_without_a_delta_or_units_are_refused() {
    let of = |delta, measures: Vec<Measure>, keys| {
        let asked = question(Accounting::Pure, ("1", delta), (2, 2), measures, keys);
        threshold(&asked, &noise_of(&asked).unwrap())
    };
    assert_eq!(of("0", vec![Measure::Rows], vec![]).unwrap(), None);
    assert!(of("1e-9", vec![Measure::Units], vec![unknown()]).unwrap().is_some());
    let error = of("0", vec![Measure::Units], vec![unknown()]).unwrap_err();
    assert_eq!(error.code(), Code::NoisyOnly);
    let error = of("1e-9", vec![Measure::Rows], vec![unknown()]).unwrap_err();
    assert_eq!(error.code(), Code::Internal);
    let little = Decimal::of_units(1).to_string();
    let asked = question(
        Accounting::Pure,
        (&little, "1e-9"),
        (u64::MAX, 2),
        vec![Measure::Units],
        vec![unknown()],
    );
    let error = threshold(&asked, &noise_of(&asked).unwrap()).unwrap_err();
    assert_eq!(error.code(), Code::NoisyOnly);
}
