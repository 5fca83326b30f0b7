//! Persons behind rows: what is one person, who is nobody, and what a person of many rows changes. The right
//! of whoever counts them is held against the raw names here.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Rows of one age, by zip code and name.
fn named(rows: &[(&str, Option<&str>)]) -> RecordBatch {
    let texts = |of: &dyn Fn(usize) -> Option<String>| -> ArrayRef {
        Arc::new(StringArray::from_iter((0..rows.len()).map(of)))
    };
    let numbers = |of: &dyn Fn(i64) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values((0..rows.len() as i64).map(of)))
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("name", texts(&|row| rows[row].1.map(str::to_owned))),
        ("age", numbers(&|_| 30)),
        ("zip", texts(&|row| Some(rows[row].0.to_owned()))),
        ("job", texts(&|_| Some("cook".to_owned()))),
        ("number", numbers(&|row| row)),
        ("secret", texts(&|_| Some("hush".to_owned()))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
        .unwrap()
}

fn custody_of(data: &RecordBatch, text: &str) -> Custody {
    let custody = Custody::empty();
    custody.write_parquet("people/a.parquet", data, 5);
    custody.write_policy("people.yaml", text);
    custody
}

/// What the files were measured to give of the first model.
fn measured(manifest: &Manifest) -> Option<f64> {
    manifest.guarantees[0].achieved
}

/// A null is nobody, and what the rule of the unit calls equal is one person: for the counts from which
/// classes are chosen and for the measure of the files alike.
#[test]
fn nulls_are_nobody_and_equal_names_one_person_for_who_chooses_and_who_measures() {
    let rows = [
        // Two persons of six rows,
        ("11111", Some("Ann")),
        ("11111", Some("ann ")),
        ("11111", Some(" ANN")),
        ("11111", Some("Bob")),
        ("11111", None),
        ("11111", None),
        // three of six,
        ("22222", Some("Cyd")),
        ("22222", Some("cyd")),
        ("22222", Some("Dee")),
        ("22222", Some("Eve")),
        ("22222", None),
        ("22222", None),
        // and nobody.
        ("33333", None),
        ("33333", None),
        ("33333", None),
        ("33333", None),
    ];
    let text = |k: u64, rule: &str| {
        let release = RELEASE.replace("0.05", "1").replace("k: 5", &format!("k: {k}"));
        let release = format!("{release}  unit: name\n");
        policy("{fixed: {age: 0, zip: 0}}", &release)
            .replace("name: {pseudonym: {method: hmac}}", &format!("name: {rule}"))
    };
    let evened = "{pseudonym: {method: hmac, normalize: [trim, case_fold]}}";
    // k, the rule, and then zip codes that are left, k as measured, and names that a partner sees.
    let cases: [(u64, &str, &[&str], f64, usize); 5] = [
        (4, "{pseudonym: {method: hmac}}", &["11111", "22222"], 4.0, 8),
        (2, evened, &["11111", "22222"], 2.0, 5),
        (3, evened, &["22222"], 3.0, 3),
        (4, evened, &[], 0.0, 0),
        // Without `normalize` no two names are equal, whether they leave or not.
        (4, "drop", &["11111", "22222"], 4.0, 0),
    ];
    for (k, rule, left, least, names) in cases {
        let custody = custody_of(&named(&rows), &text(k, rule));
        let manifest = built(&custody);
        let at = format!("k = {k}, {rule}");
        assert_eq!(manifest.rows.released, 6 * left.len() as u64, "{at}");
        assert_eq!(measured(&manifest).unwrap_or(0.0), least, "{at}");
        let (exit, out, err) = call(&custody, "verify people");
        assert_eq!(exit, Exit::Done, "{at}: {out}{err}");
        let rows = pulled(&custody.open().unwrap(), "cern").unwrap();
        let leaves = usize::from(rule != "drop");
        let zips: BTreeSet<&str> =
            rows.iter().map(|row| row[leaves + 1].as_deref().unwrap()).collect();
        assert!(zips.into_iter().eq(left.iter().copied()), "{at}");
        if leaves == 1 {
            let seen: BTreeSet<_> = rows.iter().filter_map(|row| row[0].as_deref()).collect();
            assert_eq!(seen.len(), names, "{at}");
        }
    }
}

/// One person has every second row. However classes are made, each has k others.
#[test]
fn a_person_of_many_rows_counts_once_by_every_method() {
    let crowd = people(0..ROWS);
    let name =
        |row: i64| if row % 2 == 0 { "hermit".to_owned() } else { format!("person-{}", row % 97) };
    let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..ROWS).map(name)));
    let mut columns = crowd.columns().to_vec();
    columns[0] = names;
    let data = RecordBatch::try_new(crowd.schema(), columns).unwrap();
    let release = RELEASE.replace("k: 5", "k: 4");
    let plain = release.replace("{column: age, intervals: {from: 0, widths: [10, 20, 40]}}", "age");
    let plain = plain.replace("{column: zip, mask: [1, 2, 3, 4]}", "zip");
    let fewest = |method: &str, release: &str| {
        let custody = custody_of(&data, &policy(method, release));
        let manifest = built(&custody);
        let rows = pulled(&custody.open().unwrap(), "cern").unwrap();
        let mut classes: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        for row in &rows {
            let number: i64 = row[4].as_ref().unwrap().parse().unwrap();
            classes.entry(row[1..3].to_vec()).or_default().insert(name(number));
        }
        let fewest = classes.values().map(BTreeSet::len).min().unwrap() as u64;
        if release.contains("unit") {
            assert_eq!(measured(&manifest), Some(fewest as f64), "{method}");
        }
        fewest
    };
    let fixed = "{fixed: {age: 2, zip: 2}}";
    for (method, release) in [
        ("lattice", &release),
        (fixed, &release),
        ("mondrian", &release),
        ("local_suppression", &plain),
    ] {
        let share = release.replace("0.05", "0.7");
        assert!(fewest(method, &format!("{share}  unit: name\n")) >= 4, "{method}");
    }
    // By rows alone a class is mostly the hermit's.
    assert!(fewest("mondrian", &release) < 4, "the test shows nothing");
}

/// What k does not stop, as the manual says: where pseudonyms leave, a person's rows in several classes join,
/// and few persons are in the same ones. Without the column nothing joins.
#[test]
fn a_pseudonym_joins_the_classes_of_a_person_and_without_it_nothing_does() {
    let mut rows: Vec<(&str, Option<String>)> = Vec::new();
    for zip in ["11111", "22222"] {
        rows.extend((0..6).map(|one| (zip, Some(format!("only-{zip}-{one}")))));
        rows.push((zip, Some("wanderer".to_owned())));
    }
    let rows: Vec<(&str, Option<&str>)> =
        rows.iter().map(|(zip, name)| (*zip, name.as_deref())).collect();
    let release = format!("{RELEASE}  unit: name\n");
    let text = policy("{fixed: {age: 0, zip: 0}}", &release);
    let custody = custody_of(&named(&rows), &text);
    assert_eq!(measured(&built(&custody)), Some(7.0));
    let pulled_rows = pulled(&custody.open().unwrap(), "cern").unwrap();
    let mut of: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for row in &pulled_rows {
        of.entry(row[0].clone()).or_default().insert(row[2].clone());
    }
    let both = of.values().filter(|zips| zips.len() == 2).count();
    assert_eq!(both, 1, "each class has seven persons, and one alone is in both");
    let dropped = text.replace("name: {pseudonym: {method: hmac}}", "name: drop");
    let custody = custody_of(&named(&rows), &dropped);
    assert_eq!(measured(&built(&custody)), Some(7.0));
    let rows = pulled(&custody.open().unwrap(), "cern").unwrap();
    // Nothing tells rows of a class apart but their number in the data.
    let seen: BTreeSet<_> = rows.iter().map(|row| row[..3].to_vec()).collect();
    assert_eq!((rows.len(), seen.len()), (14, 2));
}
