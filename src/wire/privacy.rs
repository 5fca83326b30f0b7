//! What differential privacy costs and gives, as the JSON that partners read: of a grant, of their account, of one
//! statement. Decides nothing, and knows no rows.

use serde_json::{Map, Value, json};

use crate::budget::ledger::{Account, Balance};
use crate::error::Result;
use crate::pipeline::noise::curator::{Clipped, Inquiry, Measured};
use crate::policy::Policy;
pub(super) use crate::policy::privacy::spoken;
use crate::policy::privacy::{DpGrant, Loss};

/// What is said of clipping: it is never known before, and an answer does not tell it either. Estimates beside it
/// come from the policy.
const CLIPPED: &str = "how much of the data is left out by groups_max, rows_max and bounds follows from the rows, \
                       and is not told";

/// A grant's bounds of contributions and of values, and how large the data is where the policy declares it.
pub(super) fn granted(policy: &Policy, grant: &DpGrant) -> Map<String, Value> {
    let bounds = grant.bounds.iter().map(|(column, bounds)| {
        let null_as = grant.null_as.get(column);
        let told = json!({
            "low": bounds.low, "high": bounds.high, "step": bounds.step, "null_as": null_as,
        });
        (column.clone(), told)
    });
    let keys: Vec<&String> = grant.keys.keys().collect();
    let told = json!({
        "unit": grant.unit,
        "groups_max": grant.groups_max,
        "rows_max": grant.rows_max,
        "bounds": bounds.collect::<Map<_, _>>(),
        "public_keys": keys,
        "statement": loss(grant.query),
        "public_numbers": policy.public_numbers.map(|numbers| json!({
            "units": numbers.units, "rows": numbers.rows, "largest": numbers.largest,
            "smallest_group": numbers.smallest_group,
        })),
    });
    object(told)
}

/// What an account has and has spent. The cap of the dataset shows in what is left alone.
pub(super) fn account(account: &Account, balance: &Balance) -> Map<String, Value> {
    object(json!({
        "dataset": account.dataset,
        "accounting": account.accounting.as_str(),
        "total": loss(balance.total),
        "spent": loss(balance.spent),
        "left": loss(balance.left),
        "statement_max": loss(balance.statement_max),
    }))
}

/// What a statement costs, and what is known of its answer's error.
///
/// # Errors
/// Those of [`Inquiry::grant`].
pub(super) fn cost(inquiry: &Inquiry) -> Result<Value> {
    let cost = inquiry.cost();
    let grant = inquiry.grant()?;
    let expected = inquiry.expected();
    let mechanisms: Vec<Value> = expected.measures.iter().map(measured).collect();
    let mut told = object(json!({
        "epsilon": cost.epsilon.to_string(),
        "delta": cost.delta.to_string(),
        "stored": inquiry.is_stored(),
    }));
    told.extend(account(inquiry.account(), &inquiry.balance()));
    told.extend(object(json!({
        "unit": grant.unit,
        "groups_max": grant.groups_max,
        "rows_max": grant.rows_max,
        "mechanisms": mechanisms,
        "null_as": expected.null_as,
        "means_from_rows": expected.means_from,
        "threshold": expected.threshold.map(whole),
        "clipped": CLIPPED,
        "clipped_expected": expected.clipped.as_ref().map(clipped),
    })));
    Ok(Value::Object(told))
}

/// A measurement of each group, with its noise.
fn measured(measured: &Measured) -> Value {
    json!({
        "measure": measured.measure,
        "mechanism": measured.mechanism,
        "half_width_95": measured.half_width,
        "half_width_share": measured.half_width_share,
        "rows_off_95": measured.rows_off,
    })
}

/// What bounding is estimated to leave out, and from what.
fn clipped(clipped: &Clipped) -> Value {
    json!({ "share_min": clipped.share, "estimated": clipped.model })
}

/// A number of JSON where it is one that readers keep whole, else its digits.
fn whole(number: i128) -> Value {
    i64::try_from(number).map_or_else(|_| number.to_string().into(), Value::from)
}

/// Decimals are texts: a number of JSON would round them.
fn loss(loss: Loss) -> Value {
    json!({ "epsilon": loss.epsilon.to_string(), "delta": loss.delta.to_string() })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
