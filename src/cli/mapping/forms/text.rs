//! The text form, as the old script wrote it. Its tokens are in the order of their numbers, though, where
//! the script sorted them as words.

use std::io::Write;

use super::{Found, FoundEntry, Section, unwritable};
use crate::error::{Code, Context, Error, Result};

/// Writes sections.
pub(super) fn write(sections: &[Section], out: &mut dyn Write) -> Result<()> {
    let (double, single) = ("=".repeat(RULE), "-".repeat(RULE));
    let mut line = |text: &str| writeln!(out, "{text}").context(Code::Usage, unwritable);
    for text in [double.as_str(), TITLE, &double, CONFIDENTIAL, &double, ""] {
        line(text)?;
    }
    for section in sections.iter().filter(|section| !section.entries.is_empty()) {
        line(&format!("{}{HEADING}", section.name))?;
        line(&single)?;
        for entry in &section.entries {
            if entry.original.contains(['\n', '\r']) {
                let what = format!(
                    "the original of `{}` has a line break, which the text form cannot hold; write \
                     `--format json` or `--format csv`",
                    entry.token
                );
                return Err(Error::new(Code::Usage, what));
            }
            line(&format!("{:<PADDED$}{ARROW}{}", entry.token, entry.original))?;
        }
        line("")?;
    }
    line(&double)?;
    for section in sections {
        line(&total(&section.name, section.entries.len()))?;
    }
    line(&double)
}

fn total(name: &str, tokens: usize) -> String {
    format!("{TOTAL}{}{ANONYMIZED}{tokens}", plural(name))
}

fn plural(name: &str) -> String {
    format!("{}s", name.to_lowercase())
}

/// A section as it stands in a file.
struct Part {
    name: String,
    entries: Vec<FoundEntry>,
}

/// Reads a text.
pub(super) fn read(text: &str, prefix: &str) -> Result<Found, String> {
    let mut parts: Vec<Part> = Vec::new();
    let mut totals: Vec<(String, &str)> = Vec::new();
    for (at, line) in text.split('\n').enumerate() {
        let place = format!("line {}", at + 1);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if let Some((token, original)) = pair(line) {
            let part = parts.last_mut().ok_or_else(|| {
                format!("{place}: a token stands before the first heading such as `USER{HEADING}`")
            })?;
            let (token, original) = (token.to_owned(), original.to_owned());
            part.entries.push(FoundEntry { place, token, original, count: None });
        } else if let Some(name) = line.strip_suffix(HEADING) {
            parts.push(Part { name: name.to_owned(), entries: Vec::new() });
        } else if let Some(rest) = line.strip_prefix(TOTAL) {
            let (what, number) = rest
                .split_once(ANONYMIZED)
                .ok_or_else(|| format!("{place} is no line of a token map"))?;
            totals.push((what.to_owned(), number));
        } else if !is_frame(line) {
            return Err(format!("{place} is no line of a token map"));
        }
    }
    for (what, number) in totals {
        let of = parts.iter().filter(|part| plural(&part.name) == what);
        let here: usize = of.map(|part| part.entries.len()).sum();
        if number.trim() != here.to_string() {
            return Err(format!(
                "the file says that it holds {number} {what}, and holds {here}: it was cut or changed"
            ));
        }
    }
    choose(parts, prefix)
}

/// The sections that are about tokens of this prefix.
fn choose(parts: Vec<Part>, prefix: &str) -> Result<Found, String> {
    let several = parts.len() > 1;
    let names: Vec<String> = parts.iter().map(|part| part.name.clone()).collect();
    let is_ours = |part: &Part| {
        let first = part.entries.first();
        !several || first.is_some_and(|entry| entry.token.starts_with(prefix))
    };
    let mut found = Found::default();
    for part in parts {
        if is_ours(&part) {
            found.entries.extend(part.entries);
        } else {
            found.passed_over.push(part.name);
        }
    }
    if found.entries.is_empty() && several {
        return Err(format!(
            "none of its sections ({}) has tokens that begin with `{prefix}`",
            names.join(", ")
        ));
    }
    Ok(found)
}

/// Token and original of a line. The arrow stands after the token, which has no blank inside; an editor
/// may have taken the blank after it.
fn pair(line: &str) -> Option<(&str, &str)> {
    let (token, original) = match line.split_once(ARROW) {
        Some(pair) => pair,
        None => (line.strip_suffix(ARROW.trim_end())?, ""),
    };
    Some((token.trim_end_matches(' '), original))
}

fn is_frame(line: &str) -> bool {
    let line = line.trim();
    let rule = |mark: char| line.len() > 3 && line.chars().all(|c| c == mark);
    line.is_empty() || line == TITLE || line == CONFIDENTIAL || rule('=') || rule('-')
}

/// How wide the lines between parts are.
const RULE: usize = 80;
/// How wide a token is filled up to.
const PADDED: usize = 15;
const TITLE: &str = "CLUSTER DATA ANONYMIZATION MAPPING";
const CONFIDENTIAL: &str = "CONFIDENTIAL - ADMIN ACCESS ONLY";
const HEADING: &str = " MAPPINGS:";
const ARROW: &str = " -> ";
const TOTAL: &str = "Total ";
const ANONYMIZED: &str = " anonymized: ";
