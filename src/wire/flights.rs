//! What one partner may pull: planning a dataset, the answer that describes it, and opening one shard
//! of it from a ticket. Speaks Flight's messages, not gRPC.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::datatypes::Schema;
use arrow_flight::{
    FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, Ticket as SealedTicket,
};
use arrow_ipc::writer::IpcWriteOptions;

use super::authenticate::Call;
use super::catalog::Catalog;
use super::outgoing::{Outgoing, Register};
use super::record::Record;
use super::ticket::{Seen, Subject, Ticket, Tickets, new_plan_id};
use crate::budget::Admission;
use crate::clock::Clock;
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::format::Format;
use crate::pipeline::seal::schema_message;
use crate::pipeline::source::Snapshot;
use crate::pipeline::stream::Pipeline;
use crate::policy::plan::{Plan, allowance, plan};
use crate::policy::{Access, Policy};

/// How many characters of an unknown name are logged.
const NAME_SHOWN_MAX: usize = 80;

/// The rooms that answering needs.
#[derive(Debug)]
pub struct Flights {
    /// The policies in force.
    pub catalog: Arc<Catalog>,
    /// Makes and opens tickets.
    pub tickets: Tickets,
    /// How long a ticket is good for.
    pub ticket_seconds: i64,
    /// Opens streams.
    pub pipeline: Arc<Pipeline>,
    /// Counts open streams.
    pub admission: Arc<Admission>,
    /// The streams under way.
    pub register: Arc<Register>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whether new streams are refused because the server is about to stop.
    pub closing: AtomicBool,
}

impl Flights {
    /// The policy of a dataset that `partner` may read.
    ///
    /// # Errors
    /// [`Code::DatasetUnknown`] when there is none, or the partner has no grant for rows of it. The
    /// two are not told apart, and neither looks at the data.
    pub fn granted(&self, partner: &str, dataset: &str) -> Result<Arc<Policy>> {
        let policy = self.catalog.policy(dataset);
        policy.filter(|policy| self.may_read(partner, policy)).ok_or_else(|| {
            // The name is the partner's text, of any length; the log takes so much of it.
            let name: String = dataset.chars().take(NAME_SHOWN_MAX).collect();
            Error::new(Code::DatasetUnknown, format!("no dataset `{name}` for `{partner}`"))
        })
    }

    /// All policies that `partner` may read, by name.
    pub fn all_granted(&self, partner: &str) -> Vec<Arc<Policy>> {
        let policies = self.catalog.policies();
        policies.values().filter(|policy| self.may_read(partner, policy)).cloned().collect()
    }

    fn may_read(&self, partner: &str, policy: &Policy) -> bool {
        let today = self.clock.today();
        policy.grants_of(partner, today).any(|grant| grant.access == Access::Rows)
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

    /// The answer that describes a planned dataset: one endpoint a shard.
    ///
    /// # Errors
    /// [`Code::Internal`] when a ticket cannot be sealed.
    pub fn info(&self, plan: &Plan, snapshot: &Snapshot) -> Result<FlightInfo> {
        let seen = Seen {
            dataset: plan.dataset().to_owned(),
            policy_digest: plan.policy().digest.clone(),
            data_version: snapshot.version().to_owned(),
        };
        let mut ticket = Ticket {
            partner: plan.partner().to_owned(),
            subject: Subject::Dataset { seen: seen.clone(), shard: 0 },
            plan: new_plan_id()?,
            format: Format::default(),
            expires_seconds: self.clock.now_seconds().saturating_add(self.ticket_seconds),
        };
        let mut endpoints = Vec::new();
        for shard in 0..snapshot.shards() {
            ticket.subject = Subject::Dataset { seen: seen.clone(), shard };
            endpoints.push(self.endpoint(&ticket)?);
        }
        // PRIVACY: neither the number of records nor of bytes is told, here or anywhere.
        Ok(FlightInfo {
            schema: encapsulated(plan.schema())?.0,
            flight_descriptor: Some(FlightDescriptor::new_path(vec![plan.dataset().to_owned()])),
            endpoint: endpoints,
            total_records: -1,
            total_bytes: -1,
            ordered: false,
            app_metadata: plan.policy().digest.clone().into(),
        })
    }

    /// An endpoint on this very service, for a ticket.
    fn endpoint(&self, ticket: &Ticket) -> Result<FlightEndpoint> {
        let mut endpoint = FlightEndpoint {
            ticket: Some(SealedTicket { ticket: self.tickets.seal(ticket)?.into() }),
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

    /// The policy a ticket was issued under, where it is still in force and still grants.
    fn policy_of(&self, partner: &str, seen: &Seen) -> Result<Arc<Policy>> {
        let policy = self.granted(partner, &seen.dataset)?;
        if policy.digest == seen.policy_digest {
            Ok(policy)
        } else {
            Err(Error::new(Code::TicketStale, "the policy changed since the ticket was issued"))
        }
    }

    /// The same endpoint with a later expiry.
    ///
    /// # Errors
    /// As for opening it; what can no longer be pulled is not renewed.
    pub fn renewed(&self, mut ticket: Ticket) -> Result<FlightEndpoint> {
        if let Subject::Dataset { seen, .. } = &ticket.subject {
            self.policy_of(&ticket.partner, seen)?;
        }
        if self.register.is_cancelled(&ticket.plan) {
            return Err(Error::new(Code::Cancelled, "the plan was cancelled"));
        }
        ticket.expires_seconds = self.clock.now_seconds().saturating_add(self.ticket_seconds);
        self.endpoint(&ticket)
    }

    /// Opens the stream of the ticket's shard.
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
        if self.closing.load(Ordering::Acquire) {
            return Err(Error::new(Code::ShuttingDown, "no new streams"));
        }
        let Subject::Dataset { seen, shard } = ticket.subject else {
            return Err(Error::new(Code::Unsupported, "not a dataset's ticket"));
        };
        record.of_shard(shard);
        let policy = self.policy_of(&ticket.partner, &seen)?;
        record.about(&policy);
        if self.register.is_cancelled(&ticket.plan) {
            return Err(Error::new(Code::Cancelled, "the plan was cancelled"));
        }
        let allowance = allowance(&policy, &ticket.partner, self.clock.today())?;
        let reservation = self.admission.reserve(call.partner(), &[allowance])?;
        record.open().await?;
        let snapshot = self.catalog.snapshot_of(&policy, &seen.data_version).await?;
        let plan = plan(&policy, &ticket.partner, snapshot.schema(), self.clock.today())?;
        if snapshot.version() != seen.data_version || shard >= snapshot.shards() {
            return Err(Error::new(
                Code::TicketStale,
                format!("the data of `{}` changed since the ticket was issued", seen.dataset),
            ));
        }
        let format = Format::default();
        let schema = schema_message(plan.schema(), format);
        let entry = record.hand_over()?;
        let sealed = self.pipeline.open(
            call.partner(),
            plan,
            snapshot,
            shard,
            format,
            reservation,
            entry,
        )?;
        Ok(self.register.send(call.clone(), ticket.plan, schema, sealed))
    }
}

/// A schema as an encapsulated IPC message.
///
/// # Errors
/// [`Code::Internal`] when it cannot be encoded.
pub fn encapsulated(schema: &Schema) -> Result<IpcMessage> {
    SchemaAsIpc::new(schema, &IpcWriteOptions::default())
        .try_into()
        .context(Code::Internal, || "a schema cannot be encoded".to_owned())
}

/// The dataset that a descriptor names.
///
/// # Errors
/// [`Code::Unsupported`] for commands, [`Code::RequestInvalid`] for anything but a path of one name.
pub fn dataset_of(descriptor: &FlightDescriptor) -> Result<&str> {
    use arrow_flight::flight_descriptor::DescriptorType;
    match (descriptor.r#type(), descriptor.path.as_slice()) {
        (DescriptorType::Cmd, _) => Err(Error::new(Code::Unsupported, "a command, not a path")),
        (DescriptorType::Path, [name]) => Ok(name),
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
    fn a_path_of_one_name_is_a_dataset_and_nothing_else_is() {
        let path = |names: &[&str]| {
            FlightDescriptor::new_path(names.iter().map(|&name| name.to_owned()).collect())
        };
        assert_eq!(dataset_of(&path(&["jobs"])).unwrap(), "jobs");
        for wrong in [path(&[]), path(&["a", "b"]), FlightDescriptor::default()] {
            assert_eq!(dataset_of(&wrong).unwrap_err().code(), Code::RequestInvalid);
        }
        let command = FlightDescriptor::new_cmd("SELECT 1");
        assert_eq!(dataset_of(&command).unwrap_err().code(), Code::Unsupported);
    }
}
