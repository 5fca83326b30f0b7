//! Files as they were written are right, and each way in which one value is not is told with its line.

use std::path::Path;

use arrow::array::{
    BinaryArray, BooleanArray, Date32Array, Decimal128Array, DurationSecondArray,
    FixedSizeBinaryArray, FixedSizeListArray, Float32Array, Float64Array, Int64Array, ListArray,
    StructArray, Time64MicrosecondArray, TimestampMicrosecondArray, UInt8Array,
};
use arrow::datatypes::{Float32Type, Int64Type};

use super::super::file::Place;
use super::super::read::Files;
use super::super::{Format, Options, one};
use super::*;

/// Two rows of every kind of type that leaves, the second of nulls where there may be some.
fn everything() -> RecordBatch {
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None]);
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a\"b"), None]));
    let vectors = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(
        [Some(vec![Some(0.1), Some(f32::NAN)]), Some(vec![Some(1.0), Some(2.0)])],
        2,
    );
    let bytes = FixedSizeBinaryArray::try_from_sparse_iter_with_size(
        [Some([0xabu8, 0xcd]), None].into_iter(),
        2,
    );
    let moments = TimestampMicrosecondArray::from(vec![Some(1_000_001), None]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("text", Arc::new(StringArray::from(vec!["", "a,\r\n\"b\""]))),
        ("maybe", Arc::new(StringArray::from(vec![None, Some("")]))),
        ("id", Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX]))),
        ("small", Arc::new(UInt8Array::from(vec![Some(255), None]))),
        ("share", Arc::new(Float64Array::from(vec![0.1, f64::INFINITY]))),
        ("single", Arc::new(Float32Array::from(vec![Some(1e-7), None]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("day", Arc::new(Date32Array::from(vec![Some(-1), None]))),
        ("moment", Arc::new(moments.clone())),
        ("utc", Arc::new(moments.with_timezone("UTC"))),
        ("time", Arc::new(Time64MicrosecondArray::from(vec![Some(1_500_000), None]))),
        ("span", Arc::new(DurationSecondArray::from(vec![Some(90_061), None]))),
        (
            "price",
            Arc::new(
                Decimal128Array::from(vec![Some(-1_250), None])
                    .with_precision_and_scale(9, 2)
                    .unwrap(),
            ),
        ),
        ("bytes", Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\x00\xff"), None]))),
        ("fixed", Arc::new(bytes.unwrap())),
        ("list", Arc::new(list)),
        ("struct", Arc::new(StructArray::try_from(vec![("x", texts)]).unwrap())),
        ("vector", Arc::new(vectors)),
    ];
    let fields = columns.iter().map(|(name, column)| {
        let nullable = !matches!(*name, "text" | "id" | "share" | "vector");
        Field::new(*name, column.data_type().clone(), nullable)
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new(schema, columns.into_iter().map(|(_, column)| column).collect()).unwrap()
}

/// What a file with this text is said to be.
fn checked(path: &Path, schema: &SchemaRef) -> Checked {
    let files = Files::find(path).unwrap();
    files.0.first().unwrap().checked(schema).unwrap().unwrap()
}

#[test]
fn files_of_ours_hold_what_was_promised() {
    let folder = tempfile::tempdir().unwrap();
    let batch = everything();
    // More rows than are read back at a time.
    let many = arrow::compute::concat_batches(&batch.schema(), &vec![batch; 700]).unwrap();
    let schema = many.schema();
    for (name, format) in
        [("a.csv", Format::Csv), ("a.jsonl", Format::Jsonl), ("b.csv.gz", Format::Csv)]
    {
        let path = folder.path().join(name);
        let place = Place::new(&path, false).unwrap();
        let rows = Box::new([Ok(many.clone())].into_iter());
        one(rows, &schema, &place, Options { format, spreadsheet: true }, &|_| {}).unwrap();
        assert_eq!(checked(&path, &schema), Checked { rows: 1_400, wrong: None }, "{name}");
    }
}

/// Three columns of which one may be null.
fn schema() -> SchemaRef {
    let item = Arc::new(Field::new("item", DataType::Int64, false));
    Arc::new(Schema::new(vec![
        Field::new("n", DataType::Int64, false),
        Field::new("t", DataType::Utf8, true),
        Field::new("l", DataType::List(item), false),
    ]))
}

#[test]
fn a_value_that_is_not_what_was_promised_is_told_with_its_line_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mistyped = "column `n` holds something else than Int64";
    let list = "column `l` holds something else than List(non-null Int64)";
    for (name, lines, line, what) in [
        ("a.csv", ["n,t,l", "1,,[]", "secret,,[]"], 3, mistyped),
        ("a.csv", ["n,t,l", "1.0,,[]", ""], 2, mistyped),
        ("a.csv", ["n,t,l", "1,\"x\n\n\",[2]", " 1,,[]"], 5, mistyped),
        (
            "a.csv",
            ["n,t,l", "1,\"\",[]", ",,[]"],
            3,
            "column `n` is null, and the plan has no null there",
        ),
        ("a.csv", ["n,t,l", "1,,\"[1,\"\"secret\"\"]\"", ""], 2, list),
        ("a.csv", ["n,t,l", "1,,[]", "1,,[null]"], 3, list),
        ("a.csv", ["n,t,l", "1,,[]", "1,,[],secret"], 3, "the row has 4 cells, the plan 3 columns"),
        ("a.csv", ["n,t,l", "1,,[]", "1,\"secret"], 3, "a quote is not closed"),
        ("a.csv", ["n,l,t", "1,,[]", ""], 1, "the header does not name the columns of the plan"),
        (
            "a.jsonl",
            [r#"{"n":1,"t":null,"l":[]}"#, r#"{"n":"1","t":"x","l":[]}"#, "{}"],
            2,
            mistyped,
        ),
        (
            "a.jsonl",
            [r#"{"n":1,"t":null,"l":[]}"#, r#"{"n":1.0,"t":"x","l":[]}"#, "{}"],
            2,
            mistyped,
        ),
        (
            "a.jsonl",
            [r#"{"n":1,"t":5,"l":[]}"#, "", ""],
            1,
            "column `t` holds something else than Utf8",
        ),
        ("a.jsonl", [r#"{"n":1,"t":"","l":["secret"]}"#, "", ""], 1, list),
        ("a.jsonl", [r#"{"n":1,"l":[]}"#, "", ""], 1, "column `t` is missing"),
        (
            "a.jsonl",
            [r#"{"n":null,"t":"","l":[]}"#, "", ""],
            1,
            "column `n` is null, and the plan has no null there",
        ),
        (
            "a.jsonl",
            [r#"{"n":1,"t":null,"l":[],"secret":2}"#, "", ""],
            1,
            "the line has a column that the plan has not",
        ),
        (
            "a.jsonl",
            [r#"{"n":1,"t":null,"l":[]}"#, "[1]", ""],
            2,
            "the line is not one JSON object",
        ),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, lines.join("\n")).unwrap();
        let wrong = checked(&path, &schema()).wrong.unwrap_or_else(|| panic!("{lines:?}"));
        assert_eq!((wrong.line, wrong.what.as_str()), (line, what), "{lines:?}");
    }
    // The same in other words is no other value.
    let path = folder.path().join("b.jsonl");
    std::fs::write(&path, "{ \"t\": \"x\", \"l\": [1], \"n\": 1 }\r\n").unwrap();
    assert_eq!(checked(&path, &schema()), Checked { rows: 1, wrong: None });
}
