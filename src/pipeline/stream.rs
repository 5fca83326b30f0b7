//! Sealed streams: a worker that fills a bounded channel, limits, and how a stream ends. The worker of a
//! dataset's shard is here; that of a query is in `query/run.rs` and ends its streams through the same
//! `Outlet`. The network side only forwards bytes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::format::Format;
use super::keep_alive::keep_alive;
use super::learn::School;
use super::rows::{Pick, Rows};
use super::seal::{Sealed, Sealer};
use super::source::Snapshot;
use super::transform::TokenMap;
use crate::audit::{Entry, Outcome, Payment};
use crate::budget::Reservation;
use crate::error::{Code, Error, Result};
use crate::identity::Partner;
use crate::keys::KeyRing;
use crate::policy::Access;
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
        tokens.give_keys(&ring);
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
        let columns = (0..plan.columns().len()).collect();
        let schema = Arc::clone(plan.schema());
        let pull = Pull { plan, snapshot, shard, columns, schema };
        self.pull(partner, pull, format, reservation, entry)
    }

    /// Opens the stream of some columns of one shard; as [`Pipeline::open`].
    pub(super) fn pull(
        self: &Arc<Self>,
        partner: &Partner,
        pull: Pull,
        format: Format,
        reservation: Reservation,
        entry: Entry,
    ) -> Result<SealedStream> {
        let refused = if pull.plan.partner() != partner.name() {
            Some(Error::new(Code::DatasetUnknown, "the plan was made for another partner"))
        } else if let Some(refused) = rowless(pull.plan.access()) {
            Some(refused)
        } else if pull.snapshot.shard(pull.shard).is_none() {
            Some(Error::new(Code::TicketStale, format!("there is no shard {}", pull.shard)))
        } else {
            None
        };
        if let Some(error) = refused {
            entry.close(Outcome::Failed(error.code()), 0, 0)?;
            return Err(error);
        }
        let subject = format!("shard {} of `{}`", pull.shard, pull.plan.dataset());
        let schema = Arc::clone(&pull.schema);
        let (outlet, stream) =
            Outlet::open(self.limits, schema, format, reservation, entry, subject)?;
        let worker =
            Worker { pipeline: Arc::clone(self), pull, format, outlet, runtime: Handle::current() };
        // Threads are taken from a pool, because a fresh thread has to fetch all its memory again.
        tokio::task::spawn_blocking(move || worker.work());
        Ok(stream)
    }

    pub(super) const fn ring(&self) -> &Arc<KeyRing> {
        &self.ring
    }

    pub(super) const fn tokens(&self) -> &Arc<dyn TokenMap> {
        &self.tokens
    }

    pub(super) const fn school(&self) -> &School {
        &self.school
    }

    pub(super) const fn limits(&self) -> Limits {
        self.limits
    }
}

/// Why a grant gives no rows, where it gives none.
///
/// PRIVACY: rows of a dataset that is granted as aggregates or with noise are for the query engine alone.
pub(super) fn rowless(access: &Access) -> Option<Error> {
    match access {
        Access::Rows => None,
        Access::Aggregates { .. } => {
            Some(Error::new(Code::AggregatesOnly, "the plan gives aggregates, not rows"))
        }
        Access::Dp(_) => {
            Some(Error::new(Code::NoisyOnly, "the plan gives noisy answers, not rows"))
        }
    }
}

/// What one plain stream is made of.
pub(super) struct Pull {
    pub(super) plan: Plan,
    pub(super) snapshot: Snapshot,
    pub(super) shard: u32,
    /// Columns of the plan, in the order in which they leave; one may leave twice.
    pub(super) columns: Vec<usize>,
    /// Their fields, as they leave.
    pub(super) schema: SchemaRef,
}

/// The thread's side of a plain stream.
struct Worker {
    pipeline: Arc<Pipeline>,
    pull: Pull,
    format: Format,
    outlet: Outlet,
    runtime: Handle,
}

impl Worker {
    fn work(mut self) {
        // After a panic nothing of the worker is used but the outlet's counts, for the entry.
        let result = catch_unwind(AssertUnwindSafe(|| self.run())).unwrap_or_else(|_| panicked());
        self.outlet.close(result);
    }

    fn run(&mut self) -> Result<()> {
        let Pull { plan, snapshot, shard, columns, schema } = &self.pull;
        let (mut picks, mut places) = (Vec::new(), Vec::new());
        for column in columns {
            let pick = Pick::Column(*column);
            places.push(picks.iter().position(|known| *known == pick).unwrap_or(picks.len()));
            if places.last() == Some(&picks.len()) {
                picks.push(pick);
            }
        }
        let pieces = snapshot
            .shard(*shard)
            .map(|shard| shard.pieces.clone())
            .ok_or_else(|| Error::new(Code::TicketStale, "there is no such shard"))?;
        let gone = self.outlet.watch();
        let mut rows =
            Rows::open(&self.pipeline, plan, snapshot, &picks, pieces, &|| gone.is_gone())?;
        let limits = self.pipeline.limits;
        let mut sealer = Sealer::new(
            Arc::clone(schema),
            self.format,
            limits.message_bytes,
            limits.message_bytes_max,
        );
        while let Some(batch) = rows.next()? {
            if gone.is_gone() {
                return Err(went_away());
            }
            if batch.rows == 0 {
                continue;
            }
            let columns = places.iter().filter_map(|at| batch.columns.get(*at)).map(Arc::clone);
            let columns = columns.collect();
            let rows = batch.rows;
            // The memory that the read was made into is free for the next, but for what is sealed.
            drop(batch);
            for message in sealer.push(columns, rows)? {
                self.outlet.send_blocking(&self.runtime, message)?;
            }
        }
        for message in sealer.finish()? {
            self.outlet.send_blocking(&self.runtime, message)?;
        }
        Ok(())
    }
}

/// The worker's side of a stream, whoever the worker is: the way out for messages, and how the stream
/// ends. One that is dropped without being closed has failed.
pub(super) struct Outlet {
    sender: mpsc::Sender<Sealed>,
    watch: Watch,
    verdict: Arc<Mutex<Option<Error>>>,
    place: Arc<Reservation>,
    entry: Entry,
    idle: Duration,
    subject: String,
    rows: u64,
    bytes: u64,
}

/// Sees whether the partner is still there.
#[derive(Debug, Clone)]
pub(super) struct Watch(Weak<()>);

impl Watch {
    /// Whether the stream was dropped.
    pub(super) fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl Outlet {
    /// Both sides of a new stream. `subject` is what the operator's log calls it.
    ///
    /// # Errors
    /// [`Code::Internal`] when the schema cannot be sent; the entry is closed then.
    pub(super) fn open(
        limits: Limits,
        schema: SchemaRef,
        format: Format,
        reservation: Reservation,
        entry: Entry,
        subject: String,
    ) -> Result<(Self, SealedStream)> {
        let empty = match Sealer::empty(schema, format) {
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
        let (place, present) = (Arc::new(reservation), Arc::new(()));
        let outlet = Self {
            sender,
            watch: Watch(Arc::downgrade(&present)),
            verdict: Arc::clone(&verdict),
            place: Arc::clone(&place),
            entry,
            idle: limits.idle,
            subject,
            rows: 0,
            bytes: 0,
        };
        let reader = Arc::clone(&place);
        let messages = Messages { receiver, verdict, _place: place, _present: present };
        let messages = keep_alive(Box::pin(messages), empty, limits.keep_alive);
        Ok((outlet, messages.inspect(move |_| reader.took()).boxed()))
    }

    /// Sees from elsewhere whether the partner is still there.
    pub(super) fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// The place that the stream holds, for work that goes on after it ended.
    pub(super) fn place(&self) -> Arc<Reservation> {
        Arc::clone(&self.place)
    }

    /// Notes what was paid for the answer, for the record.
    pub(super) fn note_payment(&mut self, payment: Payment) {
        self.entry.note_payment(payment);
    }

    /// How long a statement may be worked at.
    pub(super) fn query_time(&self) -> Duration {
        self.place.query_time()
    }

    /// Ends when the partner is gone. To be dropped before the stream is closed.
    pub(super) fn gone(&self) -> impl Future<Output = Error> + use<> {
        let sender = self.sender.clone();
        async move {
            sender.closed().await;
            went_away()
        }
    }

    /// Takes a message from the partner's allowance and hands it to the network side; waits while the
    /// partner does not read, up to the limit.
    ///
    /// # Errors
    /// [`Code::Cancelled`] when the partner is gone, [`Code::StreamIdle`] when they stopped reading,
    /// [`Code::RowsDay`] and [`Code::BytesDay`] when the message is more than is left today.
    pub(super) async fn send(&mut self, message: Sealed) -> Result<()> {
        self.charge(&message)?;
        self.deliver(message).await
    }

    /// As [`Outlet::send`], from a thread that may wait.
    fn send_blocking(&mut self, runtime: &Handle, message: Sealed) -> Result<()> {
        self.charge(&message)?;
        let (rows, bytes) = measure(&message);
        match self.sender.try_send(message) {
            Ok(()) => {
                self.count(rows, bytes);
                Ok(())
            }
            Err(mpsc::error::TrySendError::Full(message)) => {
                runtime.block_on(self.deliver(message))
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(went_away()),
        }
    }

    /// INVARIANT: what leaves was taken from the allowance before.
    fn charge(&self, message: &Sealed) -> Result<()> {
        let (rows, bytes) = measure(message);
        self.place.charge(rows, bytes)
    }

    /// The limit is for partners who read nothing: one who reads another of their streams comes to this
    /// one later.
    async fn deliver(&mut self, message: Sealed) -> Result<()> {
        let (rows, bytes) = measure(&message);
        let mut message = message;
        loop {
            let taken = self.place.taken();
            match self.sender.send_timeout(message, self.idle).await {
                Ok(()) => break,
                Err(mpsc::error::SendTimeoutError::Timeout(back))
                    if self.place.taken() != taken =>
                {
                    message = back;
                }
                Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                    return Err(Error::new(Code::StreamIdle, "the partner stopped reading"));
                }
                Err(mpsc::error::SendTimeoutError::Closed(_)) => return Err(went_away()),
            }
        }
        self.count(rows, bytes);
        Ok(())
    }

    const fn count(&mut self, rows: u64, bytes: u64) {
        self.rows += rows;
        self.bytes += bytes;
    }

    /// Closes the entry, and only then lets the partner see that the stream ended. Waits for the disk.
    pub(super) fn close(self, result: Result<()>) {
        let id = self.entry.id().to_owned();
        let outcome = match &result {
            Ok(()) => Outcome::Done,
            Err(error) => Outcome::Failed(error.code()),
        };
        let closed = self.entry.close(outcome, self.rows, self.bytes);
        let failure = result.and(closed).err();
        if let Some(error) = &failure {
            tracing::warn!(
                request = %id,
                code = %error.code(),
                subject = self.subject,
                "stream ended early: {}",
                error.chain()
            );
        }
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        drop(self.place);
        drop(self.sender);
    }
}

/// The rows and bytes of a message.
fn measure(message: &Sealed) -> (u64, u64) {
    (message.rows(), (message.header().len() + message.body().len()) as u64)
}

fn went_away() -> Error {
    Error::new(Code::Cancelled, "the partner went away")
}

/// The result of a worker that panicked.
pub(super) fn panicked<T>() -> Result<T> {
    Err(Error::new(Code::Internal, "a stream's worker panicked"))
}

/// The network's side of a stream: messages, and at the end the verdict.
struct Messages {
    receiver: mpsc::Receiver<Sealed>,
    verdict: Arc<Mutex<Option<Error>>>,
    /// The place is free when the worker ended and the messages are gone: who opens streams and does
    /// not read them fills the memory of a few, whatever the worker's patience.
    _place: Arc<Reservation>,
    /// That the partner is there.
    _present: Arc<()>,
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
