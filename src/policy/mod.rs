//! WHAT may leave. Reads policy files, checks them, and turns one policy, one partner and one schema
//! into a [`plan::Plan`]. Pure: no network, no async runtime, no query engine, no clock.
//!
//! A file exists twice: as written (`raw`, with positions) and as resolved here, where nothing is
//! left to interpret. Only the loader makes a [`Policy`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::NaiveDate;

use crate::pipeline::transform::Transform;

pub mod args;
pub mod check;
pub mod decimal;
pub mod diff;
mod digest;
pub mod explain;
pub mod fixture;
pub mod flat;
pub mod lint;
pub mod load;
pub mod plan;
pub mod privacy;
pub mod problem;
pub mod propose;
pub mod public;
mod raw;
mod read;
pub mod release;
mod rule;
pub mod schema;
pub mod stored;
#[cfg(test)]
mod tests;
mod yaml;

use args::{Args, Kind};
use privacy::{DpGrant, Privacy, PublicNumbers};
use public::PublicTable;
use release::ReleaseRules;

/// A checked policy.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The name partners ask for.
    pub dataset: String,
    /// What a row is, for people.
    pub description: String,
    /// Where the raw rows are.
    pub source: Source,
    /// Whether two partners can join their pseudonyms.
    pub linkage: Linkage,
    /// A trusted filter on raw rows, in SQL; rows for which it is not true never leave.
    pub rows: Option<String>,
    /// The column that names the person (or other unit) that is protected.
    pub unit: Option<String>,
    /// What null means in the output.
    pub nulls: Nulls,
    /// The key epoch, where the policy pins one; otherwise the newest.
    pub epoch: Option<u32>,
    /// The columns in the order of the file.
    pub columns: Vec<Column>,
    /// A whole-table release; where there is one, rows leave only through it.
    pub release: Option<ReleaseRules>,
    /// What partners are offered beside the dataset, in the order of the file.
    pub views: Vec<View>,
    /// What all partners together may spend on differentially private answers, and how losses add up. Where
    /// there is none, losses are summed, and only the grants bound them.
    pub privacy: Option<Privacy>,
    /// What statements that are answered with noise may join, in the order of the file.
    pub public_tables: Vec<PublicTable>,
    /// What anybody may know of the dataset's size: estimates are made of it, and nothing else.
    pub public_numbers: Option<PublicNumbers>,
    /// Who may pull, and how.
    pub grants: Vec<Grant>,
    /// The files of public values that grants name, relative to the policy's folder, each once.
    pub key_files: Vec<String>,
    /// SHA-256 over the resolved policy, in lower-case hexadecimal: equal for equal meaning.
    pub digest: String,
    /// The file.
    pub path: PathBuf,
}

impl Policy {
    /// The grants of a partner that have not expired by `today`; the last day counts.
    pub fn grants_of<'a>(
        &'a self,
        partner: &'a str,
        today: NaiveDate,
    ) -> impl Iterator<Item = &'a Grant> {
        self.grants.iter().filter(move |grant| {
            grant.partner == partner && grant.until.is_none_or(|until| today <= until)
        })
    }

    /// Whether a rule, the release or a grant names a file, such as a hierarchy or public values.
    pub fn names_files(&self) -> bool {
        if !self.key_files.is_empty() {
            return true;
        }
        let by_rule = self.columns.iter().any(|column| {
            let params = column.rule.transform.spec().params;
            params.iter().any(|param| param.kind == Kind::Path)
        });
        by_rule || self.release.as_ref().is_some_and(|release| release.files().next().is_some())
    }

    /// What decides a release, in lower-case hexadecimal: source, rows, the columns that leave, the rules of
    /// quasi-identifiers and sensitive columns, the release and the hierarchies as they are now. Grants,
    /// views, the rules of columns that are served row by row, and whether another release may be built are
    /// no part of it. `None` without a release.
    pub fn release_digest(&self) -> Option<String> {
        digest::release(self)
    }

    /// The digest with the files that rules name as they are now; not [`Self::digest`] once one of them
    /// changed.
    pub fn digest_now(&self) -> String {
        digest::digest(self)
    }

    /// The view of this name.
    pub fn view(&self, name: &str) -> Option<&View> {
        self.views.iter().find(|view| view.name == name)
    }

    /// The public table of this name.
    pub fn public_table(&self, name: &str) -> Option<&PublicTable> {
        self.public_tables.iter().find(|table| table.name == name)
    }

    /// What partners may call things of this policy: the dataset and its views.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.dataset.as_str()).chain(self.views.iter().map(|v| v.name.as_str()))
    }

    /// The folder that relative paths start from.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }
}

/// A query over what leaves of the dataset, offered to partners under a name of its own.
///
/// PRIVACY: it is worked where a partner's statement would be, over the same columns and under the same
/// grant, so it gives nothing that the partner could not ask for in other words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The name that partners ask for.
    pub name: String,
    /// What it shows, for people.
    pub description: String,
    /// One `SELECT` over the dataset's released columns and the views before it.
    pub sql: String,
}

/// Where raw rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Parquet files: paths, folders (all `*.parquet` below) or globs, relative to the policy's folder.
    Parquet {
        /// At least one.
        paths: Vec<String>,
    },
    /// Delimited text, typed by the policy.
    Delimited {
        /// Paths, folders or globs, relative to the policy's folder.
        paths: Vec<String>,
        /// One ASCII byte.
        delimiter: u8,
        /// Whether the first line names the columns. A byte-order mark is always skipped.
        header: bool,
        /// The quote byte; `None` where quotes are ordinary characters.
        quote: Option<u8>,
        /// Texts that mean null, besides nothing at all.
        nulls: Vec<String>,
        /// Columns and types in the order of the file, or by name where there is a header.
        columns: Vec<(String, FieldType)>,
    },
}

/// The type of a column of delimited text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// Any text.
    Text,
    /// 64-bit whole number.
    Integer,
    /// 64-bit number.
    Number,
    /// `true` or `false`.
    Flag,
    /// `2026-01-01`.
    Date,
    /// `2026-01-01T12:00:00`, with or without fraction and zone; microseconds, UTC where no zone.
    Timestamp,
}

/// Whether two partners see the same pseudonym for the same value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linkage {
    /// No: keys are derived with the partner's name.
    PerPartner,
    /// Yes: all partners of the domain share keys and tokens.
    Shared,
}

/// What happens to null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// Null stays null.
    Keep,
    /// Pseudonym columns give null a pseudonym like any value; elsewhere it stays null.
    Token,
    /// A row with null in any column that leaves does not leave.
    SuppressRow,
}

/// What a column is, as the policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Names a person on its own.
    Identifier,
    /// Names a person together with others.
    Quasi,
    /// What an attacker wants to learn.
    Sensitive,
    /// A quantity of no interest for identification.
    Measure,
    /// Free text, which may hold anything.
    Text,
}

/// One column's rule.
#[derive(Debug, Clone)]
pub struct Column {
    /// The column's name in the data and in the stream.
    pub name: String,
    /// What it is, where the policy says.
    pub class: Option<Class>,
    /// What is done to it.
    pub rule: Rule,
}

/// A transform with its parameters.
#[derive(Debug, Clone)]
pub struct Rule {
    /// From the registry.
    pub transform: &'static dyn Transform,
    /// Checked, defaults filled in.
    pub args: Args,
}

/// Who may pull.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// The partner's name.
    pub partner: String,
    /// What they may have.
    pub access: Access,
    /// The last day, in UTC; `None` for no end.
    pub until: Option<NaiveDate>,
    /// How much of it; the server's settings may say less.
    pub limits: Limits,
}

/// How much a grant gives; `None` where it does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Rows of the dataset a day (UTC).
    pub rows_day: Option<u64>,
    /// Bytes of the dataset a day (UTC).
    pub bytes_day: Option<u64>,
    /// Statements at a time.
    pub queries: Option<usize>,
    /// How long a statement may be worked at, in seconds.
    pub seconds: Option<u64>,
}

/// What one plan may take of one dataset: what the budget keeps count of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// The dataset.
    pub dataset: String,
    /// Rows a day (UTC).
    pub rows_day: Option<u64>,
    /// Bytes a day (UTC).
    pub bytes_day: Option<u64>,
    /// Statements at a time.
    pub queries: Option<usize>,
    /// How long a statement may be worked at.
    pub query_time: Option<Duration>,
}

impl Limits {
    /// The same for a dataset.
    pub fn of(self, dataset: &str) -> Allowance {
        Allowance {
            dataset: dataset.to_owned(),
            rows_day: self.rows_day,
            bytes_day: self.bytes_day,
            queries: self.queries,
            query_time: self.seconds.map(Duration::from_secs),
        }
    }
}

/// Whether a text can be a partner's name, in grants and where partners are registered: 1 to 63 of `a-z`,
/// `0-9`, `-` and `_`, beginning with a letter or digit. It also stands in file names and logs.
pub fn is_partner_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    match name.as_bytes() {
        [first, rest @ ..] if rest.len() < 63 => {
            plain(*first) && rest.iter().all(|byte| plain(*byte) || matches!(byte, b'-' | b'_'))
        }
        _ => false,
    }
}

/// What a grant gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Access {
    /// The transformed rows.
    Rows,
    /// Aggregates over groups of at least this many units, and no rows.
    Aggregates {
        /// The least number of distinct units in a group.
        group_min: u64,
    },
    /// Differentially private aggregates.
    Dp(DpGrant),
}
