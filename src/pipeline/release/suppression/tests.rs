//! Local suppression: classes hold by a naive count, a `*` is no wildcard, the order of columns rules.

use super::*;
use crate::pipeline::release::progress::Unwatched;
use crate::pipeline::release::testing::{self, Dice, Rows, Value};
use crate::policy::release::Method;

fn run(table: &Table, models: &[Model], suppress_max: f64) -> Result<Recoding> {
    let mut rules = testing::rules(table, Method::LocalSuppression, models);
    rules.suppress_max = suppress_max;
    let guarantees = Guarantees::new(&rules, table)?;
    local_suppression(table, &rules, &guarantees, &Unwatched)
}

fn tabled(rows: &Rows) -> Table {
    let columns = rows.cells.first().map_or(0, Vec::len);
    rows.table((0..columns).map(|at| testing::flat(&format!("c{at}"), &rows.values(at))).collect())
}

fn row(text: &str) -> Vec<Value> {
    text.split(' ').map(|word| (word != "-").then(|| word.to_owned())).collect()
}

/// Every row as it is released, in order; suppressed rows are missing.
fn shown(table: &Table, recoding: &Recoding) -> Vec<String> {
    let mut all = Vec::new();
    for part in recoding.parts.iter().filter(|part| part.class.is_some()) {
        let class = recoding.classes[part.class.unwrap() as usize].iter().enumerate();
        let texts = class
            .map(|(at, cell)| testing::text(table, at, cell).unwrap_or_else(|| "-".to_owned()));
        let text = texts.collect::<Vec<_>>().join(" ");
        all.extend((0..part.rows).map(|_| text.clone()));
    }
    all
}

#[test]
fn every_class_holds_by_a_naive_count() {
    for seed in 0..24 {
        let mut rows = Rows::random(seed, 60 + 20 * seed as usize, &[4, 3, 6, 2], seed % 2 == 0);
        let count = rows.cells.len();
        let mut dice = Dice(seed);
        rows.persons = (seed % 3 == 1).then(|| (0..count).map(|_| dice.roll(40) as u32).collect());
        rows.sensitive = (seed % 3 == 2).then(|| (0..count).map(|_| dice.roll(4) as u32).collect());
        let table = tabled(&rows);
        let mut models = vec![Model::KAnonymity { k: 4 }];
        if rows.sensitive.is_some() {
            models.push(Model::DistinctL { column: "sensitive".to_owned(), l: 2 });
        }
        let recoding = run(&table, &models, 0.3).unwrap();
        assert!(testing::judge(&table, &recoding, &models).len() > 3, "{seed}");
        let loss = recoding.loss.as_ref().unwrap()[0];
        assert!(loss > 0.0 && loss < 0.6, "{loss}");
        // Each cell is the row's own value or `*`.
        for part in &recoding.parts {
            let Some(class) = part.class else { continue };
            for (column, cell) in recoding.classes[class as usize].iter().enumerate() {
                let leaf = table.leaves[column][part.combination as usize];
                let Cell::Group { level, group } = cell else { panic!("{cell:?}") };
                assert!((*level, *group) == (0, leaf) || (*level, *group) == (1, 0));
            }
        }
    }
}

/// Where a missing value counts as equal to all, `m *` would look like every `m` and one cell would do;
/// here two rows show `m *`, and the row that finds no second is suppressed.
#[test]
fn a_star_is_no_wildcard() {
    let cells = ["m 20", "m 20", "m 20", "m 30", "m 40", "f 30"].map(row).to_vec();
    let table = tabled(&Rows { cells, ..Rows::default() });
    let models = [Model::KAnonymity { k: 2 }];
    let recoding = run(&table, &models, 0.2).unwrap();
    testing::judge(&table, &recoding, &models);
    assert_eq!(shown(&table, &recoding), ["m 20", "m 20", "m 20", "m *", "m *"]);
}

#[test]
fn combinations_that_hold_give_up_cells_only_where_too_many_rows_are_left() {
    let cells = ["a x", "a x", "a x", "b x"].map(row).to_vec();
    let table = tabled(&Rows { cells, ..Rows::default() });
    let models = [Model::KAnonymity { k: 2 }];
    let recoding = run(&table, &models, 0.25).unwrap();
    assert_eq!(shown(&table, &recoding), ["a x", "a x", "a x"]);
    let recoding = run(&table, &models, 0.0).unwrap();
    testing::judge(&table, &recoding, &models);
    assert_eq!(shown(&table, &recoding), ["* x", "* x", "* x", "* x"]);
}

#[test]
fn columns_of_less_weight_and_named_later_are_given_up_first() {
    let cells = ["a x", "a x", "b x", "b y", "c y", "c x", "d x"].map(row).to_vec();
    let mut table = tabled(&Rows { cells, ..Rows::default() });
    let models = [Model::KAnonymity { k: 2 }];
    let recoding = run(&table, &models, 0.2).unwrap();
    assert_eq!(shown(&table, &recoding), ["a x", "a x", "b *", "b *", "c *", "c *"]);
    assert_eq!(recoding.loss, Some(vec![6.0 / 14.0]));
    table.hierarchies[0].weight = 0.5;
    let recoding = run(&table, &models, 0.0).unwrap();
    assert_eq!(shown(&table, &recoding), ["a x", "a x", "* x", "* y", "* x", "* y", "* x"]);
}

#[test]
fn what_cannot_be_helped_is_suppressed_or_refused() {
    let cells = ["a x", "a x", "b y"].map(row).to_vec();
    let table = tabled(&Rows { cells, ..Rows::default() });
    let models = [Model::KAnonymity { k: 2 }];
    let recoding = run(&table, &models, 0.34).unwrap();
    assert_eq!(shown(&table, &recoding), ["a x", "a x"]);
    let error = run(&table, &models, 0.3).unwrap_err();
    assert!(error.to_string().contains("1 rows"), "{error}");
}

#[test]
fn null_is_a_value_and_not_a_star() {
    let cells = ["a -", "a -", "a x", "a y"].map(row).to_vec();
    let table = tabled(&Rows { cells, ..Rows::default() });
    let recoding = run(&table, &[Model::KAnonymity { k: 2 }], 0.0).unwrap();
    let mut shown = shown(&table, &recoding);
    shown.sort();
    assert_eq!(shown, ["a *", "a *", "a -", "a -"]);
}

#[test]
fn the_order_of_rows_changes_nothing_and_limits_are_named() {
    let mut rows = Rows::random(3, 300, &[5, 4, 6], true);
    let models = [Model::KAnonymity { k: 5 }];
    let one = run(&tabled(&rows), &models, 0.1).unwrap();
    rows.cells.reverse();
    assert!(run(&tabled(&rows), &models, 0.1).unwrap() == one);
    let wide = Rows { cells: vec![vec![Some("a".to_owned()); 17]; 4], ..Rows::default() };
    let error = run(&tabled(&wide), &models, 0.0).unwrap_err();
    assert!(error.to_string().contains("at most 16"), "{error}");
}
