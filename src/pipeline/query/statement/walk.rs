//! The walk over a parsed query: which tables it reads, by names of which no other reading is left, how often,
//! and expressions that are refused. Which clauses there may be is in [`super::shape`].

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, ObjectName, ObjectNamePart, Query, Select, TableFactor, Value,
    ValueWithSpan, VisitMut, VisitorMut,
};

use super::shape::{Flow, plain_query, plain_select, plain_table, refuse};
use super::{CATALOGUE, INFORMATION_SCHEMA, SCHEMA};
use crate::error::{Code, Error, Result};
use crate::pipeline::query::{hint, information};

/// How many items a list of a fixed length may have: a null one takes the room of them all.
const FIXED_ITEMS_MAX: u64 = 4096;

/// Walks the query: refuses what is no plain query, finds tables, and writes their names as the catalogue
/// has them.
#[derive(Default)]
pub(super) struct Walk<'a> {
    pub(super) tables: Vec<String>,
    pub(super) publics: Vec<(String, String)>,
    pub(super) information: bool,
    /// Tables of `WITH` that can be named here, the nearest last, and what each reads.
    pub(super) shared: Vec<(Ident, u64)>,
    /// What `WITH` of the queries around here held, to be put back.
    pub(super) around: Vec<(Option<ast::With>, usize)>,
    /// Tables read so far, with every use of a shared table written out.
    pub(super) scans: u64,
    /// What one use of a dataset or a view counts for; 1 where it is not said.
    pub(super) weight: Option<&'a dyn Fn(&str) -> u64>,
}

impl VisitorMut for Walk<'_> {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        self.around.push((None, self.shared.len()));
        if let Some(mut with) = query.with.take() {
            if with.recursive {
                return refuse("`WITH RECURSIVE` is not offered: nothing bounds it");
            }
            // Each shared table may name those before it and not itself. They are walked here, once, and
            // kept from the walk that follows.
            for shared in &mut with.cte_tables {
                if shared.from.is_some() {
                    return refuse("`WITH ... FROM` is not offered");
                }
                // INVARIANT: no statement gives a name that begins like those which views are written out with.
                if shared.alias.name.value.contains('\0') {
                    return refuse("a table of `WITH` has a name of letters, digits and signs");
                }
                let before = std::mem::take(&mut self.scans);
                shared.query.visit(self)?;
                let reads = std::mem::replace(&mut self.scans, before);
                self.shared.push((shared.alias.name.clone(), reads));
            }
            if let Some(kept) = self.around.last_mut() {
                kept.0 = Some(with);
            }
        }
        plain_query(query)
    }

    fn post_visit_query(&mut self, query: &mut Query) -> Flow {
        if let Some((with, shared)) = self.around.pop() {
            query.with = with;
            self.shared.truncate(shared);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Flow {
        plain_select(select)
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        plain_table(factor)
    }

    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> Flow {
        match self.table(name) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        match expr {
            Expr::Identifier(name) if name.quote_style.is_none() && name.value.starts_with('@') => {
                refuse("there are no variables")
            }
            Expr::CompoundIdentifier(names)
                if names.first().is_some_and(|name| {
                    name.quote_style.is_none() && name.value.starts_with('@')
                }) =>
            {
                refuse("there are no variables")
            }
            Expr::Function(function) if matches!(function.args, ast::FunctionArguments::None) => {
                if let Some(name) = no_call(&function.name) {
                    *expr = name;
                }
                ControlFlow::Continue(())
            }
            Expr::Cast { data_type, .. } if fixed_items(data_type) > FIXED_ITEMS_MAX => {
                refuse(&format!("a list of a fixed length has at most {FIXED_ITEMS_MAX} items"))
            }
            Expr::MatchAgainst { .. } => refuse("`MATCH ... AGAINST` is not offered"),
            Expr::JsonAccess { .. } => refuse("JSON paths are not offered"),
            Expr::OuterJoin(_) => refuse("`(+)` is not offered; write `LEFT JOIN`"),
            Expr::Prior(_) => refuse("`PRIOR` is not offered"),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> Flow {
        match &value.value {
            // Numbered when the tokens were read; a name with a colon is made by the parser.
            Value::Placeholder(name) if !name.starts_with('$') => ControlFlow::Break(Box::new(
                hint::error(Code::SqlInvalid, "parameters are `?` or `$1`, `$2`, ..."),
            )),
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Walk<'_> {
    /// Finds what a table's name stands for, and writes it so that no other reading is left.
    fn table(&mut self, name: &mut ObjectName) -> Result<()> {
        let mut parts = Vec::new();
        for part in &name.0 {
            match part {
                ObjectNamePart::Identifier(ident) => parts.push(ident.clone()),
                ObjectNamePart::Function(_) => {
                    return Err(hint::error(Code::SqlRefused, "table functions are not offered"));
                }
            }
        }
        if let [only] = parts.as_slice()
            && let Some((shared, reads)) = self.shared(only)
        {
            self.scans = self.scans.saturating_add(reads);
            *name = quoted(&[&shared]);
            return Ok(());
        }
        let folded: Vec<String> = parts.iter().map(fold).collect();
        let names: Vec<&str> = folded.iter().map(String::as_str).collect();
        let (schema, table) = match names.as_slice() {
            [table] => (SCHEMA, *table),
            [schema, table] | [CATALOGUE, schema, table] => (*schema, *table),
            _ => return Err(unknown_table(name)),
        };
        let weight = self.weight.filter(|_| schema == SCHEMA).map_or(1, |weight| weight(table));
        self.scans = self.scans.saturating_add(weight);
        match schema {
            SCHEMA => {
                if !self.tables.iter().any(|known| known == table) {
                    self.tables.push(table.to_owned());
                }
                *name = quoted(&[SCHEMA, table]);
            }
            INFORMATION_SCHEMA if information::TABLES.contains(&table) => {
                self.information = true;
                *name = quoted(&[INFORMATION_SCHEMA, table]);
            }
            INFORMATION_SCHEMA => return Err(unknown_table(name)),
            // A dataset's own schema, for its public tables: planning knows whether there is one.
            dataset => {
                let public = (dataset.to_owned(), table.to_owned());
                *name = quoted(&[&public.0, &public.1]);
                if !self.publics.contains(&public) {
                    self.publics.push(public);
                }
            }
        }
        Ok(())
    }

    /// The table of `WITH` that a name stands for: of the nearest query that has it, exactly written first.
    fn shared(&self, name: &Ident) -> Option<(String, u64)> {
        let exact = self.shared.iter().rev().find(|(shared, _)| shared.value == name.value);
        let near = |shared: &Ident| {
            name.quote_style.is_none() && shared.value.eq_ignore_ascii_case(&name.value)
        };
        let found = exact.or_else(|| self.shared.iter().rev().find(|(shared, _)| near(shared)));
        found.map(|(shared, reads)| (shared.value.clone(), *reads))
    }
}

/// The name that the parser took for a call without brackets. Some words are functions to it, and names
/// of columns to everybody else.
fn no_call(name: &ObjectName) -> Option<Expr> {
    let names = name.0.iter().map(|part| match part {
        ObjectNamePart::Identifier(name) => Some(name.clone()),
        ObjectNamePart::Function(_) => None,
    });
    let names = names.collect::<Option<Vec<_>>>()?;
    match names.as_slice() {
        [only] if USERS.iter().any(|word| only.value.eq_ignore_ascii_case(word)) => {
            Some(Expr::Identifier(only.clone()))
        }
        [_] => None,
        _ => Some(Expr::CompoundIdentifier(names)),
    }
}

/// What other servers answer with who asks.
const USERS: &[&str] = &["user", "current_user", "session_user", "current_catalog"];

/// How many items one value of a type has at least.
fn fixed_items(kind: &ast::DataType) -> u64 {
    match kind {
        ast::DataType::Array(
            ast::ArrayElemTypeDef::AngleBracket(inner) | ast::ArrayElemTypeDef::Parenthesis(inner),
        ) => fixed_items(inner),
        ast::DataType::Array(ast::ArrayElemTypeDef::SquareBracket(inner, items)) => {
            items.unwrap_or(1).saturating_mul(fixed_items(inner))
        }
        ast::DataType::Struct(fields, _) => {
            fields.iter().map(|f| fixed_items(&f.field_type)).fold(0, u64::saturating_add)
        }
        _ => 1,
    }
}

/// Names of datasets are lower-case, so a name without quotes is too.
fn fold(name: &Ident) -> String {
    match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_ascii_lowercase(),
    }
}

/// A name in quotes, part by part.
pub(in crate::pipeline::query) fn quoted(names: &[&str]) -> ObjectName {
    ObjectName::from(names.iter().map(|name| Ident::with_quote('"', *name)).collect::<Vec<_>>())
}

/// There is no such table, in the words for a table that the partner may not know.
fn unknown_table(name: &ObjectName) -> Error {
    hint::error(
        Code::SqlInvalid,
        &format!("there is no table `{}`", hint::short(&name.to_string())),
    )
}
