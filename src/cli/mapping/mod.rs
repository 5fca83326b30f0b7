//! `veilflight mapping`: token maps by hand. Each way back from tokens to originals is asked for by name
//! and with a reason, and stands in the audit log before anything is told.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::hand::{Hand, reason};
use super::place::Place;
use crate::audit::{Deed, Request};
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::keys::originals::Private;

mod export;
mod file;
mod forms;
mod import;
mod list;
pub(super) mod lookup;
mod seal;
pub(super) mod target;
#[cfg(test)]
pub(super) mod tests;

/// List, export, import, look up and seal token maps
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  veilflight mapping list
  veilflight mapping export --dataset jobs --column User --column Group --partner cern \\
      --out mapping.txt --reason 'yearly copy for the vault'
  veilflight mapping import mapping.txt --dataset jobs --column User --partner cern \\
      --reason 'tokens of the old script stay'
  veilflight mapping lookup user_0042 --dataset jobs --column User --partner cern \\
      --reason 'ticket 4711: abuse'
  veilflight mapping seal-key --out /media/usb/originals.key --reason 'the way back goes to the vault'
  veilflight mapping seal --reason 'the way back goes to the vault'

All of it happens on this machine. `audit show` tells who did what, and why.")]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the token maps, without their values
    List(list::List),
    /// Write tokens and originals to a new file with mode 0600
    Export(export::Export),
    /// Take in a map that was made elsewhere, with its numbers
    Import(import::Import),
    /// Tell the original behind one token
    Lookup(lookup::Lookup),
    /// Make the key pair that originals are sealed with from now on, or change it
    SealKey(seal::SealKey),
    /// Seal the originals that lie plain in the state
    Seal(seal::Seal),
}

/// Why it is done, and with which key.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Why {
    /// Why; it stands in the audit log
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(super) reason: String,
}

/// What opens sealed originals.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct OriginalsKey {
    /// The private key of `mapping seal-key`, where originals are sealed
    #[arg(long, value_name = "FILE")]
    pub(super) originals_key: Option<PathBuf>,
}

impl OriginalsKey {
    /// The key, where one is named.
    pub(super) fn load(&self) -> Result<Option<Private>> {
        self.originals_key.as_deref().map(Private::load).transpose()
    }
}

/// Runs the verb and returns the exit code.
///
/// # Errors
/// When what is asked for is not there, or cannot be done.
pub(super) fn run(args: Args, clock: Arc<dyn Clock>, out: &mut dyn Write) -> anyhow::Result<u8> {
    let hand = Hand::new(args.place, clock)?;
    match args.verb {
        Verb::List(list) => list.run(&hand, out)?,
        Verb::Export(export) => export.run(&hand, out)?,
        Verb::Import(import) => import.run(&hand, out)?,
        Verb::Lookup(lookup) => lookup.run(&hand, out)?,
        Verb::SealKey(seal_key) => return Ok(seal_key.run(&hand, out)?),
        Verb::Seal(seal) => return Ok(seal.run(&hand, out)?),
    }
    Ok(0)
}

/// A request about columns of a dataset for a partner.
pub(super) fn request(
    method: &str,
    target: &target::Which,
    columns: &[String],
    digest: &str,
    deed: Deed,
) -> Request {
    Request {
        method: method.to_owned(),
        partner: target.partner.clone(),
        dataset: Some(target.dataset.clone()),
        policy_digest: Some(digest.to_owned()),
        columns: columns.to_vec(),
        deed: Some(deed),
        ..Request::default()
    }
}

/// The name of a file, for the log.
fn shown(path: &Path) -> Option<String> {
    Some(path.display().to_string())
}

/// What is said where an original is sealed and no key came.
fn sealed() -> Error {
    Error::new(
        Code::Usage,
        "the originals are sealed; `--originals-key FILE` names the private key that opens them",
    )
}
