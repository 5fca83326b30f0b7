//! The folder that queries, and counts of releases, write to what does not fit into memory. It is this process's own, nobody else
//! can look into it, and what an earlier process left behind is removed. Writes nothing itself.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::{Code, Context, Result};

/// What names of folders of ours begin with.
const PREFIX: &str = "veilflight-spill-";

/// The file in each that its process holds locked as long as it lives.
const LOCK: &str = "lock";

/// A folder below the one that the settings name; removed when dropped.
#[derive(Debug)]
pub(in crate::pipeline) struct Spill {
    folder: PathBuf,
    _lock: File,
}

impl Spill {
    /// A new folder in `parent`, which is made where it is missing.
    ///
    /// PRIVACY: what is spilled is policy output, keyed numbers of units at most; still it is for nobody's
    /// eyes. The folder is born with mode 0700.
    ///
    /// # Errors
    /// [`Code::Config`] when it cannot be made.
    pub(in crate::pipeline) fn new(parent: &Path) -> Result<Self> {
        let shown = || format!("nothing can be spilled to `{}`", parent.display());
        private().recursive(true).create(parent).context(Code::Config, shown)?;
        sweep(parent).context(Code::Config, shown)?;
        let mut name = [0; 8];
        getrandom::fill(&mut name).context(Code::Config, shown)?;
        let folder = parent.join(format!("{PREFIX}{}", data_encoding::HEXLOWER.encode(&name)));
        private().create(&folder).context(Code::Config, shown)?;
        let lock = File::create_new(folder.join(LOCK)).context(Code::Config, shown)?;
        lock.lock().context(Code::Config, shown)?;
        Ok(Self { folder, _lock: lock })
    }

    /// Where it is.
    pub(in crate::pipeline) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        // What cannot be removed now is removed at the next start.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn private() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// Removes the folders of processes that are no more. A folder that is not of ours, or whose process
/// lives, is left alone.
fn sweep(parent: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let folder = entry?.path();
        let ours = folder.file_name().and_then(|name| name.to_str());
        if !ours.is_some_and(|name| name.starts_with(PREFIX)) {
            continue;
        }
        let lock = folder.join(LOCK);
        // Without a lock it is being made at this very moment, or being removed.
        if File::open(lock).is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(&folder);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_a_dead_process_left_is_removed_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let dead = parent.path().join(format!("{PREFIX}dead"));
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        fs::write(dead.join("rows"), "spilled").unwrap();
        fs::write(parent.path().join("somebody's"), "").unwrap();
        let first = Spill::new(parent.path()).unwrap();
        let second = Spill::new(parent.path()).unwrap();
        assert!(!dead.exists());
        assert!(first.folder().exists() && second.folder().exists());
        assert!(parent.path().join("somebody's").exists());
        let mode = fs::metadata(first.folder()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let gone = first.folder().to_owned();
        drop(first);
        assert!(!gone.exists());
    }
}
