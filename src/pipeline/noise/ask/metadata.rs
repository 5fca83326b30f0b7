//! What the schema of a noisy answer tells of its columns: mechanism, cost, unit and bounds. All of it is
//! known before a row is read.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field};

use super::measures::Formula;
use super::nulls::Filled;
use crate::pipeline::noise::question::{Bounding, Measure, Question};
use crate::policy::privacy::{Accounting, DpGrant, Loss};

/// The key of a field's metadata that says how its column is protected.
const PROTECTION: &str = "veilflight.protection";
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
    noise: &'static str,
}

impl Protection {
    /// Of a question and the grant that it is asked under.
    pub(super) fn new(question: &Question, grant: &DpGrant) -> Self {
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
        Self {
            general: told.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            measures: question.measures.clone(),
            noise: match question.accounting {
                Accounting::Pure => "discrete_laplace",
                Accounting::Zcdp => "discrete_gaussian",
            },
        }
    }

    /// Of whatever is computed from the question's numbers, and of groups that passed a threshold.
    pub(super) fn general(&self) -> HashMap<String, String> {
        self.general.clone()
    }

    /// Of an aggregate, and of columns whose nulls count in it as values.
    pub(super) fn of(&self, formula: &Formula, filled: Option<&Filled>) -> HashMap<String, String> {
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
        if let Some(filled) = filled.filter(|filled| !filled.is_empty()) {
            let object = serde_json::json!(filled).to_string();
            told.insert("veilflight.dp.null_as".to_owned(), object);
        }
        told
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
