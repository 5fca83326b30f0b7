//! Lists taken apart and together, and which rules reach their elements. What every registered transform
//! does with lists is in `conformance.rs`.

use arrow::array::{LargeListArray, ListViewArray, StringArray};
use arrow::buffer::ScalarBuffer;
use arrow::compute::cast;

use super::super::find;
use super::super::testing::{Fixture, args, text, texts, word};
use super::*;
use crate::policy::args::Value;

fn of(item: DataType) -> DataType {
    DataType::new_list(item, true)
}

fn refused(verb: &str, method: Option<&str>, set: &[(&str, Value)], item: DataType) -> String {
    let transform = find(verb, method).unwrap();
    fit(transform, &args(transform, set), &of(item)).unwrap_err()
}

#[test]
fn a_rule_takes_the_list_where_it_can_and_its_elements_where_it_cannot() {
    let plain = |verb: &str, method: Option<&str>, set: &[(&str, Value)]| {
        let transform = find(verb, method).unwrap();
        fit(transform, &args(transform, set), &of(DataType::Int64)).unwrap()
    };
    let whole = |output| Fit { output, by_element: false };
    assert_eq!(plain("keep", None, &[]), whole(Some(of(DataType::Int64))));
    assert_eq!(plain("null", None, &[]), whole(Some(of(DataType::Int64))));
    assert_eq!(plain("drop", None, &[]), whole(None));
    assert_eq!(plain("constant", None, &[("value", word("x"))]), whole(Some(DataType::Utf8)));
    let width = ("width", Value::Integer(10));
    let output = Some(of(DataType::Utf8));
    assert_eq!(plain("bucket", None, &[width]), Fit { output, by_element: true });
}

#[test]
fn rules_that_need_the_row_and_types_that_do_not_fit_are_refused_with_the_reason() {
    assert_eq!(
        refused("rare", None, &[("below", Value::Integer(5))], DataType::Utf8),
        "it holds lists, and `rare` counts rows: one row could make a value frequent by holding it many \
         times"
    );
    let person = [("person", word("User")), ("days_max", Value::Integer(3))];
    let day = DataType::Date32;
    assert_eq!(
        refused("shift_time", None, &person, day),
        "it holds lists, and the rule reads other columns: a row has one value there and many here"
    );
    let hour = [("to", word("hour"))];
    let reason = refused("truncate", None, &hour, DataType::Utf8);
    assert!(reason.ends_with(", and the column holds text, in its lists"), "{reason}");
    // A list of lists is no list of values.
    let whole = refused("truncate", None, &hour, of(DataType::Date32));
    assert!(!whole.contains("in its lists"), "{whole}");
    let fields = DataType::Struct(vec![Field::new("a", DataType::Utf8, true)].into());
    assert!(refused("keep", None, &[], fields).contains("`a` has no rule"));
}

/// `[a, null], null (over "hidden"), [], [b]`, behind a row that a slice leaves out.
fn sample() -> ArrayRef {
    let values = StringArray::from(vec![Some("out"), Some("a"), None, Some("hidden"), Some("b")]);
    let list = ListArray::new(
        Arc::new(Field::new("element", DataType::Utf8, true)),
        OffsetBuffer::new(ScalarBuffer::from(vec![0, 1, 3, 4, 4, 5])),
        Arc::new(values),
        Some(NullBuffer::from(vec![true, true, false, true, true])),
    );
    Arc::new(list.slice(1, 4))
}

#[test]
fn what_stands_under_a_null_list_or_outside_of_a_slice_is_no_element() {
    let (values, offsets, nulls) = elements(&sample()).unwrap();
    assert_eq!(texts(&values), [Some("a".to_owned()), None, Some("b".to_owned())]);
    assert_eq!(offsets.as_ref(), [0, 2, 2, 2, 3]);
    assert_eq!(nulls.unwrap().iter().collect::<Vec<_>>(), [true, false, true, true]);
    let all = sample().slice(2, 2);
    let (values, offsets, nulls) = elements(&all).unwrap();
    assert_eq!((texts(&values), nulls), (vec![Some("b".to_owned())], None));
    assert_eq!(offsets.as_ref(), [0, 0, 1]);
    assert!(elements(&text(&["a"])).is_err());
}

#[test]
fn a_list_with_a_missing_element_is_not_complete() {
    let complete = complete(&sample()).unwrap();
    assert_eq!(complete.iter().collect::<Vec<_>>(), [false, false, true, true]);
}

#[test]
fn an_element_has_the_pseudonym_that_the_same_value_has_in_a_plain_column() {
    let hosts = text(&["n1", "n2", "n1"]);
    for method in ["hmac", "token", "aes_siv"] {
        let transform = find("pseudonym", Some(method)).unwrap();
        let args = args(transform, &[]);
        let plain = Fixture::new("Host", &DataType::Utf8);
        let mut plain = plain;
        let alone = texts(&plain.apply(transform, &args, &hosts, &[]).unwrap());
        let raw: ArrayRef = Arc::new(ListArray::new(
            Arc::new(Field::new("item", DataType::Utf8, true)),
            OffsetBuffer::from_lengths([2, 0, 1]),
            Arc::clone(&hosts),
            None,
        ));
        let item = raw.data_type().clone();
        for kind in [
            item.clone(),
            DataType::LargeList(Arc::new(Field::new("item", DataType::LargeUtf8, true))),
            DataType::new_list(
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
                true,
            ),
        ] {
            let raw = cast(&raw, &kind).unwrap();
            // Same keys and tokens; another column of the same domain.
            let mut fixture = Fixture::new("Hosts", raw.data_type());
            fixture.tokens = Arc::clone(&plain.tokens);
            let out = fixture.apply(transform, &args, &raw, &[]).unwrap();
            let out = out.as_list::<i32>();
            assert_eq!(texts(out.values()), alone, "{method} over {kind}");
            assert_eq!(out.offsets().as_ref(), [0, 2, 2, 3]);
        }
    }
}

#[test]
fn a_missing_element_gets_the_stand_in_and_a_missing_list_stays_missing() {
    let transform = find("pseudonym", Some("hmac")).unwrap();
    let args = args(transform, &[]);
    let raw = sample();
    let out = Fixture::new("Hosts", raw.data_type())
        .with_null_tokens()
        .apply(transform, &args, &raw, &[])
        .unwrap();
    let list = out.as_list::<i32>();
    assert_eq!(list.iter().map(|row| row.is_some()).collect::<Vec<_>>(), [true, false, true, true]);
    let words = texts(list.values());
    assert!(words.iter().all(Option::is_some), "{words:?}");
    let alone = Fixture::new("Host", &DataType::Utf8)
        .with_null_tokens()
        .apply(transform, &args, &super::super::testing::text_or_null(&[None]), &[])
        .unwrap();
    assert_eq!(words[1], texts(&alone)[0]);
}

#[test]
fn large_lists_and_views_of_lists_are_lists() {
    let values: ArrayRef = text(&["a", "b", "c"]);
    let field = Arc::new(Field::new("item", DataType::Utf8, true));
    let large = LargeListArray::new(
        Arc::clone(&field),
        OffsetBuffer::new(ScalarBuffer::from(vec![0_i64, 2, 3])),
        Arc::clone(&values),
        None,
    );
    // The second row stands before the first.
    let views = ListViewArray::new(
        field,
        ScalarBuffer::from(vec![1, 0]),
        ScalarBuffer::from(vec![2, 1]),
        values,
        None,
    );
    let taken = |raw: ArrayRef| texts(&elements(&raw).unwrap().0).into_iter().flatten().collect();
    let large: Vec<String> = taken(Arc::new(large));
    assert_eq!(large, ["a", "b", "c"]);
    let views: Vec<String> = taken(Arc::new(views));
    assert_eq!(views, ["b", "c", "a"]);
}
