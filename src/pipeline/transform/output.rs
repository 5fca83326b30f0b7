//! Builds a text column value by value from bytes, in one fresh buffer. Decides nothing about the
//! values.

use std::sync::Arc;

use arrow::array::builder::NullBufferBuilder;
use arrow::array::{ArrayRef, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};

use crate::error::{Code, Context, Error, Result};

/// A text column under construction.
#[derive(Debug)]
pub(super) struct TextColumn {
    values: Vec<u8>,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl TextColumn {
    /// Room for `rows` values of about `width` bytes.
    pub(super) fn new(rows: usize, width: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self {
            values: Vec::with_capacity(rows.saturating_mul(width)),
            offsets,
            nulls: NullBufferBuilder::new(rows),
        }
    }

    /// The bytes of the value that is being written; [`Self::end`] ends it.
    #[inline]
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.values
    }

    /// Ends the value whose bytes were written.
    ///
    /// # Errors
    /// [`Code::RowTooLarge`] when a batch grows past what one text column can hold.
    #[inline]
    pub(super) fn end(&mut self) -> Result<()> {
        self.nulls.append_non_null();
        self.mark()
    }

    /// Adds a null.
    ///
    /// # Errors
    /// As [`Self::end`].
    #[inline]
    pub(super) fn null(&mut self) -> Result<()> {
        self.nulls.append_null();
        self.mark()
    }

    #[inline]
    fn mark(&mut self) -> Result<()> {
        let end = i32::try_from(self.values.len())
            .map_err(|_| Error::new(Code::RowTooLarge, "a batch of text is too large"))?;
        self.offsets.push(end);
        Ok(())
    }

    /// The column.
    ///
    /// # Errors
    /// [`Code::Internal`] when what was written is not UTF-8.
    pub(super) fn finish(mut self) -> Result<ArrayRef> {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        let array =
            StringArray::try_new(offsets, Buffer::from_vec(self.values), self.nulls.finish())
                .context(Code::Internal, || {
                    "a kernel wrote something that is no text".to_owned()
                })?;
        Ok(Arc::new(array))
    }
}
