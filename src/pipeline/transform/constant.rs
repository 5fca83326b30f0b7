//! `constant`: the same value in every row, null or not. It does not look at the column at all.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::DataType;

use super::params::required;
use super::{Bind, Exposure, Kernel, Spec, Transform};
use crate::error::{Code, Error, Result};
use crate::policy::args::{Args, Kind, Value};

/// One value for all rows.
///
/// - What it does: sends the written value in every row, also where the raw value is null.
/// - What it hides: every value, and which rows had none.
/// - What still leaks: that the column exists and its name.
/// - Parameters: `value`, whose kind decides the type that leaves: text, 64-bit whole number, 64-bit
///   float or flag.
/// - Example: `{constant: redacted}`.
#[derive(Debug)]
pub(super) struct Constant;

static SPEC: Spec = Spec {
    verb: "constant",
    method: None,
    primary: Some("value"),
    params: &[required(
        "value",
        Kind::Scalar,
        "The text, number or flag that every row gets; its kind decides the column's type.",
    )],
    does: "Sends the same written value in every row, null or not.",
    hides: "Every value, and which rows had one.",
    leaks: "That the column exists, and its name.",
    takes: "every type",
    example: "{constant: redacted}",
    references: &[],
};

impl Transform for Constant {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn output(&self, args: &Args, _input: &DataType) -> Result<Option<DataType>, String> {
        match args.value("value") {
            Some(Value::Text(_)) => Ok(Some(DataType::Utf8)),
            Some(Value::Integer(_)) => Ok(Some(DataType::Int64)),
            Some(Value::Number(_)) => Ok(Some(DataType::Float64)),
            Some(Value::Flag(_)) => Ok(Some(DataType::Boolean)),
            _ => Err("`value` must be a text, a number or a flag".to_owned()),
        }
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::Nothing
    }

    fn explain(&self, args: &Args) -> String {
        let value = match args.value("value") {
            Some(Value::Text(value)) => format!("the text `{value}`"),
            Some(Value::Integer(value)) => format!("the number {value}"),
            Some(Value::Number(value)) => format!("the number {value}"),
            Some(Value::Flag(value)) => format!("{value}"),
            _ => "nothing".to_owned(),
        };
        format!("Leaves as {value} in every row, whatever the raw value is.")
    }

    fn kernel(&self, args: &Args, _bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        let value = args.value("value").cloned();
        Ok(Box::new(Same(value.ok_or_else(|| Error::new(Code::Internal, "no constant"))?)))
    }
}

struct Same(Value);

impl Kernel for Same {
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        let rows = values.len();
        Ok(match &self.0 {
            Value::Text(value) => {
                Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, rows)))
            }
            Value::Integer(value) => Arc::new(Int64Array::from_value(*value, rows)),
            Value::Number(value) => Arc::new(Float64Array::from_value(*value, rows)),
            Value::Flag(value) => Arc::new(BooleanArray::from(vec![*value; rows])),
            _ => return Err(Error::new(Code::Internal, "no constant")),
        })
    }

    fn replaces_nulls(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, word};
    use super::*;

    #[test]
    fn the_kind_of_the_value_decides_the_type() {
        let kinds = [
            (Value::Text("x".into()), DataType::Utf8),
            (Value::Integer(3), DataType::Int64),
            (Value::Number(0.5), DataType::Float64),
            (Value::Flag(true), DataType::Boolean),
        ];
        for (value, expected) in kinds {
            let out = testing::apply(&Constant, &[("value", value)], &testing::text(&["a"]));
            assert_eq!(out.data_type(), &expected);
        }
    }

    #[test]
    fn null_gets_the_constant_too_whatever_the_encoding() {
        for raw in
            [testing::text_or_null(&[Some("a"), None]), testing::dictionary(&[Some("a"), None])]
        {
            let out = testing::apply(&Constant, &[("value", word("x"))], &raw);
            assert_eq!(testing::texts(&out), [Some("x".to_owned()), Some("x".to_owned())]);
        }
    }
}
