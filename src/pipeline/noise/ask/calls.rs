//! The aggregate functions of a statement as what is measured: counts, sums and points of a grid. Knows which
//! are answered and what to write instead of the others; computes nothing.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::{Expr, when};

use super::below::{Below, broken};
use super::canonical::text;
use super::nulls::{Filled, always, filled, said};
use super::total::{kind, total};
use super::values::bounds;
use crate::error::Result;
use crate::pipeline::query::{bare, refused, short, widens};
use crate::policy::privacy::{Bounds, DpGrant};

/// One aggregate function of a statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Call {
    /// How many units.
    Units,
    /// How many rows, and as which values columns were counted that may have none.
    Rows(Filled),
    /// How many rows have the value.
    Count(Number),
    /// The sum.
    Sum(Number),
    /// The mean.
    Average(Number),
    /// How widely values lie.
    Spread {
        /// Of which value.
        number: Number,
        /// Of a sample rather than of all.
        sample: bool,
        /// The root of it: the standard deviation.
        root: bool,
    },
    /// The point that cuts off a part of the rows.
    Quantile(Number, (u64, u64)),
}

impl Call {
    /// The value that it is of.
    pub(super) const fn number(&self) -> Option<&Number> {
        match self {
            Self::Units | Self::Rows(_) => None,
            Self::Count(number)
            | Self::Sum(number)
            | Self::Average(number)
            | Self::Spread { number, .. }
            | Self::Quantile(number, _) => Some(number),
        }
    }

    /// As which values columns count in it that may have none.
    pub(super) fn filled(&self) -> Option<&Filled> {
        match self {
            Self::Rows(filled) => Some(filled),
            other => other.number().map(|number| &number.filled),
        }
    }
}

/// What is counted or summed: an expression with bounds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Number {
    /// What it is told apart by.
    pub(super) text: String,
    /// What gives it, guarded.
    pub(super) expr: Expr,
    /// Where it lies.
    pub(super) bounds: Bounds,
    /// What it is in words, where its text is not that.
    pub(super) said: Option<String>,
    /// Whether it is there in every row, so that counting it is counting rows.
    pub(super) always: bool,
    /// As which values columns count in it that may have none.
    pub(super) filled: Filled,
}

/// What calls are read with.
pub(super) struct Reader<'a> {
    /// The rows.
    pub(super) below: &'a Below,
    /// The grant.
    pub(super) grant: &'a DpGrant,
}

impl Reader<'_> {
    /// One call of an aggregate function.
    ///
    /// # Errors
    /// [`Code::NoisyOnly`](crate::error::Code::NoisyOnly).
    pub(super) fn call(&self, expr: &Expr) -> Result<Call> {
        let Expr::AggregateFunction(call) = bare(expr) else {
            return Err(refused("this aggregate function is not answered with noise"));
        };
        let AggregateFunction { func, params } = call;
        let AggregateFunctionParams { args, distinct, filter, order_by, null_treatment } = params;
        let name = func.name();
        let filter = match filter {
            None => None,
            Some(filter) => Some(self.below.written_out(filter)?),
        };
        let within = matches!(name, "percentile_cont" | "approx_percentile_cont");
        if null_treatment.is_some() || (!order_by.is_empty() && !within) {
            return Err(refused(
                "noisy aggregates are of groups, which have no order: leave `ORDER BY` and `NULLS` out of the function",
            ));
        }
        let [argument, more @ ..] = args.as_slice() else { return Err(self.unknown(name)) };
        let argument = self.below.written_out(argument)?;
        if *distinct {
            return self.distinct(name, &argument, more, filter.is_some());
        }
        if name == "count" {
            return if more.is_empty() {
                self.count(argument, filter)
            } else {
                Err(refused("`COUNT` is of one column, or of `*`"))
            };
        }
        let number = |of: &Self| of.number(name, &argument, filter.as_ref());
        let spread = |sample, root| Ok(Call::Spread { number: number(self)?, sample, root });
        let rank = |descending: bool| match more {
            [rank] => self.rank(rank, descending),
            _ => Err(refused("a quantile needs its part, as in `approx_percentile_cont(x, 0.9)`")),
        };
        match name {
            "approx_median" | "median" if more.is_empty() => {
                Ok(Call::Quantile(number(self)?, (1, 2)))
            }
            "min" if more.is_empty() => Ok(Call::Quantile(number(self)?, (0, 1))),
            "max" if more.is_empty() => Ok(Call::Quantile(number(self)?, (1, 1))),
            "percentile_cont" | "approx_percentile_cont" => {
                let descending = order_by.iter().any(|order| !order.asc);
                let rank = rank(descending)?;
                Ok(Call::Quantile(number(self)?, rank))
            }
            "sum" if more.is_empty() => Ok(Call::Sum(number(self)?)),
            "avg" if more.is_empty() => Ok(Call::Average(number(self)?)),
            "var" | "var_samp" if more.is_empty() => spread(true, false),
            "var_pop" if more.is_empty() => spread(false, false),
            "stddev" | "stddev_samp" if more.is_empty() => spread(true, true),
            "stddev_pop" if more.is_empty() => spread(false, true),
            _ => Err(self.unknown(name)),
        }
    }

    fn unknown(&self, name: &str) -> crate::error::Error {
        let instead = match name {
            "approx_distinct" => format!("`COUNT(DISTINCT \"{}\")` alone", short(&self.grant.unit)),
            "first_value" | "last_value" | "any_value" | "nth_value" => {
                "`MIN`, `MAX` or `MEDIAN`".to_owned()
            }
            "array_agg" | "string_agg" => "`GROUP BY` and `COUNT(*)`".to_owned(),
            "bool_and" | "bool_or" => "`COUNT(*)` with `WHERE`".to_owned(),
            _ => "COUNT, SUM, AVG, VAR, STDDEV, MEDIAN, MIN, MAX and APPROX_PERCENTILE_CONT"
                .to_owned(),
        };
        refused(&format!("`{}` is not answered with noise: write {instead}", short(name)))
    }

    fn distinct(&self, name: &str, argument: &Expr, more: &[Expr], filtered: bool) -> Result<Call> {
        let unit = &self.grant.unit;
        let is_unit = matches!(argument, Expr::Column(column) if column.name == *unit);
        if name == "count" && more.is_empty() && is_unit {
            return if filtered {
                Err(refused(
                    "units are counted among all rows of a group: write the condition into `WHERE`",
                ))
            } else {
                Ok(Call::Units)
            };
        }
        Err(refused(&format!(
            "of distinct values only `COUNT(DISTINCT \"{}\")`, the unit, is answered with noise: group by the others",
            short(unit)
        )))
    }

    /// Rows that have a value: of a number those that bounds are known of, so that a mean of it counts the
    /// same; of all else those where it is not null.
    fn count(&self, argument: Expr, filter: Option<Expr>) -> Result<Call> {
        let schema = self.below.schema();
        let argument = widened(self.below.simple(argument)?, schema);
        total(&argument, schema)?;
        let numeric = kind(&argument, schema).is_numeric()
            && bounds(&argument, &self.below.bounds, "count").is_ok();
        if is_null(&argument) {
            return Err(refused("`COUNT` of null is zero: nothing is asked"));
        }
        let (measured, filled) = self.filled(argument.clone())?;
        let condition = match &measured {
            // Where there is a value in every row, rows are counted.
            measured if always(measured, schema) => None,
            _ if numeric => {
                return self.number("count", &argument, filter.as_ref()).map(Call::Count);
            }
            _ if kind(&measured, schema).is_floating() => {
                // NaN is no value, here as everywhere.
                let nan = datafusion::functions::expr_fn::isnan(measured.clone());
                Some(measured.is_not_null().and(nan.is_not_true()))
            }
            _ => Some(measured.is_not_null()),
        };
        let Some(condition) = condition.into_iter().chain(filter).reduce(Expr::and) else {
            return Ok(Call::Rows(filled));
        };
        let condition = self.below.simple(condition)?;
        if condition == Expr::Literal(ScalarValue::Boolean(Some(true)), None) {
            return Ok(Call::Rows(filled));
        }
        let text = format!("(one {})", text(&condition));
        let condition = total(&condition, schema)?;
        let one = Expr::Literal(ScalarValue::Int64(Some(1)), None);
        let expr = when(condition, one).end().map_err(broken)?;
        let bounds = Bounds { low: 0.0, high: 1.0, step: 1.0 };
        Ok(Call::Count(Number { text, expr, bounds, said: None, always: false, filled }))
    }

    /// A measured expression with values for what is missing.
    fn filled(&self, argument: Expr) -> Result<(Expr, Filled)> {
        let (expr, filled) = filled(argument, &self.grant.null_as, self.below.schema())?;
        Ok((self.below.simple(expr)?, filled))
    }

    /// A number with bounds, of all rows or of those of `FILTER`.
    fn number(&self, what: &str, argument: &Expr, filter: Option<&Expr>) -> Result<Number> {
        let schema = self.below.schema();
        let mut expr = widened(self.below.simple(argument.clone())?, schema);
        if !kind(&expr, schema).is_numeric() {
            total(&expr, schema)?;
            let text = format!(
                "`{}` is of numbers: of texts, times and flags there is `COUNT`, and `GROUP BY`",
                short(what)
            );
            return Err(refused(&text));
        }
        let filled;
        (expr, filled) = self.filled(expr)?;
        if let Some(filter) = filter {
            let case = when(filter.clone(), expr).end().map_err(broken)?;
            expr = self.below.simple(case)?;
        }
        let text = text(&expr);
        let guarded = total(&expr, schema)?;
        let bounds = bounds(&expr, &self.below.bounds, what)?;
        let always = always(&expr, schema);
        let said = said(&expr, schema);
        Ok(Number { text, expr: guarded, bounds, said, always, filled })
    }

    /// The part of the rows that a quantile cuts off, as a fraction.
    fn rank(&self, rank: &Expr, descending: bool) -> Result<(u64, u64)> {
        let rank = self.below.simple(self.below.written_out(rank)?)?;
        let part = match &rank {
            Expr::Literal(value, _) => match value.cast_to(&DataType::Float64) {
                Ok(ScalarValue::Float64(Some(part))) if (0.0..=1.0).contains(&part) => part,
                _ => return Err(refused(RANK)),
            },
            Expr::Placeholder(_) => 0.5,
            _ => return Err(refused(RANK)),
        };
        let (below, of) = fraction(part);
        Ok(if descending { (of - below, of) } else { (below, of) })
    }
}

const RANK: &str = "the part of a quantile is a number from 0 to 1 that the statement writes";

/// A part as a fraction in lowest terms, of at most nine digits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the part lies from 0 to 1"
)]
fn fraction(part: f64) -> (u64, u64) {
    const DIGITS: u64 = 1_000_000_000;
    let (mut below, mut of) = ((part * 1e9).round() as u64, DIGITS);
    for prime in [2, 5] {
        while below % prime == 0 && of % prime == 0 {
            (below, of) = (below / prime, of / prime);
        }
    }
    (below, of)
}

/// An expression without casts that only widen it: what it is as a number does not change.
fn widened(mut expr: Expr, schema: &DFSchema) -> Expr {
    loop {
        let inner = match &expr {
            Expr::Alias(alias) => &alias.expr,
            Expr::Cast(cast) => {
                let (from, to) = (kind(&cast.expr, schema), cast.field.data_type());
                let same = from.is_numeric() && to.is_numeric() && widens(&from, to);
                if !same || matches!(*cast.expr, Expr::Literal(..)) {
                    return expr;
                }
                &cast.expr
            }
            _ => return expr,
        };
        expr = inner.as_ref().clone();
    }
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if value.is_null())
}
