//! Groups as numbers. Where all keys are public, a group's number is its place among all combinations;
//! otherwise groups are numbered as they come, and forgotten when there are many. Rows of values that are not
//! public have no group. Knows no unit and holds nothing of other tasks.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, UInt64Array};
use arrow::compute::{cast, filter, take};
use arrow::datatypes::{DataType, Field, Float16Type, Float32Type, Float64Type, Int64Type, Schema};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::EmitTo;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;

use super::keyed::Order;
use super::recent::Recent;
use super::roster::Roster;
use super::texts::Texts;
use crate::error::{Code, Error, Result};
use crate::pipeline::noise::question::{GroupId, Key};
use crate::pipeline::query::inward;

/// The number of no group.
pub(super) const NOBODYS: u32 = u32::MAX;

/// The numbers below which a list of whole numbers is looked up by place.
const DENSE_MAX: i64 = 1 << 21;

/// How many values that are not public are remembered before they are forgotten, and how many bytes.
const STRANGERS_MAX: usize = 1 << 16;
const STRANGERS_BYTES: usize = 1 << 22;

/// So many groups are remembered before they are forgotten, and so much in any case.
const KNOWN_MAX: usize = 1 << 22;
pub(super) const KNOWN_BYTES: usize = 1 << 17;

/// So many keys are made bytes at once.
const TEXTS_AT_ONCE: usize = 1 << 10;

/// All groups of a question whose keys are all public, or none where a key is not.
pub(super) struct Public {
    /// A column a key, a row a combination, the last key fastest.
    pub(super) keys: Vec<ArrayRef>,
    /// How many combinations.
    pub(super) groups: usize,
    /// What stands for their keys.
    pub(super) ids: Arc<Vec<GroupId>>,
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
        let ids = if columns.is_empty() {
            vec![order.group_id(&[])]
        } else {
            let kinds: Vec<_> = columns.iter().map(|column| column.data_type().clone()).collect();
            Contents::new(&kinds)?.ids(&columns, order)?
        };
        Ok(Some(Self { keys: columns, groups, ids: Arc::new(ids) }))
    }
}

/// Numbers the groups of rows.
pub(super) struct Groups {
    /// The public values of each key, or nothing where it is not public.
    lists: Vec<Option<List>>,
    /// Where a key is not public: keys of groups that came.
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

    /// The number of each row's group in the roster.
    ///
    /// # Errors
    /// What the engine says.
    pub(super) fn number(
        &mut self,
        keys: &[ArrayRef],
        rows: usize,
        order: &Order,
        roster: &mut Roster,
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
            known.number(&keys, order, roster, &mut self.scratch)?;
        } else {
            let mask = BooleanArray::from(there);
            let some = keys.iter().map(|key| filter(key, &mask)).collect::<Result<Vec<_>, _>>();
            let some = some.map_err(|error| broken(error.into()))?;
            known.number(&some, order, roster, &mut self.scratch)?;
        }
        let mut numbers = self.scratch.iter();
        for place in out.iter_mut().filter(|place| **place != NOBODYS) {
            let number = numbers.next().and_then(|number| u32::try_from(*number).ok());
            let number = number.filter(|number| *number != NOBODYS);
            *place = number.ok_or_else(|| Error::new(Code::Internal, "a group has no number"))?;
        }
        Ok(())
    }

    /// What is remembered of groups, in bytes; and whether more than that should be forgotten in any case.
    pub(super) fn held(&self) -> (usize, bool) {
        self.known
            .as_ref()
            .map_or((0, false), |known| (known.values.size(), known.values.len() > KNOWN_MAX))
    }

    /// Forgets all groups that came. Keys of those that some record is about go where they may be looked up.
    /// `room` is asked between, with how many bytes of keys are still held.
    ///
    /// # Errors
    /// What the engine says, and `room`.
    pub(super) fn forget(
        &mut self,
        roster: &mut Roster,
        texts: &mut Texts,
        mut room: impl FnMut(&mut Texts, usize) -> Result<()>,
    ) -> Result<()> {
        let Some(known) = &mut self.known else { return Ok(()) };
        let bytes = known.values.size();
        let mut values = std::mem::replace(&mut known.values, numbers(&known.kinds)?);
        let keys = if values.is_empty() {
            Vec::new()
        } else {
            values.emit(EmitTo::All).map_err(broken)?
        };
        drop(values);
        let pairs = roster.used().iter().zip(roster.ids()).enumerate();
        let used: Vec<(u64, GroupId)> =
            pairs.filter_map(|(at, (used, id))| used.then_some((at as u64, *id))).collect();
        for some in used.chunks(TEXTS_AT_ONCE) {
            let rows: UInt64Array = some.iter().map(|(at, _)| *at).collect();
            let some_keys = keys.iter().map(|key| take(key, &rows, None));
            let some_keys = some_keys.collect::<Result<Vec<_>, _>>();
            let some_keys = some_keys.map_err(|error| broken(error.into()))?;
            let rows = known.converter.rows(&some_keys)?;
            for ((_, id), row) in some.iter().zip(rows.iter()) {
                texts.push(*id, row.as_ref());
            }
            room(texts, bytes)?;
        }
        roster.clear();
        known.recent.clear();
        Ok(())
    }
}

/// The public values of one key.
struct List {
    values: ArrayRef,
    numbers: Box<dyn GroupValues>,
    scratch: Vec<usize>,
    /// The place in the list of each value by number, where values stand twice.
    places: Vec<u32>,
    /// What the public values take.
    bytes: usize,
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
            bytes: 0,
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
        self.bytes = self.numbers.size();
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
        if self.numbers.len() > self.places.len() + STRANGERS_MAX
            || self.numbers.size() > self.bytes + STRANGERS_BYTES
        {
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

/// Keys that came, by number.
struct Known {
    kinds: Vec<DataType>,
    values: Box<dyn GroupValues>,
    converter: Contents,
    recent: Recent,
}

impl Known {
    fn new(kinds: &[DataType]) -> Result<Self> {
        let (values, converter) = (numbers(kinds)?, Contents::new(kinds)?);
        Ok(Self { kinds: kinds.to_vec(), values, converter, recent: Recent::default() })
    }

    fn number(
        &mut self,
        keys: &[ArrayRef],
        order: &Order,
        roster: &mut Roster,
        out: &mut Vec<usize>,
    ) -> Result<()> {
        let [key] = keys else { return self.intern(keys, order, roster, out) };
        let mut recent = std::mem::take(&mut self.recent);
        let numbered = recent.number(key, out, |key, out| {
            self.intern(std::slice::from_ref(key), order, roster, out)
        });
        self.recent = recent;
        numbered
    }

    fn intern(
        &mut self,
        keys: &[ArrayRef],
        order: &Order,
        roster: &mut Roster,
        out: &mut Vec<usize>,
    ) -> Result<()> {
        out.clear();
        if keys.first().is_none_or(|key| key.is_empty()) {
            return Ok(());
        }
        let before = roster.ids().len();
        self.values.intern(keys, out).map_err(broken)?;
        let fresh = self.values.len().saturating_sub(before);
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
        roster.extend(self.converter.ids(&some, order)?.into_iter());
        Ok(())
    }
}

/// Keys as bytes, which have the order of keys.
pub(super) struct Contents(RowConverter);

impl Contents {
    /// For keys of these types.
    ///
    /// # Errors
    /// [`Code::Internal`] for keys of a type that the engine does not group by.
    pub(super) fn new(kinds: &[DataType]) -> Result<Self> {
        let fields = kinds.iter().map(|kind| SortField::new(kind.clone())).collect();
        RowConverter::new(fields).map(Self).map_err(|error| broken(error.into()))
    }

    fn rows(&self, columns: &[ArrayRef]) -> Result<Rows> {
        self.0.convert_columns(columns).map_err(|error| broken(error.into()))
    }

    fn ids(&self, columns: &[ArrayRef], order: &Order) -> Result<Vec<GroupId>> {
        Ok(self.rows(columns)?.iter().map(|row| order.group_id(row.as_ref())).collect())
    }

    /// The keys of such bytes, in columns of these types.
    ///
    /// # Errors
    /// [`Code::Internal`] where they are not of such keys.
    pub(super) fn keys(&self, texts: &[Vec<u8>], kinds: &[DataType]) -> Result<Vec<ArrayRef>> {
        let parser = self.0.parser();
        let columns = self.0.convert_rows(texts.iter().map(|text| parser.parse(text)));
        let columns = columns.map_err(|error| broken(error.into()))?;
        // Dictionaries come as their values.
        let typed = columns.iter().zip(kinds).map(|(column, kind)| cast(column, kind));
        typed.collect::<Result<_, _>>().map_err(|error| broken(error.into()))
    }
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

fn broken(error: datafusion::error::DataFusionError) -> Error {
    inward(&error)
}
