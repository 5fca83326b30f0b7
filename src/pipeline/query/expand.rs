//! What a statement stands for that names views of policies: the same statement with each view's query in
//! the view's place, under its name. Plans each view's text alone, so that what is wrong in it is the
//! custodian's and never told; runs nothing.
//!
//! A view is closed: its names are found among the dataset's columns and the views before it, and nothing
//! that the partner's statement says around it changes what it means.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ops::ControlFlow;

use arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::ast::{
    Ident, ObjectName, ObjectNamePart, Query, TableAlias, TableFactor, VisitMut, VisitorMut,
};

use super::logical::{self, Catalogue};
use super::public::no_public;
use super::statement::{self, SCHEMA, few_enough, quoted};
use super::{Statement, engine, functions, hint, names};
use crate::diagnostic::did_you_mean;
use crate::error::{Code, Error, Result};
use crate::policy::{Policy, View};

/// How deep views may stand on views.
const DEEP_MAX: usize = 8;
/// How many operators and keywords a statement may have once all its views are written out.
const OPERATORS_MAX: u64 = 5_000;
/// What no statement can begin a name with; see [`apart`].
const APART: char = '\0';

/// The views that one statement names, each with those that it stands on before it.
#[derive(Debug, Default)]
pub(super) struct Views(Vec<Expansion>);

/// A view, written out.
#[derive(Debug)]
struct Expansion {
    name: String,
    query: Query,
    /// Its columns, as a statement sees them.
    schema: SchemaRef,
    scans: u64,
    operators: u64,
    asks_the_time: bool,
}

impl Views {
    /// The views that a statement names.
    ///
    /// # Errors
    /// [`Code::SchemaDrift`] where a view cannot be planned over the data as they are: no word of its text
    /// is told.
    pub(super) fn of(statement: &Statement, catalogue: &Catalogue<'_>) -> Result<Self> {
        let mut views = Self::default();
        for name in statement.tables() {
            if let Some((policy, at)) = catalogue.view(name) {
                views.add(policy, at, catalogue, 1).map_err(|error| {
                    let dataset = &policy.dataset;
                    let hint = error.hint().map_or("", |hint| hint.as_str());
                    let text =
                        format!("the view `{name}` of `{dataset}` cannot be planned: {hint}");
                    Error::new(Code::SchemaDrift, text).because(error)
                })?;
            }
        }
        Ok(views)
    }

    /// The one view of a policy, and what it stands on, with the errors as its author may hear them.
    pub(super) fn alone(policy: &Policy, at: usize, catalogue: &Catalogue<'_>) -> Result<Self> {
        let mut views = Self::default();
        views.add(policy, at, catalogue, 1)?;
        Ok(views)
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The columns of a view.
    pub(super) fn schema(&self, name: &str) -> Option<&SchemaRef> {
        self.find(name).map(|view| &view.schema)
    }

    /// Whether a view asks what time it is.
    pub(super) fn ask_the_time(&self) -> bool {
        self.0.iter().any(|view| view.asks_the_time)
    }

    /// The query with views written out, and tables called what the catalogue calls them.
    ///
    /// # Errors
    /// [`Code::SqlRefused`] when it becomes too large.
    pub(super) fn written_out(&self, statement: &Statement, mut query: Query) -> Result<Query> {
        self.bounded(statement, &query)?;
        let mut names = Shared(BTreeSet::new());
        let ControlFlow::Continue(()) = query.visit(&mut names);
        let mut writer = Writer { views: self, within: None, shared: names.0 };
        let ControlFlow::Continue(()) = query.visit(&mut writer);
        Ok(query)
    }

    fn find(&self, name: &str) -> Option<&Expansion> {
        self.0.iter().find(|view| view.name == name)
    }

    /// Refuses what grows too large, before it is written out.
    fn bounded(&self, statement: &Statement, query: &Query) -> Result<(u64, u64)> {
        let scans = statement::weighed(query, &|name| self.find(name).map_or(1, |v| v.scans))?;
        few_enough(scans)?;
        let views = statement::weighed(query, &|name| self.find(name).map_or(0, |v| v.operators))?;
        let operators = views.saturating_add(statement.operators());
        if operators > OPERATORS_MAX {
            let text = format!(
                "the statement has more than {OPERATORS_MAX} operators and keywords once its views are \
                 written out"
            );
            return Err(hint::error(Code::SqlRefused, &text));
        }
        Ok((scans, operators))
    }

    /// Adds a view, and before it those that it names.
    fn add(
        &mut self,
        policy: &Policy,
        at: usize,
        catalogue: &Catalogue<'_>,
        depth: usize,
    ) -> Result<()> {
        let Some(view) = policy.views.get(at) else {
            return Err(Error::new(Code::Internal, "a policy has fewer views than it had"));
        };
        if self.find(&view.name).is_some() {
            return Ok(());
        }
        if depth > DEEP_MAX {
            let text = format!("views stand on views more than {DEEP_MAX} deep");
            return Err(hint::error(Code::SqlRefused, &text));
        }
        let text = parsed(policy, at)?;
        let mut schemas = Vec::new();
        for name in text.tables() {
            if *name != policy.dataset {
                let below = policy.views.iter().position(|other| other.name == *name);
                let below = below.ok_or_else(|| hint::no_table(name, [].into_iter()))?;
                self.add(policy, below, catalogue, depth + 1)?;
            }
            let schema = self.schema(name).cloned().or_else(|| catalogue.schema(name));
            schemas.extend(schema.map(|schema| (name.as_str(), schema)));
        }
        let query = names::resolve(text.query(), &schemas);
        let words = hint::Words::new(&query, &schemas);
        let (scans, operators) = self.bounded(&text, &query)?;
        let mut query = query;
        let mut writer =
            Writer { views: self, within: Some(&view.name), shared: BTreeSet::default() };
        let ControlFlow::Continue(()) = query.visit(&mut writer);
        let schema = logical::columns(&view.name, &query, catalogue, &words)?;
        let name = view.name.clone();
        let asks_the_time = engine::asks_the_time(&view.sql);
        self.0.push(Expansion { name, query, schema, scans, operators, asks_the_time });
        Ok(())
    }
}

/// What a view's text says, if it may stand in a policy: one query without parameters, over the dataset and
/// the views before it. Needs no data.
///
/// # Errors
/// [`Code::SqlInvalid`], [`Code::SqlRefused`], [`Code::Unsupported`].
pub(super) fn parsed(policy: &Policy, at: usize) -> Result<Statement> {
    let before = || policy.views.iter().take(at);
    let Some(View { name, sql, .. }) = policy.views.get(at) else {
        return Err(Error::new(Code::Internal, "a policy has fewer views than it had"));
    };
    let text = Statement::parse(sql)?;
    let refused = |text: &str| Err(hint::error(Code::SqlRefused, text));
    if text.parameters() > 0 {
        return refused("a view has no parameters");
    }
    if text.reads_information_schema() {
        return refused(
            "a view reads the dataset and the views before it, and no `information_schema`",
        );
    }
    if let Some(public) = text.publics().first() {
        if policy.dataset == public.0 && policy.public_table(&public.1).is_some() {
            return refused(
                "a view reads the dataset and the views before it, and no public tables",
            );
        }
        return Err(no_public(public, [].into_iter()));
    }
    for table in text.tables() {
        if *table == policy.dataset || before().any(|view| view.name == *table) {
            continue;
        }
        let known = || std::iter::once(&policy.dataset).chain(before().map(|view| &view.name));
        let shown = hint::short(table);
        let help = match did_you_mean(table, known().map(String::as_str)) {
            _ if table == name => "; a view cannot stand on itself".to_owned(),
            _ if policy.views.iter().any(|view| view.name == *table) => {
                "; a view stands on those before it: put that one first".to_owned()
            }
            Some(near) => format!("; did you mean `{near}`?"),
            None => {
                format!(": it reads `{}` and the views before it", hint::short(&policy.dataset))
            }
        };
        return refused(&format!("a view cannot read `{shown}`{help}"));
    }
    functions::check(text.query())?;
    Ok(text)
}

/// The name by which a view's query calls a dataset: no table of `WITH` can be called so, whatever stands
/// around the view.
fn apart(name: &str) -> String {
    format!("{APART}{name}")
}

/// The dataset that a name in a plan stands for.
pub(super) fn dataset(name: &str) -> &str {
    name.strip_prefix(APART).unwrap_or(name)
}

/// The names of tables of `WITH`.
struct Shared(BTreeSet<String>);

impl VisitorMut for Shared {
    type Break = Infallible;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Infallible> {
        let shared = query.with.iter().flat_map(|with| &with.cte_tables);
        self.0.extend(shared.map(|shared| shared.alias.name.value.clone()));
        ControlFlow::Continue(())
    }
}

/// Puts views in their places.
struct Writer<'a> {
    views: &'a Views,
    /// The view whose text this is.
    within: Option<&'a str>,
    /// Names that tables of `WITH` have somewhere in this query.
    shared: BTreeSet<String>,
}

impl Writer<'_> {
    /// What a view's own table of `WITH` is called, so that it meets no other.
    fn own(&self, name: &str) -> Option<String> {
        self.within.map(|view| format!("{APART}{view}{APART}{name}"))
    }

    /// What a table becomes; nothing where it stays.
    fn table(&self, name: &ObjectName, alias: Option<&TableAlias>) -> Option<TableFactor> {
        let parts: Vec<&str> = name
            .0
            .iter()
            .filter_map(|part| match part {
                ObjectNamePart::Identifier(name) => Some(name.value.as_str()),
                ObjectNamePart::Function(_) => None,
            })
            .collect();
        let called = |name: &str| {
            Some(alias.cloned().unwrap_or_else(|| TableAlias {
                explicit: true,
                name: Ident::with_quote('"', name),
                columns: Vec::new(),
                at: None,
            }))
        };
        match parts.as_slice() {
            [SCHEMA, table] => match self.views.find(table) {
                Some(view) => Some(TableFactor::Derived {
                    lateral: false,
                    subquery: Box::new(view.query.clone()),
                    alias: called(table),
                    sample: None,
                }),
                None if self.within.is_some() || self.shared.contains(*table) => {
                    Some(plain(&apart(table), called(table)))
                }
                None => Some(plain(table, alias.cloned())),
            },
            [shared] => Some(plain(&self.own(shared)?, called(shared))),
            _ => None,
        }
    }
}

fn plain(name: &str, alias: Option<TableAlias>) -> TableFactor {
    TableFactor::Table {
        name: quoted(&[name]),
        alias,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

impl VisitorMut for Writer<'_> {
    type Break = Infallible;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Infallible> {
        for shared in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            if let Some(own) = self.own(&shared.alias.name.value) {
                shared.alias.name = Ident::with_quote('"', own);
            }
        }
        ControlFlow::Continue(())
    }

    // After the walk of what stands inside: what is put here is written out already.
    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Infallible> {
        if let TableFactor::Table { name, alias, .. } = factor
            && let Some(written) = self.table(name, alias.as_ref())
        {
            *factor = written;
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests;
