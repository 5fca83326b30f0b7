//! The actions: cancel, renew, and what the server and a policy say of themselves. Lists only what is
//! offered.

use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus,
    RenewFlightEndpointRequest,
};
use bytes::Bytes;
use prost::Message;
use serde_json::{Value, json};

use super::authenticate::Call;
use super::flights::Flights;
use super::record::Record;
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::transform::Exposure;
use crate::policy::plan::Plan;

const CANCEL: &str = "CancelFlightInfo";
const RENEW: &str = "RenewFlightEndpoint";
const SERVER_INFO: &str = "veilflight.server_info";
const POLICY_INFO: &str = "veilflight.policy_info";

/// What is offered.
pub fn all() -> Vec<ActionType> {
    [
        (
            CANCEL,
            "Stop the streams of a flight and void its tickets. Body: CancelFlightInfoRequest.",
        ),
        (RENEW, "Get a ticket with a later expiry. Body: RenewFlightEndpointRequest."),
        (SERVER_INFO, "Name, version and what is offered, as JSON. No body."),
        (
            POLICY_INFO,
            "What was done to each column of a dataset, and what can still be learned from it, as \
             JSON. Body: the dataset's name.",
        ),
    ]
    .map(|(name, description)| ActionType {
        r#type: name.to_owned(),
        description: description.to_owned(),
    })
    .into()
}

/// Carries out one action.
///
/// # Errors
/// [`Code::Unsupported`] for an unknown one, [`Code::RequestInvalid`] for a body that does not fit.
pub async fn act(
    flights: &Flights,
    call: &Call,
    action: &Action,
    record: &mut Record,
) -> Result<Bytes> {
    match action.r#type.as_str() {
        CANCEL => cancel(flights, call, &action.body),
        RENEW => renew(flights, call, &action.body),
        SERVER_INFO => Ok(server_info()),
        POLICY_INFO => policy_info(flights, call, &action.body, record).await,
        _ => Err(Error::new(Code::Unsupported, "an action that is not offered")),
    }
}

fn malformed(what: &str) -> Error {
    Error::new(Code::RequestInvalid, what)
}

/// Cancels every plan that the tickets of an info belong to.
fn cancel(flights: &Flights, call: &Call, body: &Bytes) -> Result<Bytes> {
    let request = CancelFlightInfoRequest::decode(body.clone())
        .context(Code::RequestInvalid, || "not a cancel request".to_owned())?;
    let info = request.info.ok_or_else(|| malformed("a cancel request without an info"))?;
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
    let status =
        if tickets.is_empty() { CancelStatus::NotCancellable } else { CancelStatus::Cancelled };
    Ok(CancelFlightInfoResult { status: status.into() }.encode_to_vec().into())
}

fn renew(flights: &Flights, call: &Call, body: &Bytes) -> Result<Bytes> {
    let request = RenewFlightEndpointRequest::decode(body.clone())
        .context(Code::RequestInvalid, || "not a renew request".to_owned())?;
    let endpoint = request.endpoint.ok_or_else(|| malformed("no endpoint"))?;
    let sealed = endpoint.ticket.ok_or_else(|| malformed("no ticket"))?;
    let ticket = flights.ticket(call.partner().name(), &sealed)?;
    Ok(flights.renewed(ticket)?.encode_to_vec().into())
}

fn server_info() -> Bytes {
    let info = json!({
        "name": "veilflight",
        "version": env!("CARGO_PKG_VERSION"),
        "arrow_flight": "path descriptors",
        "flight_sql": false,
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
    Ok(describe(&plan).to_string().into())
}

/// A plan in words for the partner it was made for.
///
/// PRIVACY: the words are the registry's own; nothing that the author wrote is told but names and the
/// description, and columns that do not leave are not mentioned.
fn describe(plan: &Plan) -> Value {
    let columns: Vec<Value> = plan
        .columns()
        .iter()
        .map(|column| {
            let transform = column.rule.transform;
            let spec = transform.spec();
            json!({
                "name": column.name,
                "type": column.output.to_string(),
                "protection": spec.name(),
                "exposure": exposure(transform.exposure(&column.rule.args)),
                "does": spec.does,
                "hides": spec.hides,
                "still_leaks": spec.leaks,
            })
        })
        .collect();
    json!({
        "dataset": plan.dataset(),
        "description": plan.policy().description,
        "policy_digest": plan.policy().digest,
        "linkage": if plan.audience().is_some() { "per_partner" } else { "shared" },
        "columns": columns,
    })
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
