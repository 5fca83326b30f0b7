//! The values of a column that a pseudonym stands for, found by making the pseudonyms of all of them
//! again. It gives raw values to the command line on the custodian's machine, after that wrote the audit
//! log; nothing that a partner asks for leads here.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray};
use arrow::datatypes::{DataType, Int32Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::NaiveDate;

use super::rows::bind;
use super::scan::Scan;
use super::source::Snapshot;
use super::stream::{Limits, Pipeline};
use super::transform::TokenMap;
use super::transform::column::{ColumnKernel, observed};
use crate::error::{Code, Error, Result};
use crate::keys::KeyRing;
use crate::policy::plan::plan;
use crate::policy::{Nulls, Policy};

/// Whose pseudonym it is.
#[derive(Debug)]
pub struct Search<'a> {
    /// The keys.
    pub ring: &'a Arc<KeyRing>,
    /// The token maps.
    pub tokens: &'a Arc<dyn TokenMap>,
    /// The policy of the dataset.
    pub policy: &'a Arc<Policy>,
    /// The partner that it was sent to.
    pub partner: &'a str,
    /// The column.
    pub column: &'a str,
    /// The epoch of the key.
    pub epoch: u32,
    /// The day.
    pub today: NaiveDate,
}

/// What was found.
pub struct Found {
    /// Whether it is the stand-in of null.
    pub is_null: bool,
    /// The values that it stands for, as text.
    pub values: BTreeSet<String>,
    /// How many rows were looked at.
    pub rows: u64,
}

impl fmt::Debug for Found {
    // PRIVACY: a raw value must not reach a log through `{:?}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found").field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// Reads the column, transforms it as for the partner, and gathers the values whose pseudonym is this
/// one. `progress` is told the rows so far.
///
/// # Errors
/// [`Code::Usage`] where the partner has no grant, and what scan and kernel say.
pub fn search(
    of: &Search<'_>,
    snapshot: &Snapshot,
    pseudonym: &str,
    progress: &mut dyn FnMut(u64),
) -> Result<Found> {
    // A pseudonym outlives the grant that it was sent under.
    let ends = of.policy.grants.iter().filter(|grant| grant.partner == of.partner);
    let last = ends.map(|grant| grant.until.unwrap_or(NaiveDate::MAX)).max();
    let day = last.map_or(of.today, |last| last.min(of.today));
    let plan = plan(of.policy, of.partner, snapshot.schema(), day)?;
    let at = plan.columns().iter().position(|column| column.name == of.column);
    let at = at
        .ok_or_else(|| Error::new(Code::Usage, format!("column `{}` does not leave", of.column)))?;
    let limits = Limits {
        message_bytes: 0,
        message_bytes_max: 0,
        idle: Duration::ZERO,
        keep_alive: Duration::ZERO,
    };
    let pipeline = Pipeline::new(Arc::clone(of.ring), Arc::clone(of.tokens), limits);
    let bound = bind(&pipeline, &plan, snapshot, of.epoch, at)?;
    let column = plan.columns().get(at).ok_or_else(no_such_column)?;
    let transform = column.rule.transform;
    let mut kernel = transform.kernel(&column.rule.args, &bound.bind(&plan, at, None)?)?;
    let mut found = Found { is_null: false, values: BTreeSet::new(), rows: 0 };
    if of.policy.nulls == Nulls::Token
        && transform.is_pseudonym()
        && let Some(stand_in) = kernel.null_token()?
    {
        found.is_null = text(&stand_in, 0)?.as_deref() == Some(pseudonym);
    }
    let mut kernel = ColumnKernel::new(kernel, !bound.reads.is_empty(), false);
    let mut columns = vec![column.name.clone()];
    columns.extend(bound.reads.iter().map(|(name, _)| name.clone()));
    let scan = Scan::new(&plan, snapshot, &columns)?;
    for piece in snapshot.pieces() {
        for batch in scan.read(piece)? {
            let batch = batch?;
            if batch.rows() > 0 {
                // Of lists each element has its pseudonym.
                let raw = match (batch.column(&column.name)?, column.by_element) {
                    (lists, true) => observed(&lists, true)?,
                    (values, false) => values,
                };
                let reads = bound
                    .reads
                    .iter()
                    .map(|(name, _)| batch.column(name))
                    .collect::<Result<Vec<_>>>()?;
                let made = kernel.apply(&raw, &reads)?;
                for row in equal(&made, pseudonym)? {
                    found.values.extend(text(&raw, row)?);
                }
            }
            found.rows += batch.rows() as u64;
            progress(found.rows);
        }
    }
    Ok(found)
}

/// The rows that hold this pseudonym.
fn equal(made: &ArrayRef, pseudonym: &str) -> Result<Vec<usize>> {
    if let Some(dictionary) = made.as_any().downcast_ref::<DictionaryArray<Int32Type>>() {
        let wanted = equal(dictionary.values(), pseudonym)?;
        let is_wanted =
            |key: i32| usize::try_from(key).is_ok_and(|key| wanted.binary_search(&key).is_ok());
        let keys = dictionary.keys().iter().enumerate();
        return Ok(keys
            .filter(|(_, key)| key.is_some_and(is_wanted))
            .map(|(row, _)| row)
            .collect());
    }
    if *made.data_type() == DataType::Utf8 {
        let values = made.as_string::<i32>().iter().enumerate();
        return Ok(values
            .filter(|(_, value)| *value == Some(pseudonym))
            .map(|(row, _)| row)
            .collect());
    }
    let mut rows = Vec::new();
    for row in 0..made.len() {
        if text(made, row)?.as_deref() == Some(pseudonym) {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// A value as text; binary ones in hexadecimal.
fn text(values: &ArrayRef, row: usize) -> Result<Option<String>> {
    let unshown = || "a value cannot be shown".to_owned();
    let options = FormatOptions::default();
    let shown = ArrayFormatter::try_new(values, &options)
        .map_err(|_| Error::new(Code::Internal, unshown()))?;
    if values.is_null(row) || values.logical_nulls().is_some_and(|nulls| nulls.is_null(row)) {
        return Ok(None);
    }
    let text = shown.value(row).try_to_string();
    text.map(Some).map_err(|_| Error::new(Code::SourceValue, unshown()))
}

fn no_such_column() -> Error {
    Error::new(Code::Internal, "no such column")
}
