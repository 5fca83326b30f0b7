//! Detectors of numbers that stand for people: telephones, payment cards, social security. Digits in
//! groups; what the groups mean is decided by their lengths, by checksums, and for telephones without an
//! international prefix by the words around. A run of digits that nothing marks stays: it is a job number.

use super::find::{Finds, Kind};
use super::words::{Text, Word, byte, byte_before, joins_before, part, spend};

/// Looks for all three.
pub(super) fn find(text: &Text<'_>, finds: &mut Finds) {
    if !(finds.wants(Kind::Phone) || finds.wants(Kind::Card) || finds.wants(Kind::Ssn)) {
        return;
    }
    let mut at = 0;
    while let Some(word) = text.words.get(at) {
        // Most words are none: nothing else is looked at.
        if !byte(text.bytes, word.start).is_ascii_digit() {
            at += 1;
            continue;
        }
        let rest = text.words.get(at..).unwrap_or_default();
        let groups = chain(text.bytes, rest);
        let groups = rest.get(..groups).unwrap_or_default();
        // Fewer digits are a number of none of the kinds.
        if groups.iter().map(Word::len).sum::<usize>() >= DIGITS_MIN {
            judge(text, groups, finds);
        }
        at += groups.len().max(1);
    }
}

/// The fewest digits that any of them has: those of a telephone beside a word that says so.
const DIGITS_MIN: usize = 6;

/// More groups are a list of numbers; it is cut here.
const GROUPS_MAX: usize = 8;

/// How many words from the first on are groups of one number.
fn chain(bytes: &[u8], words: &[Word]) -> usize {
    let mut count = 0;
    let mut end = 0;
    for word in words.iter().take(GROUPS_MAX) {
        let joined = count == 0 || joins(part(bytes, end, word.start));
        if !joined || !(word.is_number() || extension(bytes, word).is_some()) {
            break;
        }
        count += 1;
        end = word.end;
        if !word.is_number() {
            break;
        }
    }
    count
}

/// What may stand between two groups.
fn joins(gap: &[u8]) -> bool {
    matches!(
        gap,
        b" " | b"-"
            | b"."
            | b")"
            | b") "
            | b")-"
            | b" ("
            | b"("
            | b"-("
            | b") ("
            | b" - "
            | b"\xc2\xa0"
    )
}

/// Where the digits end of a last group with an extension: `4587x36`.
fn extension(bytes: &[u8], word: &Word) -> Option<usize> {
    let group = part(bytes, word.start, word.end);
    let x = group.iter().position(|byte| !byte.is_ascii_digit())?;
    let number = group.get(x + 1..)?;
    let digits = !number.is_empty() && number.len() <= 6 && number.iter().all(u8::is_ascii_digit);
    (matches!(group.get(x), Some(b'x' | b'X')) && (2..=8).contains(&x) && digits)
        .then_some(word.start + x)
}

fn judge(text: &Text<'_>, groups: &[Word], finds: &mut Finds) {
    spend(groups.len());
    let bytes = text.bytes;
    if finds.wants(Kind::Card) {
        for first in 0..groups.len() {
            if let Some((start, end)) = card(bytes, groups.get(first..).unwrap_or_default()) {
                return finds.add(Kind::Card, start, end);
            }
        }
    }
    if finds.wants(Kind::Ssn)
        && let Some((start, end)) = ssn(text, groups)
    {
        return finds.add(Kind::Ssn, start, end);
    }
    if finds.wants(Kind::Phone)
        && let Some((start, end)) = phone(text, groups)
    {
        finds.add(Kind::Phone, start, end);
    }
}

/// The digits of some groups.
fn digits<'a>(bytes: &'a [u8], groups: &'a [Word]) -> impl DoubleEndedIterator<Item = u8> + 'a {
    groups
        .iter()
        .flat_map(|word| part(bytes, word.start, word.end))
        .copied()
        .filter(u8::is_ascii_digit)
}

/// A payment card that begins with the first group: 12 to 19 digits at once or in the groups printed on
/// cards, a known beginning, and Luhn's sum.
fn card(bytes: &[u8], groups: &[Word]) -> Option<(usize, usize)> {
    let first = groups.first()?;
    let lengths: [usize; 5] = std::array::from_fn(|at| groups.get(at).map_or(0, Word::len));
    let count = match lengths {
        [12..=19, ..] => 1,
        [4, 4, 4, 4, 3] => 5,
        [4, 4, 4, 4, _] => 4,
        [4, 6, 4 | 5, ..] => 3,
        _ => return None,
    };
    let groups = groups.get(..count)?;
    let evenly = groups.windows(2).all(|pair| match pair {
        [one, next] => matches!(part(bytes, one.end, next.start), b" " | b"-") && next.is_number(),
        _ => false,
    });
    if !evenly || !first.is_number() || joins_digits(bytes, first.start, groups.last()?.end) {
        return None;
    }
    let number: Vec<u8> = digits(bytes, groups).map(|digit| digit - b'0').collect();
    (known_card(&number) && luhn(&number)).then_some((first.start, groups.last()?.end))
}

/// Whether a fraction or a thousand goes on at either end.
fn joins_digits(bytes: &[u8], start: usize, end: usize) -> bool {
    let glue = |byte: u8| matches!(byte, b'.' | b',');
    (glue(byte_before(bytes, start)) && start >= 2 && byte(bytes, start - 2).is_ascii_digit())
        || (glue(byte(bytes, end)) && byte(bytes, end + 1).is_ascii_digit())
}

/// Whether an issuer gives cards with this beginning and length.
fn known_card(number: &[u8]) -> bool {
    let head = |count: usize| {
        number.iter().take(count).fold(0_u32, |head, digit| head * 10 + u32::from(*digit))
    };
    match number.len() {
        13 | 19 if head(1) == 4 => true,
        14 => matches!(head(2), 36 | 38 | 39) || matches!(head(3), 300..=305),
        15 => matches!(head(2), 34 | 37) || matches!(head(4), 2131 | 1800),
        16 if head(1) == 4
            || matches!(head(2), 35 | 51..=55 | 65)
            || matches!(head(3), 644..=649)
            || matches!(head(4), 2200..=2204 | 2221..=2720 | 6011) =>
        {
            true
        }
        12..=19 => matches!(head(2), 50 | 56..=58 | 60..=65 | 67),
        _ => false,
    }
}

/// Luhn's sum (ISO/IEC 7812-1, annex B).
fn luhn(number: &[u8]) -> bool {
    let sum: u32 = number
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// `AAA-GG-SSSS` as it may be given out: no part zero, the area neither 666 nor from 900 on. Without
/// hyphens only behind the words.
fn ssn(text: &Text<'_>, groups: &[Word]) -> Option<(usize, usize)> {
    let bytes = text.bytes;
    let named = || named(text, groups, &[b"ssn", b"social", b"security"]);
    let (area, group, serial, end) = match groups {
        [area, group, serial]
            if [area, group, serial].map(Word::len) == [3, 2, 4] && serial.is_number() =>
        {
            let gaps = [part(bytes, area.end, group.start), part(bytes, group.end, serial.start)];
            if gaps != [b"-", b"-"] && !(gaps == [b" ", b" "] && named()) {
                return None;
            }
            (number(bytes, area), number(bytes, group), number(bytes, serial), serial.end)
        }
        [all] if all.len() == 9 && all.is_number() && named() => {
            let all_digits = number(bytes, all);
            (all_digits / 1_000_000, all_digits / 10_000 % 100, all_digits % 10_000, all.end)
        }
        _ => return None,
    };
    let valid = (1..900).contains(&area) && area != 666 && group > 0 && serial > 0;
    valid.then_some((groups.first()?.start, end))
}

fn number(bytes: &[u8], word: &Word) -> u32 {
    part(bytes, word.start, word.end).iter().fold(0_u32, |number, digit| {
        number.wrapping_mul(10).wrapping_add(u32::from(digit.wrapping_sub(b'0')))
    })
}

/// A telephone number: international (`+`, or `00` in groups), North American, with the area in
/// parentheses, or with a zero in front in groups. Digits in other groups only beside a word that says
/// what they are.
fn phone(text: &Text<'_>, groups: &[Word]) -> Option<(usize, usize)> {
    let bytes = text.bytes;
    let (first, last) = (groups.first()?, groups.last()?);
    let in_last = if last.is_number() { last.end } else { extension(bytes, last)? };
    let count = |groups: &[Word]| -> usize {
        groups.iter().map(|word| word.end.min(in_last).saturating_sub(word.start)).sum()
    };
    let digits = count(groups);
    let opened = byte_before(bytes, first.start) == b'(';
    let outer = if opened { first.start - 1 } else { first.start };
    let plus = byte_before(bytes, outer) == b'+' && !joins_before(text.text, outer - 1);
    let start = if plus { outer - 1 } else { outer };
    let found = Some((start, last.end));
    if plus {
        return found.filter(|_| (8..=15).contains(&digits));
    }
    if joins_digits(bytes, first.start, last.end) || byte_before(bytes, first.start) == b'-' {
        return None;
    }
    if groups.len() == 1 {
        // Most are numbers of jobs.
        return found.filter(|_| (6..=13).contains(&digits) && named(text, groups, &WORDS));
    }
    let gaps: Vec<&[u8]> = groups
        .windows(2)
        .filter_map(|pair| match pair {
            [one, next] => Some(part(bytes, one.end, next.start)),
            _ => None,
        })
        .collect();
    let evenly = gaps.windows(2).all(|pair| matches!(pair, [one, next] if one == next));
    let lengths: Vec<usize> =
        groups.iter().map(|word| word.end.min(in_last).saturating_sub(word.start)).collect();
    let head = part(bytes, first.start, first.end);
    if opened && gaps.first().is_some_and(|gap| gap.starts_with(b")")) {
        return found.filter(|_| (2..=5).contains(&first.len()) && (7..=12).contains(&digits));
    }
    if gaps.iter().any(|gap| gap.contains(&b'(') || gap.contains(&b')')) {
        // `0(20) 1234 5678` and the like.
        return found.filter(|_| (8..=14).contains(&digits) && head.starts_with(b"0"));
    }
    let american = match lengths.as_slice() {
        [3, 3, 4] => Some(first),
        [1, 3, 3, 4] if head == b"1" => groups.get(1),
        [3, 3, 3, 4] if head == b"001" => groups.get(1),
        _ => None,
    };
    if let Some(area) = american
        && evenly
        && matches!(byte(bytes, area.start), b'2'..=b'9')
        && gaps.first().is_some_and(|gap| *gap != b" " || !last.is_number())
    {
        return found;
    }
    let grouped = (2..=6).contains(&groups.len())
        && lengths.iter().all(|length| (2..=7).contains(length))
        && evenly;
    if head.starts_with(b"00") && grouped && groups.len() >= 3 && (10..=15).contains(&digits) {
        return found;
    }
    let trunk = head.starts_with(b"0") && !head.starts_with(b"00") && first.len() >= 2;
    if trunk && grouped && first.len() <= 5 && (9..=11).contains(&digits) {
        return found;
    }
    found.filter(|_| grouped && (6..=13).contains(&digits) && named(text, groups, &WORDS))
}

/// Words beside which digits are a telephone number.
const WORDS: [&[u8]; 16] = [
    b"phone",
    b"tel",
    b"telephone",
    b"mobile",
    b"cell",
    b"fax",
    b"call",
    b"office",
    b"desk",
    b"dial",
    b"sms",
    b"whatsapp",
    b"registered",
    b"messages",
    b"answering",
    b"reach",
];

/// Whether one of these words stands right before or right behind the groups: within two words, and
/// within [`NEAR`] bytes.
fn named(text: &Text<'_>, groups: &[Word], names: &[&[u8]]) -> bool {
    let (Some(first), Some(last)) = (groups.first(), groups.last()) else { return false };
    let at = text.words.partition_point(|word| word.start < first.start);
    let before = text.words.get(at.saturating_sub(3)..at).unwrap_or_default();
    let after = text.words.get(at + groups.len()..).unwrap_or_default();
    let near = before
        .iter()
        .filter(|word| first.start - word.end <= NEAR)
        .chain(after.iter().take(1).filter(|word| word.start - last.end <= 3));
    near.into_iter().any(|word| {
        let word = part(text.bytes, word.start, word.end);
        names.iter().any(|name| word.eq_ignore_ascii_case(name))
    })
}

/// How far from a number a word may stand that names it.
const NEAR: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::testing::found;
    use super::*;

    #[test]
    fn cards_have_a_known_beginning_and_luhns_sum() {
        for (text, expected) in [
            ("card 4111111111111111.", vec!["4111111111111111"]),
            (
                "4111 1111 1111 1111, 3782-822463-10005",
                vec!["4111 1111 1111 1111", "3782-822463-10005"],
            ),
            ("4111111111111112 1704067200000000 411111111111111 0000000000000000", vec![]),
            ("7 4111 1111 1111 1111", vec!["4111 1111 1111 1111"]),
            ("0.4111111111111111 a4111111111111111", vec![]),
        ] {
            assert_eq!(found(find, Kind::Card, text), expected, "{text}");
        }
    }

    #[test]
    fn social_security_numbers_are_those_that_may_be_given_out() {
        for (text, expected) in [
            ("SSN: 460-89-9847, 899-01-0001", vec!["460-89-9847", "899-01-0001"]),
            ("000-12-3456 666-12-3456 900-12-3456 123-00-4567 123-45-0000", vec![]),
            ("ssn 460899847 and 460 89 9847", vec!["460899847", "460 89 9847"]),
            ("460899847 460 89 9847", vec![]),
            ("2024-01-05 1460-89-9847", vec![]),
        ] {
            assert_eq!(found(find, Kind::Ssn, text), expected, "{text}");
        }
    }

    #[test]
    fn telephones_are_known_by_prefix_groups_or_the_word_beside_them() {
        for (text, expected) in [
            ("+41 (0)96 471 07 95 (+447700677662)", vec!["+41 (0)96 471 07 95", "+447700677662"]),
            ("(579)888-3058x12 or 905-674-3793", vec!["(579)888-3058x12", "905-674-3793"]),
            ("001-518-640-0854; 1-984-182-0190", vec!["001-518-640-0854", "1-984-182-0190"]),
            (
                "03.93.92.16.85, 0490 75 40 81, 0961-7596216",
                vec!["03.93.92.16.85", "0490 75 40 81", "0961-7596216"],
            ),
            (
                "call me on 9472 7916; Fax: 9498777106; 28-64-66-98 office",
                vec!["9472 7916", "9498777106", "28-64-66-98"],
            ),
            ("2024-01-05 10:11:12 12345678 9472 7916 5 10 20 131.225.10.7 1.0.2", vec![]),
            ("x+12345678 a=-905-674-3793 3.14", vec![]),
        ] {
            assert_eq!(found(find, Kind::Phone, text), expected, "{text}");
        }
    }
}
