//! One accepted connection, plain or TLS, with what was learned of its other end. Does not decide
//! whether the other end is welcome.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::wire::authenticate::Peer;

/// The bytes below HTTP/2.
#[derive(Debug)]
pub enum Transport {
    /// Plain text.
    Plain(TcpStream),
    /// TLS, after the handshake.
    Tls(Box<TlsStream<TcpStream>>),
}

/// How long a closed connection is still listened to, and for how many bytes: enough for the
/// acknowledgements of what we sent last.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 256 << 10;

/// What every HTTP/2 client says first: 24 bytes of preface. Until they are complete, HTTP/2's own
/// keep-alive does not watch.
const GREETING_BYTES: usize = 24;

/// A connection. Its greeting has to come within a time; after that HTTP/2's own keep-alive watches.
///
/// When it is dropped, what the other end still says is read and thrown away for a moment: closing with
/// unread bytes makes the system send a reset, which can overtake our last words.
#[derive(Debug)]
pub struct Link {
    /// There until the drop.
    transport: Option<Transport>,
    peer: Peer,
    /// Until the greeting is complete: when it has to be, and how much of it is missing.
    greeting: Option<(Pin<Box<Sleep>>, usize)>,
    /// The connection's place among those allowed; given back when it ends.
    place: Option<OwnedSemaphorePermit>,
}

impl Link {
    /// A connection that has to greet within `greeting`.
    pub fn new(
        transport: Transport,
        peer: Peer,
        greeting: Duration,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let greeting = Some((Box::pin(tokio::time::sleep(greeting)), GREETING_BYTES));
        Self { transport: Some(transport), peer, greeting, place: Some(place) }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let place = self.place.take();
        let (Some(transport), Ok(runtime)) = (self.transport.take(), Handle::try_current()) else {
            return;
        };
        runtime.spawn(async move {
            let tcp = match transport {
                Transport::Plain(tcp) => tcp,
                Transport::Tls(tls) => tls.into_inner().0,
            };
            let _ = tokio::time::timeout(LINGER, drain(tcp)).await;
            drop(place);
        });
    }
}

/// Says that nothing more comes, and reads until the other end agrees.
async fn drain(mut tcp: TcpStream) -> io::Result<()> {
    tcp.shutdown().await?;
    tokio::io::copy(&mut tcp.take(LINGER_BYTES), &mut tokio::io::sink()).await?;
    Ok(())
}

impl Connected for Link {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = match &mut self.transport {
            Some(Transport::Plain(tcp)) => Pin::new(tcp).poll_read(context, buffer),
            Some(Transport::Tls(tls)) => Pin::new(tls).poll_read(context, buffer),
            None => Poll::Ready(Ok(())),
        };
        if let Some((deadline, missing)) = &mut self.greeting {
            *missing = missing.saturating_sub(buffer.filled().len() - before);
            if *missing == 0 {
                self.greeting = None;
            } else if read.is_pending() && deadline.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Some(Transport::Plain(tcp)) => Pin::new(tcp).poll_write(context, bytes),
            Some(Transport::Tls(tls)) => Pin::new(tls).poll_write(context, bytes),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Some(Transport::Plain(tcp)) => Pin::new(tcp).poll_write_vectored(context, slices),
            Some(Transport::Tls(tls)) => Pin::new(tls).poll_write_vectored(context, slices),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Some(Transport::Plain(tcp)) => tcp.is_write_vectored(),
            Some(Transport::Tls(tls)) => tls.is_write_vectored(),
            None => false,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Some(Transport::Plain(tcp)) => Pin::new(tcp).poll_flush(context),
            Some(Transport::Tls(tls)) => Pin::new(tls).poll_flush(context),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Some(Transport::Plain(tcp)) => Pin::new(tcp).poll_shutdown(context),
            Some(Transport::Tls(tls)) => Pin::new(tls).poll_shutdown(context),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}
