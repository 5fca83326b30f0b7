//! A policy as it is written: every value with its place, every key known, nothing resolved yet.
//! Whether transforms, columns and grants fit together is the loader's business.

use super::problem::{Problem, Problems};
use super::read::{self, Fields, Spanned};
use super::rule;
use super::yaml::{Content, Entry, Node};
use super::{Class, Linkage, Nulls};
use crate::diagnostic::{Span, did_you_mean};

mod dp;
mod grants;
mod public;
mod quasi;
mod release;
mod source;
mod views;

pub(super) use dp::{
    ACCOUNTINGS, BOUNDS_KEYS, DELTA_MAX, DP_KEYS, EPSILON_MAX, LOSS_KEYS, NUMBERS_KEYS,
    NUMBERS_MAX, PRIVACY_KEYS, RawBounds, RawDp, RawKeys, RawNumbers, RawPrivacy, RawValues,
    VALUES_KEYS,
};
pub(super) use grants::{ACCESSES, AGGREGATES_KEYS, GRANT_KEYS, LIMITED_KEYS, RawAccess, RawGrant};
pub(super) use public::{PUBLIC_KEYS, PUBLIC_MAX, RawPublic};
pub(super) use quasi::{RawQuasi, TIME_UNITS};
pub(super) use release::{
    AGGREGATES, DISTANCES, ESTIMATORS, L_KINDS, OBJECTIVES, RawMethod, RawRelease,
};
pub(super) use source::{FIELD_TYPES, RawSource};
pub(super) use views::{RawView, VIEWS_MAX};

use dp::{numbers, privacy};
use grants::grant;
use public::public_tables;
use release::release;
use source::source;
use views::views;

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
    "views",
    "privacy",
    "public_tables",
    "public_numbers",
    "grants",
];
/// The words of `linkage`.
pub(super) const LINKAGES: &[&str] = &["per_partner", "shared"];
/// The words of `nulls`.
pub(super) const NULLS: &[&str] = &["keep", "token", "suppress_row"];
/// The words of `class`.
pub(super) const CLASSES: &[&str] = &["identifier", "quasi", "sensitive", "measure", "text"];

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
    /// The views.
    pub(super) views: Vec<RawView>,
    /// What holds for all partners together.
    pub(super) privacy: Option<RawPrivacy>,
    /// The public tables.
    pub(super) public_tables: Vec<RawPublic>,
    /// What anybody may know of the dataset's size.
    pub(super) numbers: Option<RawNumbers>,
    /// Where the word `grants` stands.
    pub(super) grants_span: Option<Span>,
    /// The grants.
    pub(super) grants: Vec<RawGrant>,
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

/// Reads the whole tree and reports everything that the grammar does not have.
pub(super) fn read(problems: &mut Problems, root: &Node) -> Option<RawPolicy> {
    let fields = Fields::new(problems, root, "a policy", KEYS)?;
    version(problems, &fields);
    let mut raw = RawPolicy {
        dataset: fields
            .need(problems, "dataset")
            .and_then(|node| dataset_name(problems, node, "`dataset`", "a dataset")),
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
        privacy: fields.maybe("privacy").and_then(|node| privacy(problems, node)),
        numbers: fields.maybe("public_numbers").and_then(|node| numbers(problems, node)),
        ..RawPolicy::default()
    };
    if let Some(node) = fields.need(problems, "columns") {
        raw.columns_span = fields.entry("columns").map_or(node.span, |entry| entry.key_span);
        columns(problems, node, &mut raw);
    }
    if let Some(node) = fields.maybe("views") {
        raw.views = views(problems, node);
    }
    if let Some(node) = fields.maybe("public_tables") {
        raw.public_tables = public_tables(problems, node);
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

/// What partners ask for by name: a dataset or a view.
fn dataset_name(
    problems: &mut Problems,
    node: &Node,
    key: &str,
    of: &str,
) -> Option<Spanned<String>> {
    let name = read::text(problems, node, key)?;
    table_name(problems, name, of)
}

/// The same of a name that was read.
fn table_name(problems: &mut Problems, name: Spanned<String>, of: &str) -> Option<Spanned<String>> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if !name.value.is_empty() && name.value.len() <= 128 && name.value.chars().all(good) {
        return Some(name);
    }
    let message = format!("`{}` cannot be the name of {of}", name.value);
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
