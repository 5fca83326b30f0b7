//! Warnings: what a policy may say but its author should look at again. Errors are not found here.

use chrono::NaiveDate;

use super::load::{Loaded, leaves};
use super::problem::{Problem, Problems, listed};
use super::{Access, Class, Column, Linkage, Rule};
use crate::diagnostic::{Diagnostic, Span};
use crate::pipeline::transform::{Exposure, rounded_up};

/// Warnings that depend on the policy alone.
pub fn lint(problems: &mut Problems, loaded: &Loaded) {
    let policy = &loaded.policy;
    let places = &loaded.places;
    if policy.grants.is_empty() {
        problems
            .add(Problem::GrantMissing, places.columns, "the policy has no grants: nobody may pull")
            .help("add {partner: name, access: rows} under `grants`");
    }
    if policy.linkage == Linkage::Shared {
        problems
            .add(
                Problem::LinkageShared,
                places.linkage,
                "all partners see the same pseudonyms and can join what they have",
            )
            .help("write `per_partner` unless they are meant to");
    }
    // What is only told with noise does not leave by rows: nothing of it can be looked up or put together.
    if !only_noise(loaded) {
        columns(problems, loaded);
    }
    super::release::lint(problems, loaded);
    super::privacy::lint(problems, loaded);
    super::public::lint(problems, loaded);
    local(problems, loaded);
    domains(problems, loaded);
    unlearned(problems, loaded);
}

/// Whether all that is granted are answers with noise.
fn only_noise(loaded: &Loaded) -> bool {
    let grants = &loaded.policy.grants;
    !grants.is_empty() && grants.iter().all(|grant| matches!(grant.access, Access::Dp(_)))
}

/// Warnings that depend on the date.
pub fn dates(loaded: &Loaded, today: NaiveDate) -> Vec<Diagnostic> {
    let mut problems = Problems::new(std::sync::Arc::clone(&loaded.places.file));
    for (grant, span) in loaded.policy.grants.iter().zip(&loaded.places.grants) {
        if let Some(until) = grant.until
            && until < today
        {
            problems
                .add(
                    Problem::GrantExpired,
                    *span,
                    format!("the grant of `{}` expired on {until}", grant.partner),
                )
                .help("remove it, or give it a later `until`");
        }
    }
    problems.into_list()
}

/// The columns that leave, with the places of their names.
fn leaving(loaded: &Loaded) -> impl Iterator<Item = (&Column, Span, Exposure)> {
    let columns = loaded.policy.columns.iter().zip(&loaded.places.names);
    columns
        .filter(|(column, _)| leaves(&column.rule))
        .map(|(column, span)| (column, *span, column.rule.transform.exposure(&column.rule.args)))
}

fn columns(problems: &mut Problems, loaded: &Loaded) {
    let release = loaded.policy.release.as_ref();
    let covered = |name: &str| release.is_some_and(|release| release.is_quasi(name));
    // Those have a warning of their own.
    let beside =
        |column: &Column| release.is_some_and(|release| super::release::is_beside(release, column));
    let mut unclassed = Vec::new();
    let mut uncovered = Vec::new();
    for (column, span, exposure) in leaving(loaded) {
        match column.class {
            None if exposure > Exposure::Nothing && !covered(&column.name) && !beside(column) => {
                unclassed.push((column.name.as_str(), span))
            }
            Some(Class::Quasi) if exposure > Exposure::Nothing && !covered(&column.name) => {
                uncovered.push((column.name.as_str(), span));
            }
            Some(Class::Identifier) if exposure == Exposure::Clear => {
                problems
                    .add(
                        Problem::IdentifierClear,
                        span,
                        format!("`{}` is an identifier and leaves as it is", column.name),
                    )
                    .help("use `pseudonym`, or `drop` it");
            }
            _ => {}
        }
    }
    together(problems, Problem::ClassMissing, &unclassed, |names, several| {
        let verb = if several {
            "leave and do not say what they are"
        } else {
            "leaves and does not say what it is"
        };
        (format!("{names} {verb}"), "add `class`: identifier, quasi, sensitive, measure or text")
    });
    together(problems, Problem::QuasiUncovered, &uncovered, |names, several| {
        let verb =
            if several { "are quasi-identifiers that no" } else { "is a quasi-identifier that no" };
        (
            format!("{names} {verb} release covers"),
            "rare combinations of them can name a person; coarsen them, or see `release`",
        )
    });
    addresses(problems, loaded);
}

/// One warning for all columns of a kind, at the first.
fn together(
    problems: &mut Problems,
    problem: Problem,
    columns: &[(&str, Span)],
    words: impl Fn(String, bool) -> (String, &'static str),
) {
    let Some((_, first)) = columns.first() else { return };
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let (message, help) = words(listed(&names), names.len() > 1);
    problems.add(problem, *first, message).help(help);
}

/// Ports and volumes tell hosts apart even when their addresses are scrambled.
fn addresses(problems: &mut Problems, loaded: &Loaded) {
    let address = leaving(loaded).find(|(column, _, exposure)| {
        column.rule.transform.spec().verb == "ip" && *exposure > Exposure::Nothing
    });
    let Some((address, span, _)) = address else { return };
    let telling: Vec<&str> = leaving(loaded)
        .filter(|(column, _, exposure)| {
            let name = column.name.to_ascii_lowercase();
            *exposure == Exposure::Clear
                && (name.ends_with("port") || name.contains("bytes") || name.contains("packets"))
        })
        .map(|(column, _, _)| column.name.as_str())
        .collect();
    if telling.is_empty() {
        return;
    }
    problems
        .add(
            Problem::AddressBesideTraffic,
            span,
            format!("`{}` leaves beside {}", address.name, listed(&telling)),
        )
        .help("ports and volumes can tell which host an address stands for; coarsen or drop them");
}

/// An epsilon above which noise on one value promises little.
const EPSILON_WEAK: f64 = 5.0;

/// Local noise that is not worth its name.
fn local(problems: &mut Problems, loaded: &Loaded) {
    for (column, span, _) in leaving(loaded) {
        let epsilon = column.rule.transform.epsilon(&column.rule.args);
        let Some(epsilon) = epsilon.filter(|epsilon| *epsilon > EPSILON_WEAK) else { continue };
        let (shown, factor) = (rounded_up(epsilon), epsilon.exp().floor());
        problems
            .add(
                Problem::LocalWeak,
                span,
                format!(
                    "epsilon {shown}: what leaves of `{}` may change the odds of a guess at one value by a factor \
                     of {factor}",
                    column.name
                ),
            )
            .help("the promise is worth something up to about 5; 1 is common");
    }
}

/// Columns share a domain to join; replaced in different ways they do not.
fn domains(problems: &mut Problems, loaded: &Loaded) {
    let columns: Vec<_> = leaving(loaded)
        .filter(|(column, ..)| is_stand_in(&column.rule))
        .filter_map(|(column, span, _)| Some((column.rule.args.text("domain")?, column, span)))
        .collect();
    for (at, (domain, column, span)) in columns.iter().enumerate() {
        let other = columns.iter().take(at).find(|(other_domain, other, _)| {
            other_domain == domain && !same_rule(&column.rule, &other.rule)
        });
        if let Some((_, other, other_span)) = other {
            let (one, two) = (&other.name, &column.name);
            problems
                .add(
                    Problem::DomainMixed,
                    *span,
                    format!(
                        "`{one}` and `{two}` share the domain `{domain}` but are replaced in \
                         different ways"
                    ),
                )
                .other(*other_span, "the other column")
                .help(
                    "to join them, give both the same method and parameters; to keep them apart, \
                     domains of different names",
                );
        }
    }
}

/// Text under `scrub` holds the values of identifiers: of those it must learn, whether they leave or not.
fn unlearned(problems: &mut Problems, loaded: &Loaded) {
    let identifies =
        |column: &&Column| column.class == Some(Class::Identifier) || is_stand_in(&column.rule);
    let identifiers: Vec<&Column> = loaded.policy.columns.iter().filter(identifies).collect();
    for (column, span, _) in leaving(loaded) {
        if column.rule.transform.spec().verb != "scrub" {
            continue;
        }
        let learned = column.rule.transform.learns_from(&column.rule.args);
        let missing: Vec<&str> = identifiers
            .iter()
            .map(|other| other.name.as_str())
            .filter(|name| *name != column.name && !learned.iter().any(|known| known == name))
            .collect();
        let (what, help) = match (learned.is_empty(), missing.is_empty()) {
            (false, true) => continue,
            (true, true) => (
                "any column".to_owned(),
                "name columns of users, groups and hosts under `learn_from`: detectors know no names",
            ),
            (_, false) => (
                listed(&missing),
                "add them to `learn_from`: what they hold stands in texts too, and only then do both join",
            ),
        };
        problems
            .add(
                Problem::ScrubUnlearned,
                span,
                format!("`{}` is scrubbed and does not learn from {what}", column.name),
            )
            .help(help);
    }
}

/// Whether what leaves stands for the value, so that a domain decides what joins. Other transforms use
/// domains for other ends.
pub(super) fn is_stand_in(rule: &Rule) -> bool {
    let exposure = rule.transform.exposure(&rule.args);
    matches!(exposure, Exposure::Pseudonym | Exposure::StructuredPseudonym)
}

fn same_rule(one: &Rule, other: &Rule) -> bool {
    one.transform.spec().name() == other.transform.spec().name() && one.args == other.args
}
