//! `veilflight verify`: whether files are what a partner may have, and whether a raw identifier stands
//! anywhere in them. Files are read by `export`, raw rows by `pipeline::verify`; here is the verdict.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::Schema;
use indicatif::HumanCount;
use serde_json::json;

use super::export::target;
use super::place::Place;
use super::progress::{Progress, Unit};
use crate::clock::Clock;
use crate::error::{Code, Error};
use crate::export::manifest::Manifest;
use crate::export::read::Files;
use crate::local::{Local, Purpose};
use crate::pipeline::verify::{Finding, Rules, Scanned};

mod compare;

const LONG: &str = "\
Compare files with what a partner may have, and look for raw identifiers in them.

With the manifest that `export` wrote: hashes, rows and types are compared with it, with the plan and with a \
pull as of now. Parquet and Arrow have types of their own; every value of CSV and JSON lines is read back as \
the type that the plan promises.

In any case every cell of every file is compared with every distinct raw identifier: the values of the \
columns that have a pseudonym or an address rule, that the policy calls identifiers, or that a scrub rule \
learns from, dropped ones too; and what the detectors of scrub rules find in the raw texts, also in pairs \
that stay behind. Handles before an @, elements of lists, addresses as numbers and numbers as addresses are \
included. Any file can be handed in: parquet, Arrow, CSV, JSON, or text. NAME of --dataset may be a view.

A find is a cell that is an identifier, or a text that holds one of 3 characters or more between word \
boundaries (letters and digits make words): a user `run` is found in `run.sh` and not in `running`, a user \
`x` only where it is the whole cell. Numbers under 5 digits count only in a column with the name of the raw \
column: others have them by chance. Words that say nothing (NULL, none, unknown, true, ...) do not count. \
Columns that the policy keeps in clear count as well; `--ignore-column` leaves one out, and the verdict says \
so. Where a scrub rule has words of its own, or learns from a column that leaves in clear, these count in \
its own column; what it learns from one that leaves coarser counts everywhere but there. The words that it \
spares by `except` do not count in its column, and are told.

Values are counted and never printed, unless asked by `--show-values`. Raw rows are read, and the audit log \
tells it.

Exit codes: 0 clean, 2 a raw identifier was found, 1 something does not match or could not be verified. Of a \
policy without identifiers nothing can be found: the verdict says that nothing was looked for, and is 0 only \
if the files match their manifest.";

const EXAMPLES: &str = "\
Examples:
  veilflight verify jobs.parquet
  veilflight verify jobs/ --json
  veilflight verify old-tool.csv --dataset slurm_jobs --partner cern
  veilflight verify jobs.parquet --ignore-column ExitCode --show-values";

/// Look for raw identifiers in files that are to leave
#[derive(Debug, clap::Args)]
#[command(long_about = LONG, after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// A file, or a folder with files
    path: PathBuf,
    /// The dataset or view; the manifest's where nothing is said
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// The partner whom the files are for; the manifest's where nothing is said
    #[arg(long, value_name = "NAME")]
    partner: Option<String>,
    /// The folder of policies
    #[arg(long, value_name = "FOLDER", default_value = "policies", env = "VEILFLIGHT_POLICIES")]
    policies: PathBuf,
    /// Leave out what is found in this column; may be given more than once
    #[arg(long, value_name = "COLUMN")]
    ignore_column: Vec<String>,
    /// Numbers of so many digits are looked for in every column
    #[arg(long, value_name = "DIGITS", default_value_t = Rules::default().number_digits_min)]
    number_digits: usize,
    /// Take `A` and `a` for the same
    #[arg(long)]
    any_case: bool,
    /// Print a few of the values that were found; they are raw
    #[arg(long)]
    show_values: bool,
    /// Memory for identifiers at a time, in MiB; everything is read again for each such share
    #[arg(long, value_name = "MIB", default_value_t = Rules::default().dictionary_bytes >> 20)]
    memory: usize,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// The exit code when a raw identifier was found.
const LEAK: u8 = 2;

/// The exit code when something does not match.
const DIFFERS: u8 = 1;

/// What was compared: what it is, and what is wrong with it.
type Check = (&'static str, Option<String>);

/// Compares and looks.
///
/// # Errors
/// When something cannot be read: then nothing is verified.
pub(super) fn run(args: &Args, clock: Arc<dyn Clock>, out: &mut dyn Write) -> anyhow::Result<u8> {
    let (path, _) = target(&args.path)?;
    let manifest = Manifest::read(&path)?;
    let named = |given: &Option<String>, kept: fn(&Manifest) -> &String, flag: &str| {
        given.clone().or_else(|| manifest.as_ref().map(kept).cloned()).ok_or_else(|| {
            let what = format!("`{}` has no manifest: say `{flag}`", path.display());
            Error::new(Code::Usage, what)
        })
    };
    let dataset = named(&args.dataset, Manifest::name, "--dataset")?;
    let partner = named(&args.partner, |manifest| &manifest.partner, "--partner")?;
    let files = Files::find(&path)?;
    let local = Local::open(&args.place, &args.policies, Arc::clone(&clock))?;
    let local = local.for_purpose(Purpose::Verify);
    let (schema, seen) = local.promised(&partner, &dataset)?;
    let progress = Progress::start("verifying", Unit::Cells);
    let mut checks = Vec::new();
    if let Some(manifest) = &manifest {
        progress.message("hashes of the files");
        checks.push(("hashes", compare::hashes(manifest, &files)?));
        checks.push(("policy", changed("policy", &manifest.policy_digest, &seen.policy_digest)));
        checks.push(("data", changed("data", &manifest.data_version, &seen.data_version)));
        progress.message("rows");
        let fresh = local.count(&partner, &dataset)?;
        let differ = (fresh != manifest.rows)
            .then(|| format!("{} rows were written, a pull gives {fresh}", manifest.rows));
        checks.push(("rows", differ));
        progress.message("types");
        checks.push(("types", compare::types(&files, &schema, manifest.rows)?));
    }
    progress.message("looking for identifiers");
    let rules = Rules {
        number_digits_min: args.number_digits.max(1),
        any_case: args.any_case,
        show_values: args.show_values,
        dictionary_bytes: args.memory.max(1) << 20,
        ..Rules::default()
    };
    let scanned =
        local.scan(&partner, &dataset, rules, &files, &|cells| progress.advance(cells))?;
    progress.finish();
    let verdict = Verdict { checks, scanned, ignored: &args.ignore_column, kept: kept(&schema) };
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &verdict.json())?;
        writeln!(out)?;
    } else {
        verdict.text(out)?;
    }
    Ok(verdict.exit())
}

/// The columns that leave as they are.
fn kept(schema: &Schema) -> Vec<String> {
    let plain = |field: &&arrow::datatypes::FieldRef| {
        field.metadata().get("veilflight.protection").is_some_and(|how| how == "keep")
    };
    schema.fields().iter().filter(plain).map(|field| field.name().clone()).collect()
}

fn changed(what: &str, then: &str, now: &str) -> Option<String> {
    (then != now).then(|| format!("the {what} changed since the files were written"))
}

/// What came out.
struct Verdict<'a> {
    checks: Vec<Check>,
    scanned: Scanned,
    ignored: &'a [String],
    kept: Vec<String>,
}

impl Verdict<'_> {
    fn leaks(&self) -> impl Iterator<Item = &Finding> {
        let counts = |finding: &&Finding| !finding.by_chance && !self.is_ignored(finding);
        self.scanned.findings.iter().filter(counts)
    }

    fn is_ignored(&self, finding: &Finding) -> bool {
        self.ignored.contains(&finding.column)
    }

    /// Whether there was nothing that could have been found.
    fn is_blind(&self) -> bool {
        self.scanned.identifiers == 0
    }

    fn exit(&self) -> u8 {
        if self.leaks().next().is_some() {
            LEAK
        } else if self.checks.iter().any(|(_, wrong)| wrong.is_some())
            || (self.checks.is_empty() && self.is_blind())
        {
            DIFFERS
        } else {
            0
        }
    }

    fn word(&self) -> &'static str {
        match self.exit() {
            0 if self.is_blind() => "matches, nothing looked for",
            0 => "clean",
            LEAK => "leak",
            _ if self.checks.is_empty() => "not verified, nothing looked for",
            _ => "differs",
        }
    }

    fn text(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        for (what, wrong) in &self.checks {
            writeln!(out, "{what}: {}", wrong.as_deref().unwrap_or("as they should be"))?;
        }
        let scanned = &self.scanned;
        let (cells, of) = (HumanCount(scanned.cells), scanned.of.join(", "));
        if scanned.of.is_empty() {
            writeln!(
                out,
                "nothing to look for in {cells} cells: the policy has no column with a pseudonym, an address \
                 or a scrub rule, and calls none an identifier that it holds back"
            )?;
        } else if self.is_blind() {
            writeln!(
                out,
                "nothing to look for in {cells} cells: no row has an identifier of {of}"
            )?;
        } else {
            let identifiers = HumanCount(scanned.identifiers);
            writeln!(out, "looked for {identifiers} identifiers of {of} in {cells} cells")?;
        }
        if scanned.short + scanned.numbers > 0 {
            writeln!(
                out,
                "of these, {} short texts as whole cells only, {} short numbers in columns of the same name \
                 only",
                HumanCount(scanned.short),
                HumanCount(scanned.numbers)
            )?;
        }
        if scanned.spared > 0 {
            let spared = HumanCount(scanned.spared);
            writeln!(out, "{spared} cells hold words that a scrub rule leaves alone by `except`")?;
        }
        for finding in &scanned.findings {
            writeln!(out, "{}", self.line(finding))?;
            for value in &finding.values {
                writeln!(out, "    {value:?}")?;
            }
        }
        for column in self.ignored {
            writeln!(out, "ignored, as asked: column `{column}`")?;
        }
        writeln!(out, "verdict: {}", self.word())?;
        Ok(())
    }

    fn line(&self, finding: &Finding) -> String {
        let Finding { column, whole, inside, distinct, of, .. } = finding;
        let mark = if self.is_ignored(finding) {
            "ignored"
        } else if finding.by_chance {
            "by chance"
        } else {
            "FOUND"
        };
        let mut line = format!("{mark}: column `{column}`");
        if whole + inside > 0 {
            let of = of.join(", ");
            line.push_str(&format!(
                ": {whole} cells are an identifier, {inside} hold one; {distinct} distinct, of {of}"
            ));
        }
        if self.kept.contains(column) {
            line.push_str("; the policy keeps this column in clear");
        }
        if finding.by_chance {
            line.push_str("; so many are to be expected of a permutation");
        }
        line
    }

    fn json(&self) -> serde_json::Value {
        let checks: serde_json::Map<_, _> =
            self.checks.iter().map(|(what, wrong)| ((*what).to_owned(), json!(wrong))).collect();
        let scanned = &self.scanned;
        let findings = scanned.findings.iter().map(|finding| {
            json!({
                "column": finding.column,
                "whole": finding.whole,
                "inside": finding.inside,
                "distinct": finding.distinct,
                "of": finding.of,
                "name_is_identifier": finding.by_name,
                "by_chance": finding.by_chance,
                "kept_by_policy": self.kept.contains(&finding.column),
                "ignored": self.is_ignored(finding),
                "values": finding.values,
            })
        });
        json!({
            "verdict": self.word(),
            "differs": checks,
            "identifiers_of": scanned.of,
            "identifiers": scanned.identifiers,
            "identifiers_short": scanned.short,
            "identifiers_numbers_short": scanned.numbers,
            "nothing_looked_for": self.is_blind(),
            "spared": scanned.spared,
            "cells": scanned.cells,
            "passes": scanned.passes,
            "ignored": self.ignored,
            "findings": findings.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests;
