//! `environment_pairs`: the one function of ours beside the engine's. It takes an environment apart as `scrub`
//! and the report on commands do, so that a view can give its pairs in order. Looks at its argument alone.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, ListBuilder, StringBuilder, StructBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::pairs;

/// Its name.
pub(super) const NAME: &str = "environment_pairs";

/// How many bytes of text it takes at a time: what it makes of more could not be counted in 32 bits.
const BYTES_MAX: usize = 1 << 30;

/// The function.
pub(super) fn function() -> Arc<ScalarUDF> {
    let signature = Signature::string(1, Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(EnvironmentPairs { signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct EnvironmentPairs {
    signature: Signature,
}

fn fields() -> Fields {
    Fields::from(vec![
        Field::new("key", DataType::Utf8, true),
        Field::new("value", DataType::Utf8, true),
    ])
}

impl ScalarUDFImpl for EnvironmentPairs {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _kinds: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Arc::new(Field::new("item", DataType::Struct(fields()), true))))
    }

    fn invoke_with_args(&self, given: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&given.args)?;
        let Some(texts) = arrays.first() else {
            return Err(DataFusionError::Plan(format!("{NAME} takes a text")));
        };
        Ok(ColumnarValue::Array(taken_apart(texts)?))
    }
}

/// A list a row.
fn taken_apart(texts: &ArrayRef) -> Result<ArrayRef> {
    let texts = cast(texts, &DataType::LargeUtf8)?;
    let texts = texts.as_string::<i64>();
    if texts.value_data().len() > BYTES_MAX {
        return Err(DataFusionError::Execution(format!("{NAME}: too much text at a time")));
    }
    let pair = StructBuilder::new(
        fields(),
        vec![Box::new(StringBuilder::new()), Box::new(StringBuilder::new())],
    );
    let mut lists = ListBuilder::new(pair);
    for text in texts {
        let Some(text) = text else {
            lists.append_null();
            continue;
        };
        let pair = lists.values();
        for (key, value) in pairs::told(text) {
            for (at, part) in [key, value].iter().enumerate() {
                if let Some(column) = pair.field_builder::<StringBuilder>(at) {
                    column.append_value(part);
                }
            }
            pair.append(true);
        }
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, StringViewArray};
    use arrow::util::display::array_value_to_string;

    use super::*;

    #[test]
    fn pairs_are_in_the_order_of_keys_and_nothing_stays_nothing() {
        let texts: ArrayRef = Arc::new(StringViewArray::from(vec![
            Some("b=2 A='x y' RFCLNAME=a.fcl,b.fcl"),
            None,
            Some(" "),
            Some("<unparsed>"),
        ]));
        let lists = taken_apart(&texts).unwrap();
        let told: Vec<String> =
            (0..4).map(|row| array_value_to_string(&lists, row).unwrap()).collect();
        assert_eq!(
            told,
            [
                "[{key: A, value: x y}, {key: b, value: 2}, {key: RFCLNAME, value: a.fcl,b.fcl}]",
                "",
                "[]",
                "[{key: , value: <unparsed>}]",
            ]
        );
        assert!(lists.is_null(1));
        assert_eq!(*lists.data_type(), function().return_type(&[DataType::Utf8]).unwrap());
    }
}
