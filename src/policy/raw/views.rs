//! The key `views` as it is written: names, descriptions, SQL. Whether the SQL can be asked is the
//! business of the query engine (`pipeline::query::check_views`).

use super::dataset_name;
use crate::policy::problem::{Problem, Problems};
use crate::policy::read::{self, Fields, Spanned};
use crate::policy::yaml::Node;

/// Keys of a view.
pub(in crate::policy) const VIEW_KEYS: &[&str] = &["name", "description", "sql"];
/// How many views a policy may have: each is planned where tables are listed.
pub(in crate::policy) const VIEWS_MAX: usize = 64;

/// A view as written.
#[derive(Debug)]
pub(in crate::policy) struct RawView {
    /// The name that partners ask for.
    pub(in crate::policy) name: Option<Spanned<String>>,
    /// What it shows.
    pub(in crate::policy) description: Option<Spanned<String>>,
    /// The query.
    pub(in crate::policy) sql: Option<Spanned<String>>,
}

/// Reads the key.
pub(super) fn views(problems: &mut Problems, node: &Node) -> Vec<RawView> {
    let items = read::list(problems, node, "`views`").unwrap_or_default();
    if items.len() > VIEWS_MAX {
        problems.add(
            Problem::OutOfRange,
            node.span,
            format!("a policy has at most {VIEWS_MAX} views, this one has {}", items.len()),
        );
    }
    items.iter().filter_map(|item| view(problems, item)).collect()
}

fn view(problems: &mut Problems, node: &Node) -> Option<RawView> {
    let fields = Fields::new(problems, node, "a view", VIEW_KEYS)?;
    let name = fields.need(problems, "name");
    let name = name.and_then(|node| dataset_name(problems, node, "`name`", "a view"));
    let description = fields
        .maybe("description")
        .and_then(|node| read::text(problems, node, "the `description` of a view"));
    let sql = fields.need(problems, "sql");
    let sql = sql.and_then(|node| read::text(problems, node, "the `sql` of a view"));
    Some(RawView { name, description, sql })
}
