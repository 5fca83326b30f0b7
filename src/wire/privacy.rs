//! What differential privacy costs and gives, as the JSON that partners read: of a grant, of their account, of one
//! statement. Decides nothing, and knows no rows.

use serde_json::{Map, Value, json};

use crate::budget::ledger::{Account, Balance};
use crate::error::Result;
use crate::pipeline::noise::curator::{Expected, Inquiry};
use crate::policy::privacy::{Accounting, DpGrant, Loss};

/// What is said of clipping: it is never known before, and an answer does not tell it either.
const CLIPPED: &str = "how much of the data is left out by groups_max, rows_max and bounds follows from the rows, \
                       and is not told";

/// A grant's bounds of contributions and of values.
pub(super) fn granted(grant: &DpGrant) -> Map<String, Value> {
    let bounds = grant.bounds.iter().map(|(column, bounds)| {
        (column.clone(), json!({ "low": bounds.low, "high": bounds.high, "step": bounds.step }))
    });
    let keys: Vec<&String> = grant.keys.keys().collect();
    let told = json!({
        "unit": grant.unit,
        "groups_max": grant.groups_max,
        "rows_max": grant.rows_max,
        "bounds": bounds.collect::<Map<_, _>>(),
        "public_keys": keys,
        "statement": loss(grant.query),
    });
    object(told)
}

/// What an account has and has spent. The cap of the dataset shows in what is left alone.
pub(super) fn account(account: &Account, balance: &Balance) -> Map<String, Value> {
    object(json!({
        "dataset": account.dataset,
        "accounting": match account.accounting {
            Accounting::Pure => "pure",
            Accounting::Zcdp => "zcdp",
        },
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
    let mechanisms: Vec<Value> = inquiry.expected().iter().map(expected).collect();
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
        "clipped": CLIPPED,
    })));
    Ok(Value::Object(told))
}

/// A measurement of each group, with its noise.
fn expected(expected: &Expected) -> Value {
    json!({
        "measure": expected.measure,
        "mechanism": expected.mechanism,
        "half_width_95": expected.half_width,
    })
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
