//! The key `grants` as it is written. Whether grants go together is the loader's business.

use chrono::NaiveDate;

use super::dp::{DP_KEYS, RawDp, dp};
use crate::diagnostic::Span;
use crate::policy::problem::{Problem, Problems, listed, suggestion};
use crate::policy::read::{self, Fields, Spanned};
use crate::policy::yaml::{Entry, Node};
use crate::policy::{Limits, is_partner_name};

/// The words of `access`.
pub(in crate::policy) const ACCESSES: &[&str] = &["rows", "aggregates", "dp"];
/// Keys of every grant.
pub(in crate::policy) const GRANT_KEYS: &[&str] =
    &["partner", "access", "until", "dangerous_rows_and_dp", "dangerous_aggregates_and_dp"];
/// More keys of a grant of rows or aggregates.
pub(in crate::policy) const LIMITED_KEYS: &[&str] = &["limits"];
/// Keys of `limits`.
pub(in crate::policy) const LIMITS_KEYS: &[&str] = &["rows_day", "bytes_day", "queries", "seconds"];
/// More keys of a grant of aggregates.
pub(in crate::policy) const AGGREGATES_KEYS: &[&str] = &["group_min"];
/// A grant as written.
#[derive(Debug)]
pub(in crate::policy) struct RawGrant {
    /// Where it stands.
    pub(in crate::policy) span: Span,
    /// Who.
    pub(in crate::policy) partner: Option<Spanned<String>>,
    /// What, with the numbers that belong to it.
    pub(in crate::policy) access: Option<RawAccess>,
    /// The last day.
    pub(in crate::policy) until: Option<Spanned<NaiveDate>>,
    /// How much.
    pub(in crate::policy) limits: Limits,
    /// Whether rows and differentially private answers may go to the same partner.
    pub(in crate::policy) dangerous_rows_and_dp: bool,
    /// Whether aggregates without noise and differentially private answers may.
    pub(in crate::policy) dangerous_aggregates_and_dp: bool,
}

/// Access as written.
#[derive(Debug)]
pub(in crate::policy) enum RawAccess {
    /// Rows.
    Rows,
    /// Aggregates.
    Aggregates {
        /// The least number of units.
        group_min: Option<i64>,
    },
    /// Differential privacy.
    Dp(Box<RawDp>),
}

/// Reads one grant.
pub(super) fn grant(problems: &mut Problems, node: &Node) -> Option<RawGrant> {
    let entries = read::map(problems, node, "a grant")?;
    let written = entries.iter().find(|entry| entry.key == "access");
    let access = written
        .and_then(|entry| read::word(problems, &entry.value, "`access`", ACCESSES))
        .map(|word| word.value);
    let mut known = GRANT_KEYS.to_vec();
    match access {
        Some("rows") => known.extend(LIMITED_KEYS),
        Some("aggregates") => known.extend(AGGREGATES_KEYS.iter().chain(LIMITED_KEYS)),
        Some("dp") => known.extend(DP_KEYS),
        _ => known.extend(AGGREGATES_KEYS.iter().chain(DP_KEYS).chain(LIMITED_KEYS)),
    }
    let owner = |key: &str| match key {
        _ if AGGREGATES_KEYS.contains(&key) => Some("`access: aggregates`"),
        _ if DP_KEYS.contains(&key) => Some("`access: dp`"),
        _ if LIMITED_KEYS.contains(&key) => Some("`access: rows` and `access: aggregates`"),
        _ => None,
    };
    for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
        let access = access.unwrap_or_default();
        let message = format!("a grant with `access: {access}` has no key `{}`", entry.key);
        let help = match owner(&entry.key) {
            Some(owner) => format!("`{}` belongs to {owner}", entry.key),
            None if LIMITS_KEYS.contains(&entry.key.as_str()) => {
                format!("`{}` belongs into `limits`", entry.key)
            }
            None => suggestion(&entry.key, known.iter().copied()),
        };
        problems.add(Problem::UnknownKey, entry.key_span, message).label("unknown key").help(help);
    }
    let all: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
    let fields = Fields::new(problems, node, "a grant", &all)?;
    if written.is_none() {
        problems
            .add(Problem::MissingKey, fields_span(entries, node), "a grant needs the key `access`")
            .help(format!("one of {}", listed(ACCESSES)));
    }
    Some(RawGrant {
        span: node.span,
        partner: fields.need(problems, "partner").and_then(|node| partner(problems, node)),
        access: access.map(|access| raw_access(problems, &fields, access)),
        until: fields.maybe("until").and_then(|node| read::date(problems, node, "`until`")),
        limits: fields
            .maybe("limits")
            .filter(|_| known.contains(&"limits"))
            .map(|node| limits(problems, node))
            .unwrap_or_default(),
        dangerous_rows_and_dp: dangerous(problems, &fields, "dangerous_rows_and_dp"),
        dangerous_aggregates_and_dp: dangerous(problems, &fields, "dangerous_aggregates_and_dp"),
    })
}

fn dangerous(problems: &mut Problems, fields: &Fields<'_>, key: &str) -> bool {
    let flag = fields.maybe(key).and_then(|node| read::flag(problems, node, &format!("`{key}`")));
    flag.is_some_and(|flag| flag.value)
}

fn fields_span(entries: &[Entry], node: &Node) -> Span {
    entries.first().map_or(node.span, |entry| entry.key_span)
}

fn partner(problems: &mut Problems, node: &Node) -> Option<Spanned<String>> {
    let name = read::text(problems, node, "`partner`")?;
    if is_partner_name(&name.value) {
        return Some(name);
    }
    problems
        .add(Problem::Name, name.span, format!("`{}` cannot be the name of a partner", name.value))
        .help("a name has 1 to 63 lower-case letters, digits, `-` and `_`, and begins with a letter or digit");
    None
}

fn raw_access(problems: &mut Problems, fields: &Fields<'_>, access: &str) -> RawAccess {
    match access {
        "aggregates" => {
            let group_min = count(problems, fields, "group_min", 2);
            RawAccess::Aggregates { group_min: group_min.map(|written| written.value) }
        }
        "dp" => RawAccess::Dp(Box::new(dp(problems, fields))),
        _ => RawAccess::Rows,
    }
}

/// A whole number of at least `min` that must be there.
pub(super) fn count(
    problems: &mut Problems,
    fields: &Fields<'_>,
    key: &str,
    min: i64,
) -> Option<Spanned<i64>> {
    let node = fields.need(problems, key)?;
    read::integer(problems, node, &format!("`{key}`"), min, i64::MAX)
}

/// How much, where it is said.
fn limits(problems: &mut Problems, node: &Node) -> Limits {
    let Some(fields) = Fields::new(problems, node, "`limits`", LIMITS_KEYS) else {
        return Limits::default();
    };
    let mut count = |key: &str| {
        let written =
            read::integer(problems, fields.maybe(key)?, &format!("`{key}`"), 1, i64::MAX)?;
        u64::try_from(written.value).ok()
    };
    Limits {
        rows_day: count("rows_day"),
        bytes_day: count("bytes_day"),
        queries: count("queries").map(|queries| usize::try_from(queries).unwrap_or(usize::MAX)),
        seconds: count("seconds"),
    }
}
