//! Nothing that is let below an aggregation fails, whatever the data hold: each function, operator and cast is
//! run over the extremes of every type. What is refused is left out here; `refusals` has what is told of it.

use arrow::array::{
    BinaryViewArray, Date64Array, Decimal128Array, Float32Array, Int8Array, Int16Array,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt8Array,
    UInt16Array, UInt32Array,
};

use super::*;

const ROWS: usize = 60;

/// `ROWS` values of a list, again and again, with null now and then.
fn again<T: Clone>(values: &[T]) -> Vec<Option<T>> {
    (0..ROWS).map(|at| values.get(at % (values.len() + 1)).cloned()).collect()
}

fn extremes() -> Vec<(&'static str, ArrayRef)> {
    let long = "ab\u{df}\u{130}\u{1f600}".repeat(2_000);
    let texts = [
        "",
        " ",
        "a",
        "law",
        "12",
        "-1.5e300",
        "1e999",
        "9999999999999999999999",
        "true",
        "nan",
        "inf",
        "2024-02-30",
        "2024-02-29",
        "+292277026596-12-04",
        "2024-01-01T00:00:00Z",
        "1677-09-21T00:12:43",
        "0x10",
        "%_\\",
        "\u{0}",
        "\u{df}\u{130}\u{fb03}",
        "(",
        "[a-",
        long.as_str(),
    ];
    let floats = [
        0.0,
        -0.0,
        1.5,
        -1e-310,
        f64::MAX,
        f64::MIN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        f64::MIN_POSITIVE,
        9.3e18,
        -9.3e18,
    ];
    let mut longs =
        vec![i64::MIN, i64::MIN + 1, -1, 0, 1, 7, i64::MAX - 1, i64::MAX, 1_700_000_000];
    // Times of the calendar that have no nanoseconds: of the years 1, 1500, 2286 and 9999.
    for scale in [1, 1_000, 1_000_000] {
        let seconds = [-62_135_596_800, -14_831_769_600, 10_000_000_000, 253_402_300_799];
        longs.extend(seconds.map(|second| second * scale));
    }
    let zone = |times: TimestampMicrosecondArray| times.with_timezone("Europe/Zurich");
    // Around the hours that clocks skip and repeat.
    let skipped = [1_711_846_800_000_000, 1_711_850_400_000_000, 1_729_990_800_000_000];
    let decimal = |values: &[i128]| again(values).into_iter().collect::<Decimal128Array>();
    let most = 10_i128.pow(38) - 1;
    let zoned: Vec<i64> = longs.iter().copied().chain(skipped).collect();
    vec![
        ("i8", Arc::new(again(&[i8::MIN, -1, 0, 1, i8::MAX]).into_iter().collect::<Int8Array>())),
        ("i16", Arc::new(again(&[i16::MIN, -1, 0, i16::MAX]).into_iter().collect::<Int16Array>())),
        (
            "i32",
            Arc::new(again(&[i32::MIN, -1, 0, 3, i32::MAX]).into_iter().collect::<Int32Array>()),
        ),
        ("i64", Arc::new(again(&longs).into_iter().collect::<Int64Array>())),
        ("u8", Arc::new(again(&[0, 1, u8::MAX]).into_iter().collect::<UInt8Array>())),
        ("u16", Arc::new(again(&[0, 1, u16::MAX]).into_iter().collect::<UInt16Array>())),
        ("u32", Arc::new(again(&[0, 1, u32::MAX]).into_iter().collect::<UInt32Array>())),
        ("u64", Arc::new(again(&[0, 1, u64::MAX, 1 << 63]).into_iter().collect::<UInt64Array>())),
        (
            "f32",
            Arc::new(
                again(&[f32::MAX, f32::MIN, f32::NAN, f32::INFINITY, 0.0, -0.0])
                    .into_iter()
                    .collect::<Float32Array>(),
            ),
        ),
        ("f64", Arc::new(again(&floats).into_iter().collect::<Float64Array>())),
        ("dec", Arc::new(decimal(&[most, -most, 0, 1]).with_precision_and_scale(38, 0).unwrap())),
        ("fine", Arc::new(decimal(&[most, -most, 0, 1]).with_precision_and_scale(38, 37).unwrap())),
        ("few", Arc::new(decimal(&[9_999, -9_999, 0, 1]).with_precision_and_scale(4, 2).unwrap())),
        ("flag", Arc::new(again(&[true, false]).into_iter().collect::<BooleanArray>())),
        ("s", Arc::new(again(&texts).into_iter().collect::<StringViewArray>())),
        ("b", Arc::new(again(&[&b""[..], b"\xff\x00"]).into_iter().collect::<BinaryViewArray>())),
        (
            "d32",
            Arc::new(
                again(&[
                    i32::MIN,
                    -719_163,
                    -1,
                    0,
                    19_675,
                    200_000,
                    2_932_896,
                    2_932_897,
                    i32::MAX,
                ])
                .into_iter()
                .collect::<Date32Array>(),
            ),
        ),
        ("d64", Arc::new(again(&longs).into_iter().collect::<Date64Array>())),
        ("ts_s", Arc::new(again(&longs).into_iter().collect::<TimestampSecondArray>())),
        ("ts_ms", Arc::new(again(&longs).into_iter().collect::<TimestampMillisecondArray>())),
        ("ts_us", Arc::new(again(&longs).into_iter().collect::<TimestampMicrosecondArray>())),
        ("ts_ns", Arc::new(again(&longs).into_iter().collect::<TimestampNanosecondArray>())),
        ("ts_tz", Arc::new(zone(again(&zoned).into_iter().collect::<TimestampMicrosecondArray>()))),
    ]
}

fn names() -> Vec<&'static str> {
    extremes().into_iter().map(|(name, _)| name).collect()
}

pub(super) fn hostile() -> Table {
    let mut columns = extremes();
    columns.push((UNIT_COLUMN, Arc::new((0..ROWS as u64).map(Some).collect::<UInt64Array>())));
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.into_iter().map(|(_, column)| column).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
    let provider = Arc::new(MemTable::try_new(schema, vec![vec![batch]]).unwrap());
    Table { plan: table(&[]).plan, provider, publics: Vec::new() }
}

/// A statement that computes all of the expressions.
fn statement(expressions: &[String]) -> String {
    let named = expressions.iter().enumerate().map(|(at, text)| format!("{text} AS e{at}"));
    let keys = (0..expressions.len()).map(|at| format!("e{at}"));
    format!(
        "SELECT count(*) FROM (SELECT {} FROM jobs) GROUP BY {}",
        named.collect::<Vec<_>>().join(", "),
        keys.collect::<Vec<_>>().join(", ")
    )
}

/// Those of the expressions that are let through, after all of them ran.
async fn let_through(expressions: &[String]) -> Vec<String> {
    let table = hostile();
    let mut through = Vec::new();
    for expression in expressions {
        match asked(&statement(std::slice::from_ref(expression)), &table) {
            Ok(_) => through.push(expression.clone()),
            // The planner knows types that never go together.
            Err(error) => assert!(
                matches!(error.code(), Code::NoisyOnly | Code::SqlInvalid | Code::SqlRefused),
                "{expression}: {}",
                error.chain()
            ),
        }
    }
    let mut failed = Vec::new();
    for some in through.chunks(24) {
        let all = asked(&statement(some), &table).unwrap();
        if run(&all.question.rows).await.is_ok() {
            continue;
        }
        for one in some {
            let alone = asked(&statement(std::slice::from_ref(one)), &table).unwrap();
            if let Err(error) = run(&alone.question.rows).await {
                failed.push(format!("{one}: {}", error.chars().take(200).collect::<String>()));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    through
}

/// One column of each kind that functions tell apart.
const KINDS: &[&str] =
    &["i64", "u64", "f64", "f32", "few", "flag", "s", "d32", "ts_s", "ts_ns", "ts_tz"];

#[tokio::test(flavor = "multi_thread")]
async fn no_function_fails() {
    let mut all = Vec::new();
    for (name, most) in functions::all() {
        all.extend(names().into_iter().map(|column| format!("{name}({column})")));
        for column in KINDS {
            if name.starts_with("date_") {
                for part in [
                    "year",
                    "quarter",
                    "month",
                    "week",
                    "day",
                    "dow",
                    "doy",
                    "isodow",
                    "isoyear",
                    "hour",
                    "MINUTE",
                    "second",
                    "millisecond",
                    "microsecond",
                    "nanosecond",
                    "epoch",
                    "century",
                ] {
                    all.push(format!("{name}('{part}', {column})"));
                }
            } else if most > 1 {
                for other in ["''", "'a'", "'\u{df}'", "0", "3", "1000000", column] {
                    all.push(format!("{name}({column}, {other})"));
                }
            }
            if most > 2 {
                for others in ["1, 2", "2, 0", "'a', 1", "'', 1", "'^(a|b)+$', 'i'"] {
                    all.push(format!("{name}({column}, {others})"));
                }
                all.push(format!("{name}({column}, {column}, {column})"));
            }
        }
    }
    let through = let_through(&all).await;
    for (name, _) in functions::all() {
        let called = format!("{name}(");
        let some = through.iter().filter(|expression| expression.starts_with(&called)).count();
        assert!(some > 0, "`{name}` is never called");
    }
    assert!(through.len() > 250, "{}", through.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_operator_fails() {
    let mut all = Vec::new();
    for one in names() {
        for other in KINDS {
            for op in ["+", "/", "="] {
                all.push(format!("{one} {op} {other}"));
            }
        }
        for other in
            ["0", "1", "-1", "10", "0.5", "'a'", "'12'", "NULL", "now()", "DATE '2024-01-01'"]
        {
            for op in ["-", "*", "/", "%", ">=", "IS DISTINCT FROM"] {
                all.push(format!("{one} {op} {other}"));
            }
            all.push(format!("{one} BETWEEN {other} AND {other}"));
            all.push(format!("{one} IN ({other}, {other})"));
            all.push(format!("CASE {one} WHEN {other} THEN {one} END"));
        }
        for whole in [
            "-{}",
            "NOT {}",
            "{} IS NULL",
            "{} IS TRUE",
            "{} IS NOT UNKNOWN",
            "{} AND {}",
            "{} || {}",
            "{} LIKE '%a_%'",
            "{} ILIKE '\\%'",
            "{} ~ '^[a-z]*$'",
            "{} !~* 'a|(b+)+'",
            "CASE WHEN {} IS NULL THEN 1 ELSE 2 END",
            "{} & {}",
            "{} % {}",
        ] {
            all.push(whole.replace("{}", one));
        }
    }
    let through = let_through(&all).await;
    assert!(through.len() > 300, "{}", through.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cast_fails() {
    let kinds = [
        "TINYINT",
        "SMALLINT",
        "INT",
        "BIGINT",
        "TINYINT UNSIGNED",
        "INT UNSIGNED",
        "BIGINT UNSIGNED",
        "REAL",
        "DOUBLE",
        "DECIMAL(10, 2)",
        "DECIMAL(38, 30)",
        "VARCHAR",
        "BOOLEAN",
        "DATE",
        "TIMESTAMP",
        "TIMESTAMP(0)",
        "TIMESTAMP(3)",
        "TIMESTAMP(6)",
        "TIMESTAMP(9)",
        "TIMESTAMP WITH TIME ZONE",
        "TIME",
        "BYTEA",
        "INTERVAL",
    ];
    let mut all = Vec::new();
    for column in names() {
        for kind in kinds {
            all.push(format!("CAST({column} AS {kind})"));
            all.push(format!("TRY_CAST({column} AS {kind})"));
        }
    }
    let through = let_through(&all).await;
    assert!(through.len() > 200, "{}", through.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_that_is_summed_fails() {
    let mut table = hostile();
    table.plan = super::table(&[]).plan;
    let statement = Statement::parse(
        "SELECT sum(i64), avg(u64), var(f64), sum(f32 * 2), avg(dec), min(fine), max(i8), sum(i64 + u8),
                sum(-i64), sum(least(f64, 3)), avg(CASE WHEN flag THEN i64 * i64 ELSE i32 END)
         FROM jobs WHERE i64 + i64 <> 3",
    );
    let mut grant = grant();
    let bounds = Bounds { low: -5.0, high: 1e6, step: 0.5 };
    grant.bounds = names().into_iter().map(|name| (name.to_owned(), bounds)).collect();
    let policy = Arc::clone(table.plan.policy());
    let (terms, state) = (Terms::default(), test_session());
    let asked = question(&statement.unwrap(), &terms, &table, &grant, &policy, None, &state);
    run(&asked.unwrap().question.rows).await.unwrap();
}
