//! Every model that is about values or a population, from the policy to what a partner pulls: held against
//! figures that are counted here, by hand, from the pulled rows alone. Columns have rules, and a guarantee is
//! about what leaves: in each case raw values would have been judged otherwise.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Rows of an age.
const EACH: i64 = 12;

/// One model over the column `cost`.
struct Case {
    /// As the policy has it.
    model: &'static str,
    /// The rule of the column.
    rule: &'static str,
    /// The cost of a row: of the age, counted from 0, and of the row among its age.
    cost: fn(i64, i64) -> i64,
    /// Whether what is asked holds for a class of a table.
    holds: fn(&[f64], &[f64]) -> bool,
    /// Whether raw costs would hold where ages are as they are; else they fail at the level that is chosen.
    raw: bool,
}

/// Ages in turn lie below and above a hundred; all are different numbers.
const fn apart(age: i64, row: i64) -> i64 {
    100 * (age % 2) + 20 * (age / 2) + row
}

/// The same but for one row of each age.
const fn mixed(age: i64, row: i64) -> i64 {
    apart(if row == 0 { age + 1 } else { age }, row)
}

/// By value, in order: its share of a class and of the table.
fn shares(class: &[f64], table: &[f64]) -> Vec<(f64, f64, f64)> {
    let mut values = table.to_vec();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let share = |of: &[f64], value: f64| {
        of.iter().filter(|one| **one == value).count() as f64 / of.len() as f64
    };
    values.into_iter().map(|value| (value, share(class, value), share(table, value))).collect()
}

fn perplexity(class: &[f64]) -> f64 {
    let terms = shares(class, class).into_iter().map(|(_, share, _)| -share * share.ln());
    terms.sum::<f64>().exp()
}

/// The most frequent value over all but it, in rows.
fn most_to_rest(class: &[f64]) -> f64 {
    let most = shares(class, class).into_iter().map(|(_, share, _)| share).fold(0.0, f64::max);
    most / (1.0 - most)
}

fn equal(class: &[f64], table: &[f64]) -> f64 {
    shares(class, table).into_iter().map(|(_, p, q)| (p - q).abs()).sum::<f64>() / 2.0
}

fn ordered(class: &[f64], table: &[f64]) -> f64 {
    let shares = shares(class, table);
    let (mut sum, mut distance) = (0.0, 0.0);
    for (_, p, q) in &shares {
        sum += p - q;
        distance += f64::abs(sum);
    }
    distance / (shares.len() - 1) as f64
}

/// Over a tree of values, twohundreds and all: half an edge's length times what must pass it, for each edge.
fn tree(class: &[f64], table: &[f64]) -> f64 {
    let groups = |of: &[f64]| of.iter().map(|cost| (cost / 200.0).floor()).collect::<Vec<_>>();
    (equal(class, table) + equal(&groups(class), &groups(table))) / 2.0
}

/// The most that a value's share grows, and over what it may: `-ln` of the share in the table.
fn growth(class: &[f64], table: &[f64]) -> (f64, f64) {
    let grown =
        shares(class, table).into_iter().map(|(_, p, q)| ((p - q) / q, (p - q) / q + q.ln()));
    grown.fold((f64::MIN, f64::MIN), |most, one| (most.0.max(one.0), most.1.max(one.1)))
}

/// A distance that is what it may be at most, but for rounding.
const SLACK: f64 = 1e-9;

const CASES: [Case; 8] = [
    Case {
        model: "l_diversity: {column: cost, l: 2}",
        rule: "{bucket: {width: 100, as: lower}}",
        cost: apart,
        holds: |class, _| shares(class, class).len() >= 2,
        raw: true,
    },
    Case {
        model: "l_diversity: {column: cost, kind: entropy, l: 1.9}",
        rule: "{bucket: {width: 100, as: lower}}",
        cost: mixed,
        holds: |class, _| perplexity(class) >= 1.9,
        raw: true,
    },
    Case {
        model: "l_diversity: {column: cost, kind: recursive, c: 2, l: 2}",
        rule: "{bucket: {width: 100, as: lower}}",
        cost: mixed,
        holds: |class, _| most_to_rest(class) < 2.0,
        raw: true,
    },
    // No rule makes this one or `beta_likeness` worse: joining values brings distributions closer.
    Case {
        model: "t_closeness: {column: cost, t: 0.3}",
        rule: "{bucket: {width: 100, as: lower}}",
        cost: apart,
        holds: |class, table| equal(class, table) <= 0.3 + SLACK,
        raw: false,
    },
    // Ranks among two values are farther apart than among twelve.
    Case {
        model: "t_closeness: {column: cost, t: 0.3, distance: ordered}",
        rule: "{round: 100}",
        cost: |age, row| 144 + 6 * (age % 2) + row % 6,
        holds: |class, table| ordered(class, table) <= 0.3 + SLACK,
        raw: true,
    },
    // What is 144 or 155 lies below 200; rounded, one lies above.
    Case {
        model: "t_closeness: {column: cost, t: 0.3, distance: {intervals: {from: 0, widths: 200}}}",
        rule: "{round: 100}",
        cost: |age, row| 144 + 6 * (age % 2) + row % 6,
        holds: |class, table| tree(class, table) <= 0.3 + SLACK,
        raw: true,
    },
    Case {
        model: "beta_likeness: {column: cost, beta: 0.5}",
        rule: "{bucket: {width: 100, as: lower}}",
        cost: apart,
        holds: |class, table| growth(class, table).0 <= 0.5 + SLACK,
        raw: false,
    },
    // Frequent values may grow by less.
    Case {
        model: "beta_likeness: {column: cost, beta: 3, enhanced: true}",
        rule: "{bucket: {width: 100, as: lower}}",
        cost: apart,
        holds: |class, table| {
            let (growth, over) = growth(class, table);
            growth <= 3.0 + SLACK && over <= SLACK
        },
        raw: true,
    },
];

/// Four ages of a dozen rows.
fn costs(cost: fn(i64, i64) -> i64) -> RecordBatch {
    let rows = (0..4).flat_map(|age| (0..EACH).map(move |row| (age, row)));
    let numbers = |of: &dyn Fn(i64, i64) -> i64| -> ArrayRef {
        let numbers: Vec<i64> = rows.clone().map(|(age, row)| of(age, row)).collect();
        Arc::new(Int64Array::from(numbers))
    };
    let towns = StringArray::from(vec!["here"; (4 * EACH) as usize]);
    RecordBatch::try_from_iter([
        ("age", numbers(&|age, _| 20 + age)),
        ("town", Arc::new(towns) as ArrayRef),
        ("cost", numbers(&cost)),
        ("number", numbers(&|age, row| EACH * age + row)),
    ])
    .unwrap()
}

/// A policy over these columns.
fn rules(age: &str, cost: &str, quasi: &str, release: &str) -> String {
    format!(
        "\
version: 1
dataset: people
source: {{parquet: 'people/*.parquet'}}
columns: {{age: {age}, town: keep, cost: {cost}, number: keep}}
release:
  quasi_identifiers: {quasi}
{release}grants: [{{partner: cern, access: rows}}]
"
    )
}

const LEVELS: &str = "[{column: age, intervals: {from: 20, widths: [2, 4]}}, town]";
const PLAIN: &str = "[age, town]";

fn custodian(data: &RecordBatch, text: &str) -> Custody {
    let custody = Custody::empty();
    custody.write_parquet("people/a.parquet", data, 20);
    custody.write_policy("people.yaml", text);
    custody
}

fn built_and_pulled(custody: &Custody) -> (Manifest, Vec<Vec<Option<String>>>) {
    let manifest = built(custody);
    let rows = pulled(&custody.open().unwrap(), "cern").unwrap();
    assert_eq!(rows.len() as u64, manifest.rows.released);
    (manifest, rows)
}

/// That a build ends in the policy's fault, and nothing is served.
fn refused(custody: &Custody) -> String {
    let (exit, out, err) = call(custody, "build people");
    assert_eq!(exit, Exit::PolicyInvalid, "{out}{err}");
    let error = pulled(&custody.open().unwrap(), "cern").unwrap_err();
    assert_eq!(error.code(), Code::DatasetUnavailable);
    err
}

fn number(text: &Option<String>) -> f64 {
    text.as_ref().unwrap().parse().unwrap()
}

/// What rows of a class have in a column, by what they show of age and town.
fn by_class(
    rows: &[Vec<Option<String>>],
    of: impl Fn(&[Option<String>]) -> f64,
) -> BTreeMap<Vec<Option<String>>, Vec<f64>> {
    let mut classes: BTreeMap<_, Vec<f64>> = BTreeMap::new();
    for row in rows {
        classes.entry(row[..2].to_vec()).or_default().push(of(row));
    }
    classes
}

#[test]
fn models_of_values_hold_for_what_leaves_and_not_for_raw_values() {
    for case in &CASES {
        let Case { model, rule, cost, holds, raw } = *case;
        let data = costs(cost);
        let all_raw: Vec<f64> =
            (0..4 * EACH).map(|row| cost(row / EACH, row % EACH) as f64).collect();
        let raw_of = |row: &[Option<String>]| all_raw[number(&row[3]) as usize];
        let served_of = |row: &[Option<String>]| number(&row[2]);
        let all_hold = |classes: BTreeMap<_, Vec<f64>>, table: &[f64]| {
            classes.values().all(|class| holds(class, table))
        };
        let with = |quasi, method, models| {
            let release = format!("  method: {method}\n  k_anonymity: {{k: 2}}\n{models}");
            custodian(&data, &rules("keep", rule, quasi, &release))
        };
        let asked = format!("  {model}\n");
        // Without the model ages stay, and what leaves breaks it.
        let (manifest, rows) = built_and_pulled(&with(LEVELS, "lattice", ""));
        assert_eq!(manifest.levels[0].level, 0, "{model}");
        let table: Vec<f64> = rows.iter().map(|row| served_of(row)).collect();
        assert!(!all_hold(by_class(&rows, served_of), &table), "{model}: the test shows nothing");
        assert_eq!(all_hold(by_class(&rows, raw_of), &all_raw), raw, "{model}");
        // So there the model is refused,
        let err = refused(&with(LEVELS, "{fixed: {age: 0, town: 0}}", &asked));
        assert!(err.contains("48 rows would have to be suppressed"), "{model}: {err}");
        // and the optimum is one level up: not finer, for what leaves, and not coarser, for raw costs.
        let (manifest, rows) = built_and_pulled(&with(LEVELS, "lattice", &asked));
        let levels: Vec<u32> = manifest.levels.iter().map(|level| level.level).collect();
        assert_eq!(levels, [1, 0], "{model}");
        assert!(all_hold(by_class(&rows, served_of), &table), "{model}");
        assert!(raw || !all_hold(by_class(&rows, raw_of), &all_raw), "{model}");
        assert_eq!(rows.len(), table.len());
        // The other methods keep it too.
        for (method, quasi) in [("mondrian", LEVELS), ("local_suppression", PLAIN)] {
            let (_, rows) = built_and_pulled(&with(quasi, method, &asked));
            assert_eq!(rows.len(), table.len(), "{model} by {method}");
            assert!(all_hold(by_class(&rows, served_of), &table), "{model} by {method}");
        }
    }
}

/// Rows of ages for a dataset, or a population.
fn ages(counts: [usize; 4]) -> RecordBatch {
    let ages = (20..).zip(counts).flat_map(|(age, count)| vec![age; count]);
    let ages: Vec<i64> = ages.collect();
    let towns = StringArray::from(vec!["here"; ages.len()]);
    let costs = Int64Array::from(vec![0; ages.len()]);
    let numbers = Int64Array::from_iter_values(0..ages.len() as i64);
    RecordBatch::try_from_iter([
        ("age", Arc::new(Int64Array::from(ages)) as ArrayRef),
        ("town", Arc::new(towns)),
        ("cost", Arc::new(costs)),
        ("number", Arc::new(numbers)),
    ])
    .unwrap()
}

/// How many of these show the same as a row, where ages leave by twos.
fn alike(shown: &str, counts: [usize; 4]) -> usize {
    let covered = |age: i64| match shown.strip_prefix('[') {
        Some(_) if shown == "[20, 24)" => true,
        Some(_) => panic!("{shown}"),
        None => shown.parse::<i64>().unwrap() == age - age % 2,
    };
    (20..).zip(counts).filter(|(age, _)| covered(*age)).map(|(_, count)| count).sum()
}

#[test]
fn models_of_a_population_hold_for_what_leaves_and_not_for_raw_values() {
    // Ages leave by twos, those of the population too.
    let release = |model: &str| {
        let quasi = "[{column: age, intervals: {from: 20, widths: 4}}, town]";
        let release = format!("  method: METHOD\n  population: {{parquet: all}}\n  {model}\n");
        rules("{bucket: {width: 2, as: lower}}", "keep", quasi, &release)
    };
    type Holds = fn(usize, usize) -> bool;
    type Case = (&'static str, [usize; 4], [usize; 4], Holds, u32, bool);
    let cases: [Case; 4] = [
        // Three of each age in the population, six of each two.
        ("k_map: {k: 6}", [1, 1, 1, 1], [3, 3, 3, 3], |_, all| all >= 6, 0, false),
        ("k_map: {k: 7}", [1, 1, 1, 1], [3, 3, 3, 3], |_, all| all >= 7, 1, false),
        // All of one age are in the table, but five of eight of the two.
        (
            "delta_presence: {max: 0.75}",
            [4, 1, 3, 3],
            [4, 4, 4, 4],
            |own, all| 4 * own <= 3 * all,
            0,
            false,
        ),
        // Six of eight are too many, eleven of sixteen are not.
        (
            "delta_presence: {min: 0.1, max: 0.7}",
            [4, 1, 3, 3],
            [4, 4, 4, 4],
            |own, all| 10 * own <= 7 * all && 10 * own >= all,
            1,
            false,
        ),
    ];
    for (model, own, all, holds, level, raw) in cases {
        let with = |method: &str| {
            let custody = custodian(&ages(own), &release(model).replace("METHOD", method));
            custody.write_parquet("all/a.parquet", &ages(all), 20);
            custody
        };
        let (manifest, rows) = built_and_pulled(&with("lattice"));
        let levels: Vec<u32> = manifest.levels.iter().map(|level| level.level).collect();
        assert_eq!(levels, [level, 0], "{model}");
        assert_eq!(rows.len(), own.iter().sum::<usize>(), "{model}");
        for (shown, rows) in by_class(&rows, |_| 1.0) {
            let shown = shown[0].as_deref().unwrap();
            assert_eq!(rows.len(), alike(shown, own), "{model}");
            assert!(holds(alike(shown, own), alike(shown, all)), "{model} of {shown}");
        }
        assert_eq!(own.iter().zip(all).all(|(own, all)| holds(*own, all)), raw, "{model}");
        let fixed = with("{fixed: {age: 0, town: 0}}");
        if level == 0 {
            assert_eq!(built_and_pulled(&fixed).1.len(), rows.len());
        } else {
            refused(&fixed);
        }
    }
}

/// Persons of two numbers, many alike.
fn numbers() -> RecordBatch {
    let rows = 0..200_i64;
    let numbers = |of: &dyn Fn(i64) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(rows.clone().map(of)))
    };
    let towns = StringArray::from_iter_values(rows.clone().map(|_| "here"));
    RecordBatch::try_from_iter([
        ("age", numbers(&|row| 20 + row * row % 17)),
        ("town", Arc::new(towns) as ArrayRef),
        ("cost", numbers(&|row| 1_000 + 37 * (row % 3))),
        ("number", numbers(&|row| row)),
    ])
    .unwrap()
}

/// Raw age and cost of a pulled row.
fn raw_numbers(row: &[Option<String>]) -> (i64, i64) {
    let row = number(&row[3]) as i64;
    (20 + row * row % 17, 1_000 + 37 * (row % 3))
}

/// What a row shows in columns.
fn shown(row: &[Option<String>], columns: [usize; 2]) -> [Option<String>; 2] {
    columns.map(|column| row[column].clone())
}

#[test]
fn relaxed_mondrian_divides_equal_rows_and_keeps_k() {
    let divided = |strict: bool| {
        let release =
            format!("  method: {{mondrian: {{strict: {strict}}}}}\n  k_anonymity: {{k: 9}}\n");
        let custody = custodian(&numbers(), &rules("keep", "keep", "[age, cost]", &release));
        let (manifest, rows) = built_and_pulled(&custody);
        let once: BTreeSet<i64> = rows.iter().map(|row| number(&row[3]) as i64).collect();
        assert_eq!(once.len(), 200, "every row once");
        let mut classes: BTreeMap<_, u64> = BTreeMap::new();
        let mut of_equal: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for row in &rows {
            let (age, cost) = raw_numbers(row);
            let class = shown(row, [0, 2]);
            // Each value lies within what its row shows.
            for (shown, value) in class.iter().zip([age, cost]) {
                let shown = shown.as_deref().unwrap();
                let ends = shown.trim_matches(['[', ']']).split(", ");
                let ends: Vec<i64> = ends.filter_map(|end| end.parse().ok()).collect();
                assert!(ends[0] <= value && value <= ends[ends.len() - 1], "{shown} {value}");
            }
            *classes.entry(class.clone()).or_default() += 1;
            of_equal.entry((age, cost)).or_default().insert(class);
        }
        assert!(classes.values().all(|rows| *rows >= 9), "{classes:?}");
        assert_eq!(classes.len() as u64, manifest.rows.classes);
        let divided = of_equal.values().filter(|classes| classes.len() > 1).count();
        (divided, classes.len())
    };
    let ((strict, few), (relaxed, many)) = (divided(true), divided(false));
    assert_eq!(strict, 0, "equal rows stay together");
    assert!(relaxed > 0, "no equal rows were divided");
    assert!(many >= few, "{many} classes, strict {few}");
}

#[test]
fn microaggregation_makes_groups_of_k_and_preserves_means() {
    let release = "  method: microaggregation\n  k_anonymity: {k: 7}\n";
    let custody = custodian(&numbers(), &rules("keep", "keep", "[age, cost]", release));
    let (_, rows) = built_and_pulled(&custody);
    assert_eq!(rows.len(), 200);
    type Sums = (f64, [i64; 2]);
    let mut groups: BTreeMap<_, Sums> = BTreeMap::new();
    let mut sums = ([0.0; 2], [0; 2]);
    for row in &rows {
        let (age, cost) = raw_numbers(row);
        let group = groups.entry(shown(row, [0, 2])).or_default();
        group.0 += 1.0;
        for ((at, column), raw) in [0, 2].into_iter().enumerate().zip([age, cost]) {
            group.1[at] += raw;
            sums.0[at] += number(&row[column]);
            sums.1[at] += raw;
        }
    }
    let near = |one: f64, other: f64| assert!((one - other).abs() <= 1e-9 * other, "{one} {other}");
    assert!(groups.len() > 10 && groups.values().all(|(rows, _)| *rows >= 7.0), "{groups:?}");
    // Of each group, and so of the table.
    for (shown, (rows, raw)) in &groups {
        for (mean, raw) in shown.iter().zip(raw) {
            near(number(mean), *raw as f64 / rows);
        }
    }
    (0..2).for_each(|at| near(sums.0[at], sums.1[at] as f64));
    // Values that no group of k has are there no more.
    assert!(rows.iter().any(|row| number(&row[0]).fract() != 0.0));
}

#[test]
fn local_suppression_leaves_values_or_stars_and_classes_of_k() {
    let release = "  method: local_suppression\n  suppress_max: 0.05\n  k_anonymity: {k: 6}\n";
    let custody = custodian(&numbers(), &rules("keep", "keep", "[age, cost]", release));
    let (manifest, rows) = built_and_pulled(&custody);
    assert!(manifest.rows.suppressed <= 10, "{:?}", manifest.rows);
    let mut classes: BTreeMap<_, u64> = BTreeMap::new();
    let mut stars = [0; 2];
    for row in &rows {
        let (age, cost) = raw_numbers(row);
        let class = shown(row, [0, 2]);
        for (at, (shown, raw)) in class.iter().zip([age, cost]).enumerate() {
            match shown.as_deref() {
                Some("*") => stars[at] += 1,
                shown => assert_eq!(shown, Some(raw.to_string().as_str())),
            }
        }
        *classes.entry(class).or_default() += 1;
    }
    assert!(classes.values().all(|rows| *rows >= 6), "{classes:?}");
    assert!(!classes.contains_key(&[Some("*".to_owned()), Some("*".to_owned())]), "{classes:?}");
    // Some cells stand, some do not: whole columns are not given up.
    assert!(stars.iter().sum::<usize>() > 0 && stars.iter().all(|n| *n < rows.len()), "{stars:?}");
}

#[test]
fn a_table_of_quasi_identifiers_alone_is_released_and_an_empty_one_too() {
    let text = rules("keep", "keep", LEVELS, "  k_anonymity: {k: 5}\n");
    let alone = text.replace("cost: keep, number: keep", "cost: drop, number: drop");
    let (manifest, rows) = built_and_pulled(&custodian(&costs(apart), &alone));
    assert_eq!((rows.len(), rows[0].len(), manifest.rows.smallest), (48, 2, 12));
    let four: BTreeSet<_> = rows.into_iter().collect();
    assert_eq!(four.len(), 4);
    for method in ["lattice", "mondrian", "local_suppression", "{fixed: {age: 0, town: 0}}"] {
        let quasi = if method == "local_suppression" { PLAIN } else { LEVELS };
        let release = format!("  method: {method}\n  k_anonymity: {{k: 5}}\n");
        let text = rules("keep", "keep", quasi, &release);
        let none = text.replace("columns:", "rows: 'age > 1000'\ncolumns:");
        let (manifest, rows) = built_and_pulled(&custodian(&costs(apart), &none));
        assert_eq!((manifest.rows.read, rows.len()), (0, 0), "{method}");
    }
}
