//! Files for a partner who does not pull: what a pull gives, written as parquet, CSV, JSON lines or Arrow.
//! Changes no value and reads no raw row; batches come from `local`.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::error::{Code, Error, Result};

mod binary;
mod csv;
pub mod file;
mod json;
pub mod manifest;
pub mod read;
mod records;
#[cfg(test)]
mod tests;
pub mod typed;

use file::{Compression, Fresh, Place};
use manifest::Part;

/// What files are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// An Arrow IPC file, its buffers compressed with Zstandard
    Arrow,
    /// Comma-separated text with a header; compressed where the name ends in `.gz` or `.zst`
    Csv,
    /// One JSON object a line; compressed where the name ends in `.gz` or `.zst`
    Jsonl,
    /// Parquet, with dictionaries and Zstandard
    Parquet,
}

impl Format {
    /// The word for it, in manifests and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Arrow => "arrow",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
        }
    }
}

/// How files are written.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// As what.
    pub format: Format,
    /// Whether texts that a spreadsheet takes for formulas get an apostrophe. It changes values.
    pub spreadsheet: bool,
}

/// What was written.
#[derive(Debug, Default)]
pub struct Written {
    /// Each file.
    pub files: Vec<Part>,
    /// Cells of text that a spreadsheet would take for a formula; counted for CSV alone.
    pub formulas: u64,
}

impl Written {
    /// Rows in all.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// Bytes in all.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// One format's writer over one file.
trait Sink: Send {
    /// Adds rows.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;
    /// Ends the file and gives it back, and how many formulas were met.
    fn finish(self: Box<Self>) -> Result<(Fresh, u64)>;
}

/// What gives the rows of one file.
pub type Rows = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// Writes rows to one file. `seen` hears of every batch.
///
/// # Errors
/// What the rows say; [`Code::Usage`] when the file is there already or cannot be written. Nothing is left
/// then.
pub fn one(
    rows: Rows,
    schema: &SchemaRef,
    out: &Place,
    options: Options,
    seen: &(dyn Fn(&RecordBatch) + Sync),
) -> Result<Written> {
    let fresh = out.file()?;
    let (fresh, part, formulas) = fill(fresh, rows, schema, out.path(), options, seen)?;
    out.publish_file(fresh)?;
    Ok(Written { files: vec![part], formulas })
}

/// Writes the rows of each shard to a file of its own, in a new folder; several at a time.
///
/// # Errors
/// As [`one`].
pub fn each(
    shards: Vec<Rows>,
    schema: &SchemaRef,
    out: &Place,
    options: Options,
    seen: &(dyn Fn(&RecordBatch) + Sync),
) -> Result<Written> {
    let folder = out.folder()?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(shards.len());
    let shards: Vec<Mutex<Option<Rows>>> =
        shards.into_iter().map(|rows| Mutex::new(Some(rows))).collect();
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || -> Result<Vec<(usize, Part, u64)>> {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(shard) = shards.get(at) else { return Ok(done) };
            if failed.load(Ordering::Relaxed) > 0 {
                return Ok(done);
            }
            let rows = shard.lock().ok().and_then(|mut shard| shard.take());
            let rows = rows.ok_or_else(|| Error::new(Code::Internal, "a shard was taken twice"))?;
            let path = folder.path().join(format!("part-{at:05}.{}", options.format.name()));
            let written = Fresh::create(&path)
                .and_then(|fresh| fill(fresh, rows, schema, &path, options, seen))
                .and_then(|(fresh, part, formulas)| fresh.keep().map(|()| (at, part, formulas)));
            match written {
                Ok(one) => done.push(one),
                Err(error) => {
                    failed.fetch_add(1, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    let results: Vec<Result<Vec<(usize, Part, u64)>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let panicked = || Err(Error::new(Code::Internal, "a writer panicked"));
        threads.into_iter().map(|it| it.join().unwrap_or_else(|_| panicked())).collect()
    });
    let mut parts = Vec::new();
    for result in results {
        parts.extend(result?);
    }
    parts.sort_by_key(|(at, ..)| *at);
    out.publish_folder(folder)?;
    let formulas = parts.iter().map(|(_, _, formulas)| formulas).sum();
    Ok(Written { files: parts.into_iter().map(|(_, part, _)| part).collect(), formulas })
}

/// Fills a file with rows.
fn fill(
    fresh: Fresh,
    rows: Rows,
    schema: &SchemaRef,
    path: &Path,
    options: Options,
    seen: &dyn Fn(&RecordBatch),
) -> Result<(Fresh, Part, u64)> {
    let compression = match options.format {
        Format::Csv | Format::Jsonl => Compression::of(path),
        Format::Arrow | Format::Parquet => Compression::None,
    };
    let fresh = fresh.compressed(compression)?;
    let mut sink: Box<dyn Sink> = match options.format {
        Format::Arrow => Box::new(binary::ArrowFile::new(fresh, schema)?),
        Format::Csv => Box::new(csv::Text::new(fresh, schema, options.spreadsheet)?),
        Format::Jsonl => Box::new(json::Lines::new(fresh)),
        Format::Parquet => Box::new(binary::ParquetFile::new(fresh, schema)?),
    };
    let mut count = 0;
    for batch in rows {
        let batch = batch?;
        sink.write(&batch)?;
        count += batch.num_rows() as u64;
        seen(&batch);
    }
    let (mut fresh, formulas) = sink.finish()?;
    let (bytes, sha256) = fresh.complete()?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let part = Part { name: name.unwrap_or_default(), rows: count, bytes, sha256 };
    Ok((fresh, part, formulas))
}

/// What cannot be written, with the reason.
fn unwritable(path: &Path) -> impl FnOnce() -> String {
    let path = PathBuf::from(path);
    move || format!("`{}` cannot be written", path.display())
}
