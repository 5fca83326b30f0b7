//! WHAT HAPPENED: a hash-chained log. An [`Entry`] opens before the first raw byte is read and closes
//! with rows, bytes and outcome; an entry that is dropped unclosed closes itself as abandoned. Nothing
//! here sees a raw value, and nothing here decides what may leave.

use std::sync::Arc;

use self::record::{Close, Ending, Event, Record, Refuse, Subject};
use self::refusals::Refusals;
use crate::clock::Clock;
use crate::error::{Code, Result};
use crate::keys::KeyRing;
use crate::state::Store;

pub mod book;
mod chain;
pub mod record;
mod refusals;
pub mod show;
#[cfg(test)]
mod tests;
pub mod verify;

pub use self::record::{Deed, Payment, Read, Statement};

/// What a request asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The request's id, which the partner is told in errors.
    pub id: String,
    /// Who asked; empty where credentials failed.
    pub partner: String,
    /// From where, as `address:port`.
    pub peer: String,
    /// The method: `DoGet`, `GetFlightInfo`, ...
    pub method: String,
    /// The dataset, where the request names one that the partner may know of.
    pub dataset: Option<String>,
    /// The digest of the policy that answers.
    pub policy_digest: Option<String>,
    /// The columns that leave.
    pub columns: Vec<String>,
    /// The shard of a stream.
    pub shard: Option<u32>,
    /// The statement, where the request is one. Then `reads` says which datasets it is asked of, and
    /// `dataset`, `policy_digest` and `columns` stay empty.
    pub statement: Option<Statement>,
    /// What the statement reads.
    pub reads: Vec<Read>,
    /// What the custodian does by hand, where it is no partner's request.
    pub deed: Option<Deed>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answered in full.
    Done,
    /// Refused or failed, with this code.
    Failed(Code),
}

/// The log. Entries are durable when the calls return.
#[derive(Debug, Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

/// What all copies of a log share.
#[derive(Debug)]
struct Shared {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ring: Arc<KeyRing>,
    refusals: Refusals,
}

impl Log {
    /// Entries go to `store`; they are sealed with a key from `ring`.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, ring: Arc<KeyRing>) -> Self {
        Self { shared: Arc::new(Shared { store, clock, ring, refusals: Refusals::default() }) }
    }

    /// Opens an entry.
    ///
    /// # Errors
    /// [`Code::State`] when it cannot be made durable; then nothing may be read.
    pub fn open(&self, request: Request) -> Result<Entry> {
        let opened_micros = self.shared.clock.now_micros();
        let seq = self.shared.append(Event::Open(Subject::new(&request)))?;
        Ok(Entry {
            log: self.clone(),
            request,
            seq,
            opened_micros,
            rows: 0,
            bytes: 0,
            paid: None,
            closed: false,
        })
    }

    /// Records a request that was turned away before anything was read.
    ///
    /// Failed credentials are not all written one by one, or a stranger could fill the disk: the first
    /// from an address is written at once, the others of the same minute are counted and written as one
    /// record when the minute is over.
    ///
    /// # Errors
    /// [`Code::State`] when it cannot be made durable.
    pub fn refused(&self, request: &Request, code: Code) -> Result<()> {
        let subject = Subject::new(request);
        let due = match code {
            Code::CredentialsMissing | Code::CredentialsRefused => {
                self.shared.refusals.count(subject, code, self.shared.clock.now_micros())
            }
            _ => vec![Refuse { subject, code: code.as_str().to_owned(), count: 1 }],
        };
        due.into_iter().try_for_each(|refuse| self.shared.append(Event::Refuse(refuse)).map(drop))
    }

    /// Writes the refusals that are counted and not yet written. The last copy of a log does so when
    /// it is dropped.
    ///
    /// # Errors
    /// [`Code::State`] when they cannot be made durable.
    pub fn flush(&self) -> Result<()> {
        self.shared.flush()
    }

    /// Closes what a crash left open, as interrupted, and says how many entries that were.
    ///
    /// For the start of a server, before it answers. Where another process works on the same state, its
    /// running requests are marked too; their own close follows and counts.
    ///
    /// # Errors
    /// [`Code::State`] when the log cannot be read or written.
    pub fn recover(&self) -> Result<usize> {
        let unclosed = self.shared.store.audit_unclosed()?;
        for row in &unclosed {
            let request = match Record::from_body(&row.body).map(|record| record.event) {
                Ok(Event::Open(subject)) => subject.request,
                // An edited record: `verify` names it; here it only has to be closed.
                _ => String::new(),
            };
            self.shared.append(Event::Close(Close {
                opened: row.seq,
                request,
                outcome: Ending::Interrupted,
                code: None,
                rows: None,
                bytes: None,
                duration_ms: None,
                paid: None,
            }))?;
        }
        Ok(unclosed.len())
    }
}

impl Shared {
    /// Appends an event and returns its number.
    fn append(&self, event: Event) -> Result<u64> {
        let mut seq = 0;
        self.store.audit_append(&mut |head| {
            let (row, head) =
                chain::follow(&self.ring, head, self.clock.now_micros(), event.clone())?;
            seq = row.seq;
            Ok((row, head))
        })?;
        Ok(seq)
    }

    fn flush(&self) -> Result<()> {
        self.refusals
            .drain()
            .into_iter()
            .try_for_each(|refuse| self.append(Event::Refuse(refuse)).map(drop))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Err(error) = self.flush() {
            tracing::error!(error = error.chain(), "refusals could not be recorded");
        }
    }
}

/// An open entry.
#[derive(Debug)]
pub struct Entry {
    log: Log,
    request: Request,
    seq: u64,
    opened_micros: i64,
    rows: u64,
    bytes: u64,
    paid: Option<Payment>,
    closed: bool,
}

impl Entry {
    /// The request's id.
    pub fn id(&self) -> &str {
        &self.request.id
    }

    /// Notes what has left so far, so that an entry which is dropped unclosed tells it.
    pub fn note(&mut self, rows: u64, bytes: u64) {
        self.rows = rows;
        self.bytes = bytes;
    }

    /// Notes what was paid for the answer, for the close, whoever makes it.
    pub fn note_payment(&mut self, payment: Payment) {
        self.paid = Some(payment);
    }

    /// Closes the entry.
    ///
    /// # Errors
    /// [`Code::State`] when it cannot be made durable.
    pub fn close(mut self, outcome: Outcome, rows: u64, bytes: u64) -> Result<()> {
        self.note(rows, bytes);
        self.end(outcome)
    }

    fn end(&mut self, outcome: Outcome) -> Result<()> {
        self.closed = true;
        let shared = &self.log.shared;
        let micros = shared.clock.now_micros().saturating_sub(self.opened_micros);
        shared
            .append(Event::Close(Close {
                opened: self.seq,
                request: Subject::new(&self.request).request,
                outcome: outcome.into(),
                code: match outcome {
                    Outcome::Done => None,
                    Outcome::Failed(code) => Some(code.as_str().to_owned()),
                },
                rows: Some(self.rows),
                bytes: Some(self.bytes),
                duration_ms: Some(u64::try_from(micros / 1000).unwrap_or(0)),
                paid: self.paid.clone(),
            }))
            .map(drop)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.closed
            && let Err(error) = self.end(Outcome::Failed(Code::Cancelled))
        {
            tracing::error!(
                error = error.chain(),
                request = self.request.id,
                "an abandoned request could not be closed in the audit log"
            );
        }
    }
}
