//! Statements: which of the partner's datasets they name, the answer that describes them, and opening one
//! shard of their answer from a ticket. Parses and plans nothing itself.

use std::sync::Arc;

use arrow_flight::{FlightDescriptor, FlightInfo};
use serde_json::{Value, json};

use super::super::authenticate::Call;
use super::super::flights::{Flights, Opened};
use super::super::privacy;
use super::super::record::Record;
use super::super::session::Options;
use super::super::ticket::{Asked, Read, Seen, Subject, Ticket};
use super::lane::Lane;
use crate::diagnostic::did_you_mean;
use crate::error::{Code, Error, Hint, Result};
use crate::pipeline::query::{Statement, View};
use crate::pipeline::seal::{schema_encapsulated, schema_message};
use crate::policy::Policy;
use crate::policy::plan::access;

/// How many characters of a partner's word are repeated.
const WORD_CHARS_MAX: usize = 80;

/// A statement that was planned over the datasets that it names.
pub(in crate::wire) struct Planned {
    /// What was made of it.
    pub(in crate::wire) lane: Lane,
    /// The datasets, in the state in which they are now.
    seen: Vec<Seen>,
}

/// What a call asks with a statement.
pub(in crate::wire) fn asked(call: &Call, sql: String) -> Asked {
    let Options { time_zone, epsilon, .. } = call.options().clone();
    Asked { sql, time_zone, epsilon, ..Asked::default() }
}

/// Plans a statement over the datasets as they are now, and opens the call's record before anything is
/// looked at.
///
/// # Errors
/// [`Code::DatasetUnknown`] for a name that the partner's catalogue does not hold, and those of parsing
/// and planning.
pub(in crate::wire) async fn plan(
    flights: &Flights,
    call: &Call,
    record: &mut Record,
    asked: &Asked,
) -> Result<Planned> {
    record.asks(asked);
    let partner = call.partner().name();
    let statement = Statement::parse(&asked.sql)?;
    let policies = named(&statement, flights.all_granted(partner))?;
    record.reads(
        policies
            .iter()
            .map(|policy| (policy.dataset.as_str(), policy.digest.as_str(), [].as_slice())),
    );
    record.open().await?;
    let (mut views, mut seen) = (Vec::new(), Vec::new());
    for policy in &policies {
        let planned = flights.planned(partner, policy).await;
        let (plan, snapshot) = match planned {
            Ok(planned) => planned,
            // What is out of order is not described with the others; named in a statement, it says why.
            Err(error) if !names(&statement, policy) => {
                tracing::error!(
                    dataset = policy.dataset,
                    code = %error.code(),
                    story = error.chain(),
                    "a dataset cannot be described"
                );
                continue;
            }
            Err(error) => return Err(error),
        };
        seen.push(Seen::of(&plan, &snapshot));
        views.push(View { plan, snapshot });
    }
    let lane = Lane::of(flights, &statement, asked, views).await?;
    Ok(Planned { lane, seen })
}

/// The statement whose answer is all of a view.
pub(crate) fn all_of(view: &str) -> String {
    // Names of views hold no quotes.
    format!("SELECT * FROM \"{view}\"")
}

/// Plans all of one view over its dataset as it is now, where the partner's list is made.
///
/// # Errors
/// Those of [`plan`].
pub(in crate::wire) async fn plan_view(
    flights: &Flights,
    call: &Call,
    policy: &Arc<Policy>,
    view: &str,
) -> Result<(Asked, Planned)> {
    let asked = asked(call, all_of(view));
    let (plan, snapshot) = flights.planned(call.partner().name(), policy).await?;
    let seen = vec![Seen::of(&plan, &snapshot)];
    let statement = Statement::parse(&asked.sql)?;
    let views = vec![View { plan, snapshot }];
    let lane = Lane::of(flights, &statement, &asked, views).await?;
    Ok((asked, Planned { lane, seen }))
}

/// The answer that describes a statement's answer: one endpoint a shard.
///
/// # Errors
/// [`Code::ParametersInvalid`] when parameters are open, and those of [`plan`].
pub(super) async fn describe(
    flights: &Flights,
    call: &Call,
    record: &mut Record,
    descriptor: FlightDescriptor,
    asked: Asked,
) -> Result<FlightInfo> {
    let planned = plan(flights, call, record, &asked).await?;
    info(flights, call, descriptor, asked, planned)
}

/// The answer that describes a planned statement's answer.
///
/// # Errors
/// [`Code::ParametersInvalid`] when parameters are open, and those of [`Flights::answer`].
pub(in crate::wire) fn info(
    flights: &Flights,
    call: &Call,
    descriptor: FlightDescriptor,
    asked: Asked,
    planned: Planned,
) -> Result<FlightInfo> {
    let app_metadata = planned.told()?.to_string().into();
    let Planned { lane, seen } = planned;
    if asked.parameters.is_empty() && !lane.parameters().fields().is_empty() {
        return Err(unbound(lane.parameters().fields().len()));
    }
    let asked = lane.settled(asked);
    let mut columns = lane.reads();
    let reads: Vec<Read> = seen
        .into_iter()
        .map(|seen| {
            let own = columns.iter_mut().find(|(dataset, _)| *dataset == seen.dataset);
            let columns = own.map(|(_, columns)| std::mem::take(columns)).unwrap_or_default();
            Read { seen, columns }
        })
        .collect();
    let schema = schema_encapsulated(lane.schema(), call.options().format)?;
    let subjects = (0..lane.shards())
        .map(|shard| Subject::Query { asked: asked.clone(), reads: reads.clone(), shard })
        .collect();
    let info = flights.answer(call, descriptor, schema, subjects)?;
    Ok(FlightInfo { ordered: lane.ordered(), app_metadata, ..info })
}

impl Planned {
    /// What is told of it beside its schema: the policies that answer, and what it costs where noise does.
    ///
    /// # Errors
    /// Those of [`privacy::cost`].
    pub(in crate::wire) fn told(&self) -> Result<Value> {
        let digest = |seen: &Seen| (seen.dataset.clone(), seen.policy_digest.clone().into());
        let policies: serde_json::Map<String, Value> = self.seen.iter().map(digest).collect();
        Ok(match &self.lane {
            Lane::Plain(_) => json!({ "policies": policies }),
            Lane::Noisy(inquiry) => {
                json!({ "policies": policies, "privacy": privacy::cost(inquiry)? })
            }
        })
    }
}

/// Opens the stream of one shard of a statement's answer.
///
/// # Errors
/// [`Code::TicketStale`] when a policy or the data changed, those of planning, of the budget, and of
/// opening.
pub(in crate::wire) async fn open(
    flights: &Flights,
    call: &Call,
    ticket: &Ticket,
    (asked, reads): (&Asked, &[Read]),
    shard: u32,
    record: &mut Record,
) -> Result<Opened> {
    record.of_shard(shard);
    record.asks(asked);
    let statement = Statement::parse(&asked.sql)?;
    let policies = policies_of(flights, ticket)?;
    record.reads(reads.iter().map(|Read { seen, columns }| {
        (seen.dataset.as_str(), seen.policy_digest.as_str(), columns.as_slice())
    }));
    record.open().await?;
    let mut views = Vec::new();
    for (policy, read) in policies.iter().zip(reads) {
        let (plan, snapshot) = flights.planned_as(&ticket.partner, policy, &read.seen).await?;
        views.push(View { plan, snapshot });
    }
    let allowances: Vec<_> = views.iter().map(|view| view.plan.allowance()).collect();
    let planned: Vec<_> = views.iter().map(|view| view.plan.access().clone()).collect();
    let lane = Lane::of(flights, &statement, asked, views).await?;
    // An answer that is made row by row is pulled in parallel, and its streams count as pulls. With a turn
    // for each, one shard would wait for the end of another, and in the end in vain.
    let reservation = match &lane {
        Lane::Plain(query) if query.is_by_row() => {
            flights.admission.reserve_shard(call.partner(), &allowances).await?
        }
        Lane::Plain(_) | Lane::Noisy(_) => {
            flights.admission.reserve_query(call.partner(), &allowances).await?
        }
    };
    // Much may have happened while it waited.
    flights.under_way(ticket)?;
    let today = flights.clock.today();
    for (policy, planned) in policies_of(flights, ticket)?.iter().zip(&planned) {
        // PRIVACY: the last day of a grant for rows may have ended, and one for aggregates be left. That is
        // no change of the policy, and the query was planned over rows.
        if access(policy, &ticket.partner, today) != Some(planned) {
            return Err(Error::new(Code::TicketStale, "a grant ended while the statement waited"));
        }
    }
    let schema = schema_message(lane.schema(), ticket.format);
    let (partner, entry) = (call.partner(), record.hand_over()?);
    let sealed = match lane {
        Lane::Plain(query) => {
            flights.engine.open(partner, query, shard, ticket.format, reservation, entry)?
        }
        Lane::Noisy(inquiry) => {
            flights.curator.open(partner, inquiry, ticket.format, reservation, entry)?
        }
    };
    Ok((schema, sealed))
}

/// The policies that a ticket was issued under, where all are still in force and still grant.
fn policies_of(flights: &Flights, ticket: &Ticket) -> Result<Vec<Arc<Policy>>> {
    ticket.subject.seen().map(|seen| flights.policy_of(&ticket.partner, seen)).collect()
}

fn unbound(open: usize) -> Error {
    let hint = format!(
        "the statement has {open} open parameters: bind them, and execute with the handle that the \
         binding returned"
    );
    Error::new(Code::ParametersInvalid, "open parameters").hinting(Hint::new(&hint))
}

/// The policies, among those `granted`, of the datasets and views that a statement names, in order of the
/// datasets' names.
pub(crate) fn named(statement: &Statement, granted: Vec<Arc<Policy>>) -> Result<Vec<Arc<Policy>>> {
    if statement.reads_information_schema() {
        // Names that are not there are still told now, with the words that help.
        statement.tables().iter().try_for_each(|word| find(word, &granted).map(drop))?;
        return Ok(granted);
    }
    let mut found = Vec::new();
    for word in statement.tables() {
        found.push(find(word, &granted)?);
    }
    // A dataset that is not granted has no schema that is told of: planning says that there is no such table.
    let publics =
        |policy: &&Arc<Policy>| statement.publics().iter().any(|(of, _)| *of == policy.dataset);
    found.extend(granted.iter().filter(publics).cloned());
    found.sort_by(|a: &Arc<Policy>, b| a.dataset.cmp(&b.dataset));
    found.dedup_by(|a, b| a.dataset == b.dataset);
    Ok(found)
}

/// Whether a statement names something of a policy.
fn names(statement: &Statement, policy: &Policy) -> bool {
    statement.tables().iter().any(|word| means(word, policy))
        || statement.publics().iter().any(|(of, _)| *of == policy.dataset)
}

/// The policy that a partner's word means, but for capitals: names of datasets and views have none.
///
/// PRIVACY: only names that the partner is granted are told.
fn find(word: &str, granted: &[Arc<Policy>]) -> Result<Arc<Policy>> {
    if let Some(policy) = granted.iter().find(|policy| means(word, policy)) {
        return Ok(Arc::clone(policy));
    }
    let shown: String = word.chars().take(WORD_CHARS_MAX).collect();
    let mut hint = format!("there is no `{shown}` in your catalogue");
    if let Some(near) = did_you_mean(word, granted.iter().flat_map(|policy| policy.names())) {
        hint.push_str(&format!("; did you mean `{near}`?"));
    }
    Err(Error::new(Code::DatasetUnknown, format!("no dataset `{shown}`")).hinting(Hint::new(&hint)))
}

pub(crate) fn means(word: &str, policy: &Policy) -> bool {
    policy.names().any(|name| word.eq_ignore_ascii_case(name))
}
