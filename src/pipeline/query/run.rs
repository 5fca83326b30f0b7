//! One query under way: the batches that its team makes, sealed under the answer's schema and handed to
//! the network side, within the time that the statement has. Ends its streams as plain pulls do.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::execution::context::SessionState;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, execute_stream_partitioned};
use futures::FutureExt;
use tokio::runtime::Handle;
use tokio::task::JoinError;
use tokio::time::{Instant, timeout};

use super::brake;
use super::engine::{Engine, unplanned};
use super::planned::{Planned, Query, Work};
use super::team::{Errand, Labour, Teams};
use super::view::ViewScan;
use crate::audit::{Entry, Outcome};
use crate::budget::Reservation;
use crate::error::{Code, Error, Result};
use crate::identity::Partner;
use crate::pipeline::format::Format;
use crate::pipeline::seal::Sealer;
use crate::pipeline::stream::{Outlet, Pull, SealedStream, Watch, panicked};

/// Tells scans to stop where they cannot be dropped: while they learn, and below an operator that takes
/// batch after batch without a pause.
#[derive(Debug)]
pub(super) struct Stop {
    /// Where it matters whether the partner is still there.
    watch: Option<Watch>,
    until: Instant,
    /// Held by the run as long as it wants batches.
    wanted: Weak<()>,
}

impl Stop {
    /// Whether nobody waits for what is read: the run ended, whatever the reason.
    pub(super) fn is_over(&self) -> bool {
        self.wanted.strong_count() == 0
    }

    /// Whether the partner is gone or the time is over.
    pub(super) fn is_asked(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::is_gone) || Instant::now() >= self.until
    }
}

impl Engine {
    /// Opens the stream of one shard of a query's answer. Who asks, what was planned, what was reserved and
    /// what is recorded: all four are needed.
    ///
    /// The entry closes when the stream ends, fails or is dropped. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// [`Code::ParametersInvalid`] when parameters are open, [`Code::TicketStale`] when there is no such
    /// shard, [`Code::DatasetUnknown`] when the query was planned for another partner.
    pub fn open(
        self: &Arc<Self>,
        partner: &Partner,
        query: Query,
        shard: u32,
        format: Format,
        reservation: Reservation,
        entry: Entry,
    ) -> Result<SealedStream> {
        if let Work::Direct { view, columns } = &query.0.work {
            let pull = Pull {
                plan: view.plan.clone(),
                snapshot: view.snapshot.clone(),
                shard,
                columns: columns.clone(),
                schema: Arc::clone(&query.0.schema),
            };
            return self.pipeline.pull(partner, pull, format, reservation, entry);
        }
        let plan = match runnable(partner, &query.0, shard) {
            Ok(plan) => plan,
            Err(error) => {
                entry.close(Outcome::Failed(error.code()), 0, 0)?;
                return Err(error);
            }
        };
        let limits = self.pipeline.limits();
        let schema = Arc::clone(&query.0.schema);
        let names: Vec<&str> = query.0.reads.iter().map(|(name, _)| name.as_str()).collect();
        let subject = format!("a query of `{}`", names.join("`, `"));
        let (outlet, stream) =
            Outlet::open(limits, Arc::clone(&schema), format, reservation, entry, subject)?;
        let sealer = Sealer::new(schema, format, limits.message_bytes, limits.message_bytes_max);
        let state = query.0.state.clone();
        let run = Run::new(Arc::clone(&self.teams), plan, state, sealer, &outlet);
        // A runtime that is being shut down drops what it is given: then the outlet says so.
        self.runtime()?.spawn(run.work(outlet));
        Ok(stream)
    }

    /// Works a plan over what may leave anyway, and sends its rows: what stands above an answer that noise was
    /// added to. On one thread, so that the same answer gives the same bytes.
    ///
    /// # Errors
    /// As for statements, from planning to sending.
    pub(in crate::pipeline) async fn send(
        &self,
        plan: &LogicalPlan,
        mut state: SessionState,
        schema: SchemaRef,
        format: Format,
        outlet: &mut Outlet,
    ) -> Result<()> {
        state.config_mut().options_mut().execution.target_partitions = 1;
        let plan = state.create_physical_plan(plan).await.map_err(|error| unplanned(&error))?;
        let limits = self.pipeline.limits();
        let sealer = Sealer::new(schema, format, limits.message_bytes, limits.message_bytes_max);
        Run::new(Arc::clone(&self.teams), plan, state, sealer, outlet).run(outlet).await
    }

    /// Has a team of its own do some work that ends with a value: on its threads, in `place`, within `left`. It
    /// goes on when the partner is gone, and stops where its time is over or this is dropped.
    ///
    /// # Errors
    /// [`Code::QueryTime`], [`Code::Internal`] where it panicked, and its own.
    pub(in crate::pipeline) async fn errand<T, W>(
        &self,
        mut state: SessionState,
        place: Arc<Reservation>,
        left: Duration,
        work: impl FnOnce(SessionState) -> W,
    ) -> Result<T>
    where
        T: Send + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let wanted = Arc::new(());
        let until = Instant::now() + left;
        let stop = Stop { watch: None, until, wanted: Arc::downgrade(&wanted) };
        state.config_mut().set_extension(Arc::new(stop));
        let mut errand = Errand::start(&self.teams, Handle::current(), work(state), place)?;
        timeout(left, errand.done()).await.map_err(|_| too_long())?
    }
}

/// The plan of one shard, fresh.
fn runnable(partner: &Partner, query: &Planned, shard: u32) -> Result<Arc<dyn ExecutionPlan>> {
    if query.views.iter().any(|view| view.plan.partner() != partner.name()) {
        return Err(Error::new(Code::DatasetUnknown, "the query was planned for another partner"));
    }
    let no_such_shard = || Error::new(Code::TicketStale, format!("there is no shard {shard}"));
    let fresh = |plan: &Arc<dyn ExecutionPlan>| {
        reset_plan_states(Arc::clone(plan)).map_err(|error| inward(&error))
    };
    match &query.work {
        Work::ByRow { plan, shards } if shard < *shards => of_shard(fresh(plan)?, shard),
        Work::Whole(plan) if shard == 0 => fresh(plan),
        Work::ByRow { .. } | Work::Whole(_) | Work::Direct { .. } => Err(no_such_shard()),
        Work::Open => Err(Error::new(Code::ParametersInvalid, "parameters have no values")),
    }
}

/// The same plan over one shard of its view.
fn of_shard(plan: Arc<dyn ExecutionPlan>, shard: u32) -> Result<Arc<dyn ExecutionPlan>> {
    let narrowed = plan.transform_up(|node| {
        let Some(scan) = node.downcast_ref::<ViewScan>() else { return Ok(Transformed::no(node)) };
        let scan = scan.of_shard(shard).map_err(super::view::outward)?;
        Ok(Transformed::yes(Arc::new(scan) as Arc<dyn ExecutionPlan>))
    });
    narrowed.map(|narrowed| narrowed.data).map_err(|error| inward(&error))
}

/// The engine's side of a stream.
struct Run {
    teams: Arc<Teams>,
    plan: Arc<dyn ExecutionPlan>,
    state: SessionState,
    stop: Stop,
    sealer: Sealer,
    left: Duration,
}

impl Run {
    fn new(
        teams: Arc<Teams>,
        plan: Arc<dyn ExecutionPlan>,
        state: SessionState,
        sealer: Sealer,
        outlet: &Outlet,
    ) -> Self {
        let left = outlet.query_time();
        let watch = Some(outlet.watch());
        let stop = Stop { watch, until: Instant::now() + left, wanted: Weak::new() };
        Self { teams, plan, state, stop, sealer, left }
    }

    async fn work(self, mut outlet: Outlet) {
        // After a panic nothing of the run is used but the outlet's counts, for the entry.
        let result = AssertUnwindSafe(self.run(&mut outlet)).catch_unwind().await;
        let result = result.unwrap_or_else(|_| panicked());
        tokio::task::block_in_place(|| outlet.close(result));
    }

    async fn run(mut self, outlet: &mut Outlet) -> Result<()> {
        let gone = outlet.gone();
        tokio::pin!(gone);
        let wanted = Arc::new(());
        self.stop.wanted = Arc::downgrade(&wanted);
        let stop = Arc::new(self.stop);
        let plan = brake::fitted(self.plan, &stop).map_err(|error| inward(&error))?;
        self.state.config_mut().set_extension(stop);
        let context: Arc<TaskContext> = self.state.task_ctx();
        let (supervisor, place) = (Handle::current(), outlet.place());
        let mut labour = Labour::start(&self.teams, supervisor, plan, context, place)?;
        // INVARIANT: the time that the partner takes to read is not the statement's.
        loop {
            let started = Instant::now();
            let next = tokio::select! {
                biased;
                error = &mut gone => return Err(error),
                next = timeout(self.left, labour.next()) => next.map_err(|_| too_long())??,
            };
            let messages = match next {
                Some(batch) => {
                    if batch.num_rows() == 0 {
                        continue;
                    }
                    // Texts leave the engine as views and the like; the seal knows all shapes of a type.
                    self.sealer.push(batch.columns().to_vec(), batch.num_rows())?
                }
                None => break,
            };
            self.left = self.left.checked_sub(started.elapsed()).ok_or_else(too_long)?;
            for message in messages {
                outlet.send(message).await?;
            }
        }
        for message in self.sealer.finish()? {
            outlet.send(message).await?;
        }
        Ok(())
    }
}

/// The streams of a plan that was checked, one for each thread of the session. Where the session knows when
/// to stop, they do.
///
/// # Errors
/// What the engine says.
pub(in crate::pipeline) async fn streams(
    plan: &LogicalPlan,
    state: &SessionState,
) -> Result<Vec<SendableRecordBatchStream>> {
    let streams = async {
        let mut plan = state.create_physical_plan(plan).await?;
        if let Some(stop) = state.config().get_extension::<Stop>() {
            plan = brake::fitted(plan, &stop)?;
        }
        execute_stream_partitioned(plan, state.task_ctx())
    };
    streams.await.map_err(|error| inward(&error))
}

fn too_long() -> Error {
    Error::new(Code::QueryTime, "the statement was worked at for too long")
}

/// An error of the engine as one of ours.
///
/// PRIVACY: the library's words may hold values. Of its own errors only the kind is kept; ours, from the
/// scan of a view, hold no value and come through as they were made.
pub(in crate::pipeline) fn inward(error: &DataFusionError) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(ours) = inner.downcast_ref::<Error>() {
            return Error::new(ours.code(), ours.chain());
        }
        let join = inner.downcast_ref::<JoinError>();
        let join = join.or_else(|| inner.downcast_ref::<Arc<JoinError>>().map(AsRef::as_ref));
        if join.is_some_and(JoinError::is_panic) {
            return Error::new(Code::Internal, "a part of a statement's work panicked");
        }
        cause = inner.source();
    }
    let code = match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => Code::QueryMemory,
        // Nothing but what was spilled is written or read here; our own scans' errors are ours.
        DataFusionError::IoError(_) => Code::QueryMemory,
        DataFusionError::ArrowError(error, _) if matches!(**error, ArrowError::IoError(..)) => {
            Code::QueryMemory
        }
        _ => Code::QueryFailed,
    };
    Error::new(code, format!("the statement failed while it ran: {}", kind(error)))
}

/// What kind of error it is, in a word and without its text.
pub(super) fn kind(error: &DataFusionError) -> &'static str {
    match error.find_root() {
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::CastError(_) => "a cast",
            ArrowError::ParseError(_) => "a text that is none of what it is read as",
            ArrowError::DivideByZero => "a division by zero",
            ArrowError::ArithmeticOverflow(_) => "an overflow",
            ArrowError::ComputeError(_) => "a computation",
            ArrowError::MemoryError(_) => "memory",
            ArrowError::IoError(..) => "reading or writing spilled data",
            _ => "arrow",
        },
        DataFusionError::Execution(_) => "an execution error",
        DataFusionError::ExecutionJoin(_) => "a task that died",
        DataFusionError::Internal(_) => "an internal error of the engine",
        DataFusionError::IoError(_) => "reading or writing spilled data",
        DataFusionError::NotImplemented(_) => "what the engine has not",
        DataFusionError::Plan(_) => "a plan error",
        DataFusionError::ResourcesExhausted(_) => "memory or room for spilling",
        DataFusionError::SchemaError(..) => "a schema error",
        _ => "an error of another kind",
    }
}
