//! Where master keys come from: a file that only its owner can read, an environment variable, or the
//! output of a command (a secret store's client). All three hold the same text; it is read once, at
//! the start. A variable stays in the environment block of the process for as long as it runs, so a
//! file or a command keeps a key more private.
//!
//! ```text
//! veilflight-keys 1
//! 1 2026-01-31T08:00:00Z 64 hexadecimal digits
//! 2 2027-01-31T08:00:00Z 64 hexadecimal digits
//! ```
//!
//! Epoch, time of making, key. A text of nothing but 64 hexadecimal digits is epoch 1.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::mpsc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use zeroize::Zeroizing;

use super::published::published;
use super::{KeyRing, Secret};
use crate::error::{Code, Context, Error, Result};

/// Where to read master keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// What a command writes to its standard output; run by `sh -c`.
    Command(String),
    /// The value of an environment variable.
    Environment(String),
    /// A regular file with mode 0600 or 0400.
    File(PathBuf),
}

impl Source {
    /// Reads the keys.
    ///
    /// # Errors
    /// [`Code::Keys`] when they cannot be read, are readable by others, malformed or published.
    pub fn load(&self) -> Result<MasterKeys> {
        match self {
            Self::Command(command) => MasterKeys::parse(&run(command)?, "the key command"),
            Self::Environment(name) => {
                let what = format!("the environment variable `{name}`");
                let value = std::env::var_os(name)
                    .ok_or_else(|| Error::new(Code::Keys, format!("{what} is not set")))?;
                let value = value
                    .into_string()
                    .map(Zeroizing::new)
                    .map_err(|_| Error::new(Code::Keys, format!("{what} is not text")))?;
                MasterKeys::parse(&value, &what)
            }
            Self::File(path) => MasterKeys::parse(
                &read_private(path)?,
                &format!("the key file `{}`", path.display()),
            ),
        }
    }
}

impl FromStr for Source {
    type Err = String;

    /// `file:PATH`, `env:NAME` or `command:COMMAND`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            Some(("env", name)) if !name.is_empty() => Ok(Self::Environment(name.to_owned())),
            Some(("command", line)) if !line.is_empty() => Ok(Self::Command(line.to_owned())),
            // The text may be the key itself, put where its place should be: it is not repeated.
            _ => Err("it starts with none of `file:`, `env:` and `command:`".to_owned()),
        }
    }
}

/// Master keys with what is known of them. The bytes are wiped when dropped.
#[derive(Debug)]
pub struct MasterKeys {
    /// Ascending by epoch, never empty.
    keys: Vec<MasterKey>,
}

/// One epoch's master key.
#[derive(Debug)]
struct MasterKey {
    epoch: u32,
    created: Option<String>,
    key: Secret<32>,
}

/// What may be shown of a master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyId {
    /// The epoch.
    pub epoch: u32,
    /// Eight derived bytes in hexadecimal: the same key has the same id, and the id tells nothing of
    /// the key.
    pub id: String,
    /// When it was made, where that is known.
    pub created: Option<String>,
}

impl MasterKeys {
    /// One new key, epoch 1.
    ///
    /// # Errors
    /// [`Code::Keys`] when the system has no random bytes.
    pub fn generate(now_seconds: i64) -> Result<Self> {
        Ok(Self { keys: vec![MasterKey::generate(1, now_seconds)?] })
    }

    /// Adds a new key as the newest epoch and returns that epoch. The older keys stay: what they made
    /// must still open, and their pseudonyms still be found.
    ///
    /// # Errors
    /// [`Code::Keys`] when the system has no random bytes, or no epoch is left.
    pub fn rotate(&mut self, now_seconds: i64) -> Result<u32> {
        let epoch = self
            .keys
            .last()
            .and_then(|key| key.epoch.checked_add(1))
            .ok_or_else(|| Error::new(Code::Keys, "no epoch is left"))?;
        self.keys.push(MasterKey::generate(epoch, now_seconds)?);
        Ok(epoch)
    }

    /// Reads the text form; `what` names it in errors, which never hold any of the text.
    ///
    /// # Errors
    /// [`Code::Keys`] when it is malformed, an epoch does not follow, or a key is published.
    pub fn parse(text: &str, what: &str) -> Result<Self> {
        let mut lines = text
            .lines()
            .map(str::trim)
            .enumerate()
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let malformed = |line: usize, why: &str| {
            Error::new(Code::Keys, format!("{what}, line {}: {why}", line + 1))
        };
        let (number, first) =
            lines.next().ok_or_else(|| Error::new(Code::Keys, format!("{what} is empty")))?;
        let mut keys: Vec<MasterKey> = Vec::new();
        if first == HEADER {
            for (number, line) in lines {
                let mut words = line.split_ascii_whitespace();
                let (Some(epoch), Some(created), Some(key), None) =
                    (words.next(), words.next(), words.next(), words.next())
                else {
                    return Err(malformed(number, "a line holds epoch, time and key"));
                };
                let epoch =
                    epoch.parse().map_err(|_| malformed(number, "the epoch is no number"))?;
                if keys.last().is_some_and(|last| last.epoch >= epoch) || epoch == 0 {
                    return Err(malformed(number, "epochs start at 1 and grow"));
                }
                if DateTime::parse_from_rfc3339(created).is_err() {
                    return Err(malformed(
                        number,
                        "the time is not of the form 2026-01-31T08:00:00Z",
                    ));
                }
                let key = parse_key(key).map_err(|why| malformed(number, &why))?;
                keys.push(MasterKey { epoch, created: Some(created.to_owned()), key });
            }
            if keys.is_empty() {
                return Err(Error::new(Code::Keys, format!("{what} holds no key")));
            }
        } else {
            if lines.next().is_some() {
                return Err(malformed(number, &format!("the first line is not `{HEADER}`")));
            }
            let key = parse_key(first).map_err(|why| malformed(number, &why))?;
            keys.push(MasterKey { epoch: 1, created: None, key });
        }
        Ok(Self { keys })
    }

    /// The text form.
    fn to_text(&self) -> Zeroizing<String> {
        // Long enough from the start, so that no copy is left behind by growing.
        let mut text = Zeroizing::new(String::with_capacity(64 + 128 * self.keys.len()));
        text.push_str(HEADER);
        text.push('\n');
        for key in &self.keys {
            text.push_str(&key.epoch.to_string());
            text.push(' ');
            text.push_str(key.created.as_deref().unwrap_or(UNKNOWN_TIME));
            text.push(' ');
            data_encoding::HEXLOWER.encode_append(key.key.expose(), &mut text);
            text.push('\n');
        }
        text
    }

    /// What may be shown of the keys.
    ///
    /// # Errors
    /// [`Code::Keys`] when an id cannot be derived.
    pub fn ids(&self) -> Result<Vec<KeyId>> {
        self.keys
            .iter()
            .map(|key| {
                let ring = KeyRing::new(vec![(key.epoch, Secret::new(*key.key.expose()))])?;
                let id = ring.derive::<8>(key.epoch, &["id"])?;
                Ok(KeyId {
                    epoch: key.epoch,
                    id: data_encoding::HEXLOWER.encode(id.expose()),
                    created: key.created.clone(),
                })
            })
            .collect()
    }

    /// The ring that the rooms derive from.
    ///
    /// # Errors
    /// [`Code::Keys`] when there is none.
    pub fn into_ring(self) -> Result<KeyRing> {
        KeyRing::new(self.keys.into_iter().map(|key| (key.epoch, key.key)).collect())
    }
}

impl MasterKey {
    fn generate(epoch: u32, now_seconds: i64) -> Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice())
            .context(Code::Keys, || "no random bytes".to_owned())?;
        let created = DateTime::from_timestamp(now_seconds, 0)
            .map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true));
        Ok(Self { epoch, created, key: Secret::new(*bytes) })
    }
}

/// Writes keys to a file that is not there yet, with mode 0600 from its first moment.
///
/// # Errors
/// [`Code::Keys`] when the file exists or cannot be written.
pub fn create_file(path: &Path, keys: &MasterKeys) -> Result<()> {
    write_new(path, keys).map_err(|cause| {
        let text = match cause.kind() {
            ErrorKind::AlreadyExists => format!(
                "`{}` exists; a key file is never overwritten, `key rotate` adds a key",
                path.display()
            ),
            _ => format!("the key file `{}` cannot be written", path.display()),
        };
        Error::new(Code::Keys, text).because(cause)
    })
}

/// Writes keys in place of those in a file, all or nothing.
///
/// # Errors
/// [`Code::Keys`] when the file cannot be written, or another rotation is under way.
pub fn replace_file(path: &Path, keys: &MasterKeys) -> Result<()> {
    // A link is followed here, or the rename would put a file in its place.
    let path = fs::canonicalize(path)
        .context(Code::Keys, || format!("the key file `{}` cannot be found", path.display()))?;
    let mut name = path.file_name().unwrap_or(OsStr::new("keys")).to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    write_new(&fresh, keys).map_err(|cause| {
        let text = match cause.kind() {
            ErrorKind::AlreadyExists => format!(
                "`{}` exists: another rotation is under way, or one was broken off; \
                 remove that file in the second case",
                fresh.display()
            ),
            _ => format!("`{}` cannot be written", fresh.display()),
        };
        Error::new(Code::Keys, text).because(cause)
    })?;
    let replaced = fs::rename(&fresh, &path).and_then(|()| sync_folder(&path));
    if replaced.is_err() && fresh.exists() {
        // Nothing was replaced; the new key must not lie about.
        let _ = fs::remove_file(&fresh);
    }
    replaced.context(Code::Keys, || format!("the key file `{}` cannot be replaced", path.display()))
}

fn write_new(path: &Path, keys: &MasterKeys) -> std::io::Result<()> {
    write_private(path, keys.to_text().as_bytes())
}

/// Writes a file that is not there yet, with mode 0600 from its first moment.
pub(super) fn write_private(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(text).and_then(|()| file.sync_all());
    if written.is_err() {
        // A half-written key file would pass for a key that is lost.
        let _ = fs::remove_file(path);
    }
    written.and_then(|()| sync_folder(path))
}

/// Makes a new name in a folder durable.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// The text of a file that only its owner can read.
pub(super) fn read_private(path: &Path) -> Result<Zeroizing<String>> {
    let cannot = || format!("the key file `{}` cannot be read", path.display());
    // Before opening, because opening a pipe would wait for a writer.
    if !fs::metadata(path).context(Code::Keys, cannot)?.is_file() {
        return Err(Error::new(
            Code::Keys,
            format!("the key file `{}` is not a regular file", path.display()),
        ));
    }
    let file = File::open(path).context(Code::Keys, cannot)?;
    // Of the open file, so that nobody can put another in its place after the check.
    let about = file.metadata().context(Code::Keys, cannot)?;
    let mode = about.mode() & 0o7777;
    if !about.is_file() || !matches!(mode, 0o400 | 0o600) {
        return Err(Error::new(
            Code::Keys,
            format!(
                "the key file `{}` has mode {mode:04o}, which lets others at it; run `chmod 600 {}`",
                path.display(),
                path.display()
            ),
        ));
    }
    read_text(file).context(Code::Keys, cannot)
}

/// What a command writes.
fn run(command: &str) -> Result<Zeroizing<String>> {
    let failed = |why: String| Error::new(Code::Keys, format!("the key command {why}"));
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|cause| failed("cannot be started".to_owned()).because(cause))?;
    let (send, receive) = mpsc::channel();
    if let Some(output) = child.stdout.take() {
        std::thread::spawn(move || {
            // Nobody listens any more after the time is over.
            let _ = send.send(read_text(output));
        });
    }
    let Ok(text) = receive.recv_timeout(COMMAND_TIMEOUT) else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(failed(format!("took longer than {} s", COMMAND_TIMEOUT.as_secs())));
    };
    let status = child.wait().map_err(|cause| failed("was lost".to_owned()).because(cause))?;
    let text =
        text.map_err(|cause| failed("wrote what cannot be read".to_owned()).because(cause))?;
    if !status.success() {
        return Err(failed(format!("failed with {status}")));
    }
    Ok(text)
}

/// Reads a bounded text into memory that is wiped.
fn read_text(from: impl Read) -> std::io::Result<Zeroizing<String>> {
    // Room for all of it from the start, so that no copy is left behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(TEXT_LEN_MAX + 1));
    from.take(TEXT_LEN_MAX as u64 + 1).read_to_string(&mut text)?;
    if text.len() > TEXT_LEN_MAX {
        return Err(std::io::Error::new(ErrorKind::InvalidData, "it is too long for keys"));
    }
    Ok(text)
}

fn parse_key(hex: &str) -> Result<Secret<32>, String> {
    let mut key = Zeroizing::new([0; 32]);
    if hex.len() != 64 {
        return Err("a key has 64 hexadecimal digits".to_owned());
    }
    data_encoding::HEXLOWER_PERMISSIVE
        .decode_mut(hex.as_bytes(), key.as_mut_slice())
        .map_err(|_| "a key has 64 hexadecimal digits".to_owned())?;
    match published(&key) {
        Some(place) => Err(format!("this key is no secret: {place}; make one with `key init`")),
        None => Ok(Secret::new(*key)),
    }
}

/// The first line of the text form.
const HEADER: &str = "veilflight-keys 1";

/// What stands where a key came without its time.
const UNKNOWN_TIME: &str = "1970-01-01T00:00:00Z";

/// The longest text of keys, in bytes; some 500 epochs.
const TEXT_LEN_MAX: usize = 64 * 1024;

/// How long a command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Steps are unequal, so that the key does not count as published.
    fn hex(seed: u8) -> String {
        let key: Vec<u8> =
            (0_u8..32).map(|step| step.wrapping_mul(step).wrapping_add(seed)).collect();
        data_encoding::HEXLOWER.encode(&key)
    }

    fn refused(text: &str) -> String {
        let error = MasterKeys::parse(text, "the keys").unwrap_err();
        assert_eq!(error.code(), Code::Keys);
        error.to_string()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn the_text_form_reads_back_and_comments_are_skipped() {
        let text = format!(
            "# comment\n\nveilflight-keys 1\n1 2026-01-31T08:00:00Z {}\n3 2027-01-31T08:00:00Z {}\n",
            hex(1),
            hex(2).to_uppercase()
        );
        let keys = MasterKeys::parse(&text, "the keys").unwrap();
        let again = MasterKeys::parse(&keys.to_text(), "the keys").unwrap();
        assert_eq!(keys.ids().unwrap(), again.ids().unwrap());
        let ring = keys.into_ring().unwrap();
        assert_eq!(ring.epochs().collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn bare_digits_are_epoch_one() {
        let keys = MasterKeys::parse(&format!("{}\n", hex(1)), "the keys").unwrap();
        assert_eq!(keys.ids().unwrap()[0].epoch, 1);
        assert_eq!(keys.ids().unwrap()[0].created, None);
    }

    #[test]
    fn malformed_texts_are_refused_without_showing_them() {
        let key = hex(1);
        assert_eq!(refused(""), "the keys is empty");
        assert_eq!(refused("veilflight-keys 1\n"), "the keys holds no key");
        assert_eq!(
            refused(&format!("{key}\n{key}")),
            "the keys, line 1: the first line is not `veilflight-keys 1`"
        );
        let cases = [
            (format!("1 {key}"), "a line holds epoch, time and key"),
            (format!("x 2026-01-31T08:00:00Z {key}"), "the epoch is no number"),
            (format!("0 2026-01-31T08:00:00Z {key}"), "epochs start at 1 and grow"),
            (format!("1 yesterday {key}"), "the time is not of the form 2026-01-31T08:00:00Z"),
            ("1 2026-01-31T08:00:00Z 00ff".to_owned(), "a key has 64 hexadecimal digits"),
            (
                format!("1 2026-01-31T08:00:00Z {}", key.replace('0', "g")),
                "a key has 64 hexadecimal digits",
            ),
            (
                format!("1 2026-01-31T08:00:00Z {}", "00".repeat(32)),
                "this key is no secret: all bytes are equal; make one with `key init`",
            ),
        ];
        for (line, why) in cases {
            assert_eq!(
                refused(&format!("veilflight-keys 1\n{line}\n")),
                format!("the keys, line 2: {why}")
            );
        }
        let twice = format!("1 2026-01-31T08:00:00Z {key}\n").repeat(2);
        assert_eq!(
            refused(&format!("veilflight-keys 1\n{twice}")),
            "the keys, line 3: epochs start at 1 and grow"
        );
    }

    #[test]
    fn a_new_key_file_has_mode_0600_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let keys = MasterKeys::generate(1_800_000_000).unwrap();
        create_file(&path, &keys).unwrap();
        assert_eq!(mode(&path), 0o600);
        let loaded = Source::File(path.clone()).load().unwrap();
        assert_eq!(loaded.ids().unwrap(), keys.ids().unwrap());
        assert_eq!(loaded.ids().unwrap()[0].created.as_deref(), Some("2027-01-15T08:00:00Z"));
        let before = fs::read(&path).unwrap();
        let other = MasterKeys::generate(1_800_000_000).unwrap();
        assert_eq!(create_file(&path, &other).unwrap_err().code(), Code::Keys);
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_rotation_adds_an_epoch_and_keeps_the_old_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        create_file(&path, &MasterKeys::generate(0).unwrap()).unwrap();
        let mut keys = Source::File(path.clone()).load().unwrap();
        let before = keys.ids().unwrap();
        assert_eq!(keys.rotate(60).unwrap(), 2);
        replace_file(&path, &keys).unwrap();
        assert_eq!(mode(&path), 0o600);
        let after = Source::File(path.clone()).load().unwrap().ids().unwrap();
        assert_eq!(after.len(), 2);
        assert_eq!(after[0], before[0]);
        assert_ne!(after[1].id, before[0].id);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_rotation_that_meets_another_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        create_file(&path, &MasterKeys::generate(0).unwrap()).unwrap();
        let before = fs::read(&path).unwrap();
        fs::write(folder.path().join("master.key.new"), "").unwrap();
        let mut keys = Source::File(path.clone()).load().unwrap();
        keys.rotate(60).unwrap();
        assert_eq!(replace_file(&path, &keys).unwrap_err().code(), Code::Keys);
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused_with_the_command_to_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        create_file(&path, &MasterKeys::generate(0).unwrap()).unwrap();
        for (bits, fine) in [
            (0o400, true),
            (0o600, true),
            (0o640, false),
            (0o604, false),
            (0o700, false),
            (0o644, false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
            match Source::File(path.clone()).load() {
                Ok(_) => assert!(fine, "{bits:o}"),
                Err(error) => {
                    assert!(!fine, "{bits:o}");
                    let text = error.to_string();
                    assert!(text.contains(&format!("has mode {bits:04o}")), "{text}");
                    assert!(
                        text.ends_with(&format!("run `chmod 600 {}`", path.display())),
                        "{text}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_folder_is_no_key_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = Source::File(folder.path().to_owned()).load().unwrap_err();
        assert!(error.to_string().ends_with("is not a regular file"), "{error}");
    }

    #[test]
    fn a_command_gives_a_key_and_its_failure_is_told_without_its_output() {
        let keys = Source::Command(format!("echo {}", hex(9))).load().unwrap();
        assert_eq!(keys.ids().unwrap().len(), 1);
        let error = Source::Command(format!("echo {}; exit 3", hex(9))).load().unwrap_err();
        assert_eq!(error.to_string(), "the key command failed with exit status: 3");
        let error = Source::Command("head -c 100000 /dev/zero".to_owned()).load().unwrap_err();
        assert_eq!(error.to_string(), "the key command wrote what cannot be read");
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let error = Source::Environment("VEILFLIGHT_NOT_SET".to_owned()).load().unwrap_err();
        assert_eq!(error.to_string(), "the environment variable `VEILFLIGHT_NOT_SET` is not set");
    }

    #[test]
    fn nothing_secret_is_in_the_debug_form() {
        let keys = MasterKeys::parse(&hex(1), "the keys").unwrap();
        let shown = format!("{keys:?} {:?}", MasterKeys::parse(&hex(1), "k").unwrap().into_ring());
        assert!(shown.contains("Secret<32>(..)"));
        assert!(!shown.contains("01, 02, 05") && !shown.contains(&hex(1)), "{shown}");
    }
}
