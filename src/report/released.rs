//! Where a report gets its rows from: statements of one partner over what the policy lets out. Does not
//! open files, and knows of no other way to a row.

use std::fmt::Debug;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::error::Result;

/// What a partner can ask of one dataset.
///
/// PRIVACY: the one source of rows in this room. Whoever implements it answers with policy output only.
pub trait Released: Debug {
    /// The columns that leave, as the plan has them.
    ///
    /// # Errors
    /// When the dataset cannot be served to this partner.
    fn schema(&self) -> Result<SchemaRef>;

    /// The answer to a statement.
    ///
    /// # Errors
    /// When the statement cannot be planned or is refused.
    fn query(&self, sql: &str) -> Result<Answer>;

    /// All rows, with all columns of [`Self::schema`].
    ///
    /// # Errors
    /// When the rows cannot be pulled.
    fn pull(&self) -> Result<Answer>;
}

/// Batches of an answer, one after the other.
pub type Answer = Box<dyn Iterator<Item = Result<RecordBatch>>>;
