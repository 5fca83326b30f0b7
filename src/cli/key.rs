//! `veilflight key`: makes, rotates and names master keys. It never prints one.

use std::fs::DirBuilder;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};

use super::place::Place;
use crate::clock::Clock;
use crate::keys::provider::{KeyId, MasterKeys, Source, create_file, replace_file};

/// Make, rotate and name the master keys
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Every pseudonym, ticket and audit seal derives from the master key. Keep a copy \
                  where the data is not: without the key nobody can find out which pseudonym was whose, \
                  nor verify the audit log."
)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a master key in a new file with mode 0600
    Init,
    /// Add a new key as the newest epoch; the older ones stay
    Rotate,
    /// List epoch, id and time of each key, never the key
    ShowIds {
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the verb and returns the exit code.
///
/// # Errors
/// When a key cannot be made, read or written.
pub(super) fn run(args: Args, clock: Arc<dyn Clock>, out: &mut dyn Write) -> anyhow::Result<u8> {
    match args.verb {
        Verb::Init => {
            let path = file_of(&args.place, "made")?;
            if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(folder)
                    .with_context(|| format!("the folder `{}` cannot be made", folder.display()))?;
            }
            let keys = MasterKeys::generate(clock.now_seconds())?;
            create_file(&path, &keys)?;
            writeln!(out, "made `{}` (mode 0600)", path.display())?;
            table(&keys.ids()?, out)?;
            writeln!(out, "keep a copy of it in a safe place, apart from the data")?;
        }
        Verb::Rotate => {
            let path = file_of(&args.place, "rotated")?;
            let mut keys = args.place.key_source()?.load()?;
            let epoch = keys.rotate(clock.now_seconds())?;
            replace_file(&path, &keys)?;
            writeln!(out, "added epoch {epoch} to `{}`", path.display())?;
            table(&keys.ids()?, out)?;
            writeln!(
                out,
                "a server uses it from its next start on: pseudonyms of the new epoch do not match \
                 those of the old"
            )?;
        }
        Verb::ShowIds { json } => {
            let ids = args.place.key_source()?.load()?.ids()?;
            if json {
                let list: Vec<_> = ids
                    .iter()
                    .map(|id| {
                        serde_json::json!({"epoch": id.epoch, "id": id.id, "created": id.created})
                    })
                    .collect();
                serde_json::to_writer_pretty(&mut *out, &list)?;
                writeln!(out)?;
            } else {
                table(&ids, out)?;
            }
        }
    }
    Ok(0)
}

/// The file to write; keys from elsewhere are made and rotated where they are.
fn file_of(place: &Place, verb: &str) -> anyhow::Result<PathBuf> {
    match place.key_source()? {
        Source::File(path) => Ok(path),
        Source::Environment(_) | Source::Command(_) => {
            bail!("only a key in a file can be {verb}; name one with `--key file:PATH`")
        }
    }
}

fn table(ids: &[KeyId], out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "epoch  id                created")?;
    for id in ids {
        let created = id.created.as_deref().unwrap_or("unknown");
        writeln!(out, "{:>5}  {}  {created}", id.epoch, id.id)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cli::place::parse;
    use crate::clock::ManualClock;

    fn call(state: &Path, words: &[&str]) -> Result<String, String> {
        let mut all = words.to_vec();
        all.extend(["--state", state.to_str().unwrap()]);
        let mut out = Vec::new();
        let clock = Arc::new(ManualClock::new(1_800_000_000_000_000));
        match run(parse(&all)?, clock, &mut out) {
            Ok(code) => assert_eq!(code, 0),
            Err(error) => return Err(format!("{error:#}")),
        }
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_key_is_made_once_rotated_and_named_but_never_printed() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let made = call(&state, &["init"]).unwrap();
        assert!(made.contains("    1  "), "{made}");
        assert!(call(&state, &["init"]).unwrap_err().contains("a key file is never overwritten"));
        let rotated = call(&state, &["rotate"]).unwrap();
        assert!(rotated.starts_with("added epoch 2 to `"), "{rotated}");
        let shown = call(&state, &["show-ids"]).unwrap();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0], "epoch  id                created");
        assert!(lines[2].starts_with("    2  ") && lines[2].ends_with("  2027-01-15T08:00:00Z"));
        let json: serde_json::Value =
            serde_json::from_str(&call(&state, &["show-ids", "--json"]).unwrap()).unwrap();
        assert_eq!(json[1]["epoch"], 2);
        let file = std::fs::read_to_string(state.join("master.key")).unwrap();
        for line in file.lines().skip(1) {
            let key = line.split(' ').nth(2).unwrap();
            assert_eq!(key.len(), 64);
            assert!(!format!("{made}{rotated}{shown}{json}").contains(key));
        }
    }

    #[test]
    fn a_key_from_elsewhere_is_not_made_here() {
        let folder = tempfile::tempdir().unwrap();
        for verb in ["init", "rotate"] {
            let error = call(folder.path(), &[verb, "--key", "env:KEY"]).unwrap_err();
            assert!(error.starts_with("only a key in a file can be "), "{error}");
        }
    }
}
