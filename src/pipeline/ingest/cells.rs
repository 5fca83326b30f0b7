//! Texts become values: one function a kind, and [`fits`], which says whether a text would become one.
//! A text that does not is a fault with a reason; no text becomes null unless its column says so.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDateTime};

use super::column::{Column, Kind};
use super::nodes::expand_nodes;
use super::zone::Zone;

/// Why a text has no value of its column's kind; holds no part of the text.
pub(super) type Fault = Cow<'static, str>;

/// Whether a text means null in a column: by the column's words, or because nothing stands there.
pub(super) fn is_null(column: &Column, text: &[u8]) -> bool {
    (text.is_empty() && column.kind != Kind::Text)
        || column.nulls.iter().any(|null| null.as_bytes() == text)
}

/// Whether a text is null or a value of its column.
pub fn fits(column: &Column, zone: Zone, text: &[u8]) -> bool {
    if is_null(column, text) {
        return true;
    }
    match column.kind {
        Kind::Text => std::str::from_utf8(text).is_ok(),
        Kind::Integer => integer(text).is_some(),
        Kind::Number => number(text).is_some(),
        Kind::Flag => flag(text).is_some(),
        Kind::Date => date(text).is_some(),
        Kind::Time => time(text, zone).is_some(),
        Kind::Epoch => epoch(text).is_some(),
        Kind::Seconds => seconds(text).is_some(),
        Kind::Minutes => minutes(text).is_some(),
        Kind::ProcessorTime => processor_time(text).is_some(),
        Kind::Bytes => bytes(text).is_some(),
        Kind::Kibibytes => scaled(text, b'K').is_some(),
        Kind::Mebibytes => scaled(text, b'M').is_some(),
        Kind::Nodes => nodes(text).is_ok(),
    }
}

/// The reason for a text that is no value of this kind.
pub(super) fn misfit(kind: Kind) -> Fault {
    match kind {
        Kind::Text => "not UTF-8".into(),
        kind => format!("no {}", kind.noun()).into(),
    }
}

/// Only digits, as a number; none if there are none or too many.
fn digits(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    let mut value: i64 = 0;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(i64::from(digit))?;
    }
    Some(value)
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let found = memchr::memchr(at, text)?;
    Some((text.get(..found)?, text.get(found + 1..)?))
}

/// `12`, `-3`, `12.0`.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    // Nearly all are digits and nothing else.
    if let Some(value) = digits(text) {
        return Some(value);
    }
    let (minus, size) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    let size = match split(size, b'.') {
        Some((whole, fraction)) if fraction.iter().all(|byte| *byte == b'0') => whole,
        Some(_) => return None,
        None => size,
    };
    if minus && size == b"9223372036854775808" {
        return Some(i64::MIN);
    }
    digits(size).map(|value| if minus { -value } else { value })
}

/// `1.5`, `-2e3`, `12`, `inf`, `nan`.
pub(super) fn number(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `true`, `no`, `1`, ...
pub(super) fn flag(text: &[u8]) -> Option<bool> {
    let is = |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()));
    if is(["true", "yes", "1", "t"]) {
        Some(true)
    } else if is(["false", "no", "0", "f"]) {
        Some(false)
    } else {
        None
    }
}

/// `2024-01-15`, as days since 1970.
pub(super) fn date(text: &[u8]) -> Option<i32> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let year = fixed([*y1, *y2, *y3, *y4])?;
    let (month, day) = (fixed([*m1, *m2])?, fixed([*d1, *d2])?);
    i32::try_from(days(year, month, day)?).ok()
}

/// The number that digits at fixed places make; none where one of them is no digit.
fn fixed<const N: usize>(text: [u8; N]) -> Option<i64> {
    let (mut value, mut worst) = (0, 0);
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        worst = worst.max(digit);
        value = value * 10 + i64::from(digit);
    }
    (worst <= 9).then_some(value)
}

/// Days since 1970 of a day of the Gregorian calendar, years 0 to 9999.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Counted from 1 March, so that the leap day is a year's last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let in_era = year.rem_euclid(400);
    let in_year = (153 * month + 2) / 5 + day - 1;
    Some(
        year.div_euclid(400) * 146_097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year
            - 719_468,
    )
}

/// `2024-01-15T08:00:00`, with a blank for the `T`, without seconds, with a fraction, with `Z` or an
/// offset: microseconds since 1970 in UTC.
pub(super) fn time(text: &[u8], zone: Zone) -> Option<i64> {
    let (day, clock) = text.split_at_checked(10)?;
    let days = i64::from(date(day)?);
    let (separator, clock) = clock.split_first()?;
    if !matches!(separator, b'T' | b' ' | b't') {
        return None;
    }
    let [h1, h2, b':', m1, m2, rest @ ..] = clock else { return None };
    let (hours, minutes) = (fixed([*h1, *h2])?, fixed([*m1, *m2])?);
    let (seconds, rest) = match rest {
        [b':', s1, s2, rest @ ..] => (fixed([*s1, *s2])?, rest),
        _ => (0, rest),
    };
    if hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    let (micros, rest) = match rest.split_first() {
        Some((b'.' | b',', rest)) => {
            let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (fraction, rest) = rest.split_at_checked(length)?;
            (micros(fraction)?, rest)
        }
        _ => (0, rest),
    };
    // A leap second is the last moment of its minute, as in the systems' clocks.
    let wall =
        (days * 86_400 + hours * 3_600 + minutes * 60 + seconds.min(59)) * 1_000_000 + micros;
    match (rest, zone) {
        ([], Zone::Utc) | (b"Z" | b"z", _) => Some(wall),
        ([], zone) => Some(zone.micros(naive(wall)?)),
        ([sign @ (b'+' | b'-'), h1, h2, rest @ ..], _) => {
            let minutes = match rest {
                [] => 0,
                [m1, m2] | [b':', m1, m2] => digits(&[*m1, *m2])?,
                _ => return None,
            };
            let offset = (digits(&[*h1, *h2])? * 60 + minutes) * 60_000_000;
            Some(if *sign == b'+' { wall - offset } else { wall + offset })
        }
        _ => None,
    }
}

fn naive(micros: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros).map(|moment| moment.naive_utc())
}

/// The first six digits behind a point, as millionths.
fn micros(fraction: &[u8]) -> Option<i64> {
    if fraction.is_empty() || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut value = 0;
    for at in 0..6 {
        value = value * 10 + fraction.get(at).map_or(0, |byte| i64::from(byte.wrapping_sub(b'0')));
    }
    Some(value)
}

/// Seconds since 1970, perhaps with a fraction, in microseconds.
pub(super) fn epoch(text: &[u8]) -> Option<i64> {
    let (minus, size) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = match split(size, b'.') {
        Some((whole, fraction)) => (digits(whole)?, micros(fraction)?),
        None => (digits(size)?, 0),
    };
    let value = whole.checked_mul(1_000_000)?.checked_add(fraction)?;
    Some(if minus { -value } else { value })
}

/// Days, hours, minutes, seconds as whole seconds, and the millionths of a second.
fn span(text: &[u8]) -> Option<(i64, i64)> {
    if let [h1, h2, b':', m1, m2, b':', s1, s2] = text
        && let (Some(hours), Some(minutes), Some(seconds)) =
            (fixed([*h1, *h2]), fixed([*m1, *m2]), fixed([*s1, *s2]))
    {
        return Some((hours * 3_600 + minutes * 60 + seconds, 0));
    }
    let (text, millionths) = match split(text, b'.') {
        Some((whole, fraction)) => (whole, micros(fraction)?),
        None => (text, 0),
    };
    let (days, clock) = match split(text, b'-') {
        Some((days, clock)) => (Some(digits(days)?), clock),
        None => (None, text),
    };
    let mut parts = clock.split(|byte| *byte == b':');
    let first = digits(parts.next()?)?;
    let second = parts.next().map(digits);
    let third = parts.next().map(digits);
    if parts.next().is_some() {
        return None;
    }
    let (hours, minutes, seconds) = match (days, second, third) {
        (_, Some(minutes), Some(seconds)) => (first, minutes?, seconds?),
        // Behind days there are hours; alone there are minutes and seconds.
        (Some(_), Some(minutes), None) => (first, minutes?, 0),
        (Some(_), None, None) => (first, 0, 0),
        (None, Some(seconds), None) => (0, first, seconds?),
        (None, None, None) => (0, 0, first),
        (_, None, Some(_)) => return None,
    };
    let days = days.unwrap_or(0).checked_mul(86_400)?;
    let clock = hours.checked_mul(3_600)?.checked_add(minutes.checked_mul(60)?)?;
    Some((days.checked_add(clock)?.checked_add(seconds)?, millionths))
}

/// A span of time in whole seconds.
pub(super) fn seconds(text: &[u8]) -> Option<i64> {
    let (minus, size) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    span(size).map(|(seconds, _)| if minus { -seconds } else { seconds })
}

/// A span of time, where a plain number counts minutes, in whole seconds.
pub(super) fn minutes(text: &[u8]) -> Option<i64> {
    match digits(text) {
        Some(minutes) => minutes.checked_mul(60),
        None => seconds(text),
    }
}

/// A span of time with its fraction, in seconds.
pub(super) fn processor_time(text: &[u8]) -> Option<f64> {
    let (minus, size) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let (seconds, millionths) = span(size)?;
    #[expect(clippy::cast_precision_loss, reason = "2^53 seconds are longer than any job")]
    let value = seconds as f64 + millionths as f64 / 1e6;
    Some(if minus { -value } else { value })
}

/// `48000M`, `1.5G`, `512`, `4GiB`, `7 KB`: bytes, by powers of 1,024.
pub(super) fn bytes(text: &[u8]) -> Option<i64> {
    let size = text.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let (amount, unit) = text.split_at_checked(size)?;
    let unit = unit.strip_prefix(b" ").unwrap_or(unit);
    let (letter, rest) = match unit.split_first() {
        Some((letter, rest)) => (letter.to_ascii_uppercase(), rest),
        None => (b'B', unit),
    };
    let shift = match letter {
        b'B' => 0,
        b'K' => 10,
        b'M' => 20,
        b'G' => 30,
        b'T' => 40,
        b'P' => 50,
        b'E' => 60,
        _ => return None,
    };
    if !matches!(rest, b"" | b"B" | b"b" | b"iB" | b"ib") || (shift == 0 && !rest.is_empty()) {
        return None;
    }
    let factor = 1_i64.checked_shl(shift)?;
    match split(amount, b'.') {
        None => digits(amount)?.checked_mul(factor),
        Some((whole, fraction)) => {
            let part = i128::from(micros(fraction)?) * i128::from(factor) / 1_000_000;
            digits(whole)?.checked_mul(factor)?.checked_add(i64::try_from(part).ok()?)
        }
    }
}

/// The same where a plain number counts `unit`s.
pub(super) fn scaled(text: &[u8], unit: u8) -> Option<i64> {
    if text.last().is_some_and(u8::is_ascii_digit) {
        let mut text = text.to_vec();
        text.push(unit);
        return bytes(&text);
    }
    bytes(text)
}

/// The hosts of a list.
pub(super) fn nodes(text: &[u8]) -> Result<Vec<String>, Fault> {
    let text = std::str::from_utf8(text).map_err(|_| misfit(Kind::Text))?;
    expand_nodes(text).map_err(Fault::from)
}

/// A day, by the calendar of another library; for the tests of ours.
#[cfg(test)]
fn calendar(days: i32) -> Option<chrono::NaiveDate> {
    chrono::NaiveDate::from_num_days_from_ce_opt(days.checked_add(719_163)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Option<i64> {
        time(text.as_bytes(), Zone::Utc)
    }

    #[test]
    fn spans_of_time_are_seconds() {
        for (text, expected) in [
            ("7-20:39:39", Some(679_179)),
            ("1-02:03", Some(93_780)),
            ("2-03", Some(183_600)),
            ("02:15:18", Some(8_118)),
            ("05:12", Some(312)),
            ("05:12.750", Some(312)),
            ("125-00:00:00", Some(10_800_000)),
            ("90", Some(90)),
            ("00:00:00", Some(0)),
            ("-00:05", Some(-5)),
            ("", None),
            ("INVALID", None),
            ("1:2:3:4", None),
            ("1-", None),
            (":", None),
            ("1-02:03:04-05", None),
            ("99999999999999999-00:00:00", None),
        ] {
            assert_eq!(seconds(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(processor_time(b"00:58.125"), Some(58.125));
        assert_eq!(processor_time(b"1-02:30:00"), Some(95_400.0));
        assert_eq!(minutes(b"90"), Some(5_400));
        assert_eq!(minutes(b"01:30:00"), Some(5_400));
    }

    #[test]
    fn amounts_of_memory_are_bytes() {
        for (text, expected) in [
            ("48000M", Some(50_331_648_000)),
            ("1.5G", Some(1_610_612_736)),
            ("45231600K", Some(46_317_158_400)),
            ("512", Some(512)),
            ("0", Some(0)),
            ("2147486648M", Some(2_251_802_959_413_248)),
            ("4GiB", Some(4 << 30)),
            ("7 KB", Some(7_168)),
            ("9E", None),
            ("1.5.2G", None),
            ("G", None),
            ("4Q", None),
            ("4GX", None),
            ("-4G", None),
            ("", None),
        ] {
            assert_eq!(bytes(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn moments_are_microseconds_in_utc() {
        assert_eq!(at("1970-01-01T00:00:01"), Some(1_000_000));
        assert_eq!(at("2016-12-30T03:43:09"), Some(1_483_069_389_000_000));
        assert_eq!(at("2019-01-01 08:55"), Some(1_546_332_900_000_000));
        assert_eq!(at("1970-01-01T01:00:00.25+01:00"), Some(250_000));
        assert_eq!(at("1970-01-01T00:00:00-0030"), Some(1_800_000_000));
        assert_eq!(at("1969-12-31T23:59:59.999999Z"), Some(-1));
        for text in
            ["2024-02-30T00:00:00", "2024-1-01T00:00:00", "2024-01-01", "2024-01-01T24:00:00"]
        {
            assert_eq!(at(text), None, "{text}");
        }
        let zone: Zone = "America/New_York".parse().unwrap();
        assert_eq!(time(b"2024-01-01T00:00:00", zone), at("2024-01-01T05:00:00"));
        assert_eq!(time(b"2024-01-01T00:00:00Z", zone), at("2024-01-01T00:00:00"));
        assert_eq!(epoch(b"1705305600"), at("2024-01-15T08:00:00"));
        assert_eq!(epoch(b"0.5"), Some(500_000));
    }

    #[test]
    fn whole_numbers_are_not_rounded() {
        assert_eq!(integer(b"12"), Some(12));
        assert_eq!(integer(b"-12.00"), Some(-12));
        assert_eq!(integer(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(integer(b"-9223372036854775808"), Some(i64::MIN));
        for text in ["", "-", "1.5", "9223372036854775808", "1e3", "0x1F", "12 ", "1_000"] {
            assert_eq!(integer(text.as_bytes()), None, "{text}");
        }
        assert_eq!(flag(b"YES"), Some(true));
        assert_eq!(flag(b"f"), Some(false));
        assert_eq!(flag(b"maybe"), None);
    }

    proptest! {
        #[test]
        fn days_are_those_of_the_calendar(days in -719_000_i32..2_900_000) {
            let day = calendar(days).unwrap();
            prop_assert_eq!(date(day.format("%Y-%m-%d").to_string().as_bytes()), Some(days));
        }

        #[test]
        fn any_bytes_are_a_value_or_a_fault(text: Vec<u8>) {
            for kind in [Kind::Integer, Kind::Number, Kind::Flag, Kind::Date, Kind::Time, Kind::Epoch,
                Kind::Seconds, Kind::Minutes, Kind::ProcessorTime, Kind::Bytes, Kind::Nodes] {
                let _ = fits(&Column::new("a", kind), Zone::Utc, &text);
            }
        }

        #[test]
        fn spans_come_back(value in 0_i64..100_000_000) {
            let (days, hours) = (value / 86_400, value / 3_600 % 24);
            let (minutes, rest) = (value / 60 % 60, value % 60);
            let text = format!("{days}-{hours:02}:{minutes:02}:{rest:02}");
            prop_assert_eq!(seconds(text.as_bytes()), Some(value));
        }
    }
}
