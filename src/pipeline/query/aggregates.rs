//! Aggregates over groups of enough units: which statements a grant of aggregates answers, and the bound
//! that is put into their plans. Adds no noise: what two answers tell together is beyond it, see
//! SECURITY.md.
//!
//! A statement must be one aggregation over one dataset. Below it stand comparisons of columns with
//! values, above it anything that computes with its groups. Between them this file puts a filter: only
//! groups with `group_min` distinct units go on, so that nothing above can see the others, neither by a
//! value, nor by an order or a limit, nor by an error.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DataFusionError, ScalarValue};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams, InList};
use datafusion::logical_expr::{
    Aggregate, Between, BinaryExpr, Distinct, Expr, Filter, Like, LogicalPlan, LogicalPlanBuilder,
    Operator, Projection, SubqueryAlias, TableSource, lit,
};

use super::logical::UNIT_COLUMN;
use super::{expand, hint};
use crate::error::{Code, Error, Result};
use crate::pipeline::transform::Exposure;
use crate::policy::plan::Plan;

/// The aggregate functions whose answers are of the group and of nobody in it. `min`, `max`, percentiles
/// and lists are not among them: their answers are values of single persons.
const FUNCTIONS: &[&str] = &["avg", "count", "stddev", "stddev_pop", "sum", "var", "var_pop"];
/// The functions of time that a group may be made by.
const PARTS: &[&str] = &["date_part", "date_trunc"];
const KEYS: &str = "groups are made by columns, by date_trunc and date_part of them, and by steps such as `age / 10`";
const ALONE: &str =
    "a dataset that is granted as aggregates stands alone: no other tables, joins or subqueries";
/// How the columns that count units are called: no text can name them.
const UNITS: &str = "\u{0}units";

/// A table whose groups must be large enough.
pub(super) struct Counted {
    /// What leaves.
    pub(super) plan: Plan,
    /// The source with the column of units.
    pub(super) source: Arc<dyn TableSource>,
    /// The fewest units of a group.
    pub(super) group_min: u64,
}

/// Checks that a plan is one aggregation of an allowed shape, and puts the bound into it. The plan is as
/// the statement says it, before types are made to fit.
///
/// # Errors
/// [`Code::AggregatesOnly`].
pub(super) fn protect(plan: &LogicalPlan, counted: &Counted) -> Result<LogicalPlan> {
    let work = Protect { counted };
    let protected = work.above(plan)?;
    // Hidden columns end below a projection; a plan that shows one is not sent on.
    let names = |plan: &LogicalPlan| plan.schema().field_names();
    if names(&protected) == names(plan) {
        Ok(protected)
    } else {
        Err(refused("this shape of statement is not answered over aggregates"))
    }
}

/// Refuses a protected plan in which making types fit put something that can fail on a value: whether it
/// fails would tell of rows in groups that are too small. The plan's types are made to fit.
///
/// # Errors
/// [`Code::AggregatesOnly`].
pub(super) fn cannot_fail(plan: &LogicalPlan) -> Result<()> {
    let mut fails = false;
    let walked = plan.apply(|node| {
        // What projections and sorts compute, they compute of groups that are large enough.
        if matches!(node, LogicalPlan::Filter(_) | LogicalPlan::Aggregate(_)) {
            node.apply_expressions(|expr| {
                expr.apply(|part| {
                    if let Expr::Cast(cast) = part
                        && !is_value(&cast.expr)
                    {
                        let inputs = node.inputs();
                        let from = inputs.first().and_then(|input| cast.expr.get_type_of(input));
                        fails |= !from.is_some_and(|from| widens(&from, cast.field.data_type()));
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    });
    walked.map_err(broken)?;
    if fails {
        return Err(refused(
            "a column is compared with a value of another type: write the value in the column's type",
        ));
    }
    Ok(())
}

/// The type of an expression over a plan.
trait TypeOf {
    fn get_type_of(&self, input: &LogicalPlan) -> Option<DataType>;
}

impl TypeOf for Expr {
    fn get_type_of(&self, input: &LogicalPlan) -> Option<DataType> {
        use datafusion::logical_expr::ExprSchemable;
        self.get_type(input.schema()).ok()
    }
}

/// Whether every value of a type is one of the other, so that a cast cannot fail.
fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType::{
        Binary, BinaryView, Date32, Decimal32, Decimal64, Decimal128, Float32, Float64, Int8,
        Int16, Int32, Int64, LargeBinary, LargeUtf8, UInt8, UInt16, UInt32, UInt64, Utf8, Utf8View,
    };
    match (from, to) {
        (from, to) if from == to => true,
        (Utf8 | Utf8View | LargeUtf8, Utf8 | Utf8View | LargeUtf8)
        | (Binary | BinaryView | LargeBinary, Binary | BinaryView | LargeBinary)
        | (
            Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 | Float32
            | Decimal32(..) | Decimal64(..) | Decimal128(..),
            Float64,
        )
        | (Int8, Int16 | Int32 | Int64)
        | (Int16, Int32 | Int64)
        | (Int32, Int64)
        | (UInt8, UInt16 | UInt32 | UInt64 | Int16 | Int32 | Int64)
        | (UInt16, UInt32 | UInt64 | Int32 | Int64)
        | (UInt32, UInt64 | Int64)
        | (Date32, DataType::Date64) => true,
        (Int8 | UInt8, Decimal128(digits, scale)) => fits(*digits, *scale, 3),
        (Int16 | UInt16, Decimal128(digits, scale)) => fits(*digits, *scale, 5),
        (Int32 | UInt32, Decimal128(digits, scale)) => fits(*digits, *scale, 10),
        (Int64 | UInt64, Decimal128(digits, scale)) => fits(*digits, *scale, 20),
        (Decimal128(digits, scale), Decimal128(more, finer)) => {
            finer >= scale
                && i16::from(*more) - i16::from(*finer) >= i16::from(*digits) - i16::from(*scale)
        }
        _ => false,
    }
}

/// Whether a decimal has room for whole numbers of so many digits.
fn fits(digits: u8, scale: i8, whole: i16) -> bool {
    scale >= 0 && i16::from(digits) - i16::from(scale) >= whole
}

fn refused(text: &str) -> Error {
    hint::error(Code::AggregatesOnly, text)
}

fn broken(cause: DataFusionError) -> Error {
    Error::new(Code::Internal, "a plan of aggregates cannot be made").because(cause)
}

struct Protect<'a> {
    counted: &'a Counted,
}

impl Protect<'_> {
    /// The plan from the top down to the aggregation, over an input that is protected.
    fn above(&self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        let input = match plan {
            LogicalPlan::Aggregate(aggregate) => return self.aggregate(aggregate),
            LogicalPlan::Projection(projection) => &projection.input,
            LogicalPlan::Sort(sort) => &sort.input,
            LogicalPlan::Limit(limit) => &limit.input,
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            LogicalPlan::Distinct(Distinct::All(input)) => input,
            LogicalPlan::Filter(filter) => {
                having(filter)?;
                &filter.input
            }
            LogicalPlan::TableScan(_) => return Err(self.rows()),
            other => return Err(refused(shape(other))),
        };
        computes(plan)?;
        let input = self.above(input)?;
        plan.with_new_exprs(plan.expressions(), vec![input]).map_err(broken)
    }

    /// The partner asks for rows.
    fn rows(&self) -> Error {
        let name = self.counted.plan.dataset();
        refused(&format!(
            "`{}` is granted as aggregates: ask for count, sum, avg, var or stddev, by groups",
            hint::short(name)
        ))
    }

    /// The aggregation, with its units counted, under the filter that holds small groups back.
    fn aggregate(&self, aggregate: &Aggregate) -> Result<LogicalPlan> {
        for key in &aggregate.group_expr {
            self.key(key, &aggregate.input)?;
        }
        let mut arguments = Vec::new();
        for call in &aggregate.aggr_expr {
            let Expr::AggregateFunction(call) = bare(call) else {
                return Err(refused("this aggregate function is not offered over aggregates"));
            };
            if let Some(argument) = self.call(call, &aggregate.input)?
                && !arguments.contains(&argument)
            {
                arguments.push(argument);
            }
        }
        let (input, unit) = self.below(&aggregate.input)?;
        let unit = Expr::Column(unit);

        // PRIVACY: a group leaves when it has enough units, and when each column of which it tells
        // something has a value for enough of them: the sum over a column that one person has a value in
        // is that person's value, however many stand beside them.
        let mut calls = aggregate.aggr_expr.clone();
        let mut bounds = Vec::new();
        let conditions = std::iter::once(None).chain(arguments.into_iter().map(Some));
        for (at, argument) in conditions.enumerate() {
            let name = format!("{UNITS}{at}");
            let there = argument.map(|column| Expr::Column(column).is_not_null());
            calls.push(units(unit.clone(), there).alias(&name));
            bounds.push(Expr::Column(Column::new_unqualified(name)).gt_eq(lit(self.least())));
        }
        let grouped = Aggregate::try_new(Arc::new(input), aggregate.group_expr.clone(), calls)
            .map_err(broken)?;
        let grouped = LogicalPlan::Aggregate(grouped);
        let Some(bound) = bounds.into_iter().reduce(Expr::and) else {
            return Err(Error::new(Code::Internal, "a group without a bound"));
        };
        Ok(LogicalPlan::Filter(Filter::try_new(bound, Arc::new(grouped)).map_err(broken)?))
    }

    fn least(&self) -> i64 {
        // The loader takes no smaller bound; a plan from elsewhere gets none either.
        i64::try_from(self.counted.group_min.max(2)).unwrap_or(i64::MAX)
    }

    /// What stands below the aggregation, with the column of units, and what it is called there.
    fn below(&self, plan: &LogicalPlan) -> Result<(LogicalPlan, Column)> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                if scan.projection.is_some() || !scan.filters.is_empty() || scan.fetch.is_some() {
                    return Err(Error::new(Code::Internal, "a scan was changed before its time"));
                }
                let name = scan.table_name.clone();
                // A dataset that only an unused table of WITH names is not the one that is scanned.
                if name.schema().is_some()
                    || expand::dataset(name.table()) != self.counted.plan.dataset()
                {
                    return Err(refused(ALONE));
                }
                let scan =
                    LogicalPlanBuilder::scan(name.clone(), Arc::clone(&self.counted.source), None)
                        .and_then(LogicalPlanBuilder::build)
                        .map_err(broken)?;
                Ok((scan, Column::new(Some(name), UNIT_COLUMN)))
            }
            LogicalPlan::Filter(filter) => {
                self.condition(&filter.predicate, &filter.input)?;
                let (input, unit) = self.below(&filter.input)?;
                let filter =
                    Filter::try_new(filter.predicate.clone(), Arc::new(input)).map_err(broken)?;
                Ok((LogicalPlan::Filter(filter), unit))
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let (input, unit) = self.below(&alias.input)?;
                let name = alias.alias.clone();
                let alias =
                    SubqueryAlias::try_new(Arc::new(input), name.clone()).map_err(broken)?;
                Ok((LogicalPlan::SubqueryAlias(alias), Column::new(Some(name), unit.name)))
            }
            LogicalPlan::Projection(projection) => {
                if !projection.expr.iter().all(|expr| matches!(bare(expr), Expr::Column(_))) {
                    return Err(refused(
                        "below an aggregation columns are picked and named, not computed",
                    ));
                }
                let (input, unit) = self.below(&projection.input)?;
                let mut columns = projection.expr.clone();
                columns.push(Expr::Column(unit.clone()));
                let projection = Projection::try_new(columns, Arc::new(input)).map_err(broken)?;
                Ok((LogicalPlan::Projection(projection), unit))
            }
            LogicalPlan::Aggregate(_) => {
                Err(refused("an aggregation of an aggregation is not answered"))
            }
            LogicalPlan::Limit(_) | LogicalPlan::Sort(_) => {
                Err(refused("ORDER BY and LIMIT stand above an aggregation, not below it"))
            }
            LogicalPlan::Distinct(_) => Err(refused("write `GROUP BY` instead of `DISTINCT`")),
            other => Err(refused(shape(other))),
        }
    }

    /// A key of groups: a column, or a part of one that is a time.
    fn key(&self, key: &Expr, input: &LogicalPlan) -> Result<()> {
        let column = match bare(key) {
            Expr::Column(column) => column,
            Expr::ScalarFunction(call) if PARTS.contains(&call.func.name()) => {
                match call.args.iter().map(bare).collect::<Vec<_>>().as_slice() {
                    [part, Expr::Column(column)] if is_value(part) => column,
                    _ => return Err(refused("the parts of a time are those of a column")),
                }
            }
            // Steps of equal width, which cannot fail: the width is over zero, the column a plain number.
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::Divide | Operator::Modulo,
                right,
            }) => match (bare(left), bare(right)) {
                (Expr::Column(column), Expr::Literal(width, _))
                    if is_positive(width) && is_plain_number(column, input) =>
                {
                    column
                }
                _ => return Err(refused(KEYS)),
            },
            Expr::GroupingSet(_) => {
                // Sums over more and over less in one answer are the difference between them.
                return Err(refused(
                    "GROUPING SETS, ROLLUP and CUBE are not answered over aggregates",
                ));
            }
            _ => return Err(refused(KEYS)),
        };
        self.told(column, input)
    }

    /// A condition on rows: comparisons of columns with values.
    fn condition(&self, condition: &Expr, input: &LogicalPlan) -> Result<()> {
        let columns = simple(condition, false)?;
        columns.iter().try_for_each(|column| self.told(column, input))
    }

    /// Refuses the unit and what stands for persons where rows are chosen or grouped.
    ///
    /// PRIVACY: who can choose rows by a pseudonym chooses persons, one by one.
    fn told(&self, column: &Column, input: &LogicalPlan) -> Result<()> {
        let name = self.base(column, input)?;
        if self.is_person(&name) {
            let text = format!(
                "`{}` stands for persons: rows are neither chosen nor grouped by it",
                hint::short(&name)
            );
            return Err(refused(&text));
        }
        Ok(())
    }

    fn is_person(&self, name: &str) -> bool {
        let plan = &self.counted.plan;
        let unit = plan.policy().unit.as_deref() == Some(name);
        let exposure = plan
            .columns()
            .iter()
            .find(|column| column.name == name)
            .map(|column| column.rule.transform.exposure(&column.rule.args));
        unit || match exposure {
            Some(Exposure::Pseudonym | Exposure::StructuredPseudonym) | None => true,
            Some(Exposure::Nothing | Exposure::Coarse | Exposure::Clear) => false,
        }
    }

    /// One call of an aggregate function; the column that it is of, if it is of one.
    fn call(&self, call: &AggregateFunction, input: &LogicalPlan) -> Result<Option<Column>> {
        let name = call.func.name();
        if !FUNCTIONS.contains(&name) {
            let text = format!(
                "`{}` is not answered over aggregates: of groups there are count, sum, avg, var and stddev",
                hint::short(name)
            );
            return Err(refused(&text));
        }
        let AggregateFunctionParams { args, distinct, filter, order_by, null_treatment } =
            &call.params;
        if filter.is_some() {
            return Err(refused(
                "`FILTER` is not answered over aggregates: it can single a person out",
            ));
        }
        if !order_by.is_empty() || null_treatment.is_some() {
            return Err(refused("aggregates of groups have no order"));
        }
        let [argument] = args.as_slice() else {
            return Err(refused("an aggregate function is of one column"));
        };
        let Expr::Column(column) = bare(argument) else {
            if name == "count" && !distinct && is_value(argument) {
                return Ok(None);
            }
            return Err(refused(
                "aggregate functions are of columns, not of what is computed from them",
            ));
        };
        let base = self.base(column, input)?;
        if name != "count" && (*distinct || self.is_person(&base)) {
            return Err(refused("of distinct values and of persons there is `count` alone"));
        }
        Ok(Some(column.clone()))
    }

    /// What a column is called in the dataset.
    fn base(&self, column: &Column, plan: &LogicalPlan) -> Result<String> {
        let lost = || refused("a column is not one of the dataset's");
        let at = plan.schema().maybe_index_of_column(column).ok_or_else(lost)?;
        match plan {
            LogicalPlan::TableScan(scan) => scan
                .projected_schema
                .fields()
                .get(at)
                .map(|field| field.name().clone())
                .ok_or_else(lost),
            LogicalPlan::Filter(filter) => self.base(column, &filter.input),
            LogicalPlan::SubqueryAlias(alias) => {
                let (table, field) = alias.input.schema().qualified_field(at);
                self.base(&Column::from((table, field)), &alias.input)
            }
            LogicalPlan::Projection(projection) => match projection.expr.get(at).map(bare) {
                Some(Expr::Column(inner)) => self.base(inner, &projection.input),
                Some(_) | None => Err(lost()),
            },
            _ => Err(lost()),
        }
    }
}

/// Whether a value is a number over zero.
fn is_positive(value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Int64(Some(number)) => *number > 0,
        ScalarValue::UInt64(Some(number)) => *number > 0,
        ScalarValue::Float64(Some(number)) => *number > 0.0,
        _ => false,
    }
}

fn is_plain_number(column: &Column, input: &LogicalPlan) -> bool {
    let kind = Expr::Column(column.clone()).get_type_of(input);
    kind.is_some_and(|kind| kind.is_integer() || kind.is_floating())
}

/// The number of distinct units, of all rows or of those for which something holds. Null is no unit.
fn units(unit: Expr, holds: Option<Expr>) -> Expr {
    Expr::AggregateFunction(AggregateFunction::new_udf(
        count_udaf(),
        vec![unit],
        true,
        holds.map(Box::new),
        Vec::new(),
        None,
    ))
}

/// An expression without the names it is given.
fn bare(mut expr: &Expr) -> &Expr {
    while let Expr::Alias(alias) = expr {
        expr = &alias.expr;
    }
    expr
}

/// Whether an expression is a value that the statement itself says: it depends on no row.
fn is_value(expr: &Expr) -> bool {
    let mut value = true;
    let walked = expr.apply(|part| {
        value &= matches!(
            part,
            Expr::Literal(..)
                | Expr::Placeholder(_)
                | Expr::Alias(_)
                | Expr::Cast(_)
                | Expr::TryCast(_)
                | Expr::Negative(_)
                | Expr::BinaryExpr(_)
                | Expr::ScalarFunction(_)
        );
        Ok(if value { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    walked.is_ok() && value
}

/// Refuses a condition above an aggregation that could fail on a group, or see one that is too small.
///
/// PRIVACY: the optimizer may work it together with the bound, or below the aggregation. So it is made of
/// comparisons, which cannot fail, and of columns that nothing was computed for.
fn having(filter: &Filter) -> Result<()> {
    simple(&filter.predicate, true)?;
    let mut input = filter.input.as_ref();
    loop {
        input = match input {
            LogicalPlan::Aggregate(_) => return Ok(()),
            LogicalPlan::Projection(projection) => {
                if !projection.expr.iter().all(|expr| matches!(bare(expr), Expr::Column(_))) {
                    return Err(refused(
                        "conditions on groups compare aggregates and keys as they are",
                    ));
                }
                &projection.input
            }
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            LogicalPlan::Filter(filter) => &filter.input,
            LogicalPlan::Sort(sort) => &sort.input,
            LogicalPlan::Limit(limit) => &limit.input,
            LogicalPlan::Distinct(Distinct::All(input)) => input,
            // Not an aggregation at all; the walk says so.
            _ => return Ok(()),
        };
    }
}

/// The columns of a condition that is made of comparisons with values, and `among` columns where allowed.
fn simple(condition: &Expr, among: bool) -> Result<Vec<Column>> {
    let only = || {
        refused(
            "conditions compare columns with values: =, <, IN, BETWEEN, LIKE, IS NULL, and AND, OR, NOT",
        )
    };
    let one = |expr: &Expr, values: &[&Expr]| match bare(expr) {
        Expr::Column(column) if values.iter().all(|value| is_value(value)) => {
            Ok(vec![column.clone()])
        }
        _ => Err(only()),
    };
    match bare(condition) {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
            let mut columns = simple(left, among)?;
            columns.extend(simple(right, among)?);
            Ok(columns)
        }
        Expr::Not(inner)
        | Expr::IsTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsUnknown(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsNotFalse(inner)
        | Expr::IsNotUnknown(inner) => simple(inner, among),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let compares = matches!(
                op,
                Operator::Eq
                    | Operator::NotEq
                    | Operator::Lt
                    | Operator::LtEq
                    | Operator::Gt
                    | Operator::GtEq
                    | Operator::IsDistinctFrom
                    | Operator::IsNotDistinctFrom
            );
            match (bare(left), bare(right)) {
                _ if !compares => Err(only()),
                (Expr::Column(one), Expr::Column(other)) if among => {
                    Ok(vec![one.clone(), other.clone()])
                }
                (Expr::Column(_), value) => one(left, &[value]),
                (value, _) => one(right, &[value]),
            }
        }
        Expr::IsNull(inner) | Expr::IsNotNull(inner) => one(inner, &[]),
        Expr::Between(Between { expr, low, high, .. }) => one(expr, &[low, high]),
        Expr::InList(InList { expr, list, .. }) => one(expr, &list.iter().collect::<Vec<_>>()),
        Expr::Like(Like { expr, pattern, .. }) => one(expr, &[pattern]),
        // A column of flags, or a condition that holds for all rows or for none.
        Expr::Column(column) => Ok(vec![column.clone()]),
        value if is_value(value) => Ok(Vec::new()),
        _ => Err(only()),
    }
}

/// Refuses what looks beyond the groups that a node is given.
fn computes(node: &LogicalPlan) -> Result<()> {
    let mut beyond = None;
    let walked = node.apply_expressions(|expr| {
        expr.apply(|part| {
            beyond = match part {
                Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::ScalarSubquery(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..) => {
                    Some("subqueries are not answered over aggregates")
                }
                Expr::WindowFunction(_) => {
                    Some("window functions are not answered over aggregates")
                }
                Expr::AggregateFunction(_) => {
                    Some("an aggregation of an aggregation is not answered")
                }
                Expr::Unnest(_) => Some("lists are not answered over aggregates"),
                _ => return Ok(TreeNodeRecursion::Continue),
            };
            Ok(TreeNodeRecursion::Stop)
        })
    });
    walked.map_err(broken)?;
    beyond.map_or(Ok(()), |text| Err(refused(text)))
}

/// Why a node has no place in an aggregation.
fn shape(node: &LogicalPlan) -> &'static str {
    match node {
        LogicalPlan::Join(_) | LogicalPlan::Subquery(_) => ALONE,
        LogicalPlan::Union(_) => "set operations are not answered over aggregates",
        LogicalPlan::Window(_) => "window functions are not answered over aggregates",
        LogicalPlan::Unnest(_) => "lists are not answered over aggregates",
        LogicalPlan::Distinct(_) => "`DISTINCT ON` is not answered over aggregates",
        _ => {
            "a dataset that is granted as aggregates is asked by one aggregation, and nothing else"
        }
    }
}

#[cfg(test)]
mod tests;
