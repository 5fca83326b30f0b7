//! What the schema of a noisy answer tells of its columns: mechanism, cost, unit, bounds, and how large the noise
//! will be. All of it is known before a row is read, so a client that asks for the schema alone sees it, and pays
//! nothing.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field};

use super::measures::Formula;
use super::nulls::Filled;
use crate::error::Result;
use crate::pipeline::noise::mechanism::interval::half_width;
use crate::pipeline::noise::mechanism::{noise_of, rank_off, threshold};
use crate::pipeline::noise::question::{Bounding, Measure, Noise, Question};
use crate::policy::Policy;
use crate::policy::privacy::{Accounting, DpGrant, Loss, Spread};

/// The key of a field's metadata that says how its column is protected.
const PROTECTION: &str = "veilflight.protection";
/// The confidence of half-widths.
const CONFIDENCE: f64 = 0.95;
/// What it says of noisy columns.
const DP: &str = "dp";

/// What columns of public tables tell.
pub(super) fn public() -> HashMap<String, String> {
    HashMap::from([(PROTECTION.to_owned(), "public".to_owned())])
}

/// What columns of one question tell.
pub(super) struct Protection {
    general: HashMap<String, String>,
    measures: Vec<Measure>,
    noises: Vec<Noise>,
    noise: &'static str,
}

impl Protection {
    /// Of a question, the grant that it is asked under, and its policy.
    ///
    /// # Errors
    /// Those of [`noise_of`] and [`threshold`].
    pub(super) fn new(question: &Question, grant: &DpGrant, policy: &Policy) -> Result<Self> {
        let noises = noise_of(question)?;
        let threshold = threshold(question, &noises)?;
        let Loss { epsilon, delta } = question.loss;
        let Bounding { groups, rows, .. } = question.bounding;
        let told = [
            (PROTECTION, DP.to_owned()),
            ("veilflight.dp.epsilon", epsilon.to_string()),
            ("veilflight.dp.delta", delta.to_string()),
            ("veilflight.dp.unit", grant.unit.clone()),
            ("veilflight.dp.groups_max", groups.to_string()),
            ("veilflight.dp.rows_max", rows.to_string()),
        ];
        let threshold = threshold.map(|units| ("veilflight.dp.threshold", units.to_string()));
        // PRIVACY: from what the policy declares public; how much is left out follows from the rows, and is not told.
        let spread = policy.public_numbers.as_ref().and_then(Spread::of);
        #[expect(clippy::cast_precision_loss, reason = "an estimate for people")]
        let clipped = spread.map(|spread| spread.clipped(groups as f64 * rows as f64));
        let clipped =
            clipped.map(|share| ("veilflight.dp.clipped_expected", format!("{share:.4}")));
        let told = told.into_iter().chain(threshold).chain(clipped);
        Ok(Self {
            general: told.map(|(key, value)| (key.to_owned(), value)).collect(),
            measures: question.measures.clone(),
            noises,
            noise: match question.accounting {
                Accounting::Pure => "discrete_laplace",
                Accounting::Zcdp => "discrete_gaussian",
            },
        })
    }

    /// Of whatever is computed from the question's numbers, and of groups that passed a threshold.
    pub(super) fn general(&self) -> HashMap<String, String> {
        self.general.clone()
    }

    /// Of an aggregate, and of columns whose nulls count in it as values.
    ///
    /// # Errors
    /// Those of [`rank_off`].
    pub(super) fn of(
        &self,
        formula: &Formula,
        filled: Option<&Filled>,
    ) -> Result<HashMap<String, String>> {
        let chosen = formula
            .of()
            .iter()
            .any(|at| matches!(self.measures.get(*at), Some(Measure::Quantile { .. })));
        let mechanism = if chosen { "permute_and_flip" } else { self.noise };
        let mut told = self.general();
        told.insert("veilflight.dp.mechanism".to_owned(), mechanism.to_owned());
        if let Some(bounds) = formula.bounds() {
            let bounds = format!("[{}, {}] by {}", bounds.low, bounds.high, bounds.step);
            told.insert("veilflight.dp.bounds".to_owned(), bounds);
        }
        if let Some(width) = self.half_width(formula) {
            told.insert("veilflight.dp.half_width_95".to_owned(), width.to_string());
        }
        if let Formula::Point { chosen, .. } = formula
            && let (Some(measure), Some(noise)) =
                (self.measures.get(*chosen), self.noises.get(*chosen))
            && let Some(rows) = rank_off(measure, noise, CONFIDENCE)?
        {
            told.insert("veilflight.dp.rows_off_95".to_owned(), format!("{:.0}", rows.ceil()));
        }
        if let Some(filled) = filled.filter(|filled| !filled.is_empty()) {
            let object = serde_json::json!(filled).to_string();
            told.insert("veilflight.dp.null_as".to_owned(), object);
        }
        Ok(told)
    }

    /// The half-width of a count or a sum, which is the same for all groups and any data.
    fn half_width(&self, formula: &Formula) -> Option<f64> {
        let noise = |at: &usize| self.noises.get(*at);
        let terms = match formula {
            Formula::Whole(count) => vec![(1.0, noise(count)?)],
            Formula::Sum { sum, center: None, bounds } => vec![(bounds.step, noise(sum)?)],
            Formula::Sum { sum, center: Some((center, count)), bounds } => {
                #[expect(clippy::cast_precision_loss, reason = "a width for people")]
                let by_count = *center as f64 * bounds.step;
                vec![(bounds.step, noise(sum)?), (by_count, noise(count)?)]
            }
            Formula::Average { .. } | Formula::Spread { .. } | Formula::Point { .. } => {
                return None;
            }
        };
        half_width(&terms, CONFIDENCE)
    }

    /// A field of the answer: what its column brought with it, or that it is computed from noisy ones.
    pub(super) fn told(&self, field: &Field, kind: DataType) -> Field {
        let own = field.metadata().iter().filter(|(key, _)| key.starts_with("veilflight."));
        let mut metadata: HashMap<String, String> =
            own.map(|(key, value)| (key.clone(), value.clone())).collect();
        if !metadata.contains_key(PROTECTION) {
            metadata = self.general();
        }
        Field::new(field.name(), kind, true).with_metadata(metadata)
    }
}
