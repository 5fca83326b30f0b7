//! A noisy answer as it is stored: keys and what was measured, with the noise that was added, in the question's
//! own order. Whoever asks the same question computes their columns from it; nothing here knows a statement.

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Decimal128Type, Field, Schema, SchemaRef};
use dashu::rational::RBig;

use crate::error::{Code, Context, Error, Result};
use crate::pipeline::noise::question::{Answer, Noise, Noisy};

/// The key of metadata that tells the noise of a column.
const NOISE: &str = "veilflight.dp.noise";

/// What is known of a question's answer: types of keys, how many measures.
pub(super) fn schema(keys: &[DataType], noise: &[Noise]) -> SchemaRef {
    let keys = keys.iter().enumerate();
    let keys = keys.map(|(at, kind)| Field::new(format!("key{at}"), kind.clone(), true));
    let measures = noise.iter().enumerate().map(|(at, noise)| {
        let metadata = [(NOISE.to_owned(), written(noise))];
        Field::new(format!("measure{at}"), DataType::Decimal128(38, 0), false)
            .with_metadata(metadata.into())
    });
    Arc::new(Schema::new(keys.chain(measures).collect::<Vec<_>>()))
}

/// Puts an answer into the form that is stored.
///
/// # Errors
/// [`Code::Internal`] where its parts do not fit together.
pub(super) fn packed(noisy: &Noisy) -> Result<Answer> {
    let kinds: Vec<DataType> = noisy.keys.iter().map(|key| key.data_type().clone()).collect();
    let failed = || "a noisy answer does not fit together".to_owned();
    let mut columns: Vec<ArrayRef> = noisy.keys.clone();
    for numbers in &noisy.measured {
        let column = Decimal128Array::from_iter_values(numbers.iter().copied())
            .with_precision_and_scale(38, 0)
            .context(Code::Internal, failed)?;
        columns.push(Arc::new(column));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(noisy.groups));
    RecordBatch::try_new_with_options(schema(&kinds, &noisy.noise), columns, &options)
        .map(Answer)
        .context(Code::Internal, failed)
}

/// An answer that was taken from where it is stored.
pub(super) struct Unpacked {
    /// A column a key.
    pub(super) keys: Vec<ArrayRef>,
    /// By measure, then by group.
    pub(super) measured: Vec<Decimal128Array>,
    /// By measure.
    pub(super) noise: Vec<Noise>,
    /// How many groups.
    pub(super) groups: usize,
}

/// Reads a stored answer with so many keys and measures.
///
/// # Errors
/// [`Code::State`] where it is none.
pub(super) fn unpacked(answer: &Answer, keys: usize, measures: usize) -> Result<Unpacked> {
    let damaged = || Error::new(Code::State, "a stored answer is none of the question's");
    let batch = &answer.0;
    let schema = batch.schema();
    if batch.num_columns() != keys + measures {
        return Err(damaged());
    }
    let numbers = || batch.columns().iter().zip(schema.fields()).skip(keys);
    let measured = numbers().map(|(column, _)| {
        let column = column.as_primitive_opt::<Decimal128Type>().ok_or_else(damaged)?;
        if column.null_count() == 0 { Ok(column.clone()) } else { Err(damaged()) }
    });
    let noise = numbers().map(|(_, field)| {
        field.metadata().get(NOISE).and_then(|text| read(text)).ok_or_else(damaged)
    });
    Ok(Unpacked {
        keys: batch.columns().iter().take(keys).cloned().collect(),
        measured: measured.collect::<Result<_>>()?,
        noise: noise.collect::<Result<_>>()?,
        groups: batch.num_rows(),
    })
}

/// A distribution in words.
fn written(noise: &Noise) -> String {
    match noise {
        Noise::Laplace { scale } => format!("laplace {scale}"),
        Noise::Gaussian { variance } => format!("gaussian {variance}"),
        Noise::Choice { scale } => format!("choice {scale}"),
    }
}

fn read(text: &str) -> Option<Noise> {
    let (kind, number) = text.split_once(' ')?;
    let number = RBig::from_str(number).ok()?;
    match kind {
        "laplace" => Some(Noise::Laplace { scale: number }),
        "gaussian" => Some(Noise::Gaussian { variance: number }),
        "choice" => Some(Noise::Choice { scale: number }),
        _ => None,
    }
}
