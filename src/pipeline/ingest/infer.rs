//! Kinds of columns that nobody named, from values that were seen: the narrowest that fits all of them.
//! Reads no inputs.

use std::collections::BTreeMap;

use super::cells;
use super::column::{Column, Kind};
use super::zone::Zone;
use crate::diagnostic::did_you_mean;
use crate::error::{Code, Error, Result};

/// What may still be the kind of a column, the narrowest first.
const CANDIDATES: [Kind; 5] = [Kind::Integer, Kind::Number, Kind::Flag, Kind::Date, Kind::Time];

/// The kinds that all values seen so far have.
#[derive(Debug, Clone)]
pub(super) struct Guess {
    left: [bool; CANDIDATES.len()],
    seen: bool,
}

impl Default for Guess {
    fn default() -> Self {
        Self { left: [true; CANDIDATES.len()], seen: false }
    }
}

impl Guess {
    /// Sees a value that may be of any kind.
    pub(super) fn see(&mut self, text: &[u8]) {
        self.see_as(text, &CANDIDATES);
    }

    /// Sees a value that may be of one of these kinds, or text.
    pub(super) fn see_as(&mut self, text: &[u8], kinds: &[Kind]) {
        self.seen = true;
        for (left, kind) in self.left.iter_mut().zip(CANDIDATES) {
            *left = *left && kinds.contains(&kind) && is_plainly(kind, text);
        }
    }

    /// The narrowest kind; text when nothing was seen.
    pub(super) fn kind(&self) -> Kind {
        let left = self.left.iter().zip(CANDIDATES).find(|(left, _)| **left);
        left.filter(|_| self.seen).map_or(Kind::Text, |(_, kind)| kind)
    }
}

/// Whether a text is written as values of this kind are, so that nothing of it is lost: `007` is an
/// identifier, not 7, and a number of 20 digits keeps them all as text.
fn is_plainly(kind: Kind, text: &[u8]) -> bool {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let digits = unsigned.iter().all(u8::is_ascii_digit);
    let led_by_zero = matches!(unsigned, [b'0', b'0'..=b'9', ..]);
    match kind {
        Kind::Integer => digits && !led_by_zero && cells::integer(text).is_some(),
        Kind::Number => {
            let plain = |byte: &u8| byte.is_ascii_digit() || b".eE+-".contains(byte);
            !led_by_zero
                && unsigned.first().is_some_and(u8::is_ascii_digit)
                && unsigned.iter().all(plain)
                && (!digits || cells::integer(text).is_some())
                && cells::number(text).is_some_and(f64::is_finite)
        }
        Kind::Flag => text.eq_ignore_ascii_case(b"true") || text.eq_ignore_ascii_case(b"false"),
        Kind::Date => cells::date(text).is_some(),
        Kind::Time => cells::time(text, Zone::Utc).is_some(),
        _ => false,
    }
}

/// Columns of these names and guesses, but for those whose kind a person named.
pub(super) fn columns(
    named: impl IntoIterator<Item = (String, Guess)>,
    types: &[(String, Kind)],
) -> Result<Vec<Column>> {
    let types: BTreeMap<&str, Kind> =
        types.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
    let columns: Vec<Column> = named
        .into_iter()
        .map(|(name, guess)| {
            let kind = types.get(name.as_str()).copied().unwrap_or_else(|| guess.kind());
            Column::new(name, kind)
        })
        .collect();
    for name in types.keys() {
        if !columns.iter().any(|column| column.name == *name) {
            let names = columns.iter().map(|column| column.name.as_str());
            let near = did_you_mean(name, names);
            let hint = near.map_or(String::new(), |near| format!("; there is `{near}`"));
            let text = format!("`--types` names `{name}`, which is no column{hint}");
            return Err(Error::new(Code::Usage, text));
        }
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(texts: &[&str]) -> Kind {
        let mut guess = Guess::default();
        texts.iter().for_each(|text| guess.see(text.as_bytes()));
        guess.kind()
    }

    #[test]
    fn the_narrowest_kind_that_loses_nothing_is_taken() {
        assert_eq!(kind(&["1", "-20", "0"]), Kind::Integer);
        assert_eq!(kind(&["1", "172800.0", "2e-3"]), Kind::Number);
        assert_eq!(kind(&["true", "FALSE"]), Kind::Flag);
        assert_eq!(kind(&["2019-01-01"]), Kind::Date);
        assert_eq!(kind(&["2019-01-01 08:55:55", "2019-01-01T08:55:55Z"]), Kind::Time);
        for texts in [
            &["007"][..],
            &["1", "01234"],
            &["12345678901234567890"],
            &["+1"],
            &["nan", "1.5"],
            &["1", "true"],
            &["2019-01-01", "soon"],
            &[],
            &["yes"],
            &[" 1"],
        ] {
            assert_eq!(kind(texts), Kind::Text, "{texts:?}");
        }
    }

    #[test]
    fn a_type_for_a_column_that_is_not_there_is_an_error() {
        let named = || [("zip".to_owned(), Guess::default())];
        let error = columns(named(), &[("zpi".to_owned(), Kind::Text)]).unwrap_err();
        assert_eq!(error.to_string(), "`--types` names `zpi`, which is no column; there is `zip`");
        let typed = columns(named(), &[("zip".to_owned(), Kind::Integer)]).unwrap();
        assert_eq!(typed, [Column::new("zip", Kind::Integer)]);
    }
}
