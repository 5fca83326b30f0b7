//! The folder of the output: parquet files that appear when they are whole, the rejects file, and the
//! manifest that says which of both belong to finished work. Encodes nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use arrow::datatypes::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use super::chunk::Mark;
use super::encode::{Counts, Group, REJECTS_HEADER};
use super::manifest::{Fresh, Manifest, Part, private};
use crate::error::{Code, Context, Error, Result};

/// How hard columns are packed: what other writers of parquet use by default.
const ZSTD_LEVEL: i32 = 3;

/// The size of a page, before packing.
const PAGE_BYTES: usize = 4 << 20;

/// Where a run writes.
pub(super) struct Output {
    folder: PathBuf,
    manifest: Manifest,
    schema: SchemaRef,
    rows_per_file: u64,
    open: Option<Open>,
    rejects: Option<File>,
    rejects_bytes: u64,
    /// What became of the current input's records since the last finished part.
    pending: Counts,
    at: Option<Mark>,
}

/// A file that is being written.
struct Open {
    name: String,
    fresh: Fresh,
    writer: SerializedFileWriter<File>,
    rows: u64,
}

impl Output {
    /// Goes on where the manifest says: what stands in the rejects file behind that goes.
    pub(super) fn open(
        folder: &Path,
        manifest: Manifest,
        schema: SchemaRef,
        rows_per_file: u64,
    ) -> Result<Self> {
        let mut this = Self {
            folder: folder.to_owned(),
            rejects_bytes: manifest.rejects_bytes,
            manifest,
            schema,
            rows_per_file,
            open: None,
            rejects: None,
            pending: Counts::default(),
            at: None,
        };
        let path = &this.manifest.rejects;
        let naming = || format!("`{}` cannot be written", path.display());
        if path.exists() {
            let mut file =
                OpenOptions::new().write(true).open(path).context(Code::Usage, naming)?;
            let length = file.metadata().context(Code::Usage, naming)?.len();
            if length < this.rejects_bytes {
                let text = format!("`{}` is shorter than it was", path.display());
                return Err(Error::new(Code::Usage, text));
            }
            file.set_len(this.rejects_bytes).context(Code::Usage, naming)?;
            file.seek(SeekFrom::End(0)).context(Code::Usage, naming)?;
            this.rejects = Some(file);
        } else if this.rejects_bytes > 0 {
            let text = format!("`{}` is gone; `--overwrite` begins anew", path.display());
            return Err(Error::new(Code::Usage, text));
        }
        this.manifest.write(folder)?;
        Ok(this)
    }

    /// What was done so far.
    pub(super) const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Makes writers of columns, which fit into all files; `plain` columns are written without a
    /// dictionary.
    pub(super) fn factory(
        schema: &SchemaRef,
        plain: &[bool],
    ) -> Result<ArrowRowGroupWriterFactory> {
        let writer = writer(std::io::sink(), schema, plain)?;
        Ok(writer.1)
    }

    /// Writes what became of a chunk; chunks come in order.
    pub(super) fn add(&mut self, input: usize, group: Group) -> Result<()> {
        self.reject(&group.rejects)?;
        self.pending += group.counts;
        self.at = Some(group.end);
        if group.counts.rows == 0 {
            return Ok(());
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin(input)?,
        };
        let failed = || format!("`{}` cannot be written", open.name);
        let mut row_group = open.writer.next_row_group().context(Code::Usage, failed)?;
        for column in group.columns {
            column.append_to_row_group(&mut row_group).context(Code::Usage, failed)?;
        }
        row_group.close().context(Code::Usage, failed)?;
        open.rows += group.counts.rows;
        let full = open.rows >= self.rows_per_file;
        self.open = Some(open);
        if full { self.finish(input, false) } else { Ok(()) }
    }

    /// The input has ended.
    pub(super) fn end(&mut self, input: usize, at: Mark) -> Result<()> {
        self.at = Some(at);
        let parts = self.manifest.inputs.get(input).map_or(0, |progress| progress.parts.len());
        if parts == 0 && self.open.is_none() {
            // No rows are a table too.
            self.open = Some(self.begin(input)?);
        }
        self.finish(input, true)
    }

    fn begin(&self, input: usize) -> Result<Open> {
        let gone = || Error::new(Code::Internal, "an input is not in the manifest");
        let progress = self.manifest.inputs.get(input).ok_or_else(gone)?;
        let name = format!("{}-{:05}.parquet", progress.stem, progress.parts.len());
        let fresh = Fresh::create(&self.folder, &name)?;
        let failed = || format!("`{name}` cannot be written");
        let file = fresh.file.try_clone().context(Code::Usage, failed)?;
        let (writer, _) = writer(file, &self.schema, &[])?;
        Ok(Open { name, fresh, writer, rows: 0 })
    }

    /// Closes the open file, then says so in the manifest: a file that the manifest does not name is
    /// written again.
    fn finish(&mut self, input: usize, done: bool) -> Result<()> {
        let mut part = None;
        if let Some(open) = self.open.take() {
            let failed = || format!("`{}` cannot be written", open.name);
            open.writer.close().context(Code::Usage, failed)?;
            let bytes = open.fresh.file.metadata().context(Code::Usage, failed)?.len();
            open.fresh.finish()?;
            part = Some(Part { file: open.name, rows: open.rows, bytes });
        }
        if let Some(file) = &mut self.rejects {
            file.sync_all().context(Code::Usage, || "rejects cannot be written".to_owned())?;
        }
        self.manifest.rejects_bytes = self.rejects_bytes;
        if let Some(progress) = self.manifest.inputs.get_mut(input) {
            progress.parts.extend(part);
            progress.at = self.at;
            progress.counts += std::mem::take(&mut self.pending);
            progress.done = done;
        }
        self.at = None;
        self.manifest.write(&self.folder)
    }

    fn reject(&mut self, lines: &[u8]) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let path = &self.manifest.rejects;
        let naming = || format!("`{}` cannot be written", path.display());
        let mut file = match self.rejects.take() {
            Some(file) => file,
            None => {
                let mut file = private(path).context(Code::Usage, naming)?;
                file.write_all(REJECTS_HEADER).context(Code::Usage, naming)?;
                self.rejects_bytes = REJECTS_HEADER.len() as u64;
                file
            }
        };
        file.write_all(lines).context(Code::Usage, naming)?;
        self.rejects_bytes += lines.len() as u64;
        self.rejects = Some(file);
        Ok(())
    }
}

/// Removes what a run wrote.
pub(super) fn remove(folder: &Path, manifest: &Manifest) -> Result<()> {
    let paths = manifest.files().map(|file| folder.join(file));
    for path in paths.chain([manifest.rejects.clone()]) {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let naming = || format!("`{}` cannot be removed", path.display());
                return Err(error).context(Code::Usage, naming);
            }
            _ => {}
        }
    }
    Ok(())
}

fn writer<W: Write + Send>(
    out: W,
    schema: &SchemaRef,
    plain: &[bool],
) -> Result<(SerializedFileWriter<W>, ArrowRowGroupWriterFactory)> {
    let failed = || "a parquet file cannot be begun".to_owned();
    let level = ZstdLevel::try_new(ZSTD_LEVEL).context(Code::Internal, failed)?;
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(None)
        // A column of a row group is one page or a few: packing many small ones is slower, and worse.
        .set_data_page_row_count_limit(usize::MAX)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_created_by(concat!("veilflight ", env!("CARGO_PKG_VERSION")).to_owned());
    for (field, _) in schema.fields().iter().zip(plain).filter(|(_, plain)| **plain) {
        let path = ColumnPath::new(vec![field.name().clone()]);
        properties = properties.set_column_dictionary_enabled(path, false);
    }
    for field in schema.fields().iter().filter(|field| *field.data_type() == DataType::Utf8) {
        // The least and the greatest name of a row group let nobody skip it, and cost two comparisons a row.
        let path = ColumnPath::new(vec![field.name().clone()]);
        properties = properties.set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    ArrowWriter::try_new(out, std::sync::Arc::clone(schema), Some(properties.build()))
        .and_then(ArrowWriter::into_serialized_writer)
        .context(Code::Internal, failed)
}
