//! One generalization judged: which classes hold, what must be suppressed, what is lost by it. Chooses
//! none.

use super::super::model::Guarantees;
use super::super::objective::{Loss, Marginals, Measure, Tally};
use super::classes::Classes;
use super::key::Key;
use super::layout::Layout;

/// What became of a generalization.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Its loss, if the guarantees hold with what may be suppressed.
    pub(super) loss: Option<Loss>,
    /// Nothing finer can hold either.
    pub(super) hopeless_below: bool,
    /// Nothing coarser can lose less.
    pub(super) bound_above: Loss,
    /// What suppression adds to each column's figure, and no less in what is finer; or empty.
    pub(super) added: Vec<f64>,
}

/// What judging takes.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    pub(super) guarantees: &'a Guarantees,
    pub(super) measure: &'a Measure,
    pub(super) marginals: &'a Marginals,
    pub(super) layout: &'a Layout,
}

/// The error of sums of shares, relative to rows.
const ROUNDING: f64 = 1e-9;

impl Judge<'_> {
    #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
    pub(super) fn judge<K: Key>(&self, levels: &[u8], classes: &Classes<K>) -> Verdict {
        let mut tally = Tally::default();
        let mut failing = vec![false; classes.len()];
        // What fails of these rows in whatever is finer.
        let mut below = 0.0;
        let mut beyond = false;
        let all_last = self.guarantees.last();
        let squares = self.measure.asks_for_squares();
        match self.guarantees.rows_alone().filter(|_| classes.rows_alone()) {
            Some(k) => {
                for (rows, failing) in classes.rows.iter().zip(&mut failing) {
                    *failing = *rows < k;
                    tally.count(*rows, *failing, squares);
                }
                below = tally.suppressed as f64;
            }
            None => classes.each(|class, profile| {
                let holds = self.guarantees.hold_for(profile);
                if profile.rows == 0 {
                    beyond |= !holds;
                    return true;
                }
                tally.count(profile.rows, !holds, squares);
                if !holds {
                    if let Some(failing) = failing.get_mut(class) {
                        *failing = true;
                    }
                    below += profile.rows as f64 * self.guarantees.failing_below(profile);
                }
                true
            }),
        }
        let limit = self.guarantees.suppressible();
        let holds = !beyond && tally.suppressed <= limit;
        // Rounding must not rule out what just holds.
        let hopeless_below = !holds
            && (below > limit as f64 + ROUNDING * tally.rows as f64
                || (limit == 0 && !beyond && self.guarantees.join()));
        if holds && self.measure.asks_for_groups() {
            tally.groups = self.groups(levels, classes, &failing, &tally);
        }
        Verdict {
            loss: holds.then(|| self.measure.loss(levels, &tally)),
            added: if holds && all_last { self.measure.added(levels, &tally) } else { Vec::new() },
            hopeless_below,
            bound_above: self.measure.bound_above(levels, &tally),
        }
    }

    /// Suppressed rows by column and group: counted, or what is left when the others are counted,
    /// whichever are fewer.
    fn groups<K: Key>(
        &self,
        levels: &[u8],
        classes: &Classes<K>,
        failing: &[bool],
        tally: &Tally,
    ) -> Vec<Vec<u64>> {
        if tally.suppressed == 0 {
            return Vec::new();
        }
        let few = tally.classes_suppressed * 2 <= tally.classes;
        let chosen = self.marginals.rows.iter().zip(levels);
        let mut groups: Vec<Vec<u64>> = chosen
            .map(|(column, level)| column.get(usize::from(*level)).cloned().unwrap_or_default())
            .collect();
        if few {
            groups.iter_mut().flatten().for_each(|count| *count = 0);
        }
        let classes = classes.keys.iter().zip(&classes.rows).zip(failing);
        for ((key, rows), failing) in classes {
            if *failing != few {
                continue;
            }
            for (counts, group) in groups.iter_mut().zip(self.layout.groups(*key)) {
                if let Some(count) = counts.get_mut(group) {
                    if few {
                        *count += rows;
                    } else {
                        *count -= rows;
                    }
                }
            }
        }
        groups
    }
}
