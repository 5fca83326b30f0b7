//! Detector of distinguished names: `/DC=org/DC=cilogon/CN=Jane Doe 123` as grid certificates are written,
//! and `CN=Jane Doe,OU=People,DC=example,DC=org` (RFC 4514). A value may hold blanks, so a name goes on to
//! where its text cannot: too much is taken rather than too little.

use super::find::{Finds, Kind};
use super::words::{Text, back, byte, byte_before, forward, joins_before, mark, part, spend};

/// Looks for names.
pub(super) fn find(text: &Text<'_>, finds: &mut Finds) {
    if !finds.wants(Kind::Dn) || text.marks & mark(b'=') == 0 {
        return;
    }
    let bytes = text.bytes;
    let mut taken = 0;
    for (equals, _) in text.text.match_indices('=') {
        let start = back(bytes, equals, |byte| byte.is_ascii_alphabetic());
        if start < taken || !is_type(part(bytes, start, equals)) {
            continue;
        }
        let slashed = byte_before(bytes, start) == b'/';
        if !slashed && joins_before(text.text, start) {
            continue;
        }
        let begin = if slashed { start - 1 } else { start };
        let end = end(bytes, equals + 1);
        if pairs(part(bytes, start, end), if slashed { b'/' } else { b',' }) >= 2
            || part(bytes, start, equals).eq_ignore_ascii_case(b"CN")
        {
            finds.add(Kind::Dn, begin, end);
            taken = end;
        }
    }
}

/// Types of attributes that names are made of.
const TYPES: [&[u8]; 14] = [
    b"CN",
    b"DC",
    b"O",
    b"OU",
    b"C",
    b"L",
    b"ST",
    b"UID",
    b"USERID",
    b"SN",
    b"GN",
    b"EMAILADDRESS",
    b"EMAIL",
    b"SERIALNUMBER",
];

fn is_type(word: &[u8]) -> bool {
    TYPES.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// Where a value can go on no longer: quotes, brackets, other lines, the next `KEY=` behind a blank.
fn end(bytes: &[u8], from: usize) -> usize {
    let mut end = from;
    loop {
        end = forward(bytes, end, |byte| {
            !matches!(
                byte,
                0..=b' ' | b'"' | b'\'' | b'<' | b'>' | b'|' | b';' | b'`' | b'{' | b'}'
            )
        });
        if byte(bytes, end) != b' ' {
            break;
        }
        let word = forward(bytes, end + 1, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let next_key = byte(bytes, word) == b'='
            && !(is_type(part(bytes, end + 1, word)) && byte_before(bytes, end) == b',');
        if next_key || byte(bytes, end + 1) <= b' ' {
            break;
        }
        end += 1;
    }
    end - part(bytes, from, end).iter().rev().take_while(|byte| matches!(byte, b'.' | b',')).count()
}

/// How many attributes a name has.
fn pairs(name: &[u8], separator: u8) -> usize {
    let typed = |attribute: &[u8]| {
        let attribute = attribute.trim_ascii_start();
        let equals = attribute.iter().position(|byte| *byte == b'=');
        equals.and_then(|at| attribute.get(..at)).is_some_and(is_type)
    };
    spend(name.len());
    name.split(|byte| *byte == separator).filter(|attribute| typed(attribute)).count()
}

#[cfg(test)]
mod tests {
    use super::super::testing::found;
    use super::*;

    #[test]
    fn names_are_found_whole_with_the_blanks_in_them() {
        for (text, expected) in [
            (
                "x509=/DC=org/DC=cilogon/C=US/O=Fermi National/CN=Jane Doe 123 A=b",
                vec!["/DC=org/DC=cilogon/C=US/O=Fermi National/CN=Jane Doe 123"],
            ),
            ("\"/CN=Jane O\u{e9} Doe/CN=UID:jdoe\"; x", vec!["/CN=Jane O\u{e9} Doe/CN=UID:jdoe"]),
            (
                "<CN=Jane Doe, OU=People,DC=example,DC=org>",
                vec!["CN=Jane Doe, OU=People,DC=example,DC=org"],
            ),
            ("subject cn=jane", vec!["cn=jane"]),
            ("C=3 O=1 MCN=4 L=a", vec![]),
        ] {
            assert_eq!(found(find, Kind::Dn, text), expected, "{text}");
        }
    }
}
