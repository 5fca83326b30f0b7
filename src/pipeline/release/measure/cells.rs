//! Reads a table's cells as codes: every value of a column has a number, in the order in which it was met; a
//! null has one too. Decides nothing about classes.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::classes::{Classes, Codes, NOBODY};
use super::{Beside, Measured, judge};
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::transform::column::{canonical, to_canonical};
use crate::pipeline::transform::unit;
use crate::policy::args::Args;
use crate::policy::release::{Model, ReleaseRules};

/// Takes a table batch by batch. What it holds grows with classes, persons a class and distinct values, not
/// with rows.
#[derive(Debug)]
pub struct Reader<'a> {
    rules: &'a ReleaseRules,
    beside: &'a Beside,
    quasi: Vec<Column>,
    unit: Option<Column>,
    sensitive: Vec<Column>,
    classes: Classes,
    rows: u64,
}

impl<'a> Reader<'a> {
    /// No row yet.
    ///
    /// # Errors
    /// [`Code::Internal`] when a model needs a population or a tree that was not given.
    pub fn new(rules: &'a ReleaseRules, beside: &'a Beside) -> Result<Self> {
        let mut names: Vec<&str> = Vec::new();
        for name in rules
            .models
            .iter()
            .filter_map(judge::column)
            .chain(beside.also.iter().map(String::as_str))
        {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let needs_population =
            |model: &&Model| matches!(model, Model::KMap { .. } | Model::DeltaPresence { .. });
        if beside.population.is_none() && rules.models.iter().any(|model| needs_population(&model))
        {
            return Err(Error::new(
                Code::Internal,
                "a release against a population was measured without one",
            ));
        }
        let sensitive: Vec<Column> = names.into_iter().map(Column::new).collect();
        Ok(Self {
            rules,
            beside,
            quasi: rules.quasi_identifiers.iter().map(|quasi| Column::new(&quasi.column)).collect(),
            unit: rules.unit.as_deref().map(Column::new),
            classes: Classes::new(sensitive.len(), rules.unit.is_some()),
            sensitive,
            rows: 0,
        })
    }

    /// Some rows more.
    ///
    /// # Errors
    /// [`Code::SchemaDrift`] when the rules name a column that is not there.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let codes = Codes {
            quasi: self
                .quasi
                .iter_mut()
                .map(|column| column.codes(batch))
                .collect::<Result<_>>()?,
            unit: self
                .unit
                .as_mut()
                .map(|column| column.persons(batch, self.beside.persons.as_ref()))
                .transpose()?,
            sensitive: self
                .sensitive
                .iter_mut()
                .map(|column| column.codes(batch))
                .collect::<Result<_>>()?,
        };
        self.classes.add(batch.num_rows(), &codes);
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// The classes as codes, for measures of risk.
    pub fn gathered(mut self) -> Gathered {
        let persons = self.classes.persons();
        let width = self.quasi.len();
        let keys = self.classes.keys();
        let column = |at: usize| keys.iter().filter_map(|key| key.get(at).copied()).collect();
        Gathered {
            columns: (0..width).map(column).collect(),
            rows: self.classes.rows().to_vec(),
            persons,
        }
    }

    /// What the table guarantees.
    ///
    /// # Errors
    /// [`Code::Internal`] when what was given beside the table does not belong to it.
    pub fn finish(self) -> Result<Measured> {
        let Self { rules, beside, quasi, sensitive, mut classes, rows, .. } = self;
        let sensitive =
            sensitive.into_iter().map(|column| column.finish(beside)).collect::<Result<_>>()?;
        judge::measure(rules, beside, rows, &quasi, sensitive, &mut classes)
    }
}

/// The classes of a table, without a value.
#[derive(Debug)]
pub struct Gathered {
    /// By quasi-identifier: the code of each class.
    pub columns: Vec<Vec<u32>>,
    /// Rows of each class.
    pub rows: Vec<u64>,
    /// Persons of each class, where they are counted.
    pub persons: Option<Vec<u64>>,
}

/// The values of a column by code.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    codes: HashMap<Box<str>, u32>,
    null: Option<u32>,
    pub(super) values: Vec<Option<Box<str>>>,
    numbers: bool,
}

/// A sensitive column whose codes are known in the values' own order.
#[derive(Debug)]
pub(super) struct Ranked {
    pub(super) name: String,
    /// The values in their own order.
    pub(super) values: Vec<Option<Box<str>>>,
    /// By code as read: the place in this order.
    pub(super) places: Vec<u32>,
    /// By place: rows in the table before suppression, where they were given.
    pub(super) whole: Option<Vec<u64>>,
}

impl Column {
    fn new(name: &str) -> Self {
        let name = name.to_owned();
        Self { name, codes: HashMap::new(), null: None, values: Vec::new(), numbers: true }
    }

    fn codes(&mut self, batch: &RecordBatch) -> Result<Vec<u32>> {
        let column = self.of(batch)?;
        self.codes_of(column)
    }

    fn of<'a>(&self, batch: &'a RecordBatch) -> Result<&'a ArrayRef> {
        batch.column_by_name(&self.name).ok_or_else(|| {
            Error::new(
                Code::SchemaDrift,
                format!("the table to measure has no column `{}`", self.name),
            )
        })
    }

    fn codes_of(&mut self, column: &ArrayRef) -> Result<Vec<u32>> {
        self.numbers &= is_number(column.data_type());
        let texts = texts(column)?;
        let texts = texts.as_string::<i32>();
        let mut codes = Vec::with_capacity(texts.len());
        let mut last: Option<(Option<&str>, u32)> = None;
        for row in 0..texts.len() {
            let value = texts.is_valid(row).then(|| texts.value(row));
            let code = match last {
                Some((known, code)) if known == value => code,
                _ => self.code(value),
            };
            last = Some((value, code));
            codes.push(code);
        }
        Ok(codes)
    }

    /// The codes of persons; a null is nobody, and what the column's rule calls equal is one.
    ///
    /// PRIVACY: `Ann` and `ann ` as two would make a class look larger than it is.
    fn persons(&mut self, batch: &RecordBatch, rule: Option<&Args>) -> Result<Vec<u32>> {
        let column = self.of(batch)?;
        let mut codes = match rule.filter(|_| unit::fits(&canonical(column.data_type()))) {
            Some(rule) => {
                let named = unit::names(rule).apply(&to_canonical(column)?, &[])?;
                self.codes_of(&named)?
            }
            None => self.codes_of(column)?,
        };
        if let Some(null) = self.null {
            codes.iter_mut().filter(|code| **code == null).for_each(|code| *code = NOBODY);
        }
        Ok(codes)
    }

    fn code(&mut self, value: Option<&str>) -> u32 {
        let known = match value {
            Some(text) => self.codes.get(text).copied(),
            None => self.null,
        };
        if let Some(code) = known {
            return code;
        }
        let code = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        match value {
            Some(text) => {
                self.codes.insert(text.into(), code);
            }
            None => self.null = Some(code),
        }
        self.values.push(value.map(Into::into));
        code
    }

    /// Puts the values in their own order, or in that of what was given beside the table.
    fn finish(self, beside: &Beside) -> Result<Ranked> {
        let Self { name, values, numbers, .. } = self;
        let given = beside.spreads.get(&name);
        let (order, whole): (Vec<Option<Box<str>>>, _) = match given {
            Some(spread) => (
                spread.iter().map(|(value, _)| value.as_deref().map(Into::into)).collect(),
                Some(spread.iter().map(|(_, rows)| *rows).collect()),
            ),
            None => (in_order(&values, numbers), None),
        };
        let places: BTreeMap<&Option<Box<str>>, u32> = order.iter().zip(0..).collect();
        let place = |value: &Option<Box<str>>| {
            // PRIVACY: the value is not told: it may be anybody's.
            places.get(value).copied().ok_or_else(|| {
                Error::new(
                    Code::Internal,
                    format!("`{name}` holds a value that the table before suppression lacks"),
                )
            })
        };
        let places = values.iter().map(place).collect::<Result<_>>()?;
        Ok(Ranked { places, name, values: order, whole })
    }
}

/// Numbers as numbers, texts as texts, null last.
fn in_order(values: &[Option<Box<str>>], numbers: bool) -> Vec<Option<Box<str>>> {
    let mut order = values.to_vec();
    let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
    order.sort_by(|one, other| match (one, other) {
        (Some(one), Some(other)) if numbers => number(one).total_cmp(&number(other)),
        (Some(one), Some(other)) => one.cmp(other),
        (one, other) => one.is_none().cmp(&other.is_none()),
    });
    order
}

fn is_number(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, value) => is_number(value),
        kind => kind.is_numeric(),
    }
}

/// A column as texts; equal texts are equal values.
fn texts(column: &ArrayRef) -> Result<ArrayRef> {
    let failed = || "a column cannot be read as text".to_owned();
    match column.data_type() {
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => {
            let bytes = cast(column, &DataType::Binary).context(Code::Internal, failed)?;
            let hex =
                |bytes: Option<&[u8]>| bytes.map(|bytes| data_encoding::HEXLOWER.encode(bytes));
            let texts: arrow::array::StringArray =
                bytes.as_binary::<i32>().iter().map(hex).collect();
            Ok(std::sync::Arc::new(texts))
        }
        _ => cast(column, &DataType::Utf8).context(Code::Internal, failed),
    }
}

/// The batches of a parquet file.
pub(super) fn each_batch(
    path: &Path,
    mut take: impl FnMut(RecordBatch) -> Result<()>,
) -> Result<()> {
    let failed = || format!("measure `{}`", path.display());
    let file = File::open(path).context(Code::SourceUnreadable, failed)?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.with_batch_size(65_536).build())
        .context(Code::SourceUnreadable, failed)?;
    for batch in reader {
        take(batch.context(Code::SourceUnreadable, failed)?)?;
    }
    Ok(())
}
