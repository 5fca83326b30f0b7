//! Tests of `randomized_response`. Keys are fixed, so a statistical test that passes once passes always.

use std::collections::BTreeMap;

use arrow::array::{Int16Array, StringArray};

use super::super::testing::{Fixture, args, keys, word, words};
use super::*;
use crate::policy::args::Value;

fn rule(values: &[&str], epsilon: f64) -> Args {
    let set =
        [("values", words(values)), ("person", word("User")), ("epsilon", Value::Number(epsilon))];
    args(&RandomizedResponse, &set)
}

/// What leaves for pairs of person and value.
fn responses(
    args: &Args,
    rows: &[(Option<&str>, Option<&str>)],
    partner: &str,
) -> Vec<Option<String>> {
    let persons: ArrayRef = Arc::new(rows.iter().map(|row| row.0).collect::<StringArray>());
    let values: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<StringArray>());
    let out = Fixture::new("Level", &DataType::Utf8)
        .with_reads(&[DataType::Utf8])
        .with_keys(keys("column:Level", Some(partner)))
        .apply(&RandomizedResponse, args, &values, &[persons])
        .unwrap();
    text::strings(&out).unwrap().iter().map(|value| value.map(str::to_owned)).collect()
}

const PERSONS: usize = 40_000;

/// How often each category leaves for one value of many persons.
fn counts(args: &Args, value: &str) -> BTreeMap<String, usize> {
    let persons: Vec<String> = (0..PERSONS).map(|n| format!("person {n}")).collect();
    let rows: Vec<_> = persons.iter().map(|person| (Some(person.as_str()), Some(value))).collect();
    let mut counts = BTreeMap::new();
    for response in responses(args, &rows, "cern").into_iter().flatten() {
        *counts.entry(response).or_insert(0) += 1;
    }
    counts
}

/// Whether a count is that of a chance, to five deviations: one false alarm in a million.
fn is_of(count: usize, chance: f64) -> bool {
    let all = PERSONS as f64;
    (count as f64 - all * chance).abs() < 5.0 * (all * chance * (1.0 - chance)).sqrt()
}

#[test]
fn every_category_leaves_with_its_chance() {
    // With `other`, four categories: e^1.1 / (e^1.1 + 3) is 0.500346, each other 0.166551.
    let args = rule(&["low", "normal", "high"], 1.1);
    for value in ["low", "normal", "high", "other", "something else"] {
        let truth = if value == "something else" { "other" } else { value };
        let counts = counts(&args, value);
        assert_eq!(counts.len(), 4);
        for (category, count) in counts {
            let chance = if category == truth { 0.500_346 } else { 0.166_551 };
            assert!(is_of(count, chance), "{value}: {category} {count}");
            // A tenth more epsilon would be seen.
            assert!(category != truth || !is_of(count, 1.0 / (1.0 + 3.0 * (-1.21_f64).exp())));
        }
    }
}

#[test]
fn the_odds_of_no_response_differ_by_more_than_e_to_the_epsilon() {
    for (values, epsilon) in [(2, 0.01), (2, 1.0), (7, 3.0), (1_000, 20.0)] {
        let names: Vec<String> = (0..values).map(|n| n.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let coin = Coin::new(&rule(&names, epsilon));
        let keep = coin.bar() as f64 / (1_u64 << 53) as f64;
        let each = (1.0 - keep) / (coin.categories.len() - 1) as f64;
        assert!(keep / each <= epsilon.exp() * (1.0 + 1e-9), "{values} {epsilon}");
        assert!(keep / each > epsilon.exp() * 0.999, "{values} {epsilon}");
    }
}

#[test]
fn the_others_are_even_and_never_the_true_one() {
    let coin = Coin::new(&rule(&["a", "b", "c"], 0.01));
    for truth in 0..4 {
        // The coin falls on the lie, with every quarter of the second number.
        let lies: Vec<usize> = (0..3)
            .map(|part| coin.leaves(truth, [u64::MAX, u64::MAX / 3 * part + 1_000, 0, 0]))
            .collect();
        let expected: Vec<usize> = (0..4).filter(|at| *at != truth).collect();
        assert_eq!(lies, expected);
        assert_eq!(coin.leaves(truth, [0, u64::MAX, 0, 0]), truth);
        assert_ne!(coin.leaves(truth, [u64::MAX, u64::MAX, 0, 0]), truth);
    }
}

#[test]
fn the_same_person_and_category_leave_the_same_and_others_do_not() {
    let args = rule(&["low", "normal", "high"], 0.5);
    let persons: Vec<String> = (0..400).map(|n| format!("person {n}")).collect();
    let of = |value, partner| {
        let rows: Vec<_> =
            persons.iter().map(|person| (Some(person.as_str()), Some(value))).collect();
        responses(&args, &rows, partner)
    };
    assert_eq!(of("low", "cern"), of("low", "cern"));
    // All that is not listed is one category.
    assert_eq!(of("x", "cern"), of("y", "cern"));
    assert_ne!(of("low", "cern"), of("high", "cern"));
    assert_ne!(of("low", "cern"), of("low", "desy"), "partners have coins of their own");
    let ada = [(Some("ada"), Some("low")); 50];
    let responses = responses(&args, &ada, "cern");
    assert!(
        responses.iter().all(|response| *response == responses[0]),
        "repeats average nothing out"
    );
}

#[test]
fn frequencies_are_found_again() {
    let args = rule(&["low", "normal", "high"], 1.1);
    let persons: Vec<String> = (0..PERSONS).map(|n| format!("person {n}")).collect();
    // One in five is high.
    let value = |at: usize| if at.is_multiple_of(5) { "high" } else { "low" };
    let rows: Vec<_> = persons
        .iter()
        .enumerate()
        .map(|(at, person)| (Some(person.as_str()), Some(value(at))))
        .collect();
    let all = responses(&args, &rows, "cern");
    let count = all.iter().flatten().filter(|response| *response == "high").count() as f64;
    let (keep, each) = Coin::new(&args).chances();
    let found = (count - each * PERSONS as f64) / (keep - each);
    // Its deviation is under 250.
    assert!((found - 8_000.0).abs() < 1_250.0, "{found}");
}

#[test]
fn null_and_unknown_persons_are_null_and_numbers_are_their_text() {
    let args = rule(&["1", "2"], 20.0);
    let rows = [(Some("ada"), None), (None, Some("1")), (Some("ada"), Some("1"))];
    assert_eq!(responses(&args, &rows, "cern")[..2], [None, None]);
    let persons: ArrayRef = Arc::new(StringArray::from(vec!["ada"; 2]));
    let numbers: ArrayRef = Arc::new(Int16Array::from(vec![1, 2]));
    let out = Fixture::new("Level", &DataType::Int16)
        .with_reads(&[DataType::Utf8])
        .apply(&RandomizedResponse, &args, &numbers, &[persons])
        .unwrap();
    let out: Vec<_> = text::strings(&out).unwrap().iter().flatten().map(str::to_owned).collect();
    assert_eq!(out, ["1", "2"], "an epsilon of 20 leaves the truth with all but 10^-8");
}

#[test]
fn categories_that_are_none_are_refused() {
    let refused = |values: &[&str], other: &str| {
        let args = rule(values, 1.0).with("other", word(other));
        RandomizedResponse.check(&args).iter().map(|refusal| refusal.param).collect::<Vec<_>>()
    };
    assert_eq!(refused(&["a", "b"], "other"), []);
    assert_eq!(refused(&["a"], "other"), []);
    assert_eq!(refused(&["a"], "a"), [Some("values")]);
    assert_eq!(refused(&[], "other"), [Some("values")]);
    assert_eq!(refused(&["a", "b", "a"], "other"), [Some("values")]);
    let many: Vec<String> = (0..=VALUES_MAX).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(refused(&many, "0"), [Some("values")]);
}

#[test]
fn less_epsilon_is_stronger() {
    let (weak, strong) = (rule(&["a", "b"], 2.0), rule(&["a", "b"], 1.0));
    assert_eq!(RandomizedResponse.compare(&weak, &strong), Change::Strengthens);
    assert_eq!(RandomizedResponse.compare(&strong, &weak), Change::Weakens);
    assert_eq!(RandomizedResponse.compare(&weak, &rule(&["a", "b", "c"], 2.0)), Change::Moves);
}

#[test]
fn explain_says_the_chances_and_how_to_count() {
    let said = RandomizedResponse.explain(&rule(&["low", "normal", "high"], 1.1));
    assert_eq!(
        said,
        "Leaves as one of 4 categories: as the true one with a chance of 50.03 %, as each other with 16.66 %. \
         The same `User` with the same category always leaves as the same one. Among n rows of different \
         persons, of which c show a category, about (c - 0.166551 n) / 0.333796 have it."
    );
}
