//! What differential privacy promises under a policy, in plain words.

use super::{Accounting, DpGrant, Loss, accounting};
use crate::policy::decimal::Decimal;
use crate::policy::problem::listed;
use crate::policy::{Access, Policy};

/// A grant, as the rest of a sentence that begins with the partner.
pub(in crate::policy) fn sentence(policy: &Policy, dp: &DpGrant) -> String {
    let unit = &dp.unit;
    let query = match accounting(policy) {
        Accounting::Pure => promise(dp.query),
        // A statement's own rho gives it a bound for each delta; its epsilon is a name for its rho.
        Accounting::Zcdp => {
            format!("is rho-zCDP with rho = {0}^2 / 2, which is counted exactly", dp.query.epsilon)
        }
    };
    let mut words = format!(
        "may ask for differentially private aggregates, and for no rows. Adding or removing one `{unit}` \
         with all rows {all}, whatever else is known, over all that the partner may ever ask (epsilon \
         {epsilon}, delta {delta} in all); for a statement that does not say otherwise, it {query} (epsilon \
         {query_epsilon}). One `{unit}` counts in at most {groups} and with at most {rows} each; the rest is \
         left out",
        all = promise(dp.total),
        epsilon = dp.total.epsilon,
        delta = dp.total.delta,
        query_epsilon = dp.query.epsilon,
        groups = counted(dp.groups_max, "group"),
        rows = counted(dp.rows_max, "row"),
    );
    if !dp.bounds.is_empty() {
        let bounds: Vec<String> = dp
            .bounds
            .iter()
            .map(|(column, b)| format!("`{column}` from {} to {}", b.low, b.high))
            .collect();
        words.push_str(&format!("; values are taken within bounds ({})", bounds.join(", ")));
    }
    words.push_str(match (dp.keys.is_empty(), dp.total.delta.is_zero()) {
        (true, true) => "; without a delta, groups are only told where `keys` makes them public",
        (true, false) => "; groups of few are left out",
        (false, _) => "",
    });
    if !dp.keys.is_empty() {
        let columns: Vec<&String> = dp.keys.keys().collect();
        words.push_str(&format!("; the values of {} are public", listed(&columns)));
    }
    words
}

/// What holds for all partners together, where somebody has differentially private answers.
pub(in crate::policy) fn sentences(policy: &Policy) -> Vec<String> {
    let granted = policy.grants.iter().any(|grant| matches!(grant.access, Access::Dp(_)));
    let mut found = Vec::new();
    match policy.privacy {
        Some(privacy) => found.push(format!(
            "Differentially private answers to all partners together cost at most epsilon {} and delta {}: \
             even where partners share all answers, adding or removing one unit {}.",
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

/// What a loss means.
fn promise(loss: Loss) -> String {
    let factor = format!(
        "changes the chance of any answer by at most a factor of e^{} = {}",
        loss.epsilon,
        power(loss.epsilon)
    );
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
