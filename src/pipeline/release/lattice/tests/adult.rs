//! The Adult data as a table: a small reader of ARX's files.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::shared::shared;

use crate::pipeline::release::table::{Hierarchy, Lists, Sensitive, Table};

/// Adult in memory.
pub(super) struct Adult {
    folder: PathBuf,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    subset: Vec<Vec<String>>,
}

fn read(path: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.map(|line| line.split(';').map(str::to_owned).collect()).collect()
}

impl Adult {
    /// As it lies among the shared data.
    pub(super) fn open() -> Option<Self> {
        let folder = shared("data/adult")?;
        let mut rows = read(&folder.join("adult.csv"));
        let header = rows.remove(0);
        let mut subset = read(&folder.join("adult_subset.csv"));
        subset.remove(0);
        Some(Self { folder, header, rows, subset })
    }

    /// A row of the subset for every row of the file that has the same cells.
    pub(super) fn subset_rows(&self) -> Vec<bool> {
        let mut wanted: HashMap<&[String], u32> = HashMap::new();
        for row in &self.subset {
            *wanted.entry(row).or_default() += 1;
        }
        let rows = self.rows.iter().map(|row| {
            let Some(left) = wanted.get_mut(row.as_slice()).filter(|left| **left > 0) else {
                return false;
            };
            *left -= 1;
            true
        });
        rows.collect()
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    fn hierarchy(&self, column: &str, weight: f64) -> (Hierarchy, HashMap<String, u32>) {
        let lines = read(&self.folder.join(format!("adult_hierarchy_{column}.csv")));
        let mut hierarchy =
            Hierarchy { name: column.to_owned(), groups: vec![], labels: vec![], weight };
        let mut leaves = HashMap::new();
        for level in 0..lines[0].len() {
            let mut known: HashMap<&str, u32> = HashMap::new();
            let mut labels = Vec::new();
            let groups = lines.iter().map(|line| {
                *known.entry(line[level].as_str()).or_insert_with(|| {
                    labels.push(Some(line[level].clone()));
                    labels.len() as u32 - 1
                })
            });
            hierarchy.groups.push(groups.collect());
            hierarchy.labels.push(labels);
            if level == 0 {
                leaves =
                    known.into_iter().map(|(leaf, number)| (leaf.to_owned(), number)).collect();
            }
        }
        (hierarchy, leaves)
    }

    /// The table with this sensitive column left out of the quasi-identifiers; of these rows, where
    /// given, and then all rows are the population. Weighted: ninths in the order of columns.
    pub(super) fn table(
        &self,
        sensitive: Option<&str>,
        released: Option<&[bool]>,
        weighted: bool,
    ) -> Table {
        let columns: Vec<usize> = (0..self.header.len())
            .filter(|place| Some(self.header[*place].as_str()) != sensitive)
            .collect();
        let mut hierarchies = Vec::new();
        let mut codes = Vec::new();
        for place in &columns {
            let weight = if weighted { (*place + 1) as f64 / 9.0 } else { 1.0 };
            let (hierarchy, leaves) = self.hierarchy(&self.header[*place], weight);
            hierarchies.push(hierarchy);
            codes.push(leaves);
        }
        let sensitive = sensitive.map(|name| {
            let place = self.header.iter().position(|column| column == name).unwrap();
            let mut values: Vec<String> = self.rows.iter().map(|row| row[place].clone()).collect();
            values.sort();
            values.dedup();
            (name, place, values)
        });
        type Counts = (u64, u64, BTreeMap<u32, u64>);
        let mut combinations: BTreeMap<Vec<u32>, Counts> = BTreeMap::new();
        for (number, row) in self.rows.iter().enumerate() {
            let key =
                columns.iter().zip(&codes).map(|(place, codes)| codes[&row[*place]]).collect();
            let counts = combinations.entry(key).or_default();
            counts.1 += 1;
            if released.is_none_or(|released| released[number]) {
                counts.0 += 1;
                if let Some((_, place, values)) = &sensitive {
                    let value = values.binary_search(&row[*place]).unwrap() as u32;
                    *counts.2.entry(value).or_default() += 1;
                }
            }
        }
        let mut leaves = vec![Vec::new(); columns.len()];
        let mut counts = Lists { starts: vec![0], items: Vec::new() };
        for (key, (_, _, values)) in &combinations {
            for (column, leaf) in leaves.iter_mut().zip(key) {
                column.push(*leaf);
            }
            counts.items.extend(values.iter().map(|(value, rows)| (*value, *rows)));
            counts.starts.push(counts.items.len());
        }
        let sensitive = sensitive.map(|(name, _, values)| {
            let (mut hierarchy, leaves) = self.hierarchy(name, 1.0);
            // Its leaves in the order of values.
            let order: Vec<usize> = values.iter().map(|value| leaves[value] as usize).collect();
            for groups in &mut hierarchy.groups {
                *groups = order.iter().map(|leaf| groups[*leaf]).collect();
            }
            hierarchy.groups[0] = (0..values.len() as u32).collect();
            Sensitive {
                name: name.to_owned(),
                values: values.into_iter().map(Some).collect(),
                counts,
                hierarchy: Some(hierarchy),
            }
        });
        Table {
            hierarchies,
            leaves,
            rows: combinations.values().map(|counts| counts.0).collect(),
            units: None,
            sensitive: sensitive.into_iter().collect(),
            population: released.map(|_| combinations.values().map(|counts| counts.1).collect()),
        }
    }
}
