//! Known answers, e-mail addresses, nulls and properties of the keyed hash.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, BinaryArray, Float64Array, Int32Array, Int64Array, StringArray};
use hmac::{Hmac, KeyInit, Mac as _};
use proptest::prelude::*;
use sha2::Sha256;

use super::*;
use crate::pipeline::transform::testing::{
    Fixture, apply, apply_texts, args, dictionary, keys, text, text_or_null, texts, word, words,
};
use crate::policy::args::Value;

/// The definition, by the library: Base32 of HMAC(key, label || value), cut.
fn expected(message: &[u8], length: usize) -> String {
    let key = keys("domain:person", Some("cern")).derive::<32>("hmac").unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).unwrap();
    mac.update(message);
    let mut text = data_encoding::BASE32_NOPAD.encode(&mac.finalize().into_bytes()).to_lowercase();
    text.truncate(length);
    text
}

#[test]
fn a_pseudonym_is_the_keyed_hash_of_label_and_value() {
    let out = apply_texts(&HmacPseudonym, &[], &["alice", "", "bob"]);
    assert_eq!(out, [expected(b"valice", 22), expected(b"v", 22), expected(b"vbob", 22)]);
}

#[test]
fn length_cuts_the_same_text() {
    for length in [16, 22, 52] {
        let out = apply_texts(&HmacPseudonym, &[("length", Value::Integer(length))], &["alice"]);
        assert_eq!(out, [expected(b"valice", usize::try_from(length).unwrap())]);
    }
}

#[test]
fn an_address_keeps_its_domain_and_hides_the_rest() {
    let keep = [("keep", word("email_domain"))];
    let out = apply_texts(&HmacPseudonym, &keep, &["alice@fnal.gov", "alice@cern.ch"]);
    assert_eq!(
        out,
        [
            format!("{}@fnal.gov", expected(b"valice@fnal.gov", 22)),
            format!("{}@cern.ch", expected(b"valice@cern.ch", 22)),
        ]
    );
    assert_ne!(
        out[0].split_at(22).0,
        out[1].split_at(22).0,
        "the same name at two domains is two people"
    );
}

#[test]
fn what_is_no_address_is_hashed_whole() {
    let keep = [("keep", word("email_domain"))];
    let values = [
        "alice",
        "@fnal.gov",
        "alice@",
        "alice@localhost",
        "a@b@fnal.gov",
        "a@10.0.0.1",
        "alice@fnal.gov ",
        "alice@John Smith.gov",
        "alice@fnal..gov",
        "alice@.gov",
        "alice@fnal.gov.",
        "alice@-x.gov",
        "alice@x-.gov",
        "alice@fnal.gov, bob",
        "alice@münchen.de",
        "alice@fnal.gov\n",
    ];
    for (value, out) in values.iter().zip(apply_texts(&HmacPseudonym, &keep, &values)) {
        assert_eq!(out, expected(format!("v{value}").as_bytes(), 22), "{value:?}");
    }
}

#[test]
fn normalization_comes_before_the_hash_and_only_when_declared() {
    let set = [("normalize", words(&["trim", "case_fold"])), ("keep", word("email_domain"))];
    let out = apply_texts(&HmacPseudonym, &set, &[" Alice@FNAL.gov", "alice@fnal.gov"]);
    assert_eq!(out[0], out[1]);
    assert!(out[0].ends_with("@fnal.gov"));
    let out = apply_texts(&HmacPseudonym, &[], &["Alice", "alice", "alice "]);
    assert_eq!(out.iter().collect::<HashSet<_>>().len(), 3);
}

#[test]
fn numbers_and_text_of_the_same_value_join() {
    let one = texts(&apply(&HmacPseudonym, &[], &text(&["42"])));
    assert_eq!(
        texts(&apply(&HmacPseudonym, &[], &(Arc::new(Int32Array::from(vec![42])) as _))),
        one
    );
    assert_eq!(
        texts(&apply(&HmacPseudonym, &[], &(Arc::new(Int64Array::from(vec![42])) as _))),
        one
    );
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![b"42".as_slice()]));
    assert_eq!(texts(&apply(&HmacPseudonym, &[], &bytes)), one);
}

#[test]
fn null_stays_null_or_gets_a_stand_in_that_no_value_has() {
    let column = text_or_null(&[Some(""), None, Some("n"), None]);
    let out = texts(&apply(&HmacPseudonym, &[], &column));
    assert_eq!(out[1], None);
    let args = args(&HmacPseudonym, &[]);
    let mut fixture = Fixture::new("User", column.data_type()).with_null_tokens();
    let out = texts(&fixture.apply(&HmacPseudonym, &args, &column, &[]).unwrap());
    assert_eq!(out[1], Some(expected(b"n", 22)));
    assert_eq!(out[1], out[3]);
    assert_ne!(out[1], out[0]);
    assert_ne!(out[1], out[2]);
}

#[test]
fn no_byte_of_the_input_is_in_the_output_buffers() {
    let secret: ArrayRef =
        Arc::new(StringArray::from(vec!["CANARY-1", "x", "CANARY-2"]).slice(1, 1));
    let out = apply(&HmacPseudonym, &[], &secret).to_data();
    for buffer in out.buffers() {
        assert!(!buffer.as_slice().windows(6).any(|bytes| bytes == b"CANARY"));
    }
}

#[test]
fn slices_dictionaries_and_whole_columns_agree() {
    let values = [Some("a"), None, Some("b"), Some("a")];
    let whole = texts(&apply(&HmacPseudonym, &[], &text_or_null(&values)));
    assert_eq!(texts(&apply(&HmacPseudonym, &[], &dictionary(&values))), whole);
    let slice = text_or_null(&values).slice(1, 2);
    assert_eq!(texts(&apply(&HmacPseudonym, &[], &slice)), whole[1..3]);
    assert_eq!(apply(&HmacPseudonym, &[], &text(&[])).len(), 0);
}

#[test]
fn partners_domains_and_epochs_have_pseudonyms_of_their_own() {
    let column = text(&["alice"]);
    let of = |domain: &str, audience: Option<&str>| {
        let mut fixture =
            Fixture::new("User", column.data_type()).with_keys(keys(domain, audience));
        let args = args(&HmacPseudonym, &[]);
        texts(&fixture.apply(&HmacPseudonym, &args, &column, &[]).unwrap()).remove(0).unwrap()
    };
    let all = [
        of("domain:person", Some("cern")),
        of("domain:person", Some("desy")),
        of("domain:person", None),
        of("domain:group", Some("cern")),
    ];
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), 4);
}

#[test]
fn types_and_parameters_that_do_not_fit_are_refused() {
    let refused = |set: &[(&str, Value)], input| {
        HmacPseudonym.output(&args(&HmacPseudonym, set), &input).unwrap_err()
    };
    assert_eq!(
        refused(&[], DataType::Float64),
        "a pseudonym is made of text, whole numbers, dates and binary"
    );
    assert_eq!(
        refused(&[("normalize", words(&["trim"]))], DataType::Int64),
        "`normalize` fits text only"
    );
    assert_eq!(
        refused(&[("keep", word("email_domain"))], DataType::Binary),
        "`keep: email_domain` fits text only"
    );
    let refusals = HmacPseudonym.check(&args(&HmacPseudonym, &[("prefix", word("a@b"))]));
    assert_eq!(refusals[0].param, Some("prefix"));
    let values: ArrayRef = Arc::new(Float64Array::from(vec![1.5]));
    let fixture = Fixture::new("x", &DataType::Float64);
    let args = args(&HmacPseudonym, &[]);
    assert!(fixture.kernel(&HmacPseudonym, &args).unwrap().apply(&values, &[]).is_err());
}

#[test]
fn explain_states_bits_and_expected_collisions() {
    let args = args(&HmacPseudonym, &[("domain", word("person")), ("keep", word("email_domain"))]);
    assert_eq!(
        HmacPseudonym.explain(&args),
        "Replaced by a pseudonym of 22 characters: 110 bits of a keyed hash (HMAC-SHA-256). Equal \
         values get equal pseudonyms in every column of the domain `person`. Of an e-mail address the \
         domain stays readable; a value that is no e-mail address is replaced whole."
    );
    assert!(HmacPseudonym.explain_leaks(&args).contains("4e-22 such pairs"));
}

#[test]
fn keeping_the_domain_weakens_and_hiding_it_strengthens() {
    let hidden = args(&HmacPseudonym, &[]);
    let kept = args(&HmacPseudonym, &[("keep", word("email_domain"))]);
    assert_eq!(HmacPseudonym.compare(&hidden, &kept), Change::Weakens);
    assert_eq!(HmacPseudonym.compare(&kept, &hidden), Change::Strengthens);
    let short = args(&HmacPseudonym, &[("length", Value::Integer(16))]);
    assert_eq!(HmacPseudonym.compare(&hidden, &short), Change::Moves);
    assert!(HmacPseudonym.exposure(&kept) > HmacPseudonym.exposure(&hidden));
}

proptest! {
    #[test]
    fn distinct_values_get_distinct_pseudonyms(values in proptest::collection::hash_set(".{0,80}", 1..60)) {
        let values: Vec<String> = values.into_iter().collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let out = apply_texts(&HmacPseudonym, &[], &values);
        prop_assert_eq!(out.iter().collect::<HashSet<_>>().len(), values.len());
        for (value, out) in values.iter().zip(&out) {
            prop_assert_eq!(out.clone(), expected(format!("v{value}").as_bytes(), 22));
        }
    }
}
