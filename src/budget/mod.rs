//! HOW MUCH a partner may still take. For rows that is a number of open streams; privacy budgets join
//! later. A [`Reservation`] is made here alone, and the pipeline opens nothing without one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Code, Error, Result};
use crate::identity::Partner;

/// The streams that are open, by partner.
#[derive(Debug)]
pub struct Admission {
    streams_max: usize,
    streams_partner_max: usize,
    open: Mutex<BTreeMap<String, usize>>,
}

impl Admission {
    /// At most `streams_max` streams in all, and `streams_partner_max` for one partner.
    pub fn new(streams_max: usize, streams_partner_max: usize) -> Arc<Self> {
        Arc::new(Self { streams_max, streams_partner_max, open: Mutex::default() })
    }

    /// Takes a place for one stream.
    ///
    /// # Errors
    /// [`Code::StreamsPartner`] or [`Code::StreamsTotal`] when there is none.
    pub fn reserve(self: &Arc<Self>, partner: &Partner) -> Result<Reservation> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.get(partner.name()).copied().unwrap_or(0);
        if own >= self.streams_partner_max {
            return Err(Error::new(Code::StreamsPartner, "the partner has too many streams open"));
        }
        if open.values().sum::<usize>() >= self.streams_max {
            return Err(Error::new(Code::StreamsTotal, "too many streams are open"));
        }
        open.insert(partner.name().to_owned(), own + 1);
        Ok(Reservation { admission: Arc::clone(self), partner: partner.name().to_owned() })
    }

    /// How many streams are open in all.
    pub fn open_streams(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

/// A place for one stream; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    admission: Arc<Admission>,
    partner: String,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.partner) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                open.remove(&self.partner);
            }
        }
    }
}
