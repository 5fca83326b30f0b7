//! Files against the manifest that was written with them and the plan that they were made under. Looks for no
//! identifier.

use std::fs::File;
use std::path::Path;

use arrow::datatypes::{Schema, SchemaRef};

use crate::error::{Code, Context, Result};
use crate::export::manifest::Manifest;
use crate::export::read::Files;
use crate::export::typed::Wrong;
use crate::hashed::sha256;

/// What differs between the files and the manifest's list.
pub(super) fn hashes(manifest: &Manifest, files: &Files) -> Result<Option<String>> {
    let mut wrong = Vec::new();
    for part in &manifest.files {
        let file = files.0.iter().find(|file| named(&file.path) == part.name);
        let Some(file) = file else {
            wrong.push(format!("`{}` is missing", part.name));
            continue;
        };
        if hash(&file.path)? != part.sha256 {
            wrong.push(format!("`{}` is not the file that was written", part.name));
        }
    }
    for file in &files.0 {
        let name = named(&file.path);
        if !manifest.files.iter().any(|part| part.name == name) {
            wrong.push(format!("`{name}` was not written by the export"));
        }
    }
    Ok((!wrong.is_empty()).then(|| wrong.join("; ")))
}

fn named(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn hash(path: &Path) -> Result<String> {
    let read = File::open(path).and_then(|file| sha256(file, &|| false));
    read.context(Code::Usage, || format!("`{}` cannot be read", path.display()))
}

/// What differs between the files and the plan, column by column, type by type and, where a file has no types
/// of its own, value by value; and in the number of rows.
pub(super) fn types(files: &Files, schema: &SchemaRef, rows: u64) -> Result<Option<String>> {
    let mut wrong = Vec::new();
    let (mut counted, mut all) = (0, true);
    for file in &files.0 {
        let name = named(&file.path);
        if let Some((own, rows)) = file.typed()? {
            counted += rows;
            let told = |schema: &Schema| -> Vec<String> {
                let fields = schema.fields().iter();
                fields.map(|field| format!("{} {}", field.name(), field.data_type())).collect()
            };
            if told(&own) != told(schema) {
                wrong.push(format!("`{name}` has other columns or types than the plan"));
            }
            continue;
        }
        let Some(checked) = file.checked(schema)? else {
            all = false;
            wrong.push(format!("`{name}` is no file of rows"));
            continue;
        };
        counted += checked.rows;
        if let Some(Wrong { line, what }) = checked.wrong {
            all = false;
            wrong.push(format!("`{name}`, line {line}: {what}"));
        }
    }
    if all && rows != counted {
        wrong.push(format!("the files hold {counted} rows, the manifest says {rows}"));
    }
    Ok((!wrong.is_empty()).then(|| wrong.join("; ")))
}
