//! The key `release` as it is written: quasi-identifiers, method and models with their places. Whether
//! columns, models and method fit together is the business of [`super::super::release`].

use super::quasi::{RawQuasi, quasi_identifiers, rule_of};
use super::source::{RawSource, source};
use crate::diagnostic::Span;
use crate::policy::problem::{Problem, Problems, suggestion};
use crate::policy::read::{self, Fields, Spanned};
use crate::policy::release::{
    Aggregate, Distance, Estimator, HierarchyRule, Method, Model, Objective,
};
use crate::policy::yaml::{Content, Entry, Node};

/// The keys of a release, in the order of the manual.
pub(in crate::policy) const RELEASE_KEYS: &[&str] = &[
    "quasi_identifiers",
    "unit",
    "method",
    "suppress_max",
    "population",
    "k_anonymity",
    "k_map",
    "l_diversity",
    "t_closeness",
    "delta_presence",
    "beta_likeness",
    "dangerous_rerelease",
];
/// The methods; `full_domain` is an old name of `lattice`.
pub(in crate::policy) const RELEASE_METHODS: &[&str] =
    &["lattice", "fixed", "mondrian", "microaggregation", "local_suppression", "full_domain"];
/// What a lattice makes least.
pub(in crate::policy) const OBJECTIVES: &[&str] =
    &["loss", "entropy", "discernibility", "class_size", "precision", "height"];
/// How losses by column become one.
pub(in crate::policy) const AGGREGATES: &[&str] =
    &["rank", "geometric_mean", "arithmetic_mean", "sum", "maximum"];
/// The kinds of l-diversity.
pub(in crate::policy) const L_KINDS: &[&str] = &["distinct", "entropy", "recursive"];
/// How entropy is estimated.
pub(in crate::policy) const ESTIMATORS: &[&str] = &["shannon", "grassberger"];
/// The distances of t-closeness that are words.
pub(in crate::policy) const DISTANCES: &[&str] = &["equal", "ordered"];

/// A release as written.
#[derive(Debug)]
pub(in crate::policy) struct RawRelease {
    /// Its first key.
    pub(in crate::policy) key_span: Span,
    /// The quasi-identifiers; `None` where they are missing or no list.
    pub(in crate::policy) quasi_identifiers: Option<Vec<RawQuasi>>,
    /// The unit.
    pub(in crate::policy) unit: Option<Spanned<String>>,
    /// The method.
    pub(in crate::policy) method: Option<RawMethod>,
    /// The share that may be suppressed.
    pub(in crate::policy) suppress_max: Option<Spanned<f64>>,
    /// The population.
    pub(in crate::policy) population: Option<RawSource>,
    /// The models.
    pub(in crate::policy) models: Vec<RawModel>,
    /// Whether a model was written, perhaps wrongly.
    pub(in crate::policy) any_model: bool,
    /// Whether the same data may be released again.
    pub(in crate::policy) dangerous_rerelease: bool,
}

/// A method as written.
#[derive(Debug)]
pub(in crate::policy) struct RawMethod {
    /// Where it stands.
    pub(in crate::policy) span: Span,
    /// The method; the levels of `fixed` stand beside it.
    pub(in crate::policy) method: Method,
    /// The levels of `fixed`.
    pub(in crate::policy) levels: Vec<(Spanned<String>, Spanned<u32>)>,
}

/// A model as written.
#[derive(Debug)]
pub(in crate::policy) struct RawModel {
    /// Where it stands.
    pub(in crate::policy) span: Span,
    /// The sensitive column.
    pub(in crate::policy) column: Option<Spanned<String>>,
    /// The model; `None` where it was refused.
    pub(in crate::policy) model: Option<Model>,
}

/// Reads the key.
pub(super) fn release(problems: &mut Problems, node: &Node) -> Option<RawRelease> {
    let fields = Fields::new(problems, node, "`release`", RELEASE_KEYS)?;
    let first = match &node.content {
        Content::Map(entries) => entries.first().map(|entry| entry.key_span),
        _ => None,
    };
    let inner = fields.entry("k_anonymity").and_then(|entry| inner(problems, entry));
    let inner = inner.as_ref();
    let quasi = one_place(problems, &fields, inner, "quasi_identifiers");
    if quasi.is_none() {
        let at = first.unwrap_or(node.span);
        problems
            .add(Problem::MissingKey, at, "`release` needs the key `quasi_identifiers`")
            .label("`quasi_identifiers` is missing")
            .help("name the columns that could identify somebody together");
    }
    let method = one_place(problems, &fields, inner, "method");
    let share = one_place(problems, &fields, inner, "suppress_max");
    let mut release = RawRelease {
        key_span: first.unwrap_or(node.span),
        quasi_identifiers: quasi.and_then(|node| quasi_identifiers(problems, node)),
        unit: fields.maybe("unit").and_then(|node| read::text(problems, node, "`unit`")),
        method: method.and_then(|node| self::method(problems, node)),
        suppress_max: share
            .and_then(|node| read::number(problems, node, "`suppress_max`", 0.0, 1.0)),
        population: fields.maybe("population").and_then(|node| source(problems, node)),
        models: Vec::new(),
        any_model: false,
        dangerous_rerelease: fields
            .maybe("dangerous_rerelease")
            .and_then(|node| read::flag(problems, node, "`dangerous_rerelease`"))
            .is_some_and(|flag| flag.value),
    };
    models(problems, &fields, inner, &mut release);
    Some(release)
}

/// `k_anonymity`, in which the older form also has what now stands beside it.
fn inner<'a>(problems: &mut Problems, entry: &'a Entry) -> Option<Fields<'a>> {
    let known = ["k", "quasi_identifiers", "method", "suppress_max"];
    Fields::new(problems, &entry.value, "`k_anonymity`", &known)
}

/// A key that may stand in the release or, in the older form, in `k_anonymity`.
fn one_place<'a>(
    problems: &mut Problems,
    fields: &Fields<'a>,
    inner: Option<&Fields<'a>>,
    key: &str,
) -> Option<&'a Node> {
    match (fields.entry(key), inner.and_then(|inner| inner.entry(key))) {
        (Some(outer), Some(inner)) => {
            problems
                .add(Problem::DuplicateKey, inner.key_span, format!("the key `{key}` stands twice"))
                .label("again here")
                .other(outer.key_span, "first here")
                .help("keep the one beside `k_anonymity`");
            Some(&outer.value)
        }
        (Some(entry), None) | (None, Some(entry)) => Some(&entry.value),
        (None, None) => None,
    }
}

fn models(
    problems: &mut Problems,
    fields: &Fields<'_>,
    inner: Option<&Fields<'_>>,
    release: &mut RawRelease,
) {
    let mut found = Vec::new();
    let mut any = false;
    if let Some(node) = fields.maybe("k_anonymity") {
        any = true;
        let k = inner.and_then(|inner| count(problems, inner, "k", 2));
        let model = k.map(|k| Model::KAnonymity { k });
        found.push(RawModel { span: node.span, column: None, model });
    }
    let readers: [(&str, Reads); 5] = [
        ("k_map", k_map),
        ("l_diversity", l_diversity),
        ("t_closeness", t_closeness),
        ("delta_presence", delta_presence),
        ("beta_likeness", beta_likeness),
    ];
    for (key, read) in readers {
        let Some(node) = fields.maybe(key) else { continue };
        any = true;
        let several = matches!(key, "l_diversity" | "t_closeness" | "beta_likeness");
        let nodes = match &node.content {
            Content::List(items) if several => {
                if items.is_empty() {
                    problems.add(
                        Problem::WrongKind,
                        node.span,
                        format!("`{key}` asks for nothing"),
                    );
                }
                items.as_slice()
            }
            _ => std::slice::from_ref(node),
        };
        for node in nodes {
            let Some((column, model)) = read(problems, node) else { continue };
            found.push(RawModel { span: node.span, column, model });
        }
    }
    release.models = found;
    release.any_model = any;
}

type ModelAsRead = Option<(Option<Spanned<String>>, Option<Model>)>;
type Reads = fn(&mut Problems, &Node) -> ModelAsRead;

/// A whole number that must be there.
fn count(problems: &mut Problems, fields: &Fields<'_>, key: &str, min: i64) -> Option<u64> {
    let node = fields.need(problems, key)?;
    let count = read::integer(problems, node, &format!("`{key}`"), min, i64::MAX)?;
    u64::try_from(count.value).ok()
}

/// A number above `above` and at most `max` that must be there.
fn above(
    problems: &mut Problems,
    fields: &Fields<'_>,
    key: &str,
    above: f64,
    max: f64,
) -> Option<f64> {
    let node = fields.need(problems, key)?;
    let number = read::number(problems, node, &format!("`{key}`"), f64::MIN, f64::MAX)?.value;
    if number > above && number <= max {
        return Some(number);
    }
    let bounds = if max < f64::MAX { format!(" and at most {max}") } else { String::new() };
    let message = format!("`{key}` must be above {above}{bounds}, not `{number}`");
    problems.add(Problem::OutOfRange, node.span, message);
    None
}

fn column(problems: &mut Problems, fields: &Fields<'_>) -> Option<Spanned<String>> {
    let node = fields.need(problems, "column")?;
    read::text(problems, node, "`column`")
}

fn k_map(problems: &mut Problems, node: &Node) -> ModelAsRead {
    let fields = Fields::new(problems, node, "`k_map`", &["k"])?;
    Some((None, count(problems, &fields, "k", 2).map(|k| Model::KMap { k })))
}

fn l_diversity(problems: &mut Problems, node: &Node) -> ModelAsRead {
    let known = ["column", "l", "kind", "c", "estimator"];
    let fields = Fields::new(problems, node, "`l_diversity`", &known)?;
    let column = column(problems, &fields);
    let kind = match fields.maybe("kind") {
        Some(node) => read::word(problems, node, "`kind`", L_KINDS).map(|kind| kind.value),
        None => Some("distinct"),
    };
    for (key, of) in [("c", "recursive"), ("estimator", "entropy")] {
        if let Some(entry) = fields.entry(key)
            && kind.is_some_and(|kind| kind != of)
        {
            problems
                .add(Problem::Release, entry.key_span, format!("`{key}` is of `kind: {of}` alone"))
                .help(format!("write `kind: {of}`, or leave `{key}` out"));
        }
    }
    let name = column.as_ref().map(|column| column.value.clone());
    let model = kind.and_then(|kind| l_kind(problems, &fields, kind, name));
    Some((column, model))
}

fn l_kind(
    problems: &mut Problems,
    fields: &Fields<'_>,
    kind: &str,
    column: Option<String>,
) -> Option<Model> {
    match kind {
        "entropy" => {
            let l = above(problems, fields, "l", 1.0, f64::MAX);
            let estimator = match fields.maybe("estimator") {
                Some(node) => read::word(problems, node, "`estimator`", ESTIMATORS)?.value,
                None => "shannon",
            };
            let estimator = match estimator {
                "grassberger" => Estimator::Grassberger,
                _ => Estimator::Shannon,
            };
            Some(Model::EntropyL { column: column?, l: l?, estimator })
        }
        "recursive" => {
            let c = above(problems, fields, "c", 0.0, f64::MAX);
            let l = count(problems, fields, "l", 2);
            Some(Model::RecursiveCl { column: column?, c: c?, l: l? })
        }
        _ => {
            let l = count(problems, fields, "l", 2);
            Some(Model::DistinctL { column: column?, l: l? })
        }
    }
}

fn t_closeness(problems: &mut Problems, node: &Node) -> ModelAsRead {
    let fields = Fields::new(problems, node, "`t_closeness`", &["column", "t", "distance"])?;
    let column = column(problems, &fields);
    let t = above(problems, &fields, "t", 0.0, 1.0);
    let distance = match fields.maybe("distance") {
        Some(node) => distance(problems, node),
        None => Some(Distance::Equal),
    };
    let name = column.as_ref().map(|column| column.value.clone());
    let model = name.zip(t).zip(distance);
    let model = model.map(|((column, t), distance)| Model::TCloseness { column, t, distance });
    Some((column, model))
}

fn distance(problems: &mut Problems, node: &Node) -> Option<Distance> {
    if let Content::Map(entries) = &node.content {
        let known = ["hierarchy", "intervals", "time", "mask", "delimiter"];
        let what = "`distance`";
        let fields = Fields::new(problems, node, what, &known)?;
        let rule = rule_of(problems, &fields, what)?;
        if rule == HierarchyRule::Top && !entries.is_empty() {
            return Some(Distance::Equal);
        }
        if entries.is_empty() {
            problems
                .add(Problem::WrongKind, node.span, "`distance` is empty")
                .help("write `equal`, `ordered`, or {hierarchy: file.csv}");
            return None;
        }
        return Some(Distance::Hierarchical(rule));
    }
    match read::word(problems, node, "`distance`", DISTANCES)?.value {
        "ordered" => Some(Distance::Ordered),
        _ => Some(Distance::Equal),
    }
}

fn delta_presence(problems: &mut Problems, node: &Node) -> ModelAsRead {
    let fields = Fields::new(problems, node, "`delta_presence`", &["min", "max"])?;
    let min = match fields.maybe("min") {
        Some(node) => read::number(problems, node, "`min`", 0.0, 1.0).map(|min| min.value),
        None => Some(0.0),
    };
    let max = fields.need(problems, "max");
    let max = max.and_then(|node| read::number(problems, node, "`max`", 0.0, 1.0));
    let (Some(min), Some(max)) = (min, max) else { return Some((None, None)) };
    if min > max.value {
        let message = format!("`min` ({min}) is above `max` ({})", max.value);
        problems.add(Problem::OutOfRange, max.span, message);
        return Some((None, None));
    }
    Some((None, Some(Model::DeltaPresence { min, max: max.value })))
}

fn beta_likeness(problems: &mut Problems, node: &Node) -> ModelAsRead {
    let known = ["column", "beta", "enhanced"];
    let fields = Fields::new(problems, node, "`beta_likeness`", &known)?;
    let column = column(problems, &fields);
    let beta = above(problems, &fields, "beta", 0.0, f64::MAX);
    let enhanced = match fields.maybe("enhanced") {
        Some(node) => read::flag(problems, node, "`enhanced`").map(|flag| flag.value),
        None => Some(false),
    };
    let name = column.as_ref().map(|column| column.value.clone());
    let model = name.zip(beta).zip(enhanced);
    let model =
        model.map(|((column, beta), enhanced)| Model::BetaLikeness { column, beta, enhanced });
    Some((column, model))
}

fn method(problems: &mut Problems, node: &Node) -> Option<RawMethod> {
    let (word, body) = match &node.content {
        Content::Map(entries) => match entries.as_slice() {
            [only] => (Spanned::new(only.key.clone(), only.key_span), Some(&only.value)),
            _ => {
                problems
                    .add(Problem::WrongKind, node.span, "`method` names one method")
                    .help("for example {lattice: {objective: loss}}, or {fixed: {age: 2}}");
                return None;
            }
        },
        _ => (read::text(problems, node, "`method`")?, None),
    };
    if !RELEASE_METHODS.contains(&word.value.as_str()) {
        let known = RELEASE_METHODS.iter().copied().filter(|word| *word != "full_domain");
        problems
            .add(Problem::WrongWord, word.span, format!("`method` cannot be `{}`", word.value))
            .help(suggestion(&word.value, known));
        return None;
    }
    let mut levels = Vec::new();
    let method = match (word.value.as_str(), body) {
        ("fixed", None) => {
            problems
                .add(
                    Problem::MissingKey,
                    word.span,
                    "`fixed` needs a level for each quasi-identifier",
                )
                .help("for example {fixed: {sex: 0, age: 2}}");
            return None;
        }
        ("fixed", Some(body)) => {
            for entry in read::map(problems, body, "`fixed`")? {
                let what = format!("the level of `{}`", entry.key);
                let level = read::integer(problems, &entry.value, &what, 0, 1 << 20)?;
                let name = Spanned::new(entry.key.clone(), entry.key_span);
                let span = level.span;
                levels.push((name, Spanned::new(u32::try_from(level.value).ok()?, span)));
            }
            Method::Fixed { levels: std::collections::BTreeMap::new() }
        }
        ("mondrian", body) => {
            let strict = match body {
                Some(body) => {
                    let fields = Fields::new(problems, body, "`mondrian`", &["strict"])?;
                    match fields.maybe("strict") {
                        Some(node) => read::flag(problems, node, "`strict`")?.value,
                        None => true,
                    }
                }
                None => true,
            };
            Method::Mondrian { strict }
        }
        ("microaggregation" | "local_suppression", Some(body)) => {
            let what = format!("`{}`", word.value);
            Fields::new(problems, body, &what, &[])?;
            plain(&word.value)
        }
        ("lattice" | "full_domain", Some(body)) => {
            Method::Lattice { objective: objective(problems, body)? }
        }
        (other, _) => plain(other),
    };
    Some(RawMethod { span: node.span, method, levels })
}

/// A method that has no parameters, or none written.
fn plain(word: &str) -> Method {
    match word {
        "microaggregation" => Method::Microaggregation,
        "local_suppression" => Method::LocalSuppression,
        _ => Method::Lattice { objective: Objective::default() },
    }
}

fn objective(problems: &mut Problems, node: &Node) -> Option<Objective> {
    let known = ["objective", "aggregate", "gs_factor", "monotonic"];
    let fields = Fields::new(problems, node, "`lattice`", &known)?;
    let objective = match fields.maybe("objective") {
        Some(node) => read::word(problems, node, "`objective`", OBJECTIVES)?.value,
        None => "loss",
    };
    let takers: [(&str, &[&str]); 3] = [
        ("aggregate", &["loss"]),
        ("gs_factor", &["loss", "entropy"]),
        ("monotonic", &["entropy", "discernibility", "precision"]),
    ];
    for (key, of) in takers {
        if let Some(entry) = fields.entry(key)
            && !of.contains(&objective)
        {
            let of = crate::policy::problem::listed(of);
            problems
                .add(
                    Problem::Release,
                    entry.key_span,
                    format!("`{key}` says nothing for `objective: {objective}`"),
                )
                .help(format!("it is of {of}; leave it out"));
        }
    }
    let aggregate = match fields.maybe("aggregate") {
        Some(node) => read::word(problems, node, "`aggregate`", AGGREGATES)?.value,
        None => "geometric_mean",
    };
    let aggregate = match aggregate {
        "geometric_mean" => Aggregate::GeometricMean,
        "arithmetic_mean" => Aggregate::ArithmeticMean,
        "sum" => Aggregate::Sum,
        "maximum" => Aggregate::Maximum,
        _ => Aggregate::Rank,
    };
    let gs_factor = match fields.maybe("gs_factor") {
        Some(node) => read::number(problems, node, "`gs_factor`", 0.0, 1.0)?.value,
        None => 0.5,
    };
    let monotonic = match fields.maybe("monotonic") {
        Some(node) => read::flag(problems, node, "`monotonic`")?.value,
        None => false,
    };
    Some(match objective {
        "entropy" => Objective::Entropy { monotonic, gs_factor },
        "discernibility" => Objective::Discernibility { monotonic },
        "class_size" => Objective::ClassSize,
        "precision" => Objective::Precision { monotonic },
        "height" => Objective::Height,
        _ => Objective::Loss { aggregate, gs_factor },
    })
}
