//! What the log says of what partners did, and of those who were turned away.

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::{Action, Criteria};
use futures::StreamExt;
use tonic::Request;
use veilflight::audit::show::{Filter, lines};
use veilflight::audit::verify::verify;
use veilflight::clock::{Clock, ManualClock, SystemClock};
use veilflight::state::Sqlite;

use crate::site::{CANARY, ROWS, Site, code, folder, info, path, ticket, with_token};

#[tokio::test]
async fn every_call_leaves_one_entry_and_the_log_is_whole() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let info = info(&mut client, &token, "jobs").await.unwrap();
    for endpoint in 0..info.endpoint.len() {
        let stream = client.do_get(with_token(&token, ticket(&info, endpoint))).await.unwrap();
        let messages = stream.into_inner().collect::<Vec<_>>().await;
        assert!(messages.iter().all(Result::is_ok));
    }
    let unknown = client.get_flight_info(with_token(&token, path("nothing"))).await.unwrap_err();
    assert_eq!(code(&unknown), "D001");
    let stranger = client.get_flight_info(Request::new(path("jobs"))).await.unwrap_err();
    assert_eq!(code(&stranger), "I001");
    let (store, ring) = (Arc::clone(&site.store), Arc::clone(&site.ring));
    let digest = site.flights.catalog.policy("jobs").unwrap().digest.clone();
    site.stop().await;

    let lines = lines(store.as_ref(), &Filter::default()).unwrap();
    let told: Vec<(&str, &str, Option<&str>)> = lines
        .iter()
        .map(|line| (line.subject.method.as_str(), line.outcome, line.code.as_deref()))
        .collect();
    let mut expected = vec![("GetFlightInfo", "done", None)];
    expected.extend([("DoGet", "done", None); 10]);
    expected.push(("GetFlightInfo", "refused", Some("D001")));
    expected.push(("GetFlightInfo", "refused", Some("I001")));
    assert_eq!(told, expected);
    let rows: u64 = lines.iter().filter_map(|line| line.rows).sum();
    assert_eq!(rows, ROWS as u64);
    for line in lines.iter().filter(|line| line.subject.method == "DoGet") {
        assert_eq!(line.subject.dataset.as_deref(), Some("jobs"));
        assert_eq!(line.subject.policy_digest.as_deref(), Some(digest.as_str()));
        assert_eq!(
            (line.subject.partner.as_str(), &line.subject.columns[..]),
            ("cern", &["Id".to_owned()][..])
        );
    }
    assert!(!format!("{lines:?}").contains(CANARY));
    assert!(!format!("{lines:?}").contains("nothing"), "a name that is not known is not kept");
    assert!(verify(store.as_ref(), &ring, None).unwrap().is_whole());
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_answered_and_no_data_is_touched() {
    let folder = folder();
    let file = folder.path().join("state/state.sqlite");
    let clock = ManualClock::new(SystemClock.now_micros());
    let store = Arc::new(Sqlite::open(&file, Arc::new(clock.clone())).unwrap());
    let site = Site::start_over(folder, &[], clock, store).await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let info = info(&mut client, &token, "jobs").await.unwrap();
    // As when the disk is full: nothing can be added to the log.
    let saboteur = rusqlite::Connection::open(&file).unwrap();
    let full = "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END";
    saboteur.execute_batch(full).unwrap();
    // Whoever looked at the data first would fail with their absence.
    std::fs::remove_file(site.folder.path().join("policies/jobs.parquet")).unwrap();
    // A look at the files is remembered for a second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let about = Action::new("veilflight.policy_info", "jobs");
    let list = Criteria::default();
    let refused = [
        client.get_flight_info(with_token(&token, path("jobs"))).await.err(),
        client.poll_flight_info(with_token(&token, path("jobs"))).await.err(),
        client.get_schema(with_token(&token, path("jobs"))).await.err(),
        client.list_flights(with_token(&token, list)).await.err(),
        client.do_get(with_token(&token, ticket(&info, 0))).await.err(),
        client.do_action(with_token(&token, about)).await.err(),
        client.list_actions(with_token(&token, arrow_flight::Empty {})).await.err(),
    ];
    for (number, status) in refused.into_iter().enumerate() {
        assert_eq!(code(&status.unwrap()), "M001", "call {number}");
    }
    saboteur.execute_batch("DROP TRIGGER full").unwrap();
    let status = client.get_schema(with_token(&token, path("jobs"))).await.unwrap_err();
    assert_eq!(code(&status), "S001");
    site.stop().await;
}
