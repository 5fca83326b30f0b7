//! A proposal as the text of a policy, with a reason a line, and as JSON for machines.

use serde_json::{Value, json};

use super::kind::word;
use super::quote::{key, scalar, shown};
use super::{Proposal, Proposed};
use crate::pipeline::profile::Link;
use crate::policy::{FieldType, Source};

/// The longest key that YAML takes without a mark of its own, with room for quotes and escapes.
const KEY_MAX: usize = 1000;
/// The widest line of a comment.
const WIDTH: usize = 108;

impl Proposal {
    /// The policy, with comments.
    pub fn yaml(&self) -> String {
        let full = self.text(true);
        // A policy ends at 1 MiB; rules matter more than reasons.
        if full.len() < 1 << 20 { full } else { self.text(false) }
    }

    fn text(&self, reasons: bool) -> String {
        let mut text = self.head();
        text.push_str("\ncolumns:\n");
        for (at, column) in self.columns.iter().enumerate() {
            if reasons {
                if at > 0 {
                    text.push('\n');
                }
                self.comment(column, &mut text);
            }
            let (name, rule) = (key(&column.name), column.written());
            if name.len() > KEY_MAX {
                text.push_str(&format!("  ? {name}\n  : {rule}\n"));
            } else {
                text.push_str(&format!("  {name}: {rule}\n"));
            }
        }
        match &self.settings.partner {
            Some((partner, until)) => text.push_str(&format!(
                "\ngrants:\n  - {{partner: {}, access: rows, until: {until}}}\n",
                scalar(partner)
            )),
            None => text.push_str(
                "\n# Nobody may pull yet: - {partner: NAME, access: rows, until: 2027-12-31}\ngrants: []\n",
            ),
        }
        text
    }

    /// What stands before the columns.
    fn head(&self) -> String {
        let leaving = self.columns.iter().filter(|column| column.leaves()).count();
        let rows = match self.profile.rows {
            Some(rows) => format!("{} of {rows} rows", self.profile.sampled),
            None => format!("{} rows", self.profile.sampled),
        };
        let files = match self.profile.files {
            1 => "1 file".to_owned(),
            files => format!("{files} files"),
        };
        let mut text = format!(
            "# Proposed by `veilflight policy init` on {} from a sample: {rows} in {files}.\n\
             #\n\
             # Read every line before you serve this. A sample shows what there is, not what may come, and names\n\
             # can mislead. {leaving} of {} columns leave. What was not recognized is `drop`.\n",
            self.settings.today,
            self.columns.len(),
        );
        text.push_str(
            "#\n# `policy check --data` may warn, and means it: P105, quasi-identifiers leave and no release covers\n\
             # their combinations; P108, addresses leave beside volumes; P109, while there is no grant.\n",
        );
        text.push_str(&format!("version: 1\ndataset: {}\n", scalar(&self.settings.dataset)));
        text.push_str(&source(&self.settings.source));
        text.push_str("\n# Two partners cannot join their pseudonyms.\nlinkage: per_partner\n");
        match self.unit.and_then(|at| self.columns.get(at)) {
            Some(unit) => text.push_str(&format!(
                "# The person who is protected, in however many rows.\nunit: {}\n",
                scalar(&unit.name)
            )),
            None => text
                .push_str("# No column was found that tells persons apart: name it as `unit`.\n"),
        }
        text.push_str("nulls: keep\n");
        text
    }

    /// Why a column gets its rule.
    fn comment(&self, column: &Proposed, text: &mut String) {
        let class = column.class.map_or("unknown", word);
        let head = match column.kind.words() {
            words if words == class => class.to_owned(),
            words => format!("{class}, {words}"),
        };
        let body = match column.reasons.as_slice() {
            [] => head,
            reasons => format!("{head}: {}", reasons.join("; ")),
        };
        wrapped(&body, "  # ", "  #   ", text);
        for line in &column.advice {
            wrapped(line, "  #   ", "  #     ", text);
        }
    }

    /// The links that are worth a line, the strongest first.
    pub fn links(&self) -> Vec<&Link> {
        let mut links: Vec<&Link> = self.links.iter().collect();
        links.sort_by_key(|link| std::cmp::Reverse((link.whole + link.inside, link.whole)));
        links
    }

    /// A column's name for people, on one line.
    pub fn name(&self, at: usize) -> String {
        self.columns.get(at).map(|column| shown(&column.name)).unwrap_or_default()
    }

    /// The classification for machines.
    pub fn json(&self) -> Value {
        let name = |at: usize| self.columns.get(at).map(|column| column.name.clone());
        let columns: Vec<Value> = self
            .columns
            .iter()
            .zip(&self.profile.columns)
            .map(|(proposed, seen)| {
                json!({
                    "name": proposed.name,
                    "type": crate::policy::check::type_name(&seen.data_type),
                    "class": proposed.class.map(word),
                    "kind": proposed.kind.words(),
                    "rule": proposed.written(),
                    "leaves": proposed.leaves(),
                    "reasons": proposed.reasons,
                    "values": seen.values,
                    "nulls": seen.nulls,
                    "blanks": seen.blanks,
                    "distinct": seen.distinct,
                    "looks": seen.looks.iter().map(|(look, count)| (look.words(), *count))
                        .collect::<std::collections::BTreeMap<_, _>>(),
                    "inside": seen.inside.iter().map(|(look, count)| (look.words(), *count))
                        .collect::<std::collections::BTreeMap<_, _>>(),
                })
            })
            .collect();
        let links: Vec<Value> = self
            .links()
            .into_iter()
            .map(|link| {
                json!({
                    "of": name(link.of),
                    "within": name(link.within),
                    "whole": link.whole,
                    "inside": link.inside,
                    "values": link.values,
                })
            })
            .collect();
        json!({
            "dataset": self.settings.dataset,
            "rows": self.profile.rows,
            "sampled": self.profile.sampled,
            "files": self.profile.files,
            "unit": self.unit.and_then(name),
            "columns": columns,
            "links": links,
        })
    }
}

impl Proposed {
    /// The rule with its class, as the policy writes it.
    pub fn written(&self) -> String {
        match self.class {
            Some(class) => format!("{{class: {}, {}}}", word(class), self.rule),
            None if self.rule.contains(':') => format!("{{{}}}", self.rule),
            None => self.rule.clone(),
        }
    }
}

/// Where the data is.
fn source(source: &Source) -> String {
    let listed = |paths: &[String]| match paths {
        [path] => quoted(path),
        paths => {
            format!("[{}]", paths.iter().map(|path| quoted(path)).collect::<Vec<_>>().join(", "))
        }
    };
    match source {
        Source::Parquet { paths } => format!("source: {{parquet: {}}}\n", listed(paths)),
        Source::Delimited { paths, delimiter, header, quote, nulls, columns } => {
            let byte = |byte: u8| match byte {
                b'\t' => "tab".to_owned(),
                byte => quoted(&char::from(byte).to_string()),
            };
            let mut text = format!(
                "source:\n  delimited:\n    paths: {}\n    delimiter: {}\n    header: {header}\n",
                listed(paths),
                byte(*delimiter)
            );
            match quote {
                None => text.push_str("    quote: none\n"),
                Some(b'"') => {}
                Some(quote) => text.push_str(&format!("    quote: {}\n", byte(*quote))),
            }
            if !nulls.is_empty() {
                text.push_str(&format!("    nulls: {}\n", listed(nulls)));
            }
            text.push_str("    columns:\n");
            for (name, kind) in columns {
                let name = key(name);
                let kind = match kind {
                    FieldType::Text => "text",
                    FieldType::Integer => "integer",
                    FieldType::Number => "number",
                    FieldType::Flag => "flag",
                    FieldType::Date => "date",
                    FieldType::Timestamp => "timestamp",
                };
                if name.len() > KEY_MAX {
                    text.push_str(&format!("      ? {name}\n      : {kind}\n"));
                } else {
                    text.push_str(&format!("      {name}: {kind}\n"));
                }
            }
            text
        }
    }
}

/// A text in quotes whether or not it needs them, as paths are written.
fn quoted(text: &str) -> String {
    match scalar(text) {
        plain if plain == text => format!("\"{plain}\""),
        quoted => quoted,
    }
}

/// A comment, cut into lines between words.
fn wrapped(body: &str, first: &str, next: &str, text: &mut String) {
    let mut line = first.to_owned();
    let mut empty = true;
    // Names stay whole.
    let mut quoted = false;
    let between = |c: char| {
        quoted ^= c == '`';
        c == ' ' && !quoted
    };
    for word in body.split(between) {
        if !empty && line.chars().count() + word.chars().count() >= WIDTH {
            text.push_str(line.trim_end());
            text.push('\n');
            line = next.to_owned();
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    text.push_str(line.trim_end());
    text.push('\n');
}
