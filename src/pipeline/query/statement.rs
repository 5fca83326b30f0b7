//! A statement's text becomes a [`Statement`]: exactly one query, within bounds, whose tables can only be
//! those of the partner's catalogue. Knows no columns and plans nothing; which functions there are is
//! `functions`' business.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{Query, VisitMut};

use super::hint;
use crate::error::{Code, Result};

mod shape;
mod syntax;
mod tokens;
mod walk;

use tokens::{bounded, first_word, placeholders, tokens};
use walk::Walk;
pub(super) use walk::quoted;

/// The name of the only catalogue.
pub(super) const CATALOGUE: &str = "veilflight";

/// The name of the schema that datasets stand in.
pub(super) const SCHEMA: &str = "public";

/// The name of the schema that describes the catalogue.
pub(super) const INFORMATION_SCHEMA: &str = "information_schema";

/// The longest statement, in bytes.
pub(crate) const SQL_BYTES_MAX: usize = 64 * 1024;

/// How many tables are read once every use of a `WITH` table is written out.
const SCANS_MAX: u64 = 64;

/// How many parameters a statement may have.
pub(super) const PARAMETERS_MAX: usize = 1_000;

/// A statement that was parsed and may be asked: one query, no more.
///
/// INVARIANT: made by [`Statement::parse`] alone. What it holds is a query: it writes nothing, calls no
/// table function, names no file and no table outside `veilflight`. What is in no schema of every server is
/// the public table of a dataset, or nothing.
#[derive(Debug, Clone)]
pub struct Statement {
    sql: String,
    query: Arc<Query>,
    tables: Vec<String>,
    publics: Vec<(String, String)>,
    information: bool,
    parameters: usize,
    operators: u64,
}

impl Statement {
    /// Parses a statement.
    ///
    /// # Errors
    /// [`Code::SqlInvalid`], [`Code::SqlRefused`], [`Code::Unsupported`].
    pub fn parse(sql: &str) -> Result<Self> {
        if sql.len() > SQL_BYTES_MAX {
            let text =
                format!("a statement may have {SQL_BYTES_MAX} bytes, this one has {}", sql.len());
            return Err(hint::error(Code::SqlRefused, &text));
        }
        let tokens = tokens(sql)?;
        let parameters = placeholders(&tokens)?;
        first_word(&tokens)?;
        let operators = bounded(&tokens)?;
        let mut query = syntax::parse(&tokens)?;
        let mut walk = Walk::default();
        if let ControlFlow::Break(error) = query.visit(&mut walk) {
            return Err(*error);
        }
        few_enough(walk.scans)?;
        Ok(Self {
            sql: sql.to_owned(),
            query: query.into(),
            tables: walk.tables,
            publics: walk.publics,
            information: walk.information,
            parameters,
            operators,
        })
    }

    /// The text.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The names of datasets and views, without the catalogue's and the schema's, each once.
    pub fn tables(&self) -> &[String] {
        &self.tables
    }

    /// What stands in schemas that have the names of datasets: the schema and the table, each pair once.
    pub fn publics(&self) -> &[(String, String)] {
        &self.publics
    }

    /// Whether `information_schema` is asked; then the views of all granted datasets are needed.
    pub fn reads_information_schema(&self) -> bool {
        self.information
    }

    /// How many parameters there are.
    pub(super) fn parameters(&self) -> usize {
        self.parameters
    }

    /// How many operators and keywords it has, by the measure that bounds them.
    pub(super) fn operators(&self) -> u64 {
        self.operators
    }

    /// The query. Names of tables are quoted and as the catalogue has them: datasets and views with their
    /// schema, tables of `WITH` without one. Parameters are `$1`, `$2`, ...
    pub(super) fn query(&self) -> &Query {
        &self.query
    }
}

/// The sum of `weight` over all tables that a parsed query reads, each use of a shared table written out.
pub(super) fn weighed(query: &Query, weight: &dyn Fn(&str) -> u64) -> Result<u64> {
    let mut walk = Walk { weight: Some(weight), ..Walk::default() };
    match query.clone().visit(&mut walk) {
        ControlFlow::Continue(()) => Ok(walk.scans),
        ControlFlow::Break(error) => Err(*error),
    }
}

/// Refuses what reads too many tables.
pub(super) fn few_enough(scans: u64) -> Result<()> {
    if scans <= SCANS_MAX {
        return Ok(());
    }
    let text = format!("the statement reads more than {SCANS_MAX} tables");
    Err(hint::error(Code::SqlRefused, &text))
}

#[cfg(test)]
mod tests;
