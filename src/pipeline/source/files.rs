//! Paths of a policy to files on disk, each pinned by size and time of change so that a file that is
//! replaced while it is served is noticed. Does not look inside.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Code, Context, Error, Result};

/// A file as it was when the snapshot was taken.
#[derive(Debug, Clone)]
pub(crate) struct PinnedFile {
    path: PathBuf,
    len: u64,
    changed: (i64, i64),
    inode: u64,
}

impl PinnedFile {
    pub(super) fn pin(path: &Path) -> Result<Self> {
        let meta = fs::metadata(path).context(Code::SourceUnreadable, || shown("look at", path))?;
        if !meta.is_file() {
            return Err(Error::new(
                Code::SourceUnreadable,
                format!("`{}` is no file", path.display()),
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            len: meta.len(),
            changed: (meta.mtime(), meta.mtime_nsec()),
            inode: meta.ino(),
        })
    }

    /// Opens the file, if it is still the one that was pinned.
    pub(crate) fn open(&self) -> Result<File> {
        let file =
            File::open(&self.path).context(Code::SourceUnreadable, || shown("open", &self.path))?;
        let meta =
            file.metadata().context(Code::SourceUnreadable, || shown("look at", &self.path))?;
        let same = meta.len() == self.len
            && (meta.mtime(), meta.mtime_nsec()) == self.changed
            && meta.ino() == self.inode;
        if !same {
            return Err(Error::new(
                Code::SourceUnreadable,
                format!("`{}` changed after its snapshot was taken", self.path.display()),
            ));
        }
        Ok(file)
    }

    /// Adds which file it is and when it was written.
    pub(super) fn stamp(&self, digest: &mut Sha256) {
        digest.update((self.path.as_os_str().len() as u64).to_le_bytes());
        digest.update(self.path.as_os_str().as_encoded_bytes());
        digest.update(self.len.to_le_bytes());
        digest.update(self.changed.0.to_le_bytes());
        digest.update(self.changed.1.to_le_bytes());
        digest.update(self.inode.to_le_bytes());
    }

    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// The files behind paths, folders and globs, each once, in the order of their names.
///
/// A folder stands for all files below it that end in `.extension`, or for all files where
/// `extension` is empty; names that begin with a dot or an underscore are passed over, as writers use
/// them for what is not data.
pub(in crate::pipeline) fn find(
    folder: &Path,
    paths: &[String],
    extension: &str,
) -> Result<Vec<PathBuf>> {
    let mut found = BTreeSet::new();
    for written in paths {
        if written.contains("://") {
            return Err(Error::new(
                Code::SourceUnreadable,
                format!("`{written}`: object stores are not supported yet; use a path"),
            ));
        }
        let path = folder.join(written);
        let before = found.len();
        if path.is_dir() {
            walk(&path, extension, &mut found)?;
        } else if path.is_file() {
            found.insert(path);
        } else {
            let pattern = path.to_string_lossy();
            let matches = glob::glob(&pattern)
                .context(Code::SourceUnreadable, || format!("`{written}` is no valid pattern"))?;
            for entry in matches {
                let path =
                    entry.context(Code::SourceUnreadable, || format!("read below `{written}`"))?;
                if path.is_file() && !hidden(&path) {
                    found.insert(path);
                }
            }
        }
        if found.len() == before {
            return Err(Error::new(
                Code::SourceUnreadable,
                format!("no file at `{}`", folder.join(written).display()),
            ));
        }
    }
    Ok(found.into_iter().collect())
}

fn walk(folder: &Path, extension: &str, found: &mut BTreeSet<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).context(Code::SourceUnreadable, || shown("list", folder))?;
    for entry in entries {
        let path = entry.context(Code::SourceUnreadable, || shown("list", folder))?.path();
        if hidden(&path) {
            continue;
        }
        if path.is_dir() {
            walk(&path, extension, found)?;
        } else if extension.is_empty() || path.extension().is_some_and(|end| end == extension) {
            found.insert(path);
        }
    }
    Ok(())
}

fn hidden(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_none_or(|name| name.starts_with('.') || name.starts_with('_'))
}

fn shown(verb: &str, path: &Path) -> String {
    format!("{verb} `{}`", path.display())
}
