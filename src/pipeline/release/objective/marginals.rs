//! What is known of each column alone: rows by group at every level, and how many leaves a group
//! covers. Knows nothing of combinations.

use super::super::table::Table;

/// By column, by level, by group.
#[derive(Debug)]
pub(in super::super) struct Marginals {
    /// Rows of the dataset.
    pub(in super::super) rows: Vec<Vec<Vec<u64>>>,
    /// Leaves of the hierarchy, of values that the data lack too.
    pub(in super::super) leaves: Vec<Vec<Vec<u64>>>,
}

impl Marginals {
    pub(in super::super) fn of(table: &Table) -> Self {
        let columns = table.hierarchies.iter().zip(&table.leaves);
        let (rows, leaves) = columns
            .map(|(hierarchy, leaves)| {
                let mut by_leaf = vec![0_u64; hierarchy.leaves()];
                for (leaf, rows) in leaves.iter().zip(&table.rows) {
                    if let Some(count) = by_leaf.get_mut(*leaf as usize) {
                        *count += rows;
                    }
                }
                let sums = |of: &dyn Fn(usize) -> u64| -> Vec<Vec<u64>> {
                    hierarchy.groups.iter().map(|groups| sums(groups, of)).collect()
                };
                (sums(&|leaf| by_leaf.get(leaf).copied().unwrap_or(0)), sums(&|_| 1))
            })
            .unzip();
        Self { rows, leaves }
    }
}

/// A figure of leaves, summed by group.
fn sums(groups: &[u32], of: &dyn Fn(usize) -> u64) -> Vec<u64> {
    let size = groups.iter().max().map_or(0, |most| *most as usize + 1);
    let mut sums = vec![0; size];
    for (leaf, group) in groups.iter().enumerate() {
        if let Some(sum) = sums.get_mut(*group as usize) {
            *sum += of(leaf);
        }
    }
    sums
}
