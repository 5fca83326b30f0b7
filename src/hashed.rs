//! SHA-256 of files and texts, in hexadecimal: of what is written, as it is written, and of what lies on the disk.
//! Knows no format and opens nothing.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// How many bytes wait before they are written.
const WRITE_BYTES: usize = 1 << 18;

/// How many bytes are read at a time.
const READ_BYTES: usize = 1 << 20;

/// A file that is hashed as it is written.
#[derive(Debug)]
pub(crate) struct Hashed {
    file: BufWriter<File>,
    sha256: Sha256,
    bytes: u64,
}

impl Hashed {
    /// Over an empty file.
    pub(crate) fn new(file: File) -> Self {
        let file = BufWriter::with_capacity(WRITE_BYTES, file);
        Self { file, sha256: Sha256::new(), bytes: 0 }
    }

    /// Has it written to the disk, and gives its size and hash.
    ///
    /// # Errors
    /// What writing says.
    pub(crate) fn finish(mut self) -> io::Result<(u64, String)> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        Ok((self.bytes, HEXLOWER.encode(&self.sha256.finalize())))
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sha256.update(bytes.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The hash of what is left to read.
///
/// # Errors
/// What reading says, and an error of kind [`io::ErrorKind::Other`] when `stop` says so.
pub(crate) fn sha256(mut file: impl Read, stop: &dyn Fn() -> bool) -> io::Result<String> {
    let (mut digest, mut room) = (Sha256::new(), vec![0; READ_BYTES]);
    loop {
        if stop() {
            return Err(io::Error::other("it was cancelled"));
        }
        match file.read(&mut room)? {
            0 => return Ok(HEXLOWER.encode(&digest.finalize())),
            read => digest.update(room.get(..read).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "abc", of FIPS 180-2.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn written_in_pieces_or_read_at_once_the_hash_is_the_standards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        let mut file = Hashed::new(File::create(&path).unwrap());
        for piece in ["a", "", "bc"] {
            file.write_all(piece.as_bytes()).unwrap();
        }
        assert_eq!(file.finish().unwrap(), (3, ABC.to_owned()));
        assert_eq!(sha256(File::open(&path).unwrap(), &|| false).unwrap(), ABC);
        sha256(File::open(&path).unwrap(), &|| true).unwrap_err();
    }
}
