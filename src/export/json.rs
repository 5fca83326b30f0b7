//! JSON lines, by Arrow's own writer: every column in every line, null where there is nothing. Numbers that
//! JSON does not have (not-a-number, infinity) are null.

use arrow::array::RecordBatch;
use arrow_json::WriterBuilder;
use arrow_json::writer::{LineDelimited, Writer};

use super::Sink;
use super::file::Fresh;
use crate::error::{Code, Context, Result};

/// A file of JSON lines.
pub(super) struct Lines(Writer<Fresh, LineDelimited>);

impl Lines {
    pub(super) fn new(fresh: Fresh) -> Self {
        Self(WriterBuilder::new().with_explicit_nulls(true).build(fresh))
    }
}

impl Sink for Lines {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.0.write(batch).context(Code::Usage, || "the rows cannot be written as JSON".to_owned())
    }

    fn finish(mut self: Box<Self>) -> Result<(Fresh, u64)> {
        self.0.finish().context(Code::Usage, || "the file cannot be written".to_owned())?;
        Ok((self.0.into_inner(), 0))
    }
}
