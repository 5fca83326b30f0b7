//! The one layer in front of every call, known methods and unknown ones: turns what the connection
//! and the headers bring into a [`Call`]. Does not decide what a partner may have.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context as Poller, Poll};

use futures::future::BoxFuture;
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use tonic::body::Body;
use tower::{Layer, Service};

use super::session::{Options, Session, Sessions};
use super::{session, status};
use crate::audit::{Log, Request as Record};
use crate::error::{Code, Context, Error, Result};
use crate::identity::{Credentials, Identity, Partner};

/// The other end of a connection, as the listener saw it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where it connected from.
    pub address: SocketAddr,
    /// Its certificate chain in DER, its own first; empty without mutual TLS.
    pub certificates: Arc<Vec<Vec<u8>>>,
    /// Whether the chain ends at a configured authority. Otherwise its fingerprint is known, and
    /// nothing that the certificate says of itself is to be believed.
    pub chained: bool,
}

/// A call whose sender is known.
///
/// INVARIANT: made by this layer alone, after [`Identity::authenticate`] said yes for this very call.
#[derive(Debug, Clone)]
pub struct Call {
    partner: Partner,
    session: Session,
    id: String,
    peer: String,
}

impl Call {
    /// The call that a request belongs to.
    ///
    /// # Errors
    /// [`Code::Internal`] when the layer is missing: nothing may be answered then.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<Self> {
        request
            .extensions()
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Error::new(Code::Internal, "a call arrived without authentication"))
    }

    /// Who calls.
    pub fn partner(&self) -> &Partner {
        &self.partner
    }

    /// The session that its cookie carries.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// What the answer shall look like.
    pub const fn options(&self) -> &Options {
        self.session.options()
    }

    /// The request's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// From where, as `address:port`.
    pub fn peer(&self) -> &str {
        &self.peer
    }
}

/// The layer.
#[derive(Clone)]
pub struct Authenticate {
    identity: Arc<Identity>,
    sessions: Sessions,
    log: Log,
    /// One refusal is written at a time: a flood of bad credentials waits for itself.
    refusals: Arc<tokio::sync::Mutex<()>>,
}

impl fmt::Debug for Authenticate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticate").finish_non_exhaustive()
    }
}

impl Authenticate {
    /// A layer that asks `identity`, opens cookies with `sessions` and records refusals in `log`.
    pub fn new(identity: Arc<Identity>, sessions: Sessions, log: Log) -> Self {
        Self { identity, sessions, log, refusals: Arc::default() }
    }

    /// The call of these headers. What the sender asks for is looked at after who they are.
    async fn call(&self, parts: &Parts, id: &str) -> Result<Call, Refused> {
        let partner = self.partner(parts).await?;
        let session = self.sessions.of(&parts.headers, partner.name());
        let session =
            session.map_err(|error| Refused { error, partner: partner.name().to_owned() })?;
        Ok(Call { partner, session, id: id.to_owned(), peer: parts.address() })
    }

    /// Who sends the call of these headers.
    async fn partner(&self, parts: &Parts) -> Result<Partner> {
        let peer = parts
            .peer
            .clone()
            .ok_or_else(|| Error::new(Code::Internal, "a call arrived without a connection"))?;
        let authorization = match parts.authorization.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            _ => {
                return Err(Error::new(Code::CredentialsRefused, "several authorization headers"));
            }
        };
        let identity = Arc::clone(&self.identity);
        tokio::task::spawn_blocking(move || {
            identity.authenticate(&Credentials {
                authorization: authorization.as_deref(),
                certificates: &peer.certificates,
                ca_verified: peer.chained,
                ..Credentials::default()
            })
        })
        .await
        .context(Code::Internal, || "authentication did not finish".to_owned())?
    }

    /// Tells the log and the operator of a refusal, and makes the answer.
    async fn refuse(&self, parts: &Parts, id: String, refused: Refused) -> http::Response<Body> {
        let Refused { error, partner } = refused;
        let peer = parts.address();
        tracing::debug!(peer, id, "a call refused at the door");
        let record = Record {
            id: id.clone(),
            partner: partner.clone(),
            peer,
            method: parts.method.clone(),
            ..Record::default()
        };
        let (log, code) = (self.log.clone(), error.code());
        let turn = self.refusals.lock().await;
        let recorded = tokio::task::spawn_blocking(move || log.refused(&record, code)).await;
        drop(turn);
        if !matches!(recorded, Ok(Ok(()))) {
            tracing::error!(request_id = id, "a refusal could not be recorded");
        }
        status::refuse(&error, &id, &parts.method, &partner).into_http()
    }
}

/// Why a call goes no further, and who sent it where that is known.
struct Refused {
    error: Error,
    partner: String,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { error, partner: String::new() }
    }
}

/// What the layer takes from a request before it lets go of it.
struct Parts {
    peer: Option<Peer>,
    authorization: Vec<Vec<u8>>,
    /// Those that say how the answer shall look.
    headers: HeaderMap,
    method: String,
}

impl Parts {
    fn of(request: &http::Request<Body>) -> Self {
        let headers = request.headers().get_all(AUTHORIZATION);
        Self {
            peer: request.extensions().get::<Peer>().cloned(),
            authorization: headers.iter().map(|value| value.as_bytes().to_vec()).collect(),
            headers: session::headers(request.headers()),
            method: known_method(request.uri().path()).to_owned(),
        }
    }

    /// From where it comes.
    fn address(&self) -> String {
        self.peer.as_ref().map(|peer| peer.address.to_string()).unwrap_or_default()
    }
}

/// The method of a path, or a fixed word: a path is the sender's text and stays out of the log.
fn known_method(path: &str) -> &'static str {
    const METHODS: [&str; 10] = [
        "Handshake",
        "ListFlights",
        "GetFlightInfo",
        "PollFlightInfo",
        "GetSchema",
        "DoGet",
        "DoPut",
        "DoExchange",
        "DoAction",
        "ListActions",
    ];
    let name = path.strip_prefix("/arrow.flight.protocol.FlightService/").unwrap_or_default();
    METHODS.into_iter().find(|method| *method == name).unwrap_or("unknown")
}

/// A new request id: 16 hexadecimal digits.
fn new_request_id() -> Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|cause| Error::new(Code::Internal, "no random bytes").because(cause))?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}

impl<S> Layer<S> for Authenticate {
    type Service = Authenticated<S>;

    fn layer(&self, inner: S) -> Authenticated<S> {
        Authenticated { inner, layer: self.clone() }
    }
}

/// A service behind the layer.
#[derive(Debug, Clone)]
pub struct Authenticated<S> {
    inner: S,
    layer: Authenticate,
}

impl<S> Service<http::Request<Body>> for Authenticated<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, poller: &mut Poller<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(poller)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        // The clone takes the place of the service that was polled ready.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let layer = self.layer.clone();
        let parts = Parts::of(&request);
        // PRIVACY: nobody further in sees the secret.
        request.headers_mut().remove(AUTHORIZATION);
        request.headers_mut().remove(COOKIE);
        Box::pin(async move {
            let id = match new_request_id() {
                Ok(id) => id,
                Err(error) => {
                    return Ok(layer.refuse(&parts, "none".to_owned(), error.into()).await);
                }
            };
            match layer.call(&parts, &id).await {
                Ok(call) => {
                    request.extensions_mut().insert(call);
                    inner.call(request).await
                }
                Err(refused) => Ok(layer.refuse(&parts, id, refused).await),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_missed_the_layer_is_not_answered() {
        let error = Call::of(&tonic::Request::new(())).unwrap_err();
        assert_eq!(error.code(), Code::Internal);
    }

    #[test]
    fn only_known_methods_are_named() {
        assert_eq!(known_method("/arrow.flight.protocol.FlightService/DoGet"), "DoGet");
        assert_eq!(known_method("/arrow.flight.protocol.FlightService/canary"), "unknown");
        assert_eq!(known_method("/DoGet"), "unknown");
    }

    #[test]
    fn request_ids_are_short_and_differ() {
        let (a, b) = (new_request_id().unwrap(), new_request_id().unwrap());
        assert_eq!(a.len(), 16);
        assert_ne!(a, b);
    }
}
