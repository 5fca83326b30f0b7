//! Hierarchies from rules: the distinct values of a column, and by level the group of each. Sees distinct
//! values, never rows; memory follows their number.

use std::collections::HashMap;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray};

use super::table::Hierarchy;
use super::text::texts;
use crate::error::{Code, Error, Result};
use crate::policy::release::HierarchyRule;
use crate::policy::release::file::{Groups, TOP};

mod intervals;
mod mask;
#[cfg(test)]
mod tests;
mod time;

/// A column's distinct values, in their own order: numbers as numbers, times as times, text as text.
pub(super) struct Values<'a> {
    /// The column.
    pub(super) name: &'a str,
    /// Each once, without null.
    pub(super) values: &'a ArrayRef,
    /// Whether null is a value of it too.
    pub(super) null: bool,
    /// How many rows have each value, for errors; null last.
    pub(super) rows: &'a [u64],
}

/// A hierarchy, and where the values are in it.
pub(super) struct Built {
    /// The hierarchy.
    pub(super) hierarchy: Hierarchy,
    /// The leaf of each value; null last.
    pub(super) leaf_of: Vec<u32>,
}

/// Which leaves come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Those of a file, in its order, where there is one.
    File,
    /// The values of the data, in their own order; leaf i is value i.
    Values,
}

/// The hierarchy of a rule over a column's values. Relative paths start from `folder`.
///
/// # Errors
/// [`Code::Policy`] for a file that is wrong or lacks values, [`Code::SourceValue`] for a value that a rule
/// cannot group. No text holds a value.
pub(super) fn build(
    rule: &HierarchyRule,
    of: &Values<'_>,
    order: Order,
    weight: f64,
    folder: &Path,
) -> Result<Built> {
    let texts = texts(of.values)?;
    let texts: Vec<&str> = texts.as_string::<i32>().iter().flatten().collect();
    if texts.len() != of.values.len() {
        return Err(Error::new(Code::Internal, "a distinct value is null"));
    }
    let levels = match rule {
        HierarchyRule::File { path, separator } => {
            return from_file(path, *separator, of, &texts, order, weight, folder);
        }
        HierarchyRule::Intervals { from, widths } => {
            intervals::levels(*from, widths, of.values).map_err(|reason| unfit(of.name, reason))?
        }
        HierarchyRule::Time(units) => {
            time::levels(units, of.values).map_err(|reason| unfit(of.name, reason))?
        }
        HierarchyRule::Mask(counts) => mask::levels(counts, &texts),
        HierarchyRule::Top => Vec::new(),
    };
    let leaves = leaves(of.values.len())?;
    let mut all = Builder::new(of, weight, texts.iter().map(|text| (*text).to_owned()), leaves);
    for labels in levels {
        all.level(labels);
    }
    let leaf_of = (0..all.leaves()).collect();
    Ok(Built { hierarchy: all.finish(), leaf_of })
}

fn unfit(column: &str, reason: String) -> Error {
    Error::new(Code::SourceValue, format!("column `{column}`: {reason}"))
}

/// Leaves are numbers of 32 bits; the largest stands for none, and null needs one.
fn leaves(count: usize) -> Result<u32> {
    let count = u32::try_from(count).ok().filter(|count| *count < u32::MAX - 1);
    count.ok_or_else(|| Error::new(Code::QueryMemory, "a column has too many distinct values"))
}

/// A hierarchy under way, level by level.
struct Builder {
    hierarchy: Hierarchy,
    null: bool,
}

impl Builder {
    fn new(
        of: &Values<'_>,
        weight: f64,
        labels: impl Iterator<Item = String>,
        leaves: u32,
    ) -> Self {
        let mut labels: Vec<Option<String>> = labels.map(Some).collect();
        let all = if of.null { leaves + 1 } else { leaves };
        if of.null {
            labels.push(None);
        }
        let hierarchy = Hierarchy {
            name: of.name.to_owned(),
            groups: vec![(0..all).collect()],
            labels: vec![labels],
            weight,
        };
        Self { hierarchy, null: of.null }
    }

    fn leaves(&self) -> u32 {
        self.hierarchy.groups.first().map_or(0, |leaves| u32::try_from(leaves.len()).unwrap_or(0))
    }

    /// Adds a level: the label of each leaf but null, which stays a group of its own.
    fn level(&mut self, of_leaves: Vec<String>) {
        let mut known: HashMap<String, u32> = HashMap::new();
        let mut groups = Vec::with_capacity(of_leaves.len() + 1);
        let mut labels: Vec<Option<String>> = Vec::new();
        for label in of_leaves {
            let next = u32::try_from(labels.len()).unwrap_or(u32::MAX);
            let group = *known.entry(label).or_insert_with_key(|label| {
                labels.push(Some(label.clone()));
                next
            });
            groups.push(group);
        }
        self.push(groups, labels);
    }

    fn push(&mut self, mut groups: Vec<u32>, mut labels: Vec<Option<String>>) {
        if self.null {
            groups.push(u32::try_from(labels.len()).unwrap_or(u32::MAX));
            labels.push(None);
        }
        self.hierarchy.groups.push(groups);
        self.hierarchy.labels.push(labels);
    }

    /// With the last level: one group for all, null included.
    fn finish(mut self) -> Hierarchy {
        let leaves = self.hierarchy.leaves();
        self.hierarchy.groups.push(vec![0; leaves]);
        self.hierarchy.labels.push(vec![Some(TOP.to_owned())]);
        self.hierarchy
    }
}

/// Every value must stand in the file; values of the file that the data lack are leaves too.
fn from_file(
    path: &str,
    separator: char,
    of: &Values<'_>,
    texts: &[&str],
    order: Order,
    weight: f64,
    folder: &Path,
) -> Result<Built> {
    let groups = Groups::read(&folder.join(path), separator)
        .map_err(|reason| Error::new(Code::Policy, format!("`{path}` {reason}")))?;
    let own = groups.labels.first().map(Vec::as_slice).unwrap_or_default();
    let count = leaves(own.len())?;
    let places: HashMap<&str, u32> = own.iter().map(String::as_str).zip(0..).collect();
    let found: Vec<Option<u32>> = texts.iter().map(|text| places.get(text).copied()).collect();
    let missing = found.iter().filter(|place| place.is_none()).count();
    if missing > 0 {
        let rows = found.iter().zip(of.rows).filter(|(place, _)| place.is_none());
        let rows: u64 = rows.map(|(_, rows)| rows).sum();
        let (values, lacks) = if missing == 1 { ("value", "stands") } else { ("values", "stand") };
        let what = format!(
            "{missing} {values} of column `{}`, in {rows} rows, {lacks} in no line of `{path}`: add a \
             line for each",
            of.name
        );
        return Err(Error::new(Code::Policy, what));
    }
    // By new place: the line of the file.
    let lines: Vec<u32> = match order {
        Order::File => (0..count).collect(),
        Order::Values => {
            let mut first: Vec<u32> = found.iter().copied().flatten().collect();
            let mut taken = vec![false; own.len()];
            for line in &first {
                if let Some(taken) = at_mut(&mut taken, *line) {
                    *taken = true;
                }
            }
            first
                .extend((0..count).zip(&taken).filter(|(_, taken)| !**taken).map(|(line, _)| line));
            first
        }
    };
    let label = |line: &u32| at(own, *line).cloned().unwrap_or_default();
    let mut all = Builder::new(of, weight, lines.iter().map(label), count);
    // Level 0 and the last one are the builder's.
    let between = groups.levels().saturating_sub(2);
    for (of_lines, labels) in groups.groups.iter().zip(&groups.labels).skip(1).take(between) {
        let groups = lines.iter().map(|line| at(of_lines, *line).copied().unwrap_or(0)).collect();
        all.push(groups, labels.iter().cloned().map(Some).collect());
    }
    let mut leaf_of: Vec<u32> = match order {
        Order::File => found.iter().copied().flatten().collect(),
        Order::Values => (0..u32::try_from(found.len()).unwrap_or(u32::MAX)).collect(),
    };
    if of.null {
        leaf_of.push(count);
    }
    Ok(Built { hierarchy: all.finish(), leaf_of })
}

fn at<T>(items: &[T], place: u32) -> Option<&T> {
    items.get(usize::try_from(place).ok()?)
}

fn at_mut<T>(items: &mut [T], place: u32) -> Option<&mut T> {
    items.get_mut(usize::try_from(place).ok()?)
}
