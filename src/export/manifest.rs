//! The manifest beside exported files: what they are, from which state of policy and data, and their
//! hashes. It is the custodian's: it also tells how much the raw data are. Reads no data.

use std::io::Write;
use std::path::{Path, PathBuf};

use arrow::datatypes::{Field, Schema};
use serde::{Deserialize, Serialize};

use super::file::Place;
use crate::error::{Code, Context, Error, Result};

/// The version of manifests that this program writes.
pub const VERSION: u32 = 1;

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of its form.
    pub version: u32,
    /// The program that wrote the files.
    pub program: String,
    /// When, in UTC (RFC 3339).
    pub date: String,
    /// The dataset.
    pub dataset: String,
    /// The view of it, where the rows are a view's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
    /// The partner whom the files are for.
    pub partner: String,
    /// `parquet`, `csv`, `jsonl` or `arrow`.
    pub format: String,
    /// The column that the rows are sorted by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sorted_by: Option<String>,
    /// Whether texts that look like formulas got an apostrophe.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spreadsheet: bool,
    /// The digest of the policy.
    pub policy_digest: String,
    /// The version of the data.
    pub data_version: String,
    /// The columns, in their order.
    pub columns: Vec<Column>,
    /// The rows in the files.
    pub rows: u64,
    /// The raw rows, where the source tells without being read.
    pub rows_raw: Option<u64>,
    /// The bytes of the files.
    pub bytes: u64,
    /// The bytes that the same columns take in the source.
    pub bytes_raw: u64,
    /// What `bytes_raw` counts.
    pub bytes_raw_of: String,
    /// The files.
    pub files: Vec<Part>,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its Arrow type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What was done to it.
    pub protection: String,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its name, without folders.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

impl Column {
    /// The columns of a pull.
    pub fn all(schema: &Schema) -> Vec<Self> {
        let protection = |field: &Field| field.metadata().get(PROTECTION).cloned();
        let fields = schema.fields().iter().map(|field| Self {
            name: field.name().clone(),
            kind: field.data_type().to_string(),
            protection: protection(field).unwrap_or_default(),
        });
        fields.collect()
    }
}

/// The key under which a plan's field says what was done to it.
const PROTECTION: &str = "veilflight.protection";

/// Where the manifest of an output is.
pub fn path_of(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".manifest.json");
    out.with_file_name(name)
}

impl Manifest {
    /// What a partner asks for to get the same rows: the view, or the dataset.
    pub fn name(&self) -> &String {
        self.view.as_ref().unwrap_or(&self.dataset)
    }

    /// The manifest of an output; `None` where there is none.
    ///
    /// # Errors
    /// [`Code::Usage`] when it cannot be read.
    pub fn read(out: &Path) -> Result<Option<Self>> {
        let path = path_of(out);
        let failed = || format!("the manifest `{}` cannot be read", path.display());
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(Error::new(Code::Usage, failed()).because(cause)),
        };
        let manifest: Self = serde_json::from_slice(&text).context(Code::Usage, failed)?;
        if manifest.version != VERSION {
            let what =
                format!("it is of version {}, this program reads {VERSION}", manifest.version);
            return Err(Error::new(Code::Usage, failed()).because(what));
        }
        Ok(Some(manifest))
    }

    /// Writes it to its place. It is born with mode 0600.
    ///
    /// # Errors
    /// [`Code::Usage`] when it cannot be written.
    pub fn write(&self, place: &Place) -> Result<()> {
        let mut fresh = place.private_file()?;
        let failed = || format!("the manifest `{}` cannot be written", place.path().display());
        let mut text = serde_json::to_vec_pretty(self).context(Code::Usage, failed)?;
        text.push(b'\n');
        fresh.write_all(&text).context(Code::Usage, failed)?;
        fresh.complete()?;
        place.publish_file(fresh)
    }
}
