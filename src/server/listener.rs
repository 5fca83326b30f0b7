//! Accepts connections within limits: so many at a time, each with a time for its handshake. Slow or
//! silent strangers hold up nobody but themselves.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::link::{Link, Transport};
use super::tls::Tls;
use crate::wire::authenticate::Peer;

/// Bounds of connections.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long the TLS handshake, and then the greeting of HTTP/2, may take.
    pub handshake: Duration,
}

/// How long to wait when the system has no file handles left.
const BREATH: Duration = Duration::from_millis(50);

/// The connections that `listener` takes, after their handshake, each with one of the `places`. Without
/// `tls` they are plain text.
/// Dropping the stream stops listening.
pub fn connections(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    bounds: Bounds,
    places: Arc<Semaphore>,
) -> ReceiverStream<io::Result<Link>> {
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let accepted = tokio::select! {
                () = sender.closed() => return,
                accepted = listener.accept() => accepted,
            };
            let (tcp, address) = match accepted {
                Ok(accepted) => accepted,
                Err(cause) => {
                    tracing::warn!(%cause, "a connection could not be accepted");
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
            };
            let (sender, tls) = (sender.clone(), tls.clone());
            tokio::spawn(async move {
                let greeted = greet(tcp, address, tls, bounds, place);
                match tokio::time::timeout(bounds.handshake, greeted).await {
                    Ok(Ok(link)) => {
                        let _ = sender.send(Ok(link)).await;
                    }
                    Ok(Err(cause)) => tracing::info!(peer = %address, %cause, "handshake failed"),
                    Err(_) => tracing::info!(peer = %address, "handshake took too long"),
                }
            });
        }
    });
    ReceiverStream::new(receiver)
}

async fn greet(
    tcp: TcpStream,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    bounds: Bounds,
    place: OwnedSemaphorePermit,
) -> io::Result<Link> {
    tcp.set_nodelay(true)?;
    let (transport, peer) = match tls {
        None => {
            let peer = Peer { address, certificates: Arc::default(), chained: false };
            (Transport::Plain(tcp), peer)
        }
        Some(tls) => {
            let (stream, certificates, chained) = tls.accept(tcp).await?;
            let peer = Peer { address, certificates: Arc::new(certificates), chained };
            (Transport::Tls(Box::new(stream)), peer)
        }
    };
    Ok(Link::new(transport, peer, bounds.handshake, place))
}
