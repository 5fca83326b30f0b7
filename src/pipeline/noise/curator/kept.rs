//! An answer as it is kept: an Arrow IPC stream, written and read again as it was. Decides nothing.

use std::io::Cursor;

use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use bytes::Bytes;

use super::Answer;
use crate::error::{Code, Context, Error, Result};

/// An answer's bytes.
///
/// # Errors
/// [`Code::Internal`] when it cannot be written.
pub(super) fn write(answer: &Answer) -> Result<Vec<u8>> {
    let failed = || "an answer cannot be written".to_owned();
    let mut writer =
        StreamWriter::try_new(Vec::new(), &answer.0.schema()).context(Code::Internal, failed)?;
    writer.write(&answer.0).context(Code::Internal, failed)?;
    writer.into_inner().context(Code::Internal, failed)
}

/// The answer of such bytes.
///
/// # Errors
/// [`Code::State`] when they are none.
pub(super) fn read(bytes: &Bytes) -> Result<Answer> {
    let broken = || "a stored answer cannot be read".to_owned();
    let mut reader =
        StreamReader::try_new(Cursor::new(bytes.clone()), None).context(Code::State, broken)?;
    let one = reader.next().ok_or_else(|| Error::new(Code::State, broken()))?;
    Ok(Answer(one.context(Code::State, broken)?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};

    use super::*;

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let sites: ArrayRef = Arc::new(StringViewArray::from(vec![Some("A"), None]));
        let counts: ArrayRef = Arc::new(Int64Array::from(vec![-3, 12]));
        let batch = RecordBatch::try_from_iter([("site", sites), ("n", counts)]).unwrap();
        for batch in [batch.slice(0, 0), batch] {
            let bytes = Bytes::from(write(&Answer(batch.clone())).unwrap());
            assert_eq!(read(&bytes).unwrap().0, batch);
            assert_eq!(write(&read(&bytes).unwrap()).unwrap(), bytes);
            let cut = bytes.slice(..bytes.len() / 2);
            assert_eq!(read(&cut).unwrap_err().code(), Code::State);
        }
    }
}
