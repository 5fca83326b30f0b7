//! `mapping seal-key` and `mapping seal`: originals that the serving process writes and cannot read. The
//! private half of the key is written to a file and kept nowhere else.

use std::io::Write;
use std::path::PathBuf;

use super::super::progress::{Progress, Unit};
use super::{Hand, shown};
use crate::audit::{Deed, Request};
use crate::error::{Code, Context, Error, Result};
use crate::keys::originals::Private;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The file holds the private half: move it to where the data is not. Without it nobody can tell the \
originals of sealed tokens, and the serving process never needs it. Originals that are in the state \
already stay as they are until `mapping seal`.")]
pub(super) struct SealKey {
    /// The file of the private half; it gets mode 0600
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl SealKey {
    pub(super) fn run(self, hand: &Hand, out: &mut dyn Write) -> Result<()> {
        let taken = || Error::new(Code::Usage, "originals are sealed already; the key stays");
        if hand.store.originals_key()?.is_some() {
            return Err(taken());
        }
        let ring = hand.place.ring()?;
        let public = hand.audited(deed("MappingSealKey", shown(&self.out)), || {
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
        .context(Code::Usage, || "the answer cannot be written".to_owned())
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Numbers stay. The state is written anew without what was deleted, so stop the server first: where \
another process is reading, some of it may stay in the write-ahead log, which is told, with exit code 1. \
Run it again then. Copies of the state that were made before still hold the originals.")]
pub(super) struct Seal {}

impl Seal {
    /// Returns the exit code: 1 where something may be left.
    pub(super) fn run(self, hand: &Hand, out: &mut dyn Write) -> Result<u8> {
        hand.store.give_keys(&hand.place.ring()?);
        let progress = Progress::start("sealing originals", Unit::Tokens);
        let done = hand.audited(deed("MappingSeal", None), || {
            let scopes = hand.store.token_scopes()?;
            progress
                .expect(scopes.iter().map(|scope| scope.tokens.saturating_sub(scope.sealed)).sum());
            let done = hand.store.seal_originals()?;
            progress.position(done.sealed);
            Ok((done, done.sealed))
        })?;
        progress.finish();
        let unwritable = || "the answer cannot be written".to_owned();
        writeln!(out, "{} originals were sealed", done.sealed).context(Code::Usage, unwritable)?;
        if done.cleared {
            writeln!(out, "nothing of them is left in the files of the state")
        } else {
            writeln!(
                out,
                "another process was reading: some may be left in the write-ahead log; stop the server \
                 and run it again"
            )
        }
        .context(Code::Usage, unwritable)?;
        Ok(u8::from(!done.cleared))
    }
}

fn deed(method: &str, file: Option<String>) -> Request {
    let deed = Deed { file, ..Deed::default() };
    Request { method: method.to_owned(), deed: Some(deed), ..Request::default() }
}
