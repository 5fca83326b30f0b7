//! Builds every room from the settings; runs; shuts down in order. Decides nothing that a partner
//! could notice, but where to listen and when to stop.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::NaiveDate;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tonic::transport::Server as Grpc;

pub mod link;
pub mod listener;
pub mod tls;

use crate::audit::Log;
use crate::budget::Admission;
use crate::budget::ledger::Ledger;
use crate::clock::Clock;
use crate::config::Settings;
use crate::diagnostic::{Diagnostic, render};
use crate::error::{Code, Context, Result};
use crate::identity::Identity;
use crate::keys::KeyRing;
use crate::pipeline::noise::curator::Curator;
use crate::pipeline::query::{Engine, check_views, faults};
use crate::pipeline::release::store::Releases;
use crate::pipeline::stream::Pipeline;
use crate::policy::load::load_bytes;
use crate::policy::plan;
use crate::state::{Sqlite, Store};
use crate::wire::authenticate::Authenticate;
use crate::wire::catalog::{Catalog, Loader, Reload};
use crate::wire::encode::Wire;
use crate::wire::flights::Flights;
use crate::wire::service::Service;
use crate::wire::session::Sessions;
use crate::wire::sql::prepared::Handles;
use crate::wire::ticket::Tickets;
use listener::Bounds;
use tls::{Registered, Tls};

/// The file of state, in its folder.
pub const STATE_FILE: &str = "state.sqlite";

/// No list of headers is longer, in bytes.
const HEADER_BYTES_MAX: u32 = 16 << 10;

/// How many calls one connection may have open at a time.
const CALLS_CONNECTION_MAX: u32 = 256;

/// How often a silent client is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(60);

/// What is left, after streams were cut, for saying so.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What comes from outside the settings: secrets, memory, time.
#[derive(Debug, Clone)]
pub struct Foundations {
    /// The master keys.
    pub ring: Arc<KeyRing>,
    /// Partners, tokens, the audit log.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Foundations {
    /// The keys and the state that the settings name.
    ///
    /// # Errors
    /// [`Code::Keys`] and [`Code::State`] when they cannot be had.
    pub fn from_settings(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self> {
        let ring = Arc::new(settings.key.load()?.into_ring()?);
        let store = Sqlite::open(&settings.state.join(STATE_FILE), Arc::clone(&clock))?;
        Ok(Self { ring, store: Arc::new(store), clock })
    }
}

/// A server that is bound to its address and not yet running.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    flights: Arc<Flights>,
    identity: Arc<Identity>,
    sessions: Sessions,
    log: Log,
    settings: Settings,
}

impl Server {
    /// Builds all rooms, checks all policies and certificates, and takes the address.
    ///
    /// # Errors
    /// [`Code::Policy`] for an invalid policy, [`Code::Config`] for what the settings name and cannot
    /// be used, [`Code::Keys`] and [`Code::State`].
    pub async fn open(settings: Settings, foundations: Foundations) -> Result<Self> {
        let Foundations { ring, store, clock } = foundations;
        let log = Log::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&ring));
        let interrupted = log.recover()?;
        if interrupted > 0 {
            tracing::warn!(interrupted, "the last run ended with requests under way");
        }
        let identity =
            Arc::new(Identity::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&ring)));
        let releases = Releases::new(&settings.state, Arc::clone(&ring));
        let catalog = Catalog::open(&settings.policies, settings.shards_max, releases, loader())?;
        if catalog.policies().is_empty() {
            tracing::warn!(folder = %settings.policies.display(), "there is no policy to serve");
        }
        let tls = match settings.tls.clone() {
            Some(files) => Some(Arc::new(Tls::load(files, registered(&store))?)),
            None => None,
        };
        let tokens = Arc::<dyn Store>::clone(&store);
        let sessions = Sessions::new(&ring)?;
        let ledger = Ledger::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&ring));
        let admission = Admission::new(settings.quotas.clone(), store, Arc::clone(&clock));
        let handles = Handles::new(&ring)?;
        let tickets = Tickets::new(&ring)?;
        let pipeline = Arc::new(Pipeline::new(ring, tokens, settings.limits));
        let engine = Arc::new(Engine::new(Arc::clone(&pipeline), settings.query.clone())?);
        let curator = Curator::new(Arc::clone(&engine), ledger, settings.noise_tick)?;
        let flights = Arc::new(Flights {
            catalog: Arc::new(catalog),
            tickets,
            handles,
            ticket_seconds: i64::try_from(settings.ticket.as_secs()).unwrap_or(i64::MAX),
            advertise: settings.advertise.clone(),
            pipeline,
            engine,
            curator,
            admission,
            register: Arc::default(),
            clock,
            closing: AtomicBool::new(false),
        });
        let listener = TcpListener::bind(settings.listen)
            .await
            .context(Code::Config, || format!("cannot listen on {}", settings.listen))?;
        let address = listener
            .local_addr()
            .context(Code::Config, || "the address that was taken is unknown".to_owned())?;
        Ok(Self { listener, address, tls, flights, identity, sessions, log, settings })
    }

    /// The address that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where clients on this machine connect to.
    pub fn uri(&self) -> String {
        let scheme = if self.tls.is_some() { "grpc+tls" } else { "grpc+tcp" };
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("{scheme}://{address}")
    }

    /// The register of running streams, the catalogue, and what else answering needs.
    pub fn flights(&self) -> &Arc<Flights> {
        &self.flights
    }

    /// Serves until `stop`; then takes no more connections, lets streams finish for the time of grace,
    /// cuts what is left and writes what is still to be recorded.
    ///
    /// # Errors
    /// [`Code::Config`] when the ready file cannot be written, [`Code::State`] when the last records
    /// cannot.
    pub async fn run(
        self,
        stop: impl Future<Output = ()> + Send,
        mut look_now: watch::Receiver<()>,
    ) -> Result<()> {
        let uri = self.uri();
        let Self { listener, tls, flights, identity, sessions, log, settings, .. } = self;
        let bounds = Bounds { handshake: settings.handshake };
        let places = Arc::new(Semaphore::new(settings.connections_max));
        let service = Service::new(Arc::clone(&flights), Arc::clone(&identity), log.clone());
        let connections = listener::connections(listener, tls.clone(), bounds, Arc::clone(&places));
        let (stop_sender, mut stopping) = watch::channel(false);
        let grpc = Grpc::builder()
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .max_concurrent_streams(CALLS_CONNECTION_MAX)
            .http2_keepalive_interval(Some(PING_EVERY))
            .http2_keepalive_timeout(Some(settings.limits.idle.max(Duration::from_secs(20))))
            .layer(Authenticate::new(identity, sessions, log.clone()))
            .add_service(Wire::new(service))
            .serve_with_incoming_shutdown(connections, async move {
                let _ = stopping.wait_for(|stop| *stop).await;
            });
        let mut serving = tokio::spawn(grpc);
        let looking = tokio::spawn({
            let (catalog, every) = (Arc::clone(&flights.catalog), settings.reload);
            let clock = Arc::clone(&flights.clock);
            async move {
                let all = catalog.policies().keys().cloned().collect();
                tell_misfits(&catalog, all, clock.today()).await;
                loop {
                    tokio::select! {
                        () = tokio::time::sleep(every) => {}
                        changed = look_now.changed() => {
                            if changed.is_err() {
                                tokio::time::sleep(every).await;
                            }
                        }
                    }
                    let (catalog, tls) = (Arc::clone(&catalog), tls.clone());
                    let looked = Arc::clone(&catalog);
                    let changed =
                        tokio::task::spawn_blocking(move || look(&looked, tls.as_deref()));
                    let changed = changed.await.unwrap_or_default();
                    tell_misfits(&catalog, changed, clock.today()).await;
                }
            }
        });
        if let Some(path) = &settings.ready_file {
            write_ready_file(path, &uri)?;
        }
        tracing::info!(uri, datasets = flights.catalog.policies().len(), "serving");

        tokio::select! {
            () = stop => {}
            _ = &mut serving => tracing::error!("the listener ended by itself"),
        }
        flights.closing.store(true, Ordering::Release);
        let streams = flights.admission.open_streams();
        tracing::info!(streams, grace_seconds = settings.grace.as_secs(), "stopping");
        let _ = stop_sender.send(true);
        looking.abort();
        if !serving.is_finished()
            && tokio::time::timeout(settings.grace, streams_end(&flights.admission)).await.is_err()
        {
            let cut = flights.register.stop_all();
            tracing::warn!(cut, "streams were cut at the end of the time of grace");
        }
        // Connections end by themselves once their streams have; then their places are free again.
        let all = u32::try_from(settings.connections_max).unwrap_or(u32::MAX);
        let ended = async {
            if !serving.is_finished() {
                let _ = (&mut serving).await;
            }
            let _ = places.acquire_many(all).await;
        };
        if tokio::time::timeout(LAST_WORDS, ended).await.is_err() {
            tracing::warn!("connections were cut");
        }
        if let Some(path) = &settings.ready_file {
            let _ = std::fs::remove_file(path);
        }
        drop(flights);
        tokio::task::spawn_blocking(move || log.flush())
            .await
            .context(Code::State, || "the audit log did not answer".to_owned())??;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Waits until no stream is open and none has anything to give back.
async fn streams_end(admission: &Admission) {
    while !admission.is_idle() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Reads policy files; a report is rendered for people, warnings go to the log.
pub(crate) fn loader() -> Loader {
    Box::new(|path, bytes| match load_bytes(path, bytes) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                let file = path.display();
                tracing::warn!(%file, code = warning.code, "{}", warning.message);
            }
            let found = check_views(&loaded, None);
            if found.iter().any(Diagnostic::is_error) {
                return Err(render::human(&found, false));
            }
            Ok(loaded.policy)
        }
        Err(report) => Err(render::human(report.diagnostics(), false)),
    })
}

/// Whether a certificate is registered to a partner. A store that cannot be read knows nobody.
fn registered(store: &Arc<dyn Store>) -> Registered {
    let store = Arc::clone(store);
    Arc::new(move |fingerprint| match store.partner_by_certificate(fingerprint) {
        Ok(partner) => partner.is_some(),
        Err(error) => {
            tracing::error!(story = error.chain(), "a certificate cannot be looked up");
            false
        }
    })
}

/// Tells the operator, before the first partner asks, which policies do not fit their data.
async fn tell_misfits(catalog: &Catalog, datasets: Vec<String>, today: NaiveDate) {
    for policy in datasets.iter().filter_map(|dataset| catalog.policy(dataset)) {
        let data = catalog.snapshot(&policy).await;
        let fits = data.and_then(|data| plan::fits(&policy, data.schema()).map(|()| data));
        let data = match fits {
            Ok(data) => data,
            Err(error) => {
                tracing::error!(
                    dataset = policy.dataset,
                    code = %error.code(),
                    story = error.chain(),
                    "a policy is in force and its data cannot be served as they are"
                );
                continue;
            }
        };
        let look = move || {
            let named = |at: usize| policy.views.get(at).map_or("", |view| view.name.as_str());
            for fault in faults(&policy, Some((data.schema(), today))) {
                tracing::error!(
                    dataset = policy.dataset,
                    view = named(fault.view),
                    fault = fault.text,
                    engine = fault.engine,
                    "a view cannot be asked over the data as they are"
                );
            }
        };
        let _ = tokio::task::spawn_blocking(look).await;
    }
}

/// Looks at policies and certificates, tells what changed, and gives the datasets with a new policy.
fn look(catalog: &Catalog, tls: Option<&Tls>) -> Vec<String> {
    let mut new = Vec::new();
    match catalog.reload() {
        Ok(Reload { changed, removed, refused }) => {
            for dataset in &changed {
                tracing::info!(dataset, "a policy takes effect");
            }
            new = changed;
            for dataset in removed {
                tracing::info!(dataset, "a policy was taken away");
            }
            for (path, report) in refused {
                let file = path.display();
                tracing::error!(%file, report, "a policy is refused; what was in force stays");
            }
        }
        Err(error) => tracing::error!(story = error.chain(), "policies cannot be looked at"),
    }
    match tls.map_or(Ok(false), Tls::reload) {
        Ok(true) => tracing::info!("new certificates are in use"),
        Ok(false) => {}
        Err(error) => tracing::error!(
            story = error.chain(),
            "the new certificates are refused; those in use stay"
        ),
    }
    new
}

/// Writes the address so that whoever waits for the file sees all of it or nothing.
fn write_ready_file(path: &Path, uri: &str) -> Result<()> {
    let failed = || format!("the ready file `{}` cannot be written", path.display());
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    std::fs::write(&name, format!("{uri}\n")).context(Code::Config, failed)?;
    std::fs::rename(&name, path).context(Code::Config, failed)
}
