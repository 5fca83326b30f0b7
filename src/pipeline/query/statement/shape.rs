//! The clauses that a query may have: what is not answered, or what the planner would pass over in silence, is
//! refused by name. Knows no tables.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Query, Select, SetExpr, TableFactor};

use crate::error::{Code, Error};
use crate::pipeline::query::groups::{self, SETS_MAX};
use crate::pipeline::query::hint;

pub(super) type Flow = ControlFlow<Box<Error>>;

pub(super) fn refuse(text: &str) -> Flow {
    ControlFlow::Break(Box::new(hint::error(Code::SqlRefused, text)))
}

/// Refuses clauses around a query that are not answered, or that the planner would pass over in silence.
pub(super) fn plain_query(query: &Query) -> Flow {
    if query.fetch.is_some() {
        return refuse("`FETCH` is not offered; write `LIMIT`");
    }
    if !query.locks.is_empty() {
        return refuse("`FOR UPDATE` and `FOR SHARE` are not offered: nothing can be locked");
    }
    if query.for_clause.is_some() || query.settings.is_some() || query.format_clause.is_some() {
        return refuse("`FOR`, `SETTINGS` and `FORMAT` are not offered");
    }
    if !query.pipe_operators.is_empty() {
        return refuse("pipe operators are not offered");
    }
    if let Some(ast::LimitClause::LimitOffset { limit_by, .. }) = &query.limit_clause
        && !limit_by.is_empty()
    {
        return refuse("`LIMIT ... BY` is not offered");
    }
    let mut bodies = vec![query.body.as_ref()];
    while let Some(body) = bodies.pop() {
        match body {
            SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => {}
            SetExpr::SetOperation { left, right, .. } => {
                bodies.push(left);
                bodies.push(right);
            }
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                return ControlFlow::Break(Box::new(hint::error(
                    Code::Unsupported,
                    "nothing can be written here",
                )));
            }
            SetExpr::Table(_) => return refuse("write `SELECT * FROM` instead of `TABLE`"),
        }
    }
    ControlFlow::Continue(())
}

pub(super) fn plain_select(select: &Select) -> Flow {
    if select.into.is_some() {
        return ControlFlow::Break(Box::new(hint::error(
            Code::Unsupported,
            "nothing can be written here: `INTO` is not offered",
        )));
    }
    let odd = select.top.is_some()
        || select.select_modifiers.is_some()
        || select.exclude.is_some()
        || !select.lateral_views.is_empty()
        || select.prewhere.is_some()
        || !select.connect_by.is_empty()
        || !select.cluster_by.is_empty()
        || !select.distribute_by.is_empty()
        || !select.sort_by.is_empty()
        || select.value_table_mode.is_some()
        || !select.optimizer_hints.is_empty();
    if odd {
        return refuse(
            "of `SELECT` are offered: DISTINCT, FROM, WHERE, GROUP BY, HAVING, WINDOW, QUALIFY, ORDER BY, \
             LIMIT and OFFSET",
        );
    }
    if let ast::GroupByExpr::All(modifiers) | ast::GroupByExpr::Expressions(_, modifiers) =
        &select.group_by
        && !modifiers.is_empty()
    {
        return refuse("write `GROUP BY ROLLUP(...)`, `CUBE(...)` or `GROUPING SETS (...)`");
    }
    if groups::sets(&select.group_by) > SETS_MAX {
        return refuse(&format!("a `GROUP BY` may stand for {SETS_MAX} sets of groups"));
    }
    ControlFlow::Continue(())
}

pub(super) fn plain_table(factor: &TableFactor) -> Flow {
    match factor {
        TableFactor::Table {
            name: _,
            alias: _,
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } => {
            if args.is_some() {
                return refuse("table functions are not offered");
            }
            if sample.is_some() {
                return refuse("`TABLESAMPLE` is not offered");
            }
            let odd = !with_hints.is_empty()
                || version.is_some()
                || *with_ordinality
                || !partitions.is_empty()
                || json_path.is_some()
                || !index_hints.is_empty();
            if odd {
                return refuse("a table is its name and an alias, no more");
            }
            ControlFlow::Continue(())
        }
        TableFactor::Derived { sample: None, .. } | TableFactor::NestedJoin { .. } => {
            ControlFlow::Continue(())
        }
        TableFactor::UNNEST { with_offset: false, with_ordinality: false, .. } => {
            ControlFlow::Continue(())
        }
        TableFactor::Derived { .. } => refuse("`TABLESAMPLE` is not offered"),
        TableFactor::UNNEST { .. } => refuse("`UNNEST` has no offset or ordinality here"),
        TableFactor::TableFunction { .. } | TableFactor::Function { .. } => {
            refuse("table functions are not offered")
        }
        TableFactor::Pivot { .. } => {
            refuse("`PIVOT` is not offered; write aggregates with `FILTER`")
        }
        TableFactor::Unpivot { .. } => refuse("`UNPIVOT` is not offered"),
        TableFactor::MatchRecognize { .. } => refuse("`MATCH_RECOGNIZE` is not offered"),
        TableFactor::JsonTable { .. }
        | TableFactor::OpenJsonTable { .. }
        | TableFactor::XmlTable { .. }
        | TableFactor::SemanticView { .. } => refuse("table functions are not offered"),
    }
}
