//! What comes out of the room as a whole, and what several of its tests share.

use std::sync::Arc;

use arrow::array::{Array, Int64Array, StringArray};
use datafusion::logical_expr::LogicalPlanBuilder;

use super::*;
use crate::pipeline::noise::question::{Bounding, GroupId, Key, Part, Value};
use crate::policy::privacy::{Accounting, Bounds, Loss};

mod distribution;
mod spent;
mod stochastic;

/// A question about a value between 0 and 1,000, by as many keys as are given.
pub(super) fn question(
    accounting: Accounting,
    (epsilon, delta): (&str, &str),
    (groups, rows): (u64, u64),
    measures: Vec<Measure>,
    keys: Vec<Key>,
) -> Question {
    let bounds = Bounds { low: 0.0, high: 1_000.0, step: 1.0 };
    Question {
        dataset: "jobs".to_owned(),
        canonical: "jobs".to_owned(),
        rows: LogicalPlanBuilder::empty(false).build().unwrap(),
        keys,
        values: vec![Value { name: "Load".to_owned(), bounds }],
        measures,
        bounding: Bounding { groups, rows, off: false },
        loss: Loss { epsilon: epsilon.parse().unwrap(), delta: delta.parse().unwrap() },
        accounting,
    }
}

/// A key whose values nobody published.
pub(super) fn unknown() -> Key {
    Key { public: None }
}

/// A median on a grid of some points.
pub(super) fn median(grid: &[i64]) -> Measure {
    Measure::Quantile { value: 0, rank: (1, 2), grid: grid.into() }
}

fn exact(keys: Vec<ArrayRef>, measured: Vec<Measured>) -> Exact {
    let groups = match &measured[0] {
        Measured::Numbers(numbers) => numbers.len(),
        Measured::Cells(cells) => cells.len(),
    };
    Exact::All(Counts { keys, groups, measured })
}

/// Groups of keys that are not public, in parts.
struct Given {
    parts: Vec<Part>,
    names: Vec<&'static str>,
}

impl Hidden for Given {
    fn next(&mut self) -> Result<Option<Part>> {
        Ok((!self.parts.is_empty()).then(|| self.parts.remove(0)))
    }

    fn keys(self: Box<Self>, groups: &[GroupId]) -> Result<(Vec<ArrayRef>, Vec<usize>)> {
        // The order of keys is another one than that of parts.
        let mut order: Vec<usize> = (0..groups.len()).collect();
        let name = |at: &usize| self.names[groups[*at][0] as usize];
        order.sort_by_key(name);
        let names: StringArray = order.iter().map(|at| Some(name(at))).collect();
        Ok((vec![Arc::new(names)], order))
    }
}

fn simple(measures: Vec<Measure>, epsilon: &str) -> Question {
    question(Accounting::Pure, (epsilon, "0"), (1, 1), measures, vec![])
}

#[test]
fn without_noise_the_answer_is_the_exact_one() {
    let measures = vec![
        Measure::Rows,
        Measure::Sum { value: 0, center: 500 },
        median(&[10, 20, 30]),
        Measure::Count(0),
    ];
    let asked = simple(measures, "1");
    let numbers = |number| Measured::Numbers(vec![number]);
    let cells = Measured::Cells(vec![vec![5, 1, 0, 7]]);
    let answers = exact(vec![], vec![numbers(7), numbers(-123_456), cells, numbers(i128::MAX)]);
    let noisy = add_noise(&asked, answers, &Generator::silent()).unwrap();
    // Of 13 rows 6 are below the second point and the third; the first of equals is taken.
    assert_eq!(noisy.measured, [vec![7], vec![-123_456], vec![20], vec![i128::MAX]]);
    assert_eq!(noisy.noise, noise_of(&asked).unwrap());
}

#[test]
fn with_noise_no_two_answers_are_the_same() {
    let asked = simple(vec![Measure::Sum { value: 0, center: 0 }], "0.001");
    let generator = Generator::start().unwrap();
    let answer = || {
        let exact = exact(vec![], vec![Measured::Numbers(vec![1_000; 8])]);
        add_noise(&asked, exact, &generator).unwrap().measured
    };
    assert_ne!(answer(), answer());
}

#[test]
fn noise_on_the_largest_numbers_stops_at_them() {
    let asked = simple(vec![Measure::Sum { value: 0, center: 0 }], "0.000001");
    let generator = Generator::start().unwrap();
    let ends = [i128::MAX, i128::MIN, i128::MAX - 1, 0];
    let numbers = ends.iter().copied().cycle().take(400).collect();
    let exact = exact(vec![], vec![Measured::Numbers(numbers)]);
    let noisy = add_noise(&asked, exact, &generator).unwrap();
    let [noisy] = noisy.measured.as_slice() else { panic!() };
    let (mut bound, mut free) = (0, 0);
    for (number, noisy) in ends.iter().cycle().zip(noisy) {
        // The scale is 10^9: nothing wraps to the other end.
        assert!(noisy.abs_diff(*number) < 1 << 60, "{number} {noisy}");
        bound += usize::from(*number == i128::MAX && noisy == number);
        free += usize::from(*number == i128::MAX && noisy < number);
    }
    // Half of the 100 are stopped; that all or none is has a chance of 2^-99.
    assert!(bound > 0 && free > 0);
}

#[test]
fn groups_of_unknown_keys_show_from_the_threshold_on_and_leave_nothing_behind() {
    let measures = vec![Measure::Rows, Measure::Units];
    let asked = question(Accounting::Pure, ("2", "1e-6"), (3, 5), measures, vec![unknown()]);
    let noise = noise_of(&asked).unwrap();
    let least = threshold(&asked, &noise).unwrap().unwrap();
    let part = |groups: &[u64], rows: Vec<i128>, units: Vec<i128>| Part {
        groups: groups.iter().map(|at| [*at, 7]).collect(),
        measured: vec![Measured::Numbers(rows), Measured::Numbers(units)],
    };
    let given = |names| Given {
        parts: vec![
            part(&[0, 3, 2], vec![900, 4, 1], vec![least - 1, least + 5, 0]),
            part(&[], vec![], vec![]),
            part(&[1, 4], vec![2, 800], vec![least, -5]),
        ],
        names,
    };
    let hidden = given(vec!["few", "Lyon", "none", "Oslo", "negative"]);
    let noisy = add_noise(&asked, Exact::Hidden(Box::new(hidden)), &Generator::silent()).unwrap();
    assert_eq!((noisy.groups, noisy.keys.len()), (2, 1));
    let shown = noisy.keys[0].as_any().downcast_ref::<StringArray>().unwrap();
    assert_eq!(shown.iter().flatten().collect::<Vec<_>>(), ["Lyon", "Oslo"]);
    assert_eq!(noisy.measured, [vec![2, 4], vec![least, least + 5]]);
    // What needs a threshold does not go without one, and the other way round.
    let hidden = given(vec![""; 5]);
    let public = Key { public: Some(Arc::new(Int64Array::from(vec![1]))) };
    let known = Question { keys: vec![public], ..asked.clone() };
    let (all, silent) = (exact(vec![], vec![Measured::Numbers(vec![1])]), Generator::silent());
    for (asked, exact) in [(&known, Exact::Hidden(Box::new(hidden))), (&asked, all)] {
        let refused = add_noise(asked, exact, &silent).unwrap_err();
        assert_eq!(refused.code(), Code::Internal);
    }
}

#[test]
fn what_does_not_fit_the_question_is_no_answer() {
    let generator = Generator::silent();
    let numbers = |numbers: &[i128]| Measured::Numbers(numbers.to_vec());
    let cells = |cells: &[u64]| Measured::Cells(vec![cells.to_vec()]);
    let both = || simple(vec![Measure::Rows, median(&[1, 2])], "1");
    let fits = |asked: &Question, exact| add_noise(asked, exact, &generator).map(drop);
    assert!(fits(&both(), exact(vec![], vec![numbers(&[1]), cells(&[1, 2, 3])])).is_ok());
    for measured in [
        vec![numbers(&[1])],
        vec![numbers(&[1]), cells(&[1, 2])],
        vec![numbers(&[1]), numbers(&[1])],
        vec![cells(&[1, 2, 3]), cells(&[1, 2, 3])],
        vec![numbers(&[1, 2]), cells(&[1, 2, 3])],
    ] {
        let error = fits(&both(), exact(vec![], measured)).unwrap_err();
        assert_eq!(error.code(), Code::Internal);
    }
    let one = || exact(vec![], vec![numbers(&[1])]);
    assert!(fits(&simple(vec![Measure::Rows], "1"), one()).is_ok());
    assert_eq!(fits(&simple(vec![Measure::Rows], "0"), one()).unwrap_err().code(), Code::NoisyOnly);
    let key = Key { public: Some(Arc::new(Int64Array::from(vec![1]))) };
    let asked = question(Accounting::Pure, ("1", "0"), (1, 1), vec![Measure::Rows], vec![key]);
    assert!(fits(&asked, one()).is_err());
}
