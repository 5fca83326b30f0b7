//! The search itself: which generalizations are looked at, in which order, by how many threads, and which
//! never need to be. The result depends on none of it. Judges no class.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::error::{Code, Error, Result};

use super::super::objective::Loss;
use super::super::progress::Progress;
use super::super::table::Table;
use super::classes::{Carry, Classes, Scratch};
use super::floor::Floor;
use super::key::Key;
use super::space::Space;
use super::verdict::{Judge, Verdict};
use super::{Team, unsatisfiable};

/// No more threads than this help.
const THREADS_MAX: usize = 8;
/// Below so many classes times generalizations, a second thread costs more than it brings.
pub(super) const WORK_MIN: usize = 400_000;
/// ARX searches larger lattices by heuristics, so that there is no choice of its to follow.
const VISITS_MAX: usize = 1 << 18;
/// So many generalizations are remembered for what suppression adds to those below.
const ADDED_MAX: usize = 192;
/// Classes that are remembered, relative to combinations, and at least.
const REMEMBERED: usize = 12;
const REMEMBERED_MIN: usize = 1 << 20;

/// A search over one table.
pub(super) struct Hunt<'a, K> {
    space: &'a Space,
    judge: &'a Judge<'a>,
    carry: Carry,
    /// Whether what is coarser can rule out what is finer, so that paths are worth it.
    tags: bool,
    /// Where suppression makes losses fall and rise again: when Flash would come to each
    /// generalization, by number; made when two are alike. Else empty.
    visits: OnceLock<Vec<u32>>,
    start: Arc<Known<K>>,
    /// Generalizations left, those first that could lose least.
    order: Vec<u32>,
    combinations: usize,
}

/// A generalization and its classes.
struct Known<K> {
    levels: Vec<u8>,
    classes: Classes<K>,
}

/// What is known of a generalization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Open,
    /// Somebody looks at it.
    Taken,
    /// It was judged; what is finer may hold.
    Judged,
    /// It fails, and so does what is finer.
    Hopeless,
}

/// What threads share.
struct State<K> {
    status: Vec<Mark>,
    cursor: usize,
    best: Option<(Loss, Vec<u8>)>,
    /// Where bounds come from classes that were counted: the highest bound from below, by number.
    bounds: Vec<f64>,
    /// Generalizations and what suppression adds to all that are finer, the last ones.
    added: VecDeque<(Vec<u8>, Vec<f64>)>,
    known: Vec<(Arc<Known<K>>, u64)>,
    remembered: usize,
    clock: u64,
    ended: Option<Error>,
}

impl<'a, K: Key> Hunt<'a, K> {
    pub(super) fn new(
        table: &Table,
        space: &'a Space,
        judge: &'a Judge<'a>,
        carry: Carry,
        combinations: Classes<K>,
    ) -> Self {
        let guarantees = judge.guarantees;
        let limit = guarantees.suppressible();
        let all: u64 = table.rows.iter().sum();
        let floor = Floor::of(table, space, judge.marginals, guarantees);
        let steady = limit == 0 || judge.measure.steady();
        let visits = OnceLock::new();
        if steady || space.nodes() > VISITS_MAX {
            visits.get_or_init(Vec::new);
        }
        let make = || visits.get_or_init(|| space.visits()).as_slice();
        let mut order = super::order::of(space, judge.measure, &floor, &make);
        // The lowest level that is left of each column: nothing below its classes is needed again.
        let mut lowest = space.top();
        for node in &order {
            for (lowest, level) in lowest.iter_mut().zip(space.levels_of(*node as usize)) {
                *lowest = (*lowest).min(level);
            }
        }
        order.shrink_to_fit();
        let bottom = vec![0; space.columns()];
        let count = combinations.len();
        let classes = if lowest == bottom {
            combinations
        } else {
            let mut scratch = Scratch::default();
            combinations.roll_up(judge.layout, (&bottom, &lowest), carry, &mut scratch)
        };
        Self {
            space,
            judge,
            carry,
            tags: limit < all || (guarantees.last() && !steady),
            visits,
            start: Arc::new(Known { levels: lowest, classes }),
            order,
            combinations: count,
        }
    }

    /// The best generalization's levels and its loss.
    pub(super) fn run(&self, progress: &dyn Progress, team: Team) -> Result<(Vec<u8>, Loss)> {
        let inherits = self.judge.measure.columns().is_none();
        let state = Mutex::new(State {
            status: vec![Mark::Open; self.space.nodes()],
            cursor: 0,
            best: None,
            bounds: if inherits { vec![0.0; self.space.nodes()] } else { Vec::new() },
            added: VecDeque::new(),
            known: vec![(Arc::clone(&self.start), 0)],
            remembered: 0,
            clock: 0,
            ended: None,
        });
        let work = self.start.classes.len().saturating_mul(self.order.len());
        let threads = team.threads.min(THREADS_MAX);
        if work < team.work_min || threads <= 1 {
            self.work(&state, progress);
        } else {
            std::thread::scope(|scope| {
                for _ in 1..threads {
                    scope.spawn(|| self.work(&state, progress));
                }
                self.work(&state, progress);
            });
        }
        let state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = state.ended {
            return Err(error);
        }
        let (loss, levels) = state.best.ok_or_else(|| {
            let limit = self.judge.guarantees.suppressible();
            unsatisfiable(&format!(
                "no generalization gives them with at most {limit} rows suppressed"
            ))
        })?;
        Ok((levels, loss))
    }

    fn work(&self, state: &Mutex<State<K>>, progress: &dyn Progress) {
        let mut scratch = Scratch::default();
        loop {
            // The lock ends with this statement.
            let next = self.next(&mut lock(state), progress);
            let Some(node) = next else { return };
            let levels = self.space.levels_of(node);
            if self.tags {
                self.path(state, &levels, &mut scratch);
            } else {
                self.look(state, &levels, &mut scratch);
            }
        }
    }

    /// The next generalization that could win, which is then taken.
    fn next(&self, state: &mut State<K>, progress: &dyn Progress) -> Option<usize> {
        if progress.cancelled() && state.ended.is_none() {
            state.ended = Some(Error::new(Code::Cancelled, "the release was cancelled"));
        }
        progress.at(state.cursor as u64, self.order.len() as u64);
        while state.ended.is_none() {
            let node = *self.order.get(state.cursor)? as usize;
            state.cursor += 1;
            if state.status.get(node) != Some(&Mark::Open) {
                continue;
            }
            let levels = self.space.levels_of(node);
            if self.could_win(state, &levels) && self.could_win_suppressed(state, &levels) {
                set(state, node, Mark::Taken);
                return Some(node);
            }
            self.inherit(state, &levels, None);
        }
        None
    }

    /// Whether it could lose less than the best, or as much and be preferred.
    fn could_win(&self, state: &State<K>, levels: &[u8]) -> bool {
        let Some((best, best_levels)) = &state.best else { return true };
        let bound = match state.bounds.get(self.space.number(levels)) {
            Some(bound) => Loss(vec![*bound]),
            None => self.judge.measure.bound(levels),
        };
        bound.compare(best).then_with(|| self.earlier(levels, best_levels)).is_lt()
    }

    /// The same, with what suppression adds to coarser ones: the more is suppressed, the finer.
    fn could_win_suppressed(&self, state: &State<K>, levels: &[u8]) -> bool {
        let Some((best, best_levels)) = &state.best else { return true };
        let coarser = state.added.iter().filter(|(coarser, _)| {
            coarser.iter().zip(levels).all(|(coarser, level)| coarser >= level)
        });
        let mut coarser = coarser.map(|(_, added)| self.judge.measure.bound_with(levels, added));
        coarser.all(|bound| {
            bound.compare(best).then_with(|| self.earlier(levels, best_levels)).is_lt()
        })
    }

    /// Of two that lose the same, the one that Flash would have taken.
    fn earlier(&self, one: &[u8], other: &[u8]) -> Ordering {
        let visits = self.visits.get_or_init(|| self.space.visits());
        let visit = |levels: &[u8]| visits.get(self.space.number(levels));
        match (visit(one), visit(other)) {
            (Some(one), Some(other)) => one.cmp(other),
            _ => self.space.prefer(one, other),
        }
    }

    /// Goes up to the coarsest that could still win, then halves the path down to where it
    /// is hopeless.
    fn path(&self, state: &Mutex<State<K>>, levels: &[u8], scratch: &mut Scratch) {
        let path = self.climb(&lock(state), levels);
        let first = levels;
        let (mut low, mut high) = (0, path.len());
        let mut middle = path.len() - 1;
        while low < high {
            let Some(levels) = path.get(middle) else { return };
            let status = {
                let mut state = lock(state);
                // What was found further up may have ruled out the path's beginning.
                if !self.could_win_suppressed(&state, first) {
                    return;
                }
                let node = self.space.number(levels);
                let status = state.status.get(node).copied().unwrap_or(Mark::Hopeless);
                if status == Mark::Open {
                    set(&mut state, node, Mark::Taken);
                }
                status
            };
            let hopeless = match status {
                Mark::Open => self.look(state, levels, scratch),
                // The path's own beginning; of others that are taken nothing is known yet.
                Mark::Taken if middle == 0 => self.look(state, levels, scratch),
                Mark::Taken | Mark::Judged => false,
                Mark::Hopeless => true,
            };
            if hopeless {
                low = middle + 1;
            } else {
                high = middle;
            }
            middle = usize::midpoint(low, high);
        }
    }

    /// From a generalization up, each time to the one that could lose least.
    fn climb(&self, state: &State<K>, levels: &[u8]) -> Vec<Vec<u8>> {
        let mut path = vec![levels.to_vec()];
        let mut at = levels.to_vec();
        loop {
            let open =
                self.space.above(&at).filter(|above| state.status.get(*above) == Some(&Mark::Open));
            let open = open.map(|above| self.space.levels_of(above));
            let open = open.filter(|above| self.could_win(state, above));
            let least = open.min_by(|one, other| {
                let bound = |levels: &[u8]| self.judge.measure.bound(levels);
                bound(one).compare(&bound(other)).then_with(|| self.space.prefer(one, other))
            });
            let Some(least) = least else { return path };
            path.push(least.clone());
            at = least;
        }
    }

    /// Judges one generalization; whether it is hopeless, and all that is finer.
    fn look(&self, state: &Mutex<State<K>>, levels: &[u8], scratch: &mut Scratch) -> bool {
        let from = self.finer(&mut lock(state), levels);
        let classes = (from.levels != levels).then(|| {
            from.classes.roll_up(self.judge.layout, (&from.levels, levels), self.carry, scratch)
        });
        let verdict = self.judge.judge(levels, classes.as_ref().unwrap_or(&from.classes));
        let mut state = lock(state);
        let state = &mut *state;
        let hopeless = verdict.hopeless_below;
        if hopeless {
            self.space.below(levels, &mut |node| set(state, node, Mark::Hopeless));
        } else {
            set(state, self.space.number(levels), Mark::Judged);
        }
        self.inherit(state, levels, Some(&verdict));
        if !verdict.added.is_empty() {
            if state.added.len() >= ADDED_MAX {
                state.added.pop_front();
            }
            state.added.push_back((levels.to_vec(), verdict.added));
        }
        if let Some(loss) = verdict.loss {
            let wins = state.best.as_ref().is_none_or(|(best, best_levels)| {
                loss.compare(best).then_with(|| self.earlier(levels, best_levels)).is_lt()
            });
            if wins {
                state.best = Some((loss, levels.to_vec()));
            }
        }
        if let Some(classes) = classes {
            self.remember(state, &from, levels, classes);
        }
        hopeless
    }

    /// Passes a bound that was counted on to those above.
    fn inherit(&self, state: &mut State<K>, levels: &[u8], verdict: Option<&Verdict>) {
        let node = self.space.number(levels);
        let Some(own) = state.bounds.get(node).copied() else { return };
        let counted = verdict.and_then(|verdict| verdict.bound_above.0.first());
        let bound = counted.map_or(own, |counted| counted.max(own));
        for above in self.space.above(levels) {
            if let Some(slot) = state.bounds.get_mut(above) {
                *slot = slot.max(bound);
            }
        }
    }

    /// The finer generalization with the fewest classes that is remembered.
    fn finer(&self, state: &mut State<K>, levels: &[u8]) -> Arc<Known<K>> {
        state.clock += 1;
        let clock = state.clock;
        let finer = state.known.iter_mut().filter(|(known, _)| {
            known.levels.iter().zip(levels).all(|(known, level)| known <= level)
        });
        match finer.min_by_key(|(known, _)| known.classes.len()) {
            Some((known, used)) => {
                *used = clock;
                Arc::clone(known)
            }
            None => Arc::clone(&self.start),
        }
    }

    /// Keeps classes that are fewer than those they came from, and forgets what was not used for long.
    fn remember(&self, state: &mut State<K>, from: &Known<K>, levels: &[u8], classes: Classes<K>) {
        if classes.len() * 10 > from.classes.len() * 9 {
            return;
        }
        let budget = (self.combinations * REMEMBERED).max(REMEMBERED_MIN);
        state.remembered += classes.len();
        let known = Arc::new(Known { levels: levels.to_vec(), classes });
        state.known.push((known, state.clock));
        while state.remembered > budget {
            // The first is where the search started, and stays.
            let rest = state.known.iter().enumerate().skip(1);
            let Some((oldest, _)) = rest.min_by_key(|(_, (_, used))| *used) else { return };
            let (forgotten, _) = state.known.swap_remove(oldest);
            state.remembered -= forgotten.classes.len();
        }
    }
}

fn set<K>(state: &mut State<K>, node: usize, status: Mark) {
    if let Some(slot) = state.status.get_mut(node) {
        *slot = status;
    }
}

fn lock<K>(state: &Mutex<State<K>>) -> MutexGuard<'_, State<K>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
