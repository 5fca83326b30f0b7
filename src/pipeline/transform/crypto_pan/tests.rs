//! Known answers of the reference program, and what prefix preservation promises.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, LazyLock, Mutex};

use arrow::array::{ArrayRef, AsArray, UInt32Array};
use arrow::datatypes::UInt32Type;
use proptest::prelude::*;

use super::*;
use crate::pipeline::transform::testing::{Fixture, apply, args, text, text_or_null, texts, word};
use crate::policy::args::Value;
use crate::shared::shared;

/// The key of the reference program's sample trace.
const SAMPLE_KEY: [u8; 32] = [
    21, 34, 23, 141, 51, 164, 207, 128, 19, 10, 91, 22, 73, 144, 125, 16, 216, 152, 143, 131, 121,
    121, 101, 39, 98, 87, 76, 45, 42, 132, 34, 2,
];

/// 0, 1, ... 31: the key of other published vectors.
const COUNTING_KEY: [u8; 32] = {
    let mut key = [0; 32];
    let mut index = 0;
    while index < 32 {
        key[index] = index as u8;
        index += 1;
    }
    key
};

fn scheme(key: [u8; 32]) -> PrefixPreserving<CryptoPan> {
    PrefixPreserving::new(CryptoPan::new(&Secret::new(key)).unwrap())
}

fn v4(key: [u8; 32], address: &str) -> String {
    let mut addresses = [u32::from(address.parse::<Ipv4Addr>().unwrap())];
    scheme(key).encrypt_v4(&mut addresses);
    Ipv4Addr::from(addresses[0]).to_string()
}

fn v6(key: [u8; 32], address: &str) -> String {
    let mut addresses = [address.parse::<Ipv6Addr>().unwrap().to_bits()];
    scheme(key).encrypt_v6(&mut addresses);
    Ipv6Addr::from(addresses[0]).to_string()
}

/// The definition, one block at a time.
fn slowly(scheme: &CryptoPan, address: u128, bits: u32) -> u128 {
    let pad = u128::from_be_bytes(scheme.pads[0].to_ne_bytes());
    (0..bits).fold(address, |out, position| {
        let rest = u128::MAX >> position;
        let mut block: Block = ((address & !rest) | (pad & rest)).to_be_bytes().into();
        scheme.cipher.encrypt_block(&mut block);
        let bit = u128::from(block[0] >> 7);
        out ^ (bit << (127 - position))
    })
}

#[test]
fn addresses_of_the_sample_trace_come_out_as_published() {
    // From the sample trace of the reference program.
    for (address, expected) in [
        ("24.5.0.80", "100.9.15.210"),
        ("24.13.62.231", "100.2.192.247"),
        ("208.234.120.210", "227.154.67.17"),
        ("209.238.72.3", "226.6.119.243"),
        ("192.102.249.13", "252.138.62.131"),
    ] {
        assert_eq!(v4(SAMPLE_KEY, address), expected);
    }
}

#[test]
fn ipv6_comes_out_as_other_programs_say() {
    // Test vectors that the Go, Rust and Python programs share.
    for (address, expected) in [
        ("::1", "78ff:f001:9fc0:20df:8380:b1f1:704:ed"),
        ("::2", "78ff:f001:9fc0:20df:8380:b1f1:704:ef"),
        ("::ffff", "78ff:f001:9fc0:20df:8380:b1f1:704:f838"),
        ("2001:db8::1", "4401:2bc:603f:d91d:27f:ff8e:e6f1:dc1e"),
        ("2001:db8::2", "4401:2bc:603f:d91d:27f:ff8e:e6f1:dc1c"),
    ] {
        assert_eq!(v6(SAMPLE_KEY, address), expected);
    }
    assert_eq!(v6(COUNTING_KEY, "2001:db8::1"), "dd92:2c44:3fc0:ff1e:7ff9:c7f0:8180:7e00");
}

#[test]
fn special_ranges_do_not_pass() {
    // Private, loopback and reserved addresses, as the JavaScript program publishes them.
    for (address, expected) in [
        ("192.0.2.1", "2.90.93.17"),
        ("0.0.0.0", "254.152.65.220"),
        ("10.0.1.128", "246.35.190.47"),
        ("127.0.0.1", "168.227.160.61"),
        ("255.255.255.255", "56.0.15.254"),
    ] {
        assert_eq!(v4(COUNTING_KEY, address), expected);
    }
}

#[test]
fn the_whole_sample_trace_comes_out_as_published() {
    let Some(folder) = shared("vectors/cryptopan") else { return };
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let (raw, sanitized) = (read("sample_trace_raw.dat"), read("sample_trace_sanitized.dat"));
    let addresses = |trace: &str| -> Vec<String> {
        trace.lines().filter_map(|line| line.split_whitespace().nth(2)).map(str::to_owned).collect()
    };
    let raw = addresses(&raw);
    assert_eq!(raw.len(), 100);
    let mut numbers: Vec<u32> =
        raw.iter().map(|address| address.parse::<Ipv4Addr>().unwrap().to_bits()).collect();
    scheme(SAMPLE_KEY).encrypt_v4(&mut numbers);
    let out: Vec<String> =
        numbers.into_iter().map(|address| Ipv4Addr::from(address).to_string()).collect();
    assert_eq!(out, addresses(&sanitized));
}

#[test]
fn batches_of_every_size_agree_with_the_definition() {
    let mut addresses: Vec<u32> =
        (0..200_u32).map(|number| number.wrapping_mul(0x9e37_79b9) ^ (number << 7)).collect();
    let mut engine = scheme(SAMPLE_KEY);
    let reference = CryptoPan::new(&Secret::new(SAMPLE_KEY)).unwrap();
    let expected: Vec<u32> = addresses
        .iter()
        .map(|address| (slowly(&reference, u128::from(*address) << 96, 32) >> 96) as u32)
        .collect();
    for size in [1, 31, 32, 33, 200] {
        let mut out = addresses.clone();
        for batch in out.chunks_mut(size) {
            engine.encrypt_v4(batch);
        }
        assert_eq!(out, expected, "batches of {size}");
    }
    engine.encrypt_v4(&mut addresses);
    assert_eq!(addresses, expected);
}

#[test]
fn networks_that_are_remembered_give_the_same_as_new_ones() {
    // Few networks, many hosts, and several networks that share a place in memory.
    let addresses: Vec<u128> = (0..100_u128)
        .map(|number| ((number % 7) << 100) | ((number % 3) << 64) | (number * 0x0123_4567_89ab))
        .collect();
    let reference = CryptoPan::new(&Secret::new(SAMPLE_KEY)).unwrap();
    let expected: Vec<u128> =
        addresses.iter().map(|address| slowly(&reference, *address, 128)).collect();
    let mut engine = scheme(SAMPLE_KEY);
    for size in [1, 7, 8, 9, 100] {
        let mut out = addresses.clone();
        for batch in out.chunks_mut(size) {
            engine.encrypt_v6(batch);
        }
        assert_eq!(out, expected, "batches of {size}");
    }
}

#[test]
fn text_and_numbers_of_one_address_agree() {
    let numbers: ArrayRef = Arc::new(UInt32Array::from(vec![0xc000_0201, 0x0a00_0001]));
    let out = apply(&CryptoPanAddress, &[], &numbers);
    let numbers: Vec<Option<String>> = out
        .as_primitive::<UInt32Type>()
        .iter()
        .map(|value| value.map(|value| Ipv4Addr::from(value).to_string()))
        .collect();
    let column = text(&["192.0.2.1", "10.0.0.1", "::ffff:192.0.2.1"]);
    let out = texts(&apply(&CryptoPanAddress, &[], &column));
    assert_eq!(out[..2], numbers);
    assert_eq!(out[2], out[0], "a mapped address is the IPv4 address");
    assert_ne!(out[0].as_deref(), Some("192.0.2.1"));
}

#[test]
fn host_bits_can_be_cut_after_encryption() {
    let column = text(&["192.0.2.1", "192.0.2.200", "2001:db8::1"]);
    let whole = texts(&apply(&CryptoPanAddress, &[], &column));
    let set = [("v4_bits", Value::Integer(24)), ("v6_bits", Value::Integer(64))];
    let cut = texts(&apply(&CryptoPanAddress, &set, &column));
    assert_eq!(cut[0], cut[1]);
    let whole: Ipv4Addr = whole[0].as_deref().unwrap().parse().unwrap();
    let cut_v4: Ipv4Addr = cut[0].as_deref().unwrap().parse().unwrap();
    assert_eq!(cut_v4.to_bits(), whole.to_bits() & 0xffff_ff00);
    let cut_v6: Ipv6Addr = cut[2].as_deref().unwrap().parse().unwrap();
    assert_eq!(cut_v6.to_bits() as u64, 0);
}

#[test]
fn null_gets_a_stand_in_in_text_columns_only() {
    let column = text_or_null(&[None, Some("1.2.3.4")]);
    let args = args(&CryptoPanAddress, &[]);
    let mut fixture = Fixture::new("ip", column.data_type()).with_null_tokens();
    let out = texts(&fixture.apply(&CryptoPanAddress, &args, &column, &[]).unwrap());
    assert_eq!(out[0].as_ref().map(String::len), Some(22));
    let column: ArrayRef = Arc::new(UInt32Array::from(vec![None, Some(1)]));
    let mut fixture = Fixture::new("ip", column.data_type()).with_null_tokens();
    let out = texts(&fixture.apply(&CryptoPanAddress, &args, &column, &[]).unwrap());
    assert_eq!(out[0], None);
}

#[test]
fn explain_says_what_leaves_and_a_longer_pseudonym_weakens() {
    let set = [("domain", word("host")), ("v4_bits", Value::Integer(24))];
    let cut = args(&CryptoPanAddress, &set);
    assert_eq!(
        CryptoPanAddress.explain(&cut),
        "An IP address is replaced by a pseudonym that keeps shared prefixes (Crypto-PAn), the same in \
         every column of the domain `host`. Of the pseudonym 24 bits (IPv4) or 128 bits (IPv6) leave; \
         the rest is set to zero. A value that is no address becomes null."
    );
    let whole = args(&CryptoPanAddress, &[("domain", word("host"))]);
    assert_eq!(CryptoPanAddress.compare(&cut, &whole), Change::Weakens);
    assert_eq!(CryptoPanAddress.compare(&whole, &cut), Change::Strengthens);
    assert_eq!(CryptoPanAddress.exposure(&whole), Exposure::StructuredPseudonym);
}

/// One engine for all cases of the properties: its tables take longer to make than a case.
static SHARED: LazyLock<Mutex<PrefixPreserving<CryptoPan>>> =
    LazyLock::new(|| Mutex::new(scheme(SAMPLE_KEY)));

proptest! {
    #[test]
    fn shared_prefixes_stay_shared_and_no_longer(a in any::<u32>(), b in any::<u32>(), same in 0..32_u32) {
        let mask = !(u32::MAX.checked_shr(same).unwrap());
        let b = (a & mask) | (b & !mask);
        let mut out = [a, b];
        SHARED.lock().unwrap().encrypt_v4(&mut out);
        prop_assert_eq!((out[0] ^ out[1]).leading_zeros(), (a ^ b).leading_zeros());
    }

    #[test]
    fn shared_v6_prefixes_stay_shared_and_no_longer(a in any::<u128>(), b in any::<u128>(), same in 0..128_u32) {
        let mask = !(u128::MAX.checked_shr(same).unwrap());
        let b = (a & mask) | (b & !mask);
        let mut out = [a, b];
        SHARED.lock().unwrap().encrypt_v6(&mut out);
        prop_assert_eq!((out[0] ^ out[1]).leading_zeros(), (a ^ b).leading_zeros());
    }

    #[test]
    fn distinct_addresses_stay_distinct(addresses in proptest::collection::hash_set(any::<u32>(), 0..100)) {
        let mut out: Vec<u32> = addresses.iter().copied().collect();
        SHARED.lock().unwrap().encrypt_v4(&mut out);
        prop_assert_eq!(out.into_iter().collect::<HashSet<_>>().len(), addresses.len());
    }
}
