//! Statements through the engine over small files. Here is the world that they are asked in.

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
use crate::pipeline::transform::{Counted, TokenMap};
use crate::policy::load::load_bytes;
use crate::policy::plan::plan;
use crate::state::{Sqlite, Store};

mod answers;
mod limits;
mod reads;

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

/// Numbers nothing: it dies of it.
#[derive(Debug)]
struct Broken;

impl TokenMap for Broken {
    fn numbers(&self, _scope: &str, _values: &[&str]) -> Result<Vec<u64>> {
        panic!("as was to be shown")
    }

    fn count(&self, _scope: &str, _of: Counted<'_>, _rows: &[(u64, u64)]) -> Result<()> {
        Ok(())
    }
}

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

    /// Waits until no statement holds a place: its threads may take a while to be free.
    async fn places_are_free(&self) {
        for _ in 0..12_000 {
            if self.admission.open_streams() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("places are still held");
    }

    /// Jobs in ten row groups.
    fn with(memory_bytes: usize, rows: i64, query: Duration) -> Self {
        Self::made(memory_bytes, rows, query, false)
    }

    fn made(memory_bytes: usize, rows: i64, query: Duration, broken: bool) -> Self {
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
        let tokens: Arc<dyn TokenMap> =
            if broken { Arc::new(Broken) } else { Arc::<dyn Store>::clone(&store) };
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
