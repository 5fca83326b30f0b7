//! Every type that parquet can hold, from a file to a client: values as they were, types as the plan says,
//! nothing of what files say beside them.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, FixedSizeListArray, Int32Array,
    Int64Array, ListArray, MapArray, NullArray, RecordBatch, StringArray, StructArray,
    new_empty_array,
};
use arrow::array::{IntervalDayTimeArray, IntervalYearMonthArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, IntervalDayTime, Schema, TimeUnit};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use veilflight::pipeline::transform::column::canonical;

use crate::site::{Client, Site, info, ticket, with_token, write_policy};

const ROWS: usize = 40;

/// A column and the fields inside it that its rule has to list.
struct Case {
    array: ArrayRef,
    metadata: Vec<(&'static str, &'static str)>,
    fields: &'static [&'static str],
}

fn case(array: ArrayRef) -> Case {
    Case { array, metadata: Vec::new(), fields: &[] }
}

fn valid(row: usize) -> bool {
    row % 5 != 3
}

fn nulls(rows: usize) -> NullBuffer {
    (0..rows).map(valid).collect()
}

fn numbers(rows: usize) -> ArrayRef {
    let number = |row: usize| valid(row).then(|| (row * row % 97) as i64);
    Arc::new((0..rows).map(number).collect::<Int64Array>())
}

fn words(rows: usize) -> ArrayRef {
    let words = ["", "a", "twelve bytes", "more than twelve bytes", "ünïcödé"];
    let word = |row: usize| valid(row).then(|| words[row * row % 5]);
    Arc::new((0..rows).map(word).collect::<StringArray>())
}

fn of(array: &ArrayRef, kind: &DataType) -> ArrayRef {
    cast(array, kind).unwrap_or_else(|error| panic!("{kind:?}: {error}"))
}

/// From numbers, by way of a type that has a cast to the last.
fn by(kinds: &[DataType]) -> ArrayRef {
    kinds.iter().fold(numbers(ROWS), |array, kind| of(&array, kind))
}

fn item(kind: DataType) -> FieldRef {
    Arc::new(Field::new("item", kind, true))
}

fn packed(key: DataType, values: DataType) -> DataType {
    DataType::Dictionary(Box::new(key), Box::new(values))
}

/// Every type of one value.
fn flat() -> Vec<ArrayRef> {
    use DataType::*;
    let units =
        [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];
    let mut columns: Vec<ArrayRef> =
        [Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64, Float32, Float64]
            .iter()
            .map(|kind| by(std::slice::from_ref(kind)))
            .collect();
    columns.push(by(&[Float32, Float16]));
    for kind in
        [Decimal32(7, 2), Decimal64(15, 3), Decimal128(10, 0), Decimal128(38, 4), Decimal256(60, 5)]
    {
        columns.push(by(&[kind]));
    }
    columns.push(by(&[Int32, Date32]));
    columns.push(by(&[Int32, Date32, Date64]));
    columns.push(by(&[Int32, Time32(TimeUnit::Second)]));
    columns.push(by(&[Int32, Time32(TimeUnit::Millisecond)]));
    columns.push(by(&[Time64(TimeUnit::Microsecond)]));
    columns.push(by(&[Time64(TimeUnit::Nanosecond)]));
    for unit in units {
        columns.push(by(&[Timestamp(unit, None)]));
        columns.push(by(&[Timestamp(unit, Some("UTC".into()))]));
        columns.push(by(&[Timestamp(unit, Some("Europe/Zurich".into()))]));
        columns.push(by(&[Timestamp(unit, Some("-07:00".into()))]));
        columns.push(by(&[Duration(unit)]));
    }
    let months: IntervalYearMonthArray =
        (0..ROWS).map(|row| valid(row).then_some(row as i32 * 7)).collect();
    columns.push(Arc::new(months));
    let days: IntervalDayTimeArray = (0..ROWS)
        .map(|row| valid(row).then(|| IntervalDayTime::new(row as i32, row as i32 * 3)))
        .collect();
    columns.push(Arc::new(days));
    let flags: BooleanArray = (0..ROWS).map(|row| valid(row).then_some(row % 3 == 0)).collect();
    columns.push(Arc::new(flags));
    columns.push(Arc::new(NullArray::new(ROWS)));
    for kind in [Utf8, LargeUtf8, Utf8View, Binary, LargeBinary, BinaryView] {
        columns.push(of(&of(&words(ROWS), &Binary), &kind));
    }
    for width in [1, 5, 16] {
        let bytes = (0..ROWS).map(|row| valid(row).then(|| vec![row as u8; width]));
        let width = i32::try_from(width).unwrap();
        columns.push(Arc::new(
            FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes, width).unwrap(),
        ));
    }
    for key in [Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64] {
        columns.push(of(&words(ROWS), &packed(key, Utf8)));
    }
    for values in [LargeUtf8, Binary] {
        columns.push(of(&words(ROWS), &packed(Int32, values)));
    }
    for values in [Int64, UInt8, Float64, Date32, Decimal128(12, 2)] {
        let plain =
            if values == Date32 { by(&[Int32, Date32]) } else { by(std::slice::from_ref(&values)) };
        columns.push(of(&plain, &packed(Int16, values)));
    }
    columns
}

/// Lists of every form over `values`, a few values a row, some rows null and some empty.
fn lists(values: &ArrayRef) -> Vec<ArrayRef> {
    let rows = values.len() / 4;
    let ends = (0..=rows).map(|row| i32::try_from(row * 4 - row % 3).unwrap());
    let offsets = OffsetBuffer::new(ends.collect::<Vec<_>>().into());
    let inner = item(values.data_type().clone());
    let list: ArrayRef = Arc::new(ListArray::new(
        Arc::clone(&inner),
        offsets,
        Arc::clone(values),
        Some(nulls(rows)),
    ));
    let fixed =
        FixedSizeListArray::new(Arc::clone(&inner), 4, Arc::clone(values), Some(nulls(rows)));
    let large = of(&list, &DataType::LargeList(Arc::clone(&inner)));
    let views = of(&list, &DataType::ListView(Arc::clone(&inner)));
    let large_views = of(&list, &DataType::LargeListView(inner));
    vec![list, large, views, large_views, Arc::new(fixed)]
}

fn parent(children: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let rows = children[0].1.len();
    let (fields, columns): (Vec<_>, Vec<_>) = children
        .into_iter()
        .map(|(name, column)| (Field::new(name, column.data_type().clone(), true), column))
        .unzip();
    Arc::new(StructArray::new(Fields::from(fields), columns, Some(nulls(rows))))
}

fn maps(values: &ArrayRef) -> ArrayRef {
    let rows = values.len() / 4;
    let keys: ArrayRef =
        Arc::new((0..values.len()).map(|row| Some(format!("key-{row}"))).collect::<StringArray>());
    let fields = Fields::from(vec![
        Field::new("keys", DataType::Utf8, false),
        Field::new("values", values.data_type().clone(), true),
    ]);
    let entries = StructArray::new(fields.clone(), vec![keys, Arc::clone(values)], None);
    let offsets = OffsetBuffer::from_lengths((0..rows).map(|row| 1 + row % 4));
    let field = Arc::new(Field::new("entries", DataType::Struct(fields), false));
    let end = usize::try_from(offsets[rows]).unwrap();
    Arc::new(MapArray::new(field, offsets, entries.slice(0, end), Some(nulls(rows)), false))
}

fn nested() -> Vec<Case> {
    let texts = words(ROWS * 4);
    let mut cases: Vec<Case> = Vec::new();
    for kind in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View] {
        cases.extend(lists(&of(&texts, &kind)).into_iter().map(case));
        cases.push(case(maps(&of(&texts, &kind))));
    }
    cases
        .extend(lists(&of(&numbers(ROWS * 4), &DataType::Decimal128(20, 2))).into_iter().map(case));
    cases
        .extend(lists(&of(&texts, &packed(DataType::Int32, DataType::Utf8))).into_iter().map(case));
    cases.push(case(maps(&numbers(ROWS * 4))));
    // Lists of lists of every form.
    let inner = lists(&words(ROWS * 16));
    cases.extend(inner.iter().map(|list| case(Arc::clone(&lists(list)[1]))));
    let whole = |rows| {
        let inside = parent(vec![("views", of(&words(rows), &DataType::Utf8View))]);
        parent(vec![("n", numbers(rows)), ("text", words(rows)), ("inside", inside)])
    };
    let fields: &[&str] = &["n", "text", "inside.views"];
    let with = |array: ArrayRef| Case { fields, ..case(array) };
    cases.push(with(whole(ROWS)));
    cases.extend(lists(&whole(ROWS * 4)).into_iter().map(with));
    cases.push(with(maps(&whole(ROWS * 4))));
    let held =
        vec![("list", Arc::clone(&lists(&words(ROWS * 4))[2])), ("map", maps(&words(ROWS * 4)))];
    cases.push(Case { fields: &["list", "map"], ..case(parent(held)) });
    cases
}

/// Columns whose fields say more than a type.
fn noted() -> Vec<Case> {
    let bytes = (0..ROWS).map(|row| valid(row).then_some([row as u8; 16]));
    let uuid: ArrayRef =
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes, 16).unwrap());
    let extension = "ARROW:extension:name";
    vec![
        Case { metadata: vec![(extension, "arrow.uuid")], ..case(uuid) },
        Case {
            metadata: vec![(extension, "arrow.json"), ("ARROW:extension:metadata", "")],
            ..case(words(ROWS))
        },
        Case {
            metadata: vec![("PARQUET:field_id", "7"), ("note", "a note")],
            ..case(numbers(ROWS))
        },
    ]
}

/// Writes one column in several row groups, or in none.
fn write(path: &Path, case: &Case, array: &ArrayRef) {
    let metadata = case.metadata.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
    let field = Field::new("Value", array.data_type().clone(), true);
    let ids: ArrayRef = Arc::new(Int32Array::from_iter_values(0..array.len() as i32));
    let schema = Arc::new(Schema::new(vec![
        Field::new("Id", DataType::Int32, false),
        field.with_metadata(metadata.collect()),
    ]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![ids, Arc::clone(array)]).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(13)).build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties))
        .unwrap_or_else(|error| panic!("{:?}: {error}", array.data_type()));
    writer.write(&batch).unwrap_or_else(|error| panic!("{:?}: {error}", array.data_type()));
    writer.close().unwrap();
}

fn policy(dataset: &str, fields: &[&str]) -> String {
    let rule = match fields {
        [] => "keep".to_owned(),
        fields => format!("{{keep: {{fields: [{}]}}}}", fields.join(", ")),
    };
    format!(
        "version: 1\ndataset: {dataset}\ndescription: One type\nsource: {{parquet: {dataset}.parquet}}\n\
         columns:\n  Id: keep\n  Value: {rule}\ngrants:\n  - {{partner: cern, access: rows}}\n"
    )
}

/// The same values in the plain type, by Arrow's own casts; maps part by part, as Arrow has no cast for them.
fn plain(array: &ArrayRef) -> ArrayRef {
    let kind = canonical(array.data_type());
    let (Some(map), DataType::Map(entries, sorted)) = (array.as_map_opt(), &kind) else {
        return of(array, &kind);
    };
    let DataType::Struct(parts) = entries.data_type() else { panic!("a map without entries") };
    let columns = map.entries().columns().iter().zip(parts);
    let columns = columns.map(|(column, part)| of(column, part.data_type())).collect();
    let pairs = StructArray::new(parts.clone(), columns, None);
    let offsets = map.offsets().clone();
    Arc::new(MapArray::new(Arc::clone(entries), offsets, pairs, map.nulls().cloned(), *sorted))
}

async fn pull(
    client: &mut Client,
    token: &str,
    dataset: &str,
) -> Result<(Schema, Vec<RecordBatch>), FlightError> {
    let info = info(client, token, dataset).await?;
    let mut batches = Vec::new();
    for endpoint in 0..info.endpoint.len() {
        let stream = client.do_get(with_token(token, ticket(&info, endpoint))).await?;
        let stream = stream.into_inner().map_err(Into::into);
        let decoded = FlightRecordBatchStream::new_from_flight_data(stream);
        batches.extend(decoded.try_collect::<Vec<_>>().await?);
    }
    Ok((info.try_decode_schema()?, batches))
}

/// What differs between what a file holds and what came of it.
fn compare(rows: &ArrayRef, promised: &Schema, batches: &[RecordBatch]) -> Result<(), String> {
    let sent = promised.field_with_name("Value").map_err(|error| error.to_string())?;
    if *sent.data_type() != canonical(rows.data_type()) {
        return Err(format!("is sent as {:?}", sent.data_type()));
    }
    if !sent.metadata().keys().eq(["veilflight.protection"]) {
        return Err(format!("is sent with {:?}", sent.metadata()));
    }
    if batches.iter().any(|batch| *batch.schema() != *promised) {
        return Err("comes under another schema than was promised".to_owned());
    }
    let columns: Vec<_> = batches.iter().map(|batch| batch.column(1).as_ref()).collect();
    if rows.is_empty() {
        let empty = columns.iter().all(|column| column.is_empty());
        return if empty { Ok(()) } else { Err("has rows out of nothing".to_owned()) };
    }
    let came = concat(&columns).map_err(|error| error.to_string())?;
    let expected = plain(rows);
    if came.as_ref() != expected.as_ref() {
        return Err(format!("came as {came:?} and not as {expected:?}"));
    }
    Ok(())
}

#[tokio::test]
async fn every_type_of_parquet_leaves_as_it_came() {
    let folder = crate::site::folder();
    let cases: Vec<Case> = flat().into_iter().map(case).chain(nested()).chain(noted()).collect();
    let mut datasets = Vec::new();
    for (at, case) in cases.iter().enumerate() {
        // A slice, so that nothing begins where its buffer does; and a table without rows.
        let rows = case.array.slice(3, case.array.len() - 3);
        for (name, rows) in [("full", rows), ("empty", new_empty_array(case.array.data_type()))] {
            let dataset = format!("{name}_{at}");
            let path = folder.path().join(format!("policies/{dataset}.parquet"));
            write(&path, case, &rows);
            write_policy(folder.path(), &format!("{dataset}.yaml"), &policy(&dataset, case.fields));
            datasets.push((dataset, rows));
        }
    }
    let site = Site::start_with(folder, &[]).await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let mut wrong = Vec::new();
    for (dataset, rows) in datasets {
        let result = match pull(&mut client, &token, &dataset).await {
            Ok((promised, batches)) => compare(&rows, &promised, &batches),
            Err(error) => Err(error.to_string()),
        };
        wrong.extend(result.err().map(|why| format!("{:?} {why}", rows.data_type())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    site.stop().await;
}
