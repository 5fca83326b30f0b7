//! Measured by hand, by the published figures of two other programs, and on a table that others anonymized.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};

use super::super::recoding::{Cell, Part, Recoding};
use super::super::table::{Hierarchy, Lists, Sensitive as Counted, Table};
use super::*;
use crate::policy::release::{Distance, Estimator, HierarchyRule, Method, Quasi};
use crate::shared::shared;

fn rules(quasi: &[&str], models: Vec<Model>) -> ReleaseRules {
    let named = |column: &&str| Quasi {
        column: (*column).to_owned(),
        hierarchy: HierarchyRule::Top,
        weight: 1.0,
    };
    ReleaseRules {
        quasi_identifiers: quasi.iter().map(named).collect(),
        models,
        method: Method::Mondrian { strict: true },
        suppress_max: 0.0,
        unit: None,
        population: None,
        dangerous_rerelease: false,
    }
}

/// A table of texts; `-` is null.
fn table(names: &[&str], rows: &[&[&str]]) -> RecordBatch {
    let column = |at: usize| -> ArrayRef {
        let cells = rows.iter().map(|row| Some(row[at]).filter(|cell| *cell != "-"));
        Arc::new(cells.collect::<StringArray>())
    };
    let fields: Vec<_> = names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
    let columns = (0..names.len()).map(column).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn measured(batch: &RecordBatch, rules: &ReleaseRules, beside: &Beside) -> Measured {
    release([batch], rules, beside).unwrap()
}

fn near(one: f64, other: f64) {
    assert!((one - other).abs() < 1e-9, "{one} {other}");
}

fn k(k: u64) -> Model {
    Model::KAnonymity { k }
}

#[test]
fn a_null_and_a_star_are_categories_and_match_nothing_else() {
    let batch =
        table(&["a", "b"], &[&["1", "x"], &["1", "-"], &["1", "*"], &["1", "x"], &["1", "-"]]);
    let measured = measured(&batch, &rules(&["a", "b"], vec![k(1)]), &Beside::default());
    assert_eq!((measured.classes(), measured.k(), measured.largest()), (3, 1, 2));
    near(measured.average(), 5.0 / 3.0);
    assert_eq!(measured.sizes, BTreeMap::from([(1, 1), (2, 2)]));
}

#[test]
fn rows_may_lie_in_any_order_and_in_any_batches() {
    let rows: Vec<Vec<String>> =
        (0..60_u32).map(|n| vec![(n * 7 % 5).to_string(), (n % 3).to_string()]).collect();
    let rows: Vec<Vec<&str>> =
        rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
    let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
    let whole = table(&["a", "s"], &rows);
    let parts = [whole.slice(0, 7), whole.slice(7, 30), whole.slice(37, 23)];
    let rules = rules(&["a"], vec![k(12), Model::DistinctL { column: "s".to_owned(), l: 3 }]);
    let beside = Beside::default();
    assert_eq!(release(&parts, &rules, &beside).unwrap(), measured(&whole, &rules, &beside));
    let backwards: Vec<&[&str]> = rows.iter().rev().copied().collect();
    let backwards = measured(&table(&["a", "s"], &backwards), &rules, &beside);
    assert_eq!(backwards, measured(&whole, &rules, &beside));
    backwards.satisfies(&rules).unwrap();
}

#[test]
fn k_counts_persons_where_a_unit_is_named() {
    // Ten rows in one class, of two persons; three rows in the other, of two and of nobody.
    let mut rows: Vec<&[&str]> = vec![&["1", "ann"]; 9];
    rows.extend([&["1", "bob"], &["2", "cy"], &["2", "-"], &["2", "dee"]] as [&[&str]; 4]);
    let batch = table(&["a", "who"], &rows);
    let mut rules = rules(&["a"], vec![k(2)]);
    rules.unit = Some("who".to_owned());
    let found = measured(&batch, &rules, &Beside::default());
    assert_eq!((found.k(), found.smallest(), found.largest()), (2, 3, 10));
    assert_eq!(found.persons, Some(BTreeMap::from([(2, 2)])));
    found.satisfies(&rules).unwrap();
    rules.models = vec![k(3)];
    let found = measured(&batch, &rules, &Beside::default());
    let why = found.satisfies(&rules).unwrap_err().to_string();
    assert!(why.contains("k: 3 asked, 2 found"), "{why}");
}

#[test]
fn every_model_is_measured_and_the_worst_class_counts() {
    // Class 1: a a b c. Class 2: a b b b. In all: a 3, b 4, c 1.
    let rows: Vec<[&str; 2]> =
        "1a 1a 1b 1c 2a 2b 2b 2b".split(' ').map(|cell| [&cell[..1], &cell[1..]]).collect();
    let rows: Vec<&[&str]> = rows.iter().map(|row| row.as_slice()).collect();
    let batch = table(&["q", "s"], &rows);
    let column = "s".to_owned();
    let t = |t: f64, distance: Distance| Model::TCloseness { column: "s".to_owned(), t, distance };
    let models = vec![
        Model::DistinctL { column: column.clone(), l: 2 },
        Model::EntropyL { column: column.clone(), l: 1.75, estimator: Estimator::Shannon },
        Model::EntropyL { column: column.clone(), l: 4.0, estimator: Estimator::Grassberger },
        Model::RecursiveCl { column: column.clone(), c: 3.1, l: 2 },
        t(0.25, Distance::Equal),
        t(0.1875, Distance::Ordered),
        t(0.19, Distance::Hierarchical(HierarchyRule::Top)),
        Model::BetaLikeness { column, beta: 1.0, enhanced: false },
    ];
    let tree = Hierarchy {
        name: "s".to_owned(),
        groups: vec![vec![0, 1, 2], vec![0, 0, 1], vec![0, 0, 0]],
        labels: vec![vec![Some("a".into()), Some("b".into()), Some("c".into())], vec![], vec![]],
        weight: 1.0,
    };
    let beside = Beside { trees: BTreeMap::from([("s".to_owned(), tree)]), ..Beside::default() };
    let rules = rules(&["q"], models);
    let found = measured(&batch, &rules, &beside);
    let figures: Vec<f64> = found.findings.iter().map(|finding| finding.found.unwrap()).collect();
    near(figures[0], 2.0);
    // -(1/4 ln 1/4 + 3/4 ln 3/4)
    near(figures[1], 0.562_335_144_618_808_3_f64.exp());
    // G(1) = -gamma - ln 2 = -1.2704, G(3) = G(2) = 0.7296: ln 4 - (G(1) + 3 G(3)) / 4
    near(
        figures[2],
        (4.0_f64.ln() - (-1.270_362_845_461_478 + 3.0 * 0.729_637_154_538_522) / 4.0).exp(),
    );
    near(figures[3], 3.0);
    // Class 2: |1/4 - 3/8| + |3/4 - 1/2| + |0 - 1/8|, halved.
    near(figures[4], 0.25);
    // Class 1: (|1/8| + |1/8 - 1/4|) / 2 = 1/8. Class 2: (|-1/8| + |-1/8 + 1/4|) / 2 = 1/8.
    near(figures[5], 0.125);
    // Class 1: a to b at half height 1/8 / 2; b to c over the root 1/8. Class 2: the same the other way.
    near(figures[6], 0.1875);
    // c is 1/8 in all and 1/4 in class 1: once more.
    near(figures[7], 1.0);
    let holds: Vec<bool> = found.findings.iter().map(|finding| finding.holds).collect();
    assert_eq!(holds, [true, true, false, true, true, true, true, true]);
    let why = found.satisfies(&rules).unwrap_err().to_string();
    assert!(why.contains("entropy l of s: 4 asked"), "{why}");
    let summary = &found.sensitive[0];
    near(summary.certainty, 0.75);
    assert_eq!((summary.distinct, summary.homogeneous), (2, 0));
}

#[test]
fn recursion_must_stay_below_c() {
    let batch = table(&["q", "s"], &[&["1", "a"], &["1", "a"], &["1", "b"]]);
    let c = |c: f64| rules(&["q"], vec![Model::RecursiveCl { column: "s".to_owned(), c, l: 2 }]);
    let holds =
        |rules: &ReleaseRules| measured(&batch, rules, &Beside::default()).satisfies(rules).is_ok();
    assert!(!holds(&c(2.0)) && holds(&c(2.1)));
}

#[test]
fn closeness_is_to_the_table_before_suppression_where_it_is_known() {
    let batch = table(&["q", "s"], &[&["1", "a"], &["1", "b"], &["2", "a"], &["2", "b"]]);
    let column = "s".to_owned();
    let rules =
        rules(&["q"], vec![Model::TCloseness { column, t: 0.1, distance: Distance::Equal }]);
    let found = measured(&batch, &rules, &Beside::default());
    near(found.findings[0].found.unwrap(), 0.0);
    let spread = vec![(Some("a".to_owned()), 2), (Some("b".to_owned()), 2), (None, 4)];
    let spreads = BTreeMap::from([("s".to_owned(), spread)]);
    let beside = Beside { spreads, rows_in: Some(8), ..Beside::default() };
    let found = measured(&batch, &rules, &beside);
    near(found.findings[0].found.unwrap(), 0.5);
    near(found.suppressed().unwrap(), 0.5);
    let why = found.satisfies(&rules).unwrap_err().to_string();
    assert!(why.contains("t of s: 0.1 asked") && why.contains("0.5 of the rows"), "{why}");
}

/// PRIVACY: what a table is refused for names columns and figures, never a value.
#[test]
fn a_value_that_should_not_be_there_is_refused_and_not_told() {
    let batch = table(&["q", "s"], &[&["1", "cancer"]]);
    let column = "s".to_owned();
    let rules = rules(&["q"], vec![Model::DistinctL { column, l: 1 }]);
    let spreads = BTreeMap::from([("s".to_owned(), vec![(Some("flu".to_owned()), 1)])]);
    let beside = Beside { spreads, ..Beside::default() };
    let why = release([&batch], &rules, &beside).unwrap_err().to_string();
    assert!(why.contains("`s`") && !why.contains("cancer") && !why.contains("flu"), "{why}");
    let why = release([&table(&["q"], &[])], &rules, &Beside::default()).unwrap_err().to_string();
    assert!(why.contains("no column `s`"), "{why}");
}

#[test]
fn the_population_is_counted_class_by_class() {
    let batch = table(&["q", "r"], &[&["1", "-"], &["1", "-"], &["2", "x"]]);
    let key = |q: &str, r: Option<&str>| vec![Some(q.to_owned()), r.map(str::to_owned)];
    let population =
        BTreeMap::from([(key("1", None), 8), (key("2", Some("x")), 5), (key("1", Some("x")), 7)]);
    let models = vec![Model::KMap { k: 5 }, Model::DeltaPresence { min: 0.2, max: 0.25 }];
    let mut rules = rules(&["q", "r"], models);
    let why = release([&batch], &rules, &Beside::default()).unwrap_err().to_string();
    assert!(why.contains("without one"), "{why}");
    let beside = Beside { population: Some(population), ..Beside::default() };
    let found = measured(&batch, &rules, &beside);
    found.satisfies(&rules).unwrap();
    let presence = found.population.as_ref().unwrap();
    assert_eq!((presence.fewest, presence.elsewhere), (5, 7));
    near(presence.least, 0.2);
    near(presence.greatest, 0.25);
    for model in [Model::KMap { k: 6 }, Model::DeltaPresence { min: 0.21, max: 1.0 }] {
        rules.models = vec![model];
        assert!(measured(&batch, &rules, &beside).satisfies(&rules).is_err());
    }
    // A class that nobody of the population looks like is no class of the population.
    rules.models = vec![Model::KMap { k: 1 }];
    let beside = Beside { population: Some(BTreeMap::new()), ..Beside::default() };
    assert!(measured(&batch, &rules, &beside).satisfies(&rules).is_err());
}

#[test]
fn an_empty_table_breaks_no_class_and_has_no_k() {
    let batch = table(&["q", "s"], &[]);
    let models = vec![k(5), Model::DistinctL { column: "s".to_owned(), l: 2 }];
    let rules = rules(&["q"], models);
    let found = measured(&batch, &rules, &Beside { rows_in: Some(3), ..Beside::default() });
    assert_eq!((found.k(), found.findings[0].found), (0, None));
    assert!(found.satisfies(&rules).unwrap_err().to_string().contains("1 of the rows"));
}

#[test]
fn a_model_that_was_not_measured_is_not_kept() {
    let batch = table(&["q"], &[&["1"]]);
    let found = measured(&batch, &rules(&["q"], vec![]), &Beside::default());
    assert!(found.satisfies(&rules(&["q"], vec![k(1)])).is_err());
}

#[test]
fn numbers_stand_in_the_order_of_numbers() {
    let q: ArrayRef = Arc::new(StringArray::from(vec!["1", "1", "2", "2"]));
    let s: ArrayRef = Arc::new(Int64Array::from(vec![9, 10, 100, 100]));
    let batch = RecordBatch::try_from_iter([("q", q), ("s", s)]).unwrap();
    let column = "s".to_owned();
    let rules =
        rules(&["q"], vec![Model::TCloseness { column, t: 1.0, distance: Distance::Ordered }]);
    // All: 1/4, 1/4, 1/2. Class 2: 0, 0, 1: (1/4 + 1/2) / 2. As texts 10 < 100 < 9 it were (1/4 + 1/4) / 2.
    near(measured(&batch, &rules, &Beside::default()).findings[0].found.unwrap(), 0.375);
}

/// sdcMicro's frequencies (test_freqCalc.R). Where nothing is missing they are ours; where a value is missing,
/// sdcMicro lets it match any, and its frequencies are larger: ours counts a null as a value of its own.
#[test]
fn frequencies_are_those_of_sdcmicro_but_for_missing_values() {
    let Some(path) = shared("vectors/sdcmicro/sdcmicro_expected.json") else { return };
    let expected: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let ours = |case: &Value| {
        let cell = |column: &str, row: usize| {
            case[column][row].as_i64().map_or_else(|| "-".to_owned(), |n| n.to_string())
        };
        let rows: Vec<Vec<String>> =
            (0..8).map(|row| ["A", "B", "C"].map(|name| cell(name, row)).to_vec()).collect();
        let rows: Vec<Vec<&str>> =
            rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
        let batch = table(&["A", "B", "C"], &rows);
        measured(&batch, &rules(&["A", "B", "C"], vec![]), &Beside::default()).sizes
    };
    let theirs = |case: &Value| {
        let mut rows = BTreeMap::new();
        for fk in case["fk"].as_array().unwrap() {
            *rows.entry(fk.as_u64().unwrap()).or_insert(0) += 1;
        }
        rows
    };
    let cases = expected["freq_calc"].as_array().unwrap();
    // A class of n rows gives n rows a frequency of n.
    let rows = |sizes: &BTreeMap<u64, u64>| -> BTreeMap<u64, u64> {
        sizes.iter().map(|(size, classes)| (*size, size * classes)).collect()
    };
    assert_eq!(rows(&ours(&cases[0])), theirs(&cases[0]));
    assert_eq!(theirs(&cases[0]), BTreeMap::from([(1, 3), (2, 2), (3, 3)]));
    assert_eq!(
        rows(&ours(&cases[1])),
        BTreeMap::from([(1, 4), (2, 4)]),
        "a null matches a null only"
    );
    assert_eq!(theirs(&cases[1]), BTreeMap::from([(1, 2), (2, 3), (3, 2), (4, 1)]), "a wildcard");
}

#[test]
fn distinct_values_are_those_of_sdcmicro() {
    let Some(path) = shared("vectors/sdcmicro/sdcmicro_expected.json") else { return };
    let expected: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let case = &expected["distinct_l_diversity"];
    let names = ["sex", "occupation", "ethnicity", "sensitive"];
    let text = |cell: &Value| match cell {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let rows: Vec<Vec<String>> =
        (0..7).map(|row| names.map(|name| text(&case[name][row])).to_vec()).collect();
    for (row, distinct) in case["distinct"].as_array().unwrap().iter().enumerate() {
        // The class of this row alone.
        let alike = rows.iter().filter(|other| other[..3] == rows[row][..3]);
        let alike: Vec<Vec<&str>> =
            alike.map(|row| row.iter().map(String::as_str).collect()).collect();
        let alike: Vec<&[&str]> = alike.iter().map(Vec::as_slice).collect();
        let models = vec![Model::DistinctL { column: "sensitive".to_owned(), l: 1 }];
        let found =
            measured(&table(&names, &alike), &rules(&names[..3], models), &Beside::default());
        assert_eq!(found.sensitive[0].distinct, distinct.as_u64().unwrap(), "row {row}");
    }
}

/// A table that others made 5-anonymous; t and beta as pyCANON 1.3.6 gives them for the same columns.
#[test]
fn the_stroke_table_is_5_anonymous_and_not_diverse() {
    let Some(path) = shared("data/adult/stroke_k5.csv") else { return };
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| {
        let mut cells: Vec<String> = Vec::new();
        let mut quoted = false;
        for part in line.split(',') {
            let (open, cell) = (quoted, part.trim_matches('"'));
            quoted ^= part.matches('"').count() % 2 == 1;
            match cells.last_mut() {
                Some(last) if open => last.push_str(&format!(",{cell}")),
                _ => cells.push(cell.to_owned()),
            }
        }
        cells
    });
    let names = lines.next().unwrap();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> = lines.collect();
    let rows: Vec<Vec<&str>> =
        rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
    let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
    let batch = table(&names, &rows);
    let column = || "stroke".to_owned();
    let models = vec![
        k(5),
        Model::DistinctL { column: column(), l: 1 },
        Model::TCloseness { column: column(), t: 1.0, distance: Distance::Equal },
        Model::BetaLikeness { column: column(), beta: 14.0, enhanced: false },
    ];
    let quasi = &names[1..11];
    let found = measured(&batch, &rules(quasi, models.clone()), &Beside::default());
    assert_eq!((found.rows, found.classes(), found.k()), (5110, 144, 5));
    assert_eq!(found.sensitive[0].distinct, 1);
    assert!(found.sensitive[0].homogeneous > 0);
    near(found.findings[2].found.unwrap(), 0.665_557_729_941_291_6);
    near(found.findings[3].found.unwrap(), 13.658_634_538_152_61);
    found.satisfies(&rules(quasi, models)).unwrap();
    assert!(
        measured(&batch, &rules(quasi, vec![k(6)]), &Beside::default())
            .satisfies(&rules(quasi, vec![k(6)]))
            .is_err()
    );
}

/// Two combinations of a dataset, a third that only the population has; the second is suppressed.
fn counted() -> (Table, Recoding) {
    let text = |text: &str| Some(text.to_owned());
    let hierarchy = Hierarchy {
        name: "q".to_owned(),
        groups: vec![vec![0, 1, 2], vec![0, 0, 0]],
        labels: vec![vec![text("1"), text("2"), None], vec![text("*")]],
        weight: 1.0,
    };
    let sensitive = Counted {
        name: "s".to_owned(),
        values: vec![text("a"), text("b"), None],
        counts: Lists { starts: vec![0, 2, 3, 3], items: vec![(0, 2), (1, 1), (2, 1)] },
        hierarchy: None,
    };
    let table = Table {
        hierarchies: vec![hierarchy],
        leaves: vec![vec![0, 1, 2]],
        rows: vec![3, 1, 0],
        units: None,
        sensitive: vec![sensitive],
        population: Some(vec![10, 4, 6]),
    };
    let part = |combination, class, rows| Part { combination, class, rows };
    let recoding = Recoding {
        parts: vec![part(0, Some(0), 3), part(1, None, 1), part(2, None, 0)],
        classes: vec![vec![Cell::Group { level: 0, group: 0 }]],
        levels: Some(vec![0]),
        loss: None,
    };
    (table, recoding)
}

#[test]
fn what_stands_beside_a_release_follows_from_its_counts() {
    let (table_, recoding) = counted();
    let beside = Beside::of(&table_, &recoding);
    assert_eq!(beside.rows_in, Some(4));
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(beside.spreads["s"], [(text("a"), 2), (text("b"), 1), (None, 1)]);
    let population = BTreeMap::from([(vec![text("1")], 10), (vec![text("2")], 4), (vec![None], 6)]);
    assert_eq!(beside.population, Some(population));
    // Without levels the classes tell; what is suppressed looks like no class.
    let local = Beside::of(&table_, &Recoding { levels: None, ..recoding });
    assert_eq!(local.population, Some(BTreeMap::from([(vec![text("1")], 10)])));
    let batch = table(&["q", "s"], &[&["1", "a"], &["1", "a"], &["1", "b"]]);
    let column = "s".to_owned();
    let models = vec![
        Model::KMap { k: 10 },
        Model::TCloseness { column, t: 0.25, distance: Distance::Equal },
    ];
    let mut rules = rules(&["q"], models);
    rules.suppress_max = 0.25;
    let found = measured(&batch, &rules, &beside);
    found.satisfies(&rules).unwrap();
    // 2/3 1/3 0 against 1/2 1/4 1/4.
    near(found.findings[1].found.unwrap(), 0.25);
    assert_eq!(found.population.unwrap().elsewhere, 10);
}
