//! WHERE it is remembered: partners, tokens and the audit log, behind one trait. SQLite implements it;
//! PostgreSQL will, for several servers. The trait speaks of records, never of SQL.

use std::fmt::Debug;

use crate::pipeline::transform::TokenMap;

/// What the rooms need to remember.
///
/// INVARIANT: a method that returns `Ok` has made its change durable.
pub trait Store: TokenMap + Send + Sync + Debug {}
