//! One released value as JSON has it, and in what order values stand. Nothing is rounded here, and a missing
//! value stays missing: it never becomes a text such as `None`.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Decimal128Type, Float16Type, Float32Type, Float64Type, Int64Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Map, Number, Value};

use crate::error::{Code, Context, Result};

/// The values of a column, one a row.
///
/// Numbers stay numbers where JSON has them; what is not a number (`NaN`) is null. Times are texts of ISO 8601,
/// decimals texts with all their digits, bytes lower-case hexadecimal. Structs and maps with text keys are
/// objects, lists are lists.
///
/// # Errors
/// [`Code::Internal`] for a type that no text can be made of.
pub fn values(array: &ArrayRef) -> Result<Vec<Value>> {
    let failed = || "a released column cannot be written as text".to_owned();
    let to = |kind: &DataType| cast(array, kind).context(Code::Internal, failed);
    Ok(match array.data_type() {
        DataType::Null => vec![Value::Null; array.len()],
        DataType::Boolean => array.as_boolean().iter().map(Value::from).collect(),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            to(&DataType::Int64)?.as_primitive::<Int64Type>().iter().map(Value::from).collect()
        }
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
            to(&DataType::UInt64)?.as_primitive::<UInt64Type>().iter().map(Value::from).collect()
        }
        DataType::Float16 => array
            .as_primitive::<Float16Type>()
            .iter()
            .map(|value| value.map_or(Value::Null, |value| single(value.to_f32())))
            .collect(),
        DataType::Float32 => array
            .as_primitive::<Float32Type>()
            .iter()
            .map(|value| value.map_or(Value::Null, single))
            .collect(),
        DataType::Float64 => array
            .as_primitive::<Float64Type>()
            .iter()
            .map(|value| value.map_or(Value::Null, number))
            .collect(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            to(&DataType::Utf8)?.as_string::<i32>().iter().map(Value::from).collect()
        }
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => {
            let binary = to(&DataType::Binary)?;
            let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
            binary.as_binary::<i32>().iter().map(|bytes| bytes.map(hex).into()).collect()
        }
        DataType::Dictionary(_, kind) => values(&to(kind)?)?,
        DataType::RunEndEncoded(_, kind) => values(&to(kind.data_type())?)?,
        DataType::List(_) => lists(array.as_list::<i32>().iter())?,
        DataType::LargeList(_) => lists(array.as_list::<i64>().iter())?,
        DataType::FixedSizeList(..) => lists(array.as_fixed_size_list().iter())?,
        DataType::ListView(field) | DataType::LargeListView(field) => {
            values(&to(&DataType::LargeList(std::sync::Arc::clone(field)))?)?
        }
        DataType::Struct(fields) => {
            let parts = array.as_struct();
            let mut columns = Vec::new();
            for (field, column) in fields.iter().zip(parts.columns()) {
                columns.push((field.name(), values(column)?.into_iter()));
            }
            (0..array.len())
                .map(|row| {
                    let object: Map<_, _> = columns
                        .iter_mut()
                        .map(|(name, cells)| ((*name).clone(), cells.next().unwrap_or(Value::Null)))
                        .collect();
                    if array.is_null(row) { Value::Null } else { Value::Object(object) }
                })
                .collect()
        }
        DataType::Map(..) => {
            let maps = array.as_map();
            maps.iter()
                .map(|entries| {
                    let Some(entries) = entries else { return Ok(Value::Null) };
                    let pairs: ArrayRef = std::sync::Arc::new(entries);
                    Ok(pairs_object(values(&pairs)?))
                })
                .collect::<Result<_>>()?
        }
        DataType::Decimal128(_, 0) => array
            .as_primitive::<Decimal128Type>()
            .iter()
            .map(|value| {
                let small = value.map(|value| i64::try_from(value).map_err(|_| value.to_string()));
                small.map_or(Value::Null, |number| number.map_or_else(Value::from, Value::from))
            })
            .collect(),
        _ => {
            let options = FormatOptions::default().with_null("");
            let texts = ArrayFormatter::try_new(array, &options).context(Code::Internal, failed)?;
            (0..array.len())
                .map(|row| match array.is_null(row) {
                    true => Value::Null,
                    false => Value::from(texts.value(row).to_string()),
                })
                .collect()
        }
    })
}

fn lists(items: impl Iterator<Item = Option<ArrayRef>>) -> Result<Vec<Value>> {
    items.map(|item| item.map_or(Ok(Value::Null), |item| values(&item).map(Value::Array))).collect()
}

/// The entries of a map as an object, in their order; keys that are no texts are written as texts.
fn pairs_object(entries: Vec<Value>) -> Value {
    let pair = |entry: Value| {
        let Value::Object(fields) = entry else { return None };
        let mut fields = fields.into_iter().map(|(_, value)| value);
        Some((text(&fields.next()?), fields.next().unwrap_or(Value::Null)))
    };
    Value::Object(entries.into_iter().filter_map(pair).collect())
}

/// A number as JSON has it; null for what JSON cannot hold.
pub fn number(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// A number of 32 bits with the digits that tell it from its neighbours, not those of its 64-bit neighbour.
fn single(value: f32) -> Value {
    value.to_string().parse().map_or(Value::Null, number)
}

/// The value as a reader sees it in a text or a page; nothing for null.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The number that a value holds, whether the column is of numbers or of texts that are numbers: the counters
/// of batch systems come as either. Nothing for null and for what is no number.
pub fn as_number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// How values are put in order: numbers by value, texts so that `[20-30]` stands before `[100-110]` and
/// `user_2` before `user_10`, missing values last.
pub fn natural(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64().unwrap_or(0.0), other.as_f64().unwrap_or(0.0));
            one.total_cmp(&other)
        }
        (one, other) => natural_text(&text(one), &text(other)),
    }
}

/// Texts with runs of digits compared as numbers; of two that are equal in this way, by their characters.
fn natural_text(one: &str, other: &str) -> Ordering {
    let (mut left, mut right) = (one, other);
    loop {
        let (a, rest_left) = run(left);
        let (b, rest_right) = run(right);
        if a.is_empty() || b.is_empty() {
            return left.len().cmp(&right.len()).then_with(|| one.cmp(other));
        }
        let digits = a.starts_with(|c: char| c.is_ascii_digit())
            && b.starts_with(|c: char| c.is_ascii_digit());
        let order = if digits {
            let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
            a.len().cmp(&b.len()).then_with(|| a.cmp(b))
        } else {
            a.cmp(b)
        };
        if order != Ordering::Equal {
            return order;
        }
        (left, right) = (rest_left, rest_right);
    }
}

/// The longest beginning that is all digits, or holds none; and what follows.
fn run(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at(end)
}

/// The order in which a token map gave its tokens: shorter before longer, so that `group_Z` stands before
/// `group_AA` and `user_9999` before `user_10000`. Missing values last.
pub fn by_token(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::String(one), Value::String(other)) => {
            one.len().cmp(&other.len()).then_with(|| one.cmp(other))
        }
        _ => natural(one, other),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BinaryArray, BooleanArray, Date32Array, DictionaryArray, Float32Array, Float64Array,
        Int32Array, ListArray, StringArray, StructArray, TimestampMicrosecondArray, UInt64Array,
    };
    use arrow::datatypes::{Int8Type, Int32Type};
    use serde_json::json;

    use super::*;

    fn told(array: impl Array + 'static) -> Value {
        Value::Array(values(&(Arc::new(array) as ArrayRef)).unwrap())
    }

    #[test]
    fn every_kind_of_value_is_told_as_it_is_and_null_as_null() {
        assert_eq!(told(Int32Array::from(vec![Some(-1), None])), json!([-1, null]));
        assert_eq!(told(UInt64Array::from(vec![u64::MAX])), json!([u64::MAX]));
        assert_eq!(told(BooleanArray::from(vec![Some(true), None])), json!([true, null]));
        assert_eq!(told(Float32Array::from(vec![0.1, f32::NAN])), json!([0.1, null]));
        assert_eq!(told(Float64Array::from(vec![0.25, f64::INFINITY])), json!([0.25, null]));
        assert_eq!(told(StringArray::from(vec![Some("None"), None])), json!(["None", null]));
        assert_eq!(told(BinaryArray::from(vec![&[0x0a, 0xff][..]])), json!(["0aff"]));
        assert_eq!(told(Date32Array::from(vec![0])), json!(["1970-01-01"]));
        let hour = TimestampMicrosecondArray::from(vec![Some(3_600_000_000), None]);
        assert_eq!(told(hour), json!(["1970-01-01T01:00:00", null]));
        let words: DictionaryArray<Int8Type> = [Some("a"), None, Some("a")].into_iter().collect();
        assert_eq!(told(words), json!(["a", null, "a"]));
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
        ]);
        assert_eq!(told(lists), json!([[1, null], null, []]));
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None]));
        let structs = StructArray::try_from(vec![("a", numbers)]).unwrap();
        assert_eq!(told(structs), json!([{"a": 1}, {"a": null}]));
    }

    #[test]
    fn counters_are_read_from_numbers_and_from_texts() {
        let read = |value: Value| as_number(&value);
        assert_eq!(read(json!(2)), Some(2.0));
        assert_eq!(read(json!(2.0)), Some(2.0));
        assert_eq!(read(json!(" 2 ")), Some(2.0));
        assert_eq!(read(json!("2.0")), Some(2.0));
        for nothing in [json!(null), json!("two"), json!(""), json!("nan"), json!([1])] {
            assert_eq!(read(nothing), None);
        }
    }

    #[test]
    fn numbers_in_texts_stand_in_the_order_of_numbers() {
        let mut bands: Vec<Value> =
            ["[100-110]", "[20-30]", "[0-10]", "[90-100]"].map(Value::from).to_vec();
        bands.insert(1, Value::Null);
        bands.sort_by(natural);
        assert_eq!(json!(bands), json!(["[0-10]", "[20-30]", "[90-100]", "[100-110]", null]));
        let mut groups: Vec<Value> =
            ["group_AA", "group_B", "group_Z", "group_A"].map(Value::from).to_vec();
        groups.sort_by(by_token);
        assert_eq!(json!(groups), json!(["group_A", "group_B", "group_Z", "group_AA"]));
        assert_eq!(natural(&json!("a01"), &json!("a1")), Ordering::Less);
        assert_eq!(natural(&json!(9), &json!(10)), Ordering::Less);
    }
}
