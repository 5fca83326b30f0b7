//! `veilflight completions`: a script that teaches a shell the verbs and flags. Installs nothing.

use std::io::Write;

use clap_complete::{Shell, generate};

use super::Exit;
use crate::error::{Code, Context, Result};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  source <(veilflight completions bash)")]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit> {
        let mut script = Vec::new();
        generate(self.shell, &mut super::command(), "veilflight", &mut script);
        out.write_all(&script)
            .context(Code::Usage, || "the script cannot be written".to_owned())?;
        Ok(Exit::Done)
    }
}
