//! What rows of a class show: the labels of a recoding, put into an order that depends on the labels alone.
//! Makes no class and sees no row.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Float64Array, Int32Array, StringArray};
use arrow::datatypes::{DataType, Field};

use super::recoding::{Cell, Recoding};
use super::table::Table;
use crate::error::{Code, Context, Error, Result};

/// A cell of a quasi-identifier as it leaves.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Number(Option<f64>),
    Text(Option<String>),
}

impl Value {
    /// Null last, numbers before texts.
    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => match (one, other) {
                (Some(one), Some(other)) => one.total_cmp(other),
                (one, other) => one.is_none().cmp(&other.is_none()),
            },
            (Self::Text(one), Self::Text(other)) => match (one, other) {
                (Some(one), Some(other)) => one.cmp(other),
                (one, other) => one.is_none().cmp(&other.is_none()),
            },
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
        }
    }
}

/// The distinct combinations of labels, in their order.
///
/// PRIVACY: a class's number would tell the order in which the method made classes, and two classes that
/// show the same would be told apart by it; ranks tell neither.
#[derive(Debug)]
pub(super) struct Shown {
    /// By class: its rank.
    pub(super) ranks: Vec<u32>,
    columns: Vec<Column>,
    len: usize,
}

/// One quasi-identifier: its distinct values, and the place of each rank's.
#[derive(Debug)]
struct Column {
    name: String,
    values: ArrayRef,
    places: Vec<i32>,
}

impl Shown {
    /// The labels of a recoding of `table`. `means` says that the method gives numbers, so that a column is
    /// one also where no class is left.
    ///
    /// # Errors
    /// [`Code::Internal`] when a cell names a group that there is not.
    pub(super) fn new(table: &Table, recoding: &Recoding, means: bool) -> Result<Self> {
        let unknown = || Error::new(Code::Internal, "a class shows a group that there is not");
        let value = |at: usize, cell: &Cell| match cell {
            Cell::Label(label) => Ok(Value::Text(label.clone())),
            Cell::Number(number) => Ok(Value::Number(*number)),
            Cell::Group { level, group } => {
                let labels = table.hierarchies.get(at).map(|own| own.labels.as_slice());
                let labels = labels.and_then(|labels| labels.get(*level as usize));
                let label = labels.and_then(|labels| labels.get(*group as usize));
                label.cloned().map(Value::Text).ok_or_else(unknown)
            }
        };
        let width = table.hierarchies.len();
        let mut classes = Vec::with_capacity(recoding.classes.len());
        for cells in &recoding.classes {
            if cells.len() != width {
                return Err(unknown());
            }
            let values = cells.iter().enumerate().map(|(at, cell)| value(at, cell));
            classes.push(values.collect::<Result<Vec<_>>>()?);
        }
        let in_order = |one: &[Value], other: &[Value]| {
            let pairs = one.iter().zip(other).map(|(one, other)| one.order(other));
            pairs.fold(Ordering::Equal, Ordering::then)
        };
        let mut order: Vec<usize> = (0..classes.len()).collect();
        let of = |class: &usize| classes.get(*class).map(Vec::as_slice).unwrap_or_default();
        order.sort_by(|one, other| in_order(of(one), of(other)));
        let mut ranks = vec![0; classes.len()];
        let mut distinct: Vec<&[Value]> = Vec::new();
        for class in &order {
            let values = of(class);
            if distinct.last().is_none_or(|last| in_order(last, values).is_ne()) {
                distinct.push(values);
            }
            let rank = u32::try_from(distinct.len() - 1)
                .context(Code::Internal, || "too many classes".to_owned())?;
            if let Some(place) = ranks.get_mut(*class) {
                *place = rank;
            }
        }
        let columns = table.hierarchies.iter().enumerate().map(|(at, hierarchy)| {
            let cells = distinct.iter().filter_map(|values| values.get(at));
            column(&hierarchy.name, &cells.collect::<Vec<_>>(), means)
        });
        Ok(Self { columns: columns.collect::<Result<_>>()?, ranks, len: distinct.len() })
    }

    /// How many distinct combinations of labels there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The field of each quasi-identifier, by its name.
    pub(super) fn field(&self, name: &str) -> Option<Field> {
        let column = self.columns.iter().find(|column| column.name == name)?;
        let values = column.values.data_type();
        let kind = match values {
            DataType::Utf8 => {
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
            }
            other => other.clone(),
        };
        Some(Field::new(name, kind, true))
    }

    /// What rows of these ranks show in a quasi-identifier.
    ///
    /// # Errors
    /// [`Code::Internal`] for a column or a rank that there is not.
    pub(super) fn values(&self, name: &str, ranks: &[u32]) -> Result<ArrayRef> {
        let unknown = || Error::new(Code::Internal, "a row has a rank that there is not");
        let column = self.columns.iter().find(|column| column.name == name).ok_or_else(unknown)?;
        let place = |rank: &u32| column.places.get(*rank as usize).copied().ok_or_else(unknown);
        let places = ranks.iter().map(place).collect::<Result<Vec<i32>>>()?;
        // INVARIANT: null is a key that is null, never a value of the dictionary.
        let keys: Int32Array =
            places.into_iter().map(|place| (place >= 0).then_some(place)).collect();
        match column.values.data_type() {
            DataType::Utf8 => {
                let rows = DictionaryArray::try_new(keys, Arc::clone(&column.values));
                Ok(Arc::new(rows.map_err(|_| unknown())?))
            }
            _ => arrow::compute::take(&column.values, &keys, None).map_err(|_| unknown()),
        }
    }
}

fn column(name: &str, cells: &[&Value], means: bool) -> Result<Column> {
    let has_texts = cells.iter().any(|cell| matches!(cell, Value::Text(_)));
    let has_numbers =
        (means && !has_texts) || cells.iter().any(|cell| matches!(cell, Value::Number(_)));
    if has_numbers && has_texts {
        let what = format!("column `{name}` shows numbers in some classes and texts in others");
        return Err(Error::new(Code::Internal, what));
    }
    let mut places = Vec::with_capacity(cells.len());
    let values: ArrayRef = if has_numbers {
        let mut numbers = Vec::new();
        for cell in cells {
            let place = match cell {
                Value::Number(Some(number)) => {
                    numbers.push(*number);
                    i32::try_from(numbers.len() - 1).unwrap_or(-1)
                }
                _ => -1,
            };
            places.push(place);
        }
        Arc::new(Float64Array::from(numbers))
    } else {
        let mut known: BTreeMap<&str, i32> = BTreeMap::new();
        for cell in cells {
            if let Value::Text(Some(text)) = cell {
                known.entry(text).or_default();
            }
        }
        for (place, at) in known.values_mut().zip(0..) {
            *place = at;
        }
        for cell in cells {
            places.push(match cell {
                Value::Text(Some(text)) => known.get(text.as_str()).copied().unwrap_or(-1),
                _ => -1,
            });
        }
        Arc::new(StringArray::from_iter_values(known.keys()))
    };
    Ok(Column { name: name.to_owned(), values, places })
}
