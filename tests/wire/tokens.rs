//! Token maps behind a running server: rows are counted once, and sealed originals change no token.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow_flight::decode::FlightRecordBatchStream;
use futures::TryStreamExt;
use veilflight::clock::{Clock, ManualClock, SystemClock};
use veilflight::keys::originals::Private;
use veilflight::state::{Sqlite, Store};

use crate::site::{
    CANARY, Client, ROWS, Site, folder, info, ticket, with_token, write_jobs, write_policy,
};

const POLICY: &str = "\
version: 1
dataset: jobs
description: Batch jobs
linkage: shared
source: {parquet: jobs.parquet}
columns:
  Id: {pseudonym: {method: token, prefix: job_}}
  User: {pseudonym: {method: token, domain: person, prefix: user_, width: 4}}
grants:
  - {partner: cern, access: rows}
  - {partner: desy, access: rows}
";

const USERS: &str = "domain:person|shared|1";
const JOBS: &str = "column:jobs/Id|shared|1";

/// A server with its state in a file, so that others can open it too.
async fn site() -> Site {
    let folder = folder();
    write_policy(folder.path(), "jobs.yaml", POLICY);
    let clock = ManualClock::new(SystemClock.now_micros());
    let file = folder.path().join("tokens/state.sqlite");
    let store = Arc::new(Sqlite::open(&file, Arc::new(clock.clone())).unwrap());
    Site::start_over(folder, &[], clock, store).await
}

/// The tokens of all rows, in their order.
async fn pull(client: &mut Client, token: &str) -> Vec<(String, String)> {
    let info = info(client, token, "jobs").await.unwrap();
    let mut rows = Vec::new();
    for endpoint in 0..info.endpoint.len() {
        let stream = client.do_get(with_token(token, ticket(&info, endpoint))).await.unwrap();
        let stream = stream.into_inner().map_err(Into::into);
        let mut batches = FlightRecordBatchStream::new_from_flight_data(stream);
        while let Some(batch) = batches.try_next().await.unwrap() {
            let column = |at: usize| batch.column(at).as_string::<i32>().clone();
            let (ids, users) = (column(0), column(1));
            let pairs = ids.iter().zip(users.iter());
            rows.extend(pairs.map(|(id, user)| (id.unwrap().to_owned(), user.unwrap().to_owned())));
        }
    }
    rows
}

fn rows_of(store: &dyn Store, scope: &str) -> BTreeMap<u64, u64> {
    let tokens = store.tokens(scope, None, None).unwrap();
    tokens.into_iter().map(|token| (token.number, token.rows)).collect()
}

#[tokio::test]
async fn rows_are_counted_once_however_often_and_by_whomever_they_are_pulled() {
    let site = site().await;
    let cern = site.partner("cern");
    let desy = site.partner("desy");
    let mut client = site.client().await;
    let first = pull(&mut client, &cern).await;
    assert_eq!(first.len(), ROWS);
    let counted = BTreeMap::from([(1, ROWS as u64)]);
    assert_eq!(rows_of(&*site.store, USERS), counted);
    assert!(rows_of(&*site.store, JOBS).values().eq(&vec![1; ROWS]));
    // The same rows again: for the same partner, for another, and from a server that knows nothing yet.
    assert_eq!(pull(&mut client, &cern).await, first);
    assert_eq!(pull(&mut client, &desy).await, first);
    let replica = site.replica().await;
    assert_eq!(pull(&mut replica.client().await, &cern).await, first);
    replica.stop().await;
    assert_eq!(rows_of(&*site.store, USERS), counted);
    // Other data take the place of those that were counted.
    write_jobs(site.folder.path(), 20);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(pull(&mut client, &cern).await.len(), 20);
    assert_eq!(rows_of(&*site.store, USERS), BTreeMap::from([(1, 20)]));
    assert_eq!(rows_of(&*site.store, JOBS).values().sum::<u64>(), 20);
    site.stop().await;
}

/// Whether a file of the folder holds these bytes.
fn lies_in(folder: &Path, what: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        bytes.windows(what.len()).any(|window| window == what)
    })
}

#[tokio::test]
async fn sealing_under_a_running_server_changes_no_token_and_leaves_no_original() {
    let site = site().await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let before = pull(&mut client, &token).await;
    let state = site.folder.path().join("tokens");
    assert!(lies_in(&state, CANARY.as_bytes()), "the search finds what is there");
    // As `mapping seal-key` and `mapping seal` do, from another process.
    let clock = Arc::new(site.clock.clone());
    let by_hand = Sqlite::open(&state.join("state.sqlite"), clock).unwrap();
    let private = Private::generate().unwrap();
    assert!(by_hand.set_originals_key(&private.public().unwrap(), &site.ring).unwrap());
    let done = by_hand.seal_originals().unwrap();
    assert_eq!((done.sealed, done.cleared), (ROWS as u64 + 1, true));
    // The server that ran all the time, and one that starts anew, give the same tokens.
    assert_eq!(pull(&mut client, &token).await, before);
    let replica = site.replica().await;
    assert_eq!(pull(&mut replica.client().await, &token).await, before);
    replica.stop().await;
    // Values that are new get the next numbers; they are written and cannot be read.
    write_jobs(site.folder.path(), ROWS + 3);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let more = pull(&mut client, &token).await;
    assert_eq!(more[..ROWS], before);
    assert!(more[ROWS..].iter().all(|(id, _)| !before.iter().any(|(known, _)| known == id)));
    assert!(!lies_in(&state, CANARY.as_bytes()));
    let store = Arc::clone(&site.store);
    site.stop().await;
    assert!(store.tokens(USERS, None, None).unwrap().iter().all(|token| token.original.is_none()));
    let opened = store.tokens(USERS, Some(1), Some(&private)).unwrap();
    assert_eq!(opened[0].original.as_deref(), Some(CANARY));
}
