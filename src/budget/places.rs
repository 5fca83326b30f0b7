//! The streams that are open: how many in all, how many of each partner. Nobody waits for a place.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Code, Error, Result};

/// The streams that are open, by partner.
#[derive(Debug)]
pub(super) struct Places {
    all_max: usize,
    partner_max: usize,
    open: Mutex<BTreeMap<String, usize>>,
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
        let own = open.get(partner).copied().unwrap_or(0);
        if own >= self.partner_max {
            return Err(Error::new(Code::StreamsPartner, "the partner has too many streams open"));
        }
        if open.values().sum::<usize>() >= self.all_max {
            return Err(Error::new(Code::StreamsTotal, "too many streams are open"));
        }
        open.insert(partner.to_owned(), own + 1);
        Ok(Place { places: Arc::clone(self), partner: partner.to_owned() })
    }

    /// How many are taken in all.
    pub(super) fn open(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

/// A place for one stream; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    partner: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.partner) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                open.remove(&self.partner);
            }
        }
    }
}
