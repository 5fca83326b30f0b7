//! `veilflight export`: files with what a partner would pull, and a manifest beside them. The values come
//! from `local`, the files are written by `export`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};
use indicatif::{HumanBytes, HumanCount};

use super::place::Place;
use super::progress::{Progress, Unit};
use crate::clock::Clock;
use crate::diagnostic::did_you_mean;
use crate::error::{Code, Error, Result};
use crate::export::manifest::{self, Column, Manifest};
use crate::export::{self, Format, Options, Written, file};
use crate::local::{Local, Pull, Purpose, RawSize};

const LONG: &str = "\
Write what a partner would pull to files: the same plan, the same values, without a server. NAME is a dataset \
or a view of one.

One file, or, where PATH ends in `/`, a folder with one file a shard. Files appear whole or not at all. \
Beside them stands PATH.manifest.json, for the custodian: it says what the files are, their hashes, and how \
large the raw data are. `veilflight verify PATH` compares the files with it, with the plan, and with every \
raw identifier.

In CSV null is nothing, an empty text is `\"\"`, lists and structs are JSON. Texts that a spreadsheet would \
take for a formula (they begin with = + - @, tab or return) leave as they are and are counted; \
`--spreadsheet` puts an apostrophe before them.";

const EXAMPLES: &str = "\
Examples:
  veilflight export slurm_jobs --partner cern --to parquet --out jobs.parquet
  veilflight export slurm_jobs --partner cern --to csv --out jobs.csv.gz
  veilflight export slurm_jobs --partner cern --to parquet --out jobs/ --force   one file a shard
  veilflight export slurm_jobs --partner cern --to parquet --out jobs.parquet --sort-by User
  veilflight export slurm_users --partner cern --to csv --out users.csv           a view";

/// Write what a partner would pull to files
#[derive(Debug, clap::Args)]
#[command(long_about = LONG, after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// The dataset, or a view of one
    #[arg(value_name = "NAME")]
    dataset: String,
    /// The partner whom the files are for
    #[arg(long, value_name = "NAME")]
    partner: String,
    /// What to write
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: Format,
    /// Where: a file, or a folder when it ends in `/`
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// The folder of policies
    #[arg(long, value_name = "FOLDER", default_value = "policies", env = "VEILFLIGHT_POLICIES")]
    policies: PathBuf,
    /// Sort the rows by this column: equal values side by side make files smaller
    #[arg(long, value_name = "COLUMN")]
    sort_by: Option<String>,
    /// Put an apostrophe before texts that a spreadsheet would take for a formula (CSV)
    #[arg(long)]
    spreadsheet: bool,
    /// Replace what is at PATH
    #[arg(long)]
    force: bool,
}

/// Writes the files, then the manifest.
///
/// # Errors
/// When the partner has no grant for rows, or something cannot be read or written.
pub(super) fn run(args: &Args, clock: Arc<dyn Clock>, out: &mut dyn Write) -> anyhow::Result<u8> {
    if args.spreadsheet && args.to != Format::Csv {
        return Err(Error::new(Code::Usage, "`--spreadsheet` is for `--to csv`").into());
    }
    let (path, is_folder) = target(&args.out)?;
    if is_folder && args.sort_by.is_some() {
        let what = "`--sort-by` makes one sequence of all rows: write one file, not a folder";
        return Err(Error::new(Code::Usage, what).into());
    }
    let place = file::Place::new(&path, args.force)?;
    let beside = file::Place::new(&manifest::path_of(&path), args.force)?;
    let local = Local::open(&args.place, &args.policies, Arc::clone(&clock))?;
    let local = local.for_purpose(Purpose::Export);
    let (partner, name) = (args.partner.as_str(), args.dataset.as_str());
    let pull = pull(&local, args)?;
    let raw = local.raw_size(partner, name)?;
    let dataset = &local.granted(partner, name)?.dataset;
    let view = (dataset != name).then(|| name.to_owned());
    let progress = Progress::start("exporting", Unit::Rows);
    let options = Options { format: args.to, spreadsheet: args.spreadsheet };
    let (schema, seen) = (Arc::clone(&pull.schema), pull.seen.clone());
    let count = |batch: &arrow::array::RecordBatch| progress.advance(batch.num_rows() as u64);
    let written = if is_folder {
        let shards = pull.into_shards().into_iter().map(|shard| Box::new(shard) as export::Rows);
        export::each(shards.collect(), &schema, &place, options, &count)?
    } else {
        export::one(Box::new(pull), &schema, &place, options, &count)?
    };
    progress.finish();
    let (policy_digest, data_version) = seen.first().map_or_else(Default::default, |seen| {
        (seen.policy_digest.clone(), seen.data_version.clone())
    });
    let date = DateTime::from_timestamp(clock.now_seconds(), 0).unwrap_or_default();
    let manifest = Manifest {
        version: manifest::VERSION,
        program: concat!("veilflight ", env!("CARGO_PKG_VERSION")).to_owned(),
        date: date.to_rfc3339_opts(SecondsFormat::Secs, true),
        dataset: dataset.clone(),
        view: view.clone(),
        partner: partner.to_owned(),
        format: args.to.name().to_owned(),
        sorted_by: args.sort_by.clone(),
        spreadsheet: args.spreadsheet,
        policy_digest,
        data_version,
        columns: Column::all(&schema),
        rows: written.rows(),
        rows_raw: raw.rows,
        bytes: written.bytes(),
        bytes_raw: raw.bytes,
        bytes_raw_of: raw.of.to_owned(),
        files: written.files.clone(),
    };
    manifest.write(&beside)?;
    tell(&path, &written, &raw, view.is_some(), args.spreadsheet, out)?;
    Ok(0)
}

/// The path without the `/` that says that it is a folder.
pub(super) fn target(out: &Path) -> Result<(PathBuf, bool)> {
    let text = out.to_string_lossy();
    let is_folder = text.ends_with('/');
    let path: PathBuf = out.components().collect();
    if path.file_name().is_none() {
        return Err(Error::new(Code::Usage, format!("`--out {text}` names no file and no folder")));
    }
    Ok((path, is_folder))
}

fn pull(local: &Local, args: &Args) -> Result<Pull> {
    let pull = local.pull(&args.partner, &args.dataset)?;
    let Some(column) = &args.sort_by else { return Ok(pull) };
    let names: Vec<&str> = pull.schema.fields().iter().map(|field| field.name().as_str()).collect();
    if !names.contains(&column.as_str()) {
        let mut what = format!("`--sort-by`: no column `{column}` leaves `{}`", args.dataset);
        if let Some(near) = did_you_mean(column, names) {
            what.push_str(&format!("; did you mean `{near}`?"));
        }
        return Err(Error::new(Code::Usage, what));
    }
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let columns: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    let sql = format!(
        "SELECT {} FROM {} ORDER BY {}",
        columns.join(", "),
        quoted(&args.dataset),
        quoted(column)
    );
    local.query(&args.partner, &sql)
}

/// What was written, for the custodian.
fn tell(
    path: &Path,
    written: &Written,
    raw: &RawSize,
    is_view: bool,
    guarded: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let (rows, bytes) = (written.rows(), written.bytes());
    let files = match written.files.len() {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    };
    let (path, beside) = (path.display(), manifest::path_of(path));
    writeln!(out, "wrote {path}: {} rows, {}, {files}", HumanCount(rows), HumanBytes(bytes))?;
    let size = HumanBytes(raw.bytes);
    match raw.bytes as f64 / bytes.max(1) as f64 {
        ratio if ratio >= 1.0 => {
            writeln!(out, "raw {size} ({}): {ratio:.2} times as large as what leaves", raw.of)?;
        }
        ratio => {
            let larger = 1.0 / ratio.max(f64::MIN_POSITIVE);
            writeln!(out, "raw {size} ({}): what leaves is {larger:.2} times as large", raw.of)?;
        }
    }
    match raw.rows.map(|all| all.saturating_sub(rows)) {
        _ if is_view => {}
        Some(0) => writeln!(out, "left out: no row")?,
        Some(held) => {
            writeln!(
                out,
                "left out: {} rows, by `rows`, `nulls` or `release` of the policy",
                HumanCount(held)
            )?;
        }
        None => writeln!(out, "left out: unknown; the source does not tell its rows unread")?,
    }
    if written.formulas > 0 {
        let count = HumanCount(written.formulas);
        if guarded {
            writeln!(out, "{count} texts that look like formulas got an apostrophe")?;
        } else {
            writeln!(
                out,
                "warning: a spreadsheet would take {count} texts for formulas; `--spreadsheet` puts an \
                 apostrophe before them"
            )?;
        }
    }
    writeln!(out, "manifest: {}", beside.display())?;
    Ok(())
}

#[cfg(test)]
mod tests;
