//! Names without quotes: as written where something is called so, otherwise the one thing that is called
//! so but for capitals. `SELECT user FROM jobs` finds `User`. Names in quotes are left alone, and a name
//! that stays unknown is reported by the planner, not here.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::ControlFlow;

use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr, Ident, JoinConstraint, JoinOperator, NamedWindowDefinition,
    NamedWindowExpr, ObjectName, ObjectNamePart, Query, RenameSelectItem, Select, SelectItem,
    SelectItemQualifiedWildcardKind, TableAlias, TableFactor, TableWithJoins, Visit, VisitMut,
    Visitor, VisitorMut, WildcardAdditionalOptions, WindowType,
};

use super::statement::{CATALOGUE, INFORMATION_SCHEMA, SCHEMA};

/// The query with names as the tables and the query itself have them.
pub(super) fn resolve(query: &Query, schemas: &[(&str, SchemaRef)]) -> Query {
    let mut known = Known::new(schemas);
    let ControlFlow::Continue(()) = query.visit(&mut known);
    let mut query = query.clone();
    let mut walk = Walk { known, hidden: BTreeMap::new(), kept: Vec::new() };
    let ControlFlow::Continue(()) = VisitMut::visit(&mut query, &mut walk);
    query
}

/// The names that a query gives to columns of its answers: what may be meant besides columns of tables.
pub(super) fn given(query: &Query) -> Vec<String> {
    let mut known = Known::new(&[]);
    let ControlFlow::Continue(()) = query.visit(&mut known);
    known.aliases.into_keys().collect()
}

/// Everything that has a name.
#[derive(Debug, Default)]
struct Known {
    /// Columns of tables.
    columns: BTreeSet<String>,
    /// Fields inside columns.
    fields: BTreeSet<String>,
    /// Tables, their aliases, schemas.
    tables: BTreeSet<String>,
    /// Names that the query gives to columns, and how often.
    aliases: BTreeMap<String, usize>,
    /// Named windows.
    windows: BTreeSet<String>,
}

impl Known {
    fn new(schemas: &[(&str, SchemaRef)]) -> Self {
        let mut known = Self::default();
        for (name, schema) in schemas {
            known.tables.insert((*name).to_owned());
            for field in schema.fields() {
                known.columns.insert(field.name().clone());
                known.inside(field);
            }
        }
        known.tables.extend([CATALOGUE, SCHEMA, INFORMATION_SCHEMA].map(str::to_owned));
        known
    }

    fn inside(&mut self, field: &FieldRef) {
        match field.data_type() {
            DataType::Struct(fields) => {
                for field in fields {
                    self.fields.insert(field.name().clone());
                    self.inside(field);
                }
            }
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::FixedSizeList(item, _)
            | DataType::Map(item, _) => self.inside(item),
            _ => {}
        }
    }

    fn alias(&mut self, name: &Ident) {
        *self.aliases.entry(name.value.clone()).or_default() += 1;
    }

    fn table_alias(&mut self, alias: Option<&TableAlias>) {
        let Some(alias) = alias else { return };
        self.tables.insert(alias.name.value.clone());
        for column in &alias.columns {
            self.alias(&column.name);
        }
    }
}

impl Visitor for Known {
    type Break = Infallible;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Infallible> {
        for shared in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.table_alias(Some(&shared.alias));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Infallible> {
        for name in own_aliases(select) {
            self.alias(name);
        }
        for NamedWindowDefinition(name, _) in &select.named_window {
            self.windows.insert(name.value.clone());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Infallible> {
        match factor {
            TableFactor::Table { alias, .. }
            | TableFactor::Derived { alias, .. }
            | TableFactor::NestedJoin { alias, .. } => self.table_alias(alias.as_ref()),
            // `UNNEST(..) AS x` names the column as well as the table.
            TableFactor::UNNEST { alias, .. } => {
                self.table_alias(alias.as_ref());
                if let Some(alias) = alias {
                    self.alias(&alias.name);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn own_aliases(select: &Select) -> Vec<&Ident> {
    let mut names = Vec::new();
    for item in &select.projection {
        match item {
            SelectItem::ExprWithAlias { alias, .. } => names.push(alias),
            SelectItem::ExprWithAliases { aliases, .. } => names.extend(aliases),
            SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => {
                match &options.opt_rename {
                    Some(RenameSelectItem::Single(one)) => names.push(&one.alias),
                    Some(RenameSelectItem::Multiple(many)) => {
                        names.extend(many.iter().map(|one| &one.alias));
                    }
                    None => {}
                }
            }
            SelectItem::UnnamedExpr(_) => {}
        }
    }
    names
}

/// Where in a compound name a part stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Before a dot: a table, or a column that has fields.
    Leading,
    /// The last, or the only one.
    Last,
}

struct Walk {
    known: Known,
    /// Aliases of the selects around here whose own parts cannot use them, and how often.
    hidden: BTreeMap<String, usize>,
    /// Parts of the selects around here that are walked already.
    kept: Vec<(Vec<SelectItem>, Vec<TableWithJoins>, Option<Expr>)>,
}

impl Walk {
    fn alias(&self, name: &str) -> bool {
        let given = self.known.aliases.get(name).copied().unwrap_or_default();
        given > self.hidden.get(name).copied().unwrap_or_default()
    }

    /// Writes a name as what it stands for is called, if that is one thing.
    fn name(&self, name: &mut Ident, part: Part) {
        if name.quote_style.is_some() {
            return;
        }
        let written = name.value.as_str();
        let known = &self.known;
        let aliases = || known.aliases.keys().filter(|alias| self.alias(alias));
        let exact = known.columns.contains(written)
            || known.fields.contains(written)
            || self.alias(written)
            || (part == Part::Leading && known.tables.contains(written));
        if exact {
            return;
        }
        let found = match part {
            Part::Leading => only(written, known.tables.iter())
                .or_else(|| only(written, known.columns.iter()))
                .or_else(|| only(written, aliases())),
            Part::Last => only(written, known.columns.iter())
                .or_else(|| only(written, aliases()))
                .or_else(|| only(written, known.fields.iter())),
        };
        if let Some(found) = found {
            name.value = found;
        }
    }

    fn names<'a>(&self, names: impl ExactSizeIterator<Item = &'a mut Ident>) {
        let last = names.len().saturating_sub(1);
        for (at, name) in names.enumerate() {
            self.name(name, if at == last { Part::Last } else { Part::Leading });
        }
    }

    /// A name of a column that the grammar takes for that of an object.
    fn column(&self, name: &mut ObjectName) {
        let mut names: Vec<&mut Ident> = name
            .0
            .iter_mut()
            .filter_map(|part| match part {
                ObjectNamePart::Identifier(name) => Some(name),
                ObjectNamePart::Function(_) => None,
            })
            .collect();
        self.names(names.drain(..));
    }

    fn window(&self, name: &mut Ident) {
        if name.quote_style.is_none()
            && !self.known.windows.contains(&name.value)
            && let Some(found) = only(&name.value, self.known.windows.iter())
        {
            name.value = found;
        }
    }

    fn joins(&self, tables: &mut TableWithJoins) {
        for join in &mut tables.joins {
            let constraint = match &mut join.join_operator {
                JoinOperator::Join(constraint)
                | JoinOperator::Inner(constraint)
                | JoinOperator::Left(constraint)
                | JoinOperator::LeftOuter(constraint)
                | JoinOperator::Right(constraint)
                | JoinOperator::RightOuter(constraint)
                | JoinOperator::FullOuter(constraint)
                | JoinOperator::CrossJoin(constraint)
                | JoinOperator::Semi(constraint)
                | JoinOperator::LeftSemi(constraint)
                | JoinOperator::RightSemi(constraint)
                | JoinOperator::Anti(constraint)
                | JoinOperator::LeftAnti(constraint)
                | JoinOperator::RightAnti(constraint)
                | JoinOperator::AsOf { constraint, .. }
                | JoinOperator::StraightJoin(constraint) => constraint,
                JoinOperator::CrossApply
                | JoinOperator::OuterApply
                | JoinOperator::ArrayJoin
                | JoinOperator::LeftArrayJoin
                | JoinOperator::InnerArrayJoin => continue,
            };
            if let JoinConstraint::Using(names) = constraint {
                names.iter_mut().for_each(|name| self.column(name));
            }
        }
    }

    fn wildcard(&self, options: &mut WildcardAdditionalOptions) {
        match &mut options.opt_exclude {
            Some(ExcludeSelectItem::Single(name)) => self.column(name),
            Some(ExcludeSelectItem::Multiple(names)) => {
                names.iter_mut().for_each(|name| self.column(name));
            }
            None => {}
        }
        if let Some(except) = &mut options.opt_except {
            self.name(&mut except.first_element, Part::Last);
            except.additional_elements.iter_mut().for_each(|name| self.name(name, Part::Last));
        }
        if let Some(replace) = &mut options.opt_replace {
            for item in &mut replace.items {
                self.name(&mut item.column_name, Part::Last);
            }
        }
        match &mut options.opt_rename {
            Some(RenameSelectItem::Single(one)) => self.name(&mut one.ident, Part::Last),
            Some(RenameSelectItem::Multiple(many)) => {
                many.iter_mut().for_each(|one| self.name(&mut one.ident, Part::Last));
            }
            None => {}
        }
    }

    fn item(&self, item: &mut SelectItem) {
        match item {
            SelectItem::QualifiedWildcard(kind, options) => {
                if let SelectItemQualifiedWildcardKind::ObjectName(name) = kind {
                    for part in &mut name.0 {
                        if let ObjectNamePart::Identifier(name) = part {
                            self.name(name, Part::Leading);
                        }
                    }
                }
                self.wildcard(options);
            }
            SelectItem::Wildcard(options) => self.wildcard(options),
            SelectItem::UnnamedExpr(_)
            | SelectItem::ExprWithAlias { .. }
            | SelectItem::ExprWithAliases { .. } => {}
        }
    }
}

/// The one candidate that is `name` but for capitals.
fn only<'a>(name: &str, candidates: impl Iterator<Item = &'a String>) -> Option<String> {
    let folded = name.to_lowercase();
    let mut near = candidates.filter(|candidate| candidate.to_lowercase() == folded);
    let found = near.next()?;
    near.next().is_none().then(|| found.clone())
}

impl VisitorMut for Walk {
    type Break = Infallible;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Infallible> {
        // What a select calls its columns is known after it and in its GROUP BY, HAVING and ORDER BY, but
        // not where they are computed: `SELECT upper(user) AS user` reads the column.
        let own: Vec<String> = own_aliases(select).iter().map(|name| name.value.clone()).collect();
        for name in &own {
            *self.hidden.entry(name.clone()).or_default() += 1;
        }
        // These parts are walked here, once, and kept from the walk that follows.
        let mut projection = std::mem::take(&mut select.projection);
        let mut from = std::mem::take(&mut select.from);
        let mut selection = select.selection.take();
        for tables in &mut from {
            self.joins(tables);
        }
        for item in &mut projection {
            self.item(item);
        }
        VisitMut::visit(&mut from, self)?;
        VisitMut::visit(&mut projection, self)?;
        VisitMut::visit(&mut selection, self)?;
        self.kept.push((projection, from, selection));
        for name in &own {
            if let Some(count) = self.hidden.get_mut(name) {
                *count = count.saturating_sub(1);
            }
        }
        for NamedWindowDefinition(_, window) in &mut select.named_window {
            match window {
                NamedWindowExpr::NamedWindow(name) => self.window(name),
                NamedWindowExpr::WindowSpec(spec) => {
                    if let Some(name) = &mut spec.window_name {
                        self.window(name);
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<Infallible> {
        if let Some((projection, from, selection)) = self.kept.pop() {
            select.projection = projection;
            select.from = from;
            select.selection = selection;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Infallible> {
        if let TableFactor::NestedJoin { table_with_joins, .. } = factor {
            self.joins(table_with_joins);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
        match expr {
            Expr::Identifier(name) => self.name(name, Part::Last),
            Expr::CompoundIdentifier(names) => self.names(names.iter_mut()),
            Expr::Function(function) => match &mut function.over {
                Some(WindowType::NamedWindow(name)) => self.window(name),
                Some(WindowType::WindowSpec(spec)) => {
                    if let Some(name) = &mut spec.window_name {
                        self.window(name);
                    }
                }
                None => {}
            },
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests;
