//! Number columns: whole numbers and decimals in exact arithmetic, floats in theirs, each value into
//! fresh buffers of the same type. What happens to a value is the kernel's business.

use std::sync::Arc;

use arrow::array::types::{
    ArrowPrimitiveType, Decimal32Type, Decimal64Type, Decimal128Type, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::array::{Array, ArrayRef, AsArray, PrimitiveBuilder};
use arrow::datatypes::DataType;

use super::text::in_words;
use crate::error::{Code, Error, Result};
use crate::policy::args::{Args, Value};

/// How the numbers of a column are held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shape {
    /// Whole multiples of ten to the power `-scale`, within bounds; whole numbers have scale 0.
    Exact {
        /// Digits after the point.
        scale: i8,
        /// The least value, in units of the last digit.
        min: i128,
        /// The greatest value, in units of the last digit.
        max: i128,
    },
    /// Floats up to a greatest finite value.
    Float {
        /// The greatest finite value.
        max: f64,
    },
}

/// One number of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// In units of the last digit.
    Exact(i128),
    /// As it is.
    Float(f64),
}

/// The shape of a number column, or why the type is not one.
///
/// # Errors
/// A reason for the policy's author.
pub(super) fn shape(input: &DataType) -> Result<Shape, String> {
    let whole = |min: i128, max: i128| Ok(Shape::Exact { scale: 0, min, max });
    match input {
        DataType::Int8 => whole(i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => whole(i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => whole(i32::MIN.into(), i32::MAX.into()),
        DataType::Int64 => whole(i64::MIN.into(), i64::MAX.into()),
        DataType::UInt8 => whole(0, u8::MAX.into()),
        DataType::UInt16 => whole(0, u16::MAX.into()),
        DataType::UInt32 => whole(0, u32::MAX.into()),
        DataType::UInt64 => whole(0, u64::MAX.into()),
        DataType::Float32 => Ok(Shape::Float { max: f32::MAX.into() }),
        DataType::Float64 => Ok(Shape::Float { max: f64::MAX }),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => {
            let max = ten_to(u32::from(*precision)).unwrap_or(i128::MAX) - 1;
            Ok(Shape::Exact { scale: *scale, min: -max, max })
        }
        DataType::Decimal256(..) => {
            Err("takes decimals of up to 38 digits, and the column has more".to_owned())
        }
        other => Err(format!("takes numbers, and the column holds {}", in_words(other))),
    }
}

/// Each value through `exact` or `float`, whichever fits the column; `None` is null, and so is an
/// exact result that the type cannot hold. Null stays null.
///
/// # Errors
/// [`Code::Internal`] when the column holds no numbers.
pub(super) fn map(
    values: &ArrayRef,
    exact: &mut dyn FnMut(i128) -> Option<i128>,
    float: &mut dyn FnMut(f64) -> Option<f64>,
) -> Result<ArrayRef> {
    match values.data_type() {
        DataType::Int8 => map_exact::<Int8Type>(values, exact),
        DataType::Int16 => map_exact::<Int16Type>(values, exact),
        DataType::Int32 => map_exact::<Int32Type>(values, exact),
        DataType::Int64 => map_exact::<Int64Type>(values, exact),
        DataType::UInt8 => map_exact::<UInt8Type>(values, exact),
        DataType::UInt16 => map_exact::<UInt16Type>(values, exact),
        DataType::UInt32 => map_exact::<UInt32Type>(values, exact),
        DataType::UInt64 => map_exact::<UInt64Type>(values, exact),
        DataType::Decimal32(..) => map_exact::<Decimal32Type>(values, exact),
        DataType::Decimal64(..) => map_exact::<Decimal64Type>(values, exact),
        DataType::Decimal128(..) => map_exact::<Decimal128Type>(values, exact),
        DataType::Float32 => {
            build::<Float32Type>(values, |value| float(f64::from(value)).map(|value| value as f32))
        }
        DataType::Float64 => build::<Float64Type>(values, float),
        _ => Err(not_numbers()),
    }
}

/// Each value, null as `None`, to `f`.
///
/// # Errors
/// [`Code::Internal`] when the column holds no numbers.
pub(super) fn each(values: &ArrayRef, f: &mut dyn FnMut(Option<Number>)) -> Result<()> {
    match values.data_type() {
        DataType::Int8 => each_exact::<Int8Type>(values, f),
        DataType::Int16 => each_exact::<Int16Type>(values, f),
        DataType::Int32 => each_exact::<Int32Type>(values, f),
        DataType::Int64 => each_exact::<Int64Type>(values, f),
        DataType::UInt8 => each_exact::<UInt8Type>(values, f),
        DataType::UInt16 => each_exact::<UInt16Type>(values, f),
        DataType::UInt32 => each_exact::<UInt32Type>(values, f),
        DataType::UInt64 => each_exact::<UInt64Type>(values, f),
        DataType::Decimal32(..) => each_exact::<Decimal32Type>(values, f),
        DataType::Decimal64(..) => each_exact::<Decimal64Type>(values, f),
        DataType::Decimal128(..) => each_exact::<Decimal128Type>(values, f),
        DataType::Float32 => {
            let array = values.as_primitive_opt::<Float32Type>().ok_or_else(not_numbers)?;
            array.iter().for_each(|value| f(value.map(|value| Number::Float(value.into()))));
            Ok(())
        }
        DataType::Float64 => {
            let array = values.as_primitive_opt::<Float64Type>().ok_or_else(not_numbers)?;
            array.iter().for_each(|value| f(value.map(Number::Float)));
            Ok(())
        }
        _ => Err(not_numbers()),
    }
}

/// A float column as `f64`, null as `None`.
///
/// # Errors
/// [`Code::Internal`] when the column holds no floats.
pub(super) fn floats(values: &ArrayRef) -> Result<Vec<Option<f64>>> {
    let mut out = Vec::with_capacity(values.len());
    each(values, &mut |value| {
        out.push(match value {
            Some(Number::Float(value)) => Some(value),
            Some(Number::Exact(_)) | None => None,
        });
    })?;
    Ok(out)
}

/// The parameter in units of ten to the power `-scale`, where it is a whole number of them.
pub(super) fn units(args: &Args, name: &str, scale: i8) -> Option<i128> {
    let power = ten_to(u32::from(scale.unsigned_abs()))?;
    match args.value(name)? {
        Value::Integer(value) if scale >= 0 => i128::from(*value).checked_mul(power),
        Value::Integer(value) => {
            let value = i128::from(*value);
            (value % power == 0).then_some(value / power)
        }
        Value::Number(value) => units_of(*value, scale),
        _ => None,
    }
}

/// The number in units of ten to the power `-scale`, where it is a whole number of them.
pub(super) fn units_of(value: f64, scale: i8) -> Option<i128> {
    let scaled = value * 10_f64.powi(scale.into());
    let nearest = scaled.round();
    // A decimal like 0.05 has no exact float; a few units in the last place are its spelling.
    let whole = (scaled - nearest).abs() <= 4.0 * f64::EPSILON * scaled.abs();
    (whole && nearest.abs() < 1e37).then_some(nearest as i128)
}

/// Ten to a power, where it fits.
pub(super) fn ten_to(power: u32) -> Option<i128> {
    10_i128.checked_pow(power)
}

/// A number as people write it: `1000`, `0.25`; never `-0`.
pub(super) fn written(value: f64) -> String {
    format!("{}", value + 0.0)
}

/// A privacy loss as people read it: rounded up to four digits; what has no more stays as it is.
pub fn rounded_up(epsilon: f64) -> String {
    written((epsilon * 1e4 - 1e-6).ceil() / 1e4)
}

fn map_exact<T>(values: &ArrayRef, f: &mut dyn FnMut(i128) -> Option<i128>) -> Result<ArrayRef>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i128> + TryFrom<i128>,
{
    build::<T>(values, |value| f(value.into()).and_then(|value| T::Native::try_from(value).ok()))
}

// INVARIANT: a builder writes the default value under a null, so nothing raw stays in the buffer.
fn build<T: ArrowPrimitiveType>(
    values: &ArrayRef,
    mut f: impl FnMut(T::Native) -> Option<T::Native>,
) -> Result<ArrayRef> {
    let array = values.as_primitive_opt::<T>().ok_or_else(not_numbers)?;
    let mut out = PrimitiveBuilder::<T>::with_capacity(array.len())
        .with_data_type(values.data_type().clone());
    for value in array {
        out.append_option(value.and_then(&mut f));
    }
    Ok(Arc::new(out.finish()))
}

fn each_exact<T>(values: &ArrayRef, f: &mut dyn FnMut(Option<Number>)) -> Result<()>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i128>,
{
    let array = values.as_primitive_opt::<T>().ok_or_else(not_numbers)?;
    array.iter().for_each(|value| f(value.map(|value| Number::Exact(value.into()))));
    Ok(())
}

fn not_numbers() -> Error {
    Error::new(Code::Internal, "not a number column")
}
