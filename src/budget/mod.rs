//! HOW MUCH a partner may still take: streams at a time, statements at a time, rows and bytes a day.
//! A [`Reservation`] is made here alone, and the pipeline opens nothing without one. What a grant gives
//! is not decided here, that is for `policy`; privacy budgets join later.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::error::Result;
use crate::identity::Partner;
use crate::policy::Allowance;
use crate::state::Store;

mod line;
mod meter;
mod places;
#[cfg(test)]
pub(crate) mod tests;
mod turns;

use meter::{Meter, Purse};
use places::{Place, Places};
use turns::{Turn, Turns};

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
    /// Statements of one partner that wait for a turn.
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
    quotas: Quotas,
    places: Arc<Places>,
    turns: Arc<Turns>,
    meter: Arc<Meter>,
}

impl Admission {
    /// Grants what `quotas` and the grants allow. What was taken today stands in `store`; `clock` says
    /// which day it is.
    pub fn new(quotas: Quotas, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            places: Places::new(quotas.streams_max, quotas.streams_partner_max),
            turns: Turns::new(&quotas),
            meter: Meter::new(&quotas, store, clock),
            quotas,
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
        let place = self.places.take(partner.name())?;
        Ok(self.reservation(allowances, purse, place, None))
    }

    /// Takes a place for a statement's stream, and waits for its turn to be worked at. Turns go round
    /// the partners that wait, so that who asks much does not delay who asks little.
    ///
    /// Whoever stops waiting, by dropping the future, leaves the queue.
    ///
    /// # Errors
    /// [`Code::QueriesPartner`](crate::error::Code::QueriesPartner) when too many statements of the
    /// partner wait already, [`Code::QueryQueue`](crate::error::Code::QueryQueue) when the turn did not
    /// come in time, and those of [`Self::reserve`].
    pub async fn reserve_query(
        self: &Arc<Self>,
        partner: &Partner,
        allowances: &[Allowance],
    ) -> Result<Reservation> {
        // Who has nothing left today need not wait to hear it.
        self.meter.check(partner.name(), allowances)?;
        let own = allowances.iter().filter_map(|allowance| allowance.queries).min();
        let turn = self.turns.wait(partner.name(), own).await?;
        let purse = self.meter.purse(partner.name(), allowances)?;
        let place = self.places.take(partner.name())?;
        Ok(self.reservation(allowances, purse, place, Some(turn)))
    }

    fn reservation(
        self: &Arc<Self>,
        allowances: &[Allowance],
        purse: Option<Purse>,
        place: Place,
        turn: Option<Turn>,
    ) -> Reservation {
        let own = allowances.iter().filter_map(|allowance| allowance.query_time).min();
        let query_time = own.map_or(self.quotas.query, |own| own.min(self.quotas.query));
        Reservation { purse, query_time, place, turn }
    }

    /// How many streams are open in all.
    pub fn open_streams(&self) -> usize {
        self.places.open()
    }

    /// Whether nothing is open, and what was claimed and not used is given back.
    pub fn is_idle(&self) -> bool {
        self.open_streams() == 0 && self.meter.is_settled()
    }
}

/// A place for one stream, a statement's turn, and a hand in the day's allowance; all given back when
/// dropped.
///
/// INVARIANT: made by [`Admission`] alone, after the partner had a place and something left of the day.
#[derive(Debug)]
pub struct Reservation {
    /// `None` where nothing limits rows or bytes: then nothing is counted.
    purse: Option<Purse>,
    query_time: Duration,
    place: Place,
    /// `None` where it is no statement's.
    turn: Option<Turn>,
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
        self.place.took();
    }

    /// How many messages the partner took from all streams that they have open. Clients open all
    /// endpoints of an answer and read them one after the other: who reads one has not left the others.
    pub fn taken(&self) -> u64 {
        self.place.taken()
    }

    /// Gives the statement's turn to others while it has nothing to do: while the partner does not read,
    /// and when the last message was made. The place stays.
    pub fn rest(&self) {
        if let Some(turn) = &self.turn {
            turn.rest();
        }
    }

    /// Waits for the turn to come back after [`Self::rest`]; at once where it was never given away.
    pub async fn resume(&self) {
        if let Some(turn) = &self.turn {
            turn.resume().await;
        }
    }

    /// How long the statement may be worked at: the least that settings and grants say.
    pub const fn query_time(&self) -> Duration {
        self.query_time
    }
}
