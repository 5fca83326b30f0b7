//! What a table guarantees, measured from its own columns: classes and their sizes, persons, diversity,
//! closeness, presence. Knows nothing of how the table was made and shares no code with what made it
//! (`model/` and the methods): this is the second opinion that a release must pass. Stores nothing.
//!
//! A null is a value like any other and equals nothing but a null; so is `*`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use arrow::array::RecordBatch;
use serde_json::{Value, json};

use crate::error::Result;
use crate::policy::release::{Model, ReleaseRules};
use crate::risk::Shapes;

mod beside;
mod cells;
mod classes;
mod judge;
mod spread;
#[cfg(test)]
mod tests;

pub use beside::Beside;
pub use cells::{Gathered, Reader};

/// What a table guarantees.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Rows in the table.
    pub rows: u64,
    /// Rows that it was made of, where that was said.
    pub rows_in: Option<u64>,
    /// How many classes have so many rows.
    pub sizes: BTreeMap<u64, u64>,
    /// How many classes have so many persons, where the rules name a unit.
    pub persons: Option<BTreeMap<u64, u64>>,
    /// How many classes are of each kind, for measures of risk.
    pub shapes: Shapes,
    /// The classes against the population, where there is one.
    pub population: Option<Presence>,
    /// Each sensitive column.
    pub sensitive: Vec<Sensitive>,
    /// Each model of the rules.
    pub findings: Vec<Finding>,
}

/// The classes against the population.
#[derive(Debug, Clone, PartialEq)]
pub struct Presence {
    /// The fewest rows of the population that look like a class.
    pub fewest: u64,
    /// The least share of a class's population that is in the table.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
    /// Rows of the population that look like no class.
    pub elsewhere: u64,
}

/// How a sensitive column is spread over classes; the worst class counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensitive {
    /// The column.
    pub column: String,
    /// The fewest values in a class.
    pub distinct: u64,
    /// The exponential of the least entropy.
    pub entropy: f64,
    /// Distance of the farthest class from the whole column, any two values being equally far.
    pub t: f64,
    /// The greatest growth of a value's share, relative to its share in the whole column.
    pub beta: f64,
    /// The greatest share of a value in a class: the certainty of who knows the class.
    pub certainty: f64,
    /// Rows of classes that have one value only.
    pub homogeneous: u64,
}

/// What was found of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The model.
    pub model: Model,
    /// In a word or two, with the column.
    pub name: String,
    /// What the rules ask: a least value, or a greatest for t, beta and presence.
    pub asked: f64,
    /// What the worst class has. Nothing where there is no row.
    pub found: Option<f64>,
    /// Whether every class keeps it.
    pub holds: bool,
}

/// Measures batches of a table.
///
/// # Errors
/// When a column that the rules name is missing, or something that a model needs was not given.
pub fn release<'a>(
    batches: impl IntoIterator<Item = &'a RecordBatch>,
    rules: &ReleaseRules,
    beside: &Beside,
) -> Result<Measured> {
    let mut reader = Reader::new(rules, beside)?;
    for batch in batches {
        reader.add(batch)?;
    }
    reader.finish()
}

/// Measures parquet files.
///
/// # Errors
/// As [`release`], and when a file cannot be read.
pub fn files(paths: &[PathBuf], rules: &ReleaseRules, beside: &Beside) -> Result<Measured> {
    let mut reader = Reader::new(rules, beside)?;
    for path in paths {
        cells::each_batch(path, |batch| reader.add(&batch))?;
    }
    reader.finish()
}

impl Measured {
    /// The number of classes.
    pub fn classes(&self) -> u64 {
        self.sizes.values().sum()
    }

    /// The smallest class, in rows; 0 where there is no row.
    pub fn smallest(&self) -> u64 {
        self.sizes.keys().next().copied().unwrap_or(0)
    }

    /// The largest class, in rows.
    pub fn largest(&self) -> u64 {
        self.sizes.keys().next_back().copied().unwrap_or(0)
    }

    /// Rows a class.
    pub fn average(&self) -> f64 {
        match self.classes() {
            0 => 0.0,
            classes => self.rows as f64 / classes as f64,
        }
    }

    /// k: persons where the rules name a unit, else rows.
    pub fn k(&self) -> u64 {
        match &self.persons {
            Some(persons) => persons.keys().next().copied().unwrap_or(0),
            None => self.smallest(),
        }
    }

    /// The share of rows that were suppressed, where it is known how many went in.
    pub fn suppressed(&self) -> Option<f64> {
        let all = self.rows_in?;
        let gone = all.saturating_sub(self.rows);
        Some(if all == 0 { 0.0 } else { gone as f64 / all as f64 })
    }

    /// Whether the table gives what the rules ask.
    ///
    /// # Errors
    /// [`Code::Internal`](crate::error::Code) with all that it does not give: whoever made it was wrong.
    pub fn satisfies(&self, rules: &ReleaseRules) -> Result<()> {
        judge::satisfies(self, rules)
    }

    /// As an object, for manifests and answers. Holds no value of a column.
    pub fn json(&self) -> Value {
        let persons = self.persons.as_ref().map(|persons| {
            json!({
                "k": persons.keys().next().copied().unwrap_or(0),
                "most": persons.keys().next_back().copied().unwrap_or(0),
            })
        });
        let population = self.population.as_ref().map(|presence| {
            json!({
                "k_map": presence.fewest,
                "presence_min": presence.least,
                "presence_max": presence.greatest,
                "rows_elsewhere": presence.elsewhere,
            })
        });
        let sensitive = self.sensitive.iter().map(|column| {
            json!({
                "column": column.column,
                "distinct_l": column.distinct,
                "entropy_l": column.entropy,
                "t_equal": column.t,
                "beta": column.beta,
                "certainty_max": column.certainty,
                "rows_homogeneous": column.homogeneous,
            })
        });
        let findings = self.findings.iter().map(|finding| {
            json!({
                "model": finding.name,
                "asked": finding.asked,
                "found": finding.found,
                "holds": finding.holds,
            })
        });
        json!({
            "rows": self.rows,
            "rows_in": self.rows_in,
            "suppressed_share": self.suppressed(),
            "k": self.k(),
            "classes": self.classes(),
            "class_rows_min": self.smallest(),
            "class_rows_average": self.average(),
            "class_rows_max": self.largest(),
            "persons": persons,
            "population": population,
            "sensitive": sensitive.collect::<Vec<_>>(),
            "models": findings.collect::<Vec<_>>(),
        })
    }
}
