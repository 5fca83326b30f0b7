//! Where the curator meets the other rooms of noise: questions, bounds, mechanisms, in the shapes that it has at hand.
//! Decides nothing.

use datafusion::execution::context::SessionState;
use datafusion::logical_expr::LogicalPlan;

use crate::error::{Code, Error, Result};
use crate::pipeline::noise::ask::Asked;
use crate::pipeline::noise::mechanism::interval::half_width;
use crate::pipeline::noise::question::{Answer, Exact, Noise, Question};

/// The exact answers.
pub(super) async fn exact(_question: &Question, _state: &SessionState) -> Result<Exact> {
    Err(Error::new(Code::Unsupported, "no bounds yet"))
}

/// What stands above the answer.
///
/// # Errors
/// Those of [`Asked::upper`].
pub(super) fn upper(asked: &Asked, answer: &Answer) -> Result<LogicalPlan> {
    // What cannot be said of a noise is no number, and shows as null.
    let width = |terms: &[(f64, &Noise)], level: f64| half_width(terms, level).unwrap_or(f64::NAN);
    asked.upper(answer, &width)
}
