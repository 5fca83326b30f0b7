//! Where raw identifiers are, by a policy: which columns are read, what of their values is looked for, and in
//! which columns of the output it counts. Reads no row.

use std::cell::RefCell;

use super::super::transform::{Exposure, Seek};
use crate::error::Result;
use crate::policy::{Class, Column, Policy, Rule};

/// One raw column, in one respect.
pub(super) struct Source {
    /// The column.
    pub(super) column: String,
    /// What of it is looked for.
    pub(super) what: What,
    /// The columns of the output in which it counts.
    pub(super) counts: Counts,
}

/// In which columns of the output something counts.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Counts {
    /// In all.
    Everywhere,
    /// In these.
    In(Vec<String>),
    /// In all others.
    NotIn(String),
}

impl Counts {
    /// Whether something counts in a column; names are equal that differ in case alone.
    pub(super) fn holds(&self, name: &str) -> bool {
        match self {
            Self::Everywhere => true,
            Self::In(columns) => columns.iter().any(|column| column.eq_ignore_ascii_case(name)),
            Self::NotIn(column) => !column.eq_ignore_ascii_case(name),
        }
    }
}

/// What is looked for.
pub(super) enum What {
    /// Each value, and each element of a list.
    Values {
        /// Whether they are addresses, which have other forms.
        address: bool,
        /// Whether `scrub` learns from them, and so finds every handle in them.
        learned: bool,
    },
    /// What the column's own rule takes out of its texts.
    Parts(RefCell<Box<dyn Seek>>),
    /// Words that the policy has this column's rule take out.
    Words(Vec<String>),
}

/// All sources of a policy. Those that do not count everywhere come first.
///
/// # Errors
/// When a file that a rule names cannot be read.
pub(super) fn of(policy: &Policy) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for column in &policy.columns {
        let learners = learners(policy, &column.name);
        if names(column) || !learners.is_empty() {
            let address = verb(column) == "ip";
            let what = What::Values { address, learned: !learners.is_empty() };
            // What the policy lets out of the column itself, a rule may still hide in texts.
            let exposure = column.rule.transform.exposure(&column.rule.args);
            let counts = match exposure {
                _ if names(column) => Counts::Everywhere,
                Exposure::Clear => Counts::In(learners),
                Exposure::Coarse => Counts::NotIn(column.name.clone()),
                _ => Counts::Everywhere,
            };
            sources.push(Source { column: column.name.clone(), what, counts });
        }
        let Rule { transform, args } = &column.rule;
        if let Some(seek) = transform.seek(args, policy.folder())? {
            let (name, words) = (&column.name, seek.words().to_vec());
            if !words.is_empty() {
                let (what, counts) = (What::Words(words), Counts::In(vec![name.clone()]));
                sources.push(Source { column: name.clone(), what, counts });
            }
            let what = What::Parts(RefCell::new(seek));
            sources.push(Source { column: name.clone(), what, counts: Counts::Everywhere });
        }
    }
    sources.sort_by_key(|source| source.counts == Counts::Everywhere);
    Ok(sources)
}

/// The columns whose raw values, or parts of them, name somebody: those with a pseudonym, an address or a scrub
/// rule, those that a scrub rule learns from, and those that the policy calls identifiers and does not keep in
/// clear.
pub fn identifying(policy: &Policy) -> Vec<&str> {
    let named = policy.columns.iter().filter(|column| {
        names(column) || is_scrubbed(column) || !learners(policy, &column.name).is_empty()
    });
    named.map(|column| column.name.as_str()).collect()
}

/// Whether every value of a column names somebody.
fn names(column: &Column) -> bool {
    let verb = verb(column);
    matches!(verb, "pseudonym" | "ip")
        || (column.class == Some(Class::Identifier) && verb != "keep" && !is_scrubbed(column))
}

/// The columns whose texts are looked into for the values of this one.
fn learners(policy: &Policy, name: &str) -> Vec<String> {
    let learn = policy.columns.iter().filter(|column| {
        let Rule { transform, args } = &column.rule;
        is_scrubbed(column) && transform.learns_from(args).iter().any(|from| from == name)
    });
    learn.map(|column| column.name.clone()).collect()
}

fn is_scrubbed(column: &Column) -> bool {
    verb(column) == "scrub"
}

fn verb(column: &Column) -> &'static str {
    column.rule.transform.spec().verb
}
