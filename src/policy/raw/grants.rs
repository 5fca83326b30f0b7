//! The key `grants` as it is written. Whether grants go together is the loader's business.

use chrono::NaiveDate;

use crate::diagnostic::Span;
use crate::policy::problem::{Problem, Problems, listed, suggestion};
use crate::policy::read::{self, Fields, Spanned};
use crate::policy::yaml::{Entry, Node};
use crate::policy::{Limits, is_partner_name};

/// The words of `access`.
pub(in crate::policy) const ACCESSES: &[&str] = &["rows", "aggregates", "dp"];
/// Keys of every grant.
pub(in crate::policy) const GRANT_KEYS: &[&str] =
    &["partner", "access", "until", "dangerous_rows_and_dp"];
/// More keys of a grant of rows or aggregates.
pub(in crate::policy) const LIMITED_KEYS: &[&str] = &["limits"];
/// Keys of `limits`.
pub(in crate::policy) const LIMITS_KEYS: &[&str] = &["rows_day", "bytes_day", "queries", "seconds"];
/// More keys of a grant of aggregates.
pub(in crate::policy) const AGGREGATES_KEYS: &[&str] = &["group_min"];
/// More keys of a grant of differentially private answers.
pub(in crate::policy) const DP_KEYS: &[&str] =
    &["epsilon", "delta", "unit", "groups_max", "rows_max", "bounds"];

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
    Dp {
        /// Epsilon.
        epsilon: Option<String>,
        /// Delta.
        delta: String,
        /// The unit's column.
        unit: Option<Spanned<String>>,
        /// Groups a unit.
        groups_max: Option<i64>,
        /// Rows a unit and group.
        rows_max: Option<i64>,
        /// Bounds by column.
        bounds: Vec<(Spanned<String>, (f64, f64))>,
    },
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
        dangerous_rows_and_dp: fields
            .maybe("dangerous_rows_and_dp")
            .and_then(|node| read::flag(problems, node, "`dangerous_rows_and_dp`"))
            .is_some_and(|flag| flag.value),
    })
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
    let count = |problems: &mut Problems, key: &str, min: i64| {
        let node = fields.need(problems, key)?;
        Some(read::integer(problems, node, &format!("`{key}`"), min, i64::MAX)?.value)
    };
    match access {
        "aggregates" => RawAccess::Aggregates { group_min: count(problems, "group_min", 2) },
        "dp" => {
            let groups_max = count(problems, "groups_max", 1);
            let rows_max = count(problems, "rows_max", 1);
            RawAccess::Dp {
                epsilon: fields.need(problems, "epsilon").and_then(|node| epsilon(problems, node)),
                delta: fields
                    .maybe("delta")
                    .and_then(|node| delta(problems, node))
                    .unwrap_or_else(|| "0".to_owned()),
                unit: fields.maybe("unit").and_then(|node| read::text(problems, node, "`unit`")),
                groups_max,
                rows_max,
                bounds: fields
                    .maybe("bounds")
                    .map(|node| bounds(problems, node))
                    .unwrap_or_default(),
            }
        }
        _ => RawAccess::Rows,
    }
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

fn epsilon(problems: &mut Problems, node: &Node) -> Option<String> {
    let written = read::decimal(problems, node, "`epsilon`")?;
    match written.value.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 20.0 => Some(written.value),
        _ => {
            problems
                .add(
                    Problem::OutOfRange,
                    node.span,
                    format!("`epsilon` must be over 0 and at most 20, not `{}`", written.value),
                )
                .help("values over 10 protect little; 0.1 to 3 are common");
            None
        }
    }
}

fn delta(problems: &mut Problems, node: &Node) -> Option<String> {
    let written = read::small_decimal(problems, node, "`delta`")?;
    match written.value.parse::<f64>() {
        Ok(value) if (0.0..=1e-5).contains(&value) => Some(written.value),
        _ => {
            problems
                .add(
                    Problem::OutOfRange,
                    node.span,
                    format!("`delta` must be from 0 to 1e-5, not `{}`", written.value),
                )
                .help("delta is the chance that the promise fails: well under one in the number of people");
            None
        }
    }
}

fn bounds(problems: &mut Problems, node: &Node) -> Vec<(Spanned<String>, (f64, f64))> {
    let mut bounds = Vec::new();
    for entry in read::map(problems, node, "`bounds`").unwrap_or_default() {
        let what = format!("the bounds of `{}`", entry.key);
        let Some(pair) = read::list(problems, &entry.value, &what) else { continue };
        let [low, high] = pair else {
            problems
                .add(Problem::WrongKind, entry.value.span, format!("{what} must be two numbers"))
                .help("write the least and the greatest: [0, 864000]");
            continue;
        };
        let low = read::number(problems, low, &what, f64::MIN, f64::MAX);
        let high = read::number(problems, high, &what, f64::MIN, f64::MAX);
        let (Some(low), Some(high)) = (low, high) else { continue };
        if low.value >= high.value {
            problems
                .add(Problem::OutOfRange, entry.value.span, format!("{what} are not in order"))
                .help("the first must be less than the second");
            continue;
        }
        bounds.push((Spanned::new(entry.key.clone(), entry.key_span), (low.value, high.value)));
    }
    bounds
}
