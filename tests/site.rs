//! A whole server in this process, on a free port, with its own folder: what the tests of the wire
//! pull from, and the crate's own tests of the measured epsilon. Makes no claims of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightDescriptor, FlightInfo, Ticket};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};
use veilflight::audit::show::{Filter, lines};
use veilflight::clock::{Clock, ManualClock, SystemClock};
use veilflight::config::RawSettings;
use veilflight::error::Result;
use veilflight::identity::enrol::{self, Enrolment};
use veilflight::keys::KeyRing;
use veilflight::keys::provider::MasterKeys;
use veilflight::server::{Foundations, Server};
use veilflight::state::Sqlite;
use veilflight::wire::flights::Flights;

/// A client of the service.
pub(crate) type Client = FlightServiceClient<Channel>;

/// A policy that lets `Id` out and keeps `User` back, for the partner `cern`.
pub(crate) const JOBS: &str = "\
version: 1
dataset: jobs
description: Batch jobs
source: {parquet: jobs.parquet}
columns:
  Id: keep
  User: drop
grants:
  - {partner: cern, access: rows}
";

/// The raw value that stands in every row of [`JOBS`]'s column that is kept back.
pub(crate) const CANARY: &str = "canary-0f3a";

/// The master key of every server here, as a key file may have it; nobody uses it.
pub(crate) const KEY: &str = "c4a1f09be3d25c7786b0e19d4f3a62588e0d7c1b95a6f2433dbe801c5f7a9264";

/// How long is waited for what takes a moment: so long that only what never comes does not come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How many rows there are.
pub(crate) const ROWS: usize = 10_000;
/// In how many row groups.
const GROUPS: usize = 10;

/// A server that runs.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    pub(crate) store: Arc<Sqlite>,
    pub(crate) ring: Arc<KeyRing>,
    pub(crate) clock: ManualClock,
    pub(crate) flights: Arc<Flights>,
    pub(crate) uri: String,
    look: watch::Sender<()>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<()>>,
}

/// A folder with the policy [`JOBS`] and its data.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("policies")).unwrap();
    write_policy(folder.path(), "jobs.yaml", JOBS);
    write_jobs(folder.path(), ROWS);
    folder
}

/// Writes a policy.
pub(crate) fn write_policy(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join("policies").join(name), text).unwrap();
}

/// Writes the raw data of [`JOBS`].
pub(crate) fn write_jobs(folder: &Path, rows: usize) {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
    let users: ArrayRef = Arc::new(StringArray::from(vec![CANARY; rows]));
    let batch = RecordBatch::try_from_iter([("Id", ids), ("User", users)]).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(rows.div_ceil(GROUPS)))
        .build();
    let path = folder.join("policies/jobs.parquet");
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

impl Site {
    /// A server over [`folder`] with the usual settings.
    pub(crate) async fn start() -> Self {
        Self::start_with(folder(), &[]).await
    }

    /// A server over a folder, with some settings.
    pub(crate) async fn start_with(folder: TempDir, settings: &[(&str, &str)]) -> Self {
        let clock = ManualClock::new(SystemClock.now_micros());
        let store = Arc::new(Sqlite::in_memory(Arc::new(clock.clone())).unwrap());
        Self::start_over(folder, settings, clock, store).await
    }

    /// A server over a folder and a store.
    pub(crate) async fn start_over(
        folder: TempDir,
        settings: &[(&str, &str)],
        clock: ManualClock,
        store: Arc<Sqlite>,
    ) -> Self {
        let policies = folder.path().join("policies");
        Self::serve(folder, &policies, settings, clock, store).await
    }

    /// A second server over the same policies, data, keys and state.
    pub(crate) async fn replica(&self) -> Self {
        let own = tempfile::tempdir().unwrap();
        let policies = self.folder.path().join("policies");
        Self::serve(own, &policies, &[], self.clock.clone(), Arc::clone(&self.store)).await
    }

    async fn serve(
        folder: TempDir,
        policies: &Path,
        settings: &[(&str, &str)],
        clock: ManualClock,
        store: Arc<Sqlite>,
    ) -> Self {
        let ring = Arc::new(MasterKeys::parse(KEY, "a key").unwrap().into_ring().unwrap());
        let mut raw = RawSettings::default()
            .set("listen", "127.0.0.1:0")
            .and_then(|raw| raw.set("policies", policies.to_str().unwrap()))
            .and_then(|raw| raw.set("state", folder.path().join("state").to_str().unwrap()))
            .and_then(|raw| raw.set("reload_seconds", "3600"))
            .and_then(|raw| raw.set("grace_seconds", "1"))
            .unwrap();
        for (name, value) in settings {
            raw = raw.set(name, *value).unwrap();
        }
        let foundations = Foundations {
            ring: Arc::clone(&ring),
            store: Arc::<Sqlite>::clone(&store),
            clock: Arc::new(clock.clone()),
        };
        let server = Server::open(raw.resolve().unwrap(), foundations).await.unwrap();
        let (uri, flights) = (server.uri(), Arc::clone(server.flights()));
        let (look, look_now) = watch::channel(());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(
            async move {
                let _ = stopped.await;
            },
            look_now,
        ));
        Self { folder, store, ring, clock, flights, uri, look, stop, running }
    }

    /// Adds a partner; gives the token.
    pub(crate) fn partner(&self, name: &str) -> String {
        let enrolment = Enrolment { name: name.to_owned(), ..Enrolment::default() };
        let token = enrol::add(self.store.as_ref(), &self.clock, enrolment).unwrap().unwrap();
        token.expose().to_owned()
    }

    /// A client without TLS.
    pub(crate) async fn client(&self) -> Client {
        Client::new(self.endpoint().connect().await.unwrap())
    }

    /// A client with TLS, or why it could not connect.
    pub(crate) async fn tls_client(
        &self,
        tls: ClientTlsConfig,
    ) -> Result<Client, tonic::transport::Error> {
        Ok(Client::new(self.endpoint().tls_config(tls)?.connect().await?))
    }

    fn endpoint(&self) -> Endpoint {
        let uri = self.uri.replace("grpc+tls", "https").replace("grpc+tcp", "http");
        Endpoint::from_shared(uri).unwrap().timeout(2 * PATIENCE)
    }

    /// Where the server listens, without the scheme.
    pub(crate) fn address(&self) -> &str {
        self.uri.rsplit('/').next().unwrap()
    }

    /// Has the server look at policies and certificates, and waits until `seen`.
    pub(crate) async fn look_until(&self, seen: impl Fn(&Flights) -> bool) {
        self.look.send(()).unwrap();
        until("the server notices the change", || seen(&self.flights)).await;
    }

    /// Waits until a request has ended with this code, by the log.
    pub(crate) async fn ended_with(&self, code: &str) {
        let ended = || {
            let lines = lines(self.store.as_ref(), &Filter::default()).unwrap();
            lines.iter().any(|line| line.code.as_deref() == Some(code))
        };
        until(&format!("the log has {code}"), ended).await;
    }

    /// Stops the server in order.
    pub(crate) async fn stop(self) -> TempDir {
        let _ = self.stop.send(());
        self.running.await.unwrap().unwrap();
        self.folder
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut there: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A request with a bearer token.
pub(crate) fn with_token<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// A path descriptor.
pub(crate) fn path(dataset: &str) -> FlightDescriptor {
    FlightDescriptor::new_path(vec![dataset.to_owned()])
}

/// The info of a dataset.
pub(crate) async fn info(
    client: &mut Client,
    token: &str,
    dataset: &str,
) -> Result<FlightInfo, Status> {
    Ok(client.get_flight_info(with_token(token, path(dataset))).await?.into_inner())
}

/// The ticket of an endpoint.
pub(crate) fn ticket(info: &FlightInfo, endpoint: usize) -> Ticket {
    info.endpoint[endpoint].ticket.clone().unwrap()
}

/// Our code in a status.
pub(crate) fn code(status: &Status) -> &str {
    status.metadata().get("veilflight-code").map_or("none", |code| code.to_str().unwrap())
}
