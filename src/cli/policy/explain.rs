//! `policy explain`: what a partner would get, in plain words. Reads the data's column types only
//! when asked to.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{DENIED, DONE, ExitCode, FAILED, INVALID, Surroundings, load_or_show, raw_schema};
use crate::diagnostic::{did_you_mean, render};
use crate::policy::explain::{explain, json, markdown, text};

/// Say in plain words what leaves, and what still leaks.
///
/// Exit code 2 when the partner has no grant that still runs.
#[derive(Debug, Args)]
pub struct Explain {
    /// The policy file.
    file: PathBuf,
    /// The partner; all of them when left out.
    #[arg(long)]
    partner: Option<String>,
    /// Look at the data too, to say types.
    #[arg(long)]
    data: bool,
    /// How to write it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// How an explanation is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Wrapped text.
    Text,
    /// Markdown with tables.
    Markdown,
    /// JSON.
    Json,
}

impl Explain {
    /// Runs the verb.
    pub(super) fn run(self, around: &mut Surroundings<'_>) -> anyhow::Result<ExitCode> {
        let Some(loaded) = load_or_show(&self.file, around)? else { return Ok(INVALID) };
        let policy = &loaded.policy;
        let schema = match self.data.then(|| raw_schema(&loaded)) {
            None => None,
            Some(Ok(schema)) => Some(schema),
            Some(Err(diagnostic)) => {
                around.err.write_all(render::human(&[*diagnostic], around.colour).as_bytes())?;
                return Ok(FAILED);
            }
        };
        let partner = self.partner.as_deref();
        let explanation = explain(policy, partner, schema.as_deref(), around.today);
        let text = match self.format {
            Format::Text => text(&explanation),
            Format::Markdown => markdown(&explanation),
            Format::Json => json(&explanation),
        };
        around.out.write_all(text.as_bytes())?;
        let Some(partner) = partner else { return Ok(DONE) };
        if policy.grants_of(partner, around.today).next().is_some() {
            return Ok(DONE);
        }
        let known = policy.grants.iter().map(|grant| grant.partner.as_str());
        let near = did_you_mean(partner, known)
            .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        writeln!(around.err, "`{partner}` has no grant that runs today{near}")?;
        Ok(DENIED)
    }
}
