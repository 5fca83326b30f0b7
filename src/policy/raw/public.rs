//! The key `public_tables` as it is written: names and files. Opens none of them.

use super::table_name;
use crate::policy::problem::{Problem, Problems};
use crate::policy::read::{self, Fields, Spanned};
use crate::policy::yaml::Node;

/// Keys of a public table.
pub(in crate::policy) const PUBLIC_KEYS: &[&str] = &["parquet"];
/// How many public tables a policy may have: each is held in memory once it is asked.
pub(in crate::policy) const PUBLIC_MAX: usize = 64;

/// A public table as written.
#[derive(Debug)]
pub(in crate::policy) struct RawPublic {
    /// The name that partners ask for.
    pub(in crate::policy) name: Spanned<String>,
    /// The file.
    pub(in crate::policy) path: Spanned<String>,
}

/// Reads the key.
pub(super) fn public_tables(problems: &mut Problems, node: &Node) -> Vec<RawPublic> {
    let entries = read::map(problems, node, "`public_tables`").unwrap_or_default();
    if entries.len() > PUBLIC_MAX {
        problems.add(
            Problem::OutOfRange,
            node.span,
            format!(
                "a policy has at most {PUBLIC_MAX} public tables, this one has {}",
                entries.len()
            ),
        );
    }
    let mut tables = Vec::new();
    for entry in entries {
        let name = Spanned::new(entry.key.clone(), entry.key_span);
        let name = table_name(problems, name, "a public table");
        let path = path(problems, &entry.value);
        tables.extend(name.zip(path).map(|(name, path)| RawPublic { name, path }));
    }
    tables
}

fn path(problems: &mut Problems, node: &Node) -> Option<Spanned<String>> {
    let fields = Fields::new(problems, node, "a public table", PUBLIC_KEYS)?;
    let node = fields.need(problems, "parquet")?;
    let path = read::text(problems, node, "`parquet` of a public table")?;
    if path.value.is_empty() || path.value.contains("://") {
        problems
            .add(Problem::Refused, path.span, "a public table is one parquet file of this machine")
            .help("write its path, relative to the policy: {parquet: sites.parquet}");
        return None;
    }
    Some(path)
}
