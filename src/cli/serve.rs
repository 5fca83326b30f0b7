//! `veilflight serve`: starts the server and turns signals into what it understands. The server itself
//! is `server`.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::Exit;
use crate::clock::SystemClock;
use crate::config::{RawSettings, Settings};
use crate::error::{Code, Context, Result};
use crate::server::{Foundations, Server};
use crate::telemetry;

const LONG: &str = "\
Serve every policy of a folder until Ctrl-C or SIGTERM.

Settings come from a file (--config), the environment (VEILFLIGHT_LISTEN for --listen, and so on) and \
flags; a flag wins over the environment, the environment over the file. Policies and certificates are \
read again when they change, and at once on SIGHUP. A policy that is invalid is refused, and what was \
in force stays; at the start it is a failure with exit code 3.";

const EXAMPLES: &str = "\
Examples:
  veilflight serve                                     a trial on this machine, without TLS
  veilflight serve --listen 0.0.0.0:8815 --tls-certificate tls/server.pem --tls-key tls/server.key
  VEILFLIGHT_POLICIES=/etc/veilflight/policies veilflight serve --config /etc/veilflight/server.yaml";

/// Serve policies to partners
#[derive(Debug, clap::Args)]
#[command(long_about = LONG, after_help = EXAMPLES)]
pub(super) struct Serve {
    #[command(flatten)]
    settings: RawSettings,
}

impl Serve {
    pub(super) fn run(&self) -> Result<Exit> {
        let settings = self.settings.resolve()?;
        telemetry::start(settings.log_format, &settings.log)?;
        telemetry::hush_panics();
        for (name, value, origin) in &settings.origins {
            tracing::debug!(name, value, %origin, "setting");
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("veilflight-io")
            // A thread a stream, and some for looks at files.
            .max_blocking_threads(settings.quotas.streams_max + 64)
            .build()
            .context(Code::Config, || "the runtime cannot start".to_owned())?;
        runtime.block_on(serve(settings))?;
        Ok(Exit::Done)
    }
}

async fn serve(settings: Settings) -> Result<()> {
    let mut terminate = on(SignalKind::terminate())?;
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut hangup = on(SignalKind::hangup())?;
    let (look, look_now) = watch::channel(());
    let foundations = Foundations::from_settings(&settings, Arc::new(SystemClock))?;
    let server = Server::open(settings, foundations).await?;
    let hangups = tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let _ = look.send(());
        }
    });
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let done = server.run(stop, look_now).await;
    hangups.abort();
    done
}

fn on(kind: SignalKind) -> Result<Signal> {
    signal(kind).context(Code::Config, || "signals cannot be received".to_owned())
}
