//! Columns whose values are made from their own row alone, and always. Of others one person more changes what
//! leaves of all the rest, or that nothing does, and no bound on that person's rows covers it.

use crate::error::Result;
use crate::pipeline::query::{refused, short};
use crate::policy::plan::Plan;
use crate::policy::privacy::{fails_on_values, is_learned};

/// Refuses columns that are made from more than their row, or that may fail on a value.
///
/// PRIVACY: the loss is counted for one unit's rows that come or go. It holds where all other rows stay as they
/// are: not in a release, not where a rule learns from a column, not where values are numbered as they come.
///
/// # Errors
/// [`Code::NoisyOnly`](crate::error::Code::NoisyOnly).
pub(super) fn made_alone(plan: &Plan, reads: &[String]) -> Result<()> {
    if plan.policy().release.is_some() {
        return Err(refused(
            "a release is made from all rows together, and is not answered with noise: tell the custodian",
        ));
    }
    for column in plan.policy().columns.iter().filter(|column| reads.contains(&column.name)) {
        if is_learned(column) {
            return Err(refused(&format!(
                "what leaves of `{}` depends on more than its row, so it is not answered with noise: leave it out",
                short(&column.name)
            )));
        }
        // PRIVACY: an answer that fails on a value tells that the value is there, and no noise is on that.
        if fails_on_values(column) {
            return Err(refused(&format!(
                "one value that the rule of `{}` does not take would fail the answer: leave it out, or ask the custodian to write `null` for `error` in that rule",
                short(&column.name)
            )));
        }
    }
    Ok(())
}
