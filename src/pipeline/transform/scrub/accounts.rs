//! Detector of international bank account numbers: country, length and the sum modulo 97 (ISO 13616). Other
//! numbers of accounts have no form of their own.

use super::find::{Finds, Kind};
use super::words::{Text, Word, byte, part};

/// Looks for account numbers, written at once or in fours.
pub(super) fn find(text: &Text<'_>, finds: &mut Finds) {
    if !finds.wants(Kind::Iban) {
        return;
    }
    for (at, word) in text.words.iter().enumerate() {
        // Two letters, two digits.
        if word.len() < 4
            || !byte(text.bytes, word.start + 2).is_ascii_digit()
            || !byte(text.bytes, word.start).is_ascii_alphabetic()
        {
            continue;
        }
        let head = part(text.bytes, word.start, word.start + 4);
        if let Some(length) = length(head)
            && let Some(end) = whole(text, text.words.get(at..).unwrap_or_default(), length)
        {
            finds.add(Kind::Iban, word.start, end);
        }
    }
}

/// Where the number ends that begins with the first word, if its sum is right.
fn whole(text: &Text<'_>, words: &[Word], length: usize) -> Option<usize> {
    let first = words.first()?;
    let mut number: Vec<u8> = Vec::with_capacity(length);
    let mut end = first.start;
    for word in words {
        let alone = number.is_empty() && word.len() == length;
        let gap = part(text.bytes, end, word.start);
        let in_fours = (number.is_empty() || matches!(gap, b" " | b"-")) && word.len() <= 4;
        if !(alone || in_fours) {
            return None;
        }
        number.extend_from_slice(part(text.bytes, word.start, word.end));
        end = word.end;
        if number.len() >= length {
            break;
        }
    }
    (number.len() == length && sum(&number) == Some(1)).then_some(end)
}

/// The number modulo 97, its first four characters behind the others, letters as 10 to 35.
fn sum(number: &[u8]) -> Option<u32> {
    let (head, rest) = number.split_at_checked(4)?;
    rest.iter().chain(head).try_fold(0, |sum, byte| {
        let value = char::from(*byte).to_digit(36)?;
        Some((sum * if value < 10 { 10 } else { 100 } + value) % 97)
    })
}

/// How long the numbers of a country are; `None` where `head` does not begin one.
fn length(head: &[u8]) -> Option<usize> {
    let &[a, b, c, d] = head else { return None };
    if !c.is_ascii_digit() || !d.is_ascii_digit() {
        return None;
    }
    let country = [a.to_ascii_uppercase(), b.to_ascii_uppercase()];
    COUNTRIES.iter().find(|(known, _)| *known == &country).map(|(_, length)| *length)
}

/// The registry of IBAN formats, by country.
const COUNTRIES: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

#[cfg(test)]
mod tests {
    use super::super::testing::found;
    use super::*;

    #[test]
    fn accounts_have_the_length_of_their_country_and_the_right_sum() {
        for (text, expected) in [
            ("IBAN GB82WEST12345698765432.", vec!["GB82WEST12345698765432"]),
            (
                "gb82 west 1234 5698 7654 32 de89370400440532013000",
                vec!["gb82 west 1234 5698 7654 32", "de89370400440532013000"],
            ),
            ("GB83WEST12345698765432 GB82WEST1234569876543 XX82WEST12345698765432", vec![]),
            ("a1b2 NO93 8601 1117 947", vec!["NO93 8601 1117 947"]),
            ("NO93 8601", vec![]),
        ] {
            assert_eq!(found(find, Kind::Iban, text), expected, "{text}");
        }
    }
}
