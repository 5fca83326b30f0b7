//! A policy as it is written: every value with its place, every key known, nothing resolved yet.
//! Whether transforms, columns and grants fit together is the loader's business.

use chrono::NaiveDate;

use super::problem::{Problem, Problems, listed, suggestion};
use super::read::{self, Fields, Spanned};
use super::rule;
use super::yaml::{Content, Entry, Node};
use super::{Class, FieldType, Linkage, Nulls, Source};
use crate::diagnostic::{Span, did_you_mean};

/// The keys of a policy, in the order of the manual.
pub(super) const KEYS: &[&str] = &[
    "version",
    "dataset",
    "description",
    "source",
    "linkage",
    "rows",
    "unit",
    "nulls",
    "epoch",
    "columns",
    "release",
    "grants",
];
/// The keys of `source: {delimited: ...}`.
pub(super) const DELIMITED_KEYS: &[&str] =
    &["paths", "delimiter", "header", "quote", "nulls", "columns"];
/// The words of `linkage`.
pub(super) const LINKAGES: &[&str] = &["per_partner", "shared"];
/// The words of `nulls`.
pub(super) const NULLS: &[&str] = &["keep", "token", "suppress_row"];
/// The words of `class`.
pub(super) const CLASSES: &[&str] = &["identifier", "quasi", "sensitive", "measure", "text"];
/// The types of delimited columns.
pub(super) const FIELD_TYPES: &[&str] = &["text", "integer", "number", "flag", "date", "timestamp"];
/// The words of `access`.
pub(super) const ACCESSES: &[&str] = &["rows", "aggregates", "dp"];
/// The methods of `k_anonymity`.
pub(super) const RELEASE_METHODS: &[&str] = &["mondrian", "full_domain"];
/// Keys of every grant.
pub(super) const GRANT_KEYS: &[&str] = &["partner", "access", "until", "dangerous_rows_and_dp"];
/// More keys of a grant of aggregates.
pub(super) const AGGREGATES_KEYS: &[&str] = &["group_min"];
/// More keys of a grant of differentially private answers.
pub(super) const DP_KEYS: &[&str] =
    &["epsilon", "delta", "unit", "groups_max", "rows_max", "bounds"];

/// A policy as written. What is missing or refused is `None` and has been reported.
#[derive(Debug, Default)]
pub(super) struct RawPolicy {
    /// The dataset's name.
    pub(super) dataset: Option<Spanned<String>>,
    /// What a row is.
    pub(super) description: Option<Spanned<String>>,
    /// Where the data is.
    pub(super) source: Option<RawSource>,
    /// Whether partners may join.
    pub(super) linkage: Option<Spanned<Linkage>>,
    /// The filter.
    pub(super) rows: Option<Spanned<String>>,
    /// The protected unit.
    pub(super) unit: Option<Spanned<String>>,
    /// What null means.
    pub(super) nulls: Option<Spanned<Nulls>>,
    /// The pinned epoch.
    pub(super) epoch: Option<Spanned<i64>>,
    /// Where the word `columns` stands.
    pub(super) columns_span: Span,
    /// The columns.
    pub(super) columns: Vec<RawColumn>,
    /// The release.
    pub(super) release: Option<RawRelease>,
    /// Where the word `grants` stands.
    pub(super) grants_span: Option<Span>,
    /// The grants.
    pub(super) grants: Vec<RawGrant>,
}

/// A source with the places of its columns.
#[derive(Debug)]
pub(super) struct RawSource {
    /// The source.
    pub(super) source: Source,
    /// Where it stands.
    pub(super) span: Span,
    /// Columns of delimited text.
    pub(super) columns: Vec<Spanned<String>>,
}

/// One column as written.
#[derive(Debug)]
pub(super) struct RawColumn {
    /// Its name.
    pub(super) name: Spanned<String>,
    /// What it is.
    pub(super) class: Option<Spanned<Class>>,
    /// The word of the rule; `None` when the rule was refused.
    pub(super) verb: Option<Spanned<String>>,
    /// What stands behind the word.
    pub(super) value: Option<Node>,
}

/// A release as written.
#[derive(Debug)]
pub(super) struct RawRelease {
    /// Where it stands.
    pub(super) span: Span,
    /// k.
    pub(super) k: Option<Spanned<i64>>,
    /// The quasi-identifiers.
    pub(super) quasi_identifiers: Vec<Spanned<String>>,
    /// The method.
    pub(super) method: &'static str,
    /// The share that may be suppressed.
    pub(super) suppress_max: f64,
    /// The sensitive column and l.
    pub(super) l_diversity: Option<(Spanned<String>, Option<i64>)>,
}

/// A grant as written.
#[derive(Debug)]
pub(super) struct RawGrant {
    /// Where it stands.
    pub(super) span: Span,
    /// Who.
    pub(super) partner: Option<Spanned<String>>,
    /// What, with the numbers that belong to it.
    pub(super) access: Option<RawAccess>,
    /// The last day.
    pub(super) until: Option<Spanned<NaiveDate>>,
    /// Whether rows and differentially private answers may go to the same partner.
    pub(super) dangerous_rows_and_dp: bool,
}

/// Access as written.
#[derive(Debug)]
pub(super) enum RawAccess {
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

/// Reads the whole tree and reports everything that the grammar does not have.
pub(super) fn read(problems: &mut Problems, root: &Node) -> Option<RawPolicy> {
    let fields = Fields::new(problems, root, "a policy", KEYS)?;
    version(problems, &fields);
    let mut raw = RawPolicy {
        dataset: fields.need(problems, "dataset").and_then(|node| dataset(problems, node)),
        description: fields
            .maybe("description")
            .and_then(|node| read::text(problems, node, "`description`")),
        source: fields.need(problems, "source").and_then(|node| source(problems, node)),
        linkage: fields.maybe("linkage").and_then(|node| linkage(problems, node)),
        rows: fields.maybe("rows").and_then(|node| read::text(problems, node, "`rows`")),
        unit: fields.maybe("unit").and_then(|node| read::text(problems, node, "`unit`")),
        nulls: fields.maybe("nulls").and_then(|node| nulls(problems, node)),
        epoch: fields
            .maybe("epoch")
            .and_then(|node| read::integer(problems, node, "`epoch`", 0, i64::from(u32::MAX))),
        release: fields.maybe("release").and_then(|node| release(problems, node)),
        ..RawPolicy::default()
    };
    if let Some(node) = fields.need(problems, "columns") {
        raw.columns_span = fields.entry("columns").map_or(node.span, |entry| entry.key_span);
        columns(problems, node, &mut raw);
    }
    if let Some(entry) = fields.entry("grants") {
        raw.grants_span = Some(entry.key_span);
        for node in read::list(problems, &entry.value, "`grants`").unwrap_or_default() {
            raw.grants.extend(grant(problems, node));
        }
    }
    Some(raw)
}

fn version(problems: &mut Problems, fields: &Fields<'_>) {
    let Some(node) = fields.need(problems, "version") else { return };
    if let Some(version) = read::integer(problems, node, "`version`", 1, i64::MAX)
        && version.value != 1
    {
        problems
            .add(
                Problem::Version,
                version.span,
                format!("version {} of the policy language is not known", version.value),
            )
            .help("this program knows version 1");
    }
}

fn dataset(problems: &mut Problems, node: &Node) -> Option<Spanned<String>> {
    let name = read::text(problems, node, "`dataset`")?;
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if !name.value.is_empty() && name.value.len() <= 128 && name.value.chars().all(good) {
        return Some(name);
    }
    let message = format!("`{}` cannot be the name of a dataset", name.value);
    let problem = problems.add(Problem::Name, name.span, message);
    let fixed: String = name
        .value
        .chars()
        .flat_map(char::to_lowercase)
        .map(|c| if good(c) { c } else { '_' })
        .take(128)
        .collect();
    let rule = "a name has 1 to 128 lower-case letters, digits, `_` and `-`";
    if fixed.chars().any(|c| c.is_ascii_alphanumeric()) {
        problem.help(format!("{rule}: `{fixed}`"));
    } else {
        problem.help(rule);
    }
    None
}

fn linkage(problems: &mut Problems, node: &Node) -> Option<Spanned<Linkage>> {
    let word = read::word(problems, node, "`linkage`", LINKAGES)?;
    let value = if word.value == "shared" { Linkage::Shared } else { Linkage::PerPartner };
    Some(Spanned::new(value, word.span))
}

fn nulls(problems: &mut Problems, node: &Node) -> Option<Spanned<Nulls>> {
    let word = read::word(problems, node, "`nulls`", NULLS)?;
    let value = match word.value {
        "token" => Nulls::Token,
        "suppress_row" => Nulls::SuppressRow,
        _ => Nulls::Keep,
    };
    Some(Spanned::new(value, word.span))
}

fn source(problems: &mut Problems, node: &Node) -> Option<RawSource> {
    let fields = Fields::new(problems, node, "`source`", &["parquet", "delimited"])?;
    match (fields.maybe("parquet"), fields.maybe("delimited")) {
        (Some(parquet), None) => {
            let paths = paths(problems, parquet, "`parquet`")?;
            let source = Source::Parquet { paths };
            Some(RawSource { source, span: node.span, columns: Vec::new() })
        }
        (None, Some(delimited)) => self::delimited(problems, delimited),
        (Some(_), Some(second)) => {
            problems
                .add(
                    Problem::WrongKind,
                    second.span,
                    "a source is `parquet` or `delimited`, not both",
                )
                .help("remove one of them");
            None
        }
        (None, None) => {
            problems
                .add(
                    Problem::MissingKey,
                    node.span,
                    "`source` needs the key `parquet` or `delimited`",
                )
                .help("for a folder of parquet files write {parquet: \"data/jobs\"}");
            None
        }
    }
}

fn paths(problems: &mut Problems, node: &Node, what: &str) -> Option<Vec<String>> {
    let items = read::one_or_more(problems, node, what)?;
    if items.is_empty() {
        problems.add(Problem::WrongKind, node.span, format!("{what} names no path"));
        return None;
    }
    let paths: Vec<_> = items
        .iter()
        .filter_map(|item| {
            let path = read::text(problems, item, "a path")?;
            if path.value.is_empty() {
                problems.add(Problem::WrongKind, path.span, "a path is empty");
                return None;
            }
            Some(path.value)
        })
        .collect();
    (paths.len() == items.len()).then_some(paths)
}

fn delimited(problems: &mut Problems, node: &Node) -> Option<RawSource> {
    let fields = Fields::new(problems, node, "`delimited`", DELIMITED_KEYS)?;
    let files = fields.need(problems, "paths").and_then(|node| paths(problems, node, "`paths`"));
    let delimiter = fields
        .need(problems, "delimiter")
        .and_then(|node| byte(problems, node, "`delimiter`", &[("tab", b'\t')]));
    let header =
        fields.need(problems, "header").and_then(|node| read::flag(problems, node, "`header`"));
    let quote = match fields.maybe("quote") {
        None => Some(Some(b'"')),
        Some(node) if is_word(node, "none") => Some(None),
        Some(node) => byte(problems, node, "`quote`", &[]).map(Some),
    };
    let nulls = fields.maybe("nulls").map_or_else(
        || Some(Vec::new()),
        |node| {
            let items = read::one_or_more(problems, node, "`nulls`")?;
            Some(
                items
                    .iter()
                    .filter_map(|item| read::text(problems, item, "an item of `nulls`"))
                    .map(|text| text.value)
                    .collect(),
            )
        },
    );
    let mut names = Vec::new();
    let mut columns = Vec::new();
    if let Some(node) = fields.need(problems, "columns") {
        for entry in read::map(problems, node, "`columns` of `delimited`").unwrap_or_default() {
            let what = format!("the type of `{}`", entry.key);
            names.push(Spanned::new(entry.key.clone(), entry.key_span));
            if let Some(word) = read::word(problems, &entry.value, &what, FIELD_TYPES) {
                columns.push((entry.key.clone(), field_type(word.value)));
            }
        }
        if names.is_empty() && matches!(node.content, Content::Map(_)) {
            problems.add(Problem::WrongKind, node.span, "`columns` of `delimited` is empty");
        }
    }
    if let (Some(Some(quote)), Some(delimiter)) = (quote, delimiter)
        && quote == delimiter
    {
        problems.add(Problem::Refused, node.span, "`quote` and `delimiter` are the same");
    }
    let source = Source::Delimited {
        paths: files?,
        delimiter: delimiter?,
        header: header?.value,
        quote: quote?,
        nulls: nulls?,
        columns,
    };
    Some(RawSource { source, span: node.span, columns: names })
}

fn is_word(node: &Node, word: &str) -> bool {
    matches!(&node.content, Content::Scalar { text, .. } if text == word)
}

/// One ASCII character, or a word that stands for one.
fn byte(problems: &mut Problems, node: &Node, what: &str, words: &[(&str, u8)]) -> Option<u8> {
    let written = read::text(problems, node, what)?;
    if let Some((_, byte)) = words.iter().find(|(word, _)| *word == written.value) {
        return Some(*byte);
    }
    match written.value.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Some(*byte),
        _ => {
            let problem = problems.add(
                Problem::WrongKind,
                node.span,
                format!("{what} must be one ASCII character"),
            );
            if written.value == "\\t" {
                problem.help("write `tab`");
            }
            None
        }
    }
}

fn field_type(word: &str) -> FieldType {
    match word {
        "integer" => FieldType::Integer,
        "number" => FieldType::Number,
        "flag" => FieldType::Flag,
        "date" => FieldType::Date,
        "timestamp" => FieldType::Timestamp,
        _ => FieldType::Text,
    }
}

fn columns(problems: &mut Problems, node: &Node, raw: &mut RawPolicy) {
    let Some(entries) = read::map(problems, node, "`columns`") else { return };
    if entries.is_empty() {
        problems.add(Problem::NothingLeaves, node.span, "the policy has no columns");
    }
    raw.columns = entries.iter().map(|entry| column(problems, entry)).collect();
}

fn column(problems: &mut Problems, entry: &Entry) -> RawColumn {
    let name = Spanned::new(entry.key.clone(), entry.key_span);
    let mut column = RawColumn { name, class: None, verb: None, value: None };
    let map = match &entry.value.content {
        Content::Scalar { text, plain: true } if text.is_empty() => {
            problems
                .add(
                    Problem::RuleForm,
                    entry.key_span,
                    format!("column `{}` has no rule", entry.key),
                )
                .help("write `keep` to send it as it is, or `drop` to leave it out");
            return column;
        }
        Content::Scalar { text, .. } => {
            column.verb = Some(Spanned::new(text.clone(), entry.value.span));
            return column;
        }
        Content::Map(map) => map,
        Content::List(_) => {
            let what = format!("the rule of `{}`", entry.key);
            let _: Option<()> = read::wrong(problems, &entry.value, &what, "a word or a map");
            return column;
        }
        Content::Refused => return column,
    };
    if let Some(class) = map.iter().find(|inner| inner.key == "class") {
        column.class = self::class(problems, &class.value);
    }
    let mut verbs = map.iter().filter(|inner| inner.key != "class");
    // Beside a rule, a word that is no transform is a key misspelt, or a parameter on the wrong level.
    let known = rule::verbs();
    let strangers = || verbs.clone().filter(|inner| !known.contains(&inner.key.as_str()));
    if verbs.clone().count() > 1 && strangers().next().is_some() {
        for stranger in strangers() {
            problems
                .add(
                    Problem::UnknownKey,
                    stranger.key_span,
                    format!("a rule has no key `{}`", stranger.key),
                )
                .label("unknown key")
                .help(stranger_help(&stranger.key));
        }
        return column;
    }
    match (verbs.next(), verbs.next()) {
        (None, _) => {
            problems
                .add(
                    Problem::RuleForm,
                    entry.key_span,
                    format!("column `{}` has no rule", entry.key),
                )
                .help("name one transform: {class: measure, keep}");
        }
        (Some(verb), None) => {
            column.verb = Some(Spanned::new(verb.key.clone(), verb.key_span));
            column.value = match &verb.value.content {
                Content::Scalar { text, plain: true } if text.is_empty() => None,
                _ => Some(verb.value.clone()),
            };
        }
        (Some(first), Some(second)) => {
            problems
                .add(
                    Problem::RuleForm,
                    second.key_span,
                    format!("column `{}` has more than one rule", entry.key),
                )
                .other(first.key_span, "the first is here")
                .help("a column has one transform; keep the one that protects it");
        }
    }
    column
}

fn stranger_help(word: &str) -> String {
    match did_you_mean(word, rule::verbs().into_iter().chain(["class"])) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("parameters stand under the transform's name: {}", RULE_EXAMPLE),
    }
}

/// A rule with a class and a parameter, for help texts.
const RULE_EXAMPLE: &str = "{class: quasi, truncate: {to: hour}}";

fn class(problems: &mut Problems, node: &Node) -> Option<Spanned<Class>> {
    let word = read::word(problems, node, "`class`", CLASSES)?;
    let value = match word.value {
        "identifier" => Class::Identifier,
        "quasi" => Class::Quasi,
        "sensitive" => Class::Sensitive,
        "measure" => Class::Measure,
        _ => Class::Text,
    };
    Some(Spanned::new(value, word.span))
}

fn release(problems: &mut Problems, node: &Node) -> Option<RawRelease> {
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

fn grant(problems: &mut Problems, node: &Node) -> Option<RawGrant> {
    let entries = read::map(problems, node, "a grant")?;
    let written = entries.iter().find(|entry| entry.key == "access");
    let access = written
        .and_then(|entry| read::word(problems, &entry.value, "`access`", ACCESSES))
        .map(|word| word.value);
    let mut known = GRANT_KEYS.to_vec();
    match access {
        Some("rows") => {}
        Some("aggregates") => known.extend(AGGREGATES_KEYS),
        Some("dp") => known.extend(DP_KEYS),
        _ => known.extend(AGGREGATES_KEYS.iter().chain(DP_KEYS)),
    }
    let elsewhere = |key: &str| AGGREGATES_KEYS.contains(&key) || DP_KEYS.contains(&key);
    for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
        let access = access.unwrap_or_default();
        let message = format!("a grant with `access: {access}` has no key `{}`", entry.key);
        let help = if elsewhere(&entry.key) {
            let owner = if DP_KEYS.contains(&entry.key.as_str()) { "dp" } else { "aggregates" };
            format!("`{}` belongs to `access: {owner}`", entry.key)
        } else {
            suggestion(&entry.key, known.iter().copied())
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
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    if !name.value.is_empty() && name.value.len() <= 128 && name.value.chars().all(good) {
        return Some(name);
    }
    problems
        .add(Problem::Name, name.span, format!("`{}` cannot be the name of a partner", name.value))
        .help("a name has 1 to 128 letters, digits, `.`, `_`, `-` and `@`");
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
