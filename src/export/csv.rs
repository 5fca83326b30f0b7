//! CSV as RFC 4180 has it, with one agreement more: null is nothing, an empty text is `""`. Lists and
//! structs are JSON. Values are never changed, unless asked for the sake of spreadsheets.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_json::EncoderOptions;

use super::Sink;
use super::file::Fresh;
use crate::error::{Code, Context, Result};
use crate::pipeline::cells::{Cells, is_text};

/// A CSV file.
pub(super) struct Text {
    fresh: Fresh,
    json: EncoderOptions,
    /// Whether texts that look like formulas get an apostrophe.
    guard: bool,
    formulas: u64,
    room: Vec<u8>,
}

impl Text {
    /// Writes the header.
    pub(super) fn new(mut fresh: Fresh, schema: &SchemaRef, guard: bool) -> Result<Self> {
        let mut room = Vec::new();
        for (at, field) in schema.fields().iter().enumerate() {
            if at > 0 {
                room.push(b',');
            }
            put(field.name(), false, &mut room);
        }
        room.extend(b"\r\n");
        fresh.write_all(&room).context(Code::Usage, failed)?;
        let json = EncoderOptions::default().with_explicit_nulls(true);
        Ok(Self { fresh, json, guard, formulas: 0, room })
    }
}

impl Sink for Text {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let schema = batch.schema();
        let mut columns = Vec::new();
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            columns.push((Cells::new(field, column, &self.json)?, is_text(field.data_type())));
        }
        self.room.clear();
        for row in 0..batch.num_rows() {
            for (at, (cells, is_text)) in columns.iter_mut().enumerate() {
                if at > 0 {
                    self.room.push(b',');
                }
                let Some(text) = cells.text(row)? else { continue };
                let formula = *is_text && is_formula(text);
                self.formulas += u64::from(formula);
                put(text, formula && self.guard, &mut self.room);
            }
            self.room.extend(b"\r\n");
        }
        self.fresh.write_all(&self.room).context(Code::Usage, failed)
    }

    fn finish(self: Box<Self>) -> Result<(Fresh, u64)> {
        Ok((self.fresh, self.formulas))
    }
}

/// Whether a spreadsheet may take a text for a formula.
fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r'])
}

/// One field, in quotes where it needs them.
fn put(text: &str, apostrophe: bool, room: &mut Vec<u8>) {
    let plain = !text.is_empty()
        && !text.starts_with(' ')
        && !text.ends_with(' ')
        && !text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n'));
    if plain && !apostrophe {
        room.extend(text.as_bytes());
        return;
    }
    room.push(b'"');
    if apostrophe {
        room.push(b'\'');
    }
    for byte in text.bytes() {
        if byte == b'"' {
            room.push(b'"');
        }
        room.push(byte);
    }
    room.push(b'"');
}

fn failed() -> String {
    "the file cannot be written".to_owned()
}
