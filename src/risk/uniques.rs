//! Special uniques: rows that few columns suffice to single out, found as minimal sample-unique sets in the manner
//! of SUDA2 (Elliot, Manning and Ford 2002; Manning, Haglin and Keane 2008). A set of columns is one for a row if
//! no other row has the row's values there, and no part of the set does it already.

use super::Coded;
use super::columns::{groups, subsets};

/// The minimal sample-unique sets of all rows, counted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Uniques {
    /// Sets of at most so many columns were looked for.
    pub columns_max: usize,
    /// Rows that some set singles out.
    pub rows: u64,
    /// By number of columns, from one: how many pairs of row and set.
    pub sizes: Vec<u64>,
    /// By column: rows that a set with this column singles out.
    pub columns: Vec<u64>,
    /// By column: its share in the scores of all rows. A set of k of a columns scores `(a - k)!` over what larger
    /// sets could, so that smaller sets count more; columns share the score of the sets that they are in.
    pub shares: Vec<f64>,
    /// The sets that single out most rows, each with how many.
    pub sets: Vec<(Vec<usize>, u64)>,
}

/// Steps that may be spent, combinations by sets.
const STEPS_MAX: u64 = 200_000_000;
/// As many sets are named.
const SETS_SHOWN: usize = 20;

/// Looks for sets of at most `columns_max` columns; of fewer where that would take too long, which the answer says.
pub fn special(table: Coded<'_>, columns_max: usize) -> Uniques {
    // A set is a mask of bits.
    let all = table.columns.len().min(64);
    let mut found = Uniques { columns: vec![0; all], shares: vec![0.0; all], ..Uniques::default() };
    // Only rows that are alone in their combination can be singled out.
    let alone: Vec<usize> =
        table.rows.iter().enumerate().filter(|(_, rows)| **rows == 1).map(|(at, _)| at).collect();
    let mut sets_of: Vec<Vec<u64>> = vec![Vec::new(); alone.len()];
    let mut steps = 0_u64;
    for size in 1..=columns_max.min(all) {
        let sets = subsets(all, size);
        let cost =
            (sets.len() as u64).saturating_mul(table.rows.len() as u64).saturating_mul(size as u64);
        steps = steps.saturating_add(cost);
        if size > 1 && steps > STEPS_MAX {
            break;
        }
        let mut pairs = 0_u64;
        for set in sets {
            let mask = set.iter().fold(0_u64, |mask, column| mask | 1 << column);
            let (of, rows) = groups(table, &set);
            let mut singled = 0_u64;
            for (at, sets) in alone.iter().zip(&mut sets_of) {
                let single = of.get(*at).and_then(|group| rows.get(*group as usize)) == Some(&1);
                if single && !sets.iter().any(|known| known & mask == *known) {
                    sets.push(mask);
                    singled += 1;
                }
            }
            if singled > 0 {
                found.sets.push((set, singled));
            }
            pairs += singled;
        }
        found.sizes.push(pairs);
        found.columns_max = size;
    }
    found.rows = sets_of.iter().filter(|sets| !sets.is_empty()).count() as u64;
    score(&mut found, &sets_of, all);
    found.sets.sort_by(|one, other| {
        let rows = other.1.cmp(&one.1);
        rows.then_with(|| one.0.len().cmp(&other.0.len())).then_with(|| one.0.cmp(&other.0))
    });
    found.sets.truncate(SETS_SHOWN);
    found
}

fn score(found: &mut Uniques, sets_of: &[Vec<u64>], all: usize) {
    // The product of (a - i) for i from k to the largest size looked for.
    let weight = |size: u32| -> f64 {
        let from = size as usize;
        (from..=found.columns_max).map(|i| all.saturating_sub(i).max(1) as f64).product()
    };
    let mut total = 0.0;
    for sets in sets_of {
        for (at, (rows, share)) in found.columns.iter_mut().zip(&mut found.shares).enumerate() {
            let with: Vec<&u64> = sets.iter().filter(|mask| **mask >> at & 1 == 1).collect();
            *rows += u64::from(!with.is_empty());
            *share += with.iter().map(|mask| weight(mask.count_ones())).sum::<f64>();
        }
        total += sets.iter().map(|mask| weight(mask.count_ones())).sum::<f64>();
    }
    if total > 0.0 {
        found.shares.iter_mut().for_each(|share| *share /= total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minimal_sets_are_found_and_larger_ones_are_not_told() {
        // Column 0 singles out the last row; columns 1 and 2 together the first; nothing the second and third,
        // which are equal.
        let table =
            Coded { columns: &[&[0, 0, 0, 1], &[0, 1, 0, 1], &[0, 0, 1, 0]], rows: &[1, 2, 1, 1] };
        let found = special(table, 3);
        // Row 0: {1, 2} alone has 0, 0. Row 2: {2} is 1 there only. Row 3: {0}.
        assert_eq!((found.rows, found.sizes.as_slice()), (3, [2, 1, 0].as_slice()));
        assert_eq!(found.columns, [1, 1, 2]);
        assert_eq!(found.sets, [(vec![0], 1), (vec![2], 1), (vec![1, 2], 1)]);
        assert_eq!(found.columns_max, 3);
    }

    /// Against the definition, read word by word, on tables of numbers that look random.
    #[test]
    fn all_minimal_sets_are_found() {
        let mut state = 7_u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % below
        };
        for _ in 0..30 {
            let mut rows: Vec<Vec<u32>> =
                (0..40).map(|_| vec![random(2), random(3), random(4), random(6)]).collect();
            let copies = rows.clone();
            rows.sort();
            rows.dedup();
            let count = |row: &Vec<u32>| copies.iter().filter(|copy| *copy == row).count() as u64;
            let counts: Vec<u64> = rows.iter().map(count).collect();
            let columns: Vec<Vec<u32>> =
                (0..4).map(|at| rows.iter().map(|row| row[at]).collect()).collect();
            let columns: Vec<&[u32]> = columns.iter().map(Vec::as_slice).collect();
            let found = special(Coded { columns: &columns, rows: &counts }, 4);
            let singled = |row: &Vec<u32>, mask: u32| {
                let alike =
                    |other: &&Vec<u32>| (0..4).all(|c| mask >> c & 1 == 0 || other[c] == row[c]);
                copies.iter().filter(alike).count() == 1
            };
            let (mut sizes, mut special) = (vec![0; 4], 0);
            for row in &copies {
                let minimal = |mask: &u32| {
                    let parts = (1..*mask).filter(|part| part & mask == *part);
                    singled(row, *mask) && parts.into_iter().all(|part| !singled(row, part))
                };
                let sets: Vec<u32> = (1..16).filter(minimal).collect();
                special += u64::from(!sets.is_empty());
                sets.iter().for_each(|mask| sizes[mask.count_ones() as usize - 1] += 1);
            }
            assert_eq!((found.rows, found.sizes), (special, sizes));
        }
    }

    #[test]
    fn what_takes_too_long_is_looked_for_in_fewer_columns() {
        let column: Vec<u32> = (0..100_000).map(|n| n % 1_000).collect();
        let columns: Vec<&[u32]> = vec![&column; 60];
        let rows = vec![1; 100_000];
        assert_eq!(special(Coded { columns: &columns, rows: &rows }, 3).columns_max, 1);
    }
}
