//! `mapping seal-key` and `mapping seal`: originals that the serving process writes and cannot read. The
//! private half of the key is written to a file and kept nowhere else.

use std::io::Write;
use std::path::PathBuf;

use super::super::progress::{Progress, Unit};
use super::{Hand, OriginalsKey, Why, shown};
use crate::audit::{Deed, Request};
use crate::error::{Code, Context, Error, Result};
use crate::keys::originals::{Private, Public};
use crate::state::SealedOriginals;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The file holds the private half: move it to where the data is not. Without it nobody can tell the \
originals of sealed tokens, and the serving process never needs it. Originals that are in the state \
already stay as they are until `mapping seal`.

Another key, where the first may be known to somebody or is to change by rule:
  veilflight mapping seal-key --rotate --originals-key old.key --out new.key --reason 'yearly change'
Everything that is sealed is sealed anew, in one step: after whatever breaks it off, the old key is still \
the one in use, and the same command goes on with the key in the new file. Stop the server first. Copies of \
the state that were made before still open with the old key.")]
pub(super) struct SealKey {
    /// The file of the private half; it gets mode 0600
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Seal with a new key what is sealed with the one of `--originals-key`
    #[arg(long, requires = "originals_key")]
    rotate: bool,
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    key: OriginalsKey,
}

impl SealKey {
    /// Returns the exit code: 1 where something of what was sealed before may be left.
    pub(super) fn run(self, hand: &Hand, out: &mut dyn Write) -> Result<u8> {
        if self.rotate {
            return self.rotated(hand, out);
        }
        let taken = || {
            let what = "originals are sealed already; the key stays, unless `--rotate` changes it";
            Error::new(Code::Usage, what)
        };
        if hand.store.originals_key()?.is_some() {
            return Err(taken());
        }
        let ring = hand.place.ring()?;
        let public = hand.audited(self.deed("MappingSealKey"), || {
            let private = Private::generate()?;
            let public = private.public()?;
            // First the file: what is sealed with a key that was lost could not be opened again.
            private.create_file(&self.out)?;
            match hand.store.set_originals_key(&public, &ring) {
                Ok(true) => Ok((public, 0)),
                kept => {
                    // Nothing was sealed with it, and it would pass for the key that is in use.
                    let _ = std::fs::remove_file(&self.out);
                    kept.and_then(|_| Err(taken()))
                }
            }
        })?;
        writeln!(
            out,
            "made `{}` (mode 0600), key {}\nfrom now on new originals are sealed; move the file to where \
             the data is not\nrun `veilflight mapping seal` to seal those that are there",
            self.out.display(),
            public.id()
        )
        .context(Code::Usage, unwritable)?;
        Ok(0)
    }

    fn rotated(self, hand: &Hand, out: &mut dyn Write) -> Result<u8> {
        let now = hand.store.originals_key()?.ok_or_else(|| {
            let what = "originals are not sealed; leave out `--rotate` to make the first key";
            Error::new(Code::Usage, what)
        })?;
        let (new, done) = hand.audited(self.deed("MappingSealKeyRotate"), || {
            let old = self.key.load()?.ok_or_else(super::sealed)?;
            let (new, is_new) = self.new_key(&old.public()?)?;
            if new == now {
                // It was broken off between the change and its message.
                let done = SealedOriginals { sealed: 0, cleared: hand.store.clear()? };
                return Ok(((new, done), 0));
            }
            match hand.store.rotate_originals(&old, &new) {
                Ok(done) => Ok(((new, done), done.sealed)),
                Err(error) => {
                    // The change is whole or not at all: nothing is sealed with a key that is not in use.
                    if is_new && hand.store.originals_key()? != Some(new) {
                        let _ = std::fs::remove_file(&self.out);
                    }
                    Err(error)
                }
            }
        })?;
        writeln!(
            out,
            "`{}` (mode 0600), key {}, is the key now; {} originals were sealed anew\nmove the file to where \
             the data is not; the old key opens copies of the state from before, and nothing else",
            self.out.display(),
            new.id(),
            done.sealed
        )
        .context(Code::Usage, unwritable)?;
        cleared(done, out)
    }

    /// The public half of the new key, and whether its file was made now. A file that is there is of a run
    /// that was broken off: its key may be the one in use already.
    fn new_key(&self, old: &Public) -> Result<(Public, bool)> {
        if std::fs::symlink_metadata(&self.out).is_err() {
            let private = Private::generate()?;
            private.create_file(&self.out)?;
            return Ok((private.public()?, true));
        }
        let public = Private::load(&self.out)?.public()?;
        if public == *old {
            let what = format!("`{}` holds the key that is to be changed", self.out.display());
            return Err(Error::new(Code::Usage, what));
        }
        Ok((public, false))
    }

    fn deed(&self, method: &str) -> Request {
        deed(method, &self.why, shown(&self.out))
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  veilflight mapping seal --reason 'originals go to the vault'

Numbers stay. The state is written anew without what was deleted, so stop the server first: where \
another process is reading, some of it may stay in the write-ahead log, which is told, with exit code 1. \
Run it again then. Copies of the state that were made before still hold the originals.")]
pub(super) struct Seal {
    #[command(flatten)]
    why: Why,
}

impl Seal {
    /// Returns the exit code: 1 where something may be left.
    pub(super) fn run(self, hand: &Hand, out: &mut dyn Write) -> Result<u8> {
        hand.store.give_keys(&hand.place.ring()?);
        let progress = Progress::start("sealing originals", Unit::Tokens);
        let done = hand.audited(deed("MappingSeal", &self.why, None), || {
            let scopes = hand.store.token_scopes()?;
            progress
                .expect(scopes.iter().map(|scope| scope.tokens.saturating_sub(scope.sealed)).sum());
            let done = hand.store.seal_originals()?;
            progress.position(done.sealed);
            Ok((done, done.sealed))
        })?;
        progress.finish();
        writeln!(out, "{} originals were sealed", done.sealed).context(Code::Usage, unwritable)?;
        cleared(done, out)
    }
}

/// Tells whether something is left in the files, and gives the exit code.
fn cleared(done: SealedOriginals, out: &mut dyn Write) -> Result<u8> {
    let told = if done.cleared {
        "nothing of what lay there before is left in the files of the state"
    } else {
        "another process was reading: some may be left in the write-ahead log; stop the server and run it \
         again"
    };
    writeln!(out, "{told}").context(Code::Usage, unwritable)?;
    Ok(u8::from(!done.cleared))
}

fn unwritable() -> String {
    "the answer cannot be written".to_owned()
}

fn deed(method: &str, why: &Why, file: Option<String>) -> Request {
    let deed = Deed { reason: why.reason.clone(), file, ..Deed::default() };
    Request { method: method.to_owned(), deed: Some(deed), ..Request::default() }
}
