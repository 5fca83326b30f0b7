//! The streams that are open: how many in all, how many of each partner, and whether a partner reads
//! any of theirs. Nobody waits for a place.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Code, Error, Result};

/// The streams that are open, by partner.
#[derive(Debug)]
pub(super) struct Places {
    all_max: usize,
    partner_max: usize,
    open: Mutex<BTreeMap<String, Own>>,
}

/// One partner's streams.
#[derive(Debug, Default)]
struct Own {
    open: usize,
    /// Messages that the partner took from any of them.
    taken: Arc<AtomicU64>,
}

impl Places {
    /// At most `all_max` in all, and `partner_max` for one partner.
    pub(super) fn new(all_max: usize, partner_max: usize) -> Arc<Self> {
        Arc::new(Self { all_max, partner_max, open: Mutex::default() })
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`Code::StreamsPartner`] or [`Code::StreamsTotal`] when there is none.
    pub(super) fn take(self: &Arc<Self>, partner: &str) -> Result<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.get(partner).map_or(0, |own| own.open);
        if count >= self.partner_max {
            return Err(Error::new(Code::StreamsPartner, "the partner has too many streams open"));
        }
        if open.values().map(|own| own.open).sum::<usize>() >= self.all_max {
            return Err(Error::new(Code::StreamsTotal, "too many streams are open"));
        }
        let own = open.entry(partner.to_owned()).or_default();
        own.open += 1;
        let taken = Arc::clone(&own.taken);
        Ok(Place { places: Arc::clone(self), partner: partner.to_owned(), taken })
    }

    /// How many are taken in all.
    pub(super) fn open(&self) -> usize {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values().map(|own| own.open).sum()
    }
}

/// A place for one stream; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    partner: String,
    taken: Arc<AtomicU64>,
}

impl Place {
    /// Counts a message that the partner took.
    pub(super) fn took(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// How many messages the partner took from all streams that they have open.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.partner) {
            own.open = own.open.saturating_sub(1);
            if own.open == 0 {
                open.remove(&self.partner);
            }
        }
    }
}
