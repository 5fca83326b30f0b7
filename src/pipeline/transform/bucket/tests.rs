//! Tests of `bucket`: labels, midpoints, lower ends, and that an interval holds its value.

use std::sync::Arc;

use arrow::array::types::{Float64Type, Int64Type};
use arrow::array::{AsArray, Float32Array, Float64Array, Int64Array, UInt8Array};
use proptest::prelude::*;

use super::super::testing::{apply, args, texts, word, words};
use super::*;

fn whole(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn floats(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

fn labels(set: &[(&str, Value)], raw: &ArrayRef) -> Vec<String> {
    let out = texts(&apply(&Bucket, set, raw));
    out.into_iter().map(|label| label.unwrap_or_else(|| "(null)".to_owned())).collect()
}

fn edges(edges: &[f64]) -> (&'static str, Value) {
    ("edges", Value::Numbers(edges.to_vec()))
}

#[test]
fn edges_make_labels_with_an_open_interval_at_each_end() {
    let set = [edges(&[1000.0, 2000.0, 4000.0, 8000.0])];
    let expected = ["<1000", "[1000, 2000)", "[1000, 2000)", "[4000, 8000)", ">=8000"];
    assert_eq!(labels(&set, &whole(&[999, 1000, 1999, 7999, 8000])), expected);
    let raw = floats(&[999.9, 1000.0, 1999.9, 7999.9, f64::INFINITY]);
    assert_eq!(labels(&set, &raw), expected);
}

#[test]
fn a_width_makes_intervals_from_the_origin_below_zero_too() {
    let set = [("width", Value::Integer(1000)), ("origin", Value::Integer(500))];
    let expected = ["[-500, 500)", "[500, 1500)", "[-1500, -500)"];
    assert_eq!(labels(&set, &whole(&[499, 500, -501])), expected);
}

#[test]
fn fractions_are_written_as_the_policy_writes_them() {
    let set = [("width", Value::Number(0.1))];
    let expected = ["[0.3, 0.4)", "[0.6, 0.7)", "[-0.1, 0)", "[0, 0.1)"];
    assert_eq!(labels(&set, &floats(&[0.3, 0.65, -0.05, 0.0])), expected);
}

#[test]
fn not_a_number_has_no_interval_and_infinity_only_between_edges() {
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300];
    assert_eq!(labels(&[("width", Value::Integer(10))], &floats(&odd)), ["(null)"; 4]);
    assert_eq!(labels(&[edges(&[0.0])], &floats(&odd)), ["(null)", ">=0", "<0", ">=0"]);
}

#[test]
fn own_labels_take_the_place_of_intervals() {
    let set = [edges(&[18.0, 65.0]), ("labels", words(&["minor", "adult", "senior"]))];
    assert_eq!(labels(&set, &whole(&[17, 18, 65])), ["minor", "adult", "senior"]);
}

#[test]
fn midpoints_of_open_intervals_are_their_edge() {
    let set = [edges(&[1000.0, 2000.0]), ("as", word("midpoint"))];
    let out = apply(&Bucket, &set, &whole(&[5, 1200, 9000]));
    assert_eq!(out.as_primitive::<Float64Type>().values(), &[1000.0, 1500.0, 2000.0]);
}

#[test]
fn lower_ends_keep_the_type_and_the_lowest_interval_has_none() {
    let set = [edges(&[1000.0, 2000.0]), ("as", word("lower"))];
    let out = apply(&Bucket, &set, &whole(&[5, 1200, 9000]));
    let out: Vec<_> = out.as_primitive::<Int64Type>().iter().collect();
    assert_eq!(out, [None, Some(1000), Some(2000)]);
}

#[test]
fn a_lower_end_that_does_not_fit_the_type_is_null() {
    let set =
        [("width", Value::Integer(100)), ("origin", Value::Integer(-50)), ("as", word("lower"))];
    let raw: ArrayRef = Arc::new(UInt8Array::from(vec![10, 60]));
    assert_eq!(texts(&apply(&Bucket, &set, &raw)), [None, Some("50".to_owned())]);
    let set = [("width", Value::Integer(1000)), ("as", word("lower"))];
    let out = apply(&Bucket, &set, &whole(&[i64::MIN, i64::MAX]));
    let out: Vec<_> = out.as_primitive::<Int64Type>().iter().collect();
    assert_eq!(out, [None, Some(9_223_372_036_854_775_000)]);
}

#[test]
fn every_wrong_rule_is_refused() {
    let refused = |set: &[(&str, Value)]| -> Vec<String> {
        let problems = Bucket.check(&args(&Bucket, set));
        problems.into_iter().map(|problem| problem.message).collect()
    };
    assert_eq!(refused(&[]), ["`width` or `edges` is missing"]);
    assert_eq!(
        refused(&[("width", Value::Integer(1)), edges(&[1.0])]),
        ["`width` and `edges` exclude each other"]
    );
    assert_eq!(refused(&[edges(&[])]), ["`edges` is empty"]);
    assert_eq!(refused(&[edges(&[1.0, 3.0, 3.0])]), ["`edges` must ascend, and 3 stands before 3"]);
    assert_eq!(
        refused(&[edges(&[1.0]), ("labels", words(&["a"])), ("as", word("lower"))]),
        ["1 edges make 2 intervals, and there are 1 labels", "`labels` needs `as: label`"]
    );
    assert_eq!(refused(&[edges(&[1.0, 2.0])]), [""; 0]);
}

#[test]
fn fractions_do_not_fit_whole_numbers() {
    let half = args(&Bucket, &[("width", Value::Number(0.5))]);
    assert!(Bucket.output(&half, &DataType::Int32).is_err());
    assert_eq!(Bucket.output(&half, &DataType::Float32), Ok(Some(DataType::Utf8)));
    assert!(Bucket.output(&half, &DataType::Utf8).is_err());
    let edge = args(&Bucket, &[edges(&[0.5])]);
    assert!(Bucket.output(&edge, &DataType::Int32).is_err());
}

#[test]
fn fewer_edges_and_wider_intervals_strengthen() {
    let many = args(&Bucket, &[edges(&[1.0, 2.0, 3.0])]);
    let few = args(&Bucket, &[edges(&[1.0, 3.0])]);
    assert_eq!(Bucket.compare(&many, &few), Change::Strengthens);
    assert_eq!(Bucket.compare(&few, &many), Change::Weakens);
    let [narrow, wide] = [10, 20].map(|width| args(&Bucket, &[("width", Value::Integer(width))]));
    assert_eq!(Bucket.compare(&narrow, &wide), Change::Strengthens);
    assert_eq!(Bucket.compare(&wide, &narrow), Change::Weakens);
    assert_eq!(Bucket.compare(&wide, &many), Change::Moves);
}

/// The two ends that a label names.
fn ends(label: &str) -> (f64, f64) {
    let inner = label.strip_prefix('[').and_then(|label| label.strip_suffix(')')).unwrap();
    let (lower, upper) = inner.split_once(", ").unwrap();
    (lower.parse().unwrap(), upper.parse().unwrap())
}

proptest! {
    #[test]
    fn the_interval_of_a_whole_number_holds_it(
        value in any::<i32>(), width in 1_i64..100_000, origin in -1000_i64..1000,
    ) {
        let set = [("width", Value::Integer(width)), ("origin", Value::Integer(origin))];
        let found = labels(&set, &whole(&[value.into()]));
        let (lower, upper) = ends(&found[0]);
        prop_assert!(lower <= f64::from(value) && f64::from(value) < upper);
        prop_assert_eq!(upper - lower, width as f64);
    }

    #[test]
    fn the_interval_of_a_float_holds_it(value in -1e6_f64..1e6, tenths in 1_i32..500) {
        let set = [("width", Value::Number(f64::from(tenths) / 10.0))];
        let found = labels(&set, &floats(&[value]));
        let (lower, upper) = ends(&found[0]);
        prop_assert!(lower <= value && value < upper, "{} in {}", value, found[0]);
    }

    #[test]
    fn the_interval_of_a_multiple_starts_there(times in -10_000_i32..10_000) {
        let value = f64::from(times) / 10.0;
        let found = labels(&[("width", Value::Number(0.1))], &floats(&[value]));
        prop_assert_eq!(ends(&found[0]).0, value);
    }

    #[test]
    fn the_interval_of_a_short_float_holds_it(value in -1e6_f32..1e6) {
        let raw: ArrayRef = Arc::new(Float32Array::from(vec![value]));
        let found = labels(&[("width", Value::Number(2.5))], &raw);
        let (lower, upper) = ends(&found[0]);
        prop_assert!(lower <= f64::from(value) && f64::from(value) < upper);
    }
}
