//! Keys of groups that take more room than there is: however many one unit brings, and however long, nothing
//! fails because of them.

use super::*;

/// A row: who, and the key of its group.
type Keyed = (u64, String);

/// As many units as are asked for, all in one group.
fn others(units: u64) -> Vec<Keyed> {
    (0..units).map(|unit| (unit, "x".to_owned())).collect()
}

/// One unit's rows, each with a long text that no other row has.
fn one_with_keys(keys: usize, bytes: usize) -> Vec<Keyed> {
    (0..keys).map(|at| (1 << 40, format!("{at:08} {}", "long ".repeat(bytes / 5)))).collect()
}

fn asked(rows: &[Keyed], bounding: Bounding, layout: Layout) -> Question {
    use datafusion::prelude::col;
    let schema = Arc::new(Schema::new(vec![
        Field::new("unit", DataType::UInt64, true),
        Field::new("key", DataType::Utf8View, true),
    ]));
    let mut partitions = vec![Vec::new(); layout.partitions];
    for (at, rows) in rows.chunks(layout.batch).enumerate() {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|(unit, _)| Some(*unit)).collect::<UInt64Array>()),
            Arc::new(StringViewArray::from_iter_values(rows.iter().map(|(_, key)| key))),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        partitions[at % layout.partitions].push(batch);
    }
    let table = Arc::new(MemTable::try_new(schema, partitions).unwrap());
    let rows = LogicalPlanBuilder::scan("jobs", provider_as_source(table), None)
        .and_then(|scan| scan.project(vec![col("unit"), col("key")]))
        .and_then(LogicalPlanBuilder::build);
    Question {
        dataset: "jobs".into(),
        canonical: String::new(),
        rows: rows.unwrap(),
        measures: vec![Measure::Units, Measure::Rows],
        values: Vec::new(),
        bounding,
        loss: Loss::default(),
        accounting: Accounting::Pure,
        keys: vec![Key { public: None }],
    }
}

/// By key: units and rows.
fn by_key(
    rows: &[Keyed],
    bounding: Bounding,
    layout: Layout,
) -> Result<BTreeMap<String, Vec<i128>>> {
    let (exact, _) = counted(&asked(rows, bounding, layout), layout)?;
    let lines = Answer::of(&exact).0.into_iter();
    Ok(lines.map(|(keys, told)| (keys.concat(), told.concat())).collect())
}

// PRIVACY: an error is told without noise. Who is in the table must not decide whether there is one.
#[test]
fn whether_it_fails_does_not_depend_on_how_many_keys_one_unit_has_and_how_long_they_are() {
    let bounding = Bounding { groups: 3, rows: 10, off: false };
    for partitions in [1, 2] {
        let layout = Layout { partitions, batch: 500, memory: 2_000_000 };
        let without = others(500);
        let near = by_key(&without, bounding, layout).unwrap();
        assert_eq!(near, BTreeMap::from([("x".to_owned(), vec![500, 500])]));
        for (keys, bytes) in [(20_000, 500), (60_000, 20), (200, 50_000)] {
            let with = [without.clone(), one_with_keys(keys, bytes)].concat();
            let far = by_key(&with, bounding, layout);
            let far = far.unwrap_or_else(|error| panic!("{keys} {bytes}: {error}"));
            assert_eq!(far.len(), 4, "it is in three groups");
            assert_eq!(far["x"], near["x"]);
            assert!(far.iter().all(|(key, told)| key == "x" || *told == [1, 1]));
        }
    }
}

/// What is told of groups of keys of some type, and the type that they come in.
fn keys_of(columns: Vec<ArrayRef>) -> (Vec<DataType>, Vec<String>) {
    use datafusion::prelude::col;
    let rows = columns[0].len() as u64;
    let units: ArrayRef = Arc::new((0..rows).map(Some).collect::<UInt64Array>());
    let names = ["unit", "a", "b"];
    let columns = names.into_iter().zip([vec![units], columns].concat());
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.map(|(name, column)| (name, column, true)),
    )
    .unwrap();
    let layout = Layout { memory: 100_000, ..PLAIN };
    let mut question = asked(&[], Bounding { groups: 1, rows: 1, off: false }, layout);
    let columns: Vec<_> = batch.schema().fields().iter().map(|field| col(field.name())).collect();
    question.keys.resize(columns.len() - 1, Key { public: None });
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
    question.rows = LogicalPlanBuilder::scan("jobs", provider_as_source(Arc::new(table)), None)
        .and_then(|scan| scan.project(columns))
        .and_then(LogicalPlanBuilder::build)
        .unwrap();
    let (exact, _) = counted(&question, layout).unwrap();
    let kinds = exact.keys.iter().map(|key| key.data_type().clone()).collect();
    let lines = Answer::of(&exact).0.into_iter();
    let lines = lines.map(|(keys, told)| format!("{} {}", keys.join("|"), told[0][0]));
    (kinds, lines.collect())
}

#[test]
fn keys_of_every_type_come_back_as_they_were_sorted_and_with_one_nothing() {
    use arrow::array::{BinaryArray, BooleanArray, DictionaryArray, Int32Array, StringArray};
    use arrow::compute::cast;
    let texts = ["b", "", "a", "b", "\u{fc}ber and longer than a view holds"];
    let texts: ArrayRef =
        Arc::new(StringArray::from_iter(texts.map(Some).into_iter().chain([None])));
    let shown = ["null 1", " 1", "a 1", "b 2", "\u{fc}ber and longer than a view holds 1"];
    for kind in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View] {
        let (kinds, lines) = keys_of(vec![cast(&texts, &kind).unwrap()]);
        assert_eq!((kinds, lines), (vec![kind], shown.map(str::to_owned).to_vec()));
    }
    let places = Int32Array::from(vec![Some(2), None, Some(1), Some(2), Some(0)]);
    let dictionary: ArrayRef = Arc::new(DictionaryArray::new(places, Arc::clone(&texts)));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![-1, 5, 5, -1, i64::MIN]));
    let kind = dictionary.data_type().clone();
    let (kinds, lines) = keys_of(vec![dictionary, Arc::clone(&numbers)]);
    assert_eq!(kinds, [kind, DataType::Int64]);
    assert_eq!(lines, ["null|5 1", "|5 1", "a|-1 2", "b|-9223372036854775808 1"]);
    // Zeros are one, and so are things that are no number.
    let floats = vec![0.0, -0.0, f64::NAN, -f64::NAN, f64::NEG_INFINITY, 1.5];
    let floats: ArrayRef = Arc::new(Float64Array::from(floats));
    for kind in [DataType::Float64, DataType::Float32] {
        let (kinds, lines) = keys_of(vec![cast(&floats, &kind).unwrap()]);
        assert_eq!((kinds, lines.len()), (vec![kind], 4));
        assert_eq!(lines[1..], ["0.0 2", "1.5 1", "NaN 2"]);
    }
    let whole: Vec<(ArrayRef, usize)> = vec![
        (Arc::new(BooleanArray::from(vec![Some(true), None, Some(true), Some(false)])), 3),
        (Arc::new(BinaryArray::from(vec![Some(&b"\x00"[..]), None, Some(b""), Some(b"")])), 3),
        (cast(&numbers, &DataType::Decimal128(30, 2)).unwrap(), 3),
        (cast(&Int64Array::from(vec![5, 5, 7]), &DataType::Date64).unwrap(), 2),
    ];
    for (column, groups) in whole {
        let kind = column.data_type().clone();
        let (kinds, lines) = keys_of(vec![column]);
        assert_eq!((kinds, lines.len()), (vec![kind], groups), "{lines:?}");
    }
}

// PRIVACY: of keys that are not asked for nothing is in what comes.
#[test]
fn keys_that_are_not_asked_for_leave_nothing_behind() {
    use crate::pipeline::noise::question::Exact;
    let rows: Vec<Keyed> = (0..900_u64)
        .map(|unit| (unit, format!("a long enough key {}", if unit < 3 { "canary" } else { "x" })))
        .collect();
    for memory in [1 << 30, 10_000] {
        let layout = Layout { partitions: 2, batch: 100, memory };
        let question = asked(&rows, Bounding { groups: 1, rows: 1, off: false }, layout);
        let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
        let state = state(layout);
        let exact = runtime.block_on(async { gathered(&question, &state, &keys()).await });
        let Exact::Hidden(mut hidden) = exact.unwrap().0 else { panic!("no key is public") };
        let part = hidden.next().unwrap().unwrap();
        assert!(hidden.next().unwrap().is_none());
        let Measured::Numbers(units) = &part.measured[0] else { panic!("units are numbers") };
        let many: Vec<usize> = (0..2).filter(|group| units[*group] > 3).collect();
        assert_eq!(many.len(), 1);
        let (columns, order) = hidden.keys(&[part.groups[many[0]]]).unwrap();
        assert_eq!((columns[0].len(), order), (1, vec![0]));
        let data = columns[0].to_data();
        let held = |part: &[u8]| {
            data.buffers().iter().any(|buffer| buffer.windows(part.len()).any(|at| at == part))
        };
        assert!(held(b"enough") && !held(b"canary"));
    }
}
