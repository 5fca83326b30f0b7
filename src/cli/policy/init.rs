//! `policy init`: proposes a policy from a sample of the data. Writes names, counts and rules, never a
//! value, and serves nothing.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use chrono::Days;
use clap::Args;

use super::super::progress::{Progress, Unit};
use super::{DONE, ExitCode, Surroundings};
use crate::error::{Code, Error};
use crate::pipeline::profile::{Profile, Sample, delimited, ratio};
use crate::policy::check::check_schema;
use crate::policy::load::load_bytes;
use crate::policy::propose::{Proposal, Settings, propose, sought};
use crate::policy::{Source, is_partner_name};

const EXAMPLES: &str = "\
Examples:
  veilflight policy init data/jobs                        print a policy for a folder of parquet
  veilflight policy init data/jobs --out policies/jobs.yaml --partner cern
  veilflight policy init 'data/2026-*.parquet' --sample 100000 --json
  veilflight policy check --data policies/jobs.yaml       then read it, and check it

The sample is spread over all files. No value of it is written anywhere: what is written are names,
rules and counts. What is not recognized is `drop`.";

/// Propose a policy from a sample of the data.
///
/// Looks at names and values of every column and writes a policy with a reason a line: which columns
/// name persons or machines, which hold values of others, what to do about each.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Init {
    /// Parquet files, folders of them or globs; or delimited text with a header line.
    #[arg(required = true, value_name = "DATA")]
    data: Vec<String>,
    /// The dataset's name [default: after the first of DATA].
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// Write the policy to this file; paths in it are relative to the file's folder [default: print it].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Grant the rows to this partner, for a year.
    #[arg(long, value_name = "NAME")]
    partner: Option<String>,
    /// How many rows to look at, about.
    #[arg(long, value_name = "ROWS", default_value_t = 20_000,
        value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    sample: u64,
    /// Print the classification as JSON.
    #[arg(long)]
    json: bool,
    /// Overwrite the file of `--out`.
    #[arg(long, requires = "out")]
    force: bool,
}

impl Init {
    /// Runs the verb.
    pub(super) fn run(self, around: &mut Surroundings<'_>) -> anyhow::Result<ExitCode> {
        let usage = |text: String| Err(Error::new(Code::Usage, text).into());
        if let Some(partner) = self.partner.as_deref().filter(|name| !is_partner_name(name)) {
            return usage(format!(
                "`{partner}` cannot be the name of a partner; it has 1 to 63 lower-case letters, digits, \
                 `-` and `_`"
            ));
        }
        if let Some(out) = self.out.as_deref().filter(|out| out.exists() && !self.force) {
            return usage(format!("`{}` is there already; `--force` overwrites it", out.display()));
        }
        let dataset = match &self.dataset {
            Some(name) if is_dataset_name(name) => name.clone(),
            Some(name) => {
                return usage(format!(
                    "`{name}` cannot be the name of a dataset; did you mean `{}`?",
                    dataset_name(name)
                ));
            }
            None => dataset_name(self.data.first().map_or("", String::as_str)),
        };
        let folder = self.folder()?;
        let paths = self.data.iter().map(|path| from(&folder, path, self.out.is_some()));
        let paths = paths.collect::<anyhow::Result<Vec<_>>>()?;
        let (source, profile) = self.look(&folder, &paths)?;
        let settings = Settings {
            dataset,
            source,
            partner: self.partner.clone().map(|partner| {
                (partner, around.today.checked_add_days(Days::new(365)).unwrap_or(around.today))
            }),
            today: around.today,
        };
        let proposal = propose(profile, settings);
        let path = self.out.clone().unwrap_or_else(|| folder.join("policy.yaml"));
        let text = proposal.yaml();
        holds(&proposal, &path, &text)?;
        if let Some(out) = &self.out {
            write(out, &text, self.force)?;
        }
        if self.json {
            writeln!(around.out, "{:#}", proposal.json())?;
        } else if self.out.is_none() {
            around.out.write_all(text.as_bytes())?;
        }
        self.tell(&proposal, around)?;
        Ok(DONE)
    }

    /// The folder that paths in the policy are relative to.
    fn folder(&self) -> anyhow::Result<PathBuf> {
        let folder = self.out.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        folder.canonicalize().with_context(|| format!("there is no folder `{}`", folder.display()))
    }

    /// Looks at the data: parquet where there is any, else delimited text.
    fn look(&self, folder: &Path, paths: &[String]) -> anyhow::Result<(Source, Profile)> {
        let progress = Progress::start("looking at a sample", Unit::Steps);
        let mut watch = |what: &str, done: u64, of: u64| {
            progress.message(what);
            progress.expect(of.max(1));
            progress.position(done);
        };
        let (source, sample) = if is_text(folder, paths) {
            delimited(folder, paths, self.sample, &mut watch)?
        } else {
            let sample = Sample::parquet(folder, paths, self.sample, &mut watch)?;
            (Source::Parquet { paths: paths.to_vec() }, sample)
        };
        let columns = sample.columns(&mut watch)?;
        let links = sample.links(&sought(&columns), &mut watch)?;
        progress.finish();
        let (sampled, rows, files) = sample.size();
        Ok((source, Profile { rows, sampled, files, columns, links }))
    }

    /// What was found, on the side of the errors: never a value.
    fn tell(&self, proposal: &Proposal, around: &mut Surroundings<'_>) -> anyhow::Result<()> {
        let leaving = proposal.columns.iter().filter(|column| column.leaves()).count();
        let links = proposal.links();
        if !links.is_empty() {
            writeln!(
                around.err,
                "columns that hold values of others (share of the values looked at):"
            )?;
            let widest = |names: &mut dyn Iterator<Item = usize>| {
                names.map(|at| proposal.name(at).chars().count()).max().unwrap_or(0).max(9)
            };
            let within = widest(&mut links.iter().map(|link| link.within));
            let of = widest(&mut links.iter().map(|link| link.of));
            writeln!(
                around.err,
                "  {:<within$}  {:<of$}  {:>8}  {:>8}",
                "column", "values of", "as whole", "inside"
            )?;
            for link in &links {
                let share = |count| format!("{:.1} %", ratio(count, link.values) * 100.0);
                writeln!(
                    around.err,
                    "  {:<within$}  {:<of$}  {:>8}  {:>8}",
                    proposal.name(link.within),
                    proposal.name(link.of),
                    share(link.whole),
                    share(link.inside)
                )?;
            }
        }
        let total = proposal.columns.len();
        writeln!(
            around.err,
            "{leaving} of {total} columns leave, {} are dropped",
            total - leaving
        )?;
        if let Some(out) = &self.out {
            let out = out.display();
            writeln!(
                around.err,
                "wrote `{out}`; read it, then: veilflight policy check --data {out}"
            )?;
        }
        Ok(())
    }
}

/// The proposal is held against the language and the data's own columns before anybody sees it.
fn holds(proposal: &Proposal, path: &Path, text: &str) -> anyhow::Result<()> {
    let told = |report: String| {
        Error::new(
            Code::Internal,
            format!("the policy that was proposed cannot be used:\n{report}"),
        )
    };
    let loaded = load_bytes(path, text.as_bytes()).map_err(|report| told(report.to_string()))?;
    let fields =
        proposal.profile.columns.iter().map(|column| {
            arrow::datatypes::Field::new(&column.name, column.data_type.clone(), true)
        });
    let schema = arrow::datatypes::Schema::new(fields.collect::<Vec<_>>());
    let errors: Vec<_> =
        check_schema(&loaded, &schema).into_iter().filter(|found| found.is_error()).collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(told(crate::diagnostic::render::human(&errors, false)).into())
}

/// Writes a file that is whole or not there.
fn write(path: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let shown = || format!("`{}` cannot be written", path.display());
    if !force {
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        return file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(shown);
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path)).with_context(shown)
}

/// Whether the data is delimited text: no file of it ends in `.parquet`, and at least one is named.
fn is_text(folder: &Path, paths: &[String]) -> bool {
    let ends = |path: &Path, list: &[&str]| {
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
        list.iter().any(|known| known.eq_ignore_ascii_case(end))
    };
    const TEXT: [&str; 6] = ["csv", "tsv", "psv", "txt", "log", "dat"];
    paths.iter().all(|path| {
        let path = folder.join(path);
        if !path.is_dir() {
            return ends(&path, &TEXT);
        }
        let inside = std::fs::read_dir(&path).into_iter().flatten().flatten();
        let names: Vec<PathBuf> = inside.map(|entry| entry.path()).collect();
        !names.iter().any(|path| ends(path, &["parquet"]) || path.is_dir())
            && names.iter().any(|path| ends(path, &TEXT))
    })
}

/// A path as the policy writes it: from the policy's folder where there is one, else absolute.
fn from(folder: &Path, written: &str, relative: bool) -> anyhow::Result<String> {
    let cwd = Path::new(".").canonicalize().context("there is no current folder")?;
    let whole = cwd.join(written);
    // What stands before the first pattern is there, or nothing will be found.
    let is_pattern =
        |part: &Component<'_>| part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    let there = whole.exists();
    let fixed: PathBuf = whole.components().take_while(|part| there || !is_pattern(part)).collect();
    let rest: PathBuf = whole.components().skip(fixed.components().count()).collect();
    let fixed = fixed.canonicalize().unwrap_or(fixed);
    let absolute = if rest.as_os_str().is_empty() { fixed } else { fixed.join(rest) };
    let path = if relative { between(folder, &absolute) } else { absolute };
    match path.into_os_string().into_string() {
        Ok(path) => Ok(path),
        Err(_) => Err(Error::new(Code::Usage, format!("`{written}` is not UTF-8")).into()),
    }
}

/// The way from a folder to a path.
fn between(folder: &Path, path: &Path) -> PathBuf {
    let shared = folder.components().zip(path.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(shared).map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(path.components().skip(shared)).collect();
    if way.as_os_str().is_empty() { PathBuf::from(".") } else { way }
}

fn is_dataset_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    (1..=128).contains(&name.len()) && name.chars().all(good)
}

/// A dataset's name after a path.
fn dataset_name(path: &str) -> String {
    let plain = |part: &&str| !part.contains(['*', '?', '[']) && !matches!(*part, "" | "." | "..");
    let part = path.split('/').rfind(plain).unwrap_or_default();
    let stem = part.split('.').next().unwrap_or_default();
    let name: String = stem
        .chars()
        .flat_map(char::to_lowercase)
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
        .take(128)
        .collect();
    if name.chars().any(|c| c.is_ascii_alphanumeric()) { name } else { "dataset".to_owned() }
}
