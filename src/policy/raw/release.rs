//! The key `release` as it is written. Builds no release.

use crate::diagnostic::Span;
use crate::policy::problem::{Problem, Problems};
use crate::policy::read::{self, Fields, Spanned};
use crate::policy::yaml::{Content, Node};

/// The methods of `k_anonymity`.
pub(in crate::policy) const RELEASE_METHODS: &[&str] = &["mondrian", "full_domain"];

/// A release as written.
#[derive(Debug)]
pub(in crate::policy) struct RawRelease {
    /// Where it stands.
    pub(in crate::policy) span: Span,
    /// k.
    pub(in crate::policy) k: Option<Spanned<i64>>,
    /// The quasi-identifiers.
    pub(in crate::policy) quasi_identifiers: Vec<Spanned<String>>,
    /// The method.
    pub(in crate::policy) method: &'static str,
    /// The share that may be suppressed.
    pub(in crate::policy) suppress_max: f64,
    /// The sensitive column and l.
    pub(in crate::policy) l_diversity: Option<(Spanned<String>, Option<i64>)>,
}

/// Reads the key.
pub(super) fn release(problems: &mut Problems, node: &Node) -> Option<RawRelease> {
    let fields = Fields::new(problems, node, "`release`", &["k_anonymity", "l_diversity"])?;
    let mut release = RawRelease {
        span: node.span,
        k: None,
        quasi_identifiers: Vec::new(),
        method: "mondrian",
        suppress_max: 0.0,
        l_diversity: None,
    };
    if let Some(node) = fields.need(problems, "k_anonymity") {
        let known = ["k", "quasi_identifiers", "method", "suppress_max"];
        if let Some(inner) = Fields::new(problems, node, "`k_anonymity`", &known) {
            release.k = inner
                .need(problems, "k")
                .and_then(|node| read::integer(problems, node, "`k`", 2, i64::MAX));
            if let Some(list) = inner.need(problems, "quasi_identifiers") {
                release.quasi_identifiers = quasi_identifiers(problems, list);
            }
            if let Some(method) = inner.maybe("method")
                && let Some(word) = read::word(problems, method, "`method`", RELEASE_METHODS)
            {
                release.method = word.value;
            }
            if let Some(share) = inner.maybe("suppress_max")
                && let Some(share) = read::number(problems, share, "`suppress_max`", 0.0, 1.0)
            {
                release.suppress_max = share.value;
            }
        }
    }
    if let Some(node) = fields.maybe("l_diversity")
        && let Some(inner) = Fields::new(problems, node, "`l_diversity`", &["column", "l"])
    {
        let column =
            inner.need(problems, "column").and_then(|node| read::text(problems, node, "`column`"));
        let l = inner
            .need(problems, "l")
            .and_then(|node| read::integer(problems, node, "`l`", 2, i64::MAX));
        release.l_diversity = column.map(|column| (column, l.map(|l| l.value)));
    }
    Some(release)
}

fn quasi_identifiers(problems: &mut Problems, node: &Node) -> Vec<Spanned<String>> {
    let items = read::one_or_more(problems, node, "`quasi_identifiers`").unwrap_or_default();
    if items.is_empty() && matches!(node.content, Content::List(_)) {
        problems.add(Problem::WrongKind, node.span, "`quasi_identifiers` names no column");
    }
    items.iter().filter_map(|item| read::text(problems, item, "a quasi-identifier")).collect()
}
