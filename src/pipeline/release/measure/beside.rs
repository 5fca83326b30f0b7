//! What cannot be read from a release itself, taken from the counts that it was made of. Counts and labels
//! only: nothing here says whether a class is good enough.

use std::collections::BTreeMap;

use super::super::recoding::{Cell, Recoding};
use super::super::table::{Hierarchy, Sensitive, Table};
use crate::policy::Policy;
use crate::policy::args::Args;

/// What cannot be read from the table itself. Every part may be missing; what it is needed for is then
/// measured against the table alone, or refused where that makes no sense.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// The rows that the table was made of, suppressed ones included.
    pub rows_in: Option<u64>,
    /// By sensitive column: its values and rows in the table before suppression, in the values' own
    /// order. Closeness and beta are distances to this.
    pub spreads: BTreeMap<String, Vec<(Option<String>, u64)>>,
    /// By sensitive column: the tree of its values, for hierarchical closeness. Leaf i is value i of the
    /// column's spread.
    pub trees: BTreeMap<String, Hierarchy>,
    /// How many rows of the population look like each class: what the quasi-identifiers show, in the
    /// rules' order, and rows.
    pub population: Option<BTreeMap<Vec<Option<String>>, u64>>,
    /// Sensitive columns to measure though no model names them.
    pub also: Vec<String>,
    /// The parameters of the rule of the column that tells persons apart: what it calls equal is one
    /// person. Without them equal cells are.
    pub persons: Option<Args>,
}

impl Beside {
    /// What a policy says of who is the same person.
    pub fn persons(policy: &Policy, unit: Option<&str>) -> Self {
        let column = policy.columns.iter().find(|column| Some(column.name.as_str()) == unit);
        Self { persons: column.map(|column| column.rule.args.clone()), ..Self::default() }
    }

    /// Of a release that was made of these counts in this way.
    pub fn of(table: &Table, recoding: &Recoding) -> Self {
        let name = |sensitive: &Sensitive| sensitive.name.clone();
        let tree = |sensitive: &Sensitive| Some((name(sensitive), sensitive.hierarchy.clone()?));
        Self {
            rows_in: Some(table.rows.iter().sum()),
            spreads: table.sensitive.iter().map(|column| (name(column), spread(column))).collect(),
            trees: table.sensitive.iter().filter_map(tree).collect(),
            population: table.population.as_ref().map(|rows| population(table, recoding, rows)),
            also: Vec::new(),
            persons: None,
        }
    }
}

fn spread(sensitive: &Sensitive) -> Vec<(Option<String>, u64)> {
    let mut rows = vec![0; sensitive.values.len()];
    for (value, count) in &sensitive.counts.items {
        if let Some(sum) = rows.get_mut(*value as usize) {
            *sum += count;
        }
    }
    sensitive.values.iter().cloned().zip(rows).collect()
}

/// Rows of the population by what they would show in the release.
fn population(
    table: &Table,
    recoding: &Recoding,
    rows: &[u64],
) -> BTreeMap<Vec<Option<String>>, u64> {
    let mut population = BTreeMap::new();
    if let Some(levels) = &recoding.levels {
        // Whole columns are generalized: those of the population, too, whether the dataset has them or not.
        for (combination, rows) in rows.iter().enumerate() {
            let shown = table.hierarchies.iter().zip(&table.leaves).zip(levels);
            let shown = shown.map(|((hierarchy, leaves), level)| {
                let group = hierarchy.groups.get(*level as usize)?;
                label(hierarchy, *level, *group.get(*leaves.get(combination)? as usize)?)
            });
            *population.entry(shown.collect()).or_default() += rows;
        }
        return population;
    }
    let mut last = None;
    for part in &recoding.parts {
        let class = part.class.and_then(|class| recoding.classes.get(class as usize));
        let rows = rows.get(part.combination as usize);
        if let (Some(cells), Some(rows)) = (class, rows) {
            // A combination that is divided joins its population to each of its classes once.
            let joined = Some((part.combination, part.class));
            if joined == last {
                continue;
            }
            last = joined;
            let shown = table.hierarchies.iter().zip(cells).map(|(hierarchy, cell)| match cell {
                Cell::Group { level, group } => label(hierarchy, *level, *group),
                Cell::Label(label) => label.clone(),
                Cell::Number(number) => number.map(|number| number.to_string()),
            });
            *population.entry(shown.collect()).or_default() += rows;
        }
    }
    population
}

fn label(hierarchy: &Hierarchy, level: u32, group: u32) -> Option<String> {
    hierarchy.labels.get(level as usize)?.get(group as usize)?.clone()
}
