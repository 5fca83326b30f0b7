//! `laplace`: a number leaves with noise that makes all numbers of a range alike to a level. It adds the noise
//! of one value; sums with noise over persons are answered under `access: dp`, far more precisely.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;

use super::numbers::{self, Number, Shape, units, written};
use super::params::{refusal, required};
use super::persons::{self, Draw};
use super::{Bind, Change, Exposure, Kernel, Refusal, Spec, Transform};
use crate::error::{Code, Error, Result};
use crate::policy::args::{Args, Kind};

/// A number with noise.
///
/// - What it does: clamps to `low` and `high`, rounds to a multiple of `step` from `low` on, and adds discrete
///   Laplace noise whose scale is the range over epsilon. The noise is drawn from the key, the person and
///   the rounded number, so that the same number of a person always leaves as the same one. Null for null,
///   for what is no number, and for an unknown person. Where the type cannot hold the sum, its nearest.
/// - What it hides: which number of the range it was, to a factor of `e^epsilon` in the odds of any guess.
/// - What still leaks: means and sums over many persons, which is what it is for; each of a person's different
///   numbers costs epsilon once more, and their mean shows through; whether there was a number.
/// - Parameters: `low`, `high`, `step`, `person`, `epsilon`.
/// - Example: see [`Spec::example`].
#[derive(Debug)]
pub(super) struct Laplace;

const ANY: Kind = Kind::Number { min: -1e15, max: 1e15 };

static SPEC: Spec = Spec {
    verb: "laplace",
    method: None,
    primary: None,
    params: &[
        required(
            "low",
            ANY,
            "The least number, from public knowledge; lesser ones are taken as it.",
        ),
        required("high", ANY, "The greatest number; greater ones are taken as it."),
        required(
            "step",
            Kind::Number { min: 1e-12, max: 1e15 },
            "Numbers are rounded to multiples of it, counted from `low`, and noise is a multiple of it.",
        ),
        required("person", Kind::Column, "The column that names the person; null gives null."),
        required(
            "epsilon",
            Kind::Number { min: 0.01, max: 20.0 },
            "The privacy loss of one number of one person over the whole range.",
        ),
    ],
    does: "Adds Laplace noise as wide as the range over epsilon to a number; the same for the same person and \
           number.",
    hides: "Which number of the range it was, up to a factor of e^epsilon in the odds of any guess (local \
            differential privacy), but for a chance of 2^-50.",
    leaks: "Means over many persons. Each different number of a person costs epsilon once more, and their \
            mean shows through; so does each partner who compares, unless linkage is shared. Equal output \
            hints at an equal number of a person. Whether there was a number.",
    takes: "whole numbers, decimals and floats",
    example: "{laplace: {low: 0, high: 100, step: 1, person: User, epsilon: 1}}",
    references: &[
        "Dwork, McSherry, Nissim, Smith: Calibrating Noise to Sensitivity (TCC 2006)",
        "Duchi, Jordan, Wainwright: Local Privacy and Statistical Minimax Rates (FOCS 2013)",
    ],
};

/// More steps than this between the bounds are too fine: floats have 53 bits, and the noise is 36 ranges wide.
const STEPS_MAX: f64 = 1e9;

impl Transform for Laplace {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, args: &Args) -> Vec<Refusal> {
        let number = |name| args.number(name).unwrap_or(f64::NAN);
        let (low, high, step) = (number("low"), number("high"), number("step"));
        if low >= high {
            let message = format!("`low` {} is not below `high` {}", written(low), written(high));
            return vec![refusal("low", message, "`low` is the least number, `high` the greatest")];
        }
        if (high - low) / step > STEPS_MAX {
            let help = "a step of a thousandth of the range is finer than the noise";
            return vec![refusal("step", "the range has more than 10^9 steps", help)];
        }
        Vec::new()
    }

    fn output(&self, args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        Grid::new(args, input)?;
        Ok(Some(input.clone()))
    }

    fn draws_for_person(&self) -> bool {
        true
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::Coarse
    }

    fn epsilon(&self, args: &Args) -> Option<f64> {
        args.number("epsilon")
    }

    fn explain(&self, args: &Args) -> String {
        let number = |name| args.number(name).unwrap_or(0.0);
        let range = number("high") - number("low");
        format!(
            "Leaves with noise: clamped to {} to {}, rounded to multiples of {}, and moved by more than {} in \
             every second case. The same `{}` with the same number always leaves as the same one.",
            written(number("low")),
            written(number("high")),
            written(number("step")),
            written((range / number("epsilon") * std::f64::consts::LN_2 * 1e3).round() / 1e3),
            args.text("person").unwrap_or_default(),
        )
    }

    fn compare(&self, old: &Args, new: &Args) -> Change {
        let same = |name| old.number(name) == new.number(name);
        match old.number("epsilon").zip(new.number("epsilon")) {
            Some((old, new)) if new > old => Change::Weakens,
            Some((old, new)) if new < old && same("low") && same("high") => Change::Strengthens,
            _ => Change::Moves,
        }
    }

    fn kernel(&self, args: &Args, bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        let drift = |reason| Error::new(Code::SchemaDrift, reason);
        self.reads_fit(args, bind.reads).map_err(drift)?;
        let grid = Grid::new(args, bind.input).map_err(drift)?;
        let scale = grid.steps() / args.number("epsilon").unwrap_or(0.0);
        if !scale.is_finite() || scale <= 0.0 {
            return Err(Error::new(Code::Internal, "noise without an epsilon"));
        }
        Ok(Box::new(Noise { draw: Draw::new(bind.keys, SPEC.verb)?, grid, scale }))
    }
}

/// The numbers that a value is rounded to, in the arithmetic of the column.
enum Grid {
    Exact { low: i128, high: i128, step: i128, min: i128, max: i128 },
    Float { low: f64, high: f64, step: f64, max: f64 },
}

impl Grid {
    fn new(args: &Args, input: &DataType) -> Result<Self, String> {
        match numbers::shape(input)? {
            Shape::Exact { scale, min, max } => {
                let whole = |name: &str| {
                    units(args, name, scale).ok_or_else(|| {
                        format!("`{name}` has more digits after the point than the column")
                    })
                };
                let (low, high, step) = (whole("low")?, whole("high")?, whole("step")?);
                if step <= 0 {
                    return Err("`step` is smaller than the column's last digit".to_owned());
                }
                Ok(Self::Exact { low, high, step, min, max })
            }
            Shape::Float { max } => {
                let number = |name| args.number(name).unwrap_or(0.0);
                Ok(Self::Float {
                    low: number("low"),
                    high: number("high"),
                    step: number("step"),
                    max,
                })
            }
        }
    }

    /// How many steps the range has, rounded up.
    fn steps(&self) -> f64 {
        match *self {
            Self::Exact { low, high, step, .. } => ((high - low + step - 1) / step) as f64,
            Self::Float { low, high, step, .. } => ((high - low) / step).ceil(),
        }
    }

    /// Which step a value is rounded to; `None` for what is no number.
    fn index(&self, value: Number) -> Option<i64> {
        match (self, value) {
            (Self::Exact { low, high, step, .. }, Number::Exact(value)) => {
                let above = value.clamp(*low, *high) - low;
                i64::try_from((above + step / 2) / step).ok()
            }
            (Self::Float { low, high, step, .. }, Number::Float(value)) if !value.is_nan() => {
                // Under 10^9 steps, as `check` says.
                Some(((value.clamp(*low, *high) - low) / step).round() as i64)
            }
            _ => None,
        }
    }
}

struct Noise {
    draw: Draw,
    grid: Grid,
    /// In steps.
    scale: f64,
}

impl Noise {
    /// The step that leaves.
    // PRIVACY: seeded by person and rounded number, so that neither repeated rows nor repeated pulls give
    // a second draw to average. The difference of two geometric numbers is discrete Laplace noise; their
    // logarithms have 53 bits, hence the chance of 2^-50 beyond the promise.
    fn moved(&self, person: &[u8], index: i64) -> i64 {
        let [up, down, ..] = self.draw.numbers(&[person, &index.to_be_bytes()]);
        // At most 37 scales, and a scale is at most 10^11 steps.
        let geometric = |bits: u64| (-unit(bits).ln() * self.scale).floor() as i64;
        index + geometric(up) - geometric(down)
    }
}

/// A number above 0 and up to 1, in steps of 2^-53.
fn unit(bits: u64) -> f64 {
    ((bits >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

impl Kernel for Noise {
    fn apply(&mut self, values: &ArrayRef, reads: &[ArrayRef]) -> Result<ArrayRef> {
        let names = persons::names(persons::read(reads, 0, values.len())?)?;
        // Of values that are not null, which are those that `map` asks for.
        let (mut moved, mut row) = (Vec::with_capacity(values.len()), 0);
        numbers::each(values, &mut |value| {
            let person = names.is_valid(row).then(|| names.value(row));
            if let Some(value) = value {
                let step = person.zip(self.grid.index(value));
                moved.push(step.map(|(person, index)| self.moved(person, index)));
            }
            row += 1;
        })?;
        let mut moved = moved.into_iter();
        // A column holds either kind, so the other closure is never called.
        match self.grid {
            Grid::Exact { low, step, min, max, .. } => numbers::map(
                values,
                &mut |_| {
                    let away = i128::from(moved.next()??).saturating_mul(step);
                    Some(low.saturating_add(away).clamp(min, max))
                },
                &mut |_| None,
            ),
            Grid::Float { low, step, max, .. } => numbers::map(values, &mut |_| None, &mut |_| {
                Some((low + moved.next()?? as f64 * step).clamp(-max, max))
            }),
        }
    }
}

#[cfg(test)]
mod tests;
