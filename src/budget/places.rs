//! Places for streams and statements: taking one at once, waiting for one, and those who walk away. Who
//! is next, [`super::line`] says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::line::{Line, Number};
use crate::error::{Code, Error, Result};

/// So many places in all, and so many for one partner.
#[derive(Debug)]
pub(super) struct Places {
    state: Mutex<State>,
    partner_max: usize,
    patience: Duration,
}

/// The bounds of [`Places`].
#[derive(Debug)]
pub(super) struct Bounds {
    /// Places in all.
    pub(super) all_max: usize,
    /// Places of one partner.
    pub(super) partner_max: usize,
    /// How many of one partner's may wait.
    pub(super) waiting_partner_max: usize,
    /// How long they wait.
    pub(super) patience: Duration,
}

#[derive(Debug)]
struct State {
    line: Line,
    /// Who to wake when the turn comes.
    waiting: BTreeMap<Number, oneshot::Sender<()>>,
}

impl Places {
    /// Places within bounds.
    pub(super) fn new(bounds: &Bounds) -> Arc<Self> {
        let line = Line::new(bounds.all_max, bounds.waiting_partner_max);
        Arc::new(Self {
            state: Mutex::new(State { line, waiting: BTreeMap::new() }),
            partner_max: bounds.partner_max,
            patience: bounds.patience,
        })
    }

    /// Takes a place at once.
    ///
    /// # Errors
    /// [`Code::StreamsPartner`] or [`Code::StreamsTotal`] when there is none.
    pub(super) fn take(self: &Arc<Self>, partner: &str) -> Result<Place> {
        let mut state = self.lock();
        if state.line.try_run(partner, self.partner_max) {
            return Ok(self.place(partner));
        }
        if state.line.running_of(partner) >= self.partner_max {
            return Err(Error::new(Code::StreamsPartner, "the partner has too many streams open"));
        }
        Err(Error::new(Code::StreamsTotal, "too many streams are open"))
    }

    /// Waits for a place; `own_max` is what the grants say, beside the settings, of the partner's others.
    ///
    /// # Errors
    /// [`Code::QueriesPartner`] when too many wait, [`Code::QueryQueue`] when it took too long.
    pub(super) async fn wait(
        self: &Arc<Self>,
        partner: &str,
        own_max: Option<usize>,
    ) -> Result<Place> {
        let own_max = own_max.map_or(self.partner_max, |own| own.min(self.partner_max));
        let (waiter, woken) = {
            let mut state = self.lock();
            if state.line.try_run(partner, own_max) {
                return Ok(self.place(partner));
            }
            let number = state.line.join(partner, own_max).ok_or_else(|| {
                Error::new(Code::QueriesPartner, "too many statements of the partner wait")
            })?;
            let (waker, woken) = oneshot::channel();
            state.waiting.insert(number, waker);
            (Waiter { places: self, partner, number, done: false }, woken)
        };
        let _ = tokio::time::timeout(self.patience, woken).await;
        // The turn may have come in the very moment that patience ended.
        if waiter.end() {
            Ok(self.place(partner))
        } else {
            Err(Error::new(Code::QueryQueue, "a statement's turn did not come in time"))
        }
    }

    /// How many are taken in all.
    pub(super) fn taken(&self) -> usize {
        self.lock().line.running()
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    fn place(self: &Arc<Self>, partner: &str) -> Place {
        Place { places: Arc::clone(self), partner: partner.to_owned() }
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

/// One who waits. Dropped, it leaves the line, or gives back the place that came meanwhile.
struct Waiter<'a> {
    places: &'a Places,
    partner: &'a str,
    number: Number,
    done: bool,
}

impl Waiter<'_> {
    /// Stops waiting; `true` where the turn has come.
    fn end(mut self) -> bool {
        self.done = true;
        let mut state = self.places.lock();
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
        let mut state = self.places.lock();
        state.waiting.remove(&self.number);
        if !state.line.leave(self.partner, self.number) {
            state.line.end(self.partner);
        }
        // The one behind may be one who may run.
        state.wake();
    }
}

/// A place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    partner: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.lock();
        state.line.end(&self.partner);
        state.wake();
    }
}

#[cfg(test)]
mod tests;
