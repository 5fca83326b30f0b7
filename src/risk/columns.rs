//! Which columns tell rows apart: distinction and separation (Motwani and Xu 2007), of each column and of small
//! sets of columns.

use std::collections::HashMap;

use super::Coded;

/// How well some columns tell rows apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Apart {
    /// The columns, by place.
    pub columns: Vec<usize>,
    /// Distinct combinations by rows.
    pub distinction: f64,
    /// The share of pairs of rows that differ.
    pub separation: f64,
    /// Rows that are unique by these columns alone.
    pub uniques: u64,
}

/// At most so many sets of columns are looked at.
const SETS_MAX: usize = 1_000;

/// Every set of at most `columns_max` columns, smaller sets first, and the whole. Where there are too many sets
/// only smaller ones are looked at.
pub fn apart(table: Coded<'_>, columns_max: usize) -> Vec<Apart> {
    let all = table.columns.len();
    let mut sets: Vec<Vec<usize>> = Vec::new();
    for size in 1..=columns_max.min(all) {
        let next = subsets(all, size);
        if size > 1 && sets.len() + next.len() > SETS_MAX {
            break;
        }
        sets.extend(next);
    }
    if all > 0 && !sets.iter().any(|set| set.len() == all) {
        sets.push((0..all).collect());
    }
    sets.into_iter().map(|set| of(table, set)).collect()
}

/// One set of columns.
pub fn of(table: Coded<'_>, columns: Vec<usize>) -> Apart {
    let (_, rows) = groups(table, &columns);
    let all: u64 = rows.iter().sum();
    let pairs = |rows: u64| {
        let rows = rows as f64;
        rows * (rows - 1.0) / 2.0
    };
    let alike: f64 = rows.iter().map(|rows| pairs(*rows)).sum();
    let classes = rows.iter().filter(|rows| **rows > 0).count();
    Apart {
        columns,
        distinction: if all == 0 { 0.0 } else { classes as f64 / all as f64 },
        separation: if all < 2 { 0.0 } else { 1.0 - alike / pairs(all) },
        uniques: rows.iter().filter(|rows| **rows == 1).count() as u64,
    }
}

/// The group of each combination by some columns, and the rows of each group.
pub(super) fn groups(table: Coded<'_>, columns: &[usize]) -> (Vec<u32>, Vec<u64>) {
    let mut of: Vec<u32> = vec![0; table.rows.len()];
    let mut count = u32::from(!table.rows.is_empty());
    for column in columns.iter().filter_map(|column| table.columns.get(*column)) {
        let mut next: HashMap<(u32, u32), u32> = HashMap::with_capacity(count as usize);
        for (group, code) in of.iter_mut().zip(column.iter()) {
            let new = u32::try_from(next.len()).unwrap_or(u32::MAX);
            *group = *next.entry((*group, *code)).or_insert(new);
        }
        count = u32::try_from(next.len()).unwrap_or(u32::MAX);
    }
    let mut rows = vec![0; count as usize];
    for (group, n) in of.iter().zip(table.rows) {
        if let Some(sum) = rows.get_mut(*group as usize) {
            *sum += n;
        }
    }
    (of, rows)
}

/// All sets of so many of the first `all` numbers, in order.
pub(super) fn subsets(all: usize, size: usize) -> Vec<Vec<usize>> {
    if size > all {
        return Vec::new();
    }
    let mut sets = vec![(0..size).collect::<Vec<_>>()];
    while let Some(last) = sets.last() {
        // The last place that can still move, and all after it right behind it.
        let movable = last.iter().enumerate().rev().find(|(at, n)| **n < all - (size - at));
        let Some((at, n)) = movable else { break };
        let mut next: Vec<usize> = last.iter().take(at).copied().collect();
        next.extend((n + 1..).take(size - at));
        sets.push(next);
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_all_and_in_order() {
        assert_eq!(subsets(4, 2), [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]);
        assert_eq!(subsets(3, 3), [[0, 1, 2]]);
        assert_eq!(subsets(9, 4).len(), 126);
        assert!(subsets(2, 3).is_empty());
    }

    #[test]
    fn distinction_and_separation_are_shares_of_rows_and_of_pairs() {
        // Six rows: (0,0) twice, (0,1), (1,0), (1,1) twice.
        let table = Coded { columns: &[&[0, 0, 1, 1], &[0, 1, 0, 1]], rows: &[2, 1, 1, 2] };
        let found = apart(table, 2);
        assert_eq!(found.len(), 3);
        // Three and three rows: 9 of 15 pairs differ.
        assert_eq!((found[0].distinction, found[0].separation), (2.0 / 6.0, 9.0 / 15.0));
        assert_eq!((found[2].distinction, found[2].uniques), (4.0 / 6.0, 2));
        assert!((found[2].separation - 13.0 / 15.0).abs() < 1e-12);
    }

    #[test]
    fn the_whole_is_always_among_them_and_sets_are_not_too_many() {
        let column: &[u32] = &[0, 1];
        let columns = vec![column; 40];
        let found = apart(Coded { columns: &columns, rows: &[1, 1] }, 4);
        assert_eq!(found.len(), 40 + 780 + 1, "triples would be too many");
        assert_eq!(found.last().unwrap().columns.len(), 40);
        assert!(apart(Coded { columns: &[], rows: &[] }, 2).is_empty());
    }
}
