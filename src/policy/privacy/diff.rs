//! What changed in budgets and bounds, and which way. Compares meaning.

use std::cmp::Ordering;

use super::{Accounting, DpGrant, Loss, Privacy};
use crate::pipeline::transform::Change;
use crate::policy::decimal::Decimal;

/// A change and its reason.
type Found = (Change, String);

/// What changed in a grant.
pub(in crate::policy) fn changes(old: &DpGrant, new: &DpGrant) -> Vec<Found> {
    let mut found = losses(old.total, new.total);
    // What a query costs is noise against number of answers; the total bounds what they tell together.
    for (name, old, new) in [
        ("epsilon", old.query.epsilon, new.query.epsilon),
        ("delta", old.query.delta, new.query.delta),
    ] {
        if old != new {
            found.push((Change::Moves, format!("{name} of a query was {old}, is {new}")));
        }
    }
    if old.unit != new.unit {
        found.push((Change::Moves, "another unit is protected".to_owned()));
    }
    if (old.groups_max, old.rows_max, &old.bounds) != (new.groups_max, new.rows_max, &new.bounds) {
        found.push((Change::Moves, "other bounds: other noise for the same budget".to_owned()));
    }
    let columns =
        || old.null_as.keys().chain(new.null_as.keys().filter(|k| !old.null_as.contains_key(*k)));
    for column in columns() {
        let told = |value: Option<&f64>| value.map_or("no value".to_owned(), f64::to_string);
        let (old, new) = (old.null_as.get(column), new.null_as.get(column));
        if old != new {
            let reason =
                format!("null of `{column}` counted as {}, counts as {}", told(old), told(new));
            found.push((Change::Moves, reason));
        }
    }
    let columns = || old.keys.keys().chain(new.keys.keys().filter(|k| !old.keys.contains_key(*k)));
    for column in columns() {
        let reason = match (old.keys.get(column), new.keys.get(column)) {
            (Some(old), Some(new)) if old == new => continue,
            (Some(_), Some(_)) => format!("other public values of `{column}`"),
            (None, _) => format!("the values of `{column}` are public now"),
            (Some(_), None) => format!("the values of `{column}` are no longer public"),
        };
        // To say in public which values there may be is the custodian's word, of which nobody's rows are part.
        found.push((Change::Moves, reason));
    }
    found
}

/// What changed in what holds for all partners.
pub(in crate::policy) fn privacy_changes(
    old: Option<&Privacy>,
    new: Option<&Privacy>,
) -> Vec<Found> {
    let of = |privacy: Option<&Privacy>| privacy.map_or(Accounting::Pure, |p| p.accounting);
    let mut found = match (old, new) {
        (None, None) => Vec::new(),
        (None, Some(_)) => {
            vec![(Change::Strengthens, "partners together have a cap".to_owned())]
        }
        (Some(_), None) => {
            vec![(Change::Weakens, "partners together no longer have a cap".to_owned())]
        }
        (Some(old), Some(new)) => losses(old.cap, new.cap),
    };
    if of(old) != of(new) {
        found.push((
            Change::Moves,
            "losses add up in another way: other noise, more answers or fewer".to_owned(),
        ));
    }
    found
}

fn losses(old: Loss, new: Loss) -> Vec<Found> {
    let one = |name: &str, old: Decimal, new: Decimal| {
        let change = match old.cmp(&new) {
            Ordering::Less => Change::Weakens,
            Ordering::Equal => return None,
            Ordering::Greater => Change::Strengthens,
        };
        Some((change, format!("{name} was {old}, is {new}")))
    };
    let both = [one("epsilon", old.epsilon, new.epsilon), one("delta", old.delta, new.delta)];
    both.into_iter().flatten().collect()
}
