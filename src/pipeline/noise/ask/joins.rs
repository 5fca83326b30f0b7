//! Joins of the dataset with its public tables, below an aggregation. Each row that comes of them is made of one
//! row of the dataset, and so is of that row's unit. Decides which joins are answered; reads no row of the
//! dataset, and of public tables what anybody may know.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::{cast, max, min};
use arrow::datatypes::{DataType, Float64Type, SchemaRef};
use datafusion::common::{Column, NullEquality, TableReference};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Join, JoinType, Operator};

use super::below::{Side, Step, written_out};
use super::canonical::quoted;
use super::total::is_text;
use crate::error::{Code, Error, Result};
use crate::pipeline::query::{
    Lookup, Public, Table, joined_name, public_name, refused, short, widens,
};
use crate::policy::privacy::Bounds;

/// The most rows that are made of one row of the dataset.
const ROWS_MAX: usize = 1_000;
/// 2^53: up to it floating-point numbers hold all whole numbers.
const STEPS_MAX: f64 = 9_007_199_254_740_992.0;

pub(super) const DATASETS: &str = "a dataset is joined with its public tables, and not with itself or another dataset: ask each alone, and join the answers";
const PUBLICS: &str = "the dataset stands first: write `FROM dataset JOIN public_table ON ...`, one table after the other";
const KEPT: &str = "all rows of the dataset stay, or those with a match: write `FROM dataset LEFT JOIN public_table` or `JOIN`";
const EQUAL: &str = "a public table is joined by equal columns, as in `ON dataset.site = sites.site`: other conditions stand in `WHERE`";
const KINDS: &str = "a join compares columns of whole numbers, texts, flags, dates or times that have the same type on both sides";
const TWICE: &str = "a public table stands once in a statement that is answered with noise";
const UNIT: &str =
    "the unit is not joined with a public table: groups of what it says would be single units";

/// A join with a public table.
pub(super) struct WithPublic {
    public: Arc<Public>,
    keeps: bool,
    keys: Vec<(String, String, DataType)>,
}

impl WithPublic {
    /// The table made ready, in the order in which questions tell of them.
    ///
    /// # Errors
    /// [`Code::NoisyOnly`] where too many rows would be made of one.
    pub(super) fn ready(joins: Vec<Self>) -> Result<Vec<Arc<Lookup>>> {
        let mut all = Vec::new();
        let mut most: usize = 1;
        for Self { public, keeps, keys } in joins {
            let lookup = Lookup::new(public, keeps, keys)?;
            most = most.saturating_mul(lookup.most());
            if most > ROWS_MAX {
                return Err(refused(&format!(
                    "one row of the dataset would have up to {most} matches in public tables, and at most {ROWS_MAX} are joined: join by more columns",
                )));
            }
            all.push(Arc::new(lookup));
        }
        all.sort_by_key(|lookup| told(lookup));
        Ok(all)
    }
}

/// A join as part of the text that questions are compared by.
pub(super) fn told(lookup: &Lookup) -> String {
    let kind = if lookup.keeps { "left" } else { "inner" };
    let keys = lookup.keys.iter().map(|(own, public, kind)| {
        format!("(= {} {} {})", quoted(own), quoted(public), quoted(&kind.to_string()))
    });
    let mut keys: Vec<String> = keys.collect();
    keys.sort();
    format!("(join {kind} {} {})", quoted(&lookup.public.name), keys.join(" "))
}

/// A column of a public table, as one of the rows.
pub(super) fn column(name: &TableReference, public: &Public, column: &str) -> Expr {
    Expr::Column(Column::new(Some(name.clone()), joined_name(&public.name, column)))
}

/// What a partner calls a column.
pub(super) fn shown(name: &str) -> String {
    match public_name(name) {
        Some((table, column)) => short(&format!("{table}.{column}")),
        None => short(name),
    }
}

/// The rows that a join makes.
///
/// # Errors
/// [`Code::NoisyOnly`] for joins that are not answered.
pub(super) fn joined(
    join: &Join,
    left: Side,
    right: Side,
    table: &Table,
    unit: &str,
) -> Result<Step> {
    let (mut step, public, first) = match (left, right) {
        (Side::Rows(step), Side::Public(public)) => (step, public, true),
        (Side::Public(public), Side::Rows(step)) => (step, public, false),
        (Side::Rows(_), Side::Rows(_)) => return Err(refused(DATASETS)),
        (Side::Public(_), Side::Public(_)) => return Err(refused(PUBLICS)),
    };
    // PRIVACY: with a row of the dataset on one side of each row that comes, that row's unit is the unit of it.
    // What would add rows without one is refused.
    let keeps = match (join.join_type, first) {
        (JoinType::Inner, _) => false,
        (JoinType::Left, true) | (JoinType::Right, false) => true,
        _ => return Err(refused(KEPT)),
    };
    if join.null_equality != NullEquality::NullEqualsNothing {
        return Err(refused(EQUAL));
    }
    if step.joins.iter().any(|other| other.public.name == public.name) {
        return Err(refused(TWICE));
    }
    let schema = public.schema();
    let beside = schema.fields().iter().map(|field| column(&step.name, &public, field.name()));
    let own = std::mem::take(&mut step.columns);
    step.columns = match first {
        true => own.into_iter().chain(beside).collect(),
        false => beside.chain(own).collect(),
    };
    if join.schema.fields().len() != step.columns.len() {
        return Err(Error::new(Code::Internal, "a join has other columns than its sides"));
    }
    let mut pairs: Vec<(&Expr, &Expr)> = join.on.iter().map(|(one, other)| (one, other)).collect();
    for part in join.filter.iter().flat_map(split_conjunction) {
        let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = part else {
            return Err(refused(EQUAL));
        };
        pairs.push((left, right));
    }
    let mut keys = Vec::new();
    for (one, other) in pairs {
        let out = |expr: &Expr| written_out(expr, &join.schema, &step.columns);
        keys.push(key(&out(one)?, &out(other)?, table, &public, unit)?);
    }
    if keys.is_empty() {
        return Err(refused(EQUAL));
    }
    keys.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
    keys.dedup();
    step.joins.push(WithPublic { public, keeps, keys });
    Ok(step)
}

/// The dataset's column, the public table's, and the type that they are compared in.
fn key(
    one: &Expr,
    other: &Expr,
    table: &Table,
    public: &Public,
    unit: &str,
) -> Result<(String, String, DataType)> {
    let (Some(one), Some(other)) = (plain(one), plain(other)) else { return Err(refused(EQUAL)) };
    let of =
        |part: &(&str, Option<&DataType>)| public_name(part.0).map(|(table, _)| table.to_owned());
    let (own, theirs) = match (of(&one), of(&other)) {
        (None, Some(table)) if table == public.name => (one, other),
        (Some(table), None) if table == public.name => (other, one),
        _ => return Err(refused(EQUAL)),
    };
    // PRIVACY: whoever names the unit outside would get answers of single units by the columns beside it.
    if own.0 == unit {
        return Err(refused(UNIT));
    }
    let (_, name) = public_name(theirs.0).unwrap_or_default();
    let kind = |schema: &SchemaRef, name: &str| {
        let field = schema.field_with_name(name);
        field.map(|field| field.data_type().clone()).map_err(|_| refused(EQUAL))
    };
    let (from, public) = (kind(&table.provider.schema(), own.0)?, kind(&public.schema(), name)?);
    let (to, other) = (own.1.unwrap_or(&from), theirs.1.unwrap_or(&public));
    // PRIVACY: types are made to fit where that fails on no value, whatever the data.
    let fits = widens(&from, to) && widens(&public, other);
    let same = to == other || (is_text(to) && is_text(other));
    if fits && same && compares(to) {
        Ok((own.0.to_owned(), name.to_owned(), to.clone()))
    } else {
        Err(refused(KINDS))
    }
}

/// A column, and the type that it is made to fit.
fn plain(expr: &Expr) -> Option<(&str, Option<&DataType>)> {
    match expr {
        Expr::Column(column) => Some((&column.name, None)),
        Expr::Cast(cast) => match cast.expr.as_ref() {
            Expr::Column(column) => Some((&column.name, Some(cast.field.data_type()))),
            _ => None,
        },
        _ => None,
    }
}

/// Whether equal values of a type are equal in their bytes.
pub(super) fn compares(kind: &DataType) -> bool {
    kind.is_integer()
        || is_text(kind)
        || matches!(
            kind,
            DataType::Boolean
                | DataType::Date32
                | DataType::Date64
                | DataType::Timestamp(..)
                | DataType::Decimal128(..)
        )
}

/// Bounds of the numbers of public tables, by how the columns are called among the rows: from the least value to
/// the greatest, which anybody may know.
pub(super) fn bounds(lookups: &[Arc<Lookup>]) -> BTreeMap<String, Bounds> {
    let mut all = BTreeMap::new();
    for public in lookups.iter().map(|lookup| &lookup.public) {
        for (field, column) in public.schema().fields().iter().zip(public.rows.columns()) {
            if !field.data_type().is_numeric() {
                continue;
            }
            let Ok(numbers) = cast(column, &DataType::Float64) else { continue };
            let numbers = numbers.as_primitive::<Float64Type>();
            let (Some(low), Some(high)) = (min(numbers), max(numbers)) else { continue };
            let whole = field.data_type().is_integer();
            if let Some(bounds) = between(low, high, whole) {
                all.insert(joined_name(&public.name, field.name()), bounds);
            }
        }
    }
    all
}

/// Bounds that keep the invariants of [`Bounds`]; none where there are no such.
fn between(low: f64, high: f64, whole: bool) -> Option<Bounds> {
    // One value alone: from zero to it.
    let (low, high) = match low < high {
        true => (low, high),
        false if low == 0.0 => (0.0, 1.0),
        false => (low.min(0.0), high.max(0.0)),
    };
    let step = if whole { 1.0 } else { Bounds::step_of(low, high) };
    let counted = |value: f64| value.is_finite() && (value / step).abs() < STEPS_MAX;
    (step > 0.0 && counted(low) && counted(high)).then_some(Bounds { low, high, step })
}
