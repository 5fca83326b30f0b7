//! What changed between two policies for the same data, and whether people are protected less, more
//! or only differently. Compares meaning, not text.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value as Json, json};

use super::args::{Kind, Value};
use super::explain::class_name;
use super::load::leaves;
use super::privacy;
use super::public;
use super::release::diff::changes;
use super::{Access, Column, Grant, Limits, Linkage, Nulls, Policy};
use crate::pipeline::transform::Change;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What changed: `column \`User\``.
    pub subject: String,
    /// Which way.
    pub change: Change,
    /// Why, in a sentence without a full stop.
    pub reason: String,
}

/// Every change from `old` to `new`, weakening ones first.
pub fn diff(old: &Policy, new: &Policy) -> Vec<Difference> {
    let mut found = Found(Vec::new());
    found.settings(old, new);
    found.columns(old, new);
    found.release(old, new);
    found.views(old, new);
    for (change, reason) in privacy::privacy_changes(old.privacy.as_ref(), new.privacy.as_ref()) {
        found.add("privacy", change, reason);
    }
    for (subject, change, reason) in public::changes(old, new) {
        found.add(subject, change, reason);
    }
    for (change, reason) in privacy::numbers_changes(old.public_numbers, new.public_numbers) {
        found.add("public_numbers", change, reason);
    }
    found.grants(&old.grants, &new.grants);
    found.0.sort_by_key(|difference| std::cmp::Reverse(difference.change));
    found.0
}

/// What all changes come to: weaker as soon as one is; `None` for no change.
pub fn verdict(differences: &[Difference]) -> Option<Change> {
    let has = |change| differences.iter().any(|difference| difference.change == change);
    if has(Change::Weakens) {
        Some(Change::Weakens)
    } else if has(Change::Strengthens) {
        Some(Change::Strengthens)
    } else {
        has(Change::Moves).then_some(Change::Moves)
    }
}

/// The word for a change.
pub const fn change_name(change: Change) -> &'static str {
    match change {
        Change::Strengthens => "strengthens",
        Change::Moves => "moves",
        Change::Weakens => "weakens",
    }
}

/// The changes as text.
pub fn text(differences: &[Difference]) -> String {
    let mut out = String::new();
    for Difference { subject, change, reason } in differences {
        let _ = writeln!(out, "{:<11}  {subject}: {reason}", change_name(*change));
    }
    let total = match verdict(differences) {
        None => "No change in meaning.",
        Some(Change::Weakens) => "In all: WEAKENS protection.",
        Some(Change::Strengthens) => "In all: strengthens protection.",
        Some(Change::Moves) => "In all: neither weaker nor stronger, but different.",
    };
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(total);
    out.push('\n');
    out
}

/// The changes as JSON.
pub fn json(old: &Policy, new: &Policy, differences: &[Difference]) -> String {
    let list: Vec<Json> = differences
        .iter()
        .map(|difference| {
            json!({
                "subject": difference.subject,
                "change": change_name(difference.change),
                "reason": difference.reason,
            })
        })
        .collect();
    let object = json!({
        "old_digest": old.digest,
        "new_digest": new.digest,
        "verdict": verdict(differences).map_or("same", change_name),
        "differences": list,
    });
    format!("{object:#}\n")
}

/// The changes found so far.
struct Found(Vec<Difference>);

impl Found {
    fn add(&mut self, subject: impl Into<String>, change: Change, reason: impl Into<String>) {
        self.0.push(Difference { subject: subject.into(), change, reason: reason.into() });
    }

    fn settings(&mut self, old: &Policy, new: &Policy) {
        if old.dataset != new.dataset {
            let reason = format!("was `{}`, is `{}`", old.dataset, new.dataset);
            self.add("dataset", Change::Moves, reason);
        }
        if old.description != new.description {
            self.add("description", Change::Moves, "other words");
        }
        if old.source != new.source {
            self.add("source", Change::Moves, "other files, or read in another way");
        }
        match (old.linkage, new.linkage) {
            (Linkage::PerPartner, Linkage::Shared) => {
                self.add("linkage", Change::Weakens, "partners can now join their pseudonyms");
            }
            (Linkage::Shared, Linkage::PerPartner) => {
                let reason = "partners can no longer join their pseudonyms";
                self.add("linkage", Change::Strengthens, reason);
            }
            _ => {}
        }
        match (&old.rows, &new.rows) {
            (None, Some(rows)) => {
                let reason = format!("only rows for which `{rows}` is true still leave");
                self.add("rows", Change::Strengthens, reason);
            }
            (Some(rows), None) => {
                let reason = format!("rows for which `{rows}` is not true leave as well");
                self.add("rows", Change::Weakens, reason);
            }
            (Some(old), Some(new)) if old != new => {
                let reason = format!("other rows leave: was `{old}`, is `{new}`");
                self.add("rows", Change::Moves, reason);
            }
            _ => {}
        }
        match (old.nulls, new.nulls) {
            (old, new) if old == new => {}
            (_, Nulls::SuppressRow) => {
                self.add("nulls", Change::Strengthens, "rows with missing values no longer leave");
            }
            (Nulls::SuppressRow, _) => {
                self.add("nulls", Change::Weakens, "rows with missing values leave as well");
            }
            _ => self.add("nulls", Change::Moves, "missing values look different"),
        }
        if old.epoch != new.epoch {
            let reason = "other keys: new pseudonyms do not join with earlier ones";
            self.add("epoch", Change::Moves, reason);
        }
        if old.unit != new.unit {
            self.add("unit", Change::Moves, "another unit is protected");
        }
    }

    fn columns(&mut self, old: &Policy, new: &Policy) {
        let of = |policy: &Policy, name: &str| {
            policy.columns.iter().find(|column| column.name == name).cloned()
        };
        for before in &old.columns {
            let subject = format!("column `{}`", before.name);
            match of(new, &before.name) {
                None if leaves(&before.rule) => {
                    self.add(subject, Change::Strengthens, "no longer leaves");
                }
                None => self.add(subject, Change::Moves, "is no longer named; it did not leave"),
                Some(after) => self.column(&subject, (old, before), (new, &after)),
            }
        }
        for after in new.columns.iter().filter(|column| of(old, &column.name).is_none()) {
            let subject = format!("column `{}`", after.name);
            if leaves(&after.rule) {
                let does = after.rule.transform.explain(&after.rule.args);
                self.add(subject, Change::Weakens, format!("is new and leaves: {}", bare(&does)));
            } else {
                self.add(subject, Change::Moves, "is new and does not leave");
            }
        }
        if names_in_common(old, new) != names_in_common(new, old) {
            self.add("columns", Change::Moves, "leave in another order");
        }
    }

    fn column(
        &mut self,
        subject: &str,
        (old_policy, old): (&Policy, &Column),
        (new_policy, new): (&Policy, &Column),
    ) {
        if old.class != new.class {
            let name = |class: Option<_>| class.map_or("nothing", class_name);
            let reason = format!("said to be {}, was {}", name(new.class), name(old.class));
            self.add(subject, Change::Moves, reason);
        }
        let same_transform = old.rule.transform.spec().name() == new.rule.transform.spec().name();
        if same_transform && old.rule.args == new.rule.args {
            for name in changed_files(old_policy, new_policy, old) {
                let reason = format!("the file `{name}` holds something else");
                self.add(subject, Change::Moves, reason);
            }
            return;
        }
        let (old_args, new_args) = (&old.rule.args, &new.rule.args);
        let was = old.rule.transform.exposure(old_args);
        let is = new.rule.transform.exposure(new_args);
        let by_exposure = match was.cmp(&is) {
            std::cmp::Ordering::Less => Change::Weakens,
            std::cmp::Ordering::Equal => Change::Moves,
            std::cmp::Ordering::Greater => Change::Strengthens,
        };
        let change = if same_transform {
            match new.rule.transform.compare(old_args, new_args) {
                Change::Moves => by_exposure,
                known => known,
            }
        } else {
            by_exposure
        };
        let reason = if same_transform {
            format!("`{}`: {}", new.rule.transform.spec().name(), parameters(old, new))
        } else {
            let was = old.rule.transform.explain(old_args);
            let is = new.rule.transform.explain(new_args);
            format!("was \"{}\", is \"{}\"", bare(&was), bare(&is))
        };
        self.add(subject, change, reason);
    }

    fn release(&mut self, old_policy: &Policy, new_policy: &Policy) {
        let (old, new) = match (&old_policy.release, &new_policy.release) {
            (None, None) => return,
            (None, Some(_)) => {
                return self.add("release", Change::Strengthens, "rows leave only in a release");
            }
            (Some(_), None) => {
                return self.add("release", Change::Weakens, "rows leave without a release");
            }
            (Some(old), Some(new)) => (old, new),
        };
        for (subject, change, reason) in changes(old, new) {
            self.add(subject, change, reason);
        }
        let same: Vec<&str> = old.files().filter(|path| new.files().any(|p| p == *path)).collect();
        for path in same {
            if content(old_policy, path) != content(new_policy, path) {
                let reason = format!("the file `{path}` holds something else");
                self.add("release", Change::Moves, reason);
            }
        }
    }

    /// A view tells nothing that its partners could not ask for, so none of this weakens.
    fn views(&mut self, old: &Policy, new: &Policy) {
        for before in &old.views {
            let subject = format!("view `{}`", before.name);
            match new.view(&before.name) {
                None => self.add(subject, Change::Moves, "is no longer offered"),
                Some(after) if after.sql.trim() != before.sql.trim() => {
                    self.add(subject, Change::Moves, "asks something else");
                }
                Some(after) if after.description != before.description => {
                    self.add(subject, Change::Moves, "is described in other words");
                }
                Some(_) => {}
            }
        }
        for after in new.views.iter().filter(|view| old.view(&view.name).is_none()) {
            let reason = "is new; it gives what its partners could ask for already";
            self.add(format!("view `{}`", after.name), Change::Moves, reason);
        }
        let names = |policy: &Policy, other: &Policy| -> Vec<String> {
            let both = policy.views.iter().filter(|view| other.view(&view.name).is_some());
            both.map(|view| view.name.clone()).collect()
        };
        if names(old, new) != names(new, old) {
            self.add("views", Change::Moves, "stand in another order");
        }
    }

    /// A number of which more protects more.
    fn count(&mut self, subject: &str, old: u64, new: u64) {
        match old.cmp(&new) {
            std::cmp::Ordering::Less => {
                self.add(subject, Change::Strengthens, format!("raised from {old} to {new}"));
            }
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => {
                self.add(subject, Change::Weakens, format!("lowered from {old} to {new}"));
            }
        }
    }

    fn grants(&mut self, old: &[Grant], new: &[Grant]) {
        let old = by_partner(old);
        let new = by_partner(new);
        for (key, before) in &old {
            let subject = format!("grant of `{}` ({})", key.0, key.1);
            let Some(after) = new.get(key) else {
                self.add(subject, Change::Strengthens, "is withdrawn");
                continue;
            };
            match (before.until, after.until) {
                (old, new) if old == new => {}
                (Some(old), Some(new)) if new < old => {
                    let reason = format!("ends on {new} instead of {old}");
                    self.add(&subject, Change::Strengthens, reason);
                }
                (None, Some(new)) => {
                    self.add(&subject, Change::Strengthens, format!("now ends on {new}"));
                }
                (_, Some(new)) => self.add(&subject, Change::Weakens, format!("lasts until {new}")),
                (_, None) => self.add(&subject, Change::Weakens, "no longer ends"),
            }
            self.limits(&subject, before.limits, after.limits);
            match (&before.access, &after.access) {
                (Access::Aggregates { group_min: old }, Access::Aggregates { group_min: new }) => {
                    self.count(&format!("{subject}, group_min"), *old, *new)
                }
                (Access::Dp(old), Access::Dp(new)) => {
                    for (change, reason) in privacy::changes(old, new) {
                        self.add(&subject, change, reason);
                    }
                }
                _ => {}
            }
        }
        for key in new.keys().filter(|key| !old.contains_key(*key)) {
            self.add(format!("grant of `{}` ({})", key.0, key.1), Change::Weakens, "is new");
        }
    }

    fn limits(&mut self, subject: &str, old: Limits, new: Limits) {
        let count = |queries: Option<usize>| queries.map(|queries| queries as u64);
        for (name, old, new) in [
            ("rows_day", old.rows_day, new.rows_day),
            ("bytes_day", old.bytes_day, new.bytes_day),
            ("queries", count(old.queries), count(new.queries)),
            ("seconds", old.seconds, new.seconds),
        ] {
            let subject = format!("{subject}, {name}");
            match (old, new) {
                (None, None) => {}
                (None, Some(new)) => {
                    self.add(subject, Change::Strengthens, format!("limited to {new}"));
                }
                (Some(_), None) => self.add(subject, Change::Weakens, "no longer limited"),
                (Some(old), Some(new)) if old < new => {
                    self.add(subject, Change::Weakens, format!("raised from {old} to {new}"));
                }
                (Some(old), Some(new)) if old > new => {
                    self.add(subject, Change::Strengthens, format!("lowered from {old} to {new}"));
                }
                (Some(_), Some(_)) => {}
            }
        }
    }
}

/// Grants by partner and access; the loader made sure that there is one each.
fn by_partner(grants: &[Grant]) -> BTreeMap<(String, &'static str), &Grant> {
    grants
        .iter()
        .map(|grant| {
            let access = match grant.access {
                Access::Rows => "rows",
                Access::Aggregates { .. } => "aggregates",
                Access::Dp(_) => "dp",
            };
            ((grant.partner.clone(), access), grant)
        })
        .collect()
}

/// The leaving columns of `a` that `b` has too, in the order of `a`.
fn names_in_common<'a>(a: &'a Policy, b: &Policy) -> Vec<&'a str> {
    let leaving = |policy: &Policy, name: &str| {
        policy.columns.iter().any(|column| column.name == name && leaves(&column.rule))
    };
    a.columns
        .iter()
        .map(|column| column.name.as_str())
        .filter(|name| leaving(a, name) && leaving(b, name))
        .collect()
}

/// Files that a rule names under the same path but with different content.
fn changed_files<'a>(old: &Policy, new: &Policy, column: &'a Column) -> Vec<&'a str> {
    let spec = column.rule.transform.spec();
    spec.params
        .iter()
        .filter(|param| param.kind == Kind::Path)
        .filter_map(|param| column.rule.args.text(param.name))
        .filter(|path| content(old, path) != content(new, path))
        .collect()
}

/// What a file holds that a policy names.
fn content(policy: &Policy, path: &str) -> Option<Vec<u8>> {
    std::fs::read(policy.folder().join(path)).ok()
}

/// The parameters that differ, as `name: old -> new`.
fn parameters(old: &Column, new: &Column) -> String {
    let mut names: Vec<&str> =
        old.rule.args.iter().chain(new.rule.args.iter()).map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    let show = |value: Option<&Value>| value.map_or_else(|| "unset".to_owned(), shown);
    names
        .into_iter()
        .filter(|name| old.rule.args.value(name) != new.rule.args.value(name))
        .map(|name| {
            let (old, new) = (old.rule.args.value(name), new.rule.args.value(name));
            format!("`{name}` was {}, is {}", show(old), show(new))
        })
        .collect::<Vec<_>>()
        .join("; ")
}

/// A parameter's value for people.
fn shown(value: &Value) -> String {
    match value {
        Value::Flag(flag) => flag.to_string(),
        Value::Integer(integer) => integer.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => format!("\"{text}\""),
        Value::Date(date) => date.to_string(),
        Value::Numbers(numbers) => {
            let numbers: Vec<String> = numbers.iter().map(f64::to_string).collect();
            format!("[{}]", numbers.join(", "))
        }
        Value::Texts(texts) => format!("{texts:?}"),
    }
}

/// A sentence without its full stop.
fn bare(sentence: &str) -> &str {
    sentence.trim_end_matches('.')
}
