//! One pull: opens its shards one after the other, each with an entry and a reservation of its own, and
//! decodes sealed messages to batches. Makes no batch of its own.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow_ipc::reader::read_record_batch;
use arrow_ipc::root_as_message;
use futures::StreamExt;

use super::{Local, Seen};
use crate::audit::Request;
use crate::error::{Code, Context, Error, Result};
use crate::identity::Partner;
use crate::pipeline::format::Format;
use crate::pipeline::query::{Query, View};
use crate::pipeline::seal::Sealed;
use crate::pipeline::stream::SealedStream;

/// What the streams of a pull are made from.
#[derive(Debug, Clone)]
pub(super) enum Work {
    /// A statement's answer.
    Answer(Query),
    /// A dataset's rows.
    Rows(Box<View>),
}

/// What it takes to open a stream.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) local: Local,
    pub(super) partner: Partner,
    pub(super) request: Request,
    pub(super) work: Work,
    pub(super) shards: u32,
}

impl Source {
    /// A pull of all shards in their order.
    pub(super) fn into_pull(self, schema: SchemaRef, seen: Vec<Seen>) -> Pull {
        let shards = 0..self.shards;
        Pull { schema, seen, source: self, shards, stream: None, failed: false }
    }

    /// Opens one shard, when its entry is in the log.
    async fn open(&self, shard: u32) -> Result<SealedStream> {
        let rooms = &self.local.rooms;
        let (partner, format) = (&self.partner, Format::default());
        let request = Request { shard: Some(shard), ..self.request.clone() };
        // No allowance: what leaves here is not taken from the partner's day.
        match &self.work {
            Work::Answer(query) => {
                let reservation = if query.is_by_row() {
                    rooms.admission.reserve_shard(partner, &[]).await?
                } else {
                    rooms.admission.reserve_query(partner, &[]).await?
                };
                let entry = rooms.log.open(request)?;
                rooms.engine.open(partner, query.clone(), shard, format, reservation, entry)
            }
            Work::Rows(view) => {
                let reservation = rooms.admission.reserve(partner, &[])?;
                let entry = rooms.log.open(request)?;
                let View { plan, snapshot } = View::clone(view);
                let pipeline = &rooms.pipeline;
                pipeline.open(partner, plan, snapshot, shard, format, reservation, entry)
            }
        }
    }
}

/// Batches as a partner would get them, in order. Waits while it is read: not for async tasks. Dropping it
/// ends the work.
pub struct Pull {
    /// The schema of every batch: what the partner is promised, metadata included.
    pub schema: SchemaRef,
    /// The datasets that are read, as they were when the pull began.
    pub seen: Vec<Seen>,
    source: Source,
    shards: std::ops::Range<u32>,
    stream: Option<SealedStream>,
    failed: bool,
}

impl Pull {
    /// A pull of each shard by itself, in their order, where nothing was read yet. They may be read at the
    /// same time, by threads of their own.
    pub fn into_shards(self) -> Vec<Self> {
        let one = |shard: u32| Self {
            schema: Arc::clone(&self.schema),
            seen: self.seen.clone(),
            source: self.source.clone(),
            shards: shard..shard.saturating_add(1),
            stream: None,
            failed: false,
        };
        self.shards.clone().map(one).collect()
    }

    /// The rows of the next message that has any.
    fn advance(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let mut stream = match self.stream.take() {
                Some(stream) => stream,
                None => match self.shards.next() {
                    Some(shard) => self.source.local.block_on(self.source.open(shard))?,
                    None => return Ok(None),
                },
            };
            let local = &self.source.local;
            match local.block_on(async { stream.next().await.transpose() })? {
                Some(sealed) => {
                    self.stream = Some(stream);
                    if sealed.rows() > 0 {
                        return decode(&sealed, &self.schema).map(Some);
                    }
                }
                None => drop(stream),
            }
        }
    }
}

impl Iterator for Pull {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.advance().transpose();
        // INVARIANT: after an error there is nothing more: a part is never taken for the whole.
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

impl fmt::Debug for Pull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pull")
            .field("seen", &self.seen)
            .field("shards", &self.shards)
            .finish_non_exhaustive()
    }
}

/// The rows of a message, under the schema of the whole.
fn decode(sealed: &Sealed, schema: &SchemaRef) -> Result<RecordBatch> {
    let failed = || "a message of our own cannot be decoded".to_owned();
    let message = root_as_message(sealed.header()).context(Code::Internal, failed)?;
    let rows = message
        .header_as_record_batch()
        .ok_or_else(|| Error::new(Code::Internal, "a message that is no batch of rows"))?;
    let body = Buffer::from(sealed.body().clone());
    let version = message.version();
    read_record_batch(&body, rows, Arc::clone(schema), &HashMap::new(), None, &version)
        .context(Code::Internal, failed)
}
