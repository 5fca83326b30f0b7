//! Where the curator meets the other rooms of noise.

use arrow::datatypes::SchemaRef;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::LogicalPlan;

use crate::budget::ledger::Spent;
use crate::error::{Code, Error, Result};
use crate::pipeline::noise::mechanism::{self, Generator};
use crate::pipeline::noise::question::{Answer, Exact, Noisy, Question};
use crate::pipeline::query::{Statement, Table, Terms};
use crate::policy::decimal::Decimal;
use crate::policy::privacy::DpGrant;

fn none<T>() -> Result<T> {
    Err(Error::new(Code::Unsupported, "no noise yet"))
}

pub(super) fn generator() -> Result<Generator> {
    Generator::start()
}

pub(super) fn question(
    _statement: &Statement,
    _terms: &Terms,
    _table: &Table,
    _grant: &DpGrant,
    _epsilon: Option<Decimal>,
    _state: &SessionState,
) -> Result<Asked> {
    none()
}

pub(super) async fn exact(_question: &Question, _state: &SessionState) -> Result<Exact> {
    none()
}

pub(super) fn measure(
    question: &Question,
    exact: Exact,
    spent: &Spent,
    generator: &Generator,
) -> Result<Noisy> {
    mechanism::measure(question, exact, spent, generator)
}

pub(super) fn answer(_asked: &Asked, _noisy: &Noisy) -> Result<Answer> {
    none()
}

pub(super) fn upper(_asked: &Asked, _answer: &Answer) -> Result<LogicalPlan> {
    none()
}

