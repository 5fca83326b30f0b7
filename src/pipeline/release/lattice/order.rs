//! The generalizations that are left, those first that could lose least. Looks at bounds alone.

use super::super::objective::Measure;
use super::floor::Floor;
use super::space::Space;

/// Columns whose figures fit into one number, a byte each.
const COLUMNS_MAX: usize = 16;

/// Where so many have the least bound, bounds decide too little and visits are asked for.
const ALIKE: usize = 64;

/// The numbers of all generalizations that are not ruled out, by bound; where many are alike, then by
/// these visits.
pub(super) fn of<'a>(
    space: &Space,
    measure: &Measure,
    floor: &Floor,
    visits: &dyn Fn() -> &'a [u32],
) -> Vec<u32> {
    let mut walk = Walk { space, floor, levels: Vec::new(), found: Vec::new() };
    let columns = measure.columns();
    match columns {
        Some(columns) if columns.rank() => {
            let ranks = ranks(&columns.plain());
            if let Some(ranks) = ranks {
                walk.go(&mut |levels| packed(&ranks, levels));
            } else {
                // Too many to be packed: the largest alone, in the order of numbers that are not below 0.
                walk.go(&mut |levels| measure.bound(levels).0.first().map_or(0, |one| bits(*one)));
            }
        }
        Some(_) => {
            walk.go(&mut |levels| measure.bound(levels).0.first().map_or(0, |one| bits(*one)));
        }
        // Bounds come from below, so what is below is looked at first.
        None => walk.go(&mut |levels| levels.iter().map(|level| u128::from(*level)).sum()),
    }
    let mut found = walk.found;
    found.sort_unstable();
    let least = found.first().map(|(bound, _)| *bound);
    if columns.is_some() && found.get(ALIKE).map(|(bound, _)| *bound) == least && least.is_some() {
        let visits = visits();
        let visit = |node: u32| visits.get(node as usize).copied().unwrap_or(node);
        found.sort_unstable_by_key(|(bound, node)| (*bound, visit(*node)));
    }
    found.into_iter().map(|(_, node)| node).collect()
}

/// Every generalization that the floor leaves.
struct Walk<'a> {
    space: &'a Space,
    floor: &'a Floor,
    levels: Vec<u8>,
    found: Vec<(u128, u32)>,
}

impl Walk<'_> {
    fn go(&mut self, bound: &mut dyn FnMut(&[u8]) -> u128) {
        let column = self.levels.len();
        let Some(levels) = self.space.levels().get(column).copied() else {
            let node = u32::try_from(self.space.number(&self.levels)).unwrap_or(u32::MAX);
            self.found.push((bound(&self.levels), node));
            return;
        };
        let lowest = self.floor.lowest().get(column).copied().unwrap_or(0);
        for level in lowest..levels {
            if self.floor.allows(&self.levels, level) {
                self.levels.push(level);
                self.go(bound);
                self.levels.pop();
            }
        }
    }
}

/// By column and level: the place of the figure among all figures.
fn ranks(figures: &[Vec<f64>]) -> Option<Vec<Vec<u8>>> {
    let mut all: Vec<f64> = figures.iter().flatten().copied().collect();
    all.sort_unstable_by(f64::total_cmp);
    all.dedup();
    if figures.len() > COLUMNS_MAX {
        return None;
    }
    let place = |figure: &f64| {
        let place = all.binary_search_by(|one| one.total_cmp(figure)).ok()?;
        u8::try_from(place).ok()
    };
    figures.iter().map(|levels| levels.iter().map(place).collect()).collect()
}

/// The ranks of the levels, the largest first, in one number.
fn packed(ranks: &[Vec<u8>], levels: &[u8]) -> u128 {
    let mut bytes = [0_u8; COLUMNS_MAX];
    for ((slot, ranks), level) in bytes.iter_mut().zip(ranks).zip(levels) {
        *slot = ranks.get(usize::from(*level)).copied().unwrap_or(0);
    }
    bytes.sort_unstable_by(|one, other| other.cmp(one));
    u128::from_be_bytes(bytes)
}

/// The bits of a number that is not below 0 are in its order; of one that is, they are turned.
fn bits(figure: f64) -> u128 {
    let bits = figure.to_bits();
    u128::from(if figure.is_sign_negative() { !bits } else { bits | (1 << 63) })
}
