//! Warnings about releases: what a policy may ask and its author should look at again.

use super::{Method, Model, ReleaseRules};
use crate::pipeline::transform::Exposure;
use crate::policy::Class;
use crate::policy::load::{Loaded, leaves};
use crate::policy::problem::{Problem, Problems, listed};

/// The least k that hides anybody among several.
const K_MIN: u64 = 3;
/// The share of suppressed rows above which what is left is another table.
const SUPPRESS_MAX: f64 = 0.1;

/// Warnings about the release of a policy, where it has one.
pub(in crate::policy) fn lint(problems: &mut Problems, loaded: &Loaded) {
    let (Some(rules), Some(places)) = (&loaded.policy.release, &loaded.places.release) else {
        return;
    };
    for (model, span) in rules.models.iter().zip(&places.models) {
        let (Model::KAnonymity { k } | Model::KMap { k }) = model else { continue };
        if *k < K_MIN {
            problems
                .add(
                    Problem::ReleaseWeak,
                    *span,
                    format!("k = {k}: whoever knows one of {k} rows knows whose the other is"),
                )
                .help("5 is common where partners are trusted, 11 and more where the public reads");
        }
    }
    if !rules.models.iter().any(|m| matches!(m, Model::KAnonymity { .. } | Model::KMap { .. })) {
        problems
            .add(
                Problem::ReleaseWeak,
                places.whole,
                "no model bounds how few rows a class may have",
            )
            .help("add {k_anonymity: {k: 5}}");
    }
    if rules.suppress_max > SUPPRESS_MAX && !matches!(rules.method, Method::Fixed { .. }) {
        problems
            .add(
                Problem::ReleaseWeak,
                places.suppress_max,
                format!(
                    "up to {} of every 100 rows may be left out, and those are the unusual ones",
                    rules.suppress_max * 100.0
                ),
            )
            .help(
                "studies of what is left are off; below 0.1, or another method, keeps more of it",
            );
    }
    sensitive(problems, loaded, rules);
    beside(problems, loaded, rules);
}

/// Sensitive columns that leave and that no model protects.
fn sensitive(problems: &mut Problems, loaded: &Loaded, rules: &ReleaseRules) {
    let covered = rules.sensitive();
    let columns = loaded.policy.columns.iter().zip(&loaded.places.names);
    let open: Vec<_> = columns
        .filter(|(column, _)| column.class == Some(Class::Sensitive) && leaves(&column.rule))
        .filter(|(column, _)| !covered.contains(&column.name.as_str()))
        .map(|(column, span)| (column.name.as_str(), *span))
        .collect();
    let Some((_, first)) = open.first() else { return };
    let names: Vec<&str> = open.iter().map(|(name, _)| *name).collect();
    let verb = if names.len() == 1 { "is sensitive, and no" } else { "are sensitive, and no" };
    problems
        .add(
            Problem::SensitiveUncovered,
            *first,
            format!("{} {verb} model of the release is about it", listed(&names)),
        )
        .help("where all rows of a class have one value, k hides nothing; see `l_diversity`");
}

/// Columns that leave as they are beside the quasi-identifiers, and say not what they are.
fn beside(problems: &mut Problems, loaded: &Loaded, rules: &ReleaseRules) {
    let columns = loaded.policy.columns.iter().zip(&loaded.places.names);
    let open: Vec<_> = columns
        .filter(|(column, _)| is_beside(rules, column))
        .map(|(column, span)| (column.name.as_str(), *span))
        .collect();
    let Some((_, first)) = open.first() else { return };
    let names: Vec<&str> = open.iter().map(|(name, _)| *name).collect();
    let verb = if names.len() == 1 { "leaves as it is" } else { "leave as they are" };
    problems
        .add(
            Problem::ReleaseBeside,
            *first,
            format!("{} {verb} beside the release, and no `class` says what", listed(&names)),
        )
        .help(
            "a value that somebody knows singles out a row inside its class: add it to \
             `quasi_identifiers`, coarsen it, or write its `class`",
        );
}

/// Whether a column leaves in clear, is no quasi-identifier, and has no class.
pub(in crate::policy) fn is_beside(rules: &ReleaseRules, column: &crate::policy::Column) -> bool {
    let rule = &column.rule;
    column.class.is_none()
        && leaves(rule)
        && rule.transform.exposure(&rule.args) == Exposure::Clear
        && !rules.is_quasi(&column.name)
        && !rules.sensitive().contains(&column.name.as_str())
}
