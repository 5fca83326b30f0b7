//! Parameters of statements: which types the plan gives them, and values from the client, checked and cast
//! where nothing is lost. Never prints a value.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::CastOptions;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_ipc::reader::StreamReader;
use datafusion::common::ParamValues;
use datafusion::common::ScalarValue;
use datafusion::common::metadata::ScalarAndMetadata;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::statement::Statement;
use super::{bounds, hint, patterns};
use crate::error::{Code, Context, Error, Result};

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
    // PRIVACY: the library's words may quote a value; they end here, and below.
    let plan = plan.replace_params_with_values(&ParamValues::List(values)).map_err(|_| {
        hint::error(Code::ParametersInvalid, "a value does not fit where its parameter stands")
    })?;
    // INVARIANT: a value counts as if the statement had written it. Without it the plan was measured
    // before, but a parameter was no more than a place then.
    bounds::check(&plan).map_err(Error::without_cause)?;
    patterns::check(&plan).map_err(Error::without_cause)?;
    Ok(Bound { plan, schema, open: false })
}

/// A field for each parameter; `Null` where the plan does not tell the type.
fn types(plan: &LogicalPlan, count: usize) -> Result<SchemaRef> {
    let mut found: BTreeMap<String, DataType> = BTreeMap::new();
    let mut torn = false;
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                // Types alone: a column's metadata say how it was protected, not what it can be compared with.
                if let Expr::Placeholder(Placeholder { id, field: Some(field) }) = part {
                    let kind = plain(field.data_type());
                    torn |=
                        found.insert(id.clone(), kind.clone()).is_some_and(|other| other != kind);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    walked.context(Code::Internal, || "a plan cannot be walked".to_owned())?;
    if torn {
        return Err(hint::error(
            Code::ParametersInvalid,
            "one parameter stands for values of two types: write it twice, or `CAST($1 AS ...)`",
        ));
    }
    let field = |number: usize| {
        let name = format!("${number}");
        let kind = found.get(&name).cloned().unwrap_or(DataType::Null);
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
        let scalar = ScalarValue::try_from_array(&value, 0).map_err(|_| {
            let text = format!("the value of {} has a type that is not taken", field.name());
            hint::error(Code::ParametersInvalid, &text)
        })?;
        values.push(ScalarAndMetadata::new(scalar, None));
    }
    Ok(values)
}

/// Reads a stream that must hold exactly one row.
fn row(bytes: &[u8]) -> Result<RecordBatch> {
    let broken = || hint::error(Code::ParametersInvalid, "parameters are not an Arrow IPC stream");
    let mut found: Option<RecordBatch> = None;
    for batch in StreamReader::try_new(Cursor::new(bytes), None).map_err(|_| broken())? {
        let batch = batch.map_err(|_| broken())?;
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

#[cfg(test)]
mod tests {
    use arrow::array::{
        BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array, StringArray,
        TimestampMicrosecondArray, UInt64Array,
    };
    use arrow_ipc::writer::StreamWriter;
    use bytes::Bytes;

    use super::super::testing::{answer_with, jobs, planned, planned_with, sites};
    use super::*;
    use crate::pipeline::query::logical::Table;

    fn tables() -> Vec<Table> {
        vec![jobs("access: rows"), sites()]
    }

    fn stream(columns: Vec<ArrayRef>) -> Bytes {
        let fields = columns.iter().map(|column| Field::new("", column.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        let mut writer = StreamWriter::try_new(Vec::new(), &schema).unwrap();
        writer.write(&batch).unwrap();
        Bytes::from(writer.into_inner().unwrap())
    }

    fn whole(number: i64) -> ArrayRef {
        Arc::new(Int64Array::from(vec![number]))
    }

    fn text(text: &str) -> ArrayRef {
        Arc::new(StringArray::from(vec![text]))
    }

    fn refused(sql: &str, columns: Vec<ArrayRef>) -> String {
        let error = planned_with(sql, &stream(columns), &tables()).map(|_| ()).expect_err(sql);
        assert_eq!(error.code(), Code::ParametersInvalid, "{sql}");
        error.hint().unwrap().as_str().to_owned()
    }

    #[test]
    fn types_come_from_where_parameters_stand() {
        let types = |sql: &str| {
            let logical = planned(sql, &tables()).unwrap();
            assert!(logical.open, "{sql}");
            let fields = logical.parameters.fields().iter();
            fields
                .map(|field| format!("{} {}", field.name(), field.data_type()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            types("SELECT pk FROM jobs WHERE dept = ? AND age > ? AND bonus BETWEEN ? AND ?"),
            ["$1 Utf8", "$2 Int64", "$3 Float64", "$4 Float64"]
        );
        assert_eq!(
            types("SELECT pk FROM jobs WHERE dept IN ($2, $1) LIMIT $3")[..2],
            ["$1 Utf8", "$2 Utf8"]
        );
        assert_eq!(types("SELECT $1"), ["$1 Null"]);
        // One that does not stand anywhere may be anything.
        assert_eq!(types("SELECT pk FROM jobs WHERE age = $2"), ["$1 Null", "$2 Int64"]);
        assert_eq!(planned("SELECT 1", &tables()).unwrap().parameters.fields().len(), 0);
    }

    #[tokio::test]
    async fn values_take_the_place_of_parameters() {
        let sql = "SELECT pk FROM jobs WHERE dept = ? AND age > ? ORDER BY pk LIMIT ?";
        let values = stream(vec![text("physics"), whole(32), whole(2)]);
        assert_eq!(answer_with(sql, &values, &tables()).await.unwrap(), ["3", "4"]);
        // The same number twice, out of order.
        let sql = "SELECT count(*) FROM jobs WHERE age > $2 AND wait_s > $1 AND age < $2 + 5";
        let values = stream(vec![whole(0), whole(30)]);
        assert_eq!(answer_with(sql, &values, &tables()).await.unwrap(), ["4"]);
        // Columns that are protected in different ways compare with the same value.
        let sql = "SELECT count(*) FROM jobs WHERE dept = $1 OR User = $1";
        assert_eq!(answer_with(sql, &stream(vec![text("law")]), &tables()).await.unwrap(), ["4"]);
        // A text is a text, whatever it holds.
        let values = stream(vec![text("x' OR '1' = '1")]);
        let sql = "SELECT count(*) FROM jobs WHERE dept = ?";
        assert_eq!(answer_with(sql, &values, &tables()).await.unwrap(), ["0"]);
        let null: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>]));
        assert_eq!(answer_with(sql, &stream(vec![null]), &tables()).await.unwrap(), ["0"]);
        // A parameter without a type takes that of its value.
        let values = stream(vec![text("any"), Arc::new(BooleanArray::from(vec![true]))]);
        assert_eq!(answer_with("SELECT $1, $2", &values, &tables()).await.unwrap(), ["any true"]);
    }

    #[tokio::test]
    async fn values_of_other_types_are_taken_where_nothing_is_lost() {
        let sql = "SELECT count(*) FROM jobs WHERE age > ?";
        let small: ArrayRef = Arc::new(Int32Array::from(vec![50]));
        let long: ArrayRef = Arc::new(UInt64Array::from(vec![50]));
        let round: ArrayRef = Arc::new(Float64Array::from(vec![50.0]));
        for value in [small, long, round] {
            assert_eq!(answer_with(sql, &stream(vec![value]), &tables()).await.unwrap(), ["7"]);
        }
        let dictionary: DictionaryArray<arrow::datatypes::Int32Type> =
            vec!["law"].into_iter().collect();
        let sql = "SELECT count(*) FROM jobs WHERE dept = ?";
        let values = stream(vec![Arc::new(dictionary)]);
        assert_eq!(answer_with(sql, &values, &tables()).await.unwrap(), ["4"]);
        let sql = "SELECT count(*) FROM \"grid-sites\" WHERE opened > ?";
        let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1]));
        assert_eq!(answer_with(sql, &stream(vec![time]), &tables()).await.unwrap(), ["1"]);
    }

    #[test]
    fn what_does_not_fit_is_refused_without_the_value() {
        let age = "SELECT pk FROM jobs WHERE age > ?";
        for value in [
            Arc::new(Float64Array::from(vec![50.5])) as ArrayRef,
            Arc::new(UInt64Array::from(vec![u64::MAX])),
            text("canary"),
        ] {
            let hint = refused(age, vec![value]);
            assert!(hint.starts_with("$1 is Int64, and the value is "), "{hint}");
            for canary in ["50.5", "18446744073709551615", "canary"] {
                assert!(!hint.contains(canary), "{hint}");
            }
        }
        let none: ArrayRef = Arc::new(Int64Array::from(Vec::<i64>::new()));
        assert_eq!(refused(age, vec![none]), "values were bound without a row");
        assert!(
            refused("SELECT 1 FROM jobs WHERE age = $1 OR dept = $1", vec![whole(1)])
                .contains("two types")
        );
        assert_eq!(
            refused(age, vec![whole(1), whole(2)]),
            "the statement has 1 parameters, 2 values were bound"
        );
        let two: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        assert_eq!(refused(age, vec![two]), "one row of values at a time: several were bound");
        assert_eq!(
            refused("SELECT pk FROM jobs", vec![whole(1)]),
            "the statement has 0 parameters, 1 values were bound"
        );
        let long = "x".repeat(BYTES_MAX);
        assert!(refused(age, vec![text(&long)]).contains("bytes"));
    }

    #[test]
    fn no_value_of_a_parameter_is_in_the_operators_log() {
        const CANARY: &str = "canary-value";
        for (sql, literal) in [
            ("SELECT CAST($1 AS INT) FROM jobs", "SELECT CAST('canary-value' AS INT) FROM jobs"),
            (
                "SELECT pk FROM jobs WHERE age > CAST($1 AS INT)",
                "SELECT pk FROM jobs WHERE age > CAST('canary-value' AS INT)",
            ),
        ] {
            // What the planner says of a value that the statement writes itself: the test can fail.
            let written = planned(literal, &tables()).map(|_| ()).expect_err(literal);
            assert!(written.chain().contains(CANARY), "{literal}: {}", written.chain());
            let bound = planned_with(sql, &stream(vec![text(CANARY)]), &tables());
            let error = bound.map(|_| ()).expect_err(sql);
            assert!(!error.chain().contains(CANARY), "{sql}: {}", error.chain());
            assert_eq!((error.code(), error.hint()), (written.code(), written.hint()), "{sql}");
        }
        // What does not fit, and what is no stream at all.
        let unfit = "SELECT pk FROM jobs WHERE age = $1";
        let error = planned_with(unfit, &stream(vec![text(CANARY)]), &tables());
        assert!(!error.map(|_| ()).unwrap_err().chain().contains("canary"));
        let error = planned_with(unfit, &Bytes::from_static(b"canary-value"), &tables());
        assert!(!error.map(|_| ()).unwrap_err().chain().contains("canary"));
    }

    #[test]
    fn what_is_no_stream_is_refused() {
        for bytes in [&b"x"[..], b"\xff\xff\xff\xff\x00", &[0xff; 64]] {
            let values = Bytes::copy_from_slice(bytes);
            let error = planned_with("SELECT $1", &values, &tables()).map(|_| ()).unwrap_err();
            assert_eq!(error.code(), Code::ParametersInvalid);
        }
        // A cut stream.
        let whole_stream = stream(vec![whole(1)]);
        for end in 0..whole_stream.len() - 16 {
            let _ = planned_with("SELECT $1", &whole_stream.slice(..end), &tables());
        }
    }
}
