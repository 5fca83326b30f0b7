//! Environments: `KEY=value` pairs between blanks, semicolons or lines, with the quotes of HTCondor and of
//! shells, or between commas as PBS writes them. Says where keys and values are, the same for `scrub`, for
//! reports and for statements. Decides nothing about them.

use std::ops::Range;

/// One pair, as places in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// All of it, with the quotes that are its own.
    pub whole: Range<usize>,
    /// The key.
    pub key: Range<usize>,
    /// The value, without the quotes around it.
    pub value: Range<usize>,
}

/// A text as an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The pairs; at least one.
    pub pairs: Vec<Pair>,
    /// Where pairs and separators end. What follows, such as the quote around all of it, is no pair's.
    pub end: usize,
    /// Whether quotes stand around all of it, in the manner of HTCondor; quotes inside are doubled then.
    pub wrapped: bool,
}

/// The pairs of a text; `None` where it has none, or something else before or, if `strictly`, between them.
/// Otherwise what is no pair belongs to the value before it.
pub fn pairs(text: &str, strictly: bool) -> Option<Environment> {
    let trimmed = text.trim_end();
    let start = text.len() - text.trim_start().len();
    let mut all = start..trimmed.len().max(start);
    // HTCondor puts the whole into quotes, and quotes inside are doubled.
    let body = text.get(all.clone())?;
    let wrapped = body.len() >= 2
        && body.starts_with('"')
        && body.ends_with('"')
        && body.get(1..).is_some_and(|inner| key_length(inner.trim_start()).is_some());
    if wrapped {
        all = start + 1..trimmed.len() - 1;
    }
    let end = all.end;
    let body = text.get(all.clone())?;
    let pairs = if body.contains(['\n', '\0']) {
        lines(text, all)?
    } else if let Some(pairs) = semicolons(text, all.clone()) {
        pairs
    } else {
        let pairs = blanks(text, all, strictly)?;
        // `A=1,B=2`, as PBS writes it: commas count only where nothing else parts the keys.
        match pairs.as_slice() {
            [only] => commas(text, only).unwrap_or(pairs),
            _ => pairs,
        }
    };
    Some(Environment { pairs, end, wrapped })
}

/// Keys and values of an environment as a person reads them: without the quotes around values, and with
/// quotes inside as the job sees them. `None` where the text is none.
pub fn read(text: &str) -> Option<Vec<(String, String)>> {
    let environment = pairs(text, false)?;
    let of = |place: &Range<usize>| text.get(place.clone()).unwrap_or_default();
    let told = |pair: &Pair| {
        let before = |place: usize| text.get(..place).and_then(|text| text.chars().next_back());
        let quote = if pair.value.start > pair.key.end + 1 {
            before(pair.value.start)
        } else if pair.whole.start < pair.key.start {
            before(pair.key.start)
        } else {
            None
        };
        let mut value = of(&pair.value).to_owned();
        if environment.wrapped {
            value = value.replace("\"\"", "\"");
        }
        match quote {
            Some('\'') => value = value.replace("''", "'"),
            Some('"') => value = value.replace("\\\"", "\""),
            _ => {}
        }
        (of(&pair.key).to_owned(), value)
    };
    Some(environment.pairs.iter().map(told).collect())
}

/// The pairs of an environment in whatever form it leaves: an object in JSON, or pairs as [`read`] finds
/// them. A text that is neither has one pair, without a key; nothing has none. In the order of keys, capitals
/// aside.
pub fn told(text: &str) -> Vec<(String, String)> {
    let text = text.trim();
    let mut pairs = match serde_json::from_str::<serde_json::Value>(text) {
        Ok(serde_json::Value::Object(object)) => {
            let told = |value: serde_json::Value| match value {
                serde_json::Value::Null => String::new(),
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            };
            object.into_iter().map(|(key, value)| (key, told(value))).collect()
        }
        _ if text.is_empty() => Vec::new(),
        _ => read(text).unwrap_or_else(|| vec![(String::new(), text.to_owned())]),
    };
    sort(&mut pairs);
    pairs
}

/// Puts pairs in the order of keys: capitals aside, and by capitals where that is all that differs.
pub fn sort(pairs: &mut [(String, String)]) {
    pairs.sort_by(|(one, _), (other, _)| {
        one.to_lowercase().cmp(&other.to_lowercase()).then_with(|| one.cmp(other))
    });
}

/// The one pair of a text as several, where its value holds others behind commas. Quotes hide commas as
/// they hide blanks.
fn commas(text: &str, only: &Pair) -> Option<Vec<Pair>> {
    if only.whole.start < only.key.start || only.value.start > only.key.end + 1 {
        return None;
    }
    let end = only.value.end;
    let mut pairs: Vec<Pair> = Vec::new();
    let mut at = only.whole.start;
    for part in text.get(at..end)?.split(',') {
        let (begin, stop) = (at, at + part.len());
        at = stop + 1;
        match (key_length(part), pairs.last_mut()) {
            (Some(length), _) => {
                let key = begin..begin + length;
                pairs.push(Pair { whole: begin..stop, value: key.end + 1..stop, key });
            }
            (None, Some(last)) => (last.value.end, last.whole.end) = (stop, stop),
            (None, None) => return None,
        }
    }
    Some(pairs)
}

/// Pairs in lines of their own; what is none belongs to the one before.
fn lines(text: &str, all: Range<usize>) -> Option<Vec<Pair>> {
    let mut pairs: Vec<Pair> = Vec::new();
    let mut at = all.start;
    for part in text.get(all)?.split(['\n', '\0']) {
        let begin = at + (part.len() - part.trim_start().len());
        let end = at + part.trim_end().len();
        at += part.len() + 1;
        if begin >= end {
            continue;
        }
        match (key_length(text.get(begin..end)?), pairs.last_mut()) {
            (Some(length), _) => {
                let value = unquoted(text, begin + length + 1..end);
                pairs.push(Pair { whole: begin..end, key: begin..begin + length, value });
            }
            (None, Some(last)) => (last.value.end, last.whole.end) = (end, end),
            (None, None) => return None,
        }
    }
    (!pairs.is_empty()).then_some(pairs)
}

/// Pairs between semicolons, the quotes of values aside; `None` where there are not several, or blanks part
/// them.
fn semicolons(text: &str, all: Range<usize>) -> Option<Vec<Pair>> {
    let mut pairs: Vec<Pair> = Vec::new();
    let mut at = all.start;
    while at < all.end {
        let rest = text.get(at..all.end)?;
        let begun = rest.trim_start_matches(|c: char| c == ';' || c.is_whitespace());
        if begun.len() < rest.len() {
            at = all.end - begun.len();
            continue;
        }
        let key = at..at + key_length(rest)?;
        let from = key.end + 1;
        let value = text.get(from..all.end)?;
        let quote = value.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let inner = quote.and_then(|quote| value.get(1..)?.split_once(quote));
        let (value, end) = match inner {
            Some((inner, after)) => {
                let after = after.trim_start_matches([' ', '\t']);
                if !after.is_empty() && !after.starts_with(';') {
                    return None;
                }
                (from + 1..from + 1 + inner.len(), from + inner.len() + 2)
            }
            None => {
                let end = from + value.split(';').next()?.trim_end().len();
                (from..end, end)
            }
        };
        pairs.push(Pair { whole: at..end, key, value });
        at = end;
    }
    (pairs.len() > 1).then_some(pairs)
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
                Some(last) if !strictly => {
                    (last.value.end, last.whole.end) = (word_end, word_end);
                }
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
        pairs.push(Pair { whole: at..end, key, value });
        at = end;
    }
    (!pairs.is_empty()).then_some(pairs)
}

/// Where the quote is closed: not doubled, not behind a backslash, and with a blank or the end behind it.
fn closing(bytes: &[u8], from: usize, end: usize, quote: u8) -> Option<usize> {
    let mut at = from;
    while at < end {
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
        let environment = pairs(text, strictly)?;
        Some(
            environment
                .pairs
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
            ("A=b; C='d;e=f' ;G=\"h\";", vec![("A", "b"), ("C", "d;e=f"), ("G", "h")]),
            ("A=b;C=\"d", vec![("A", "b"), ("C", "\"d")]),
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

    #[test]
    fn commas_part_pairs_where_nothing_else_does() {
        let expected = vec![("PBS_O_HOME", "/home/a"), ("PBS_O_X", "a b"), ("L", "x.fcl,y.fcl")];
        assert_eq!(parsed("PBS_O_HOME=/home/a,PBS_O_X=a b,L=x.fcl,y.fcl", false), Some(expected));
        assert_eq!(parsed("A=b,C=d E=f", true), Some(vec![("A", "b,C=d"), ("E", "f")]));
        assert_eq!(parsed("A='b,C=d'", true), Some(vec![("A", "b,C=d")]));
        assert_eq!(parsed("A=,B=,", true), Some(vec![("A", ""), ("B", ",")]));
        assert_eq!(parsed("A=b,c", true), Some(vec![("A", "b,c")]));
    }

    #[test]
    fn both_syntaxes_of_htcondor_are_read_as_the_job_sees_them() {
        let told = |text: &str| {
            let pairs = read(text).unwrap();
            pairs.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
        };
        let expected = ["A=b", "C=d 'e' f", "G=\"x\""];
        assert_eq!(told("\"A=b C='d ''e'' f' G=\"\"x\"\"\""), expected);
        assert_eq!(told("A=b;C=d 'e' f;G=\"x"), ["A=b", "C=d 'e' f", "G=\"x"]);
        assert_eq!(told("'A=b ''c''' D=\"e \\\" f\""), ["A=b 'c'", "D=e \" f"]);
        assert_eq!(read("no pairs here"), None);
    }
}
