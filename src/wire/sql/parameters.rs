//! The parameters that a partner binds: an Arrow stream of one row, read from the messages of a `DoPut`
//! within bounds, and written again in the one form that the query room reads. Does not know what a
//! statement wants of them.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_flight::FlightData;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_ipc::{Buffer, FieldNode, Message, root_as_message};
use bytes::Bytes;

use crate::error::{Code, Context, Error, Hint, Result};

/// Parameters are not longer, in bytes: every ticket of an answer carries them.
pub const PARAMETERS_BYTES_MAX: usize = 64 << 10;

/// No stream of parameters has more messages.
const MESSAGES_MAX: usize = 64;

/// What stands before each message of an IPC stream.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// The messages of one `DoPut`, put together as an IPC stream.
#[derive(Debug, Default)]
pub struct Reader {
    stream: Vec<u8>,
    messages: usize,
    rows: i64,
}

impl Reader {
    /// Takes the next message.
    ///
    /// # Errors
    /// [`Code::ParametersInvalid`] when it is malformed, or it is too much.
    pub fn push(&mut self, data: &FlightData) -> Result<()> {
        let (header, body) = (&data.data_header, &data.data_body);
        self.messages += 1;
        let len = self.stream.len() + header.len() + body.len();
        if self.messages > MESSAGES_MAX || len > PARAMETERS_BYTES_MAX {
            return Err(invalid("too many parameters").hinting(Hint::new(&format!(
                "all parameters together may have {PARAMETERS_BYTES_MAX} bytes"
            ))));
        }
        if header.is_empty() {
            // A descriptor or a word of the client's, and no data.
            return Ok(());
        }
        let message = root_as_message(header)
            .context(Code::ParametersInvalid, || "a message that cannot be read".to_owned())?;
        self.rows = self.rows.saturating_add(rows(&message, body.len())?);
        // The metadata is padded so that the body begins at a multiple of eight.
        let padded = header.len().next_multiple_of(8);
        self.stream.extend_from_slice(&CONTINUATION);
        self.stream.extend_from_slice(&u32::try_from(padded).unwrap_or(u32::MAX).to_le_bytes());
        self.stream.extend_from_slice(header);
        self.stream.resize(self.stream.len() + padded - header.len(), 0);
        self.stream.extend_from_slice(body);
        Ok(())
    }

    /// One row as an Arrow IPC stream; empty where the row has no columns.
    ///
    /// # Errors
    /// [`Code::ParametersInvalid`] when there is not exactly one row, or it cannot be read.
    pub fn finish(mut self) -> Result<Bytes> {
        if self.rows != 1 {
            let hint = format!("parameters are one row, and {} came", self.rows);
            return Err(invalid("not one row").hinting(Hint::new(&hint)));
        }
        self.stream.extend_from_slice(&CONTINUATION);
        self.stream.extend_from_slice(&[0; 4]);
        // The library checks what it reads, and panics where it does not; the message was looked over
        // before, and whatever is left ends here.
        catch_unwind(AssertUnwindSafe(|| written_again(&self.stream)))
            .unwrap_or_else(|_| Err(invalid("parameters on which the library gave up")))
    }
}

/// How many rows a message has, if every part of it lies within its body.
fn rows(message: &Message<'_>, body_len: usize) -> Result<i64> {
    // The library makes room for what the message says, not for what came.
    if usize::try_from(message.bodyLength()).ok() != Some(body_len) {
        return Err(invalid("a message whose body has another length than it says"));
    }
    let Some(batch) = message.header_as_record_batch() else {
        return match message.header_as_schema() {
            Some(_) if body_len == 0 => Ok(0),
            _ => {
                let hint = Hint::new("send parameters as plain values, not as dictionaries");
                Err(invalid("neither a schema nor rows").hinting(hint))
            }
        };
    };
    if batch.compression().is_some() {
        let hint = Hint::new("send parameters without compression");
        return Err(invalid("compressed parameters").hinting(hint));
    }
    let within = |buffer: &Buffer| {
        let start = usize::try_from(buffer.offset()).ok();
        let len = usize::try_from(buffer.length()).ok();
        start.zip(len).and_then(|(start, len)| start.checked_add(len)).is_some_and(|end| {
            // An empty buffer may stand anywhere in the body, also at its end.
            end <= body_len
        })
    };
    // Lengths that no bytes stand for, as those of nulls, are bounded too.
    let most = PARAMETERS_BYTES_MAX as i64;
    let sane = |node: &FieldNode| {
        (0..=most).contains(&node.length()) && (0..=node.length()).contains(&node.null_count())
    };
    let buffers = batch.buffers().is_none_or(|buffers| buffers.iter().all(within));
    let nodes = batch.nodes().is_none_or(|nodes| nodes.iter().all(sane));
    let counts = batch.variadicBufferCounts();
    let counts = counts.is_none_or(|counts| counts.iter().all(|count| (0..=most).contains(&count)));
    if !buffers || !nodes || !counts || !(0..=most).contains(&batch.length()) {
        return Err(invalid("a message whose parts are not where it says"));
    }
    Ok(batch.length())
}

/// Reads an IPC stream and writes it again: what was between and around the values is gone.
fn written_again(stream: &[u8]) -> Result<Bytes> {
    let unreadable = || "parameters that cannot be read".to_owned();
    let reader = StreamReader::try_new(Cursor::new(stream), None)
        .context(Code::ParametersInvalid, unreadable)?;
    if reader.schema().fields().is_empty() {
        return Ok(Bytes::new());
    }
    let mut writer = StreamWriter::try_new(Vec::new(), &reader.schema())
        .context(Code::ParametersInvalid, unreadable)?;
    for batch in reader {
        let batch = batch.context(Code::ParametersInvalid, unreadable)?;
        if batch.num_rows() > 0 {
            writer.write(&batch).context(Code::ParametersInvalid, unreadable)?;
        }
    }
    let bytes = writer.into_inner().context(Code::ParametersInvalid, unreadable)?;
    if bytes.len() > PARAMETERS_BYTES_MAX {
        return Err(invalid("too many parameters"));
    }
    Ok(bytes.into())
}

fn invalid(what: &str) -> Error {
    Error::new(Code::ParametersInvalid, what)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, Int32Array, Int64Array, ListArray, NullArray, RecordBatch, StringArray,
    };
    use arrow::datatypes::Int32Type;
    use arrow_flight::utils::batches_to_flight_data;
    use proptest::prelude::*;

    use super::*;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        )
        .unwrap()
    }

    fn one_row() -> RecordBatch {
        batch(vec![
            ("$1", Arc::new(Int64Array::from(vec![Some(17)]))),
            ("$2", Arc::new(StringArray::from(vec![Some("Zürich")]))),
            ("$3", Arc::new(NullArray::new(1))),
        ])
    }

    fn messages(batches: Vec<RecordBatch>) -> Vec<FlightData> {
        batches_to_flight_data(&batches[0].schema(), batches).unwrap()
    }

    fn read(messages: &[FlightData]) -> Result<Bytes> {
        let mut reader = Reader::default();
        messages.iter().try_for_each(|message| reader.push(message))?;
        reader.finish()
    }

    fn batches(stream: &Bytes) -> Vec<RecordBatch> {
        let reader = StreamReader::try_new(Cursor::new(stream.clone()), None).unwrap();
        reader.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn one_row_comes_out_as_it_went_in() {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None])]);
        let others = batch(vec![("a", Arc::new(list))]);
        for row in [one_row(), others] {
            let stream = read(&messages(vec![row.clone()])).unwrap();
            assert_eq!(batches(&stream), [row]);
        }
    }

    #[test]
    fn empty_batches_and_messages_without_data_are_passed_over() {
        let row = one_row();
        let mut messages = messages(vec![row.slice(0, 0), row.clone(), row.slice(0, 0)]);
        messages.insert(0, FlightData::default());
        assert_eq!(batches(&read(&messages).unwrap()), [row]);
    }

    #[test]
    fn none_or_several_rows_are_refused() {
        let row = one_row();
        let two = arrow::compute::concat_batches(&row.schema(), [&row, &row]).unwrap();
        for batches in [vec![row.slice(0, 0)], vec![row.clone(), row], vec![two]] {
            let error = read(&messages(batches)).unwrap_err();
            assert_eq!(error.code(), Code::ParametersInvalid);
            assert!(error.hint().unwrap().as_str().contains("one row"));
        }
        assert_eq!(read(&[]).unwrap_err().code(), Code::ParametersInvalid);
    }

    #[test]
    fn what_is_too_long_is_refused_before_it_is_kept() {
        let long = StringArray::from(vec!["x".repeat(PARAMETERS_BYTES_MAX)]);
        let long = messages(vec![batch(vec![("$1", Arc::new(long))])]);
        assert_eq!(read(&long).unwrap_err().code(), Code::ParametersInvalid);
        let many = vec![FlightData::default(); MESSAGES_MAX + 1];
        assert_eq!(read(&many).unwrap_err().code(), Code::ParametersInvalid);
    }

    #[test]
    fn compressed_parameters_are_refused_unread() {
        use arrow_ipc::CompressionType;
        use arrow_ipc::writer::IpcWriteOptions;
        let row = batch(vec![("$1", Arc::new(StringArray::from(vec!["x".repeat(9_000)])))]);
        let options =
            IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
        let generator = arrow_ipc::writer::IpcDataGenerator::default();
        let mut tracker = arrow_ipc::writer::DictionaryTracker::new(false);
        let (_, encoded) =
            generator.encode(&row, &mut tracker, &options, &mut Default::default()).unwrap();
        let mut messages = messages(vec![row]);
        messages[1] = encoded.into();
        let error = read(&messages).unwrap_err();
        assert!(error.hint().unwrap().as_str().contains("compression"));
    }

    #[test]
    fn a_length_that_no_bytes_stand_for_is_bounded() {
        // A list of a million nulls takes no bytes but those of its offsets.
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([1_000_000]);
        let item =
            Arc::new(arrow::datatypes::Field::new("item", arrow::datatypes::DataType::Null, true));
        let list = ListArray::new(item, offsets, Arc::new(NullArray::new(1_000_000)), None);
        let error = read(&messages(vec![batch(vec![("$1", Arc::new(list))])])).unwrap_err();
        assert_eq!(error.code(), Code::ParametersInvalid);
    }

    #[test]
    fn any_changed_byte_is_read_or_refused_and_never_a_panic() {
        let genuine = messages(vec![batch(vec![
            ("$1", Arc::new(Int32Array::from(vec![7]))),
            ("$2", Arc::new(StringArray::from(vec!["text"]))),
        ])]);
        let quiet = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let mut refused = 0;
        for message in 0..genuine.len() {
            for at in 0..genuine[message].data_header.len() {
                for bit in [0x01, 0x10, 0x80, 0xff] {
                    let mut changed = genuine.clone();
                    let mut header = changed[message].data_header.to_vec();
                    header[at] ^= bit;
                    changed[message].data_header = header.into();
                    refused += usize::from(read(&changed).is_err());
                }
            }
        }
        std::panic::set_hook(quiet);
        assert!(refused > 100, "{refused}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe_to_read(header: Vec<u8>, body: Vec<u8>) {
            let message = FlightData {
                data_header: header.into(),
                data_body: body.into(),
                ..FlightData::default()
            };
            prop_assert!(read(&[message]).is_err());
        }
    }
}
