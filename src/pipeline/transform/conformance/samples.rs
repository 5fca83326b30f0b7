//! A column of every type that a raw table may have, for the conformance suite. Each has nulls with
//! values under them: bytes that must never be seen again.

use std::sync::Arc;

use arrow::array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal128Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray,
    StringArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;

/// The length of every sample.
pub(super) const ROWS: usize = 24;

/// Whether a row is null; some of either parity are.
fn is_null(row: usize) -> bool {
    row % 7 == 3 || row % 11 == 6
}

fn nulls() -> Option<NullBuffer> {
    Some((0..ROWS).map(|row| !is_null(row)).collect())
}

/// One column a type; text comes first.
pub(super) fn all() -> Vec<ArrayRef> {
    let mut all = vec![
        texts(|row| format!("CANARY-{:04}@host{}.example.org", row / 2 * 37, row % 3)),
        texts(|row| format!("{}.Canary ÅÄÖ {}", "x".repeat(row % 5), row * 7919)),
        bytes(|row| format!("CANARY-bytes-{row:02}").into_bytes()),
        fixed(),
        Arc::new(BooleanArray::new((0..ROWS).map(|row| row % 3 == 0).collect(), nulls())),
    ];
    all.extend(whole_numbers());
    all.extend(fractions());
    all.extend(times());
    all
}

/// Text with a value under each null.
pub(super) fn texts(text: impl Fn(usize) -> String) -> ArrayRef {
    let whole: StringArray = (0..ROWS).map(|row| Some(text(row))).collect();
    let (offsets, values, _) = whole.into_parts();
    Arc::new(StringArray::new(offsets, values, nulls()))
}

/// Bytes with a value under each null.
pub(super) fn bytes(bytes: impl Fn(usize) -> Vec<u8>) -> ArrayRef {
    let whole: BinaryArray = (0..ROWS).map(|row| Some(bytes(row))).collect();
    let (offsets, values, _) = whole.into_parts();
    Arc::new(BinaryArray::new(offsets, values, nulls()))
}

fn fixed() -> ArrayRef {
    let bytes: Vec<u8> =
        (0..ROWS).flat_map(|row| format!("CANARY{row:010}").into_bytes()).collect();
    Arc::new(FixedSizeBinaryArray::new(16, bytes.into(), nulls()))
}

/// Numbers with a value under each null.
pub(super) fn primitive<T: ArrowPrimitiveType>(
    value: impl Fn(usize) -> T::Native,
) -> PrimitiveArray<T> {
    PrimitiveArray::new((0..ROWS).map(value).collect::<Vec<_>>().into(), nulls())
}

/// A value that fills its bytes where it stands under a null, and an ordinary one elsewhere.
fn whole(row: usize, hidden: i64) -> i64 {
    if is_null(row) { hidden - row as i64 } else { (row as i64 - 9) * 731 }
}

fn whole_numbers() -> Vec<ArrayRef> {
    let hidden = 0x5a17_c3e9_71d5_4b2f_i64;
    vec![
        Arc::new(primitive::<Int8Type>(|row| (row * 9) as i8)),
        Arc::new(primitive::<Int16Type>(|row| whole(row, 0x5a17) as i16)),
        Arc::new(primitive::<Int32Type>(|row| whole(row, 0x5a17_c3e9) as i32)),
        Arc::new(primitive::<Int64Type>(|row| whole(row, hidden))),
        Arc::new(primitive::<UInt8Type>(|row| (row * 9) as u8)),
        Arc::new(primitive::<UInt16Type>(|row| whole(row, 0x5a17) as u16)),
        Arc::new(primitive::<UInt32Type>(|row| whole(row, 0x5a17_c3e9) as u32)),
        Arc::new(primitive::<UInt64Type>(|row| whole(row, hidden) as u64)),
        // The ends of the type.
        Arc::new(primitive::<Int64Type>(|row| match row % 4 {
            0 => i64::MIN + row as i64,
            1 => i64::MAX - row as i64,
            _ => whole(row, hidden),
        })),
    ]
}

fn fractions() -> Vec<ArrayRef> {
    let number = |row: usize| match row {
        _ if is_null(row) => 83.123_456_789 + row as f64,
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => f64::NEG_INFINITY,
        4 => -0.0,
        _ => (row as f64 - 9.0) * 5.312_5,
    };
    vec![
        Arc::new(primitive::<Float32Type>(|row| number(row) as f32)),
        Arc::new(primitive::<Float64Type>(number)),
        Arc::new(
            primitive::<Decimal128Type>(|row| i128::from(whole(row, 0x5a_17c3_e971)))
                .with_precision_and_scale(18, 3)
                .unwrap(),
        ),
    ]
}

fn times() -> Vec<ArrayRef> {
    let second = |row: usize| whole(row, 1_719_876_543) + 1_700_000_000 * i64::from(!is_null(row));
    vec![
        Arc::new(primitive::<Date32Type>(|row| whole(row, 0x00a1_b2c3) as i32)),
        Arc::new(primitive::<Date64Type>(|row| whole(row, 20_123) * 86_400_000)),
        Arc::new(primitive::<TimestampSecondType>(second)),
        Arc::new(primitive::<TimestampMillisecondType>(|row| second(row) * 1_000 + 7)),
        Arc::new(
            primitive::<TimestampMicrosecondType>(|row| second(row) * 1_000_000 + 7)
                .with_timezone("Europe/Helsinki"),
        ),
        Arc::new(
            primitive::<TimestampNanosecondType>(|row| second(row) * 1_000_000_000 + 7)
                .with_timezone("+02:00"),
        ),
        Arc::new(primitive::<TimestampNanosecondType>(|row| match row % 4 {
            0 => i64::MIN + row as i64,
            1 => i64::MAX - row as i64,
            _ => second(row),
        })),
    ]
}

/// Whether the column's bytes can be looked for as a text.
pub(super) fn is_text(raw: &ArrayRef) -> bool {
    matches!(raw.data_type(), DataType::Utf8 | DataType::Binary | DataType::FixedSizeBinary(_))
}

/// The bytes of a row, whether it is null or not; none for flags.
pub(super) fn bytes_under(raw: &ArrayRef, row: usize) -> Vec<u8> {
    match raw.data_type() {
        DataType::Utf8 => raw.as_string::<i32>().value(row).as_bytes().to_vec(),
        DataType::Binary => raw.as_binary::<i32>().value(row).to_vec(),
        DataType::Boolean => Vec::new(),
        other => {
            let width = match other {
                DataType::FixedSizeBinary(width) => usize::try_from(*width).unwrap(),
                other => other.primitive_width().unwrap(),
            };
            let data = raw.to_data();
            let start = (data.offset() + row) * width;
            data.buffers()[0].as_slice()[start..start + width].to_vec()
        }
    }
}

/// The least and the greatest values of every type, and those beside zero.
pub(super) fn ends() -> Vec<ArrayRef> {
    fn column<T: ArrowPrimitiveType>(values: &[T::Native]) -> PrimitiveArray<T> {
        PrimitiveArray::from_iter_values((0..ROWS).map(|row| values[row % values.len()]))
    }
    let longs = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
    let floats = [
        f64::MIN,
        -180.000_1,
        -90.0,
        -f64::MIN_POSITIVE,
        0.0,
        5e-324,
        90.0,
        180.0,
        f64::MAX,
        f64::NAN,
    ];
    vec![
        Arc::new(column::<Int8Type>(&[i8::MIN, -1, 0, 1, i8::MAX])),
        Arc::new(column::<Int16Type>(&[i16::MIN, -1, 0, 1, i16::MAX])),
        Arc::new(column::<Int32Type>(&[i32::MIN, -1, 0, 1, i32::MAX])),
        Arc::new(column::<Int64Type>(&longs)),
        Arc::new(column::<UInt8Type>(&[0, 1, u8::MAX])),
        Arc::new(column::<UInt16Type>(&[0, 1, u16::MAX])),
        Arc::new(column::<UInt32Type>(&[0, 1, u32::MAX])),
        Arc::new(column::<UInt64Type>(&[0, 1, u64::MAX])),
        Arc::new(column::<Float32Type>(&[f32::MIN, -0.0, 1e-45, f32::MAX, f32::INFINITY])),
        Arc::new(column::<Float64Type>(&floats)),
        Arc::new(column::<Decimal128Type>(&[i128::MIN, -1, 0, i128::MAX])),
        Arc::new(
            column::<Decimal128Type>(&[-(10_i128.pow(38) - 1), -1, 0, 10_i128.pow(38) - 1])
                .with_precision_and_scale(38, 38)
                .unwrap(),
        ),
        Arc::new(column::<Date32Type>(&[i32::MIN, -719_529, -1, 0, i32::MAX])),
        Arc::new(column::<Date64Type>(&longs)),
        Arc::new(column::<TimestampSecondType>(&longs)),
        Arc::new(column::<TimestampMillisecondType>(&longs).with_timezone("Europe/Helsinki")),
        Arc::new(column::<TimestampMicrosecondType>(&longs)),
        Arc::new(column::<TimestampNanosecondType>(&longs).with_timezone("-11:59")),
        texts(|row| {
            ["", "\0", "\u{10ffff}", "@", "a@", "@b", "::", "1.2.3.4/8", "\u{200b}"][row % 9]
                .to_owned()
        }),
        texts(|row| "\u{0130}\u{df}@\u{1f469}\u{200d}".repeat(row * 40)),
        bytes(|row| vec![0xff; row]),
    ]
}
