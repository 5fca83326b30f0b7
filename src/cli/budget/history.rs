//! `budget history`: every question that was paid for, and what was granted by hand.

use std::io::Write;

use chrono::{DateTime, SecondsFormat};
use serde_json::json;

use super::{Hand, json};
use crate::cli::mapping::lookup::printable;
use crate::error::{Code, Context, Error, Result};
use crate::state::{NewPrivacyEntry, PrivacyEntry};

/// Show every question that was paid for, and what was granted by hand
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  veilflight budget history jobs
  veilflight budget history jobs --partner cern --json

A question stands in the words that the answer is kept under, without what does not matter. They are the \
partner's words; no data is in them. `no answer` was paid for and not answered: the server was stopped, the \
statement failed, or it is still under way.")]
pub(super) struct History {
    /// Only this dataset
    dataset: Option<String>,
    /// Only this partner
    #[arg(long, value_name = "NAME")]
    partner: Option<String>,
    /// Write JSON, one object a line
    #[arg(long)]
    json: bool,
}

impl History {
    pub(super) fn run(&self, hand: &Hand, out: &mut dyn Write) -> Result<()> {
        let unwritable = || "the answer cannot be written".to_owned();
        let (mut count, as_json) = (0_u64, self.json);
        let mut visit = |entry: PrivacyEntry| {
            count += 1;
            let told = if as_json { line(&entry, out) } else { text(&entry, out) };
            told.map_err(|cause| Error::new(Code::Usage, unwritable()).because(cause))
        };
        hand.store.privacy_entries(self.partner.as_deref(), self.dataset.as_deref(), &mut visit)?;
        if count == 0 && !as_json {
            writeln!(out, "nothing was spent and nothing was granted by hand")
                .context(Code::Usage, unwritable)?;
        }
        Ok(())
    }
}

fn time(entry: &PrivacyEntry) -> String {
    DateTime::from_timestamp(entry.at_seconds, 0)
        .map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
        .unwrap_or_default()
}

fn line(entry: &PrivacyEntry, out: &mut dyn Write) -> std::io::Result<()> {
    let mut object = json!({
        "number": entry.number,
        "time": time(entry),
        "partner": entry.partner,
        "dataset": entry.dataset,
    });
    let more = match &entry.what {
        NewPrivacyEntry::Spend { accounting, loss, rho, canonical } => json!({
            "kind": "spend",
            "accounting": accounting.as_str(),
            "loss": json(*loss),
            "rho": rho.to_string(),
            "answered": entry.answered,
            "question": entry.question,
            "canonical": canonical,
        }),
        NewPrivacyEntry::Grant { loss, reason } => {
            json!({ "kind": "grant", "loss": json(*loss), "reason": reason })
        }
    };
    if let (Some(object), serde_json::Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    serde_json::to_writer(&mut *out, &object)?;
    writeln!(out)
}

fn text(entry: &PrivacyEntry, out: &mut dyn Write) -> std::io::Result<()> {
    let (sign, loss, end, words) = match &entry.what {
        NewPrivacyEntry::Spend { loss, canonical, .. } => {
            let digest: String = entry.question.iter().flat_map(|q| q.chars()).take(16).collect();
            let end = if entry.answered { "answered" } else { "no answer" };
            ("-", loss, format!("{end}  {}", printable(&digest)), canonical)
        }
        NewPrivacyEntry::Grant { loss, reason } => ("+", loss, "by hand".to_owned(), reason),
    };
    writeln!(
        out,
        "{}  {}  {}  {}  {sign} epsilon {}, delta {}  {end}",
        entry.number,
        time(entry),
        entry.partner,
        entry.dataset,
        loss.epsilon,
        loss.delta
    )?;
    // Indented, so that no line of a partner's words looks like an entry.
    for words in words.lines().filter(|words| !words.trim().is_empty()) {
        writeln!(out, "    {}", printable(words))?;
    }
    Ok(())
}
