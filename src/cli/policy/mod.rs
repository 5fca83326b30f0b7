//! `policy`: propose, check, explain, compare and test policy files, and print the language's schema.
//! Serves nothing and needs no keys.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use chrono::NaiveDate;
use clap::Subcommand;

use crate::diagnostic::{Diagnostic, Report, Severity, SourceFile, Span, render};
use crate::pipeline::query::check_views;
use crate::pipeline::scan::check_filter;
use crate::pipeline::source::snapshot;
use crate::policy::check::check_schema;
use crate::policy::load::{Loaded, load};
use crate::policy::problem::Problem;
use crate::policy::stored;

mod check;
mod diff;
mod explain;
mod init;
mod schema;
mod test;
#[cfg(test)]
mod tests;

/// What the command did, as an exit code.
pub type ExitCode = u8;
/// Done.
pub const DONE: ExitCode = 0;
/// Failed.
pub const FAILED: ExitCode = 1;
/// Denied by a policy.
pub const DENIED: ExitCode = 2;
/// A policy file is invalid.
pub const INVALID: ExitCode = 3;

/// The verbs of `policy`.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Find every problem in policy files.
    Check(check::Check),
    /// Say in plain words what leaves, and what still leaks.
    Explain(explain::Explain),
    /// Say what changed between two policies, and whether people are protected less.
    Diff(diff::Diff),
    /// Propose a policy from a sample of the data.
    Init(init::Init),
    /// Print the JSON Schema of policy files, which editors use.
    Schema(schema::Schema),
    /// Run the sample rows that stand beside a policy through it.
    Test(test::Test),
}

/// What verbs write to and depend on.
pub struct Surroundings<'a> {
    /// Where results go.
    pub out: &'a mut dyn Write,
    /// Where problems go that keep a verb from its result.
    pub err: &'a mut dyn Write,
    /// Today's date in UTC.
    pub today: NaiveDate,
    /// Whether `out` is a terminal that shows colours.
    pub colour: bool,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("today", &self.today).finish_non_exhaustive()
    }
}

/// Runs a verb.
///
/// # Errors
/// When output cannot be written.
pub fn run(command: PolicyCommand, around: &mut Surroundings<'_>) -> anyhow::Result<ExitCode> {
    match command {
        PolicyCommand::Check(check) => check.run(around),
        PolicyCommand::Explain(explain) => explain.run(around),
        PolicyCommand::Diff(diff) => diff.run(around),
        PolicyCommand::Init(init) => init.run(around),
        PolicyCommand::Schema(schema) => schema.run(around),
        PolicyCommand::Test(test) => test.run(around),
    }
}

/// Loads a policy, or shows why it cannot be used.
fn load_or_show(path: &Path, around: &mut Surroundings<'_>) -> anyhow::Result<Option<Loaded>> {
    match load(path) {
        Ok(loaded) => Ok(Some(loaded)),
        Err(report) => {
            show(&report, around)?;
            Ok(None)
        }
    }
}

fn show(report: &Report, around: &mut Surroundings<'_>) -> anyhow::Result<()> {
    around.err.write_all(render::human(report.diagnostics(), around.colour).as_bytes())?;
    Ok(())
}

/// The raw schema of a policy's data, or why it cannot be had, as a problem of the policy's source.
///
/// PRIVACY: the library's own words may hold cell values; they go to the custodian's terminal only.
fn raw_schema(loaded: &Loaded) -> Result<SchemaRef, Box<Diagnostic>> {
    match snapshot(&loaded.policy, 1) {
        Ok(snapshot) => Ok(Arc::clone(snapshot.schema())),
        Err(error) => {
            let span = Some(loaded.places.source);
            Err(chained(
                loaded,
                Problem::DataUnreadable,
                span,
                "the data cannot be looked at",
                &error,
            ))
        }
    }
}

/// A problem whose help is what the rooms below say of it.
fn chained(
    loaded: &Loaded,
    problem: Problem,
    span: Option<Span>,
    message: &str,
    error: &crate::Error,
) -> Box<Diagnostic> {
    let (severity, code) = (problem.severity(), problem.code());
    let mut diagnostic = Diagnostic::new(severity, code, &loaded.places.file, span, message);
    diagnostic.help(error.chain());
    Box::new(diagnostic)
}

/// Every way in which a policy and its data do not fit together. Views are planned for each sort of grant
/// that there is on that day.
fn check_data(loaded: &Loaded, today: NaiveDate) -> Vec<Diagnostic> {
    let schema = match raw_schema(loaded) {
        Ok(schema) => schema,
        // What the text of views tells is told all the same.
        Err(diagnostic) => {
            return std::iter::once(*diagnostic).chain(check_views(loaded, None)).collect();
        }
    };
    let mut found = check_schema(loaded, &schema);
    if let Err(error) = check_filter(&loaded.policy, &schema) {
        let span = loaded.places.rows;
        let message = "the filter cannot be used on the data";
        found.push(*chained(loaded, Problem::FilterRefused, span, message, &error));
    }
    let served = match &loaded.policy.release {
        // Views are asked of the release.
        Some(rules) => Arc::new(stored::schema(&loaded.policy, rules, &schema)),
        None => schema,
    };
    found.extend(check_views(loaded, Some((&served, today))));
    found
}

/// The policy files that arguments name: files as they are, folders by what they hold. Cases files
/// (`*.test.yaml`) are no policies.
pub(super) fn policy_files(arguments: &[PathBuf]) -> Result<Vec<PathBuf>, Box<Diagnostic>> {
    files(arguments, |name| is_yaml(name) && !name.contains(".test."))
}

/// The cases files that arguments name.
fn cases_files(arguments: &[PathBuf]) -> Result<Vec<PathBuf>, Box<Diagnostic>> {
    files(arguments, |name| is_yaml(name) && name.contains(".test."))
}

fn is_yaml(name: &str) -> bool {
    name.ends_with(".yaml") || name.ends_with(".yml")
}

fn files(
    arguments: &[PathBuf],
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<PathBuf>, Box<Diagnostic>> {
    let mut files = Vec::new();
    for argument in arguments {
        if !argument.is_dir() {
            files.push(argument.clone());
            continue;
        }
        let problem = |message: String| {
            let file = SourceFile::new(argument.display().to_string(), "");
            let code = Problem::FileUnreadable.code();
            Box::new(Diagnostic::new(Severity::Error, code, &file, None, message))
        };
        let entries = std::fs::read_dir(argument)
            .map_err(|error| problem(format!("the folder cannot be read: {error}")))?;
        let mut found: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.file_name().is_some_and(|name| wanted(&name.to_string_lossy())))
            .collect();
        if found.is_empty() {
            return Err(problem("the folder holds no such files".to_owned()));
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}
