//! Mondrian: classes hold by a naive count, on any number of threads and in any mode; bounds say what
//! they say; penalty on a known table.

use super::*;
use crate::error::Code;
use crate::pipeline::release::progress::Unwatched;
use crate::pipeline::release::recoding::Cell;
use crate::pipeline::release::testing::{self, Rows, Value};
use crate::policy::release::Model;

const K: Model = Model::KAnonymity { k: 4 };

fn run(
    table: &Table,
    strict: bool,
    models: &[Model],
    bounds: Bounds,
    threads: usize,
) -> Result<Recoding> {
    let rules = testing::rules(table, Method::Mondrian { strict }, models);
    let guarantees = Guarantees::new(&rules, table)?;
    let threads = NonZero::new(threads).unwrap();
    partition(table, &rules, &guarantees, &Unwatched, bounds, threads)
}

/// Two numbers, and words in a tree of two levels.
fn sample(seed: u64, rows: usize, nulls: bool) -> (Rows, Table) {
    let rows = Rows::random(seed, rows, &[40, 9, 1000], nulls);
    let table = tabled(&rows);
    (rows, table)
}

fn tabled(rows: &Rows) -> Table {
    let tree: Vec<Vec<Value>> = rows
        .values(1)
        .into_iter()
        .map(|value| {
            let group = value
                .as_ref()
                .map(|text| format!("group {}", text.len() + text.as_bytes()[0] as usize % 3));
            vec![value.map(|text| format!("word {text}")), group]
        })
        .collect();
    let mut rows = rows.clone();
    for row in &mut rows.cells {
        row[1] = row[1].take().map(|text| format!("word {text}"));
    }
    rows.table(vec![
        testing::flat("number", &rows.values(0)),
        testing::hierarchy("word", &tree),
        testing::flat("wide", &rows.values(2)),
    ])
}

#[test]
fn every_class_holds_by_a_naive_count_and_every_row_has_one() {
    for seed in 0..30 {
        let (mut rows, _) = sample(seed, 50 + 20 * seed as usize, seed % 2 == 0);
        let count = rows.cells.len();
        let mut dice = testing::Dice(seed);
        rows.persons = (seed % 3 == 1).then(|| (0..count).map(|_| dice.roll(30) as u32).collect());
        rows.sensitive = (seed % 3 == 2).then(|| (0..count).map(|_| dice.roll(5) as u32).collect());
        let table = tabled(&rows);
        let mut models = vec![K];
        if rows.sensitive.is_some() {
            models.push(Model::DistinctL { column: "sensitive".to_owned(), l: 3 });
        }
        for strict in [true, false] {
            for bounds in [Bounds::Cuts, Bounds::Members] {
                let recoding = run(&table, strict, &models, bounds, 1).unwrap();
                let classes = testing::judge(&table, &recoding, &models);
                assert!(classes.len() > 1, "{seed}");
                assert!(recoding.parts.iter().all(|part| part.class.is_some()));
                assert_eq!(recoding.classes.len(), classes.len(), "no two classes show the same");
            }
        }
    }
}

#[test]
fn threads_change_nothing() {
    let (_, table) = sample(7, 40_000, true);
    assert!(table.len() > 21_000, "{}", table.len());
    for strict in [true, false] {
        let one = run(&table, strict, &[K], Bounds::Cuts, 1).unwrap();
        for threads in [2, 5] {
            let more = run(&table, strict, &[K], Bounds::Cuts, threads).unwrap();
            assert!(more == one, "{threads} threads");
        }
    }
}

#[test]
fn the_order_of_rows_changes_nothing() {
    let (mut rows, table) = sample(11, 500, true);
    let one = run(&table, true, &[K], Bounds::Cuts, 1).unwrap();
    rows.cells.reverse();
    rows.cells.rotate_left(123);
    assert!(run(&tabled(&rows), true, &[K], Bounds::Cuts, 1).unwrap() == one);
}

#[test]
fn rows_lie_within_what_their_class_shows() {
    let (_, table) = sample(3, 800, true);
    let numbers = table.hierarchies[0].numbers().unwrap();
    for strict in [true, false] {
        let recoding = run(&table, strict, &[K], Bounds::Cuts, 1).unwrap();
        for part in &recoding.parts {
            let leaf = table.leaves[0][part.combination as usize] as usize;
            let cell = &recoding.classes[part.class.unwrap() as usize][0];
            let shown = testing::text(&table, 0, cell);
            match (shown.as_deref(), numbers[leaf]) {
                (None, number) => assert_eq!(number, None),
                (Some("*"), _) => {}
                (Some(text), Some(number)) => {
                    let bounds: Vec<f64> = text
                        .trim_matches(['[', ']'])
                        .split(", ")
                        .map(|at| at.parse().unwrap())
                        .collect();
                    assert!(bounds[0] <= number && number <= *bounds.last().unwrap(), "{text}");
                }
                (Some(text), None) => panic!("null in {text}"),
            }
        }
    }
}

/// PRIVACY: whoever knows all of a class but one person reads that person's value from a tight bound
/// that no other explains; from where cuts fell only that it lies between them.
#[test]
fn bounds_of_cuts_do_not_show_the_extreme_member() {
    // The class above the cut has one person of 70; everybody else is 41 or 42.
    let ages = ["20", "21", "22", "23", "41", "41", "42", "70"];
    let cells = ages.iter().map(|age| vec![Some((*age).to_owned())]).collect();
    let rows = Rows { cells, ..Rows::default() };
    let mut lines: Vec<Vec<Value>> = (18..=90).map(|age| vec![Some(age.to_string())]).collect();
    lines.push(vec![None]);
    let table = rows.table(vec![testing::hierarchy("age", &lines)]);
    let show = |bounds| {
        let recoding = run(&table, true, &[K], bounds, 1).unwrap();
        recoding
            .classes
            .iter()
            .map(|class| testing::text(&table, 0, &class[0]).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(show(Bounds::Members), ["[20, 23]", "[41, 70]"]);
    // Null lies behind the last value of the hierarchy and has no rows; it widens nothing that has.
    assert_eq!(show(Bounds::Cuts), ["[18, 23]", "[24, 90]"]);
}

#[test]
fn null_is_a_category_that_is_cut_off_or_shown_as_a_star() {
    let row = |text: &str| vec![(!text.is_empty()).then(|| text.to_owned())];
    let cells = ["1", "1", "2", "2", "9", "9", "9", "9", "", "", "", ""].map(row).to_vec();
    let mut rows = Rows { cells, ..Rows::default() };
    let show = |rows: &Rows| {
        let table = rows.table(vec![testing::flat("number", &rows.values(0))]);
        let recoding = run(&table, true, &[K], Bounds::Cuts, 1).unwrap();
        testing::judge(&table, &recoding, &[K]);
        recoding.classes.iter().map(|class| testing::text(&table, 0, &class[0])).collect::<Vec<_>>()
    };
    let mut shown = show(&rows);
    shown.sort();
    assert_eq!(shown, [None, Some("9".to_owned()), Some("[1, 2]".to_owned())]);
    // Three rows of null are too few, so they stay with the numbers below them.
    rows.cells.pop();
    let mut shown = show(&rows);
    shown.sort();
    assert_eq!(shown, [Some("*".to_owned()), Some("[1, 2]".to_owned())]);
}

#[test]
fn relaxed_divides_equal_rows_only_where_nothing_tells_them_apart() {
    let cells = (0..6).map(|_| vec![Some("5".to_owned())]).collect();
    let mut rows = Rows { cells, ..Rows::default() };
    rows.cells.extend(["1", "9"].map(|text| vec![Some(text.to_owned())]));
    let table = rows.table(vec![testing::flat("number", &rows.values(0))]);
    assert_eq!(run(&table, true, &[K], Bounds::Cuts, 1).unwrap().classes.len(), 1);
    let relaxed = run(&table, false, &[K], Bounds::Cuts, 1).unwrap();
    assert_eq!(testing::judge(&table, &relaxed, &[K]), [4, 4]);
    rows.persons = Some((0..8).collect());
    let table = rows.table(vec![testing::flat("number", &rows.values(0))]);
    let persons = run(&table, false, &[K], Bounds::Cuts, 1).unwrap();
    assert_eq!(persons.parts.iter().filter(|part| part.combination == 1).count(), 1, "not divided");
}

#[test]
fn what_cannot_hold_for_all_rows_is_refused() {
    let (_, table) = sample(1, 3, false);
    let error = run(&table, true, &[K], Bounds::Cuts, 1).unwrap_err();
    assert_eq!(error.code(), Code::Policy);
    let none = Rows::default().table(Vec::new());
    assert!(run(&none, true, &[K], Bounds::Cuts, 1).unwrap().parts.is_empty());
}

#[test]
fn cancelling_ends_it() {
    let (_, table) = sample(2, 300, false);
    let rules = testing::rules(&table, Method::Mondrian { strict: true }, &[K]);
    let guarantees = Guarantees::new(&rules, &table).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(true);
    let error = mondrian(&table, &rules, &guarantees, &stop, 2).unwrap_err();
    assert_eq!(error.code(), Code::Cancelled);
}

#[test]
fn values_far_apart_do_not_make_it_deep() {
    // Each value doubles the one before, so that every cut by penalty alone takes off the largest.
    let values: Vec<Value> = (0..1000).map(|at| Some(format!("1e{}", at / 4))).collect();
    let rows =
        Rows { cells: values.iter().map(|value| vec![value.clone()]).collect(), ..Rows::default() };
    let table = rows.table(vec![testing::flat("number", &rows.values(0))]);
    let recoding = run(&table, true, &[K], Bounds::Cuts, 1).unwrap();
    testing::judge(&table, &recoding, &[K]);
}

/// The penalty counted again from what the classes show.
fn penalty_of(table: &Table, recoding: &Recoding) -> f64 {
    let mut rows = vec![0; recoding.classes.len()];
    recoding.parts.iter().for_each(|part| rows[part.class.unwrap() as usize] += part.rows);
    let mut sum = 0.0;
    for (column, known) in table.hierarchies.iter().enumerate() {
        let numbers = known.numbers().unwrap_or_default();
        let seen =
            || table.leaves[column].iter().filter_map(|leaf| *numbers.get(*leaf as usize)?);
        let (least, most) = (seen().fold(f64::INFINITY, f64::min), seen().fold(0.0, f64::max));
        for (class, rows) in recoding.classes.iter().zip(&rows) {
            let share = match &class[column] {
                Cell::Label(Some(text)) => {
                    let bounds = text.trim_matches(['[', ']']).split(", ");
                    let bounds = bounds.map(|at| at.parse::<f64>().unwrap().clamp(least, most));
                    let bounds: Vec<f64> = bounds.collect();
                    (bounds[1] - bounds[0]) / (most - least)
                }
                Cell::Group { level, group } => {
                    let leaves = known.groups[*level as usize].iter().filter(|of| *of == group);
                    let leaves = leaves.count();
                    if leaves > 1 { leaves as f64 / known.leaves() as f64 } else { 0.0 }
                }
                cell => panic!("{cell:?}"),
            };
            sum += *rows as f64 * share;
        }
    }
    sum / (table.rows.iter().sum::<u64>() as f64 * table.hierarchies.len() as f64)
}

/// The eight columns and k = 10 that the published programs run by default; the best of them loses
/// 17.3 % with bounds that show the members.
#[test]
fn adult_loses_no_more_than_the_best_published_program() {
    let columns = [
        "sex",
        "age",
        "race",
        "marital-status",
        "education",
        "native-country",
        "workclass",
        "occupation",
    ];
    let Some(table) = testing::adult(&columns) else { return };
    let k = Model::KAnonymity { k: 10 };
    let mut losses = Vec::new();
    // Classes and per cent: the table in docs/methods.md.
    for (strict, bounds, expected) in [
        (true, Bounds::Cuts, "15.96 % of 2136"),
        (false, Bounds::Cuts, "15.91 % of 2267"),
        (true, Bounds::Members, "10.07 % of 2132"),
        (false, Bounds::Members, ""),
    ] {
        let recoding = run(&table, strict, std::slice::from_ref(&k), bounds, 2).unwrap();
        let classes = testing::judge(&table, &recoding, std::slice::from_ref(&k));
        let loss = recoding.loss.as_ref().unwrap()[0];
        let found = format!("{:.2} % of {}", 100.0 * loss, classes.len());
        assert!(expected.is_empty() || found == expected, "{strict} {bounds:?}: {found}");
        assert!((loss - penalty_of(&table, &recoding)).abs() < 1e-9);
        losses.push(loss);
    }
    assert!(losses.iter().all(|loss| *loss < 0.173), "{losses:?}");
    // What the optimum of whole columns loses, by the same measure.
    let method = Method::Lattice { objective: crate::policy::release::Objective::default() };
    let rules = testing::rules(&table, method, std::slice::from_ref(&k));
    let guarantees = Guarantees::new(&rules, &table).unwrap();
    let whole = super::super::lattice::search(&table, &rules, &guarantees, &Unwatched).unwrap();
    assert_eq!(format!("{:.2} %", 100.0 * penalty_of(&table, &whole)), "66.72 %");
}
