//! The draft's vectors, and agreement with the reference crate.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::pipeline::transform::testing::{apply, args, text, texts};
use crate::shared::shared;

fn key(hex: &str) -> [u8; 32] {
    data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
}

fn encrypted(key: [u8; 32], addresses: &[IpAddr]) -> Vec<IpAddr> {
    let mut engine = PrefixPreserving::new(IpcryptPfx::new(&Secret::new(key)).unwrap());
    let mut v4: Vec<u32> = Vec::new();
    let mut v6: Vec<u128> = Vec::new();
    for address in addresses {
        match address {
            IpAddr::V4(address) => v4.push(address.to_bits()),
            IpAddr::V6(address) => v6.push(address.to_bits()),
        }
    }
    engine.encrypt_v4(&mut v4);
    engine.encrypt_v6(&mut v6);
    let (mut v4, mut v6) = (v4.into_iter(), v6.into_iter());
    addresses
        .iter()
        .map(|address| match address {
            IpAddr::V4(_) => Ipv4Addr::from(v4.next().unwrap()).into(),
            IpAddr::V6(_) => Ipv6Addr::from(v6.next().unwrap()).into(),
        })
        .collect()
}

fn check(key_hex: &str, address: &str, expected: &str) {
    let out = encrypted(key(key_hex), &[address.parse().unwrap()]);
    assert_eq!(out[0].to_string(), expected, "{address}");
}

#[test]
fn addresses_come_out_as_the_draft_says() {
    // Test vectors of draft-denis-ipcrypt.
    let one = "0123456789abcdeffedcba98765432101032547698badcfeefcdab8967452301";
    check(one, "0.0.0.0", "151.82.155.134");
    check(one, "255.255.255.255", "94.185.169.89");
    check(one, "192.0.2.1", "100.115.72.131");
    check(one, "2001:db8::1", "c180:5dd4:2587:3524:30ab:fa65:6ab6:f88");
    let two = "2b7e151628aed2a6abf7158809cf4f3ca9f5ba40db214c3798f2e1c23456789a";
    check(two, "10.0.0.47", "19.214.210.244");
    check(two, "10.0.0.129", "19.214.210.80");
    check(two, "2001:db8::a5c9:4e2f:bb91:5a7d", "7cec:702c:1243:f70:1956:125:b9bd:1aba");
    check(two, "2001:db8:3a5c:0:e7d1:4b9f:2c8a:f673", "7cec:702c:3503:bef:e616:96bd:be33:a9b9");
}

#[test]
fn all_vectors_of_the_draft_come_out() {
    let Some(path) = shared("vectors/ipcrypt/test_vectors.json") else { return };
    let file = std::fs::read_to_string(path).unwrap();
    let vectors: Vec<serde_json::Value> = serde_json::from_str(&file).unwrap();
    let ours: Vec<_> = vectors.iter().filter(|vector| vector["variant"] == "ipcrypt-pfx").collect();
    assert_eq!(ours.len(), 16);
    for vector in ours {
        let text = |name: &str| vector[name].as_str().unwrap();
        check(text("key"), text("ip"), text("encrypted_ip"));
    }
}

#[test]
fn two_equal_halves_of_a_key_are_refused() {
    let Err(error) = IpcryptPfx::new(&Secret::new([7; 32])) else { panic!("an identity cipher") };
    assert_eq!(error.code(), Code::Keys);
}

#[test]
fn the_two_schemes_do_not_share_a_key() {
    let column = text(&["192.0.2.1"]);
    let pan = texts(&apply(&crypto_pan::CryptoPanAddress, &[], &column));
    let pfx = texts(&apply(&IpcryptPfxAddress, &[], &column));
    assert_ne!(pan, pfx);
    assert_ne!(pfx[0].as_deref(), Some("192.0.2.1"));
}

#[test]
fn explain_names_the_scheme() {
    assert_eq!(
        IpcryptPfxAddress.explain(&args(&IpcryptPfxAddress, &[])),
        "An IP address is replaced by a pseudonym that keeps shared prefixes (ipcrypt-pfx), the same in \
         this column. A value that is no address becomes null."
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_address_comes_out_as_from_the_reference_crate(
        key in any::<[u8; 32]>(),
        v4 in proptest::collection::vec(any::<u32>(), 1..6),
        v6 in proptest::collection::vec(any::<u128>(), 0..12),
    ) {
        prop_assume!(key[..16] != key[16..]);
        let mut addresses: Vec<IpAddr> =
            v4.into_iter().map(|address| Ipv4Addr::from(address).into()).collect();
        addresses.extend(v6.into_iter().map(|address| IpAddr::from(Ipv6Addr::from(address))));
        let reference = ipcrypt::IpcryptPfx::new(key);
        let expected: Vec<IpAddr> =
            addresses.iter().map(|address| reference.encrypt_ipaddr(*address)).collect();
        prop_assert_eq!(encrypted(key, &addresses), expected);
    }
}
