//! The actions: cancel, renew, prepare, the session's, and what the server and a policy say of themselves.
//! Lists only what is offered.

use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, ProstMessageExt,
};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo,
    RenewFlightEndpointRequest,
};
use bytes::Bytes;
use prost::Message;
use serde_json::{Map, Value, json};
use tonic::metadata::{Ascii, MetadataValue};

use super::authenticate::Call;
use super::flights::Flights;
use super::record::Record;
use super::sql::{command, prepared, statement};
use super::{privacy, session};
use crate::budget::ledger::Account;
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::transform::Exposure;
use crate::policy::Access;
use crate::policy::plan::{Plan, access};

const CANCEL: &str = "CancelFlightInfo";
const CANCEL_QUERY: &str = "CancelQuery";
const RENEW: &str = "RenewFlightEndpoint";
const PREPARE: &str = "CreatePreparedStatement";
const CLOSE_PREPARED: &str = "ClosePreparedStatement";
const SERVER_INFO: &str = "veilflight.server_info";
const POLICY_INFO: &str = "veilflight.policy_info";
const PRIVACY_COST: &str = "veilflight.privacy_cost";
const PRIVACY_BUDGET: &str = "veilflight.privacy_budget";

/// What is offered beside the session's own.
const ACTIONS: [(&str, &str); 9] = [
    (CANCEL, "Stop the streams of a flight and void its tickets. Body: CancelFlightInfoRequest."),
    (CANCEL_QUERY, "The same, as older clients say it. Body: ActionCancelQueryRequest."),
    (RENEW, "Get a ticket with a later expiry. Body: RenewFlightEndpointRequest."),
    (
        PREPARE,
        "Check a statement and get a handle for it. Body: ActionCreatePreparedStatementRequest.",
    ),
    (
        CLOSE_PREPARED,
        "Let go of a handle; nothing is kept for it. Body: ActionClosePreparedStatementRequest.",
    ),
    (SERVER_INFO, "Name, version and what is offered, as JSON. No body."),
    (
        POLICY_INFO,
        "What was done to each column of a dataset, and what can still be learned from it, as JSON. \
         Body: the dataset's name.",
    ),
    (
        PRIVACY_COST,
        "What a statement over a dataset that is granted with noise costs, and how large the noise is, as \
         JSON; nothing is spent. Body: the statement.",
    ),
    (
        PRIVACY_BUDGET,
        "What you may spend, have spent and have left of each dataset that you are granted with noise, as \
         JSON. No body.",
    ),
];

/// What is offered.
pub fn all() -> Vec<ActionType> {
    ACTIONS
        .iter()
        .chain(&session::ACTIONS)
        .map(|(name, description)| ActionType {
            r#type: (*name).to_owned(),
            description: (*description).to_owned(),
        })
        .collect()
}

/// What came of an action.
#[derive(Debug, Default)]
pub struct Acted {
    /// The result; some actions have none.
    pub body: Option<Bytes>,
    /// For the answer's `set-cookie` header.
    pub cookie: Option<MetadataValue<Ascii>>,
}

impl Acted {
    const fn result(body: Bytes) -> Self {
        Self { body: Some(body), cookie: None }
    }
}

/// Carries out one action.
///
/// # Errors
/// [`Code::Unsupported`] for one that is not offered, [`Code::RequestInvalid`] for a body that does not
/// fit.
pub async fn act(
    flights: &Flights,
    call: &Call,
    action: &Action,
    record: &mut Record,
) -> Result<Acted> {
    let body = &action.body;
    let result = match action.r#type.as_str() {
        CANCEL => cancel(flights, call, body)?,
        CANCEL_QUERY => cancel_query(flights, call, body)?,
        RENEW => renew(flights, call, body)?,
        PREPARE => {
            let request: ActionCreatePreparedStatementRequest = command::body(body)?;
            prepared::create(flights, call, request, record).await?
        }
        CLOSE_PREPARED => {
            let request: ActionClosePreparedStatementRequest = command::body(body)?;
            prepared::close(flights, call, &request)?;
            return Ok(Acted::default());
        }
        SERVER_INFO => server_info(),
        POLICY_INFO => policy_info(flights, call, body, record).await?,
        PRIVACY_COST => privacy_cost(flights, call, body, record).await?,
        PRIVACY_BUDGET => privacy_budget(flights, call, record).await?,
        session::SET | session::GET | session::CLOSE => {
            let session::Answer { body, cookie } = session::act(call, action)?;
            return Ok(Acted { body: Some(body), cookie });
        }
        // Transactions, savepoints and Substrait plans among them.
        _ => return Err(Error::new(Code::Unsupported, "an action that is not offered")),
    };
    Ok(Acted::result(result))
}

fn malformed(what: &str) -> Error {
    Error::new(Code::RequestInvalid, what)
}

fn cancel(flights: &Flights, call: &Call, body: &Bytes) -> Result<Bytes> {
    let request = CancelFlightInfoRequest::decode(body.clone())
        .context(Code::RequestInvalid, || "not a cancel request".to_owned())?;
    let info = request.info.ok_or_else(|| malformed("a cancel request without an info"))?;
    let status = cancelled(flights, call, &info)?;
    Ok(CancelFlightInfoResult { status: status.into() }.encode_to_vec().into())
}

fn cancel_query(flights: &Flights, call: &Call, body: &Bytes) -> Result<Bytes> {
    let request: ActionCancelQueryRequest = command::body(body)?;
    let info = FlightInfo::decode(request.info)
        .context(Code::RequestInvalid, || "a cancel request without an info".to_owned())?;
    // The words of the two results have the same numbers.
    let result = cancelled(flights, call, &info)?.into();
    Ok(ActionCancelQueryResult { result }.as_any().encode_to_vec().into())
}

/// Cancels every plan that the tickets of an info belong to.
fn cancelled(flights: &Flights, call: &Call, info: &FlightInfo) -> Result<CancelStatus> {
    let mut tickets = Vec::new();
    for endpoint in &info.endpoint {
        let sealed = endpoint.ticket.as_ref().ok_or_else(|| malformed("no ticket"))?;
        tickets.push(flights.ticket(call.partner().name(), sealed)?);
    }
    let now = flights.clock.now_seconds();
    // A renewed ticket of the same plan may live longer than the one at hand.
    let until = now.saturating_add(flights.ticket_seconds);
    for ticket in &tickets {
        flights.register.cancel(ticket.plan, until.max(ticket.expires_seconds), now);
    }
    Ok(if tickets.is_empty() { CancelStatus::NotCancellable } else { CancelStatus::Cancelled })
}

fn renew(flights: &Flights, call: &Call, body: &Bytes) -> Result<Bytes> {
    let request = RenewFlightEndpointRequest::decode(body.clone())
        .context(Code::RequestInvalid, || "not a renew request".to_owned())?;
    let endpoint = request.endpoint.ok_or_else(|| malformed("no endpoint"))?;
    let sealed = endpoint.ticket.ok_or_else(|| malformed("no ticket"))?;
    let ticket = flights.ticket(call.partner().name(), &sealed)?;
    Ok(flights.renewed(call, ticket)?.encode_to_vec().into())
}

fn server_info() -> Bytes {
    let info = json!({
        "name": "veilflight",
        "version": env!("CARGO_PKG_VERSION"),
        "arrow_flight": "path descriptors",
        "flight_sql": true,
    });
    info.to_string().into()
}

async fn policy_info(
    flights: &Flights,
    call: &Call,
    body: &Bytes,
    record: &mut Record,
) -> Result<Bytes> {
    let name = std::str::from_utf8(body)
        .context(Code::RequestInvalid, || "a name that is not text".to_owned())?;
    let policy = flights.granted(call.partner().name(), name)?;
    record.about(&policy);
    record.open().await?;
    let (plan, _) = flights.planned(call.partner().name(), &policy).await?;
    let mut told = describe(&plan);
    if let Access::Dp(grant) = plan.access() {
        let mut terms = privacy::granted(&policy, grant);
        let account = Account::new(&policy, plan.partner(), grant);
        terms.extend(privacy::account(&account, &flights.curator.balance(&account).await?));
        told.insert("privacy".to_owned(), terms.into());
    }
    Ok(Value::Object(told).to_string().into())
}

async fn privacy_cost(
    flights: &Flights,
    call: &Call,
    body: &Bytes,
    record: &mut Record,
) -> Result<Bytes> {
    let sql = std::str::from_utf8(body)
        .context(Code::RequestInvalid, || "a statement that is not text".to_owned())?;
    command::statement_fits(sql)?;
    let asked = statement::asked(call, sql.to_owned());
    let planned = statement::plan(flights, call, record, &asked).await?;
    Ok(planned.told()?.to_string().into())
}

async fn privacy_budget(flights: &Flights, call: &Call, record: &mut Record) -> Result<Bytes> {
    record.open().await?;
    let (partner, today) = (call.partner().name(), flights.clock.today());
    let mut datasets = Vec::new();
    for policy in flights.all_granted(partner) {
        if let Some(Access::Dp(grant)) = access(&policy, partner, today) {
            let account = Account::new(&policy, partner, grant);
            let balance = flights.curator.balance(&account).await?;
            datasets.push(Value::Object(privacy::account(&account, &balance)));
        }
    }
    Ok(json!({ "datasets": datasets }).to_string().into())
}

/// A plan in words for the partner it was made for.
///
/// PRIVACY: the words are the registry's own; nothing that the author wrote is told but names and the
/// description, and columns that do not leave are not mentioned.
fn describe(plan: &Plan) -> Map<String, Value> {
    let columns: Vec<Value> = plan
        .columns()
        .iter()
        .map(|column| {
            let transform = column.rule.transform;
            let spec = transform.spec();
            let mut told = json!({
                "name": column.name,
                "type": column.output.to_string(),
                "protection": spec.name(),
                "exposure": exposure(transform.exposure(&column.rule.args)),
                "does": spec.does,
                "hides": spec.hides,
                "still_leaks": spec.leaks,
            });
            let own = plan.policy().columns.iter().find(|own| own.name == column.name);
            if let (Access::Dp(grant), Some(own), Some(told)) =
                (plan.access(), own, told.as_object_mut())
            {
                let (may, leaks) = privacy::spoken(grant, own);
                told.extend([
                    ("exposure".to_owned(), "noisy".into()),
                    ("may".to_owned(), may.into()),
                    ("still_leaks".to_owned(), leaks.into()),
                ]);
            }
            told
        })
        .collect();
    let (access, group_min) = match plan.access() {
        Access::Rows => ("rows", None),
        Access::Aggregates { group_min } => ("aggregates", Some(group_min)),
        Access::Dp(_) => ("dp", None),
    };
    let linkage = if plan.audience().is_some() { "per_partner" } else { "shared" };
    [
        ("dataset", plan.dataset().into()),
        ("access", access.into()),
        ("group_min", group_min.copied().into()),
        ("description", plan.policy().description.as_str().into()),
        ("policy_digest", plan.policy().digest.as_str().into()),
        ("linkage", linkage.into()),
        ("columns", columns.into()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

const fn exposure(exposure: Exposure) -> &'static str {
    match exposure {
        Exposure::Nothing => "nothing",
        Exposure::Coarse => "coarse",
        Exposure::Pseudonym => "pseudonym",
        Exposure::StructuredPseudonym => "structured_pseudonym",
        Exposure::Clear => "clear",
    }
}
