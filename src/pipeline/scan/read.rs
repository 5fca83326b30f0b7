//! One piece of a file, batch by batch, in the file's order.

use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow_csv::ReaderBuilder;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::positions;
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::source::{Piece, TextFile};

/// What a batch takes in memory at most, about: rows may be wide, and Arrow's texts end at 2 GiB.
const BATCH_BYTES: u64 = 32 << 20;

/// Reads a piece of a file.
pub(super) enum Reader {
    Parquet {
        reader: Box<ParquetRecordBatchReader>,
        /// The columns whose texts nobody has checked to be text.
        unchecked: Vec<String>,
        place: String,
    },
    Text {
        reader: Box<arrow_csv::reader::BufReader<BufReader<File>>>,
        place: String,
    },
}

impl Reader {
    pub(super) fn open(piece: &Piece, columns: &[String], batch_rows: usize) -> Result<Self> {
        match piece {
            Piece::RowGroup { file, index } => {
                let place = format!("row group {index} of `{}`", file.path().display());
                let metadata = file.reader_metadata(*index)?;
                let roots = positions(columns, metadata.schema())?;
                let batch_rows = fitting(batch_rows, file.row_bytes(*index, &roots));
                let unchecked = file.unchecked_texts(&roots);
                let mask = ProjectionMask::roots(metadata.parquet_schema(), roots);
                let reader =
                    ParquetRecordBatchReaderBuilder::new_with_metadata(file.reopen()?, metadata)
                        .with_row_groups(vec![*index])
                        .with_projection(mask)
                        .with_batch_size(batch_rows)
                        .build()
                        .context(Code::SourceUnreadable, || format!("open {place}"))?;
                Ok(Self::Parquet { reader: Box::new(reader), unchecked, place })
            }
            Piece::Text(file) => Ok(Self::Text {
                reader: Box::new(open_text(file, columns, fitting(batch_rows, file.row_bytes()))?),
                place: format!("`{}`", file.path().display()),
            }),
        }
    }
}

/// How many rows of this width make a batch.
fn fitting(batch_rows: usize, row_bytes: u64) -> usize {
    usize::try_from(BATCH_BYTES / row_bytes.max(1)).unwrap_or(batch_rows).clamp(1, batch_rows)
}

impl Iterator for Reader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Parquet { reader, unchecked, place } => {
                let batch = reader.next()?.and_then(|batch| {
                    let mut columns =
                        unchecked.iter().filter_map(|name| batch.column_by_name(name));
                    columns.try_for_each(|column| column.to_data().validate_full())?;
                    Ok(batch)
                });
                Some(batch.map_err(|error| {
                    // PRIVACY: the library's words may quote what it could not decode.
                    drop(error);
                    Error::new(Code::SourceUnreadable, format!("{place} cannot be decoded"))
                }))
            }
            Self::Text { reader, place } => {
                Some(reader.next()?.map_err(|error| unreadable(&error, place)))
            }
        }
    }
}

fn open_text(
    file: &Arc<TextFile>,
    columns: &[String],
    batch_rows: usize,
) -> Result<arrow_csv::reader::BufReader<BufReader<File>>> {
    let format = file.format();
    let mut builder = ReaderBuilder::new(Arc::clone(file.schema()))
        .with_delimiter(format.delimiter)
        .with_quote(format.quote)
        .with_header(format.header)
        .with_batch_size(batch_rows)
        .with_projection(positions(columns, file.schema())?);
    if !format.nulls.is_empty() {
        let words: Vec<_> = format.nulls.iter().map(|word| regex::escape(word)).collect();
        let pattern = format!("^(?:|{})$", words.join("|"));
        let pattern = regex::Regex::new(&pattern)
            .context(Code::Internal, || "the texts that mean null".to_owned())?;
        builder = builder.with_null_regex(pattern);
    }
    builder
        .build_buffered(file.reopen()?)
        .context(Code::SourceUnreadable, || format!("open `{}`", file.path().display()))
}

/// The place of a value that does not fit, without the value.
///
/// PRIVACY: the library quotes the value and the whole row. Only the numbers that stand where its
/// sentence has them are taken, from behind the value and before the row.
fn unreadable(error: &ArrowError, place: &str) -> Error {
    let text = error.to_string();
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let value = text.split_once(". Row data: '").and_then(|(before, _)| {
        let (before, line) = before.rsplit_once(" at line ")?;
        let (_, column) = before.rsplit_once(" for column ")?;
        // The library counts both from zero.
        Some((number(line)? + 1, number(column)? + 1))
    });
    let width = text.strip_prefix("Csv error: incorrect number of fields for line ");
    let line = width.and_then(|rest| number(rest.split_once(',')?.0));
    let what = match (value, line) {
        (Some((line, field)), _) => {
            format!("line {line}, field {field}: the value is not of the type that the policy says")
        }
        (None, Some(line)) => format!("line {line}: the number of fields is not the policy's"),
        (None, None) => "the text cannot be read as the policy says".to_owned(),
    };
    Error::new(Code::SourceValue, format!("{place}, {what}"))
}
