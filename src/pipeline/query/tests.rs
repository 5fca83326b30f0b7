//! Statements through the engine over small files: answers, schemas, limits, what is read, and how
//! streams end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    Array, ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::array_value_to_string;
use arrow_ipc::reader::StreamReader;
use bytes::Bytes;
use futures::StreamExt;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::planned::Work;
use super::*;
use crate::audit::record::{Event, Record};
use crate::audit::{Log, Request};
use crate::budget::{Admission, Quotas};
use crate::clock::SystemClock;
use crate::error::{Code, Result};
use crate::identity::tests::partner;
use crate::keys::{KeyRing, Secret};
use crate::pipeline::format::Format;
use crate::pipeline::seal::{Sealed, schema_message};
use crate::pipeline::source::snapshot;
use crate::pipeline::stream::{Limits, Pipeline, SealedStream};
use crate::pipeline::transform::column::canonical;
use crate::policy::load::load_bytes;
use crate::policy::plan::plan;
use crate::state::{Sqlite, Store};

const JOBS: &str = "\
version: 1
dataset: jobs
description: Jobs
source: {parquet: jobs.parquet}
columns:
  Id: keep
  User: {pseudonym: {method: hmac}}
  Site: keep
  Cpus: {bucket: {edges: [0, 10, 100]}}
  Start: keep
  Note: drop
grants:
  - {partner: cern, access: rows}
";

const SITES: &str = "\
version: 1
dataset: sites
description: Sites
source: {parquet: sites.parquet}
columns:
  Site: keep
  Country: keep
  Admin: {pseudonym: {method: token}}
grants:
  - {partner: cern, access: rows}
";

struct World {
    folder: tempfile::TempDir,
    engine: Arc<Engine>,
    store: Arc<dyn Store>,
    admission: Arc<Admission>,
    log: Log,
}

impl World {
    fn new() -> Self {
        Self::with(64 << 20, 1000, Duration::from_secs(60))
    }

    /// Jobs in ten row groups.
    fn with(memory_bytes: usize, rows: i64, query: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_jobs(&folder.path().join("jobs.parquet"), rows);
        write_sites(&folder.path().join("sites.parquet"));
        let clock = Arc::new(SystemClock);
        let store: Arc<dyn Store> =
            Arc::new(Sqlite::in_memory(Arc::<SystemClock>::clone(&clock)).unwrap());
        let ring = Arc::new(KeyRing::new(vec![(1, Secret::new([0x5a; 32]))]).unwrap());
        let quotas = Quotas {
            streams_max: 64,
            streams_partner_max: 64,
            queries_max: 64,
            queries_partner_max: 64,
            queries_waiting_partner_max: 64,
            queue: Duration::from_secs(60),
            query,
            rows_day: None,
            bytes_day: None,
        };
        let meter = Arc::<SystemClock>::clone(&clock);
        let admission = Admission::new(quotas, Arc::clone(&store), meter);
        let log = Log::new(Arc::clone(&store), clock, Arc::clone(&ring));
        let limits = Limits {
            message_bytes: 4096,
            message_bytes_max: 1 << 20,
            idle: Duration::from_secs(60),
            keep_alive: Duration::from_secs(60),
        };
        let tokens = Arc::<dyn Store>::clone(&store);
        let pipeline = Arc::new(Pipeline::new(ring, tokens, limits));
        let queries = QueryLimits {
            threads: 2,
            memory_bytes,
            spill: folder.path().join("spill"),
            spill_bytes: 1 << 30,
            sql_bytes_max: 64 << 10,
        };
        let engine = Arc::new(Engine::new(pipeline, queries).unwrap());
        Self { folder, engine, store, admission, log }
    }

    fn view(&self, policy: &str) -> View {
        let path = self.folder.path().join("policy.yaml");
        let policy = Arc::new(load_bytes(&path, policy.as_bytes()).unwrap().policy);
        let snapshot = snapshot(&policy, 4).unwrap();
        let today = chrono::NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
        let plan = plan(&policy, "cern", snapshot.schema(), today).unwrap();
        View { plan, snapshot }
    }

    async fn plan(&self, sql: &str) -> Result<Query> {
        let statement = Statement::parse(sql)?;
        let views = vec![self.view(JOBS), self.view(SITES)];
        self.engine.plan(&statement, &Terms::default(), views).await
    }

    fn open(&self, query: Query, shard: u32) -> Result<SealedStream> {
        let partner = partner("cern");
        let reservation = self.admission.reserve(&partner, &[]).unwrap();
        let entry = self.log.open(Request::default()).unwrap();
        self.engine.open(&partner, query, shard, Format::default(), reservation, entry)
    }

    /// The whole answer, all shards one after the other.
    async fn ask(&self, sql: &str) -> Result<RecordBatch> {
        let query = self.plan(sql).await?;
        self.answer(query).await
    }

    async fn answer(&self, query: Query) -> Result<RecordBatch> {
        let schema = Arc::clone(query.schema());
        let mut messages = Vec::new();
        for shard in 0..query.shards() {
            let mut stream = self.open(query.clone(), shard)?;
            while let Some(message) = stream.next().await {
                messages.push(message?);
            }
        }
        let batches = decode(&schema, &messages);
        for batch in &batches {
            assert_eq!(batch.schema(), schema);
        }
        Ok(concat_batches(&schema, &batches).unwrap())
    }

    /// The answer's rows as text.
    async fn rows(&self, sql: &str) -> Vec<String> {
        let batch = self.ask(sql).await.unwrap();
        let cell = |column: &ArrayRef, row| {
            if column.is_null(row) {
                "-".to_owned()
            } else {
                array_value_to_string(column, row).unwrap()
            }
        };
        let row = |row| batch.columns().iter().map(|c| cell(c, row)).collect::<Vec<_>>().join(" ");
        (0..batch.num_rows()).map(row).collect()
    }

    async fn fails(&self, sql: &str) -> Code {
        self.ask(sql).await.unwrap_err().code()
    }

    /// The codes and rows of the records that close streams.
    fn closed(&self) -> Vec<(Option<String>, Option<u64>)> {
        let mut closed = Vec::new();
        self.store
            .audit_read(&mut |row| {
                if let Event::Close(close) = Record::from_body(&row.body)?.event {
                    closed.push((close.code, close.rows));
                }
                Ok(())
            })
            .unwrap();
        closed
    }
}

fn write(path: &Path, batch: &RecordBatch, group_rows: usize) {
    let properties =
        WriterProperties::builder().set_max_row_group_row_count(Some(group_rows)).build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn write_jobs(path: &Path, rows: i64) {
    let users: Vec<Option<String>> = (0..rows)
        .map(|row| (row % 7 != 6).then(|| format!("user-{}@example.org", row % 50)))
        .collect();
    let sites: Vec<Option<&str>> = (0..rows)
        .map(|row| [Some("cern"), Some("fnal"), Some("kit"), None][row as usize % 4])
        .collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("Id", Arc::new(Int64Array::from_iter_values(0..rows))),
        ("User", Arc::new(StringArray::from(users))),
        ("Site", Arc::new(StringArray::from(sites))),
        ("Cpus", Arc::new(Int64Array::from_iter_values((0..rows).map(|row| row % 64)))),
        (
            "Start",
            Arc::new(TimestampMicrosecondArray::from_iter_values(
                (0..rows).map(|row| 1_700_000_000_000_000 + row * 60_000_000),
            )),
        ),
        (
            "Note",
            Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("secret {row}")))),
        ),
    ];
    let group_rows = usize::try_from(rows / 10).unwrap();
    write(path, &RecordBatch::try_from_iter(columns).unwrap(), group_rows);
}

fn write_sites(path: &Path) {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("Site", Arc::new(StringArray::from(vec!["cern", "fnal", "desy"]))),
        ("Country", Arc::new(StringArray::from(vec![Some("CH"), Some("US"), None]))),
        ("Admin", Arc::new(StringArray::from(vec!["ann", "bob", "ann"]))),
    ];
    write(path, &RecordBatch::try_from_iter(columns).unwrap(), 100);
}

fn decode(schema: &SchemaRef, messages: &[Sealed]) -> Vec<RecordBatch> {
    let mut stream = Vec::new();
    let mut add = |header: &[u8], body: &[u8]| {
        let padded = header.len().next_multiple_of(8);
        stream.extend_from_slice(&[0xff; 4]);
        stream.extend_from_slice(&u32::try_from(padded).unwrap().to_le_bytes());
        stream.extend_from_slice(header);
        stream.resize(stream.len() + padded - header.len(), 0);
        stream.extend_from_slice(body);
    };
    let header: Bytes = schema_message(schema, Format::default());
    add(&header, &[]);
    for message in messages {
        add(message.header(), message.body());
    }
    let reader = StreamReader::try_new(std::io::Cursor::new(stream), None).unwrap();
    reader.map(|batch| batch.unwrap()).collect()
}

/// How many pieces of files the scans of a plan read.
fn pieces(query: &Query) -> usize {
    use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
    let (Work::ByRow { plan, .. } | Work::Whole(plan)) = &query.0.work else {
        panic!("there is no plan that runs")
    };
    let mut pieces = 0;
    plan.apply(|node| {
        pieces += node.downcast_ref::<view::ViewScan>().map_or(0, view::ViewScan::pieces);
        Ok(TreeNodeRecursion::Continue)
    })
    .unwrap();
    pieces
}

/// Overwrites the data of all columns of a file but some, and leaves the footer.
fn spoil(path: &Path, but: &[&str]) {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let mut bytes = std::fs::read(path).unwrap();
    let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    for group in reader.metadata().row_groups() {
        for chunk in group.columns() {
            let (start, length) = chunk.byte_range();
            if !but.contains(&chunk.column_path().string().as_str()) {
                bytes[start as usize..(start + length) as usize].fill(0xff);
            }
        }
    }
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_statement_picks_counts_joins_and_orders() {
    let world = World::new();
    let cases: &[(&str, &[&str])] = &[
        ("SELECT count(*) FROM jobs", &["1000"]),
        ("SELECT count(*) FROM jobs WHERE \"Id\" < 10", &["10"]),
        (
            "SELECT \"Site\", count(*) AS n FROM jobs GROUP BY 1 ORDER BY 1 NULLS LAST",
            &["cern 250", "fnal 250", "kit 250", "- 250"],
        ),
        (
            "SELECT j.\"Id\", s.\"Country\" FROM jobs j LEFT JOIN sites s ON j.\"Site\" = s.\"Site\" \
             ORDER BY j.\"Id\" LIMIT 4",
            &["0 CH", "1 US", "2 -", "3 -"],
        ),
        (
            "SELECT s.\"Site\", count(j.\"Id\") FROM jobs j FULL JOIN sites s USING (\"Site\") \
             GROUP BY s.\"Site\" ORDER BY 1",
            &["cern 250", "desy 0", "fnal 250", "- 500"],
        ),
        (
            "WITH few AS (SELECT \"Id\" % 3 AS k FROM jobs WHERE \"Id\" < 7) \
             SELECT k, row_number() OVER (ORDER BY k DESC), sum(k) OVER () FROM \
             (SELECT DISTINCT k FROM few) ORDER BY k",
            &["0 3 3", "1 2 3", "2 1 3"],
        ),
        (
            "SELECT \"Site\" FROM sites WHERE \"Site\" IN (SELECT \"Site\" FROM jobs) \
             UNION SELECT 'x' UNION ALL SELECT \"Country\" FROM sites WHERE \"Country\" IS NULL \
             ORDER BY 1",
            &["cern", "fnal", "x", "-"],
        ),
        ("SELECT \"Id\" FROM jobs ORDER BY \"Id\" DESC LIMIT 2 OFFSET 1", &["998", "997"]),
        (
            "SELECT (SELECT max(\"Id\") FROM jobs) - count(*) FROM jobs WHERE \"Site\" = 'kit'",
            &["749"],
        ),
        (
            "SELECT \"Site\" FROM jobs INTERSECT SELECT \"Site\" FROM sites ORDER BY 1",
            &["cern", "fnal"],
        ),
        ("SELECT count(\"User\"), count(DISTINCT \"User\") FROM jobs", &["858 50"]),
        ("SELECT 1 + 1 AS two", &["2"]),
    ];
    for (sql, rows) in cases {
        assert_eq!(world.rows(sql).await, *rows, "{sql}");
    }
    let limited = world.rows("SELECT \"Id\" FROM jobs LIMIT 150").await;
    assert_eq!(limited.len(), 150);
}

#[tokio::test]
async fn a_plain_pull_and_select_star_give_the_same_values_and_schema() {
    let world = World::new();
    let view = world.view(JOBS);
    let query = world.plan("SELECT * FROM jobs").await.unwrap();
    assert_eq!(query.schema(), view.plan.schema());
    assert_eq!(query.shards(), view.snapshot.shards());
    let direct = world.answer(query).await.unwrap();
    // The same through the engine: something is computed.
    let sql =
        "SELECT \"Id\", \"User\", \"Site\", \"Cpus\", \"Start\" FROM jobs WHERE \"Id\" + 0 >= 0";
    let computed = world.ask(sql).await.unwrap();
    assert_eq!(direct, computed);
    let partner = partner("cern");
    for shard in 0..view.snapshot.shards() {
        let reservation = world.admission.reserve(&partner, &[]).unwrap();
        let entry = world.log.open(Request::default()).unwrap();
        let (plan, snapshot, format) =
            (view.plan.clone(), view.snapshot.clone(), Format::default());
        let pipeline = &world.engine.pipeline;
        let pull =
            pipeline.open(&partner, plan, snapshot, shard, format, reservation, entry).unwrap();
        let query = world.plan("SELECT * FROM jobs").await.unwrap();
        let asked = world.open(query, shard).unwrap();
        let bytes =
            |message: Result<Sealed>| message.map(|m| (m.header().clone(), m.body().clone()));
        let pull: Vec<_> = pull.map(|message| bytes(message).unwrap()).collect().await;
        let asked: Vec<_> = asked.map(|message| bytes(message).unwrap()).collect().await;
        assert_eq!(pull, asked);
    }
}

#[tokio::test]
async fn columns_may_be_renamed_reordered_and_repeated_without_the_engine() {
    let world = World::new();
    let sql = "SELECT t.b AS c, \"Id\", b FROM (SELECT \"Site\" AS b, \"Id\" FROM jobs) t";
    let query = world.plan(sql).await.unwrap();
    assert!(matches!(query.0.work, Work::Direct { .. }));
    assert_eq!(query.shards(), 4);
    let rows = world.rows(sql).await;
    assert_eq!(rows[..3], ["cern 0 cern", "fnal 1 fnal", "kit 2 kit"]);
    assert_eq!(rows.len(), 1000);
}

#[tokio::test]
async fn only_what_looks_at_one_row_of_one_view_is_split() {
    let world = World::new();
    let split = [
        "SELECT * FROM jobs",
        "SELECT \"Id\" + 1 FROM jobs",
        "SELECT upper(\"Site\") AS s FROM jobs WHERE \"Id\" > 500 AND \"User\" IS NOT NULL",
        "SELECT x FROM (SELECT \"Id\" * 2 AS x FROM jobs WHERE \"Site\" = 'kit') WHERE x > 4",
    ];
    for sql in split {
        let query = world.plan(sql).await.unwrap();
        assert_eq!(query.shards(), 4, "{sql}");
        assert!(!query.ordered());
        assert_eq!(world.open(query, 4).err().unwrap().code(), Code::TicketStale, "{sql}");
    }
    let whole = [
        "SELECT * FROM jobs LIMIT 5",
        "SELECT count(*) FROM jobs",
        "SELECT DISTINCT \"Site\" FROM jobs",
        "SELECT \"Id\", rank() OVER (ORDER BY \"Id\") FROM jobs",
        "SELECT a.\"Id\" FROM jobs a JOIN jobs b ON a.\"Id\" = b.\"Id\"",
        "SELECT \"Id\" FROM jobs UNION ALL SELECT \"Id\" FROM jobs",
        "SELECT \"Id\" FROM jobs WHERE \"Id\" = (SELECT max(\"Id\") FROM jobs)",
        "SELECT \"Id\" FROM jobs WHERE \"Site\" IN (SELECT \"Site\" FROM sites)",
        "SELECT \"Id\", now() FROM jobs WHERE \"Id\" > 3",
        "SELECT \"Id\" FROM jobs ORDER BY \"Id\"",
        "SELECT 1",
    ];
    for sql in whole {
        let query = world.plan(sql).await.unwrap();
        assert_eq!(query.shards(), 1, "{sql}");
        assert_eq!(query.ordered(), sql.ends_with("ORDER BY \"Id\""), "{sql}");
        assert_eq!(world.open(query, 1).err().unwrap().code(), Code::TicketStale, "{sql}");
    }
}

#[tokio::test]
async fn a_filter_compares_what_leaves_and_not_what_is_there() {
    let world = World::new();
    let raw = "SELECT count(*) FROM jobs WHERE \"User\" = 'user-0@example.org'";
    assert_eq!(world.rows(raw).await, ["0"]);
    let pseudonym = world.rows("SELECT \"User\" FROM jobs WHERE \"Id\" = 0").await.remove(0);
    let seen = format!("SELECT \"Id\" FROM jobs WHERE \"User\" = '{pseudonym}' ORDER BY 1 LIMIT 3");
    assert_eq!(world.rows(&seen).await, ["0", "50", "100"]);
    // Raw values reach 63; buckets are told by their edges.
    let buckets = "SELECT \"Cpus\", count(*) FROM jobs GROUP BY 1 ORDER BY 1";
    let told = world.rows(buckets).await;
    let by_filter = world.rows("SELECT count(*) FROM jobs WHERE \"Cpus\" = '[10, 100)'").await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().any(|row| *row == format!("[10, 100) {}", by_filter[0])), "{told:?}");
}

// PRIVACY: what is read must not depend on raw values of a column that leaves changed.
#[tokio::test]
async fn row_groups_are_chosen_by_columns_kept_in_clear_alone() {
    let world = World::new();
    let cases = [
        ("\"Id\" < 10", 1),
        ("\"Id\" BETWEEN 100 AND 299", 2),
        ("\"Id\" IN (5, 905)", 2),
        ("\"Start\" < '2023-11-14T23:00:00'", 1),
        ("\"Site\" = 'zzz'", 0),
        ("\"Id\" < 10 AND \"User\" = 'x'", 1),
        // Every raw user begins with `user-`, every raw number is below 64.
        ("\"User\" = 'aaa'", 10),
        ("\"User\" > 'v'", 10),
        ("\"Cpus\" = 'none such'", 10),
        ("\"Id\" < 10 OR \"User\" = 'x'", 10),
        ("\"User\" IS NULL", 10),
        ("length(\"User\") < \"Id\"", 10),
    ];
    for (filter, expected) in cases {
        let query = world.plan(&format!("SELECT \"Id\" FROM jobs WHERE {filter}")).await.unwrap();
        assert_eq!(pieces(&query), expected, "{filter}");
        let bare = world.rows(&format!("SELECT count(*) FROM jobs WHERE {filter}")).await;
        let held = format!("SELECT sum(CASE WHEN {filter} THEN 1 ELSE 0 END) FROM jobs");
        assert_eq!(bare, world.rows(&held).await, "{filter}");
    }
    // What comes together while the query runs reaches no scan.
    let joined = "SELECT count(*) FROM jobs j JOIN sites s ON j.\"User\" = s.\"Admin\"";
    assert_eq!(pieces(&world.plan(joined).await.unwrap()), 11);
}

#[tokio::test]
async fn a_statement_of_two_columns_decodes_two() {
    let world = World::new();
    spoil(&world.folder.path().join("jobs.parquet"), &["Id", "Site"]);
    assert_eq!(world.rows("SELECT \"Site\", \"Id\" FROM jobs").await[1], "fnal 1");
    let grouped = "SELECT max(\"Id\") FROM jobs WHERE \"Site\" = 'kit' GROUP BY \"Site\"";
    assert_eq!(world.rows(grouped).await, ["998"]);
    let counted = "SELECT \"Site\", count(*) FROM jobs GROUP BY \"Site\" ORDER BY 1 LIMIT 1";
    assert_eq!(world.rows(counted).await, ["cern 250"]);
    for sql in ["SELECT * FROM jobs", "SELECT max(\"User\") FROM jobs"] {
        assert_eq!(world.fails(sql).await, Code::SourceUnreadable, "{sql}");
    }
    spoil(&world.folder.path().join("jobs.parquet"), &[]);
    assert_eq!(world.rows("SELECT count(*) FROM jobs").await, ["1000"]);
    let exists = "SELECT count(*) FROM sites WHERE EXISTS (SELECT 1 FROM jobs)";
    assert_eq!(world.rows(exists).await, ["3"]);
}

#[tokio::test]
async fn rows_that_the_policy_takes_out_are_out_for_every_statement() {
    let world = World::new();
    let policy = JOBS.replace(
        "columns:",
        "rows: \"Note <> 'secret 3' AND Id < 500\"\nnulls: suppress_row\ncolumns:",
    );
    let views = || vec![world.view(&policy)];
    let ask = async |sql: &str| {
        let statement = Statement::parse(sql).unwrap();
        let query = world.engine.plan(&statement, &Terms::default(), views()).await.unwrap();
        let batch = world.answer(query).await.unwrap();
        array_value_to_string(batch.column(0), 0).unwrap()
    };
    let stays = |row: &i64| row % 7 != 6 && row % 4 != 3 && *row != 3;
    let expected = (0..500).filter(stays).count().to_string();
    assert_eq!(ask("SELECT count(*) FROM jobs").await, expected);
    assert_eq!(ask("SELECT count(\"Cpus\") FROM jobs").await, expected);
    assert_eq!(ask("SELECT count(*) FROM jobs WHERE \"Id\" >= 500").await, "0");
}

#[tokio::test]
async fn tokens_do_not_depend_on_which_column_is_asked_first() {
    let policy = SITES.replace("Country: keep", "Country: {pseudonym: {method: token, domain: d}}");
    let policy = policy.replace("method: token}}", "method: token, domain: d}}");
    let sql = "SELECT \"Country\", \"Admin\" FROM sites ORDER BY 1, 2";
    let mut answers = Vec::new();
    for first in ["SELECT \"Admin\" FROM sites", "SELECT max(\"Country\") FROM sites", sql] {
        let world = World::new();
        let mut last = None;
        for sql in ["SELECT \"Site\" FROM sites", first, sql] {
            let statement = Statement::parse(sql).unwrap();
            let views = vec![world.view(&policy)];
            let query = world.engine.plan(&statement, &Terms::default(), views).await.unwrap();
            last = Some(world.answer(query).await.unwrap());
        }
        answers.push(last.unwrap());
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
}

#[tokio::test]
async fn the_schema_is_that_of_the_stream_whatever_is_asked() {
    let world = World::new();
    let shapes = [
        "SELECT * FROM jobs",
        "SELECT * FROM sites",
        "SELECT * FROM jobs WHERE false",
        "SELECT * FROM jobs WHERE \"Id\" < 0",
        "SELECT count(*), count(\"User\"), sum(\"Id\"), avg(\"Id\") FROM jobs WHERE \"Id\" < 0",
        "SELECT min(\"Site\"), max(\"Start\"), min(\"Cpus\") FROM jobs",
        "SELECT s.*, j.\"Id\" FROM sites s LEFT JOIN jobs j ON j.\"Site\" = s.\"Site\" AND j.\"Id\" < 2",
        "SELECT s.*, j.* FROM jobs j RIGHT JOIN sites s ON j.\"Site\" = s.\"Site\" AND j.\"Id\" = 0",
        "SELECT * FROM sites a FULL JOIN (SELECT \"Site\" AS x FROM jobs) b ON a.\"Site\" = b.x",
        "SELECT a.\"Site\" AS l, b.\"Site\" AS r FROM sites a CROSS JOIN sites b",
        "SELECT coalesce(\"Site\", 'none') FROM jobs",
        "SELECT nullif(\"Site\", 'cern') FROM sites",
        "SELECT CASE WHEN \"Id\" > 5 THEN 'big' END FROM jobs",
        "SELECT CASE WHEN \"Id\" > 5 THEN 'big' ELSE 'small' END FROM jobs",
        "SELECT 1, 'a', NULL, true, 1.5, X'00ff'",
        "SELECT NULL AS n FROM jobs LIMIT 3",
        "SELECT DATE '2026-01-01', TIMESTAMP '2026-01-01 00:00:00', INTERVAL '1 day'",
        "SELECT CAST(\"Id\" AS DECIMAL(20, 2)) AS a, CAST(\"Id\" AS FLOAT) AS b, CAST(\"Id\" AS TEXT) FROM jobs",
        "SELECT TRY_CAST(\"Site\" AS INT) FROM jobs",
        "SELECT upper(\"Site\"), length(\"User\"), substr(\"User\", 2, 3) FROM jobs",
        "SELECT \"Site\" || '-' || \"Id\" FROM jobs",
        "SELECT concat(\"Site\", \"User\"), left(\"User\", 3) FROM jobs",
        "SELECT date_trunc('hour', \"Start\"), date_part('year', \"Start\") FROM jobs",
        "SELECT to_char(\"Start\", '%Y') FROM jobs LIMIT 2",
        "SELECT \"Site\", count(*) FROM jobs GROUP BY \"Site\"",
        "SELECT \"Site\", \"Cpus\", count(*) FROM jobs GROUP BY ROLLUP (\"Site\", \"Cpus\")",
        "SELECT \"Site\", array_agg(\"Id\") FROM jobs WHERE \"Id\" < 9 GROUP BY \"Site\"",
        "SELECT array_agg(\"User\") FROM jobs WHERE \"Id\" < 9",
        "SELECT string_agg(\"Site\", ',') FROM sites",
        "SELECT [1, 2, \"Id\"] AS l, struct(\"Id\", \"Site\") AS s FROM jobs",
        "SELECT named_struct('a', \"Site\", 'b', [\"User\"]) FROM jobs",
        "SELECT map(['a'], [\"Id\"]) FROM jobs LIMIT 3",
        "SELECT unnest([\"Id\", NULL]) FROM jobs WHERE \"Id\" < 4",
        "SELECT DISTINCT \"Site\" FROM jobs",
        "SELECT \"Site\" FROM jobs UNION SELECT 'x'",
        "SELECT \"Id\" FROM jobs UNION ALL SELECT NULL",
        "SELECT \"Site\" FROM sites EXCEPT SELECT \"Site\" FROM jobs",
        "SELECT \"Id\", lag(\"Id\") OVER (ORDER BY \"Id\"), ntile(3) OVER (ORDER BY \"Id\") FROM jobs",
        "SELECT first_value(\"Site\") OVER (PARTITION BY \"Cpus\" ORDER BY \"Id\") FROM jobs",
        "SELECT (SELECT max(\"Country\") FROM sites) AS c, \"Id\" FROM jobs LIMIT 3",
        "SELECT \"Site\" = 'cern', \"Site\" IS NULL, NOT (\"Id\" > 1), \"Site\" LIKE 'c%' FROM jobs",
        "SELECT approx_distinct(\"User\"), median(\"Id\"), stddev(\"Id\") FROM jobs",
        "SELECT * FROM (VALUES (1, 'a'), (2, NULL)) AS t(x, y)",
        "SELECT regexp_match(\"Site\", 'c(.)') FROM sites",
        "SELECT encode(CAST(\"Site\" AS BYTEA), 'hex') FROM sites",
    ];
    for sql in shapes {
        let query =
            world.plan(sql).await.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
        let answer = world.answer(query.clone()).await;
        // Sealing refuses another type, and a null where the schema has none.
        let answer = answer.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
        assert_eq!(answer.schema(), *query.schema(), "{sql}");
        for field in query.schema().fields() {
            assert_eq!(canonical(field.data_type()), *field.data_type(), "{sql}");
            assert!(field.metadata().keys().all(|key| key == "veilflight.protection"), "{sql}");
        }
    }
}

#[tokio::test]
async fn a_column_tells_how_it_was_protected_under_its_new_name() {
    let world = World::new();
    let query = world.plan("SELECT \"User\" AS who, \"Id\" + 1 AS n FROM jobs").await.unwrap();
    let told =
        |at: usize| query.schema().field(at).metadata().get("veilflight.protection").cloned();
    assert_eq!(told(0).as_deref(), Some("pseudonym.hmac"));
    assert_eq!(told(1), None);
    let kinds: Vec<_> = query.schema().fields().iter().map(|field| field.data_type()).collect();
    assert_eq!(kinds, [&DataType::Utf8, &DataType::Int64]);
    assert_eq!(query.reads(), [("jobs".to_owned(), vec!["Id".to_owned(), "User".to_owned()])]);
    let counted =
        world.plan("SELECT count(*) FROM jobs, sites WHERE \"Admin\" = 'x'").await.unwrap();
    let reads = [("jobs".to_owned(), vec![]), ("sites".to_owned(), vec!["Admin".to_owned()])];
    assert_eq!(counted.reads(), reads);
}

#[tokio::test]
async fn an_error_of_a_value_says_nothing_of_it() {
    let world = World::new();
    let failing = [
        "SELECT CAST(\"Site\" AS BIGINT) FROM jobs",
        "SELECT 1 / (\"Id\" - \"Id\") FROM jobs",
        "SELECT CAST(\"Id\" + 1001 AS TINYINT) FROM jobs",
        "SELECT to_timestamp(\"User\") FROM jobs",
        "SELECT CAST(\"User\" AS DATE) AS d, count(*) FROM jobs GROUP BY 1 ORDER BY 1",
    ];
    for sql in failing {
        let error = world.ask(sql).await.unwrap_err();
        assert_eq!(error.code(), Code::QueryFailed, "{sql}: {}", error.chain());
        assert!(error.hint().is_none());
        for value in ["cern", "fnal", "user", "9223", "1001"] {
            assert!(!error.chain().contains(value), "{sql}: {}", error.chain());
        }
    }
}

#[tokio::test]
async fn an_error_of_the_policy_keeps_its_code_on_the_way_through_the_engine() {
    let world = World::new();
    let policy =
        JOBS.replace("{pseudonym: {method: hmac}}", "{ip: {method: crypto_pan, invalid: error}}");
    for sql in ["SELECT max(\"User\") FROM jobs", "SELECT \"User\" || 'x' FROM jobs ORDER BY 1"] {
        let statement = Statement::parse(sql).unwrap();
        let views = vec![world.view(&policy)];
        let query = world.engine.plan(&statement, &Terms::default(), views).await.unwrap();
        let error = world.answer(query).await.unwrap_err();
        assert_eq!(error.code(), Code::SourceValue, "{sql}");
        assert_eq!(error.chain(), "column `User`: a value is no IP address");
    }
}

#[tokio::test]
async fn what_does_not_fit_into_memory_is_spilled_and_then_refused() {
    let sorted = "SELECT \"Id\", \"User\", \"Start\" FROM jobs ORDER BY \"User\" DESC, \"Id\"";
    let plenty =
        World::with(256 << 20, 200_000, Duration::from_secs(60)).ask(sorted).await.unwrap();
    let world = World::with(12 << 20, 200_000, Duration::from_secs(60));
    assert_eq!(world.ask(sorted).await.unwrap(), plenty);
    let disk = &world.engine.environment.disk_manager;
    assert_eq!(disk.used_disk_space(), 0);
    // Without room on the disk the same is refused: so it was there.
    disk.set_max_temp_directory_size(0).unwrap();
    assert_eq!(world.fails(sorted).await, Code::QueryMemory);
    // A join holds one of its sides in memory and cannot spill it.
    let joined = "SELECT count(*) FROM jobs a JOIN jobs b \
         ON a.\"User\" || a.\"Id\" = b.\"User\" || b.\"Id\"";
    assert_eq!(world.fails(joined).await, Code::QueryMemory);
    assert_eq!(world.rows("SELECT count(*) FROM jobs").await, ["200000"]);
}

const ENDLESS: &str = "SELECT count(*) FROM jobs a, jobs b, jobs c \
     WHERE a.\"Id\" + b.\"Id\" + c.\"Id\" = -1";

#[tokio::test]
async fn a_statement_ends_when_its_time_is_over() {
    let world = World::with(64 << 20, 2000, Duration::from_millis(200));
    assert_eq!(world.fails(ENDLESS).await, Code::QueryTime);
    assert_eq!(world.closed(), [(Some("L006".to_owned()), Some(0))]);
    assert_eq!(world.admission.open_streams(), 0);
}

#[tokio::test]
async fn the_time_that_the_partner_takes_is_not_the_statements() {
    let world = World::with(64 << 20, 20_000, Duration::from_millis(400));
    let query = world.plan("SELECT \"Id\" + 1, \"User\" FROM jobs ORDER BY 1").await.unwrap();
    let mut stream = world.open(query, 0).unwrap();
    let mut rows = 0;
    let mut slow = 5;
    while let Some(message) = stream.next().await {
        rows += message.unwrap().rows();
        if slow > 0 {
            slow -= 1;
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    }
    assert_eq!(rows, 20_000);
}

#[tokio::test]
async fn a_partner_who_hangs_up_ends_the_work() {
    let world = World::with(64 << 20, 2000, Duration::from_secs(600));
    let query = world.plan(ENDLESS).await.unwrap();
    let stream = world.open(query, 0).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.admission.open_streams(), 1);
    drop(stream);
    for _ in 0..500 {
        if world.admission.open_streams() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.admission.open_streams(), 0);
    assert_eq!(world.closed(), [(Some("R003".to_owned()), Some(0))]);
}

#[tokio::test]
async fn an_engine_that_is_dropped_fails_its_streams_and_blocks_nobody() {
    let world = World::with(64 << 20, 2000, Duration::from_secs(600));
    let query = world.plan(ENDLESS).await.unwrap();
    let mut stream = world.open(query, 0).unwrap();
    let World { engine, .. } = world;
    drop(engine);
    let ended = tokio::time::timeout(Duration::from_secs(20), stream.next()).await.unwrap();
    assert_eq!(ended.unwrap().unwrap_err().code(), Code::Internal);
}

#[tokio::test]
async fn a_query_of_one_partner_is_not_opened_for_another() {
    let world = World::new();
    for sql in ["SELECT * FROM jobs", "SELECT count(*) FROM jobs"] {
        let query = world.plan(sql).await.unwrap();
        let other = partner("other");
        let reservation = world.admission.reserve(&other, &[]).unwrap();
        let entry = world.log.open(Request::default()).unwrap();
        let refused = world
            .engine
            .open(&other, query, 0, Format::default(), reservation, entry)
            .err()
            .unwrap();
        assert_eq!(refused.code(), Code::DatasetUnknown);
    }
    assert_eq!(world.closed().len(), 2);
}

#[tokio::test]
async fn streams_that_end_well_are_closed_with_their_rows() {
    let world = World::new();
    world.ask("SELECT \"Id\" * 2 FROM jobs WHERE \"Id\" < 30 ORDER BY 1").await.unwrap();
    assert_eq!(world.closed(), [(None, Some(30))]);
}

#[tokio::test]
async fn the_sessions_time_zone_is_that_of_the_terms() {
    let world = World::new();
    let statement = Statement::parse("SELECT TIMESTAMPTZ '2026-01-01 00:00:00' AS t").unwrap();
    for (zone, expected) in [(None, "UTC"), (Some("+02:00"), "+02:00")] {
        let terms = Terms { time_zone: zone.map(str::to_owned), ..Terms::default() };
        let query = world.engine.plan(&statement, &terms, Vec::new()).await.unwrap();
        let DataType::Timestamp(_, Some(told)) = query.schema().field(0).data_type() else {
            panic!("{:?}", query.schema())
        };
        assert_eq!(&**told, expected);
    }
}
