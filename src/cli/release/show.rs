//! `release show`: how a release was made and what it was found to give, from its manifest. Reads no row.

use std::io::Write;

use super::{Hand, build, state};

/// Show how a release was made, and what it gives
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  veilflight release show adult
  veilflight release show adult 3f9a52c07be81d64 --json")]
pub(super) struct Show {
    /// The dataset
    dataset: String,
    /// The release; the one that is served where nothing is said
    id: Option<String>,
    /// Print the manifest as JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(&self, hand: &Hand, out: &mut dyn Write) -> anyhow::Result<u8> {
        let (pins, note) = hand.note(&self.dataset, self.id.as_deref())?;
        let manifest = hand.releases.manifest(&self.dataset, &note)?;
        if self.json {
            serde_json::to_writer_pretty(&mut *out, &manifest)?;
            writeln!(out)?;
            return Ok(0);
        }
        let (policies, _) = hand.policies_if_any();
        let policy = policies.get(&self.dataset).map(AsRef::as_ref);
        writeln!(out, "release {} of {}, {}", note.id, self.dataset, state(&pins, &note, policy))?;
        if let Some(why) = &note.withdrawn {
            writeln!(out, "withdrawn on {}: {}", why.date, why.reason)?;
        }
        writeln!(out, "built {} by {}", manifest.date, manifest.program)?;
        if let Some(reason) = &manifest.reason {
            writeln!(out, "reason: {reason}")?;
        }
        build::tell(&manifest, out)?;
        let columns: Vec<String> =
            manifest.columns.iter().map(|it| format!("{} ({})", it.name, it.role)).collect();
        writeln!(out, "columns: {}", columns.join(", "))?;
        writeln!(out, "folder: {}", hand.releases.place(&self.dataset, &note.id).display())?;
        Ok(0)
    }
}
