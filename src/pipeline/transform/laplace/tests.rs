//! Tests of `laplace`. Keys are fixed, so a statistical test that passes once passes always.

use std::sync::Arc;

use arrow::array::types::{Float64Type, Int32Type, UInt8Type};
use arrow::array::{
    AsArray, Decimal128Array, Float32Array, Float64Array, Int32Array, StringArray, UInt8Array,
};

use super::super::testing::{Fixture, args, keys, word};
use super::*;
use crate::policy::args::Value;

fn rule(low: f64, high: f64, step: f64, epsilon: f64) -> Args {
    let set = [
        ("low", Value::Number(low)),
        ("high", Value::Number(high)),
        ("step", Value::Number(step)),
        ("person", word("User")),
        ("epsilon", Value::Number(epsilon)),
    ];
    args(&Laplace, &set)
}

fn noisy(args: &Args, persons: &[Option<&str>], values: &ArrayRef, partner: &str) -> ArrayRef {
    let persons: ArrayRef = Arc::new(StringArray::from(persons.to_vec()));
    Fixture::new("Load", values.data_type())
        .with_reads(&[DataType::Utf8])
        .with_keys(keys("column:Load", Some(partner)))
        .apply(&Laplace, args, values, &[persons])
        .unwrap()
}

const PERSONS: usize = 40_000;

/// The same value of many persons.
fn of_many(args: &Args, value: i32) -> Vec<i32> {
    let names: Vec<String> = (0..PERSONS).map(|n| format!("person {n}")).collect();
    let names: Vec<_> = names.iter().map(|name| Some(name.as_str())).collect();
    let values: ArrayRef = Arc::new(Int32Array::from(vec![value; PERSONS]));
    let out = noisy(args, &names, &values, "cern");
    out.as_primitive::<Int32Type>().values().to_vec()
}

/// Whether a part of all is that of a chance, to five deviations: one false alarm in a million.
fn is_of(count: usize, chance: f64) -> bool {
    let all = PERSONS as f64;
    (count as f64 - all * chance).abs() < 5.0 * (all * chance * (1.0 - chance)).sqrt()
}

#[test]
fn noise_is_discrete_laplace_of_the_range_over_epsilon() {
    // 20 steps of 5 over an epsilon of 4: a scale of 5 steps.
    let moved = of_many(&rule(0.0, 100.0, 5.0, 4.0), 52);
    let q = (-0.2_f64).exp();
    let up_to = |scale_q: f64, step: i32| {
        let above = |k: i32| scale_q.powi(k) / (1.0 + scale_q);
        if step < 0 { above(-step) } else { 1.0 - above(step + 1) }
    };
    for step in [-20, -10, -5, -2, -1, 0, 1, 3, 6, 15] {
        // 52 is rounded to 50.
        let count = moved.iter().filter(|value| **value <= 50 + step * 5).count();
        assert!(is_of(count, up_to(q, step)), "{step}: {count}");
    }
    assert!(moved.iter().all(|value| value % 5 == 0));
    // A scale a tenth larger would be seen.
    let near = moved.iter().filter(|value| (25..=75).contains(*value)).count();
    let within = |q: f64| up_to(q, 5) - up_to(q, -6);
    assert!(is_of(near, within(q)) && !is_of(near, within((-1.0_f64 / 5.5).exp())), "{near}");
}

#[test]
fn the_same_person_and_number_leave_the_same_and_others_do_not() {
    let args = rule(0.0, 1_000.0, 1.0, 1.0);
    let values: ArrayRef = Arc::new(Float64Array::from(vec![10.2, 10.4, 11.0, 10.0, -5.0, -9e300]));
    let persons = [Some("ada"), Some("ada"), Some("ada"), Some("bob"), Some("ada"), Some("ada")];
    let out = noisy(&args, &persons, &values, "cern");
    let out = out.as_primitive::<Float64Type>().values().to_vec();
    assert_eq!((out[0], out[4]), (out[1], out[5]), "rounded and clamped before the draw");
    // Scales are a thousand steps: equal by chance once in thousands, and keys are fixed.
    assert!(out[0] != out[2] && out[0] != out[3]);
    let again = noisy(&args, &persons, &values, "desy");
    assert_ne!(again.as_primitive::<Float64Type>().value(0), out[0]);
}

#[test]
fn means_are_found_again() {
    let moved = of_many(&rule(0.0, 100.0, 1.0, 1.0), 37);
    let mean = moved.iter().map(|value| f64::from(*value)).sum::<f64>() / PERSONS as f64;
    // The deviation of one is 141, of the mean 0.71.
    assert!((mean - 37.0).abs() < 3.6, "{mean}");
}

#[test]
fn what_is_no_number_or_nobodys_is_null() {
    let args = rule(0.0, 10.0, 0.5, 1.0);
    let values: ArrayRef = Arc::new(Float32Array::from(vec![
        Some(f32::NAN),
        Some(f32::INFINITY),
        Some(f32::NEG_INFINITY),
        None,
        Some(1.0),
        Some(1.0),
    ]));
    let ada = Some("ada");
    let out = noisy(&args, &[ada, ada, ada, ada, None, ada], &values, "cern");
    assert_eq!(out.data_type(), &DataType::Float32);
    let valid: Vec<bool> = (0..6).map(|row| out.is_valid(row)).collect();
    assert_eq!(valid, [false, true, true, false, false, true]);
}

#[test]
fn what_a_type_cannot_hold_is_its_nearest() {
    let args = rule(0.0, 200.0, 1.0, 0.5);
    let names: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    let names: Vec<_> = names.iter().map(|name| Some(name.as_str())).collect();
    let values: ArrayRef = Arc::new(UInt8Array::from(vec![100; 200]));
    let out = noisy(&args, &names, &values, "cern");
    let out = out.as_primitive::<UInt8Type>();
    assert_eq!(out.null_count(), 0);
    assert!(out.values().contains(&0) && out.values().contains(&255));
}

#[test]
fn decimals_have_their_own_digits() {
    let decimals = Decimal128Array::from(vec![1_234]).with_precision_and_scale(38, 2).unwrap();
    let values: ArrayRef = Arc::new(decimals);
    let out = noisy(&rule(0.0, 50.0, 0.05, 20.0), &[Some("ada")], &values, "cern");
    assert_eq!(out.data_type(), values.data_type());
    assert!(Grid::new(&rule(0.0, 50.0, 0.001, 1.0), values.data_type()).is_err());
    assert!(Grid::new(&rule(0.0, 50.0, 0.5, 1.0), &DataType::Int32).is_err());
    assert!(Grid::new(&rule(0.0, 50.0, 1.0, 1.0), &DataType::Utf8).is_err());
}

#[test]
fn ranges_that_are_none_are_refused() {
    let refused = |args: &Args| Laplace.check(args).iter().map(|r| r.param).collect::<Vec<_>>();
    assert_eq!(refused(&rule(0.0, 1.0, 0.1, 1.0)), []);
    assert_eq!(refused(&rule(1.0, 1.0, 0.1, 1.0)), [Some("low")]);
    assert_eq!(refused(&rule(2.0, 1.0, 0.1, 1.0)), [Some("low")]);
    assert_eq!(refused(&rule(0.0, 1e10, 1.0, 1.0)), [Some("step")]);
}

#[test]
fn less_epsilon_is_stronger() {
    let (weak, strong) = (rule(0.0, 1.0, 0.1, 2.0), rule(0.0, 1.0, 0.1, 1.0));
    assert_eq!(Laplace.compare(&weak, &strong), Change::Strengthens);
    assert_eq!(Laplace.compare(&strong, &weak), Change::Weakens);
    assert_eq!(Laplace.compare(&weak, &rule(0.0, 2.0, 0.1, 1.0)), Change::Moves);
}
