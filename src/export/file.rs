//! Files and folders that appear whole or not at all, and never in the place of another unless asked:
//! written beside their place under a name of their own, hashed on the way, then moved. Knows no format.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use flate2::write::GzEncoder;

use super::unwritable;
use crate::error::{Code, Context, Error, Result};
use crate::hashed::Hashed;

/// What a text file is compressed with, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// `.gz`.
    Gzip,
    /// Anything else.
    None,
    /// `.zst` and `.zstd`.
    Zstd,
}

impl Compression {
    /// What the end of a name says.
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|end| end.to_str()) {
            Some("gz") => Self::Gzip,
            Some("zst" | "zstd") => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// Where something is to appear.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    force: bool,
}

impl Place {
    /// A place that is free, or whose content may go where `force` says so.
    ///
    /// # Errors
    /// [`Code::Usage`] when something is there, or the folder around it is not.
    pub fn new(path: &Path, force: bool) -> Result<Self> {
        let place = Self { path: path.to_owned(), force };
        if path.file_name().is_none() {
            return Err(Error::new(Code::Usage, format!("`{}` is no name", path.display())));
        }
        if !force && path.symlink_metadata().is_ok() {
            return Err(place.taken());
        }
        let around = place.around();
        if !around.is_dir() {
            let what = format!("there is no folder `{}`", around.display());
            return Err(Error::new(Code::Usage, what));
        }
        Ok(place)
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A new file beside the place.
    ///
    /// # Errors
    /// [`Code::Usage`] when it cannot be made.
    pub fn file(&self) -> Result<Fresh> {
        Fresh::create(&self.beside()?)
    }

    /// As [`Self::file`], for the custodian's eyes alone: born with mode 0600.
    ///
    /// # Errors
    /// [`Code::Usage`] when it cannot be made.
    pub(super) fn private_file(&self) -> Result<Fresh> {
        Fresh::born(&self.beside()?, OpenOptions::new().mode(0o600))
    }

    /// A new folder beside the place; gone when dropped before it was published.
    ///
    /// # Errors
    /// [`Code::Usage`] when it cannot be made.
    pub(super) fn folder(&self) -> Result<FreshFolder> {
        let path = self.beside()?;
        fs::create_dir(&path).context(Code::Usage, unwritable(&path))?;
        Ok(FreshFolder { path, kept: false })
    }

    /// Moves a complete file to the place.
    ///
    /// # Errors
    /// [`Code::Usage`] when something came there meanwhile, or it cannot be moved.
    pub fn publish_file(&self, mut fresh: Fresh) -> Result<()> {
        if self.path.is_dir() {
            return Err(self.taken());
        }
        if self.force {
            fs::rename(&fresh.path, &self.path).context(Code::Usage, unwritable(&self.path))?;
        } else {
            // A second name for it, unlike a move, never takes the place of what came meanwhile.
            match fs::hard_link(&fresh.path, &self.path) {
                Ok(()) => {}
                Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(self.taken());
                }
                // Some file systems have no second names.
                Err(_) if self.path.symlink_metadata().is_err() => {
                    fs::rename(&fresh.path, &self.path)
                        .context(Code::Usage, unwritable(&self.path))?;
                }
                Err(_) => return Err(self.taken()),
            }
            let _ = fs::remove_file(&fresh.path);
        }
        fresh.kept = true;
        self.settle();
        Ok(())
    }

    /// Moves a complete folder to the place.
    pub(super) fn publish_folder(&self, mut fresh: FreshFolder) -> Result<()> {
        let there = self.path.symlink_metadata().is_ok();
        if there && !self.force {
            return Err(self.taken());
        }
        let failed = unwritable(&self.path);
        if there {
            let old = self.beside()?;
            fs::rename(&self.path, &old).context(Code::Usage, failed)?;
            if let Err(cause) = fs::rename(&fresh.path, &self.path) {
                let _ = fs::rename(&old, &self.path);
                return Err(Error::new(Code::Usage, unwritable(&self.path)()).because(cause));
            }
            let removed =
                if old.is_dir() { fs::remove_dir_all(&old) } else { fs::remove_file(&old) };
            removed.context(Code::Usage, || {
                format!("what was replaced is left at `{}`", old.display())
            })?;
        } else {
            fs::rename(&fresh.path, &self.path).context(Code::Usage, failed)?;
        }
        fresh.kept = true;
        self.settle();
        Ok(())
    }

    fn taken(&self) -> Error {
        let what = format!("`{}` is there already; `--force` replaces it", self.path.display());
        Error::new(Code::Usage, what)
    }

    fn around(&self) -> &Path {
        match self.path.parent() {
            Some(around) if around.as_os_str().is_empty() => Path::new("."),
            Some(around) => around,
            None => Path::new("."),
        }
    }

    /// A name in the same folder that nobody has.
    fn beside(&self) -> Result<PathBuf> {
        let mut random = [0; 6];
        getrandom::fill(&mut random).context(Code::Usage, unwritable(&self.path))?;
        let own = self.path.file_name().unwrap_or_default().to_string_lossy();
        let name = format!(".{own}.{}.part", HEXLOWER.encode(&random));
        Ok(self.around().join(name))
    }

    /// Has the folder remember the name, where file systems can be told so.
    fn settle(&self) {
        let _ = File::open(self.around()).and_then(|folder| folder.sync_all());
    }
}

/// A folder that is being filled.
#[derive(Debug)]
pub(super) struct FreshFolder {
    path: PathBuf,
    kept: bool,
}

impl FreshFolder {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for FreshFolder {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// A file that is being written; gone when dropped before it was published.
pub struct Fresh {
    path: PathBuf,
    coder: Coder,
    kept: bool,
}

enum Coder {
    Gzip(GzEncoder<Hashed>),
    None(Hashed),
    Over,
    Zstd(zstd::Encoder<'static, Hashed>),
}

impl std::fmt::Debug for Fresh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fresh").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Fresh {
    /// A new file, with the mode that the user's mask gives.
    pub(super) fn create(path: &Path) -> Result<Self> {
        Self::born(path, &mut OpenOptions::new())
    }

    fn born(path: &Path, options: &mut OpenOptions) -> Result<Self> {
        let file = options.write(true).create_new(true).open(path);
        let file = file.context(Code::Usage, unwritable(path))?;
        Ok(Self { path: path.to_owned(), coder: Coder::None(Hashed::new(file)), kept: false })
    }

    /// The same file, compressed. For one to which nothing was written.
    pub(super) fn compressed(mut self, compression: Compression) -> Result<Self> {
        self.coder = match (std::mem::replace(&mut self.coder, Coder::Over), compression) {
            (Coder::None(file), Compression::Gzip) => {
                Coder::Gzip(GzEncoder::new(file, flate2::Compression::default()))
            }
            (Coder::None(file), Compression::Zstd) => {
                let coder = zstd::Encoder::new(file, zstd::DEFAULT_COMPRESSION_LEVEL);
                Coder::Zstd(coder.context(Code::Usage, unwritable(&self.path))?)
            }
            (coder, _) => coder,
        };
        Ok(self)
    }

    /// Ends the file, has it written to the disk, and gives its size and SHA-256.
    ///
    /// # Errors
    /// [`Code::Usage`] when it cannot be written.
    pub fn complete(&mut self) -> Result<(u64, String)> {
        let mut ended = || -> io::Result<(u64, String)> {
            let file = match std::mem::replace(&mut self.coder, Coder::Over) {
                Coder::Gzip(coder) => coder.finish()?,
                Coder::None(file) => file,
                Coder::Over => return Err(io::Error::other("it was ended before")),
                Coder::Zstd(coder) => coder.finish()?,
            };
            file.finish()
        };
        ended().context(Code::Usage, unwritable(&self.path))
    }

    /// Leaves a complete file where it is.
    pub(super) fn keep(mut self) -> Result<()> {
        self.kept = true;
        Ok(())
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Write for Fresh {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.coder {
            Coder::Gzip(coder) => coder.write(bytes),
            Coder::None(file) => file.write(bytes),
            Coder::Over => Err(io::Error::other("it was ended before")),
            Coder::Zstd(coder) => coder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.coder {
            Coder::Gzip(coder) => coder.flush(),
            Coder::None(file) => file.flush(),
            Coder::Over => Ok(()),
            Coder::Zstd(coder) => coder.flush(),
        }
    }
}
