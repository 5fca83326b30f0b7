//! Columns whose values are made from their own row alone. Of others one person more changes what leaves of all
//! the rest, and no bound on that person's rows covers it.

use crate::error::Result;
use crate::pipeline::query::{refused, short};
use crate::policy::plan::Plan;
use crate::policy::privacy::is_learned;

/// Refuses columns that are made from more than their row.
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
    }
    Ok(())
}
