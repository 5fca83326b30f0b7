//! Reading and writing addresses in every form, and that nothing else passes.

use std::net::{Ipv4Addr, Ipv6Addr};

use arrow::array::{BinaryArray, Int64Array, UInt32Array};
use proptest::prelude::*;

use super::*;
use crate::pipeline::transform::Transform;
use crate::pipeline::transform::ip_truncate::TruncateAddress;
use crate::pipeline::transform::testing::{
    Fixture, apply, args, dictionary, text, text_or_null, texts, try_apply, word,
};
use crate::policy::args::Value;

/// All bits are left, so that what comes out is what was read.
fn whole() -> Vec<(&'static str, Value)> {
    vec![("v4_bits", Value::Integer(32)), ("v6_bits", Value::Integer(128))]
}

fn read(value: &str) -> Option<String> {
    // Neighbours make sure that the fast path reads past the end of the value.
    let column = text(&["9.9.9.9", value, "255.255.255.255"]);
    texts(&apply(&TruncateAddress, &whole(), &column)).remove(1)
}

#[test]
fn addresses_are_read_and_written_in_canonical_form() {
    let cases = [
        ("0.0.0.0", "0.0.0.0"),
        ("255.255.255.255", "255.255.255.255"),
        ("10.20.30.40", "10.20.30.40"),
        ("1.22.133.4", "1.22.133.4"),
        ("127.0.0.1", "127.0.0.1"),
        ("::", "::"),
        ("::1", "::1"),
        ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("fe80::1", "fe80::1"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("::ffff:192.0.2.128", "192.0.2.128"),
        ("::FFFF:c000:0280", "192.0.2.128"),
    ];
    for (value, expected) in cases {
        assert_eq!(read(value).as_deref(), Some(expected), "{value}");
    }
}

#[test]
fn what_is_no_address_becomes_null() {
    let values = [
        "",
        " ",
        "1",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.",
        ".1.2.3",
        "1..2.3",
        "1.2.3.256",
        "1.2.3.999",
        "01.2.3.4",
        "1.2.3.04",
        "1.2.3.00",
        "000.0.0.0",
        "1.2.3.1000",
        " 1.2.3.4",
        "1.2.3.4 ",
        "1.2.3.4\n",
        "1.2.3.4/24",
        "1.2.3.4:80",
        "+1.2.3.4",
        "1.2.3.-4",
        "0x1.2.3.4",
        "1,2,3,4",
        "1.2.3.a",
        "1.2.3.4\0",
        "１.2.3.4",
        "fe80::1%eth0",
        "[::1]",
        "::ffff:1.2.3.04",
        "1:2:3",
        "::1::",
        ":::",
        "ab:ab:ab:ab:ab:ab",
        "2001:db8::12345",
        "host.example.org",
        "12345678901",
    ];
    for value in values {
        assert_eq!(read(value), None, "{value:?}");
    }
}

#[test]
fn an_address_at_the_end_of_the_buffer_is_read_too() {
    for value in ["1.2.3.4", "255.255.255.255", "12.34.56.7"] {
        assert_eq!(
            texts(&apply(&TruncateAddress, &whole(), &text(&[value]))),
            [Some(value.into())]
        );
        let tail = text(&["8.8.8.8", value]).slice(1, 1);
        assert_eq!(texts(&apply(&TruncateAddress, &whole(), &tail)), [Some(value.into())]);
    }
}

#[test]
fn an_invalid_value_becomes_null_a_token_or_an_error_and_never_passes() {
    let column = text_or_null(&[Some("CANARY"), None, Some("1.2.3.4"), Some("CANARY"), Some("x")]);
    let out = texts(&apply(&TruncateAddress, &whole(), &column));
    assert_eq!(out, [None, None, Some("1.2.3.4".into()), None, None]);

    let mut token = whole();
    token.push(("invalid", word("token")));
    let out = texts(&apply(&TruncateAddress, &token, &column));
    let first = out[0].clone().unwrap();
    assert_eq!(first.len(), 22);
    assert!(first.bytes().all(|byte| b"abcdefghijklmnopqrstuvwxyz234567".contains(&byte)));
    assert_eq!(out[3].as_ref(), Some(&first));
    assert_ne!(out[4].as_ref(), Some(&first));
    assert_eq!(out[1], None);

    let mut error = whole();
    error.push(("invalid", word("error")));
    let failed = try_apply(&TruncateAddress, &error, &column).unwrap_err();
    assert_eq!(failed.code(), Code::SourceValue);
    assert_eq!(failed.chain(), "a value is no IP address");
    let fine = text_or_null(&[None, Some("1.2.3.4")]);
    assert_eq!(texts(&apply(&TruncateAddress, &error, &fine)), [None, Some("1.2.3.4".into())]);
}

#[test]
fn numbers_and_bytes_keep_their_form() {
    let numbers: ArrayRef = Arc::new(UInt32Array::from(vec![Some(0xc000_0201), None]));
    let out = apply(&TruncateAddress, &[], &numbers);
    assert_eq!(texts(&out), [Some(0xc000_0200_u32.to_string()), None]);

    let numbers: ArrayRef =
        Arc::new(Int64Array::from(vec![Some(0xc000_0201), None, Some(-1), Some(1 << 32)]));
    let out = apply(&TruncateAddress, &[], &numbers);
    assert_eq!(texts(&out), [Some(0xc000_0200_u32.to_string()), None, None, None]);

    let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1];
    let v6 = [0x20, 1, 0xd, 0xb8, 0, 7, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1];
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![
        Some(&[192, 0, 2, 1][..]),
        Some(&mapped[..]),
        Some(&v6[..]),
        Some(b"CANARY"),
        None,
    ]));
    let out = apply(&TruncateAddress, &[], &bytes);
    let out: Vec<Option<&[u8]>> = out.as_binary::<i32>().iter().collect();
    let mut cut = mapped;
    cut[15] = 0;
    let mut cut_v6 = v6;
    cut_v6[6..].fill(0);
    assert_eq!(out, [Some(&[192, 0, 2, 0][..]), Some(&cut), Some(&cut_v6), None, None]);

    let fixed: ArrayRef = Arc::new(
        FixedSizeBinaryArray::try_from_sparse_iter_with_size(
            [Some(mapped), None, Some(v6)].into_iter(),
            16,
        )
        .unwrap(),
    );
    let out = apply(&TruncateAddress, &[], &fixed);
    let out: Vec<Option<&[u8]>> = out.as_fixed_size_binary().iter().collect();
    assert_eq!(out, [Some(&cut[..]), None, Some(&cut_v6[..])]);

    let fixed: ArrayRef = Arc::new(
        FixedSizeBinaryArray::try_from_sparse_iter_with_size(
            [Some([192, 0, 2, 1]), None].into_iter(),
            4,
        )
        .unwrap(),
    );
    let out = apply(&TruncateAddress, &[], &fixed);
    let out: Vec<Option<&[u8]>> = out.as_fixed_size_binary().iter().collect();
    assert_eq!(out, [Some(&[192, 0, 2, 0][..]), None]);
}

#[test]
fn slices_dictionaries_and_empty_columns_are_taken() {
    let values = [Some("1.2.3.4"), None, Some("::1"), Some("no"), Some("5.6.7.8")];
    let all = texts(&apply(&TruncateAddress, &whole(), &text_or_null(&values)));
    assert_eq!(texts(&apply(&TruncateAddress, &whole(), &dictionary(&values))), all);
    let slice = text_or_null(&values).slice(1, 3);
    assert_eq!(texts(&apply(&TruncateAddress, &whole(), &slice)), all[1..4]);
    assert_eq!(apply(&TruncateAddress, &whole(), &text(&[])).len(), 0);
}

#[test]
fn other_types_and_tokens_outside_text_are_refused() {
    let plain = args(&TruncateAddress, &[]);
    assert!(output(&plain, &DataType::Float64).unwrap_err().starts_with("takes IPv4"));
    assert!(output(&plain, &DataType::FixedSizeBinary(8)).is_err());
    let token = args(&TruncateAddress, &[("invalid", word("token"))]);
    assert_eq!(output(&token, &DataType::UInt32).unwrap_err(), "`invalid: token` fits text only");
    assert_eq!(output(&token, &DataType::Utf8), Ok(Some(DataType::Utf8)));
    assert!(TruncateAddress.adds_nulls(&plain));
    assert!(!TruncateAddress.adds_nulls(&token));
}

#[test]
fn an_error_never_holds_the_value_and_the_next_batch_is_fine() {
    let mut error = whole();
    error.push(("invalid", word("error")));
    let args = args(&TruncateAddress, &error);
    let fixture = Fixture::new("ip", &DataType::Utf8);
    let mut kernel = fixture.kernel(&TruncateAddress, &args).unwrap();
    assert!(!kernel.apply(&text(&["CANARY"]), &[]).unwrap_err().chain().contains("CANARY"));
    let out = kernel.apply(&text(&["1.2.3.4"]), &[]).unwrap();
    assert_eq!(texts(&out), [Some("1.2.3.4".to_owned())]);
}

#[test]
fn every_number_of_one_to_four_digits_is_judged_in_every_place() {
    for digits in 1..=4 {
        for number in 0..10_u32.pow(digits) {
            let written = format!("{number:0width$}", width = digits as usize);
            for place in 0..4 {
                let mut parts = ["7"; 4];
                parts[place] = &written;
                let value = parts.join(".");
                let ours = parse_v4(&short_window(value.as_bytes()), value.len());
                assert_eq!(ours, value.parse::<Ipv4Addr>().ok().map(u32::from), "{value}");
            }
        }
    }
}

#[test]
fn every_byte_but_digits_and_dots_is_refused_in_every_place() {
    for place in 0..11 {
        for byte in 0..=255_u8 {
            let mut value = *b"12.34.56.78";
            value[place] = byte;
            let expected =
                std::str::from_utf8(&value).ok().and_then(|text| text.parse::<Ipv4Addr>().ok());
            let ours = parse_v4(&short_window(&value), value.len());
            assert_eq!(ours, expected.map(u32::from), "{value:?}");
        }
    }
}

proptest! {
    #[test]
    fn v4_is_read_and_written_like_the_standard_library(address in any::<u32>()) {
        let value = Ipv4Addr::from(address).to_string();
        prop_assert_eq!(parse_v4(&short_window(value.as_bytes()), value.len()), Some(address));
        let mut out = Vec::new();
        write_v4(address, &mut out);
        prop_assert_eq!(String::from_utf8(out).unwrap(), value);
    }

    #[test]
    fn near_addresses_are_judged_like_the_standard_library(
        value in "[0-9]{0,4}\\.?[0-9]{0,3}[.:]?[0-9]{1,3}\\.[0-9]{0,3}[.a ]?",
    ) {
        let expected = value.parse::<Ipv4Addr>().ok().map(u32::from);
        let ours = if value.len() <= 15 { parse_v4(&short_window(value.as_bytes()), value.len()) } else { None };
        prop_assert_eq!(ours, expected);
    }

    #[test]
    fn v6_with_many_zeros_is_written_like_the_standard_library(
        groups in proptest::array::uniform8(prop_oneof![Just(0_u16), Just(1), any::<u16>()]),
    ) {
        let address = Ipv6Addr::from(groups);
        prop_assume!(address.to_ipv4_mapped().is_none());
        let mut out = Vec::new();
        write_v6(address.to_bits(), &mut out);
        prop_assert_eq!(String::from_utf8(out).unwrap(), address.to_string());
    }

    #[test]
    fn v6_is_read_and_written_like_the_standard_library(address in any::<u128>()) {
        let address = Ipv6Addr::from(address);
        prop_assert_eq!(read(&address.to_string()), Some(address.to_string()));
    }
}
