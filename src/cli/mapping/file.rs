//! A file that only its owner can read, from its first moment on, and that is there whole or not at all.
//! Does not know what stands in it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Code, Context, Error, Result};

/// A file that is being written beside the place where it will be. Dropped unfinished, it is gone.
pub(super) struct PrivateFile {
    file: File,
    beside: PathBuf,
    path: PathBuf,
    overwrite: bool,
    done: bool,
}

impl PrivateFile {
    /// Begins a file with mode 0600.
    ///
    /// # Errors
    /// [`Code::Usage`] when there is a file and it may not be replaced, or none can be made.
    pub(super) fn begin(path: &Path, overwrite: bool) -> Result<Self> {
        if !overwrite && fs::symlink_metadata(path).is_ok() {
            return Err(exists(path));
        }
        let name = path.file_name().ok_or_else(|| {
            Error::new(Code::Usage, format!("`{}` names no file", path.display()))
        })?;
        let mut beside = std::ffi::OsString::from(".");
        beside.push(name);
        beside.push(format!(".{}.new", std::process::id()));
        let beside = path.with_file_name(beside);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)
            .context(Code::Usage, || format!("`{}` cannot be made", beside.display()))?;
        Ok(Self { file, beside, path: path.to_owned(), overwrite, done: false })
    }

    /// Puts the file in its place, durably.
    ///
    /// # Errors
    /// [`Code::Usage`] when another came meanwhile and may not be replaced, or it cannot be written.
    pub(super) fn finish(mut self) -> Result<()> {
        let failed = || format!("`{}` cannot be written", self.path.display());
        self.file.sync_all().context(Code::Usage, failed)?;
        // A second name fails where there is a file, which a rename would replace. Some file systems, such
        // as those of memory sticks, have no second names; there a look has to do.
        let second =
            if self.overwrite { None } else { fs::hard_link(&self.beside, &self.path).err() };
        let rename = match second {
            None => self.overwrite,
            Some(_) if fs::symlink_metadata(&self.path).is_ok() => return Err(exists(&self.path)),
            Some(_) => true,
        };
        if rename {
            fs::rename(&self.beside, &self.path).context(Code::Usage, failed)?;
            self.done = true;
        }
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))
            .and_then(|folder| folder.sync_all())
            .context(Code::Usage, failed)
    }
}

fn exists(path: &Path) -> Error {
    let what = format!("`{}` exists; `--overwrite` replaces it", path.display());
    Error::new(Code::Usage, what)
}

impl Write for PrivateFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        if !self.done {
            // The half-written file, or the first of its two names.
            let _ = fs::remove_file(&self.beside);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_born_private_and_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.txt");
        let mut file = PrivateFile::begin(&path, false).unwrap();
        file.write_all(b"secret").unwrap();
        assert!(!path.exists());
        let [beside] = &names(folder.path())[..] else { panic!("one file") };
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&folder.path().join(beside)), 0o600);
        file.finish().unwrap();
        assert_eq!(names(folder.path()), ["map.txt"]);
        assert_eq!((mode(&path), fs::read(&path).unwrap()), (0o600, b"secret".to_vec()));
        // One that is given up leaves nothing.
        let mut file = PrivateFile::begin(&folder.path().join("other"), false).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(names(folder.path()), ["map.txt"]);
    }

    #[test]
    fn a_file_is_replaced_only_when_told_even_if_it_comes_in_between() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.txt");
        let early = PrivateFile::begin(&path, false).unwrap();
        fs::write(&path, "theirs").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = |result: Result<()>| result.unwrap_err().to_string();
        let sentence = format!("`{}` exists; `--overwrite` replaces it", path.display());
        assert_eq!(refused(early.finish()), sentence);
        assert_eq!(refused(PrivateFile::begin(&path, false).map(drop)), sentence);
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
        let mut file = PrivateFile::begin(&path, true).unwrap();
        file.write_all(b"ours").unwrap();
        file.finish().unwrap();
        assert_eq!(names(folder.path()), ["map.txt"]);
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode, fs::read(&path).unwrap()), (0o600, b"ours".to_vec()));
    }
}
