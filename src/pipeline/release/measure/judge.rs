//! Compares what classes have with what models ask. Every class must keep every model; one that does not is
//! enough to refuse a table.

use std::collections::BTreeMap;

use super::cells::{Column, Ranked};
use super::classes::Classes;
use super::spread::{self, Tree};
use super::{Beside, Finding, Measured, Presence, Sensitive};
use crate::error::{Code, Error, Result};
use crate::policy::release::{Distance, Estimator, Model, ReleaseRules};
use crate::risk::{Class, Shapes};

/// What rounding may add to a figure that is exactly at its bound.
pub(super) const SLACK: f64 = 1e-9;

/// The sensitive column that a model is about.
pub(super) fn column(model: &Model) -> Option<&str> {
    match model {
        Model::DistinctL { column, .. }
        | Model::EntropyL { column, .. }
        | Model::RecursiveCl { column, .. }
        | Model::TCloseness { column, .. }
        | Model::BetaLikeness { column, .. } => Some(column),
        Model::KAnonymity { .. } | Model::KMap { .. } | Model::DeltaPresence { .. } => None,
    }
}

/// A sensitive column, class by class.
struct Spread {
    /// By class: rows of each value, values in their own order.
    classes: Vec<Vec<(u32, u64)>>,
    /// Rows of each value in all.
    whole: Vec<u64>,
    ranked: Ranked,
}

/// All figures.
pub(super) fn measure(
    rules: &ReleaseRules,
    beside: &Beside,
    rows: u64,
    quasi: &[Column],
    sensitive: Vec<Ranked>,
    classes: &mut Classes,
) -> Result<Measured> {
    let persons = classes.persons();
    let sizes = histogram(classes.rows());
    let alike = beside.population.as_ref().map(|all| alike(all, quasi, classes));
    let population = beside.population.as_ref().zip(alike.as_ref());
    let population = population.map(|(all, alike)| presence(all, alike, classes));
    let spreads: Vec<Spread> = sensitive
        .into_iter()
        .enumerate()
        .map(|(at, ranked)| Spread::new(ranked, classes.values(at)))
        .collect();
    let mut measured = Measured {
        rows,
        rows_in: beside.rows_in,
        sizes,
        shapes: shapes(classes.rows(), persons.as_deref(), alike.as_deref()),
        persons: persons.as_deref().map(histogram),
        population,
        sensitive: spreads.iter().map(Spread::summary).collect(),
        findings: Vec::new(),
    };
    for model in &rules.models {
        let spread = column(model)
            .and_then(|column| spreads.iter().find(|spread| spread.ranked.name == column));
        let finding = finding(model, &measured, spread, beside)?;
        measured.findings.push(finding);
    }
    Ok(measured)
}

fn histogram(sizes: &[u64]) -> BTreeMap<u64, u64> {
    let mut histogram = BTreeMap::new();
    for size in sizes {
        *histogram.entry(*size).or_default() += 1;
    }
    histogram
}

/// The classes as an attacker meets them.
fn shapes(rows: &[u64], persons: Option<&[u64]>, alike: Option<&[u64]>) -> Shapes {
    let mut shapes = Shapes::new();
    for (at, rows) in rows.iter().enumerate() {
        let members = persons.and_then(|persons| persons.get(at)).unwrap_or(rows);
        let population = alike.and_then(|alike| alike.get(at)).unwrap_or(members);
        let class = Class { rows: *rows, members: *members, population: *population };
        *shapes.entry(class).or_default() += 1;
    }
    shapes
}

/// By class: the rows of the population that look like it.
fn alike(
    population: &BTreeMap<Vec<Option<String>>, u64>,
    quasi: &[Column],
    classes: &Classes,
) -> Vec<u64> {
    let shown = |key: &[u32]| -> Vec<Option<String>> {
        let value = |(column, code): (&Column, &u32)| {
            column.values.get(*code as usize)?.as_deref().map(str::to_owned)
        };
        quasi.iter().zip(key).map(value).collect()
    };
    classes.keys().iter().map(|key| population.get(&shown(key)).copied().unwrap_or(0)).collect()
}

/// Each class beside the rows of the population that look like it.
fn presence(
    population: &BTreeMap<Vec<Option<String>>, u64>,
    alike: &[u64],
    classes: &Classes,
) -> Presence {
    let share = |(rows, alike): (&u64, &u64)| {
        if *alike == 0 { f64::INFINITY } else { *rows as f64 / *alike as f64 }
    };
    let shares = || classes.rows().iter().zip(alike).map(share);
    let all: u64 = population.values().sum();
    Presence {
        fewest: alike.iter().copied().min().unwrap_or(0),
        least: shares().reduce(f64::min).unwrap_or(0.0),
        greatest: shares().fold(0.0, f64::max),
        elsewhere: all.saturating_sub(alike.iter().sum()),
    }
}

impl Spread {
    fn new(ranked: Ranked, mut classes: Vec<Vec<(u32, u64)>>) -> Self {
        let mut own = vec![0; ranked.values.len()];
        for counts in &mut classes {
            for (code, rows) in counts.iter_mut() {
                *code = ranked.places.get(*code as usize).copied().unwrap_or(u32::MAX);
                if let Some(sum) = own.get_mut(*code as usize) {
                    *sum += *rows;
                }
            }
            counts.sort_unstable();
        }
        Self { classes, whole: ranked.whole.clone().unwrap_or(own), ranked }
    }

    /// The least of a figure over classes; nothing without classes.
    fn least(&self, figure: impl Fn(&spread::Counts) -> f64) -> Option<f64> {
        self.classes.iter().map(|counts| figure(counts)).reduce(f64::min)
    }

    /// The greatest.
    fn greatest(&self, figure: impl Fn(&spread::Counts) -> f64) -> Option<f64> {
        self.classes.iter().map(|counts| figure(counts)).reduce(f64::max)
    }

    fn summary(&self) -> Sensitive {
        let distinct = self.classes.iter().map(|counts| counts.len() as u64).min().unwrap_or(0);
        let alike = self.classes.iter().filter(|counts| counts.len() == 1).flatten();
        Sensitive {
            column: self.ranked.name.clone(),
            distinct,
            entropy: self.least(spread::shannon).map_or(0.0, f64::exp),
            t: self.greatest(|counts| spread::equal(counts, &self.whole)).unwrap_or(0.0),
            beta: self
                .greatest(|counts| spread::growth(counts, &self.whole, |_| f64::INFINITY).0)
                .unwrap_or(0.0),
            certainty: self.greatest(spread::certainty).unwrap_or(0.0),
            homogeneous: alike.map(|(_, rows)| rows).sum(),
        }
    }

    /// The tree that a rule of hierarchical distance means.
    fn tree(&self, beside: &Beside) -> Result<Tree> {
        let name = &self.ranked.name;
        let hierarchy = beside.trees.get(name).ok_or_else(|| {
            Error::new(
                Code::Internal,
                format!("the tree of `{name}` was not given to be measured by"),
            )
        })?;
        // The spread and the tree are of the same values in the same order; without a spread, labels tell.
        if beside.spreads.contains_key(name) && self.ranked.values.len() <= hierarchy.leaves() {
            return Ok(Tree::new(hierarchy, (0..self.ranked.values.len()).collect()));
        }
        let labels = hierarchy.labels.first().map(Vec::as_slice).unwrap_or_default();
        let leaves: BTreeMap<Option<&str>, usize> =
            labels.iter().enumerate().map(|(leaf, label)| (label.as_deref(), leaf)).collect();
        let leaf = |value: &Option<Box<str>>| {
            leaves.get(&value.as_deref()).copied().ok_or_else(|| {
                Error::new(
                    Code::Internal,
                    format!("the tree of `{name}` lacks a value of the table"),
                )
            })
        };
        let leaves = self.ranked.values.iter().map(leaf).collect::<Result<_>>()?;
        Ok(Tree::new(hierarchy, leaves))
    }
}

/// What was found of one model.
fn finding(
    model: &Model,
    measured: &Measured,
    spread: Option<&Spread>,
    beside: &Beside,
) -> Result<Finding> {
    let any = measured.rows > 0;
    let presence = measured.population.as_ref();
    let lost = || Error::new(Code::Internal, "a sensitive column was not measured");
    let at_least =
        |found: Option<f64>, asked: f64| found.is_none_or(|found| found >= asked - SLACK);
    let at_most = |found: Option<f64>, asked: f64| found.is_none_or(|found| found <= asked + SLACK);
    let (name, asked, found, holds) = match model {
        Model::KAnonymity { k } => {
            let found = any.then(|| measured.k());
            let holds = found.is_none_or(|found| found >= *k);
            ("k".to_owned(), *k as f64, found.map(|k| k as f64), holds)
        }
        Model::KMap { k } => {
            let found = presence.filter(|_| any).map(|presence| presence.fewest);
            let holds = found.is_none_or(|found| found >= *k);
            ("k-map".to_owned(), *k as f64, found.map(|k| k as f64), holds)
        }
        Model::DistinctL { column, l } => {
            let spread = spread.ok_or_else(lost)?;
            let found = spread.least(|counts| counts.len() as f64);
            (format!("distinct l of {column}"), *l as f64, found, at_least(found, *l as f64))
        }
        Model::EntropyL { column, l, estimator } => {
            let spread = spread.ok_or_else(lost)?;
            let entropy = match estimator {
                Estimator::Shannon => spread.least(spread::shannon),
                Estimator::Grassberger => spread.least(spread::grassberger),
            };
            let found = entropy.map(f64::exp);
            (format!("entropy l of {column}"), *l, found, at_least(entropy, l.ln()))
        }
        Model::RecursiveCl { column, c, l } => {
            let spread = spread.ok_or_else(lost)?;
            let found = spread.greatest(|counts| spread::recursive(counts, *l));
            (format!("c of {column} at l = {l}"), *c, found, found.is_none_or(|found| found < *c))
        }
        Model::TCloseness { column, t, distance } => {
            let spread = spread.ok_or_else(lost)?;
            let whole = &spread.whole;
            let found = match distance {
                Distance::Equal => spread.greatest(|counts| spread::equal(counts, whole)),
                Distance::Ordered => spread.greatest(|counts| spread::ordered(counts, whole)),
                Distance::Hierarchical(_) => {
                    let tree = spread.tree(beside)?;
                    spread.greatest(|counts| spread::hierarchical(counts, whole, &tree))
                }
            };
            (format!("t of {column}"), *t, found, at_most(found, *t))
        }
        Model::DeltaPresence { min, max } => {
            let found = presence.filter(|_| any).map(|presence| presence.greatest);
            let least = presence.filter(|_| any).map(|presence| presence.least);
            ("presence".to_owned(), *max, found, at_most(found, *max) && at_least(least, *min))
        }
        Model::BetaLikeness { column, beta, enhanced } => {
            let spread = spread.ok_or_else(lost)?;
            let bound = |share: f64| if *enhanced { beta.min(-share.ln()) } else { *beta };
            let grown = |counts: &spread::Counts| spread::growth(counts, &spread.whole, bound);
            let found = spread.greatest(|counts| grown(counts).0);
            let broken = spread.classes.iter().any(|counts| grown(counts).1);
            (format!("beta of {column}"), *beta, found, !broken)
        }
    };
    Ok(Finding { model: model.clone(), name, asked, found, holds })
}

/// Whether a table gives what the rules ask.
pub(super) fn satisfies(measured: &Measured, rules: &ReleaseRules) -> Result<()> {
    let mut broken = Vec::new();
    for model in &rules.models {
        match measured.findings.iter().find(|finding| finding.model == *model) {
            Some(finding) if finding.holds => {}
            Some(finding) => {
                let found =
                    finding.found.map_or_else(|| "nothing".to_owned(), |found| found.to_string());
                broken.push(format!("{}: {} asked, {found} found", finding.name, finding.asked));
            }
            None => broken.push(format!("{model:?} was not measured")),
        }
    }
    match measured.suppressed() {
        Some(share) if share > rules.suppress_max + SLACK => {
            broken.push(format!(
                "{share} of the rows are suppressed, {} allowed",
                rules.suppress_max
            ));
        }
        _ => {}
    }
    if measured.rows_in.is_some_and(|rows| rows < measured.rows) {
        broken.push("the table has more rows than it was made of".to_owned());
    }
    if broken.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Code::Internal,
        format!("the table does not give what the release promises: {}", broken.join("; ")),
    ))
}
