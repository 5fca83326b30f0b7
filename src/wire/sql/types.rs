//! The SQL types of this server, as clients ask for them: one row for each type that a cast can name,
//! and the names of the types that columns have. Constants only; sees no data and no policy.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};

use crate::error::{Code, Context, Result};

/// The schema of the answer to `GetXdbcTypeInfo`.
pub fn schema() -> SchemaRef {
    XdbcTypeInfoDataBuilder::new().schema()
}

/// The types, or those with one XDBC number.
///
/// # Errors
/// [`Code::Internal`] when the table cannot be built.
pub fn table(data_type: Option<i32>) -> Result<RecordBatch> {
    let mut builder = XdbcTypeInfoDataBuilder::new();
    for kind in TYPES {
        builder.append(kind.row());
    }
    builder
        .build()
        .and_then(|table| table.record_batch(data_type))
        .context(Code::Internal, || "the table of types cannot be built".to_owned())
}

/// The SQL name of a column's type.
pub fn name(kind: &DataType) -> &'static str {
    match kind {
        DataType::Boolean => "BOOLEAN",
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INTEGER",
        DataType::Int64 => "BIGINT",
        DataType::UInt8 => "TINYINT UNSIGNED",
        DataType::UInt16 => "SMALLINT UNSIGNED",
        DataType::UInt32 => "INTEGER UNSIGNED",
        DataType::UInt64 => "BIGINT UNSIGNED",
        DataType::Float16 | DataType::Float32 => "REAL",
        DataType::Float64 => "DOUBLE",
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => "DECIMAL",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR",
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => "BYTEA",
        DataType::Date32 | DataType::Date64 => "DATE",
        DataType::Time32(_) | DataType::Time64(_) => "TIME",
        DataType::Timestamp(_, None) => "TIMESTAMP",
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP WITH TIME ZONE",
        DataType::Interval(_) | DataType::Duration(_) => "INTERVAL",
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::ListView(_)
        | DataType::LargeListView(_)
        | DataType::FixedSizeList(..) => "ARRAY",
        DataType::Struct(_) => "STRUCT",
        DataType::Map(..) => "MAP",
        DataType::Union(..) => "UNION",
        DataType::Dictionary(_, values) => name(values),
        DataType::RunEndEncoded(_, values) => name(values.data_type()),
        DataType::Null => "NULL",
    }
}

/// The precision and the scale of a column's type, where it has them.
pub fn precision_and_scale(kind: &DataType) -> (Option<u8>, Option<i8>) {
    match kind {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => (Some(*precision), Some(*scale)),
        DataType::Int8 | DataType::UInt8 => (Some(3), Some(0)),
        DataType::Int16 | DataType::UInt16 => (Some(5), Some(0)),
        DataType::Int32 | DataType::UInt32 => (Some(10), Some(0)),
        DataType::Int64 => (Some(19), Some(0)),
        DataType::UInt64 => (Some(20), Some(0)),
        DataType::Float16 | DataType::Float32 => (Some(24), None),
        DataType::Float64 => (Some(53), None),
        _ => (None, None),
    }
}

/// A type that a cast can name.
struct Type {
    name: &'static str,
    number: XdbcDataType,
    size: Option<i32>,
    sort: Sort,
}

/// What a type is, as far as the columns of the table tell types apart.
enum Sort {
    /// Whole numbers in decimal digits.
    Whole { unsigned: bool },
    /// Exact numbers with a scale.
    Exact,
    /// Approximate numbers in bits.
    Approximate,
    /// Texts.
    Text,
    /// Bytes.
    Bytes,
    /// True and false.
    Flag,
    /// A moment, by the word before its literal.
    Moment { literal: &'static str, subcode: XdbcDatetimeSubcode, scale: i32 },
    /// A span of time.
    Span,
}

impl Type {
    fn row(&self) -> XdbcTypeInfo {
        let mut row = XdbcTypeInfo {
            type_name: self.name.to_owned(),
            local_type_name: Some(self.name.to_owned()),
            data_type: self.number,
            sql_data_type: self.number,
            column_size: self.size,
            nullable: Nullable::NullabilityNullable,
            searchable: Searchable::Basic,
            ..XdbcTypeInfo::default()
        };
        match self.sort {
            Sort::Whole { unsigned } => {
                row.unsigned_attribute = Some(unsigned);
                row.fixed_prec_scale = true;
                row.auto_increment = Some(false);
                (row.minimum_scale, row.maximum_scale) = (Some(0), Some(0));
                row.num_prec_radix = Some(10);
            }
            Sort::Exact => {
                row.create_params = Some(vec!["precision".to_owned(), "scale".to_owned()]);
                row.unsigned_attribute = Some(false);
                row.auto_increment = Some(false);
                (row.minimum_scale, row.maximum_scale) = (Some(0), self.size);
                row.num_prec_radix = Some(10);
            }
            Sort::Approximate => {
                row.unsigned_attribute = Some(false);
                row.auto_increment = Some(false);
                row.num_prec_radix = Some(2);
            }
            Sort::Text => {
                row.literal_prefix = Some("'".to_owned());
                row.literal_suffix = Some("'".to_owned());
                row.case_sensitive = true;
                row.searchable = Searchable::Full;
            }
            Sort::Bytes => {
                row.literal_prefix = Some("X'".to_owned());
                row.literal_suffix = Some("'".to_owned());
            }
            Sort::Flag => {}
            Sort::Moment { literal, subcode, scale } => {
                row.literal_prefix = Some(format!("{literal} '"));
                row.literal_suffix = Some("'".to_owned());
                (row.minimum_scale, row.maximum_scale) = (Some(0), Some(scale));
                row.sql_data_type = XdbcDataType::XdbcDatetime;
                row.datetime_subcode = Some(subcode);
            }
            Sort::Span => {
                row.literal_prefix = Some("INTERVAL '".to_owned());
                row.literal_suffix = Some("'".to_owned());
                row.sql_data_type = XdbcDataType::XdbcInterval;
                row.datetime_subcode = Some(XdbcDatetimeSubcode::XdbcSubcodeUnknown);
                row.interval_precision = Some(10);
            }
        }
        row
    }
}

const fn whole(name: &'static str, number: XdbcDataType, size: i32, unsigned: bool) -> Type {
    Type { name, number, size: Some(size), sort: Sort::Whole { unsigned } }
}

const fn text(name: &'static str, number: XdbcDataType) -> Type {
    Type { name, number, size: Some(i32::MAX), sort: Sort::Text }
}

const fn exact(name: &'static str, number: XdbcDataType) -> Type {
    // The digits of a 256-bit decimal.
    Type { name, number, size: Some(76), sort: Sort::Exact }
}

const fn approximate(name: &'static str, number: XdbcDataType, bits: i32) -> Type {
    Type { name, number, size: Some(bits), sort: Sort::Approximate }
}

const fn moment(
    name: &'static str,
    number: XdbcDataType,
    size: i32,
    literal: &'static str,
    subcode: XdbcDatetimeSubcode,
    scale: i32,
) -> Type {
    Type { name, number, size: Some(size), sort: Sort::Moment { literal, subcode, scale } }
}

/// All types that a cast can name, by the names that the engine's SQL knows.
const TYPES: &[Type] = &[
    Type { name: "BOOLEAN", number: XdbcDataType::XdbcBit, size: Some(1), sort: Sort::Flag },
    whole("TINYINT", XdbcDataType::XdbcTinyint, 3, false),
    whole("TINYINT UNSIGNED", XdbcDataType::XdbcTinyint, 3, true),
    whole("SMALLINT", XdbcDataType::XdbcSmallint, 5, false),
    whole("SMALLINT UNSIGNED", XdbcDataType::XdbcSmallint, 5, true),
    whole("INT", XdbcDataType::XdbcInteger, 10, false),
    whole("INTEGER", XdbcDataType::XdbcInteger, 10, false),
    whole("INT UNSIGNED", XdbcDataType::XdbcInteger, 10, true),
    whole("INTEGER UNSIGNED", XdbcDataType::XdbcInteger, 10, true),
    whole("BIGINT", XdbcDataType::XdbcBigint, 19, false),
    whole("BIGINT UNSIGNED", XdbcDataType::XdbcBigint, 20, true),
    exact("DECIMAL", XdbcDataType::XdbcDecimal),
    exact("NUMERIC", XdbcDataType::XdbcNumeric),
    approximate("FLOAT", XdbcDataType::XdbcReal, 24),
    approximate("REAL", XdbcDataType::XdbcReal, 24),
    approximate("DOUBLE", XdbcDataType::XdbcDouble, 53),
    approximate("DOUBLE PRECISION", XdbcDataType::XdbcDouble, 53),
    text("CHAR", XdbcDataType::XdbcChar),
    text("VARCHAR", XdbcDataType::XdbcVarchar),
    text("STRING", XdbcDataType::XdbcVarchar),
    text("TEXT", XdbcDataType::XdbcLongvarchar),
    Type {
        name: "BYTEA",
        number: XdbcDataType::XdbcVarbinary,
        size: Some(i32::MAX),
        sort: Sort::Bytes,
    },
    // Alias of the subcode for a year, which the generated code calls by its first name.
    moment("DATE", XdbcDataType::XdbcDate, 10, "DATE", XdbcDatetimeSubcode::XdbcSubcodeYear, 0),
    moment("TIME", XdbcDataType::XdbcTime, 18, "TIME", XdbcDatetimeSubcode::XdbcSubcodeTime, 9),
    moment(
        "TIMESTAMP",
        XdbcDataType::XdbcTimestamp,
        29,
        "TIMESTAMP",
        XdbcDatetimeSubcode::XdbcSubcodeTimestamp,
        9,
    ),
    moment(
        "TIMESTAMP WITH TIME ZONE",
        XdbcDataType::XdbcTimestamp,
        35,
        "TIMESTAMP WITH TIME ZONE",
        XdbcDatetimeSubcode::XdbcSubcodeTimestampWithTimezone,
        9,
    ),
    Type { name: "INTERVAL", number: XdbcDataType::XdbcInterval, size: None, sort: Sort::Span },
];

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int32Type;

    use super::*;

    fn rows(data_type: Option<i32>) -> Vec<(i32, String)> {
        let table = table(data_type).unwrap();
        assert_eq!(table.schema(), schema());
        let numbers = table["data_type"].as_primitive::<Int32Type>().values().to_vec();
        let names = table["type_name"].as_string::<i32>().iter();
        numbers.into_iter().zip(names.map(|name| name.unwrap().to_owned())).collect()
    }

    #[test]
    fn there_is_a_row_for_each_type_ordered_by_number_and_name() {
        let all = rows(None);
        assert_eq!(all.len(), TYPES.len());
        let mut sorted = all.clone();
        sorted.sort();
        assert_eq!(all, sorted);
        assert_eq!(all[0], (-7, "BOOLEAN".to_owned()));
    }

    #[test]
    fn one_number_gives_its_types_and_an_unknown_one_none() {
        let names = |number| -> Vec<String> {
            rows(Some(number)).into_iter().map(|(_, name)| name).collect()
        };
        assert_eq!(names(-5), ["BIGINT", "BIGINT UNSIGNED"]);
        assert_eq!(names(12), ["STRING", "VARCHAR"]);
        assert_eq!(names(93), ["TIMESTAMP", "TIMESTAMP WITH TIME ZONE"]);
        assert_eq!(names(4711), [] as [&str; 0]);
    }

    #[test]
    fn moments_have_the_general_number_and_their_subcode() {
        let table = table(Some(91)).unwrap();
        let number = |column: &str| table[column].as_primitive::<Int32Type>().value(0);
        assert_eq!(number("sql_data_type"), 9);
        assert_eq!(number("datetime_subcode"), 1);
        assert_eq!(number("column_size"), 10);
        assert_eq!(table["literal_prefix"].as_string::<i32>().value(0), "DATE '");
    }

    #[test]
    fn each_name_of_a_scalar_columns_type_has_a_row() {
        use arrow::datatypes::{IntervalUnit, TimeUnit};
        let names: Vec<String> = rows(None).into_iter().map(|(_, name)| name).collect();
        for kind in [
            DataType::Boolean,
            DataType::Int8,
            DataType::UInt32,
            DataType::Int64,
            DataType::Float16,
            DataType::Float64,
            DataType::Decimal128(12, 2),
            DataType::Utf8View,
            DataType::FixedSizeBinary(16),
            DataType::Date32,
            DataType::Time64(TimeUnit::Nanosecond),
            DataType::Timestamp(TimeUnit::Microsecond, None),
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            DataType::Interval(IntervalUnit::MonthDayNano),
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        ] {
            assert!(names.iter().any(|known| known == name(&kind)), "{kind}");
        }
    }
}
