//! `bucket`: a number becomes the interval it lies in. Where the intervals lie is said by the policy,
//! never learned from the data: edges taken from data would tell about the data.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Builder, StringBuilder};
use arrow::datatypes::DataType;

use super::numbers::{self, Number, Shape, units, units_of, written};
use super::params::{defaulted, optional, refusal, refusal_of_rule};
use super::{Bind, Change, Exposure, Kernel, Refusal, Spec, Transform};
use crate::error::{Code, Error, Result};
use crate::policy::args::{Args, Default, Kind, Value};

/// The interval a number lies in; the lower end belongs to it, the upper does not.
///
/// - What it does: with `width`, intervals of that width that start at `origin`; with `edges`, the
///   intervals between them and one open interval at each end. What leaves is a label, the midpoint or
///   the lower end. Not-a-number becomes null, and with `width` so do infinities. The open intervals
///   have their edge for a midpoint, and the lowest has no lower end: null.
/// - What it hides: where in the interval the value lies.
/// - What still leaks: the interval; a rare interval can hold a single person.
/// - Parameters: `width` and `origin`, or `edges` and `labels`; `as`.
/// - Example: `{bucket: {edges: [1000, 2000, 4000, 8000]}}` makes 1500 into `[1000, 2000)`.
#[derive(Debug)]
pub(super) struct Bucket;

static SPEC: Spec = Spec {
    verb: "bucket",
    method: None,
    primary: Some("width"),
    params: &[
        optional("width", Kind::Number { min: 1e-9, max: 1e15 }, "The width of every interval."),
        defaulted(
            "origin",
            Kind::Number { min: -1e15, max: 1e15 },
            Default::Integer(0),
            "Where an interval starts, with `width`.",
        ),
        optional("edges", Kind::Numbers, "The ends of the intervals, ascending."),
        optional(
            "labels",
            Kind::Texts,
            "Own texts for the intervals of `edges`, the two open ones included: one more than edges.",
        ),
        defaulted(
            "as",
            Kind::Choice(&["label", "midpoint", "lower"]),
            Default::Text("label"),
            "What leaves: the interval as text, its midpoint, or its lower end.",
        ),
    ],
    does: "Replaces a number by the interval it lies in, as text or as one number.",
    hides: "Where in the interval the value lies.",
    leaks: "The interval; one that holds few rows can still single a person out, and many bucketed \
            columns together can.",
    takes: "whole numbers and floats",
    example: "{bucket: {edges: [1000, 2000, 4000, 8000]}}",
    references: &["Hundepool et al.: Statistical Disclosure Control (2012), global recoding"],
};

impl Transform for Bucket {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, args: &Args) -> Vec<Refusal> {
        let mut problems = Vec::new();
        let edges = args.numbers("edges");
        let has_edges = args.value("edges").is_some();
        let help = "write `{bucket: 1000}` or `{bucket: {edges: [1000, 2000]}}`";
        match (args.value("width"), has_edges) {
            (Some(_), true) => {
                problems.push(refusal_of_rule("`width` and `edges` exclude each other", help));
            }
            (None, false) => {
                problems.push(refusal_of_rule("`width` or `edges` is missing", help));
            }
            _ => {}
        }
        if has_edges && edges.is_empty() {
            problems.push(refusal("edges", "`edges` is empty", "name at least one edge"));
        }
        let falling = edges.windows(2).find(|pair| matches!(pair, [a, b] if a >= b));
        if let Some([a, b]) = falling {
            problems.push(refusal(
                "edges",
                format!("`edges` must ascend, and {} stands before {}", written(*a), written(*b)),
                "sort the edges and name each once",
            ));
        }
        if args.value("labels").is_some() {
            problems.extend(check_labels(args, edges, has_edges));
        }
        problems
    }

    fn output(&self, args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        Intervals::new(args, input)?;
        Ok(Some(match args.text("as") {
            Some("midpoint") => DataType::Float64,
            Some("lower") => input.clone(),
            _ => DataType::Utf8,
        }))
    }

    fn adds_nulls(&self, _args: &Args) -> bool {
        true
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::Coarse
    }

    fn explain(&self, args: &Args) -> String {
        let what = match args.text("as") {
            Some("midpoint") => "the midpoint of the interval it lies in",
            Some("lower") => "the lower end of the interval it lies in",
            _ if args.value("labels").is_some() => "the name of the interval it lies in",
            _ => "the interval it lies in",
        };
        let intervals = match args.number("width") {
            Some(width) => {
                let origin = args.number("origin").unwrap_or(0.0);
                format!("intervals are {} wide and start at {}", written(width), written(origin))
            }
            None => {
                let edges: Vec<_> = args.numbers("edges").iter().copied().map(written).collect();
                format!("intervals end at {}", edges.join(", "))
            }
        };
        format!("Leaves as {what}; {intervals}.")
    }

    fn compare(&self, old: &Args, new: &Args) -> Change {
        if let (Some(before), Some(after)) = (old.number("width"), new.number("width")) {
            let origins = [old, new].map(|args| args.number("origin").unwrap_or(0.0));
            let shifted = (origins[1] - origins[0]) / before;
            let times = after / before;
            let whole = |number: f64| (number - number.round()).abs() < 1e-9;
            return if times > 1.0 && whole(times) && whole(shifted) {
                Change::Strengthens
            } else if after < before {
                Change::Weakens
            } else {
                Change::Moves
            };
        }
        let (before, after) = (old.numbers("edges"), new.numbers("edges"));
        let within = |few: &[f64], many: &[f64]| few.iter().all(|edge| many.contains(edge));
        match (after.len(), before.len()) {
            (1.., 1..) if after.len() < before.len() && within(after, before) => {
                Change::Strengthens
            }
            (1.., 1..) if before.len() < after.len() => Change::Weakens,
            _ => Change::Moves,
        }
    }

    fn kernel(&self, args: &Args, bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        let intervals = Intervals::new(args, bind.input)
            .map_err(|reason| Error::new(Code::SchemaDrift, reason))?;
        let told = match args.text("as") {
            Some("midpoint") => Told::Midpoint,
            Some("lower") => Told::Lower,
            _ => Told::Label(intervals.labels(args)),
        };
        Ok(Box::new(Bucketing { intervals, told }))
    }
}

fn check_labels(args: &Args, edges: &[f64], has_edges: bool) -> Vec<Refusal> {
    let labels = args.texts("labels");
    let mut problems = Vec::new();
    if !has_edges {
        problems.push(refusal("labels", "`labels` needs `edges`", "name the edges"));
    } else if labels.len() != edges.len() + 1 {
        problems.push(refusal(
            "labels",
            format!("{} edges make {} intervals, and there are {} labels", edges.len(),
                edges.len() + 1, labels.len()),
            "the first label is for values below the first edge, the last for the last edge and above",
        ));
    }
    if args.text("as").is_some_and(|told| told != "label") {
        problems.push(refusal("labels", "`labels` needs `as: label`", "leave `as` out"));
    }
    problems
}

/// The intervals in the arithmetic of the column.
#[derive(Debug)]
enum Intervals {
    WholeWidth { width: i128, origin: i128 },
    WholeEdges(Vec<i128>),
    FloatWidth { width: f64, origin: f64, digits: usize },
    FloatEdges(Vec<f64>),
}

/// Where a value lies: both ends, where there is one. A label is made from these alone.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Interval<T> {
    lower: Option<T>,
    upper: Option<T>,
    place: usize,
}

impl Intervals {
    fn new(args: &Args, input: &DataType) -> Result<Self, String> {
        let shape = numbers::shape(input)?;
        let exact = match shape {
            Shape::Exact { .. } if !input.is_integer() => {
                return Err(
                    "takes whole numbers and floats, and the column holds decimals".to_owned()
                );
            }
            Shape::Exact { .. } => true,
            Shape::Float { .. } => false,
        };
        let whole = |name: &str| {
            units(args, name, 0).ok_or_else(|| {
                format!("the column holds whole numbers, and `{name}` is not a whole number")
            })
        };
        let float = |name: &str| args.number(name).unwrap_or(0.0);
        match (args.value("width").is_some(), exact) {
            (true, true) => {
                Ok(Self::WholeWidth { width: whole("width")?.max(1), origin: whole("origin")? })
            }
            (true, false) => Ok(Self::FloatWidth {
                width: float("width"),
                origin: float("origin"),
                digits: digits(args.value("width")).max(digits(args.value("origin"))),
            }),
            (false, true) => args
                .numbers("edges")
                .iter()
                .map(|edge| {
                    let near = edge.abs() <= 9_007_199_254_740_992.0;
                    units_of(*edge, 0).filter(|_| near).ok_or_else(|| {
                        format!(
                            "the column holds whole numbers, and the edge {} is not one that \
                                 can be written exactly",
                            written(*edge)
                        )
                    })
                })
                .collect::<Result<_, _>>()
                .map(Self::WholeEdges),
            (false, false) => Ok(Self::FloatEdges(args.numbers("edges").to_vec())),
        }
    }

    /// The texts of the intervals between edges; none where there is no end of intervals.
    fn labels(&self, args: &Args) -> Vec<String> {
        let own = args.texts("labels");
        if !own.is_empty() {
            return own.to_vec();
        }
        let edges: Vec<String> = match self {
            Self::WholeEdges(edges) => edges.iter().map(i128::to_string).collect(),
            Self::FloatEdges(edges) => edges.iter().copied().map(written).collect(),
            Self::WholeWidth { .. } | Self::FloatWidth { .. } => return Vec::new(),
        };
        let first = edges.first().map(|edge| format!("<{edge}"));
        let inner = edges.windows(2).map(|pair| format!("[{})", pair.join(", ")));
        let last = edges.last().map(|edge| format!(">={edge}"));
        first.into_iter().chain(inner).chain(last).collect()
    }

    fn of_whole(&self, value: i128) -> Option<Interval<i128>> {
        match self {
            Self::WholeWidth { width, origin } => {
                let lower = (value - origin).div_euclid(*width) * width + origin;
                Some(Interval { lower: Some(lower), upper: Some(lower + width), place: 0 })
            }
            Self::WholeEdges(edges) => Some(between(edges, value)),
            Self::FloatWidth { .. } | Self::FloatEdges(_) => None,
        }
    }

    fn of_float(&self, value: f64) -> Option<Interval<f64>> {
        match self {
            Self::FloatWidth { width, origin, digits } => {
                float_interval(value, *width, *origin, *digits)
            }
            Self::FloatEdges(edges) => (!value.is_nan()).then(|| between(edges, value)),
            Self::WholeWidth { .. } | Self::WholeEdges(_) => None,
        }
    }
}

fn between<T: Copy + PartialOrd>(edges: &[T], value: T) -> Interval<T> {
    let place = edges.partition_point(|edge| *edge <= value);
    let lower = place.checked_sub(1).and_then(|before| edges.get(before)).copied();
    Interval { lower, upper: edges.get(place).copied(), place }
}

/// The interval of a float, with ends that are the floats nearest to their decimal spelling.
fn float_interval(value: f64, width: f64, origin: f64, digits: usize) -> Option<Interval<f64>> {
    let mut index = ((value - origin) / width).floor();
    // Farther out, neighbouring intervals have the same ends; not-a-number and infinities end here too.
    if index.is_nan() || index.abs() >= 1e15 {
        return None;
    }
    let power = 10_f64.powi(i32::try_from(digits).unwrap_or(0));
    let end = |index: f64| {
        let end = index.mul_add(width, origin);
        let nice = (end * power).round() / power;
        if nice.is_finite() { nice } else { end }
    };
    // Division rounds, so the first guess can be one off at the ends.
    if value < end(index) {
        index -= 1.0;
    } else if value >= end(index + 1.0) {
        index += 1.0;
    }
    let (lower, upper) = (end(index), end(index + 1.0));
    (lower <= value && value < upper).then_some(Interval {
        lower: Some(lower),
        upper: Some(upper),
        place: 0,
    })
}

/// How many digits after the point the parameter is written with.
fn digits(value: Option<&Value>) -> usize {
    match value {
        Some(Value::Number(number)) => {
            format!("{number}").split_once('.').map_or(0, |(_, digits)| digits.len())
        }
        _ => 0,
    }
}

enum Told {
    /// The texts by place; empty where each is made from its interval.
    Label(Vec<String>),
    Midpoint,
    Lower,
}

struct Bucketing {
    intervals: Intervals,
    told: Told,
}

impl Kernel for Bucketing {
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        match &self.told {
            Told::Label(labels) => self.label(values, labels),
            Told::Midpoint => self.midpoint(values),
            Told::Lower => numbers::map(
                values,
                &mut |value| self.intervals.of_whole(value).and_then(|found| found.lower),
                &mut |value| self.intervals.of_float(value).and_then(|found| found.lower),
            ),
        }
    }
}

impl Bucketing {
    fn label(&self, values: &ArrayRef, labels: &[String]) -> Result<ArrayRef> {
        let mut out = StringBuilder::with_capacity(values.len(), 12 * values.len());
        let mut text = String::new();
        numbers::each(values, &mut |value| {
            text.clear();
            let place = match value {
                Some(Number::Exact(value)) => self.intervals.of_whole(value).map(|found| {
                    if let (true, Some(lower), Some(upper)) =
                        (labels.is_empty(), found.lower, found.upper)
                    {
                        // Writing to a string cannot fail.
                        let _ = write!(text, "[{lower}, {upper})");
                    }
                    found.place
                }),
                Some(Number::Float(value)) => self.intervals.of_float(value).map(|found| {
                    if let (true, Some(lower), Some(upper)) =
                        (labels.is_empty(), found.lower, found.upper)
                    {
                        let _ = write!(text, "[{}, {})", lower + 0.0, upper + 0.0);
                    }
                    found.place
                }),
                None => None,
            };
            match place {
                Some(_) if labels.is_empty() => out.append_value(&text),
                Some(place) => out.append_option(labels.get(place)),
                None => out.append_null(),
            }
        })?;
        Ok(Arc::new(out.finish()))
    }

    fn midpoint(&self, values: &ArrayRef) -> Result<ArrayRef> {
        let mut out = Float64Builder::with_capacity(values.len());
        numbers::each(values, &mut |value| {
            let ends = match value {
                Some(Number::Exact(value)) => self
                    .intervals
                    .of_whole(value)
                    .map(|found| (found.lower.map(|n| n as f64), found.upper.map(|n| n as f64))),
                Some(Number::Float(value)) => {
                    self.intervals.of_float(value).map(|found| (found.lower, found.upper))
                }
                None => None,
            };
            out.append_option(match ends {
                Some((Some(lower), Some(upper))) => Some(lower / 2.0 + upper / 2.0),
                Some((Some(edge), None) | (None, Some(edge))) => Some(edge),
                Some((None, None)) | None => None,
            });
        })?;
        Ok(Arc::new(out.finish()))
    }
}

#[cfg(test)]
mod tests;
