//! `release list`: what is served of each dataset, what was, and what is not built yet. Reads no row.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use serde_json::json;

use super::{Hand, state};
use crate::error::{Code, Error};

const LONG: &str = "\
List every release that was built: what is served, what was replaced or withdrawn, and why. Datasets whose policy \
asks for a release that is not built are listed too, and a release that was made by other rules than its policy \
has now is marked: it is not served.

Without a folder of policies, what was built is listed all the same.";

/// List releases
#[derive(Debug, clap::Args)]
#[command(long_about = LONG, after_help = "\
Examples:
  veilflight release list
  veilflight release list adult --json")]
pub(super) struct List {
    /// The dataset; all where nothing is said
    dataset: Option<String>,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(&self, hand: &Hand, out: &mut dyn Write) -> anyhow::Result<u8> {
        let (policies, loaded) = hand.policies_if_any();
        let built = hand.releases.datasets()?;
        let asked = policies.values().filter(|policy| policy.release.is_some());
        let asked = asked.map(|policy| policy.dataset.clone());
        let datasets: BTreeSet<String> = built.into_iter().chain(asked).collect();
        if let Some(dataset) = self.dataset.as_ref().filter(|name| !datasets.contains(*name)) {
            return Err(Error::new(Code::Usage, hand.unbuilt(dataset)).into());
        }
        let wanted = |name: &&String| self.dataset.as_ref().is_none_or(|dataset| dataset == *name);
        let (mut all, mut unbuilt) = (Vec::new(), Vec::new());
        for dataset in datasets.iter().filter(wanted) {
            let pins = hand.releases.pins(dataset)?;
            let policy = policies.get(dataset).map(Arc::as_ref);
            for note in &pins.history {
                let state = state(&pins, note, policy);
                all.push((dataset.clone(), state, note.clone()));
            }
            if pins.history.is_empty() {
                unbuilt.push(dataset.clone());
            }
        }
        if self.json {
            let mut list: Vec<_> = all
                .iter()
                .map(|(dataset, state, note)| {
                    json!({
                        "dataset": dataset,
                        "id": note.id,
                        // The word, without what is said of it.
                        "state": state.split(" (").next(),
                        "date": note.date,
                        "method": note.method,
                        "levels": note.levels,
                        "data_version": note.data_version,
                        "release_digest": note.release_digest,
                        "dangerous": note.dangerous,
                        "stored": note.stored,
                        "withdrawn": note.withdrawn,
                    })
                })
                .collect();
            let unbuilt =
                unbuilt.iter().map(|dataset| json!({ "dataset": dataset, "state": "not built" }));
            list.extend(unbuilt);
            serde_json::to_writer_pretty(&mut *out, &list)?;
            writeln!(out)?;
            return Ok(0);
        }
        if all.is_empty() && unbuilt.is_empty() {
            writeln!(out, "no releases")?;
        }
        let names = all.iter().map(|(dataset, ..)| dataset).chain(&unbuilt);
        let width = names.map(String::len).max().unwrap_or(0);
        for (dataset, state, note) in &all {
            let files = if note.stored { "" } else { ", files removed" };
            let why = note.withdrawn.as_ref();
            let why =
                why.map(|why| format!(" on {}: {}", why.date, why.reason)).unwrap_or_default();
            writeln!(
                out,
                "{dataset:width$}  {}  {}  {:16}  {state}{why}{files}",
                note.id, note.date, note.method
            )?;
        }
        if !loaded {
            let folder = hand.policies.display();
            writeln!(out, "the policies in `{folder}` cannot be loaded; `policy check` says why")?;
        }
        for dataset in &unbuilt {
            writeln!(
                out,
                "{dataset:width$}  not built; `veilflight release build {dataset}` builds it"
            )?;
        }
        Ok(0)
    }
}
