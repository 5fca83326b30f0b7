//! From a release as written to its rules: columns, models and method must fit together. Looks at rules and
//! hierarchy files, not at data.

use std::collections::BTreeMap;
use std::path::Path;

use super::file::Groups;
use super::fit::{is_k_by_rows, level_max, word};
use super::{Distance, HierarchyRule, Method, Model, Objective, Quasi, ReleaseRules};
use crate::diagnostic::Span;
use crate::policy::Column;
use crate::policy::load::leaves;
use crate::policy::problem::{Problem, Problems, listed, suggestion};
use crate::policy::raw::{RawMethod, RawQuasi, RawRelease};
use crate::policy::read::Spanned;
use crate::policy::rule::unknown_column;

/// Where the parts of a release stand.
#[derive(Debug, Clone)]
pub struct ReleasePlaces {
    /// The release.
    pub whole: Span,
    /// Each quasi-identifier, in the order of the rules.
    pub quasi_identifiers: Vec<Span>,
    /// Each model, in the order of the rules.
    pub models: Vec<Span>,
    /// The unit, where the release names one.
    pub unit: Option<Span>,
    /// The share that may be suppressed, where it is written.
    pub suppress_max: Option<Span>,
}

/// What a release is held against.
pub(in crate::policy) struct Beside<'a> {
    /// The names of all columns.
    pub(in crate::policy) names: &'a [&'a str],
    /// Those whose rules are right.
    pub(in crate::policy) columns: &'a [Column],
    /// The policy's unit.
    pub(in crate::policy) unit: Option<&'a Spanned<String>>,
    /// Where paths start.
    pub(in crate::policy) folder: &'a Path,
}

/// The rules of a release, and where they stand.
pub(in crate::policy) fn resolve(
    problems: &mut Problems,
    raw: &RawRelease,
    beside: &Beside<'_>,
) -> Option<(ReleaseRules, ReleasePlaces)> {
    let before = problems.count();
    let quasi = quasi_identifiers(problems, raw, beside);
    let unit = unit(problems, raw, beside, &quasi);
    models(problems, raw, beside, &quasi);
    population(problems, raw);
    let method = method(problems, raw.method.as_ref(), &quasi, beside);
    let rules = ReleaseRules {
        quasi_identifiers: quasi
            .iter()
            .map(|written| Quasi {
                column: written.column.value.clone(),
                hierarchy: written.hierarchy.clone(),
                weight: written.weight,
            })
            .collect(),
        models: raw.models.iter().filter_map(|written| written.model.clone()).collect(),
        method,
        suppress_max: raw.suppress_max.as_ref().map_or(0.0, |share| share.value),
        unit,
        population: raw.population.as_ref().map(|source| source.source.clone()),
        dangerous_rerelease: raw.dangerous_rerelease,
    };
    if let Some(method) = &raw.method {
        method_beside(problems, method, &rules, &quasi);
    }
    let places = ReleasePlaces {
        whole: raw.key_span,
        quasi_identifiers: quasi.iter().map(|written| written.column.span).collect(),
        models: raw.models.iter().map(|written| written.span).collect(),
        unit: raw.unit.as_ref().map(|unit| unit.span),
        suppress_max: raw.suppress_max.as_ref().map(|share| share.span),
    };
    (problems.count() == before).then_some((rules, places))
}

/// The quasi-identifiers that are columns, each once.
fn quasi_identifiers<'a>(
    problems: &mut Problems,
    raw: &'a RawRelease,
    beside: &Beside<'_>,
) -> Vec<&'a RawQuasi> {
    let mut found: Vec<&RawQuasi> = Vec::new();
    for written in raw.quasi_identifiers.iter().flatten() {
        let name = &written.column;
        if let Some(first) = found.iter().find(|other| other.column.value == name.value) {
            problems
                .add(
                    Problem::DuplicateKey,
                    name.span,
                    format!("`{}` stands twice in `quasi_identifiers`", name.value),
                )
                .label("again here")
                .other(first.column.span, "first here");
            continue;
        }
        if !beside.names.contains(&name.value.as_str()) {
            unknown_column(problems, name, beside.names);
            continue;
        }
        settled(problems, name, "a quasi-identifier", beside);
        hierarchy_file(problems, &written.hierarchy, written.span, beside.folder);
        found.push(written);
    }
    if !found.is_empty() && found.iter().all(|written| written.weight <= 0.0) {
        let at = found.first().map(|written| written.span);
        problems
            .add(Problem::Release, at, "all weights are 0, so that no loss counts")
            .help("give one quasi-identifier a weight above 0");
    }
    found
}

/// A column whose values a release counts: it must leave, as the same for every partner.
fn settled(problems: &mut Problems, name: &Spanned<String>, what: &str, beside: &Beside<'_>) {
    let Some(column) = beside.columns.iter().find(|column| column.name == name.value) else {
        return;
    };
    let rule = &column.rule;
    if !leaves(rule) {
        problems
            .add(
                Problem::Release,
                name.span,
                format!("`{}` is {what} and does not leave", name.value),
            )
            .label("its rule drops it")
            .help("give it a rule such as `keep`, or take it out of the release");
        return;
    }
    // PRIVACY: classes are counted once, and are the same rows for every partner.
    if rule.transform.is_keyed(&rule.args) {
        problems
            .add(
                Problem::Release,
                name.span,
                format!(
                    "`{}` is {what}, and `{}` makes other values of it for each key",
                    name.value,
                    rule.transform.spec().name()
                ),
            )
            .help(RULES);
        return;
    }
    let (reads, learns) =
        (rule.transform.reads(&rule.args), rule.transform.learns_from(&rule.args));
    if !reads.is_empty() || !learns.is_empty() || rule.transform.learns_column() {
        problems
            .add(
                Problem::Release,
                name.span,
                format!(
                    "`{}` is {what}, and what `{}` makes of a value depends on other rows or columns",
                    name.value,
                    rule.transform.spec().name()
                ),
            )
            .help(RULES);
    }
}

/// Rules under which a value is always the same.
const RULES: &str = "use a rule that looks at the value alone: keep, mask, round, bucket, top_code, truncate, \
                     age_band, hierarchy";

fn hierarchy_file(problems: &mut Problems, rule: &HierarchyRule, span: Span, folder: &Path) {
    let HierarchyRule::File { path, separator } = rule else { return };
    let file = folder.join(path);
    if !file.is_file() {
        problems
            .add(Problem::FileUnreadable, span, format!("there is no file `{path}`"))
            .help("paths start from the folder of the policy");
        return;
    }
    match Groups::read(&file, *separator) {
        Err(reason) => {
            problems.add(Problem::Release, span, format!("`{path}` {reason}")).help(
                "no header; one line a value: the value, then its groups from fine to coarse; each \
                 value once, each group below one group of the next level",
            );
        }
        // Almost always the wrong separator: nothing else gives a file that says nothing.
        Ok(groups) if groups.levels() == 2 && groups.labels.first().is_some_and(|l| odd(l)) => {
            problems
                .add(Problem::Release, span, format!("`{path}` has one column"))
                .help(format!("`{separator}` is the delimiter here; is it that of the file?"));
        }
        Ok(_) => {}
    }
}

/// Whether values look like lines that were not taken apart.
fn odd(labels: &[String]) -> bool {
    labels.iter().all(|label| label.contains([';', ',', '\t']))
}

fn unit(
    problems: &mut Problems,
    raw: &RawRelease,
    beside: &Beside<'_>,
    quasi: &[&RawQuasi],
) -> Option<String> {
    let written = raw.unit.as_ref();
    if let Some(unit) = written
        && !beside.names.contains(&unit.value.as_str())
    {
        unknown_column(problems, unit, beside.names);
        return None;
    }
    let unit = written.or(beside.unit)?;
    if let Some(other) = quasi.iter().find(|other| other.column.value == unit.value) {
        problems
            .add(
                Problem::Release,
                other.column.span,
                format!("`{}` is the unit, so it cannot be a quasi-identifier too", unit.value),
            )
            .other(unit.span, "the unit")
            .help(
                "a class of one value of it would hold one person; `drop` it, or name another unit",
            );
    }
    Some(unit.value.clone())
}

fn models(problems: &mut Problems, raw: &RawRelease, beside: &Beside<'_>, quasi: &[&RawQuasi]) {
    if !raw.any_model {
        problems
            .add(Problem::Release, raw.key_span, "`release` asks for no guarantee")
            .help("add a model, for example {k_anonymity: {k: 5}}");
    }
    let mut seen = Vec::new();
    for written in &raw.models {
        let Some(column) = &written.column else { continue };
        if !beside.names.contains(&column.value.as_str()) {
            unknown_column(problems, column, beside.names);
            continue;
        }
        settled(problems, column, "a sensitive column", beside);
        if let Some(other) = quasi.iter().find(|other| other.column.value == column.value) {
            problems
                .add(
                    Problem::Release,
                    column.span,
                    format!("`{}` is sensitive here and a quasi-identifier too", column.value),
                )
                .other(other.column.span, "the quasi-identifier")
                .help("whoever knows it needs not learn it: keep it in one of the two");
        }
        let Some(model) = &written.model else { continue };
        if let Model::TCloseness { distance: Distance::Hierarchical(rule), .. } = model {
            hierarchy_file(problems, rule, written.span, beside.folder);
        }
        let identity = (std::mem::discriminant(model), column.value.as_str());
        if let Some((_, first)) = seen.iter().find(|(other, _)| *other == identity) {
            problems
                .add(
                    Problem::DuplicateKey,
                    written.span,
                    format!("`{}` of `{}` stands twice", model.key(), column.value),
                )
                .label("again here")
                .other(*first, "first here")
                .help("keep the stricter one");
        }
        seen.push((identity, written.span));
    }
}

fn population(problems: &mut Problems, raw: &RawRelease) {
    let models =
        raw.models.iter().filter_map(|written| Some((written.span, written.model.as_ref()?)));
    let refused = raw.models.iter().any(|written| written.model.is_none());
    let needs = models.into_iter().find(|(_, model)| model.needs_population());
    match (needs, &raw.population) {
        (Some((span, model)), None) => {
            problems
                .add(
                    Problem::MissingKey,
                    span,
                    format!("`{}` needs the key `population`", model.key()),
                )
                .help(
                    "name the table of the population: {parquet: \"people.parquet\"}, with the \
                     quasi-identifiers under the same names",
                );
        }
        (None, Some(source)) if raw.any_model && !refused => {
            problems
                .add(Problem::Release, source.span, "no model reads the `population`")
                .help("add `k_map` or `delta_presence`, or leave it out");
        }
        _ => {}
    }
}

fn method(
    problems: &mut Problems,
    raw: Option<&RawMethod>,
    quasi: &[&RawQuasi],
    beside: &Beside<'_>,
) -> Method {
    let Some(raw) = raw else { return Method::Lattice { objective: Objective::default() } };
    if !matches!(raw.method, Method::Fixed { .. }) {
        return raw.method.clone();
    }
    let names: Vec<&str> = quasi.iter().map(|written| written.column.value.as_str()).collect();
    let mut levels = BTreeMap::new();
    for (name, level) in &raw.levels {
        let Some(written) = quasi.iter().find(|written| written.column.value == name.value) else {
            problems
                .add(
                    Problem::Release,
                    name.span,
                    format!("`{}` is no quasi-identifier of the release", name.value),
                )
                .help(suggestion(&name.value, names.iter().copied()));
            continue;
        };
        let most = match &written.hierarchy {
            HierarchyRule::File { path, separator } => {
                let groups = Groups::read(&beside.folder.join(path), *separator).ok();
                groups.map(|groups| groups.levels() - 1)
            }
            rule => level_max(rule),
        };
        if let Some(most) = most
            && usize::try_from(level.value).is_ok_and(|level| level > most)
        {
            problems.add(
                Problem::OutOfRange,
                level.span,
                format!("`{}` has levels 0 to {most}, not {}", name.value, level.value),
            );
        }
        levels.insert(name.value.clone(), level.value);
    }
    let missing: Vec<&str> = names
        .into_iter()
        .filter(|name| !raw.levels.iter().any(|(l, _)| l.value == **name))
        .collect();
    if !missing.is_empty() {
        problems
            .add(
                Problem::MissingKey,
                raw.span,
                format!("`fixed` needs the level of {}", listed(&missing)),
            )
            .help("0 leaves values as they are; the last level is `*` for all");
    }
    Method::Fixed { levels }
}

/// What methods can give, and what they have use for.
fn method_beside(
    problems: &mut Problems,
    raw: &RawMethod,
    rules: &ReleaseRules,
    quasi: &[&RawQuasi],
) {
    let name = rules.method.name();
    if matches!(rules.method, Method::Microaggregation | Method::LocalSuppression) {
        for written in quasi.iter().filter(|written| written.hierarchy != HierarchyRule::Top) {
            problems
                .add(
                    Problem::Release,
                    written.span,
                    format!(
                        "`{name}` has no use for {} of `{}`",
                        word(&written.hierarchy),
                        written.column.value
                    ),
                )
                .help("name the column alone, or use `lattice`, `fixed` or `mondrian`");
        }
    }
    if rules.method == (Method::Mondrian { strict: false }) && !is_k_by_rows(rules) {
        let problem = problems.add(
            Problem::Release,
            raw.span,
            "relaxed `mondrian` divides equal rows, and so gives k-anonymity by rows alone",
        );
        problem.help(match &rules.unit {
            Some(unit) => format!(
                "write `strict: true`: here `{unit}` is counted, or another model asked for"
            ),
            None => "write `strict: true`, or leave out the other models".to_owned(),
        });
    }
}
