//! Styles, the order of numbers, and that numbers do not depend on batches, threads or restarts.

use std::sync::Arc;

use arrow::array::{Array, Int64Array};
use proptest::prelude::*;

use super::*;
use crate::pipeline::transform::Counted;
use crate::pipeline::transform::testing::{
    Fixture, apply_texts, args, dictionary, text, text_or_null, texts, word, words,
};
use crate::policy::args::Value;

fn written(set: &[(&str, Value)], number: u64) -> String {
    TokenStyle::new(&args(&TokenPseudonym, set)).text(number)
}

#[test]
fn numbers_have_prefix_and_width() {
    assert_eq!(written(&[], 1), "ID_1");
    let set = [("prefix", word("user_")), ("width", Value::Integer(4))];
    assert_eq!(written(&set, 1), "user_0001");
    assert_eq!(written(&set, 9_999), "user_9999");
    assert_eq!(written(&set, 10_000), "user_10000");
    assert_eq!(written(&[("prefix", word(""))], u64::MAX), "18446744073709551615");
}

#[test]
fn letters_count_without_a_zero() {
    let set = [("prefix", word("group_")), ("style", word("letters"))];
    let cases =
        [(1, "A"), (26, "Z"), (27, "AA"), (52, "AZ"), (53, "BA"), (702, "ZZ"), (703, "AAA")];
    for (number, letters) in cases {
        assert_eq!(written(&set, number), format!("group_{letters}"));
    }
}

#[test]
fn first_seen_follows_the_data() {
    let set = [("order", word("first_seen")), ("prefix", word("UR_"))];
    let out = apply_texts(&TokenPseudonym, &set, &["zoe", "amy", "zoe", "bob"]);
    assert_eq!(out, ["UR_1", "UR_2", "UR_1", "UR_3"]);
}

#[test]
fn keyed_order_is_that_of_the_keyed_hash_whatever_the_arrival() {
    let names: Vec<String> = (0..50).map(|number| format!("user{number}")).collect();
    let forth: Vec<&str> = names.iter().map(String::as_str).collect();
    let back: Vec<&str> = forth.iter().rev().copied().collect();
    let mut turned = apply_texts(&TokenPseudonym, &[], &back);
    turned.reverse();
    let out = apply_texts(&TokenPseudonym, &[], &forth);
    assert_eq!(out, turned);
    let arrival: Vec<String> = (1..=50).map(|number| format!("ID_{number}")).collect();
    assert_ne!(out, arrival);
    let mut sorted = out;
    sorted.sort_by_key(|token| token.split_at(3).1.parse::<u64>().unwrap());
    assert_eq!(sorted, arrival, "numbers are dense");
}

#[test]
fn numbers_do_not_depend_on_batches() {
    let args = args(&TokenPseudonym, &[]);
    let batches = [text(&["a", "b"]), text(&["c", "a"]), text(&["d"])];
    let run = |order: [usize; 3]| {
        let mut fixture = Fixture::new("User", &DataType::Utf8);
        fixture.learn(&TokenPseudonym, &args, &batches).unwrap();
        let mut out = [None, None, None];
        for index in order {
            let mut kernel = fixture.kernel(&TokenPseudonym, &args).unwrap();
            out[index] = Some(texts(&kernel.apply(&batches[index], &[]).unwrap()));
        }
        out
    };
    assert_eq!(run([0, 1, 2]), run([2, 1, 0]));
}

#[test]
fn numbers_stay_when_new_values_come() {
    let args = args(&TokenPseudonym, &[]);
    let mut fixture = Fixture::new("User", &DataType::Utf8);
    let first = fixture.apply(&TokenPseudonym, &args, &text(&["a", "b"]), &[]).unwrap();
    let second = fixture.apply(&TokenPseudonym, &args, &text(&["c", "b", "a"]), &[]).unwrap();
    let (first, second) = (texts(&first), texts(&second));
    assert_eq!(second[0].as_deref(), Some("ID_3"));
    assert_eq!(second[1], first[1]);
    assert_eq!(second[2], first[0]);
}

#[test]
fn rows_are_counted_by_value_and_nulls_are_not() {
    let args = args(&TokenPseudonym, &[("normalize", words(&["trim"]))]);
    let mut fixture = Fixture::new("User", &DataType::Utf8);
    let batches = [text_or_null(&[Some("a"), None, Some("b"), Some(" a")]), text(&["a", "c"])];
    fixture.learn(&TokenPseudonym, &args, &batches).unwrap();
    let Some(Learned::Tokens(tally)) = &fixture.learned else { panic!("tokens were learned") };
    assert_eq!(tally.scope, fixture.keys.token_scope());
    let mut rows: Vec<u64> = tally.rows.iter().map(|(_, rows)| *rows).collect();
    rows.sort_unstable();
    assert_eq!(rows, [1, 1, 3]);
    let of_a = fixture.tokens.numbers(&tally.scope, &["a"]).unwrap()[0];
    assert!(tally.rows.contains(&(of_a, 3)));
}

#[test]
fn a_value_that_no_learner_saw_still_gets_a_number() {
    let args = args(&TokenPseudonym, &[]);
    let fixture = Fixture::new("User", &DataType::Utf8);
    let mut kernel = fixture.kernel(&TokenPseudonym, &args).unwrap();
    let out = texts(&kernel.apply(&text(&["a", "a"]), &[]).unwrap());
    assert_eq!(out, [Some("ID_1".to_owned()), Some("ID_1".to_owned())]);
}

#[test]
fn normalized_values_share_a_number() {
    let set = [("normalize", words(&["trim", "case_fold"]))];
    let out = apply_texts(&TokenPseudonym, &set, &["Alice ", "alice", "ALICE"]);
    assert_eq!(out, ["ID_1", "ID_1", "ID_1"]);
}

#[test]
fn null_stays_null_or_is_number_zero() {
    let column = text_or_null(&[None, Some("a")]);
    let plain = args(&TokenPseudonym, &[("width", Value::Integer(4))]);
    let mut fixture = Fixture::new("User", column.data_type());
    let out = texts(&fixture.apply(&TokenPseudonym, &plain, &column, &[]).unwrap());
    assert_eq!(out, [None, Some("ID_0001".to_owned())]);
    let mut fixture = Fixture::new("User", column.data_type()).with_null_tokens();
    let out = texts(&fixture.apply(&TokenPseudonym, &plain, &column, &[]).unwrap());
    assert_eq!(out[0].as_deref(), Some("ID_0000"));
    let letters = args(&TokenPseudonym, &[("style", word("letters"))]);
    let out = texts(&fixture.apply(&TokenPseudonym, &letters, &column, &[]).unwrap());
    assert_eq!(out, [Some("ID_0".to_owned()), Some("ID_A".to_owned())]);
}

#[test]
fn whole_numbers_and_dictionaries_are_taken() {
    let args = args(&TokenPseudonym, &[("order", word("first_seen"))]);
    let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, Some(7)]));
    let mut fixture = Fixture::new("uid", column.data_type());
    let out = texts(&fixture.apply(&TokenPseudonym, &args, &column, &[]).unwrap());
    assert_eq!(out, [Some("ID_1".to_owned()), None, Some("ID_1".to_owned())]);
    let column = dictionary(&[Some("7"), None, Some("8")]);
    let out = texts(&fixture.apply(&TokenPseudonym, &args, &column, &[]).unwrap());
    assert_eq!(out, [Some("ID_1".to_owned()), None, Some("ID_2".to_owned())]);
}

/// A store that is down.
#[derive(Debug)]
struct Broken;

impl TokenMap for Broken {
    fn numbers(&self, _scope: &str, _values: &[&str]) -> Result<Vec<u64>> {
        Err(Error::new(Code::State, "the store is locked"))
    }

    fn count(&self, _scope: &str, _of: Counted<'_>, _rows: &[(u64, u64)]) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_store_that_fails_fails_the_batch_and_the_next_one_too() {
    let mut fixture = Fixture::new("User", &DataType::Utf8);
    fixture.tokens = Arc::new(Broken);
    let args = args(&TokenPseudonym, &[]);
    let mut kernel = fixture.kernel(&TokenPseudonym, &args).unwrap();
    for _ in 0..2 {
        let error = kernel.apply(&text(&["CANARY"]), &[]).unwrap_err();
        assert_eq!(error.code(), Code::State);
        assert!(!error.chain().contains("CANARY"));
    }
}

#[test]
fn width_with_letters_and_types_that_do_not_fit_are_refused() {
    let set = [("style", word("letters")), ("width", Value::Integer(4))];
    let refusals = TokenPseudonym.check(&args(&TokenPseudonym, &set));
    assert_eq!(refusals.len(), 1);
    assert_eq!(refusals[0].param, Some("width"));
    let plain = args(&TokenPseudonym, &[]);
    assert_eq!(
        TokenPseudonym.output(&plain, &DataType::Binary).unwrap_err(),
        "a token is made of text, whole numbers and dates"
    );
}

#[test]
fn explain_shows_the_first_token_and_the_order() {
    let set = [("domain", word("group")), ("style", word("letters")), ("prefix", word("group_"))];
    assert_eq!(
        TokenPseudonym.explain(&args(&TokenPseudonym, &set)),
        "Replaced by a sequential token such as `group_A`. Equal values get equal tokens in every \
         column of the domain `group`, for good; new values are numbered in a secret order."
    );
    let keyed = args(&TokenPseudonym, &[]);
    let seen = args(&TokenPseudonym, &[("order", word("first_seen"))]);
    assert_eq!(TokenPseudonym.compare(&keyed, &seen), Change::Weakens);
    assert_eq!(TokenPseudonym.compare(&seen, &keyed), Change::Strengthens);
    assert!(TokenPseudonym.explain_leaks(&seen).contains("order in which values first appear"));
}

proptest! {
    #[test]
    fn equal_values_equal_tokens_and_no_others(values in proptest::collection::vec("[a-e]{0,2}", 1..40)) {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let out = apply_texts(&TokenPseudonym, &[], &values);
        for (i, a) in values.iter().enumerate() {
            for (j, b) in values.iter().enumerate() {
                prop_assert_eq!(a == b, out[i] == out[j]);
            }
        }
    }
}
