//! All that rows of public tables, matched with one row of a dataset, may be together: worlds. Those that
//! conditions over them leave are listed by the values that expressions have in them. Looks at public tables and
//! expressions, and at nothing else; the caller chooses which.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Int64Array, RecordBatch,
    RecordBatchOptions, UInt32Array,
};
use arrow::compute::{cast, filter_record_batch, prep_null_mask_filter, take};
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Schema};
use arrow::row::{RowConverter, SortField};
use datafusion::common::hash_utils::RandomState;
use datafusion::common::{DFSchema, TableReference};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::create_physical_expr;

use super::below::broken;
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::query::{Listing, Numbers, Part, Public};

/// How many worlds are looked at for one list.
const WORLDS_MAX: usize = 1 << 20;

/// A table whose rows anybody may know.
pub(super) struct Source {
    /// The table.
    pub(super) public: Arc<Public>,
    /// How expressions call its columns.
    pub(super) names: Vec<String>,
    /// Whether a row without a match is of a group.
    pub(super) none: bool,
}

/// A condition over public values: in every row that is answered it is true.
pub(super) struct Condition {
    /// By which it is compared.
    pub(super) text: String,
    /// It cannot fail.
    pub(super) expr: Expr,
    /// The sources that it speaks of.
    pub(super) of: BTreeSet<usize>,
}

/// What expressions are worked with.
pub(super) struct Worlds<'a> {
    pub(super) name: &'a TableReference,
    pub(super) props: &'a ExecutionProps,
    pub(super) sources: &'a [Source],
}

/// The rows of one source, as far as they differ.
struct Cells {
    /// One row each.
    rows: RecordBatch,
    /// By row of the table, and last of no row: its cell; of those that no condition leaves one more than there
    /// are.
    codes: Vec<u32>,
}

impl Worlds<'_> {
    /// The list of the values of expressions, each of a type, in all worlds of these sources in which the
    /// conditions hold; none where there are too many worlds. Expressions speak of the first `numbered` sources.
    ///
    /// PRIVACY: nothing of the dataset is looked at: for any data the list is the same.
    ///
    /// # Errors
    /// [`Code::Internal`].
    pub(super) fn list(
        &self,
        sources: &[usize],
        numbered: usize,
        exprs: &[(&Expr, DataType)],
        conditions: &[&Condition],
    ) -> Result<Option<Arc<Listing>>> {
        let mut parts = Vec::new();
        let (mut stride, mut seen) = (1_usize, BTreeSet::new());
        let mut worlds: Option<RecordBatch> = None;
        // By world: the place of its number.
        let mut places: Vec<u32> = vec![0];
        for (at, source) in sources.iter().enumerate() {
            let Cells { rows, mut codes } = self.cells(*source, exprs, conditions)?;
            let many = rows.num_rows();
            let worlds_many = places.len().saturating_mul(many);
            let places_many = stride.saturating_mul(many + 1);
            // One table alone has no more worlds than rows.
            if sources.len() > 1 && worlds_many.max(places_many) > WORLDS_MAX {
                return Ok(None);
            }
            let step = u32::try_from(stride).unwrap_or(u32::MAX);
            let of_cell = |cell: u32| if at < numbered { cell.saturating_mul(step) } else { 0 };
            let crossed = |place: &u32| {
                let place = *place;
                (0..).take(many).map(move |cell| place.saturating_add(of_cell(cell)))
            };
            let before = places.len();
            places = places.iter().flat_map(crossed).collect();
            worlds = Some(match worlds {
                None => rows,
                Some(worlds) => cross(&worlds, before, &rows)?,
            });
            seen.insert(*source);
            let now = |it: &&&Condition| {
                it.of.len() > 1 && it.of.contains(source) && it.of.is_subset(&seen)
            };
            for condition in conditions.iter().filter(now) {
                if let Some(worlds) = &mut worlds {
                    let holds = self.holds(&condition.expr, worlds)?;
                    let left = |(place, holds): (&u32, Option<bool>)| {
                        (holds == Some(true)).then_some(*place)
                    };
                    places = places.iter().zip(&holds).filter_map(left).collect();
                    *worlds =
                        filter_record_batch(worlds, &holds).context(Code::Internal, failed)?;
                }
            }
            if at < numbered {
                codes.iter_mut().for_each(|code| *code = of_cell(*code));
                let none = codes.pop().unwrap_or_default();
                parts.push(Part { rows: codes, none });
                stride = places_many;
            }
        }
        let worlds = worlds.ok_or_else(|| Error::new(Code::Internal, "a list of no table"))?;
        let values = exprs.iter().map(|(expr, kind)| {
            let values = self.evaluated(expr, &worlds)?;
            Ok(one_zero(&cast(&values, kind).context(Code::Internal, failed)?))
        });
        let (values, groups) = in_order(&values.collect::<Result<Vec<_>>>()?, worlds.num_rows())?;
        let mut numbers: Vec<Option<i64>> = vec![None; stride];
        for (place, group) in places.iter().zip(groups) {
            if let Some(number) = numbers.get_mut(*place as usize) {
                *number = Some(i64::from(group));
            }
        }
        let many = values.first().map_or(0, |values| values.len());
        let all: Int64Array = (0..).take(many).collect::<Vec<i64>>().into();
        let numbers = Arc::new(Numbers { parts, numbers: Int64Array::from(numbers) });
        Ok(Some(Arc::new(Listing { numbers, all: Arc::new(all), values })))
    }

    /// The cells of a source that its own conditions leave, of the columns that are looked at beside others.
    fn cells(
        &self,
        at: usize,
        exprs: &[(&Expr, DataType)],
        conditions: &[&Condition],
    ) -> Result<Cells> {
        let lost = || Error::new(Code::Internal, "a list of a table that is not there");
        let source = self.sources.get(at).ok_or_else(lost)?;
        let (own, others): (Vec<&Condition>, Vec<&Condition>) =
            conditions.iter().copied().partition(|it| it.of.len() == 1 && it.of.contains(&at));
        let beside = others.iter().map(|it| &it.expr).chain(exprs.iter().map(|(expr, _)| *expr));
        let beside = source.spoken_of(beside);
        let all = source.spoken_of(own.iter().map(|it| &it.expr));
        let all: BTreeSet<usize> = all.union(&beside).copied().collect();
        // Behind the rows of the table, no row.
        let rows = source.public.rows.num_rows();
        let last = u32::try_from(rows).map_err(|_| lost())?;
        let places: UInt32Array = (0..last).map(Some).chain([None]).collect();
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for at in all {
            let column = source.public.rows.columns().get(at).ok_or_else(lost)?;
            let name = source.names.get(at).ok_or_else(lost)?;
            fields.push((beside.contains(&at), Field::new(name, column.data_type().clone(), true)));
            columns.push(take(column, &places, None).context(Code::Internal, failed)?);
        }
        let schema = Schema::new(fields.iter().map(|(_, field)| field.clone()).collect::<Vec<_>>());
        let batch = with_rows(schema, columns, rows + 1)?;
        let mut stays = vec![true; rows + 1];
        if let Some(none) = stays.last_mut() {
            *none = source.none;
        }
        let mut stays = BooleanArray::from(stays);
        for condition in own {
            let holds = self.holds(&condition.expr, &batch)?;
            stays = arrow::compute::and(&stays, &holds).context(Code::Internal, failed)?;
        }
        let shown = fields.iter().enumerate().filter(|(_, (shown, _))| *shown).map(|(at, _)| at);
        let batch = batch.project(&shown.collect::<Vec<_>>()).context(Code::Internal, failed)?;
        let left = filter_record_batch(&batch, &stays).context(Code::Internal, failed)?;
        let (firsts, own) = distinct(left.columns(), left.num_rows())?;
        let dead = u32::try_from(firsts.len()).map_err(|_| lost())?;
        let mut own = own.into_iter();
        let code = |stays: bool| if stays { own.next().unwrap_or(dead) } else { dead };
        let codes = stays.values().iter().map(code).collect();
        Ok(Cells { rows: picked(&left, &UInt32Array::from(firsts))?, codes })
    }

    /// Where a condition is true.
    fn holds(&self, condition: &Expr, rows: &RecordBatch) -> Result<BooleanArray> {
        let holds = self.evaluated(condition, rows)?;
        let holds = holds.as_boolean_opt().ok_or_else(|| {
            Error::new(Code::Internal, "a condition over public values is no condition")
        })?;
        Ok(match holds.null_count() {
            0 => holds.clone(),
            _ => prep_null_mask_filter(holds),
        })
    }

    fn evaluated(&self, expr: &Expr, rows: &RecordBatch) -> Result<ArrayRef> {
        let work = || {
            let schema = rows.schema();
            let schema = DFSchema::try_from_qualified_schema(self.name.clone(), &schema)?;
            let context = PhysicalPlanningContext::default();
            let expr = create_physical_expr(expr, &schema, self.props, &context)?;
            expr.evaluate(rows)?.into_array(rows.num_rows())
        };
        work().map_err(broken)
    }
}

impl Source {
    /// Which of its columns expressions speak of.
    fn spoken_of<'a>(&self, exprs: impl Iterator<Item = &'a Expr>) -> BTreeSet<usize> {
        let place = |name: &str| self.names.iter().position(|own| own == name);
        exprs.flat_map(Expr::column_refs).filter_map(|column| place(&column.name)).collect()
    }
}

fn with_rows(schema: Schema, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(schema), columns, &options)
        .context(Code::Internal, failed)
}

fn picked(rows: &RecordBatch, places: &UInt32Array) -> Result<RecordBatch> {
    let columns = rows.columns().iter().map(|column| take(column, places, None));
    let columns = columns.collect::<Result<Vec<_>, _>>().context(Code::Internal, failed)?;
    with_rows(rows.schema().as_ref().clone(), columns, places.len())
}

/// Each of `many` rows beside each of the others.
fn cross(one: &RecordBatch, many: usize, other: &RecordBatch) -> Result<RecordBatch> {
    let others = other.num_rows();
    let each = |many: usize| (0..).take(many);
    let left: Vec<u32> = each(many).flat_map(|at: u32| (0..others).map(move |_| at)).collect();
    let right: Vec<u32> = (0..many).flat_map(|_| each(others)).collect();
    let (left, right) =
        (picked(one, &UInt32Array::from(left))?, picked(other, &UInt32Array::from(right))?);
    let fields = [left.schema(), right.schema()];
    let fields = fields.iter().flat_map(|it| it.fields().iter().cloned()).collect::<Vec<_>>();
    let columns = [left.columns(), right.columns()].concat();
    with_rows(Schema::new(fields), columns, many.saturating_mul(others))
}

/// The first row of each combination of values, as they come; and of each row, which combination it has.
fn distinct(columns: &[ArrayRef], rows: usize) -> Result<(Vec<u32>, Vec<u32>)> {
    if columns.is_empty() {
        return Ok(((0..).take(rows.min(1)).collect(), vec![0; rows]));
    }
    let keys = converted(columns)?;
    let mut known: HashMap<&[u8], u32, RandomState> = HashMap::default();
    let (mut firsts, mut codes) = (Vec::new(), Vec::with_capacity(rows));
    for row in (0..).take(rows) {
        let fresh = u32::try_from(firsts.len()).unwrap_or(u32::MAX);
        let code = *known.entry(keys.row(row as usize).data()).or_insert(fresh);
        if code == fresh {
            firsts.push(row);
        }
        codes.push(code);
    }
    Ok((firsts, codes))
}

/// The combinations of values in an order of their own; and of each row, which it has.
fn in_order(columns: &[ArrayRef], rows: usize) -> Result<(Vec<ArrayRef>, Vec<u32>)> {
    let (firsts, codes) = distinct(columns, rows)?;
    let picked = |places: &UInt32Array, columns: &[ArrayRef]| {
        let columns = columns.iter().map(|column| take(column, places, None));
        columns.collect::<Result<Vec<_>, _>>().context(Code::Internal, failed)
    };
    let firsts = picked(&UInt32Array::from(firsts), columns)?;
    let keys = converted(&firsts)?;
    let mut order: Vec<u32> = (0..).take(keys.num_rows()).collect();
    order.sort_unstable_by(|one, other| keys.row(*one as usize).cmp(&keys.row(*other as usize)));
    let mut places = vec![0; order.len()];
    for (place, code) in (0..).zip(&order) {
        if let Some(own) = places.get_mut(*code as usize) {
            *own = place;
        }
    }
    let codes = codes.iter().filter_map(|code| places.get(*code as usize)).copied().collect();
    let values = picked(&UInt32Array::from(order), &firsts)?;
    Ok((values.iter().map(by_itself).collect(), codes))
}

fn converted(columns: &[ArrayRef]) -> Result<arrow::row::Rows> {
    let fields = columns.iter().map(|it| SortField::new(it.data_type().clone())).collect();
    let converter = RowConverter::new(fields).context(Code::Internal, failed)?;
    converter.convert_columns(columns).context(Code::Internal, failed)
}

/// Values that hold no memory but their own: the texts of a whole table would be kept with a few of them.
fn by_itself(values: &ArrayRef) -> ArrayRef {
    if let Some(texts) = values.as_string_view_opt() {
        return Arc::new(texts.gc());
    }
    match values.as_binary_view_opt() {
        Some(bytes) => Arc::new(bytes.gc()),
        None => Arc::clone(values),
    }
}

/// Fractions with one zero, and one thing that is no number: two that compare as equal are one group.
fn one_zero(values: &ArrayRef) -> ArrayRef {
    fn rewritten<T: ArrowPrimitiveType>(
        values: &ArrayRef,
        to: impl Fn(T::Native) -> T::Native,
    ) -> ArrayRef {
        Arc::new(values.as_primitive::<T>().unary::<_, T>(to))
    }
    match values.data_type() {
        DataType::Float32 => rewritten::<Float32Type>(values, |value| match value.is_nan() {
            true => f32::NAN,
            false => value + 0.0,
        }),
        DataType::Float64 => rewritten::<Float64Type>(values, |value| match value.is_nan() {
            true => f64::NAN,
            false => value + 0.0,
        }),
        _ => Arc::clone(values),
    }
}

fn failed() -> String {
    "the groups of public tables cannot be listed".to_owned()
}
