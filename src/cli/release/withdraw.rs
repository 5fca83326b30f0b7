//! `release withdraw`: takes a release out of service, with a reason that stands in the audit log first.

use std::io::Write;

use chrono::{DateTime, SecondsFormat};

use super::{About, Hand, closing, reason};
use crate::pipeline::release::pins::Withdrawn;

const LONG: &str = "\
Take a release out of service, and remove its files.

Partners get nothing of it from the next request on, and tickets that were issued for it are stale. That it \
was made, and in which generalization, stays on record: a second one of the same data is refused as before. \
What partners pulled already cannot be called back.";

/// Take a release out of service
#[derive(Debug, clap::Args)]
#[command(long_about = LONG, after_help = "\
Examples:
  veilflight release withdraw adult --reason 'the consent form changed'
  veilflight release withdraw adult 3f9a52c07be81d64 --reason 'under review' --keep-files")]
pub(super) struct Withdraw {
    /// The dataset
    dataset: String,
    /// The release; the one that is served where nothing is said
    id: Option<String>,
    /// Why; it stands in the audit log
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// Leave the files where they are; they are not served
    #[arg(long)]
    keep_files: bool,
}

impl Withdraw {
    pub(super) fn run(&self, hand: &Hand, out: &mut dyn Write) -> anyhow::Result<u8> {
        // A misspelt dataset gets no folder.
        hand.note(&self.dataset, self.id.as_deref())?;
        let lock = hand.releases.lock(&self.dataset)?;
        let (_, note) = hand.note(&self.dataset, self.id.as_deref())?;
        let (id, why) = (note.id.as_str(), Some(self.reason.as_str()));
        let about = About { dataset: &self.dataset, policy: None, id: Some(id), reason: why };
        let entry = hand.entry("ReleaseWithdraw", about)?;
        let date = DateTime::from_timestamp(hand.clock.now_seconds(), 0).unwrap_or_default();
        let date = date.to_rfc3339_opts(SecondsFormat::Secs, true);
        let why = Withdrawn { date, reason: self.reason.clone() };
        let done = hand.releases.withdraw(&lock, id, why, self.keep_files);
        closing(entry, done, |()| (0, 0))?;
        let files = if self.keep_files { "stay" } else { "are removed" };
        writeln!(out, "withdrew release {id} of {}; its files {files}", self.dataset)?;
        Ok(0)
    }
}
