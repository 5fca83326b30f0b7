//! Environments: `KEY=value` pairs between blanks, semicolons or lines, with the quotes of HTCondor and of
//! shells. Says where keys and values are; commas and equals signs in values mean nothing here.

use std::ops::Range;

use super::words::spend;

/// One pair, as places in the text. What stands between one value's end and the next pair's key belongs to
/// the separator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    /// The key.
    pub(super) key: Range<usize>,
    /// The value, without the quotes around it.
    pub(super) value: Range<usize>,
}

/// The pairs of a text; `None` where it has none, or something else before or, if `strictly`, between them.
/// Otherwise what is no pair belongs to the value before it.
pub(super) fn pairs(text: &str, strictly: bool) -> Option<Vec<Pair>> {
    let trimmed = text.trim_end();
    let start = text.len() - text.trim_start().len();
    let mut all = start..trimmed.len().max(start);
    // HTCondor puts the whole into quotes, and quotes inside are doubled.
    let body = text.get(all.clone())?;
    if body.len() >= 2
        && body.starts_with('"')
        && body.ends_with('"')
        && body.get(1..).is_some_and(|inner| key_length(inner.trim_start()).is_some())
    {
        all = start + 1..trimmed.len() - 1;
    }
    let body = text.get(all.clone())?;
    if body.contains(['\n', '\0']) {
        return split(text, all, &['\n', '\0'], false);
    }
    if body.contains(';')
        && let Some(pairs) = split(text, all.clone(), &[';'], true).filter(|pairs| pairs.len() > 1)
    {
        return Some(pairs);
    }
    blanks(text, all, strictly)
}

/// Pairs between separators that no quote hides.
fn split(text: &str, all: Range<usize>, separators: &[char], strictly: bool) -> Option<Vec<Pair>> {
    let mut pairs: Vec<Pair> = Vec::new();
    let mut at = all.start;
    for part in text.get(all)?.split(separators) {
        let begin = at + (part.len() - part.trim_start().len());
        let end = at + part.trim_end().len();
        at += part.len() + 1;
        if begin >= end {
            continue;
        }
        match (key_length(text.get(begin..end)?), pairs.last_mut()) {
            (Some(length), _) => {
                let value = unquoted(text, begin + length + 1..end);
                if strictly && text.get(value.clone())?.starts_with(['\'', '"']) {
                    // The quote is closed elsewhere: what is between is no separator.
                    return None;
                }
                pairs.push(Pair { key: begin..begin + length, value });
            }
            (None, Some(last)) if !strictly => last.value.end = end,
            _ => return None,
        }
    }
    (!pairs.is_empty()).then_some(pairs)
}

/// Pairs between blanks. A quote counts at the beginning of a pair or of a value, if it is closed before a
/// blank or the end: an apostrophe inside a word hides nothing.
fn blanks(text: &str, all: Range<usize>, strictly: bool) -> Option<Vec<Pair>> {
    let bytes = text.as_bytes();
    let mut pairs: Vec<Pair> = Vec::new();
    let mut at = all.start;
    while at < all.end {
        if bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
            continue;
        }
        let rest = text.get(at..all.end)?;
        let quote = rest.bytes().next().filter(|byte| matches!(byte, b'\'' | b'"'));
        let quoted = quote.and_then(|quote| Some((closing(bytes, at + 1, all.end, quote)?, quote)));
        let begin = at + usize::from(quoted.is_some());
        let word_end = at + rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len());
        let Some(length) = key_length(text.get(begin..all.end)?) else {
            match pairs.last_mut() {
                Some(last) if !strictly => last.value.end = word_end,
                _ => return None,
            }
            at = word_end;
            continue;
        };
        let key = begin..begin + length;
        let from = key.end + 1;
        let own = bytes.get(from).copied().filter(|byte| matches!(byte, b'\'' | b'"'));
        let own = own.and_then(|quote| closing(bytes, from + 1, all.end, quote));
        let (value, end) = match (quoted, own) {
            (Some((close, _)), _) => (from..close, close + 1),
            (None, Some(close)) => (from + 1..close, close + 1),
            (None, None) => (from..word_end, word_end),
        };
        pairs.push(Pair { key, value });
        at = end;
    }
    (!pairs.is_empty()).then_some(pairs)
}

/// Where the quote is closed: not doubled, not behind a backslash, and with a blank or the end behind it.
fn closing(bytes: &[u8], from: usize, end: usize, quote: u8) -> Option<usize> {
    let mut at = from;
    while at < end {
        spend(1);
        match bytes.get(at).copied()? {
            b'\\' if quote == b'"' => at += 1,
            byte if byte == quote => match bytes.get(at + 1).copied().filter(|_| at + 1 < end) {
                Some(next) if next == quote => at += 1,
                None => return Some(at),
                Some(next) if next.is_ascii_whitespace() => return Some(at),
                Some(_) => return None,
            },
            _ => {}
        }
        at += 1;
    }
    None
}

/// A value without quotes around all of it.
fn unquoted(text: &str, value: Range<usize>) -> Range<usize> {
    let inner = text.get(value.clone()).unwrap_or_default();
    let around =
        |quote: char| inner.len() >= 2 && inner.starts_with(quote) && inner.ends_with(quote);
    if around('\'') || around('"') { value.start + 1..value.end - 1 } else { value }
}

/// The length of the key that a text begins with, an `=` behind it.
fn key_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let of_key = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'%' | b'(' | b')')
    };
    let length = bytes.iter().take_while(|byte| of_key(byte)).count();
    let starts_well = bytes.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    (starts_well && bytes.get(length) == Some(&b'=')).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, strictly: bool) -> Option<Vec<(&str, &str)>> {
        let pairs = pairs(text, strictly)?;
        Some(
            pairs
                .into_iter()
                .map(|pair| (text.get(pair.key).unwrap(), text.get(pair.value).unwrap()))
                .collect(),
        )
    }

    #[test]
    fn commas_semicolons_quotes_and_equals_signs_in_values_break_nothing() {
        for (text, expected) in [
            (
                "RFCLNAME=a.fcl,b.fcl EXPERIMENT=gm2",
                vec![("RFCLNAME", "a.fcl,b.fcl"), ("EXPERIMENT", "gm2")],
            ),
            ("A=b;C=d e;F=", vec![("A", "b"), ("C", "d e"), ("F", "")]),
            ("A=b;c D=e", vec![("A", "b;c"), ("D", "e")]),
            (
                "A='b; c=d' E=\"f \\\" g\" H=i'j K=l",
                vec![("A", "b; c=d"), ("E", "f \\\" g"), ("H", "i'j"), ("K", "l")],
            ),
            (
                "\"A=b C='d ''e'' f' G=\"\"x\"\"\"",
                vec![("A", "b"), ("C", "d ''e'' f"), ("G", "\"\"x\"\"")],
            ),
            ("'A=b c' D=e=f", vec![("A", "b c"), ("D", "e=f")]),
            (
                "A=b c\nBASH_FUNC_x%%=() { y\n}\n\nD=e\n",
                vec![("A", "b c"), ("BASH_FUNC_x%%", "() { y\n}"), ("D", "e")],
            ),
        ] {
            assert_eq!(parsed(text, true).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_pair_belongs_to_the_value_before_or_is_no_environment() {
        assert_eq!(parsed("A=b c D=e", true), None);
        assert_eq!(parsed("A=b c D=e", false).unwrap(), [("A", "b c"), ("D", "e")]);
        for text in ["", "  ", "./run.sh -x 3", "run A=b", "=a", "1A=b", "'", "\"\""] {
            assert_eq!(parsed(text, false), None, "{text}");
        }
    }
}
