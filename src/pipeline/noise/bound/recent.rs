//! The numbers of texts that came lately, by their views: the same sixteen bytes in the same memory are the same
//! text, which need not be hashed and compared again. Gives no numbers itself.

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::compute::take;
use arrow::datatypes::DataType;

use crate::error::{Code, Context, Result};

/// So many texts are remembered: few, so that they stay close.
const ENTRIES: usize = 1 << 9;

/// The number of no text.
const NONE: usize = usize::MAX;

/// Beside the place of a text that is asked for and has no number yet.
const OPEN: usize = 1 << (usize::BITS - 1);

/// Numbers by views.
#[derive(Default)]
pub(super) struct Recent {
    entries: Vec<(u128, usize)>,
    /// What views point into. Held, so that nothing else comes to lie there.
    texts: Vec<Buffer>,
    missed: Vec<u64>,
    fresh: Vec<usize>,
    /// How many columns are numbered without looking here, because looking brought little.
    idle: usize,
}

impl Recent {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Puts the number of each of the column's values into `out`; `number` is asked for those that did not come
    /// lately.
    ///
    /// # Errors
    /// What `number` says.
    pub(super) fn number(
        &mut self,
        column: &ArrayRef,
        out: &mut Vec<usize>,
        mut number: impl FnMut(&ArrayRef, &mut Vec<usize>) -> Result<()>,
    ) -> Result<()> {
        let views = self.views(column);
        let Some(views) = views.filter(|_| self.idle == 0) else {
            self.idle = self.idle.saturating_sub(1);
            return number(column, out);
        };
        self.look(&views, out);
        if self.missed.is_empty() {
            return Ok(());
        }
        if self.missed.len() > column.len() / 2 {
            self.idle = 16;
        }
        let missed = UInt64Array::from(std::mem::take(&mut self.missed));
        let texts = take(column, &missed, None)
            .context(Code::Internal, || "texts cannot be picked".to_owned())?;
        number(&texts, &mut self.fresh)?;
        let fresh = &self.fresh;
        let told = |number: &mut usize| {
            if *number & OPEN != 0 {
                *number = fresh.get(*number & !OPEN).copied().unwrap_or(NONE);
            }
        };
        out.iter_mut().for_each(told);
        self.entries.iter_mut().filter(|(_, number)| *number != NONE).for_each(|(_, n)| told(n));
        Ok(())
    }

    /// The views of a column that has some, and has a text in each row.
    fn views(&mut self, column: &ArrayRef) -> Option<ScalarBuffer<u128>> {
        if column.null_count() > 0 {
            return None;
        }
        let (views, texts) = match column.data_type() {
            DataType::Utf8View => {
                let column = column.as_string_view();
                (column.views(), column.data_buffers())
            }
            DataType::BinaryView => {
                let column = column.as_binary_view();
                (column.views(), column.data_buffers())
            }
            _ => return None,
        };
        let same = |(a, b): (&Buffer, &Buffer)| a.as_ptr() == b.as_ptr() && a.len() == b.len();
        if texts.len() != self.texts.len() || !texts.iter().zip(&self.texts).all(same) {
            self.entries.clear();
            self.texts = texts.to_vec();
        }
        if self.entries.is_empty() {
            self.entries.resize(ENTRIES, (0, NONE));
        }
        Some(views.clone())
    }

    /// Numbers of what is known. Of all others one row each is in `missed`, and its place there is the number for
    /// now.
    fn look(&mut self, views: &[u128], out: &mut Vec<usize>) {
        let Self { entries, missed, .. } = self;
        missed.clear();
        out.clear();
        out.extend((0..).zip(views).map(|(row, view)| match entries.get_mut(entry_of(*view)) {
            Some((known, number)) if known == view && *number != NONE => *number,
            entry => {
                let number = missed.len() | OPEN;
                missed.push(row);
                if let Some(entry) = entry {
                    *entry = (*view, number);
                }
                number
            }
        }));
    }
}

/// Where a view stands: a text of up to twelve bytes is all in it, of a longer one its length, how it begins and
/// where it lies.
#[inline(always)]
const fn entry_of(view: u128) -> usize {
    let mixed =
        ((view as u64) ^ ((view >> 64) as u64).rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 55) as usize & (ENTRIES - 1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringViewArray;

    use super::*;

    /// Numbers texts as they come, and counts how many it was asked for.
    fn numbered(
        recent: &mut Recent,
        known: &mut Vec<String>,
        texts: &ArrayRef,
    ) -> (Vec<usize>, usize) {
        let (mut out, mut asked) = (vec![77], 0);
        recent
            .number(texts, &mut out, |texts, out| {
                asked += texts.len();
                out.clear();
                for text in texts.as_string_view() {
                    let text = text.unwrap_or("null").to_owned();
                    let place = known.iter().position(|known| *known == text);
                    out.push(place.unwrap_or(known.len()));
                    if place.is_none() {
                        known.push(text);
                    }
                }
                Ok(())
            })
            .unwrap();
        (out, asked)
    }

    #[test]
    fn texts_have_their_numbers_whatever_came_before_and_wherever_they_lie() {
        let (mut recent, mut known) = (Recent::default(), Vec::new());
        let mut seed = 5_u64;
        for turn in 0..200 {
            // Long texts of one length that begin alike, at the same places of other buffers; many; and nulls.
            let of = [3, 40, 40, 5_000][turn % 4];
            let texts: Vec<Option<String>> = (0..300)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let number = (seed >> 33) % of;
                    let text = if turn % 3 == 0 {
                        format!("{number}")
                    } else {
                        format!("a long text {number:09}")
                    };
                    (turn % 7 != 0 || number > 0).then_some(text)
                })
                .collect();
            let column: ArrayRef = Arc::new(StringViewArray::from_iter(texts.clone()));
            let (numbers, _) = numbered(&mut recent, &mut known, &column);
            assert_eq!(numbers.len(), texts.len());
            for (number, text) in numbers.iter().zip(&texts) {
                assert_eq!(&known[*number], text.as_deref().unwrap_or("null"), "turn {turn}");
            }
        }
    }

    #[test]
    fn texts_that_come_again_are_not_looked_at_again() {
        let (mut recent, mut known) = (Recent::default(), Vec::new());
        let texts = (0..10_000).map(|at| Some(format!("site {}", at % 20)));
        let column: ArrayRef = Arc::new(texts.collect::<StringViewArray>());
        let (first, asked) = numbered(&mut recent, &mut known, &column.slice(0, 5_000));
        assert!(asked >= 20, "what never came is asked for");
        let (second, again) = numbered(&mut recent, &mut known, &column.slice(5_000, 4_980));
        assert_eq!(first[..4_980], second);
        // Two that have the same place put each other out.
        assert!(asked < 1_000 && again < 1_000, "{asked} {again}");
    }
}
