//! The lattice: a level for every column, numbered. Knows nothing of rows.

use std::cmp::Ordering;

use crate::error::{Code, Error, Result};

use super::super::table::Table;

/// Generalizations that are looked at one by one; each costs a few bytes.
const NODES_MAX: usize = 1 << 24;

/// All generalizations of a table. The number of a generalization grows with each of its levels.
#[derive(Debug)]
pub(super) struct Space {
    /// By column: how many levels.
    levels: Vec<u8>,
    /// By column: the step to its next level.
    strides: Vec<usize>,
    nodes: usize,
    /// By column and level: groups that the data have.
    groups: Vec<Vec<u64>>,
}

impl Space {
    pub(super) fn new(table: &Table) -> Result<Self> {
        let mut space = Self { levels: vec![], strides: vec![], nodes: 1, groups: vec![] };
        for (hierarchy, leaves) in table.hierarchies.iter().zip(&table.leaves) {
            let levels = u8::try_from(hierarchy.levels()).ok().filter(|levels| *levels > 0);
            let levels = levels.ok_or_else(|| {
                let name = &hierarchy.name;
                Error::new(Code::Policy, format!("the hierarchy of `{name}` needs 1 to 255 levels"))
            })?;
            space.strides.push(space.nodes);
            space.nodes = space.nodes.saturating_mul(usize::from(levels));
            space.levels.push(levels);
            let mut seen = vec![false; hierarchy.leaves()];
            for leaf in leaves {
                if let Some(seen) = seen.get_mut(*leaf as usize) {
                    *seen = true;
                }
            }
            let groups = hierarchy.groups.iter().map(|groups| {
                let left = groups.iter().zip(&seen).filter(|(_, seen)| **seen);
                let mut left: Vec<u32> = left.map(|(group, _)| *group).collect();
                left.sort_unstable();
                left.dedup();
                left.len() as u64
            });
            space.groups.push(groups.collect());
        }
        if space.nodes > NODES_MAX {
            let text = format!(
                "these hierarchies allow {} generalizations, more than {NODES_MAX}; take fewer \
                 quasi-identifiers or levels, or another method",
                space.nodes
            );
            return Err(Error::new(Code::Policy, text));
        }
        Ok(space)
    }

    pub(super) const fn nodes(&self) -> usize {
        self.nodes
    }

    pub(super) const fn columns(&self) -> usize {
        self.levels.len()
    }

    /// By column: how many levels.
    pub(super) fn levels(&self) -> &[u8] {
        &self.levels
    }

    pub(super) fn top(&self) -> Vec<u8> {
        self.levels.iter().map(|levels| levels - 1).collect()
    }

    pub(super) fn number(&self, levels: &[u8]) -> usize {
        levels.iter().zip(&self.strides).map(|(level, stride)| usize::from(*level) * stride).sum()
    }

    pub(super) fn levels_of(&self, mut node: usize) -> Vec<u8> {
        let digits = self.levels.iter().map(|levels| {
            let digit = node % usize::from(*levels);
            node /= usize::from(*levels);
            u8::try_from(digit).unwrap_or(u8::MAX)
        });
        digits.collect()
    }

    /// The next generalizations above.
    pub(super) fn above<'a>(&'a self, levels: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        let node = self.number(levels);
        let columns = levels.iter().zip(&self.levels).zip(&self.strides);
        columns
            .filter(|((level, all), _)| **level + 1 < **all)
            .map(move |(_, stride)| node + stride)
    }

    /// Calls for the number of every generalization that is nowhere above this one, itself included.
    pub(super) fn below(&self, levels: &[u8], call: &mut dyn FnMut(usize)) {
        let mut digits = vec![0_u8; levels.len()];
        let mut node = 0;
        loop {
            call(node);
            let mut carried = true;
            let columns = digits.iter_mut().zip(levels).zip(&self.strides);
            for ((digit, level), stride) in columns {
                if *digit < *level {
                    *digit += 1;
                    node += stride;
                    carried = false;
                    break;
                }
                node -= usize::from(*digit) * stride;
                *digit = 0;
            }
            if carried {
                return;
            }
        }
    }

    /// In which order Flash takes two generalizations: the lower sum of levels, then the lower mean of
    /// levels relative to heights, then the more distinct values left, then the lower number.
    pub(super) fn prefer(&self, one: &[u8], other: &[u8]) -> Ordering {
        let sum = |levels: &[u8]| levels.iter().map(|level| u32::from(*level)).sum::<u32>();
        let (height, distinct) = (self.standing(one), self.standing(other));
        sum(one)
            .cmp(&sum(other))
            .then_with(|| height.0.total_cmp(&distinct.0))
            .then_with(|| height.1.total_cmp(&distinct.1))
            .then_with(|| self.number(one).cmp(&self.number(other)))
    }

    /// The mean of levels relative to heights, and the mean share of distinct values that is gone.
    #[expect(clippy::cast_precision_loss, reason = "a rule of preference")]
    fn standing(&self, levels: &[u8]) -> (f64, f64) {
        let (mut height, mut distinct) = (0.0, 0.0);
        for ((level, all), groups) in levels.iter().zip(&self.levels).zip(&self.groups) {
            if *all > 1 {
                height += f64::from(*level) / f64::from(all - 1);
            }
            let first = groups.first().copied().unwrap_or(1).max(1);
            let left = groups.get(usize::from(*level)).copied().unwrap_or(1);
            distinct += left as f64 / first as f64;
        }
        let columns = levels.len().max(1) as f64;
        (height / columns, 1.0 - distinct / columns)
    }

    /// By number: when Flash would come to it, going from the bottom always to the first above that it
    /// has not seen.
    pub(super) fn visits(&self) -> Vec<u32> {
        const UNSEEN: u32 = u32::MAX;
        let mut visits = vec![UNSEEN; self.nodes];
        let mut next = 0;
        let mut stack = vec![0_usize];
        while let Some(node) = stack.pop() {
            let Some(visit) = visits.get_mut(node).filter(|visit| **visit == UNSEEN) else {
                continue;
            };
            *visit = next;
            next += 1;
            let levels = self.levels_of(node);
            let mut above: Vec<(f64, f64, usize)> = self
                .above(&levels)
                .map(|above| {
                    let (height, distinct) = self.standing(&self.levels_of(above));
                    (height, distinct, above)
                })
                .collect();
            // The first is taken first, so it goes on the stack last.
            above.sort_by(|one, other| {
                let order = other.0.total_cmp(&one.0).then(other.1.total_cmp(&one.1));
                order.then(other.2.cmp(&one.2))
            });
            stack.extend(above.into_iter().map(|(_, _, above)| above));
        }
        visits
    }
}
