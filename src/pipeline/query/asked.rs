//! A statement over a dataset that is answered with noise, as far as it is a plan like others: names found,
//! views written out, types made to fit. What of it is answered is for `crate::pipeline::noise`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::LogicalPlan;

use super::logical::{self, Catalogue, Said, Table};
use super::public::no_public;
use super::{Statement, Terms, hint};
use crate::error::{Code, Error, Result};

/// A statement that was planned and not split yet.
pub(in crate::pipeline) struct Heard {
    /// What it says, in types that fit; its scans show the columns that statements see.
    pub(in crate::pipeline) plan: LogicalPlan,
    /// The types of the parameters, named `$1`, `$2`, ...
    pub(in crate::pipeline) parameters: SchemaRef,
    /// Whether parameters have no values yet.
    pub(in crate::pipeline) open: bool,
    words: hint::Words,
    views: bool,
    secret: bool,
}

impl Heard {
    /// An error of what comes after, as the partner may hear it: no words of a view's text, no values of
    /// parameters.
    pub(in crate::pipeline) fn told(&self, error: Error) -> Error {
        let error = self.words.own(error, self.views);
        if self.secret { error.without_cause() } else { error }
    }
}

/// Plans a statement over one dataset. Where the column `unit` does not leave, it is named all the same.
///
/// # Errors
/// [`Code::SqlInvalid`], [`Code::SqlRefused`], [`Code::NoisyOnly`], [`Code::ParametersInvalid`],
/// [`Code::SchemaDrift`].
pub(in crate::pipeline) fn hear(
    statement: &Statement,
    terms: &Terms,
    table: &Table,
    unit: &str,
    state: &SessionState,
) -> Result<Heard> {
    let dataset = table.plan.dataset();
    let views = &table.plan.policy().views;
    let here = |name: &String| name == dataset || views.iter().any(|view| view.name == *name);
    if statement.reads_information_schema() {
        return Err(alone());
    }
    for named in statement.publics() {
        let (schema, name) = named;
        if schema != dataset || table.public(name).is_none() {
            let policies = std::iter::once(table.plan.policy().as_ref());
            return Err(no_public(named, policies));
        }
    }
    if let Some(other) = statement.tables().iter().find(|name| !here(name)) {
        if statement.tables().iter().any(here) {
            return Err(alone());
        }
        return Err(hint::no_table(other, table.plan.policy().names()));
    }
    let catalogue = Catalogue::noisy(table, seen(table, unit), state);
    let Said { words, views, bound } = logical::said(statement, terms, &catalogue)?;
    let secret = !terms.parameters.is_empty();
    let plan = state
        .analyzer()
        .execute_and_check(bound.plan, state.config_options(), |_, _| {})
        .map_err(|error| {
            let error = hint::planning(error, &words);
            if secret { error.without_cause() } else { error }
        })?;
    Ok(Heard {
        plan,
        parameters: bound.schema,
        open: bound.open,
        words,
        views: !views.is_empty(),
        secret,
    })
}

/// The columns that statements see, and the unit's name behind them where it is none of them.
pub(super) fn seen(table: &Table, unit: &str) -> SchemaRef {
    let schema = logical::counted_columns(&table.provider.schema());
    if schema.field_with_name(unit).is_ok() {
        return schema;
    }
    // Of such a column units are counted, and nothing else: its type is never looked at.
    let named = Arc::new(Field::new(unit, DataType::Utf8View, true));
    let fields = schema.fields().iter().cloned().chain([named]);
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The refusal of what is not answered with noise.
pub(in crate::pipeline) fn refused(text: &str) -> Error {
    hint::error(Code::NoisyOnly, text)
}

/// A dataset that is answered with noise, beside other tables.
pub(super) fn alone() -> Error {
    refused(
        "a dataset that is granted as dp is asked alone or with its own public tables: ask each dataset, and join the answers",
    )
}
