//! HOW MUCH a partner may still take: streams at a time, statements at a time, rows and bytes a day.
//! A [`Reservation`] is made here alone, and the pipeline opens nothing without one. What a grant gives
//! is not decided here, that is for `policy`; privacy budgets join later.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::error::Result;
use crate::identity::Partner;
use crate::policy::Allowance;
use crate::state::Store;

pub mod accounting;
pub mod ledger;
mod line;
mod meter;
mod places;
mod readers;
#[cfg(test)]
pub(crate) mod tests;

use meter::{Meter, Purse};
use places::{Bounds, Place, Places};
use readers::Readers;

/// What the server's settings give; a grant may give less.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotas {
    /// Streams open at a time.
    pub streams_max: usize,
    /// Streams open at a time for one partner.
    pub streams_partner_max: usize,
    /// Statements worked at at a time.
    pub queries_max: usize,
    /// Statements worked at at a time for one partner.
    pub queries_partner_max: usize,
    /// Statements of one partner that wait for a turn; as many may wait for a place among the streams.
    pub queries_waiting_partner_max: usize,
    /// How long a statement waits for a turn.
    pub queue: Duration,
    /// How long a statement is worked at.
    pub query: Duration,
    /// Rows a partner takes a day (UTC), of all datasets; `None` for no limit.
    pub rows_day: Option<u64>,
    /// Bytes a partner takes a day (UTC), of all datasets; `None` for no limit.
    pub bytes_day: Option<u64>,
}

/// Who has what open, who waits, and who took how much today.
#[derive(Debug)]
pub struct Admission {
    query: Duration,
    streams: Arc<Places>,
    turns: Arc<Places>,
    meter: Arc<Meter>,
    readers: Readers,
}

impl Admission {
    /// Grants what `quotas` and the grants allow. What was taken today stands in `store`; `clock` says
    /// which day it is.
    pub fn new(quotas: Quotas, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let (waiting_partner_max, patience) = (quotas.queries_waiting_partner_max, quotas.queue);
        let places = |all_max, partner_max| {
            Places::new(&Bounds { all_max, partner_max, waiting_partner_max, patience })
        };
        Arc::new(Self {
            query: quotas.query,
            streams: places(quotas.streams_max, quotas.streams_partner_max),
            turns: places(quotas.queries_max, quotas.queries_partner_max),
            meter: Meter::new(&quotas, store, clock),
            readers: Readers::default(),
        })
    }

    /// Takes a place for one stream, at once or not at all. `allowances` are those of the datasets that
    /// it reads.
    ///
    /// # Errors
    /// [`Code::StreamsPartner`](crate::error::Code::StreamsPartner) or
    /// [`Code::StreamsTotal`](crate::error::Code::StreamsTotal) when there is none,
    /// [`Code::RowsDay`](crate::error::Code::RowsDay) or
    /// [`Code::BytesDay`](crate::error::Code::BytesDay) when nothing is left of the day's allowance.
    pub fn reserve(
        self: &Arc<Self>,
        partner: &Partner,
        allowances: &[Allowance],
    ) -> Result<Reservation> {
        let purse = self.meter.purse(partner.name(), allowances)?;
        let place = self.streams.take(partner.name())?;
        let taken = Some(self.readers.of(partner.name()));
        Ok(Reservation { taken, ..self.reservation(allowances, purse, place) })
    }

    /// Waits for a place for one stream of a statement that is answered row by row. Its streams are as
    /// cheap as pulls, and may be many; a turn each would have one wait for the end of another that the
    /// partner reads later.
    ///
    /// # Errors
    /// As [`Self::reserve_query`].
    pub async fn reserve_shard(
        self: &Arc<Self>,
        partner: &Partner,
        allowances: &[Allowance],
    ) -> Result<Reservation> {
        let reservation = self.wait(&self.streams, None, partner, allowances).await?;
        Ok(Reservation { taken: Some(self.readers.of(partner.name())), ..reservation })
    }

    /// Waits for a statement's turn to be worked at. Turns go round the partners that wait, so that who
    /// asks much does not delay who asks little.
    ///
    /// Whoever stops waiting, by dropping the future, leaves the line.
    ///
    /// # Errors
    /// [`Code::QueriesPartner`](crate::error::Code::QueriesPartner) when too many statements of the
    /// partner wait already, [`Code::QueryQueue`](crate::error::Code::QueryQueue) when the turn did not
    /// come in time, [`Code::RowsDay`](crate::error::Code::RowsDay) or
    /// [`Code::BytesDay`](crate::error::Code::BytesDay) when nothing is left of the day's allowance.
    pub async fn reserve_query(
        self: &Arc<Self>,
        partner: &Partner,
        allowances: &[Allowance],
    ) -> Result<Reservation> {
        let own = allowances.iter().filter_map(|allowance| allowance.queries).min();
        self.wait(&self.turns, own, partner, allowances).await
    }

    async fn wait(
        &self,
        places: &Arc<Places>,
        own: Option<usize>,
        partner: &Partner,
        allowances: &[Allowance],
    ) -> Result<Reservation> {
        // Who has nothing left today need not wait to hear it.
        self.meter.check(partner.name(), allowances)?;
        let place = places.wait(partner.name(), own).await?;
        let purse = self.meter.purse(partner.name(), allowances)?;
        Ok(self.reservation(allowances, purse, place))
    }

    fn reservation(
        &self,
        allowances: &[Allowance],
        purse: Option<Purse>,
        place: Place,
    ) -> Reservation {
        let own = allowances.iter().filter_map(|allowance| allowance.query_time).min();
        let query_time = own.map_or(self.query, |own| own.min(self.query));
        Reservation { purse, query_time, _place: place, taken: None }
    }

    /// How many streams are open in all.
    pub fn open_streams(&self) -> usize {
        self.streams.taken() + self.turns.taken()
    }

    /// How many statements wait for a turn.
    pub fn waiting(&self) -> usize {
        self.turns.waiting()
    }

    /// Whether nothing is open, and what was claimed and not used is given back.
    pub fn is_idle(&self) -> bool {
        self.open_streams() == 0 && self.meter.is_settled()
    }
}

/// A place for one stream, or a statement's turn, and a hand in the day's allowance; both are given back
/// when dropped.
///
/// INVARIANT: made by [`Admission`] alone, after the partner had a place and something left of the day.
#[derive(Debug)]
pub struct Reservation {
    /// `None` where nothing limits rows or bytes: then nothing is counted.
    purse: Option<Purse>,
    query_time: Duration,
    _place: Place,
    /// What the partner took from all such streams. `None` where others wait for the turn that this one
    /// has: then it is not held longer because the partner reads elsewhere.
    taken: Option<Arc<AtomicU64>>,
}

impl Reservation {
    /// Takes `rows` and `bytes` from the day's allowance, durably, before they leave. May wait for the
    /// disk; where there is no limit it does nothing.
    ///
    /// # Errors
    /// [`Code::RowsDay`](crate::error::Code::RowsDay) and
    /// [`Code::BytesDay`](crate::error::Code::BytesDay): then nothing was taken and nothing may leave.
    /// [`Code::State`](crate::error::Code::State) when it cannot be made durable.
    pub fn charge(&self, rows: u64, bytes: u64) -> Result<()> {
        self.purse.as_ref().map_or(Ok(()), |purse| purse.charge(rows, bytes))
    }

    /// Counts a message that the partner took from this stream.
    pub fn took(&self) {
        if let Some(taken) = &self.taken {
            taken.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many messages the partner took from those of their open streams that wait for each other.
    pub fn taken(&self) -> u64 {
        self.taken.as_ref().map_or(0, |taken| taken.load(Ordering::Relaxed))
    }

    /// How long the statement may be worked at: the least that settings and grants say.
    pub const fn query_time(&self) -> Duration {
        self.query_time
    }
}
