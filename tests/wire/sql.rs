//! Statements over the wire: what is promised of an answer and what comes, and which names are found. What
//! becomes of tickets is beside.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::array::{Decimal128Array, ListBuilder, StringBuilder, TimestampMicrosecondArray};
use arrow::datatypes::{Int64Type, Schema};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandGetTables, CommandStatementQuery, ProstMessageExt};
use arrow_flight::{
    Action, CancelFlightInfoRequest, FlightDescriptor, FlightInfo, IpcMessage, Ticket,
};
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::ArrowWriter;
use prost::Message;
use tempfile::TempDir;
use tonic::{Code, Request, Status};
use veilflight::audit::show::{Filter, lines};

use crate::site::{
    CANARY, Client, JOBS, ROWS, Site, code, folder, path, ticket, with_token, write_policy,
};

mod tickets;

/// A dataset with a column of many sorts.
const RUNS: &str = "\
version: 1
dataset: runs
source: {parquet: runs.parquet}
unit: user
columns:
  id: keep
  user: {pseudonym: {method: hmac}}
  site: keep
  cpu: keep
  cost: keep
  at: keep
  tags: keep
grants:
  - {partner: cern, access: rows}
  - {partner: desy, access: aggregates, group_min: 3}
";

/// How many runs there are; each of four users has as many.
const RUNS_ROWS: i64 = 400;

/// A folder with [`JOBS`] and [`RUNS`].
pub(super) fn runs() -> TempDir {
    let folder = folder();
    write_policy(folder.path(), "runs.yaml", RUNS);
    let rows = || 0..RUNS_ROWS;
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(rows()));
    let users = rows().map(|row| format!("{CANARY}-{}", row % 4));
    let users: ArrayRef = Arc::new(StringArray::from_iter_values(users));
    let sites = rows().map(|row| (row % 5 != 0).then(|| format!("site-{}", row % 5)));
    let sites: ArrayRef = Arc::new(StringArray::from_iter(sites));
    let cpu: ArrayRef = Arc::new(Float64Array::from_iter(rows().map(|row| Some(row as f64 / 4.0))));
    let cost = Decimal128Array::from_iter_values(rows().map(i128::from));
    let cost: ArrayRef = Arc::new(cost.with_precision_and_scale(12, 2).unwrap());
    let at = TimestampMicrosecondArray::from_iter_values(rows().map(|row| row * 3_600_000_000));
    let at: ArrayRef = Arc::new(at.with_timezone("UTC"));
    let mut tags = ListBuilder::new(StringBuilder::new());
    for row in rows() {
        tags.values().append_value(format!("tag-{}", row % 3));
        tags.append(row % 7 != 0);
    }
    let tags: ArrayRef = Arc::new(tags.finish());
    let columns = [
        ("id", ids),
        ("user", users),
        ("site", sites),
        ("cpu", cpu),
        ("cost", cost),
        ("at", at),
        ("tags", tags),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = std::fs::File::create(folder.path().join("policies/runs.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    folder
}

/// One partner's way of asking, with raw Flight messages.
pub(super) struct Asker {
    pub(super) client: Client,
    pub(super) token: String,
    /// Headers of every call.
    headers: Vec<(&'static str, &'static str)>,
}

impl Asker {
    pub(super) async fn new(site: &Site, partner: &str) -> Self {
        Self::with(site, &site.partner(partner), &[]).await
    }

    pub(super) async fn with(
        site: &Site,
        token: &str,
        headers: &[(&'static str, &'static str)],
    ) -> Self {
        let (client, headers) = (site.client().await, headers.to_vec());
        Self { client, token: token.to_owned(), headers }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = with_token(&self.token, message);
        for (name, value) in &self.headers {
            request.metadata_mut().insert(*name, value.parse().unwrap());
        }
        request
    }

    pub(super) async fn describe(
        &mut self,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, Status> {
        let request = self.request(descriptor);
        Ok(self.client.get_flight_info(request).await?.into_inner())
    }

    pub(super) async fn info(&mut self, sql: &str) -> Result<FlightInfo, Status> {
        self.describe(statement(sql)).await
    }

    pub(super) async fn schema(&mut self, descriptor: FlightDescriptor) -> Result<Schema, Status> {
        let request = self.request(descriptor);
        let answer = self.client.get_schema(request).await?.into_inner();
        Ok(Schema::try_from(answer).unwrap())
    }

    /// The schema with which a stream begins, and its batches.
    pub(super) async fn get(
        &mut self,
        ticket: Ticket,
    ) -> Result<(Schema, Vec<RecordBatch>), Status> {
        let request = self.request(ticket);
        let messages = self.client.do_get(request).await?.into_inner();
        let mut stream =
            FlightRecordBatchStream::new_from_flight_data(messages.map_err(FlightError::from));
        let mut batches = Vec::new();
        while let Some(batch) = stream.next().await {
            match batch {
                Ok(batch) => batches.push(batch),
                Err(FlightError::Tonic(status)) => return Err(*status),
                Err(error) => panic!("{error}"),
            }
        }
        let schema = stream.schema().expect("a stream begins with its schema");
        Ok((schema.as_ref().clone(), batches))
    }

    /// All rows of an answer.
    pub(super) async fn pull(&mut self, info: &FlightInfo) -> Result<RecordBatch, Status> {
        let mut all = Vec::new();
        let schema = Arc::new(info.clone().try_decode_schema().unwrap());
        for endpoint in 0..info.endpoint.len() {
            let (own, batches) = self.get(ticket(info, endpoint)).await?;
            assert_eq!(own, *schema);
            all.extend(batches);
        }
        Ok(arrow::compute::concat_batches(&schema, &all).unwrap())
    }

    pub(super) async fn all(&mut self, sql: &str) -> Result<RecordBatch, Status> {
        let info = self.info(sql).await?;
        self.pull(&info).await
    }

    pub(super) async fn act(&mut self, name: &str, body: Vec<u8>) -> Result<Vec<Vec<u8>>, Status> {
        let request = self.request(Action::new(name, body));
        let results = self.client.do_action(request).await?.into_inner();
        results.map_ok(|result| result.body.to_vec()).try_collect().await
    }
}

/// A statement as Flight SQL sends it.
pub(super) fn statement(sql: &str) -> FlightDescriptor {
    let command = CommandStatementQuery { query: sql.to_owned(), transaction_id: None };
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

pub(super) fn told(status: &Status) -> (Code, &str) {
    (status.code(), code(status))
}

/// Statements of many shapes.
const SHAPES: &[&str] = &[
    "SELECT * FROM runs",
    "SELECT id, user FROM runs",
    "SELECT user AS who, id AS number FROM runs",
    "SELECT * FROM runs WHERE id < 17",
    "SELECT * FROM runs WHERE id < 0",
    "SELECT id + 1 AS next, upper(site) AS site, cpu / 2 AS half FROM runs",
    "SELECT count(*) FROM runs",
    "SELECT count(*) AS n, sum(id), min(cpu), max(cost), avg(cpu) FROM runs",
    "SELECT sum(cost) FROM runs WHERE false",
    "SELECT site, count(*) AS n FROM runs GROUP BY site",
    "SELECT site, count(DISTINCT user) FROM runs GROUP BY site HAVING count(*) > 1 ORDER BY site",
    "SELECT user, count(*) FROM runs GROUP BY user ORDER BY 2 DESC LIMIT 2",
    "SELECT DISTINCT site FROM runs",
    "SELECT * FROM runs ORDER BY id DESC LIMIT 5 OFFSET 3",
    "SELECT a.id, b.site FROM runs a JOIN runs b ON a.id = b.id",
    "SELECT r.id, j.Id FROM runs r LEFT JOIN jobs j ON r.id = j.Id + 390",
    "SELECT id, row_number() OVER (PARTITION BY site ORDER BY id) FROM runs",
    "WITH few AS (SELECT id FROM runs WHERE id < 9) SELECT max(id) FROM few",
    "SELECT id FROM runs WHERE id < 3 UNION ALL SELECT Id FROM jobs WHERE Id < 3",
    "SELECT id FROM runs INTERSECT SELECT Id FROM jobs",
    "SELECT id FROM runs WHERE id IN (SELECT Id FROM jobs WHERE Id > 397)",
    "SELECT tags, at, cost FROM runs",
    "SELECT date_trunc('day', at) AS day, count(*) FROM runs GROUP BY 1",
    "SELECT CASE WHEN id > 200 THEN site END AS late FROM runs",
    "SELECT 1",
    "SELECT NULL AS nothing",
    "SELECT table_name, column_name FROM information_schema.columns",
];

#[tokio::test]
async fn what_is_promised_of_an_answer_is_what_comes_for_every_shape_and_format() {
    let site = Site::start_with(runs(), &[]).await;
    let token = site.partner("cern");
    for headers in [
        [].as_slice(),
        &[("veilflight-strings", "utf8_view"), ("veilflight-compression", "lz4")],
        &[("veilflight-strings", "large_utf8"), ("veilflight-dictionaries", "true")],
    ] {
        let mut cern = Asker::with(&site, &token, headers).await;
        for sql in SHAPES {
            let info = cern.info(sql).await.unwrap_or_else(|status| panic!("{sql}: {status}"));
            let promised = info.clone().try_decode_schema().unwrap();
            assert_eq!(cern.schema(statement(sql)).await.unwrap(), promised, "{sql}");
            let created = super::prepared::create(&mut cern, sql).await.unwrap();
            let prepared = Schema::try_from(IpcMessage(created.dataset_schema)).unwrap();
            assert_eq!(prepared, promised, "{sql}");
            for endpoint in 0..info.endpoint.len() {
                let (schema, batches) = cern.get(ticket(&info, endpoint)).await.unwrap();
                assert_eq!(schema, promised, "{sql}");
                assert!(batches.iter().all(|batch| *batch.schema() == promised), "{sql}");
            }
            assert_eq!((info.total_records, info.total_bytes), (-1, -1), "{sql}");
            assert_eq!(info.flight_descriptor, Some(statement(sql)));
        }
    }
    site.stop().await;
}

#[tokio::test]
async fn an_empty_answer_still_sends_its_schema() {
    let site = Site::start_with(runs(), &[]).await;
    let mut cern = Asker::new(&site, "cern").await;
    for sql in ["SELECT * FROM runs WHERE id < 0", "SELECT site FROM runs GROUP BY site LIMIT 0"] {
        let info = cern.info(sql).await.unwrap();
        let all = cern.pull(&info).await.unwrap();
        assert_eq!(all.num_rows(), 0);
        assert!(all.num_columns() > 0);
    }
    site.stop().await;
}

#[tokio::test]
async fn plain_text_is_a_statement_too() {
    let site = Site::start_with(runs(), &[]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let sql = "\nSELECT max(id) AS last\nFROM runs";
    let info = cern.describe(FlightDescriptor::new_cmd(sql)).await.unwrap();
    let all = cern.pull(&info).await.unwrap();
    assert_eq!(all["last"].as_primitive::<Int64Type>().values(), &[RUNS_ROWS - 1]);
    assert_eq!(all, cern.all(sql).await.unwrap());
    let broken = FlightDescriptor::new_cmd(vec![0xff; 20]);
    assert_eq!(told(&cern.describe(broken).await.unwrap_err()), (Code::InvalidArgument, "R001"));
    site.stop().await;
}

#[tokio::test]
async fn rows_of_all_endpoints_are_the_answer_and_a_poll_is_complete() {
    let site = Site::start_with(runs(), &[]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let request = with_token(&cern.token, statement("SELECT Id * 2 AS twice FROM jobs"));
    let poll = cern.client.poll_flight_info(request).await.unwrap().into_inner();
    assert_eq!((poll.progress, poll.flight_descriptor), (Some(1.0), None));
    let info = poll.info.unwrap();
    assert_eq!(info.endpoint.len(), 10, "a row group each");
    assert!(!info.ordered);
    let all = cern.pull(&info).await.unwrap();
    let mut twice = all["twice"].as_primitive::<Int64Type>().values().to_vec();
    twice.sort_unstable();
    assert!(twice.into_iter().eq((0..ROWS as i64).map(|id| id * 2)));
    let sorted = cern.info("SELECT Id FROM jobs ORDER BY Id DESC").await.unwrap();
    assert_eq!((sorted.endpoint.len(), sorted.ordered), (1, true));
    let all = cern.pull(&sorted).await.unwrap();
    let ids = all["Id"].as_primitive::<Int64Type>().values();
    assert!(ids.iter().copied().eq((0..ROWS as i64).rev()));
    site.stop().await;
}

#[tokio::test]
async fn names_are_found_as_written_or_but_for_capitals_and_others_are_not_told() {
    let site = Site::start_with(runs(), &[]).await;
    let jets = JOBS.replace("dataset: jobs", "dataset: jets").replace("cern", "desy");
    write_policy(site.folder.path(), "jets.yaml", &jets);
    site.look_until(|flights| flights.catalog.policies().len() == 3).await;
    let mut cern = Asker::new(&site, "cern").await;
    for sql in [
        "SELECT count(*) FROM jobs",
        "SELECT count(*) FROM JOBS",
        "SELECT count(*) FROM Runs",
        "SELECT count(*) FROM \"runs\"",
        "SELECT count(*) FROM veilflight.public.jobs",
        "SELECT count(*) FROM public.jobs",
    ] {
        assert_eq!(cern.all(sql).await.unwrap().num_rows(), 1, "{sql}");
    }
    let near = cern.info("SELECT * FROM job").await.unwrap_err();
    assert_eq!(told(&near), (Code::NotFound, "D001"));
    assert!(near.message().contains("did you mean `jobs`?"), "{}", near.message());
    // A dataset of others and one that does not exist are told in the same words.
    let mut fnal = Asker::new(&site, "fnal").await;
    let strip = |status: Status, name: &str| {
        let id = status.metadata().get("veilflight-request-id").unwrap().to_str().unwrap();
        (status.code(), status.message().replace(id, "ID").replace(name, "NAME"))
    };
    let foreign = strip(fnal.info("SELECT * FROM jobs").await.unwrap_err(), "jobs");
    let absent = strip(fnal.info("SELECT * FROM jugs").await.unwrap_err(), "jugs");
    let jets = cern.info("SELECT * FROM jetz").await.unwrap_err();
    assert!(!jets.message().contains("jets"), "{}", jets.message());
    assert_eq!(foreign, absent);
    site.stop().await;
}

#[tokio::test]
async fn no_byte_that_stays_leaves_with_any_answer_or_refusal() {
    let site = Site::start_with(runs(), &[]).await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let refused = [
        "SELECT User FROM jobs",
        "SELECT * FROM jobs WHERE User = 'canary-0f3a'",
        "SELECT CAST(user AS BIGINT) FROM runs",
        "SELECT * FROM nothing",
        "EXPLAIN SELECT * FROM runs",
        "SELECT",
    ];
    for sql in SHAPES.iter().chain(&refused) {
        let info = match client.get_flight_info(with_token(&token, statement(sql))).await {
            Ok(info) => info.into_inner(),
            Err(status) => {
                // The partner's own words may come back; the column's name does, its values do not.
                let message = status.message().replace("canary-0f3a", "");
                assert!(!message.contains("canary"), "{sql}: {message}");
                continue;
            }
        };
        assert!(!contains(&info.encode_to_vec(), CANARY.as_bytes()), "{sql}");
        for endpoint in 0..info.endpoint.len() {
            let stream = client.do_get(with_token(&token, ticket(&info, endpoint))).await;
            let Ok(stream) = stream else { continue };
            let mut stream = stream.into_inner();
            while let Some(message) = stream.next().await {
                match message {
                    Ok(data) => {
                        assert!(!contains(&data.encode_to_vec(), CANARY.as_bytes()), "{sql}")
                    }
                    Err(status) => assert!(!format!("{status:?}").contains(CANARY), "{sql}"),
                }
            }
        }
    }
    site.stop().await;
}

/// A statement of so many bytes.
fn padded(len: usize) -> String {
    let sql = "SELECT Id FROM jobs --";
    format!("{sql}{}", "x".repeat(len - sql.len()))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn what_is_too_long_is_refused_and_the_longest_is_answered() {
    let site = Site::start_with(runs(), &[]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let long = cern.info(&padded((64 << 10) + 1)).await.unwrap_err();
    assert_eq!(told(&long), (Code::InvalidArgument, "R001"));
    assert!(long.message().contains("65536"), "{}", long.message());
    let info = cern.info(&padded(64 << 10)).await.unwrap();
    assert_eq!(info.endpoint.len(), 10);
    assert!(info.encoded_len() < 4 << 20, "what clients take by default");
    assert_eq!(cern.pull(&info).await.unwrap().num_rows(), ROWS);
    // The whole info comes back to be cancelled.
    let request = CancelFlightInfoRequest { info: Some(info) };
    assert!(cern.act("CancelFlightInfo", request.encode_to_vec()).await.is_ok());
    site.stop().await;
}

#[tokio::test]
async fn an_answer_larger_than_clients_take_is_not_given() {
    let folder = runs();
    let site = Site::start_with(folder, &[("shards_max", "64")]).await;
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_max_row_group_row_count(Some(20))
        .build();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_280));
    let users: ArrayRef = Arc::new(StringArray::from(vec![CANARY; 1_280]));
    let batch = RecordBatch::try_from_iter([("Id", ids), ("User", users)]).unwrap();
    let file = std::fs::File::create(site.folder.path().join("policies/jobs.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let mut cern = Asker::new(&site, "cern").await;
    assert_eq!(cern.info(&padded(100)).await.unwrap().endpoint.len(), 64);
    let refused = cern.info(&padded(64 << 10)).await.unwrap_err();
    assert_eq!(told(&refused), (Code::InvalidArgument, "R001"));
    assert!(refused.message().contains("64 endpoints"), "{}", refused.message());
    site.stop().await;
}

#[tokio::test]
async fn locations_are_empty_by_default_and_what_is_asked_or_advertised() {
    let advertised = "grpc+tls://one.example:8815,grpc+tls://two.example:8815";
    let uris = |info: &FlightInfo| -> Vec<Vec<String>> {
        let locations = info.endpoint.iter().map(|endpoint| &endpoint.location);
        locations.map(|all| all.iter().map(|location| location.uri.clone()).collect()).collect()
    };
    for (settings, plain) in [
        ([].as_slice(), vec![]),
        (&[("advertise", advertised)], advertised.split(',').map(str::to_owned).collect()),
    ] {
        let site = Site::start_with(runs(), settings).await;
        let token = site.partner("cern");
        let mut cern = Asker::with(&site, &token, &[]).await;
        let mut reusing = Asker::with(&site, &token, &[("veilflight-locations", "reuse")]).await;
        for descriptor in [statement("SELECT max(id) FROM runs"), path("runs")] {
            let info = cern.describe(descriptor.clone()).await.unwrap();
            assert_eq!(uris(&info), std::slice::from_ref(&plain));
            let info = reusing.describe(descriptor).await.unwrap();
            assert_eq!(uris(&info), [["arrow-flight-reuse-connection://?"]]);
        }
        site.stop().await;
    }
}

#[tokio::test]
async fn every_call_in_sql_is_recorded_with_its_statement_and_what_it_reads() {
    let site = Site::start_with(runs(), &[]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let sql = "SELECT r.site, count(*) FROM runs r JOIN jobs j ON r.id = j.Id GROUP BY r.site";
    let info = cern.info(sql).await.unwrap();
    let rows = cern.pull(&info).await.unwrap().num_rows() as u64;
    cern.schema(statement(sql)).await.unwrap();
    let created = super::prepared::create(&mut cern, sql).await.unwrap();
    let command = super::prepared::command(created.prepared_statement_handle);
    cern.describe(command).await.unwrap();
    cern.info("SELECT * FROM nothing").await.unwrap_err();
    cern.info("SELECT 1 +").await.unwrap_err();
    let store = Arc::clone(&site.store);
    let digests = ["jobs", "runs"]
        .map(|name| (name.to_owned(), site.flights.catalog.policy(name).unwrap().digest.clone()));
    site.stop().await;

    let lines = lines(store.as_ref(), &Filter::default()).unwrap();
    let seen: Vec<(&str, &str, &str)> = lines
        .iter()
        .map(|line| {
            let statement = line.subject.statement.as_ref();
            let text = statement.map_or("", |statement| statement.text());
            (line.subject.method.as_str(), line.outcome, text)
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("GetFlightInfo", "done", sql),
            ("DoGet", "done", sql),
            ("GetSchema", "done", sql),
            ("DoAction", "done", sql),
            ("GetFlightInfo", "done", sql),
            ("GetFlightInfo", "refused", "SELECT * FROM nothing"),
            ("GetFlightInfo", "refused", "SELECT 1 +"),
        ]
    );
    for line in lines.iter().take(5) {
        let read: Vec<_> = (line.subject.reads.iter())
            .map(|read| (read.dataset.clone(), read.policy_digest.clone()))
            .collect();
        assert_eq!(read, digests, "{}", line.subject.method);
    }
    let pull = &lines[1];
    assert_eq!(pull.rows, Some(rows));
    let columns: Vec<&[String]> =
        pull.subject.reads.iter().map(|read| read.columns.as_slice()).collect();
    assert_eq!(columns, [["Id".to_owned()].as_slice(), &["id".to_owned(), "site".to_owned()]]);
}

#[tokio::test]
async fn a_grant_of_aggregates_is_asked_in_sql_and_not_pulled() {
    let site = Site::start_with(runs(), &[]).await;
    let mut desy = Asker::new(&site, "desy").await;
    let refused = desy.describe(path("runs")).await.unwrap_err();
    assert_eq!(told(&refused), (Code::PermissionDenied, "Q004"));
    assert_eq!(told(&desy.schema(path("runs")).await.unwrap_err()).1, "Q004");
    let request = with_token(&desy.token, arrow_flight::Criteria::default());
    let listed = desy.client.list_flights(request).await.unwrap().into_inner();
    assert_eq!(listed.count().await, 0);
    let about = desy.act("veilflight.policy_info", b"runs".to_vec()).await.unwrap();
    let about: serde_json::Value = serde_json::from_slice(&about[0]).unwrap();
    assert_eq!((&about["access"], &about["group_min"]), (&"aggregates".into(), &3.into()));
    let rows = desy.info("SELECT id FROM runs").await.unwrap_err();
    assert_eq!(told(&rows), (Code::PermissionDenied, "Q004"));
    let all = desy.all("SELECT count(*) AS n FROM runs").await.unwrap();
    assert_eq!(all["n"].as_primitive::<Int64Type>().values(), &[RUNS_ROWS]);
    // A dataset of which one has nothing at all stays unknown.
    assert_eq!(told(&desy.describe(path("jobs")).await.unwrap_err()).1, "D001");
    assert_eq!(told(&desy.info("SELECT count(*) FROM jobs").await.unwrap_err()).1, "D001");
    site.stop().await;
}

#[tokio::test]
async fn the_flight_sql_client_of_rust_asks_and_gets() {
    let site = Site::start_with(runs(), &[]).await;
    let token = site.partner("cern");
    let mut client = FlightSqlServiceClient::new_from_inner(site.client().await);
    client.set_token(token);
    let info = client.execute("SELECT count(*) AS n FROM runs".to_owned(), None).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let batches: Vec<_> = client.do_get(ticket).await.unwrap().try_collect().await.unwrap();
    assert_eq!(batches[0]["n"].as_primitive::<Int64Type>().values(), &[RUNS_ROWS]);
    let info = client.get_tables(CommandGetTables::default()).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let batches: Vec<_> = client.do_get(ticket).await.unwrap().try_collect().await.unwrap();
    let names = batches[0]["table_name"].as_string::<i32>();
    let names: Vec<&str> = names.iter().map(Option::unwrap).collect();
    assert!(names.contains(&"runs") && names.contains(&"jobs"), "{names:?}");
    assert!(client.execute_update("DELETE FROM runs".to_owned(), None).await.is_err());
    assert!(client.begin_transaction().await.is_err());
    site.stop().await;
}
