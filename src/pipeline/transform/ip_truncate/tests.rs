//! Bits that are left, and what the policy tools say of them.

use super::*;
use crate::pipeline::transform::testing::{apply, args, text, texts};
use crate::policy::args::Value;

fn cut(v4: i64, v6: i64, address: &str) -> String {
    let set = [("v4_bits", Value::Integer(v4)), ("v6_bits", Value::Integer(v6))];
    texts(&apply(&TruncateAddress, &set, &text(&[address]))).remove(0).unwrap()
}

#[test]
fn the_hosts_bits_become_zero() {
    let cases = [
        (24, "192.0.2.77", "192.0.2.0"),
        (32, "192.0.2.77", "192.0.2.77"),
        (16, "192.0.2.77", "192.0.0.0"),
        (0, "192.0.2.77", "0.0.0.0"),
        (20, "10.1.255.255", "10.1.240.0"),
        (24, "::ffff:192.0.2.77", "192.0.2.0"),
    ];
    for (bits, address, expected) in cases {
        assert_eq!(cut(bits, 48, address), expected);
    }
    assert_eq!(cut(24, 48, "2001:db8:1:2:3:4:5:6"), "2001:db8:1::");
    assert_eq!(cut(24, 0, "2001:db8:1:2:3:4:5:6"), "::");
    assert_eq!(cut(24, 128, "2001:db8:1:2:3:4:5:6"), "2001:db8:1:2:3:4:5:6");
}

#[test]
fn the_defaults_leave_24_and_48_bits() {
    let out = texts(&apply(&TruncateAddress, &[], &text(&["10.1.2.3", "2001:db8:1:2::3"])));
    assert_eq!(out, [Some("10.1.2.0".to_owned()), Some("2001:db8:1::".to_owned())]);
}

#[test]
fn more_bits_weaken_and_all_bits_are_the_address_itself() {
    let of = |bits| args(&TruncateAddress, &[("v4_bits", Value::Integer(bits))]);
    assert_eq!(TruncateAddress.compare(&of(16), &of(24)), Change::Weakens);
    assert_eq!(TruncateAddress.compare(&of(24), &of(16)), Change::Strengthens);
    assert_eq!(TruncateAddress.exposure(&of(24)), Exposure::Coarse);
    assert_eq!(TruncateAddress.exposure(&of(32)), Exposure::Clear);
    assert_eq!(
        TruncateAddress.explain(&of(16)),
        "An IP address is cut to its first 16 bits (IPv4) or 48 bits (IPv6); the rest is set to zero. \
         A value that is no address becomes null."
    );
}
