//! NIST's known answers, formats, and the refusals that keep FF1 safe.

use std::collections::HashSet;

use aes::{Aes128, Aes192};
use proptest::prelude::*;

use super::*;
use crate::pipeline::transform::testing::{
    apply, apply_texts, args, dictionary, text, text_or_null, texts, try_apply, word,
};
use crate::policy::args::Value;
use crate::shared::shared;

fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}

/// One value under a key of any AES size, both ways.
fn check(key: &[u8], radix: u32, tweak: &[u8], plain: &[u16], expected: &[u16]) {
    fn both<C>(cipher: &FF1<C>, tweak: &[u8], plain: &[u16], expected: &[u16])
    where
        C: aes::cipher::BlockCipherEncrypt + Clone,
    {
        let out = cipher.encrypt(tweak, &FlexibleNumeralString::from(plain.to_vec())).unwrap();
        assert_eq!(Vec::from(out), expected);
        let back = cipher.decrypt(tweak, &FlexibleNumeralString::from(expected.to_vec())).unwrap();
        assert_eq!(Vec::from(back), plain);
    }
    match key.len() {
        16 => both(&FF1::<Aes128>::new(key, radix).unwrap(), tweak, plain, expected),
        24 => both(&FF1::<Aes192>::new(key, radix).unwrap(), tweak, plain, expected),
        _ => both(&FF1::<Aes256>::new(key, radix).unwrap(), tweak, plain, expected),
    }
}

#[test]
fn the_library_gives_nists_samples() {
    // NIST FF1 samples 1, 7 and 9.
    let digits: Vec<u16> = (0..10).collect();
    check(
        &hex("2b7e151628aed2a6abf7158809cf4f3c"),
        10,
        &[],
        &digits,
        &[2, 4, 3, 3, 4, 7, 7, 4, 8, 4],
    );
    let key = hex("2b7e151628aed2a6abf7158809cf4f3cef4359d8d580aa4f7f036d6f04fc6a94");
    check(&key, 10, &[], &digits, &[6, 6, 5, 7, 6, 6, 7, 0, 0, 9]);
    let letters: Vec<u16> = (0..19).collect();
    let expected = [33, 28, 8, 10, 0, 10, 35, 17, 2, 10, 31, 34, 10, 21, 34, 35, 30, 32, 13];
    check(&key, 36, &hex("3737373770717273373737"), &letters, &expected);
}

fn vectors(name: &str) -> Option<Vec<serde_json::Value>> {
    let file = std::fs::read_to_string(shared(&format!("vectors/ff1/{name}"))?).unwrap();
    let file: serde_json::Value = serde_json::from_str(&file).unwrap();
    Some(file["vectors"].as_array().unwrap().clone())
}

#[test]
fn all_known_answers_come_out() {
    for vector in vectors("nist_ff1_samples.json").unwrap_or_default() {
        let numerals = |name: &str| -> Vec<u16> {
            vector[name].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as u16).collect()
        };
        let bytes = |name: &str| hex(vector[name].as_str().unwrap());
        let radix = vector["radix"].as_u64().unwrap() as u32;
        check(&bytes("key"), radix, &bytes("tweak"), &numerals("pt"), &numerals("ct"));
    }
    for vector in vectors("oracle_kat_subset.json").unwrap_or_default() {
        let text = |name: &str| vector[name].as_str().unwrap();
        let alphabet: Vec<char> = text("alphabet").chars().collect();
        let numerals = |name: &str| -> Vec<u16> {
            let place = |c| alphabet.iter().position(|&known| known == c).unwrap() as u16;
            text(name).chars().map(place).collect()
        };
        let radix = vector["radix"].as_u64().unwrap() as u32;
        check(&hex(text("key")), radix, &hex(text("tweak")), &numerals("pt"), &numerals("ct"));
    }
}

#[test]
fn no_alphabet_and_length_brings_the_librarys_logarithm_near_a_whole_number_of_bytes() {
    // The library computes ceil(v * log2(radix) / 8) with floating point. That is exact as long as the
    // product stays away from whole numbers, which it does for every radix that is no power of two
    // (those it computes with whole numbers) and every half length that we let in.
    for radix in (2_u32..=256).filter(|radix| !radix.is_power_of_two()) {
        for half in 1..=LENGTH_MAX / 2 + 1 {
            let bytes = half as f64 * f64::from(radix).log2() / 8.0;
            assert!((bytes - bytes.round()).abs() > 1e-9, "radix {radix}, length {half}");
        }
    }
}

#[test]
fn length_and_separators_stay() {
    let values = ["+49 (0)30 1234-567", "0301234567", "030/123.45_67"];
    for (value, out) in values.iter().zip(apply_texts(&Ff1Pseudonym, &[], &values)) {
        assert_eq!(out.len(), value.len());
        for (before, after) in value.chars().zip(out.chars()) {
            assert_eq!(before.is_ascii_digit(), after.is_ascii_digit());
            assert!(before.is_ascii_digit() || before == after);
        }
        assert_ne!(out, *value);
    }
    let out = apply_texts(&Ff1Pseudonym, &[], &["030-1234567", "0301234567"]);
    assert_eq!(out[0].replace('-', ""), out[1], "separators do not change the pseudonym");
}

#[test]
fn every_alphabet_stays_within_itself() {
    let cases = [
        ("lower", "abcdefgh", "abcdefghijklmnopqrstuvwxyz"),
        ("upper", "ABCDEFGH", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        (
            "alphanumeric",
            "aB3dE6",
            "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        ),
    ];
    for (alphabet, value, characters) in cases {
        let out = apply_texts(&Ff1Pseudonym, &[("alphabet", word(alphabet))], &[value]).remove(0);
        assert_eq!(out.len(), value.len());
        assert!(out.chars().all(|character| characters.contains(character)), "{out}");
        assert_ne!(out, value);
    }
    let own = [("alphabet", word("own")), ("alphabet_text", word("äöüß01"))];
    let out = apply_texts(&Ff1Pseudonym, &own, &["äöü-ß01-ßß"]).remove(0);
    assert_eq!(out.chars().count(), 10);
    assert!(out.chars().all(|character| "äöüß01-".contains(character)), "{out}");
}

#[test]
fn short_long_and_foreign_values_become_null_or_an_error() {
    let long = "1".repeat(1025);
    let values = ["12345", "", "12-34-5", "n/a", "Bob 1234567", "123456", long.as_str()];
    let out = texts(&apply(&Ff1Pseudonym, &[], &text(&values)));
    let kept: Vec<bool> = out.iter().map(Option::is_some).collect();
    assert_eq!(kept, [false, false, false, false, false, true, false]);

    for value in ["12345", "Bob 1234567"] {
        let error = try_apply(&Ff1Pseudonym, &[("short", word("error"))], &text(&[value]));
        let error = error.unwrap_err();
        assert_eq!(error.code(), Code::SourceValue);
        assert!(!error.chain().contains(value));
    }

    let longer = [("min_length", Value::Integer(8))];
    assert_eq!(texts(&apply(&Ff1Pseudonym, &longer, &text(&["1234567"]))), [None]);

    let any = [("others", word("any"))];
    let out = apply_texts(&Ff1Pseudonym, &any, &["Bob 1234567"]);
    assert!(out[0].starts_with("Bob "));
}

#[test]
fn alphabets_and_lengths_below_a_million_are_refused_in_the_policy() {
    let refused = |set: &[(&str, Value)]| {
        let mut refusals = Ff1Pseudonym.check(&args(&Ff1Pseudonym, set));
        assert_eq!(refusals.len(), 1, "{set:?}");
        let refusal = refusals.remove(0);
        (refusal.param, refusal.message, refusal.help.unwrap_or_default())
    };
    let (param, message, help) = refused(&[("min_length", Value::Integer(5))]);
    assert_eq!(param, Some("min_length"));
    assert_eq!(
        message,
        "5 characters out of 10 have fewer than a million possibilities, which can all be tried"
    );
    assert_eq!(help, "write `min_length: 6` or more, or use `hmac` or `token` for short values");
    let own = |text: &str| [("alphabet", word("own")), ("alphabet_text", word(text))];
    assert_eq!(refused(&own("0120")).1, "`0` stands twice in the alphabet");
    assert_eq!(refused(&own("0")).1, "an alphabet has from 2 to 256 characters");
    assert_eq!(refused(&own("01\n")).1, "an alphabet has no control characters");
    assert_eq!(refused(&[("alphabet", word("own"))]).1, "an `own` alphabet needs its characters");
    assert_eq!(
        refused(&[("alphabet_text", word("01"))]).1,
        "the alphabet `digits` has its characters already"
    );
    let fine = args(&Ff1Pseudonym, &[("min_length", Value::Integer(6))]);
    assert_eq!(Ff1Pseudonym.check(&fine), []);
    assert!(Ff1Pseudonym.output(&fine, &DataType::Int64).is_err());
}

#[test]
fn a_million_possibilities_are_reached_at_the_right_length() {
    for (radix, length) in [(2, 20), (3, 13), (10, 6), (26, 5), (62, 4), (100, 3), (256, 3)] {
        assert_eq!(least_length(radix), length, "radix {radix}");
        let possibilities = (radix as u64).pow(length as u32);
        assert!(possibilities >= 1_000_000);
        assert!(possibilities / (radix as u64) < 1_000_000);
    }
}

#[test]
fn nulls_dictionaries_and_slices_are_taken() {
    let values = [Some("1234567"), None, Some("x"), Some("7654321")];
    let whole = texts(&apply(&Ff1Pseudonym, &[], &text_or_null(&values)));
    assert_eq!(whole[1..3], [None, None]);
    assert_eq!(texts(&apply(&Ff1Pseudonym, &[], &dictionary(&values))), whole);
    let slice = text_or_null(&values).slice(1, 3);
    assert_eq!(texts(&apply(&Ff1Pseudonym, &[], &slice)), whole[1..]);
}

#[test]
fn explain_says_what_is_encrypted_and_what_stays() {
    assert_eq!(
        Ff1Pseudonym.explain(&args(&Ff1Pseudonym, &[])),
        "The digits are encrypted among themselves (FF1, AES-256), the same in this column; length and \
         separators stay. A value with fewer than 6 of them, or with other letters or digits, becomes \
         null."
    );
    let strict = args(&Ff1Pseudonym, &[]);
    let loose = args(&Ff1Pseudonym, &[("others", word("any"))]);
    assert_eq!(Ff1Pseudonym.compare(&strict, &loose), Change::Weakens);
    assert!(Ff1Pseudonym.explain_leaks(&loose).contains("in clear"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn distinct_numbers_get_distinct_numbers_of_the_same_length(
        values in proptest::collection::hash_set("[0-9]{6,12}", 1..30),
    ) {
        let values: Vec<String> = values.into_iter().collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let out = apply_texts(&Ff1Pseudonym, &[], &values);
        for (value, out) in values.iter().zip(&out) {
            prop_assert_eq!(value.len(), out.len());
            prop_assert!(out.bytes().all(|byte| byte.is_ascii_digit()));
        }
        prop_assert_eq!(out.iter().collect::<HashSet<_>>().len(), values.len());
    }
}
