//! Files of every format against the batches they were made from, and files that are in the way.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression as Packing;

use super::file::Place;
use super::*;

fn batch() -> RecordBatch {
    let lists = vec![Some(vec![Some(1), None]), None, Some(vec![]), Some(vec![Some(5)])];
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
    let inner: ArrayRef =
        Arc::new(StringArray::from(vec![Some("a\"b"), None, Some(""), Some("c")]));
    let structs: ArrayRef = Arc::new(StructArray::try_from(vec![("x", inner)]).unwrap());
    let texts = vec![None, Some(""), Some("a,b \"c\"\nd"), Some("=cmd|' /C calc'!A0")];
    let moments = vec![Some(0), None, Some(1_000_001), Some(-1)];
    let moments = TimestampMicrosecondArray::from(moments).with_timezone("UTC");
    RecordBatch::try_from_iter([
        (
            "id",
            Arc::new(Int64Array::from(vec![Some(1), None, Some(i64::MAX), Some(-4)])) as ArrayRef,
        ),
        ("te,xt", Arc::new(StringArray::from(texts))),
        ("score", Arc::new(Float64Array::from(vec![Some(0.1), None, Some(f64::NAN), Some(1e300)]))),
        ("when", Arc::new(moments)),
        ("list", lists),
        ("struct", structs),
    ])
    .unwrap()
}

fn rows(batches: Vec<RecordBatch>) -> Rows {
    Box::new(batches.into_iter().map(Ok))
}

fn write(path: &Path, format: Format, spreadsheet: bool) -> Written {
    let batch = batch();
    let schema = batch.schema();
    let place = Place::new(path, false).unwrap();
    let options = Options { format, spreadsheet };
    one(rows(vec![batch.slice(0, 3), batch.slice(3, 1)]), &schema, &place, options, &|_| {})
        .unwrap()
}

#[test]
fn csv_tells_null_from_nothing_and_shows_nested_values_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    let written = write(&path, Format::Csv, false);
    let expected = [
        "id,\"te,xt\",score,when,list,struct",
        "1,,0.1,1970-01-01T00:00:00Z,\"[1,null]\",\"{\"\"x\"\":\"\"a\\\"\"b\"\"}\"",
        ",\"\",,,,\"{\"\"x\"\":null}\"",
        "9223372036854775807,\"a,b \"\"c\"\"\nd\",NaN,1970-01-01T00:00:01.000001Z,[],\"{\"\"x\"\":\"\"\"\"}\"",
        "-4,=cmd|' /C calc'!A0,1e300,1969-12-31T23:59:59.999999Z,[5],\"{\"\"x\"\":\"\"c\"\"}\"",
        "",
    ];
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected.join("\r\n"));
    // Counted, and left as it is; a number that begins with a minus is no formula.
    assert_eq!(written.formulas, 1);
}

#[test]
fn texts_that_look_like_formulas_get_an_apostrophe_where_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    assert_eq!(write(&path, Format::Csv, true).formulas, 1);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("\r\n-4,\"'=cmd|' /C calc'!A0\","), "{text}");
}

#[test]
fn json_lines_have_every_column_and_no_number_that_json_does_not_have() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl.gz");
    write(&path, Format::Jsonl, false);
    let mut text = String::new();
    let file = std::fs::File::open(&path).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[1]["id"].is_null() && lines[1].as_object().unwrap().contains_key("id"));
    assert_eq!((&lines[0]["te,xt"], &lines[1]["te,xt"]), (&serde_json::Value::Null, &"".into()));
    assert!(lines[2]["score"].is_null());
    assert_eq!(lines[2]["id"], i64::MAX);
    assert_eq!(lines[0]["list"], serde_json::json!([1, null]));
}

#[test]
fn parquet_and_arrow_hold_the_same_rows_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let written = write(&path, Format::Parquet, false);
    let file = std::fs::File::open(&path).unwrap();
    assert_eq!(written.bytes(), file.metadata().unwrap().len());
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let groups = reader.metadata().row_groups().to_vec();
    assert_eq!(groups.len(), 1);
    for chunk in groups[0].columns() {
        assert!(matches!(chunk.compression(), Packing::ZSTD(_)), "{:?}", chunk.column_path());
        assert!(chunk.dictionary_page_offset().is_some(), "{:?}", chunk.column_path());
    }
    let read: Vec<_> = reader.build().unwrap().map(|batch| batch.unwrap()).collect();
    // Not-a-number is not itself: compared by what is shown.
    let shown = |batch: &RecordBatch| format!("{batch:?}");
    assert_eq!(shown(&concat_batches(&batch().schema(), &read).unwrap()), shown(&batch()));
    let path = folder.path().join("a.arrow");
    write(&path, Format::Arrow, false);
    let file = std::fs::File::open(&path).unwrap();
    let reader = arrow_ipc::reader::FileReader::try_new(file, None).unwrap();
    let read: Vec<_> = reader.map(|batch| batch.unwrap()).collect();
    assert_eq!(shown(&concat_batches(&batch().schema(), &read).unwrap()), shown(&batch()));
}

#[test]
fn the_same_rows_are_the_same_bytes() {
    for format in [Format::Arrow, Format::Csv, Format::Jsonl, Format::Parquet] {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a.zst", "b.zst"].map(|name| write(&folder.path().join(name), format, false));
        assert_eq!(a.files[0].sha256, b.files[0].sha256);
    }
}

#[test]
fn nothing_is_overwritten_and_what_fails_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    std::fs::write(&path, "mine").unwrap();
    let error = Place::new(&path, false).unwrap_err();
    assert!(error.to_string().ends_with("`--force` replaces it"), "{error}");
    // One that comes while the rows are written is not replaced either.
    std::fs::remove_file(&path).unwrap();
    let place = Place::new(&path, false).unwrap();
    let options = Options { format: Format::Csv, spreadsheet: false };
    let schema = batch().schema();
    let came = path.clone();
    let error = one(rows(vec![batch()]), &schema, &place, options, &move |_| {
        std::fs::write(&came, "mine").unwrap();
    })
    .unwrap_err();
    assert!(error.to_string().ends_with("`--force` replaces it"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    // Rows that end with an error, in one file and in many.
    let broken = || -> Rows {
        let lost = Err(Error::new(Code::SourceUnreadable, "lost"));
        Box::new(vec![Ok(batch()), lost].into_iter())
    };
    let forced = Place::new(&path, true).unwrap();
    let error = one(broken(), &schema, &forced, options, &|_| {}).unwrap_err();
    assert_eq!(error.code(), Code::SourceUnreadable);
    let many = vec![rows(vec![batch()]), broken(), rows(vec![batch()])];
    assert!(each(many, &schema, &forced, options, &|_| {}).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    one(rows(vec![batch()]), &schema, &forced, options, &|_| {}).unwrap();
    assert_ne!(std::fs::read_to_string(&path).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
