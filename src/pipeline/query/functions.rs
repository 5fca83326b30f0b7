//! Which functions partners may call: the engine's functions that compute from their arguments alone, by name
//! (`lists`), and one of ours ([`environments`]). Calls nothing itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};
use datafusion::sql::sqlparser::ast::{self, Query, Visit, Visitor};

use super::{environments, gathered, hint};
use crate::diagnostic::did_you_mean;
use crate::error::{Code, Error, Result};

mod lists;
#[cfg(test)]
mod tests;

use lists::{
    AGGREGATE, ANY, DATETIME, INSTEAD, NESTED, NUMERIC, REFUSED, SPELLED, SPELLINGS, STRING, WINDOW,
};

/// Functions of the values of one row.
const SCALAR: &[&[&str]] = &[ANY, NUMERIC, STRING, DATETIME, NESTED];

/// What a function is about, as far as Flight SQL sorts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// Numbers.
    Numbers,
    /// Texts and bytes.
    Texts,
    /// Dates and times.
    Times,
    /// All else: aggregates, windows, lists, conditions.
    Others,
}

/// The functions that may be called, under all their names.
#[derive(Debug)]
pub(super) struct Functions {
    scalar: BTreeMap<String, Arc<ScalarUDF>>,
    aggregate: BTreeMap<String, Arc<AggregateUDF>>,
    window: BTreeMap<String, Arc<WindowUDF>>,
    planners: Vec<Arc<dyn ExprPlanner>>,
}

/// The allowed functions.
pub(super) fn allowed() -> &'static Functions {
    static ALLOWED: LazyLock<Functions> = LazyLock::new(Functions::new);
    &ALLOWED
}

impl Functions {
    fn new() -> Self {
        let mut all = Self {
            scalar: BTreeMap::new(),
            aggregate: BTreeMap::new(),
            window: BTreeMap::new(),
            planners: SessionStateDefaults::default_expr_planners(),
        };
        for function in SessionStateDefaults::default_scalar_functions() {
            keep(&mut all.scalar, SCALAR, function.name(), function.aliases(), &function);
        }
        let own = environments::function();
        keep(&mut all.scalar, SCALAR, own.name(), own.aliases(), &own);
        for function in SessionStateDefaults::default_aggregate_functions() {
            let function = match function.name() {
                gathered::NAME => gathered::counted(&function),
                _ => function,
            };
            keep(&mut all.aggregate, &[AGGREGATE], function.name(), function.aliases(), &function);
        }
        for (name, known) in SPELLED {
            if let Some(function) = all.aggregate.get(*known).cloned() {
                all.aggregate.insert((*name).to_owned(), function);
            }
        }
        for function in SessionStateDefaults::default_window_functions() {
            keep(&mut all.window, &[WINDOW], function.name(), function.aliases(), &function);
        }
        all
    }

    /// The scalar function of this name.
    pub(super) fn scalar(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.scalar.get(name).cloned()
    }

    /// The aggregate function of this name.
    pub(super) fn aggregate(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.aggregate.get(name).cloned()
    }

    /// The window function of this name.
    pub(super) fn window(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.window.get(name).cloned()
    }

    /// What makes functions of operators and special forms (`EXTRACT`, `[1, 2]`, `a.b`).
    pub(super) fn planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    /// All names, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.scalar.keys().chain(self.aggregate.keys()).chain(self.window.keys());
        names.map(String::as_str).chain(SPELLINGS.iter().copied())
    }

    fn about(&self, name: &str) -> About {
        let name = self.scalar.get(name).map_or(name, |function| function.name());
        let sorted = [(NUMERIC, About::Numbers), (STRING, About::Texts), (DATETIME, About::Times)];
        let found = sorted.into_iter().find(|(list, _)| list.contains(&name));
        found.map_or(About::Others, |(_, about)| about)
    }

    /// All scalar functions, each once, for a session.
    pub(super) fn all_scalar(&self) -> Vec<Arc<ScalarUDF>> {
        self.scalar
            .iter()
            .filter(|(name, function)| name.as_str() == function.name())
            .map(|(_, function)| Arc::clone(function))
            .collect()
    }

    /// All aggregate functions, each once, for a session.
    pub(super) fn all_aggregate(&self) -> Vec<Arc<AggregateUDF>> {
        self.aggregate
            .iter()
            .filter(|(name, function)| name.as_str() == function.name())
            .map(|(_, function)| Arc::clone(function))
            .collect()
    }

    /// All window functions, each once, for a session.
    pub(super) fn all_window(&self) -> Vec<Arc<WindowUDF>> {
        self.window
            .iter()
            .filter(|(name, function)| name.as_str() == function.name())
            .map(|(_, function)| Arc::clone(function))
            .collect()
    }
}

fn keep<T>(
    all: &mut BTreeMap<String, Arc<T>>,
    allowed: &[&[&str]],
    name: &str,
    aliases: &[String],
    function: &Arc<T>,
) {
    if !allowed.iter().any(|list| list.contains(&name)) {
        return;
    }
    for name in std::iter::once(name).chain(aliases.iter().map(String::as_str)) {
        all.insert(name.to_owned(), Arc::clone(function));
    }
}

/// The functions of one kind that a statement may call, under all their names, in order.
pub fn names(about: About) -> Vec<&'static str> {
    let all: BTreeSet<&str> = allowed().names().collect();
    all.into_iter().filter(|name| allowed().about(name) == about).collect()
}

/// Refuses a query that calls anything else.
///
/// # Errors
/// [`Code::SqlRefused`] for what the engine has and partners have not, [`Code::SqlInvalid`] for what does
/// not exist.
pub(super) fn check(query: &Query) -> Result<()> {
    match query.visit(&mut Calls) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

struct Calls;

impl Visitor for Calls {
    type Break = Box<Error>;

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<Self::Break> {
        let ast::Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let name = match function.name.0.as_slice() {
            [ast::ObjectNamePart::Identifier(name)] if name.quote_style.is_some() => {
                name.value.clone()
            }
            [ast::ObjectNamePart::Identifier(name)] => name.value.to_lowercase(),
            _ => function.name.to_string(),
        };
        match refusal(&name) {
            None => ControlFlow::Continue(()),
            Some(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

/// Why a function cannot be called, or `None` when it can.
fn refusal(name: &str) -> Option<Error> {
    if allowed().names().any(|known| known == name) {
        return None;
    }
    let refused = REFUSED.iter().find(|(refused, _)| *refused == name);
    if let Some((_, reason)) = refused {
        let text = format!("the function `{name}` is not offered: {reason}");
        return Some(hint::error(Code::SqlRefused, &text));
    }
    let mut text = format!("there is no function `{}`", hint::short(name));
    if let Some((_, instead)) = INSTEAD.iter().find(|(other, _)| *other == name) {
        text.push_str(&format!("; write {instead}"));
    } else if let Some(near) = did_you_mean(name, allowed().names()) {
        text.push_str(&format!("; did you mean `{near}`?"));
    }
    Some(hint::error(Code::SqlInvalid, &text))
}
