//! Groups as numbers. Where all keys are public, a group's number is its place among all combinations;
//! otherwise groups are numbered as they come. Rows of values that are not public have no group.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, UInt64Array};
use arrow::compute::{cast, filter, take};
use arrow::datatypes::{DataType, Field, Float16Type, Float32Type, Float64Type, Int64Type, Schema};
use arrow::row::{RowConverter, SortField};
use datafusion::error::Result as EngineResult;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::logical_expr::EmitTo;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;

use super::keyed::Order;
use super::recent::Recent;
use crate::error::{Code, Error, Result};
use crate::pipeline::noise::question::Key;
use crate::pipeline::query::inward;

/// The number of no group.
pub(super) const NOBODYS: u32 = u32::MAX;

/// The numbers below which a list of whole numbers is looked up by place.
const DENSE_MAX: i64 = 1 << 21;

/// How many values that are not public are remembered before they are forgotten.
const STRANGERS_MAX: usize = 1 << 16;

/// All groups of a question whose keys are all public, or none where a key is not.
pub(super) struct Public {
    /// A column a key, a row a combination, the last key fastest.
    pub(super) keys: Vec<ArrayRef>,
    /// How many combinations.
    pub(super) groups: usize,
    /// Their keys as numbers.
    pub(super) contents: Vec<u64>,
}

impl Public {
    /// All combinations.
    ///
    /// # Errors
    /// [`Code::Internal`] for keys of a type that the engine does not group by.
    pub(super) fn new(keys: &[Key], order: &Order) -> Result<Option<Self>> {
        let Some(lists) =
            keys.iter().map(|key| key.public.as_ref()).collect::<Option<Vec<&ArrayRef>>>()
        else {
            return Ok(None);
        };
        let groups = lists.iter().fold(1, |groups: usize, list| groups.saturating_mul(list.len()));
        if u32::try_from(groups).is_err() {
            return Err(Error::new(Code::Internal, "more public groups than can be numbered"));
        }
        let (mut columns, mut repeat) = (Vec::new(), groups);
        for list in lists {
            repeat /= list.len().max(1);
            let places =
                (0..groups as u64).map(|group| group / repeat.max(1) as u64 % list.len() as u64);
            let places: UInt64Array = places.collect();
            columns.push(take(list, &places, None).map_err(|error| broken(error.into()))?);
        }
        let contents = if columns.is_empty() {
            vec![order.content(&[])]
        } else {
            Contents::new(&columns)?.of(&columns, order)?
        };
        Ok(Some(Self { keys: columns, groups, contents }))
    }
}

/// Numbers the groups of rows.
pub(super) struct Groups {
    /// The public values of each key, or nothing where it is not public.
    lists: Vec<Option<List>>,
    /// Where a key is not public: all keys of the groups that came.
    known: Option<Known>,
    scratch: Vec<usize>,
}

impl Groups {
    /// Numbers for a question's keys.
    ///
    /// # Errors
    /// [`Code::Internal`] for keys of a type that the engine does not group by.
    pub(super) fn new(keys: &[Key], kinds: &[DataType]) -> Result<Self> {
        let list = |(key, kind): (&Key, &DataType)| {
            key.public.as_ref().map(|values| List::new(values, kind)).transpose()
        };
        let lists = keys.iter().zip(kinds).map(list).collect::<Result<Vec<_>>>()?;
        let known = lists.iter().any(Option::is_none).then(|| Known::new(kinds)).transpose()?;
        Ok(Self { lists, known, scratch: Vec::new() })
    }

    /// The number of each row's group. `memory` holds what is remembered for it.
    ///
    /// # Errors
    /// [`Code::QueryMemory`] where there are more groups than memory holds.
    pub(super) fn number(
        &mut self,
        keys: &[ArrayRef],
        rows: usize,
        order: &Order,
        memory: &MemoryReservation,
        out: &mut Vec<u32>,
    ) -> Result<()> {
        out.clear();
        out.resize(rows, 0);
        let keys: Vec<ArrayRef> = keys.iter().map(one_zero).collect();
        for (list, key) in self.lists.iter_mut().zip(&keys) {
            if let Some(list) = list {
                list.place(key, &mut self.scratch, self.known.is_none(), out)?;
            }
        }
        let Some(known) = &mut self.known else { return Ok(()) };
        let there: Vec<bool> = out.iter().map(|group| *group != NOBODYS).collect();
        if there.iter().all(|there| *there) {
            known.number(&keys, order, &mut self.scratch)?;
        } else {
            let mask = BooleanArray::from(there);
            let some = keys.iter().map(|key| filter(key, &mask)).collect::<Result<Vec<_>, _>>();
            known.number(&some.map_err(|error| broken(error.into()))?, order, &mut self.scratch)?;
        }
        let mut numbers = self.scratch.iter();
        for place in out.iter_mut().filter(|place| **place != NOBODYS) {
            let number = numbers.next().and_then(|number| u32::try_from(*number).ok());
            *place = number.filter(|number| *number != NOBODYS).ok_or_else(too_many)?;
        }
        memory.try_resize(known.bytes()).map_err(|error| inward(&error))
    }

    /// The keys of groups by number, as numbers; none where all keys are public.
    pub(super) fn contents(&self) -> &[u64] {
        self.known.as_ref().map_or(&[], |known| known.contents.as_slice())
    }

    /// The keys of the groups that came, by number; none where all keys are public.
    ///
    /// # Errors
    /// What the engine says.
    pub(super) fn into_keys(self) -> Result<Vec<ArrayRef>> {
        match self.known {
            Some(mut known) => known.values.emit(EmitTo::All).map_err(broken),
            None => Ok(Vec::new()),
        }
    }
}

/// The public values of one key.
struct List {
    values: ArrayRef,
    numbers: Box<dyn GroupValues>,
    scratch: Vec<usize>,
    /// The place in the list of each value by number, where values stand twice.
    places: Vec<u32>,
    recent: Recent,
    /// Where all values are small whole numbers, as those of listed groups: the place of each.
    dense: Option<Vec<u32>>,
}

impl List {
    fn new(values: &ArrayRef, kind: &DataType) -> Result<Self> {
        let values = if values.data_type() == kind {
            one_zero(values)
        } else {
            one_zero(&cast(values, kind).map_err(|error| broken(error.into()))?)
        };
        let mut list = Self {
            dense: dense(&values),
            values,
            numbers: numbers(std::slice::from_ref(kind))?,
            scratch: Vec::new(),
            places: Vec::new(),
            recent: Recent::default(),
        };
        list.learn().map_err(broken)?;
        Ok(list)
    }

    /// Gives the public values the first numbers.
    fn learn(&mut self) -> EngineResult<()> {
        self.numbers.intern(std::slice::from_ref(&self.values), &mut self.scratch)?;
        self.places.clear();
        for (at, number) in (0..).zip(&self.scratch) {
            // A value that stands twice has its rows in the first of both places.
            if *number == self.places.len() {
                self.places.push(at);
            }
        }
        Ok(())
    }

    /// Puts the place of each row's value behind the places of keys before it, where it is `numbered`.
    fn place(
        &mut self,
        key: &ArrayRef,
        scratch: &mut Vec<usize>,
        numbered: bool,
        out: &mut [u32],
    ) -> Result<()> {
        let radix = if numbered { self.values.len() as u32 } else { 0 };
        if let (Some(dense), Some(key)) = (&self.dense, key.as_primitive_opt::<Int64Type>()) {
            for (group, number) in out.iter_mut().zip(key) {
                let number = number.and_then(|number| usize::try_from(number).ok());
                let place = number.and_then(|number| dense.get(number)).copied();
                *group = match place.unwrap_or(NOBODYS) {
                    place if place != NOBODYS && *group != NOBODYS && numbered => {
                        *group * radix + place
                    }
                    place if place != NOBODYS && *group != NOBODYS => 0,
                    _ => NOBODYS,
                };
            }
            return Ok(());
        }
        if self.numbers.len() > self.places.len() + STRANGERS_MAX {
            self.numbers = numbers(std::slice::from_ref(key.data_type()))?;
            self.learn().map_err(broken)?;
            self.recent.clear();
        }
        self.recent.number(key, scratch, |key, out| {
            self.numbers.intern(std::slice::from_ref(key), out).map_err(broken)
        })?;
        for (group, number) in out.iter_mut().zip(scratch.iter()) {
            *group = match self.places.get(*number) {
                Some(place) if *group != NOBODYS && numbered => *group * radix + place,
                Some(_) if *group != NOBODYS => 0,
                _ => NOBODYS,
            };
        }
        Ok(())
    }
}

/// The place of each of a list's values, by itself; none where one is no small whole number.
fn dense(values: &ArrayRef) -> Option<Vec<u32>> {
    let values =
        values.as_primitive_opt::<Int64Type>().filter(|values| values.null_count() == 0)?;
    if !values.values().iter().all(|value| (0..DENSE_MAX).contains(value)) {
        return None;
    }
    let most = usize::try_from(values.values().iter().max().copied()?).ok()?;
    let mut places = vec![NOBODYS; most + 1];
    for (place, value) in (0..).zip(values.values()) {
        let own = usize::try_from(*value).ok().and_then(|value| places.get_mut(value));
        // A value that stands twice has its rows in the first of both places.
        if let Some(own) = own.filter(|own| **own == NOBODYS) {
            *own = place;
        }
    }
    Some(places)
}

/// The keys that came, by number.
struct Known {
    values: Box<dyn GroupValues>,
    contents: Vec<u64>,
    converter: Contents,
    recent: Recent,
}

impl Known {
    fn new(kinds: &[DataType]) -> Result<Self> {
        let converter = Contents::of_types(kinds)?;
        let (contents, recent) = (Vec::new(), Recent::default());
        Ok(Self { values: numbers(kinds)?, contents, converter, recent })
    }

    fn number(&mut self, keys: &[ArrayRef], order: &Order, out: &mut Vec<usize>) -> Result<()> {
        let [key] = keys else { return self.intern(keys, order, out) };
        let mut recent = std::mem::take(&mut self.recent);
        let numbered =
            recent.number(key, out, |key, out| self.intern(std::slice::from_ref(key), order, out));
        self.recent = recent;
        numbered
    }

    fn intern(&mut self, keys: &[ArrayRef], order: &Order, out: &mut Vec<usize>) -> Result<()> {
        out.clear();
        if keys.first().is_none_or(|key| key.is_empty()) {
            return Ok(());
        }
        let before = self.contents.len();
        self.values.intern(keys, out).map_err(broken)?;
        let fresh = self.values.len() - before;
        if fresh == 0 {
            return Ok(());
        }
        // A row of each new group tells its key.
        let mut rows = vec![u64::MAX; fresh];
        for (row, number) in (0..).zip(out.iter()) {
            if let Some(place) = number.checked_sub(before).and_then(|at| rows.get_mut(at)) {
                *place = row;
            }
        }
        let rows = UInt64Array::from(rows);
        let some = keys.iter().map(|key| take(key, &rows, None)).collect::<Result<Vec<_>, _>>();
        let some = some.map_err(|error| broken(error.into()))?;
        self.contents.extend(self.converter.of(&some, order)?);
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.values.size() + self.contents.capacity() * size_of::<u64>()
    }
}

/// Keys as numbers.
struct Contents(RowConverter);

impl Contents {
    fn new(columns: &[ArrayRef]) -> Result<Self> {
        let kinds: Vec<DataType> =
            columns.iter().map(|column| column.data_type().clone()).collect();
        Self::of_types(&kinds)
    }

    fn of_types(kinds: &[DataType]) -> Result<Self> {
        let fields = kinds.iter().map(|kind| SortField::new(kind.clone())).collect();
        RowConverter::new(fields).map(Self).map_err(|error| broken(error.into()))
    }

    fn of(&self, columns: &[ArrayRef], order: &Order) -> Result<Vec<u64>> {
        let rows = self.0.convert_columns(columns).map_err(|error| broken(error.into()))?;
        Ok(rows.iter().map(|row| order.content(row.as_ref())).collect())
    }
}

/// Groups that several have numbered, under numbers for all.
pub(super) struct Joined {
    /// A column a key, by number.
    pub(super) keys: Vec<ArrayRef>,
    /// The keys as numbers.
    pub(super) contents: Vec<u64>,
    /// For each who numbered: what numbers theirs are.
    pub(super) numbers: Vec<Vec<u32>>,
}

/// Numbers for all that several have numbered.
///
/// # Errors
/// [`Code::QueryMemory`] where there are more groups than memory holds.
pub(super) fn join(
    kinds: &[DataType],
    several: Vec<Vec<ArrayRef>>,
    order: &Order,
    memory: &MemoryReservation,
) -> Result<Joined> {
    let mut known = Known::new(kinds)?;
    let (mut numbers, mut scratch) = (Vec::new(), Vec::new());
    for keys in several {
        known.number(&keys, order, &mut scratch)?;
        memory.try_resize(known.bytes()).map_err(|error| inward(&error))?;
        let narrow = |number: &usize| u32::try_from(*number).map_err(|_| too_many());
        numbers.push(scratch.iter().map(narrow).collect::<Result<Vec<_>>>()?);
    }
    let keys = known.values.emit(EmitTo::All).map_err(broken)?;
    Ok(Joined { keys, contents: known.contents, numbers })
}

/// The order of groups by their keys.
///
/// # Errors
/// [`Code::Internal`] for keys without an order.
pub(super) fn sorted(keys: &[ArrayRef]) -> Result<Vec<usize>> {
    let rows =
        Contents::new(keys)?.0.convert_columns(keys).map_err(|error| broken(error.into()))?;
    let mut order: Vec<usize> = (0..rows.num_rows()).collect();
    order.sort_unstable_by(|a, b| rows.row(*a).cmp(&rows.row(*b)));
    Ok(order)
}

fn numbers(kinds: &[DataType]) -> Result<Box<dyn GroupValues>> {
    let fields =
        kinds.iter().zip(0..).map(|(kind, at)| Field::new(format!("{at}"), kind.clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    new_group_values(schema, &GroupOrdering::None).map_err(broken)
}

/// Fractions with one zero, and one thing that is no number: two that compare as equal are one group, and one
/// content.
fn one_zero(values: &ArrayRef) -> ArrayRef {
    match values.data_type() {
        DataType::Float16 => {
            type Half = <Float16Type as ArrowPrimitiveType>::Native;
            rewritten::<Float16Type>(values, |value| {
                if value.is_nan() { Half::NAN } else { value + Half::ZERO }
            })
        }
        DataType::Float32 => {
            rewritten::<Float32Type>(
                values,
                |value| {
                    if value.is_nan() { f32::NAN } else { value + 0.0 }
                },
            )
        }
        DataType::Float64 => {
            rewritten::<Float64Type>(
                values,
                |value| {
                    if value.is_nan() { f64::NAN } else { value + 0.0 }
                },
            )
        }
        _ => Arc::clone(values),
    }
}

fn rewritten<T: ArrowPrimitiveType>(
    values: &ArrayRef,
    to: impl Fn(T::Native) -> T::Native,
) -> ArrayRef {
    Arc::new(values.as_primitive::<T>().unary::<_, T>(to))
}

fn too_many() -> Error {
    Error::new(Code::QueryMemory, "there are more groups than can be numbered")
}

fn broken(error: datafusion::error::DataFusionError) -> Error {
    inward(&error)
}
