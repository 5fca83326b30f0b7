//! Feature vectors: every row as a list of as many numbers of 32 bits, in parquet, with a codebook that says
//! what each place means. Knows only what is released: a category's code says how frequent it is, never more.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

use super::Output;
use super::page::{Page, Show, Table};
use super::ragged::chosen;
use super::study::{Study, count, quoted};
use crate::error::{Code, Context, Error, Result};

mod code;

use code::{Coding, Kind};

/// How vectors are made.
#[derive(Debug, Clone)]
pub struct Vectors {
    /// The columns; all that can be numbers where none is named.
    pub columns: Vec<String>,
    /// What a missing value becomes.
    pub nulls: Missing,
    /// From when times are counted.
    pub times: Origin,
    /// How many values of a column have a code of their own.
    pub categories_max: u64,
}

/// What a missing value becomes in a vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Missing {
    /// Not a number
    #[default]
    Nan,
    /// Zero, and a second list says where a value was
    Zero,
}

/// From when times are counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Origin {
    /// Seconds since 1970: comparable across datasets, and to about two minutes only, for 32 bits hold no more
    #[default]
    Epoch,
    /// Seconds since the column's first time, which the codebook tells
    First,
}

/// The vectors.
pub const FILE: &str = "vectors.parquet";
/// What they mean.
pub const CODEBOOK: &str = "vectors.codebook.json";

/// The report.
///
/// # Errors
/// When a column is not released, a statement fails or a file cannot be written.
pub fn report(study: &Study<'_>, wanted: &Vectors, output: &mut Output<'_>) -> Result<Page> {
    let mut page = Page {
        stem: "vectors".to_owned(),
        title: "Feature vectors".to_owned(),
        summary: format!(
            "Every row as a list of numbers in `{FILE}`; `{CODEBOOK}` says what each is."
        ),
        found: true,
        ..Page::default()
    };
    output.refuse(&page)?;
    output.folder.refuse(CODEBOOK)?;
    let mut codings = Vec::new();
    for name in chosen(study, &wanted.columns)? {
        study.progress().step(&format!("codebook of {name}"));
        match coding(study, &name, wanted)? {
            Some(coding) => codings.push(coding),
            None => {
                page.notes.push(format!("`{name}` is no number, time or text: it is left out."))
            }
        }
    }
    if codings.is_empty() {
        return Err(Error::new(Code::Usage, "no released column can be made a number"));
    }
    study.progress().step("vectors");
    let rows = write(study, &codings, wanted.nulls, output)?;
    page.written.push(FILE.to_owned());
    output.folder.write(CODEBOOK, &codebook(study, &codings, wanted, rows)?)?;
    page.written.push(CODEBOOK.to_owned());
    page.figure("rows", "Vectors", rows, Show::Count);
    page.figure("width", "Numbers a vector", codings.len(), Show::Count);
    page.columns = codings.iter().map(|coding| coding.name.clone()).collect();
    page.tables.push(table(&codings));
    page.notes.extend(notes(wanted));
    Ok(page)
}

fn coding(study: &Study<'_>, name: &str, wanted: &Vectors) -> Result<Option<Coding>> {
    let Some(kind) = study.kind(name).and_then(Kind::of) else { return Ok(None) };
    let mut coding = Coding::new(name, kind);
    let (column, table) = (quoted(name), study.table());
    match kind {
        Kind::Category => {
            let sql = format!(
                "SELECT {column}, count(*) FROM {table} WHERE {column} IS NOT NULL GROUP BY {column}"
            );
            let mut values = Vec::new();
            study.each(&sql, |[value, rows]| {
                values.push((super::cell::text(&value), count(&rows)));
                Ok(())
            })?;
            coding.learn(values, wanted.categories_max);
        }
        Kind::Time if wanted.times == Origin::First => {
            let sql = format!("SELECT to_unixtime(CAST(min({column}) AS TIMESTAMP)) FROM {table}");
            study.each(&sql, |[first]| {
                coding.origin = first.as_i64().unwrap_or(0);
                Ok(())
            })?;
        }
        _ => {}
    }
    Ok(Some(coding))
}

/// Writes the vectors, batch by batch.
fn write(
    study: &Study<'_>,
    codings: &[Coding],
    nulls: Missing,
    output: &mut Output<'_>,
) -> Result<u64> {
    let schema = schema(codings.len(), nulls)?;
    let mut draft = output.folder.draft(FILE)?;
    let level = ZstdLevel::try_new(3).context(Code::Internal, failed)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_created_by("veilflight".to_owned())
        .build();
    let mut rows = 0_u64;
    let mut writer = ArrowWriter::try_new(&mut draft, Arc::clone(&schema), Some(properties))
        .context(Code::Usage, failed)?;
    let list: Vec<_> = codings.iter().map(|coding| quoted(&coding.name)).collect();
    let sql = format!("SELECT {} FROM {}", list.join(", "), study.table());
    for batch in study.query(&sql)? {
        let batch = batch?;
        let coded = vectors(&batch, codings, nulls, &schema)?;
        writer.write(&coded).context(Code::Usage, failed)?;
        rows = rows.saturating_add(batch.num_rows() as u64);
        study.progress().rows(batch.num_rows() as u64);
    }
    writer.close().context(Code::Usage, failed)?;
    draft.flush().map_err(|cause| draft.failed(cause))?;
    output.folder.keep(draft)?;
    Ok(rows)
}

fn failed() -> String {
    "the vectors cannot be written".to_owned()
}

fn item(kind: DataType) -> Arc<Field> {
    Arc::new(Field::new("item", kind, false))
}

fn schema(width: usize, nulls: Missing) -> Result<SchemaRef> {
    let width =
        i32::try_from(width).context(Code::Usage, || "there are too many columns".to_owned())?;
    let list = |name: &str, kind: DataType| {
        Field::new(name, DataType::FixedSizeList(item(kind), width), false)
    };
    let mut fields = vec![list("vector", DataType::Float32)];
    if nulls == Missing::Zero {
        fields.push(list("present", DataType::Boolean));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// The rows of a batch as vectors.
fn vectors(
    batch: &RecordBatch,
    codings: &[Coding],
    nulls: Missing,
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let mut columns = Vec::new();
    for (coding, column) in codings.iter().zip(batch.columns()) {
        columns.push(coding.code(column)?.into_iter());
    }
    let many = batch.num_rows().saturating_mul(codings.len());
    let (mut values, mut present) = (Vec::with_capacity(many), Vec::with_capacity(many));
    for _ in 0..batch.num_rows() {
        for column in &mut columns {
            let value = column.next().flatten();
            present.push(value.is_some());
            values.push(value.unwrap_or(if nulls == Missing::Nan { f32::NAN } else { 0.0 }));
        }
    }
    let width = i32::try_from(codings.len()).unwrap_or(i32::MAX);
    let list = |kind: DataType, values: ArrayRef| -> Result<ArrayRef> {
        let list = FixedSizeListArray::try_new(item(kind), width, values, None);
        Ok(Arc::new(list.context(Code::Internal, failed)?))
    };
    let mut lists = vec![list(DataType::Float32, Arc::new(Float32Array::from(values)))?];
    if nulls == Missing::Zero {
        lists.push(list(DataType::Boolean, Arc::new(BooleanArray::from(present)))?);
    }
    RecordBatch::try_new(Arc::clone(schema), lists).context(Code::Internal, failed)
}

fn codebook(study: &Study<'_>, codings: &[Coding], wanted: &Vectors, rows: u64) -> Result<Vec<u8>> {
    let columns: Vec<Value> = (0_u64..).zip(codings).map(|(at, coding)| coding.json(at)).collect();
    let book = json!({
        "dataset": study.dataset(),
        "file": FILE,
        "rows": rows,
        "width": codings.len(),
        "type": "float32",
        "nulls": match wanted.nulls {
            Missing::Nan => "a missing value is NaN",
            Missing::Zero => "a missing value is 0, and `present` is false at its place",
        },
        "columns": columns,
    });
    let mut text =
        serde_json::to_vec_pretty(&book).context(Code::Internal, || "no codebook".to_owned())?;
    text.push(b'\n');
    Ok(text)
}

fn table(codings: &[Coding]) -> Table {
    let mut table = Table::new(
        "codebook",
        "What each number means",
        "In the order of the vector, counted from 0.",
        &[
            ("at", "Place", Show::Count),
            ("column", "Column", Show::Text),
            ("kind", "What it is", Show::Text),
            ("codes", "Codes", Show::Count),
        ],
    );
    for (at, coding) in (0_u64..).zip(codings) {
        let codes = match coding.kind {
            Kind::Category => Value::from(coding.codes()),
            _ => Value::Null,
        };
        table.rows.push(vec![at.into(), coding.name.clone().into(), coding.told().into(), codes]);
    }
    table
}

fn notes(wanted: &Vectors) -> Vec<String> {
    vec![
        match wanted.nulls {
            Missing::Nan => "A missing value is NaN.".to_owned(),
            Missing::Zero => {
                "A missing value is 0; the list `present` says where a value was.".to_owned()
            }
        },
        format!(
            "A category's codes are 0, 1, 2, ... by how frequent its values are, of equals in the order of \
             their names; at most {} have one of their own, all others share the next.",
            wanted.categories_max
        ),
        match wanted.times {
            Origin::Epoch => {
                "Times are seconds since 1970. Numbers of 32 bits hold these to about two minutes; \
                              `--times first` counts from the column's first time instead."
                    .to_owned()
            }
            Origin::First => {
                "Times are seconds since the column's first one, which the codebook tells."
                    .to_owned()
            }
        },
        "Whole numbers are exact up to 16,777,216, as far as 32 bits go.".to_owned(),
    ]
}
