//! The manifest of a release: from which state of data and policy it was made, how, what it was found to
//! give when it was measured again, and the hashes of its files. It is the custodian's: it tells how many
//! rows were suppressed. Holds no value of a row, and reads no data.

use std::collections::BTreeMap;
use std::path::Path;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Code, Context, Error, Result};

/// The version of manifests that this program writes.
pub const VERSION: u32 = 1;

/// The manifest's name in the folder of its release.
pub const FILE: &str = "manifest.json";

/// What the names of losses begin with that were compared one by one, the largest first.
pub const RANK: &str = "loss, rank ";

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of its form.
    pub version: u32,
    /// The program that built the release.
    pub program: String,
    /// When it was built, in UTC (RFC 3339).
    pub date: String,
    /// The dataset.
    pub dataset: String,
    /// The release's name, which partners see in the schema.
    pub id: String,
    /// Why it was built, where somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The state of the data, as [`crate::pipeline::source::Snapshot::version`] names it.
    pub data_version: String,
    /// The files that were read.
    pub inputs: Vec<Input>,
    /// The digest of the policy.
    pub policy_digest: String,
    /// The digest of what of the policy decides the release.
    pub release_digest: String,
    /// How it was made.
    pub method: String,
    /// The levels, where whole columns were generalized.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<Level>,
    /// The release whose levels were taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levels_of: Option<String>,
    /// What was asked and what the files give.
    pub guarantees: Vec<Guarantee>,
    /// Rows and classes.
    pub rows: Rows,
    /// Information loss by the name of its measure.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub loss: BTreeMap<String, f64>,
    /// The risk that remains, by the name of its measure.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub risk: BTreeMap<String, f64>,
    /// The columns as they are stored.
    pub columns: Vec<Column>,
    /// The files.
    pub files: Vec<Part>,
}

/// A file of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its name, without folders.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// How far a column was generalized.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// The column.
    pub column: String,
    /// Its level; 0 is the value itself.
    pub level: u32,
    /// The last level, at which every value is `*`.
    pub last: u32,
}

/// A guarantee: what was asked, and what was found in the files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guarantee {
    /// The model, with the column that it is about.
    pub model: String,
    /// The bound.
    pub asked: f64,
    /// What the worst class has; nothing where there is no row.
    pub achieved: Option<f64>,
}

/// How many rows and classes there are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    /// Rows of the data that the policy's row filter lets in.
    pub read: u64,
    /// Rows of the release.
    pub released: u64,
    /// Rows that were left out because no class could take them.
    pub suppressed: u64,
    /// Their share of the rows that were read.
    pub suppressed_share: f64,
    /// Classes of rows that are alike in all quasi-identifiers.
    pub classes: u64,
    /// Rows of the smallest class.
    pub smallest: u64,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its Arrow type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `quasi`, `sensitive` or `raw`.
    pub role: String,
}

/// A file of the release.
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
    /// The SHA-256 of its footer, which is compared whenever it is served.
    pub footer_sha256: String,
}

impl Manifest {
    /// The manifest in a release's folder, if it is the one of this hash.
    ///
    /// INVARIANT: nothing of a manifest that was changed after it was pinned is believed.
    ///
    /// # Errors
    /// [`Code::State`] when it cannot be read or is another.
    pub fn read(folder: &Path, sha256: &str) -> Result<Self> {
        let path = folder.join(FILE);
        let failed = || format!("the manifest `{}` cannot be read", path.display());
        let text = std::fs::read(&path).context(Code::State, failed)?;
        if digest(&text) != sha256 {
            let what = format!(
                "the manifest `{}` is not the one that was written; build the release again, or \
                 withdraw it",
                path.display()
            );
            return Err(Error::new(Code::State, what));
        }
        let manifest: Self = serde_json::from_slice(&text).context(Code::State, failed)?;
        if manifest.version != VERSION {
            let what = format!("version {}, this program reads {VERSION}", manifest.version);
            return Err(Error::new(Code::State, failed()).because(what));
        }
        Ok(manifest)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// [`Code::Internal`] when a number is none.
    pub fn to_text(&self) -> Result<Vec<u8>> {
        let failed = || "the manifest has no text".to_owned();
        let mut text = serde_json::to_vec_pretty(self).context(Code::Internal, failed)?;
        text.push(b'\n');
        Ok(text)
    }
}

/// A SHA-256 in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}
