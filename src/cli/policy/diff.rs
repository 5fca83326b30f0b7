//! `policy diff`: what changed, and whether people are protected less.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{DENIED, DONE, ExitCode, INVALID, Surroundings, load_or_show};
use crate::pipeline::transform::Change;
use crate::policy::diff::{diff, json, text, verdict};

/// Say what changed between two policies, and whether people are protected less.
///
/// With `--fail-on-weaken`, exit code 2 when the new policy protects less in any way.
#[derive(Debug, Args)]
pub struct Diff {
    /// The policy as it was.
    old: PathBuf,
    /// The policy as it is.
    new: PathBuf,
    /// End with exit code 2 when anything is weakened.
    #[arg(long)]
    fail_on_weaken: bool,
    /// How to write it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// How differences are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line a change.
    Text,
    /// JSON.
    Json,
}

impl Diff {
    /// Runs the verb.
    pub(super) fn run(self, around: &mut Surroundings<'_>) -> anyhow::Result<ExitCode> {
        // Both are read, so that the problems of both are shown.
        let old = load_or_show(&self.old, around)?;
        let new = load_or_show(&self.new, around)?;
        let (Some(old), Some(new)) = (old, new) else { return Ok(INVALID) };
        let differences = diff(&old.policy, &new.policy);
        let text = match self.format {
            Format::Text => text(&differences),
            Format::Json => json(&old.policy, &new.policy, &differences),
        };
        around.out.write_all(text.as_bytes())?;
        let weakens = verdict(&differences) == Some(Change::Weakens);
        Ok(if weakens && self.fail_on_weaken { DENIED } else { DONE })
    }
}
