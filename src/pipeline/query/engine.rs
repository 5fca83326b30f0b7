//! The query engine: its threads, its memory, its sessions, and planning. Nothing here reads a row; what a
//! planned query does is in `run`.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SessionState;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::SessionConfig;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;

use super::logical::{Logical, Table};
use super::memory::Memory;
use super::planned::{Planned, Query, Shape, Work, answer, is_ordered, reads};
use super::public::Publics;
use super::spill::Spill;
use super::statement::{CATALOGUE, SCHEMA};
use super::team::{STACK_BYTES, Teams};
use super::{Described, QueryLimits, Statement, Terms, View, catalogue, functions, logical};
use crate::error::{Code, Context, Error, Hint, Result};
use crate::keys::ColumnKeys;
use crate::pipeline::stream::{Limits, Pipeline};
use crate::pipeline::transform::column::canonical;
use crate::policy::Policy;
use crate::policy::plan::Plan;

/// How long planning may take: it reads no row.
const PLANNING_MAX: Duration = Duration::from_secs(30);

/// Plans and runs queries.
#[derive(Debug)]
pub struct Engine {
    pub(super) pipeline: Arc<Pipeline>,
    limits: QueryLimits,
    pub(super) environment: Arc<RuntimeEnv>,
    /// Where statements are planned, watched and sealed; there until the engine is dropped.
    runtime: Option<Runtime>,
    /// Where they are worked at.
    pub(super) teams: Arc<Teams>,
    /// Places for statements that are being planned.
    ///
    /// INVARIANT: a statement holds its place until its planning ended, not until somebody stopped waiting
    /// for it: an optimizer cannot be interrupted, and who asks and hangs up must not have many at work.
    pub(super) planners: Arc<Semaphore>,
    publics: Publics,
    _spill: Spill,
}

impl Engine {
    /// An engine with threads and memory of its own, so that queries take nothing from the network's.
    ///
    /// # Errors
    /// [`Code::Config`] when the folder for spilled data cannot be used or threads cannot be had.
    pub fn new(pipeline: Arc<Pipeline>, limits: QueryLimits) -> Result<Self> {
        let failed = || "the query engine cannot be started".to_owned();
        let spill = Spill::new(&limits.spill)?;
        let disk = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![spill.folder().to_owned()]))
            .with_max_temp_directory_size(limits.spill_bytes);
        let environment = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(Memory::new(limits.memory_bytes)))
            .with_disk_manager_builder(disk)
            .build_arc()
            .context(Code::Config, failed)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(limits.threads.max(1))
            .thread_name("veilflight-plan")
            .thread_stack_size(STACK_BYTES)
            .enable_time()
            .build()
            .context(Code::Config, failed)?;
        let teams = Teams::new(limits.threads);
        let planners = Arc::new(Semaphore::new(limits.threads.max(1) * 2));
        let runtime = Some(runtime);
        let publics = Publics::default();
        Ok(Self { pipeline, limits, environment, runtime, teams, planners, publics, _spill: spill })
    }

    /// Plans a statement over views, on the engine's threads. Parameters that the statement has and
    /// the terms lack stay open: such a query can be described and not run.
    ///
    /// # Errors
    /// [`Code::SqlInvalid`], [`Code::SqlRefused`], [`Code::AggregatesOnly`],
    /// [`Code::ParametersInvalid`], [`Code::QueryTime`].
    pub async fn plan(
        self: &Arc<Self>,
        statement: &Statement,
        terms: &Terms,
        views: Vec<View>,
    ) -> Result<Query> {
        if statement.sql().len() > self.limits.sql_bytes_max {
            let most = self.limits.sql_bytes_max;
            let hint = Hint::new(&format!("a statement may have {most} bytes"));
            return Err(Error::new(Code::SqlRefused, "the statement is too long").hinting(hint));
        }
        let (engine, statement, terms) = (Arc::clone(self), statement.clone(), terms.clone());
        let planning = async move {
            let mut described = Vec::new();
            if statement.reads_information_schema() {
                for view in &views {
                    described.extend(engine.described(view, &terms).await);
                    described.extend(engine.public_tables(view.plan.policy()));
                }
            }
            engine.planned(&statement, &terms, views, &described).await
        };
        self.in_time(planning).await
    }

    /// The views of a dataset's policy with their columns, in the order of the file. One that cannot be
    /// planned is left out, and the operator told.
    ///
    /// # Errors
    /// [`Code::QueryTime`].
    pub async fn describe(self: &Arc<Self>, view: View) -> Result<Vec<Described>> {
        if view.plan.policy().views.is_empty() {
            return Ok(Vec::new());
        }
        let engine = Arc::clone(self);
        self.in_time(async move { Ok(engine.described(&view, &Terms::default()).await) }).await
    }

    /// The public tables of a policy with their columns, in the order of the file. One that cannot be read is
    /// left out, and the operator told. Reads files: not for an async task.
    pub fn public_tables(&self, policy: &Policy) -> Vec<Described> {
        let mut found = Vec::new();
        for table in &policy.public_tables {
            match self.publics.table(policy, &table.name) {
                Ok(Some(public)) => found.push(Described {
                    within: Some(policy.dataset.clone()),
                    name: table.name.clone(),
                    description: format!(
                        "a public table that statements over `{}` may join",
                        policy.dataset
                    ),
                    schema: told(&public.schema()),
                }),
                Ok(None) => {}
                Err(error) => tracing::error!(
                    table = table.name,
                    code = %error.code(),
                    story = error.chain(),
                    "a public table cannot be described"
                ),
            }
        }
        found
    }

    /// Looks at a statement over one view on the engine's threads, where statements are planned: `look` gets the
    /// view as a table and a session for it.
    ///
    /// # Errors
    /// Those of `look`, [`Code::QueryTime`].
    pub(in crate::pipeline) async fn look<T: Send + 'static>(
        self: &Arc<Self>,
        terms: &Terms,
        view: View,
        statement: &Statement,
        look: impl FnOnce(&Table, &SessionState) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (engine, state) = (Arc::clone(self), self.session(terms));
        let statement = statement.clone();
        self.in_time(async move {
            let mut tables = catalogue::tables(&engine.pipeline, std::slice::from_ref(&view));
            engine.publics.fill(&mut tables, &statement)?;
            let none = || Error::new(Code::Internal, "a view that is no table");
            look(tables.first().ok_or_else(none)?, &state)
        })
        .await
    }

    /// Plans on the engine's threads, for as long as planning may take.
    async fn in_time<T: Send + 'static>(
        &self,
        planning: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (runtime, planners) = (self.runtime()?.clone(), Arc::clone(&self.planners));
        let planning = async move {
            let place = planners.acquire_owned().await;
            let handle = runtime.clone();
            let planned = runtime.spawn_blocking(move || {
                let _place = place;
                handle.block_on(planning)
            });
            planned.await
        };
        match tokio::time::timeout(PLANNING_MAX, planning).await {
            Ok(Ok(planned)) => planned,
            Ok(Err(_)) => Err(Error::new(Code::Internal, "planning panicked")),
            Err(_) => Err(Error::new(Code::QueryTime, "planning took too long")),
        }
    }

    async fn described(&self, view: &View, terms: &Terms) -> Vec<Described> {
        let mut found = Vec::new();
        for named in &view.plan.policy().views {
            match self.columns_of(&named.name, view, terms).await {
                Ok(schema) => found.push(Described {
                    within: None,
                    name: named.name.clone(),
                    description: named.description.clone(),
                    schema,
                }),
                // One view out of order must not hide the others; asked for by name, it says why.
                Err(error) => tracing::error!(
                    view = named.name,
                    code = %error.code(),
                    story = error.chain(),
                    "a view cannot be described"
                ),
            }
        }
        found
    }

    /// The columns of an answer that is all of a view.
    async fn columns_of(&self, name: &str, view: &View, terms: &Terms) -> Result<SchemaRef> {
        let statement = logical::whole(name)?;
        match self.planned(&statement, terms, vec![view.clone()], &[]).await {
            Ok(query) => Ok(Arc::clone(query.schema())),
            // Its rows are not given; what can be asked of them is.
            Err(error) if matches!(error.code(), Code::AggregatesOnly | Code::NoisyOnly) => {
                let tables = catalogue::tables(&self.pipeline, std::slice::from_ref(view));
                Ok(told(&logical::described(name, &tables, &self.session(terms))?))
            }
            Err(error) => Err(error),
        }
    }

    async fn planned(
        &self,
        statement: &Statement,
        terms: &Terms,
        views: Vec<View>,
        described: &[Described],
    ) -> Result<Query> {
        let mut state = self.session(terms);
        let mut tables = catalogue::tables(&self.pipeline, &views);
        self.publics.fill(&mut tables, statement)?;
        let logical = logical::plan(statement, terms, &tables, described, &state)?;
        let asks_the_time = asks_the_time(statement.sql()) || logical.views_ask_the_time;
        let work = if logical.open {
            Work::Open
        } else {
            match Shape::of(&logical.plan, asks_the_time)? {
                Shape::Direct { view, columns } => Work::Direct { view, columns },
                Shape::ByRow { view } => {
                    // One endpoint, one thread, as for plain pulls; and the rows come in order.
                    state.config_mut().options_mut().execution.target_partitions = 1;
                    let shards = view.snapshot.shards();
                    Work::ByRow { plan: physical(&logical, &state).await?, shards }
                }
                Shape::Whole => Work::Whole(physical(&logical, &state).await?),
            }
        };
        let runs = match &work {
            Work::ByRow { plan, .. } | Work::Whole(plan) => Some(plan.schema()),
            Work::Direct { .. } | Work::Open => None,
        };
        Ok(Query(Arc::new(Planned {
            schema: answer(&logical, runs.as_ref())?,
            parameters: Arc::clone(&logical.parameters),
            ordered: is_ordered(&logical.plan),
            reads: reads(&logical.plan)?,
            views,
            work,
            state,
        })))
    }

    /// A session for one statement.
    ///
    /// INVARIANT: it knows no table, no file format, no table function and no way to a file; what it can
    /// read is handed to `logical`.
    fn session(&self, terms: &Terms) -> SessionState {
        session(self.options(terms), Arc::clone(&self.environment))
    }

    fn options(&self, terms: &Terms) -> ConfigOptions {
        let threads = self.limits.threads.max(1);
        let mut options = ConfigOptions::new();
        options.catalog.create_default_catalog_and_schema = false;
        options.catalog.default_catalog = CATALOGUE.to_owned();
        options.catalog.default_schema = SCHEMA.to_owned();
        options.catalog.information_schema = false;
        options.sql_parser.enable_ident_normalization = false;
        options.execution.target_partitions = threads;
        options.execution.time_zone = Some(terms.time_zone.clone().unwrap_or("UTC".to_owned()));
        // What sorts put by for merging must leave something to sort in, also where memory is small.
        let reserved = self.limits.memory_bytes / threads / 8;
        let sorts = &mut options.execution.sort_spill_reservation_bytes;
        *sorts = (*sorts).min(reserved);
        // PRIVACY: filters that joins and sorts make while they run would be for the scan, which takes none.
        options.optimizer.enable_dynamic_filter_pushdown = false;
        options
    }

    /// The keys by which the rows of each unit are chosen, where there are more than a grant takes.
    pub(in crate::pipeline) fn sample_keys(&self, plan: &Plan) -> ColumnKeys {
        let ring = self.pipeline.ring();
        let epoch = plan.policy().epoch.unwrap_or_else(|| ring.newest());
        let domain = format!("sample:{}", plan.dataset());
        ColumnKeys::new(Arc::clone(ring), &domain, plan.audience(), epoch)
    }

    /// The bounds of each stream.
    pub(in crate::pipeline) fn stream_limits(&self) -> Limits {
        self.pipeline.limits()
    }

    /// Where the engine works.
    ///
    /// # Errors
    /// [`Code::ShuttingDown`] when it is being dropped.
    pub(in crate::pipeline) fn runtime(&self) -> Result<&Handle> {
        let runtime = self.runtime.as_ref();
        runtime
            .map(Runtime::handle)
            .ok_or_else(|| Error::new(Code::ShuttingDown, "no more queries"))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Whoever drops the engine may be a thread that must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A session that knows no table, no file format, no table function and no way to a file.
pub(super) fn session(options: ConfigOptions, environment: Arc<RuntimeEnv>) -> SessionState {
    let functions = functions::allowed();
    let mut state = SessionStateBuilder::new()
        .with_config(SessionConfig::from(options))
        .with_runtime_env(environment)
        .with_expr_planners(functions.planners().to_vec())
        .with_scalar_functions(functions.all_scalar())
        .with_aggregate_functions(functions.all_aggregate())
        .with_window_functions(functions.all_window())
        .build();
    // What the functions of time tell, for the whole statement.
    state.mark_start_execution();
    state
}

/// Whether a statement may ask what time it is. The planner puts the time in its place, so the plan does
/// not show it; a text that has the word for another reason loses nothing but its split.
pub(super) fn asks_the_time(sql: &str) -> bool {
    let sql = sql.to_ascii_lowercase();
    ["now", "current_", "today", "localtime"].iter().any(|word| sql.contains(word))
}

/// Columns as they are told of where no plan runs: any may be null.
fn told(seen: &SchemaRef) -> SchemaRef {
    let field = |field: &Arc<Field>| {
        let kind = canonical(field.data_type());
        field.as_ref().clone().with_data_type(kind).with_nullable(true)
    };
    Arc::new(Schema::new(seen.fields().iter().map(field).collect::<Vec<_>>()))
}

/// The plan that runs.
pub(super) async fn physical(
    logical: &Logical,
    state: &SessionState,
) -> Result<Arc<dyn datafusion::physical_plan::ExecutionPlan>> {
    let planner = Arc::clone(state.query_planner());
    planner.create_physical_plan(&logical.plan, state).await.map_err(|error| unplanned(&error))
}

/// What went wrong where a checked plan could not be made one that runs.
pub(super) fn unplanned(error: &DataFusionError) -> Error {
    let code = match error.find_root() {
        DataFusionError::NotImplemented(_) => Code::SqlRefused,
        DataFusionError::Plan(_) | DataFusionError::SchemaError(..) => Code::SqlInvalid,
        _ => Code::QueryFailed,
    };
    // PRIVACY: no row was read, but parameters were; the library's words end here.
    Error::new(code, format!("the statement has no plan that runs: {}", super::run::kind(error)))
}
