//! Delimited text: which columns a file has and of which types, by the policy. Does not guess types
//! and does not read past the header, but for the digest.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use sha2::{Digest, Sha256};

use super::Piece;
use super::files::PinnedFile;
use super::quotes::Quotes;
use crate::error::{Code, Context, Error, Result};
use crate::policy::{FieldType, Source};

pub(super) const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// A byte that UTF-8 never has: as the quote it means that there is none.
const NO_QUOTE: u8 = 0xFF;

/// A text file and how to read it.
#[derive(Debug)]
pub(crate) struct TextFile {
    pinned: PinnedFile,
    format: Format,
    schema: SchemaRef,
    lines: u64,
}

/// How the lines are cut.
#[derive(Debug, Clone)]
pub(crate) struct Format {
    /// Between fields.
    pub(crate) delimiter: u8,
    /// Around fields.
    pub(crate) quote: u8,
    /// Whether the first line names the columns.
    pub(crate) header: bool,
    /// Texts that mean null.
    pub(crate) nulls: Vec<String>,
}

impl TextFile {
    fn open(path: PathBuf, source: &Source, digest: &mut Sha256) -> Result<Self> {
        let Source::Delimited { delimiter, header, quote, nulls, columns, .. } = source else {
            return Err(Error::new(Code::Internal, "the source is no delimited text"));
        };
        let pinned = PinnedFile::pin(&path)?;
        let reading = || format!("read `{}`", path.display());
        let mut file = pinned.open()?;
        digest.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        digest.update(pinned.len().to_le_bytes());
        let mut start = Vec::new();
        file.by_ref().take(4).read_to_end(&mut start).context(Code::SourceUnreadable, reading)?;
        if let Some(what) = no_text(&start) {
            let text = format!("`{}` is no text: it is {what}", path.display());
            return Err(Error::new(Code::SourceUnreadable, text));
        }
        file.seek(SeekFrom::Start(0)).context(Code::SourceUnreadable, reading)?;
        let quotes = quote.map(|quote| Quotes::new(*delimiter, quote));
        let mut whole = Whole { digest: Sha256::new(), lines: 0, quotes };
        io::copy(&mut file, &mut whole).context(Code::SourceUnreadable, reading)?;
        digest.update(whole.digest.finalize());
        let lines = whole.lines;
        if let Some(line) = whole.quotes.and_then(|quotes| quotes.wrong()) {
            let text = format!(
                "`{}`, line {line}: a quote is opened and not closed at the end of its field; where \
                 quotes are ordinary characters, write `quote: none`",
                path.display()
            );
            return Err(Error::new(Code::SourceValue, text));
        }
        let format = Format {
            delimiter: *delimiter,
            quote: quote.unwrap_or(NO_QUOTE),
            header: *header,
            nulls: nulls.clone(),
        };
        let mut this =
            Self { pinned, format, schema: Arc::new(Schema::new(fields(columns))), lines };
        if *header {
            this.schema = this.by_header()?;
        }
        Ok(this)
    }

    pub(super) const fn pinned(&self) -> &PinnedFile {
        &self.pinned
    }

    /// How the lines are cut.
    pub(crate) const fn format(&self) -> &Format {
        &self.format
    }

    /// The columns in the order of the file.
    pub(crate) const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Where it is, for the operator.
    pub(crate) fn path(&self) -> &std::path::Path {
        self.pinned.path()
    }

    /// About how many bytes a row has.
    pub(crate) fn row_bytes(&self) -> u64 {
        self.pinned.len() / self.lines.max(1)
    }

    /// The file from its first character, a byte-order mark skipped, if it is still as it was.
    pub(crate) fn reopen(&self) -> Result<BufReader<File>> {
        let reading = || format!("read `{}`", self.path().display());
        let mut file = self.pinned.open()?;
        let mut start = Vec::new();
        file.by_ref().take(3).read_to_end(&mut start).context(Code::SourceUnreadable, reading)?;
        if start != BYTE_ORDER_MARK {
            file.seek(SeekFrom::Start(0)).context(Code::SourceUnreadable, reading)?;
        }
        Ok(BufReader::with_capacity(1 << 18, file))
    }

    /// The policy's columns in the order of the file's first line.
    fn by_header(&self) -> Result<SchemaRef> {
        let drift = |what: String| {
            Error::new(Code::SchemaDrift, format!("`{}`: {what}", self.path().display()))
        };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(self.format.delimiter)
            .quote(self.format.quote)
            .from_reader(self.reopen()?);
        // A header that is no UTF-8 cannot match, so the library's text adds nothing.
        let names =
            reader.headers().map_err(|_| drift("the first line cannot be read".to_owned()))?;
        let mut fields = Vec::new();
        for (at, name) in names.iter().enumerate() {
            // PRIVACY: without a header the first line is a row, and what stands there is a value.
            let field = self.schema.field_with_name(name).map_err(|_| {
                drift(format!(
                    "field {} of the first line names no column that the policy's source types",
                    at + 1
                ))
            })?;
            if fields.contains(field) {
                return Err(drift(format!("the first line has the column `{name}` twice")));
            }
            fields.push(field.clone());
        }
        for field in self.schema.fields() {
            if !fields.iter().any(|found| found.name() == field.name()) {
                return Err(drift(format!("the first line lacks the column `{}`", field.name())));
            }
        }
        Ok(Arc::new(Schema::new(fields)))
    }
}

/// Opens all files; the schema is the policy's.
pub(super) fn open_all(
    source: &Source,
    paths: &[PathBuf],
    digest: &mut Sha256,
) -> Result<(SchemaRef, Vec<Piece>)> {
    let Source::Delimited { columns, .. } = source else {
        return Err(Error::new(Code::Internal, "the source is no delimited text"));
    };
    let pieces = paths
        .iter()
        .map(|path| Ok(Piece::Text(Arc::new(TextFile::open(path.clone(), source, digest)?))))
        .collect::<Result<Vec<_>>>()?;
    Ok((Arc::new(Schema::new(fields(columns))), pieces))
}

fn fields(columns: &[(String, FieldType)]) -> Vec<Field> {
    columns.iter().map(|(name, kind)| Field::new(name, arrow_type(*kind), true)).collect()
}

/// The Arrow type of a column of text.
pub(crate) fn arrow_type(kind: FieldType) -> DataType {
    match kind {
        FieldType::Text => DataType::Utf8,
        FieldType::Integer => DataType::Int64,
        FieldType::Number => DataType::Float64,
        FieldType::Flag => DataType::Boolean,
        FieldType::Date => DataType::Date32,
        FieldType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
    }
}

/// What a file is whose first bytes are these, where it is none of ours.
fn no_text(start: &[u8]) -> Option<&'static str> {
    const KINDS: [(&[u8], &str); 6] = [
        (&[0x1F, 0x8B], "compressed by gzip; unpack it first"),
        (&[0x28, 0xB5, 0x2F, 0xFD], "compressed by zstd; unpack it first"),
        (&[0xFD, b'7', b'z', b'X'], "compressed by xz; unpack it first"),
        (b"BZh", "compressed by bzip2; unpack it first"),
        (b"PK\x03\x04", "a zip archive; unpack it first"),
        (b"PAR1", "a parquet file; write `source: {parquet: ...}`"),
    ];
    KINDS.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, what)| *what)
}

/// What is learned of a file by reading all of it.
struct Whole {
    digest: Sha256,
    lines: u64,
    quotes: Option<Quotes>,
}

impl io::Write for Whole {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.digest.update(bytes);
        self.lines += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        if let Some(quotes) = &mut self.quotes {
            io::Write::write_all(quotes, bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
