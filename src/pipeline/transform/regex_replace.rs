//! `regex_replace`: rewrites what a pattern finds in a text. It finds what its author thought of; free
//! text with names in it needs more than patterns.

use std::borrow::Cow;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use regex::{Regex, RegexBuilder};

use super::params::{defaulted, refusal, required};
use super::{Bind, Change, Exposure, Kernel, Refusal, Spec, Transform, text};
use crate::error::{Code, Context, Result};
use crate::policy::args::{Args, Default, Kind};

/// What a pattern finds, rewritten.
///
/// - What it does: replaces every match of `pattern` by `with`, in which `$1` or `${name}` stand for what
///   a group of the pattern matched. A text without a match becomes null, unless `unmatched:
///   dangerous_keep` is written.
/// - What it hides: what the pattern matches.
/// - What still leaks: everything around the matches, and the groups that `with` names. Anchor the
///   pattern with `^` and `$` so that nothing is around them.
/// - Parameters: `pattern`, `with`, `unmatched`.
/// - Example: `{regex_replace: {pattern: '^/home/[^/]+(/.*)?$', with: '/home/USER'}}`.
#[derive(Debug)]
pub(super) struct RegexReplace;

static SPEC: Spec = Spec {
    verb: "regex_replace",
    method: None,
    primary: None,
    params: &[
        required(
            "pattern",
            Kind::Text,
            "A regular expression in the syntax of the `regex` crate, without look-around and \
             back-references, so that its time is linear.",
        ),
        required(
            "with",
            Kind::Text,
            "What a match becomes; `${1}` and `${name}` stand for groups, `$$` for a dollar sign.",
        ),
        defaulted(
            "unmatched",
            Kind::Choice(&["null", "dangerous_keep"]),
            Default::Text("null"),
            "What a text without a match becomes: null, or the text as it is.",
        ),
    ],
    does: "Replaces every match of a regular expression in a text.",
    hides: "What the pattern matches.",
    leaks: "Everything around the matches leaves as it is, and what the replacement takes over from \
            groups. An identifier written in a way that the pattern does not know passes.",
    takes: "text",
    example: "{regex_replace: {pattern: '^/home/[^/]+(/.*)?$', with: '/home/USER'}}",
    references: &["https://docs.rs/regex: syntax, and why time is linear"],
};

/// The largest compiled pattern.
const SIZE_MAX: usize = 1 << 20;

impl Transform for RegexReplace {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, args: &Args) -> Vec<Refusal> {
        let (Some(pattern), Some(with)) = (args.text("pattern"), args.text("with")) else {
            return Vec::new();
        };
        let pattern = match compile(pattern) {
            Ok(pattern) => pattern,
            Err(error) => {
                return vec![refusal(
                    "pattern",
                    format!("`pattern` does not compile: {}", last_line(&error)),
                    "look-around and back-references are not offered, since they take unbounded time",
                )];
            }
        };
        let mut problems = Vec::new();
        if pattern.is_match("") {
            problems.push(refusal(
                "pattern",
                "`pattern` matches nothing at all, and so every text: each would leave around it",
                "take `+` instead of `*`, or anchor the pattern so that it needs a character",
            ));
        }
        if let Some(group) = unknown_group(&pattern, with) {
            problems.push(refusal(
                "with",
                format!("`with` names the group `{group}`, which `pattern` does not have"),
                "write `${1}x` for group 1 before a letter, and `$$` for a dollar sign",
            ));
        }
        problems
    }

    fn output(&self, _args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        text::only(input)?;
        Ok(Some(DataType::Utf8))
    }

    fn adds_nulls(&self, args: &Args) -> bool {
        !keeps(args)
    }

    fn exposure(&self, args: &Args) -> Exposure {
        if keeps(args) { Exposure::Clear } else { Exposure::Coarse }
    }

    fn explain(&self, args: &Args) -> String {
        let pattern = args.text("pattern").unwrap_or_default();
        let with = match args.text("with") {
            None | Some("") => "nothing".to_owned(),
            Some(with) => format!("`{with}`"),
        };
        let unmatched = if keeps(args) { "as it is" } else { "as null" };
        format!(
            "Leaves with every match of `{pattern}` replaced by {with}; a text without a match \
             leaves {unmatched}."
        )
    }

    fn explain_leaks(&self, args: &Args) -> String {
        let unmatched = if keeps(args) { " Texts without a match leave whole." } else { "" };
        format!("{}{unmatched}", SPEC.leaks)
    }

    fn compare(&self, old: &Args, new: &Args) -> Change {
        let text = |args: &Args| {
            (args.text("pattern").map(str::to_owned), args.text("with").map(str::to_owned))
        };
        match (keeps(old), keeps(new)) {
            (true, false) if text(old) == text(new) => Change::Strengthens,
            (false, true) => Change::Weakens,
            _ => Change::Moves,
        }
    }

    fn kernel(&self, args: &Args, _bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        let pattern = compile(args.text("pattern").unwrap_or_default())
            .context(Code::Policy, || "the pattern of `regex_replace`".to_owned())?;
        let with = args.text("with").unwrap_or_default().to_owned();
        Ok(Box::new(Replacing { pattern, with, keep: keeps(args) }))
    }
}

fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(SIZE_MAX).dfa_size_limit(2 * SIZE_MAX).build()
}

/// The reason alone, without the drawing of the pattern above it.
fn last_line(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
        other => {
            let text = other.to_string();
            let line = text.lines().last().unwrap_or_default().trim();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        }
    }
}

fn keeps(args: &Args) -> bool {
    args.text("unmatched") == Some("dangerous_keep")
}

/// The first group that the replacement names and the pattern lacks. `$1x` names a group `1x`, which
/// would silently stand for nothing.
fn unknown_group(pattern: &Regex, with: &str) -> Option<String> {
    let mut rest = with;
    while let Some((_, after)) = rest.split_once('$') {
        if let Some(after) = after.strip_prefix('$') {
            rest = after;
            continue;
        }
        let (name, left) = match after.strip_prefix('{') {
            Some(braced) => braced.split_once('}')?,
            None => {
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let end = after.find(|c| !is_name(c)).unwrap_or(after.len());
                after.split_at_checked(end)?
            }
        };
        let known = match name.parse::<usize>() {
            Ok(number) => number < pattern.captures_len(),
            Err(_) => {
                name.is_empty() || pattern.capture_names().flatten().any(|group| group == name)
            }
        };
        if !known {
            return Some(name.to_owned());
        }
        rest = left;
    }
    None
}

struct Replacing {
    pattern: Regex,
    with: String,
    keep: bool,
}

impl Kernel for Replacing {
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        Ok(text::map(text::strings(values)?, |value| {
            // PRIVACY: a text that the pattern does not know is not known to be harmless.
            if !self.keep && !self.pattern.is_match(value) {
                return None;
            }
            Some(match self.pattern.replace_all(value, self.with.as_str()) {
                Cow::Borrowed(text) => Cow::Borrowed(text),
                Cow::Owned(text) => Cow::Owned(text),
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{apply_texts, args, word};
    use super::*;
    use crate::policy::args::Value;

    fn rule(pattern: &str, with: &str) -> Vec<(&'static str, Value)> {
        vec![("pattern", word(pattern)), ("with", word(with))]
    }

    #[test]
    fn every_match_is_replaced_and_groups_are_taken_over() {
        let raw = ["/home/ada/run.sh /home/bob", "/home/ada"];
        assert_eq!(
            apply_texts(&RegexReplace, &rule("/home/[a-z]+", "/home/USER"), &raw),
            ["/home/USER/run.sh /home/USER", "/home/USER"]
        );
        let dates = rule(r"^(?<y>\d{4})-(\d\d)-\d\d$", "${y}/$2 $$");
        assert_eq!(apply_texts(&RegexReplace, &dates, &["2026-03-05"]), ["2026/03 $"]);
    }

    #[test]
    fn a_text_without_a_match_becomes_null_unless_the_policy_says_dangerous_keep() {
        let mut set = rule("[0-9]+", "#");
        let raw = ["job 12", "ada"];
        assert_eq!(apply_texts(&RegexReplace, &set, &raw), ["job #", "(null)"]);
        set.push(("unmatched", word("dangerous_keep")));
        assert_eq!(apply_texts(&RegexReplace, &set, &raw), ["job #", "ada"]);
    }

    #[test]
    fn a_pattern_that_cannot_be_or_protects_nothing_is_refused() {
        let refused = |pattern: &str, with: &str| -> Vec<String> {
            let problems = RegexReplace.check(&args(&RegexReplace, &rule(pattern, with)));
            problems.into_iter().map(|problem| problem.message).collect()
        };
        assert_eq!(refused("(a", ""), ["`pattern` does not compile: unclosed group"]);
        assert_eq!(
            refused("(?=a)", ""),
            [
                "`pattern` does not compile: look-around, including look-ahead and look-behind, is not \
              supported"
            ]
        );
        assert_eq!(refused("(a{1000}){1000}", ""), ["`pattern` does not compile: it is too large"]);
        assert_eq!(refused("[0-9]*", "#").len(), 1);
        assert_eq!(
            refused("(a)b", "$1x"),
            ["`with` names the group `1x`, which `pattern` does not have"]
        );
        assert_eq!(refused("(a)b", "${2}").len(), 1);
        assert_eq!(refused("(a)b", "${1}x $0 $$5"), [""; 0]);
    }

    #[test]
    fn a_hostile_text_takes_linear_time() {
        let raw = "a".repeat(200_000);
        let out = apply_texts(&RegexReplace, &rule("(a+)+b|a$", "#"), &[&raw]);
        assert_eq!(out[0].len(), 200_000);
    }

    #[test]
    fn keeping_unmatched_texts_weakens() {
        let null = args(&RegexReplace, &rule("a", "b"));
        let keep = null.clone().with("unmatched", word("dangerous_keep"));
        assert_eq!(RegexReplace.compare(&null, &keep), Change::Weakens);
        assert_eq!(RegexReplace.compare(&keep, &null), Change::Strengthens);
        assert_eq!(RegexReplace.exposure(&keep), Exposure::Clear);
    }
}
