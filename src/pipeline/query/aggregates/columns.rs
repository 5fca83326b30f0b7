//! Columns in an aggregation: by which of them groups are made and rows chosen, of which aggregates are told, and
//! what they are called in the dataset. The unit, and what stands for persons, is refused.

use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};

use super::casts::TypeOf;
use super::conditions::{is_value, simple};
use super::{Protect, bare, refused};
use crate::error::Result;
use crate::pipeline::query::hint;
use crate::pipeline::transform::Exposure;

/// The aggregate functions whose answers are of the group and of nobody in it. `min`, `max`, percentiles
/// and lists are not among them: their answers are values of single persons.
const FUNCTIONS: &[&str] = &["avg", "count", "stddev", "stddev_pop", "sum", "var", "var_pop"];

/// The functions of time that a group may be made by.
const PARTS: &[&str] = &["date_part", "date_trunc"];

const KEYS: &str = "groups are made by columns, by date_trunc and date_part of them, and by steps such as `age / 10`";

impl Protect<'_> {
    /// A key of groups: a column, or a part of one that is a time.
    pub(super) fn key(&self, key: &Expr, input: &LogicalPlan) -> Result<()> {
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
    pub(super) fn condition(&self, condition: &Expr, input: &LogicalPlan) -> Result<()> {
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
    pub(super) fn call(
        &self,
        call: &AggregateFunction,
        input: &LogicalPlan,
    ) -> Result<Option<Column>> {
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
