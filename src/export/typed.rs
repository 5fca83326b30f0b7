//! Whether text files hold values of the types that were promised: every cell is read back as its column's
//! type, and must be written as that type is written. Says in which line one is not, and never what it is.

use std::io::{BufRead, Read};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow_json::writer::{LineDelimited, Writer};
use arrow_json::{EncoderOptions, ReaderBuilder, WriterBuilder};
use serde_json::Value;

use super::read::{Kind, Output};
use super::records::{Fault, Record, Records};
use crate::error::{Code, Context, Result};
use crate::pipeline::cells::{Cells, is_nested, is_text};

/// How many rows are read back at a time.
const ROWS: usize = 1_024;

/// No row of ours is longer.
pub(super) const ROW_BYTES_MAX: usize = 64 << 20;

/// What text files of one schema hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The rows that were read: all, or those before the one that is wrong.
    pub rows: u64,
    /// The first value that is wrong: where, and what about it.
    pub wrong: Option<Wrong>,
}

/// A value that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The line in which its row begins, from 1.
    pub line: u64,
    /// What is wrong, without the value.
    pub what: String,
}

impl Output {
    /// Whether a text file's values are those that `schema` promises: `None` for a file that is no text of ours.
    ///
    /// # Errors
    /// [`Code::Usage`] when it cannot be read.
    pub fn checked(&self, schema: &SchemaRef) -> Result<Option<Checked>> {
        match self.kind {
            Kind::Csv => csv(&mut Records::new(self.text()?), schema).map(Some),
            Kind::Jsonl => json_lines(self.text()?, schema).map(Some),
            _ => Ok(None),
        }
    }
}

/// Rows of which some line is wrong.
fn wrong(rows: u64, line: u64, what: impl Into<String>) -> Checked {
    Checked { rows, wrong: Some(Wrong { line, what: what.into() }) }
}

fn csv(records: &mut Records<impl BufRead>, schema: &SchemaRef) -> Result<Checked> {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut record = Record::default();
    match records.read(&mut record)? {
        Ok(true) if record.cells().map(|cell| cell.0).eq(names.iter().map(|it| it.as_bytes())) => {}
        Ok(_) => return Ok(wrong(0, 1, "the header does not name the columns of the plan")),
        Err(Fault { line, what }) => return Ok(wrong(0, line, what)),
    }
    let mut rows = 0;
    let mut block = Block::new(schema);
    loop {
        let more = match records.read(&mut record)? {
            Ok(more) => more,
            Err(Fault { line, what }) => {
                // What stands before it was read.
                let found = block.check(schema, rows)?;
                return Ok(found.unwrap_or_else(|| wrong(rows, line, what)));
            }
        };
        let fault = if more { block.add(&record, names.len()) } else { None };
        if fault.is_some() || !more || block.lines.len() == ROWS {
            if let Some(found) = block.check(schema, rows)? {
                return Ok(found);
            }
            rows += block.lines.len() as u64;
            block = Block::new(schema);
        }
        if let Some(what) = fault {
            return Ok(wrong(rows, record.line(), what));
        }
        if !more {
            return Ok(Checked { rows, wrong: None });
        }
    }
}

/// Some rows of CSV.
struct Block {
    lines: Vec<u64>,
    columns: Vec<Vec<Option<String>>>,
}

impl Block {
    fn new(schema: &Schema) -> Self {
        Self { lines: Vec::new(), columns: vec![Vec::new(); schema.fields().len()] }
    }

    /// Adds a row; or says why it is none.
    fn add(&mut self, record: &Record, width: usize) -> Option<String> {
        let found = record.cells().count();
        if found != width {
            return Some(format!("the row has {found} cells, the plan {width} columns"));
        }
        let mut cells = Vec::with_capacity(width);
        for (cell, quoted) in record.cells() {
            match std::str::from_utf8(cell) {
                // Nothing is null, and an empty text has quotes.
                Ok("") if !quoted => cells.push(None),
                Ok(cell) => cells.push(Some(cell.to_owned())),
                Err(_) => return Some("the row is not UTF-8".to_owned()),
            }
        }
        self.lines.push(record.line());
        self.columns.iter_mut().zip(cells).for_each(|(column, cell)| column.push(cell));
        None
    }

    /// The first row with a value that is wrong.
    fn check(&mut self, schema: &Schema, rows: u64) -> Result<Option<Checked>> {
        let mut first: Option<(usize, String)> = None;
        for (field, values) in schema.fields().iter().zip(std::mem::take(&mut self.columns)) {
            let found = column(field, &StringArray::from(values))?;
            if let Some((row, what)) = found
                && first.as_ref().is_none_or(|(at, _)| row < *at)
            {
                first = Some((row, what));
            }
        }
        Ok(first.map(|(row, what)| {
            let line = self.lines.get(row).copied().unwrap_or_default();
            wrong(rows + row as u64, line, what)
        }))
    }
}

/// The first text of a column that is not what its type is written as.
fn column(field: &FieldRef, values: &StringArray) -> Result<Option<(usize, String)>> {
    if !field.is_nullable()
        && let Some(row) = (0..values.len()).find(|row| values.is_null(*row))
    {
        return Ok(Some((row, null(field))));
    }
    let kind = read_as(field.data_type());
    if is_text(&kind) {
        return Ok(None);
    }
    if is_nested(&kind) {
        return nested(field, values);
    }
    let texts: ArrayRef = Arc::new(values.clone());
    let typed = match &kind {
        DataType::Binary | DataType::FixedSizeBinary(_) => binary(values, &kind)?,
        kind => cast(&texts, kind).context(Code::Internal, || "a type has no text".to_owned())?,
    };
    let options = EncoderOptions::default();
    let plain: FieldRef = Arc::new(Field::new(field.name(), kind, true));
    let mut cells = Cells::new(&plain, &typed, &options)?;
    for row in 0..values.len() {
        let written = if values.is_null(row) { None } else { Some(values.value(row)) };
        if cells.text(row)? != written {
            return Ok(Some((row, mistyped(field))));
        }
    }
    Ok(None)
}

/// Hexadecimal digits as bytes; null where they are none, or not as many as the type has.
fn binary(values: &StringArray, kind: &DataType) -> Result<ArrayRef> {
    let width = match kind {
        DataType::FixedSizeBinary(width) => usize::try_from(*width).ok(),
        _ => None,
    };
    let bytes = values.iter().map(|value| {
        let bytes = data_encoding::HEXLOWER.decode(value?.as_bytes()).ok()?;
        width.is_none_or(|width| width == bytes.len()).then_some(bytes)
    });
    let bytes: ArrayRef = Arc::new(arrow::array::BinaryArray::from_iter(bytes));
    cast(&bytes, kind).context(Code::Internal, || "bytes have no fixed width".to_owned())
}

/// The first text of a nested column that is not its JSON.
fn nested(field: &FieldRef, values: &StringArray) -> Result<Option<(usize, String)>> {
    let alone: SchemaRef = Arc::new(Schema::new(vec![Arc::clone(field)]));
    let name = serde_json::to_string(field.name()).context(Code::Internal, no_json)?;
    let line = |row: usize| {
        let value = if values.is_null(row) { "null" } else { values.value(row) };
        format!("{{{name}:{value}}}").into_bytes()
    };
    let lines: Vec<Vec<u8>> = (0..values.len()).map(line).collect();
    Lines::new(&alone)?.first_wrong(&lines)
}

fn json_lines(mut text: impl BufRead, schema: &SchemaRef) -> Result<Checked> {
    let read = Lines::new(schema)?;
    let (mut rows, mut block) = (0, Vec::new());
    loop {
        let mut line = Vec::new();
        let room = ROW_BYTES_MAX as u64 + 1;
        let length = text.by_ref().take(room).read_until(b'\n', &mut line);
        let length = length.context(Code::Usage, || "the file cannot be read".to_owned())?;
        let too_long = length > ROW_BYTES_MAX;
        if length > 0 && !too_long {
            while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
                line.pop();
            }
            block.push(line);
        }
        if length == 0 || too_long || block.len() == ROWS {
            if let Some((row, what)) = read.first_wrong(&block)? {
                let row = rows + row as u64;
                return Ok(wrong(row, row + 1, what));
            }
            rows += block.len() as u64;
            block.clear();
        }
        if too_long {
            return Ok(wrong(rows, rows + 1, TOO_LONG));
        }
        if length == 0 {
            return Ok(Checked { rows, wrong: None });
        }
    }
}

/// What is wrong with a row that is not read.
pub(super) const TOO_LONG: &str = "the row is longer than any that was written";

/// Reads JSON lines of one schema and writes them again.
struct Lines {
    fields: Vec<FieldRef>,
    schema: SchemaRef,
}

impl Lines {
    fn new(schema: &SchemaRef) -> Result<Self> {
        let plain = |field: &FieldRef| {
            let nullable = field.is_nullable() || field.data_type().is_floating();
            Field::new(field.name(), read_as(field.data_type()), nullable)
        };
        let fields: Vec<FieldRef> = schema.fields().iter().cloned().collect();
        let plain = Schema::new(fields.iter().map(plain).collect::<Vec<_>>());
        Ok(Self { fields, schema: Arc::new(plain) })
    }

    /// The rows that lines are; `None` where they are not one each, of this schema.
    fn rows(schema: &SchemaRef, lines: &[Vec<u8>]) -> Result<Option<RecordBatch>> {
        let reader = ReaderBuilder::new(Arc::clone(schema)).with_strict_mode(true);
        let mut reader = reader
            .with_batch_size(lines.len().saturating_add(1))
            .build_decoder()
            .context(Code::Internal, no_json)?;
        for line in lines {
            for piece in [line.as_slice(), b"\n"] {
                match reader.decode(piece) {
                    Ok(read) if read == piece.len() => {}
                    _ => return Ok(None),
                }
            }
        }
        match reader.flush() {
            Ok(Some(rows)) if rows.num_rows() == lines.len() => Ok(Some(rows)),
            _ => Ok(None),
        }
    }

    /// The first line that is not what our writer writes, and what is wrong with it.
    fn first_wrong(&self, lines: &[Vec<u8>]) -> Result<Option<(usize, String)>> {
        if lines.is_empty() || self.is_right(lines)? {
            return Ok(None);
        }
        for (row, line) in lines.iter().enumerate() {
            if !self.is_right(std::slice::from_ref(line))?
                && let Some(what) = self.why(line)?
            {
                return Ok(Some((row, what)));
            }
        }
        Ok(None)
    }

    fn is_right(&self, lines: &[Vec<u8>]) -> Result<bool> {
        let Some(rows) = Self::rows(&self.schema, lines)? else { return Ok(false) };
        let written = write(&rows)?;
        let mut written = written.split(|byte| *byte == b'\n');
        Ok(lines.iter().all(|line| written.next() == Some(line.as_slice())))
    }

    /// What is wrong with a line: nothing where it says the same in other words.
    fn why(&self, line: &[u8]) -> Result<Option<String>> {
        let members = match serde_json::from_slice::<Value>(line) {
            Ok(Value::Object(members)) => members,
            _ => return Ok(Some("the line is not one JSON object".to_owned())),
        };
        let strange = members.keys().any(|key| !self.fields.iter().any(|it| it.name() == key));
        if strange {
            return Ok(Some("the line has a column that the plan has not".to_owned()));
        }
        for (field, plain) in self.fields.iter().zip(self.schema.fields()) {
            let Some(value) = members.get(field.name()) else {
                return Ok(Some(format!("column `{}` is missing", field.name())));
            };
            if value.is_null() && !plain.is_nullable() {
                return Ok(Some(null(field)));
            }
            let alone: SchemaRef = Arc::new(Schema::new(vec![Arc::clone(plain)]));
            let mut object = serde_json::Map::new();
            object.insert(field.name().clone(), value.clone());
            let line = serde_json::to_vec(&object).context(Code::Internal, no_json)?;
            let Some(rows) = Self::rows(&alone, std::slice::from_ref(&line))? else {
                return Ok(Some(mistyped(field)));
            };
            let again: Value =
                serde_json::from_slice(&write(&rows)?).context(Code::Internal, no_json)?;
            if again.get(field.name()) != Some(value) {
                return Ok(Some(mistyped(field)));
            }
        }
        Ok(None)
    }
}

/// Rows as our writer writes them.
fn write(rows: &RecordBatch) -> Result<Vec<u8>> {
    let mut writer: Writer<_, LineDelimited> =
        WriterBuilder::new().with_explicit_nulls(true).build(Vec::new());
    writer.write(rows).context(Code::Internal, no_json)?;
    writer.finish().context(Code::Internal, no_json)?;
    Ok(writer.into_inner())
}

fn no_json() -> String {
    "a type has no JSON".to_owned()
}

fn null(field: &Field) -> String {
    format!("column `{}` is null, and the plan has no null there", field.name())
}

fn mistyped(field: &Field) -> String {
    format!("column `{}` holds something else than {}", field.name(), field.data_type())
}

/// The type that a text is read back as. Spans of time are written in words of their own, and nothing reads
/// these: they stay texts.
fn read_as(kind: &DataType) -> DataType {
    let inner = |field: &FieldRef| -> FieldRef {
        // Not-a-number and infinities are null in JSON, whatever the field says.
        let nullable = field.is_nullable() || field.data_type().is_floating();
        Arc::new(Field::new(field.name(), read_as(field.data_type()), nullable))
    };
    match kind {
        DataType::Duration(_) | DataType::Interval(_) => DataType::Utf8,
        DataType::Dictionary(_, values) => read_as(values),
        DataType::List(item) => DataType::List(inner(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(inner(item), *size),
        DataType::Map(entries, sorted) => DataType::Map(inner(entries), *sorted),
        DataType::Struct(children) => DataType::Struct(children.iter().map(inner).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;
