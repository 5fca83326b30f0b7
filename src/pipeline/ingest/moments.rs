//! Moments as schedulers print them, rewritten as `2024-01-15T08:00:00`, which [`Kind::Time`] reads. Knows no
//! zones: what has none stays without.
//!
//! [`Kind::Time`]: super::column::Kind::Time

use std::borrow::Cow;

use super::attributes::Value;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Mon Jan 15 08:00:00 2024`, `01/15/2024 08:00:00` or seconds since 1970; anything else as it stands, so
/// that it is rejected with its column's name. `0`, `-/-` and nothing are no moment.
pub(super) fn moment(text: &str) -> Value<'_> {
    let text = text.trim();
    if ["", "0", "-", "-/-"].contains(&text) {
        return Value::Undefined;
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds =
            text.parse().ok().and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
        let written = seconds.map(|moment| moment.format("%Y-%m-%dT%H:%M:%SZ").to_string());
        return Value::Text(written.map_or(Cow::Borrowed(text), Cow::Owned));
    }
    let written = calendar(text).or_else(|| american(text));
    Value::Text(written.map_or(Cow::Borrowed(text), Cow::Owned))
}

/// `Mon Jan 15 08:00:00 2024`.
pub(super) fn calendar(text: &str) -> Option<String> {
    let mut words = text.split_ascii_whitespace();
    let (_, month, day, clock, year) =
        (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let (day, year): (u32, u32) = (day.parse().ok()?, year.parse().ok()?);
    words.next().is_none().then(|| format!("{year:04}-{month:02}-{day:02}T{clock}"))
}

/// `01/15/2024 08:00:00`, perhaps with a fraction.
fn american(text: &str) -> Option<String> {
    let (day, clock) = text.split_once(' ')?;
    let mut parts = day.split('/').map(|part| part.parse::<u32>().ok());
    let (month, day, year) = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then(|| format!("{year:04}-{month:02}-{day:02}T{}", clock.trim()))
}
