//! Waiting for a turn: wake-ups, patience, and those who walk away. Who is next, [`super::line`] says.

use std::collections::BTreeMap;
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
        let (number, woken) = {
            let mut state = self.lock();
            if state.line.try_run(partner, own_max) {
                return Ok(Turn { turns: Arc::clone(self), partner: partner.to_owned() });
            }
            let number = state.line.join(partner, own_max).ok_or_else(|| {
                Error::new(Code::QueriesPartner, "too many statements of the partner wait")
            })?;
            let (waker, woken) = oneshot::channel();
            state.waiting.insert(number, waker);
            (number, woken)
        };
        let waiter = Waiter { turns: self, partner, number, done: false };
        let in_time = tokio::time::timeout(self.patience, woken).await.is_ok();
        match waiter.end() {
            // The turn may have come in the very moment that patience ended.
            true => Ok(Turn { turns: Arc::clone(self), partner: partner.to_owned() }),
            false if in_time => Err(Error::new(Code::Internal, "a turn was told and not given")),
            false => Err(Error::new(Code::QueryQueue, "a statement's turn did not come in time")),
        }
    }

    /// How many run and how many wait.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        (state.line.running(), state.waiting.len())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
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
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        state.line.end(&self.partner);
        state.wake();
    }
}
