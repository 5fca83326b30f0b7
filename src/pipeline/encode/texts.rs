//! Writes texts and bytes: with offsets of either width, or as views. Reads them in every form that they
//! come in. Knows nothing of characters.

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Int32Type};

use super::run::{Part, Validity};
use super::{Body, Run, index, mismatch};
use crate::error::{Code, Error, Result};

/// How many bytes a short copy moves at once.
const STRIDE: usize = 32;

/// The bytes of one view, and how long a text stands in the view itself.
const VIEW: usize = 16;
const INLINE: usize = 12;

/// An offset as it is written.
pub(super) trait Offset {
    /// Its bytes.
    const WIDTH: usize;
    /// Whether all offsets up to `total` can be written.
    fn fits(total: usize) -> bool;
    /// Writes one into its slot; `None` where it does not fit.
    fn write(total: usize, slot: &mut [u8]) -> Option<()>;
}

/// 32 bits.
pub(super) struct Narrow;

/// 64 bits.
pub(super) struct Wide;

impl Offset for Narrow {
    const WIDTH: usize = 4;

    fn fits(total: usize) -> bool {
        i32::try_from(total).is_ok()
    }

    #[inline]
    fn write(total: usize, slot: &mut [u8]) -> Option<()> {
        slot.copy_from_slice(&u32::try_from(total).ok()?.to_le_bytes());
        Some(())
    }
}

impl Offset for Wide {
    const WIDTH: usize = 8;

    fn fits(total: usize) -> bool {
        i64::try_from(total).is_ok()
    }

    #[inline]
    fn write(total: usize, slot: &mut [u8]) -> Option<()> {
        slot.copy_from_slice(&(total as u64).to_le_bytes());
        Some(())
    }
}

impl Body {
    /// Offsets, then the bytes.
    pub(super) fn texts<O: Offset>(
        &mut self,
        runs: &[Run<'_>],
        rows: usize,
        validity: &Validity,
    ) -> Result<()> {
        let sources = runs.iter().map(Texts::of).collect::<Result<Vec<_>>>()?;
        let mut total = 0_usize;
        let slots = self.buffer((rows + 1) * O::WIDTH)?;
        let mut slots = slots.chunks_exact_mut(O::WIDTH).skip(1);
        for ((run, part), source) in runs.iter().zip(&validity.parts).zip(&sources) {
            source.each_len(part, run.len(), |len| {
                total += len;
                O::write(total, slots.next()?)
            })?;
        }
        // The field's offsets are signed; more than a message may hold is cut into smaller messages,
        // but not past this.
        if !O::fits(total) {
            return Err(too_long());
        }
        let start = self.bytes.len();
        let out = self.zeros(total + STRIDE)?;
        let mut at = 0;
        for ((run, part), source) in runs.iter().zip(&validity.parts).zip(&sources) {
            if let (Texts::Plain { offsets, bytes }, Part::Valid(_)) = (source, part) {
                let (from, to) = ends(offsets)?;
                copy(out, &mut at, bytes, from, to).ok_or_else(mismatch)?;
            } else {
                source.each_span(part, run.len(), |bytes, from, to| {
                    copy(out, &mut at, bytes, from, to)
                })?;
            }
        }
        // PRIVACY: what the last copies wrote past the end goes before the buffer is closed.
        self.bytes.truncate(start + total);
        self.close(start)
    }

    /// Views, then one buffer of the texts that do not stand in their view.
    ///
    /// PRIVACY: the buffer holds what rows of this message show and nothing else; a view array that
    /// comes in may share the buffers of a whole file.
    pub(super) fn views(
        &mut self,
        runs: &[Run<'_>],
        rows: usize,
        validity: &Validity,
    ) -> Result<()> {
        let sources = runs.iter().map(Texts::of).collect::<Result<Vec<_>>>()?;
        let mut total = 0_usize;
        let mut slots = self.buffer(rows * VIEW)?.chunks_exact_mut(VIEW);
        for ((run, part), source) in runs.iter().zip(&validity.parts).zip(&sources) {
            source.each_span(part, run.len(), |bytes, from, to| {
                let slot: &mut [u8; VIEW] = slots.next()?.first_chunk_mut()?;
                write_view(slot, bytes.get(from..to)?, &mut total)
            })?;
        }
        if i32::try_from(total).is_err() {
            return Err(too_long());
        }
        if total == 0 {
            self.variadic.push(0);
            return Ok(());
        }
        self.variadic.push(1);
        let start = self.bytes.len();
        let out = self.zeros(total + STRIDE)?;
        let mut at = 0;
        for ((run, part), source) in runs.iter().zip(&validity.parts).zip(&sources) {
            source.each_span(part, run.len(), |bytes, from, to| {
                if to - from <= INLINE {
                    return Some(());
                }
                copy(out, &mut at, bytes, from, to)
            })?;
        }
        // PRIVACY: as for texts.
        self.bytes.truncate(start + total);
        self.close(start)
    }
}

/// One view in zeroed memory; a text that does not stand in it goes to `total` in the only buffer.
#[inline]
fn write_view(slot: &mut [u8; VIEW], text: &[u8], total: &mut usize) -> Option<()> {
    let len = u32::try_from(text.len()).ok()?;
    let [a, b, c, d, rest @ ..] = slot;
    [*a, *b, *c, *d] = len.to_le_bytes();
    if text.len() <= INLINE {
        rest.get_mut(..text.len())?.copy_from_slice(text);
        return Some(());
    }
    let at = u32::try_from(*total).ok()?;
    rest.get_mut(..4)?.copy_from_slice(text.get(..4)?);
    rest.get_mut(8..)?.copy_from_slice(&at.to_le_bytes());
    *total += text.len();
    Some(())
}

/// The texts of one run.
pub(super) enum Texts<'a> {
    Blank,
    Plain { offsets: &'a [i32], bytes: &'a [u8] },
    Large { offsets: &'a [i64], bytes: &'a [u8] },
    Dictionary { keys: &'a [i32], offsets: &'a [i32], bytes: &'a [u8] },
    Views { views: &'a [u8], buffers: &'a [Buffer] },
}

impl<'a> Texts<'a> {
    pub(super) fn of(run: &Run<'a>) -> Result<Self> {
        let Run::Values { array, start, len } = *run else { return Ok(Self::Blank) };
        if let Some(dictionary) = array.as_any().downcast_ref::<DictionaryArray<Int32Type>>() {
            let keys = dictionary.keys().values().get(start..start + len).ok_or_else(mismatch)?;
            let (offsets, bytes) = plain(dictionary.values()).ok_or_else(mismatch)?;
            return Ok(Self::Dictionary { keys, offsets, bytes });
        }
        let source = match array.data_type() {
            DataType::LargeUtf8 | DataType::LargeBinary => {
                large(array).and_then(|(offsets, bytes)| {
                    Some(Self::Large { offsets: offsets.get(start..=start + len)?, bytes })
                })
            }
            DataType::Utf8View | DataType::BinaryView => {
                views(array).and_then(|(views, buffers)| {
                    let views = views.get(start * VIEW..(start + len) * VIEW)?;
                    Some(Self::Views { views, buffers })
                })
            }
            _ => plain(array).and_then(|(offsets, bytes)| {
                Some(Self::Plain { offsets: offsets.get(start..=start + len)?, bytes })
            }),
        };
        source.ok_or_else(mismatch)
    }

    /// The value that a key of a dictionary points to.
    pub(super) fn at(&self, key: i32) -> Option<&'a [u8]> {
        let Self::Dictionary { offsets, bytes, .. } = self else { return None };
        let (from, to) = span(offsets, usize::try_from(key).ok()?)?;
        bytes.get(from..to)
    }

    /// Tells how long each row is; null rows are empty.
    #[inline]
    fn each_len(
        &self,
        part: &Part,
        len: usize,
        mut tell: impl FnMut(usize) -> Option<()>,
    ) -> Result<()> {
        if let Self::Views { views, .. } = self {
            // The length stands in the view; the text itself is not fetched.
            let told = views.chunks_exact(VIEW).enumerate().try_for_each(|(row, view)| {
                tell(if part.is_valid(row) { view_len(view)? } else { 0 })
            });
            return told.ok_or_else(mismatch);
        }
        self.each_span(part, len, |_, from, to| tell(to.checked_sub(from)?))
    }

    /// Tells which bytes each row is, and where in them it begins and ends; null rows are empty.
    #[inline]
    pub(super) fn each_span(
        &self,
        part: &Part,
        len: usize,
        mut tell: impl FnMut(&'a [u8], usize, usize) -> Option<()>,
    ) -> Result<()> {
        let told = match self {
            Self::Blank => (0..len).try_for_each(|_| tell(&[], 0, 0)),
            Self::Plain { offsets, bytes } => each_row(
                part,
                len,
                |row| span(offsets, row),
                |place| place.and_then(|(from, to)| tell(bytes, from, to)),
            ),
            Self::Large { offsets, bytes } => each_row(
                part,
                len,
                |row| {
                    let from = usize::try_from(*offsets.get(row)?).ok()?;
                    Some((from, usize::try_from(*offsets.get(row + 1)?).ok()?))
                },
                |place| place.and_then(|(from, to)| tell(bytes, from, to)),
            ),
            Self::Dictionary { keys, offsets, bytes } => match part {
                Part::Valid(_) => keys.iter().try_for_each(|key| {
                    let (from, to) = span(offsets, usize::try_from(*key).ok()?)?;
                    tell(bytes, from, to)
                }),
                _ => each_row(
                    part,
                    len,
                    |row| span(offsets, usize::try_from(*keys.get(row)?).ok()?),
                    |place| place.and_then(|(from, to)| tell(bytes, from, to)),
                ),
            },
            Self::Views { views, buffers } => (0..len).try_for_each(|row| {
                if !part.is_valid(row) {
                    return tell(&[], 0, 0);
                }
                let (bytes, from, to) = viewed(views, buffers, row)?;
                tell(bytes, from, to)
            }),
        };
        told.ok_or_else(mismatch)
    }
}

/// Tells the place of each row; null rows are empty.
#[inline]
fn each_row(
    part: &Part,
    len: usize,
    place: impl Fn(usize) -> Option<(usize, usize)>,
    mut tell: impl FnMut(Option<(usize, usize)>) -> Option<()>,
) -> Option<()> {
    match part {
        Part::Valid(_) => (0..len).try_for_each(|row| tell(place(row))),
        _ => (0..len)
            .try_for_each(|row| tell(if part.is_valid(row) { place(row) } else { Some((0, 0)) })),
    }
}

#[inline]
fn span(offsets: &[i32], at: usize) -> Option<(usize, usize)> {
    let from = usize::try_from(*offsets.get(at)?).ok()?;
    let to = usize::try_from(*offsets.get(at + 1)?).ok()?;
    Some((from, to))
}

#[inline]
fn view_len(view: &[u8]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(*view.first_chunk()?)).ok()
}

/// Where the text of a view stands: in the view, or in a buffer.
#[inline]
fn viewed<'a>(
    views: &'a [u8],
    buffers: &'a [Buffer],
    row: usize,
) -> Option<(&'a [u8], usize, usize)> {
    let start = row * VIEW;
    let view: &[u8; VIEW] = views.get(start..)?.first_chunk()?;
    let len = view_len(view)?;
    if len <= INLINE {
        return Some((views, start + 4, start + 4 + len));
    }
    let [.., i, j, k, l, a, b, c, d] = *view;
    let buffer = buffers.get(usize::try_from(u32::from_le_bytes([i, j, k, l])).ok()?)?;
    let from = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?;
    Some((buffer.as_slice(), from, from.checked_add(len)?))
}

fn plain(array: &ArrayRef) -> Option<(&[i32], &[u8])> {
    if let Some(texts) = array.as_string_opt::<i32>() {
        return Some((texts.value_offsets(), texts.value_data()));
    }
    let binary = array.as_binary_opt::<i32>()?;
    Some((binary.value_offsets(), binary.value_data()))
}

fn large(array: &ArrayRef) -> Option<(&[i64], &[u8])> {
    if let Some(texts) = array.as_string_opt::<i64>() {
        return Some((texts.value_offsets(), texts.value_data()));
    }
    let binary = array.as_binary_opt::<i64>()?;
    Some((binary.value_offsets(), binary.value_data()))
}

fn views(array: &ArrayRef) -> Option<(&[u8], &[Buffer])> {
    if let Some(texts) = array.as_string_view_opt() {
        return Some((texts.views().inner().as_slice(), texts.data_buffers()));
    }
    let binary = array.as_binary_view_opt()?;
    Some((binary.views().inner().as_slice(), binary.data_buffers()))
}

/// Copies `source[from..to]` to `out[at..]` and moves `at` behind it.
///
/// Short texts are copied a stride at a time, past their end, because a copy of fixed size is a few
/// instructions and a copy of any size is a call. `out` is a stride longer than all texts together.
///
/// PRIVACY: what is written past the end of a text is overwritten by the next, and the caller cuts off
/// what is behind the last.
#[inline]
fn copy(out: &mut [u8], at: &mut usize, source: &[u8], from: usize, to: usize) -> Option<()> {
    let len = to.checked_sub(from)?;
    let room = out.get_mut(*at..)?;
    if len <= STRIDE
        && let Some(stride) = source.get(from..).and_then(|rest| rest.first_chunk::<STRIDE>())
        && let Some(room) = room.first_chunk_mut::<STRIDE>()
    {
        *room = *stride;
    } else {
        room.get_mut(..len)?.copy_from_slice(source.get(from..to)?);
    }
    *at += len;
    Some(())
}

fn ends(offsets: &[i32]) -> Result<(usize, usize)> {
    match (offsets.first(), offsets.last()) {
        (Some(from), Some(to)) => Ok((index(*from)?, index(*to)?)),
        _ => Err(mismatch()),
    }
}

fn too_long() -> Error {
    Error::new(Code::RowTooLarge, "the texts of a batch are too long")
}
