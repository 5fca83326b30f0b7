//! Parameters of statements: which types the plan gives them, and values from the client, checked and cast
//! where nothing is lost. Never prints a value.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::CastOptions;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_ipc::reader::StreamReader;
use datafusion::common::ParamValues;
use datafusion::common::ScalarValue;
use datafusion::common::metadata::ScalarAndMetadata;
use datafusion::logical_expr::LogicalPlan;

use super::statement::Statement;
use super::{bounds, hint, patterns};
use crate::error::{Code, Error, Result};

/// The most bytes that a statement's parameters may have.
const BYTES_MAX: usize = 64 * 1024;

/// A plan, with values in the place of parameters where there are values.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) plan: LogicalPlan,
    /// The types of the parameters, named `$1`, `$2`, ...
    pub(super) schema: SchemaRef,
    /// Whether parameters have no values.
    pub(super) open: bool,
}

/// Finds the types of a plan's parameters and puts values in.
///
/// # Errors
/// [`Code::ParametersInvalid`].
pub(super) fn bind(plan: LogicalPlan, statement: &Statement, values: &[u8]) -> Result<Bound> {
    let schema = types(&plan, statement.parameters())?;
    if values.is_empty() {
        patterns::check(&plan)?;
        return Ok(Bound { plan, open: statement.parameters() > 0, schema });
    }
    let values = scalars(values, &schema)?;
    let plan = plan.replace_params_with_values(&ParamValues::List(values)).map_err(|cause| {
        hint::error(Code::ParametersInvalid, "a value does not fit where its parameter stands")
            .because(cause)
    })?;
    // INVARIANT: a value counts as if the statement had written it. Without it the plan was measured
    // before, but a parameter was no more than a place then.
    bounds::check(&plan)?;
    patterns::check(&plan)?;
    Ok(Bound { plan, schema, open: false })
}

/// A field for each parameter; `Null` where the plan does not tell the type.
fn types(plan: &LogicalPlan, count: usize) -> Result<SchemaRef> {
    let found = plan.get_parameter_fields().map_err(|cause| {
        hint::error(
            Code::ParametersInvalid,
            "one parameter stands for values of two types: write it twice, or `CAST($1 AS ...)`",
        )
        .because(cause)
    })?;
    let field = |number: usize| {
        let name = format!("${number}");
        let kind = match found.get(&name) {
            Some(Some(field)) => plain(field.data_type()),
            Some(None) | None => DataType::Null,
        };
        Field::new(name, kind, true)
    };
    Ok(Arc::new(Schema::new((1..=count).map(field).collect::<Vec<_>>())))
}

/// The type that clients know: texts and bytes without views.
fn plain(kind: &DataType) -> DataType {
    match kind {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, values) => plain(values),
        other => other.clone(),
    }
}

/// The one row of a stream, cast to the types of the parameters.
fn scalars(bytes: &[u8], schema: &SchemaRef) -> Result<Vec<ScalarAndMetadata>> {
    if bytes.len() > BYTES_MAX {
        let text = format!("parameters may have {BYTES_MAX} bytes in all");
        return Err(hint::error(Code::ParametersInvalid, &text));
    }
    let row = row(bytes)?;
    let (given, wanted) = (row.num_columns(), schema.fields().len());
    if given != wanted {
        let text = format!("the statement has {wanted} parameters, {given} values were bound");
        return Err(hint::error(Code::ParametersInvalid, &text));
    }
    let mut values = Vec::with_capacity(wanted);
    for (value, field) in row.columns().iter().zip(schema.fields()) {
        let value = fit(value, field)?;
        let scalar = ScalarValue::try_from_array(&value, 0).map_err(|cause| {
            let text = format!("the value of {} has a type that is not taken", field.name());
            hint::error(Code::ParametersInvalid, &text).because(cause)
        })?;
        values.push(ScalarAndMetadata::new(scalar, None));
    }
    Ok(values)
}

/// Reads a stream that must hold exactly one row.
fn row(bytes: &[u8]) -> Result<RecordBatch> {
    let broken = |cause| {
        hint::error(Code::ParametersInvalid, "parameters are not an Arrow IPC stream")
            .because(cause)
    };
    let mut found: Option<RecordBatch> = None;
    for batch in StreamReader::try_new(Cursor::new(bytes), None).map_err(broken)? {
        let batch = batch.map_err(broken)?;
        let rows = batch.num_rows() + found.as_ref().map_or(0, RecordBatch::num_rows);
        if rows > 1 {
            let text = "one row of values at a time: several were bound";
            return Err(hint::error(Code::ParametersInvalid, text));
        }
        if batch.num_rows() == 1 {
            found = Some(batch);
        }
    }
    found.ok_or_else(|| hint::error(Code::ParametersInvalid, "values were bound without a row"))
}

/// The value as its parameter's type, if nothing is lost on the way there and back.
fn fit(value: &ArrayRef, field: &Field) -> Result<ArrayRef> {
    let wanted = field.data_type();
    if value.data_type() == wanted || *wanted == DataType::Null {
        return unpacked(value, field);
    }
    if value.logical_null_count() == value.len() {
        return Ok(new_null_array(wanted, value.len()));
    }
    let unfit = || -> Error {
        let text = format!(
            "{} is {wanted}, and the value is {} that cannot become one without loss",
            field.name(),
            value.data_type()
        );
        hint::error(Code::ParametersInvalid, &text)
    };
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let cast = |value: &ArrayRef, to: &DataType| {
        arrow::compute::cast_with_options(value, to, &strict).map_err(|_| unfit())
    };
    let there = cast(value, wanted)?;
    let back = cast(&there, value.data_type())?;
    if back.to_data() == value.to_data() { Ok(there) } else { Err(unfit()) }
}

/// A value without a dictionary around it.
fn unpacked(value: &ArrayRef, field: &Field) -> Result<ArrayRef> {
    let DataType::Dictionary(_, inner) = value.data_type() else { return Ok(Arc::clone(value)) };
    arrow::compute::cast(value, inner).map_err(|_| {
        let text = format!("the value of {} has a type that is not taken", field.name());
        hint::error(Code::ParametersInvalid, &text)
    })
}
