//! Risk before and after, in figures: what the command line, the JSON and the page are made of. Holds names of
//! columns, counts and shares; never a value.

use serde_json::{Value, json};

use super::columns::Apart;
use super::individual::Individual;
use super::population::{self, Estimate};
use super::uniques::Uniques;
use super::{Alike, Attacker, Risk, Seen, Span, histogram};

/// One side: the raw rows, or what leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// What it is, in a few words.
    pub what: String,
    /// The risk.
    pub risk: Risk,
    /// Classes by members.
    pub histogram: Vec<Span>,
    /// Estimated uniques of the population, where its size is known.
    pub estimate: Option<Estimate>,
    /// Sensitive columns, and the rows of classes that share one value.
    pub alike: Vec<Alike>,
    /// The risk by weights, where there are any.
    pub individual: Option<Individual>,
}

/// What was found of a dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// The dataset.
    pub dataset: String,
    /// The digest of its policy.
    pub policy_digest: String,
    /// The version of its data.
    pub version: String,
    /// When, as ISO 8601.
    pub when: String,
    /// The columns that could identify somebody together.
    pub columns: Vec<String>,
    /// What tells persons apart, where they are counted.
    pub unit: Option<String>,
    /// The columns that somebody would want to know.
    pub sensitive: Vec<String>,
    /// The column of sampling weights, where one was named.
    pub weight: Option<String>,
    /// Persons in the population that the dataset is a sample of, where that was said.
    pub population: Option<u64>,
    /// The raw rows.
    pub before: Side,
    /// What leaves, or why that cannot be told.
    pub after: Result<Side, String>,
    /// How well columns, and pairs of them, tell raw rows apart.
    pub apart: Vec<Apart>,
    /// Raw rows that few columns single out.
    pub special: Uniques,
    /// The models of the release, where there is one: what was asked, and what its file gives.
    pub guarantees: Vec<(String, f64, Option<f64>)>,
}

impl Side {
    /// Measures classes.
    pub fn new(what: &str, seen: &Seen, threshold: f64, population: Option<u64>) -> Self {
        let shapes = &seen.shapes;
        let weighted = seen.weighted.as_deref();
        let estimate = population.map(|all| {
            let mut sizes = population::Sizes::new();
            for (class, classes) in shapes {
                *sizes.entry(class.members).or_default() += classes;
            }
            population::estimate(&sizes, all as f64)
        });
        Self {
            what: what.to_owned(),
            risk: Risk::new(shapes, threshold),
            histogram: histogram(shapes),
            estimate,
            alike: seen.alike.clone(),
            individual: weighted.map(|classes| Individual::new(classes, threshold)),
        }
    }

    /// The share of rows whose class has one value of a sensitive column, where that was counted.
    pub fn share_alike(&self, column: &str) -> Option<f64> {
        let found = self.alike.iter().find(|alike| alike.column == column)?;
        let rows = self.risk.rows;
        Some(if rows == 0 { 0.0 } else { found.rows as f64 / rows as f64 })
    }

    fn json(&self) -> Value {
        let risk = &self.risk;
        let attacker = |attacker: &Attacker| {
            json!({
                "highest": attacker.highest,
                "average": attacker.average,
                "lowest": attacker.lowest,
                "share_at_risk": attacker.at_risk,
                "share_at_highest": attacker.at_highest,
            })
        };
        let span = |span: &Span| {
            json!({
                "members_from": span.from,
                "members_to": span.to,
                "classes": span.classes,
                "rows": span.rows,
            })
        };
        let alike = self.alike.iter().map(|alike| {
            json!({
                "column": alike.column,
                "rows": alike.rows,
                "share": self.share_alike(&alike.column),
            })
        });
        let individual = self.individual.map(|risk| {
            json!({
                "population": risk.population,
                "highest": risk.highest,
                "average": risk.average(),
                "expected_matches": risk.expected,
                "share_at_risk": risk.at_risk,
            })
        });
        json!({
            "what": self.what,
            "rows": risk.rows,
            "classes": risk.classes,
            "uniques": risk.uniques,
            "rows_unique": risk.rows_unique,
            "threshold": risk.threshold,
            "prosecutor": attacker(&risk.prosecutor),
            "journalist": attacker(&risk.journalist),
            "marketer": risk.marketer,
            "histogram": self.histogram.iter().map(span).collect::<Vec<_>>(),
            "homogeneity": alike.collect::<Vec<_>>(),
            "individual": individual,
            "population_uniques": self.estimate.map(|estimate| {
                json!({ "model": estimate.model.name(), "uniques": estimate.uniques })
            }),
        })
    }
}

impl Assessment {
    /// The names of some columns.
    pub fn named(&self, columns: &[usize]) -> Vec<&str> {
        columns.iter().filter_map(|at| self.columns.get(*at)).map(String::as_str).collect()
    }

    /// As an object.
    pub fn json(&self) -> Value {
        let apart = self.apart.iter().map(|set| {
            json!({
                "columns": self.named(&set.columns),
                "distinction": set.distinction,
                "separation": set.separation,
                "uniques": set.uniques,
            })
        });
        let special = &self.special;
        let columns = self.columns.iter().zip(&special.columns).zip(&special.shares);
        let columns = columns.map(|((column, rows), share)| {
            json!({ "column": column, "rows": rows, "score_share": share })
        });
        let sets = special
            .sets
            .iter()
            .map(|(set, rows)| json!({ "columns": self.named(set), "rows": rows }));
        let guarantees = self
            .guarantees
            .iter()
            .map(|(model, asked, found)| json!({ "model": model, "asked": asked, "found": found }));
        json!({
            "dataset": self.dataset,
            "policy_digest": self.policy_digest,
            "data_version": self.version,
            "made": self.when,
            "quasi_identifiers": self.columns,
            "unit": self.unit,
            "sensitive": self.sensitive,
            "weight": self.weight,
            "population": self.population,
            "before": self.before.json(),
            "after": self.after.as_ref().ok().map(Side::json),
            "after_unknown": self.after.as_ref().err(),
            "columns": apart.collect::<Vec<_>>(),
            "special_uniques": {
                "columns_max": special.columns_max,
                "rows": special.rows,
                "sets_by_size": special.sizes,
                "columns": columns.collect::<Vec<_>>(),
                "sets": sets.collect::<Vec<_>>(),
            },
            "guarantees": guarantees.collect::<Vec<_>>(),
        })
    }
}
