//! The Flight service: each method takes the call that the layer made, records it, answers it. Methods
//! that write are not offered; what is asked in SQL goes to `sql`.

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

use super::actions::Acted;
use super::authenticate::Call;
use super::flights::{Asks, Flights, asks};
use super::outgoing::Outgoing;
use super::record::Record;
use super::sql::command::Command;
use super::sql::statement::{all_of, plan_view};
use super::sql::{prepared, statement};
use super::{actions, sql, status};
use crate::audit::{Log, Outcome};
use crate::error::{Code, Context, Error, Result};
use crate::identity::Identity;
use crate::pipeline::seal::schema_encapsulated;
use crate::pipeline::source::Snapshot;
use crate::policy::Policy;
use crate::policy::plan::Plan;

/// No message of a request is larger, in bytes: who cancels a flight sends its whole info back.
pub(super) const REQUEST_BYTES_MAX: usize = 2 << 20;

/// No info of a flight is larger, in bytes: it fits a request, and what clients take by default.
pub(super) const ANSWER_BYTES_MAX: usize = REQUEST_BYTES_MAX - (64 << 10);

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
        let (flights, call, record) = (&self.flights, &begun.call, &mut begun.record);
        match asks(descriptor)? {
            Asks::Dataset(name) if self.is_view(call, &name) => {
                let descriptor = FlightDescriptor::new_path(vec![name.clone()]);
                let command = Command::Statement(all_of(&name));
                sql::describe(flights, call, record, descriptor, command).await
            }
            Asks::Dataset(name) => {
                let (plan, snapshot) = self.dataset(call, record, &name).await?;
                flights.info(call, &plan, &snapshot)
            }
            Asks::Command(command) => {
                let descriptor = FlightDescriptor::new_cmd(descriptor.cmd.clone());
                sql::describe(flights, call, record, descriptor, command).await
            }
        }
    }

    /// Whether a path names a view that the partner may ask. A name that they may not know is looked for
    /// among the datasets, where it is not found.
    fn is_view(&self, call: &Call, name: &str) -> bool {
        self.flights.granted_view(call.partner().name(), name).is_ok()
    }

    /// Plans the dataset of a path.
    async fn dataset(
        &self,
        call: &Call,
        record: &mut Record,
        name: &str,
    ) -> Result<(Plan, Snapshot)> {
        let partner = call.partner().name();
        let policy = self.flights.granted_rows(partner, name)?;
        record.about(&policy);
        record.open().await?;
        self.flights.planned(partner, &policy).await
    }

    async fn list(&self, begun: &mut Begun, criteria: &Criteria) -> Result<Vec<FlightInfo>> {
        let prefix = std::str::from_utf8(&criteria.expression)
            .context(Code::RequestInvalid, || "criteria that are not text".to_owned())?;
        begun.record.open().await?;
        let partner = begun.call.partner().name();
        let mut infos = Vec::new();
        for policy in self.flights.all_granted(partner) {
            if policy.dataset.starts_with(prefix) && self.flights.is_flight(partner, &policy) {
                infos.extend(self.list_dataset(&begun.call, &policy).await);
            }
            for view in policy.views.iter().filter(|view| view.name.starts_with(prefix)) {
                infos.extend(self.list_view(&begun.call, &policy, &view.name).await);
            }
        }
        Ok(infos)
    }

    async fn list_dataset(&self, call: &Call, policy: &Arc<Policy>) -> Option<FlightInfo> {
        let info = match self.flights.planned(call.partner().name(), policy).await {
            Ok((plan, snapshot)) => self.flights.info(call, &plan, &snapshot),
            Err(error) => Err(error),
        };
        // One dataset out of order must not hide the others; asked for by name, it says why.
        let tell = |error: &Error| {
            tracing::error!(
                dataset = policy.dataset,
                code = %error.code(),
                story = error.chain(),
                "a dataset cannot be listed"
            );
        };
        info.inspect_err(tell).ok()
    }

    /// The info of a view, if all of it can be pulled.
    async fn list_view(&self, call: &Call, policy: &Arc<Policy>, view: &str) -> Option<FlightInfo> {
        let info = match plan_view(&self.flights, call, policy, view).await {
            Ok((asked, planned)) => {
                let descriptor = FlightDescriptor::new_path(vec![view.to_owned()]);
                statement::info(&self.flights, call, descriptor, asked, planned)
            }
            Err(error) => Err(error),
        };
        match info {
            Ok(info) => return Some(info),
            // One may ask for aggregates of it; all of it cannot be pulled.
            Err(error) if matches!(error.code(), Code::AggregatesOnly | Code::NoisyOnly) => {}
            Err(error) => tracing::error!(
                dataset = policy.dataset,
                view,
                code = %error.code(),
                story = error.chain(),
                "a view cannot be listed"
            ),
        }
        None
    }

    async fn schema(
        &self,
        begun: &mut Begun,
        descriptor: &FlightDescriptor,
    ) -> Result<SchemaResult> {
        let (call, record) = (&begun.call, &mut begun.record);
        let schema = match asks(descriptor)? {
            Asks::Dataset(name) if self.is_view(call, &name) => {
                let command = Command::Statement(all_of(&name));
                sql::schema(&self.flights, call, record, command).await?
            }
            Asks::Dataset(name) => {
                let (plan, _) = self.dataset(call, record, &name).await?;
                schema_encapsulated(plan.schema(), call.options().format)?
            }
            Asks::Command(command) => sql::schema(&self.flights, call, record, command).await?,
        };
        Ok(SchemaResult { schema })
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

    /// Binds parameters to a prepared statement; nothing else is put.
    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Answered<Self::DoPutStream> {
        let mut begun = self.begin(&request, "DoPut")?;
        let messages = request.into_inner();
        let bound = prepared::bind(&self.flights, &begun.call, messages, &mut begun.record).await;
        begun.end(bound.map(|bound| ready(vec![bound]))).await
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
        let acted =
            actions::act(&self.flights, &begun.call, request.get_ref(), &mut begun.record).await;
        let (results, cookie) = match acted {
            Ok(Acted { body, cookie }) => (Ok(body), cookie),
            Err(error) => (Err(error), None),
        };
        let results = results.map(|body| {
            ready(body.into_iter().map(|body| ActionResult { body }).collect::<Vec<_>>())
        });
        let mut response = begun.end(results).await?;
        if let Some(cookie) = cookie {
            response.metadata_mut().insert("set-cookie", cookie);
        }
        Ok(response)
    }

    async fn list_actions(&self, request: Request<Empty>) -> Answered<Self::ListActionsStream> {
        let begun = self.begin(&request, "ListActions")?;
        begun.end(Ok(ready(actions::all()))).await
    }
}
