//! A statement becomes an optimized plan over views: planned against the statement's own tables and the
//! allowed functions, checked node by node, bound to parameters, and checked again once it is optimized.
//! Reads no row; `engine` and `run` execute what comes out.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result as PlanResult, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::expr::WindowFunctionDefinition;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner};
use datafusion::logical_expr::{
    AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF, TableSource,
    WindowUDF,
};
use datafusion::sql::planner::{NullOrdering, ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast;

use super::expand::{self, Views};
use super::functions::Functions;
use super::information::Described;
use super::public::Public;
use super::statement::{INFORMATION_SCHEMA, Statement, quoted};
use super::{
    Terms, aggregates, asked, bounds, functions, hint, information, names, parameters, public,
};
use crate::error::{Code, Error, Result};
use crate::policy::plan::Plan;
use crate::policy::{Access, Policy};

/// The column that numbers privacy units. A provider has it, as its last column, where the plan's access is
/// aggregates.
///
/// PRIVACY: no statement can name it: the schema that statements are planned against does not have it.
pub(in crate::pipeline) const UNIT_COLUMN: &str = "\u{0}unit";

/// A dataset as a statement reads it.
#[derive(Debug, Clone)]
pub(in crate::pipeline) struct Table {
    /// What leaves.
    pub(in crate::pipeline) plan: Plan,
    /// Gives the policy's output, under the plan's names. With [`UNIT_COLUMN`] last where the plan gives
    /// aggregates only, noisy ones or not.
    pub(in crate::pipeline) provider: Arc<dyn TableProvider>,
    /// The dataset's public tables that the statement names.
    pub(in crate::pipeline) publics: Vec<Arc<Public>>,
}

impl Table {
    /// The public table of this name, where the statement names it.
    pub(in crate::pipeline) fn public(&self, name: &str) -> Option<&Arc<Public>> {
        self.publics.iter().find(|public| public.name == name)
    }
}

/// A planned statement.
#[derive(Debug, Clone)]
pub(super) struct Logical {
    /// Optimized. Its scans are those of the given providers and of `information_schema`, no others.
    pub(super) plan: LogicalPlan,
    /// The types of the parameters, named `$1`, `$2`, ... `Null` where any type does.
    pub(super) parameters: SchemaRef,
    /// Whether parameters have no values yet: such a plan can be described and not run.
    pub(super) open: bool,
    /// Whether a view that the statement names asks what time it is.
    pub(super) views_ask_the_time: bool,
}

/// Plans a statement. What is `described` stands in `information_schema` beside the tables.
///
/// # Errors
/// [`Code::SqlInvalid`], [`Code::SqlRefused`], [`Code::AggregatesOnly`], [`Code::ParametersInvalid`],
/// [`Code::SchemaDrift`].
pub(super) fn plan(
    statement: &Statement,
    terms: &Terms,
    tables: &[Table],
    described: &[Described],
    state: &SessionState,
) -> Result<Logical> {
    let catalogue = Catalogue::new(statement, tables, described, state)?;
    let Said { words, views, bound } = said(statement, terms, &catalogue)?;
    // PRIVACY: from here on the library's words may quote values of parameters, which are kept out of the log:
    // the audit log has their hash alone. A statement's own text stands there anyway.
    let discreet = |error: Error| match terms.parameters.is_empty() {
        true => error,
        false => error.without_cause(),
    };
    let explain = |error: DataFusionError| discreet(hint::planning(error, &words));
    let counted = catalogue.counted();
    let plan = match &counted {
        Some(counted) => {
            let protected = aggregates::protect(&bound.plan, counted).map_err(discreet);
            protected.map_err(|error| words.own(error, !views.is_empty()))?
        }
        None => bound.plan,
    };
    let plan = state
        .analyzer()
        .execute_and_check(plan, state.config_options(), |_, _| {})
        .map_err(explain)?;
    if counted.is_some() {
        aggregates::cannot_fail(&plan).map_err(discreet)?;
    }
    let plan = state.optimizer().optimize(plan, state, |_, _| {}).map_err(explain)?;
    allowed(&plan, &catalogue).map_err(discreet)?;
    let views_ask_the_time = views.ask_the_time();
    Ok(Logical { plan, parameters: bound.schema, open: bound.open, views_ask_the_time })
}

/// What a statement says, before types are made to fit.
pub(super) struct Said {
    /// What hints are made of.
    pub(super) words: hint::Words,
    /// The views that it names.
    pub(super) views: Views,
    /// The plan, with parameters.
    pub(super) bound: parameters::Bound,
}

/// Plans a statement as it stands: views written out, functions and nodes checked, parameters put in.
///
/// # Errors
/// [`Code::SqlInvalid`], [`Code::SqlRefused`], [`Code::ParametersInvalid`], [`Code::SchemaDrift`].
pub(super) fn said(
    statement: &Statement,
    terms: &Terms,
    catalogue: &Catalogue<'_>,
) -> Result<Said> {
    functions::check(statement.query())?;
    let views = Views::of(statement, catalogue)?;
    let schemas = catalogue.schemas(statement, &views);
    let query = names::resolve(statement.query(), &schemas);
    // PRIVACY: hints are made of the partner's own words, so of the query before views are written out.
    let words = hint::Words::new(&query, &schemas);
    let explain = |error: DataFusionError| hint::planning(error, &words);

    let query = views.written_out(statement, query)?;
    let plan = planned(query, catalogue).map_err(explain)?;
    allowed(&plan, catalogue)?;
    bounds::check(&plan)?;
    let bound = parameters::bind(plan, statement, &terms.parameters)?;
    Ok(Said { words, views, bound })
}

/// A query as the planner has it.
fn planned(query: ast::Query, catalogue: &Catalogue<'_>) -> PlanResult<LogicalPlan> {
    let planner = SqlToRel::new_with_options(catalogue, options());
    planner.sql_statement_to_plan(ast::Statement::Query(Box::new(query)))
}

/// The columns of a view that is written out, as a statement sees them that asks for all of it.
///
/// # Errors
/// [`Code::SqlInvalid`], [`Code::SqlRefused`], in words for who wrote the view.
pub(super) fn columns(
    name: &str,
    query: &ast::Query,
    catalogue: &Catalogue<'_>,
    words: &hint::Words,
) -> Result<SchemaRef> {
    let explain = |error: DataFusionError| hint::planning(error, words);
    let plan = planned(query.clone(), catalogue).map_err(explain)?;
    // Under its name, as it will stand: two columns of one name are refused here.
    let named = LogicalPlanBuilder::from(plan)
        .alias(TableReference::bare(name))
        .and_then(LogicalPlanBuilder::build)
        .map_err(explain)?;
    allowed(&named, catalogue)?;
    bounds::check(&named)?;
    Ok(Arc::clone(named.schema().inner()))
}

/// A query that picks all of a view.
pub(super) fn whole(name: &str) -> Result<Statement> {
    Statement::parse(&format!("SELECT * FROM {}", quoted(&[name])))
}

/// The columns of a view where no plan gives them that may run: of one that is asked through aggregates.
///
/// # Errors
/// Those of [`plan`], but [`Code::AggregatesOnly`].
pub(super) fn described(name: &str, tables: &[Table], state: &SessionState) -> Result<SchemaRef> {
    let statement = whole(name)?;
    let noisy = tables.iter().find_map(|table| match table.plan.access() {
        Access::Dp(grant) => Some((table, grant)),
        Access::Rows | Access::Aggregates { .. } => None,
    });
    let catalogue = match noisy {
        Some((table, grant)) => Catalogue::noisy(table, asked::seen(table, &grant.unit), state),
        None => Catalogue::new(&statement, tables, &[], state)?,
    };
    let views = Views::of(&statement, &catalogue)?;
    let none = || Error::new(Code::Internal, "a view that was planned is not there");
    views.schema(name).cloned().ok_or_else(none)
}

/// How names and numbers are read.
fn options() -> ParserOptions {
    ParserOptions {
        parse_float_as_decimal: false,
        // `names` does it: folding to lower case would hide columns that have capitals.
        enable_ident_normalization: false,
        enable_options_value_normalization: false,
        support_varchar_with_length: true,
        map_string_types_to_utf8view: true,
        collect_spans: false,
        default_null_ordering: NullOrdering::NullsMax,
    }
}

/// All that a statement can name: its own tables and the allowed functions.
///
/// INVARIANT: the planner looks nothing up elsewhere. No catalogue of the engine is asked, there are no
/// table functions, no variables and no file types.
pub(super) struct Catalogue<'a> {
    tables: Vec<Shown<'a>>,
    publics: Vec<ShownPublic<'a>>,
    information: Vec<(&'static str, Arc<dyn TableSource>)>,
    functions: &'static Functions,
    state: &'a SessionState,
}

/// A table as statements see it.
struct Shown<'a> {
    table: &'a Table,
    source: Arc<dyn TableSource>,
    /// What stands in the source's place once units are counted; the source itself elsewhere.
    counted: Arc<dyn TableSource>,
}

/// A public table as statements see it.
struct ShownPublic<'a> {
    dataset: &'a str,
    name: &'a str,
    source: Arc<dyn TableSource>,
}

impl<'a> Catalogue<'a> {
    /// The tables that a statement needs: the datasets that it names, and those of the views that it names.
    pub(super) fn new(
        statement: &Statement,
        tables: &'a [Table],
        described: &[Described],
        state: &'a SessionState,
    ) -> Result<Self> {
        let mut shown: Vec<Shown<'a>> = Vec::new();
        for name in statement.tables() {
            let of_view = |table: &&Table| table.plan.policy().view(name).is_some();
            let found = tables.iter().find(|table| table.plan.dataset() == name);
            let Some(table) = found.or_else(|| tables.iter().find(of_view)) else {
                let known = tables.iter().flat_map(|table| table.plan.policy().names());
                return Err(hint::no_table(name, known));
            };
            if shown.iter().any(|known| known.table.plan.dataset() == table.plan.dataset()) {
                continue;
            }
            let counted = provider_as_source(Arc::clone(&table.provider));
            let source: Arc<dyn TableSource> = match table.plan.access() {
                Access::Rows => Arc::clone(&counted),
                // PRIVACY: statements are planned against the plan's columns; that of units is not there.
                Access::Aggregates { .. } => Arc::new(Named(counted_columns(&counted.schema()))),
                // PRIVACY: rows and counts without noise are not to be had of it, whoever plans.
                Access::Dp(_) => return Err(asked::alone()),
            };
            shown.push(Shown { table, source, counted });
        }
        let mut publics = Vec::new();
        for named in statement.publics() {
            let (schema, name) = named;
            let of = tables.iter().find(|table| table.plan.dataset() == schema);
            let found = of.and_then(|table| table.public(name).map(|public| (table, public)));
            let Some((table, public)) = found else {
                let policies = tables.iter().map(|table| table.plan.policy().as_ref());
                return Err(public::no_public(named, policies));
            };
            let source = provider_as_source(public.provider()?);
            publics.push(ShownPublic { dataset: table.plan.dataset(), name: &public.name, source });
        }
        let plans = || tables.iter().map(|table| &table.plan);
        let information = if statement.reads_information_schema() {
            information::tables(plans(), described)?
        } else {
            Vec::new()
        };
        let information = information
            .into_iter()
            .map(|(name, provider)| (name, provider_as_source(provider)))
            .collect();
        Ok(Self { tables: shown, publics, information, functions: functions::allowed(), state })
    }

    /// The one dataset of a statement that is answered with noise, its columns as statements see them, and the
    /// public tables that it names.
    pub(super) fn noisy(table: &'a Table, seen: SchemaRef, state: &'a SessionState) -> Self {
        let shown = Shown {
            table,
            source: Arc::new(Named(seen)),
            counted: provider_as_source(Arc::clone(&table.provider)),
        };
        let functions = functions::allowed();
        let publics = table.publics.iter().map(|public| ShownPublic {
            dataset: table.plan.dataset(),
            name: &public.name,
            source: Arc::new(Named(public.schema())),
        });
        let publics = publics.collect();
        Self { tables: vec![shown], publics, information: Vec::new(), functions, state }
    }

    /// The tables that the statement names, by name and schema.
    fn schemas<'b>(
        &'b self,
        statement: &'b Statement,
        views: &'b Views,
    ) -> Vec<(&'b str, SchemaRef)> {
        let named = statement.tables().iter().filter_map(|name| {
            let schema = self.schema(name).or_else(|| views.schema(name).cloned())?;
            Some((name.as_str(), schema))
        });
        let information = self.information.iter().map(|(name, source)| (*name, source.schema()));
        let publics = self.publics.iter().map(|public| (public.name, public.source.schema()));
        named.chain(publics).chain(information).collect()
    }

    /// The columns of a dataset.
    pub(super) fn schema(&self, dataset: &str) -> Option<SchemaRef> {
        let found = self.tables.iter().find(|shown| shown.table.plan.dataset() == dataset);
        found.map(|shown| shown.source.schema())
    }

    /// The policy that a view stands in, and its place there. A dataset of the name comes first.
    pub(super) fn view(&self, name: &str) -> Option<(&'a Policy, usize)> {
        if self.schema(name).is_some() {
            return None;
        }
        self.tables.iter().find_map(|shown| {
            let policy = shown.table.plan.policy().as_ref();
            Some((policy, policy.views.iter().position(|view| view.name == name)?))
        })
    }

    /// The table whose units must be counted, where there is one, its source, and the fewest units.
    fn counted(&self) -> Option<aggregates::Counted> {
        self.tables.iter().find_map(|shown| match shown.table.plan.access() {
            Access::Aggregates { group_min } => Some(aggregates::Counted {
                plan: shown.table.plan.clone(),
                source: Arc::clone(&shown.counted),
                group_min: *group_min,
            }),
            Access::Rows | Access::Dp(_) => None,
        })
    }

    /// Whether a scan reads what it may.
    fn holds(&self, source: &Arc<dyn TableSource>) -> bool {
        let same = |known: &Arc<dyn TableSource>| {
            std::ptr::addr_eq(Arc::as_ptr(known), Arc::as_ptr(source))
        };
        self.tables.iter().any(|shown| same(&shown.source) || same(&shown.counted))
            || self.publics.iter().any(|public| same(&public.source))
            || self.information.iter().any(|(_, known)| same(known))
    }
}

/// A schema to plan against. It cannot be run.
#[derive(Debug)]
struct Named(SchemaRef);

impl TableSource for Named {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0)
    }
}

/// The columns without that of units.
pub(super) fn counted_columns(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().filter(|field| field.name() != UNIT_COLUMN);
    Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()))
}

impl ContextProvider for Catalogue<'_> {
    fn get_table_source(&self, name: TableReference) -> PlanResult<Arc<dyn TableSource>> {
        let found = match (name.schema(), name.table()) {
            (None, table) => self
                .tables
                .iter()
                .find(|shown| shown.table.plan.dataset() == expand::dataset(table))
                .map(|shown| &shown.source),
            (Some(INFORMATION_SCHEMA), table) => {
                self.information.iter().find(|(name, _)| *name == table).map(|(_, source)| source)
            }
            (Some(schema), table) => self
                .publics
                .iter()
                .find(|public| public.dataset == schema && public.name == table)
                .map(|public| &public.source),
        };
        found.cloned().ok_or_else(|| DataFusionError::Plan("no such table".to_owned()))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.functions.planners()
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.functions.scalar(name)
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.functions.aggregate(name)
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.functions.window(name)
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    // Names are asked for suggestions in error texts alone, which nobody hears.
    fn udf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Refuses a plan that holds anything but what a query over views is made of.
///
/// INVARIANT: asked of what the planner made and of what the optimizer made of it; what runs passed both.
fn allowed(plan: &LogicalPlan, catalogue: &Catalogue<'_>) -> Result<()> {
    let mut refused = None;
    let walked = plan.apply_with_subqueries(|node| {
        refused = refused_node(node, catalogue);
        if refused.is_none() {
            node.apply_expressions(|expr| {
                expr.apply(|expr| {
                    refused = refused_expression(expr, catalogue.functions);
                    Ok(if refused.is_some() {
                        TreeNodeRecursion::Stop
                    } else {
                        TreeNodeRecursion::Continue
                    })
                })
            })?;
        }
        Ok(if refused.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    if let Err(error) = walked {
        return Err(Error::new(Code::Internal, "a plan cannot be walked").because(error));
    }
    match refused {
        Some(text) => Err(hint::error(Code::SqlRefused, text)),
        None => Ok(()),
    }
}

/// Why a node may not stand in a plan.
fn refused_node(node: &LogicalPlan, catalogue: &Catalogue<'_>) -> Option<&'static str> {
    match node {
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Unnest(_) => None,
        LogicalPlan::TableScan(scan) if catalogue.holds(&scan.source) => None,
        LogicalPlan::TableScan(_) => Some("there is no such table"),
        LogicalPlan::RecursiveQuery(_) => Some("recursive queries are not offered"),
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => Some("plans are not shown"),
        LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::Statement(_)
        | LogicalPlan::DescribeTable(_)
        | LogicalPlan::Extension(_)
        | LogicalPlan::Repartition(_) => Some("a statement is one `SELECT`"),
    }
}

/// Why an expression may not stand in a plan.
fn refused_expression(expr: &Expr, functions: &Functions) -> Option<&'static str> {
    const FUNCTION: Option<&str> = Some("the statement needs a function that is not offered");
    let unless = |known: bool| if known { None } else { FUNCTION };
    match expr {
        Expr::Alias(_)
        | Expr::Column(_)
        | Expr::Literal(..)
        | Expr::BinaryExpr(_)
        | Expr::Like(_)
        | Expr::SimilarTo(_)
        | Expr::Not(_)
        | Expr::IsNotNull(_)
        | Expr::IsNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_)
        | Expr::Negative(_)
        | Expr::Between(_)
        | Expr::Case(_)
        | Expr::Cast(_)
        | Expr::TryCast(_)
        | Expr::InList(_)
        | Expr::Exists(_)
        | Expr::InSubquery(_)
        | Expr::SetComparison(_)
        | Expr::ScalarSubquery(_)
        | Expr::GroupingSet(_)
        | Expr::Placeholder(_)
        | Expr::OuterReferenceColumn(..)
        | Expr::Unnest(_) => None,
        Expr::ScalarFunction(call) => unless(functions.scalar(call.func.name()).is_some()),
        Expr::HigherOrderFunction(_) | Expr::Lambda(_) | Expr::LambdaVariable(_) => FUNCTION,
        Expr::AggregateFunction(call) => unless(functions.aggregate(call.func.name()).is_some()),
        Expr::WindowFunction(call) => match &call.fun {
            WindowFunctionDefinition::AggregateUDF(function) => {
                unless(functions.aggregate(function.name()).is_some())
            }
            WindowFunctionDefinition::WindowUDF(function) => {
                unless(functions.window(function.name()).is_some())
            }
        },
        Expr::ScalarVariable(..) => Some("there are no variables"),
        #[expect(
            deprecated,
            reason = "the planner replaces it by columns; one that is left is refused"
        )]
        Expr::Wildcard { .. } => Some("`*` cannot stand here"),
    }
}

#[cfg(test)]
mod tests;
