//! PRIVACY: tables that differ by all rows of one unit have answers that differ by no more than the bounds
//! say, group by group and in how many groups; and by more where bounding is switched off.

use proptest::prelude::*;

use super::model::{asked, many, plain, row};
use super::*;

/// The most that one unit changes a measure of one group.
fn most(asked: &Asked, measure: &Measure) -> i128 {
    let rows = i128::from(asked.bounding.rows);
    let span = |value: usize, center: i64| {
        let bounds = if value == 0 { &asked.whole } else { &asked.part };
        let (low, high) = bounds.steps();
        let far = |end: i64| (i128::from(end) - i128::from(center)).abs();
        far(low).max(far(high))
    };
    match measure {
        Measure::Units => 1,
        Measure::Rows | Measure::Count(_) | Measure::Quantile { .. } => rows,
        Measure::Sum { value, center } => rows * span(*value, *center),
        Measure::Squares { value, center } => rows * span(*value, *center).pow(2),
    }
}

/// By how much two answers differ past what is declared: the first measure for which they do.
fn past(asked: &Asked, with: &[Row], without: &[Row], layout: Layout) -> Option<String> {
    let (with, without) =
        (asked.answer(with, layout).by_key(), asked.answer(without, layout).by_key());
    let measures = asked.measures();
    let nothing: Vec<Vec<i128>> = measures
        .iter()
        .map(|measure| match measure {
            Measure::Quantile { grid, .. } => vec![0; grid.len() + 1],
            _ => vec![0],
        })
        .collect();
    let groups: std::collections::BTreeSet<_> = with.keys().chain(without.keys()).collect();
    let mut changed = 0;
    for group in groups {
        let (a, b) = (with.get(group).unwrap_or(&nothing), without.get(group).unwrap_or(&nothing));
        if a != b {
            changed += 1;
        }
        for (measure, (a, b)) in measures.iter().zip(a.iter().zip(b)) {
            let by: i128 = a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum();
            if by > most(asked, measure) {
                return Some(format!("{measure:?} of {group:?} changes by {by}"));
            }
        }
    }
    (changed > asked.bounding.groups).then(|| format!("{changed} groups change"))
}

fn without(rows: &[Row], unit: u64) -> Vec<Row> {
    rows.iter().filter(|row| row.unit != Some(unit)).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn one_unit_changes_no_answer_by_more_than_is_declared(
        asked in asked(),
        rows in proptest::collection::vec(row(4), 0..120),
        unit in 0..4_u64,
    ) {
        let layout = Layout { batch: 16, partitions: 2, ..PLAIN };
        let past = past(&asked, &rows, &without(&rows, unit), layout);
        prop_assert!(past.is_none(), "{past:?}");
    }
}

/// A unit with thousands of rows in many groups, among others with few.
fn one_with_thousands() -> Vec<Row> {
    let mut rows: Vec<Row> = many().into_iter().take(3_000).collect();
    rows.retain(|row| row.unit != Some(77));
    rows.extend((0..9_000).map(|at| Row {
        unit: Some(77),
        site: Some((at % 37) as u8),
        queue: at % 5,
        whole: Some(at % 701),
        part: Some(at as f64 / 100.0),
    }));
    rows
}

#[test]
fn a_unit_with_thousands_of_rows_in_many_groups_changes_no_more_than_another() {
    let rows = one_with_thousands();
    let others = without(&rows, 77);
    for sites in [None, Some(None), Some(Some((0..40).collect()))] {
        for (groups, most) in [(1, 1), (3, 10), (20, 50)] {
            let mut asked = plain(sites.clone(), groups, most);
            let layout = Layout { partitions: 2, ..PLAIN };
            assert_eq!(past(&asked, &rows, &others, layout), None);
            // Where contributions are not bounded, the same check sees it.
            asked.bounding.off = true;
            assert!(past(&asked, &rows, &others, layout).is_some(), "{asked:?}");
        }
    }
}

#[test]
fn nobodys_rows_change_nothing() {
    let asked = plain(Some(None), 5, 10);
    let rows = many();
    let somebodys: Vec<Row> = rows.iter().filter(|row| row.unit.is_some()).cloned().collect();
    assert!(somebodys.len() < rows.len());
    assert_eq!(asked.answer(&rows, PLAIN), asked.answer(&somebodys, PLAIN));
}

#[test]
fn groups_that_are_not_public_use_up_no_places() {
    // Of forty groups of a unit two are public, and both are counted, whatever came before them.
    let rows: Vec<Row> = (0..40)
        .map(|site| Row { unit: Some(1), site: Some(site), queue: 0, whole: None, part: None })
        .collect();
    let mut asked = plain(Some(Some(vec![11, 30])), 2, 5);
    asked.queues = None;
    let answer = asked.answer(&rows, PLAIN);
    assert_eq!(answer.0.iter().map(|(_, measured)| measured[1][0]).collect::<Vec<_>>(), [1, 1]);
}
