//! Local suppression: single cells become `*` until every class of equal rows holds. The aim of kAnon
//! in sdcMicro (Templ, Kowarik, Meindl, Journal of Statistical Software 2015), with one difference that
//! decides: there a `*` matches every value, here it is a value of its own, so that rows that *look*
//! the same are at least k.
//!
//! **What is done.** Combinations for which the models hold alone stay as they are. For the others sets
//! of columns are tried, the cheapest first: by the sum of weights (a column of weight 2 is given up
//! later than one of weight 1), then fewer columns, then columns named later. Under a set, combinations
//! that agree in all other columns become one class if the models hold for them. The set of all columns
//! is not tried: rows that show nothing are suppressed as rows, up to `suppress_max`; where more are
//! left, combinations that hold alone give up cells too and take them in. The result is no
//! minimum, which is hard to find (Meyerson, Williams, PODS 2004), but always the same. Loss is the
//! share of cells that are `*`, by weight, a suppressed row counting all of its cells.
//!
//! **What it does not stop.** A `*` tells that the value was rare next to the others of its row; whoever
//! knows the table's method can rule out values that would have been kept (minimality: Wong, Fu, Wang,
//! Pei, VLDB 2007). Two releases can be set off against each other. `delta_presence` is refused, for
//! a `*` covers persons of the population that are counted in other classes too.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Code, Error, Result};
use crate::policy::release::{Model, ReleaseRules};

use super::assembly::{self, Draft};
use super::model::{ClassCounts, Guarantees};
use super::progress::Progress;
use super::recoding::{Cell, Recoding};
use super::table::Table;

/// The most quasi-identifiers: every set of them may be tried.
pub const COLUMNS_MAX: usize = 16;

/// Classes with as few `*` as the order of columns allows.
pub fn local_suppression(
    table: &Table,
    rules: &ReleaseRules,
    guarantees: &Guarantees,
    progress: &dyn Progress,
) -> Result<Recoding> {
    let columns = table.hierarchies.len();
    if columns > COLUMNS_MAX {
        return Err(Error::new(
            Code::Policy,
            format!(
                "local suppression tries sets of quasi-identifiers, at most {COLUMNS_MAX} of them, and \
                 there are {columns}: name fewer, or use `mondrian`"
            ),
        ));
    }
    if rules.models.iter().any(|model| matches!(model, Model::DeltaPresence { .. })) {
        return Err(Error::new(
            Code::Policy,
            "under local suppression persons of the population belong to several classes: \
             `delta_presence` needs `lattice` or `fixed`",
        ));
    }
    let (mut safe, mut open): (Vec<u32>, Vec<u32>) = (0..u32::try_from(table.len())
        .unwrap_or(u32::MAX))
        .partition(|combination| guarantees.hold(&ClassCounts::of(table, &[*combination])));
    safe.retain(|combination| rows(table, *combination) > 0);
    let mut drafts: Vec<Draft> = Vec::new();
    let of = open.iter().map(|combination| rows(table, *combination)).sum();
    for set in sets(table) {
        if progress.cancelled() {
            return Err(assembly::cancelled());
        }
        let left: u64 = open.iter().map(|combination| rows(table, *combination)).sum();
        progress.at(of - left, of);
        if left == 0 {
            break;
        }
        let mut still = Vec::new();
        for class in classes(table, set, &open) {
            if guarantees.hold(&ClassCounts::of(table, &class)) {
                drafts.push(draft(table, set, &class));
            } else {
                still.extend(class);
            }
        }
        open = still;
        open.sort_unstable();
    }
    borrow(table, guarantees, &mut safe, &mut open, &mut drafts);
    drafts.extend(safe.iter().map(|combination| draft(table, 0, &[*combination])));
    let left =
        open.into_iter().map(|combination| (combination, rows(table, combination))).collect();
    let mut recoding = assembly::assemble(table, guarantees, false, drafts, left)?;
    recoding.loss = Some(vec![loss(table, &recoding)]);
    Ok(recoding)
}

/// Where more rows are left than may be suppressed, combinations that hold alone give up cells too, the
/// smallest first, so that others may join them.
fn borrow(
    table: &Table,
    guarantees: &Guarantees,
    safe: &mut Vec<u32>,
    open: &mut Vec<u32>,
    drafts: &mut Vec<Draft>,
) {
    for set in sets(table) {
        let mut left: u64 = open.iter().map(|combination| rows(table, *combination)).sum();
        if left <= guarantees.suppressible() {
            return;
        }
        let mut lenders: BTreeMap<Vec<u32>, Vec<u32>> = BTreeMap::new();
        for combination in safe.iter() {
            lenders.entry(outside(table, set, *combination)).or_default().push(*combination);
        }
        let mut lent: BTreeSet<u32> = BTreeSet::new();
        let mut still = Vec::new();
        for class in classes(table, set, open) {
            let key = class.first().map(|first| outside(table, set, *first)).unwrap_or_default();
            let mut near = lenders.remove(&key).unwrap_or_default();
            near.sort_by_key(|combination| (rows(table, *combination), *combination));
            let mut counts = ClassCounts::of(table, &class);
            let helped = counts.rows;
            let (mut both, mut near) = (class.clone(), near.into_iter());
            while left > guarantees.suppressible() && !guarantees.hold(&counts) {
                let Some(next) = near.next() else { break };
                counts.merge(&ClassCounts::of(table, &[next]));
                both.push(next);
            }
            if left > guarantees.suppressible() && guarantees.hold(&counts) {
                left -= helped;
                lent.extend(both.iter().skip(class.len()));
                both.sort_unstable();
                drafts.push(draft(table, set, &both));
            } else {
                still.extend(class);
            }
        }
        safe.retain(|combination| !lent.contains(combination));
        still.sort_unstable();
        *open = still;
    }
}

fn rows(table: &Table, combination: u32) -> u64 {
    table.rows.get(combination as usize).copied().unwrap_or_default()
}

/// All sets of columns but the empty and the full one, cheapest first; bit i is column i.
fn sets(table: &Table) -> Vec<u32> {
    let columns = table.hierarchies.len();
    let cost = |set: &u32| -> f64 {
        let chosen = table.hierarchies.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1);
        chosen.map(|(_, hierarchy)| hierarchy.weight).sum()
    };
    let full = (1_u32 << columns.min(COLUMNS_MAX)) - 1;
    let mut sets: Vec<u32> = (1..full).collect();
    sets.sort_by(|one, other| {
        let (cheap, dear) = (cost(one), cost(other));
        cheap.total_cmp(&dear).then(one.count_ones().cmp(&other.count_ones())).then(other.cmp(one))
    });
    sets
}

/// Combinations that agree in all columns outside the set, in the order of their first.
fn classes(table: &Table, set: u32, combinations: &[u32]) -> Vec<Vec<u32>> {
    let mut classes: BTreeMap<Vec<u32>, Vec<u32>> = BTreeMap::new();
    for combination in combinations {
        classes.entry(outside(table, set, *combination)).or_default().push(*combination);
    }
    classes.into_values().collect()
}

/// The values of a combination in the columns outside the set.
fn outside(table: &Table, set: u32, combination: u32) -> Vec<u32> {
    let kept = table.leaves.iter().enumerate().filter(|(at, _)| set >> at & 1 == 0);
    let leaf = |leaves: &Vec<u32>| leaves.get(combination as usize).copied().unwrap_or_default();
    kept.map(|(_, leaves)| leaf(leaves)).collect()
}

/// A class that shows `*` in the columns of the set.
fn draft(table: &Table, set: u32, combinations: &[u32]) -> Draft {
    let first = combinations.first().copied().unwrap_or_default() as usize;
    let cell = |(at, (hierarchy, leaves)): (usize, (&super::table::Hierarchy, &Vec<u32>))| {
        if set >> at & 1 == 1 {
            let root = u32::try_from(hierarchy.levels().saturating_sub(1)).unwrap_or(u32::MAX);
            return Cell::Group { level: root, group: 0 };
        }
        Cell::Group { level: 0, group: leaves.get(first).copied().unwrap_or_default() }
    };
    Draft {
        cells: table.hierarchies.iter().zip(&table.leaves).enumerate().map(cell).collect(),
        members: combinations.iter().map(|at| (*at, rows(table, *at))).collect(),
    }
}

/// The share of cells that show nothing.
#[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
fn loss(table: &Table, recoding: &Recoding) -> f64 {
    let weights: f64 = table.hierarchies.iter().map(|hierarchy| hierarchy.weight).sum();
    let hidden = |class: u32| -> f64 {
        let cells = recoding.classes.get(class as usize).into_iter().flatten();
        let hidden = cells
            .zip(&table.hierarchies)
            .filter(|(cell, _)| matches!(cell, Cell::Group { level, .. } if *level > 0));
        hidden.map(|(_, hierarchy)| hierarchy.weight).sum()
    };
    let (mut sum, mut all) = (0.0, 0.0);
    for part in &recoding.parts {
        sum += part.rows as f64 * part.class.map_or(weights, hidden);
        all += part.rows as f64 * weights;
    }
    if all > 0.0 { sum / all } else { 0.0 }
}

#[cfg(test)]
mod tests;
