//! What the tests of formats share: text in, rows and rejects out, through the whole of a run. Makes no
//! claims of its own.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;

use super::format::Options;
use super::{Earlier, Limits, Observer, Request, Summary, format, run};
use crate::error::Result;
use crate::shared::shared;

/// Hears nothing.
pub(super) struct Silent;

impl Observer for Silent {
    fn begin(&self, _: u64) {}
    fn read(&self, _: u64) {}
}

pub(super) fn silent() -> Arc<dyn Observer> {
    Arc::new(Silent)
}

/// A folder with inputs and an output.
pub(super) struct Scene {
    pub(super) folder: TempDir,
}

impl Scene {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// Writes an input.
    pub(super) fn input(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(super) fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// A request for inputs in this format, with small chunks.
    pub(super) fn request(&self, name: &str, inputs: &[PathBuf]) -> Request {
        Request {
            format: format(name).unwrap(),
            inputs: inputs.to_vec(),
            out: self.out(),
            rejects: None,
            options: Options::default(),
            normalize: false,
            earlier: Earlier::Resume,
            limits: Limits { rows_per_group: 7, rows_per_file: 20, threads: 2 },
        }
    }
}

/// What came out of one text.
pub(super) struct Outcome {
    pub(super) summary: Summary,
    pub(super) table: Table,
    /// Reason, line and text of each reject.
    pub(super) rejects: Vec<(String, u64, String)>,
}

/// Brings one text in.
pub(super) fn ingest(name: &str, text: impl AsRef<[u8]>, options: Options) -> Result<Outcome> {
    let scene = Scene::new();
    let input = scene.input("in.txt", text);
    let mut request = scene.request(name, &[input]);
    request.options = options;
    let summary = run(&request, &silent())?;
    let table = Table::read(&request.out);
    let rejects = rejects(&summary.rejects);
    Ok(Outcome { summary, table, rejects })
}

/// The lines of a rejects file.
pub(super) fn rejects(path: &Path) -> Vec<(String, u64, String)> {
    if !path.exists() {
        return Vec::new();
    }
    let mut reader = csv::Reader::from_path(path).unwrap();
    assert_eq!(reader.byte_headers().unwrap(), vec!["reason", "input", "line", "text"]);
    reader
        .byte_records()
        .map(|record| {
            let record = record.unwrap();
            let text = |at: usize| String::from_utf8_lossy(&record[at]).into_owned();
            (text(0), text(2).parse().unwrap(), text(3))
        })
        .collect()
}

/// The rows of a folder, as text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) names: Vec<String>,
    pub(super) types: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    /// All parquet files of a folder, by name.
    pub(super) fn read(folder: &Path) -> Self {
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "parquet"))
            .collect();
        files.sort();
        let mut table = Self { names: Vec::new(), types: Vec::new(), rows: Vec::new() };
        for file in files {
            let file = std::fs::File::open(file).unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
            let fields = reader.schema().fields().clone();
            table.names = fields.iter().map(|field| field.name().clone()).collect();
            table.types = fields.iter().map(|field| field.data_type().to_string()).collect();
            for batch in reader.build().unwrap() {
                table.add(&batch.unwrap());
            }
        }
        table
    }

    fn add(&mut self, batch: &RecordBatch) {
        let options = FormatOptions::new().with_null("-");
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            self.rows.push(columns.iter().map(|column| column.value(row).to_string()).collect());
        }
    }

    /// The metadata of the schema of the first file.
    pub(super) fn metadata(folder: &Path) -> HashMap<String, String> {
        let mut files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let file = files.find(|path| path.extension().is_some_and(|end| end == "parquet")).unwrap();
        let file = std::fs::File::open(file).unwrap();
        ParquetRecordBatchReaderBuilder::try_new(file).unwrap().schema().metadata().clone()
    }

    /// The values of a column.
    pub(super) fn column(&self, name: &str) -> Vec<&str> {
        let at = self.names.iter().position(|own| own == name);
        let at = at.unwrap_or_else(|| panic!("no column {name} in {:?}", self.names));
        self.rows.iter().map(|row| row[at].as_str()).collect()
    }
}

/// Brings one text in, all in one chunk and on one thread.
pub(super) fn ingest_whole(
    name: &str,
    text: impl AsRef<[u8]>,
    options: Options,
) -> Result<Outcome> {
    let scene = Scene::new();
    let input = scene.input("in.txt", text);
    let mut request = scene.request(name, &[input]);
    request.options = options;
    request.limits = Limits { rows_per_group: 1 << 20, rows_per_file: 1 << 20, threads: 1 };
    let summary = run(&request, &silent())?;
    let table = Table::read(&request.out);
    let rejects = rejects(&summary.rejects);
    Ok(Outcome { summary, table, rejects })
}

/// A fixture of the shared test data, as text.
pub(super) fn fixture(path: &str) -> Option<String> {
    shared(&format!("data/slurm/fixtures/{path}"))
        .map(|path| std::fs::read_to_string(path).unwrap())
}
