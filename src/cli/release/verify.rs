//! `release verify`: whether a release's files are those that were built, and give what they should.

use std::io::Write;

use serde_json::json;

use super::{About, Hand, closing};
use crate::cli::progress::{Progress, Unit};
use crate::error::Result;
use crate::pipeline::release::store::Check;

const LONG: &str = "\
Hash every file of a release and compare it with the manifest, and the manifest with what was pinned. Where \
the policy still has the rules that the release was made by, its files are measured again as well.

Exit codes: 0 all is as it should be, 1 something differs.";

/// Hash and measure a release's files again
#[derive(Debug, clap::Args)]
#[command(long_about = LONG, after_help = "\
Examples:
  veilflight release verify adult
  veilflight release verify adult 3f9a52c07be81d64 --json")]
pub(super) struct Verify {
    /// The dataset
    dataset: String,
    /// The release; the one that is served where nothing is said
    id: Option<String>,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// The exit code when something differs.
const DIFFERS: u8 = 1;

impl Verify {
    pub(super) fn run(&self, hand: &Hand, out: &mut dyn Write) -> anyhow::Result<u8> {
        let (_, note) = hand.note(&self.dataset, self.id.as_deref())?;
        // A release outlives its policy; without it, hashes are compared all the same.
        let policy = hand.policy(&self.dataset).ok();
        let policy = policy.as_deref();
        let id = Some(note.id.as_str());
        let about = About { dataset: &self.dataset, policy, id, reason: None };
        let entry = hand.entry("ReleaseVerify", about)?;
        let progress = Progress::start("verifying", Unit::Bytes);
        let told = |bytes: u64| progress.advance(bytes);
        let done: Result<Vec<Check>> = hand.releases.verify(&self.dataset, &note, policy, &told);
        progress.finish();
        let checks = closing(entry, done, |_| (0, 0))?;
        let exit = if checks.iter().any(|check| check.wrong.is_some()) { DIFFERS } else { 0 };
        if self.json {
            let told =
                checks.iter().map(|Check { what, wrong }| json!({ "what": what, "wrong": wrong }));
            let all = json!({ "dataset": self.dataset, "id": note.id, "checks": told.collect::<Vec<_>>() });
            writeln!(out, "{all:#}")?;
            return Ok(exit);
        }
        for Check { what, wrong } in &checks {
            writeln!(out, "{what}: {}", wrong.as_deref().unwrap_or("as it should be"))?;
        }
        Ok(exit)
    }
}
