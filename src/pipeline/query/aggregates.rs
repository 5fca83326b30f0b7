//! Aggregates over groups of enough units.

use std::sync::Arc;

use datafusion::logical_expr::{LogicalPlan, TableSource};

use super::hint;
use crate::error::{Code, Result};
use crate::policy::plan::Plan;

/// A table whose groups must be large enough.
pub(super) struct Counted {
    /// What leaves.
    pub(super) plan: Plan,
    /// The source with the column of units.
    pub(super) source: Arc<dyn TableSource>,
    /// The fewest units of a group.
    pub(super) group_min: u64,
}

/// Adds the bound to a plan.
pub(super) fn protect(_plan: LogicalPlan, _counted: &Counted) -> Result<LogicalPlan> {
    Err(hint::error(Code::AggregatesOnly, "no statement over aggregates is answered yet"))
}
