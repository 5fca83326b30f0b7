//! Scales of noise, and the scores of quantiles over all small tables.

use opendp::core::Measurement;
use opendp::domains::{AtomDomain, VectorDomain};
use opendp::measurements::make_noisy_max;
use opendp::measures::{MaxDivergence, ZeroConcentratedDivergence};
use opendp::metrics::LInfDistance;

use super::super::tests::{median, question};
use super::*;
use crate::policy::privacy::Bounds;

fn ratio(top: u64, bottom: u64) -> RBig {
    RBig::from_parts(top.into(), bottom.into())
}

fn every() -> Vec<Measure> {
    vec![
        Measure::Units,
        Measure::Rows,
        Measure::Count(0),
        Measure::Sum { value: 0, center: 0 },
        Measure::Sum { value: 0, center: 400 },
        Measure::Squares { value: 0, center: 400 },
        Measure::Squares { value: 0, center: -1_000 },
        median(&[1, 2, 3]),
        Measure::Quantile { value: 0, rank: (10, 10), grid: [1, 2, 3].into() },
        Measure::Quantile { value: 0, rank: (9, 10), grid: [1, 2, 3].into() },
    ]
}

/// What one unit with 3 rows changes in a group, in the order of [`every`].
const CHANGES: [u64; 10] = [1, 3, 3, 3_000, 1_800, 1_080_000, 12_000_000, 6, 3, 54];

#[test]
fn laplace_scales_are_groups_times_change_over_a_share() {
    let asked = question(Accounting::Pure, ("0.5", "0"), (7, 3), every(), vec![]);
    // A tenth of one half each.
    assert_eq!(shares(&asked).unwrap(), vec![ratio(1, 20); 10]);
    for ((noise, change), at) in noise_of(&asked).unwrap().into_iter().zip(CHANGES).zip(0..) {
        let (Noise::Laplace { scale } | Noise::Choice { scale }) = noise else { panic!("{at}") };
        assert_eq!(scale, ratio(7 * change * 20, 1), "{at}");
    }
}

#[test]
fn gaussian_variances_pay_for_all_groups_and_are_squares() {
    let asked = question(Accounting::Zcdp, ("0.5", "0"), (7, 3), every(), vec![]);
    let share = ratio(1, 80);
    assert_eq!(shares(&asked).unwrap(), vec![share.clone(); 10]);
    let most = share.clone() * ratio((1 << 30) - 1, 1 << 30);
    for ((noise, change), at) in noise_of(&asked).unwrap().into_iter().zip(CHANGES).zip(0..) {
        let change = ratio(change, 1);
        let spent = match noise {
            Noise::Gaussian { variance } => {
                let sigma = exact::root_over(&variance);
                assert_eq!(sigma.clone() * sigma, variance, "{at} is drawn as it is");
                change.clone() * change * ratio(7, 2) / variance
            }
            Noise::Choice { scale } => {
                change.clone() * change * ratio(7, 8) / (scale.clone() * scale)
            }
            Noise::Laplace { .. } => panic!("{at}"),
        };
        assert!(spent <= share && spent > most, "{at}: never more, and hardly less");
    }
}

#[test]
fn opendp_says_the_same_of_choices() {
    let domain = || VectorDomain::new(AtomDomain::<i128>::default());
    for (rank, score, one_way) in [((1, 2), 3_i128, false), ((9, 10), 27, false), ((0, 4), 3, true)]
    {
        let measures = vec![Measure::Quantile { value: 0, rank, grid: [1, 2].into() }];
        for accounting in [Accounting::Pure, Accounting::Zcdp] {
            let asked = question(accounting, ("0.7", "0"), (11, 3), measures.clone(), vec![]);
            let noise = noise_of(&asked).unwrap();
            let [Noise::Choice { scale }] = noise.as_slice() else { panic!() };
            let (scale, metric) = (scale.to_f64().value(), LInfDistance::new(one_way));
            let of_group = match accounting {
                Accounting::Pure => {
                    let made: Measurement<_, _, _, usize> =
                        make_noisy_max(domain(), metric, MaxDivergence, scale, false).unwrap();
                    made.map(&score).unwrap()
                }
                Accounting::Zcdp => {
                    let measure = ZeroConcentratedDivergence;
                    let made = make_noisy_max(domain(), metric, measure, scale, false).unwrap();
                    made.map(&score).unwrap()
                }
            };
            let share = shares(&asked).unwrap()[0].to_f64().value();
            // Its own roundings are upwards, a few units of the last place.
            assert!((of_group * 11.0 / share - 1.0).abs() < 1e-9, "{rank:?} {accounting:?}");
        }
    }
}

/// All ways to put up to `rows` rows into `cells` cells.
fn fillings(cells: usize, rows: u64) -> Vec<Vec<u64>> {
    if cells == 0 {
        return vec![vec![]];
    }
    let with = |first: u64| {
        let rest = fillings(cells - 1, rows - first);
        rest.into_iter().map(move |rest| [vec![first], rest].concat())
    };
    (0..=rows).flat_map(with).collect()
}

#[test]
fn no_unit_changes_the_difference_of_two_scores_by_more_and_one_does_by_as_much() {
    for rank in [(0, 1), (1, 1), (1, 2), (1, 4), (3, 4), (9, 10), (50, 100)] {
        let rank = Rank::new(rank).unwrap();
        for (rows, full) in [(1, 11), (2, 5), (3, 3)] {
            let bound = i128::try_from(rank.change()).unwrap() * i128::from(rows);
            let mut most = 0;
            for table in fillings(4, full) {
                let before = rank.scores(&table);
                for unit in fillings(4, rows) {
                    let both = table.iter().zip(&unit).map(|(one, other)| one + other);
                    let after = rank.scores(&both.collect::<Vec<_>>());
                    let moved = before.iter().zip(&after).map(|(before, after)| after - before);
                    let (least, greatest) = (moved.clone().min().unwrap(), moved.max().unwrap());
                    most = most.max(greatest - least);
                    assert!(!rank.one_way() || greatest <= 0, "scores fall");
                }
            }
            assert!(most <= bound && (rows > 1 || most == bound), "{rank:?}: {most} of {bound}");
        }
    }
}

#[test]
fn the_best_score_is_the_quantile() {
    let best = |rank, cells: &[u64]| {
        let scores = Rank::new(rank).unwrap().scores(cells);
        (0..scores.len()).max_by_key(|at| (scores[*at], usize::MAX - at)).unwrap()
    };
    // Points 0 to 3; rows between them.
    assert_eq!(best((1, 2), &[0, 10, 10, 0, 0]), 1);
    assert_eq!(best((0, 1), &[0, 10, 10, 0, 0]), 0);
    assert_eq!(best((1, 1), &[0, 10, 10, 0, 0]), 2);
    assert_eq!(best((3, 4), &[0, 10, 5, 5, 0]), 2);
    let most = Rank::new((u64::MAX - 1, u64::MAX)).unwrap().scores(&[u64::MAX; 4]);
    assert!(most.iter().all(|score| *score <= 0), "{most:?}");
}

#[test]
fn what_has_no_noise_is_refused() {
    let with = |(epsilon, delta), (groups, rows), measure| {
        noise_of(&question(
            Accounting::Pure,
            (epsilon, delta),
            (groups, rows),
            vec![measure],
            vec![],
        ))
    };
    assert!(with(("1", "0"), (1, 1), Measure::Rows).is_ok());
    assert!(
        with(("0.000000000000000000000000000001", "0"), (u64::MAX, u64::MAX), Measure::Rows)
            .is_ok()
    );
    let none = with(("0", "0"), (1, 1), Measure::Rows).unwrap_err();
    assert_eq!(none.code(), Code::NoisyOnly);
    let quantile = |rank, grid: &[i64]| Measure::Quantile { value: 0, rank, grid: grid.into() };
    for (bounding, measure) in [
        ((0, 1), Measure::Rows),
        ((1, 0), Measure::Rows),
        ((0, 1), Measure::Units),
        ((1, 1), Measure::Sum { value: 1, center: 0 }),
        ((1, 1), quantile((1, 2), &[])),
        ((1, 1), quantile((2, 1), &[1])),
        ((1, 1), quantile((0, 0), &[1])),
    ] {
        assert_eq!(with(("1", "0"), bounding, measure).unwrap_err().code(), Code::Internal);
    }
    // No value of the whole range moves the sum past its center.
    let mut asked = question(
        Accounting::Pure,
        ("1", "0"),
        (u64::MAX, u64::MAX),
        vec![Measure::Squares { value: 0, center: i64::MIN }],
        vec![],
    );
    asked.values[0].bounds = Bounds { low: -9e15, high: 9e15, step: 1.0 };
    assert!(noise_of(&asked).is_ok());
}
