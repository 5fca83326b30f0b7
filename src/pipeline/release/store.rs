//! Where releases are: a folder a dataset, in it a folder a release and `current.json`, which says what is
//! served. Folders have mode 0700, files 0600, and a release is there whole or not at all. Builds nothing.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::{self, Manifest};
use super::pins::{self, Note, Pins, Withdrawn};
use super::steps;
use super::whole::Whole;
use crate::error::{Code, Context, Error, Result};
use crate::hashed::sha256;
use crate::keys::KeyRing;
use crate::pipeline::source::{self, Snapshot};
use crate::policy::Policy;
use crate::policy::plan::RELEASE_KEY;

/// The folder of releases in the folder of state.
pub const FOLDER: &str = "releases";

/// The folder in the folder of state where work that builds nothing puts aside what memory does not hold; the
/// query engine's, unless that was given another.
pub const SPILL: &str = "spill";

/// What folders of builds that are not complete begin with.
const PART: &str = ".build-";

/// The file that whoever changes the releases of a dataset holds locked.
const LOCK: &str = ".lock";

/// The releases of all datasets.
#[derive(Debug, Clone)]
pub struct Releases {
    folder: PathBuf,
    spill: PathBuf,
    ring: Arc<KeyRing>,
    whole: Arc<Whole>,
}

/// Something that was compared, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub what: String,
    /// What is wrong, where something is.
    pub wrong: Option<String>,
}

/// The right to change the releases of one dataset, held by one process at a time.
#[derive(Debug)]
pub struct Lock {
    dataset: String,
    _file: File,
}

impl Releases {
    /// The releases in a folder of state.
    pub fn new(state: &Path, ring: Arc<KeyRing>) -> Self {
        Self { folder: state.join(FOLDER), spill: state.join(SPILL), ring, whole: Arc::default() }
    }

    /// Where counts that build nothing may spill to.
    pub fn spill(&self) -> &Path {
        &self.spill
    }

    /// The keys that pins are proved with.
    pub(super) const fn ring(&self) -> &Arc<KeyRing> {
        &self.ring
    }

    /// The folder of a dataset. Names of datasets have no character that means something in a path.
    pub(super) fn dataset(&self, dataset: &str) -> PathBuf {
        self.folder.join(dataset)
    }

    /// The folder of a release.
    pub fn place(&self, dataset: &str, id: &str) -> PathBuf {
        self.dataset(dataset).join(id)
    }

    /// The datasets that have releases, by name.
    ///
    /// # Errors
    /// [`Code::State`] when the folder cannot be read.
    pub fn datasets(&self) -> Result<Vec<String>> {
        let failed = || unreadable(&self.folder);
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(Error::new(Code::State, failed()).because(cause)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.context(Code::State, failed)?;
            if entry.path().join(pins::FILE).exists() {
                names.extend(entry.file_name().to_str().map(str::to_owned));
            }
        }
        names.sort();
        Ok(names)
    }

    /// What is and was pinned of a dataset.
    ///
    /// # Errors
    /// [`Code::State`] when it cannot be read or is not authentic.
    pub fn pins(&self, dataset: &str) -> Result<Pins> {
        Pins::read(&self.dataset(dataset), dataset, &self.ring)
    }

    /// The manifest of a release that was pinned.
    ///
    /// # Errors
    /// [`Code::State`] when it is not the one that was written.
    pub fn manifest(&self, dataset: &str, note: &Note) -> Result<Manifest> {
        Manifest::read(&self.place(dataset, &note.id), &note.manifest_sha256)
    }

    /// The state of the release that is served for a policy, split into at most `shards_max` shards.
    ///
    /// INVARIANT: it is the pinned one; its manifest is that whose hash was pinned; its files are, byte by byte,
    /// those that the manifest says; and it was made by the rules of this policy. What is written later is
    /// noticed when a file is opened, by [`Snapshot::is_current`]. Hashes files that this process did not hash
    /// since they were written: not for an async task.
    ///
    /// # Errors
    /// [`Code::DatasetUnavailable`] when none is built, or the rules changed since; [`Code::State`] and
    /// [`Code::SourceUnreadable`] when something is not as it was written.
    pub fn snapshot(&self, policy: &Policy, shards_max: u32) -> Result<Snapshot> {
        let dataset = &policy.dataset;
        let build = || format!("`veilflight release build {dataset}` builds it");
        let unavailable = |what: String| Error::new(Code::DatasetUnavailable, what);
        let pins = self.pins(dataset)?;
        let note = pins.current().ok_or_else(|| {
            let withdrawn = pins.history.last().is_some_and(|note| note.withdrawn.is_some());
            let what = if withdrawn { "the release was withdrawn" } else { "no release is built" };
            unavailable(format!("{what} of `{dataset}`; {}", build()))
        })?;
        let asked = policy.release_digest();
        if asked.as_deref() != Some(note.release_digest.as_str()) {
            return Err(unavailable(format!(
                "release `{}` of `{dataset}` was made by other rules than its policy has now; {}",
                note.id,
                build()
            )));
        }
        let folder = self.place(dataset, &note.id);
        let manifest = self.manifest(dataset, note)?;
        if manifest.id != note.id || manifest.dataset != *dataset {
            let what = format!("the manifest in `{}` is of another release", folder.display());
            return Err(Error::new(Code::State, what));
        }
        for part in &manifest.files {
            let path = folder.join(&part.name);
            let (bytes, footer) = source::footer_of(&path)?;
            if bytes != part.bytes || manifest::digest(&footer) != part.footer_sha256 {
                return Err(changed(&path));
            }
        }
        let files: Vec<PathBuf> =
            manifest.files.iter().map(|part| folder.join(&part.name)).collect();
        let witness = self.dataset(dataset).join(pins::FILE);
        let name = [(RELEASE_KEY.to_owned(), note.id.clone())];
        let snapshot =
            source::stored(&files, &witness, name.into(), &note.manifest_sha256, shards_max)?;
        // After they are pinned, so that nothing is served that was written after it was hashed.
        self.as_built(&folder, &manifest)?;
        Ok(snapshot)
    }

    /// The files of a release.
    ///
    /// # Errors
    /// [`Code::SourceUnreadable`] when one is not what was built.
    pub fn files(&self, dataset: &str, manifest: &Manifest) -> Result<Vec<PathBuf>> {
        let folder = self.place(dataset, &manifest.id);
        self.as_built(&folder, manifest)?;
        Ok(manifest.files.iter().map(|part| folder.join(&part.name)).collect())
    }

    /// Whether every byte of every file is as it was built.
    fn as_built(&self, folder: &Path, manifest: &Manifest) -> Result<()> {
        for part in &manifest.files {
            let path = folder.join(&part.name);
            let found = self.whole.sha256(&path);
            if found.context(Code::SourceUnreadable, || unreadable(&path))? != part.sha256 {
                return Err(changed(&path));
            }
        }
        Ok(())
    }

    /// Whether the files of a release are those that were built. Where `policy` still has its rules, they
    /// are measured again too. `told` hears of bytes.
    ///
    /// # Errors
    /// When the manifest is not the one that was pinned, or files cannot be read.
    pub fn verify(
        &self,
        dataset: &str,
        note: &Note,
        policy: Option<&Policy>,
        told: &dyn Fn(u64),
    ) -> Result<Vec<Check>> {
        let manifest = self.manifest(dataset, note)?;
        let folder = self.place(dataset, &note.id);
        let mut checks = vec![Check { what: "manifest".to_owned(), wrong: None }];
        let mut paths = Vec::new();
        for part in &manifest.files {
            let path = folder.join(&part.name);
            let wrong = match File::open(&path) {
                Err(cause) if cause.kind() == ErrorKind::NotFound => {
                    Some("it is not there".to_owned())
                }
                Err(cause) => Some(cause.to_string()),
                Ok(file) => {
                    let failed = || unreadable(&path);
                    let found = sha256(file, &|| false).context(Code::State, failed)?;
                    let differs = "it is not the file that was built".to_owned();
                    (found != part.sha256).then_some(differs)
                }
            };
            told(part.bytes);
            checks.push(Check { what: part.name.clone(), wrong });
            paths.push(path);
        }
        let policy = policy.filter(|policy| {
            policy.release_digest().as_deref() == Some(note.release_digest.as_str())
        });
        if let Some((policy, rules)) =
            policy.and_then(|policy| Some((policy, policy.release.as_ref()?)))
            && checks.iter().all(|check| check.wrong.is_none())
        {
            let wrong = steps::measure_again(policy, rules, &manifest, &paths)?;
            checks.push(Check { what: "guarantees".to_owned(), wrong });
        }
        Ok(checks)
    }

    /// The right to change the releases of a dataset, whose folder is made where there is none.
    ///
    /// # Errors
    /// [`Code::Usage`] when another process has it, [`Code::State`] when the folder cannot be used.
    pub fn lock(&self, dataset: &str) -> Result<Lock> {
        let folder = self.dataset(dataset);
        let failed = || format!("`{}` cannot be used", folder.display());
        private_folder().recursive(true).create(&folder).context(Code::State, failed)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(folder.join(LOCK)).context(Code::State, failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { dataset: dataset.to_owned(), _file: file }),
            Err(TryLockError::WouldBlock) => {
                let what = format!("another process builds or withdraws a release of `{dataset}`");
                Err(Error::new(Code::Usage, what))
            }
            Err(TryLockError::Error(cause)) => {
                Err(Error::new(Code::State, failed()).because(cause))
            }
        }
    }

    /// The folder that a release is built in: that of a build that was broken off, where it is of the same
    /// release. Others of the dataset are removed.
    pub(super) fn part(&self, lock: &Lock, id: &str) -> Result<PathBuf> {
        let folder = self.dataset(&lock.dataset);
        let failed = || unreadable(&folder);
        let own = format!("{PART}{id}");
        for entry in fs::read_dir(&folder).context(Code::State, failed)? {
            let entry = entry.context(Code::State, failed)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(PART) && name != own {
                fs::remove_dir_all(entry.path()).context(Code::State, failed)?;
            }
        }
        let part = folder.join(own);
        private_folder().recursive(true).create(&part).context(Code::State, failed)?;
        Ok(part)
    }

    /// Moves a complete release to its place and pins it: from now on it is served. Files of the release
    /// before are removed unless `keep` says otherwise; its note stays.
    ///
    /// INVARIANT: the release is on the disk before it is pinned, and pinned in one step.
    pub(super) fn publish(&self, lock: &Lock, part: &Path, note: Note, keep: bool) -> Result<()> {
        let folder = self.dataset(&lock.dataset);
        let place = folder.join(&note.id);
        let failed = || format!("`{}` cannot be put in place", place.display());
        settle(part)?;
        if place.exists() {
            // What a withdrawal kept of the same release.
            fs::remove_dir_all(&place).context(Code::State, failed)?;
        }
        fs::rename(part, &place).context(Code::State, failed)?;
        settle(&folder)?;
        let mut pins = self.pins(&lock.dataset)?;
        let mut old = Vec::new();
        for before in pins.history.iter_mut().filter(|before| before.stored) {
            let same = before.id == note.id;
            if same || (!keep && before.withdrawn.is_none()) {
                before.stored = false;
                old.extend((!same).then(|| before.id.clone()));
            }
        }
        pins.current = Some(note.id.clone());
        pins.history.push(note);
        pins.write(&folder, &self.ring)?;
        old.iter().try_for_each(|id| self.clear(&lock.dataset, id))
    }

    /// Takes the release that is served, or the one of this name, out of service. Its note stays, and its
    /// files where `keep` says so.
    ///
    /// # Errors
    /// [`Code::Usage`] when there is none, or it was withdrawn before.
    pub fn withdraw(&self, lock: &Lock, id: &str, why: Withdrawn, keep: bool) -> Result<()> {
        let dataset = &lock.dataset;
        let mut pins = self.pins(dataset)?;
        let missing = || Error::new(Code::Usage, format!("`{dataset}` has no release `{id}`"));
        let note = pins.history.iter_mut().rev().find(|note| note.id == id).ok_or_else(missing)?;
        if let Some(before) = &note.withdrawn
            && (keep || !note.stored)
        {
            let what = format!("release `{id}` of `{dataset}` was withdrawn on {}", before.date);
            return Err(Error::new(Code::Usage, what));
        }
        note.withdrawn.get_or_insert(why);
        let remove = note.stored && !keep;
        note.stored &= keep;
        if pins.current.as_deref() == Some(id) {
            pins.current = None;
        }
        pins.write(&self.dataset(dataset), &self.ring)?;
        if remove { self.clear(dataset, id) } else { Ok(()) }
    }

    /// Removes the rows of a release; its manifest stays for whoever asks what was released.
    fn clear(&self, dataset: &str, id: &str) -> Result<()> {
        let folder = self.place(dataset, id);
        let failed = || unreadable(&folder);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
            Err(cause) => return Err(Error::new(Code::State, failed()).because(cause)),
        };
        for entry in entries {
            let path = entry.context(Code::State, failed)?.path();
            if path.file_name().is_some_and(|name| name != manifest::FILE) {
                fs::remove_file(&path).context(Code::State, failed)?;
            }
        }
        settle(&folder)
    }
}

impl Lock {
    /// Whose releases may be changed.
    pub fn dataset(&self) -> &str {
        &self.dataset
    }
}

/// The levels of a manifest by column.
pub(super) fn levels(manifest: &Manifest) -> BTreeMap<String, u32> {
    manifest.levels.iter().map(|level| (level.column.clone(), level.level)).collect()
}

fn changed(path: &Path) -> Error {
    let what = format!(
        "`{}` is not the file that was built; withdraw the release and build it again",
        path.display()
    );
    Error::new(Code::SourceUnreadable, what)
}

fn unreadable(folder: &Path) -> String {
    format!("`{}` cannot be read", folder.display())
}

/// A folder for nobody else's eyes.
pub(super) fn private_folder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// A new file for nobody else's eyes; it is born so.
pub(super) fn private_file(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.create_new(true).read(true).write(true).mode(0o600);
    options.open(path).context(Code::State, || format!("`{}` cannot be made", path.display()))
}

/// Writes a small file whole or not at all, in the place of the one before.
pub(super) fn write_private(folder: &Path, name: &str, text: &[u8]) -> Result<()> {
    write_private_by(folder, name, |file| file.write_all(text))
}

/// The same of a file that is written bit by bit.
pub(super) fn write_private_by(
    folder: &Path,
    name: &str,
    write: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> Result<()> {
    let (path, new) = (folder.join(name), folder.join(format!(".{name}.new")));
    let failed = || format!("`{}` cannot be written", path.display());
    match fs::remove_file(&new) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => {
            return Err(Error::new(Code::State, failed()).because(cause));
        }
        _ => {}
    }
    let mut file = private_file(&new)?;
    write(&mut file).context(Code::State, failed)?;
    file.sync_all().context(Code::State, failed)?;
    fs::rename(&new, &path).context(Code::State, failed)?;
    settle(folder)
}

/// Has a folder remember its names, where file systems can be told so.
pub(super) fn settle(folder: &Path) -> Result<()> {
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}
