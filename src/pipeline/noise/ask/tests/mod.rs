//! Statements that are asked with noise, over tables of a handful of rows. Noise is zero and nothing is
//! bounded here: what is measured is computed from the question's rows by a double of the rooms that do it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array,
    Int64Array, RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, TimeUnit, UInt64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::NaiveDate;
use dashu::rational::RBig;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider};
use datafusion::datasource::MemTable;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::collect;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::*;
use crate::pipeline::noise::question::{Measure, Noise};
use crate::pipeline::query::{UNIT_COLUMN, test_session};
use crate::policy::load::load_bytes;
use crate::policy::plan::plan as policy_plan;
use crate::policy::privacy::Bounds;

mod asking;
mod canonical;
mod equal;
mod hostile;
mod joins;
mod nulls;
mod patterns;
mod public;
mod refusals;

/// A row of the fixture.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    pub(super) user: Option<u64>,
    pub(super) dept: Option<String>,
    pub(super) site: Option<String>,
    pub(super) x: Option<i64>,
    pub(super) n: Option<i32>,
    pub(super) y: Option<f64>,
    pub(super) amount: Option<i128>,
    pub(super) t: Option<i64>,
    pub(super) d: Option<i32>,
    pub(super) flag: Option<bool>,
}

const POLICY: &str = "version: 1
dataset: jobs
description: Jobs
source: {parquet: jobs.parquet}
unit: User
columns:
  User: drop
  dept: keep
  site: keep
  x: keep
  n: keep
  y: keep
  amount: keep
  t: keep
  d: keep
  flag: keep
  free: keep
views:
  - {name: finished, sql: \"SELECT dept AS d, x AS waited FROM jobs WHERE flag\"}
grants:
  - {partner: cern, access: rows}
";

fn kinds() -> Vec<(&'static str, DataType)> {
    vec![
        ("dept", DataType::Utf8View),
        ("site", DataType::Utf8View),
        ("x", DataType::Int64),
        ("n", DataType::Int32),
        ("y", DataType::Float64),
        ("amount", DataType::Decimal128(10, 2)),
        ("t", DataType::Timestamp(TimeUnit::Microsecond, None)),
        ("d", DataType::Date32),
        ("flag", DataType::Boolean),
        ("free", DataType::Int64),
    ]
}

pub(super) fn batch(rows: &[Row]) -> RecordBatch {
    let amounts: Decimal128Array = rows.iter().map(|row| row.amount).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.dept.clone()).collect::<StringViewArray>()),
        Arc::new(rows.iter().map(|row| row.site.clone()).collect::<StringViewArray>()),
        Arc::new(rows.iter().map(|row| row.x).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.n).collect::<Int32Array>()),
        Arc::new(rows.iter().map(|row| row.y).collect::<Float64Array>()),
        Arc::new(amounts.with_precision_and_scale(10, 2).unwrap()),
        Arc::new(rows.iter().map(|row| row.t).collect::<TimestampMicrosecondArray>()),
        Arc::new(rows.iter().map(|row| row.d).collect::<Date32Array>()),
        Arc::new(rows.iter().map(|row| row.flag).collect::<BooleanArray>()),
        Arc::new(rows.iter().map(|row| row.x).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.user).collect::<UInt64Array>()),
    ];
    let mut fields: Vec<Field> =
        kinds().into_iter().map(|(name, kind)| Field::new(name, kind, true)).collect();
    fields.push(Field::new(UNIT_COLUMN, DataType::UInt64, true));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// The dataset as statements see it.
pub(super) fn table(rows: &[Row]) -> Table {
    table_under(POLICY, rows)
}

/// The same under another policy.
pub(super) fn table_under(policy: &str, rows: &[Row]) -> Table {
    let loaded = load_bytes(Path::new("policies/test.yaml"), policy.as_bytes())
        .unwrap_or_else(|report| panic!("{report:?}"));
    let today = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
    let mut raw = vec![Field::new("User", DataType::Utf8, true)];
    raw.extend(kinds().into_iter().map(|(name, kind)| Field::new(name, kind, true)));
    let plan = policy_plan(&Arc::new(loaded.policy), "cern", &Schema::new(raw), today).unwrap();
    let batch = batch(rows);
    let provider = Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap());
    Table { plan, provider, publics: Vec::new() }
}

/// What the tests ask under: bounds that nothing passes, unless a test says so.
pub(super) fn grant() -> DpGrant {
    let decimal = |text: &str| text.parse().unwrap();
    let bounds = |low: f64, high: f64, step: f64| Bounds { low, high, step };
    DpGrant {
        total: Loss { epsilon: decimal("3"), delta: decimal("1e-8") },
        query: Loss { epsilon: decimal("0.1"), delta: decimal("1e-10") },
        unit: "User".to_owned(),
        groups_max: 20,
        rows_max: 50,
        bounds: BTreeMap::from([
            ("x".to_owned(), bounds(-1000.0, 1000.0, 1.0)),
            ("n".to_owned(), bounds(0.0, 100.0, 1.0)),
            ("y".to_owned(), bounds(-50.0, 50.0, 0.125)),
            ("amount".to_owned(), bounds(0.0, 1000.0, 0.01)),
        ]),
        null_as: BTreeMap::new(),
        keys: BTreeMap::from([(
            "site".to_owned(),
            ["north", "south", "east"].map(str::to_owned).to_vec(),
        )]),
    }
}

/// Splits a statement.
pub(super) fn asked(sql: &str, table: &Table) -> Result<Asked> {
    let statement = Statement::parse(sql)?;
    let policy = Arc::clone(table.plan.policy());
    question(&statement, &Terms::default(), table, &grant(), &policy, None, &test_session())
}

/// Runs a plan, all of its rows in one batch.
pub(super) async fn run(plan: &LogicalPlan) -> Result<RecordBatch, String> {
    let state = test_session();
    let plan = state.optimize(plan).map_err(|error| error.to_string())?;
    let plan = state.query_planner().create_physical_plan(&plan, &state).await;
    let plan = plan.map_err(|error| error.to_string())?;
    let schema = plan.schema();
    let batches = collect(plan, state.task_ctx()).await.map_err(|error| error.to_string())?;
    concat_batches(&schema, &batches).map_err(|error| error.to_string())
}

/// What the rooms of bounds and of noise give where nothing is bounded and nothing added.
pub(super) async fn exact(question: &Question) -> Noisy {
    let rows = run(&question.rows).await.unwrap();
    assert_eq!(rows.num_columns(), 1 + question.keys.len() + question.values.len());
    let units = rows.column(0).as_primitive::<UInt64Type>();
    let keys = &rows.columns()[1..=question.keys.len()];
    let shown = |columns: &[ArrayRef], row: usize| -> Vec<Option<String>> {
        let options = FormatOptions::new();
        let cell = |column: &ArrayRef| {
            let text = ArrayFormatter::try_new(column, &options).unwrap();
            column.is_valid(row).then(|| text.value(row).to_string())
        };
        columns.iter().map(cell).collect()
    };
    // Which groups there are: all public ones, or those with rows.
    let public: Option<Vec<&ArrayRef>> =
        question.keys.iter().map(|key| key.public.as_ref()).collect();
    let mut groups: Vec<Vec<Option<String>>> = Vec::new();
    let mut places: Vec<Vec<usize>> = Vec::new();
    if let Some(public) = &public {
        groups.push(Vec::new());
        for values in public {
            let all = (0..values.len()).map(|at| shown(&[Arc::clone(values)], at).remove(0));
            let all: Vec<Option<String>> = all.collect();
            groups = groups
                .iter()
                .flat_map(|group| all.iter().map(|key| [group.clone(), vec![key.clone()]].concat()))
                .collect();
        }
    } else {
        for row in (0..rows.num_rows()).filter(|row| units.is_valid(*row)) {
            let key = shown(keys, row);
            let told = |key: &[Option<String>]| {
                question.keys.iter().zip(key).all(|(known, key)| match &known.public {
                    None => true,
                    Some(values) => {
                        (0..values.len()).any(|at| shown(&[Arc::clone(values)], at)[0] == *key)
                    }
                })
            };
            if told(&key) && !groups.contains(&key) {
                groups.push(key);
            }
        }
        groups.sort();
    }
    for group in &groups {
        let of = |row: &usize| units.is_valid(*row) && shown(keys, *row) == *group;
        places.push((0..rows.num_rows()).filter(of).collect());
    }
    let steps = |value: usize, row: usize| -> Option<i128> {
        let column = rows.column(1 + question.keys.len() + value);
        let number = match column.data_type() {
            DataType::Int64 => column.as_primitive::<Int64Type>().value(row) as f64,
            DataType::Float64 => column.as_primitive::<Float64Type>().value(row),
            other => panic!("{other}"),
        };
        let bounds = question.values[value].bounds;
        let (low, high) = bounds.steps();
        let step = (number / bounds.step).round_ties_even();
        (column.is_valid(row) && !number.is_nan())
            .then(|| step.clamp(low as f64, high as f64) as i128)
    };
    let measured = question.measures.iter().map(|measure| {
        let of = |rows: &Vec<usize>| -> i128 {
            match measure {
                Measure::Units => {
                    let units: BTreeSet<u64> = rows.iter().map(|row| units.value(*row)).collect();
                    units.len() as i128
                }
                Measure::Rows => rows.len() as i128,
                Measure::Count(value) => {
                    rows.iter().filter(|row| steps(*value, **row).is_some()).count() as i128
                }
                Measure::Sum { value, center } => rows
                    .iter()
                    .filter_map(|row| steps(*value, *row))
                    .map(|steps| steps - i128::from(*center))
                    .sum(),
                Measure::Squares { value, center } => rows
                    .iter()
                    .filter_map(|row| steps(*value, *row))
                    .map(|steps| (steps - i128::from(*center)).pow(2))
                    .sum(),
                Measure::Quantile { value, rank, grid } => {
                    let mut all: Vec<i128> =
                        rows.iter().filter_map(|row| steps(*value, *row)).collect();
                    all.sort_unstable();
                    let last = all.len().saturating_sub(1) as u64;
                    let at = (last * rank.0 / rank.1) as usize;
                    all.get(at).copied().unwrap_or(i128::from(grid[0]))
                }
            }
        };
        places.iter().map(of).collect()
    });
    let measured: Vec<Vec<i128>> = measured.collect();
    let column = |at: usize| -> ArrayRef {
        let kind = keys[at].data_type();
        let texts: StringArray = groups.iter().map(|group| group[at].as_deref()).collect();
        arrow::compute::cast(&texts, kind).unwrap()
    };
    Noisy {
        keys: (0..question.keys.len()).map(column).collect(),
        groups: groups.len(),
        noise: question
            .measures
            .iter()
            .map(|measure| match measure {
                Measure::Quantile { .. } => Noise::Choice { scale: RBig::from(10) },
                _ => Noise::Laplace { scale: RBig::from(10) },
            })
            .collect(),
        measured,
    }
}

/// A double of the half-width: of the standard deviation, roughly.
pub(super) fn width(terms: &[(f64, &Noise)], confidence: f64) -> f64 {
    assert!((confidence - 0.95).abs() < 1e-12);
    terms.iter().map(|(weight, _)| (weight * 10.0).powi(2)).sum::<f64>().sqrt()
}

/// The answer to a statement where noise is zero.
pub(super) async fn answer(sql: &str, table: &Table) -> Result<RecordBatch, String> {
    let asked = asked(sql, table).map_err(|error| error.chain())?;
    let noisy = exact(&asked.question).await;
    let stored = asked.answer(&noisy).unwrap();
    let plan = asked.upper(&stored, &width).map_err(|error| format!("{sql}: {}", error.chain()))?;
    let answer = run(&plan).await?;
    let names = |schema: &Schema| {
        schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&answer.schema()), names(&asked.schema), "{sql}");
    for (field, told) in answer.schema().fields().iter().zip(asked.schema.fields()) {
        assert_eq!(&plain_type(field.data_type()), told.data_type(), "{sql}");
        assert!(!field.name().contains('\0'), "{sql}");
    }
    Ok(answer)
}

/// The rows of an answer as texts; sorted where the statement names no order.
pub(super) fn lines(answer: &RecordBatch, sort: bool) -> Vec<String> {
    let options = FormatOptions::new().with_null("null");
    let columns: Vec<ArrayFormatter<'_>> = answer
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
        .collect();
    let line = |row: usize| {
        columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join(" ")
    };
    let mut lines: Vec<String> = (0..answer.num_rows()).map(line).collect();
    if sort {
        lines.sort();
    }
    lines
}

/// The engine's own answer to the same statement over the same rows, without a policy.
pub(super) async fn plain(sql: &str, rows: &[Row]) -> RecordBatch {
    plain_beside(sql, rows, &[]).await
}

/// The same with tables beside it, in the schema `jobs`.
pub(super) async fn plain_beside(
    sql: &str,
    rows: &[Row],
    beside: &[(&str, RecordBatch)],
) -> RecordBatch {
    let mut config = SessionConfig::new();
    config.options_mut().sql_parser.enable_ident_normalization = false;
    let context = SessionContext::new_with_config(config);
    let batch = batch(rows);
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
    context.register_table("jobs", Arc::new(table)).unwrap();
    let schema = Arc::new(MemorySchemaProvider::new());
    for (name, batch) in beside {
        let table = MemTable::try_new(batch.schema(), vec![vec![batch.clone()]]).unwrap();
        schema.register_table((*name).to_owned(), Arc::new(table)).unwrap();
    }
    context.catalog("datafusion").unwrap().register_schema("jobs", schema).unwrap();
    let frame = context.sql(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let schema = Arc::clone(frame.schema().inner());
    let batches = frame.collect().await.unwrap();
    concat_batches(batches.first().map_or(&schema, |batch| batch.schema_ref()), &batches).unwrap()
}

/// Some rows: three departments, three sites, six persons.
pub(super) fn some() -> Vec<Row> {
    let depts = [Some("physics"), Some("law"), Some("art"), None];
    let sites = [Some("north"), Some("south"), Some("west")];
    (0..24_u8)
        .map(|at| Row {
            user: Some(u64::from(at % 6)),
            dept: depts[usize::from(at % 4)].map(str::to_owned),
            site: sites[usize::from(at % 3)].map(str::to_owned),
            x: (at % 7 != 0).then_some(i64::from(at) * 10 - 60),
            n: (at % 5 != 0).then_some(i32::from(at)),
            y: (at % 6 != 1).then_some(f64::from(at) * 0.25 - 2.0),
            amount: Some(i128::from(at) * 125),
            t: Some(1_700_000_000_000_000 + i64::from(at) * 7_200_000_000),
            d: Some(19_675 + i32::from(at)),
            flag: (at % 8 != 3).then_some(at % 2 == 0),
        })
        .collect()
}
