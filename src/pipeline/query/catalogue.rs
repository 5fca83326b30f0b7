//! What a statement can name: a table for each view, under the name of its dataset. Resolves no names;
//! that is the business of `logical`, which asks here and nowhere else.

use std::sync::Arc;

use super::View;
use super::logical::Table;
use super::view::ViewTable;
use crate::pipeline::stream::Pipeline;
use crate::policy::Access;

/// The tables of one statement. Where a plan gives aggregates, units are numbered beside its columns.
pub(super) fn tables(pipeline: &Arc<Pipeline>, views: &[View]) -> Vec<Table> {
    let table = |view: &View| {
        let with_unit = *view.plan.access() != Access::Rows;
        Table {
            plan: view.plan.clone(),
            provider: Arc::new(ViewTable::new(Arc::clone(pipeline), view.clone(), with_unit)),
            publics: Vec::new(),
        }
    };
    views.iter().map(table).collect()
}
