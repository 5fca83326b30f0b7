//! Buckets of rows into parquet files. The files hold what is stored and nothing else: statistics and
//! dictionaries are made from rows that are released, and no metadata comes from the source.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::manifest::{self, Part};
use super::shown::Shown;
use super::spill::Sorted;
use super::store::private_file;
use crate::error::{Code, Context, Error, Result};
use crate::hashed::Hashed;
use crate::pipeline::source::footer_of;
use crate::policy::Policy;
use crate::policy::release::ReleaseRules;
use crate::policy::stored::{Role, layout};

/// Rows that are put together at a time.
const BATCH_ROWS: usize = 16 * 1024;

/// How hard columns are packed: files are read often and written once, and half of the time goes here.
const ZSTD_LEVEL: i32 = 1;

/// The form of a release's files.
#[derive(Debug)]
pub(super) struct Form {
    schema: SchemaRef,
    roles: Vec<Role>,
}

impl Form {
    /// Of a policy's release whose labels are `shown`, beside columns of the schema `beside`.
    ///
    /// # Errors
    /// [`Code::Internal`] when a column is missing.
    pub(super) fn new(
        policy: &Policy,
        rules: &ReleaseRules,
        shown: &Shown,
        beside: &Schema,
    ) -> Result<Self> {
        let (mut fields, mut roles) = (Vec::new(), Vec::new());
        for (column, role) in layout(policy, rules) {
            let field: Option<Field> = match role {
                Role::Quasi => shown.field(&column.name),
                Role::Raw | Role::Sensitive => beside.field_with_name(&column.name).ok().cloned(),
            };
            let missing =
                || Error::new(Code::Internal, format!("a release lacks column `{}`", column.name));
            fields.push(field.ok_or_else(missing)?);
            roles.push(role);
        }
        Ok(Self { schema: Arc::new(Schema::new(fields)), roles })
    }

    /// The columns, for the manifest.
    pub(super) fn columns(&self) -> Vec<manifest::Column> {
        let fields = self.schema.fields().iter().zip(&self.roles);
        let column = |(field, role): (&Arc<Field>, &Role)| manifest::Column {
            name: field.name().clone(),
            kind: crate::pipeline::transform::column::canonical(field.data_type()).to_string(),
            role: role.word().to_owned(),
        };
        fields.map(column).collect()
    }

    fn batch(&self, rows: &RecordBatch, shown: &Shown, ranks: &[u32]) -> Result<RecordBatch> {
        let lost = || Error::new(Code::Internal, "a stored column was lost");
        let columns =
            self.schema.fields().iter().zip(&self.roles).map(|(field, role)| match role {
                Role::Quasi => shown.values(field.name(), ranks),
                Role::Raw | Role::Sensitive => {
                    rows.column_by_name(field.name()).map(Arc::clone).ok_or_else(lost)
                }
            });
        let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|_| Error::new(Code::Internal, "stored columns do not fit together"))
    }

    /// Writes one file with the rows of a bucket (none for an empty release), in row groups of so many
    /// rows, and has it on the disk.
    ///
    /// # Errors
    /// [`Code::State`] when it cannot be written, [`Code::Cancelled`] when `stop` says so.
    pub(super) fn write(
        &self,
        path: &Path,
        sorted: Option<&Sorted>,
        shown: &Shown,
        group_rows: usize,
        stop: &dyn Fn(u64) -> bool,
    ) -> Result<Part> {
        let failed = || format!("`{}` cannot be written", path.display());
        let sink = Hashed::new(private_file(path)?);
        let level = ZstdLevel::try_new(ZSTD_LEVEL).context(Code::Internal, failed)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_max_row_group_row_count(Some(group_rows))
            .set_created_by(concat!("veilflight ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let writer = ArrowWriter::try_new(sink, Arc::clone(&self.schema), Some(properties));
        let mut writer = writer.context(Code::State, failed)?;
        let rows = sorted.map_or(0, Sorted::len);
        if let Some(sorted) = sorted {
            let ranks: Vec<u32> = sorted.places().map(|place| place.group).collect();
            for (at, ranks) in ranks.chunks(BATCH_ROWS).enumerate() {
                if stop(ranks.len() as u64) {
                    return Err(Error::new(Code::Cancelled, "the build was cancelled"));
                }
                let from = at * BATCH_ROWS;
                let rows = sorted.rows(from..from + ranks.len())?;
                writer.write(&self.batch(&rows, shown, ranks)?).context(Code::State, failed)?;
            }
        }
        let sink = writer.into_inner().context(Code::State, failed)?;
        let (bytes, sha256) = sink.finish().context(Code::State, failed)?;
        let (_, footer) = footer_of(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let footer_sha256 = manifest::digest(&footer);
        Ok(Part { name, rows: rows as u64, bytes, sha256, footer_sha256 })
    }
}
