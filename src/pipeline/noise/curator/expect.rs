//! What is known of an answer's error before a row is read: the noise of each measurement, from the grant's bounds
//! and the statement's epsilon alone. How much bounding clips is not known, and cannot be without spending.

use crate::error::Result;
use crate::pipeline::noise::mechanism::interval::half_width;
use crate::pipeline::noise::mechanism::noise_of;
use crate::pipeline::noise::question::{Measure, Noise, Question};

/// How likely an interval holds what it is for.
const CONFIDENCE: f64 = 0.95;

/// One measurement of each group, and its noise.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// What is measured, in words.
    pub measure: String,
    /// How noise is added: `discrete_laplace`, `discrete_gaussian` or `permute_and_flip`.
    pub mechanism: &'static str,
    /// Half the width of the interval that holds the measured number with 95 %, in the unit of the column; nothing
    /// where it follows from the rows.
    pub half_width: Option<f64>,
}

/// What is known of a question's measurements.
///
/// # Errors
/// Those of [`noise_of`].
pub(super) fn expected(question: &Question) -> Result<Vec<Expected>> {
    let noises = noise_of(question)?;
    let told = question.measures.iter().zip(&noises).map(|(measure, noise)| {
        let (words, unit) = words(question, measure);
        let mechanism = match noise {
            Noise::Laplace { .. } => "discrete_laplace",
            Noise::Gaussian { .. } => "discrete_gaussian",
            Noise::Choice { .. } => "permute_and_flip",
        };
        let half_width = half_width(&[(unit, noise)], CONFIDENCE);
        Expected { measure: words, mechanism, half_width }
    });
    Ok(told.collect())
}

/// A measurement in words, and how large one unit of it is.
fn words(question: &Question, measure: &Measure) -> (String, f64) {
    let value = |at: &usize| question.values.get(*at);
    let name = |at: &usize| value(at).map_or("", |value| value.name.as_str());
    let step = |at: &usize| value(at).map_or(1.0, |value| value.bounds.step);
    let less = |at: &usize, center: &i64| match center {
        0 => String::new(),
        // Shown only, so it need not be exact.
        #[expect(clippy::cast_precision_loss, reason = "a number for people")]
        center => format!(", each less {}", *center as f64 * step(at)),
    };
    match measure {
        Measure::Units => ("units".to_owned(), 1.0),
        Measure::Rows => ("rows".to_owned(), 1.0),
        Measure::Count(at) => (format!("values of {}", name(at)), 1.0),
        Measure::Sum { value, center } => {
            (format!("sum of {}{}", name(value), less(value, center)), step(value))
        }
        Measure::Squares { value, center } => {
            let words = format!("sum of squares of {}{}", name(value), less(value, center));
            (words, step(value) * step(value))
        }
        Measure::Quantile { value, rank: (part, whole), .. } => {
            (format!("quantile {part}/{whole} of {}", name(value)), step(value))
        }
    }
}
