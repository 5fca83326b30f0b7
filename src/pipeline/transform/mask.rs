//! `mask`: covers the middle of a text and keeps its ends. Characters are Unicode scalar values; it does
//! not know what looks like one letter to a reader.

use std::borrow::Cow;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::params::{defaulted, refusal};
use super::{Bind, Change, Exposure, Kernel, Refusal, Spec, Transform, text};
use crate::error::Result;
use crate::policy::args::{Args, Default, Kind};

/// The ends of a text, the rest covered.
///
/// - What it does: keeps the first and last characters and covers the others; a text that would be
///   shown whole is covered whole.
/// - What it hides: the middle; with `length: fixed` also how long the text is.
/// - What still leaks: the ends, and the length with `length: same`. The ends of names, numbers and
///   addresses often suffice to pick one person out of a known list.
/// - Parameters: `first`, `last`, `with`, `length`, `fixed_length`.
/// - Example: `{mask: {last: 4}}` makes `4012888888881881` into `********1881`.
#[derive(Debug)]
pub(super) struct Mask;

static SPEC: Spec = Spec {
    verb: "mask",
    method: None,
    primary: None,
    params: &[
        defaulted(
            "first",
            Kind::Integer { min: 0, max: 64 },
            Default::Integer(0),
            "How many characters to keep at the start.",
        ),
        defaulted(
            "last",
            Kind::Integer { min: 0, max: 64 },
            Default::Integer(0),
            "How many characters to keep at the end.",
        ),
        defaulted("with", Kind::Text, Default::Text("*"), "The one character that covers."),
        defaulted(
            "length",
            Kind::Choice(&["same", "fixed"]),
            Default::Text("fixed"),
            "Whether the covered part keeps its length or always has the same.",
        ),
        defaulted(
            "fixed_length",
            Kind::Integer { min: 1, max: 64 },
            Default::Integer(8),
            "How many characters cover, with `length: fixed`.",
        ),
    ],
    does: "Keeps the first and last characters of a text and covers the rest.",
    hides: "The middle of the text, and its length unless `length: same` is written.",
    leaks: "The characters kept, which together with other columns or a list of known values can \
            still single a person out, and that two texts have the same ends.",
    takes: "text",
    example: "{mask: {last: 4}}",
    references: &["PCI DSS 4.0, requirement 3.4: a card number shown has at most its ends"],
};

impl Transform for Mask {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, args: &Args) -> Vec<Refusal> {
        if args.text("with").is_some_and(|with| with.chars().count() == 1) {
            return Vec::new();
        }
        vec![refusal("with", "`with` must be exactly one character", "for example `with: \"*\"`")]
    }

    fn output(&self, _args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        text::only(input)?;
        Ok(Some(DataType::Utf8))
    }

    fn exposure(&self, args: &Args) -> Exposure {
        let Settings { first, last, fixed, .. } = Settings::from(args);
        if first + last == 0 && fixed.is_some() { Exposure::Nothing } else { Exposure::Coarse }
    }

    fn explain(&self, args: &Args) -> String {
        let Settings { first, last, with, fixed } = Settings::from(args);
        let kept = match (first, last) {
            (0, 0) => "Every character is covered".to_owned(),
            (first, 0) => format!("All but the first {first} characters are covered"),
            (0, last) => format!("All but the last {last} characters are covered"),
            (first, last) => {
                format!("All but the first {first} and the last {last} characters are covered")
            }
        };
        let how = match fixed {
            Some(1) => format!(" by one `{with}`, whatever the length"),
            Some(count) => format!(" by {count} `{with}`, whatever the length"),
            None => format!(" by as many `{with}`"),
        };
        let short = if first + last == 0 {
            "."
        } else {
            "; a text that would be shown whole is covered whole."
        };
        format!("{kept}{how}{short}")
    }

    fn explain_leaks(&self, args: &Args) -> String {
        let Settings { first, last, fixed, .. } = Settings::from(args);
        match (first + last, fixed) {
            (0, Some(_)) => "Only which rows have a value.".to_owned(),
            (0, None) => "The length of every text.".to_owned(),
            (kept, Some(_)) => format!(
                "The {kept} characters kept, which with other columns or a list of known values can \
                 single a person out, and which texts were too short to show any."
            ),
            (kept, None) => format!(
                "The {kept} characters kept and the length of every text, which with other columns \
                 or a list of known values can single a person out."
            ),
        }
    }

    fn compare(&self, old: &Args, new: &Args) -> Change {
        let (old, new) = (Settings::from(old), Settings::from(new));
        let same_length = |settings: &Settings| usize::from(settings.fixed.is_none());
        let before = [old.first, old.last, same_length(&old)];
        let after = [new.first, new.last, same_length(&new)];
        if before == after {
            Change::Moves
        } else if before.iter().zip(&after).all(|(old, new)| new <= old) {
            Change::Strengthens
        } else {
            Change::Weakens
        }
    }

    fn kernel(&self, args: &Args, _bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        Ok(Box::new(Settings::from(args)))
    }
}

struct Settings {
    first: usize,
    last: usize,
    with: char,
    /// How many characters cover; `None` for as many as are covered.
    fixed: Option<usize>,
}

impl From<&Args> for Settings {
    fn from(args: &Args) -> Self {
        let count = |name| args.integer(name).and_then(|n| usize::try_from(n).ok());
        Self {
            first: count("first").unwrap_or(0),
            last: count("last").unwrap_or(0),
            with: args.text("with").and_then(|with| with.chars().next()).unwrap_or('*'),
            fixed: match args.text("length") {
                Some("same") => None,
                _ => Some(count("fixed_length").unwrap_or(8)),
            },
        }
    }
}

impl Settings {
    fn cover(&self, value: &str) -> String {
        let length = value.chars().count();
        let kept = self.first + self.last;
        // PRIVACY: a text no longer than what may be kept would be shown whole.
        if length <= kept {
            let length = self.fixed.map_or(length, |fixed| fixed + kept);
            return std::iter::repeat_n(self.with, length).collect();
        }
        let covered = self.fixed.unwrap_or(length - kept);
        value
            .chars()
            .take(self.first)
            .chain(std::iter::repeat_n(self.with, covered))
            .chain(value.chars().skip(length - self.last))
            .collect()
    }
}

impl Kernel for Settings {
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        Ok(text::map(text::strings(values)?, |value| Some(Cow::Owned(self.cover(value)))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{apply_texts, args, word};
    use super::*;
    use crate::policy::args::Value;

    #[test]
    fn ends_are_kept_by_character_not_by_byte() {
        let set = [("first", Value::Integer(1)), ("last", Value::Integer(2))];
        assert_eq!(apply_texts(&Mask, &set, &["Żółwik", "abcd"]), ["Ż********ik", "a********cd"]);
    }

    #[test]
    fn the_same_length_can_be_kept() {
        let set = [("last", Value::Integer(4)), ("length", word("same")), ("with", word("•"))];
        assert_eq!(apply_texts(&Mask, &set, &["4012888888881881", ""]), ["••••••••••••1881", ""]);
    }

    #[test]
    fn a_short_text_is_covered_whole() {
        let set = [("first", Value::Integer(2)), ("last", Value::Integer(2))];
        assert_eq!(apply_texts(&Mask, &set, &["abcd", "abc"]), ["************"; 2]);
        let same = [("first", Value::Integer(2)), ("length", word("same"))];
        assert_eq!(apply_texts(&Mask, &same, &["ab", "abc"]), ["**", "ab*"]);
    }

    #[test]
    fn a_fixed_length_does_not_tell_how_long_the_text_is() {
        let set = [("fixed_length", Value::Integer(4))];
        assert_eq!(apply_texts(&Mask, &set, &["", "a", "a long text"]), ["****"; 3]);
    }

    #[test]
    fn more_than_one_covering_character_is_refused() {
        for with in ["", "**"] {
            let problems = Mask.check(&args(&Mask, &[("with", word(with))]));
            assert_eq!(problems.len(), 1, "{with:?}");
            assert_eq!(problems[0].param, Some("with"));
        }
        assert_eq!(Mask.check(&args(&Mask, &[])), []);
    }

    #[test]
    fn keeping_fewer_characters_strengthens() {
        let four = args(&Mask, &[("last", Value::Integer(4))]);
        let two = args(&Mask, &[("last", Value::Integer(2))]);
        assert_eq!(Mask.compare(&four, &two), Change::Strengthens);
        assert_eq!(Mask.compare(&two, &four), Change::Weakens);
    }
}
