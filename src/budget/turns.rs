//! Waiting for a turn: wake-ups, patience, and those who walk away. Who is next, [`super::line`] says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Quotas;
use super::line::{Line, Number};
use crate::error::{Code, Error, Result};

/// The turns of statements.
#[derive(Debug)]
pub(super) struct Turns {
    state: Mutex<State>,
    partner_max: usize,
    patience: Duration,
}

#[derive(Debug)]
struct State {
    line: Line,
    /// Who to wake when the turn comes.
    waiting: BTreeMap<Number, oneshot::Sender<()>>,
}

impl Turns {
    /// Turns within these quotas.
    pub(super) fn new(quotas: &Quotas) -> Arc<Self> {
        let line = Line::new(quotas.queries_max, quotas.queries_waiting_partner_max);
        Arc::new(Self {
            state: Mutex::new(State { line, waiting: BTreeMap::new() }),
            partner_max: quotas.queries_partner_max,
            patience: quotas.queue,
        })
    }

    /// Waits for a turn; `own_max` is what the grants say, beside the settings, of the partner's others.
    ///
    /// # Errors
    /// [`Code::QueriesPartner`] when too many wait, [`Code::QueryQueue`] when it took too long.
    pub(super) async fn wait(
        self: &Arc<Self>,
        partner: &str,
        own_max: Option<usize>,
    ) -> Result<Turn> {
        let own_max = own_max.map_or(self.partner_max, |own| own.min(self.partner_max));
        let turn = || {
            let (turns, partner) = (Arc::clone(self), partner.to_owned());
            Turn { turns, partner, own_max, runs: AtomicBool::new(true) }
        };
        let (waiter, woken) = {
            let mut state = self.lock();
            if state.line.try_run(partner, own_max) {
                return Ok(turn());
            }
            let number = state.line.join(partner, own_max).ok_or_else(|| {
                Error::new(Code::QueriesPartner, "too many statements of the partner wait")
            })?;
            (Waiter { turns: self, partner, number, done: false }, state.watch(number))
        };
        let _ = tokio::time::timeout(self.patience, woken).await;
        // The turn may have come in the very moment that patience ended.
        if waiter.end() {
            Ok(turn())
        } else {
            Err(Error::new(Code::QueryQueue, "a statement's turn did not come in time"))
        }
    }

    /// How many run and how many wait.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        (state.line.running(), state.waiting.len())
    }

    fn end(&self, partner: &str) {
        let mut state = self.lock();
        state.line.end(partner);
        state.wake();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What tells that the turn of this one came.
    fn watch(&mut self, number: Number) -> oneshot::Receiver<()> {
        let (waker, woken) = oneshot::channel();
        self.waiting.insert(number, waker);
        woken
    }

    /// Wakes everybody whose turn it is. To be called whenever somebody ends or leaves.
    fn wake(&mut self) {
        while let Some(number) = self.line.next() {
            // Who walked away in this moment finds that the turn came, and ends it.
            let _ = self.waiting.remove(&number).map(|waker| waker.send(()));
        }
    }
}

/// One who waits. Dropped, it leaves the line, or ends the turn that came meanwhile.
struct Waiter<'a> {
    turns: &'a Turns,
    partner: &'a str,
    number: Number,
    done: bool,
}

impl Waiter<'_> {
    /// Stops waiting; `true` where the turn has come.
    fn end(mut self) -> bool {
        self.done = true;
        let mut state = self.turns.lock();
        state.waiting.remove(&self.number);
        let left = state.line.leave(self.partner, self.number);
        if left {
            state.wake();
        }
        !left
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut state = self.turns.lock();
        state.waiting.remove(&self.number);
        if !state.line.leave(self.partner, self.number) {
            state.line.end(self.partner);
        }
        // The one behind may be one who may run.
        state.wake();
    }
}

/// A turn; ended when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    partner: String,
    own_max: usize,
    /// Whether it counts as running now.
    runs: AtomicBool,
}

impl Turn {
    /// Lets others run while this one has nothing to do.
    pub(super) fn rest(&self) {
        if self.runs.swap(false, Ordering::AcqRel) {
            self.turns.end(&self.partner);
        }
    }

    /// Waits to run again, before those of the same partner who did not run yet.
    pub(super) async fn resume(&self) {
        if self.runs.load(Ordering::Acquire) {
            return;
        }
        let (waiter, woken) = {
            let mut state = self.turns.lock();
            if state.line.try_run(&self.partner, self.own_max) {
                drop(state);
                return self.run();
            }
            let number = state.line.rejoin(&self.partner, self.own_max);
            let (turns, partner) = (&*self.turns, self.partner.as_str());
            (Waiter { turns, partner, number, done: false }, state.watch(number))
        };
        let _ = woken.await;
        if waiter.end() {
            self.run();
        }
    }

    /// Notes that it runs; where two resumed it at once, one of the two turns ends again.
    fn run(&self) {
        if self.runs.swap(true, Ordering::AcqRel) {
            self.turns.end(&self.partner);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.rest();
    }
}

#[cfg(test)]
mod tests;
