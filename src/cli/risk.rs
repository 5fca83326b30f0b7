//! `veilflight risk`: what somebody would find who knows some columns of a person, before and after. Turns
//! arguments into an [`Assessment`] and writes it; rows are counted in `pipeline/release`.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::DateTime;

use super::place::Place;
use super::policy::DONE;
use super::progress::Progress;
use super::release::unit_of;
use crate::audit::{Deed, Entry, Outcome, Request};
use crate::clock::Clock;
use crate::diagnostic::did_you_mean;
use crate::error::{Code, Context, Error, Result};
use crate::keys::KeyRing;
use crate::pipeline::release::progress::Progress as Watched;
use crate::pipeline::release::store::{Releases, SPILL};
use crate::pipeline::release::survey::{self, Asked, Survey};
use crate::policy::load::load;
use crate::policy::{Class, Policy};
use crate::report::page::Page;
use crate::report::write::html::framed;
use crate::report::write::text;
use crate::risk::assessment::{Assessment, Side};
use crate::risk::page::{frame, page};
use crate::risk::{Seen, THRESHOLD};

const LONG: &str = "\
Measure the risk that somebody is found in a dataset: before, from the raw rows under the policy's filter, \
and after, from the release that is served, or else from what the columns' own rules leave.

The columns that an attacker may know are the quasi-identifiers of the policy's release, or the columns of \
`class: quasi`, or those of `--qi`. Where the policy names a unit, persons are counted, not rows.

Told are the risk by prosecutor, journalist and marketer, uniques, sizes of classes, which columns and small \
sets of columns single rows out, and for each sensitive column how many rows are in classes with one value only: \
these are known without being found. With `--population`, how many are unique in the population that the rows \
are a random sample of; with `--weight`, the risk of each row by how many of the population it stands for.

Raw rows are counted on this machine, and the audit log tells it. What is printed and written are names of \
columns, counts and shares, never a value. It is for the custodian: counts of small classes are not for partners.";

const EXAMPLES: &str = "\
Examples:
  veilflight risk adult
  veilflight risk adult --html risk.html --json risk.json
  veilflight risk slurm_jobs --qi submit,nodes,partition --before-only
  veilflight risk adult --population 250000000 --threshold 0.09
  veilflight risk survey --weight household_weight --sensitive income,illness";

/// Measure the risk that persons are found, before and after
#[derive(Debug, clap::Args)]
#[command(long_about = LONG, after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// The dataset
    dataset: String,
    /// The folder of policies
    #[arg(long, value_name = "FOLDER", default_value = "policies", env = "VEILFLIGHT_POLICIES")]
    policies: PathBuf,
    /// The columns that an attacker may know [default: the quasi-identifiers of the policy]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    qi: Vec<String>,
    /// The columns that somebody would want to know [default: those of `class: sensitive`, and of the release's models]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    sensitive: Vec<String>,
    /// The column of sampling weights: how many of the population each row stands for
    #[arg(long, value_name = "COLUMN")]
    weight: Option<String>,
    /// Only the raw rows
    #[arg(long)]
    before_only: bool,
    /// A row is at risk where the chance to match it rightly is above this
    #[arg(long, value_name = "SHARE", default_value_t = THRESHOLD, value_parser = share)]
    threshold: f64,
    /// How many persons the population has that the rows are a random sample of
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    population: Option<u64>,
    /// Write JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
}

/// Measures, prints, writes.
///
/// # Errors
/// When the dataset or a column is not there, rows cannot be counted, or a file cannot be written.
pub(super) fn run(args: &Args, clock: Arc<dyn Clock>, out: &mut dyn Write) -> anyhow::Result<u8> {
    for path in [&args.json, &args.html].into_iter().flatten() {
        refuse(path, args.force)?;
    }
    let policy = policy(&args.policies, &args.dataset)?;
    let columns = columns(&policy, &args.qi)?;
    let sensitive = sensitive(&policy, &columns, &args.sensitive)?;
    if let Some(weight) = args.weight.as_ref().filter(|name| columns.contains(name)) {
        let what = format!("`{weight}` is a weight and a column that somebody may know: say one");
        return Err(Error::new(Code::Usage, what).into());
    }
    let release = policy.release.as_ref();
    let unit = release.and_then(|rules| rules.unit.clone()).or_else(|| policy.unit.clone());
    let spill = args.place.state.join(SPILL);
    let asked = Asked {
        spill: &spill,
        columns: &columns,
        unit: unit.as_deref(),
        sensitive: &sensitive,
        weight: args.weight.as_deref(),
    };
    let work = Work { args, policy: &policy, asked, ring: args.place.ring()? };
    let shown = Shown(Progress::start("measuring risk", unit_of(&policy)));
    let entry = work.entry(Arc::clone(&clock))?;
    let done = work.measure(&shown, &*clock);
    shown.0.finish();
    let outcome =
        done.as_ref().map_or_else(|error| Outcome::Failed(error.code()), |_| Outcome::Done);
    // What was measured is told only when it is recorded.
    let closed = entry.close(outcome, 0, 0);
    let found = done?;
    closed?;
    let page = page(&found);
    out.write_all(told(&page, &found).as_bytes())?;
    write(args.json.as_deref(), args.force, || Ok(format!("{:#}\n", found.json())))?;
    write(args.html.as_deref(), args.force, || framed(&page, &frame(&found)))?;
    Ok(DONE)
}

/// What is measured, and of which dataset.
struct Work<'a> {
    args: &'a Args,
    policy: &'a Policy,
    asked: Asked<'a>,
    ring: Arc<KeyRing>,
}

impl Work<'_> {
    /// An entry in the audit log, durable before anything is read.
    fn entry(&self, clock: Arc<dyn Clock>) -> Result<Entry> {
        let asked = &self.asked;
        let columns = asked.columns.iter().chain(asked.sensitive).map(String::as_str);
        let columns = columns.chain(asked.unit).chain(asked.weight).map(str::to_owned);
        self.args.place.log_or_create(clock, &self.ring)?.open(Request {
            id: "command line".to_owned(),
            peer: "this machine".to_owned(),
            method: "Risk".to_owned(),
            dataset: Some(self.policy.dataset.clone()),
            policy_digest: Some(self.policy.digest.clone()),
            columns: columns.collect(),
            deed: Some(Deed::default()),
            ..Request::default()
        })
    }

    fn measure(&self, shown: &Shown, clock: &dyn Clock) -> Result<Assessment> {
        shown.0.message("raw rows");
        let survey = survey::raw(self.policy, self.asked, shown)?;
        let after = match self.args.before_only {
            true => Err("not asked for".to_owned()),
            false => {
                shown.0.message("what leaves");
                self.after(shown)
            }
        };
        Ok(self.assessment(survey, after, clock))
    }

    fn assessment(
        &self,
        survey: Survey,
        after: Result<(Side, Guarantees), String>,
        clock: &dyn Clock,
    ) -> Assessment {
        let (after, guarantees) = match after {
            Ok((side, guarantees)) => (Ok(side), guarantees),
            Err(why) => (Err(why), Vec::new()),
        };
        let asked = &self.asked;
        Assessment {
            dataset: self.policy.dataset.clone(),
            policy_digest: self.policy.digest.clone(),
            before: self.side("raw rows", &survey.seen),
            version: survey.version,
            when: now(clock),
            columns: asked.columns.to_vec(),
            unit: asked.unit.map(str::to_owned),
            sensitive: asked.sensitive.to_vec(),
            weight: asked.weight.map(str::to_owned),
            population: self.args.population,
            after,
            apart: survey.apart,
            special: survey.special,
            guarantees,
        }
    }

    fn side(&self, what: &str, seen: &Seen) -> Side {
        Side::new(what, seen, self.args.threshold, self.args.population)
    }

    /// What leaves: its risk, and what its release guarantees; or why that cannot be told.
    fn after(&self, shown: &Shown) -> Result<(Side, Guarantees), String> {
        let told = |error: Error| error.chain();
        let what = match self.policy.release {
            Some(_) => {
                if let Some((seen, guarantees)) = self.released(shown).map_err(told)? {
                    return Ok((self.side("the release that is served", &seen), guarantees));
                }
                "the columns' own rules; nothing leaves until a release is built"
            }
            None => "what the columns' rules leave",
        };
        let ruled = survey::ruled(self.policy, self.asked, shown).map_err(told)?;
        Ok((self.side(what, &ruled), Vec::new()))
    }

    /// The release that is served, measured again from its files; nothing where there is none.
    fn released(&self, shown: &Shown) -> Result<Option<(Seen, Guarantees)>> {
        let dataset = &self.policy.dataset;
        let releases = Releases::new(&self.args.place.state, Arc::clone(&self.ring));
        let pins = releases.pins(dataset)?;
        let Some(note) = pins.current() else { return Ok(None) };
        let manifest = releases.manifest(dataset, note)?;
        let paths = releases.files(dataset, &manifest)?;
        let seen = survey::released(self.policy, &manifest, &paths, self.asked, shown)?;
        let guarantees = manifest.guarantees.into_iter();
        let guarantees = guarantees.map(|found| (found.model, found.asked, found.achieved));
        Ok(Some((seen, guarantees.collect())))
    }
}

/// What the policy asks of every class, and what was found: model, asked, found.
type Guarantees = Vec<(String, f64, Option<f64>)>;

/// For the terminal.
fn told(page: &Page, found: &Assessment) -> String {
    let mut told = format!("{}\n{}\n", page.title, "=".repeat(page.title.chars().count()));
    told.push_str(&text::wrapped(&page.summary, 98, "", ""));
    told.push('\n');
    let unit = found.unit.as_deref().map_or(String::new(), |unit| format!(" | persons by {unit}"));
    told.push_str(&format!("dataset {}{unit} | made {}\n\n", found.dataset, found.when));
    told + &text::body(page)
}

/// The columns that an attacker may know.
fn columns(policy: &Policy, said: &[String]) -> Result<Vec<String>> {
    if !said.is_empty() {
        let mut columns = said.to_vec();
        columns.sort();
        columns.dedup();
        if columns.len() < said.len() {
            return Err(Error::new(Code::Usage, "`--qi` names a column twice"));
        }
        return Ok(said.to_vec());
    }
    let columns: Vec<String> = match &policy.release {
        Some(rules) => rules.quasi_identifiers.iter().map(|quasi| quasi.column.clone()).collect(),
        None => {
            let quasi = policy.columns.iter().filter(|column| column.class == Some(Class::Quasi));
            quasi.map(|column| column.name.clone()).collect()
        }
    };
    if columns.is_empty() {
        let what = format!(
            "the policy of `{}` names no quasi-identifier: name the columns that somebody may know with \
             `--qi`, or give them `class: quasi` in `{}`",
            policy.dataset,
            policy.path.display()
        );
        return Err(Error::new(Code::Usage, what));
    }
    Ok(columns)
}

/// The columns that somebody would want to know.
fn sensitive(policy: &Policy, columns: &[String], said: &[String]) -> Result<Vec<String>> {
    if let Some(both) = said.iter().find(|name| columns.contains(name)) {
        let what =
            format!("`{both}` is a column that somebody may know, and a sensitive one: say one");
        return Err(Error::new(Code::Usage, what));
    }
    let mut all: Vec<String> = said.to_vec();
    if said.is_empty() {
        let named = policy.release.iter().flat_map(|rules| rules.sensitive());
        let classed = policy.columns.iter().filter(|column| column.class == Some(Class::Sensitive));
        let classed = classed.map(|column| column.name.as_str());
        all.extend(named.chain(classed).map(str::to_owned));
        all.retain(|name| !columns.contains(name));
    }
    let mut seen = BTreeSet::new();
    all.retain(|name| seen.insert(name.clone()));
    Ok(all)
}

/// The policy of a dataset.
pub(super) fn policy(folder: &Path, dataset: &str) -> Result<Policy> {
    let failed = || format!("the folder `{}` cannot be read", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).context(Code::Usage, failed)? {
        let path = entry.context(Code::Usage, failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if (name.ends_with(".yaml") || name.ends_with(".yml")) && !name.contains(".test.") {
            paths.push(path);
        }
    }
    paths.sort();
    let (mut names, mut broken) = (Vec::new(), Vec::new());
    for path in paths {
        match load(&path) {
            Ok(loaded) if loaded.policy.dataset == dataset => return Ok(loaded.policy),
            Ok(loaded) => names.push(loaded.policy.dataset),
            Err(_) => broken.push(format!("`{}`", path.display())),
        }
    }
    let mut what = format!("no policy in `{}` has the dataset `{dataset}`", folder.display());
    if let Some(near) = did_you_mean(dataset, names.iter().map(String::as_str)) {
        what.push_str(&format!("; did you mean `{near}`?"));
    }
    if !broken.is_empty() {
        what.push_str(&format!(
            "; {} cannot be loaded: `policy check` says why",
            broken.join(", ")
        ));
    }
    Err(Error::new(Code::Usage, what))
}

/// How far counting is.
pub(super) struct Shown(pub(super) Progress);

impl Watched for Shown {
    fn at(&self, done: u64, of: u64) {
        self.0.expect(of);
        self.0.position(done);
    }

    fn cancelled(&self) -> bool {
        false
    }
}

pub(super) fn now(clock: &dyn Clock) -> String {
    let now = DateTime::from_timestamp(clock.now_seconds(), 0);
    now.map(|now| now.format("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default()
}

/// Looks whether a file would be refused, before any work is done for it.
pub(super) fn refuse(path: &Path, force: bool) -> Result<()> {
    if !force && path.symlink_metadata().is_ok() {
        let what = format!("`{}` is there already; `--force` replaces it", path.display());
        return Err(Error::new(Code::Usage, what));
    }
    Ok(())
}

/// Writes a file whole or not at all. It is the custodian's.
pub(super) fn write(
    path: Option<&Path>,
    force: bool,
    content: impl FnOnce() -> Result<String>,
) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let failed = || format!("`{}` cannot be written", path.display());
    let content = content()?;
    refuse(path, force)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}.part"));
    let _ = std::fs::remove_file(&fresh);
    // PRIVACY: counts of small classes are for the custodian alone, from the file's first moment on.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh);
    file.and_then(|mut file| {
        file.write_all(content.as_bytes())?;
        file.sync_all()
    })
    .context(Code::Usage, failed)?;
    std::fs::rename(&fresh, path).context(Code::Usage, failed)
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if share > 0.0 && share <= 1.0 { Ok(share) } else { Err("it lies above 0, up to 1".to_owned()) }
}

#[cfg(test)]
mod tests;
