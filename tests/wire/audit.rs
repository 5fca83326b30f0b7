//! What the log says of what partners did, and of those who were turned away.

use std::sync::Arc;

use futures::StreamExt;
use tonic::Request;
use veilflight::audit::show::{Filter, lines};
use veilflight::audit::verify::verify;

use crate::site::{CANARY, ROWS, Site, code, info, path, ticket, with_token};

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
