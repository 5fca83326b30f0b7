//! Finds the files of a dataset and pins their state: a [`Snapshot`] names files, schema, version and
//! shards. Reads footers and header lines, never rows.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::policy::{Policy, Source};

mod files;
mod parquet;
mod quotes;
mod text;

pub(super) use files::{PinnedFile, find};
pub(super) use parquet::{ParquetFile, footer_of};
pub(super) use text::TextFile;

/// The state of a dataset's files at one moment.
#[derive(Clone)]
pub struct Snapshot {
    schema: SchemaRef,
    version: String,
    moment: String,
    shards: Arc<[Shard]>,
    /// A file beside the data that says that they are the ones.
    witness: Option<PinnedFile>,
}

/// How large a dataset's files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawSize {
    /// Bytes.
    pub bytes: u64,
    /// Rows, where the files tell without being read.
    pub rows: Option<u64>,
    /// What the bytes are of.
    pub of: &'static str,
}

/// What one endpoint sends: pieces of files, in order.
#[derive(Clone)]
pub(super) struct Shard {
    pub(super) pieces: Vec<Piece>,
}

/// A part of one file.
#[derive(Clone)]
pub(super) enum Piece {
    /// One row group of a parquet file.
    RowGroup {
        /// The file, footer read.
        file: Arc<ParquetFile>,
        /// The index of the row group.
        index: usize,
    },
    /// A whole text file.
    Text(Arc<TextFile>),
}

impl Snapshot {
    /// The raw schema, as read: without metadata, but for the name of a release.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// A digest of names, sizes, footers and the cut into shards: equal for equal data on any machine.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The version, and when and where on this machine each file was written: what may be remembered
    /// of the values. Two files of one version are equal by their footers alone, which need not say
    /// everything.
    pub(super) fn moment(&self) -> &str {
        &self.moment
    }

    /// The number of shards, at least one.
    pub fn shards(&self) -> u32 {
        u32::try_from(self.shards.len()).unwrap_or(u32::MAX)
    }

    /// How large the files are, in these columns where files keep columns apart. For the custodian.
    pub fn size<'a>(&self, columns: impl Iterator<Item = &'a str> + Clone) -> RawSize {
        let (mut bytes, mut rows, mut of) =
            (0, Some(0), "the same columns in the source's parquet");
        for piece in self.pieces() {
            match piece {
                Piece::RowGroup { file, index } => {
                    bytes += file.column_bytes(*index, columns.clone());
                    rows = rows.map(|rows| rows + file.rows(*index));
                }
                Piece::Text(file) => {
                    bytes += file.pinned().len();
                    (rows, of) = (None, "the source's files");
                }
            }
        }
        RawSize { bytes, rows, of }
    }

    /// Whether every file is still as it was.
    pub fn is_current(&self) -> bool {
        let files = self.shards.iter().flat_map(|shard| &shard.pieces).map(Piece::file);
        files.chain(&self.witness).all(|file| file.open().is_ok())
    }

    pub(super) fn shard(&self, index: u32) -> Option<&Shard> {
        self.shards.get(usize::try_from(index).ok()?)
    }

    pub(super) fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.shards.iter().flat_map(|shard| &shard.pieces)
    }

    /// About how many bytes a row takes in memory, all columns together; where rows are widest.
    pub(super) fn row_bytes(&self) -> u64 {
        let roots: Vec<usize> = (0..self.schema.fields().len()).collect();
        let wide = self.pieces().map(|piece| match piece {
            Piece::RowGroup { file, index } => file.row_bytes(*index, &roots),
            Piece::Text(file) => file.row_bytes(),
        });
        // Texts that the file packs as dictionaries are unpacked: a guess, as files do not tell.
        wide.max().unwrap_or(1) + 16 * roots.len() as u64
    }

    /// The files, each once, in their order.
    pub(super) fn files(&self) -> Vec<&PinnedFile> {
        let mut files: Vec<&PinnedFile> = self.pieces().map(Piece::file).collect();
        files.dedup_by_key(|file| file.path());
        files
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("version", &self.version)
            .field("shards", &self.shards.len())
            .finish_non_exhaustive()
    }
}

impl Piece {
    fn file(&self) -> &PinnedFile {
        match self {
            Self::RowGroup { file, .. } => file.pinned(),
            Self::Text(file) => file.pinned(),
        }
    }

    /// How much work it is, in rows for parquet and bytes for text.
    pub(super) fn weight(&self) -> u64 {
        match self {
            Self::RowGroup { file, index } => file.rows(*index),
            Self::Text(file) => file.pinned().len(),
        }
    }
}

/// Looks at the files of a policy's source and splits them into at most `shards_max` shards.
///
/// # Errors
/// `SourceUnreadable` when there is no file or one cannot be read, `SchemaDrift` when two files
/// differ in their columns.
pub fn snapshot(policy: &Policy, shards_max: u32) -> Result<Snapshot> {
    look(policy.folder(), &policy.source, shards_max)
}

/// The same for a source that no policy names yet; its paths are relative to `folder`.
pub(super) fn look(folder: &Path, source: &Source, shards_max: u32) -> Result<Snapshot> {
    let mut digest = Sha256::new();
    let (schema, pieces) = match source {
        Source::Parquet { paths } => {
            let files = find(folder, paths, "parquet")?;
            parquet::open_all(&files, &mut digest)?
        }
        Source::Delimited { paths, .. } => {
            let files = find(folder, paths, "")?;
            text::open_all(source, &files, &mut digest)?
        }
    };
    Ok(pinned(schema, pieces, digest, shards_max))
}

/// The state of parquet files that the program itself stored: of these files alone, and only as long as
/// `witness` is the file that it is now. The schema gets `metadata`; `stamp` says what the files are.
pub(super) fn stored(
    files: &[PathBuf],
    witness: &Path,
    metadata: HashMap<String, String>,
    stamp: &str,
    shards_max: u32,
) -> Result<Snapshot> {
    // Before the files: a change in between is noticed.
    let witness = Some(PinnedFile::pin(witness)?);
    let mut digest = Sha256::new();
    digest.update(stamp.as_bytes());
    let (schema, pieces) = parquet::open_all(files, &mut digest)?;
    let schema = Arc::new(Schema::new_with_metadata(schema.fields().clone(), metadata));
    Ok(Snapshot { witness, ..pinned(schema, pieces, digest, shards_max) })
}

fn pinned(schema: SchemaRef, pieces: Vec<Piece>, mut digest: Sha256, shards_max: u32) -> Snapshot {
    // A ticket names a shard by its number, which means nothing in another cut.
    let count = (pieces.len() as u64).min(u64::from(shards_max));
    digest.update(count.to_le_bytes());
    let mut here = digest.clone();
    pieces.iter().for_each(|piece| piece.file().stamp(&mut here));
    let hex = |digest: Sha256| data_encoding::HEXLOWER.encode(&digest.finalize());
    let shards = split(pieces, shards_max).into();
    Snapshot { schema, version: hex(digest), moment: hex(here), shards, witness: None }
}

/// Splits pieces into runs of about equal weight, keeping their order.
pub(super) fn split(pieces: Vec<Piece>, shards_max: u32) -> Vec<Shard> {
    let total: u64 = pieces.iter().map(|piece| piece.weight().max(1)).sum();
    let count = u64::from(shards_max.max(1)).min(pieces.len() as u64).max(1);
    let mut shards = vec![Shard { pieces: Vec::new() }];
    let mut seen = 0_u64;
    for piece in pieces {
        let full = seen.saturating_mul(count) >= total.saturating_mul(shards.len() as u64);
        if full && shards.last().is_some_and(|shard| !shard.pieces.is_empty()) {
            shards.push(Shard { pieces: Vec::new() });
        }
        seen += piece.weight().max(1);
        if let Some(shard) = shards.last_mut() {
            shard.pieces.push(piece);
        }
    }
    shards
}
