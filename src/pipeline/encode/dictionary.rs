//! Writes texts as keys into a dictionary of their own: one a column and message, with the values that
//! rows of the message show, in the order in which they first do. Keeps nothing between messages.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray};
use arrow::datatypes::{DataType, Field};

use super::run::{Part, Validity};
use super::texts::Texts;
use super::{Body, Encoded, Run, mismatch};
use crate::error::{Code, Error, Result};

/// The values of one dictionary.
#[derive(Debug)]
pub(in crate::pipeline) struct Dictionary {
    kind: DataType,
    values: ArrayRef,
}

impl Dictionary {
    /// How many values there are.
    pub(in crate::pipeline) fn len(&self) -> usize {
        self.values.len()
    }

    /// The body of the message that carries the values.
    ///
    /// # Errors
    /// As [`Body::column`].
    pub(in crate::pipeline) fn encode(&self) -> Result<Encoded> {
        let mut body = Body::new(Vec::new());
        let run = Run::Values { array: &self.values, start: 0, len: self.values.len() };
        body.column(&Field::new("values", self.kind.clone(), false), &[run])?;
        Ok(body.finish())
    }
}

impl Body {
    /// Keys, and the dictionary that they need.
    ///
    /// PRIVACY: a dictionary that comes in may hold values of rows that were taken out. Only values to
    /// which a key of this message points are looked at.
    pub(super) fn dictionary(
        &mut self,
        kind: &DataType,
        runs: &[Run<'_>],
        rows: usize,
        validity: &Validity,
    ) -> Result<()> {
        let mut seen = Seen::default();
        let mut slots = self.buffer(rows * 4)?.chunks_exact_mut(4);
        for (run, part) in runs.iter().zip(&validity.parts) {
            let source = Texts::of(run)?;
            if let Texts::Dictionary { keys, offsets, .. } = &source
                && offsets.len() <= keys.len().saturating_mul(4)
            {
                seen.by_key(&source, keys, offsets.len(), part, &mut slots)?;
                continue;
            }
            let mut row = 0;
            source.each_span(part, run.len(), |bytes, from, to| {
                let slot = slots.next()?;
                if part.is_valid(row) {
                    slot.copy_from_slice(&seen.key(bytes.get(from..to)?)?.to_le_bytes());
                }
                row += 1;
                Some(())
            })?;
        }
        let total: usize = seen.values.iter().map(|value| value.len()).sum();
        if i32::try_from(total).is_err() {
            return Err(Error::new(Code::RowTooLarge, "the texts of a batch are too long"));
        }
        let values: ArrayRef = Arc::new(BinaryArray::from_iter_values(&seen.values));
        self.dictionaries.push(Dictionary { kind: kind.clone(), values });
        Ok(())
    }
}

/// The values that were met, in order, and where each stands.
#[derive(Default)]
struct Seen<'a> {
    values: Vec<&'a [u8]>,
    places: HashMap<&'a [u8], i32>,
}

impl<'a> Seen<'a> {
    fn key(&mut self, value: &'a [u8]) -> Option<i32> {
        if let Some(key) = self.places.get(value) {
            return Some(*key);
        }
        let key = i32::try_from(self.values.len()).ok()?;
        self.values.push(value);
        self.places.insert(value, key);
        Some(key)
    }

    /// Keys of a dictionary to keys of ours, so that each of its values is compared once and not once a
    /// row.
    fn by_key<'s>(
        &mut self,
        source: &Texts<'a>,
        keys: &[i32],
        len: usize,
        part: &Part,
        slots: &mut impl Iterator<Item = &'s mut [u8]>,
    ) -> Result<()> {
        let mut ours = vec![None; len];
        for (row, key) in keys.iter().enumerate() {
            let slot = slots.next().ok_or_else(mismatch)?;
            if !part.is_valid(row) {
                continue;
            }
            let place = usize::try_from(*key).ok().and_then(|key| ours.get_mut(key));
            let place: &mut Option<i32> = place.ok_or_else(mismatch)?;
            let mine = match place {
                Some(mine) => *mine,
                None => {
                    let value = source.at(*key).ok_or_else(mismatch)?;
                    *place.insert(self.key(value).ok_or_else(mismatch)?)
                }
            };
            slot.copy_from_slice(&mine.to_le_bytes());
        }
        Ok(())
    }
}
