//! The partner's SQL over policy output: from a statement's text to sealed messages.
//!
//! A statement is parsed and checked (`guard`), its names are found in the partner's own catalogue
//! (`catalogue`), it is planned over views whose scans give policy output (`view`), and runs on the
//! engine's own threads within limits (`engine`, `run`). No raw row and no raw table can be named here:
//! the only table there is gives what `super::rows` gives.

mod aggregates;
mod bounds;
mod functions;
mod hint;
mod information;
mod logical;
mod names;
mod parameters;
mod statement;

use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::format::Format;
use super::source::Snapshot;
use super::stream::{Pipeline, SealedStream};
use crate::audit::Entry;
use crate::budget::Reservation;
use crate::error::{Code, Error, Result};
use crate::identity::Partner;
use crate::policy::plan::Plan;

pub use statement::Statement;

/// One dataset as one partner's statements see it: what the plan lets out of these files.
#[derive(Debug, Clone)]
pub struct View {
    /// What leaves.
    pub plan: Plan,
    /// The files it is made from.
    pub snapshot: Snapshot,
}

/// What a statement is asked with.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Values for `$1`, `$2`, ...: one row, a column each, as an Arrow IPC stream. Empty for none.
    pub parameters: bytes::Bytes,
    /// The session's time zone, such as `Europe/Zurich`; UTC where there is none.
    pub time_zone: Option<String>,
}

/// A planned query.
#[derive(Debug, Clone)]
pub struct Query {
    schema: SchemaRef,
}

impl Query {
    /// The exact schema of the answer, in plain types ([`Format::schema`] gives that of the wire).
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The types of the parameters, in order, named `$1`, `$2`, ... Empty where there are none.
    pub fn parameters(&self) -> &SchemaRef {
        &self.schema
    }

    /// Into how many endpoints the answer may be split: more than one only where each row of the answer
    /// is made from one row of one dataset.
    pub fn shards(&self) -> u32 {
        1
    }

    /// Whether the order of rows means something.
    pub fn ordered(&self) -> bool {
        false
    }

    /// What is read: columns by dataset, both by name.
    pub fn reads(&self) -> Vec<(String, Vec<String>)> {
        Vec::new()
    }
}

/// What queries may use of the machine, all together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryLimits {
    /// Threads that work at queries; at least one.
    pub threads: usize,
    /// Memory for what queries hold: hash tables, sorts, joins.
    pub memory_bytes: usize,
    /// The folder that what does not fit into memory is written to, and removed from.
    pub spill: PathBuf,
    /// The size that spilled data do not pass.
    pub spill_bytes: u64,
    /// The size that the text of a statement does not pass.
    pub sql_bytes_max: usize,
}

/// Plans and runs queries.
#[derive(Debug)]
pub struct Engine {
    _pipeline: Arc<Pipeline>,
}

impl Engine {
    /// An engine with limits of its own.
    ///
    /// # Errors
    /// [`Code::Config`] when the limits cannot be kept.
    pub fn new(pipeline: Arc<Pipeline>, _limits: QueryLimits) -> Result<Self> {
        Ok(Self { _pipeline: pipeline })
    }

    /// Plans a statement over views, on the engine's threads. Parameters that the statement has and
    /// the terms lack stay open: such a query can be described and not run.
    ///
    /// # Errors
    /// [`Code::SqlInvalid`], [`Code::SqlRefused`], [`Code::AggregatesOnly`],
    /// [`Code::ParametersInvalid`], [`Code::QueryTime`].
    pub async fn plan(
        self: &Arc<Self>,
        _statement: &Statement,
        _terms: &Terms,
        _views: Vec<View>,
    ) -> Result<Query> {
        Err(Error::new(Code::Unsupported, "SQL is not built in"))
    }

    /// Opens the stream of one shard of a query's answer.
    ///
    /// # Errors
    /// [`Code::ParametersInvalid`] when parameters are open, [`Code::TicketStale`] when there is no such
    /// shard.
    pub fn open(
        self: &Arc<Self>,
        _partner: &Partner,
        _query: Query,
        _shard: u32,
        _format: Format,
        _reservation: Reservation,
        entry: Entry,
    ) -> Result<SealedStream> {
        entry.close(crate::audit::Outcome::Failed(Code::Unsupported), 0, 0)?;
        Err(Error::new(Code::Unsupported, "SQL is not built in"))
    }
}
