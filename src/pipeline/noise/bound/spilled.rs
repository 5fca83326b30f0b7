//! Records in files of the engine's folder. Knows no unit: writes words, and reads them again.
//!
//! PRIVACY: what is written are keyed numbers of units, steps of values, and keys of groups, which are made of
//! what the policy lets out; nothing of the source that a statement could not speak of.

use std::fs::File;
use std::io::{BufReader, Read as _, Write as _};
use std::sync::Arc;

use arrow::buffer::{Buffer, MutableBuffer};
use datafusion::error::DataFusionError;
use datafusion::execution::disk_manager::DiskManager;
use datafusion::execution::spill_file::{SpillFile, SpillWriter};

use crate::error::{Code, Error, Result};
use crate::pipeline::query::inward;

/// Words in a file, which goes away with this.
pub(super) struct Spilled {
    file: Arc<dyn SpillFile>,
    writer: Option<Box<dyn SpillWriter>>,
    words: usize,
}

impl Spilled {
    /// An empty file.
    ///
    /// # Errors
    /// [`Code::QueryMemory`] where the folder has no room, here and below.
    pub(super) fn new(disk: &Arc<DiskManager>) -> Result<Self> {
        let file = disk.create_tmp_file("bounded contributions").map_err(|error| inward(&error))?;
        Ok(Self { file, writer: None, words: 0 })
    }

    /// How many words were written.
    pub(super) const fn words(&self) -> usize {
        self.words
    }

    pub(super) fn write(&mut self, words: Vec<u64>) -> Result<()> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(self.file.open_writer().map_err(|error| inward(&error))?),
        };
        self.words += words.len();
        writer.write_all(Buffer::from_vec(words).as_slice()).map_err(io)
    }

    /// Ends writing.
    pub(super) fn finish(&mut self) -> Result<()> {
        match self.writer.take() {
            Some(mut writer) => writer.finish().map_err(|error| inward(&error)),
            None => Ok(()),
        }
    }

    /// Hands over all words, at most so many at a time.
    pub(super) fn read(
        &self,
        chunk: usize,
        mut take: impl FnMut(Vec<u64>) -> Result<()>,
    ) -> Result<()> {
        let mut reader = self.reader()?;
        let mut left = self.words;
        while left > 0 {
            let words = left.min(chunk.max(1));
            take(reader.words(words)?)?;
            left -= words;
        }
        Ok(())
    }

    /// Reads from the beginning.
    pub(super) fn reader(&self) -> Result<Reader> {
        let path = self.file.path();
        let path = path.ok_or_else(|| Error::new(Code::Internal, "a spilled file has no path"))?;
        Ok(Reader(BufReader::with_capacity(READ_BYTES, File::open(path).map_err(io)?)))
    }
}

/// What is read of a file at a time, where less is asked for.
const READ_BYTES: usize = 1 << 16;

/// A file that is read.
pub(super) struct Reader(BufReader<File>);

impl Reader {
    /// The next words.
    pub(super) fn words(&mut self, words: usize) -> Result<Vec<u64>> {
        let mut bytes = MutableBuffer::from_len_zeroed(words * size_of::<u64>());
        self.0.read_exact(bytes.as_slice_mut()).map_err(io)?;
        Ok(Buffer::from(bytes).typed_data::<u64>().to_vec())
    }

    /// Leaves words out.
    pub(super) fn skip(&mut self, words: usize) -> Result<()> {
        let bytes = i64::try_from(words * size_of::<u64>());
        let bytes = bytes.map_err(|_| Error::new(Code::Internal, "a text without an end"))?;
        self.0.seek_relative(bytes).map_err(io)
    }
}

fn io(error: std::io::Error) -> Error {
    inward(&DataFusionError::IoError(error))
}
