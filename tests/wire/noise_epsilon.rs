//! How much two tables that differ by one person can be told apart by answers over the wire, measured: two servers,
//! parquet files with and without a person who has thousands of rows in many groups, and the same questions.

use super::noise::{QUICK, VISITS, Visit, column, folder_of, spent, visits, write_visits};
use super::sql::Asker;
use crate::shared::every_case;
use crate::site::Site;

/// The epsilon of each answer.
const EPSILON: f64 = 1.0;

/// Everybody, and the one person of whom a partner wants to know whether they are there.
fn with_person() -> Vec<Visit> {
    let mut all = visits();
    for row in 0..6_000_i64 {
        let site = ["A", "B", "C"][(row % 3) as usize];
        let queue = format!("queue-{}", row % 40);
        all.push((Some("the person".to_owned()), site, queue, Some(100)));
    }
    all
}

/// How many answers a partner can pay.
const ANSWERS: usize = 20;

/// A server of visits for so many partners.
async fn served(visits: &[Visit], partners: usize) -> Site {
    let (head, _) = VISITS.split_once("grants:").unwrap();
    let mut policy = format!("{head}grants:\n");
    for partner in 0..partners {
        let total = EPSILON * ANSWERS as f64;
        policy.push_str(&format!(
            "  - {{partner: p{partner}, access: dp, epsilon: {total}, groups_max: 2, rows_max: 4, \
             keys: {{Site: [A, B, C]}}, query: {{epsilon: {EPSILON}}}}}\n"
        ));
    }
    let folder = folder_of(&policy);
    write_visits(&folder.path().join("policies/visits.parquet"), visits);
    Site::start_with(folder, &[QUICK]).await
}

/// What is seen in many answers to one question, without groups and with them.
#[derive(Default)]
struct Seen {
    alone: Vec<i64>,
    grouped: Vec<i64>,
}

/// What partners see in answers to the same question, in words that make each a question of its own.
async fn answers(site: &Site, partners: usize) -> Seen {
    let mut seen = Seen::default();
    for partner in 0..partners {
        let mut asker = Asker::new(site, &format!("p{partner}")).await;
        for number in 0..ANSWERS / 2 {
            let all = format!("SELECT count(*) AS n FROM visits WHERE Id > -{number}");
            seen.alone.push(column(&asker.all(&all).await.unwrap(), "n")[0]);
            let groups = format!(
                "SELECT Site, count(*) AS n FROM visits WHERE Id > -{number} GROUP BY Site"
            );
            // The person is in two of the three groups, and it is not told in which: all together are the
            // best guess.
            let answer = asker.all(&groups).await.unwrap();
            seen.grouped.push(column(&answer, "n").iter().sum());
        }
        let (epsilon, _) = spent(&mut asker).await;
        assert_eq!(epsilon.parse::<f64>().unwrap(), EPSILON * ANSWERS as f64);
    }
    seen
}

/// The largest lower bound of epsilon that answers without and with the person show, at thresholds so far from
/// their middle.
fn measured(without: &[i64], with: &[i64], away: &[i64]) -> f64 {
    let times = without.len();
    let mut all: Vec<i64> = without.iter().chain(with).copied().collect();
    all.sort_unstable();
    let centre = all[all.len() / 2];
    let bounds = away.iter().flat_map(|away| {
        let above = |seen: &[i64]| seen.iter().filter(|n| **n > centre + away).count();
        let (few, many) = (above(without), above(with));
        [(few, many), (times - many, times - few)]
    });
    let bound = |(rare, common): (usize, usize)| {
        (lower(common, times, 0.001) / upper(rare, times, 0.001)).ln()
    };
    bounds.map(bound).fold(f64::NEG_INFINITY, f64::max)
}

/// The chance of at most `hits` of `times`, each with chance `p`.
fn at_most(hits: usize, times: usize, p: f64) -> f64 {
    let (mut term, mut sum) = ((1.0 - p).ln() * times as f64, 0.0);
    for k in 0..=hits {
        sum += term.exp();
        term += ((times - k) as f64 / (k + 1) as f64).ln() + (p / (1.0 - p)).ln();
    }
    sum
}

/// The bound of Clopper and Pearson: the largest chance that gives at most `hits` of `times` with a chance of
/// `alpha`.
fn upper(hits: usize, times: usize, alpha: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0 - 1e-12);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if at_most(hits, times, middle) > alpha { low = middle } else { high = middle }
    }
    high
}

fn lower(hits: usize, times: usize, alpha: f64) -> f64 {
    1.0 - upper(times - hits, times, alpha)
}

#[test]
fn the_bounds_are_those_of_clopper_and_pearson() {
    // Of 10 none: the rule of three's exact form, 1 - alpha^(1/10).
    assert!((upper(0, 10, 0.05) - (1.0 - 0.05_f64.powf(0.1))).abs() < 1e-9);
    assert!((lower(10, 10, 0.05) - 0.05_f64.powf(0.1)).abs() < 1e-9);
    // 3 of 20 at 95 % (two-sided): 0.0321 to 0.3789.
    assert!((lower(3, 20, 0.025) - 0.0321).abs() < 1e-4);
    assert!((upper(3, 20, 0.025) - 0.3789).abs() < 1e-4);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_with_thousands_of_rows_cannot_be_told_better_than_epsilon_says() {
    // Each bound holds with 99.9 %; there are as many as thresholds, in two directions, each of two chances. Most
    // are far from epsilon, so that the false alarms of all are well under one in a hundred.
    let partners = if every_case() { 100 } else { 30 };
    let (near, far) = (served(&visits(), partners).await, served(&with_person(), partners).await);
    let (without, with) = tokio::join!(answers(&near, partners), answers(&far, partners));
    near.stop().await;
    far.stop().await;
    let alone = measured(&without.alone, &with.alone, &[-4, -2, 0, 2, 4]);
    let grouped = measured(&without.grouped, &with.grouped, &[-16, -8, 0, 8, 16]);
    println!(
        "epsilon is at least {alone:.3} without groups and {grouped:.3} with them, by {} answers each; {EPSILON} \
         is declared",
        without.alone.len()
    );
    assert!(alone <= EPSILON && grouped <= EPSILON, "{alone} {grouped}");
    // The person shows as much as they may; unbounded they would be 6,000 rows beside 1,800.
    assert!(alone > 0.1, "the measurement sees nothing: {alone}");
}
