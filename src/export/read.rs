//! Files as cells, for whoever looks for what must not be in them: parquet, Arrow, CSV and JSON by their
//! columns, anything else line by line, compressed or not. Trusts no name: what is no CSV is still looked at.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow_ipc::reader::FileReader;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::error::{Code, Context, Error, Result};
use crate::pipeline::cells::leaves;
use crate::pipeline::verify::{Outputs, Visitor};

/// The longest line that is looked at in one piece; longer ones are cut, with an overlap.
const LINE_BYTES_MAX: usize = 1 << 20;

/// The overlap of two pieces of a line.
const OVERLAP_BYTES: usize = 4 << 10;

/// A JSON document is read as one where it is no larger; else line by line.
const DOCUMENT_BYTES_MAX: u64 = 256 << 20;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An Arrow IPC file.
    Arrow,
    /// Delimited text with a header.
    Csv,
    /// One JSON document.
    Json,
    /// One JSON value a line.
    Jsonl,
    /// Lines.
    Lines,
    /// Parquet.
    Parquet,
}

/// One file.
#[derive(Debug, Clone)]
pub struct Output {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds.
    pub kind: Kind,
    packed: Packed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packed {
    Gzip,
    No,
    Zstd,
}

/// All files of an output.
#[derive(Debug)]
pub struct Files(pub Vec<Output>);

impl Files {
    /// The file at a path, or all files below a folder, by name. Hidden files too: they may be handed on.
    ///
    /// # Errors
    /// [`Code::Usage`] when there is none, or one cannot be read.
    pub fn find(path: &Path) -> Result<Self> {
        let mut paths = Vec::new();
        walk(path, &mut paths).context(Code::Usage, unreadable(path))?;
        paths.sort();
        if paths.is_empty() {
            return Err(Error::new(
                Code::Usage,
                format!("there is no file in `{}`", path.display()),
            ));
        }
        paths.into_iter().map(Output::new).collect::<Result<_>>().map(Self)
    }
}

fn walk(path: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if std::fs::metadata(path)?.is_dir() {
        for entry in std::fs::read_dir(path)? {
            walk(&entry?.path(), found)?;
        }
    } else {
        found.push(path.to_owned());
    }
    Ok(())
}

impl Outputs for Files {
    fn visit(&self, visitor: &mut dyn Visitor) -> Result<()> {
        self.0.iter().try_for_each(|file| file.visit(visitor))
    }
}

impl Output {
    fn new(path: PathBuf) -> Result<Self> {
        let mut start = [0; 6];
        let mut file = File::open(&path).context(Code::Usage, unreadable(&path))?;
        let length = read_some(&mut file, &mut start).context(Code::Usage, unreadable(&path))?;
        let start = start.get(..length).unwrap_or_default();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let (packed, name) = if start.starts_with(&[0x1f, 0x8b]) {
            (Packed::Gzip, name.trim_end_matches(".gz"))
        } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            (Packed::Zstd, name.trim_end_matches(".zstd").trim_end_matches(".zst"))
        } else {
            (Packed::No, name.as_str())
        };
        let kind = match name.rsplit_once('.').map_or("", |(_, end)| end) {
            _ if start.starts_with(b"PAR1") => Kind::Parquet,
            _ if start.starts_with(b"ARROW1") => Kind::Arrow,
            "csv" | "tsv" | "psv" => Kind::Csv,
            "json" => Kind::Json,
            "jsonl" | "ndjson" => Kind::Jsonl,
            _ => Kind::Lines,
        };
        Ok(Self { path, kind, packed })
    }

    /// The file's own schema and number of rows, where it has them.
    ///
    /// # Errors
    /// [`Code::Usage`] when it cannot be read.
    pub fn typed(&self) -> Result<Option<(Arc<Schema>, u64)>> {
        let failed = unreadable(&self.path);
        let file = File::open(&self.path).context(Code::Usage, unreadable(&self.path))?;
        match self.kind {
            Kind::Parquet => {
                let reader = ParquetRecordBatchReaderBuilder::try_new(file);
                let reader = reader.context(Code::Usage, failed)?;
                let rows = reader.metadata().file_metadata().num_rows();
                Ok(Some((Arc::clone(reader.schema()), u64::try_from(rows).unwrap_or(0))))
            }
            Kind::Arrow => {
                let reader = FileReader::try_new(BufReader::new(file), None);
                let reader = reader.context(Code::Usage, failed)?;
                let schema = reader.schema();
                let mut rows = 0;
                for batch in reader {
                    let batch = batch.context(Code::Usage, unreadable(&self.path))?;
                    rows += batch.num_rows() as u64;
                }
                Ok(Some((schema, rows)))
            }
            _ => Ok(None),
        }
    }

    /// The text of the file, unpacked.
    ///
    /// # Errors
    /// [`Code::Usage`] when it cannot be opened.
    pub fn text(&self) -> Result<Box<dyn BufRead>> {
        let file = File::open(&self.path).context(Code::Usage, unreadable(&self.path))?;
        let mut text: Box<dyn BufRead> = match self.packed {
            Packed::Gzip => Box::new(BufReader::new(flate2::read::MultiGzDecoder::new(file))),
            Packed::No => Box::new(BufReader::with_capacity(1 << 18, file)),
            Packed::Zstd => {
                let text = zstd::Decoder::new(file).context(Code::Usage, unreadable(&self.path))?;
                Box::new(BufReader::new(text))
            }
        };
        let start = text.fill_buf().context(Code::Usage, unreadable(&self.path))?;
        if start.starts_with(&[0xEF, 0xBB, 0xBF]) {
            text.consume(3);
        }
        Ok(text)
    }

    fn visit(&self, visitor: &mut dyn Visitor) -> Result<()> {
        let failed = unreadable(&self.path);
        match self.kind {
            Kind::Parquet => {
                let file = File::open(&self.path).context(Code::Usage, unreadable(&self.path))?;
                let reader = ParquetRecordBatchReaderBuilder::try_new(file);
                let reader = reader.and_then(|reader| reader.with_batch_size(8_192).build());
                for batch in reader.context(Code::Usage, failed)? {
                    show(&batch.context(Code::Usage, unreadable(&self.path))?, visitor)?;
                }
                self.beside(visitor)
            }
            Kind::Arrow => {
                let file = File::open(&self.path).context(Code::Usage, unreadable(&self.path))?;
                let reader = FileReader::try_new(BufReader::new(file), None);
                let reader = reader.context(Code::Usage, failed)?;
                for batch in reader {
                    show(&batch.context(Code::Usage, unreadable(&self.path))?, visitor)?;
                }
                self.beside(visitor)
            }
            Kind::Csv => self.csv(visitor),
            Kind::Json => self.document(visitor),
            Kind::Jsonl => self.lines(visitor, true),
            Kind::Lines => self.lines(visitor, false),
        }
    }

    /// What stands in a file beside its rows: metadata of the schema and of the file.
    fn beside(&self, visitor: &mut dyn Visitor) -> Result<()> {
        let Some((schema, _)) = self.typed()? else { return Ok(()) };
        let column = visitor.column("(metadata)");
        let of_fields = schema.fields().iter().flat_map(|field| field.metadata());
        for (key, value) in schema.metadata().iter().chain(of_fields) {
            visitor.cell(column, key);
            visitor.cell(column, value);
        }
        Ok(())
    }

    fn csv(&self, visitor: &mut dyn Visitor) -> Result<()> {
        let mut text = self.text()?;
        let start = text.fill_buf().context(Code::Usage, unreadable(&self.path))?;
        let delimiter = delimiter(start.split(|byte| *byte == b'\n').next().unwrap_or_default());
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .has_headers(false)
            .from_reader(text);
        let mut record = csv::ByteRecord::new();
        let mut columns: Option<Vec<usize>> = None;
        while reader.read_byte_record(&mut record).context(Code::Usage, unreadable(&self.path))? {
            let Some(columns) = &mut columns else {
                let named: Vec<String> =
                    record.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
                columns = Some(named.iter().map(|name| visitor.column(name)).collect());
                continue;
            };
            while columns.len() < record.len() {
                columns.push(visitor.column("(beyond the header)"));
            }
            for (column, cell) in columns.iter().zip(&record) {
                if !cell.is_empty() {
                    visitor.cell(*column, &String::from_utf8_lossy(cell));
                }
            }
        }
        Ok(())
    }

    fn document(&self, visitor: &mut dyn Visitor) -> Result<()> {
        let mut text = Vec::new();
        let read = self.text()?.take(DOCUMENT_BYTES_MAX + 1).read_to_end(&mut text);
        read.context(Code::Usage, unreadable(&self.path))?;
        let whole = text.len() as u64 <= DOCUMENT_BYTES_MAX;
        match whole.then(|| serde_json::from_slice::<Value>(&text)) {
            Some(Ok(document)) => {
                walk_json(&document, "", visitor);
                Ok(())
            }
            _ => self.lines(visitor, true),
        }
    }

    fn lines(&self, visitor: &mut dyn Visitor, json: bool) -> Result<()> {
        let mut text = self.text()?;
        let column = visitor.column("(text)");
        let mut line = Vec::new();
        loop {
            let room = LINE_BYTES_MAX.saturating_sub(line.len()) as u64;
            let read = text.by_ref().take(room).read_until(b'\n', &mut line);
            if read.context(Code::Usage, unreadable(&self.path))? == 0 {
                // What is left of a line that was cut was looked at.
                break;
            }
            let ended = line.last() == Some(&b'\n');
            let value = (json && ended).then(|| serde_json::from_slice::<Value>(&line).ok());
            match value.flatten() {
                Some(value) => walk_json(&value, "", visitor),
                None => visitor.cell(column, &String::from_utf8_lossy(&line)),
            }
            // What a cut goes through is looked at once more.
            let kept = if ended { 0 } else { line.len().min(OVERLAP_BYTES) };
            line.drain(..line.len() - kept);
        }
        Ok(())
    }
}

/// Shows a batch.
fn show(batch: &RecordBatch, visitor: &mut dyn Visitor) -> Result<()> {
    let schema = batch.schema();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let mut known: Option<(String, usize)> = None;
        leaves(field, column, &mut |name, text| {
            let Some(text) = text else { return };
            let at = match &known {
                Some((last, at)) if last == name => *at,
                _ => {
                    let at = visitor.column(name);
                    known = Some((name.to_owned(), at));
                    at
                }
            };
            visitor.cell(at, text);
        })?;
    }
    Ok(())
}

/// Shows the values of a document, and its names: a map from originals has them as names.
fn walk_json(value: &Value, name: &str, visitor: &mut dyn Visitor) {
    match value {
        Value::Null => {}
        Value::Bool(flag) => {
            let column = visitor.column(name);
            visitor.cell(column, if *flag { "true" } else { "false" });
        }
        Value::Number(number) => {
            let column = visitor.column(name);
            visitor.cell(column, &number.to_string());
        }
        Value::String(text) => {
            let column = visitor.column(name);
            visitor.cell(column, text);
        }
        Value::Array(values) => values.iter().for_each(|value| walk_json(value, name, visitor)),
        Value::Object(members) => {
            for (key, value) in members {
                let inner = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                walk_json(value, &inner, visitor);
            }
        }
    }
}

/// What most likely stands between the fields of a header.
fn delimiter(header: &[u8]) -> u8 {
    let count = |delimiter: u8| header.iter().filter(|byte| **byte == delimiter).count();
    let most = [b',', b'|', b'\t', b';'].into_iter().rev().max_by_key(|byte| count(*byte));
    most.unwrap_or(b',')
}

fn read_some(file: &mut File, room: &mut [u8]) -> io::Result<usize> {
    file.seek(SeekFrom::Start(0))?;
    let mut length = 0;
    while let Some(rest) = room.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

fn unreadable(path: &Path) -> impl FnOnce() -> String {
    let path = path.to_owned();
    move || format!("`{}` cannot be read", path.display())
}
