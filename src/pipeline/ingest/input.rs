//! An input file: where it is, what it was when the run began, and its text, unpacked and without a
//! byte-order mark. Knows no formats.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Code, Context, Error, Result};

const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];
const GZIP: [u8; 2] = [0x1F, 0x8B];
/// How many bytes at the beginning are hashed, beside size and time.
const START_BYTES: u64 = 1 << 16;

/// What tells whether a file is still the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stamp {
    /// Where it is, from the root.
    pub path: PathBuf,
    /// Its length as it lies there.
    pub bytes: u64,
    /// When it was written, in nanoseconds since 1970.
    pub modified: u64,
    /// SHA-256 of its first 64 KiB.
    pub start: String,
}

/// An input file.
#[derive(Debug, Clone)]
pub struct Input {
    stamp: Stamp,
    packed: bool,
}

/// The text of an input; says how much of the file as it lies there was read.
pub trait Text: Read + Send {}

impl<T: Read + Send> Text for T {}

impl Input {
    /// Looks at a file.
    ///
    /// # Errors
    /// When it is missing, no file, cannot be read or is packed by something other than gzip.
    pub fn look(path: &Path) -> Result<Self> {
        let naming = || format!("`{}` cannot be read", path.display());
        let path = std::fs::canonicalize(path).context(Code::SourceUnreadable, naming)?;
        let mut file = File::open(&path).context(Code::SourceUnreadable, naming)?;
        let metadata = file.metadata().context(Code::SourceUnreadable, naming)?;
        if !metadata.is_file() {
            let text = format!("`{}` is no file; name the files in it", path.display());
            return Err(Error::new(Code::Usage, text));
        }
        let modified = metadata.modified().context(Code::SourceUnreadable, naming)?;
        let modified = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let mut start = Vec::new();
        file.by_ref()
            .take(START_BYTES)
            .read_to_end(&mut start)
            .context(Code::SourceUnreadable, naming)?;
        if let Some(what) = refused(&start) {
            let text = format!("`{}` is {what}", path.display());
            return Err(Error::new(Code::Usage, text));
        }
        let stamp = Stamp {
            bytes: metadata.len(),
            modified: u64::try_from(modified).unwrap_or(u64::MAX),
            start: data_encoding::HEXLOWER.encode(&Sha256::digest(&start)),
            path,
        };
        Ok(Self { stamp, packed: start.starts_with(&GZIP) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.stamp.path
    }

    /// What tells whether it is still the same.
    pub const fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// Its name without folders and without the endings `.gz`, `.csv`, `.log` and the like.
    pub fn stem(&self) -> String {
        let name = self.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        if stem.is_empty() { name.to_owned() } else { stem.to_owned() }
    }

    /// Its text from the first character on; bytes read of the file itself are told to `seen`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(&self, seen: impl FnMut(u64) + Send + 'static) -> Result<Box<dyn Text>> {
        let naming = || format!("`{}` cannot be read", self.path().display());
        let file = File::open(self.path()).context(Code::SourceUnreadable, naming)?;
        let file = Counted { file, seen };
        if self.packed {
            let unpacked = MultiGzDecoder::new(BufReader::with_capacity(1 << 18, file));
            without_mark(unpacked).context(Code::SourceUnreadable, naming)
        } else {
            without_mark(file).context(Code::SourceUnreadable, naming)
        }
    }

    /// The first bytes of its text, at most so many.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn head(&self, bytes: usize) -> Result<Vec<u8>> {
        let naming = || format!("`{}` cannot be read", self.path().display());
        let mut head = Vec::new();
        let text = self.open(|_| ())?;
        let most = u64::try_from(bytes).unwrap_or(u64::MAX);
        text.take(most).read_to_end(&mut head).context(Code::SourceUnreadable, naming)?;
        Ok(head)
    }
}

/// Tells how much was read.
struct Counted<F> {
    file: File,
    seen: F,
}

impl<F: FnMut(u64)> Read for Counted<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        (self.seen)(count as u64);
        Ok(count)
    }
}

fn without_mark(mut text: impl Read + Send + 'static) -> io::Result<Box<dyn Text>> {
    let mut start = Vec::new();
    text.by_ref().take(3).read_to_end(&mut start)?;
    if start == BYTE_ORDER_MARK {
        start.clear();
    }
    Ok(Box::new(io::Cursor::new(start).chain(text)))
}

/// What a file is that is not read, by its first bytes.
fn refused(start: &[u8]) -> Option<&'static str> {
    const KINDS: [(&[u8], &str); 7] = [
        (&[0x28, 0xB5, 0x2F, 0xFD], "packed by zstd; unpack it first, or pack it with gzip"),
        (&[0xFD, b'7', b'z', b'X'], "packed by xz; unpack it first, or pack it with gzip"),
        (b"BZh", "packed by bzip2; unpack it first, or pack it with gzip"),
        (b"PK\x03\x04", "a zip archive; unpack it first"),
        (b"PAR1", "a parquet file already; name it in a policy's `source`"),
        (
            &[0xFF, 0xFE],
            "UTF-16 text; convert it to UTF-8 first, as with `iconv -f UTF-16 -t UTF-8`",
        ),
        (
            &[0xFE, 0xFF],
            "UTF-16 text; convert it to UTF-8 first, as with `iconv -f UTF-16 -t UTF-8`",
        ),
    ];
    KINDS.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, what)| *what)
}
