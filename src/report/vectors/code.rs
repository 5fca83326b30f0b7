//! How one column becomes numbers. Does not read rows.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit};
use serde_json::{Value, json};

use super::super::cell;
use crate::error::{Code, Context, Result};

/// What a column is for a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number, as it is.
    Number,
    /// Yes or no, as 1 and 0.
    Flag,
    /// A date or time, as seconds.
    Time,
    /// A length of time, as seconds.
    Length,
    /// A text, as a code.
    Category,
}

impl Kind {
    /// The kind of a type; nothing for lists and the like.
    pub(super) fn of(kind: &DataType) -> Option<Self> {
        match kind {
            DataType::Boolean => Some(Self::Flag),
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Some(Self::Time),
            DataType::Time32(_) | DataType::Time64(_) | DataType::Duration(_) => Some(Self::Length),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(Self::Category),
            DataType::Binary | DataType::LargeBinary | DataType::FixedSizeBinary(_) => {
                Some(Self::Category)
            }
            DataType::Dictionary(_, kind) => Self::of(kind),
            kind if kind.is_numeric() => Some(Self::Number),
            _ => None,
        }
    }
}

/// How one column becomes numbers.
#[derive(Debug)]
pub(super) struct Coding {
    /// The column.
    pub(super) name: String,
    /// What it is.
    pub(super) kind: Kind,
    /// From when times are counted, in seconds since 1970.
    pub(super) origin: i64,
    /// Values with a code of their own, by code.
    values: Vec<(String, u64)>,
    codes: HashMap<String, f32>,
    /// Whether there are values that share the last code.
    others: bool,
}

impl Coding {
    pub(super) fn new(name: &str, kind: Kind) -> Self {
        let (values, codes) = (Vec::new(), HashMap::new());
        Self { name: name.to_owned(), kind, origin: 0, values, codes, others: false }
    }

    /// Gives values their codes: by frequency, then by name.
    pub(super) fn learn(&mut self, mut values: Vec<(String, u64)>, most: u64) {
        values.sort_by(|(one, few), (other, many)| many.cmp(few).then_with(|| one.cmp(other)));
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        self.others = values.len() > most;
        values.truncate(most);
        let numbered = (0_u16..).map(f32::from).zip(&values);
        self.codes = numbered.map(|(code, (value, _))| (value.clone(), code)).collect();
        self.values = values;
    }

    /// How many codes there are.
    pub(super) fn codes(&self) -> u64 {
        self.values.len() as u64 + u64::from(self.others)
    }

    /// The numbers of a column's values.
    pub(super) fn code(&self, column: &ArrayRef) -> Result<Vec<Option<f32>>> {
        let failed = || format!("`{}` cannot be made numbers", self.name);
        let to =
            |column: &ArrayRef, kind: &DataType| cast(column, kind).context(Code::Internal, failed);
        let plain = match column.data_type() {
            DataType::Dictionary(_, kind) => &to(column, kind)?,
            _ => column,
        };
        Ok(match self.kind {
            Kind::Flag | Kind::Number => narrowed(&to(plain, &DataType::Float64)?, 1.0, 0.0),
            Kind::Time => {
                // The zone does not matter: the moment is the same.
                let micros = to(plain, &DataType::Timestamp(TimeUnit::Microsecond, zone(plain)))?;
                let micros = to(&micros, &DataType::Int64)?;
                let origin = self.origin.saturating_mul(1_000_000);
                let since = |micros: i64| micros.saturating_sub(origin) as f64 / 1e6;
                let micros = micros.as_primitive::<Int64Type>();
                micros.iter().map(|micros| micros.map(|micros| single(since(micros)))).collect()
            }
            Kind::Length => {
                let ticks = to(&to(plain, &ticks(plain.data_type()))?, &DataType::Float64)?;
                narrowed(&ticks, seconds(plain.data_type()), 0.0)
            }
            Kind::Category => {
                #[expect(clippy::cast_precision_loss, reason = "codes stop far below")]
                let other = self.values.len() as f32;
                let code = |text: String| self.codes.get(&text).copied().unwrap_or(other);
                let values = cell::values(plain)?;
                let text = |value: &Value| (!value.is_null()).then(|| cell::text(value));
                values.iter().map(|value| text(value).map(code)).collect()
            }
        })
    }

    /// What the column is, for people.
    pub(super) fn told(&self) -> String {
        match self.kind {
            Kind::Number => "number".to_owned(),
            Kind::Flag => "0 or 1".to_owned(),
            Kind::Time => format!("seconds since {}", self.from()),
            Kind::Length => "seconds".to_owned(),
            Kind::Category => "code of a category".to_owned(),
        }
    }

    fn from(&self) -> String {
        let time = chrono::DateTime::from_timestamp(self.origin, 0);
        time.map(|time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default()
    }

    /// Its entry in the codebook.
    pub(super) fn json(&self, at: u64) -> Value {
        let kind = match self.kind {
            Kind::Number => "number",
            Kind::Flag => "flag",
            Kind::Time => "time",
            Kind::Length => "seconds",
            Kind::Category => "category",
        };
        let mut entry = json!({"at": at, "column": self.name, "kind": kind});
        let Some(object) = entry.as_object_mut() else { return entry };
        match self.kind {
            Kind::Time => {
                object.insert("unit".to_owned(), "seconds".into());
                object.insert("origin".to_owned(), self.from().into());
                object.insert("origin_epoch_seconds".to_owned(), self.origin.into());
            }
            Kind::Category => {
                let value = |(code, (value, rows)): (u64, &(String, u64))| json!({"code": code, "value": value, "count": rows});
                let values: Vec<_> = (0_u64..).zip(&self.values).map(value).collect();
                object.insert("values".to_owned(), values.into());
                let other = self.others.then_some(self.values.len());
                object.insert("other_code".to_owned(), other.into());
            }
            _ => {}
        }
        entry
    }
}

fn zone(column: &ArrayRef) -> Option<Arc<str>> {
    match column.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    }
}

/// The whole number that a length is.
fn ticks(kind: &DataType) -> DataType {
    match kind {
        DataType::Time32(_) => DataType::Int32,
        _ => DataType::Int64,
    }
}

/// How many seconds a tick is.
fn seconds(kind: &DataType) -> f64 {
    match kind {
        DataType::Time32(unit) | DataType::Time64(unit) | DataType::Duration(unit) => match unit {
            TimeUnit::Second => 1.0,
            TimeUnit::Millisecond => 1e-3,
            TimeUnit::Microsecond => 1e-6,
            TimeUnit::Nanosecond => 1e-9,
        },
        _ => 1.0,
    }
}

fn narrowed(column: &ArrayRef, times: f64, less: f64) -> Vec<Option<f32>> {
    let numbers = column.as_primitive::<Float64Type>();
    // What is no number in the data is as good as missing.
    let number = |number: Option<f64>| number.filter(|number| !number.is_nan());
    numbers.iter().map(|value| number(value).map(|value| single(value * times - less))).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "32 bits are what a vector holds")]
const fn single(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BooleanArray, Date32Array, Decimal128Array, DurationMillisecondArray, Float64Array,
        Int64Array, StringArray, TimestampSecondArray,
    };

    use super::*;

    fn coded(array: impl Array + 'static, change: impl Fn(&mut Coding)) -> Vec<Option<f32>> {
        let mut coding = Coding::new("c", Kind::of(array.data_type()).unwrap());
        change(&mut coding);
        coding.code(&(Arc::new(array) as ArrayRef)).unwrap()
    }

    #[test]
    fn every_kind_of_column_becomes_numbers() {
        let same = |_: &mut Coding| {};
        let half = Some(0.5);
        assert_eq!(coded(Int64Array::from(vec![Some(7), None]), same), [Some(7.0), None]);
        assert_eq!(coded(Float64Array::from(vec![0.5, f64::NAN]), same), [half, None]);
        assert_eq!(coded(BooleanArray::from(vec![true, false]), same), [Some(1.0), Some(0.0)]);
        assert_eq!(coded(Date32Array::from(vec![1]), same), [Some(86_400.0)]);
        assert_eq!(coded(DurationMillisecondArray::from(vec![500]), same), [half]);
        let decimals = Decimal128Array::from(vec![50]).with_precision_and_scale(5, 2).unwrap();
        assert_eq!(coded(decimals, same), [half]);
        let times = || TimestampSecondArray::from(vec![1_700_000_000, 1_700_000_001]);
        // 32 bits hold seconds since 1970 to about two minutes, from a near origin to the second.
        assert_eq!(coded(times(), same), [Some(1_700_000_000.0), Some(1_700_000_000.0)]);
        let near = |coding: &mut Coding| coding.origin = 1_700_000_000;
        assert_eq!(coded(times(), near), [Some(0.0), Some(1.0)]);
        assert_eq!(Kind::of(&DataType::Null), None);
    }

    #[test]
    fn categories_are_coded_by_frequency_then_name() {
        let learn = |most: u64| {
            move |coding: &mut Coding| {
                let values = [("b", 2), ("c", 9), ("a", 2), ("d", 1)];
                coding.learn(values.map(|(name, rows)| (name.to_owned(), rows)).to_vec(), most);
            }
        };
        let texts = || StringArray::from(vec![Some("c"), Some("a"), Some("b"), Some("d"), None]);
        let codes = |most: u64| coded(texts(), learn(most));
        assert_eq!(codes(9), [Some(0.0), Some(1.0), Some(2.0), Some(3.0), None]);
        // Whatever has no code of its own shares the last.
        assert_eq!(codes(2), [Some(0.0), Some(1.0), Some(2.0), Some(2.0), None]);
        let mut coding = Coding::new("c", Kind::Category);
        learn(2)(&mut coding);
        assert_eq!((coding.codes(), coding.json(0)["other_code"].clone()), (3, json!(2)));
    }
}
