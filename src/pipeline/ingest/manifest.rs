//! What a run has done so far, as a JSON file beside its output: with it a run that was stopped goes on
//! where it stopped, and two runs do not mix. Holds names, sizes and counts, no rows.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::chunk::Mark;
use super::encode::Counts;
use super::input::Stamp;
use crate::error::{Code, Context, Result};

/// Its name in the folder of the output.
pub(super) const MANIFEST: &str = "ingest.json";

/// The state of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// The version of this file's form.
    pub(super) version: u32,
    /// The format's name.
    pub(super) format: String,
    /// The options that decide what the rows are.
    pub(super) options: String,
    /// Names and types of the columns.
    pub(super) columns: Vec<(String, String)>,
    /// Where rejects are, and how much of the file belongs to finished parts.
    pub(super) rejects: PathBuf,
    /// The length of the rejects file up to the last finished part.
    pub(super) rejects_bytes: u64,
    /// The inputs in their order.
    pub(super) inputs: Vec<Progress>,
}

/// How far one input is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    /// What the file was.
    pub(super) stamp: Stamp,
    /// What its parts are named after.
    pub(super) stem: String,
    /// Its finished parts.
    pub(super) parts: Vec<Part>,
    /// Where the text goes on behind them.
    pub(super) at: Option<Mark>,
    /// What became of the records before that.
    pub(super) counts: Counts,
    /// Whether all of it is done.
    pub(super) done: bool,
}

/// A finished file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    pub(super) file: String,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl Manifest {
    /// Reads the manifest of a folder; none when there is none.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(MANIFEST);
        let naming = || format!("`{}` cannot be read", path.display());
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context(Code::Usage, naming),
        };
        serde_json::from_slice(&text).map(Some).context(Code::Usage, naming)
    }

    /// Writes it in place of the former.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let naming = || format!("`{MANIFEST}` cannot be written in `{}`", folder.display());
        let text = serde_json::to_vec_pretty(self).context(Code::Internal, naming)?;
        let mut file = Fresh::create(folder, MANIFEST)?;
        file.file.write_all(&text).context(Code::Usage, naming)?;
        file.finish()
    }

    /// Whether every input is done.
    pub(super) fn is_done(&self) -> bool {
        self.inputs.iter().all(|input| input.done)
    }

    /// All finished files.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().flat_map(|input| &input.parts).map(|part| part.file.as_str())
    }
}

/// A file that gets its name when it is whole.
///
/// PRIVACY: born with mode 0600, under its temporary name too.
pub(super) struct Fresh {
    /// What is written to.
    pub(super) file: File,
    temporary: PathBuf,
    path: PathBuf,
}

impl Fresh {
    /// A new file in a folder. What a run that was stopped left under the temporary name goes.
    pub(super) fn create(folder: &Path, name: &str) -> Result<Self> {
        let temporary = folder.join(format!(".{name}.unfinished"));
        let naming = || format!("`{}` cannot be made", temporary.display());
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).context(Code::Usage, naming);
            }
            _ => {}
        }
        let file = private(&temporary).context(Code::Usage, naming)?;
        Ok(Self { file, temporary, path: folder.join(name) })
    }

    /// Makes it durable and gives it its name.
    pub(super) fn finish(self) -> Result<()> {
        let naming = || format!("`{}` cannot be written", self.path.display());
        self.file.sync_all().context(Code::Usage, naming)?;
        fs::rename(&self.temporary, &self.path).context(Code::Usage, naming)?;
        let folder = self.path.parent().unwrap_or_else(|| Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).context(Code::Usage, naming)
    }
}

/// A new file that only its owner may read.
pub(super) fn private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}
