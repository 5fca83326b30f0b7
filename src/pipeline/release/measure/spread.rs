//! How values are spread within one class, and how far that is from how they are spread in all: counts in,
//! numbers out. The formulas stand as in the papers that define the models.

use super::super::table::Hierarchy;

/// Rows of each value in one class; values that the class lacks are not listed.
pub(super) type Counts = [(u32, u64)];

/// The entropy of the shares, in nats.
pub(super) fn shannon(counts: &Counts) -> f64 {
    let all = total(counts);
    let parts = counts.iter().filter(|(_, rows)| *rows > 0).map(|(_, rows)| {
        let share = *rows as f64 / all;
        -share * share.ln()
    });
    parts.sum()
}

/// The entropy by Grassberger's estimator of 2003, which is less biased for small counts, in nats:
/// `ln N - sum n G(n) / N`, where `G(1) = G(0) = -gamma - ln 2`, `G(2m) = G(2m + 1)` and
/// `G(2m + 2) = G(2m) + 2 / (2m + 1)`.
pub(super) fn grassberger(counts: &Counts) -> f64 {
    let all = total(counts);
    let weighted: f64 = counts.iter().map(|(_, rows)| *rows as f64 * g(*rows)).sum();
    if all > 0.0 { all.ln() - weighted / all } else { 0.0 }
}

fn g(count: u64) -> f64 {
    const GAMMA: f64 = 0.577_215_664_901_532_9;
    let half = count / 2;
    let start = -GAMMA - std::f64::consts::LN_2;
    if half < 1_000 {
        return start + (0..half).map(|m| 2.0 / (2 * m + 1) as f64).sum::<f64>();
    }
    // The sum is psi(m + 1/2) + gamma + 2 ln 2; the series of psi is exact to the last digit this far out.
    let x = half as f64 + 0.5;
    let psi = x.ln() - 0.5 / x - 1.0 / (12.0 * x * x) + 1.0 / (120.0 * x.powi(4));
    psi + std::f64::consts::LN_2
}

/// The least c for which the class is recursively (c, l)-diverse, not reached itself: the most frequent value
/// over the sum of the l-th most frequent and all after it. Infinite where there are fewer than l values.
pub(super) fn recursive(counts: &Counts, l: u64) -> f64 {
    let mut rows: Vec<u64> = counts.iter().map(|(_, rows)| *rows).collect();
    rows.sort_unstable();
    rows.reverse();
    let before = usize::try_from(l.saturating_sub(1)).unwrap_or(usize::MAX);
    let tail: u64 = rows.iter().skip(before).sum();
    let most = rows.first().copied().unwrap_or(0);
    if tail == 0 { f64::INFINITY } else { most as f64 / tail as f64 }
}

/// Earth mover's distance where any two values are equally far: half the sum of differences.
pub(super) fn equal(counts: &Counts, whole: &[u64]) -> f64 {
    differences(counts, whole).iter().map(|difference| difference.abs()).sum::<f64>() / 2.0
}

/// Earth mover's distance where values are as far as their ranks, the whole way being 1. Codes are ranks.
pub(super) fn ordered(counts: &Counts, whole: &[u64]) -> f64 {
    let differences = differences(counts, whole);
    let steps = differences.len().saturating_sub(1);
    let mut carried = 0.0;
    let mut moved = 0.0;
    for difference in differences.iter().take(steps) {
        carried += difference;
        moved += f64::abs(carried);
    }
    if steps == 0 { 0.0 } else { moved / steps as f64 }
}

/// A tree of values, with the way up from every group.
#[derive(Debug)]
pub(super) struct Tree {
    /// By level below the root, by group: the group of the next level that holds it.
    parents: Vec<Vec<usize>>,
    /// By code of a value: its leaf.
    leaves: Vec<usize>,
}

impl Tree {
    /// The tree of a hierarchy; `leaves` gives the leaf of each code.
    pub(super) fn new(hierarchy: &Hierarchy, leaves: Vec<usize>) -> Self {
        let levels = hierarchy.groups.windows(2);
        let parents = levels.map(|pair| {
            let [below, above] = pair else { return Vec::new() };
            let mut parents = Vec::new();
            for (group, parent) in below.iter().zip(above) {
                let group = *group as usize;
                if parents.len() <= group {
                    parents.resize(group + 1, 0);
                }
                if let Some(place) = parents.get_mut(group) {
                    *place = *parent as usize;
                }
            }
            parents
        });
        Self { parents: parents.collect(), leaves }
    }
}

/// Earth mover's distance where values are as far as the level at which they meet, the root being 1: what
/// must leave or enter each group is evened out as low in the tree as it can be (Li et al. 2007).
pub(super) fn hierarchical(counts: &Counts, whole: &[u64], tree: &Tree) -> f64 {
    let top = tree.parents.len();
    let mut extra = vec![0.0; tree.parents.first().map_or(0, Vec::len)];
    for (difference, leaf) in differences(counts, whole).iter().zip(&tree.leaves) {
        if let Some(extra) = extra.get_mut(*leaf) {
            *extra += difference;
        }
    }
    let mut cost = 0.0;
    for (level, parents) in (1_u32..).zip(&tree.parents) {
        let above = parents.iter().max().map_or(0, |most| most + 1);
        let (mut surplus, mut lack) = (vec![0.0; above], vec![0.0; above]);
        // What a group has too much or too little of goes to the group above it.
        for (extra, parent) in extra.iter().zip(parents) {
            let side = if *extra > 0.0 { &mut surplus } else { &mut lack };
            if let Some(sum) = side.get_mut(*parent) {
                *sum += f64::abs(*extra);
            }
        }
        let height = f64::from(level) / top as f64;
        let evened = surplus.iter().zip(&lack).map(|(more, less)| f64::min(*more, *less));
        cost += height * evened.sum::<f64>();
        extra = surplus.iter().zip(&lack).map(|(more, less)| more - less).collect();
    }
    cost
}

/// The greatest growth of a value's share relative to its share in all, and whether any value grows by more
/// than `bound` says for its share in all.
pub(super) fn growth(counts: &Counts, whole: &[u64], bound: impl Fn(f64) -> f64) -> (f64, bool) {
    let (all, table) = (total(counts), whole.iter().sum::<u64>() as f64);
    let (mut greatest, mut broken) = (0.0_f64, false);
    for (code, rows) in counts {
        let before = whole.get(*code as usize).copied().unwrap_or(0) as f64 / table;
        let now = *rows as f64 / all;
        let grown = if before > 0.0 { (now - before) / before } else { f64::INFINITY };
        if grown > 0.0 {
            greatest = greatest.max(grown);
            broken |= grown > bound(before) + super::judge::SLACK;
        }
    }
    (greatest, broken)
}

/// The greatest share of a value.
pub(super) fn certainty(counts: &Counts) -> f64 {
    let most = counts.iter().map(|(_, rows)| *rows).max().unwrap_or(0);
    if most == 0 { 0.0 } else { most as f64 / total(counts) }
}

/// By code: share in the class less share in all.
fn differences(counts: &Counts, whole: &[u64]) -> Vec<f64> {
    let (all, table) = (total(counts), whole.iter().sum::<u64>() as f64);
    let mut differences: Vec<f64> = whole.iter().map(|rows| -(*rows as f64 / table)).collect();
    for (code, rows) in counts {
        if let Some(difference) = differences.get_mut(*code as usize) {
            *difference += *rows as f64 / all;
        }
    }
    differences
}

fn total(counts: &Counts) -> f64 {
    counts.iter().map(|(_, rows)| *rows).sum::<u64>() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: f64, other: f64) {
        assert!((one - other).abs() < 1e-12, "{one} {other}");
    }

    #[test]
    fn entropy_counts_values_that_are_equally_frequent() {
        near(shannon(&[(0, 3), (1, 3), (2, 3), (3, 3)]).exp(), 4.0);
        near(shannon(&[(0, 9)]), 0.0);
        near(shannon(&[(0, 1), (1, 3)]), 0.562_335_144_618_808_3);
    }

    #[test]
    fn grassberger_is_near_shannon_for_many_rows_and_above_it_for_few() {
        let few = [(0, 2), (1, 1), (2, 1)];
        assert!(grassberger(&few) > shannon(&few));
        let many = [(0, 40_000), (1, 60_000)];
        assert!((grassberger(&many) - shannon(&many)).abs() < 2e-5);
        // The two ways to G meet.
        let sum: f64 = (0..1_000).map(|m| 2.0 / f64::from(2 * m + 1)).sum();
        near(g(2_000), sum - 0.577_215_664_901_532_9 - std::f64::consts::LN_2);
        near(g(1), g(0));
        near(g(3), g(2));
    }

    #[test]
    fn recursion_compares_the_most_frequent_with_the_rest() {
        let counts = [(0, 1), (1, 6), (2, 2), (3, 3)];
        near(recursive(&counts, 2), 1.0);
        near(recursive(&counts, 3), 2.0);
        near(recursive(&counts, 4), 6.0);
        assert_eq!(recursive(&counts, 5), f64::INFINITY);
    }

    /// The salaries 3k to 11k of the paper on t-closeness: {3, 4, 5} is farther from all than {6, 8, 11}.
    #[test]
    fn ordered_distance_is_that_of_the_paper() {
        let whole = [1; 9];
        near(ordered(&[(0, 1), (1, 1), (2, 1)], &whole), 0.375);
        assert!(
            (ordered(&[(3, 1), (5, 1), (8, 1)], &whole) - 0.166_666_666_666_666_66).abs() < 1e-12
        );
        near(equal(&[(0, 1), (1, 1), (2, 1)], &whole), 2.0 / 3.0);
        assert_eq!(ordered(&[(0, 4)], &[4]), 0.0);
    }

    #[test]
    fn hierarchical_distance_is_less_where_values_meet_lower() {
        let tree = Hierarchy {
            name: "disease".to_owned(),
            groups: vec![vec![0, 1, 2, 3], vec![0, 0, 1, 1], vec![0, 0, 0, 0]],
            labels: vec![vec![], vec![], vec![]],
            weight: 1.0,
        };
        let leaves = vec![0, 1, 2, 3];
        let flat = Hierarchy { groups: vec![vec![0, 1, 2, 3], vec![0; 4]], ..tree.clone() };
        let (tree, flat) = (Tree::new(&tree, leaves.clone()), Tree::new(&flat, leaves));
        let whole = [5, 5, 5, 5];
        // Half of the mass moves to the neighbour, at half the height of the tree.
        near(hierarchical(&[(0, 2), (2, 2)], &whole, &tree), 0.25);
        // Half of the mass crosses the root, the rest stays.
        near(hierarchical(&[(0, 2), (1, 2)], &whole, &tree), 0.5);
        near(hierarchical(&[(0, 4)], &whole, &tree), 0.625);
        // A tree of one step is the equal distance.
        let counts = [(0, 3), (3, 1)];
        near(hierarchical(&counts, &whole, &flat), equal(&counts, &whole));
    }

    #[test]
    fn growth_is_relative_and_may_be_bounded_by_rarity() {
        // 10 % become 40 %: three times more.
        let whole = [90, 10];
        let (grown, broken) = growth(&[(0, 6), (1, 4)], &whole, |_| 3.0);
        near(grown, 3.0);
        assert!(!broken);
        let (_, broken) = growth(&[(0, 6), (1, 4)], &whole, |share| (-share.ln()).min(3.0));
        assert!(broken, "-ln 0.1 is 2.3");
        assert_eq!(growth(&[(2, 1)], &whole, |_| 9.0), (f64::INFINITY, true));
    }
}
