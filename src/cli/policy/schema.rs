//! `policy schema`: the JSON Schema of policy files.

use clap::Args;

use super::{DONE, ExitCode, Surroundings};
use crate::policy::schema::schema;

/// Print the JSON Schema of policy files, which editors use.
///
/// Save it beside your policies and begin each with
/// `# yaml-language-server: $schema=policy.schema.json`.
#[derive(Debug, Args)]
pub struct Schema {}

impl Schema {
    /// Runs the verb.
    pub(super) fn run(self, around: &mut Surroundings<'_>) -> anyhow::Result<ExitCode> {
        writeln!(around.out, "{:#}", schema())?;
        Ok(DONE)
    }
}
