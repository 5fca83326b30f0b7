//! `release list`: what is served of each dataset, and what was. Reads no row.

use std::io::Write;

use serde_json::json;

use super::{Hand, state};

/// List releases
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  veilflight release list\n  veilflight release list adult --json"
)]
pub(super) struct List {
    /// The dataset; all where nothing is said
    dataset: Option<String>,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(&self, hand: &Hand, out: &mut dyn Write) -> anyhow::Result<u8> {
        let datasets = match &self.dataset {
            Some(dataset) => vec![dataset.clone()],
            None => hand.releases.datasets()?,
        };
        let mut all = Vec::new();
        for dataset in &datasets {
            let pins = hand.releases.pins(dataset)?;
            for note in &pins.history {
                all.push((dataset.clone(), state(&pins, note), note.clone()));
            }
        }
        if self.json {
            let list: Vec<_> = all
                .iter()
                .map(|(dataset, state, note)| {
                    json!({
                        "dataset": dataset,
                        "id": note.id,
                        "state": state,
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
            serde_json::to_writer_pretty(&mut *out, &list)?;
            writeln!(out)?;
            return Ok(0);
        }
        if all.is_empty() {
            writeln!(out, "no releases")?;
        }
        let width = all.iter().map(|(dataset, ..)| dataset.len()).max().unwrap_or(0);
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
        Ok(0)
    }
}
