//! How values travel: the shapes that the same values may take in Arrow IPC. The default is what every
//! client reads; the others are taken by session option or header. Decides nothing about values.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

/// The type that texts and bytes travel in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strings {
    /// `Utf8` and `Binary`, with 32-bit offsets.
    #[default]
    Plain,
    /// `LargeUtf8` and `LargeBinary`, with 64-bit offsets.
    Large,
    /// `Utf8View` and `BinaryView`.
    View,
}

/// What buffers are compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Nothing.
    #[default]
    None,
    /// LZ4 frames.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// How one stream travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Format {
    /// The type of texts and bytes.
    pub strings: Strings,
    /// Whether columns of text travel as dictionaries with 32-bit keys.
    pub dictionaries: bool,
    /// What buffers are compressed with.
    pub compression: Compression,
}

impl Format {
    /// The schema of a stream in this format, from the schema with plain types.
    pub fn schema(&self, plain: &SchemaRef) -> SchemaRef {
        if self.strings == Strings::Plain && !self.dictionaries {
            return Arc::clone(plain);
        }
        let fields: Vec<FieldRef> = plain.fields().iter().map(|field| self.field(field)).collect();
        Arc::new(Schema::new_with_metadata(fields, plain.metadata().clone()))
    }

    fn field(&self, field: &Field) -> FieldRef {
        let texts = matches!(field.data_type(), DataType::Utf8);
        let kind = match self.data_type(field.data_type()) {
            // A column's own values, not those inside lists and structs.
            // Clients unpack dictionaries of views badly or not at all, and views would save nothing there.
            kind if texts && self.dictionaries => {
                let values = if self.strings == Strings::View { DataType::Utf8 } else { kind };
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(values))
            }
            kind => kind,
        };
        Arc::new(field.clone().with_data_type(kind))
    }

    fn data_type(&self, plain: &DataType) -> DataType {
        let inner = |field: &FieldRef| {
            Arc::new(field.as_ref().clone().with_data_type(self.data_type(field.data_type())))
        };
        match (plain, self.strings) {
            (DataType::Utf8, Strings::Large) => DataType::LargeUtf8,
            (DataType::Utf8, Strings::View) => DataType::Utf8View,
            (DataType::Binary, Strings::Large) => DataType::LargeBinary,
            (DataType::Binary, Strings::View) => DataType::BinaryView,
            (DataType::List(item), _) => DataType::List(inner(item)),
            (DataType::FixedSizeList(item, size), _) => DataType::FixedSizeList(inner(item), *size),
            (DataType::Map(entries, sorted), _) => DataType::Map(inner(entries), *sorted),
            (DataType::Struct(fields), _) => DataType::Struct(fields.iter().map(inner).collect()),
            (other, _) => other.clone(),
        }
    }
}
