//! Microaggregation: the same groups as a naive MDAV that looks at every row, guarantees by a naive
//! count, null and refusals.

use super::*;
use crate::pipeline::release::progress::Unwatched;
use crate::pipeline::release::testing::{self, Dice, Rows};
use crate::policy::release::Method;

fn run(table: &Table, models: &[Model], suppress_max: f64) -> Result<Recoding> {
    let mut rules = testing::rules(table, Method::Microaggregation, models);
    rules.suppress_max = suppress_max;
    let guarantees = Guarantees::new(&rules, table)?;
    microaggregation(table, &rules, &guarantees, &Unwatched)
}

fn tabled(rows: &Rows) -> Table {
    let columns = rows.cells.first().map_or(0, Vec::len);
    rows.table((0..columns).map(|at| testing::flat(&format!("c{at}"), &rows.values(at))).collect())
}

/// Rows of numbers that are all different.
fn scattered(seed: u64, rows: usize, columns: usize) -> Rows {
    let mut dice = Dice(seed);
    let mut value = || Some(format!("{}.{}", dice.roll(100), dice.roll(1_000_000)));
    Rows {
        cells: (0..rows).map(|_| (0..columns).map(|_| value()).collect()).collect(),
        ..Rows::default()
    }
}

/// MDAV as its paper has it, on standardized rows: the rows of each group.
fn naive(points: &[Vec<f64>], k: usize) -> Vec<Vec<usize>> {
    let far = |left: &[usize], from: &[f64]| {
        let distance = |at: usize| points::distance(&points[at], from);
        left.iter()
            .copied()
            .reduce(|best, at| if distance(at) > distance(best) { at } else { best })
    };
    let around = |left: &mut Vec<usize>, at: usize| {
        let mut near = left.clone();
        let distance = |other: usize| points::distance(&points[other], &points[at]);
        near.sort_by(|one, other| distance(*one).total_cmp(&distance(*other)).then(one.cmp(other)));
        near.truncate(k);
        left.retain(|other| !near.contains(other));
        near.sort_unstable();
        near
    };
    let centre = |left: &[usize]| -> Vec<f64> {
        let sum = |axis: usize| left.iter().map(|at| points[*at][axis]).sum::<f64>();
        (0..points[0].len()).map(|axis| sum(axis) / left.len() as f64).collect()
    };
    let mut left: Vec<usize> = (0..points.len()).collect();
    let mut groups = Vec::new();
    while left.len() >= 3 * k {
        let first = far(&left, &centre(&left)).unwrap();
        groups.push(around(&mut left, first));
        let second = far(&left, &points[first]).unwrap();
        groups.push(around(&mut left, second));
    }
    if left.len() >= 2 * k {
        let first = far(&left, &centre(&left)).unwrap();
        groups.push(around(&mut left, first));
    }
    groups.push(left);
    groups.retain(|group| !group.is_empty());
    groups.sort();
    groups
}

#[test]
fn groups_are_those_of_a_naive_mdav() {
    let mut cases =
        vec![(1, 7, 1, 3), (2, 100, 2, 3), (3, 301, 3, 4), (4, 250, 5, 7), (5, 5, 2, 5)];
    // Enough rows that those farthest from the mean are put in order again and again.
    cases.extend([(6, 1500, 3, 3), (7, 1200, 2, 5)]);
    let mut dice = Dice(11);
    cases.extend((8..40).map(|seed| {
        let (rows, columns) = (20 + dice.roll(300) as usize, 1 + dice.roll(6) as usize);
        (seed, rows, columns, 2 + dice.roll(8))
    }));
    for (seed, rows, columns, k) in cases {
        let rows = scattered(seed, rows, columns);
        let table = tabled(&rows);
        assert_eq!(table.len(), rows.cells.len());
        let columns: Vec<Column> =
            (0..table.hierarchies.len()).map(|at| Column::new(&table, at).unwrap()).collect();
        let point = |at: u32| columns.iter().map(|column| column.standard(at).unwrap()).collect();
        let points: Vec<Vec<f64>> = (0..u32::try_from(table.len()).unwrap()).map(point).collect();
        let model = Model::KAnonymity { k };
        let recoding = run(&table, std::slice::from_ref(&model), 0.0).unwrap();
        testing::judge(&table, &recoding, &[model]);
        let mut groups: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for part in &recoding.parts {
            groups.entry(part.class.unwrap()).or_default().push(part.combination as usize);
        }
        let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
        groups.sort();
        let expected = naive(&points, usize::try_from(k).unwrap());
        assert_eq!(groups, expected, "{seed}");
        // The loss, by its definition.
        let square = |at: &usize| points[*at].iter().map(|value| value * value).sum::<f64>();
        let all: f64 = (0..points.len()).map(|at| square(&at)).sum();
        let within = |group: &Vec<usize>| {
            let mean = |axis: usize| {
                group.iter().map(|at| points[*at][axis]).sum::<f64>() / group.len() as f64
            };
            let means: Vec<f64> = (0..points[0].len()).map(mean).collect();
            group.iter().map(|at| points::distance(&points[*at], &means)).sum::<f64>()
        };
        let within: f64 = expected.iter().map(within).sum();
        assert!((recoding.loss.unwrap()[0] - within / all).abs() < 1e-9);
    }
}

#[test]
fn means_are_those_of_the_groups_and_sums_stay() {
    let rows = scattered(9, 200, 2);
    let table = tabled(&rows);
    let recoding = run(&table, &[Model::KAnonymity { k: 5 }], 0.0).unwrap();
    for column in 0..2 {
        let numbers = table.hierarchies[column].numbers().unwrap();
        let before: f64 =
            table.leaves[column].iter().map(|leaf| numbers[*leaf as usize].unwrap()).sum();
        let after: f64 = recoding
            .parts
            .iter()
            .map(|part| match recoding.classes[part.class.unwrap() as usize][column] {
                Cell::Number(Some(mean)) => mean * part.rows as f64,
                ref cell => panic!("{cell:?}"),
            })
            .sum();
        assert!((before - after).abs() < 1e-6);
    }
}

#[test]
fn every_group_holds_by_a_naive_count() {
    for seed in 0..24 {
        let mut rows = Rows::random(seed, 80 + 10 * seed as usize, &[12, 30], seed % 2 == 0);
        let count = rows.cells.len();
        let mut dice = Dice(seed);
        rows.persons = (seed % 3 == 1).then(|| (0..count).map(|_| dice.roll(25) as u32).collect());
        rows.sensitive = (seed % 3 == 2).then(|| (0..count).map(|_| dice.roll(4) as u32).collect());
        let table = tabled(&rows);
        let mut models = vec![Model::KAnonymity { k: 3 }];
        if rows.sensitive.is_some() {
            models.push(Model::DistinctL { column: "sensitive".to_owned(), l: 3 });
        }
        let recoding = run(&table, &models, 0.2).unwrap();
        assert!(testing::judge(&table, &recoding, &models).len() > 3, "{seed}");
        assert!(run(&table, &models, 0.2).unwrap() == recoding);
        let mut turned = rows.clone();
        if turned.persons.is_none() && turned.sensitive.is_none() {
            turned.cells.reverse();
            assert!(
                run(&tabled(&turned), &models, 0.2).unwrap() == recoding,
                "rows in another order"
            );
        }
        if rows.persons.is_some() || rows.sensitive.is_some() {
            let combinations = recoding.parts.iter().map(|part| part.combination);
            assert!(combinations.is_sorted_by(|one, other| one < other), "none is divided");
        }
    }
}

#[test]
fn null_stays_null_and_never_meets_a_number() {
    let row = |one: &str, two: &str| {
        [one, two].map(|text| (!text.is_empty()).then(|| text.to_owned())).to_vec()
    };
    let mut cells: Vec<_> = (0..6).map(|at| row(&at.to_string(), "1")).collect();
    cells.extend((0..3).map(|at| row(&at.to_string(), "")));
    cells.extend((0..3).map(|_| row("", "")));
    let rows = Rows { cells, ..Rows::default() };
    let table = tabled(&rows);
    let recoding = run(&table, &[Model::KAnonymity { k: 3 }], 0.0).unwrap();
    for part in &recoding.parts {
        for column in 0..2 {
            let leaf = table.leaves[column][part.combination as usize] as usize;
            let null = table.hierarchies[column].labels[0][leaf].is_none();
            let cell = &recoding.classes[part.class.unwrap() as usize][column];
            assert_eq!(null, *cell == Cell::Number(None));
        }
    }
    // Two rows of null in the second column find no third: they are suppressed, or it is refused.
    let mut fewer = rows;
    fewer.cells.remove(6);
    let table = tabled(&fewer);
    let recoding = run(&table, &[Model::KAnonymity { k: 3 }], 0.2).unwrap();
    assert_eq!(recoding.parts.iter().filter(|part| part.class.is_none()).count(), 2);
    assert!(run(&table, &[Model::KAnonymity { k: 3 }], 0.1).is_err());
}

#[test]
fn many_equal_rows_are_a_group_that_loses_nothing() {
    let cells = (0..1000).map(|at| vec![Some((at % 10).to_string())]).collect();
    let table = tabled(&Rows { cells, ..Rows::default() });
    let recoding = run(&table, &[Model::KAnonymity { k: 7 }], 0.0).unwrap();
    assert_eq!(recoding.loss, Some(vec![0.0]));
    assert_eq!(recoding.classes.len(), 10);
}

#[test]
fn words_and_models_of_populations_are_refused() {
    let word = Rows { cells: vec![vec![Some("word".to_owned())]; 9], ..Rows::default() };
    let error = run(&tabled(&word), &[Model::KAnonymity { k: 3 }], 0.0).unwrap_err();
    assert!(error.to_string().contains("`c0`"), "{error}");
    let mut table = tabled(&scattered(1, 9, 1));
    table.population = Some(table.rows.clone());
    let error = run(&table, &[Model::KMap { k: 3 }], 0.0).unwrap_err();
    assert!(error.to_string().contains("k_map"), "{error}");
}

#[test]
fn what_would_take_hours_is_refused() {
    assert_eq!(combinations_max(3, 5), 1_000_000);
    assert_eq!(combinations_max(8, 5), 707_106);
    assert_eq!(combinations_max(8, 50), 1_000_000);
    let rows = combinations_max(4, 1);
    let mut table = Table { rows: vec![1; 400_000], ..Table::default() };
    assert!(rows < table.rows.len() as u64);
    let none = std::collections::BTreeSet::from([Some("1".to_owned())]);
    table.hierarchies = (0..4).map(|at| testing::flat(&format!("c{at}"), &none)).collect();
    let error = run(&table, &[Model::KAnonymity { k: 1 }], 0.0).unwrap_err();
    assert!(error.to_string().contains("at most 316227"), "{error}");
}

/// The tree finds what a look at all points finds, while points go, and so does the order of the outermost,
/// from a place that moves.
#[test]
fn nearest_and_farthest_are_those_of_all_points() {
    let mut dice = Dice(5);
    // Few different values, so that distances tie.
    for (width, count, values) in [(1, 300, 9), (2, 300, 9), (6, 300, 9), (3, 4000, 40)] {
        let coordinates: Vec<f64> = (0..count * width).map(|_| dice.roll(values) as f64).collect();
        let rows: Vec<u64> = (0..count).map(|_| dice.roll(4)).collect();
        let mut points = Points::new(width, coordinates, rows);
        let middle = values as f64 / 2.0;
        let mut centre = vec![middle; width];
        for _ in 0..120 {
            let from: Vec<f64> = (0..width).map(|_| dice.roll(90) as f64 / 10.0).collect();
            assert_eq!(points.farthest(&from), farthest(&points, &from));
            assert_eq!(points.farthest_again(&centre), farthest(&points, &centre));
            let distance = |point: u32| points::distance(points.point(point), &from);
            let mut all: Vec<u32> = points.all().collect();
            all.sort_by(|one, other| {
                distance(*one).total_cmp(&distance(*other)).then(one.cmp(other))
            });
            let (wanted, mut sum) = (1 + dice.roll(20), 0);
            let near = all.iter().take_while(|point| {
                let enough = sum >= wanted;
                sum += points.rows(**point);
                !enough
            });
            let near: Vec<u32> = near.copied().collect();
            assert_eq!(points.nearest(&from, wanted), near);
            let gone = [near[0], points.farthest_again(&centre).unwrap()];
            for gone in gone {
                points.take(gone, 1 + dice.roll(3));
            }
            // Mostly a little, now and then a lot.
            let step = if dice.roll(20) == 0 { 1.0 } else { 0.001 };
            for at in &mut centre {
                *at += (dice.roll(3) as f64 - 1.0) * step;
            }
        }
    }
}

/// The point farthest from here by a look at all, the lowest of several.
fn farthest(points: &Points, from: &[f64]) -> Option<u32> {
    let distance = |point: u32| points::distance(points.point(point), from);
    points.all().reduce(|best, point| if distance(point) > distance(best) { point } else { best })
}

#[test]
fn of_more_points_equally_far_away_than_are_put_in_order_the_lowest_is_found() {
    let width = 11;
    let corner = |point: usize, axis: usize| if point >> axis & 1 == 0 { -1.0 } else { 1.0 };
    let coordinates = (0..1 << width).flat_map(|at| (0..width).map(move |axis| corner(at, axis)));
    let mut points = Points::new(width, coordinates.collect(), vec![1; 1 << width]);
    let centre = vec![0.0; width];
    for lowest in 0..1_u32 << width {
        assert_eq!(points.farthest_again(&centre), Some(lowest));
        points.take(lowest, 1);
    }
    assert_eq!(points.farthest_again(&centre), None);
}
