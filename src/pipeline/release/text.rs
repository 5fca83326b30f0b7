//! Values as the texts that stand in hierarchies and releases.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::DataType;

use crate::error::{Code, Context, Result};

/// Canonical values as texts; equal values have equal texts, and null stays null.
///
/// # Errors
/// [`Code::Internal`] where values have no text.
pub(super) fn texts(values: &ArrayRef) -> Result<ArrayRef> {
    if *values.data_type() == DataType::Utf8 {
        return Ok(Arc::clone(values));
    }
    // PRIVACY: the library's words may quote a value; of a cast to text only the types are told.
    cast(values, &DataType::Utf8)
        .context(Code::Internal, || format!("`{}` has no text", values.data_type()))
}
