//! Rows and bytes a day: what a partner took of each dataset and in all, claimed durably before it
//! leaves. Which day it is, the clock says, and what was taken, the store; nothing here decides how much
//! a grant gives.
//!
//! A stream of millions of rows a second cannot wait for the disk at every message, so a purse claims a
//! piece of the day in advance, and messages are paid from it. All streams of a partner in this process
//! share the purse, so that a piece is not out of reach because another stream holds it. Near the limit
//! pieces get small, so that processes which share a state do not hold much from each other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::NaiveDate;
use tokio::runtime::Handle;

use super::Quotas;
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::policy::Allowance;
use crate::state::{Amount, Store, Usage};

/// What is claimed in advance at most.
const PIECE: Amount = Amount { rows: 262_144, bytes: 16 << 20 };
/// The part of what is left that is claimed in advance at most, as a divisor.
const PIECE_PART: u64 = 8;

/// Counts what is limited.
#[derive(Debug)]
pub(super) struct Meter {
    in_all: Bound,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// By partner. One stays once it is made: there are no more than partners.
    claimed: Mutex<BTreeMap<String, Arc<Mutex<Claimed>>>>,
    /// Streams that ended and did not yet give back.
    settling: AtomicUsize,
}

/// The most of a day; `None` for no limit.
#[derive(Debug, Clone, Copy)]
struct Bound {
    rows: Option<u64>,
    bytes: Option<u64>,
}

impl Bound {
    const fn is_any(self) -> bool {
        self.rows.is_some() || self.bytes.is_some()
    }
}

/// What one partner's streams in this process have claimed and not used.
#[derive(Debug, Default)]
struct Claimed {
    /// The day it was claimed of; `None` before the first claim.
    day: Option<NaiveDate>,
    /// By counter: a dataset, or everything.
    counters: BTreeMap<Counter, Held>,
}

/// What is counted: one dataset, or `None` for all of a partner's.
type Counter = Option<String>;

#[derive(Debug, Default)]
struct Held {
    amount: Amount,
    /// How many streams use it.
    users: usize,
}

impl Meter {
    /// Counts in `store` by the days of `clock`.
    pub(super) fn new(quotas: &Quotas, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            in_all: Bound { rows: quotas.rows_day, bytes: quotas.bytes_day },
            store,
            clock,
            claimed: Mutex::default(),
            settling: AtomicUsize::new(0),
        })
    }

    /// The purse that pays for a stream; `None` where nothing is limited.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(super) fn purse(
        self: &Arc<Self>,
        partner: &str,
        allowances: &[Allowance],
    ) -> Result<Option<Purse>> {
        let Some(hand) = self.hand(partner, allowances) else { return Ok(None) };
        hand.check()?;
        hand.enter();
        Ok(Some(Purse { hand: Arc::new(hand) }))
    }

    /// Refuses whoever has nothing left of the day.
    ///
    /// # Errors
    /// [`Code::RowsDay`] and [`Code::BytesDay`], and [`Code::State`] when it cannot be found out.
    pub(super) fn check(self: &Arc<Self>, partner: &str, allowances: &[Allowance]) -> Result<()> {
        self.hand(partner, allowances).map_or(Ok(()), |hand| hand.check())
    }

    fn hand(self: &Arc<Self>, partner: &str, allowances: &[Allowance]) -> Option<Hand> {
        let mut bounds: BTreeMap<Counter, Bound> = BTreeMap::new();
        bounds.insert(None, self.in_all);
        for allowance in allowances {
            let bound = Bound { rows: allowance.rows_day, bytes: allowance.bytes_day };
            bounds.insert(Some(allowance.dataset.clone()), bound);
        }
        bounds.retain(|_, bound| bound.is_any());
        if bounds.is_empty() {
            return None;
        }
        let mut all = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        let claimed = Arc::clone(all.entry(partner.to_owned()).or_default());
        Some(Hand { meter: Arc::clone(self), partner: partner.to_owned(), bounds, claimed })
    }

    /// Whether all streams that ended gave back what they had.
    pub(super) fn is_settled(&self) -> bool {
        self.settling.load(Ordering::Acquire) == 0
    }
}

/// Pays for one stream. Dropped, it gives back what was claimed and nobody uses any more.
#[derive(Debug)]
pub(super) struct Purse {
    hand: Arc<Hand>,
}

impl Purse {
    /// Pays for a message.
    ///
    /// # Errors
    /// [`Code::RowsDay`], [`Code::BytesDay`], [`Code::State`]; then nothing was paid.
    pub(super) fn charge(&self, rows: u64, bytes: u64) -> Result<()> {
        self.hand.charge(Amount { rows, bytes })
    }
}

impl Drop for Purse {
    fn drop(&mut self) {
        let hand = Arc::clone(&self.hand);
        hand.meter.settling.fetch_add(1, Ordering::AcqRel);
        let leave = move || {
            hand.leave();
            hand.meter.settling.fetch_sub(1, Ordering::AcqRel);
        };
        // The last to let go of a stream may be the network side, which must not wait for the disk.
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(leave)),
            Err(_) => leave(),
        }
    }
}

/// A partner's hand in what is claimed, with the bounds of one plan.
#[derive(Debug)]
struct Hand {
    meter: Arc<Meter>,
    partner: String,
    bounds: BTreeMap<Counter, Bound>,
    claimed: Arc<Mutex<Claimed>>,
}

impl Hand {
    fn enter(&self) {
        let mut claimed = self.lock();
        for counter in self.bounds.keys() {
            claimed.counters.entry(counter.clone()).or_default().users += 1;
        }
    }

    fn check(&self) -> Result<()> {
        let claimed = self.lock();
        let today = claimed.day.unwrap_or(NaiveDate::MIN).max(self.meter.clock.today());
        let taken = self.meter.store.usage(Some(&self.partner), today)?;
        let day = taken.iter().map(|usage| usage.day).max().unwrap_or(today);
        for (counter, bound) in &self.bounds {
            let mine = |usage: &&Usage| usage.day == day && usage.dataset == *counter;
            let taken = taken.iter().find(mine).map(|usage| usage.amount).unwrap_or_default();
            let held = claimed.counters.get(counter).map(|held| held.amount);
            let held = held.filter(|_| claimed.day == Some(day)).unwrap_or_default();
            if bound.rows.is_some_and(|max| taken.rows.saturating_sub(held.rows) >= max) {
                return Err(no_more(Code::RowsDay, counter));
            }
            if bound.bytes.is_some_and(|max| taken.bytes.saturating_sub(held.bytes) >= max) {
                return Err(no_more(Code::BytesDay, counter));
            }
        }
        Ok(())
    }

    /// INVARIANT: what is paid was claimed in the store before, on the day that the claim was made; a
    /// counter's claims never pass its bound.
    fn charge(&self, price: Amount) -> Result<()> {
        let mut claimed = self.lock();
        let today = self.meter.clock.today();
        // A clock that goes back does not bring a day back.
        let paid = claimed.day.is_some_and(|day| day >= today) && self.pay(&mut claimed, price);
        if paid {
            return Ok(());
        }
        self.claim(&mut claimed, today, price)?;
        if self.pay(&mut claimed, price) {
            Ok(())
        } else {
            Err(Error::new(Code::Internal, "a claim does not pay for its message"))
        }
    }

    /// Takes the price from every counter, or from none.
    fn pay(&self, claimed: &mut Claimed, price: Amount) -> bool {
        let enough = self.bounds.keys().all(|counter| {
            claimed.counters.get(counter).is_some_and(|held| held.amount.covers(price))
        });
        if enough {
            for counter in self.bounds.keys() {
                if let Some(held) = claimed.counters.get_mut(counter) {
                    held.amount = held.amount.minus(price);
                }
            }
        }
        enough
    }

    /// Claims what the price needs and the purse lacks, and a piece in advance.
    fn claim(&self, claimed: &mut Claimed, today: NaiveDate, price: Amount) -> Result<()> {
        let counters: Vec<Option<&str>> = self.bounds.keys().map(Option::as_deref).collect();
        let mut pieces = Vec::new();
        let day =
            self.meter.store.claim_usage(&self.partner, today, &counters, &mut |day, taken| {
                pieces.clear();
                for ((counter, bound), taken) in self.bounds.iter().zip(taken) {
                    let held = claimed.counters.get(counter).map(|held| held.amount);
                    let held = held.filter(|_| claimed.day == Some(day)).unwrap_or_default();
                    let lacks = price.minus(held);
                    let piece = Amount {
                        rows: piece(lacks.rows, PIECE.rows, bound.rows, taken.rows)
                            .ok_or_else(|| no_more(Code::RowsDay, counter))?,
                        bytes: piece(lacks.bytes, PIECE.bytes, bound.bytes, taken.bytes)
                            .ok_or_else(|| no_more(Code::BytesDay, counter))?,
                    };
                    *taken = taken.plus(piece);
                    pieces.push(piece);
                }
                Ok(())
            })?;
        if claimed.day != Some(day) {
            self.leave_the_day(claimed);
            claimed.day = Some(day);
        }
        for (counter, piece) in self.bounds.keys().zip(pieces) {
            let held = claimed.counters.entry(counter.clone()).or_default();
            held.amount = held.amount.plus(piece);
        }
        Ok(())
    }

    /// Gives back what is held of a day that is over, to that day.
    fn leave_the_day(&self, claimed: &mut Claimed) {
        let Some(day) = claimed.day else { return };
        let left: Vec<_> = claimed
            .counters
            .iter_mut()
            .map(|(counter, held)| (counter.clone(), std::mem::take(&mut held.amount)))
            .collect();
        self.give_back(day, left);
    }

    fn give_back(&self, day: NaiveDate, mut left: Vec<(Counter, Amount)>) {
        left.retain(|(_, amount)| *amount != Amount::default());
        if left.is_empty() {
            return;
        }
        // What cannot be given back stays taken: the partner has less, never more.
        if let Err(error) = self.meter.store.return_usage(&self.partner, day, &left) {
            tracing::warn!(
                partner = self.partner,
                story = error.chain(),
                "a part of the day's allowance that was not used could not be given back"
            );
        }
    }

    /// Gives back what nobody else uses.
    fn leave(&self) {
        let mut claimed = self.lock();
        let mut left = Vec::new();
        for counter in self.bounds.keys() {
            let Some(held) = claimed.counters.get_mut(counter) else { continue };
            held.users = held.users.saturating_sub(1);
            if held.users == 0 {
                left.push((counter.clone(), held.amount));
                claimed.counters.remove(counter);
            }
        }
        if let Some(day) = claimed.day {
            self.give_back(day, left);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Claimed> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much to claim: what is lacking, and a piece in advance if there is that much; `None` where even
/// the lacking is more than what is left.
fn piece(lacks: u64, advance: u64, max: Option<u64>, taken: u64) -> Option<u64> {
    let left = max.unwrap_or(u64::MAX).saturating_sub(taken);
    match lacks {
        0 => Some(0),
        lacks if lacks > left => None,
        lacks => Some(lacks.max(advance.min(left / PIECE_PART))),
    }
}

fn no_more(code: Code, counter: &Counter) -> Error {
    let of = counter.as_ref().map_or_else(|| "all datasets".to_owned(), |name| format!("`{name}`"));
    Error::new(code, format!("the partner's allowance of {of} for today does not reach"))
}

#[cfg(test)]
mod tests;
