//! `policy check`: every problem of every file at once. Changes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{DONE, ExitCode, INVALID, Surroundings, check_data, policy_files};
use crate::diagnostic::{Diagnostic, Severity, SourceFile, render, sort};
use crate::pipeline::query::{check_public, check_views};
use crate::policy::Access;
use crate::policy::lint;
use crate::policy::load::load;
use crate::policy::privacy::outlook;
use crate::policy::problem::Problem;

/// Find every problem in policy files.
///
/// Of each grant of answers with noise it also says how far these will be off and how much bounding leaves out,
/// from the policy alone (`public_numbers` says how large the data is).
///
/// Exit code 0 when all files can be used, 3 when one cannot (or has warnings, with
/// `--deny-warnings`).
#[derive(Debug, Args)]
pub struct Check {
    /// Policy files, or folders of them.
    #[arg(required = true, value_name = "FILES")]
    files: Vec<PathBuf>,
    /// Look at the data too: columns without a rule, rules without a column, types that do not fit.
    #[arg(long)]
    data: bool,
    /// Treat warnings as errors.
    #[arg(long)]
    deny_warnings: bool,
    /// How to write the problems.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// How problems are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// With the lines at fault, for people.
    Human,
    /// One JSON array.
    Json,
    /// One JSON object a line.
    JsonLines,
}

impl Check {
    /// Runs the verb.
    pub(super) fn run(self, around: &mut Surroundings<'_>) -> anyhow::Result<ExitCode> {
        let mut found = Vec::new();
        let mut expected = Vec::new();
        let mut count = 0;
        match policy_files(&self.files) {
            Err(diagnostic) => found.push(*diagnostic),
            Ok(files) => {
                count = files.len();
                let mut names: BTreeMap<String, PathBuf> = BTreeMap::new();
                for file in &files {
                    found.extend(self.check(file, around, &mut names, &mut expected));
                }
            }
        }
        let errors = found.iter().filter(|diagnostic| diagnostic.is_error()).count();
        let warnings = found.len() - errors;
        match self.format {
            Format::Human => {
                around.out.write_all(render::human(&found, around.colour).as_bytes())?;
                for line in &expected {
                    writeln!(around.out, "{line}")?;
                }
                let files = counted(count, "file");
                let (errors, warnings) = (counted(errors, "error"), counted(warnings, "warning"));
                writeln!(around.out, "{files}: {errors}, {warnings}")?;
            }
            Format::Json => around.out.write_all(render::json(&found).as_bytes())?,
            Format::JsonLines => around.out.write_all(render::json_lines(&found).as_bytes())?,
        }
        let refused = errors > 0 || (self.deny_warnings && warnings > 0);
        Ok(if refused { INVALID } else { DONE })
    }

    /// The problems of one file, and what to expect of its answers with noise. Two files with one name are a
    /// problem of the second.
    fn check(
        &self,
        file: &Path,
        around: &Surroundings<'_>,
        names: &mut BTreeMap<String, PathBuf>,
        expected: &mut Vec<String>,
    ) -> Vec<Diagnostic> {
        let loaded = match load(file) {
            Ok(loaded) => loaded,
            Err(report) => return report.into_diagnostics(),
        };
        for grant in &loaded.policy.grants {
            let Access::Dp(dp) = &grant.access else { continue };
            let (partner, dataset) = (&grant.partner, &loaded.policy.dataset);
            expected.push(format!("answers with noise of `{dataset}` to `{partner}`:"));
            let lines = outlook(&loaded.policy, dp);
            expected.extend(lines.into_iter().map(|line| format!("  {line}")));
            expected.push(String::new());
        }
        let mut found = loaded.warnings.clone();
        found.extend(lint::dates(&loaded, around.today));
        found.extend(check_public(&loaded));
        for (at, name) in loaded.policy.names().enumerate() {
            if let Some(other) = names.insert(name.to_owned(), file.to_owned()) {
                let kind = if at == 0 { "dataset" } else { "view" };
                found.push(twice(file, kind, name, &other));
            }
        }
        if self.data {
            found.extend(check_data(&loaded, around.today));
        } else {
            found.extend(check_views(&loaded, None));
        }
        sort(&mut found);
        found
    }
}

fn twice(file: &Path, kind: &str, name: &str, other: &Path) -> Diagnostic {
    let file = SourceFile::new(file.display().to_string(), "");
    let other = other.display();
    let message = match kind {
        "dataset" => format!("dataset `{name}` has a policy already, in `{other}`"),
        kind => format!("the {kind} `{name}` has the name of another table already, in `{other}`"),
    };
    let code = Problem::DuplicateKey.code();
    Diagnostic::new(Severity::Error, code, &file, None, message)
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}
