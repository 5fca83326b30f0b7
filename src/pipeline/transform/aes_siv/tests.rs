//! RFC 5297's vectors, the way back, and tokens that are not ours.

use std::sync::Arc;

use aes_siv::siv::Aes128Siv;
use arrow::array::Int64Array;
use proptest::prelude::*;

use super::*;
use crate::pipeline::transform::testing::{
    Fixture, apply, apply_texts, args, dictionary, keys, text, text_or_null, texts, word,
};

fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}

fn person() -> ColumnKeys {
    keys("domain:person", Some("cern"))
}

#[test]
fn the_library_gives_the_vectors_of_rfc_5297() {
    // RFC 5297, appendix A.1.
    let key = hex("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    let header = hex("101112131415161718191a1b1c1d1e1f2021222324252627");
    let plain = hex("112233445566778899aabbccddee");
    let sealed = hex("85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c");
    let mut cipher = Aes128Siv::new_from_slice(&key).unwrap();
    assert_eq!(cipher.encrypt([&header], &plain).unwrap(), sealed);
    assert_eq!(cipher.decrypt([&header], &sealed).unwrap(), plain);
    for place in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[place] ^= 1;
        assert!(cipher.decrypt([&header], &changed).is_err());
    }
}

#[test]
fn a_token_turns_back_into_its_value() {
    for value in ["alice@fnal.gov", "", "Zoë", "a much longer value than one block of the cipher"]
    {
        let token = apply_texts(&AesSivPseudonym, &[], &[value]).remove(0);
        assert_eq!(token.len(), ((16 + value.len()) * 8).div_ceil(5));
        assert!(token.bytes().all(|byte| b"abcdefghijklmnopqrstuvwxyz234567".contains(&byte)));
        assert_eq!(reverse(&person(), &token).unwrap(), value.as_bytes());
    }
}

#[test]
fn a_changed_or_foreign_token_does_not_turn_back() {
    let token = apply_texts(&AesSivPseudonym, &[], &["alice"]).remove(0);
    for place in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[place] = if changed[place] == b'a' { b'b' } else { b'a' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(reverse(&person(), &changed).unwrap_err().code(), Code::Usage);
    }
    for other in ["", "a", "!", token.split_at(1).1, &token.to_uppercase(), &format!("{token}a")] {
        assert_eq!(reverse(&person(), other).unwrap_err().code(), Code::Usage, "{other}");
    }
    for keys in [
        keys("domain:group", Some("cern")),
        keys("domain:person", Some("desy")),
        keys("domain:person", None),
    ] {
        assert_eq!(reverse(&keys, &token).unwrap_err().code(), Code::Usage);
    }
}

#[test]
fn equal_values_of_other_types_get_equal_tokens() {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(42), None]));
    let out = texts(&apply(&AesSivPseudonym, &[], &numbers));
    assert_eq!(out[0], Some(apply_texts(&AesSivPseudonym, &[], &["42"]).remove(0)));
    assert_eq!(out[1], None);
    let values = [Some("a"), None, Some("b"), Some("a")];
    let whole = texts(&apply(&AesSivPseudonym, &[], &text_or_null(&values)));
    assert_eq!(whole[0], whole[3]);
    assert_eq!(texts(&apply(&AesSivPseudonym, &[], &dictionary(&values))), whole);
}

#[test]
fn the_stand_in_of_null_is_not_that_of_an_empty_text_and_does_not_turn_back() {
    let column = text_or_null(&[None, Some("")]);
    let args = args(&AesSivPseudonym, &[]);
    let mut fixture = Fixture::new("User", column.data_type()).with_null_tokens();
    let out = texts(&fixture.apply(&AesSivPseudonym, &args, &column, &[]).unwrap());
    assert_eq!(out[0].as_ref().map(String::len), out[1].as_ref().map(String::len));
    assert_ne!(out[0], out[1]);
    assert!(reverse(&person(), out[0].as_deref().unwrap()).is_err());
}

#[test]
fn explain_says_that_it_can_be_turned_back() {
    let joined = args(&AesSivPseudonym, &[("domain", word("person"))]);
    assert_eq!(
        AesSivPseudonym.explain(&joined),
        "Replaced by its encryption (AES-256-SIV), which the custodian can turn back with the key. \
         Equal values get equal pseudonyms in every column of the domain `person`."
    );
    let alone = args(&AesSivPseudonym, &[]);
    assert_eq!(AesSivPseudonym.compare(&alone, &joined), Change::Weakens);
    assert!(AesSivPseudonym.output(&alone, &DataType::Float64).is_err());
    assert_eq!(apply(&AesSivPseudonym, &[], &text(&[])).len(), 0);
}

proptest! {
    #[test]
    fn every_value_turns_back(value in ".{0,60}") {
        let token = apply_texts(&AesSivPseudonym, &[], &[&value]).remove(0);
        prop_assert_eq!(reverse(&person(), &token).unwrap(), value.as_bytes());
    }
}
