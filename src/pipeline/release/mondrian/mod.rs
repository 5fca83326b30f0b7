//! Mondrian: the table is cut in two along one quasi-identifier, each part again, as long as every
//! guarantee holds in both parts; each part that is left is a class. After LeFevre, DeWitt,
//! Ramakrishnan, "Mondrian Multidimensional K-Anonymity", ICDE 2006.
//!
//! **What is done.** Numbers and times are cut between two values, other columns into the children of
//! the lowest group that holds all of a part; children for which the guarantees would not hold stay
//! together. Where the paper takes the widest column and its median, here of all columns' cuts that
//! one is taken that takes away most of the penalty below, and the median stands in where it does not
//! keep the guarantees. Null is a value of its own behind the largest. *Relaxed*, rows with the value
//! at the median may go to either side; equal combinations are divided only where k-anonymity by rows
//! is the whole guarantee. Every row is in some class: nothing is suppressed.
//!
//! **Labels.** A number or time shows `[from, to]`, both included, another column its group's label,
//! null together with a value `*`. Bounds are where cuts fell, not the least and largest of the class:
//! these would show the values of its extreme members, and whoever knows all members but one could
//! read the last one's from a bound that none of the others explains.
//!
//! **Normalized certainty penalty** (Xu, Wang, Pei, Wang, Shi, Fu, "Utility-Based Anonymization Using
//! Local Recoding", KDD 2006): of a cell of numbers `(to - from) / (largest - least of the table)`, of
//! any other the leaves below its group over all leaves, 0 for a single leaf, 1 for null with a value;
//! of a table the mean over rows and columns, by the weights of columns.
//!
//! **What it does not stop.** What k, l and t do not stop; and as cuts follow the data, they tell
//! something of it: whoever knows the method can rule out tables that would have been cut elsewhere
//! (minimality: Wong, Fu, Wang, Pei, VLDB 2007), and a class that a finer cut would have left intact
//! can sometimes be narrowed (downcoding: Cohen, USENIX Security 2022). Two releases of one table, or
//! of two versions of it, can be intersected. `fixed` has none of these.

mod axis;
mod cut;
mod node;
mod team;

use std::num::NonZero;

use crate::error::Result;
use crate::policy::release::{Method, ReleaseRules};

use super::assembly::{self, Draft};
use super::model::Guarantees;
use super::progress::Progress;
use super::recoding::Recoding;
use super::table::Table;
use axis::Axis;
use cut::Terms;
use node::{Ground, Node};

/// What the bounds of numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounds {
    /// Where the cuts fell.
    Cuts,
    /// The least and the largest value of the class, which shows them.
    Members,
}

/// The classes of Mondrian, cut by so many threads; loss is the normalized certainty penalty, 0 to 1.
pub fn mondrian(
    table: &Table,
    rules: &ReleaseRules,
    guarantees: &Guarantees,
    progress: &dyn Progress,
    threads: usize,
) -> Result<Recoding> {
    let threads = NonZero::new(threads).unwrap_or(NonZero::<usize>::MIN);
    partition(table, rules, guarantees, progress, Bounds::Cuts, threads)
}

/// The same with other bounds and on so many threads.
fn partition(
    table: &Table,
    rules: &ReleaseRules,
    guarantees: &Guarantees,
    progress: &dyn Progress,
    bounds: Bounds,
    threads: NonZero<usize>,
) -> Result<Recoding> {
    let divisible = assembly::by_rows_alone(rules, table);
    let terms = Terms {
        rows_min: guarantees.k().max(1),
        tight: bounds == Bounds::Members,
        relaxed: matches!(rules.method, Method::Mondrian { strict: false }),
        medians: false,
    };
    let axes =
        table.hierarchies.iter().zip(&table.leaves).enumerate().map(|(at, (known, leaves))| {
            let rule = rules.quasi_identifiers.get(at).map(|quasi| &quasi.hierarchy);
            Axis::new(known, rule, leaves, &table.rows)
        });
    let ground = Ground { table, guarantees, axes: axes.collect(), divisible, terms };
    let root = Node::root(&ground);
    let rows: u64 = table.rows.iter().sum();
    if rows > 0 && !root.holds(&ground) {
        return Err(assembly::unsatisfiable(format!(
            "the models do not hold for all {rows} rows together, so no classes of them can do better"
        )));
    }
    let mut nodes = team::cut(&ground, root, threads, progress)?;
    // Parts come as threads finish; sums and classes follow the table.
    nodes.sort_by_cached_key(|node| (node.members(&ground).min(), node.spans.clone()));
    let loss = penalty(&ground, &nodes);
    let drafts = nodes.into_iter().map(|node| Draft {
        cells: ground.axes.iter().zip(&node.spans).map(|(axis, span)| axis.cell(*span)).collect(),
        members: node.members(&ground).collect(),
    });
    let mut recoding =
        assembly::assemble(table, guarantees, divisible, drafts.collect(), Vec::new())?;
    recoding.loss = Some(vec![loss]);
    Ok(recoding)
}

/// The mean penalty of a cell.
#[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
fn penalty(ground: &Ground<'_>, nodes: &[Node]) -> f64 {
    let weights: f64 = ground.axes.iter().map(Axis::weight).sum();
    let (mut rows, mut sum) = (0, 0.0);
    for node in nodes {
        let count: u64 = node.members(ground).map(|(_, rows)| rows).sum();
        let cells = ground.axes.iter().zip(&node.spans);
        let cells: f64 = cells.map(|(axis, span)| axis.weight() * axis.penalty(*span)).sum();
        rows += count;
        sum += count as f64 * cells;
    }
    if rows == 0 || weights <= 0.0 { 0.0 } else { sum / (rows as f64 * weights) }
}

#[cfg(test)]
mod tests;
