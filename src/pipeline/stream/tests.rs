//! One stream that goes wrong: what the log then says, and who keeps the place.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use futures::StreamExt;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::*;
use crate::audit::record::{Event, Record};
use crate::audit::{Log, Request};
use crate::budget::Admission;
use crate::budget::tests::admission;
use crate::clock::SystemClock;
use crate::identity::tests::partner;
use crate::keys::Secret;
use crate::pipeline::source::snapshot;
use crate::pipeline::transform::Counted;
use crate::policy::Policy;
use crate::policy::load::load_bytes;
use crate::policy::plan::plan;
use crate::state::{Sqlite, Store};

const POLICY: &str = "\
version: 1
dataset: jobs
description: Jobs
source: {parquet: jobs.parquet}
columns:
  User: {pseudonym: {method: token}}
grants:
  - {partner: cern, access: rows}
";

/// Numbers values until it is asked once too often.
#[derive(Debug)]
struct Fragile {
    asked: AtomicUsize,
    asked_max: usize,
    /// Nothing is answered before whoever holds the other end lets go of it.
    gate: Option<Mutex<Receiver<()>>>,
}

impl TokenMap for Fragile {
    fn numbers(&self, _scope: &str, values: &[&str]) -> Result<Vec<u64>> {
        if let Some(gate) = &self.gate {
            let _ = gate.lock().unwrap().recv();
        }
        assert!(self.asked.fetch_add(1, Ordering::Relaxed) < self.asked_max, "as was to be shown");
        Ok((1..).take(values.len()).collect())
    }

    fn count(&self, _scope: &str, _of: Counted<'_>, _rows: &[(u64, u64)]) -> Result<()> {
        Ok(())
    }
}

struct World {
    folder: tempfile::TempDir,
    store: Arc<dyn Store>,
    admission: Arc<Admission>,
    log: Log,
    pipeline: Arc<Pipeline>,
}

impl World {
    /// Two row groups of 4000 rows with a user each.
    fn new(asked_max: usize, idle: Duration) -> Self {
        Self::gated(asked_max, idle, None, Duration::from_secs(60))
    }

    fn gated(
        asked_max: usize,
        idle: Duration,
        gate: Option<Mutex<Receiver<()>>>,
        keep_alive: Duration,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("jobs.parquet"));
        let clock = Arc::new(SystemClock);
        let store: Arc<dyn Store> =
            Arc::new(Sqlite::in_memory(Arc::<SystemClock>::clone(&clock)).unwrap());
        let ring = Arc::new(KeyRing::new(vec![(1, Secret::new([0x5a; 32]))]).unwrap());
        let log = Log::new(Arc::clone(&store), clock, Arc::clone(&ring));
        let tokens = Arc::new(Fragile { asked: AtomicUsize::new(0), asked_max, gate });
        let limits = Limits { message_bytes: 4096, message_bytes_max: 1 << 20, idle, keep_alive };
        let pipeline = Arc::new(Pipeline::new(ring, tokens, limits));
        let admission = admission(Arc::clone(&store));
        Self { folder, store, admission, log, pipeline }
    }

    fn policy(&self, text: &str) -> Arc<Policy> {
        let path = self.folder.path().join("jobs.yaml");
        Arc::new(load_bytes(&path, text.as_bytes()).unwrap().policy)
    }

    fn open(&self) -> SealedStream {
        self.open_under(self.policy(POLICY))
    }

    fn open_under(&self, policy: Arc<Policy>) -> SealedStream {
        let reservation = self.admission.reserve(&partner("cern"), &[]).unwrap();
        self.open_with(policy, reservation)
    }

    fn open_with(&self, policy: Arc<Policy>, reservation: Reservation) -> SealedStream {
        let snapshot = snapshot(&policy, 1).unwrap();
        let today = chrono::NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
        let plan = plan(&policy, "cern", snapshot.schema(), today).unwrap();
        let partner = partner("cern");
        let entry = self.log.open(Request::default()).unwrap();
        let format = Format::default();
        self.pipeline.open(&partner, plan, snapshot, 0, format, reservation, entry).unwrap()
    }

    /// The code and rows of the record that closes the stream, once there is one.
    async fn closed(&self) -> (Option<String>, Option<u64>) {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(120) {
            let mut closed = None;
            self.store
                .audit_read(&mut |row| {
                    if let Event::Close(close) = Record::from_body(&row.body)?.event {
                        closed = Some((close.code, close.rows));
                    }
                    Ok(())
                })
                .unwrap();
            match closed {
                Some(closed) => return closed,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
        panic!("the entry was not closed");
    }
}

fn write(path: &Path) {
    let users = (0..8000).map(|row| format!("user-{row}"));
    let users: ArrayRef = Arc::new(StringArray::from_iter_values(users));
    let batch = RecordBatch::try_from_iter([("User", users)]).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(4000)).build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[tokio::test]
async fn after_a_panic_the_log_tells_the_defect_and_the_rows_that_had_left() {
    // The learner asks once, each row group asks once: the second row group fails.
    let world = World::new(2, Duration::from_secs(60));
    let mut stream = world.open();
    let mut rows = 0;
    let error = loop {
        match stream.next().await.unwrap() {
            Ok(message) => rows += message.rows(),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Code::Internal);
    assert!(rows > 0);
    let code = Some(Code::Internal.as_str().to_owned());
    assert_eq!(world.closed().await, (code, Some(rows)));
}

#[tokio::test]
async fn a_stream_that_is_not_read_keeps_its_place_until_it_is_let_go() {
    let world = World::new(usize::MAX, Duration::from_millis(50));
    let mut stream = world.open();
    assert_eq!(world.closed().await.0.as_deref(), Some(Code::StreamIdle.as_str()));
    // Its messages are still in memory; who opens streams and does not read them gets no more.
    assert_eq!(world.admission.open_streams(), 1);
    let mut last = None;
    while let Some(message) = stream.next().await {
        last = Some(message);
    }
    assert_eq!(last.unwrap().unwrap_err().code(), Code::StreamIdle);
    drop(stream);
    assert_eq!(world.admission.open_streams(), 0);
}

#[tokio::test]
async fn a_hierarchy_that_changed_after_its_policy_was_read_stops_the_stream() {
    let world = World::new(usize::MAX, Duration::from_secs(60));
    let file = world.folder.path().join("users.csv");
    std::fs::write(&file, "user-1;some\n").unwrap();
    let rule = "{hierarchy: {file: users.csv, level: 1}}";
    let policy = world.policy(&POLICY.replace("{pseudonym: {method: token}}", rule));
    assert!(world.open_under(Arc::clone(&policy)).next().await.unwrap().is_ok());
    std::fs::write(&file, "user-1;user-1\n").unwrap();
    let error = world.open_under(policy).next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), Code::TicketStale);
}

#[tokio::test]
async fn the_log_names_the_column_that_a_value_does_not_fit() {
    let world = World::new(8, Duration::from_secs(10));
    let rule = "{ip: {method: crypto_pan, invalid: error}}";
    let policy = world.policy(&POLICY.replace("{pseudonym: {method: token}}", rule));
    let error = world.open_under(policy).next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), Code::SourceValue);
    assert_eq!(error.chain(), "column `User`: a value is no IP address");
}

#[tokio::test]
async fn a_stream_whose_worker_learns_for_long_is_kept_alive_and_loses_nothing() {
    let (open, gate) = channel();
    let (gate, every) = (Some(Mutex::new(gate)), Duration::from_millis(20));
    let world = World::gated(usize::MAX, Duration::from_secs(60), gate, every);
    let mut stream = world.open().map(|message| message.unwrap().rows());
    // As long as it learns there are empty messages, and nothing else.
    for _ in 0..3 {
        assert_eq!(stream.next().await, Some(0));
    }
    drop(open);
    assert_eq!(stream.collect::<Vec<_>>().await.into_iter().sum::<u64>(), 8_000);
    // The log counts what holds rows.
    assert_eq!(world.closed().await, (None, Some(8_000)));
    let quick = World::new(usize::MAX, Duration::from_secs(60));
    let messages: Vec<_> = quick.open().map(|message| message.unwrap().rows()).collect().await;
    assert!(messages.iter().all(|rows| *rows > 0));
}

#[tokio::test]
async fn a_stream_waits_as_long_as_its_partner_reads_another() {
    // Read eight times within the limit, so that nothing but a stop of three seconds passes it.
    let idle = Duration::from_secs(4);
    let world = World::new(usize::MAX, idle);
    let (mut read, unread) = (world.open(), world.open());
    let started = Instant::now();
    let mut rows = 0;
    while started.elapsed() < idle * 2 {
        tokio::time::sleep(idle / 8).await;
        rows += read.next().await.unwrap().unwrap().rows();
    }
    assert!(rows < 8000, "all was read before the limit could pass");
    for mut stream in [read, unread] {
        while let Some(message) = stream.next().await {
            rows += message.unwrap().rows();
        }
    }
    assert_eq!(rows, 16_000);
}

#[tokio::test]
async fn a_statement_does_not_keep_its_turn_because_its_partner_reads_elsewhere() {
    let world = World::new(usize::MAX, Duration::from_secs(4));
    let reservation = world.admission.reserve_query(&partner("cern"), &[]).await.unwrap();
    let unread = world.open_with(world.policy(POLICY), reservation);
    let reading = async {
        loop {
            // Read slowly, and again from the start when it ends.
            let mut read = world.open();
            while let Some(message) = read.next().await {
                message.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    // Until the log has the statement's end: the first that ends otherwise than well.
    let ended = async {
        loop {
            match world.closed().await.0 {
                Some(code) => break code,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let code = tokio::select! {
        code = tokio::time::timeout(Duration::from_secs(120), ended) => code.unwrap(),
        () = reading => unreachable!("reading does not end"),
    };
    assert_eq!(code, Code::StreamIdle.as_str());
    let mut last = None;
    let mut unread = unread;
    while let Some(message) = unread.next().await {
        last = Some(message);
    }
    assert_eq!(last.unwrap().unwrap_err().code(), Code::StreamIdle);
}
