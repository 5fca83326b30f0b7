//! The values of a column as text, one by one: what CSV shows and what a scan of files compares. Nested
//! values are JSON. Chooses no quotes and knows no file.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow_json::EncoderOptions;
use arrow_json::writer::{NullableEncoder, make_encoder};

use crate::error::{Code, Context, Result};

/// Whether values of a type have values inside them.
pub fn is_nested(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_nested(values),
        other => other.is_nested(),
    }
}

/// Whether values of a type are text.
pub fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_text(values),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        _ => false,
    }
}

/// Shows every value of a column as text, `None` for null. Values inside lists, structs and maps come one by
/// one, under the names of the fields that they stand in.
///
/// # Errors
/// [`Code::Usage`] for a type that has no text.
pub fn leaves(
    field: &FieldRef,
    column: &ArrayRef,
    shown: &mut dyn FnMut(&str, Option<&str>),
) -> Result<()> {
    let inner = |name: &str, array: &ArrayRef, shown: &mut dyn FnMut(&str, Option<&str>)| {
        let field = Arc::new(Field::new(name, array.data_type().clone(), true));
        leaves(&field, array, shown)
    };
    match column.data_type() {
        DataType::List(_) => inner(field.name(), column.as_list::<i32>().values(), shown),
        DataType::LargeList(_) => inner(field.name(), column.as_list::<i64>().values(), shown),
        DataType::FixedSizeList(..) => {
            inner(field.name(), column.as_fixed_size_list().values(), shown)
        }
        DataType::Map(..) => {
            let entries: ArrayRef = Arc::new(column.as_map().entries().clone());
            inner(field.name(), &entries, shown)
        }
        DataType::Struct(children) => {
            for (child, array) in children.iter().zip(column.as_struct().columns()) {
                inner(&format!("{}.{}", field.name(), child.name()), array, shown)?;
            }
            Ok(())
        }
        DataType::Dictionary(_, values) if values.is_nested() => {
            let failed = || "a dictionary cannot be unpacked".to_owned();
            inner(field.name(), &cast(column, values).context(Code::Usage, failed)?, shown)
        }
        _ => {
            let options = EncoderOptions::default();
            let mut cells = Cells::new(field, column, &options)?;
            for row in 0..column.len() {
                shown(field.name(), cells.text(row)?);
            }
            Ok(())
        }
    }
}

/// One column, ready to be shown cell by cell.
pub struct Cells<'a> {
    column: &'a ArrayRef,
    shown: Shown<'a>,
    room: String,
    bytes: Vec<u8>,
}

enum Shown<'a> {
    Json(NullableEncoder<'a>),
    Text(ArrayRef),
    Written(ArrayFormatter<'a>),
}

impl std::fmt::Debug for Cells<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cells").finish_non_exhaustive()
    }
}

const OPTIONS: FormatOptions<'static> = FormatOptions::new().with_display_error(false);

impl<'a> Cells<'a> {
    /// The cells of a column.
    ///
    /// # Errors
    /// [`Code::Usage`] for a type that has no text.
    pub fn new(
        field: &'a FieldRef,
        column: &'a ArrayRef,
        options: &'a EncoderOptions,
    ) -> Result<Self> {
        let failed = || format!("column `{}` has a type that text cannot hold", field.name());
        let shown = if is_nested(column.data_type()) {
            Shown::Json(make_encoder(field, column, options).context(Code::Usage, failed)?)
        } else if is_text(column.data_type()) {
            Shown::Text(cast(column, &DataType::Utf8View).context(Code::Usage, failed)?)
        } else {
            Shown::Written(ArrayFormatter::try_new(column, &OPTIONS).context(Code::Usage, failed)?)
        };
        Ok(Self { column, shown, room: String::new(), bytes: Vec::new() })
    }

    /// The text of a cell; `None` for null.
    ///
    /// # Errors
    /// [`Code::Usage`] for a value that cannot be shown, such as a date that is none.
    pub fn text(&mut self, row: usize) -> Result<Option<&str>> {
        if self.column.is_null(row) {
            return Ok(None);
        }
        let failed = || "a value cannot be written as text".to_owned();
        match &mut self.shown {
            Shown::Text(texts) => {
                let texts = texts.as_string_view();
                // A dictionary may hold null as a value.
                Ok(texts.is_valid(row).then(|| {
                    self.room.clear();
                    self.room.push_str(texts.value(row));
                    self.room.as_str()
                }))
            }
            Shown::Written(formatter) => {
                self.room.clear();
                write!(self.room, "{}", formatter.value(row)).context(Code::Usage, failed)?;
                Ok(Some(&self.room))
            }
            Shown::Json(encoder) => {
                if encoder.is_null(row) {
                    return Ok(None);
                }
                self.bytes.clear();
                encoder.encode(row, &mut self.bytes);
                std::str::from_utf8(&self.bytes).context(Code::Usage, failed).map(Some)
            }
        }
    }
}
