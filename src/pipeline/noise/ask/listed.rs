//! Values that the policy lists, as tables of one column: what is computed of such a column has public values too.
//! Lists no groups.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use datafusion::logical_expr::Expr;
use sha2::{Digest as _, Sha256};

use super::below::Below;
use super::joins::compares;
use super::split::public_values;
use super::total::kind;
use super::worlds::Source;
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::query::Public;
use crate::policy::privacy::DpGrant;

/// A column of the dataset of which the policy lists values.
pub(super) struct Listed {
    /// The column.
    pub(super) column: String,
    /// The type that it is looked up in.
    pub(super) kind: DataType,
    /// SHA-256 of the values: lists of groups are kept longer than one statement.
    pub(super) digest: Vec<u8>,
}

/// The columns with listed values that keys speak of, as sources behind the `first` ones.
///
/// # Errors
/// [`Code::DatasetUnavailable`] where the policy's public keys are none of their column's type.
pub(super) fn listed(
    below: &Below,
    grant: &DpGrant,
    keys: &[Expr],
    first: usize,
) -> Result<Vec<(Source, Listed)>> {
    let spoken_of: BTreeSet<String> = keys
        .iter()
        .flat_map(Expr::column_refs)
        .filter(|column| column.name != grant.unit)
        .map(|column| column.name.clone())
        .collect();
    let mut all = Vec::new();
    for column in spoken_of {
        let Some(values) = grant.keys.get(&column) else { continue };
        let kind = kind(&below.column(&column), below.schema());
        if !compares(&kind) {
            continue;
        }
        let digest = digest(values);
        let values = once(&public_values(values, &kind)?)?;
        let rows = RecordBatch::try_from_iter([(column.as_str(), values)])
            .context(Code::Internal, || "public keys are no table".to_owned())?;
        // No table of a policy is called so.
        let name = format!("\u{1}keys {}", first + all.len());
        let public = Public::of(&name, &rows).map_err(|what| Error::new(Code::Internal, what))?;
        let own = public.schema();
        if own.fields().first().is_none_or(|field| *field.data_type() != kind) {
            continue;
        }
        // Rows with other values are of no group.
        let source = Source { public: Arc::new(public), names: vec![column.clone()], none: false };
        all.push((source, Listed { column, kind, digest }));
    }
    Ok(all)
}

/// What tells lists of values apart.
fn digest(values: &[String]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for value in values {
        hash.update(value.len().to_be_bytes());
        hash.update(value.as_bytes());
    }
    hash.finalize().to_vec()
}

/// Each value once.
fn once(values: &ArrayRef) -> Result<ArrayRef> {
    let failed = || "public keys cannot be compared".to_owned();
    let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])
        .context(Code::Internal, failed)?;
    let keys =
        converter.convert_columns(std::slice::from_ref(values)).context(Code::Internal, failed)?;
    let mut seen = BTreeSet::new();
    let is_first = |row: &u32| seen.insert(keys.row(*row as usize).data());
    let firsts: UInt32Array = (0..).take(values.len()).filter(is_first).map(Some).collect();
    take(values, &firsts, None).context(Code::Internal, failed)
}
