//! Detectors of IPv4 and IPv6 addresses. Four numbers with dots are taken for an address even where they
//! are a version: that way nobody's address is taken for a version.

use std::net::Ipv6Addr;

use super::find::{Finds, Kind};
use super::words::{Text, back, byte, byte_before, forward, joins_after, joins_before, mark, part};

/// Looks for both.
pub(super) fn find(text: &Text<'_>, finds: &mut Finds) {
    if finds.wants(Kind::Ipv4) && text.marks & mark(b'.') != 0 {
        v4(text, finds);
    }
    if finds.wants(Kind::Ipv6) && text.marks & mark(b':') != 0 {
        v6(text, finds);
    }
}

fn v4(text: &Text<'_>, finds: &mut Finds) {
    let bytes = text.bytes;
    let mut taken = 0;
    for four in text.words.windows(4) {
        let [first, .., last] = four else { continue };
        if first.start < taken || !four.iter().all(|word| word.is_number() && word.len() <= 3) {
            continue;
        }
        let dotted = four.windows(2).all(|pair| match pair {
            [one, next] => next.start == one.end + 1 && byte(bytes, one.end) == b'.',
            _ => false,
        });
        let small = four.iter().all(|word| {
            part(bytes, word.start, word.end)
                .iter()
                .fold(0_u32, |number, digit| number * 10 + u32::from(digit.wrapping_sub(b'0')))
                <= 255
        });
        // A fifth number with a dot, on either side, makes it something else.
        let longer = (byte(bytes, last.end) == b'.' && byte(bytes, last.end + 1).is_ascii_digit())
            || (byte_before(bytes, first.start) == b'.'
                && first.start >= 2
                && byte(bytes, first.start - 2).is_ascii_digit());
        if dotted && small && !longer {
            finds.add(Kind::Ipv4, first.start, last.end);
            taken = last.end;
        }
    }
}

/// No text of an address is longer.
const V6_MAX: usize = 45;

fn v6(text: &Text<'_>, finds: &mut Finds) {
    let bytes = text.bytes;
    let of_address = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    let mut from = 0;
    while let Some(colon) = text.text.get(from..).and_then(|rest| rest.find(':')) {
        let colon = from + colon;
        let start = back(part(bytes, 0, colon), colon, |byte| byte.is_ascii_hexdigit());
        let end = forward(bytes, colon, of_address);
        from = end.max(colon + 1);
        let mut end = end;
        while byte_before(bytes, end) == b'.'
            || (byte_before(bytes, end) == b':' && !part(bytes, start, end).ends_with(b"::"))
        {
            end -= 1;
        }
        let found = part(bytes, start, end);
        let colons = found.iter().filter(|byte| **byte == b':').count();
        if colons < 2
            || found.len() < 3
            || found.len() > V6_MAX
            || joins_before(text.text, start)
            || joins_after(text.text, end)
        {
            continue;
        }
        let parsed =
            std::str::from_utf8(found).ok().and_then(|found| found.parse::<Ipv6Addr>().ok());
        if parsed.is_some() {
            finds.add(Kind::Ipv6, start, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::found;
    use super::*;

    #[test]
    fn four_numbers_up_to_255_are_an_address_and_no_more_or_fewer() {
        for (text, expected) in [
            ("from 131.225.10.7:9618 to <188.184.1.2>", vec!["131.225.10.7", "188.184.1.2"]),
            ("0.0.0.0 255.255.255.255.", vec!["0.0.0.0", "255.255.255.255"]),
            ("1.2.3 1.2.3.256 1.2.3.4.5 v1.2.3.4 1..2.3.4", vec![]),
            ("001.002.003.004", vec!["001.002.003.004"]),
            ("ip=%20\\|106.31.73.20|%20/", vec!["106.31.73.20"]),
        ] {
            assert_eq!(found(find, Kind::Ipv4, text), expected, "{text}");
        }
    }

    #[test]
    fn addresses_of_version_six_are_found_and_times_and_names_of_classes_are_not() {
        for (text, expected) in [
            (
                "at 6e40:4041:c617:e898:c11:40d2:c669:2eb4 blocked",
                vec!["6e40:4041:c617:e898:c11:40d2:c669:2eb4"],
            ),
            ("[2001:db8::1]:8443, ::1.", vec!["2001:db8::1", "::1"]),
            ("::ffff:131.225.10.7 fe80::", vec!["::ffff:131.225.10.7", "fe80::"]),
            ("12:34:56 std::vector aa:bb:cc:dd:ee:ff PATH=/a:/b a: :", vec![]),
        ] {
            assert_eq!(found(find, Kind::Ipv6, text), expected, "{text}");
        }
    }
}
