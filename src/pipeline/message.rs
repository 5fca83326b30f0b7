//! The flatbuffer headers of Arrow IPC messages: schema, dictionary, rows. Describes bodies; makes none
//! and sees no value.

use arrow::datatypes::{Schema, SchemaRef};
use arrow_ipc::writer::{
    DictionaryTracker, EncodedData, IpcDataGenerator, IpcWriteOptions, write_message,
};
use arrow_ipc::{
    BodyCompressionBuilder, BodyCompressionMethod, Buffer, CompressionType, DictionaryBatchBuilder,
    FieldNode, MessageBuilder, MessageHeader, MetadataVersion, RecordBatchBuilder,
};
use bytes::Bytes;
use flatbuffers::FlatBufferBuilder;

use super::format::{Compression, Format};
use crate::error::{Code, Context, Error, Result};

/// What a header says of a body.
#[derive(Debug)]
pub(super) struct Layout {
    /// Rows, or values of a dictionary.
    pub(super) rows: usize,
    /// Length and nulls of each array, in depth-first order.
    pub(super) nodes: Vec<FieldNode>,
    /// Where each buffer lies.
    pub(super) buffers: Vec<Buffer>,
    /// How many data buffers each array of views has, in depth-first order.
    pub(super) variadic: Vec<i64>,
    /// What buffers are compressed with.
    pub(super) compression: Compression,
    /// The bytes of the body.
    pub(super) body: usize,
}

impl Layout {
    /// The header of a message of rows, or of the values of dictionary `dictionary`, which take the place
    /// of those that it had.
    pub(super) fn header(&self, dictionary: Option<i64>) -> Result<Bytes> {
        let signed = |length: usize| {
            i64::try_from(length).map_err(|_| Error::new(Code::Internal, "a message is too long"))
        };
        let mut builder = FlatBufferBuilder::with_capacity(1024);
        let nodes = builder.create_vector(&self.nodes);
        let buffers = builder.create_vector(&self.buffers);
        let variadic = (!self.variadic.is_empty()).then(|| builder.create_vector(&self.variadic));
        let codec = match self.compression {
            Compression::None => None,
            Compression::Lz4 => Some(CompressionType::LZ4_FRAME),
            Compression::Zstd => Some(CompressionType::ZSTD),
        };
        let codec = codec.map(|codec| {
            let mut compression = BodyCompressionBuilder::new(&mut builder);
            compression.add_method(BodyCompressionMethod::BUFFER);
            compression.add_codec(codec);
            compression.finish()
        });
        let batch = {
            let mut batch = RecordBatchBuilder::new(&mut builder);
            batch.add_length(signed(self.rows)?);
            batch.add_nodes(nodes);
            batch.add_buffers(buffers);
            if let Some(codec) = codec {
                batch.add_compression(codec);
            }
            if let Some(variadic) = variadic {
                batch.add_variadicBufferCounts(variadic);
            }
            batch.finish()
        };
        let (kind, header) = match dictionary {
            None => (MessageHeader::RecordBatch, batch.as_union_value()),
            Some(id) => {
                let mut dictionary = DictionaryBatchBuilder::new(&mut builder);
                dictionary.add_id(id);
                dictionary.add_data(batch);
                (MessageHeader::DictionaryBatch, dictionary.finish().as_union_value())
            }
        };
        let message = {
            let mut message = MessageBuilder::new(&mut builder);
            message.add_version(MetadataVersion::V5);
            message.add_header_type(kind);
            message.add_bodyLength(signed(self.body)?);
            message.add_header(header);
            message.finish()
        };
        builder.finish(message, None);
        Ok(Bytes::copy_from_slice(builder.finished_data()))
    }
}

/// The header of the message that a stream in `format` begins with; `plain` has plain types. The
/// dictionaries are numbered from zero in the order of their columns, and so are their messages.
pub fn schema_message(plain: &SchemaRef, format: Format) -> Bytes {
    encoded(&format.schema(plain)).ipc_message.into()
}

/// The same message as it stands in `FlightInfo` and in the answer to `GetSchema`: with its length before
/// it.
///
/// # Errors
/// [`Code::Internal`] when it cannot be written.
pub fn schema_encapsulated(plain: &SchemaRef, format: Format) -> Result<Bytes> {
    let mut bytes = Vec::new();
    write_message(&mut bytes, encoded(&format.schema(plain)), &IpcWriteOptions::default())
        .context(Code::Internal, || "a schema cannot be encoded".to_owned())?;
    Ok(bytes.into())
}

fn encoded(schema: &Schema) -> EncodedData {
    let mut tracker = DictionaryTracker::new(false);
    let options = IpcWriteOptions::default();
    IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(
        schema,
        &mut tracker,
        &options,
    )
}
