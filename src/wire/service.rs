//! The Flight service: each method takes the call that the layer made, records it, answers it. Methods
//! that write, and SQL, are not offered.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo,
    HandshakeRequest, HandshakeResponse, PollInfo, PutResult, Result as ActionResult, SchemaResult,
    Ticket as SealedTicket,
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tonic::{Request, Response, Status, Streaming};

use super::authenticate::Call;
use super::flights::{Flights, dataset_of, encapsulated};
use super::outgoing::Outgoing;
use super::record::Record;
use super::{actions, status};
use crate::audit::{Log, Outcome};
use crate::error::{Code, Context, Error, Result};
use crate::identity::Identity;

/// No request is larger, in bytes.
pub(super) const REQUEST_BYTES_MAX: usize = 1 << 20;

/// How long a caller may take to say the one thing that a handshake has to say.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);

/// A stream of answers.
pub type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The service.
#[derive(Debug, Clone)]
pub struct Service {
    flights: Arc<Flights>,
    identity: Arc<Identity>,
    log: Log,
}

/// What came of a method before it is put into gRPC.
pub(super) type Answered<T> = Result<Response<T>, Status>;

impl Service {
    /// A service over these rooms.
    pub fn new(flights: Arc<Flights>, identity: Arc<Identity>, log: Log) -> Self {
        Self { flights, identity, log }
    }

    /// The call and its record, or nothing is answered.
    fn begin<T>(&self, request: &Request<T>, method: &'static str) -> Result<Begun, Status> {
        let call = Call::of(request).map_err(|error| status::refuse(&error, "none", method, ""))?;
        let record = Record::new(&self.log, &call, method);
        Ok(Begun { call, record, method })
    }

    /// Opens the stream that a ticket is for.
    pub(super) async fn get<T: Sync>(
        &self,
        request: &Request<T>,
        ticket: Result<SealedTicket>,
    ) -> Answered<Outgoing> {
        let mut begun = self.begin(request, "DoGet")?;
        let partner = begun.call.partner().name();
        let ticket = ticket.and_then(|sealed| self.flights.ticket(partner, &sealed));
        let outgoing = match ticket {
            Ok(ticket) => self.flights.stream(&begun.call, ticket, &mut begun.record).await,
            Err(error) => Err(error),
        };
        begun.end(outgoing).await
    }

    async fn describe(
        &self,
        begun: &mut Begun,
        descriptor: &FlightDescriptor,
    ) -> Result<FlightInfo> {
        let partner = begun.call.partner().name();
        let policy = self.flights.granted(partner, dataset_of(descriptor)?)?;
        begun.record.about(&policy);
        begun.record.open().await?;
        let (plan, snapshot) = self.flights.planned(partner, &policy).await?;
        self.flights.info(&plan, &snapshot)
    }

    async fn list(&self, begun: &mut Begun, criteria: &Criteria) -> Result<Vec<FlightInfo>> {
        let prefix = std::str::from_utf8(&criteria.expression)
            .context(Code::RequestInvalid, || "criteria that are not text".to_owned())?;
        begun.record.open().await?;
        let partner = begun.call.partner().name();
        let mut infos = Vec::new();
        for policy in self.flights.all_granted(partner) {
            if !policy.dataset.starts_with(prefix) {
                continue;
            }
            let info = match self.flights.planned(partner, &policy).await {
                Ok((plan, snapshot)) => self.flights.info(&plan, &snapshot),
                Err(error) => Err(error),
            };
            match info {
                Ok(info) => infos.push(info),
                // One dataset out of order must not hide the others; asked for by name, it says why.
                Err(error) => tracing::error!(
                    dataset = policy.dataset,
                    code = %error.code(),
                    story = error.chain(),
                    "a dataset cannot be listed"
                ),
            }
        }
        Ok(infos)
    }

    async fn schema(
        &self,
        begun: &mut Begun,
        descriptor: &FlightDescriptor,
    ) -> Result<SchemaResult> {
        let partner = begun.call.partner().name();
        let policy = self.flights.granted(partner, dataset_of(descriptor)?)?;
        begun.record.about(&policy);
        begun.record.open().await?;
        let (plan, _) = self.flights.planned(partner, &policy).await?;
        Ok(SchemaResult { schema: encapsulated(plan.schema())?.0 })
    }
}

/// A call that is being answered.
struct Begun {
    call: Call,
    record: Record,
    method: &'static str,
}

impl Begun {
    /// Records the outcome and puts it into gRPC. An answer whose record cannot be written stays here.
    async fn end<T>(self, outcome: Result<T>) -> Answered<T> {
        let Self { call, record, method } = self;
        let recorded = match &outcome {
            Ok(_) => Outcome::Done,
            Err(error) => Outcome::Failed(error.code()),
        };
        let outcome = match (outcome, record.close(recorded).await) {
            (Ok(answer), Ok(())) => Ok(answer),
            (Ok(_), Err(unrecorded)) => Err(unrecorded),
            (Err(error), recorded) => {
                if let Err(unrecorded) = recorded {
                    let story = unrecorded.chain();
                    tracing::error!(request_id = call.id(), story, "a refusal was not recorded");
                }
                Err(error)
            }
        };
        match outcome {
            Ok(answer) => {
                let mut response = Response::new(answer);
                if let Some(id) = status::request_id_value(call.id()) {
                    response.metadata_mut().insert(status::REQUEST_ID_TRAILER, id);
                }
                Ok(response)
            }
            Err(error) => Err(status::refuse(&error, call.id(), method, call.partner().name())),
        }
    }
}

/// Answers that are all there already.
fn ready<T: Send + 'static>(answers: Vec<T>) -> Answers<T> {
    Box::pin(stream::iter(answers.into_iter().map(Ok)))
}

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoExchangeStream = Answers<FlightData>;
    type DoActionStream = Answers<ActionResult>;
    type ListActionsStream = Answers<ActionType>;

    /// Gives whoever came with valid credentials a session's bearer token, in the answer and in the
    /// `authorization` header.
    async fn handshake(
        &self,
        mut request: Request<Streaming<HandshakeRequest>>,
    ) -> Answered<Self::HandshakeStream> {
        let begun = self.begin(&request, "Handshake")?;
        // Some clients wait with closing their side until they were heard, others send nothing at all.
        let _ = tokio::time::timeout(HANDSHAKE_WAIT, request.get_mut().next()).await;
        let (identity, partner) = (Arc::clone(&self.identity), begun.call.partner().clone());
        let token = match tokio::task::spawn_blocking(move || identity.session(&partner)).await {
            Ok(token) => token,
            Err(cause) => {
                Err(Error::new(Code::Internal, "the session was not made").because(cause))
            }
        };
        let header = token.as_ref().ok().and_then(|token| format!("Bearer {token}").parse().ok());
        let answer = token.map(|token| {
            ready(vec![HandshakeResponse { protocol_version: 0, payload: token.into() }])
        });
        let mut response = begun.end(answer).await?;
        if let Some(header) = header {
            response.metadata_mut().insert("authorization", header);
        }
        Ok(response)
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Answered<Self::ListFlightsStream> {
        let mut begun = self.begin(&request, "ListFlights")?;
        let infos = self.list(&mut begun, request.get_ref()).await;
        begun.end(infos.map(ready)).await
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Answered<FlightInfo> {
        let mut begun = self.begin(&request, "GetFlightInfo")?;
        let info = self.describe(&mut begun, request.get_ref()).await;
        begun.end(info).await
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Answered<PollInfo> {
        let mut begun = self.begin(&request, "PollFlightInfo")?;
        let info = self.describe(&mut begun, request.get_ref()).await;
        let poll = info.map(|info| PollInfo {
            expiration_time: info.endpoint.first().and_then(|endpoint| endpoint.expiration_time),
            info: Some(info),
            flight_descriptor: None,
            progress: Some(1.0),
        });
        begun.end(poll).await
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Answered<SchemaResult> {
        let mut begun = self.begin(&request, "GetSchema")?;
        let schema = self.schema(&mut begun, request.get_ref()).await;
        begun.end(schema).await
    }

    async fn do_get(&self, request: Request<SealedTicket>) -> Answered<Self::DoGetStream> {
        let outgoing = self.get(&request, Ok(request.get_ref().clone())).await?;
        Ok(outgoing.map(|outgoing| -> Self::DoGetStream {
            Box::pin(outgoing.map_ok(|message| FlightData {
                data_header: message.header,
                data_body: message.body,
                ..FlightData::default()
            }))
        }))
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Answered<Self::DoPutStream> {
        let begun = self.begin(&request, "DoPut")?;
        begun.end(Err(Error::new(Code::Unsupported, "partners do not write"))).await
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Answered<Self::DoExchangeStream> {
        let begun = self.begin(&request, "DoExchange")?;
        begun.end(Err(Error::new(Code::Unsupported, "partners do not write"))).await
    }

    async fn do_action(&self, request: Request<Action>) -> Answered<Self::DoActionStream> {
        let mut begun = self.begin(&request, "DoAction")?;
        let body =
            actions::act(&self.flights, &begun.call, request.get_ref(), &mut begun.record).await;
        begun.end(body.map(|body| ready(vec![ActionResult { body }]))).await
    }

    async fn list_actions(&self, request: Request<Empty>) -> Answered<Self::ListActionsStream> {
        let begun = self.begin(&request, "ListActions")?;
        begun.end(Ok(ready(actions::all()))).await
    }
}
