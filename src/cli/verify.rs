//! `veilflight verify`: whether files are what a partner may have, and whether a raw identifier stands
//! anywhere in them. Files are read by `export`, raw rows by `pipeline::verify`; here is the verdict.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, Schema};
use data_encoding::HEXLOWER;
use indicatif::HumanCount;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::export::target;
use super::place::Place;
use super::progress::{Progress, Unit};
use crate::clock::Clock;
use crate::error::{Code, Context, Error, Result};
use crate::export::manifest::Manifest;
use crate::export::read::{Files, Kind};
use crate::local::{Local, Purpose};
use crate::pipeline::verify::{Finding, Outputs, Rules, Scanned, Visitor};

const LONG: &str = "\
Compare files with what a partner may have, and look for raw identifiers in them.

With the manifest that `export` wrote: hashes, rows and types are compared with it, with the plan and with a \
count as of now. In any case every cell of every file is compared with every distinct raw value of the \
columns that have a pseudonym or an address rule or that the policy calls identifiers: handles before an @, \
elements of lists, addresses as numbers and numbers as addresses included. Any file can be handed in: \
parquet, Arrow, CSV, JSON, or text.

A find is a cell that is an identifier, or a text that holds one of 3 characters or more between word \
boundaries (letters and digits make words). Numbers under 5 digits count only in a column with the name of \
the raw column: others have them by chance. Words that say nothing (NULL, none, unknown, true, ...) do not \
count. Columns that the policy keeps in clear count as well; `--ignore-column` leaves one out, and the \
verdict says so.

Values are counted and never printed, unless asked by `--show-values`. Raw rows are read, and the audit log \
tells it.

Exit codes: 0 clean, 2 a raw identifier was found, 1 something does not match or could not be verified.";

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
    /// The dataset; the manifest's where nothing is said
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
    let dataset = named(&args.dataset, |manifest| &manifest.dataset, "--dataset")?;
    let partner = named(&args.partner, |manifest| &manifest.partner, "--partner")?;
    let files = Files::find(&path)?;
    let local = Local::open(&args.place, &args.policies, Arc::clone(&clock))?;
    let local = local.for_purpose(Purpose::Verify);
    let (schema, seen) = local.promised(&partner, &dataset)?;
    let progress = Progress::start("verifying", Unit::Cells);
    let mut checks = Vec::new();
    let mut rows = None;
    if let Some(manifest) = &manifest {
        progress.message("hashes of the files");
        checks.push(("hashes", hashes(manifest, &files)?));
        checks.push(("policy", changed("policy", &manifest.policy_digest, &seen.policy_digest)));
        checks.push(("data", changed("data", &manifest.data_version, &seen.data_version)));
        progress.message("rows");
        let counted = local.query(&partner, &counting(&dataset))?;
        let fresh = total(counted)?;
        let differ = (fresh != manifest.rows)
            .then(|| format!("{} rows were written, a pull gives {fresh}", manifest.rows));
        checks.push(("rows", differ));
        rows = Some(manifest.rows);
    }
    if manifest.is_some() {
        progress.message("types");
        checks.push(("types", types(&files, &schema, rows)?));
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

fn counting(dataset: &str) -> String {
    format!("SELECT count(*) AS n FROM \"{}\"", dataset.replace('"', "\"\""))
}

fn total(counted: crate::local::Pull) -> Result<u64> {
    let mut total = 0;
    for batch in counted {
        let batch = batch?;
        let count = batch.columns().first().map(|column| column.as_primitive::<Int64Type>());
        let first = count.and_then(|count| count.values().first().copied());
        total += first.and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
    }
    Ok(total)
}

/// What differs between the files and the manifest's list.
fn hashes(manifest: &Manifest, files: &Files) -> Result<Option<String>> {
    let mut wrong = Vec::new();
    for part in &manifest.files {
        let file = files.0.iter().find(|file| named(&file.path) == part.name);
        let Some(file) = file else {
            wrong.push(format!("`{}` is missing", part.name));
            continue;
        };
        if sha256(&file.path)? != part.sha256 {
            wrong.push(format!("`{}` is not the file that was written", part.name));
        }
    }
    for file in &files.0 {
        let name = named(&file.path);
        if !manifest.files.iter().any(|part| part.name == name) {
            wrong.push(format!("`{name}` was not written by the export"));
        }
    }
    Ok((!wrong.is_empty()).then(|| wrong.join("; ")))
}

fn named(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn sha256(path: &Path) -> Result<String> {
    let failed = || format!("`{}` cannot be read", path.display());
    let mut file = File::open(path).context(Code::Usage, failed)?;
    let (mut digest, mut room) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut room).context(Code::Usage, failed)?;
        match room.get(..read) {
            Some(some) if !some.is_empty() => digest.update(some),
            _ => return Ok(HEXLOWER.encode(&digest.finalize())),
        }
    }
}

/// What differs between the columns of the files and those of the plan, and in the number of rows.
fn types(files: &Files, schema: &Schema, rows: Option<u64>) -> Result<Option<String>> {
    let mut wrong = Vec::new();
    let (mut counted, mut all) = (0, true);
    for file in &files.0 {
        let name = named(&file.path);
        if let Some((own, rows)) = file.typed()? {
            counted += rows;
            let told = |schema: &Schema| -> Vec<String> {
                let fields = schema.fields().iter();
                fields.map(|field| format!("{} {}", field.name(), field.data_type())).collect()
            };
            if told(&own) != told(schema) {
                wrong.push(format!("`{name}` has other columns or types than the plan"));
            }
            continue;
        }
        all = false;
        let expected: Vec<&str> =
            schema.fields().iter().map(|field| field.name().as_str()).collect();
        let mut names = Names::default();
        Files(vec![file.clone()]).visit(&mut names)?;
        let odd = names.0.iter().filter(|name| !expected.iter().any(|known| known == name));
        if file.kind == Kind::Lines || odd.count() > 0 {
            wrong.push(format!("`{name}` has other columns than the plan"));
        }
    }
    if let Some(rows) = rows.filter(|rows| all && *rows != counted) {
        wrong.push(format!("the files hold {counted} rows, the manifest says {rows}"));
    }
    Ok((!wrong.is_empty()).then(|| wrong.join("; ")))
}

/// Sees the names of columns.
#[derive(Default)]
struct Names(Vec<String>);

impl Visitor for Names {
    fn column(&mut self, name: &str) -> usize {
        // Values of lists and structs stand under their column.
        let root = name.split('.').next().unwrap_or(name);
        if root != "(text)" && !self.0.iter().any(|known| known == root) {
            self.0.push(root.to_owned());
        }
        0
    }

    fn cell(&mut self, _: usize, _: &str) {}
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

    fn exit(&self) -> u8 {
        if self.leaks().next().is_some() {
            LEAK
        } else if self.checks.iter().any(|(_, wrong)| wrong.is_some()) {
            DIFFERS
        } else {
            0
        }
    }

    fn word(&self) -> &'static str {
        match self.exit() {
            0 => "clean",
            LEAK => "leak",
            _ => "differs",
        }
    }

    fn text(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        for (what, wrong) in &self.checks {
            writeln!(out, "{what}: {}", wrong.as_deref().unwrap_or("as they should be"))?;
        }
        let scanned = &self.scanned;
        writeln!(
            out,
            "looked for {} identifiers of {} in {} cells",
            HumanCount(scanned.identifiers),
            if scanned.of.is_empty() { "no column".to_owned() } else { scanned.of.join(", ") },
            HumanCount(scanned.cells)
        )?;
        if scanned.short + scanned.numbers > 0 {
            writeln!(
                out,
                "of these, {} short texts as whole cells only, {} short numbers in columns of the same name \
                 only",
                HumanCount(scanned.short),
                HumanCount(scanned.numbers)
            )?;
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
            "cells": scanned.cells,
            "passes": scanned.passes,
            "ignored": self.ignored,
            "findings": findings.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests;
