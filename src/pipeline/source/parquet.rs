//! Parquet footers: schema, row groups, and which columns are worth reading as dictionaries. Does not
//! read pages.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ARROW_SCHEMA_META_KEY;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::{ConvertedType, Encoding, Type as PhysicalType};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use sha2::{Digest, Sha256};

use super::Piece;
use super::files::PinnedFile;
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::transform::column::canonical;

/// A parquet file whose footer was read.
pub(crate) struct ParquetFile {
    pinned: PinnedFile,
    metadata: Arc<ParquetMetaData>,
    schema: SchemaRef,
}

impl fmt::Debug for ParquetFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParquetFile").field("path", &self.pinned.path()).finish_non_exhaustive()
    }
}

impl ParquetFile {
    fn open(path: PathBuf, digest: &mut Sha256) -> Result<Self> {
        let pinned = PinnedFile::pin(&path)?;
        let file = pinned.open()?;
        // Some writers leave an Arrow schema in the footer that Arrow itself cannot read; the types that
        // parquet knows are enough then.
        let by_parquet = || ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let own = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new());
        let by_arrow = own.is_ok();
        let loaded = own
            .or_else(|_| ArrowReaderMetadata::load(&file, by_parquet()))
            .context(Code::SourceUnreadable, || {
                format!("read the footer of `{}`", path.display())
            })?;
        let metadata = Arc::clone(loaded.metadata());
        if let Some(column) = interval_of_unknown_unit(&metadata, by_arrow) {
            // Read as days and milliseconds, months would be lost and nobody told.
            return Err(Error::new(
                Code::SourceUnreadable,
                format!(
                    "column `{column}` of `{}` holds intervals, and the file does not say of which \
                     unit",
                    path.display()
                ),
            ));
        }
        let fields = loaded.schema().fields().iter().map(|field| strip(field)).collect::<Vec<_>>();
        let mut names = BTreeSet::new();
        if let Some(field) = fields.iter().find(|field| !names.insert(field.name())) {
            // Which of the two a rule is about nobody can say.
            return Err(Error::new(
                Code::SchemaDrift,
                format!("`{}` has the column `{}` twice", path.display(), field.name()),
            ));
        }
        digest.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        digest.update(pinned.len().to_le_bytes());
        digest.update(footer(&file).context(Code::SourceUnreadable, || {
            format!("read the footer of `{}`", path.display())
        })?);
        Ok(Self { pinned, metadata, schema: Arc::new(Schema::new(fields)) })
    }

    pub(super) const fn pinned(&self) -> &PinnedFile {
        &self.pinned
    }

    /// The file, still as it was.
    pub(crate) fn reopen(&self) -> Result<std::fs::File> {
        self.pinned.open()
    }

    /// Where it is, for the operator.
    pub(crate) fn path(&self) -> &Path {
        self.pinned.path()
    }

    /// How many rows a row group has.
    pub(crate) fn rows(&self, group: usize) -> u64 {
        self.metadata
            .row_groups()
            .get(group)
            .map_or(0, |group| u64::try_from(group.num_rows()).unwrap_or(0))
    }

    /// How many bytes some columns of a row group take in the file, compressed as they are.
    pub(super) fn column_bytes<'a>(
        &self,
        group: usize,
        columns: impl Iterator<Item = &'a str> + Clone,
    ) -> u64 {
        let Some(group) = self.metadata.row_groups().get(group) else { return 0 };
        let descriptor = self.metadata.file_metadata().schema_descr();
        let chunks = group.columns().iter().enumerate().filter(|(leaf, _)| {
            let root = self.schema.fields().get(descriptor.get_column_root_idx(*leaf));
            root.is_some_and(|root| columns.clone().any(|name| name == root.name()))
        });
        chunks.map(|(_, chunk)| u64::try_from(chunk.compressed_size()).unwrap_or(0)).sum()
    }

    /// About how many bytes a row of some columns takes in memory.
    pub(crate) fn row_bytes(&self, group: usize, roots: &[usize]) -> u64 {
        let Some(group) = self.metadata.row_groups().get(group) else { return 0 };
        let descriptor = self.metadata.file_metadata().schema_descr();
        let size = |bytes: i64| u64::try_from(bytes).unwrap_or(0);
        let bytes: u64 = group
            .columns()
            .iter()
            .enumerate()
            .filter_map(|(leaf, chunk)| {
                let root = descriptor.get_column_root_idx(leaf);
                let packed = size(chunk.uncompressed_size());
                let unpacked = chunk.unencoded_byte_array_data_bytes().map_or(0, size);
                let stays_packed =
                    self.schema.fields().get(root).is_some_and(|field| is_text(field))
                        && all_dictionary(chunk);
                roots.contains(&root).then_some(if stays_packed {
                    packed
                } else {
                    packed.max(unpacked)
                })
            })
            .sum();
        bytes / size(group.num_rows()).max(1)
    }

    /// How one row group is read: its strings as dictionaries where every page is one, so that each
    /// distinct value is met once, and as plain canonical types elsewhere.
    pub(crate) fn reader_metadata(&self, group: usize) -> Result<ArrowReaderMetadata> {
        let columns = self.metadata.row_groups().get(group).map(|group| group.columns());
        let descriptor = self.metadata.file_metadata().schema_descr();
        let fields = self.schema.fields().iter().enumerate().map(|(root, field)| {
            if !is_text(field) {
                return as_read(field);
            }
            let value = canonical(field.data_type());
            let leaf = (0..descriptor.num_columns())
                .find(|leaf| descriptor.get_column_root_idx(*leaf) == root);
            let chunk = leaf.and_then(|leaf| columns.and_then(|columns| columns.get(leaf)));
            // The library makes dictionaries of text of columns that parquet calls text, and of no other,
            // JSON among them.
            let alike = leaf.is_some_and(|leaf| {
                let text = descriptor.column(leaf).converted_type() == ConvertedType::UTF8;
                text == (value == DataType::Utf8)
            });
            let read = if alike && chunk.is_some_and(all_dictionary) {
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(value))
            } else {
                value
            };
            field.as_ref().clone().with_data_type(read)
        });
        let options = ArrowReaderOptions::new()
            .with_schema(Arc::new(Schema::new(fields.collect::<Vec<_>>())));
        ArrowReaderMetadata::try_new(Arc::clone(&self.metadata), options)
            .context(Code::SourceUnreadable, || format!("plan reading `{}`", self.path().display()))
    }
}

impl ParquetFile {
    /// Of these columns, those whose texts the library does not check: texts by the Arrow schema or as
    /// JSON, which parquet itself does not call text.
    pub(crate) fn unchecked_texts(&self, roots: &[usize]) -> Vec<String> {
        let descriptor = self.metadata.file_metadata().schema_descr();
        let unchecked = |root: usize| {
            (0..descriptor.num_columns())
                .filter(|leaf| descriptor.get_column_root_idx(*leaf) == root)
                .map(|leaf| descriptor.column(leaf))
                .any(|column| {
                    column.physical_type() == PhysicalType::BYTE_ARRAY
                        && column.converted_type() != ConvertedType::UTF8
                })
        };
        roots
            .iter()
            .filter(|root| unchecked(**root))
            .filter_map(|root| self.schema.fields().get(*root))
            .filter(|field| holds_text(&canonical(field.data_type())))
            .map(|field| field.name().clone())
            .collect()
    }
}

/// Whether there is text at any depth.
fn holds_text(plain: &DataType) -> bool {
    match plain {
        DataType::Utf8 => true,
        DataType::List(item) | DataType::FixedSizeList(item, _) | DataType::Map(item, _) => {
            holds_text(item.data_type())
        }
        DataType::Struct(children) => children.iter().any(|child| holds_text(child.data_type())),
        _ => false,
    }
}

/// Opens all files and checks that they agree on their columns.
pub(super) fn open_all(paths: &[PathBuf], digest: &mut Sha256) -> Result<(SchemaRef, Vec<Piece>)> {
    let mut merged: Option<Vec<Field>> = None;
    let mut pieces = Vec::new();
    for path in paths {
        let file = Arc::new(ParquetFile::open(path.clone(), digest)?);
        match &mut merged {
            None => {
                merged =
                    Some(file.schema.fields().iter().map(|field| field.as_ref().clone()).collect())
            }
            Some(fields) => merge(fields, &file)?,
        }
        for index in 0..file.metadata.num_row_groups() {
            pieces.push(Piece::RowGroup { file: Arc::clone(&file), index });
        }
    }
    let fields = merged.ok_or_else(|| Error::new(Code::SourceUnreadable, "no parquet file"))?;
    Ok((Arc::new(Schema::new(fields)), pieces))
}

/// The same columns in any order, of the same canonical types; null where one file may have null.
fn merge(fields: &mut [Field], file: &ParquetFile) -> Result<()> {
    let drift = |what: String| {
        Error::new(
            Code::SchemaDrift,
            format!("`{}` {what} other files of its dataset", file.path().display()),
        )
    };
    if fields.len() != file.schema.fields().len() {
        return Err(drift("has not the same columns as".to_owned()));
    }
    for field in fields {
        let other = file
            .schema
            .field_with_name(field.name())
            .map_err(|_| drift(format!("lacks the column `{}` of", field.name())))?;
        if canonical(other.data_type()) != canonical(field.data_type()) {
            return Err(drift(format!("has another type in column `{}` than", field.name())));
        }
        if other.is_nullable() {
            *field = field.clone().with_nullable(true);
        }
    }
    Ok(())
}

/// A field without metadata, at every depth.
fn strip(field: &Field) -> Field {
    let kind = match field.data_type() {
        DataType::List(item) => DataType::List(Arc::new(strip(item))),
        DataType::LargeList(item) => DataType::LargeList(Arc::new(strip(item))),
        DataType::ListView(item) => DataType::ListView(Arc::new(strip(item))),
        DataType::LargeListView(item) => DataType::LargeListView(Arc::new(strip(item))),
        DataType::FixedSizeList(item, size) => {
            DataType::FixedSizeList(Arc::new(strip(item)), *size)
        }
        DataType::Map(entries, sorted) => DataType::Map(Arc::new(strip(entries)), *sorted),
        DataType::Struct(children) => {
            DataType::Struct(children.iter().map(|child| Arc::new(strip(child))).collect())
        }
        other => other.clone(),
    };
    Field::new(field.name(), kind, field.is_nullable())
}

fn is_text(field: &Field) -> bool {
    matches!(canonical(field.data_type()), DataType::Utf8 | DataType::Binary)
}

/// The type a column that is no text is read as: its own, with dictionaries unpacked.
fn as_read(field: &Field) -> Field {
    match field.data_type() {
        DataType::Dictionary(_, _) => field.clone().with_data_type(canonical(field.data_type())),
        _ => field.clone(),
    }
}

/// A column of parquet's own intervals (months, days and milliseconds) in a file that no Arrow writer
/// made: what reads it takes some of the three and drops the rest.
fn interval_of_unknown_unit(metadata: &ParquetMetaData, by_arrow: bool) -> Option<String> {
    let file = metadata.file_metadata();
    let arrow = by_arrow
        && file.key_value_metadata().is_some_and(|pairs| {
            pairs.iter().any(|pair| pair.key == ARROW_SCHEMA_META_KEY && pair.value.is_some())
        });
    let columns = file.schema_descr().columns();
    let found = columns.iter().find(|column| column.converted_type() == ConvertedType::INTERVAL);
    found.filter(|_| !arrow).map(|column| column.path().string())
}

/// The raw footer: sizes, offsets and statistics of every page chunk, so that two files with equal
/// footers hold equal data for all practical purposes, on whatever machine they lie.
fn footer(mut file: &std::fs::File) -> std::io::Result<Vec<u8>> {
    let mut tail = [0; 8];
    file.seek(SeekFrom::End(-8))?;
    file.read_exact(&mut tail)?;
    let [a, b, c, d, ..] = tail;
    let length = u32::from_le_bytes([a, b, c, d]);
    file.seek(SeekFrom::End(-8 - i64::from(length)))?;
    let mut footer = Vec::new();
    file.take(u64::from(length)).read_to_end(&mut footer)?;
    Ok(footer)
}

/// The size and the footer of a file.
///
/// # Errors
/// `SourceUnreadable` when it cannot be read.
pub(crate) fn footer_of(path: &Path) -> Result<(u64, Vec<u8>)> {
    let failed = || format!("read the footer of `{}`", path.display());
    let file = std::fs::File::open(path).context(Code::SourceUnreadable, failed)?;
    let bytes = file.metadata().context(Code::SourceUnreadable, failed)?.len();
    Ok((bytes, footer(&file).context(Code::SourceUnreadable, failed)?))
}

/// Whether every data page of the chunk is encoded by dictionary.
fn all_dictionary(chunk: &ColumnChunkMetaData) -> bool {
    chunk.dictionary_page_offset().is_some()
        && chunk.page_encoding_stats_mask().is_some_and(|pages| {
            pages.is_only(Encoding::RLE_DICTIONARY) || pages.is_only(Encoding::PLAIN_DICTIONARY)
        })
}
