//! Every method, with every wrong sort of credentials.

use arrow_flight::sql::{
    CommandGetSqlInfo, CommandGetTables, CommandPreparedStatementQuery,
    CommandPreparedStatementUpdate, CommandStatementIngest, CommandStatementQuery,
    CommandStatementSubstraitPlan, CommandStatementUpdate, ProstMessageExt,
};
use arrow_flight::{
    Action, Criteria, Empty, FlightData, FlightDescriptor, HandshakeRequest, Ticket,
};
use futures::{StreamExt, stream};
use prost::Message;
use tonic::{Code, Request, Status};
use veilflight::identity::enrol;

use crate::site::{CANARY, Client, Site, code, info, path, with_token};

/// Calls every method with the header, and returns what each one says.
async fn sweep(client: &mut Client, header: Option<&str>) -> Vec<(&'static str, Option<Status>)> {
    fn dress<T>(header: Option<&str>, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(header) = header {
            request.metadata_mut().insert("authorization", header.parse().unwrap());
        }
        request
    }
    let hello = stream::iter([HandshakeRequest::default()]);
    let data = || stream::iter([FlightData::default()]);
    let mut told = vec![
        ("Handshake", client.handshake(dress(header, hello)).await.err()),
        ("ListFlights", client.list_flights(dress(header, Criteria::default())).await.err()),
        ("GetFlightInfo", client.get_flight_info(dress(header, path("jobs"))).await.err()),
        ("PollFlightInfo", client.poll_flight_info(dress(header, path("jobs"))).await.err()),
        ("GetSchema", client.get_schema(dress(header, path("jobs"))).await.err()),
        ("DoGet", client.do_get(dress(header, Ticket::default())).await.err()),
        ("DoPut", client.do_put(dress(header, data())).await.err()),
        ("DoExchange", client.do_exchange(dress(header, data())).await.err()),
        ("DoAction", client.do_action(dress(header, Action::default())).await.err()),
        ("ListActions", client.list_actions(dress(header, Empty::default())).await.err()),
    ];
    // Everything that is asked in SQL comes by the same methods, and has to pass the same layer.
    let query = CommandStatementQuery { query: "SELECT 1".to_owned(), transaction_id: None };
    let prepared = CommandPreparedStatementQuery { prepared_statement_handle: "h".into() };
    let commands = [
        ("CommandStatementQuery", query.as_any()),
        ("CommandPreparedStatementQuery", prepared.as_any()),
        ("CommandGetTables", CommandGetTables::default().as_any()),
        ("CommandGetSqlInfo", CommandGetSqlInfo::default().as_any()),
    ]
    .map(|(name, any)| (name, FlightDescriptor::new_cmd(any.encode_to_vec())));
    for (name, command) in
        commands.into_iter().chain([("SQL", FlightDescriptor::new_cmd("SELECT 1"))])
    {
        let data = stream::iter([FlightData::new().with_descriptor(command.clone())]);
        told.push((name, client.get_flight_info(dress(header, command.clone())).await.err()));
        told.push((name, client.poll_flight_info(dress(header, command.clone())).await.err()));
        told.push((name, client.get_schema(dress(header, command)).await.err()));
        told.push((name, client.do_put(dress(header, data)).await.err()));
    }
    for name in ACTIONS {
        told.push((name, client.do_action(dress(header, Action::new(name, ""))).await.err()));
    }
    told
}

/// The actions that are offered.
const ACTIONS: [&str; 12] = [
    "CancelFlightInfo",
    "CancelQuery",
    "RenewFlightEndpoint",
    "CreatePreparedStatement",
    "ClosePreparedStatement",
    "veilflight.server_info",
    "veilflight.policy_info",
    "veilflight.privacy_cost",
    "veilflight.privacy_budget",
    "SetSessionOptions",
    "GetSessionOptions",
    "CloseSession",
];

async fn all_refused(client: &mut Client, header: Option<&str>, expected: &str) {
    for (method, status) in sweep(client, header).await {
        let status = status.unwrap_or_else(|| panic!("{method} answered {header:?}"));
        assert_eq!(status.code(), Code::Unauthenticated, "{method} {header:?}");
        assert_eq!(code(&status), expected, "{method} {header:?}");
        assert!(status.metadata().contains_key("veilflight-request-id"), "{method}");
        assert!(!format!("{status:?}").contains(CANARY));
    }
}

#[tokio::test]
async fn without_credentials_no_method_answers() {
    let site = Site::start().await;
    all_refused(&mut site.client().await, None, "I001").await;
    site.stop().await;
}

#[tokio::test]
async fn with_wrong_credentials_no_method_answers() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let short = token.split_at(token.len() - 1).0;
    for header in [
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        &format!("Bearer {short}"),
        &format!("Bearer {token}x"),
        "Basic Y2Vybjp3cm9uZw==",
        "Basic !!!",
        &format!("Digest {token}"),
        &token,
    ] {
        all_refused(&mut client, Some(header), "I002").await;
    }
    site.stop().await;
}

#[tokio::test]
async fn a_disabled_partner_is_refused_at_the_next_call_on_the_same_connection() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    assert!(info(&mut client, &token, "jobs").await.is_ok());
    enrol::set_disabled(site.store.as_ref(), "cern", true).unwrap();
    all_refused(&mut client, Some(&format!("Bearer {token}")), "I002").await;
    site.stop().await;
}

#[tokio::test]
async fn two_partners_on_one_connection_stay_apart() {
    let site = Site::start().await;
    let (cern, fnal) = (site.partner("cern"), site.partner("fnal"));
    let mut client = site.client().await;
    for _ in 0..3 {
        assert!(info(&mut client, &cern, "jobs").await.is_ok());
        assert_eq!(code(&info(&mut client, &fnal, "jobs").await.unwrap_err()), "D001");
    }
    site.stop().await;
}

#[tokio::test]
async fn what_one_may_not_read_looks_like_what_does_not_exist() {
    let site = Site::start().await;
    let token = site.partner("fnal");
    let mut client = site.client().await;
    let strip = |status: Status| {
        let id = status.metadata().get("veilflight-request-id").unwrap();
        let message = status.message().replace(id.to_str().unwrap(), "ID");
        (status.code(), message, status.details().to_vec(), code(&status).to_owned())
    };
    let forbidden = strip(info(&mut client, &token, "jobs").await.unwrap_err());
    let absent = strip(info(&mut client, &token, "nothing").await.unwrap_err());
    assert_eq!(forbidden, absent);
    assert_eq!(forbidden.0, Code::NotFound);
    for dataset in ["jobs", "nothing"] {
        let schema = client.get_schema(with_token(&token, path(dataset))).await.unwrap_err();
        assert_eq!(strip(schema), absent);
        let action = Action::new("veilflight.policy_info", dataset.to_owned());
        let action = client.do_action(with_token(&token, action)).await.unwrap_err();
        assert_eq!(strip(action), absent);
    }
    let listed = client.list_flights(with_token(&token, Criteria::default())).await.unwrap();
    assert_eq!(listed.into_inner().count().await, 0);
    site.stop().await;
}

#[tokio::test]
async fn two_authorization_headers_are_refused() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut request = with_token(&token, path("jobs"));
    request.metadata_mut().append("authorization", format!("Bearer {token}").parse().unwrap());
    let status = site.client().await.get_flight_info(request).await.unwrap_err();
    assert_eq!(code(&status), "I002");
    site.stop().await;
}

#[tokio::test]
async fn basic_credentials_become_a_bearer_token() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let basic = data_encoding::BASE64.encode(format!("cern:{token}").as_bytes());
    let mut request = Request::new(stream::iter([HandshakeRequest::default()]));
    request.metadata_mut().insert("authorization", format!("Basic {basic}").parse().unwrap());
    let answer = client.handshake(request).await.unwrap();
    let header = answer.metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
    let payload = answer.into_inner().next().await.unwrap().unwrap().payload;
    let session = header.strip_prefix("Bearer ").unwrap();
    assert_eq!(payload, session.as_bytes());
    assert_ne!(session, token);
    assert!(info(&mut client, session, "jobs").await.is_ok());
    enrol::rotate(site.store.as_ref(), "cern").unwrap();
    assert_eq!(code(&info(&mut client, session, "jobs").await.unwrap_err()), "I002");
    site.stop().await;
}

#[tokio::test]
async fn a_handshake_without_a_word_is_answered_too() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let nothing = stream::iter(Vec::<HandshakeRequest>::new());
    let answer = site.client().await.handshake(with_token(&token, nothing)).await.unwrap();
    assert_eq!(answer.into_inner().count().await, 1);
    site.stop().await;
}

#[tokio::test]
async fn what_writes_is_not_offered() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let query =
        |transaction_id| CommandStatementQuery { query: "SELECT 1".to_owned(), transaction_id };
    let update =
        CommandStatementUpdate { query: "DELETE FROM jobs".to_owned(), transaction_id: None };
    let writing = [
        update.as_any(),
        CommandPreparedStatementUpdate::default().as_any(),
        CommandStatementIngest::default().as_any(),
        CommandStatementSubstraitPlan::default().as_any(),
        query(Some("t".into())).as_any(),
    ];
    let mut told = Vec::new();
    for command in &writing {
        let command = FlightDescriptor::new_cmd(command.encode_to_vec());
        let request = with_token(&token, command.clone());
        told.push(client.get_flight_info(request).await.unwrap_err());
        told.push(client.get_schema(with_token(&token, command)).await.unwrap_err());
    }
    // What reads is not put either, but for the parameters of a prepared statement.
    for command in writing.into_iter().chain([query(None).as_any()]) {
        let command = FlightDescriptor::new_cmd(command.encode_to_vec());
        let data = stream::iter([FlightData::new().with_descriptor(command)]);
        told.push(client.do_put(with_token(&token, data)).await.unwrap_err());
    }
    let path = stream::iter([FlightData::new().with_descriptor(path("jobs"))]);
    let nothing = stream::iter([FlightData::default()]);
    told.push(client.do_put(with_token(&token, path)).await.unwrap_err());
    told.push(client.do_put(with_token(&token, nothing)).await.unwrap_err());
    let exchange = stream::iter([FlightData::default()]);
    told.push(client.do_exchange(with_token(&token, exchange)).await.unwrap_err());
    for name in [
        "BeginTransaction",
        "EndTransaction",
        "BeginSavepoint",
        "EndSavepoint",
        "CreatePreparedSubstraitPlan",
        "",
    ] {
        let action = with_token(&token, Action::new(name, ""));
        told.push(client.do_action(action).await.unwrap_err());
    }
    for status in told {
        assert_eq!((status.code(), code(&status)), (Code::Unimplemented, "R002"));
    }
    site.stop().await;
}
