//! A partner's pull or statement on the custodian's own machine: the same policies, plan, snapshot,
//! pipeline, query engine and audit log as over the wire, without a network. What comes out is what the
//! partner would get, decoded from the sealed messages; there is no other way to rows here.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::audit::{Entry, Log, Outcome, Read, Request, Statement as Asked};
use crate::budget::{Admission, Quotas};
use crate::cli::place::Place;
use crate::clock::Clock;
use crate::config::{RawSettings, Settings};
use crate::diagnostic::no_policy_has;
use crate::error::{Code, Context, Error, Result};
use crate::identity::{Credentials, Custodian, Identity, Partner};
use crate::pipeline::query::{Engine, Query, Statement, Terms, View};
use crate::pipeline::release::store::Releases;
use crate::pipeline::source::{Snapshot, snapshot};
use crate::pipeline::stream::{Limits, Pipeline};
use crate::pipeline::verify::{Outputs, Rules, Scanned, identifying, scan};
use crate::policy::plan::{Plan, access, plan};
use crate::policy::{Access, Policy};
use crate::server::loader;
use crate::wire::catalog::Catalog;
use crate::wire::sql::statement::{all_of, means, named};

mod pull;
#[cfg(test)]
pub(crate) mod tests;

pub use crate::pipeline::source::RawSize;
pub use pull::Pull;
use pull::{Source, Work};

/// How long anything may take here: nobody else waits for it, and what reads may be a slow disk.
const PATIENCE: Duration = Duration::from_secs(30 * 24 * 3600);

/// What the audit log says that rows were taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// Files for the partner.
    Export,
    /// A report.
    #[default]
    Report,
    /// A comparison of files with what the partner may have.
    Verify,
}

impl Purpose {
    /// The method's name in the audit log.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Report => "report",
            Self::Verify => "verify",
        }
    }
}

/// One dataset as it was when a pull began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub dataset: String,
    /// The digest of the policy.
    pub policy_digest: String,
    /// The version of the data.
    pub data_version: String,
}

/// The rooms that answering needs, on this machine. Not for async tasks: it waits for its own threads.
#[derive(Debug, Clone)]
pub struct Local {
    rooms: Arc<Rooms>,
    purpose: Purpose,
}

#[derive(Debug)]
struct Rooms {
    catalog: Catalog,
    identity: Identity,
    pipeline: Arc<Pipeline>,
    engine: Arc<Engine>,
    admission: Arc<Admission>,
    log: Log,
    clock: Arc<dyn Clock>,
    threads: Threads,
}

/// Where streams are worked at; ends without waiting, for whoever drops it may be a thread that must not.
#[derive(Debug)]
struct Threads(Option<Runtime>);

impl Threads {
    fn handle(&self) -> Result<&Handle> {
        let gone = || Error::new(Code::ShuttingDown, "no more streams");
        self.0.as_ref().map(Runtime::handle).ok_or_else(gone)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Local {
    /// Opens the custodian's keys and state, and all policies of a folder.
    ///
    /// # Errors
    /// [`Code::Keys`] and [`Code::State`] when they cannot be had, [`Code::Policy`] when a policy is
    /// invalid, [`Code::Config`] when the folder cannot be read.
    pub fn open(place: &Place, policies: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        let settings = settings(&place.state)?;
        let ring = place.ring()?;
        // A key beside the state says that the folder is no misspelt one.
        let store = match &place.key {
            None => place.open_or_create(Arc::clone(&clock))?,
            Some(_) => place.open(Arc::clone(&clock))?,
        };
        let failed = || "threads cannot be had".to_owned();
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .thread_name("veilflight-local")
            .build()
            .context(Code::Config, failed)?;
        let limits = Limits { idle: PATIENCE, keep_alive: PATIENCE, ..settings.limits };
        let pipeline = Pipeline::new(Arc::clone(&ring), Arc::clone(&store) as _, limits);
        let pipeline = Arc::new(pipeline);
        let releases = Releases::new(&place.state, Arc::clone(&ring));
        let rooms = Rooms {
            catalog: Catalog::open(policies, settings.shards_max, releases, loader())?,
            identity: Identity::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&ring)),
            engine: Arc::new(Engine::new(Arc::clone(&pipeline), settings.query)?),
            pipeline,
            admission: Admission::new(quotas(), Arc::clone(&store), Arc::clone(&clock)),
            log: Log::new(store, Arc::clone(&clock), ring),
            clock,
            threads: Threads(Some(runtime)),
        };
        Ok(Self { rooms: Arc::new(rooms), purpose: Purpose::default() })
    }

    /// The same, for another purpose.
    #[must_use]
    pub fn for_purpose(&self, purpose: Purpose) -> Self {
        Self { rooms: Arc::clone(&self.rooms), purpose }
    }

    /// The policy of a dataset, or of a view, of which `partner` may have something.
    ///
    /// # Errors
    /// [`Code::DatasetUnknown`] when there is no such name or no grant: the custodian is told which;
    /// [`Code::NoisyOnly`] where the grant is for answers with noise.
    pub fn granted(&self, partner: &str, name: &str) -> Result<Arc<Policy>> {
        let policies = self.rooms.catalog.policies();
        let of_view = || policies.values().find(|policy| policy.view(name).is_some());
        let Some(policy) = policies.get(name).or_else(of_view) else {
            let names = policies.values().flat_map(|policy| policy.names());
            return Err(Error::new(
                Code::DatasetUnknown,
                no_policy_has("dataset or view", name, names),
            ));
        };
        match access(policy, partner, self.rooms.clock.today()) {
            Some(Access::Rows | Access::Aggregates { .. }) => Ok(Arc::clone(policy)),
            Some(Access::Dp(_)) => Err(noisy(policy, partner)),
            None => Err(Error::new(Code::DatasetUnknown, ungranted(policy, partner))),
        }
    }

    /// All rows of a dataset or a view, as `partner` would pull them: of a dataset, in the order of its files.
    ///
    /// # Errors
    /// [`Code::DatasetUnknown`] without a grant, [`Code::AggregatesOnly`] where it does not give these rows,
    /// [`Code::CredentialsRefused`] for a partner who is disabled, and what planning says.
    pub fn pull(&self, partner: &str, name: &str) -> Result<Pull> {
        let partner = self.partner(partner)?;
        let policy = self.granted(partner.name(), name)?;
        if policy.dataset != name {
            return self.query(partner.name(), &all_of(name));
        }
        if access(&policy, partner.name(), self.rooms.clock.today()) != Some(&Access::Rows) {
            let what = format!(
                "`{}` is granted aggregates of `{name}`, not rows; ask in SQL, with GROUP BY",
                partner.name()
            );
            return Err(Error::new(Code::AggregatesOnly, what));
        }
        let request = Request {
            dataset: Some(policy.dataset.clone()),
            policy_digest: Some(policy.digest.clone()),
            columns: leaving(&policy),
            ..self.request(&partner)
        };
        let looked = self.rooms.log.open(request.clone())?;
        let planned = self.block_on(self.planned(&partner, &policy));
        let (plan, snapshot) = closing(looked, planned)?;
        let seen = vec![seen(&plan, snapshot.version())];
        let (schema, shards) = (Arc::clone(plan.schema()), snapshot.shards());
        let work = Work::Rows(Box::new(View { plan, snapshot }));
        Ok(self.source(partner, request, work, shards).into_pull(schema, seen))
    }

    /// How many rows a pull of a dataset or a view gives now.
    ///
    /// # Errors
    /// As [`Self::pull`], also where the rows cannot be read.
    pub fn count(&self, partner: &str, name: &str) -> Result<u64> {
        let policy = self.granted(partner, name)?;
        if policy.dataset != name {
            // A view may count already, and who has aggregates cannot count these.
            return self.pull(partner, name)?.map(|rows| Ok(rows?.num_rows() as u64)).sum();
        }
        let counted = self.query(partner, &format!("SELECT count(*) FROM \"{name}\""))?;
        let count = |rows: Result<RecordBatch>| {
            let rows = rows?;
            let count = rows.columns().first().map(|column| column.as_primitive::<Int64Type>());
            let count = count.and_then(|count| count.values().first().copied());
            Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
        };
        counted.map(count).sum()
    }

    /// The answer to a statement, as `partner` would get it.
    ///
    /// # Errors
    /// Those of parsing and planning; [`Code::DatasetUnknown`] for a name that the partner's catalogue
    /// does not hold.
    pub fn query(&self, partner: &str, sql: &str) -> Result<Pull> {
        let partner = self.partner(partner)?;
        let statement = Statement::parse(sql)?;
        let today = self.rooms.clock.today();
        let policies = self.rooms.catalog.policies();
        let granted = policies.values().filter(|it| access(it, partner.name(), today).is_some());
        let policies = named(&statement, granted.cloned().collect())?;
        let asked = |policy: &Policy| statement.tables().iter().any(|word| means(word, policy));
        let with_noise = |policy: &&Arc<Policy>| {
            asked(policy) && matches!(access(policy, partner.name(), today), Some(Access::Dp(_)))
        };
        if let Some(policy) = policies.iter().find(with_noise) {
            return Err(noisy(policy, partner.name()));
        }
        let reads = policies.iter().map(|policy| Read {
            dataset: policy.dataset.clone(),
            policy_digest: policy.digest.clone(),
            columns: Vec::new(),
        });
        let request = Request {
            statement: Some(Asked::new(sql, &[])),
            reads: reads.collect(),
            ..self.request(&partner)
        };
        let looked = self.rooms.log.open(request.clone())?;
        let planned = self.block_on(async {
            let (mut views, mut state) = (Vec::new(), Vec::new());
            for policy in &policies {
                let (plan, snapshot) = self.planned(&partner, policy).await?;
                state.push(seen(&plan, snapshot.version()));
                views.push(View { plan, snapshot });
            }
            let query = self.rooms.engine.plan(&statement, &Terms::default(), views).await?;
            Ok((query, state))
        });
        let (query, seen) = closing(looked, planned)?;
        let open = query.parameters().fields().len();
        if open > 0 {
            let what = format!("the statement has {open} open parameters");
            return Err(Error::new(Code::ParametersInvalid, what));
        }
        let mut columns = query.reads();
        let reads = request.reads.into_iter().map(|read| {
            let own = columns.iter_mut().find(|(dataset, _)| *dataset == read.dataset);
            let columns = own.map(|(_, columns)| std::mem::take(columns)).unwrap_or_default();
            Read { columns, ..read }
        });
        let request = Request { reads: reads.collect(), ..request };
        let (schema, shards) = (Arc::clone(query.schema()), query.shards());
        Ok(self.source(partner, request, Work::Answer(query), shards).into_pull(schema, seen))
    }

    /// How large the source is of a dataset or a view: in the columns that leave for `partner`, or that the view
    /// reads.
    ///
    /// # Errors
    /// As [`Self::pull`].
    pub fn raw_size(&self, partner: &str, name: &str) -> Result<RawSize> {
        let partner = self.partner(partner)?;
        let policy = self.granted(partner.name(), name)?;
        let (plan, served) = self.block_on(self.planned(&partner, &policy))?;
        let snapshot = source(&policy, served)?;
        if policy.dataset == name {
            return Ok(snapshot.size(plan.columns().iter().map(|column| column.name.as_str())));
        }
        let query = self.block_on(self.planned_view(&partner, &policy, name))?.0;
        let columns: Vec<String> =
            query.reads().into_iter().flat_map(|(_, columns)| columns).collect();
        Ok(snapshot.size(columns.iter().map(String::as_str)))
    }

    /// Looks for raw identifiers of a dataset, or of that of a view, in files that are for `partner`.
    ///
    /// # Errors
    /// As [`Self::granted`]; when raw rows or outputs cannot be read.
    pub fn scan(
        &self,
        partner: &str,
        name: &str,
        rules: Rules,
        outputs: &dyn Outputs,
        progress: &dyn Fn(u64),
    ) -> Result<Scanned> {
        let partner = self.partner(partner)?;
        let policy = self.granted(partner.name(), name)?;
        let columns = identifying(&policy).into_iter().map(str::to_owned).collect();
        let request = Request {
            dataset: Some(policy.dataset.clone()),
            policy_digest: Some(policy.digest.clone()),
            columns,
            ..self.request(&partner)
        };
        let entry = self.rooms.log.open(request)?;
        let planned = self.block_on(self.planned(&partner, &policy));
        match planned.and_then(|(plan, served)| Ok((plan, source(&policy, served)?))) {
            Ok((plan, raw)) => scan(&plan, &raw, rules, outputs, progress, entry),
            Err(error) => closing(entry, Err(error)),
        }
    }

    /// What `partner` is promised of a dataset or a view: its columns, and the state that they are of.
    ///
    /// # Errors
    /// As [`Self::pull`].
    pub fn promised(&self, partner: &str, name: &str) -> Result<(SchemaRef, Seen)> {
        let partner = self.partner(partner)?;
        let policy = self.granted(partner.name(), name)?;
        if policy.dataset != name {
            let (query, seen) = self.block_on(self.planned_view(&partner, &policy, name))?;
            return Ok((Arc::clone(query.schema()), seen));
        }
        let (plan, snapshot) = self.block_on(self.planned(&partner, &policy))?;
        Ok((Arc::clone(plan.schema()), seen(&plan, snapshot.version())))
    }

    /// The partner, on the custodian's word.
    fn partner(&self, name: &str) -> Result<Partner> {
        let custodian = Some(Custodian::acting_for(name));
        self.rooms.identity.authenticate(&Credentials { custodian, ..Credentials::default() })
    }

    async fn planned(&self, partner: &Partner, policy: &Arc<Policy>) -> Result<(Plan, Snapshot)> {
        let snapshot = self.rooms.catalog.snapshot(policy).await?;
        let today = self.rooms.clock.today();
        let plan = plan(policy, partner.name(), snapshot.schema(), today)?;
        Ok((plan, snapshot))
    }

    /// All of one view of a policy, and the state of its dataset.
    async fn planned_view(
        &self,
        partner: &Partner,
        policy: &Arc<Policy>,
        view: &str,
    ) -> Result<(Query, Seen)> {
        let (plan, snapshot) = self.planned(partner, policy).await?;
        let seen = seen(&plan, snapshot.version());
        let (statement, views) = (Statement::parse(&all_of(view))?, vec![View { plan, snapshot }]);
        Ok((self.rooms.engine.plan(&statement, &Terms::default(), views).await?, seen))
    }

    fn request(&self, partner: &Partner) -> Request {
        Request {
            id: "command line".to_owned(),
            partner: partner.name().to_owned(),
            peer: "this machine".to_owned(),
            method: self.purpose.method().to_owned(),
            ..Request::default()
        }
    }

    fn source(&self, partner: Partner, request: Request, work: Work, shards: u32) -> Source {
        Source { local: self.clone(), partner, request, work, shards }
    }

    fn block_on<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.rooms.threads.handle()?.block_on(work)
    }
}

/// The entry of what was looked at before a stream, closed as that ended.
fn closing<T>(entry: Entry, done: Result<T>) -> Result<T> {
    let outcome = match &done {
        Ok(_) => Outcome::Done,
        Err(error) => Outcome::Failed(error.code()),
    };
    let closed = entry.close(outcome, 0, 0);
    let done = done?;
    closed.map(|()| done)
}

/// The raw rows behind what is served. Where a release is served, these are the rows that it was made of, if
/// the source is still there: rows that were suppressed have identifiers too.
fn source(policy: &Policy, served: Snapshot) -> Result<Snapshot> {
    match policy.release {
        Some(_) => match snapshot(policy, 1) {
            Err(error) if error.code() == Code::SourceUnreadable => Ok(served),
            raw => raw,
        },
        None => Ok(served),
    }
}

fn seen(plan: &Plan, version: &str) -> Seen {
    Seen {
        dataset: plan.dataset().to_owned(),
        policy_digest: plan.policy().digest.clone(),
        data_version: version.to_owned(),
    }
}

/// The columns that leave, for the audit log.
fn leaving(policy: &Policy) -> Vec<String> {
    let leave = policy.columns.iter().filter(|it| it.rule.transform.spec().verb != "drop");
    leave.map(|column| column.name.clone()).collect()
}

/// Answers with noise cost their partner, who alone asks for them, over the wire.
fn noisy(policy: &Policy, partner: &str) -> Error {
    let what = format!(
        "`{partner}` is granted differentially private answers of `{}`, and no rows: they are asked for over \
         the wire, where the budget is kept",
        policy.dataset
    );
    Error::new(Code::NoisyOnly, what)
}

/// Why a partner gets nothing, for the custodian, who may know all grants.
fn ungranted(policy: &Policy, partner: &str) -> String {
    let mut names: Vec<&str> = policy.grants.iter().map(|grant| grant.partner.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let what = format!("`{partner}` has no grant for `{}`", policy.dataset);
    if names.contains(&partner) {
        format!("{what} today: it ended")
    } else if names.is_empty() {
        format!("{what}: its policy grants nobody anything")
    } else {
        format!("{what}: its policy grants {}", names.join(", "))
    }
}

/// The server's defaults, with files that queries spill in the folder of state.
fn settings(state: &Path) -> Result<Settings> {
    let shown = state.to_str().ok_or_else(|| {
        Error::new(Code::Usage, "`--state`: the folder's name is not valid Unicode")
    })?;
    RawSettings::default().set("state", shown)?.resolve()
}

/// Places for whoever works here, and no limit a day: what a grant gives a day is for pulls of the
/// partner's own, and nothing here is taken from it.
const fn quotas() -> Quotas {
    const MANY: usize = 1_024;
    Quotas {
        streams_max: MANY,
        streams_partner_max: MANY,
        queries_max: MANY,
        queries_partner_max: MANY,
        queries_waiting_partner_max: MANY,
        queue: PATIENCE,
        query: PATIENCE,
        rows_day: None,
        bytes_day: None,
    }
}
