//! Seals must hold what rows show, and nothing else.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::types::Int32Type;
use arrow::array::*;
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field, IntervalDayTime, IntervalMonthDayNano, Schema, i256};
use proptest::prelude::*;

use super::*;

mod formats;
mod messages;

/// Seals batches and reads the messages back with Arrow's own reader.
fn round_trip(schema: &SchemaRef, batches: &[Vec<ArrayRef>], message_bytes: usize) -> RecordBatch {
    let mut sealer = Sealer::new(Arc::clone(schema), Format::default(), message_bytes, 3_500_000);
    let mut sealed = Vec::new();
    for columns in batches {
        let rows = columns.first().map_or(0, |column| column.len());
        sealed.extend(sealer.push(columns.clone(), rows).unwrap());
    }
    sealed.extend(sealer.finish().unwrap());
    let read: Vec<_> = sealed.iter().map(|sealed| open(schema, sealed)).collect();
    arrow::compute::concat_batches(schema, &read).unwrap()
}

fn open(schema: &SchemaRef, sealed: &Sealed) -> RecordBatch {
    let message = arrow_ipc::root_as_message(sealed.header()).unwrap();
    let batch = message.header_as_record_batch().unwrap();
    let body = Buffer::from(sealed.body().to_vec());
    let read = arrow_ipc::reader::read_record_batch(
        &body,
        batch,
        Arc::clone(schema),
        &HashMap::new(),
        None,
        &message.version(),
    )
    .unwrap();
    for column in read.columns() {
        column.to_data().validate_full().unwrap();
    }
    read
}

fn schema_of(columns: &[ArrayRef]) -> SchemaRef {
    let fields = columns.iter().enumerate().map(|(at, column)| {
        let kind = match column.data_type() {
            DataType::Dictionary(_, value) => value.as_ref().clone(),
            other => other.clone(),
        };
        Field::new(format!("c{at}"), kind, true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Every column type comes back as it went in, whatever the size of the messages.
fn same(columns: Vec<ArrayRef>) {
    let schema = schema_of(&columns);
    let rows = columns[0].len();
    for message_bytes in [1, 64, 1_500_000] {
        for cut in [0, rows / 3, rows] {
            let front = columns.iter().map(|column| column.slice(0, cut)).collect();
            let back = columns.iter().map(|column| column.slice(cut, rows - cut)).collect();
            let read = round_trip(&schema, &[front, back], message_bytes);
            for (read, column) in read.columns().iter().zip(&columns) {
                let plain = cast(column, read.data_type()).unwrap();
                assert_eq!(read.to_data(), plain.to_data(), "cut at {cut}");
            }
        }
    }
}

#[test]
fn fixed_widths_come_back() {
    same(vec![
        Arc::new(Int8Array::from(vec![Some(1), None, Some(-3)])),
        Arc::new(UInt16Array::from(vec![1, 2, 3])),
        Arc::new(Int64Array::from(vec![None, Some(i64::MIN), Some(i64::MAX)])),
        Arc::new(Float64Array::from(vec![Some(f64::MAX), Some(-0.0), None])),
        Arc::new(Date32Array::from(vec![Some(0), None, Some(-1)])),
        Arc::new(TimestampMicrosecondArray::from(vec![1, 2, 3]).with_timezone("+01:00")),
        Arc::new(
            Decimal128Array::from(vec![Some(12), None, Some(-7)])
                .with_precision_and_scale(10, 2)
                .unwrap(),
        ),
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        Arc::new(IntervalMonthDayNanoArray::from(vec![None, None, None])),
        Arc::new(
            FixedSizeBinaryArray::try_from_sparse_iter_with_size(
                [Some([1_u8, 2]), None, Some([5, 6])].into_iter(),
                2,
            )
            .unwrap(),
        ),
        Arc::new(NullArray::new(3)),
    ]);
}

#[test]
fn texts_and_dictionaries_come_back() {
    let words = ["", "a", "a text of more than thirty-two bytes, to cross a stride", "ünïcödé"];
    let texts: StringArray = (0..97).map(|i| (i % 5 != 4).then(|| words[i % 4])).collect();
    let binary: BinaryArray =
        (0..97).map(|i| (i % 7 != 4).then(|| words[i % 4].as_bytes())).collect();
    let dictionary: DictionaryArray<Int32Type> = texts.iter().collect();
    let numbers = DictionaryArray::<Int32Type>::new(
        (0..97).map(|i| (i % 3 != 0).then_some(i % 2)).collect(),
        Arc::new(Int64Array::from(vec![Some(7), None])),
    );
    let flags = DictionaryArray::<Int32Type>::new(
        (0..97).map(|i| Some(i % 2)).collect(),
        Arc::new(BooleanArray::from(vec![true, false])),
    );
    let columns: Vec<ArrayRef> = vec![
        Arc::new(texts),
        Arc::new(binary),
        Arc::new(dictionary),
        Arc::new(numbers),
        Arc::new(flags),
    ];
    same(columns.iter().map(|column| column.slice(5, 80)).collect());
}

#[test]
fn nested_columns_come_back() {
    let items = StringArray::from(vec![Some("a"), None, Some("ccc"), Some("hidden"), Some("e")]);
    let list = ListArray::new(
        Arc::new(Field::new("item", DataType::Utf8, true)),
        OffsetBuffer::new(ScalarBuffer::from(vec![0, 2, 2, 3, 4, 5])),
        Arc::new(items.clone()),
        Some(NullBuffer::from(vec![true, true, true, false, true])),
    );
    let inner = StructArray::new(
        vec![Field::new("x", DataType::Utf8, true), Field::new("y", DataType::Int32, true)].into(),
        vec![Arc::new(items), Arc::new(Int32Array::from(vec![1, 2, 3, 4, 5]))],
        Some(NullBuffer::from(vec![true, false, true, true, false])),
    );
    let pairs = FixedSizeListArray::new(
        Arc::new(Field::new("item", DataType::Int32, true)),
        2,
        Arc::new(Int32Array::from((0..10).collect::<Vec<_>>())),
        Some(NullBuffer::from(vec![true, false, true, true, true])),
    );
    let columns: Vec<ArrayRef> = vec![Arc::new(list), Arc::new(inner), Arc::new(pairs)];
    let schema = schema_of(&columns);
    let read = round_trip(&schema, std::slice::from_ref(&columns), 1_500_000);
    for (read, column) in read.columns().iter().zip(&columns) {
        assert_eq!(read.as_ref(), column.as_ref());
    }
}

#[test]
fn a_map_comes_back() {
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    maps.keys().append_value("k");
    maps.values().append_value(1);
    maps.append(true).unwrap();
    maps.append(false).unwrap();
    let columns: Vec<ArrayRef> = vec![Arc::new(maps.finish())];
    let read = round_trip(&schema_of(&columns), std::slice::from_ref(&columns), 1_500_000);
    assert_eq!(read.column(0).as_ref(), columns[0].as_ref());
}

/// Arrays that hide a canary where no row shows it: under nulls, outside slices, in unused dictionary
/// entries, under null parents.
fn hiding() -> Vec<ArrayRef> {
    const CANARY: &str = "CANARY-0123456789";
    let hidden = StringArray::new(
        OffsetBuffer::new(ScalarBuffer::from(vec![0, 2, 19, 21])),
        Buffer::from(format!("ok{CANARY}ok").into_bytes()),
        Some(NullBuffer::from(vec![true, false, true])),
    );
    let number = i64::from_le_bytes(*b"CANARY-0");
    let under_null = Int64Array::new(
        ScalarBuffer::from(vec![1, number, 3]),
        Some(NullBuffer::from(vec![true, false, true])),
    );
    let unused = DictionaryArray::<Int32Type>::new(
        Int32Array::from(vec![Some(0), None, Some(2)]),
        Arc::new(StringArray::from(vec!["a", CANARY, "c"])),
    );
    let outside = StringArray::from(vec![CANARY, "a", "b", "c", CANARY]).slice(1, 3);
    let parent = StructArray::new(
        vec![Field::new("x", DataType::Utf8, true)].into(),
        vec![Arc::new(StringArray::from(vec!["a", CANARY, "c"]))],
        Some(NullBuffer::from(vec![true, false, true])),
    );
    let list = ListArray::new(
        Arc::new(Field::new("item", DataType::Utf8, true)),
        OffsetBuffer::new(ScalarBuffer::from(vec![0, 1, 2, 3])),
        Arc::new(StringArray::from(vec!["a", CANARY, "c"])),
        Some(NullBuffer::from(vec![true, false, true])),
    );
    vec![
        Arc::new(hidden),
        Arc::new(under_null),
        Arc::new(unused),
        Arc::new(outside),
        Arc::new(parent),
        Arc::new(list),
    ]
}

fn holds_canary(bytes: &[u8]) -> bool {
    bytes.windows(8).any(|window| window == b"CANARY-0")
}

#[test]
fn what_no_row_shows_is_not_in_the_message() {
    for column in hiding() {
        let columns = vec![Arc::clone(&column)];
        let mut sealer = Sealer::new(schema_of(&columns), Format::default(), 1_500_000, 3_500_000);
        assert!(sealer.push(columns, 3).unwrap().is_empty());
        let messages = sealer.finish().unwrap();
        assert_eq!(messages.iter().map(Sealed::rows).collect::<Vec<_>>(), [3]);
        for sealed in messages {
            assert!(!holds_canary(sealed.body()), "{}", column.data_type());
            assert!(!holds_canary(sealed.header()), "{}", column.data_type());
        }
    }
}

/// The control of the test above: an encoder that writes arrays as they are does leak, so the canaries
/// are where the seal has to deal with them.
#[test]
fn arrows_own_writer_would_have_sent_it() {
    let leaks = hiding().into_iter().filter(|column| {
        let field = Field::new("c", column.data_type().clone(), true);
        let schema = Arc::new(Schema::new(vec![field]));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::clone(column)]).unwrap();
        let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &schema).unwrap();
        writer.write(&batch).unwrap();
        holds_canary(&writer.into_inner().unwrap())
    });
    assert_eq!(leaks.count(), 5);
}

#[test]
fn a_row_larger_than_a_message_is_refused_and_smaller_ones_are_cut() {
    let long = "x".repeat(2_000);
    let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(vec![long.as_str(); 10]))];
    let mut sealer = Sealer::new(schema_of(&columns), Format::default(), 8_000, 5_000);
    let sealed = [sealer.push(columns.clone(), 10).unwrap(), sealer.finish().unwrap()].concat();
    assert!(sealed.iter().all(|sealed| sealed.header().len() + sealed.body().len() <= 5_000));
    assert_eq!(sealed.iter().map(Sealed::rows).sum::<u64>(), 10);
    let mut sealer = Sealer::new(schema_of(&columns), Format::default(), 8_000, 1_000);
    let refused = sealer.push(columns, 10).and_then(|_| sealer.finish()).unwrap_err();
    assert_eq!(refused.code(), Code::RowTooLarge);
}

#[test]
fn a_column_of_another_type_or_with_unplanned_nulls_is_refused() {
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("c", DataType::Int64, false)]));
    let mut sealer = Sealer::new(Arc::clone(&schema), Format::default(), 1_000, 10_000);
    let text: Vec<ArrayRef> = vec![Arc::new(StringArray::from(vec!["a"]))];
    assert_eq!(sealer.push(text, 1).unwrap_err().code(), Code::Internal);
    let null: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![None]))];
    let refused = sealer.push(null, 1).and_then(|_| sealer.finish()).unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
}

proptest! {
    #[test]
    fn any_texts_come_back_however_they_are_cut(
        texts in prop::collection::vec(prop::option::of("[a-zé]{0,70}"), 1..60),
        cut in 0_usize..60,
        message_bytes in 1_usize..2_000,
    ) {
        let plain: ArrayRef = Arc::new(texts.iter().map(Option::as_deref).collect::<StringArray>());
        let dictionary: DictionaryArray<Int32Type> = texts.iter().map(Option::as_deref).collect();
        let columns: Vec<ArrayRef> = vec![Arc::clone(&plain), Arc::new(dictionary)];
        let cut = cut.min(texts.len());
        let front = columns.iter().map(|column| column.slice(0, cut)).collect();
        let back = columns.iter().map(|column| column.slice(cut, texts.len() - cut)).collect();
        let read = round_trip(&schema_of(&columns), &[front, back], message_bytes);
        prop_assert_eq!(read.column(0).to_data(), plain.to_data());
        prop_assert_eq!(read.column(1).to_data(), plain.to_data());
        let joined = concat(&[read.column(0).as_ref()]).unwrap();
        prop_assert_eq!(joined.len(), texts.len());
    }
}

/// What files bring in nested columns: dictionaries with entries that no row uses, large texts, metadata
/// on inner fields, children under null parents, and all of it sliced.
fn nested_and_hiding() -> Vec<ArrayRef> {
    const CANARY: &str = "CANARY-0123456789";
    let noted = |name: &str, kind: DataType| {
        let note = [("note".to_owned(), CANARY.to_owned())];
        Arc::new(Field::new(name, kind, true).with_metadata(note.into()))
    };
    let words: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(
        Int32Array::from(vec![Some(1), Some(0), Some(1), None, Some(2)]),
        Arc::new(StringArray::from(vec!["a", CANARY, "c", CANARY])),
    ));
    let larges: ArrayRef = Arc::new(LargeStringArray::from(vec![CANARY, "x", CANARY, CANARY, "z"]));
    let seen = NullBuffer::from(vec![false, true, false, true, true]);
    let parent: ArrayRef = Arc::new(StructArray::new(
        vec![
            noted("words", words.data_type().clone()),
            // A child without null bits of its own shows what stands under its parent's nulls.
            noted("larges", DataType::LargeUtf8),
        ]
        .into(),
        vec![words, Arc::clone(&larges)],
        Some(seen.clone()),
    ));
    // Row 3's text is hidden by this list and by nothing else.
    let shown = NullBuffer::from(vec![false, true, false, false, true]);
    let list = |values: &ArrayRef| {
        LargeListArray::new(
            noted("item", values.data_type().clone()),
            OffsetBuffer::new(ScalarBuffer::from(vec![0, 1, 2, 3, 4, 5])),
            Arc::clone(values),
            Some(shown.clone()),
        )
    };
    let fixed =
        FixedSizeListArray::new(noted("item", DataType::LargeUtf8), 1, larges, Some(shown.clone()));
    let columns: [ArrayRef; 2] = [Arc::new(list(&parent)), Arc::new(fixed)];
    let inside = columns.iter().map(|column| column.slice(1, 4)).collect::<Vec<_>>();
    columns.into_iter().chain(inside).collect()
}

#[test]
fn what_is_nested_leaves_in_plain_form_and_shows_nothing_else() {
    use crate::pipeline::transform::column::canonical;
    use crate::pipeline::transform::find;
    use crate::pipeline::transform::testing::Fixture;
    use crate::policy::args::Args;

    for raw in nested_and_hiding() {
        let kind = canonical(raw.data_type());
        let schema = Arc::new(Schema::new(vec![Field::new("c", kind.clone(), true)]));
        assert!(!format!("{schema:?}").contains("CANARY"));
        let fixture = Fixture::new("c", raw.data_type());
        let keep = find("keep", None).unwrap();
        let out = fixture.kernel(keep, &Args::new()).unwrap().apply(&raw, &[]).unwrap();
        let mut sealer = Sealer::new(Arc::clone(&schema), Format::default(), 1_500_000, 3_500_000);
        sealer.push(vec![out], raw.len()).unwrap();
        for sealed in sealer.finish().unwrap() {
            assert!(!holds_canary(sealed.body()), "{}", raw.data_type());
            let read = open(&schema, &sealed);
            assert_eq!(read.column(0).data_type(), &kind);
            let words =
                arrow::util::pretty::pretty_format_columns("c", &[Arc::clone(read.column(0))]);
            assert!(words.unwrap().to_string().contains('z'));
        }
    }
}

#[test]
fn no_element_of_a_list_under_a_rule_is_in_a_message() {
    use crate::pipeline::transform::testing::{Fixture, args, word};
    use crate::pipeline::transform::{elements, find};
    use crate::policy::args::Value;

    // One list a row; the second stands under a null, the first and the last behind a slice.
    let hosts: StringArray = (0..5).map(|at| Some(format!("CANARY-0-{at}"))).collect();
    let lists = |values: ArrayRef| -> ArrayRef {
        Arc::new(ListArray::new(
            Arc::new(Field::new("item", values.data_type().clone(), true)),
            OffsetBuffer::new(ScalarBuffer::from(vec![0, 1, 2, 4, 4, 5])),
            values,
            Some(NullBuffer::from(vec![true, false, true, true, true])),
        ))
    };
    let text: ArrayRef = Arc::new(hosts);
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let kinds = [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, dictionary];
    let rules: [(&str, Option<&str>, Vec<(&str, Value)>); 4] = [
        ("pseudonym", Some("hmac"), vec![]),
        ("pseudonym", Some("token"), vec![]),
        ("mask", None, vec![]),
        ("ip", Some("crypto_pan"), vec![("invalid", word("token"))]),
    ];
    for kind in kinds {
        let whole = lists(cast(&text, &kind).unwrap());
        for (raw, (verb, method, set)) in [Arc::clone(&whole), whole.slice(1, 3)]
            .iter()
            .flat_map(|raw| rules.iter().map(move |rule| (raw, rule)))
        {
            let transform = find(verb, *method).unwrap();
            let args = args(transform, set);
            let input = crate::pipeline::transform::column::canonical(raw.data_type());
            let output = elements::fit(transform, &args, &input).unwrap().output.unwrap();
            let mut fixture = Fixture::new("NodeList", raw.data_type());
            let out = fixture.apply(transform, &args, raw, &[]).unwrap();
            let schema = Arc::new(Schema::new(vec![Field::new("c", output, true)]));
            let mut sealer =
                Sealer::new(Arc::clone(&schema), Format::default(), 1_500_000, 3_500_000);
            sealer.push(vec![out], raw.len()).unwrap();
            for sealed in sealer.finish().unwrap() {
                assert!(!holds_canary(sealed.body()), "{verb} over {kind}");
                let read = open(&schema, &sealed);
                assert_eq!(read.column(0).null_count(), 1);
                assert!(read.column(0).as_list::<i32>().values().len() >= 2);
            }
        }
    }
}

#[test]
fn the_rarer_fixed_widths_come_back() {
    let nulls = || Some(NullBuffer::from(vec![true, false, true]));
    same(vec![
        Arc::new(Float16Array::new(vec![half(1.5), half(2.5), half(-0.0)].into(), nulls())),
        Arc::new(
            Decimal256Array::new(vec![i256::MIN, i256::MAX, i256::ONE].into(), nulls())
                .with_precision_and_scale(76, 3)
                .unwrap(),
        ),
        Arc::new(
            Decimal32Array::new(vec![1, 2, -3].into(), nulls())
                .with_precision_and_scale(9, 1)
                .unwrap(),
        ),
        Arc::new(
            Decimal64Array::new(vec![1, 2, -3].into(), nulls())
                .with_precision_and_scale(18, 1)
                .unwrap(),
        ),
        Arc::new(IntervalYearMonthArray::new(vec![1, 2, i32::MIN].into(), nulls())),
        Arc::new(IntervalDayTimeArray::new(
            vec![
                IntervalDayTime::new(1, 2),
                IntervalDayTime::new(3, 4),
                IntervalDayTime::new(-5, 6),
            ]
            .into(),
            nulls(),
        )),
        Arc::new(IntervalMonthDayNanoArray::new(
            vec![
                IntervalMonthDayNano::new(1, 2, 3),
                IntervalMonthDayNano::new(4, 5, 6),
                IntervalMonthDayNano::new(-7, 8, -9),
            ]
            .into(),
            nulls(),
        )),
        Arc::new(DurationNanosecondArray::new(vec![i64::MIN, 2, i64::MAX].into(), nulls())),
        Arc::new(Time32MillisecondArray::new(vec![1, 2, 3].into(), nulls())),
        Arc::new(Time64NanosecondArray::new(vec![1, 2, 3].into(), nulls())),
    ]);
}

fn half(value: f32) -> <arrow::datatypes::Float16Type as ArrowPrimitiveType>::Native {
    let one: ArrayRef = Arc::new(Float32Array::from(vec![value]));
    cast(&one, &DataType::Float16).unwrap().as_primitive::<arrow::datatypes::Float16Type>().value(0)
}
