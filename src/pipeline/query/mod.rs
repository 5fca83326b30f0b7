//! The partner's SQL over policy output: from a statement's text to sealed messages.
//!
//! A statement is parsed and checked (`statement`), its names are found in the partner's own catalogue
//! (`catalogue`, `logical`), it is planned over views whose scans give policy output (`view`, `prune`),
//! and runs on the engine's own threads within limits (`engine`, `run`). No raw row and no raw table can
//! be named here: the only table there is gives what `super::rows` gives.

use std::path::PathBuf;

use super::source::Snapshot;
use crate::policy::plan::Plan;

mod aggregates;
mod asked;
mod bounds;
mod brake;
mod catalogue;
mod engine;
mod environments;
mod expand;
mod faults;
mod functions;
mod gathered;
mod groups;
mod guard;
mod hint;
mod information;
mod joined;
mod listing;
mod logic;
mod logical;
mod memory;
mod names;
mod parameters;
mod patterns;
mod planned;
mod prune;
mod public;
mod run;
pub(in crate::pipeline) mod spill;
mod statement;
mod team;
#[cfg(test)]
mod testing;
mod view;

pub use engine::Engine;
pub use faults::{Fault, check_views, faults};
pub use functions::{About, names as function_names};
pub use information::Described;
#[cfg(test)]
pub(in crate::pipeline) use memory::Memory;
pub use planned::Query;
pub use public::check_public;
pub(in crate::pipeline) use run::{inward, streams};
pub use statement::Statement;

pub(in crate::pipeline) use aggregates::{bare, widens};
pub(in crate::pipeline) use asked::{hear, refused};
pub(in crate::pipeline) use guard::{guarded, is_literal};
pub(in crate::pipeline) use hint::short;
pub(in crate::pipeline) use joined::{
    Beside, Joined, Lookup, Numbers, Part, joined_name, public_name,
};
pub(in crate::pipeline) use listing::Listing;
pub(in crate::pipeline) use logic::Logic;
pub(in crate::pipeline) use logical::{Table, UNIT_COLUMN};
pub(in crate::pipeline) use public::Public;
#[cfg(test)]
pub(in crate::pipeline) use testing::session as test_session;

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

#[cfg(test)]
mod tests;
