//! `veilflight audit`: the access log for people, for machines, and whether it is whole.

use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use chrono::{DateTime, NaiveDate};

use super::place::Place;
use super::progress::{Progress, Unit};
use crate::audit::show::{self, Filter};
use crate::audit::verify::{self, Anchor, Report};
use crate::clock::Clock;

/// Show, verify and export the access log
#[derive(Debug, clap::Args)]
#[command(
    after_help = "`verify` needs the master key and ends with exit code 1 where the log was cut, edited, \
                  reordered or forged, or where the account book of privacy losses is not the one that the \
                  log tells of. A state that was put back as it was earlier is whole, only older: \
                  note what `verify` prints as `end`, keep it elsewhere, and give it back with `--expect`."
)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// One line a request: who, from where, what, how much, how it ended
    Show(Show),
    /// Check every link of the log, and the account book of privacy losses against it
    Verify {
        /// What was noted earlier: the record must still be there, with this hash
        #[arg(long, value_name = "SEQ:HASH")]
        expect: Option<Anchor>,
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
    /// Every record as JSON lines, exactly as hashed
    Export {
        /// Write to a new file with mode 0600
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, clap::Args)]
struct Show {
    /// Only this partner's requests
    #[arg(long, value_name = "NAME")]
    partner: Option<String>,
    /// Only requests for this dataset
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// Only from this day or moment on: 2026-01-31 or 2026-01-31T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<i64>,
    /// At most so many, the latest ones
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb and returns the exit code.
///
/// # Errors
/// When the log cannot be read or written out. Faults in it are not errors: they give exit code 1.
pub(super) fn run(args: Args, clock: Arc<dyn Clock>, out: &mut dyn Write) -> anyhow::Result<u8> {
    let store = args.place.open(clock)?;
    match args.verb {
        Verb::Show(wanted) => {
            let filter = Filter {
                partner: wanted.partner,
                dataset: wanted.dataset,
                since_micros: wanted.since,
                limit: Some(wanted.limit),
            };
            let lines = show::lines(&*store, &filter)?;
            if wanted.json {
                show::write_json(&lines, out)?;
            } else {
                show::write_table(&lines, out)?;
            }
            Ok(0)
        }
        Verb::Verify { expect, json } => {
            let progress = Progress::start("verifying the log", Unit::Steps);
            let report = verify::verify(&*store, &*args.place.ring()?, expect.as_ref())?;
            progress.finish();
            if json {
                write_json(&report, out)?;
            } else {
                write_text(&report, out)?;
            }
            Ok(u8::from(!report.is_whole()))
        }
        Verb::Export { out: None } => {
            show::export(&*store, out)?;
            Ok(0)
        }
        Verb::Export { out: Some(path) } => {
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .with_context(|| format!("`{}` cannot be made", path.display()))?;
            let mut file = BufWriter::new(file);
            let records = show::export(&*store, &mut file)?;
            file.into_inner()?.sync_all()?;
            writeln!(out, "{records} records are in `{}` (mode 0600)", path.display())?;
            Ok(0)
        }
    }
}

fn write_text(report: &Report, out: &mut dyn Write) -> anyhow::Result<()> {
    for finding in &report.findings {
        writeln!(out, "{finding}")?;
    }
    write_more(report.findings_total, report.findings.len(), out)?;
    for discord in &report.discords {
        writeln!(out, "{discord}")?;
    }
    write_more(report.discords_total, report.discords.len(), out)?;
    if let Some(first) = report.open.first() {
        let open = match report.open.len() {
            1 => "1 request is".to_owned(),
            several => format!("{several} requests are"),
        };
        writeln!(out, "{open} open, the first is record {first}")?;
    }
    match (report.findings_total == 0, report.records) {
        (true, 0) => writeln!(out, "the log is empty")?,
        (true, records) => writeln!(out, "the log is whole: {records} records")?,
        (false, records) => {
            let faults = match report.findings_total {
                1 => "1 fault".to_owned(),
                several => format!("{several} faults"),
            };
            writeln!(out, "THE LOG IS NOT WHOLE: {faults} in {records} records")?;
        }
    }
    let entries = match report.entries {
        1 => "1 entry".to_owned(),
        several => format!("{several} entries"),
    };
    match (report.discords_total, report.entries) {
        (0, 0) => {}
        (0, _) if report.untied > 0 => writeln!(
            out,
            "the account book's {entries} were written before records told of them; the next one ties them"
        )?,
        (0, _) => writeln!(out, "the account book agrees with the log: {entries}")?,
        _ => writeln!(out, "THE ACCOUNT BOOK DOES NOT AGREE WITH THE LOG: {entries}")?,
    }
    if let Some(end) = &report.end {
        writeln!(out, "end {end}")?;
    }
    Ok(())
}

fn write_more(total: u64, told: usize, out: &mut dyn Write) -> std::io::Result<()> {
    match total.saturating_sub(told as u64) {
        0 => Ok(()),
        more => writeln!(out, "and {more} more"),
    }
}

fn write_json(report: &Report, out: &mut dyn Write) -> anyhow::Result<()> {
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|finding| {
            serde_json::json!({
                "seq": finding.seq,
                "fault": finding.fault.as_str(),
                "text": finding.to_string(),
            })
        })
        .collect();
    let discords: Vec<_> = report
        .discords
        .iter()
        .map(|found| serde_json::json!({ "fault": found.as_str(), "text": found.to_string() }))
        .collect();
    serde_json::to_writer_pretty(
        &mut *out,
        &serde_json::json!({
            "whole": report.is_whole(),
            "records": report.records,
            "open": report.open,
            "end": report.end.as_ref().map(Anchor::to_string),
            "findings_total": report.findings_total,
            "findings": findings,
            "account_book": {
                "entries": report.entries,
                "untied": report.untied,
                "findings_total": report.discords_total,
                "findings": discords,
            },
        }),
    )?;
    writeln!(out)?;
    Ok(())
}

fn parse_since(text: &str) -> anyhow::Result<i64> {
    if let Ok(date) = text.parse::<NaiveDate>() {
        let midnight = date.and_hms_opt(0, 0, 0).ok_or_else(|| anyhow!("no such day"))?;
        return Ok(midnight.and_utc().timestamp_micros());
    }
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.timestamp_micros())
        .map_err(|_| anyhow!("`{text}` is neither 2026-01-31 nor 2026-01-31T08:00:00Z"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;
    use crate::audit::{Outcome, Request};
    use crate::cli::place::{Place, parse};
    use crate::clock::ManualClock;
    use crate::keys::provider::{MasterKeys, create_file};
    use crate::server::STATE_FILE;

    #[derive(Debug, clap::Args)]
    struct Only {
        #[command(flatten)]
        place: Place,
    }

    fn clock() -> Arc<dyn Clock> {
        Arc::new(ManualClock::new(1_800_000_000_000_000))
    }

    /// A state with a key and one finished request.
    fn prepare(state: &Path) {
        std::fs::create_dir(state).unwrap();
        create_file(&state.join("master.key"), &MasterKeys::generate(0).unwrap()).unwrap();
        let place = parse::<Only>(&["--state", state.to_str().unwrap()]).unwrap().place;
        drop(place.open_or_create(clock()).unwrap());
        let request = Request {
            id: "r1".to_owned(),
            partner: "cern".to_owned(),
            method: "DoGet".to_owned(),
            ..Request::default()
        };
        let log = place.log(clock()).unwrap();
        log.open(request).unwrap().close(Outcome::Done, 3, 30).unwrap();
    }

    fn call(state: &Path, words: &[&str]) -> (u8, String) {
        let mut all = words.to_vec();
        all.extend(["--state", state.to_str().unwrap()]);
        let mut out = Vec::new();
        let code = run(parse(&all).unwrap(), clock(), &mut out).unwrap();
        (code, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_whole_log_is_told_with_its_end_and_a_tampered_one_fails() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        prepare(&state);
        let (code, text) = call(&state, &["verify"]);
        assert_eq!(code, 0);
        let end = text.strip_prefix("the log is whole: 2 records\nend ").unwrap().trim_end();
        assert_eq!(call(&state, &["verify", "--expect", end]).0, 0);
        let later = format!("9:{}", end.split_once(':').unwrap().1);
        let (code, text) = call(&state, &["verify", "--expect", &later]);
        assert_eq!(code, 1);
        assert!(text.starts_with("rolled back: record 9 was noted, the log ends at 2\n"), "{text}");
        rusqlite::Connection::open(state.join(STATE_FILE))
            .unwrap()
            .execute("DELETE FROM audit WHERE seq = 2", [])
            .unwrap();
        let (code, text) = call(&state, &["verify"]);
        assert_eq!(code, 1);
        assert!(
            text.starts_with(
                "cut: the head names record 2, the log ends at 1\n\
                 1 request is open, the first is record 1\n\
                 THE LOG IS NOT WHOLE: 1 fault in 1 records\nend 1:"
            ),
            "{text}"
        );
        let (code, text) = call(&state, &["verify", "--json"]);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((code, json["whole"].as_bool()), (1, Some(false)));
        assert_eq!(json["findings"][0]["fault"], "cut");
    }

    #[test]
    fn an_account_book_that_was_changed_by_hand_is_told_and_fails() {
        use crate::budget::ledger::{Account, Ledger};
        use crate::policy::privacy::{Accounting, Loss};
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        prepare(&state);
        let place = parse::<Only>(&["--state", state.to_str().unwrap()]).unwrap().place;
        let ledger = Ledger::new(place.open(clock()).unwrap(), clock(), place.ring().unwrap());
        let loss = Loss { epsilon: "0.5".parse().unwrap(), ..Loss::default() };
        let account = Account {
            partner: "cern".to_owned(),
            dataset: "jobs".to_owned(),
            accounting: Accounting::Pure,
            total: loss,
            cap: None,
        };
        drop(ledger.spend(&account, "q", "count", loss).unwrap());
        let (code, text) = call(&state, &["verify"]);
        let told =
            "the log is whole: 3 records\nthe account book agrees with the log: 1 entry\nend 3:";
        assert!(code == 0 && text.starts_with(told), "{text}");
        rusqlite::Connection::open(state.join(STATE_FILE))
            .unwrap()
            .execute_batch(
                "DROP TRIGGER privacy_entry_stays;
                 UPDATE privacy_entry SET epsilon = '0.1'; UPDATE privacy_sum SET epsilon = '0.1'",
            )
            .unwrap();
        let (code, text) = call(&state, &["verify"]);
        let told = "changed: entry 1 of the account book is not the one that record 3 tells of\n\
                    the log is whole: 3 records\n\
                    THE ACCOUNT BOOK DOES NOT AGREE WITH THE LOG: 1 entry\nend 3:";
        assert!(code == 1 && text.starts_with(told), "{text}");
        let (_, text) = call(&state, &["verify", "--json"]);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["whole"], false);
        assert_eq!(json["account_book"]["findings"][0]["fault"], "entry_changed");
    }

    #[test]
    fn the_log_is_shown_and_exported() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        prepare(&state);
        let (_, text) = call(&state, &["show"]);
        assert_eq!(text.lines().count(), 2);
        assert_eq!(call(&state, &["show", "--partner", "nobody"]).1.lines().count(), 1);
        assert_eq!(call(&state, &["show", "--since", "2027-01-16"]).1.lines().count(), 1);
        let (_, text) = call(&state, &["show", "--json", "--since", "2027-01-15T08:00:00Z"]);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json[0]["rows"], 3);
        let file = folder.path().join("log.jsonl");
        let (_, text) = call(&state, &["export", "--out", file.to_str().unwrap()]);
        assert_eq!(text, format!("2 records are in `{}` (mode 0600)\n", file.display()));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), call(&state, &["export"]).1);
    }
}
