//! Every format and every shape: what Arrow's own reader of streams finds in our messages.

use std::io::Cursor;

use arrow::array::types::Int16Type;
use arrow::compute::concat_batches;
use arrow::datatypes::{UnionFields, UnionMode};
use arrow_ipc::reader::StreamReader;

use super::*;
use crate::pipeline::format::{Compression, Strings};

pub(super) fn formats() -> Vec<Format> {
    let mut formats = Vec::new();
    for strings in [Strings::Plain, Strings::Large, Strings::View] {
        for dictionaries in [false, true] {
            for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
                formats.push(Format { strings, dictionaries, compression });
            }
        }
    }
    formats
}

/// The stream as a file has it: each message with its length before it.
fn stream(schema: &SchemaRef, format: Format, sealed: &[Sealed]) -> Vec<u8> {
    let mut bytes = schema_encapsulated(schema, format).unwrap().to_vec();
    for sealed in sealed {
        let len = sealed.header().len().next_multiple_of(8);
        bytes.extend_from_slice(&[0xff; 4]);
        bytes.extend_from_slice(&u32::try_from(len).unwrap().to_le_bytes());
        bytes.extend_from_slice(sealed.header());
        bytes.resize(bytes.len() + len - sealed.header().len(), 0);
        bytes.extend_from_slice(sealed.body());
    }
    bytes.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    bytes
}

/// Seals batches in a format.
pub(super) fn sealed(
    schema: &SchemaRef,
    format: Format,
    batches: &[Vec<ArrayRef>],
    message_bytes: usize,
) -> Vec<Sealed> {
    let mut sealer = Sealer::new(Arc::clone(schema), format, message_bytes, 3_500_000);
    let mut sealed = Vec::new();
    for columns in batches {
        let rows = columns.first().map_or(0, |column| column.len());
        sealed.extend(sealer.push(columns.clone(), rows).unwrap());
    }
    sealed.extend(sealer.finish().unwrap());
    sealed
}

pub(super) fn read(schema: &SchemaRef, format: Format, sealed: &[Sealed]) -> Vec<RecordBatch> {
    let reader = StreamReader::try_new(Cursor::new(stream(schema, format, sealed)), None).unwrap();
    assert_eq!(reader.schema(), format.schema(schema));
    let read: Vec<_> = reader.map(|batch| batch.unwrap()).collect();
    for column in read.iter().flat_map(|batch| batch.columns()) {
        column.to_data().validate_full().unwrap();
    }
    read
}

/// The plain form of what was read.
pub(super) fn plain(schema: &SchemaRef, read: &[RecordBatch]) -> RecordBatch {
    let plain: Vec<_> = read
        .iter()
        .map(|batch| {
            let columns = batch.columns().iter().zip(schema.fields());
            let columns = columns.map(|(column, field)| cast(column, field.data_type()).unwrap());
            RecordBatch::try_new(Arc::clone(schema), columns.collect()).unwrap()
        })
        .collect();
    concat_batches(schema, &plain).unwrap()
}

/// Whether any byte of an array, seen or not, is part of a canary.
fn hides_canary(data: &ArrayData) -> bool {
    data.buffers().iter().any(|buffer| holds_canary(buffer.as_slice()))
        || data.child_data().iter().any(hides_canary)
}

const WORDS: [&str; 5] =
    ["", "a", "twelve bytes", "thirteen byte", "a text of more than thirty-two bytes, by far"];

pub(super) fn words(rows: usize) -> ArrayRef {
    let word = |row: usize| (row % 7 != 3).then(|| WORDS[row * row % 5]);
    Arc::new((0..rows).map(word).collect::<StringArray>())
}

fn item(kind: DataType) -> Arc<Field> {
    Arc::new(Field::new("item", kind, true))
}

fn packed(key: DataType, values: DataType) -> DataType {
    DataType::Dictionary(Box::new(key), Box::new(values))
}

/// Shapes that mean texts.
fn text_shapes() -> Vec<DataType> {
    vec![
        DataType::Utf8,
        DataType::LargeUtf8,
        DataType::Utf8View,
        packed(DataType::Int32, DataType::Utf8),
        packed(DataType::Int32, DataType::LargeUtf8),
        packed(DataType::Int32, DataType::Utf8View),
        packed(DataType::UInt8, DataType::Utf8),
        packed(DataType::Int64, DataType::Utf8),
    ]
}

/// The array in every shape of a column of texts, run ends among them.
pub(super) fn shaped_texts(texts: &ArrayRef) -> Vec<ArrayRef> {
    let mut shapes: Vec<_> =
        text_shapes().iter().map(|shape| cast(texts, shape).unwrap()).collect();
    let mut runs = StringRunBuilder::<Int16Type>::new();
    runs.extend(texts.as_string::<i32>().iter());
    shapes.push(Arc::new(runs.finish()));
    shapes
}

#[test]
fn texts_of_every_shape_come_back_in_every_format() {
    let texts = words(60);
    let binary = cast(&texts, &DataType::Binary).unwrap();
    let fields = vec![
        Field::new("text", DataType::Utf8, true),
        Field::new("other", DataType::Utf8, true),
        Field::new("bytes", DataType::Binary, true),
    ];
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let large = cast(&binary, &DataType::LargeBinary).unwrap();
    let views = cast(&binary, &DataType::BinaryView).unwrap();
    for format in formats() {
        for (at, shape) in shaped_texts(&texts).iter().enumerate() {
            let bytes = [&binary, &large, &views][at % 3];
            let batch = |from, rows| {
                let last = cast(&texts, &text_shapes()[at % 8]).unwrap();
                vec![shape.slice(from, rows), last.slice(from, rows), bytes.slice(from, rows)]
            };
            for message_bytes in [1, 300, 1_500_000] {
                let batches = [batch(3, 20), batch(23, 37)];
                let sealed = sealed(&schema, format, &batches, message_bytes);
                let read = plain(&schema, &read(&schema, format, &sealed));
                for (column, expected) in read.columns().iter().zip([&texts, &texts, &binary]) {
                    let expected = expected.slice(3, 57);
                    assert_eq!(column.as_ref(), expected.as_ref(), "{format:?} {shape:?}");
                }
            }
        }
    }
}

/// Lists, structs and maps in shapes of their own and with texts in others, and what each means.
pub(super) fn nested() -> Vec<(ArrayRef, DataType)> {
    let list = |kind: DataType| DataType::List(item(kind));
    let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0, 0, 3, 3, 7, 8, 12]));
    let nulls = NullBuffer::from(vec![true, true, false, true, false, true]);
    let lists: ArrayRef =
        Arc::new(ListArray::new(item(DataType::Utf8), offsets, words(12), Some(nulls.clone())));
    let mut nested = Vec::new();
    for inner in text_shapes() {
        let kinds = [
            DataType::List(item(inner.clone())),
            DataType::LargeList(item(inner.clone())),
            DataType::ListView(item(inner.clone())),
            DataType::LargeListView(item(inner.clone())),
        ];
        for kind in kinds {
            // Run ends and view lists have no cast of their own from every shape: by way of a list.
            let by_list = cast(&lists, &DataType::List(item(inner.clone()))).unwrap();
            nested.push((cast(&by_list, &kind).unwrap(), list(DataType::Utf8)));
        }
        let fixed = FixedSizeListArray::new(
            item(inner.clone()),
            2,
            cast(&words(12), &inner).unwrap(),
            Some(nulls.clone()),
        );
        nested.push((Arc::new(fixed), DataType::FixedSizeList(item(DataType::Utf8), 2)));
        let parent = |inner: DataType| {
            DataType::Struct(
                vec![Field::new("x", inner, true), Field::new("n", DataType::Int32, true)].into(),
            )
        };
        let fields = parts_of(&parent(inner.clone()));
        let children: Vec<ArrayRef> = vec![
            cast(&words(6), &inner).unwrap(),
            Arc::new(Int32Array::from(vec![1, 2, 3, 4, 5, 6])),
        ];
        let structs: ArrayRef = Arc::new(StructArray::new(fields, children, Some(nulls.clone())));
        nested.push((Arc::clone(&structs), parent(DataType::Utf8)));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0, 1, 1, 4, 4, 6, 6]));
        let of_structs: ArrayRef = Arc::new(ListArray::new(
            item(structs.data_type().clone()),
            offsets.clone(),
            structs,
            Some(nulls.clone()),
        ));
        nested.push((of_structs, list(parent(DataType::Utf8))));
        let entries = |inner: DataType| {
            let parts = vec![Field::new("k", DataType::Utf8, false), Field::new("v", inner, true)];
            Arc::new(Field::new("entries", DataType::Struct(parts.into()), false))
        };
        let parts = parts_of(entries(inner.clone()).data_type());
        let keys: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d", "e", "f"]));
        let pairs = StructArray::new(parts, vec![keys, cast(&words(6), &inner).unwrap()], None);
        let maps = MapArray::new(entries(inner), offsets, pairs, Some(nulls.clone()), false);
        nested.push((Arc::new(maps), DataType::Map(entries(DataType::Utf8), false)));
    }
    nested
}

#[test]
fn nested_columns_of_every_shape_come_back_in_every_format() {
    for (array, kind) in nested() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("c", kind.clone(), true)]));
        let expected = reference(&array, &kind);
        for format in formats() {
            for message_bytes in [1, 1_500_000] {
                let batches = [vec![array.slice(0, 2)], vec![array.slice(2, 4)]];
                let sealed = sealed(&schema, format, &batches, message_bytes);
                let read = read(&schema, format, &sealed);
                let columns: Vec<_> =
                    read.iter().map(|batch| reference(batch.column(0), &kind)).collect();
                let columns: Vec<_> = columns.iter().map(AsRef::as_ref).collect();
                let read = concat(&columns).unwrap();
                assert_eq!(&read, &expected, "{format:?} {:?}", array.data_type());
            }
        }
    }
}

/// The fields of a struct.
fn parts_of(kind: &DataType) -> arrow::datatypes::Fields {
    match kind {
        DataType::Struct(parts) => parts.clone(),
        _ => panic!("{kind:?} is no struct"),
    }
}

/// The same values in a plain type, by Arrow's own casts; maps by way of their entries, which Arrow
/// does not cast.
fn reference(array: &ArrayRef, kind: &DataType) -> ArrayRef {
    let (Some(map), DataType::Map(entries, sorted)) = (array.as_map_opt(), kind) else {
        return cast(array, kind).unwrap();
    };
    let parts = parts_of(entries.data_type());
    let columns = map.entries().columns().iter().zip(&parts);
    let columns = columns.map(|(column, part)| cast(column, part.data_type()).unwrap()).collect();
    let pairs = StructArray::new(parts, columns, None);
    let offsets = map.offsets().clone();
    Arc::new(MapArray::new(Arc::clone(entries), offsets, pairs, map.nulls().cloned(), *sorted))
}

#[test]
fn other_columns_of_every_shape_come_back_in_every_format() {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(1)]));
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), None]));
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("numbers", DataType::Int64, true),
        Field::new("flags", DataType::Boolean, true),
        Field::new("nothing", DataType::Null, true),
    ]));
    let mut runs = PrimitiveRunBuilder::<Int32Type, arrow::datatypes::Int64Type>::new();
    runs.extend(numbers.as_primitive::<arrow::datatypes::Int64Type>().iter());
    let shapes: Vec<ArrayRef> = vec![
        Arc::clone(&numbers),
        cast(&numbers, &packed(DataType::Int32, DataType::Int64)).unwrap(),
        cast(&numbers, &packed(DataType::UInt16, DataType::Int64)).unwrap(),
        Arc::new(runs.finish()),
    ];
    for format in formats() {
        for shape in &shapes {
            let columns: Vec<ArrayRef> =
                vec![Arc::clone(shape), Arc::clone(&flags), Arc::new(NullArray::new(4))];
            let sealed = sealed(&schema, format, &[columns], 1_500_000);
            let read = plain(&schema, &read(&schema, format, &sealed));
            assert_eq!(read.column(0), &numbers, "{format:?} {:?}", shape.data_type());
            assert_eq!(read.column(1), &flags);
            assert_eq!(read.column(2).len(), 4);
        }
    }
}

#[test]
fn a_union_comes_back_and_shows_only_what_its_rows_point_to() {
    let fields = UnionFields::try_new(
        vec![0, 1],
        vec![Field::new("text", DataType::Utf8, true), Field::new("number", DataType::Int64, true)],
    )
    .unwrap();
    let texts: ArrayRef =
        Arc::new(StringArray::from(vec![Some("CANARY-0"), Some("a"), None, Some("c")]));
    let union: ArrayRef = Arc::new(
        UnionArray::try_new(
            fields.clone(),
            ScalarBuffer::from(vec![0, 1, 0, 0, 1]),
            Some(ScalarBuffer::from(vec![3, 1, 2, 1, 0])),
            vec![texts, Arc::new(Int64Array::from(vec![7, 8]))],
        )
        .unwrap(),
    );
    let kind = DataType::Union(fields, UnionMode::Dense);
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("c", kind, false)]));
    for rows in [union.slice(0, 5), union.slice(1, 3)] {
        let sealed = sealed(&schema, Format::default(), &[vec![Arc::clone(&rows)]], 1_500_000);
        assert!(sealed.iter().all(|sealed| !holds_canary(sealed.body())));
        let read = read(&schema, Format::default(), &sealed);
        assert_eq!(read[0].column(0), &rows);
    }
}

/// More arrays that hide a canary: in the shapes that a query engine gives.
fn hiding_in_shapes() -> Vec<(ArrayRef, DataType)> {
    const CANARY: &str = "CANARY-0 of more than twelve bytes";
    const SHORT: &str = "CANARY-0";
    let list = DataType::List(item(DataType::Utf8));
    let seen = NullBuffer::from(vec![true, false, true]);
    let texts: ArrayRef =
        Arc::new(StringArray::from(vec!["a", CANARY, "c", SHORT, "a longer text"]));
    let views = cast(&texts, &DataType::Utf8View).unwrap();
    // The views of the rows that are left, with the buffers of all.
    let picked = UInt32Array::from(vec![0, 4, 2]);
    let taken = arrow::compute::take(&views, &picked, None).unwrap();
    let short: ArrayRef = Arc::new(StringViewArray::from(vec!["a", SHORT, "c"]));
    // Under nulls: in the view itself, and in a buffer.
    let nulled = |views: &ArrayRef| {
        let views = views.as_string_view();
        let (views, buffers, _) = views.slice(0, 3).into_parts();
        Arc::new(StringViewArray::new(views, buffers, Some(seen.clone()))) as ArrayRef
    };
    let unused = |key: &DataType, values: &DataType| {
        let all = cast(&texts, &packed(key.clone(), values.clone())).unwrap();
        arrow::compute::take(&all, &picked, None).unwrap()
    };
    let offsets = ScalarBuffer::from(vec![4_i32, 1, 0]);
    let sizes = ScalarBuffer::from(vec![1_i32, 2, 1]);
    let list_view = |values: &ArrayRef| {
        let field = item(values.data_type().clone());
        let (offsets, sizes) = (offsets.clone(), sizes.clone());
        ListViewArray::new(field, offsets, sizes, Arc::clone(values), Some(seen.clone()))
    };
    let parent = StructArray::new(
        vec![Field::new("x", DataType::Utf8View, true)].into(),
        vec![views.slice(0, 3)],
        Some(seen.clone()),
    );
    let parent_kind = DataType::Struct(vec![Field::new("x", DataType::Utf8, true)].into());
    let binary = cast(&views, &DataType::BinaryView).unwrap();
    let mut runs = StringRunBuilder::<Int16Type>::new();
    runs.extend([Some("a"), Some("a"), Some(SHORT), Some("c")]);
    let runs: ArrayRef = Arc::new(runs.finish().slice(0, 2));
    vec![
        (taken, DataType::Utf8),
        (nulled(&views), DataType::Utf8),
        (nulled(&short), DataType::Utf8),
        (unused(&DataType::Int32, &DataType::Utf8), DataType::Utf8),
        (unused(&DataType::Int32, &DataType::Utf8View), DataType::Utf8),
        (unused(&DataType::UInt8, &DataType::Utf8), DataType::Utf8),
        (Arc::new(list_view(&views)), list.clone()),
        (Arc::new(list_view(&texts)), list),
        (Arc::new(parent), parent_kind),
        (binary.slice(4, 1), DataType::Binary),
        (runs, DataType::Utf8),
    ]
}

#[test]
fn what_no_row_shows_is_in_no_message_of_any_format() {
    let plain = hiding().into_iter().chain(nested_and_hiding()).map(|array| {
        let kind = crate::pipeline::transform::column::canonical(array.data_type());
        (array, kind)
    });
    for (array, kind) in plain.chain(hiding_in_shapes()) {
        // The control: the canary is there to be found.
        assert!(hides_canary(&array.to_data()), "{:?}", array.data_type());
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("c", kind, true)]));
        for format in formats() {
            for message_bytes in [1, 1_500_000] {
                let batch = vec![Arc::clone(&array)];
                let sealed = sealed(&schema, format, &[batch], message_bytes);
                let rows: u64 = sealed.iter().map(Sealed::rows).sum();
                assert_eq!(rows, array.len() as u64, "nothing was shown");
                let shape = array.data_type();
                for sealed in &sealed {
                    assert!(!holds_canary(sealed.header()), "{format:?} {shape:?}");
                    assert!(!holds_canary(sealed.body()), "{format:?} {shape:?}");
                }
                for column in read(&schema, format, &sealed).iter().flat_map(RecordBatch::columns) {
                    assert!(!hides_canary(&column.to_data()), "{format:?} {shape:?}");
                }
            }
        }
    }
}
