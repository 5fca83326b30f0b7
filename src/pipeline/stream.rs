//! One sealed stream: a worker thread that scans, transforms and seals, a bounded channel, and limits.
//! The network side only forwards bytes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use futures::Stream;
use futures::stream::BoxStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::RawBatch;
use super::format::Format;
use super::keep_alive::keep_alive;
use super::learn::{BoundColumn, School};
use super::scan::Scan;
use super::seal::{Sealed, Sealer};
use super::source::Snapshot;
use super::transform::TokenMap;
use super::transform::column::{ColumnKernel, canonical};
use crate::audit::{Entry, Outcome};
use crate::budget::Reservation;
use crate::error::{Code, Error, Result};
use crate::identity::Partner;
use crate::keys::{ColumnKeys, KeyRing};
use crate::policy::Nulls;
use crate::policy::plan::Plan;

/// Sealed messages of one shard. Dropping it stops the work at once.
pub type SealedStream = BoxStream<'static, Result<Sealed>>;

/// Messages that may wait between the worker and the network.
const MESSAGES_WAITING: usize = 3;

/// What all streams share: keys, tokens, what was learned of whole columns, limits.
#[derive(Debug)]
pub struct Pipeline {
    ring: Arc<KeyRing>,
    tokens: Arc<dyn TokenMap>,
    school: School,
    limits: Limits,
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
    /// How long a stream may have nothing to say before an empty message goes out.
    pub keep_alive: Duration,
}

impl Pipeline {
    /// A pipeline with these secrets and limits.
    pub fn new(ring: Arc<KeyRing>, tokens: Arc<dyn TokenMap>, limits: Limits) -> Self {
        Self { ring, tokens, school: School::default(), limits }
    }

    /// Opens the stream of one shard. Who asks, what is allowed, what was reserved and what is
    /// recorded: all four are needed.
    ///
    /// The entry closes when the stream ends, fails or is dropped. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// [`Code::DatasetUnknown`] when the plan is another partner's, [`Code::TicketStale`] when the
    /// snapshot has no such shard.
    #[expect(clippy::too_many_arguments, reason = "each is needed, and none can be made up")]
    pub fn open(
        self: &Arc<Self>,
        partner: &Partner,
        plan: Plan,
        snapshot: Snapshot,
        shard: u32,
        format: Format,
        reservation: Reservation,
        entry: Entry,
    ) -> Result<SealedStream> {
        let refused = if plan.partner() != partner.name() {
            Some(Error::new(Code::DatasetUnknown, "the plan was made for another partner"))
        } else if snapshot.shard(shard).is_none() {
            Some(Error::new(Code::TicketStale, format!("there is no shard {shard}")))
        } else {
            None
        };
        if let Some(error) = refused {
            entry.close(Outcome::Failed(error.code()), 0, 0)?;
            return Err(error);
        }
        let empty = match Sealer::empty(Arc::clone(plan.schema()), format) {
            Ok(empty) => empty,
            Err(error) => {
                entry.close(Outcome::Failed(error.code()), 0, 0)?;
                return Err(error);
            }
        };
        let (sender, receiver) = mpsc::channel(MESSAGES_WAITING);
        // A worker that dies without a word has failed: the partner must not take a part for the whole.
        let verdict =
            Arc::new(Mutex::new(Some(Error::new(Code::Internal, "a stream's worker died"))));
        let place = Arc::new(reservation);
        let worker = Worker {
            pipeline: Arc::clone(self),
            plan,
            snapshot,
            shard,
            format,
            sender,
            reservation: Arc::clone(&place),
            runtime: Handle::current(),
            rows: 0,
            bytes: 0,
        };
        let told = Arc::clone(&verdict);
        // Threads are taken from a pool, because a fresh thread has to fetch all its memory again.
        tokio::task::spawn_blocking(move || worker.work(entry, &told));
        let messages = Box::pin(Messages { receiver, verdict, _place: place });
        Ok(keep_alive(messages, empty, self.limits.keep_alive))
    }

    fn bind(&self, plan: &Plan, snapshot: &Snapshot, epoch: u32, at: usize) -> Result<BoundColumn> {
        let column =
            plan.columns().get(at).ok_or_else(|| Error::new(Code::Internal, "no such column"))?;
        let reads = column
            .rule
            .transform
            .reads(&column.rule.args)
            .into_iter()
            .map(|name| {
                let field = snapshot.schema().field_with_name(&name).map_err(|_| {
                    Error::new(Code::SchemaDrift, format!("the data has no column `{name}`"))
                })?;
                Ok((name, canonical(field.data_type())))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(BoundColumn {
            keys: ColumnKeys::new(Arc::clone(&self.ring), &column.domain, plan.audience(), epoch),
            types: reads.iter().map(|(_, kind)| kind.clone()).collect(),
            reads,
            tokens: Arc::clone(&self.tokens),
        })
    }
}

/// A column on its way: where it comes from and the kernel that rewrites it.
struct Lane {
    name: String,
    reads: Vec<String>,
    kernel: ColumnKernel,
}

impl Lane {
    fn apply(&mut self, batch: &RawBatch) -> Result<arrow::array::ArrayRef> {
        let reads = self.reads.iter().map(|name| batch.column(name)).collect::<Result<Vec<_>>>()?;
        // Kernels do not know their column; whoever reads the log has to.
        self.kernel.apply(&batch.column(&self.name)?, &reads).map_err(|error| {
            Error::new(error.code(), format!("column `{}`: {}", self.name, error.chain()))
        })
    }
}

/// The thread's side of a stream.
struct Worker {
    pipeline: Arc<Pipeline>,
    plan: Plan,
    snapshot: Snapshot,
    shard: u32,
    format: Format,
    sender: mpsc::Sender<Sealed>,
    reservation: Arc<Reservation>,
    runtime: Handle,
    rows: u64,
    bytes: u64,
}

impl Worker {
    /// Runs to the end, closes the entry, and only then lets the partner see that the stream ended.
    fn work(mut self, entry: Entry, verdict: &Mutex<Option<Error>>) {
        let id = entry.id().to_owned();
        // After a panic nothing of the worker is used but its counts, for the entry.
        let result = catch_unwind(AssertUnwindSafe(|| self.run()))
            .unwrap_or_else(|_| Err(Error::new(Code::Internal, "a stream's worker panicked")));
        let outcome = match &result {
            Ok(()) => Outcome::Done,
            Err(error) => Outcome::Failed(error.code()),
        };
        let closed = entry.close(outcome, self.rows, self.bytes);
        let failure = match result.and(closed) {
            Ok(()) => None,
            Err(error) => {
                tracing::warn!(
                    request = %id,
                    code = %error.code(),
                    dataset = self.plan.dataset(),
                    shard = self.shard,
                    "stream ended early: {}",
                    error.chain()
                );
                Some(error)
            }
        };
        *verdict.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        drop(self.reservation);
        drop(self.sender);
    }

    fn run(&mut self) -> Result<()> {
        let mut lanes = self.lanes()?;
        let columns: Vec<String> = lanes
            .iter()
            .flat_map(|lane| std::iter::once(&lane.name).chain(&lane.reads))
            .cloned()
            .collect();
        let scan = Scan::new(&self.plan, &self.snapshot, &columns)?;
        let limits = self.pipeline.limits;
        let mut sealer = Sealer::new(
            Arc::clone(self.plan.schema()),
            self.format,
            limits.message_bytes,
            limits.message_bytes_max,
        );
        let shard = self
            .snapshot
            .shard(self.shard)
            .cloned()
            .ok_or_else(|| Error::new(Code::TicketStale, "there is no such shard"))?;
        for piece in &shard.pieces {
            for batch in scan.read(piece)? {
                let batch = batch?;
                let out =
                    lanes.iter_mut().map(|lane| lane.apply(&batch)).collect::<Result<Vec<_>>>()?;
                let rows = batch.rows();
                drop(batch);
                for message in sealer.push(out, rows)? {
                    self.send(message)?;
                }
                if self.sender.is_closed() {
                    return Err(gone());
                }
            }
        }
        for message in sealer.finish()? {
            self.send(message)?;
        }
        Ok(())
    }

    fn lanes(&self) -> Result<Vec<Lane>> {
        let policy = self.plan.policy();
        if policy.names_files() && policy.digest_now() != policy.digest {
            // What would leave is not what the ticket, the log and the auditor's digest say.
            return Err(Error::new(Code::TicketStale, "a file that the policy names changed"));
        }
        let epoch = self.plan.policy().epoch.unwrap_or_else(|| self.pipeline.ring.newest());
        let bind = |at| self.pipeline.bind(&self.plan, &self.snapshot, epoch, at);
        let lessons =
            self.pipeline
                .school
                .attend(&self.plan, &self.snapshot, epoch, &bind, &|| self.sender.is_closed())?;
        let token_nulls = self.plan.policy().nulls == Nulls::Token;
        let mut lanes = Vec::new();
        for (at, column) in self.plan.columns().iter().enumerate() {
            let bound = bind(at)?;
            let learned = lessons.get(at).and_then(Option::as_ref);
            let transform = column.rule.transform;
            let kernel =
                transform.kernel(&column.rule.args, &bound.bind(&self.plan, at, learned)?)?;
            lanes.push(Lane {
                name: column.name.clone(),
                kernel: ColumnKernel::new(
                    kernel,
                    !bound.reads.is_empty(),
                    token_nulls && transform.is_pseudonym(),
                ),
                reads: bound.reads.into_iter().map(|(name, _)| name).collect(),
            });
        }
        Ok(lanes)
    }

    /// Hands a message to the network side; waits while the partner does not read, up to the limit.
    fn send(&mut self, message: Sealed) -> Result<()> {
        let (rows, bytes) = (message.rows(), message.header().len() + message.body().len());
        self.reservation.charge(rows, bytes as u64)?;
        let idle = self.pipeline.limits.idle;
        let message = match self.sender.try_send(message) {
            Ok(()) => None,
            Err(mpsc::error::TrySendError::Full(message)) => Some(message),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(gone()),
        };
        if let Some(message) = message {
            match self.runtime.block_on(self.sender.send_timeout(message, idle)) {
                Ok(()) => {}
                Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                    return Err(Error::new(Code::StreamIdle, "the partner stopped reading"));
                }
                Err(mpsc::error::SendTimeoutError::Closed(_)) => return Err(gone()),
            }
        }
        self.rows += rows;
        self.bytes += bytes as u64;
        Ok(())
    }
}

fn gone() -> Error {
    Error::new(Code::Cancelled, "the partner went away")
}

/// The network's side of a stream: messages, and at the end the verdict.
struct Messages {
    receiver: mpsc::Receiver<Sealed>,
    verdict: Arc<Mutex<Option<Error>>>,
    /// The place is free when the worker ended and the messages are gone: who opens streams and does
    /// not read them fills the memory of a few, whatever the worker's patience.
    _place: Arc<Reservation>,
}

impl Stream for Messages {
    type Item = Result<Sealed>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        match self.receiver.poll_recv(task) {
            Poll::Ready(Some(message)) => Poll::Ready(Some(Ok(message))),
            Poll::Ready(None) => {
                let failure = self.verdict.lock().unwrap_or_else(PoisonError::into_inner).take();
                Poll::Ready(failure.map(Err))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests;
