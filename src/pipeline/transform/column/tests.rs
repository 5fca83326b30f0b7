//! Tests of what surrounds a kernel: canonical types, the memory of dictionaries, stand-ins for null.

use std::sync::Mutex;

use arrow::array::{AsArray, Int32Array, Int64Array, LargeStringArray, StringArray};

use super::super::testing::{dictionary, text, text_or_null, texts};
use super::*;

type Log = Arc<Mutex<Vec<Vec<Option<String>>>>>;

/// Puts `<` and `>` around texts, and writes down what it was given.
#[derive(Default)]
struct Recording {
    log: Log,
    replaces_nulls: bool,
    fails: Arc<Mutex<bool>>,
}

impl Kernel for Recording {
    fn apply(&mut self, values: &ArrayRef, reads: &[ArrayRef]) -> Result<ArrayRef> {
        for read in reads {
            assert_eq!(read.len(), values.len());
        }
        let values = texts(values);
        if !values.is_empty() {
            self.log.lock().unwrap().push(values.clone());
        }
        if std::mem::take(&mut *self.fails.lock().unwrap()) {
            return Err(Error::new(Code::State, "no store"));
        }
        let out = values.into_iter().map(|value| {
            let value = if self.replaces_nulls { Some(value.unwrap_or_default()) } else { value };
            value.map(|value| format!("<{value}>"))
        });
        Ok(Arc::new(out.collect::<StringArray>()))
    }

    fn null_token(&mut self) -> Result<Option<ArrayRef>> {
        Ok(Some(text(&["<null>"])))
    }

    fn replaces_nulls(&self) -> bool {
        self.replaces_nulls
    }
}

fn recorded(by_row: bool, null_token: bool) -> (ColumnKernel, Log) {
    let kernel = Recording::default();
    let log = Arc::clone(&kernel.log);
    (ColumnKernel::new(Box::new(kernel), by_row, null_token), log)
}

fn some(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| Some((*value).to_owned())).collect()
}

/// A dictionary column over given values.
fn keyed(values: &ArrayRef, keys: &[Option<i32>]) -> ArrayRef {
    let keys = Int32Array::from(keys.to_vec());
    Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::clone(values)).unwrap())
}

#[test]
fn values_that_no_row_uses_never_reach_the_kernel() {
    let (mut kernel, log) = recorded(false, false);
    let column = keyed(&text(&["filtered out", "b", "c"]), &[Some(2), None, Some(1), Some(2)]);
    let out = kernel.apply(&column, &[]).unwrap();
    let told = [Some("<c>"), None, Some("<b>"), Some("<c>")].map(|value| value.map(str::to_owned));
    assert_eq!(texts(&out), told);
    assert_eq!(*log.lock().unwrap(), [some(&["b", "c"])]);
    let values = out.as_dictionary::<Int32Type>().values();
    assert_eq!(texts(values), some(&["", "<b>", "<c>"]), "at their places");
}

#[test]
fn a_slice_of_a_dictionary_shows_its_own_rows_values_only() {
    let (mut kernel, log) = recorded(false, false);
    let column = keyed(&text(&["a", "b", "c"]), &[Some(0), Some(1), Some(2)]).slice(1, 1);
    assert_eq!(texts(&kernel.apply(&column, &[]).unwrap()), some(&["<b>"]));
    assert_eq!(*log.lock().unwrap(), [some(&["b"])]);
}

#[test]
fn each_value_of_a_dictionary_is_done_once_over_all_batches() {
    let (mut kernel, log) = recorded(false, false);
    let values = text(&["a", "b", "c"]);
    let batches: [(&[Option<i32>], &[&str]); 3] = [
        (&[Some(0), Some(0)], &["<a>", "<a>"]),
        (&[Some(2), Some(0)], &["<c>", "<a>"]),
        (&[Some(2)], &["<c>"]),
    ];
    for (keys, expected) in batches {
        let out = kernel.apply(&keyed(&values, keys), &[]).unwrap();
        assert_eq!(texts(&out), some(expected));
    }
    assert_eq!(*log.lock().unwrap(), [some(&["a"]), some(&["c"])]);
}

#[test]
fn a_changed_dictionary_of_the_same_length_is_not_taken_for_the_old_one() {
    let (mut kernel, _) = recorded(false, false);
    for values in [["a", "b"], ["c", "d"], ["a", "d"]] {
        let column = keyed(&text(&values), &[Some(1), Some(0)]);
        let expected = [format!("<{}>", values[1]), format!("<{}>", values[0])];
        assert_eq!(texts(&kernel.apply(&column, &[]).unwrap()), expected.map(Some));
    }
}

#[test]
fn after_an_error_no_value_takes_anothers_place() {
    let kernel = Recording::default();
    *kernel.fails.lock().unwrap() = false;
    let fails = Arc::clone(&kernel.fails);
    let mut kernel = ColumnKernel::new(Box::new(kernel), false, false);
    let values = text(&["a", "b"]);
    kernel.apply(&keyed(&values, &[]), &[]).unwrap();
    *fails.lock().unwrap() = true;
    assert_eq!(kernel.apply(&keyed(&values, &[Some(0)]), &[]).unwrap_err().code(), Code::State);
    let out = kernel.apply(&keyed(&values, &[Some(1), Some(0)]), &[]).unwrap();
    assert_eq!(texts(&out), some(&["<b>", "<a>"]));
}

#[test]
fn null_gets_its_stand_in_however_it_is_encoded() {
    let plain = text_or_null(&[Some("a"), None]);
    let null_key = dictionary(&[Some("a"), None]);
    let null_value = keyed(&plain, &[Some(0), Some(1)]);
    for column in [plain, null_key, null_value] {
        let (mut kernel, _) = recorded(false, true);
        assert_eq!(texts(&kernel.apply(&column, &[]).unwrap()), some(&["<a>", "<null>"]));
        let (mut kernel, _) = recorded(false, false);
        let out = texts(&kernel.apply(&column, &[]).unwrap());
        assert_eq!(out, [Some("<a>".to_owned()), None]);
    }
}

#[test]
fn null_keys_come_and_go_between_batches() {
    let (mut kernel, _) = recorded(false, true);
    let values = text(&["a", "b"]);
    let first = kernel.apply(&keyed(&values, &[None, Some(0)]), &[]).unwrap();
    assert_eq!(texts(&first), some(&["<null>", "<a>"]));
    let second = kernel.apply(&keyed(&values, &[Some(1), None]), &[]).unwrap();
    assert_eq!(texts(&second), some(&["<b>", "<null>"]));
}

#[test]
fn a_kernel_that_reads_other_columns_gets_every_row() {
    let (mut kernel, log) = recorded(true, false);
    let column = dictionary(&[Some("a"), Some("a"), None]);
    let other: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    kernel.apply(&column, &[other]).unwrap();
    let rows = [Some("a"), Some("a"), None].map(|value| value.map(str::to_owned));
    assert_eq!(*log.lock().unwrap(), [rows.to_vec()]);
}

#[test]
fn a_kernel_that_replaces_nulls_gets_every_row() {
    let kernel = Recording { replaces_nulls: true, ..Recording::default() };
    let mut kernel = ColumnKernel::new(Box::new(kernel), false, false);
    let out = kernel.apply(&dictionary(&[Some("a"), None]), &[]).unwrap();
    assert_eq!(texts(&out), some(&["<a>", "<>"]));
}

#[test]
fn large_and_view_types_reach_the_kernel_as_plain_text() {
    let large: ArrayRef = Arc::new(LargeStringArray::from(vec!["a"]));
    let view = cast(&large, &DataType::Utf8View).unwrap();
    for column in [large, view] {
        let (mut kernel, _) = recorded(false, false);
        let out = kernel.apply(&column, &[]).unwrap();
        assert_eq!((out.data_type(), texts(&out)), (&DataType::Utf8, some(&["<a>"])));
    }
}

#[test]
fn a_kernel_that_loses_a_row_is_refused() {
    struct Short;
    impl Kernel for Short {
        fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
            Ok(values.slice(0, values.len().saturating_sub(1)))
        }
    }
    for column in [text(&["a", "b"]), dictionary(&[Some("a"), Some("b")])] {
        let mut kernel = ColumnKernel::new(Box::new(Short), false, false);
        assert_eq!(kernel.apply(&column, &[]).unwrap_err().code(), Code::Internal);
    }
}

#[test]
fn every_type_has_one_canonical_form() {
    let list = |item| DataType::List(Arc::new(Field::new("item", item, true)));
    let cases = [
        (DataType::LargeUtf8, DataType::Utf8),
        (DataType::Utf8View, DataType::Utf8),
        (DataType::LargeBinary, DataType::Binary),
        (DataType::BinaryView, DataType::Binary),
        (DataType::Date32, DataType::Date32),
        (
            DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::LargeUtf8)),
            DataType::Utf8,
        ),
        (
            DataType::LargeList(Arc::new(Field::new("item", DataType::Utf8View, true))),
            list(DataType::Utf8),
        ),
        (list(list(DataType::LargeBinary)), list(list(DataType::Binary))),
    ];
    for (raw, expected) in cases {
        assert_eq!(canonical(&raw), expected, "{raw}");
        assert_eq!(canonical(&expected), expected, "{raw} twice");
    }
}

#[test]
fn what_cannot_be_sent_is_known_before_any_row_is_read() {
    use arrow::datatypes::{UnionFields, UnionMode};

    let union = DataType::Union(UnionFields::empty(), UnionMode::Dense);
    let inside = |kind: DataType| {
        let item = |kind| Arc::new(Field::new("item", kind, true));
        DataType::List(item(DataType::Struct(vec![Field::new("x", kind, true)].into())))
    };
    assert!(carried(&union).unwrap_err().contains("cannot be sent"));
    assert!(carried(&inside(union)).is_err());
    for kind in [DataType::Utf8View, DataType::LargeUtf8, DataType::Null, DataType::Float16] {
        assert_eq!(carried(&kind), Ok(()));
        assert_eq!(carried(&inside(kind)), Ok(()));
    }
}

#[test]
fn intervals_become_what_clients_know() {
    use arrow::array::{IntervalDayTimeArray, IntervalYearMonthArray};
    use arrow::datatypes::{IntervalDayTime, IntervalMonthDayNano};

    let months: ArrayRef = Arc::new(IntervalYearMonthArray::from(vec![Some(14), None]));
    let days: ArrayRef =
        Arc::new(IntervalDayTimeArray::from(vec![Some(IntervalDayTime::new(2, 1_500)), None]));
    for (raw, expected) in [
        (months, IntervalMonthDayNano::new(14, 0, 0)),
        (days, IntervalMonthDayNano::new(0, 2, 1_500_000_000)),
    ] {
        assert_eq!(carried(raw.data_type()), Ok(()));
        let plain = to_canonical(&raw).unwrap();
        let plain = plain.as_primitive::<arrow::datatypes::IntervalMonthDayNanoType>();
        assert_eq!(plain.iter().collect::<Vec<_>>(), [Some(expected), None]);
    }
}
