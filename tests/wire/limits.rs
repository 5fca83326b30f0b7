//! How much a partner may take a day: the stream that would pass it ends with the code, and nothing
//! past the limit has left.

use std::sync::Arc;

use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use futures::{StreamExt, TryStreamExt};
use tempfile::TempDir;
use tonic::{Code, Status};
use veilflight::clock::{Clock, ManualClock, SystemClock};
use veilflight::state::{Sqlite, Store};

use crate::site::{
    Client, JOBS, ROWS, Site, code, folder, info, ticket, until, with_token, write_jobs,
    write_policy,
};

const DAY_SECONDS: i64 = 86_400;

/// The folder of [`JOBS`] with limits in its grant.
fn limited(limits: &str) -> TempDir {
    let folder = folder();
    let grant = format!("access: rows, limits: {{{limits}}}}}");
    write_policy(folder.path(), "jobs.yaml", &JOBS.replace("access: rows}", &grant));
    folder
}

/// What came of one endpoint: rows, bytes of messages that hold rows, and how it ended.
async fn pull(client: &mut Client, token: &str, endpoint: usize) -> (u64, u64, Option<Status>) {
    let info = info(client, token, "jobs").await.unwrap();
    let answer = client.do_get(with_token(token, ticket(&info, endpoint))).await;
    let mut stream = match answer {
        Ok(answer) => answer.into_inner(),
        Err(status) => return (0, 0, Some(status)),
    };
    let mut messages: Vec<FlightData> = Vec::new();
    let status = loop {
        match stream.next().await {
            Some(Ok(message)) => messages.push(message),
            Some(Err(status)) => break Some(status),
            None => break None,
        }
    };
    // The first one is the schema.
    let size = |message: &FlightData| message.data_header.len() + message.data_body.len();
    let bytes = messages.iter().skip(1).map(size).sum::<usize>() as u64;
    let messages = futures::stream::iter(messages.into_iter().map(Ok));
    let batches = FlightRecordBatchStream::new_from_flight_data(messages);
    let batches: Vec<_> = batches.try_collect().await.unwrap();
    (batches.iter().map(|batch| batch.num_rows() as u64).sum(), bytes, status)
}

/// What is counted, as `dataset rows`, once nothing is under way.
async fn counted(site: &Site) -> Vec<(String, u64)> {
    until("every stream gives back", || site.flights.admission.is_idle()).await;
    let usage = site.store.usage(Some("cern"), site.clock.today()).unwrap();
    let name = |dataset: Option<String>| dataset.unwrap_or_else(|| "*".to_owned());
    usage.into_iter().map(|usage| (name(usage.dataset), usage.amount.rows)).collect()
}

fn told(status: &Status) -> (Code, &str) {
    (status.code(), code(status))
}

#[tokio::test]
async fn rows_end_at_the_days_limit_and_go_on_the_next_day() {
    // A shard has 1,000 rows, in one message.
    let site = Site::start_with(limited("rows_day: 3500"), &[]).await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    for endpoint in 0..3 {
        let (rows, _, status) = pull(&mut client, &token, endpoint).await;
        assert_eq!((rows, status.is_none()), (1000, true));
    }
    for endpoint in [3, 4] {
        let (rows, _, status) = pull(&mut client, &token, endpoint).await;
        assert_eq!((rows, told(&status.unwrap())), (0, (Code::ResourceExhausted, "L010")));
    }
    assert_eq!(counted(&site).await, [("jobs".to_owned(), 3000)]);
    // Another partner's grant is their own.
    let info_of_another = info(&mut client, &site.partner("lab"), "jobs").await.unwrap_err();
    assert_eq!(code(&info_of_another), "D001");

    site.clock.advance_seconds(DAY_SECONDS);
    let (rows, _, status) = pull(&mut client, &token, 3).await;
    assert_eq!((rows, status.is_none()), (1000, true));
    assert_eq!(counted(&site).await, [("jobs".to_owned(), 1000)]);
    site.stop().await;
}

#[tokio::test]
async fn who_has_nothing_left_is_refused_before_anything_is_read() {
    let site = Site::start_with(limited("rows_day: 1000"), &[]).await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    assert_eq!(pull(&mut client, &token, 0).await.0, 1000);
    assert_eq!(counted(&site).await, [("jobs".to_owned(), 1000)]);
    // The file is gone: were it read, this would be another code.
    let info = info(&mut client, &token, "jobs").await.unwrap();
    std::fs::remove_file(site.folder.path().join("policies/jobs.parquet")).unwrap();
    let status = client.do_get(with_token(&token, ticket(&info, 1))).await.unwrap_err();
    assert_eq!(told(&status), (Code::ResourceExhausted, "L010"));
    site.stop().await;
}

#[tokio::test]
async fn bytes_end_at_the_days_limit_to_the_message() {
    const LIMIT: u64 = 500_000;
    let folder = folder();
    write_jobs(folder.path(), 200_000);
    let settings = [("bytes_day", "500000"), ("message_bytes", "65536"), ("shards_max", "1")];
    let site = Site::start_with(folder, &settings).await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let (rows, bytes, status) = pull(&mut client, &token, 0).await;
    assert_eq!(told(&status.unwrap()), (Code::ResourceExhausted, "L011"));
    // The next message would have passed it.
    assert!(bytes <= LIMIT && bytes > LIMIT - 80_000, "{bytes}");
    assert_eq!(counted(&site).await, [("*".to_owned(), rows)]);
    let usage = site.store.usage(Some("cern"), site.clock.today()).unwrap();
    assert_eq!(usage[0].amount.bytes, bytes);
    site.stop().await;
}

#[tokio::test]
async fn streams_at_the_same_time_share_what_is_left() {
    let site = Site::start_with(limited("rows_day: 5000"), &[]).await;
    let token = site.partner("cern");
    let client = site.client().await;
    let pulls: Vec<_> = (0..10)
        .map(|endpoint| {
            let (mut client, token) = (client.clone(), token.clone());
            tokio::spawn(async move { pull(&mut client, &token, endpoint).await })
        })
        .collect();
    let (mut rows, mut refused) = (0, 0);
    for pull in pulls {
        let (more, _, status) = pull.await.unwrap();
        rows += more;
        if let Some(status) = status {
            assert_eq!(told(&status), (Code::ResourceExhausted, "L010"));
            refused += 1;
        }
    }
    assert_eq!((rows, refused), (5000, 5));
    assert_eq!(counted(&site).await, [("jobs".to_owned(), 5000)]);
    site.stop().await;
}

#[tokio::test]
async fn what_was_taken_is_remembered_over_a_restart() {
    let clock = ManualClock::new(SystemClock.now_micros());
    let (data, state) = (limited("rows_day: 2000"), tempfile::tempdir().unwrap());
    let file = state.path().join("state.sqlite");
    let open = || Arc::new(Sqlite::open(&file, Arc::new(clock.clone())).unwrap());
    let site = Site::start_over(data, &[], clock.clone(), open()).await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    for endpoint in 0..2 {
        assert_eq!(pull(&mut client, &token, endpoint).await.0, 1000);
    }
    let data = site.stop().await;
    let site = Site::start_over(data, &[], clock.clone(), open()).await;
    let mut client = site.client().await;
    let (_, _, status) = pull(&mut client, &token, 2).await;
    assert_eq!(told(&status.unwrap()), (Code::ResourceExhausted, "L010"));
    site.clock.advance_seconds(DAY_SECONDS);
    assert_eq!(pull(&mut client, &token, 2).await.0, 1000);
    site.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_cut_gives_back_what_it_did_not_send() {
    let folder = limited("rows_day: 100000000");
    write_jobs(folder.path(), 8_000_000);
    let settings = [("message_bytes", "65536"), ("shards_max", "1")];
    let site = Site::start_with(folder, &settings).await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let info = info(&mut client, &token, "jobs").await.unwrap();
    let stream = client.do_get(with_token(&token, ticket(&info, 0))).await.unwrap();
    let mut stream = stream.into_inner();
    stream.next().await.unwrap().unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    let rows = counted(&site).await[0].1;
    // What was made ahead counts, what was claimed ahead does not.
    assert!((8_000..2_000_000).contains(&rows), "{rows}");
    let entries = site.store.usage(Some("cern"), site.clock.today()).unwrap();
    assert!(entries[0].amount.bytes >= rows * 8);
    assert_ne!(rows % 262_144, 0);
    site.stop().await;
}

#[tokio::test]
async fn nothing_is_counted_where_nothing_is_limited() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let mut rows = 0;
    for endpoint in 0..10 {
        rows += pull(&mut client, &token, endpoint).await.0;
    }
    assert_eq!(rows, ROWS as u64);
    assert!(counted(&site).await.is_empty());
    site.stop().await;
}
