//! Datasets of a handful of rows that tests plan and run statements over: the policy's output is written
//! down, no file is read and no kernel runs.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringViewArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use chrono::NaiveDate;
use datafusion::datasource::MemTable;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SessionState;
use datafusion::physical_plan::collect;
use datafusion::prelude::SessionConfig;

use super::logical::{Logical, Table, UNIT_COLUMN, plan};
use super::{Statement, Terms};
use crate::error::{Code, Context, Result};
use crate::policy::load::load_bytes;
use crate::policy::plan::plan as policy_plan;

/// A dataset of jobs under the policy that the shared cases speak of, for `access`.
pub(super) fn jobs(access: &str) -> Table {
    jobs_with(access, &[])
}

/// The same with views, each a name and its SQL.
pub(super) fn jobs_with(access: &str, views: &[(&str, &str)]) -> Table {
    let view = |(name, sql): &(&str, &str)| {
        format!("  - {{name: {name}, sql: {}}}\n", serde_json::Value::from(*sql))
    };
    let views: String = views.iter().map(view).collect();
    let views = if views.is_empty() { views } else { format!("views:\n{views}") };
    let policy = format!(
        "version: 1
dataset: jobs
description: Jobs
source: {{parquet: jobs.parquet}}
unit: User
columns:
  pk: keep
  User: {{pseudonym: hmac}}
  user_id: {{pseudonym: {{method: hmac, domain: person}}}}
  ip: {{ip: crypto_pan}}
  ssn: drop
  salary: drop
  age: keep
  notes: keep
  dept: keep
  wait_s: keep
  bonus: keep
{views}grants:
  - {{partner: cern, {access}}}
"
    );
    let raw = raw(&[
        ("pk", DataType::Int64),
        ("User", DataType::Utf8),
        ("user_id", DataType::Utf8),
        ("ip", DataType::Utf8),
        ("ssn", DataType::Utf8),
        ("salary", DataType::Int64),
        ("age", DataType::Int64),
        ("notes", DataType::Utf8),
        ("dept", DataType::Utf8),
        ("wait_s", DataType::Int64),
        ("bonus", DataType::Float64),
    ]);
    // Departments: `physics` of five persons, `chemistry` of four, `law` of one with many rows, and three
    // persons of none. Bonuses are paid to one physicist and to all chemists.
    let rows = [
        ("ann", Some("physics"), 31, 10, Some(700.0)),
        ("ben", Some("physics"), 32, 20, None),
        ("cem", Some("physics"), 33, 30, None),
        ("dan", Some("physics"), 34, 40, None),
        ("eva", Some("physics"), 35, 50, None),
        ("fay", Some("chemistry"), 41, 60, Some(1.0)),
        ("gus", Some("chemistry"), 42, 70, Some(2.0)),
        ("hal", Some("chemistry"), 43, 80, Some(3.0)),
        ("ida", Some("chemistry"), 44, 90, Some(4.0)),
        ("liz", Some("law"), 60, 1000, Some(9999.0)),
        ("liz", Some("law"), 60, 2000, Some(9999.0)),
        ("liz", Some("law"), 60, 3000, Some(9999.0)),
        ("liz", Some("law"), 60, 4000, Some(9999.0)),
        ("jon", None, 51, 100, None),
        ("kim", None, 52, 110, None),
        ("mia", None, 53, 120, None),
    ];
    let persons: Vec<&str> = rows.iter().map(|row| row.0).collect();
    let texts =
        |values: Vec<Option<String>>| -> ArrayRef { Arc::new(StringViewArray::from(values)) };
    let stand_in = |prefix: &str| {
        texts(
            persons
                .iter()
                .map(|person| {
                    Some(format!(
                        "{prefix}-{}",
                        person.len() + 7 * usize::from(person.as_bytes()[0])
                    ))
                })
                .collect(),
        )
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new((1..=16).map(Some).collect::<Int64Array>()),
        stand_in("u"),
        stand_in("i"),
        stand_in("10.0.0"),
        Arc::new(rows.iter().map(|row| Some(row.2)).collect::<Int64Array>()),
        texts(rows.iter().map(|row| Some(format!("note of {}", row.2))).collect()),
        texts(rows.iter().map(|row| row.1.map(str::to_owned)).collect()),
        Arc::new(rows.iter().map(|row| Some(row.3)).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.4).collect::<Float64Array>()),
    ];
    let units = persons.iter().map(|person| Some(u64::from(person.as_bytes()[0]))).collect();
    table(&policy, &raw, columns, units)
}

/// A dataset of visits by their times, as aggregates: one is of no year that there is, and one that is null has
/// such a number under it.
pub(super) fn visits() -> Table {
    let policy = "version: 1
dataset: visits
description: Visits
source: {parquet: visits.parquet}
unit: User
columns:
  User: drop
  t: keep
grants:
  - {partner: cern, access: aggregates, group_min: 2}
";
    let kind = DataType::Timestamp(TimeUnit::Microsecond, None);
    let raw = raw(&[("User", DataType::Utf8), ("t", kind)]);
    let times = vec![0, 1_000_000, 7_200_000_000, 7_300_000_000, i64::MAX, i64::MIN];
    let there = arrow::buffer::NullBuffer::from(vec![true, true, true, true, false, true]);
    let times = arrow::array::TimestampMicrosecondArray::new(times.into(), Some(there));
    table(policy, &raw, vec![Arc::new(times)], (0..6).map(Some).collect())
}

/// A dataset of sites with a unit of its own, for rows.
pub(super) fn sites() -> Table {
    let policy = "version: 1
dataset: grid-sites
description: Sites
source: {parquet: sites.parquet}
columns:
  dept: keep
  Site: keep
  opened: keep
  secret_site: drop
grants:
  - {partner: cern, access: rows}
";
    let raw = raw(&[
        ("dept", DataType::Utf8),
        ("Site", DataType::Utf8),
        ("opened", DataType::Timestamp(TimeUnit::Microsecond, None)),
        ("secret_site", DataType::Utf8),
    ]);
    let text = |values: [&str; 2]| -> ArrayRef { Arc::new(StringViewArray::from(values.to_vec())) };
    let opened = arrow::array::TimestampMicrosecondArray::from(vec![0, 86_400_000_000]);
    let columns =
        vec![text(["physics", "law"]), text(["Geneva", "Hague"]), Arc::new(opened) as ArrayRef];
    table(policy, &raw, columns, Vec::new())
}

fn raw(columns: &[(&str, DataType)]) -> Schema {
    let fields = columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true));
    Schema::new(fields.collect::<Vec<_>>())
}

/// The table of a policy's output; units are there where the plan counts them.
fn table(policy: &str, raw: &Schema, mut columns: Vec<ArrayRef>, units: Vec<Option<u64>>) -> Table {
    let loaded = load_bytes(Path::new("policies/test.yaml"), policy.as_bytes())
        .unwrap_or_else(|report| panic!("{report:?}"));
    let today = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
    let plan = policy_plan(&Arc::new(loaded.policy), "cern", raw, today).unwrap();
    let seen = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8 => field.as_ref().clone().with_data_type(DataType::Utf8View),
        _ => field.as_ref().clone(),
    };
    let mut fields: Vec<Field> = plan.schema().fields().iter().map(seen).collect();
    if matches!(plan.access(), crate::policy::Access::Aggregates { .. }) {
        fields.push(Field::new(UNIT_COLUMN, DataType::UInt64, true));
        columns.push(Arc::new(UInt64Array::from(units)));
    }
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let provider = Arc::new(MemTable::try_new(schema, vec![vec![batch]]).unwrap());
    Table { plan, provider, publics: Vec::new() }
}

/// A session as the engine has them.
pub(in crate::pipeline) fn session() -> SessionState {
    let mut config = SessionConfig::new();
    config.options_mut().execution.target_partitions = 2;
    let mut state = SessionStateBuilder::new().with_config(config).with_default_features().build();
    state.mark_start_execution();
    state
}

/// Plans a statement.
pub(super) fn planned(sql: &str, tables: &[Table]) -> Result<Logical> {
    planned_with(sql, &Bytes::new(), tables)
}

/// Plans a statement with values.
pub(super) fn planned_with(sql: &str, parameters: &Bytes, tables: &[Table]) -> Result<Logical> {
    let terms = Terms { parameters: parameters.clone(), time_zone: None };
    plan(&Statement::parse(sql)?, &terms, tables, &[], &session())
}

/// The answer to a statement, a line for each row, in the answer's order.
pub(super) async fn answer(sql: &str, tables: &[Table]) -> Result<Vec<String>> {
    answer_with(sql, &Bytes::new(), tables).await
}

/// The answer to a statement with values.
pub(super) async fn answer_with(
    sql: &str,
    parameters: &Bytes,
    tables: &[Table],
) -> Result<Vec<String>> {
    let logical = planned_with(sql, parameters, tables)?;
    assert!(!logical.open, "{sql}");
    let state = session();
    let failed = || "the query failed".to_owned();
    let planner = Arc::clone(state.query_planner());
    let plan = planner
        .create_physical_plan(&logical.plan, &state)
        .await
        .context(Code::QueryFailed, failed)?;
    let batches = collect(plan, state.task_ctx()).await.context(Code::QueryFailed, failed)?;
    let mut lines = Vec::new();
    for batch in batches {
        assert!(batch.schema().fields().iter().all(|field| !field.name().contains('\0')), "{sql}");
        let options = FormatOptions::new().with_null("null");
        let columns: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<String> =
                columns.iter().map(|column| column.value(row).to_string()).collect();
            lines.push(cells.join(" "));
        }
    }
    Ok(lines)
}

/// The same, sorted: for statements that name no order.
pub(super) async fn sorted(sql: &str, tables: &[Table]) -> Result<Vec<String>> {
    let mut lines = answer(sql, tables).await?;
    lines.sort();
    Ok(lines)
}

/// One whole number as a parameter.
pub(super) fn stream_of_whole(value: i64) -> Bytes {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![value]));
    let batch = RecordBatch::try_from_iter([("$1", column)]).unwrap();
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap().into()
}

/// The code and the hint of a refusal.
pub(super) fn refusal(sql: &str, tables: &[Table]) -> (Code, String) {
    match planned(sql, tables) {
        Ok(logical) => panic!("{sql}\n{}", logical.plan.display_indent()),
        Err(error) => {
            (error.code(), error.hint().map_or(String::new(), |hint| hint.as_str().to_owned()))
        }
    }
}
