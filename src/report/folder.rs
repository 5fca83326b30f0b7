//! The folder that a report is written into: every file appears whole or not at all, and none is replaced
//! unless asked. Says nothing about what is in the files.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::error::{Code, Context, Error, Result};

/// The folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    replace: bool,
    done: Vec<String>,
}

impl Folder {
    /// The folder at a path, made where there is none.
    ///
    /// # Errors
    /// [`Code::Usage`] when it cannot be made.
    pub fn open(path: &Path, replace: bool) -> Result<Self> {
        fs::create_dir_all(path)
            .context(Code::Usage, || format!("the folder `{}` cannot be made", path.display()))?;
        Ok(Self { path: path.to_owned(), replace, done: Vec::new() })
    }

    /// Looks whether a file of this name would be refused, before any work is done for it.
    ///
    /// # Errors
    /// [`Code::Usage`] when it is there and may not be replaced.
    pub fn refuse(&self, name: &str) -> Result<()> {
        let path = self.path.join(name);
        if !self.replace && path.symlink_metadata().is_ok() {
            return Err(exists(&path));
        }
        Ok(())
    }

    /// Begins a file. It has its name only once `Draft::keep` was called.
    ///
    /// # Errors
    /// [`Code::Usage`] when it is there and may not be replaced, or cannot be made.
    pub fn draft(&self, name: &str) -> Result<Draft> {
        self.refuse(name)?;
        let path = self.path.join(name);
        let fresh = self.path.join(format!(".{name}.part"));
        // What a run that was broken off left behind.
        let _ = fs::remove_file(&fresh);
        File::create_new(&fresh).context(Code::Usage, || cannot(&path))?;
        let waiting = Vec::new();
        Ok(Draft { waiting, most: BUFFER_BYTES, fresh, path, replace: self.replace })
    }

    /// Writes a whole file.
    ///
    /// # Errors
    /// As [`Self::draft`].
    pub fn write(&mut self, name: &str, content: &[u8]) -> Result<()> {
        let mut draft = self.draft(name)?;
        draft.write_all(content).context(Code::Usage, || cannot(&draft.path))?;
        self.keep(draft)
    }

    /// Gives a draft its name.
    ///
    /// # Errors
    /// [`Code::Usage`] when it cannot be written out.
    pub fn keep(&mut self, draft: Draft) -> Result<()> {
        let name = draft.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        draft.keep()?;
        self.done.push(name);
        Ok(())
    }

    /// The names of what was written, in order.
    pub fn done(&self) -> &[String] {
        &self.done
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What a draft waits with where nothing else is said.
const BUFFER_BYTES: usize = 1 << 18;

/// A file that has no name yet; dropped, it is gone. It is open only while it is written to, so that there
/// may be as many drafts at a time as a report has parts.
#[derive(Debug)]
pub struct Draft {
    waiting: Vec<u8>,
    most: usize,
    fresh: PathBuf,
    path: PathBuf,
    replace: bool,
}

impl Draft {
    fn keep(mut self) -> Result<()> {
        let write = || -> std::io::Result<()> {
            self.flush()?;
            OpenOptions::new().append(true).open(&self.fresh)?.sync_all()?;
            if self.replace {
                fs::rename(&self.fresh, &self.path)
            } else {
                // Unlike a rename this fails where somebody else made the file meanwhile.
                fs::hard_link(&self.fresh, &self.path)
            }
        };
        let mut write = write;
        write().map_err(|cause| match cause.kind() {
            ErrorKind::AlreadyExists => exists(&self.path),
            _ => Error::new(Code::Usage, cannot(&self.path)).because(cause),
        })
    }

    /// The same, with so many bytes that may wait in memory.
    #[must_use]
    pub fn waiting_with(mut self, bytes: usize) -> Self {
        self.most = bytes;
        self
    }

    /// The error for a failed write into it.
    pub fn failed(&self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::new(Code::Usage, cannot(&self.path)).because(cause)
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.waiting.len().saturating_add(bytes.len()) > self.most {
            self.flush()?;
        }
        self.waiting.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if !self.waiting.is_empty() {
            OpenOptions::new().append(true).open(&self.fresh)?.write_all(&self.waiting)?;
            self.waiting.clear();
        }
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a rename there is nothing of that name any more.
        let _ = fs::remove_file(&self.fresh);
    }
}

fn exists(path: &Path) -> Error {
    let text = format!("`{}` exists already; `--force` replaces it", path.display());
    Error::new(Code::Usage, text)
}

fn cannot(path: &Path) -> String {
    format!("`{}` cannot be written", path.display())
}

/// A name that is safe in any folder: letters, digits, `.`, `_` and `-`, of other characters `_`; not hidden,
/// and not longer than file systems take.
///
/// Two names may become one; [`Names`] tells them apart.
pub fn safe(name: &str) -> String {
    let safe: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
        .take(120)
        .collect();
    match safe.chars().next() {
        None => "_".to_owned(),
        Some('.' | '-') => format!("_{safe}"),
        Some(_) => safe,
    }
}

/// Safe names that are all different, also where a file system does not tell case.
#[derive(Debug, Default)]
pub struct Names(std::collections::BTreeSet<String>);

impl Names {
    /// [`safe`], with a number where it was given before.
    pub fn give(&mut self, name: &str) -> String {
        let base = safe(name);
        let mut given = base.clone();
        let mut number = 2_u32;
        while !self.0.insert(given.to_ascii_lowercase()) {
            given = format!("{base}-{number}");
            number = number.saturating_add(1);
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_whole_and_is_not_replaced_unless_asked() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/b");
        let mut folder = Folder::open(&path, false).unwrap();
        folder.write("x.txt", b"one").unwrap();
        let error = folder.write("x.txt", b"two").unwrap_err();
        assert!(error.to_string().ends_with("exists already; `--force` replaces it"), "{error}");
        assert_eq!(fs::read(path.join("x.txt")).unwrap(), b"one");
        Folder::open(&path, true).unwrap().write("x.txt", b"two").unwrap();
        assert_eq!(fs::read(path.join("x.txt")).unwrap(), b"two");
        // A draft that is given up leaves nothing, one that raced does not replace.
        let mut draft = folder.draft("y.txt").unwrap();
        draft.write_all(b"half").unwrap();
        drop(draft);
        let draft = folder.draft("z.txt").unwrap();
        fs::write(path.join("z.txt"), "theirs").unwrap();
        assert!(folder.keep(draft).is_err());
        assert_eq!(fs::read(path.join("z.txt")).unwrap(), b"theirs");
        let mut names: Vec<_> =
            fs::read_dir(&path).unwrap().map(|file| file.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["x.txt", "z.txt"]);
        assert_eq!(folder.done(), ["x.txt"]);
    }

    #[test]
    fn names_of_sites_are_safe_names_of_files() {
        assert_eq!(safe("FermiGrid"), "FermiGrid");
        assert_eq!(safe("../../etc/passwd"), "_.._.._etc_passwd");
        assert_eq!(safe("a b/c:d\u{e9}"), "a_b_c_d_");
        assert_eq!(safe(""), "_");
        assert!(safe(&"x".repeat(300)).len() <= 121);
        let mut names = Names::default();
        assert_eq!(
            [names.give("a/b"), names.give("a b"), names.give("A_B")],
            ["a_b", "a_b-2", "A_B-3"]
        );
    }
}
