//! Takes typed values from YAML nodes, strictly: a value has one reading, or it is refused with the
//! way to write it. Flags are `true` and `false`; numbers are decimals; everything else is text.

use chrono::NaiveDate;

use super::problem::{Problem, Problems, listed, suggestion};
use super::yaml::{Content, Entry, Node};
use crate::diagnostic::Span;

/// A value and its place. Two are equal when their values are: moving a line changes no policy.
#[derive(Debug, Clone)]
pub(super) struct Spanned<T> {
    /// The value.
    pub(super) value: T,
    /// Where it is written.
    pub(super) span: Span,
}

impl<T> Spanned<T> {
    /// A value and its place.
    pub(super) const fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// A text; every scalar is one, quoted or not, and means what is written.
pub(super) fn text(problems: &mut Problems, node: &Node, what: &str) -> Option<Spanned<String>> {
    match &node.content {
        Content::Scalar { text, plain: true } if text.is_empty() => {
            problems.add(Problem::WrongKind, node.span, format!("{what} has no value"));
            None
        }
        Content::Scalar { text, .. } => Some(Spanned::new(text.clone(), node.span)),
        _ => wrong(problems, node, what, "a text"),
    }
}

/// One of `words`.
pub(super) fn word(
    problems: &mut Problems,
    node: &Node,
    what: &str,
    words: &[&'static str],
) -> Option<Spanned<&'static str>> {
    let written = text(problems, node, what)?;
    if let Some(word) = words.iter().find(|word| **word == written.value) {
        return Some(Spanned::new(*word, written.span));
    }
    problems
        .add(Problem::WrongWord, written.span, format!("{what} cannot be `{}`", written.value))
        .label(format!("one of {}", listed(words)))
        .help(suggestion(&written.value, words.iter().copied()));
    None
}

/// `true` or `false`.
pub(super) fn flag(problems: &mut Problems, node: &Node, what: &str) -> Option<Spanned<bool>> {
    let Content::Scalar { text, plain } = &node.content else {
        return wrong(problems, node, what, "`true` or `false`");
    };
    let value = match (text.as_str(), plain) {
        ("true", true) => true,
        ("false", true) => false,
        _ => {
            let diagnostic = problems.add(
                Problem::WrongKind,
                node.span,
                format!("{what} must be `true` or `false`"),
            );
            match text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "y" | "true" | "1" => diagnostic.help("write `true`"),
                "no" | "off" | "n" | "false" | "0" => diagnostic.help("write `false`"),
                _ => diagnostic,
            };
            return None;
        }
    };
    Some(Spanned::new(value, node.span))
}

/// A whole number within bounds.
pub(super) fn integer(
    problems: &mut Problems,
    node: &Node,
    what: &str,
    min: i64,
    max: i64,
) -> Option<Spanned<i64>> {
    let written = decimal(problems, node, what)?;
    let value = written.value.parse::<i64>();
    if written.value.contains('.') {
        problems.add(
            Problem::NumberForm,
            node.span,
            format!("{what} must be a whole number, not `{}`", written.value),
        );
        return None;
    }
    match value {
        Ok(value) if (min..=max).contains(&value) => Some(Spanned::new(value, node.span)),
        _ => {
            let range = match (min, max) {
                (i64::MIN, i64::MAX) => "fit in 64 bits".to_owned(),
                (min, i64::MAX) => format!("be at least {min}"),
                (min, max) => format!("be from {min} to {max}"),
            };
            problems.add(
                Problem::OutOfRange,
                node.span,
                format!("{what} must {range}, not `{}`", written.value),
            );
            None
        }
    }
}

/// A finite number within bounds, both included.
pub(super) fn number(
    problems: &mut Problems,
    node: &Node,
    what: &str,
    min: f64,
    max: f64,
) -> Option<Spanned<f64>> {
    let written = decimal(problems, node, what)?;
    match written.value.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= min && value <= max => {
            Some(Spanned::new(value + 0.0, node.span))
        }
        _ => {
            problems.add(
                Problem::OutOfRange,
                node.span,
                format!("{what} must be {}, not `{}`", bounds(min, max), written.value),
            );
            None
        }
    }
}

/// "from 0 to 1", "at least 0", "finite".
pub(super) fn bounds(min: f64, max: f64) -> String {
    match (min > f64::MIN, max < f64::MAX) {
        (true, true) => format!("from {min} to {max}"),
        (true, false) => format!("at least {min}"),
        (false, true) => format!("at most {max}"),
        (false, false) => "finite".to_owned(),
    }
}

/// A decimal as written: digits, with or without a point and a sign; nothing that two readers of YAML
/// take for different numbers.
pub(super) fn decimal(problems: &mut Problems, node: &Node, what: &str) -> Option<Spanned<String>> {
    let Content::Scalar { text, plain } = &node.content else {
        return wrong(problems, node, what, "a number");
    };
    if is_decimal(text) && *plain {
        return Some(Spanned::new(text.clone(), node.span));
    }
    let diagnostic = if is_decimal(text) {
        problems
            .add(Problem::NumberForm, node.span, format!("{what} must be a number, not a text"))
            .help(format!("write {text} without quotes"))
    } else if text.is_empty() {
        problems.add(Problem::WrongKind, node.span, format!("{what} has no value"))
    } else {
        problems.add(
            Problem::NumberForm,
            node.span,
            format!("{what} must be a plain decimal number, not `{text}`"),
        )
    };
    if !is_decimal(text)
        && let Some(plainly) = written_out(text)
    {
        diagnostic.help(format!("write it out: {plainly}"));
    }
    None
}

/// A small decimal for which `1e-8` is allowed as well, since nobody reads seven zeros.
pub(super) fn small_decimal(
    problems: &mut Problems,
    node: &Node,
    what: &str,
) -> Option<Spanned<String>> {
    if let Content::Scalar { text, plain: true } = &node.content
        && let Some((mantissa, exponent)) = text.split_once('e')
        && is_decimal(mantissa)
        && !mantissa.starts_with('-')
        && let Some(zeros) = exponent.strip_prefix('-')
        && (1..=2).contains(&zeros.len())
        && is_decimal(zeros)
    {
        return Some(Spanned::new(text.clone(), node.span));
    }
    decimal(problems, node, what)
}

/// Digits without needless zeros in front, perhaps a sign, perhaps a point with digits behind it.
pub(super) fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(digits)
}

/// What a number in another notation most likely means, written as we want it.
pub(super) fn written_out(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            return i64::from_str_radix(digits, radix).ok().map(|value| value.to_string());
        }
    }
    if lower.len() > 1 && lower.starts_with('0') && lower.bytes().all(|b| b.is_ascii_digit()) {
        let plain = lower.trim_start_matches('0');
        let plain = if plain.is_empty() { "0" } else { plain };
        return match i64::from_str_radix(&lower, 8) {
            Ok(octal) if octal.to_string() != plain => {
                Some(format!("{plain}, or {octal} if octal is meant"))
            }
            _ => Some(plain.to_owned()),
        };
    }
    let bare: String = lower.chars().filter(|c| *c != '_').collect();
    let bare = bare.strip_prefix('+').unwrap_or(&bare);
    if !bare.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: f64 = bare.parse().ok()?;
    (value.is_finite() && value.abs() < 1e15).then(|| value.to_string())
}

/// A calendar date, `2026-01-31`.
pub(super) fn date(problems: &mut Problems, node: &Node, what: &str) -> Option<Spanned<NaiveDate>> {
    let written = text(problems, node, what)?;
    let form = written.value.len() == 10
        && written.value.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let parsed = written.value.parse::<NaiveDate>().ok().filter(|_| form);
    if let Some(date) = parsed {
        return Some(Spanned::new(date, written.span));
    }
    let problem = problems.add(
        Problem::DateForm,
        written.span,
        format!("{what} must be a date, not `{}`", written.value),
    );
    if form {
        problem.help("there is no such day in the calendar");
    } else {
        problem.help("write year, month and day: 2026-01-31");
    }
    None
}

/// The items of a list.
pub(super) fn list<'a>(problems: &mut Problems, node: &'a Node, what: &str) -> Option<&'a [Node]> {
    match &node.content {
        Content::List(items) => Some(items),
        _ => wrong(problems, node, what, "a list"),
    }
}

/// The items of a list, or the one value that stands without brackets.
pub(super) fn one_or_more<'a>(
    problems: &mut Problems,
    node: &'a Node,
    what: &str,
) -> Option<&'a [Node]> {
    match &node.content {
        Content::List(items) => Some(items),
        Content::Scalar { .. } => Some(std::slice::from_ref(node)),
        _ => wrong(problems, node, what, "a text or a list of texts"),
    }
}

/// The entries of a map.
pub(super) fn map<'a>(problems: &mut Problems, node: &'a Node, what: &str) -> Option<&'a [Entry]> {
    match &node.content {
        Content::Map(entries) => Some(entries),
        _ => wrong(problems, node, what, "a map"),
    }
}

/// Says what is needed and what is there; silent about what was refused before.
pub(super) fn wrong<T>(
    problems: &mut Problems,
    node: &Node,
    what: &str,
    needed: &str,
) -> Option<T> {
    let found = match &node.content {
        Content::Scalar { text, plain: true } if text.is_empty() => "nothing",
        Content::Scalar { .. } => "a single value",
        Content::List(_) => "a list",
        Content::Map(_) => "a map",
        Content::Refused => return None,
    };
    problems.add(
        Problem::WrongKind,
        node.span,
        format!("{what} must be {needed}, but here is {found}"),
    );
    None
}

/// A map with a known set of keys.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    entries: &'a [Entry],
    span: Span,
    what: &'a str,
}

impl<'a> Fields<'a> {
    /// The entries of a map; keys that are not among `known` are reported.
    pub(super) fn new(
        problems: &mut Problems,
        node: &'a Node,
        what: &'a str,
        known: &[&str],
    ) -> Option<Self> {
        let entries = map(problems, node, what)?;
        for entry in entries {
            if !known.contains(&entry.key.as_str()) {
                problems
                    .add(
                        Problem::UnknownKey,
                        entry.key_span,
                        format!("{what} has no key `{}`", entry.key),
                    )
                    .label("unknown key")
                    .help(suggestion(&entry.key, known.iter().copied()));
            }
        }
        let first = entries.first().map_or(node.span, |entry| entry.key_span);
        Some(Self { entries, span: first, what })
    }

    /// The entry of a key.
    pub(super) fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The value of a key.
    pub(super) fn maybe(&self, key: &str) -> Option<&'a Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The value of a key that must be there.
    pub(super) fn need(&self, problems: &mut Problems, key: &str) -> Option<&'a Node> {
        let node = self.maybe(key);
        if node.is_none() {
            problems
                .add(Problem::MissingKey, self.span, format!("{} needs the key `{key}`", self.what))
                .label(format!("`{key}` is missing"));
        }
        node
    }
}
