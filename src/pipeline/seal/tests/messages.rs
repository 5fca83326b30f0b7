//! Messages one by one: their size, their order, their dictionaries, and that equal data gives equal bytes.

use super::formats::{formats, nested, plain, read, sealed, shaped_texts, words};
use super::*;
use crate::pipeline::format::{Compression, Strings};

fn texts(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

fn schema(fields: Vec<Field>) -> SchemaRef {
    Arc::new(Schema::new(fields))
}

const DICTIONARIES: Format =
    Format { strings: Strings::Plain, dictionaries: true, compression: Compression::None };

#[test]
fn dictionaries_come_before_their_rows_and_hold_what_these_show_in_order() {
    let schema = schema(vec![texts("a"), Field::new("n", DataType::Int32, false), texts("b")]);
    let all = StringArray::from(vec!["never", "y", "x", "z"]);
    let keys = Int32Array::from(vec![Some(2), Some(1), None, Some(2), Some(3), Some(2)]);
    let a: ArrayRef = Arc::new(DictionaryArray::new(keys, Arc::new(all)));
    let n: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3, 4, 5, 6]));
    // A null is no value, not even an empty one.
    let b: ArrayRef = Arc::new(StringArray::from(vec![
        Some("s"),
        None,
        Some("t"),
        Some("s"),
        Some("s"),
        Some("u"),
    ]));
    let mut sealer = Sealer::new(Arc::clone(&schema), DICTIONARIES, 1_500_000, 3_500_000);
    let columns = [a, n, b];
    let mut messages = Vec::new();
    for (from, rows) in [(0, 4), (4, 2)] {
        let batch = columns.iter().map(|column| column.slice(from, rows)).collect();
        messages.extend(sealer.push(batch, rows).unwrap());
        messages.extend(sealer.finish().unwrap());
    }
    let values = |sealed: &Sealed| {
        let message = arrow_ipc::root_as_message(sealed.header()).unwrap();
        let dictionary = message.header_as_dictionary_batch()?;
        assert!(!dictionary.isDelta());
        let kind = Arc::new(Schema::new(vec![Field::new("values", DataType::Utf8, false)]));
        let read = arrow_ipc::reader::read_record_batch(
            &Buffer::from(sealed.body().to_vec()),
            dictionary.data().unwrap(),
            kind,
            &HashMap::new(),
            None,
            &message.version(),
        );
        let words: Vec<_> = read
            .unwrap()
            .column(0)
            .as_string::<i32>()
            .iter()
            .flatten()
            .map(str::to_owned)
            .collect();
        Some((dictionary.id(), words.join(",")))
    };
    let told: Vec<_> = messages.iter().map(|sealed| (sealed.rows(), values(sealed))).collect();
    let dictionary = |id, words: &str| (0, Some((id, words.to_owned())));
    assert_eq!(
        told,
        [
            dictionary(0, "x,y"),
            dictionary(1, "s,t"),
            (4, None),
            dictionary(0, "z,x"),
            dictionary(1, "s,u"),
            (2, None),
        ]
    );
    let marked: Vec<_> = messages.iter().map(Sealed::is_dictionary).collect();
    assert_eq!(marked, [true, true, false, true, true, false]);
}

#[test]
fn the_same_values_give_the_same_bytes_in_whatever_shape_they_come() {
    let schema = schema(vec![texts("a")]);
    let texts = words(200);
    for format in formats() {
        let bytes = |array: &ArrayRef| {
            // Twice by one sealer, so that what the codec remembers would show.
            let mut sealer = Sealer::new(Arc::clone(&schema), format, 1_500_000, 3_500_000);
            let mut messages = Vec::new();
            for _ in 0..2 {
                messages.extend(sealer.push(vec![Arc::clone(array)], array.len()).unwrap());
                messages.extend(sealer.finish().unwrap());
            }
            let (first, second) = messages.split_at(messages.len() / 2);
            let both = [first, second].map(|messages| {
                messages
                    .iter()
                    .flat_map(|sealed| [sealed.header(), sealed.body()])
                    .flat_map(|bytes| bytes.iter().copied())
                    .collect::<Vec<_>>()
            });
            assert!(both[0] == both[1], "{format:?}");
            both[0].clone()
        };
        let expected = bytes(&texts);
        for shape in shaped_texts(&texts) {
            assert!(bytes(&shape) == expected, "{format:?} {:?}", shape.data_type());
        }
    }
}

#[test]
fn rows_are_cut_alike_in_every_format() {
    let schema = schema(vec![texts("a")]);
    let batch = vec![words(5_000)];
    let cut = |format| -> Vec<u64> {
        let sealed = sealed(&schema, format, std::slice::from_ref(&batch), 10_000);
        sealed.iter().map(Sealed::rows).filter(|rows| *rows > 0).collect()
    };
    let expected = cut(Format::default());
    assert!(expected.len() > 5, "{expected:?}");
    for format in formats() {
        assert_eq!(cut(format), expected, "{format:?}");
    }
}

#[test]
fn no_message_of_any_format_passes_the_maximum() {
    let schema = schema(vec![texts("a"), texts("b")]);
    // Bytes that no codec makes fewer, and others that every codec does.
    let mixed = (0..400_u64).map(|row| {
        let number = row.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) ^ row;
        format!("{number:016x}{:016x}", number.wrapping_mul(number | 1))
    });
    let mixed: ArrayRef = Arc::new(mixed.map(Some).collect::<StringArray>());
    let same: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(50).as_str(); 400]));
    for format in formats() {
        for max in [2_000, 5_000, 20_000] {
            let mut sealer = Sealer::new(Arc::clone(&schema), format, 1_000_000, max);
            let columns = vec![Arc::clone(&mixed), Arc::clone(&same)];
            let messages = [sealer.push(columns, 400).unwrap(), sealer.finish().unwrap()].concat();
            let size = |sealed: &Sealed| sealed.header().len() + sealed.body().len();
            assert!(messages.iter().all(|sealed| size(sealed) <= max), "{format:?}");
            let rows = messages.iter().map(Sealed::rows);
            assert_eq!(rows.clone().sum::<u64>(), 400);
            // Before compression, too: what compresses well is not allowed to grow without bound.
            assert!(rows.max().unwrap() <= max as u64 / 50, "{format:?}");
            let read = plain(&schema, &read(&schema, format, &messages));
            assert_eq!(read.column(0), &mixed);
        }
    }
}

#[test]
fn compression_makes_fewer_bytes_where_it_can_and_never_many_more() {
    let schema = schema(vec![texts("a")]);
    let same: ArrayRef = Arc::new(StringArray::from(vec!["the same words"; 10_000]));
    let bytes = |array: &ArrayRef, compression| -> usize {
        let format = Format { compression, ..Format::default() };
        let sealed = sealed(&schema, format, &[vec![Arc::clone(array)]], 1_500_000);
        sealed.iter().map(|sealed| sealed.body().len()).sum()
    };
    let short: ArrayRef = Arc::new(StringArray::from(vec!["q7"]));
    for compression in [Compression::Lz4, Compression::Zstd] {
        assert!(bytes(&same, compression) * 4 < bytes(&same, Compression::None));
        // Validity, offsets and bytes: eight bytes before each that has any.
        assert!(bytes(&short, compression) <= 2 * 16);
    }
}

#[test]
fn a_table_without_rows_is_a_schema_and_the_empty_messages_change_nothing() {
    let schema = schema(vec![texts("a"), Field::new("n", DataType::Int32, false), texts("b")]);
    for format in formats() {
        assert!(sealed(&schema, format, &[], 1).is_empty());
        let none = vec![words(0), Arc::new(Int32Array::from(Vec::<i32>::new())), words(0)];
        assert!(sealed(&schema, format, &[none], 1).is_empty());
        let empty = Sealer::empty(Arc::clone(&schema), format).unwrap();
        assert!(empty.iter().all(|sealed| sealed.rows() == 0));
        assert_eq!(empty.len(), if format.dictionaries { 3 } else { 1 });
        let rows = vec![words(5), Arc::new(Int32Array::from(vec![1, 2, 3, 4, 5])), words(5)];
        let rows = sealed(&schema, format, std::slice::from_ref(&rows), 1_500_000);
        let kept = [empty.clone(), rows.clone(), empty].concat();
        let expected = plain(&schema, &read(&schema, format, &rows));
        assert_eq!(plain(&schema, &read(&schema, format, &kept)), expected, "{format:?}");
    }
    for (array, kind) in nested() {
        let schema = Arc::new(Schema::new(vec![Field::new("c", kind, true)]));
        for format in formats() {
            let empty = Sealer::empty(Arc::clone(&schema), format).unwrap();
            let read = read(&schema, format, &empty);
            assert_eq!(read[0].num_rows(), 0, "{format:?} {:?}", array.data_type());
        }
    }
}

#[test]
fn the_schema_message_tells_the_numbers_that_the_dictionaries_have() {
    let schema = schema(vec![texts("a"), Field::new("n", DataType::Int32, false), texts("b")]);
    let header = schema_message(&schema, DICTIONARIES);
    let message = arrow_ipc::root_as_message(&header).unwrap();
    let fields = message.header_as_schema().unwrap().fields().unwrap();
    let ids: Vec<_> =
        fields.iter().map(|field| field.dictionary().map(|encoding| encoding.id())).collect();
    assert_eq!(ids, [Some(0), None, Some(1)]);
    let empty = Sealer::empty(Arc::clone(&schema), DICTIONARIES).unwrap();
    let written = empty.iter().filter_map(|sealed| {
        let message = arrow_ipc::root_as_message(sealed.header()).unwrap();
        message.header_as_dictionary_batch().map(|dictionary| dictionary.id())
    });
    assert_eq!(written.collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test]
async fn a_table_made_from_plans_is_sealed_like_any_other() {
    use futures::StreamExt;

    let schema = schema(vec![texts("name")]);
    let table = RecordBatch::try_new(Arc::clone(&schema), vec![words(40)]).unwrap();
    for format in formats() {
        let stream = metadata(table.clone(), format).unwrap();
        let sealed: Vec<_> = stream.map(|sealed| sealed.unwrap()).collect().await;
        assert_eq!(plain(&schema, &read(&schema, format, &sealed)), table);
    }
}

proptest! {
    #[test]
    fn any_texts_come_back_in_any_format_and_shape_however_they_are_cut(
        texts in prop::collection::vec(prop::option::of("[a-zé]{0,40}"), 1..60),
        repeated in 1_usize..20,
        cut in 0_usize..60,
        message_bytes in 1_usize..2_000,
        format in prop::sample::select(formats()),
        shape in 0_usize..9,
    ) {
        let texts = (0..texts.len()).map(|row| texts[row % repeated.min(texts.len())].as_deref());
        let texts: ArrayRef = Arc::new(texts.collect::<StringArray>());
        let schema = schema(vec![Field::new("a", DataType::Utf8, true)]);
        let shaped = &shaped_texts(&texts)[shape];
        let cut = cut.min(texts.len());
        let batches = [vec![shaped.slice(0, cut)], vec![shaped.slice(cut, texts.len() - cut)]];
        let sealed = sealed(&schema, format, &batches, message_bytes);
        let read = plain(&schema, &read(&schema, format, &sealed));
        prop_assert_eq!(read.column(0), &texts);
    }
}
