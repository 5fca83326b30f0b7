//! What changed between two releases, and whether people are protected less, more or only differently.

use super::{Distance, Method, Model, Quasi, ReleaseRules};
use crate::pipeline::transform::Change;
use crate::policy::problem::listed;

/// A change of a part: what, which way, why.
pub(in crate::policy) type Found = (String, Change, String);

/// Every change from `old` to `new`.
pub(in crate::policy) fn changes(old: &ReleaseRules, new: &ReleaseRules) -> Vec<Found> {
    let mut found = Vec::new();
    let mut add = |subject: &str, change: Change, reason: String| {
        found.push((format!("release{subject}"), change, reason));
    };
    models(old, new, &mut add);
    quasi_identifiers(old, new, &mut add);
    match (&old.unit, &new.unit) {
        (None, Some(unit)) => {
            add(", unit", Change::Strengthens, format!("`{unit}` is counted instead of rows"));
        }
        (Some(unit), None) => {
            add(", unit", Change::Weakens, format!("rows are counted instead of `{unit}`"));
        }
        (Some(old), Some(new)) if old != new => {
            add(", unit", Change::Moves, format!("`{new}` is counted instead of `{old}`"));
        }
        _ => {}
    }
    method(old, new, &mut add);
    if old.suppress_max.total_cmp(&new.suppress_max).is_ne() {
        let reason = format!("was {}, is {}", old.suppress_max, new.suppress_max);
        add(", suppress_max", Change::Moves, reason);
    }
    if old.population != new.population {
        add(", population", Change::Moves, "another table stands for the population".to_owned());
    }
    match (old.dangerous_rerelease, new.dangerous_rerelease) {
        (false, true) => {
            let reason = "the same data may be released again in another form";
            add(", dangerous_rerelease", Change::Weakens, reason.to_owned());
        }
        (true, false) => {
            let reason = "the same data can no longer be released again in another form";
            add(", dangerous_rerelease", Change::Strengthens, reason.to_owned());
        }
        _ => {}
    }
    found
}

type Add<'a> = dyn FnMut(&str, Change, String) + 'a;

/// What tells two models of one release apart.
fn identity(model: &Model) -> (&'static str, &'static str, Option<&str>) {
    let kind = match model {
        Model::EntropyL { .. } => "entropy ",
        Model::RecursiveCl { .. } => "recursive ",
        _ => "",
    };
    (model.key(), kind, model.column())
}

fn subject(model: &Model, parameter: &str) -> String {
    let (key, kind, column) = identity(model);
    let key = match key {
        "k_anonymity" | "k_map" => key.to_owned(),
        _ => format!("{kind}{key}"),
    };
    let of = column.map(|column| format!(" of `{column}`")).unwrap_or_default();
    format!(", {key}{of}{parameter}")
}

fn models(old: &ReleaseRules, new: &ReleaseRules, add: &mut Add<'_>) {
    for before in &old.models {
        match new.models.iter().find(|after| identity(after) == identity(before)) {
            None => {
                add(&subject(before, ""), Change::Weakens, "no longer asked for".to_owned());
            }
            Some(after) => parameters(before, after, add),
        }
    }
    for after in &new.models {
        if !old.models.iter().any(|before| identity(before) == identity(after)) {
            add(&subject(after, ""), Change::Strengthens, "asked for as well".to_owned());
        }
    }
}

fn parameters(old: &Model, new: &Model, add: &mut Add<'_>) {
    let mut number = |name: &str, old_value: f64, new_value: f64, more: Change| {
        let less = match more {
            Change::Weakens => Change::Strengthens,
            Change::Strengthens => Change::Weakens,
            Change::Moves => Change::Moves,
        };
        let subject = subject(old, &format!(", {name}"));
        match old_value.total_cmp(&new_value) {
            std::cmp::Ordering::Less => {
                add(&subject, more, format!("raised from {old_value} to {new_value}"));
            }
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => {
                add(&subject, less, format!("lowered from {old_value} to {new_value}"));
            }
        }
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "compared and shown; counts near 2^53 are no counts of people"
    )]
    let whole = |count: u64| count as f64;
    match (old, new) {
        (Model::KAnonymity { k: old }, Model::KAnonymity { k: new })
        | (Model::KMap { k: old }, Model::KMap { k: new }) => {
            number("k", whole(*old), whole(*new), Change::Strengthens);
        }
        (Model::DistinctL { l: old, .. }, Model::DistinctL { l: new, .. }) => {
            number("l", whole(*old), whole(*new), Change::Strengthens);
        }
        (
            Model::EntropyL { l: old_l, estimator: old_estimator, .. },
            Model::EntropyL { l: new_l, estimator: new_estimator, .. },
        ) => {
            number("l", *old_l, *new_l, Change::Strengthens);
            if old_estimator != new_estimator {
                let reason = "entropy is estimated in another way";
                add(&subject(old, ""), Change::Moves, reason.to_owned());
            }
        }
        (
            Model::RecursiveCl { c: old_c, l: old_l, .. },
            Model::RecursiveCl { c: new_c, l: new_l, .. },
        ) => {
            number("c", *old_c, *new_c, Change::Weakens);
            number("l", whole(*old_l), whole(*new_l), Change::Strengthens);
        }
        (
            Model::TCloseness { t: old_t, distance: old_distance, .. },
            Model::TCloseness { t: new_t, distance: new_distance, .. },
        ) => {
            number("t", *old_t, *new_t, Change::Weakens);
            if old_distance != new_distance {
                let reason = format!("{} instead of {}", far(new_distance), far(old_distance));
                add(&subject(old, ", distance"), Change::Moves, reason);
            }
        }
        (
            Model::DeltaPresence { min: old_min, max: old_max },
            Model::DeltaPresence { min: new_min, max: new_max },
        ) => {
            number("min", *old_min, *new_min, Change::Strengthens);
            number("max", *old_max, *new_max, Change::Weakens);
        }
        (
            Model::BetaLikeness { beta: old_beta, enhanced: old_enhanced, .. },
            Model::BetaLikeness { beta: new_beta, enhanced: new_enhanced, .. },
        ) => {
            number("beta", *old_beta, *new_beta, Change::Weakens);
            match (old_enhanced, new_enhanced) {
                (false, true) => {
                    let reason = "frequent values are bounded as well".to_owned();
                    add(&subject(old, ""), Change::Strengthens, reason);
                }
                (true, false) => {
                    let reason = "frequent values are no longer bounded".to_owned();
                    add(&subject(old, ""), Change::Weakens, reason);
                }
                _ => {}
            }
        }
        _ => {}
    }
}

const fn far(distance: &Distance) -> &'static str {
    match distance {
        Distance::Equal => "equal",
        Distance::Ordered => "ordered",
        Distance::Hierarchical(_) => "by a hierarchy",
    }
}

fn quasi_identifiers(old: &ReleaseRules, new: &ReleaseRules, add: &mut Add<'_>) {
    let missing = |from: &ReleaseRules, to: &ReleaseRules| -> Vec<String> {
        let columns = from.quasi_identifiers.iter().map(|quasi| quasi.column.clone());
        columns.filter(|column| !to.is_quasi(column)).collect()
    };
    let gone = missing(old, new);
    if !gone.is_empty() {
        let reason = format!("{} no longer covered", listed(&gone));
        add(", quasi-identifiers", Change::Weakens, reason);
    }
    let added = missing(new, old);
    if !added.is_empty() {
        let reason = format!("{} covered as well", listed(&added));
        add(", quasi-identifiers", Change::Strengthens, reason);
    }
    for before in &old.quasi_identifiers {
        let after = new.quasi_identifiers.iter().find(|after| after.column == before.column);
        let Some(after) = after else { continue };
        if before.hierarchy != after.hierarchy {
            let subject = format!(", `{}`", before.column);
            add(&subject, Change::Moves, "has another hierarchy".to_owned());
        }
        if before.weight.total_cmp(&after.weight).is_ne() {
            let reason = format!("its weight was {}, is {}", before.weight, after.weight);
            add(&format!(", `{}`", before.column), Change::Moves, reason);
        }
    }
    let common = |of: &ReleaseRules, other: &ReleaseRules| -> Vec<String> {
        let columns = of.quasi_identifiers.iter().map(|Quasi { column, .. }| column.clone());
        columns.filter(|column| other.is_quasi(column)).collect()
    };
    if common(old, new) != common(new, old) {
        add(", quasi-identifiers", Change::Moves, "stand in another order".to_owned());
    }
}

fn method(old: &ReleaseRules, new: &ReleaseRules, add: &mut Add<'_>) {
    let (Method::Fixed { levels: old_levels }, Method::Fixed { levels: new_levels }) =
        (&old.method, &new.method)
    else {
        if old.method.name() != new.method.name() {
            let reason = format!("was {}, is {}", old.method.name(), new.method.name());
            add(", method", Change::Moves, reason);
        } else if old.method != new.method {
            let reason = format!("{} with other parameters", new.method.name());
            add(", method", Change::Moves, reason);
        }
        return;
    };
    for (column, before) in old_levels {
        let Some(after) = new_levels.get(column) else { continue };
        let subject = format!(", level of `{column}`");
        match before.cmp(after) {
            std::cmp::Ordering::Less => {
                add(&subject, Change::Strengthens, format!("raised from {before} to {after}"));
            }
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => {
                add(&subject, Change::Weakens, format!("lowered from {before} to {after}"));
            }
        }
    }
}
