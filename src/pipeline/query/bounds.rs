//! Bounds on what a plan may grow into. A short statement can stand for a huge one: columns that are
//! computed from columns double with each step, and functions of texts multiply lengths. Measures plans
//! before they are optimized; limits of time and memory while a query runs are the engine's.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Distinct, Expr, LogicalPlan, Operator};

use super::hint;
use crate::error::{Code, Error, Result};

/// How many operations one column may stand for, once all columns that it is computed from are written out.
const OPERATIONS_MAX: u64 = 10_000;
/// How many times longer than a value of the data a computed text may be.
const GROWTH_MAX: u64 = 64;
/// How many bytes of the statement's own texts may stand in each row of an answer or of a step to it.
const TEXTS_MAX: u64 = 16 * 1024;

/// Refuses a plan that grows beyond bounds.
///
/// # Errors
/// [`Code::SqlRefused`].
pub(super) fn check(plan: &LogicalPlan) -> Result<()> {
    columns(plan).map(|_| ())
}

/// What a column may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Size {
    /// Operations, with columns written out.
    operations: u64,
    /// A text is at most so many times as long as values of the data,
    growth: u64,
    /// and so many bytes more.
    bytes: u64,
}

/// A column of the data.
const CELL: Size = Size { operations: 1, growth: 1, bytes: 0 };
/// A number, a flag or a time.
const SMALL: Size = Size { operations: 0, growth: 0, bytes: 40 };

impl Size {
    const fn and(self, other: Self) -> Self {
        Self {
            operations: self.operations.saturating_add(other.operations),
            growth: self.growth.saturating_add(other.growth),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            operations: self.operations.max(other.operations),
            growth: self.growth.max(other.growth),
            bytes: self.bytes.max(other.bytes),
        }
    }

    const fn times(self, factor: u64) -> Self {
        Self {
            operations: self.operations,
            growth: self.growth.saturating_mul(factor),
            bytes: self.bytes.saturating_mul(factor),
        }
    }

    const fn step(self) -> Self {
        Self { operations: self.operations.saturating_add(1), ..self }
    }

    /// The same work, and an answer that is no text.
    const fn small(self) -> Self {
        Self { operations: self.operations, ..SMALL }
    }

    fn bounded(self) -> Result<Self> {
        if self.operations > OPERATIONS_MAX {
            let text = format!(
                "a column stands for more than {OPERATIONS_MAX} operations once it is written out"
            );
            return Err(refused(&text));
        }
        if self.growth > GROWTH_MAX {
            let text = format!(
                "a text can become more than {GROWTH_MAX} times as long as what it is made from"
            );
            return Err(refused(&text));
        }
        Ok(self)
    }
}

fn refused(text: &str) -> Error {
    hint::error(Code::SqlRefused, text)
}

/// The sizes of a plan's columns.
///
/// INVARIANT: each input is measured once, so that the measure itself takes time in proportion to the plan.
fn columns(plan: &LogicalPlan) -> Result<Vec<Size>> {
    let mut inputs = Vec::new();
    for input in plan.inputs() {
        inputs.push((input, columns(input)?));
    }
    let width = plan.schema().fields().len();
    let all = |exprs: &[Expr]| -> Result<Vec<Size>> {
        exprs.iter().map(|expr| size(expr, &inputs)?.bounded()).collect()
    };
    let below = || inputs.iter().flat_map(|(_, sizes)| sizes.iter().copied());
    let sizes = match plan {
        LogicalPlan::Projection(projection) => all(&projection.expr)?,
        LogicalPlan::Aggregate(aggregate) => {
            let mut sizes = all(&aggregate.group_expr)?;
            // What is written out ends at an aggregate: nothing moves through it.
            let calls = all(&aggregate.aggr_expr)?;
            sizes.extend(calls.into_iter().map(|size| Size { operations: 1, ..size }));
            // Sets of groups have columns of their own.
            sizes.resize(width, sizes.iter().copied().fold(SMALL, Size::or));
            sizes
        }
        LogicalPlan::Window(window) => {
            let calls = all(&window.window_expr)?;
            below().chain(calls).collect()
        }
        LogicalPlan::Values(values) => {
            let mut sizes = vec![Size::default(); width];
            for row in &values.values {
                for (size, value) in sizes.iter_mut().zip(all(row)?) {
                    *size = size.or(value);
                }
            }
            sizes
        }
        LogicalPlan::Union(_) => {
            let mut sizes = vec![Size::default(); width];
            for (_, input) in &inputs {
                for (size, other) in sizes.iter_mut().zip(input) {
                    *size = size.or(*other);
                }
            }
            sizes
        }
        LogicalPlan::Distinct(Distinct::On(on)) => {
            all(&on.on_expr)?;
            all(&on.select_expr)?
        }
        LogicalPlan::TableScan(_) => vec![CELL; width],
        LogicalPlan::EmptyRelation(_) => vec![SMALL; width],
        // Lists are longer than what stands in them.
        LogicalPlan::Unnest(_) => vec![below().fold(SMALL, Size::or); width],
        other => {
            all(&other.expressions())?;
            let mut sizes: Vec<Size> = below().collect();
            // A join that only asks whether there is a match, or marks it.
            sizes.resize(width, SMALL);
            sizes
        }
    };
    let bytes = sizes.iter().fold(0_u64, |bytes, size| bytes.saturating_add(size.bytes));
    // Numbers are counted as texts of forty bytes: a table may have many.
    let numbers = u64::try_from(sizes.len()).unwrap_or(u64::MAX).saturating_mul(SMALL.bytes);
    if bytes > TEXTS_MAX.saturating_add(numbers) {
        let text = format!("the statement's own texts make each row longer than {TEXTS_MAX} bytes");
        return Err(refused(&text));
    }
    Ok(sizes)
}

type Inputs<'a> = [(&'a LogicalPlan, Vec<Size>)];

/// The size of one expression.
fn size(expr: &Expr, inputs: &Inputs<'_>) -> Result<Size> {
    let parts = |parts: &[&Expr]| {
        parts
            .iter()
            .try_fold(Size::default(), |sum, part| Ok::<_, Error>(sum.and(size(part, inputs)?)))
    };
    Ok(match expr {
        Expr::Column(column) => inputs
            .iter()
            .find_map(|(input, sizes)| {
                sizes.get(input.schema().maybe_index_of_column(column)?).copied()
            })
            .unwrap_or(CELL),
        Expr::OuterReferenceColumn(..) => CELL,
        Expr::Literal(value, _) => literal(value),
        Expr::Placeholder(_) | Expr::ScalarVariable(..) => SMALL,
        Expr::Alias(alias) => size(&alias.expr, inputs)?,
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) => {
            parts(&[left, right])?.step()
        }
        Expr::BinaryExpr(BinaryExpr { left, right, .. }) => parts(&[left, right])?.step().small(),
        Expr::Like(like) | Expr::SimilarTo(like) => {
            parts(&[&like.expr, &like.pattern])?.step().small()
        }
        Expr::Not(inner)
        | Expr::IsNotNull(inner)
        | Expr::IsNull(inner)
        | Expr::IsTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsUnknown(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsNotFalse(inner)
        | Expr::IsNotUnknown(inner)
        | Expr::Negative(inner) => size(inner, inputs)?.step().small(),
        Expr::Between(between) => {
            parts(&[&between.expr, &between.low, &between.high])?.step().small()
        }
        // A long list is one step: it becomes a set.
        Expr::InList(list) => {
            let mut sum = size(&list.expr, inputs)?;
            for value in list.list.iter().filter(|value| !matches!(value, Expr::Literal(..))) {
                sum = sum.and(size(value, inputs)?);
            }
            sum.step().small()
        }
        Expr::Case(case) => {
            let mut sum = Size::default();
            let pairs = case.when_then_expr.iter().flat_map(|(when, then)| [when, then]);
            for part in case.expr.iter().chain(pairs).chain(case.else_expr.iter()) {
                sum = sum.and(size(part, inputs)?);
            }
            sum.step()
        }
        Expr::Cast(cast) => size(&cast.expr, inputs)?.step().or(SMALL),
        Expr::TryCast(cast) => size(&cast.expr, inputs)?.step().or(SMALL),
        Expr::ScalarFunction(call) => function(call.func.name(), &call.args, inputs)?,
        Expr::AggregateFunction(call) => {
            let filter = call.params.filter.iter().map(AsRef::as_ref);
            let orders = call.params.order_by.iter().map(|order| &order.expr);
            parts(&call.params.args.iter().chain(filter).chain(orders).collect::<Vec<_>>())?.step()
        }
        Expr::WindowFunction(call) => {
            let orders = call.params.order_by.iter().map(|order| &order.expr);
            let all = call.params.args.iter().chain(&call.params.partition_by).chain(orders);
            parts(&all.collect::<Vec<_>>())?.step()
        }
        Expr::GroupingSet(sets) => parts(&sets.distinct_expr())?.step(),
        Expr::Exists(exists) => subquery(&exists.subquery.subquery)?.small(),
        Expr::InSubquery(within) => {
            subquery(&within.subquery.subquery)?.and(size(&within.expr, inputs)?).small()
        }
        Expr::SetComparison(within) => {
            subquery(&within.subquery.subquery)?.and(size(&within.expr, inputs)?).small()
        }
        Expr::ScalarSubquery(within) => subquery(&within.subquery)?,
        Expr::Unnest(inner) => size(&inner.expr, inputs)?.step(),
        // Refused elsewhere.
        Expr::HigherOrderFunction(_) | Expr::Lambda(_) | Expr::LambdaVariable(_) => CELL,
        #[expect(deprecated, reason = "refused elsewhere")]
        Expr::Wildcard { .. } => CELL,
    })
}

fn subquery(plan: &LogicalPlan) -> Result<Size> {
    Ok(columns(plan)?.into_iter().fold(SMALL, Size::or))
}

fn literal(value: &ScalarValue) -> Size {
    let bytes = match value {
        ScalarValue::Utf8(Some(text))
        | ScalarValue::Utf8View(Some(text))
        | ScalarValue::LargeUtf8(Some(text)) => text.len(),
        ScalarValue::Binary(Some(bytes))
        | ScalarValue::BinaryView(Some(bytes))
        | ScalarValue::LargeBinary(Some(bytes)) => bytes.len(),
        other => other.size(),
    };
    Size { operations: 0, growth: 0, bytes: u64::try_from(bytes).unwrap_or(u64::MAX) }
}

/// The size of what a function gives. Most give no more than they take.
fn function(name: &str, args: &[Expr], inputs: &Inputs<'_>) -> Result<Size> {
    let sizes = args.iter().map(|arg| size(arg, inputs)).collect::<Result<Vec<_>>>()?;
    let sum = sizes.iter().copied().fold(Size::default(), Size::and).step();
    // For each piece of the first argument as many bytes as this one has.
    let spread = |at: usize, more: u64| match sizes.get(at) {
        Some(Size { growth: 0, bytes, .. }) => Ok(sum.times(bytes.saturating_add(more))),
        Some(_) => {
            let text = format!("of `{name}` argument {} must be a value and no column", at + 1);
            Err(refused(&text))
        }
        None => Ok(sum),
    };
    match name {
        "replace" => match (sizes.get(1), sizes.get(2)) {
            (
                Some(Size { growth: 0, bytes: from @ 1.., .. }),
                Some(Size { growth: 0, bytes: to, .. }),
            ) => Ok(sum.times(to.div_ceil(*from).max(1))),
            _ => spread(2, 1),
        },
        // The replacement may hold the match as often as it has room for its name.
        "regexp_replace" => spread(2, 1).map(|size| size.times(2)),
        "array_to_string" => spread(1, 4),
        "encode" => Ok(sum.times(2)),
        // A letter of a format becomes a word.
        "to_char" => Ok(Size { growth: 0, ..sum.times(16) }.or(SMALL)),
        _ => Ok(sum),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{jobs, planned, refusal};
    use super::*;
    use crate::pipeline::query::logical::Table;

    fn tables() -> Vec<Table> {
        vec![jobs("access: rows")]
    }

    #[test]
    fn columns_that_double_with_each_step_are_refused_before_they_are_written_out() {
        let mut sql = "WITH t0 AS (SELECT wait_s AS x FROM jobs)".to_owned();
        for at in 1..40 {
            sql.push_str(&format!(", t{at} AS (SELECT x + x AS x FROM t{})", at - 1));
        }
        let (code, hint) = refusal(&format!("{sql} SELECT x FROM t39 WHERE x > 0"), &tables());
        assert_eq!(code, Code::SqlRefused);
        assert!(hint.contains("operations"), "{hint}");
        planned(&format!("{sql} SELECT x FROM t9 WHERE x > 0"), &tables()).unwrap();
    }

    #[test]
    fn measuring_takes_time_in_proportion_to_the_plan() {
        let joins = (1..60).map(|at| format!(" JOIN jobs a{at} ON a{at}.pk = a{}.pk", at - 1));
        let joined = format!("SELECT count(*) FROM jobs a0{}", joins.collect::<String>());
        let mut nested = "WITH t0 AS (SELECT pk FROM jobs)".to_owned();
        for at in 1..60 {
            let below = at - 1;
            nested
                .push_str(&format!(", t{at} AS (SELECT max(pk) AS pk FROM t{below} GROUP BY pk)"));
        }
        let planning = std::thread::Builder::new().stack_size(16 << 20).spawn(move || {
            for sql in [joined, format!("{nested} SELECT * FROM t59")] {
                planned(&sql, &tables()).unwrap();
            }
        });
        planning.unwrap().join().unwrap();
    }

    #[test]
    fn texts_do_not_multiply() {
        let long = "b".repeat(200);
        let grow = |inner: &str| format!("replace({inner}, 'a', 'bbbbbbbbbb')");
        for sql in [
            format!("SELECT replace(dept, 'a', '{long}') FROM jobs"),
            format!("SELECT {} FROM jobs", grow(&grow("dept"))),
            format!("SELECT {} FROM (SELECT {} AS x FROM jobs)", grow("x"), grow("dept")),
            "SELECT replace(dept, '', notes) FROM jobs".to_owned(),
            "SELECT replace(dept, dept, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa') FROM jobs".to_owned(),
            format!("SELECT regexp_replace(dept, '.', '{long}', 'g') FROM jobs"),
            "SELECT regexp_replace(dept, '.', notes, 'g') FROM jobs".to_owned(),
            format!("SELECT array_to_string(string_to_array(dept, ''), '{long}') FROM jobs"),
            format!("SELECT {} FROM jobs", vec!["dept"; 100].join(" || ")),
            format!("SELECT '{}' FROM jobs", "x".repeat(20_000)),
            format!("SELECT upper('{}') || dept FROM jobs", "x".repeat(20_000)),
            format!("SELECT a || b FROM (SELECT '{0}' AS a, '{0}' AS b FROM jobs)", "x".repeat(9_000)),
        ] {
            let (code, hint) = refusal(&sql, &tables());
            assert_eq!(code, Code::SqlRefused, "{sql:.100}: {hint}");
        }
    }

    #[test]
    fn what_people_write_is_within_bounds() {
        for sql in [
            "SELECT replace(replace(dept, 'a', 'bb'), 'c', ''), regexp_replace(notes, '[0-9]+', '#') FROM jobs".to_owned(),
            "SELECT concat_ws(', ', dept, notes, User, user_id, ip) FROM jobs".to_owned(),
            format!("SELECT count(*) FROM jobs WHERE dept IN ('{}')", vec!["department"; 2_000].join("', '")),
            format!("SELECT * FROM (VALUES {}) AS t(x)", vec!["('some text')"; 500].join(", ")),
            "SELECT dept, count(*), array_agg(notes) FROM jobs GROUP BY ROLLUP (dept)".to_owned(),
            "SELECT *, lag(wait_s) OVER (PARTITION BY dept ORDER BY pk) FROM jobs".to_owned(),
            "SELECT * FROM jobs a JOIN jobs b USING (pk) WHERE a.dept LIKE '%x%' ORDER BY 1 LIMIT 3".to_owned(),
        ] {
            planned(&sql, &tables()).unwrap_or_else(|error| panic!("{sql:.100}: {}", error.chain()));
        }
    }
}
