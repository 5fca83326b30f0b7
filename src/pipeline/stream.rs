//! One sealed stream: a worker that scans, transforms and seals, a bounded channel, and limits.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;

use super::seal::Sealed;
use super::source::Snapshot;
use super::transform::TokenMap;
use crate::audit::Entry;
use crate::budget::Reservation;
use crate::error::{Code, Error, Result};
use crate::identity::Partner;
use crate::keys::KeyRing;
use crate::policy::plan::Plan;

/// Sealed messages of one shard. Dropping it stops the work at once.
pub type SealedStream = BoxStream<'static, Result<Sealed>>;

/// What all streams share: keys, tokens, what was learned of whole columns, limits.
#[derive(Debug)]
pub struct Pipeline {
    _ring: Arc<KeyRing>,
    _tokens: Arc<dyn TokenMap>,
    _limits: Limits,
}

/// Bounds of one stream.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The size that messages aim at, in bytes.
    pub message_bytes: usize,
    /// The size no message passes, in bytes.
    pub message_bytes_max: usize,
    /// How long the partner may stop reading.
    pub idle: Duration,
}

impl Pipeline {
    /// A pipeline with these secrets and limits.
    pub fn new(ring: Arc<KeyRing>, tokens: Arc<dyn TokenMap>, limits: Limits) -> Self {
        Self { _ring: ring, _tokens: tokens, _limits: limits }
    }

    /// Opens the stream of one shard. Who asks, what is allowed, what was reserved and what is
    /// recorded: all four are needed.
    ///
    /// Work begins when the stream is first polled. The entry closes when the stream ends, fails or is
    /// dropped.
    ///
    /// # Errors
    /// When keys or files cannot be had.
    pub fn open(
        self: &Arc<Self>,
        _partner: &Partner,
        _plan: Plan,
        _snapshot: Snapshot,
        _shard: u32,
        _reservation: Reservation,
        _entry: Entry,
    ) -> Result<SealedStream> {
        Err(Error::new(Code::Internal, "not built"))
    }
}
