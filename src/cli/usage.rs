//! `veilflight partner usage`: what partners took a day of what is limited. All that left, limited or
//! not, stands in the audit log.

use std::io::Write;
use std::sync::Arc;

use chrono::NaiveDate;

use super::place::Place;
use crate::audit::{Outcome, Request};
use crate::clock::Clock;
use crate::error::{Code, Error};
use crate::state::Usage;

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// Only this partner's
    name: Option<String>,
    /// From this day (UTC) on, not only today
    #[arg(long, value_name = "DATE")]
    since: Option<NaiveDate>,
    /// Write JSON
    #[arg(long, conflicts_with = "forget")]
    json: bool,
    /// Forget what the partner took, so that the day begins anew; the audit log tells of it
    #[arg(long, requires = "name", conflicts_with = "since")]
    forget: bool,
}

/// Shows or forgets.
///
/// # Errors
/// When there is no such partner, or the state cannot be read or written.
pub(super) fn run(
    show: &Show,
    place: &Place,
    clock: Arc<dyn Clock>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let store = place.open(Arc::clone(&clock))?;
    if let Some(name) = &show.name
        && store.partner(name)?.is_none()
    {
        return Err(Error::new(Code::Usage, format!("there is no partner `{name}`")).into());
    }
    let today = clock.today();
    match &show.name {
        Some(name) if show.forget => {
            let request = Request {
                id: "command line".to_owned(),
                partner: name.clone(),
                peer: "this machine".to_owned(),
                method: "ForgetUsage".to_owned(),
                ..Request::default()
            };
            let entry = place.log(clock)?.open(request)?;
            store.forget_usage(name)?;
            entry.close(Outcome::Done, 0, 0)?;
            writeln!(out, "what `{name}` took is forgotten: the day begins anew")?;
        }
        name => {
            let usage = store.usage(name.as_deref(), show.since.unwrap_or(today))?;
            if show.json {
                let list: Vec<_> = usage.iter().map(as_json).collect();
                serde_json::to_writer_pretty(&mut *out, &list)?;
                writeln!(out)?;
            } else {
                table(&usage, out)?;
            }
        }
    }
    Ok(())
}

fn as_json(usage: &Usage) -> serde_json::Value {
    serde_json::json!({
        "day": usage.day.to_string(),
        "partner": usage.partner,
        "dataset": usage.dataset,
        "rows": usage.amount.rows,
        "bytes": usage.amount.bytes,
    })
}

fn table(usage: &[Usage], out: &mut dyn Write) -> anyhow::Result<()> {
    if usage.is_empty() {
        writeln!(out, "nothing was taken of what is limited a day")?;
        return Ok(());
    }
    let dataset = |usage: &Usage| usage.dataset.clone().unwrap_or_else(|| "(all)".to_owned());
    let width = |head: &str, of: &dyn Fn(&Usage) -> usize| {
        usage.iter().map(of).max().unwrap_or(0).max(head.len())
    };
    let partners = width("partner", &|usage| usage.partner.len());
    let datasets = width("dataset", &|usage| dataset(usage).chars().count());
    let heads = ("partner", "dataset", "rows", "bytes");
    writeln!(
        out,
        "day         {:partners$}  {:datasets$}  {:>14}  {:>16}",
        heads.0, heads.1, heads.2, heads.3
    )?;
    for line in usage {
        writeln!(
            out,
            "{}  {:partners$}  {:datasets$}  {:>14}  {:>16}",
            line.day,
            line.partner,
            dataset(line),
            line.amount.rows,
            line.amount.bytes
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::audit::show::{Filter, lines};
    use crate::cli::partner;
    use crate::cli::place::parse;
    use crate::clock::ManualClock;
    use crate::keys::provider::{MasterKeys, create_file};
    use crate::state::Amount;

    #[derive(Debug, clap::Args)]
    struct Only {
        #[command(flatten)]
        place: Place,
    }

    fn clock() -> Arc<dyn Clock> {
        Arc::new(ManualClock::new(1_800_000_000_000_000))
    }

    fn call(state: &Path, words: &[&str]) -> Result<String, String> {
        let mut all = words.to_vec();
        all.extend(["--state", state.to_str().unwrap()]);
        let mut out = Vec::new();
        match partner::run(parse(&all)?, clock(), &mut out) {
            Ok(code) => assert_eq!(code, 0),
            Err(error) => return Err(format!("{error:#}")),
        }
        Ok(String::from_utf8(out).unwrap())
    }

    fn place(state: &Path) -> Place {
        parse::<Only>(&["--state", state.to_str().unwrap()]).unwrap().place
    }

    /// Two partners who took something yesterday and today.
    fn filled(state: &Path) {
        for name in ["cern", "lab-with-a-long-name"] {
            call(state, &["add", name]).unwrap();
        }
        create_file(&state.join("master.key"), &MasterKeys::generate(0).unwrap()).unwrap();
        let store = place(state).open(clock()).unwrap();
        let take = |partner: &str, day: &str, dataset: Option<&str>, rows: u64| {
            let mut claim = |_, taken: &mut [Amount]| {
                taken[0] = Amount { rows, bytes: rows * 10 };
                Ok(())
            };
            store.claim_usage(partner, day.parse().unwrap(), &[dataset], &mut claim).unwrap();
        };
        take("cern", "2027-01-14", Some("jobs"), 7);
        take("cern", "2027-01-15", None, 50_000_000);
        take("cern", "2027-01-15", Some("jobs"), 20);
        take("lab-with-a-long-name", "2027-01-15", Some("hospital_stays"), 1);
    }

    #[test]
    fn what_was_taken_is_shown_by_day_partner_and_dataset() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        filled(&state);
        insta::assert_snapshot!(call(&state, &["usage"]).unwrap(), @r"
        day         partner               dataset                   rows             bytes
        2027-01-15  cern                  (all)                 50000000         500000000
        2027-01-15  cern                  jobs                        20               200
        2027-01-15  lab-with-a-long-name  hospital_stays               1                10
        ");
        let since = call(&state, &["usage", "cern", "--since", "2027-01-01"]).unwrap();
        insta::assert_snapshot!(since, @r"
        day         partner  dataset            rows             bytes
        2027-01-14  cern     jobs                  7                70
        2027-01-15  cern     (all)          50000000         500000000
        2027-01-15  cern     jobs                 20               200
        ");
        let json: serde_json::Value =
            serde_json::from_str(&call(&state, &["usage", "cern", "--json"]).unwrap()).unwrap();
        let expected = serde_json::json!({
            "day": "2027-01-15", "partner": "cern", "dataset": null, "rows": 50_000_000,
            "bytes": 500_000_000,
        });
        assert_eq!(json[0], expected);
        assert_eq!(json[1]["dataset"], "jobs");
        let error = call(&state, &["usage", "cren"]).unwrap_err();
        assert_eq!(error, "there is no partner `cren`");
    }

    #[test]
    fn what_is_forgotten_is_told_in_the_audit_log() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        filled(&state);
        assert!(call(&state, &["usage", "--forget"]).is_err());
        let said = call(&state, &["usage", "cern", "--forget"]).unwrap();
        assert_eq!(said, "what `cern` took is forgotten: the day begins anew\n");
        let nothing = "nothing was taken of what is limited a day\n";
        assert_eq!(call(&state, &["usage", "cern"]).unwrap(), nothing);
        assert_ne!(call(&state, &["usage"]).unwrap(), nothing);
        let store = place(&state).open(clock()).unwrap();
        let told = lines(&*store, &Filter::default()).unwrap();
        let told: Vec<_> = told
            .iter()
            .map(|line| (&*line.subject.method, &*line.subject.partner, line.outcome))
            .collect();
        assert_eq!(told, [("ForgetUsage", "cern", "done")]);
    }
}
