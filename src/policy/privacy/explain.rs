//! What differential privacy promises under a policy, in plain words.

use super::{Accounting, Bounds, DpGrant, Loss, accounting, is_learned};
use crate::policy::decimal::Decimal;
use crate::policy::problem::listed;
use crate::policy::{Access, Column, Policy};

/// What a grant promises to those whom the data are about, in sentences.
pub(in crate::policy) fn promised(policy: &Policy, dp: &DpGrant) -> String {
    let unit = &dp.unit;
    let (total, query) = (dp.total, dp.query);
    let mut words = format!(
        "Adding or removing one `{unit}` with all rows changes the chance of any answer by {}, over all \
         that the partner may ever ask (epsilon {}, delta {} in all), whatever they know besides.",
        promise(total),
        total.epsilon,
        total.delta,
    );
    words.push_str(&match accounting(policy) {
        Accounting::Pure => format!(
            " For a statement that does not say otherwise it is {} (epsilon {}, delta {}).",
            promise(query),
            query.epsilon,
            query.delta,
        ),
        // A statement's own rho gives it a bound for each delta; its epsilon is a name for its rho.
        Accounting::Zcdp => format!(
            " A statement that does not say otherwise costs rho = {}^2 / 2 (epsilon {}, delta {}).",
            query.epsilon, query.epsilon, query.delta,
        ),
    });
    words.push_str(&format!(
        " One `{unit}` counts in at most {} with at most {} each; the rest is left out.",
        counted(dp.groups_max, "group"),
        counted(dp.rows_max, "row"),
    ));
    if !dp.bounds.is_empty() {
        let each =
            |(column, b): (&String, &Bounds)| format!("`{column}` from {} to {}", b.low, b.high);
        let bounds: Vec<String> = dp.bounds.iter().map(each).collect();
        words.push_str(&format!(
            " Values beyond their bounds count as the bound: {}.",
            bounds.join(", ")
        ));
    }
    if !dp.null_as.is_empty() {
        let each = |(column, value): (&String, &f64)| format!("`{column}` as {value}");
        let columns: Vec<String> = dp.null_as.iter().map(each).collect();
        words.push_str(&format!(
            " Where a value is missing (null or NaN) that is measured, it counts as one: {}.",
            columns.join(", ")
        ));
    }
    if !dp.keys.is_empty() {
        let columns: Vec<&String> = dp.keys.keys().collect();
        words.push_str(&format!(" The values of {} that are listed are public.", listed(&columns)));
    }
    words.push_str(if total.delta.is_zero() {
        " Without a delta, groups are told by columns with public values alone."
    } else {
        " Groups by other columns are told where enough units are in them."
    });
    words
}

/// What holds for all partners together, where somebody has differentially private answers.
pub(in crate::policy) fn sentences(policy: &Policy) -> Vec<String> {
    let granted = policy.grants.iter().any(|grant| matches!(grant.access, Access::Dp(_)));
    let mut found = Vec::new();
    match policy.privacy {
        Some(privacy) => found.push(format!(
            "Differentially private answers to all partners together cost at most epsilon {} and delta {}: \
             even where partners share all answers, adding or removing one unit changes the chance of any \
             answer by {}.",
            privacy.cap.epsilon,
            privacy.cap.delta,
            promise(privacy.cap)
        )),
        None if granted => found.push(
            "No cap holds over partners: those who share their answers learn what their budgets allow \
             together."
                .to_owned(),
        ),
        None => {}
    }
    if let Some(numbers) = policy.public_numbers {
        let unit = policy.grants.iter().find_map(|grant| match &grant.access {
            Access::Dp(dp) => Some(&dp.unit),
            Access::Rows | Access::Aggregates { .. } => None,
        });
        let unit = unit.or(policy.unit.as_ref()).map_or("units".to_owned(), |it| format!("`{it}`"));
        let told: Vec<String> = [
            (numbers.units, format!("of {unit}")),
            (numbers.rows, "rows".to_owned()),
            (numbers.largest, "rows of one at most".to_owned()),
            (numbers.smallest_group, "rows of the smallest group".to_owned()),
        ]
        .into_iter()
        .filter_map(|(number, what)| Some(format!("{} {what}", number?)))
        .collect();
        found.push(format!(
            "Declared public, and told to partners without noise: {}.",
            told.join(", ")
        ));
    }
    if granted || policy.privacy.is_some() {
        found.push(
            match accounting(policy) {
                Accounting::Pure => {
                    "Losses of privacy are summed (pure accounting); noise is discrete Laplace."
                }
                Accounting::Zcdp => {
                    "Losses of privacy add up as zero-concentrated differential privacy; noise is discrete \
                     Gaussian."
                }
            }
            .to_owned(),
        );
    }
    found
}

/// What statements under a grant may do with a column that leaves, and what may be learned of it.
///
/// PRIVACY: no value of a row is told, whatever the column's rule. Names of groups are told where they are public,
/// where the statement itself says them, or where enough units share them.
pub fn spoken(dp: &DpGrant, column: &Column) -> (String, String) {
    let name = &column.name;
    let mut may = Vec::new();
    let is_unit = *name == dp.unit;
    if is_unit {
        may.push(format!("counted with `count(DISTINCT {name})`, and not grouped by"));
    }
    let learned = is_learned(column);
    if learned {
        let refused = "Other uses are refused: what leaves of it depends on other people's rows.";
        let does = match may.first() {
            Some(counted) => format!("May be {counted}. {refused}"),
            None => {
                "May not be spoken of: what leaves of it depends on other people's rows.".to_owned()
            }
        };
        let leaks = if is_unit { NOISY } else { "Nothing." };
        return (does, leaks.to_owned());
    }
    may.push("filtered by".to_owned());
    let keys = dp.keys.get(name).map(Vec::len);
    match keys {
        _ if is_unit => {}
        Some(count) => may.push(format!("grouped by ({} public)", counted(count as u64, "value"))),
        None if dp.total.delta.is_zero() => {}
        None => may.push("grouped by, where enough units are in a group".to_owned()),
    }
    match dp.bounds.get(name) {
        Some(Bounds { low, high, step }) => may.push(format!(
            "summed, averaged and cut by quantiles, each value taken from {low} to {high} in steps of {step}{}",
            dp.null_as.get(name).map_or(String::new(), |value| format!(", null and NaN as {value}"))
        )),
        None => may.push("counted where it is not null; not summed, since it has no bounds".to_owned()),
    }
    let named = !is_unit && keys.is_none() && !dp.total.delta.is_zero();
    let leaks = if named {
        format!("{NOISY} Values that enough units share, as names of groups.")
    } else {
        NOISY.to_owned()
    };
    (format!("May be {}.", joined(&may)), leaks)
}

/// What may be learned of any column.
const NOISY: &str =
    "Numbers over many rows, with noise: of one unit no more than the promise says.";

/// `a; b; and c`.
fn joined(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{}; and {last}", first.join("; ")),
    }
}

/// What a loss means.
fn promise(loss: Loss) -> String {
    let factor = format!("at most a factor of e^{} = {}", loss.epsilon, power(loss.epsilon));
    if loss.delta.is_zero() {
        factor
    } else {
        format!("{factor}, but for a chance of {}", loss.delta)
    }
}

/// e to an epsilon, rounded up.
fn power(epsilon: Decimal) -> String {
    let factor = epsilon.approximate().exp();
    if factor < 100.0 {
        format!("{:.2}", (factor * 100.0).ceil() / 100.0)
    } else {
        format!("{:.0}", factor.ceil())
    }
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
