//! Parquet and Arrow files, by the libraries' own writers. Decides how they are compressed and cut, not
//! what stands in them.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::Sink;
use super::file::Fresh;
use crate::error::{Code, Context, Result};

/// A row group ends after so many rows.
const GROUP_ROWS: usize = 1 << 20;

/// Or when it holds about so many bytes, encoded.
const GROUP_BYTES: usize = 128 << 20;

/// A parquet file.
pub(super) struct ParquetFile(ArrowWriter<Fresh>);

impl ParquetFile {
    pub(super) fn new(fresh: Fresh, schema: &SchemaRef) -> Result<Self> {
        // Pseudonyms and buckets repeat: dictionaries make them small, whatever their order.
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_dictionary_enabled(true)
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_max_row_group_bytes(Some(GROUP_BYTES))
            .set_created_by(concat!("veilflight ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        ArrowWriter::try_new(fresh, SchemaRef::clone(schema), Some(properties))
            .map(Self)
            .context(Code::Usage, || "these columns cannot be written as parquet".to_owned())
    }
}

impl Sink for ParquetFile {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.0.write(batch).context(Code::Usage, failed)
    }

    fn finish(self: Box<Self>) -> Result<(Fresh, u64)> {
        Ok((self.0.into_inner().context(Code::Usage, failed)?, 0))
    }
}

/// An Arrow IPC file.
pub(super) struct ArrowFile(FileWriter<Fresh>);

impl ArrowFile {
    pub(super) fn new(fresh: Fresh, schema: &SchemaRef) -> Result<Self> {
        IpcWriteOptions::default()
            .try_with_compression(Some(CompressionType::ZSTD))
            .and_then(|options| FileWriter::try_new_with_options(fresh, schema, options))
            .map(Self)
            .context(Code::Usage, failed)
    }
}

impl Sink for ArrowFile {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.0.write(batch).context(Code::Usage, failed)
    }

    fn finish(self: Box<Self>) -> Result<(Fresh, u64)> {
        Ok((self.0.into_inner().context(Code::Usage, failed)?, 0))
    }
}

fn failed() -> String {
    "the file cannot be written".to_owned()
}
