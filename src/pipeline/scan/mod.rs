//! Raw batches of pieces of files, under the policy's row filter. Reads only the columns that are
//! asked for; knows nothing of what is done to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;

use super::RawBatch;
use super::source::{Piece, Snapshot};
use super::transform::column::canonical;
use super::transform::elements::{self, complete};
use crate::error::{Code, Error, Result};
use crate::policy::load::leaves;
use crate::policy::plan::Plan;
use crate::policy::{Nulls, Policy};

mod filter;
mod read;

pub(super) use filter::RowFilter;
use read::Reader;

/// Rows a batch is read with: large enough to amortize a call, small enough to stay in cache.
const BATCH_ROWS: usize = 16 * 1024;

/// What to read: the columns by name, and which rows stay.
#[derive(Debug)]
pub(super) struct Scan {
    columns: Vec<String>,
    filter: Option<RowFilter>,
    /// The columns of which a null takes the row out, and whether a missing element of a list does.
    required: Vec<(String, bool)>,
}

impl Scan {
    /// Reads `columns` of the rows that `plan` lets out.
    ///
    /// PRIVACY: of a release all rows are read: filter and `nulls` chose them when it was built, and to take
    /// a row out of a class now could leave too few in it.
    pub(super) fn new(plan: &Plan, snapshot: &Snapshot, columns: &[String]) -> Result<Arc<Self>> {
        if plan.policy().release.is_some() {
            return Ok(Arc::new(Self::everything(columns)));
        }
        let leave = plan.columns().iter();
        let leave = leave.map(|column| (column.name.clone(), column.by_element)).collect();
        Self::filtered(plan.policy(), snapshot, columns, leave)
    }

    /// Reads `columns` of the rows that a policy takes into its release.
    ///
    /// # Errors
    /// [`Code::SchemaDrift`] when the data lack a column, and what the filter says.
    pub(super) fn of_policy(
        policy: &Policy,
        snapshot: &Snapshot,
        columns: &[String],
    ) -> Result<Arc<Self>> {
        let mut leave = Vec::new();
        for column in policy.columns.iter().filter(|column| leaves(&column.rule)) {
            let (transform, args) = (column.rule.transform, &column.rule.args);
            let misfit = |reason: String| {
                Error::new(Code::SchemaDrift, format!("column `{}`: {reason}", column.name))
            };
            let missing = |_| misfit("the data has no such column".to_owned());
            let field = snapshot.schema().field_with_name(&column.name).map_err(missing)?;
            let fit = elements::fit(transform, args, &canonical(field.data_type()));
            leave.push((column.name.clone(), fit.map_err(misfit)?.by_element));
        }
        Self::filtered(policy, snapshot, columns, leave)
    }

    /// `leave` are the columns that leave, and whether their rules are applied to elements of lists.
    fn filtered(
        policy: &Policy,
        snapshot: &Snapshot,
        columns: &[String],
        leave: Vec<(String, bool)>,
    ) -> Result<Arc<Self>> {
        let required = match policy.nulls {
            Nulls::SuppressRow => leave,
            Nulls::Keep | Nulls::Token => Vec::new(),
        };
        let filter = RowFilter::of(policy, snapshot.schema())?;
        let mut all = columns.to_vec();
        all.extend(required.iter().map(|(name, _)| name.clone()));
        if let Some(filter) = &filter {
            all.extend(filter.columns().iter().cloned());
        }
        all.sort();
        all.dedup();
        Ok(Arc::new(Self { columns: all, filter, required }))
    }

    /// Reads `columns` of all rows, also of those that never leave: for [`super::verify`], and for releases,
    /// of which every row leaves.
    pub(super) fn everything(columns: &[String]) -> Self {
        let mut columns = columns.to_vec();
        columns.sort();
        columns.dedup();
        Self { columns, filter: None, required: Vec::new() }
    }

    /// The batches of one piece. One without a row is given too, so that whoever reads a piece of which
    /// the filter leaves nothing can stop between two batches.
    pub(super) fn read(self: &Arc<Self>, piece: &Piece) -> Result<Batches> {
        let reader = Reader::open(piece, &self.columns, BATCH_ROWS)?;
        Ok(Batches { scan: Arc::clone(self), reader })
    }

    fn retain(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let mut stays = match &self.filter {
            Some(filter) => Some(filter.matches(&batch)?),
            None => None,
        };
        for (name, elements) in &self.required {
            let column = batch.column_by_name(name);
            let nulls = match column {
                Some(column) if *elements => Some(complete(column)?),
                _ => column.and_then(|column| column.logical_nulls()),
            };
            if let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) {
                stays = Some(both(stays, &nulls));
            }
        }
        match stays {
            Some(stays) if stays.true_count() < batch.num_rows() => {
                filter_record_batch(&batch, &stays)
                    .map_err(|_| Error::new(Code::Internal, "filter rows"))
            }
            _ => Ok(batch),
        }
    }
}

/// The raw batches of one piece.
pub(super) struct Batches {
    scan: Arc<Scan>,
    reader: Reader,
}

impl Iterator for Batches {
    type Item = Result<RawBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        Some(batch.and_then(|batch| self.scan.retain(batch)).map(RawBatch))
    }
}

fn both(stays: Option<BooleanArray>, valid: &NullBuffer) -> BooleanArray {
    let valid = valid.inner();
    match stays {
        Some(stays) => BooleanArray::new(stays.values() & valid, None),
        None => BooleanArray::new(valid.clone(), None),
    }
}

/// Whether a policy's row filter can be run over these columns; for `policy check --data`.
///
/// # Errors
/// [`Code::Policy`] when it cannot.
pub fn check_filter(policy: &Policy, schema: &SchemaRef) -> Result<()> {
    RowFilter::of(policy, schema).map(|_| ())
}

impl RawBatch {
    /// A column by name.
    pub(super) fn column(&self, name: &str) -> Result<ArrayRef> {
        self.0
            .column_by_name(name)
            .map(Arc::clone)
            .ok_or_else(|| Error::new(Code::Internal, format!("column `{name}` was not read")))
    }

    pub(super) fn rows(&self) -> usize {
        self.0.num_rows()
    }
}

/// The positions of names in a schema.
fn positions(names: &[String], schema: &SchemaRef) -> Result<Vec<usize>> {
    let by_name: BTreeMap<&str, usize> =
        schema.fields().iter().enumerate().map(|(at, field)| (field.name().as_str(), at)).collect();
    names
        .iter()
        .map(|name| {
            by_name.get(name.as_str()).copied().ok_or_else(|| {
                Error::new(Code::SchemaDrift, format!("a file has no column `{name}`"))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
