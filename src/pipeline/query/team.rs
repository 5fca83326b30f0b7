//! The threads that a statement works on: a team of its own, as long as it works. A join may compute for
//! a minute without a pause; it then takes processor time from others, which the system shares out, and
//! not the threads on which others are planned and told that their time is over.
//!
//! Teams are kept for the next statement, since fresh threads have to fetch all their memory again.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::run::inward;
use crate::budget::Reservation;
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::stream::panicked;

/// The stack of a thread: plans are trees, and are walked as such.
pub(super) const STACK_BYTES: usize = 8 << 20;

/// Teams that are kept while nobody needs them.
const IDLE_MAX: usize = 4;

/// When a team that was told to stop is first looked at; each time later, up to the longest pause.
const LOOK_FIRST: Duration = Duration::from_millis(1);
const LOOK_LAST: Duration = Duration::from_millis(50);

/// Batches that wait between a team and whoever seals them.
const BATCHES_WAITING: usize = 1;

/// All teams of an engine.
#[derive(Debug)]
pub(super) struct Teams {
    threads: usize,
    idle: Mutex<Vec<Team>>,
}

/// The threads of one statement.
#[derive(Debug)]
struct Team(Option<Runtime>);

impl Teams {
    /// Teams of this many threads.
    pub(super) fn new(threads: usize) -> Arc<Self> {
        Arc::new(Self { threads, idle: Mutex::default() })
    }

    fn take(&self) -> Result<Team> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(team) = idle {
            return Ok(team);
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(self.threads.max(1))
            .thread_name("veilflight-query")
            .thread_stack_size(STACK_BYTES)
            .enable_time()
            .build()
            .context(Code::Internal, || "there are no threads for a statement".to_owned())?;
        Ok(Team(Some(runtime)))
    }

    /// Keeps a team that has nothing to do any more.
    fn keep(&self, team: Team) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(team);
        }
    }
}

impl Team {
    fn handle(&self) -> Result<&Handle> {
        let runtime = self.0.as_ref().map(Runtime::handle);
        runtime.ok_or_else(|| Error::new(Code::Internal, "a team without threads"))
    }

    fn is_at_work(&self) -> bool {
        self.0.as_ref().is_some_and(|runtime| runtime.metrics().num_alive_tasks() > 0)
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        // Whoever drops it may be a thread that must not wait.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A plan at work on a team of its own. Dropping it stops the work at its next pause.
pub(super) struct Labour {
    batches: mpsc::Receiver<Result<RecordBatch, DataFusionError>>,
    task: Option<JoinHandle<()>>,
    /// What goes home when the last task of the plan ended.
    after: Option<After>,
}

/// A team and the place of its statement.
///
/// INVARIANT: a statement holds its place until its threads are free, however long ago its partner was
/// told that it ended; or who cancels statements that never pause would have any number of them at work.
struct After {
    team: Team,
    teams: Arc<Teams>,
    place: Arc<Reservation>,
    supervisor: Handle,
}

impl Labour {
    /// Sets a plan to work. `supervisor` is where its end is waited for.
    ///
    /// # Errors
    /// [`Code::Internal`] when the system has no threads.
    pub(super) fn start(
        teams: &Arc<Teams>,
        supervisor: Handle,
        plan: Arc<dyn ExecutionPlan>,
        context: Arc<TaskContext>,
        place: Arc<Reservation>,
    ) -> Result<Self> {
        let team = teams.take()?;
        let (sender, batches) = mpsc::channel(BATCHES_WAITING);
        let task = team.handle()?.spawn(async move {
            let mut results = match execute_stream(plan, context) {
                Ok(results) => results,
                Err(error) => {
                    let _ = sender.send(Err(error)).await;
                    return;
                }
            };
            while let Some(batch) = results.next().await {
                let last = batch.is_err();
                if sender.send(batch).await.is_err() || last {
                    return;
                }
            }
        });
        let after = After { team, teams: Arc::clone(teams), place, supervisor };
        Ok(Self { batches, task: Some(task), after: Some(after) })
    }

    /// The next batch, or nothing at the end.
    ///
    /// # Errors
    /// What the plan ran into, as one of ours.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        if let Some(batch) = self.batches.recv().await {
            return batch.map(Some).map_err(|error| inward(&error));
        }
        // A plan that died must not pass for one that ended.
        match self.task.take() {
            Some(task) => match task.await {
                Ok(()) => Ok(None),
                Err(_) => panicked(),
            },
            None => Ok(None),
        }
    }
}

impl Drop for Labour {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        if let Some(after) = self.after.take() {
            after.go_home();
        }
    }
}

impl After {
    /// Waits for the last task, elsewhere.
    fn go_home(self) {
        let supervisor = self.supervisor.clone();
        // Where the engine is being dropped, this is dropped too, and the threads end by themselves.
        supervisor.spawn(async move {
            // Taken apart in here, so that the place is kept as long as this waits.
            let Self { team, teams, place, .. } = self;
            let mut pause = LOOK_FIRST;
            while team.is_at_work() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LOOK_LAST);
            }
            teams.keep(team);
            drop(place);
        });
    }
}

/// Work that ends with a value, on a team of its own. Dropping it stops the work at its next pause.
pub(super) struct Errand<T> {
    task: JoinHandle<Result<T>>,
    after: Option<After>,
}

impl<T: Send + 'static> Errand<T> {
    /// Sets to work. `supervisor` is where the end is waited for.
    ///
    /// # Errors
    /// [`Code::Internal`] when the system has no threads.
    pub(super) fn start(
        teams: &Arc<Teams>,
        supervisor: Handle,
        work: impl Future<Output = Result<T>> + Send + 'static,
        place: Arc<Reservation>,
    ) -> Result<Self> {
        let team = teams.take()?;
        let task = team.handle()?.spawn(work);
        let after = After { team, teams: Arc::clone(teams), place, supervisor };
        Ok(Self { task, after: Some(after) })
    }

    /// What came of it. To be asked once.
    ///
    /// # Errors
    /// Its own, [`Code::Internal`] where it panicked.
    pub(super) async fn done(&mut self) -> Result<T> {
        (&mut self.task).await.unwrap_or_else(|_| panicked())
    }
}

impl<T> Drop for Errand<T> {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(after) = self.after.take() {
            after.go_home();
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Schema, SchemaRef};
    use datafusion::execution::SendableRecordBatchStream;
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
    use futures::stream;

    use super::*;
    use crate::budget::{Admission, Quotas};
    use crate::clock::SystemClock;
    use crate::identity::tests::partner;
    use crate::state::Sqlite;

    /// A plan that does not pause before it is told to, and then ends or dies.
    #[derive(Debug)]
    struct Stubborn {
        told: Mutex<std::sync::mpsc::Receiver<bool>>,
        begun: Arc<tokio::sync::Notify>,
    }

    impl PartitionStream for Stubborn {
        fn schema(&self) -> &SchemaRef {
            static EMPTY: std::sync::LazyLock<SchemaRef> =
                std::sync::LazyLock::new(|| Arc::new(Schema::empty()));
            &EMPTY
        }

        fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
            let (sender, told) = std::sync::mpsc::channel();
            let told = std::mem::replace(&mut *self.told.lock().unwrap(), told);
            let begun = Arc::clone(&self.begun);
            let work = stream::once(async move {
                let _sender = sender;
                begun.notify_one();
                assert!(told.recv().unwrap(), "as was to be shown");
                Ok(RecordBatch::new_empty(Arc::new(Schema::empty())))
            });
            Box::pin(RecordBatchStreamAdapter::new(Arc::clone(self.schema()), work))
        }
    }

    fn admission() -> Arc<Admission> {
        let store = Arc::new(Sqlite::in_memory(Arc::new(SystemClock)).unwrap());
        let quotas = Quotas {
            streams_max: 4,
            streams_partner_max: 4,
            queries_max: 4,
            queries_partner_max: 4,
            queries_waiting_partner_max: 4,
            queue: Duration::from_secs(60),
            query: Duration::from_secs(60),
            rows_day: None,
            bytes_day: None,
        };
        Admission::new(quotas, store, Arc::new(SystemClock))
    }

    async fn start(
        teams: &Arc<Teams>,
        admission: &Arc<Admission>,
    ) -> (Labour, std::sync::mpsc::Sender<bool>) {
        let (tell, told) = std::sync::mpsc::channel();
        let begun = Arc::default();
        let work = Arc::new(Stubborn { told: Mutex::new(told), begun: Arc::clone(&begun) });
        let schema = Arc::clone(work.schema());
        let plan = StreamingTableExec::try_new(schema, vec![work], None, vec![], false, None);
        let place = Arc::new(admission.reserve(&partner("cern"), &[]).unwrap());
        let plan = Arc::new(plan.unwrap());
        let labour = Labour::start(teams, Handle::current(), plan, Arc::default(), place).unwrap();
        (labour, tell)
    }

    #[tokio::test]
    async fn work_that_does_not_pause_keeps_its_place_and_nobody_waits_for_it() {
        let (teams, admission) = (Teams::new(1), admission());
        let (mut stuck, tell) = start(&teams, &admission).await;
        // Its time can be over although it does not pause.
        assert!(tokio::time::timeout(Duration::from_millis(20), stuck.next()).await.is_err());
        drop(stuck);
        // Another statement is worked at meanwhile.
        let (mut other, go) = start(&teams, &admission).await;
        go.send(true).unwrap();
        assert!(other.next().await.unwrap().is_some());
        assert!(other.next().await.unwrap().is_none());
        drop(other);
        while admission.open_streams() > 1 {
            tokio::time::sleep(LOOK_FIRST).await;
        }
        tokio::time::sleep(LOOK_LAST * 2).await;
        assert_eq!(admission.open_streams(), 1, "the place of threads that are not free");
        tell.send(true).unwrap();
        while admission.open_streams() > 0 {
            tokio::time::sleep(LOOK_FIRST).await;
        }
        while teams.idle.lock().unwrap().len() < 2 {
            tokio::time::sleep(LOOK_FIRST).await;
        }
    }

    #[tokio::test]
    async fn work_that_dies_does_not_pass_for_work_that_ended() {
        let (teams, admission) = (Teams::new(1), admission());
        let (mut labour, tell) = start(&teams, &admission).await;
        tell.send(false).unwrap();
        assert_eq!(labour.next().await.unwrap_err().code(), Code::Internal);
    }
}
