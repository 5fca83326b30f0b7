//! `veilflight report`: reports over what a partner gets of a dataset, written into a folder. Turns arguments
//! into a [`Report`]; what a report says is in `report/`.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::DateTime;

use super::place::Place;
use super::policy::{DONE, FAILED};
use super::progress::{Progress, Unit};
use crate::clock::Clock;
use crate::error::Result;
use crate::local::{Local, Purpose};
use crate::policy::explain::explain;
use crate::report::breakdown::{Breakdown, Order};
use crate::report::commands::Layout;
use crate::report::folder::Folder;
use crate::report::local::OnThisMachine;
use crate::report::progress::Watch;
use crate::report::roles::Role;
use crate::report::study::Study;
use crate::report::vectors::{Missing, Origin, Vectors};
use crate::report::write::{Format, Meta};
use crate::report::{ALL, Output, Report};

/// Make reports of what a partner gets: JSON, CSV, text and a page that opens without a network
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  veilflight report list
  veilflight report users --dataset htcondor_jobs --partner cern --out reports
  veilflight report site FermiGrid --dataset htcondor_jobs --partner cern --out reports
  veilflight report failed-users --dataset jobs --partner cern --out reports --column user=Owner

Reports are made of released data only, with the partner's grant, and stand in the audit log. Exit code 1
where what was asked for is not in the data, such as a site of that name; the files then say so."
)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Args)]
struct Common {
    /// The dataset
    #[arg(long, global = true, value_name = "NAME")]
    dataset: Option<String>,
    /// The partner whose grant counts
    #[arg(long, global = true, value_name = "NAME")]
    partner: Option<String>,
    /// The folder that files are written into; made where there is none
    #[arg(long, global = true, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// The folder of policies
    #[arg(
        long,
        global = true,
        value_name = "FOLDER",
        default_value = "policies",
        env = "VEILFLIGHT_POLICIES"
    )]
    policies: PathBuf,
    /// Which column is what, where its name does not tell; may be repeated
    #[arg(long, global = true, value_name = "ROLE=COLUMN", help = column_help())]
    column: Vec<String>,
    /// Only these formats
    #[arg(
        long,
        global = true,
        value_enum,
        value_delimiter = ',',
        default_values_t = Format::ALL.to_vec()
    )]
    format: Vec<Format>,
    /// Replace files that are there
    #[arg(long, global = true)]
    force: bool,
}

fn column_help() -> String {
    format!(
        "Which column is what, where its name does not tell, such as user=Owner; roles: {}",
        Role::words()
    )
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// The reports there are
    List,
    /// Users with token, count, valid
    Users,
    /// Addresses with token, count, valid
    Ips,
    /// The address that each user comes from most often
    Correlations,
    /// Users, addresses, correlations and jobs over time in one
    Summary,
    /// Users whose jobs start and do not complete, and the job failure fraction
    FailedUsers,
    /// The jobs at a site whatever its spelling, or at each site
    Site(Site),
    /// Commands and environments as text, a block a job
    Commands(Commands),
    /// JSON lines of the pairs of column and value that are not null
    Ragged {
        /// Only these columns
        #[arg(long, value_name = "NAMES", value_delimiter = ',')]
        columns: Vec<String>,
    },
    /// Feature vectors in parquet, with a codebook
    Vectors(VectorsArgs),
    /// How rows fall into the values of a column, or of one column within another
    Breakdown(BreakdownArgs),
    /// Jobs, hours, processor efficiency and memory by user, site and hour
    Efficiency,
}

#[derive(Debug, clap::Args)]
struct Site {
    /// The site, in any case
    #[arg(required_unless_present = "all_sites")]
    name: Option<String>,
    /// Every site, a report each
    #[arg(long, conflicts_with = "name")]
    all_sites: bool,
}

#[derive(Debug, clap::Args)]
struct Commands {
    /// Group jobs by this column; jobs without a value are a group
    #[arg(long, value_name = "COLUMN")]
    group_by: Option<String>,
    /// The most characters of a line
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(20..))]
    width: u16,
    /// Leave out the lines on the job itself
    #[arg(long)]
    no_meta: bool,
    /// At most so many jobs
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

#[derive(Debug, clap::Args)]
struct VectorsArgs {
    /// Only these columns
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    columns: Vec<String>,
    /// What a missing value becomes
    #[arg(long, value_enum, default_value_t)]
    nulls: Missing,
    /// From when times are counted
    #[arg(long, value_enum, default_value_t)]
    times: Origin,
    /// How many values of a column have a code of their own
    #[arg(long, value_name = "N", default_value_t = 4_096, value_parser = clap::value_parser!(u64).range(1..=65_000))]
    categories_max: u64,
}

#[derive(Debug, clap::Args)]
struct BreakdownArgs {
    /// The column
    #[arg(long, value_name = "COLUMN")]
    by: String,
    /// Within each value of this column
    #[arg(long, value_name = "COLUMN")]
    within: Option<String>,
    /// Only what stands behind the @, such as the provider of a mail address
    #[arg(long)]
    domain: bool,
    /// Only ranks up to this one; equal counts share a rank
    #[arg(long, value_name = "N")]
    top: Option<u64>,
    /// In which order
    #[arg(long, value_enum, default_value_t)]
    order: Order,
}

impl Verb {
    fn report(self) -> Option<Report> {
        Some(match self {
            Self::List => return None,
            Self::Users => Report::Users,
            Self::Ips => Report::Ips,
            Self::Correlations => Report::Correlations,
            Self::Summary => Report::Summary,
            Self::FailedUsers => Report::FailedUsers,
            Self::Site(site) => Report::Site(site.name),
            Self::Commands(wanted) => Report::Commands(Layout {
                group_by: wanted.group_by,
                width: usize::from(wanted.width),
                details: !wanted.no_meta,
                limit: wanted.limit,
            }),
            Self::Ragged { columns } => Report::Ragged(columns),
            Self::Vectors(wanted) => Report::Vectors(Vectors {
                columns: wanted.columns,
                nulls: wanted.nulls,
                times: wanted.times,
                categories_max: wanted.categories_max,
            }),
            Self::Breakdown(wanted) => Report::Breakdown(Breakdown {
                by: wanted.by,
                within: wanted.within,
                domain: wanted.domain,
                top: wanted.top,
                order: wanted.order,
            }),
            Self::Efficiency => Report::Efficiency,
        })
    }
}

/// Runs the verb and returns the exit code.
///
/// # Errors
/// When something is not said, not granted, not released or cannot be written.
pub(super) fn run(
    args: Args,
    clock: Arc<dyn Clock>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<u8> {
    let Args { place, common, verb } = args;
    let Some(report) = verb.report() else {
        for (name, what) in ALL {
            writeln!(out, "{name:13}  {what}")?;
        }
        return Ok(DONE);
    };
    let dataset = said(common.dataset, "--dataset", "the dataset")?;
    let partner = said(common.partner, "--partner", "the partner whose grant counts")?;
    let path = said(common.out, "--out", "the folder to write into")?;
    let local = Local::open(&place, &common.policies, Arc::clone(&clock))?;
    let local = local.for_purpose(Purpose::Report);
    let released = OnThisMachine::open(local, &partner, &dataset)?;
    let policy = explain(released.policy(), Some(&partner), None, clock.today());
    let withheld = policy.withheld.clone();
    let when = DateTime::from_timestamp(clock.now_seconds(), 0);
    let meta = Meta {
        partner,
        version: released.version().map(str::to_owned),
        when: when.map(|when| when.format("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default(),
        policy,
    };
    let mut folder = Folder::open(&path, common.force)?;
    let mut formats = common.format;
    formats.sort_unstable();
    formats.dedup();
    let progress = Progress::start("reporting", Unit::Rows);
    let study = Study::open(&released, &dataset, withheld, &common.column, &progress)?;
    let mut output = Output { folder: &mut folder, formats: &formats, meta: &meta };
    let done = report.run(&study, &mut output);
    progress.finish();
    let mut say = |line: &str| {
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(err, "{line}");
    };
    for advice in report.roles().iter().filter_map(|role| study.advice(*role)) {
        say(&format!("note: {advice}"));
    }
    let found = done?;
    for name in folder.done() {
        writeln!(out, "{}", folder.path().join(name).display())?;
    }
    if !found {
        say("what was asked for is not in the released data; the files say so");
    }
    Ok(if found { DONE } else { FAILED })
}

impl Watch for Progress {
    fn step(&self, what: &str) {
        self.message(what);
    }

    fn rows(&self, more: u64) {
        self.advance(more);
    }
}

fn said<T>(value: Option<T>, flag: &str, what: &str) -> Result<T> {
    value.ok_or_else(|| {
        let text = format!("`{flag}` is missing: it names {what}");
        crate::error::Error::new(crate::error::Code::Usage, text)
    })
}

#[cfg(test)]
mod tests;
