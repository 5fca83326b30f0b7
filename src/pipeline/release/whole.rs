//! Whether files of releases are those that were built, page by page: each is hashed when a process opens it first,
//! and again when it was written since. Knows no format, and does not say which hash a file should have.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::hashed::sha256;

/// The hashes of files as they were last read.
#[derive(Debug, Default)]
pub(super) struct Whole {
    known: Mutex<BTreeMap<PathBuf, Slot>>,
}

/// What is known of one file; whoever asks while it is hashed waits for that hash.
type Slot = Arc<Mutex<Option<Known>>>;

#[derive(Debug)]
struct Known {
    stamp: Stamp,
    sha256: String,
}

/// Which file it is, and when it was written. The time of change is in it, which nobody can set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            bytes: meta.len(),
            written: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

impl Whole {
    /// The SHA-256 of a file as it is now. Reads all of it, unless this was done since it was written. Blocks: not for
    /// an async task.
    ///
    /// # Errors
    /// When the file cannot be read, or is written while it is read.
    pub(super) fn sha256(&self, path: &Path) -> io::Result<String> {
        self.by(path, |file| sha256(file, &|| false))
    }

    fn by(&self, path: &Path, hash: impl FnOnce(File) -> io::Result<String>) -> io::Result<String> {
        let slot = self.slot(path);
        let mut known = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let file = File::open(path)?;
        let stamp = Stamp::of(&file.metadata()?);
        if let Some(known) = known.as_ref().filter(|known| known.stamp == stamp) {
            return Ok(known.sha256.clone());
        }
        *known = None;
        let sha256 = hash(file)?;
        if Stamp::of(&std::fs::metadata(path)?) != stamp {
            return Err(io::Error::other("it was written while it was read"));
        }
        tracing::info!(file = %path.display(), bytes = stamp.bytes, "hashed a file of a release");
        *known = Some(Known { stamp, sha256: sha256.clone() });
        Ok(sha256)
    }

    fn slot(&self, path: &Path) -> Slot {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(path) {
            // Files of releases that went are forgotten when one comes.
            known.retain(|path, _| path.exists());
        }
        Arc::clone(known.entry(path.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A file, and how often it was hashed.
    struct Scene {
        folder: tempfile::TempDir,
        whole: Whole,
        hashed: AtomicUsize,
    }

    impl Scene {
        fn new(text: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("a"), text).unwrap();
            Self { folder, whole: Whole::default(), hashed: AtomicUsize::new(0) }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("a")
        }

        fn ask(&self) -> io::Result<String> {
            self.whole.by(&self.path(), |file| {
                self.hashed.fetch_add(1, Ordering::Relaxed);
                sha256(file, &|| false)
            })
        }

        fn hashed(&self) -> usize {
            self.hashed.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_file_is_hashed_once_and_again_when_it_was_written() {
        let scene = Scene::new("abc");
        let first = scene.ask().unwrap();
        assert!(first.starts_with("ba7816bf8f01cfea"), "{first}");
        assert_eq!(scene.ask().unwrap(), first);
        assert_eq!(scene.hashed(), 1);
        fs::write(scene.path(), "abd").unwrap();
        assert_ne!(scene.ask().unwrap(), first);
        // Another file in its place, with the same bytes as at first.
        fs::write(scene.folder.path().join("b"), "abc").unwrap();
        fs::rename(scene.folder.path().join("b"), scene.path()).unwrap();
        assert_eq!(scene.ask().unwrap(), first);
        assert_eq!(scene.hashed(), 3);
        fs::remove_file(scene.path()).unwrap();
        assert!(scene.ask().is_err());
    }

    #[test]
    fn who_sets_the_time_back_after_a_change_is_noticed() {
        let scene = Scene::new("abc");
        let first = scene.ask().unwrap();
        let before = fs::metadata(scene.path()).unwrap().modified().unwrap();
        fs::write(scene.path(), "abd").unwrap();
        let file = File::options().write(true).open(scene.path()).unwrap();
        file.set_modified(before).unwrap();
        assert_eq!(fs::metadata(scene.path()).unwrap().modified().unwrap(), before);
        assert_ne!(scene.ask().unwrap(), first);
    }

    #[test]
    fn many_who_ask_at_once_share_one_hash() {
        let scene = Scene::new(&"long ".repeat(400_000));
        std::thread::scope(|scope| {
            let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| scene.ask().unwrap())).collect();
            let mut found: Vec<String> = asked.into_iter().map(|one| one.join().unwrap()).collect();
            found.dedup();
            assert_eq!(found.len(), 1);
        });
        assert_eq!(scene.hashed(), 1);
    }

    #[test]
    fn what_is_written_while_it_is_hashed_is_not_believed() {
        let scene = Scene::new("abc");
        let wrong = scene.whole.by(&scene.path(), |file| {
            let hash = sha256(file, &|| false);
            fs::write(scene.path(), "abcd").unwrap();
            hash
        });
        assert!(wrong.is_err());
        assert_eq!(scene.hashed(), 0);
        scene.ask().unwrap();
        assert_eq!(scene.hashed(), 1, "nothing was remembered");
    }
}
