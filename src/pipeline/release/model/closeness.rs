//! t-closeness: the earth mover's distance of a class's distribution from the table's is at most t.
//! After Li, Li, Venkatasubramanian, "t-Closeness: Privacy Beyond k-Anonymity and l-Diversity", ICDE
//! 2007, which gives a closed form for each of the three ground distances. p is the class's
//! distribution, q the table's.

use crate::error::Result;

use super::super::table::Sensitive;
use super::{Histogram, policy};

/// 1 between any two values: `1/2 * sum |p_i - q_i|`.
#[derive(Debug)]
pub(super) struct Equal {
    t: f64,
    table: Vec<f64>,
}

impl Equal {
    pub(super) const fn new(t: f64, table: Vec<f64>) -> Self {
        Self { t, table }
    }

    pub(super) fn holds(&self, rows: u64, class: &Histogram) -> bool {
        self.distance(rows, class) <= self.t
    }

    /// At least this share of the rows fails however the class is divided.
    pub(super) fn failing(&self, rows: u64, class: &Histogram) -> f64 {
        excess(self.distance(rows, class), self.t)
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
    fn distance(&self, rows: u64, class: &Histogram) -> f64 {
        // What the class lacks is 1 minus what it has, so that only its own values are visited.
        let mut distance = 1.0;
        for (value, count) in class {
            let share = self.table.get(*value as usize).copied().unwrap_or_default();
            distance += (share - *count as f64 / rows as f64).abs() - share;
        }
        distance / 2.0
    }
}

/// The difference of ranks, over the number of values less one: `1/(m-1) * sum_i |sum_j<=i p_j - q_j|`.
#[derive(Debug)]
pub(super) struct Ordered {
    bound: f64,
    /// Values less one.
    ranks: f64,
    table: Vec<f64>,
}

impl Ordered {
    #[expect(clippy::cast_precision_loss, reason = "counts of values are far below 2^53")]
    pub(super) fn new(t: f64, table: Vec<f64>) -> Self {
        let ranks = table.len() as f64 - 1.0;
        Self { bound: t * ranks, ranks, table }
    }

    pub(super) fn holds(&self, rows: u64, class: &Histogram) -> bool {
        self.distance(rows, class) <= self.bound
    }

    /// At least this share of the rows fails however the class is divided.
    pub(super) fn failing(&self, rows: u64, class: &Histogram) -> f64 {
        excess(self.distance(rows, class) / self.ranks, self.bound / self.ranks)
    }

    /// Times the ranks.
    #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
    fn distance(&self, rows: u64, class: &Histogram) -> f64 {
        let mut class = class.iter().peekable();
        let (mut sum, mut distance) = (0.0_f64, 0.0);
        for (value, share) in (0_u32..).zip(&self.table) {
            let count = class.next_if(|(next, _)| *next == value).map_or(0, |(_, count)| *count);
            sum += count as f64 / rows as f64 - share;
            distance += sum.abs();
        }
        distance
    }
}

/// By the level of the hierarchy at which two values meet, over its height: at every inner node flows
/// the smaller of what its children have too much and what they lack, over that level.
///
/// Kept in whole numbers, each share times the rows of the class and of the table.
#[derive(Debug)]
pub(super) struct Hierarchical {
    t: f64,
    rows: i128,
    /// By value.
    table: Vec<i128>,
    /// By level from 1: the node above each node of the level below, and the number of nodes.
    levels: Vec<(Vec<usize>, usize)>,
}

impl Hierarchical {
    pub(super) fn new(t: f64, sensitive: &Sensitive, totals: &[u64]) -> Result<Self> {
        let hierarchy = sensitive
            .hierarchy
            .as_ref()
            .filter(|known| known.leaves() >= sensitive.values.len() && known.levels() > 1);
        let Some(hierarchy) = hierarchy else {
            let column = &sensitive.name;
            return Err(policy(format!("the distance of `{column}` needs a hierarchy")));
        };
        let mut levels = Vec::new();
        for (below, above) in hierarchy.groups.iter().zip(hierarchy.groups.iter().skip(1)) {
            let size = |groups: &[u32]| groups.iter().max().map_or(0, |most| *most as usize + 1);
            let mut parents = vec![0; size(below)];
            for (child, parent) in below.iter().zip(above) {
                if let Some(slot) = parents.get_mut(*child as usize) {
                    *slot = *parent as usize;
                }
            }
            levels.push((parents, size(above)));
        }
        let mut table: Vec<i128> = totals.iter().map(|total| i128::from(*total)).collect();
        let rows = table.iter().sum();
        table.resize(hierarchy.leaves(), 0);
        Ok(Self { t, rows, table, levels })
    }

    pub(super) fn holds(&self, class: &Histogram) -> bool {
        self.distance(class) <= self.t
    }

    /// At least this share of the rows fails however the class is divided.
    pub(super) fn failing(&self, class: &Histogram) -> f64 {
        excess(self.distance(class), self.t)
    }

    #[expect(clippy::cast_precision_loss, reason = "compared in the precision of t, as ARX does")]
    fn distance(&self, class: &Histogram) -> f64 {
        let class_rows: i128 = class.iter().map(|(_, count)| i128::from(*count)).sum();
        let mut extra: Vec<i128> = self.table.iter().map(|total| total * class_rows).collect();
        for (value, count) in class {
            if let Some(slot) = extra.get_mut(*value as usize) {
                *slot -= i128::from(*count) * self.rows;
            }
        }
        let height = self.levels.len() as f64;
        let mut cost = 0.0;
        for (level, (parents, nodes)) in (1_u32..).zip(&self.levels) {
            let mut flows = vec![(0_i128, 0_i128); *nodes];
            for (parent, extra) in parents.iter().zip(&extra) {
                if let Some((surplus, lack)) = flows.get_mut(*parent) {
                    *surplus += (*extra).max(0);
                    *lack += (-*extra).max(0);
                }
            }
            for (surplus, lack) in &flows {
                cost += f64::from(level) / height * (*surplus).min(*lack) as f64;
            }
            extra = flows.iter().map(|(surplus, lack)| surplus - lack).collect();
        }
        cost / (self.rows as f64 * class_rows as f64)
    }
}

/// The distance of a class is at most the mean of its parts' (it is convex), and no part's is above 1:
/// parts that hold have at most t, so the others must have this share of the rows.
fn excess(distance: f64, t: f64) -> f64 {
    if t < 1.0 { ((distance - t) / (1.0 - t)).max(0.0) } else { 0.0 }
}
