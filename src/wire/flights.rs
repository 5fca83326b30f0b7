//! What one partner may pull: datasets and statements, the answers that describe them, and opening one
//! stream of them from a ticket. Speaks Flight's messages, not gRPC; what is special to statements is in
//! `sql`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::{
    FlightDescriptor, FlightEndpoint, FlightInfo, Location, Ticket as SealedTicket,
};
use bytes::Bytes;
use prost::Message as _;

use super::authenticate::Call;
use super::catalog::Catalog;
use super::outgoing::{Outgoing, Register};
use super::record::Record;
use super::service::ANSWER_BYTES_MAX;
use super::sql::command::Command;
use super::sql::prepared::Handles;
use super::sql::{self, statement};
use super::ticket::{Seen, Subject, Ticket, Tickets, new_plan_id};
use crate::budget::Admission;
use crate::clock::Clock;
use crate::error::{Code, Error, Hint, Result};
use crate::pipeline::noise::curator::Curator;
use crate::pipeline::query::Engine;
use crate::pipeline::seal::{schema_encapsulated, schema_message};
use crate::pipeline::source::Snapshot;
use crate::pipeline::stream::{Pipeline, SealedStream};
use crate::policy::plan::{Plan, access, allowance, plan};
use crate::policy::{Access, Policy};

/// How many characters of an unknown name are logged.
const NAME_SHOWN_MAX: usize = 80;

/// The location that says "where you asked".
const REUSE_CONNECTION: &str = "arrow-flight-reuse-connection://?";

/// The rooms that answering needs.
#[derive(Debug)]
pub struct Flights {
    /// The policies in force.
    pub catalog: Arc<Catalog>,
    /// Makes and opens tickets.
    pub tickets: Tickets,
    /// Makes and opens handles of prepared statements.
    pub handles: Handles,
    /// How long a ticket is good for.
    pub ticket_seconds: i64,
    /// Other addresses that clients may pull from; empty for none but this.
    pub advertise: Vec<String>,
    /// Opens streams of datasets.
    pub pipeline: Arc<Pipeline>,
    /// Plans and opens statements.
    pub engine: Arc<Engine>,
    /// Answers statements with noise.
    pub curator: Arc<Curator>,
    /// Counts open streams.
    pub admission: Arc<Admission>,
    /// The streams under way.
    pub register: Arc<Register>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whether new streams are refused because the server is about to stop.
    pub closing: AtomicBool,
}

/// A stream that was opened: its schema as a message, then what it gives.
pub(super) type Opened = (Bytes, SealedStream);

impl Flights {
    /// The policy of a dataset of which `partner` may have something: rows, aggregates, or answers with noise.
    ///
    /// # Errors
    /// [`Code::DatasetUnknown`] when there is none, or the partner has no grant. The two are not told
    /// apart, and neither looks at the data.
    pub fn granted(&self, partner: &str, dataset: &str) -> Result<Arc<Policy>> {
        let policy = self.catalog.policy(dataset);
        policy
            .filter(|policy| self.may_ask(partner, policy))
            .ok_or_else(|| unknown(partner, dataset))
    }

    /// The policy of a dataset whose rows `partner` may pull.
    ///
    /// # Errors
    /// As [`Self::granted`], [`Code::AggregatesOnly`] and [`Code::NoisyOnly`].
    pub fn granted_rows(&self, partner: &str, dataset: &str) -> Result<Arc<Policy>> {
        let policy = self.granted(partner, dataset)?;
        self.pullable(partner, &policy).map(|()| policy)
    }

    /// The policy of a view that `partner` may ask.
    ///
    /// # Errors
    /// [`Code::DatasetUnknown`] when there is none, in the words for a dataset that is not there.
    pub fn granted_view(&self, partner: &str, view: &str) -> Result<Arc<Policy>> {
        let policies = self.catalog.policies();
        let policy = policies.values().find(|policy| policy.view(view).is_some());
        let granted = policy.filter(|policy| self.may_ask(partner, policy));
        granted.cloned().ok_or_else(|| unknown(partner, view))
    }

    /// All policies of which `partner` may have something, by name.
    pub fn all_granted(&self, partner: &str) -> Vec<Arc<Policy>> {
        let policies = self.catalog.policies();
        policies.values().filter(|policy| self.may_ask(partner, policy)).cloned().collect()
    }

    /// Whether `partner` finds a dataset among the flights: where its rows may be pulled; and where answers come
    /// with noise, as a flight without endpoints.
    pub fn is_flight(&self, partner: &str, policy: &Policy) -> bool {
        let access = access(policy, partner, self.clock.today());
        matches!(access, Some(Access::Rows | Access::Dp(_)))
    }

    /// Whether `partner` may pull the rows of a dataset.
    ///
    /// # Errors
    /// [`Code::AggregatesOnly`], [`Code::NoisyOnly`].
    fn pullable(&self, partner: &str, policy: &Policy) -> Result<()> {
        match access(policy, partner, self.clock.today()) {
            Some(Access::Rows) => Ok(()),
            Some(Access::Aggregates { .. }) => Err(aggregates_only()),
            Some(Access::Dp(_)) => Err(noisy_only()),
            None => Err(unknown(partner, &policy.dataset)),
        }
    }

    fn may_ask(&self, partner: &str, policy: &Policy) -> bool {
        access(policy, partner, self.clock.today()).is_some()
    }

    /// What `partner` gets of a dataset as its files are now.
    ///
    /// # Errors
    /// When the files cannot be read or do not fit the policy.
    pub async fn planned(&self, partner: &str, policy: &Arc<Policy>) -> Result<(Plan, Snapshot)> {
        let snapshot = self.catalog.snapshot(policy).await?;
        let plan = plan(policy, partner, snapshot.schema(), self.clock.today())?;
        Ok((plan, snapshot))
    }

    /// What a ticket's partner gets of a dataset in the state that the ticket names.
    ///
    /// # Errors
    /// [`Code::TicketStale`] when the data changed, and those of [`Self::planned`].
    pub(super) async fn planned_as(
        &self,
        partner: &str,
        policy: &Arc<Policy>,
        seen: &Seen,
    ) -> Result<(Plan, Snapshot)> {
        let snapshot = match self.catalog.snapshot_of(policy, &seen.data_version).await {
            // The ticket was issued while there was a release.
            Err(error) if policy.release.is_some() && error.code() == Code::DatasetUnavailable => {
                let what = format!("the release of `{}` was withdrawn or replaced", seen.dataset);
                return Err(stale(&what).because(error));
            }
            looked => looked?,
        };
        let plan = plan(policy, partner, snapshot.schema(), self.clock.today())?;
        if snapshot.version() != seen.data_version {
            return Err(stale(&format!("the data of `{}` changed", seen.dataset)));
        }
        Ok((plan, snapshot))
    }

    /// The answer that describes a planned dataset: one endpoint a shard, and none where rows cannot be pulled.
    ///
    /// # Errors
    /// Those of `Self::answer`.
    pub fn info(&self, call: &Call, plan: &Plan, snapshot: &Snapshot) -> Result<FlightInfo> {
        let seen = Seen::of(plan, snapshot);
        let shards = if *plan.access() == Access::Rows { snapshot.shards() } else { 0 };
        let subjects =
            (0..shards).map(|shard| Subject::Dataset { seen: seen.clone(), shard }).collect();
        let info = self.answer(
            call,
            FlightDescriptor::new_path(vec![plan.dataset().to_owned()]),
            schema_encapsulated(plan.schema(), call.options().format)?,
            subjects,
        )?;
        Ok(FlightInfo { app_metadata: plan.policy().digest.clone().into(), ..info })
    }

    /// An answer with one endpoint for each subject.
    ///
    /// # Errors
    /// [`Code::RequestInvalid`] when the answer would be larger than clients take, [`Code::Internal`]
    /// when a ticket cannot be sealed.
    pub(super) fn answer(
        &self,
        call: &Call,
        descriptor: FlightDescriptor,
        schema: Bytes,
        subjects: Vec<Subject>,
    ) -> Result<FlightInfo> {
        let plan = new_plan_id()?;
        let expires_seconds = self.clock.now_seconds().saturating_add(self.ticket_seconds);
        let mut endpoints = Vec::new();
        for subject in subjects {
            let ticket = Ticket {
                partner: call.partner().name().to_owned(),
                subject,
                plan,
                format: call.options().format,
                expires_seconds,
            };
            endpoints.push(self.endpoint(call, &ticket)?);
        }
        // PRIVACY: neither the number of records nor of bytes is told, here or anywhere.
        let info = FlightInfo {
            schema,
            flight_descriptor: Some(descriptor),
            endpoint: endpoints,
            total_records: -1,
            total_bytes: -1,
            ordered: false,
            app_metadata: Bytes::new(),
        };
        if info.encoded_len() > ANSWER_BYTES_MAX {
            let shards = info.endpoint.len();
            let hint = format!("the statement is too long for an answer of {shards} endpoints");
            return Err(Error::new(Code::RequestInvalid, "an answer that is too large")
                .hinting(Hint::new(&hint)));
        }
        Ok(info)
    }

    /// An endpoint for a ticket: on this very service, or where the settings say.
    fn endpoint(&self, call: &Call, ticket: &Ticket) -> Result<FlightEndpoint> {
        let location = |uri: &str| Location { uri: uri.to_owned() };
        let mut endpoint = FlightEndpoint {
            ticket: Some(SealedTicket { ticket: self.tickets.seal(ticket)?.into() }),
            location: if call.options().reuse_connection {
                vec![location(REUSE_CONNECTION)]
            } else {
                self.advertise.iter().map(|uri| location(uri)).collect()
            },
            ..FlightEndpoint::default()
        };
        endpoint.expiration_time.get_or_insert_default().seconds = ticket.expires_seconds;
        Ok(endpoint)
    }

    /// What a ticket that `partner` holds says.
    ///
    /// # Errors
    /// [`Code::TicketInvalid`], [`Code::TicketForeign`], [`Code::TicketExpired`].
    pub fn ticket(&self, partner: &str, sealed: &SealedTicket) -> Result<Ticket> {
        let ticket = self.tickets.open(&sealed.ticket)?;
        ticket.check(partner, self.clock.now_seconds())?;
        Ok(ticket)
    }

    /// The policy that a ticket was issued under, where it is still in force and still grants.
    ///
    /// # Errors
    /// [`Code::TicketStale`], and those of [`Self::granted`].
    pub(super) fn policy_of(&self, partner: &str, seen: &Seen) -> Result<Arc<Policy>> {
        let policy = self.granted(partner, &seen.dataset)?;
        if policy.digest == seen.policy_digest {
            Ok(policy)
        } else {
            Err(stale("the policy changed"))
        }
    }

    /// The same endpoint with a later expiry.
    ///
    /// # Errors
    /// As for opening it; what can no longer be pulled is not renewed.
    pub fn renewed(&self, call: &Call, mut ticket: Ticket) -> Result<FlightEndpoint> {
        for seen in ticket.subject.seen() {
            self.policy_of(&ticket.partner, seen)?;
        }
        self.under_way(&ticket)?;
        ticket.expires_seconds = self.clock.now_seconds().saturating_add(self.ticket_seconds);
        self.endpoint(call, &ticket)
    }

    /// Whether a ticket's plan may have more streams.
    ///
    /// # Errors
    /// [`Code::ShuttingDown`], [`Code::Cancelled`].
    pub(super) fn under_way(&self, ticket: &Ticket) -> Result<()> {
        if self.closing.load(Ordering::Acquire) {
            return Err(Error::new(Code::ShuttingDown, "no new streams"));
        }
        if self.register.is_cancelled(&ticket.plan) {
            return Err(Error::new(Code::Cancelled, "the plan was cancelled"));
        }
        Ok(())
    }

    /// Opens the stream of a ticket.
    ///
    /// # Errors
    /// When the ticket is not good any more, there is no place for a stream, the entry cannot be
    /// made, or the pipeline refuses.
    pub async fn stream(
        &self,
        call: &Call,
        ticket: Ticket,
        record: &mut Record,
    ) -> Result<Outgoing> {
        self.under_way(&ticket)?;
        let (schema, sealed) = match &ticket.subject {
            Subject::Dataset { seen, shard } => {
                self.rows(call, &ticket, seen, *shard, record).await?
            }
            Subject::Query { asked, reads, shard } => {
                statement::open(self, call, &ticket, (asked, reads), *shard, record).await?
            }
            Subject::Metadata(command) => sql::open(self, &ticket, command, record).await?,
        };
        Ok(self.register.send(call.clone(), ticket.plan, schema, sealed))
    }

    /// Opens the stream of a dataset's shard.
    async fn rows(
        &self,
        call: &Call,
        ticket: &Ticket,
        seen: &Seen,
        shard: u32,
        record: &mut Record,
    ) -> Result<Opened> {
        record.of_shard(shard);
        let policy = self.policy_of(&ticket.partner, seen)?;
        // A grant is part of the policy's digest, but its last day is not a change of the policy.
        self.pullable(&ticket.partner, &policy)?;
        record.about(&policy);
        let allowance = allowance(&policy, &ticket.partner, self.clock.today())?;
        let reservation = self.admission.reserve(call.partner(), &[allowance])?;
        record.open().await?;
        let (plan, snapshot) = self.planned_as(&ticket.partner, &policy, seen).await?;
        if shard >= snapshot.shards() {
            return Err(stale(&format!("there is no shard {shard}")));
        }
        let schema = schema_message(plan.schema(), ticket.format);
        let (partner, entry) = (call.partner(), record.hand_over()?);
        let sealed = self.pipeline.open(
            partner,
            plan,
            snapshot,
            shard,
            ticket.format,
            reservation,
            entry,
        )?;
        Ok((schema, sealed))
    }
}

fn unknown(partner: &str, name: &str) -> Error {
    // The name is the partner's text, of any length; the log takes so much of it.
    let name: String = name.chars().take(NAME_SHOWN_MAX).collect();
    Error::new(Code::DatasetUnknown, format!("no dataset `{name}` for `{partner}`"))
}

fn aggregates_only() -> Error {
    let hint = Hint::new("ask in SQL, with GROUP BY or with aggregates alone");
    Error::new(Code::AggregatesOnly, "a pull of rows").hinting(hint)
}

fn noisy_only() -> Error {
    let hint = Hint::new("ask in SQL: aggregates, with WHERE and GROUP BY");
    Error::new(Code::NoisyOnly, "a pull of rows").hinting(hint)
}

fn stale(what: &str) -> Error {
    Error::new(Code::TicketStale, format!("{what} since the ticket was issued"))
}

/// What a descriptor asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Asks {
    /// A dataset or a view, by its name.
    Dataset(String),
    /// Something in SQL, or about it.
    Command(Command),
}

/// Reads a descriptor.
///
/// # Errors
/// [`Code::RequestInvalid`] for anything but a path of one name or a command, and those of
/// [`Command::parse`].
pub(super) fn asks(descriptor: &FlightDescriptor) -> Result<Asks> {
    match (descriptor.r#type(), descriptor.path.as_slice()) {
        (DescriptorType::Cmd, _) => Command::parse(&descriptor.cmd).map(Asks::Command),
        (DescriptorType::Path, [name]) => Ok(Asks::Dataset(name.clone())),
        (DescriptorType::Path, _) => {
            Err(Error::new(Code::RequestInvalid, "a path of other than one name"))
        }
        (DescriptorType::Unknown, _) => {
            Err(Error::new(Code::RequestInvalid, "a descriptor of unknown type"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_one_name_is_a_dataset_and_other_paths_are_nothing() {
        let path = |names: &[&str]| {
            FlightDescriptor::new_path(names.iter().map(|&name| name.to_owned()).collect())
        };
        assert_eq!(asks(&path(&["jobs"])).unwrap(), Asks::Dataset("jobs".to_owned()));
        for wrong in [path(&[]), path(&["a", "b"]), FlightDescriptor::default()] {
            assert_eq!(asks(&wrong).unwrap_err().code(), Code::RequestInvalid);
        }
        let command = FlightDescriptor::new_cmd("SELECT 1");
        let expected = Asks::Command(Command::Statement("SELECT 1".to_owned()));
        assert_eq!(asks(&command).unwrap(), expected);
    }
}
