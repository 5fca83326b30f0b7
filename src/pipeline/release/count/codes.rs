//! The values of one column as codes, numbered as they are met: 0 is null. Knows no other column.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Int32Type};

use super::groups::{Fast, entry_bytes};
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::release::text::texts;

/// Not met yet.
const UNMET: u32 = u32::MAX;

/// Gives values codes.
#[derive(Default)]
pub(super) struct Coder {
    bits: HashMap<u64, u32, Fast>,
    texts: HashMap<Box<[u8]>, u32, Fast>,
    text_bytes: usize,
    /// Values by code, from 1, as they were met.
    parts: Vec<ArrayRef>,
    count: u32,
    kind: Option<DataType>,
    /// Codes of the dictionary that was met last.
    known: Option<(ArrayRef, Vec<u32>)>,
}

/// The distinct values that a thread met.
pub(super) struct Found {
    /// By code, from 1; none where there was none but null.
    pub(super) values: Option<ArrayRef>,
    /// Whether null was met.
    pub(super) null: bool,
    /// Rows by code; 0 is null.
    pub(super) rows: Vec<u64>,
}

impl Coder {
    /// The code of each row.
    pub(super) fn codes(&mut self, column: &ArrayRef, out: &mut Vec<u32>) -> Result<()> {
        out.clear();
        match column.as_dictionary_opt::<Int32Type>() {
            Some(dictionary) => {
                let values = dictionary.values();
                let same =
                    |(known, _): &(ArrayRef, Vec<u32>)| known.to_data().ptr_eq(&values.to_data());
                let (kept, mut map) = match self.known.take().filter(same) {
                    Some(known) => known,
                    None => (ArrayRef::clone(values), vec![UNMET; values.len()]),
                };
                // Only values that a row has are values: a dictionary may hold others.
                let mut met = Vec::new();
                for key in dictionary.keys().iter().flatten() {
                    if let Some(code) = usize::try_from(key).ok().and_then(|key| map.get_mut(key))
                        && *code == UNMET
                    {
                        *code = 0;
                        met.push(u32::try_from(key).unwrap_or(0));
                    }
                }
                if !met.is_empty() {
                    let met = UInt32Array::from(met);
                    let values = take(values, &met, None).context(Code::Internal, plain)?;
                    let mut codes = Vec::with_capacity(met.len());
                    self.plain(&values, &mut codes)?;
                    for (key, code) in met.values().iter().zip(codes) {
                        let place = usize::try_from(*key).ok().and_then(|key| map.get_mut(key));
                        if let Some(place) = place {
                            *place = code;
                        }
                    }
                }
                let code =
                    |key: i32| usize::try_from(key).ok().and_then(|key| map.get(key)).copied();
                if dictionary.keys().null_count() == 0 {
                    out.extend(
                        dictionary.keys().values().iter().map(|key| code(*key).unwrap_or(0)),
                    );
                } else {
                    out.extend(dictionary.keys().iter().map(|key| key.and_then(code).unwrap_or(0)));
                }
                self.known = Some((kept, map));
                Ok(())
            }
            None => self.plain(column, out),
        }
    }

    /// The same for an array that is no dictionary.
    fn plain(&mut self, column: &ArrayRef, out: &mut Vec<u32>) -> Result<()> {
        match &self.kind {
            None => self.kind = Some(column.data_type().clone()),
            Some(kind) if kind == column.data_type() => {}
            Some(_) => return Err(Error::new(Code::Internal, "a column changes its type")),
        }
        let first = self.count;
        let mut fresh = Vec::new();
        let data = column.to_data();
        let rows = column.len();
        match column.data_type() {
            DataType::Utf8 => {
                let values = column.as_string::<i32>();
                let value = |row: usize| values.is_valid(row).then(|| values.value(row).as_bytes());
                self.by_text(rows, value, out, &mut fresh);
            }
            DataType::Binary => {
                let values = column.as_binary::<i32>();
                let value = |row: usize| values.is_valid(row).then(|| values.value(row));
                self.by_text(rows, value, out, &mut fresh);
            }
            DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                let numbers = arrow::compute::cast(column, &DataType::Float64);
                let numbers = numbers.context(Code::Internal, plain)?;
                let numbers = numbers.as_primitive::<arrow::datatypes::Float64Type>();
                // All NaN are one, as they have one text.
                let bits = |number: &f64| if number.is_nan() { u64::MAX } else { number.to_bits() };
                let bits = numbers.values().iter().map(bits);
                self.by_bits(bits, column, out, &mut fresh);
            }
            kind => match kind.primitive_width() {
                Some(1) => {
                    let bits = data.buffer::<u8>(0).iter().take(rows).map(|b| u64::from(*b));
                    self.by_bits(bits, column, out, &mut fresh);
                }
                Some(2) => {
                    let bits = data.buffer::<u16>(0).iter().take(rows).map(|b| u64::from(*b));
                    self.by_bits(bits, column, out, &mut fresh);
                }
                Some(4) => {
                    let bits = data.buffer::<u32>(0).iter().take(rows).map(|b| u64::from(*b));
                    self.by_bits(bits, column, out, &mut fresh);
                }
                Some(8) => {
                    let bits = data.buffer::<u64>(0).iter().take(rows).copied();
                    self.by_bits(bits, column, out, &mut fresh);
                }
                _ => {
                    let texts = texts(column)?;
                    let values = texts.as_string::<i32>();
                    let value =
                        |row: usize| values.is_valid(row).then(|| values.value(row).as_bytes());
                    self.by_text(rows, value, out, &mut fresh);
                }
            },
        }
        if self.count > first {
            let fresh = UInt32Array::from(fresh);
            self.parts.push(take(column, &fresh, None).context(Code::Internal, plain)?);
        }
        Ok(())
    }

    fn by_bits(
        &mut self,
        bits: impl Iterator<Item = u64>,
        column: &ArrayRef,
        out: &mut Vec<u32>,
        fresh: &mut Vec<u32>,
    ) {
        let mut last = (0, 0);
        let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
        for (row, bits) in bits.enumerate() {
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                out.push(0);
                continue;
            }
            if last.1 == 0 || last.0 != bits {
                let next = self.count + 1;
                let code = *self.bits.entry(bits).or_insert(next);
                if code == next {
                    self.count = next;
                    fresh.push(u32::try_from(row).unwrap_or(0));
                }
                last = (bits, code);
            }
            out.push(last.1);
        }
    }

    fn by_text<'v>(
        &mut self,
        rows: usize,
        value: impl Fn(usize) -> Option<&'v [u8]>,
        out: &mut Vec<u32>,
        fresh: &mut Vec<u32>,
    ) {
        for row in 0..rows {
            let Some(text) = value(row) else {
                out.push(0);
                continue;
            };
            let code = match self.texts.get(text) {
                Some(code) => *code,
                None => {
                    self.count += 1;
                    self.texts.insert(text.into(), self.count);
                    self.text_bytes += text.len();
                    fresh.push(u32::try_from(row).unwrap_or(0));
                    self.count
                }
            };
            out.push(code);
        }
    }

    /// How many codes there are, null's among them.
    pub(super) const fn len(&self) -> usize {
        self.count as usize + 1
    }

    /// About how many bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        self.bits.capacity() * entry_bytes::<u64, u32>()
            + self.texts.capacity() * entry_bytes::<Box<[u8]>, u32>()
            // Each text stands here and among the values.
            + self.text_bytes * 2
            + self.count as usize * 16
    }

    /// What a number is given for by its bytes, by code from 1; after that no value is known.
    ///
    /// # Errors
    /// [`Code::Internal`] for values that are no bytes.
    pub(super) fn numbers(&mut self, number: impl Fn(&[u8]) -> u128) -> Result<Vec<u128>> {
        let this = std::mem::take(self);
        let mut numbers = Vec::with_capacity(this.count as usize);
        for part in &this.parts {
            let part = part.as_binary_opt::<i32>();
            let part = part.ok_or_else(|| Error::new(Code::Internal, "persons are no bytes"))?;
            numbers.extend(part.iter().map(|bytes| number(bytes.unwrap_or_default())));
        }
        Ok(numbers)
    }

    /// The values, once no more come.
    pub(super) fn found(&mut self, rows: Vec<u64>) -> Result<Found> {
        let this = std::mem::take(self);
        let parts: Vec<&dyn Array> = this.parts.iter().map(AsRef::as_ref).collect();
        let values = match parts.is_empty() {
            true => None,
            false => Some(concat(&parts).context(Code::Internal, plain)?),
        };
        let null = rows.first().is_some_and(|rows| *rows > 0);
        Ok(Found { values, null, rows })
    }
}

fn plain() -> String {
    "values of a release have no plain form".to_owned()
}
