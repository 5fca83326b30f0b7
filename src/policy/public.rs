//! Public tables of a policy: files that anybody with the dataset may read as they are, for statements that are
//! answered with noise to join. Reads their bytes for the digest, and not what is in them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::UNIX_EPOCH;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::load::Loaded;
use super::problem::{Problem, Problems, listed};
use super::raw::{PUBLIC_KEYS, PUBLIC_MAX, RawPublic};
use super::read::Spanned;
use super::{Access, Policy, Source, View};
use crate::diagnostic::Span;
use crate::pipeline::transform::Change;

/// The largest file of a public table: it is held in memory.
pub const BYTES_MAX: u64 = 64 << 20;

/// Schemas of every server, which no dataset's public tables can stand in.
const SCHEMAS: &[&str] = &["public", "information_schema"];

/// A public table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicTable {
    /// What partners call it, in the schema that has the dataset's name.
    pub name: String,
    /// A parquet file, relative to the policy's folder.
    pub path: String,
    /// SHA-256 of the file when the policy was loaded, in lower-case hexadecimal: what is joined has it.
    pub content: String,
}

/// The bytes of a public table, and their SHA-256.
///
/// # Errors
/// What is wrong with the file, in lower case, without a full stop.
pub fn bytes(path: &Path) -> Result<(Vec<u8>, String), String> {
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "is not there".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    let file = File::open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err("is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(format!("is larger than {} MiB", BYTES_MAX >> 20));
    }
    let content = HEXLOWER.encode(&Sha256::digest(&bytes));
    Ok((bytes, content))
}

/// The tables that are written, each with what its file holds now.
pub(super) fn resolve(
    problems: &mut Problems,
    raw: &[RawPublic],
    dataset: Option<&Spanned<String>>,
    views: &[View],
    folder: &Path,
) -> Vec<PublicTable> {
    let mut tables = Vec::new();
    for RawPublic { name, path } in raw {
        if let Some(dataset) = dataset.filter(|it| SCHEMAS.contains(&it.value.as_str())) {
            problems
                .add(
                    Problem::Name,
                    dataset.span,
                    format!("a dataset called `{}` has no public tables", dataset.value),
                )
                .help("they stand in a schema of the dataset's name, and this one is taken")
                .other(name.span, "a public table");
        }
        let view = views.iter().any(|view| view.name == name.value);
        if view || dataset.is_some_and(|dataset| dataset.value == name.value) {
            let message = format!("two tables of this policy are called `{}`", name.value);
            problems
                .add(Problem::ViewName, name.span, message)
                .help("the dataset, each view and each public table need names of their own");
        }
        match bytes(&folder.join(&path.value)) {
            Ok((_, content)) => {
                let (name, path) = (name.value.clone(), path.value.clone());
                tables.push(PublicTable { name, path, content });
            }
            Err(reason) => {
                let message = format!("the public table `{}` {reason}", path.value);
                problems
                    .add(Problem::FileUnreadable, path.span, message)
                    .help("paths start from the folder of the policy");
            }
        }
    }
    tables
}

/// What can be said of public tables without looking into them.
pub(super) fn lint(problems: &mut Problems, loaded: &Loaded) {
    let policy = &loaded.policy;
    let spans = &loaded.places.public_tables;
    for (table, span) in policy.public_tables.iter().zip(spans) {
        if is_source(policy, &table.path) {
            problems
                .add(
                    Problem::PublicTable,
                    *span,
                    format!("the public table `{}` is a file of the dataset itself", table.name),
                )
                .help("a public table leaves as it is: name a file that holds nobody's data");
        }
    }
    let dp = policy.grants.iter().any(|grant| matches!(grant.access, Access::Dp(_)));
    if let Some(span) = spans.first().filter(|_| !dp) {
        problems
            .add(
                Problem::PublicTable,
                *span,
                "nobody can join the public tables: no grant is for answers with noise",
            )
            .help("add a grant with `access: dp`, or remove `public_tables`");
    }
}

/// Whether a file is one of the source's.
fn is_source(policy: &Policy, path: &str) -> bool {
    let (Source::Parquet { paths } | Source::Delimited { paths, .. }) = &policy.source;
    let Ok(file) = policy.folder().join(path).canonicalize() else { return false };
    paths.iter().any(|written| {
        let joined = policy.folder().join(written);
        match joined.canonicalize() {
            Ok(real) => file.starts_with(real),
            Err(_) => {
                let pattern = glob::Pattern::new(&joined.to_string_lossy());
                let named = policy.folder().join(path);
                pattern.is_ok_and(|it| it.matches_path(&file) || it.matches_path(&named))
            }
        }
    })
}

/// When each file was last written and how large it is: other words than before mean that they are to be
/// looked at again.
pub fn stamps(policy: &Policy) -> String {
    let mut all = String::new();
    for table in &policy.public_tables {
        let about = std::fs::metadata(policy.folder().join(&table.path));
        let written = about.as_ref().ok().and_then(|about| about.modified().ok());
        let written = written.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let _ = write!(all, "{:?} {written:?};", about.ok().map(|about| about.len()));
    }
    all
}

/// The sentence about public tables, where there are any.
pub(super) fn sentence(policy: &Policy) -> Option<String> {
    let names: Vec<String> = policy
        .public_tables
        .iter()
        .map(|table| format!("{}.{}", policy.dataset, table.name))
        .collect();
    let (verb, file) = if names.len() == 1 { ("is", "the file") } else { ("are", "the files") };
    (!names.is_empty()).then(|| {
        format!(
            "{} {verb} public: whoever has differentially private answers may read {file} as it stands, \
             and join it.",
            listed(&names)
        )
    })
}

/// What changed in public tables: the table, which way, and why.
pub(super) fn changes(old: &Policy, new: &Policy) -> Vec<(String, Change, String)> {
    let by_name = |policy: &Policy| -> BTreeMap<String, PublicTable> {
        let tables = policy.public_tables.iter();
        tables.map(|table| (table.name.clone(), table.clone())).collect()
    };
    let (old, new) = (by_name(old), by_name(new));
    let mut found = Vec::new();
    let mut add = |name: &str, change, reason: &str| {
        found.push((format!("public table `{name}`"), change, reason.to_owned()));
    };
    for (name, before) in &old {
        match new.get(name) {
            None => add(name, Change::Strengthens, "is no longer told of"),
            Some(after) if before.content != after.content => {
                add(name, Change::Weakens, "holds something else, which leaves as it is");
            }
            Some(after) if before.path != after.path => {
                add(name, Change::Moves, "is another file, and holds the same");
            }
            Some(_) => {}
        }
    }
    for name in new.keys().filter(|name| !old.contains_key(*name)) {
        add(name, Change::Weakens, "is new, and leaves as it is");
    }
    found
}

/// The key in the JSON Schema of the policy language.
pub(super) fn schema() -> Value {
    let table = json!({
        "type": "object", "additionalProperties": false, "required": PUBLIC_KEYS,
        "properties": {
            "parquet": {
                "$ref": "#/$defs/text", "description": "A file, relative to the policy.",
            },
        },
    });
    json!({
        "type": "object", "maxProperties": PUBLIC_MAX,
        "propertyNames": { "pattern": "^[a-z0-9_-]{1,128}$" },
        "additionalProperties": table,
        "description":
            "Tables that hold nobody's data and leave as they are: for statements with noise to join.",
    })
}

/// Where public tables stand in the file.
pub(super) fn places(raw: &[RawPublic]) -> Vec<Span> {
    raw.iter().map(|table| table.path.span).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::diff::{diff, verdict};
    use crate::policy::load::{Loaded, load_bytes};

    const DP: &str = "{partner: a, access: dp, epsilon: 1, unit: User, groups_max: 1, rows_max: 1}";

    /// A policy in this folder, with these public tables and this grant.
    fn loaded(folder: &Path, tables: &str, grant: &str) -> Result<Loaded, Vec<String>> {
        let text = format!(
            "version: 1\ndataset: jobs\nsource: {{parquet: data}}\ncolumns: {{User: keep}}\n\
             views:\n  - {{name: all, sql: SELECT * FROM jobs}}\n\
             public_tables: {tables}\ngrants: [{grant}]\n"
        );
        load_bytes(&folder.join("jobs.yaml"), text.as_bytes())
            .map_err(|report| report.diagnostics().iter().map(|it| it.code.to_owned()).collect())
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        for name in ["sites.parquet", "data/jobs.parquet"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        folder
    }

    #[test]
    fn a_public_table_is_a_file_of_its_own_that_somebody_can_join() {
        let folder = folder();
        let warned = |tables: &str, grant: &str| -> usize {
            let loaded = loaded(folder.path(), tables, grant).unwrap();
            loaded.warnings.iter().filter(|it| it.code == Problem::PublicTable.code()).count()
        };
        let sites = "{sites: {parquet: sites.parquet}}";
        assert_eq!(warned(sites, DP), 0);
        assert_eq!(warned(sites, "{partner: a, access: rows}"), 1);
        assert_eq!(warned("{sites: {parquet: data/jobs.parquet}}", DP), 1);
        assert_eq!(warned("{sites: {parquet: ./data/../data/jobs.parquet}}", DP), 1);
        for (tables, code) in [
            ("{sites: {parquet: nowhere.parquet}}", Problem::FileUnreadable),
            ("{sites: {parquet: data}}", Problem::FileUnreadable),
            ("{Sites: {parquet: sites.parquet}}", Problem::Name),
            ("{all: {parquet: sites.parquet}}", Problem::ViewName),
            ("{jobs: {parquet: sites.parquet}}", Problem::ViewName),
            ("{sites: {parquet: 's3://a/b'}}", Problem::Refused),
            ("{sites: {csv: sites.csv}}", Problem::UnknownKey),
            ("[sites.parquet]", Problem::WrongKind),
        ] {
            let codes = loaded(folder.path(), tables, DP).unwrap_err();
            assert!(codes.iter().any(|it| it == code.code()), "{tables}: {codes:?}");
        }
    }

    #[test]
    fn what_a_public_table_holds_is_part_of_the_digest_and_of_what_changed() {
        let folder = folder();
        let path = folder.path();
        let sites = "{sites: {parquet: sites.parquet}}";
        let before = loaded(path, sites, DP).unwrap().policy;
        let same = loaded(path, sites, DP).unwrap().policy;
        assert_eq!((&same.digest, diff(&before, &same)), (&before.digest, Vec::new()));
        let stamped = stamps(&before);
        std::fs::write(path.join("sites.parquet"), "something else").unwrap();
        assert_ne!(stamps(&before), stamped);
        // What was loaded keeps its digest; what is loaded now has another.
        assert_eq!(before.digest_now(), before.digest);
        let after = loaded(path, sites, DP).unwrap().policy;
        assert_ne!(after.digest, before.digest);
        assert_eq!(verdict(&diff(&before, &after)), Some(Change::Weakens));
        let none = loaded(path, "{}", DP).unwrap().policy;
        assert_eq!(verdict(&diff(&after, &none)), Some(Change::Strengthens));
        assert_eq!(verdict(&diff(&none, &after)), Some(Change::Weakens));
        assert!(sentence(&after).unwrap().contains("jobs.sites") && sentence(&none).is_none());
    }
}
