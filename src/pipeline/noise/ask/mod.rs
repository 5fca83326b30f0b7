//! From a statement to a question, and from a noisy answer to the statement's columns. Reads no row, spends
//! nothing and adds no noise.
//!
//! A statement is split at its one aggregation. Below it (`below`, `total`, `functions`) stand
//! expressions that cannot fail, with their patterns compiled (`patterns`), written out over the columns of the
//! dataset and of public tables that it is joined with (`joins`); groups of public values are listed (`public`,
//! `listed`, `worlds`, `known`); its functions become measures
//! (`calls`, `values`, `nulls`, `measures`); what identifies the question is in `canonical`. The answer is stored as it
//! was measured (`stored`); columns are computed from it (`columns`), and the plan above runs over them (`upper`).

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, new_empty_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::LogicalPlan;

use super::question::{Answer, Noisy, Question};
use crate::error::{Code, Error, Result};
use crate::pipeline::query::{Statement, Table, Terms, hear};
use crate::pipeline::transform::column::canonical as plain_type;
use crate::policy::Policy;
use crate::policy::decimal::Decimal;
use crate::policy::privacy::{Accounting, DpGrant, Loss};

mod alone;
mod below;
mod calls;
mod canonical;
mod columns;
mod functions;
mod joins;
mod known;
mod listed;
mod measures;
mod metadata;
mod nulls;
mod patterns;
mod public;
mod scaled;
mod split;
mod stored;
mod total;
mod upper;
mod values;
mod worlds;

use below::Below;
use columns::HalfWidth;
use measures::Formula;
use metadata::Protection;
use split::{Place, Split};
use upper::{Filled, aggregation};

/// A statement, split: what is measured for it, and what it makes of that.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// What is measured.
    pub(super) question: Question,
    /// The exact schema of the statement's answer, in plain types, with half-widths at its end.
    pub(super) schema: SchemaRef,
    /// The types of the parameters, named `$1`, `$2`, ...
    pub(super) parameters: SchemaRef,
    /// Whether parameters have no values: such a statement is described and not answered.
    pub(super) open: bool,
    /// The dataset's columns that are read, by name.
    pub(super) reads: Vec<String>,
    /// Columns whose nulls count as a value in what is measured, and as which.
    pub(super) null_as: BTreeMap<String, f64>,
    /// Whether the order of the answer's rows was asked for.
    pub(super) ordered: bool,
    /// The statement's plan from its aggregation up.
    plan: LogicalPlan,
    /// By key of the aggregation: what it is of the question.
    keys: Vec<Place>,
    /// By column of the aggregation behind the keys.
    formulas: Vec<Formula>,
    /// The columns of the aggregation, with metadata.
    fields: Vec<Field>,
    /// What the question's values are, in words.
    pub(super) said: Vec<String>,
}

/// Splits a statement over the one dataset `table`, asked under `grant`. What a statement costs is `epsilon`
/// where it says so, else what the grant says.
///
/// # Errors
/// [`Code::NoisyOnly`] for what is not answered with noise, with what to write instead; [`Code::SqlInvalid`],
/// [`Code::SqlRefused`], [`Code::ParametersInvalid`], [`Code::SchemaDrift`] as for other statements;
/// [`Code::RequestInvalid`] where epsilon is nothing; [`Code::DatasetUnavailable`] where the policy's public
/// keys are none of their column's type.
pub(super) fn question(
    statement: &Statement,
    terms: &Terms,
    table: &Table,
    grant: &DpGrant,
    policy: &Policy,
    epsilon: Option<Decimal>,
    state: &SessionState,
) -> Result<Asked> {
    let heard = hear(statement, terms, table, &grant.unit, state)?;
    let loss = Loss { epsilon: epsilon.unwrap_or(grant.query.epsilon), delta: grant.query.delta };
    if loss.epsilon.is_zero() {
        return Err(Error::new(Code::RequestInvalid, "an epsilon of nothing answers nothing"));
    }
    let accounting = policy.privacy.map_or(Accounting::Pure, |privacy| privacy.accounting);
    let work = || {
        let aggregate = aggregation(&heard.plan)?;
        let below = Below::of(aggregate, table, grant, state)?;
        let split = Split { table, grant, loss, accounting, below };
        split.asked(&heard.plan, &aggregate.group_expr, &aggregate.aggr_expr, &aggregate.schema)
    };
    let asked = work().map_err(|error| heard.told(error))?;
    Ok(Asked { parameters: Arc::clone(&heard.parameters), open: heard.open, ..asked })
}

impl Asked {
    /// The measures that means and spreads are divided by.
    pub(super) fn divisors(&self) -> impl Iterator<Item = usize> {
        self.formulas.iter().filter_map(Formula::divisor)
    }

    /// The answer in the form that is stored: the same for whoever asks the same question.
    ///
    /// # Errors
    /// [`Code::Internal`].
    pub(super) fn answer(&self, noisy: &Noisy) -> Result<Answer> {
        let fits = noisy.keys.len() == self.question.keys.len()
            && noisy.measured.len() == self.question.measures.len();
        if !fits {
            return Err(Error::new(Code::Internal, "a noisy answer is none of its question's"));
        }
        stored::packed(noisy)
    }

    /// What the statement makes of a stored answer, as a plan over that alone, to be optimized and run.
    ///
    /// # Errors
    /// [`Code::State`] where it is no answer to the question.
    pub(super) fn upper(&self, answer: &Answer, half_width: HalfWidth<'_>) -> Result<LogicalPlan> {
        let (keys, measures) = (self.question.keys.len(), self.question.measures.len());
        let answer = stored::unpacked(answer, keys, measures)?;
        let misfit = || Error::new(Code::State, "a stored answer is none of the statement's");
        let mut columns = Vec::new();
        let mut widths = Vec::new();
        for place in &self.keys {
            let key = answer.keys.get(place.at).ok_or_else(misfit)?;
            columns.push(place.column(key).ok_or_else(misfit)?);
            widths.push(None);
        }
        let kinds = self.fields.iter().skip(self.keys.len()).map(Field::data_type);
        for (formula, kind) in self.formulas.iter().zip(kinds) {
            let (column, width) = columns::column(formula, kind, &answer, half_width)?;
            columns.push(column);
            widths.push(Some(width));
        }
        let fits = columns.len() == self.fields.len()
            && columns.iter().zip(&self.fields).all(|(column, field)| {
                column.data_type() == field.data_type() && column.len() == answer.groups
            });
        if !fits {
            return Err(misfit());
        }
        let fields = self.fields.clone();
        upper::over(&self.plan, &Filled { columns, fields, widths, groups: answer.groups })
    }

    /// The schema of the statement's answer.
    fn described(&self, protection: &Protection) -> Result<SchemaRef> {
        let kinds: Vec<DataType> =
            self.fields.iter().map(|field| field.data_type().clone()).collect();
        let widths = (0..kinds.len())
            .map(|at| (at >= self.keys.len()).then(|| new_empty_array(&DataType::Float64)));
        let filled = Filled {
            columns: kinds.iter().map(new_empty_array).collect(),
            fields: self.fields.clone(),
            widths: widths.collect(),
            groups: 0,
        };
        let plan = upper::over(&self.plan, &filled)?;
        let field = |field: &Arc<Field>| protection.told(field, plain_type(field.data_type()));
        let fields: Vec<Field> = plan.schema().fields().iter().map(field).collect();
        Ok(Arc::new(Schema::new(fields)))
    }
}

impl Question {
    /// What identifies the question, of one version of the data under one policy, for one partner's stored
    /// answers: a SHA-256 in hexadecimal.
    pub(super) fn digest(&self, version: &str, policy: &str) -> String {
        use sha2::{Digest as _, Sha256};
        let Loss { epsilon, delta } = self.loss;
        let accounting = self.accounting.as_str();
        let mut hash = Sha256::new();
        // Lengths before parts, so that no two lists of parts are one text.
        for part in [
            "veilflight question 1",
            &self.canonical,
            &epsilon.to_string(),
            &delta.to_string(),
            accounting,
            version,
            policy,
        ] {
            hash.update(part.len().to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests;
