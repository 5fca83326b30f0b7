//! What this server can do, by the codes of Flight SQL. Says only what holds for every partner; what one
//! may read is in the catalogue.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::compute::can_cast_types;
use arrow::datatypes::{DataType, IntervalUnit, SchemaRef, TimeUnit};
use arrow_flight::sql::metadata::SqlInfoDataBuilder;
use arrow_flight::sql::{
    SqlInfo, SqlNullOrdering, SqlOuterJoinsSupportLevel, SqlSupportedCaseSensitivity,
    SqlSupportedGroupBy, SqlSupportedResultSetConcurrency, SqlSupportedResultSetType,
    SqlSupportedSubqueries, SqlSupportedTransaction, SqlSupportedUnions, SqlSupportsConvert,
    SqlTransactionIsolationLevel, SupportedSqlGrammar,
};

use super::command::STATEMENT_BYTES_MAX;
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::query::{About, function_names};

/// The schema of the answer to `GetSqlInfo`.
pub fn schema() -> SchemaRef {
    SqlInfoDataBuilder::schema().clone().into()
}

/// The values of the codes that are asked for, or of all where none is. Codes that do not apply here
/// are left out.
///
/// # Errors
/// [`Code::Internal`] when the table cannot be built.
pub fn table(codes: &[u32]) -> Result<RecordBatch> {
    let mut builder = SqlInfoDataBuilder::new();
    for (code, value) in all() {
        let number = u32::try_from(i32::from(code))
            .context(Code::Internal, || "a code of an info is negative".to_owned())?;
        if !codes.is_empty() && !codes.contains(&number) {
            continue;
        }
        match value {
            Value::Flag(flag) => builder.append(number, flag),
            Value::Text(text) => builder.append(number, text),
            Value::Bits(bits) => builder.append(number, bits),
            Value::Count(count) => builder.append(number, count),
            Value::Texts(texts) => builder.append(number, texts),
            Value::Map(map) => builder.append(number, map),
        }
    }
    let table = builder
        .build()
        .and_then(|infos| infos.record_batch([]))
        .context(Code::Internal, || "the table of infos cannot be built".to_owned())?;
    RecordBatch::try_new(schema(), table.columns().to_vec())
        .map_err(|cause| Error::new(Code::Internal, "an info of a wrong type").because(cause))
}

/// The value of one code.
enum Value {
    Flag(bool),
    Text(&'static str),
    /// A set of bits, or the number of one choice.
    Bits(i32),
    Count(i64),
    Texts(Vec<String>),
    Map(BTreeMap<i32, Vec<i32>>),
}

/// Every code that applies.
fn all() -> Vec<(SqlInfo, Value)> {
    let mut all = server();
    all.extend(names());
    all.extend(grammar());
    all.extend(bounds());
    all.extend(transactions_and_results());
    all
}

fn server() -> Vec<(SqlInfo, Value)> {
    vec![
        (SqlInfo::FlightSqlServerName, Value::Text("veilflight")),
        (SqlInfo::FlightSqlServerVersion, Value::Text(env!("CARGO_PKG_VERSION"))),
        (SqlInfo::FlightSqlServerArrowVersion, Value::Text(ARROW_FORMAT)),
        (SqlInfo::FlightSqlServerReadOnly, Value::Flag(true)),
        (SqlInfo::FlightSqlServerSql, Value::Flag(true)),
        (SqlInfo::FlightSqlServerSubstrait, Value::Flag(false)),
        (SqlInfo::FlightSqlServerTransaction, Value::Bits(SqlSupportedTransaction::None as i32)),
        (SqlInfo::FlightSqlServerCancel, Value::Flag(true)),
        (SqlInfo::FlightSqlServerBulkIngestion, Value::Flag(false)),
        (SqlInfo::FlightSqlServerIngestTransactionsSupported, Value::Flag(false)),
        // A prepared statement's handle carries the statement itself, and so does not run out.
        (SqlInfo::FlightSqlServerStatementTimeout, Value::Bits(0)),
        (SqlInfo::FlightSqlServerTransactionTimeout, Value::Bits(0)),
    ]
}

/// Names: how they are written, compared, and what they may be.
fn names() -> Vec<(SqlInfo, Value)> {
    let either_case = SqlSupportedCaseSensitivity::SqlCaseSensitivityCaseInsensitive as i32;
    let as_written = SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown as i32;
    vec![
        (SqlInfo::SqlDdlCatalog, Value::Flag(false)),
        (SqlInfo::SqlDdlSchema, Value::Flag(false)),
        (SqlInfo::SqlDdlTable, Value::Flag(false)),
        // A name counts as written where there is such a name, else in any case where one is meant.
        // In quotes it counts as written, for which there is no word.
        (SqlInfo::SqlIdentifierCase, Value::Bits(either_case)),
        (SqlInfo::SqlIdentifierQuoteChar, Value::Text("\"")),
        (SqlInfo::SqlQuotedIdentifierCase, Value::Bits(as_written)),
        (SqlInfo::SqlAllTablesAreSelectable, Value::Flag(true)),
        (SqlInfo::SqlKeywords, texts(KEYWORDS)),
        (SqlInfo::SqlNumericFunctions, texts(&function_names(About::Numbers))),
        (SqlInfo::SqlStringFunctions, texts(&function_names(About::Texts))),
        (SqlInfo::SqlSystemFunctions, texts(&function_names(About::Others))),
        (SqlInfo::SqlDatetimeFunctions, texts(&function_names(About::Times))),
        (SqlInfo::SqlSearchStringEscape, Value::Text("\\")),
        (SqlInfo::SqlExtraNameCharacters, Value::Text("")),
        (SqlInfo::SqlSchemaTerm, Value::Text("schema")),
        (SqlInfo::SqlProcedureTerm, Value::Text("procedure")),
        (SqlInfo::SqlCatalogTerm, Value::Text("catalog")),
        (SqlInfo::SqlCatalogAtStart, Value::Flag(true)),
        (SqlInfo::SqlSchemasSupportedActions, Value::Bits(0)),
        (SqlInfo::SqlCatalogsSupportedActions, Value::Bits(0)),
    ]
}

/// What a query may say.
fn grammar() -> Vec<(SqlInfo, Value)> {
    vec![
        (SqlInfo::SqlNullOrdering, Value::Bits(SqlNullOrdering::SqlNullsSortedHigh as i32)),
        (SqlInfo::SqlSupportsColumnAliasing, Value::Flag(true)),
        (SqlInfo::SqlNullPlusNullIsNull, Value::Flag(true)),
        (SqlInfo::SqlSupportsConvert, Value::Map(conversions())),
        (SqlInfo::SqlSupportsTableCorrelationNames, Value::Flag(true)),
        (SqlInfo::SqlSupportsDifferentTableCorrelationNames, Value::Flag(false)),
        (SqlInfo::SqlSupportsExpressionsInOrderBy, Value::Flag(true)),
        (SqlInfo::SqlSupportsOrderByUnrelated, Value::Flag(true)),
        (
            SqlInfo::SqlSupportedGroupBy,
            bits(&[
                SqlSupportedGroupBy::SqlGroupByUnrelated as i32,
                SqlSupportedGroupBy::SqlGroupByBeyondSelect as i32,
            ]),
        ),
        (SqlInfo::SqlSupportsLikeEscapeClause, Value::Flag(true)),
        (SqlInfo::SqlSupportsNonNullableColumns, Value::Flag(true)),
        // As far as these levels speak of queries; nothing that defines or writes is answered.
        (
            SqlInfo::SqlSupportedGrammar,
            bits(&[
                SupportedSqlGrammar::SqlMinimumGrammar as i32,
                SupportedSqlGrammar::SqlCoreGrammar as i32,
            ]),
        ),
        (SqlInfo::SqlAnsi92SupportedLevel, bits(&[ANSI92_ENTRY])),
        (SqlInfo::SqlSupportsIntegrityEnhancementFacility, Value::Flag(false)),
        (
            SqlInfo::SqlOuterJoinsSupportLevel,
            Value::Bits(SqlOuterJoinsSupportLevel::SqlFullOuterJoins as i32),
        ),
        (SqlInfo::SqlSupportedPositionedCommands, Value::Bits(0)),
        (SqlInfo::SqlSelectForUpdateSupported, Value::Flag(false)),
        (SqlInfo::SqlStoredProceduresSupported, Value::Flag(false)),
        (
            SqlInfo::SqlSupportedSubqueries,
            bits(&[
                SqlSupportedSubqueries::SqlSubqueriesInComparisons as i32,
                SqlSupportedSubqueries::SqlSubqueriesInExists as i32,
                SqlSupportedSubqueries::SqlSubqueriesInIns as i32,
            ]),
        ),
        (SqlInfo::SqlCorrelatedSubqueriesSupported, Value::Flag(true)),
        (
            SqlInfo::SqlSupportedUnions,
            bits(&[SqlSupportedUnions::SqlUnion as i32, SqlSupportedUnions::SqlUnionAll as i32]),
        ),
    ]
}

/// Bounds; zero where there is none, or none that is known before a statement is seen.
fn bounds() -> Vec<(SqlInfo, Value)> {
    let mut all: Vec<(SqlInfo, Value)> = [
        SqlInfo::SqlMaxBinaryLiteralLength,
        SqlInfo::SqlMaxCharLiteralLength,
        SqlInfo::SqlMaxColumnNameLength,
        SqlInfo::SqlMaxColumnsInGroupBy,
        SqlInfo::SqlMaxColumnsInIndex,
        SqlInfo::SqlMaxColumnsInOrderBy,
        SqlInfo::SqlMaxColumnsInSelect,
        SqlInfo::SqlMaxColumnsInTable,
        SqlInfo::SqlMaxConnections,
        SqlInfo::SqlMaxCursorNameLength,
        SqlInfo::SqlMaxIndexLength,
        SqlInfo::SqlDbSchemaNameLength,
        SqlInfo::SqlMaxProcedureNameLength,
        SqlInfo::SqlMaxCatalogNameLength,
        SqlInfo::SqlMaxRowSize,
        SqlInfo::SqlMaxStatements,
        SqlInfo::SqlMaxTablesInSelect,
    ]
    .map(|code| (code, Value::Count(0)))
    .into();
    all.extend([
        (SqlInfo::SqlMaxRowSizeIncludesBlobs, Value::Flag(true)),
        (SqlInfo::SqlMaxStatementLength, Value::Count(STATEMENT_BYTES_MAX as i64)),
        (SqlInfo::SqlMaxTableNameLength, Value::Count(DATASET_NAME_MAX)),
        (SqlInfo::SqlMaxUsernameLength, Value::Count(PARTNER_NAME_MAX)),
    ]);
    all
}

fn transactions_and_results() -> Vec<(SqlInfo, Value)> {
    let read_only = SqlSupportedResultSetConcurrency::SqlResultSetConcurrencyReadOnly as i32;
    vec![
        (
            SqlInfo::SqlDefaultTransactionIsolation,
            Value::Bits(SqlTransactionIsolationLevel::SqlTransactionNone as i32),
        ),
        (SqlInfo::SqlTransactionsSupported, Value::Flag(false)),
        (
            SqlInfo::SqlSupportedTransactionsIsolationLevels,
            bits(&[SqlTransactionIsolationLevel::SqlTransactionNone as i32]),
        ),
        (SqlInfo::SqlDataDefinitionCausesTransactionCommit, Value::Flag(false)),
        (SqlInfo::SqlDataDefinitionsInTransactionsIgnored, Value::Flag(false)),
        (
            SqlInfo::SqlSupportedResultSetTypes,
            bits(&[SqlSupportedResultSetType::SqlResultSetTypeForwardOnly as i32]),
        ),
        (SqlInfo::SqlSupportedConcurrenciesForResultSetUnspecified, Value::Bits(0)),
        (SqlInfo::SqlSupportedConcurrenciesForResultSetForwardOnly, bits(&[read_only])),
        (SqlInfo::SqlSupportedConcurrenciesForResultSetScrollSensitive, Value::Bits(0)),
        (SqlInfo::SqlSupportedConcurrenciesForResultSetScrollInsensitive, Value::Bits(0)),
        (SqlInfo::SqlBatchUpdatesSupported, Value::Flag(false)),
        (SqlInfo::SqlSavepointsSupported, Value::Flag(false)),
        (SqlInfo::SqlNamedParametersSupported, Value::Flag(false)),
        (SqlInfo::SqlLocatorsUpdateCopy, Value::Flag(false)),
        (SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported, Value::Flag(false)),
    ]
}

fn texts(texts: &[&str]) -> Value {
    Value::Texts(texts.iter().map(|&text| text.to_owned()).collect())
}

/// A set of bits, each named by its place.
fn bits(places: &[i32]) -> Value {
    Value::Bits(places.iter().fold(0, |bits, place| bits | 1 << place))
}

/// Which types a cast makes of which, by their numbers: what Arrow's cast knows.
fn conversions() -> BTreeMap<i32, Vec<i32>> {
    let number = |kind: SqlSupportsConvert| kind as i32;
    CONVERTED
        .iter()
        .map(|(from, source)| {
            let targets = CONVERTED.iter().filter(|(_, target)| can_cast_types(source, target));
            (number(*from), targets.map(|(to, _)| number(*to)).collect())
        })
        .collect()
}

/// The Arrow type behind each type of a conversion.
const CONVERTED: &[(SqlSupportsConvert, DataType)] = &[
    (SqlSupportsConvert::SqlConvertBigint, DataType::Int64),
    (SqlSupportsConvert::SqlConvertBinary, DataType::Binary),
    (SqlSupportsConvert::SqlConvertBit, DataType::Boolean),
    (SqlSupportsConvert::SqlConvertChar, DataType::Utf8),
    (SqlSupportsConvert::SqlConvertDate, DataType::Date32),
    (SqlSupportsConvert::SqlConvertDecimal, DataType::Decimal128(38, 10)),
    (SqlSupportsConvert::SqlConvertFloat, DataType::Float64),
    (SqlSupportsConvert::SqlConvertInteger, DataType::Int32),
    (SqlSupportsConvert::SqlConvertIntervalDayTime, DataType::Interval(IntervalUnit::MonthDayNano)),
    (
        SqlSupportsConvert::SqlConvertIntervalYearMonth,
        DataType::Interval(IntervalUnit::MonthDayNano),
    ),
    (SqlSupportsConvert::SqlConvertLongvarbinary, DataType::Binary),
    (SqlSupportsConvert::SqlConvertLongvarchar, DataType::Utf8),
    (SqlSupportsConvert::SqlConvertNumeric, DataType::Decimal128(38, 10)),
    (SqlSupportsConvert::SqlConvertReal, DataType::Float32),
    (SqlSupportsConvert::SqlConvertSmallint, DataType::Int16),
    (SqlSupportsConvert::SqlConvertTime, DataType::Time64(TimeUnit::Nanosecond)),
    (SqlSupportsConvert::SqlConvertTimestamp, DataType::Timestamp(TimeUnit::Nanosecond, None)),
    (SqlSupportsConvert::SqlConvertTinyint, DataType::Int8),
    (SqlSupportsConvert::SqlConvertVarbinary, DataType::Binary),
    (SqlSupportsConvert::SqlConvertVarchar, DataType::Utf8),
];

/// The version of Arrow's columnar format that streams follow.
const ARROW_FORMAT: &str = "1.5";
/// The place of the entry level among the levels of ANSI SQL-92.
const ANSI92_ENTRY: i32 = 0;
/// The longest name of a dataset.
const DATASET_NAME_MAX: i64 = 128;
/// The longest name of a partner.
const PARTNER_NAME_MAX: i64 = 63;

/// The words of queries that have a meaning of their own.
const KEYWORDS: &[&str] = &[
    "ALL",
    "AND",
    "ANY",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CROSS",
    "CUBE",
    "DESC",
    "DISTINCT",
    "ELSE",
    "END",
    "ESCAPE",
    "EXCEPT",
    "EXISTS",
    "EXTRACT",
    "FALSE",
    "FETCH",
    "FILTER",
    "FIRST",
    "FROM",
    "FULL",
    "GROUP",
    "GROUPING",
    "HAVING",
    "ILIKE",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LAST",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NATURAL",
    "NOT",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "QUALIFY",
    "RANGE",
    "RIGHT",
    "ROLLUP",
    "ROWS",
    "SELECT",
    "SEMI",
    "SETS",
    "SIMILAR",
    "SOME",
    "THEN",
    "TRUE",
    "TRY_CAST",
    "UNION",
    "UNNEST",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
];

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray, UnionArray};
    use arrow::datatypes::{Int32Type, UInt32Type};

    use super::*;

    fn codes(table: &RecordBatch) -> Vec<u32> {
        table["info_name"].as_primitive::<UInt32Type>().values().to_vec()
    }

    fn value(code: SqlInfo) -> std::sync::Arc<dyn Array> {
        let table = table(&[code as u32]).unwrap();
        assert_eq!(codes(&table), [code as u32]);
        let union = table["value"].as_any().downcast_ref::<UnionArray>().unwrap();
        union.value(0)
    }

    #[test]
    fn no_code_means_all_and_each_is_there_once_in_order() {
        let table = table(&[]).unwrap();
        assert_eq!(table.schema(), schema());
        let codes = codes(&table);
        assert!(codes.is_sorted_by(|a, b| a < b));
        // Everything there is, but for the versions of Substrait that there are not.
        let known: Vec<u32> = (0..10_000)
            .filter(|code| SqlInfo::try_from(*code).is_ok())
            .map(|code| u32::try_from(code).unwrap())
            .filter(|code| ![6, 7].contains(code))
            .collect();
        assert_eq!(codes, known);
    }

    #[test]
    fn codes_that_are_unknown_or_do_not_apply_are_left_out() {
        let table = table(&[0, 6, 4711, u32::MAX, 3, 3]).unwrap();
        assert_eq!(codes(&table), [0, 3]);
        assert_eq!(super::table(&[4711]).unwrap().num_rows(), 0);
        assert_eq!(super::table(&[4711]).unwrap().schema(), schema());
    }

    #[test]
    fn the_server_says_that_it_reads_only_and_has_no_transactions() {
        assert_eq!(value(SqlInfo::FlightSqlServerName).as_string::<i32>().value(0), "veilflight");
        for (code, expected) in [
            (SqlInfo::FlightSqlServerReadOnly, true),
            (SqlInfo::FlightSqlServerSql, true),
            (SqlInfo::FlightSqlServerSubstrait, false),
            (SqlInfo::FlightSqlServerBulkIngestion, false),
            (SqlInfo::SqlTransactionsSupported, false),
            (SqlInfo::SqlDdlTable, false),
        ] {
            assert_eq!(value(code).as_boolean().value(0), expected, "{code:?}");
        }
        let transaction = value(SqlInfo::FlightSqlServerTransaction);
        assert_eq!(transaction.as_primitive::<Int32Type>().value(0), 0);
        let unions = value(SqlInfo::SqlSupportedUnions);
        assert_eq!(unions.as_primitive::<Int32Type>().value(0), 0b11);
    }

    #[test]
    fn keywords_are_ordered_and_none_is_twice() {
        assert!(KEYWORDS.is_sorted_by(|a, b| a < b), "{KEYWORDS:?}");
        let keywords = value(SqlInfo::SqlKeywords);
        assert_eq!(keywords.as_list::<i32>().value(0).len(), KEYWORDS.len());
    }

    #[test]
    fn each_kind_of_function_has_its_code() {
        for (code, name) in [
            (SqlInfo::SqlNumericFunctions, "power"),
            (SqlInfo::SqlStringFunctions, "upper"),
            (SqlInfo::SqlDatetimeFunctions, "date_trunc"),
            (SqlInfo::SqlSystemFunctions, "count"),
        ] {
            let told = value(code).as_list::<i32>().value(0);
            let told: Vec<_> = told.as_string::<i32>().iter().flatten().collect();
            assert!(told.contains(&name), "{code:?}: {told:?}");
        }
    }

    #[test]
    fn numbers_become_texts_and_bytes_do_not_become_dates() {
        let all = conversions();
        assert_eq!(all.len(), CONVERTED.len());
        assert!(all[&0].contains(&19), "bigint to varchar");
        assert!(all[&19].contains(&4), "varchar to date");
        assert!(!all[&18].contains(&4), "varbinary to date");
        let map = value(SqlInfo::SqlSupportsConvert);
        assert_eq!(map.as_map().value(0).len(), CONVERTED.len());
    }
}
