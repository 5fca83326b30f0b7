//! What a partner gets: the schema that was promised, the rows that may leave, and nothing else.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, Schema};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::{Action, Criteria, Empty, FlightInfo};
use futures::{StreamExt, TryStreamExt};
use serde_json::Value;
use tonic::Code;

use crate::site::{
    CANARY, Client, JOBS, ROWS, Site, code, info, path, ticket, with_token, write_policy,
};

async fn pull(client: &mut Client, token: &str, info: &FlightInfo) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    for endpoint in 0..info.endpoint.len() {
        let stream = client.do_get(with_token(token, ticket(info, endpoint))).await.unwrap();
        let stream = stream.into_inner().map_err(Into::into);
        let decoded = FlightRecordBatchStream::new_from_flight_data(stream);
        batches.extend(decoded.try_collect::<Vec<_>>().await.unwrap());
    }
    batches
}

#[tokio::test]
async fn all_shards_together_are_the_table_under_the_promised_schema() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let info = info(&mut client, &token, "jobs").await.unwrap();
    assert_eq!(info.endpoint.len(), 10, "a row group each");
    assert!(info.endpoint.iter().all(|endpoint| endpoint.location.is_empty()));
    assert_eq!((info.total_records, info.total_bytes), (-1, -1));
    assert_eq!(info.app_metadata.len(), 64);
    let promised = info.clone().try_decode_schema().unwrap();
    assert_eq!(promised.fields().len(), 1);
    assert_eq!(promised.field(0).data_type(), &DataType::Int64);
    assert_eq!(promised.field(0).metadata()["veilflight.protection"], "keep");

    let answer = client.get_schema(with_token(&token, path("jobs"))).await.unwrap().into_inner();
    assert_eq!(Schema::try_from(answer).unwrap(), promised);

    let batches = pull(&mut client, &token, &info).await;
    assert!(batches.iter().all(|batch| *batch.schema() == promised));
    let mut ids: Vec<i64> = batches
        .iter()
        .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
        .collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..ROWS as i64));
    site.stop().await;
}

#[tokio::test]
async fn no_byte_of_a_column_that_is_kept_back_leaves() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let info = info(&mut client, &token, "jobs").await.unwrap();
    let mut bytes = format!("{info:?}").into_bytes();
    for endpoint in 0..info.endpoint.len() {
        let stream = client.do_get(with_token(&token, ticket(&info, endpoint))).await.unwrap();
        for message in stream.into_inner().try_collect::<Vec<_>>().await.unwrap() {
            bytes.extend_from_slice(&message.data_header);
            bytes.extend_from_slice(&message.data_body);
            bytes.extend_from_slice(&message.app_metadata);
        }
    }
    assert!(bytes.len() > ROWS * 8);
    for canary in [CANARY.as_bytes(), b"User"] {
        assert!(!bytes.windows(canary.len()).any(|window| window == canary));
    }
    site.stop().await;
}

#[tokio::test]
async fn the_list_holds_what_one_may_read_and_takes_a_prefix() {
    let site = Site::start().await;
    for (dataset, partner) in [("jets", "cern"), ("lab", "cern"), ("secret", "fnal")] {
        let text = JOBS.replace("dataset: jobs", &format!("dataset: {dataset}"));
        let text = text.replace("partner: cern", &format!("partner: {partner}"));
        write_policy(site.folder.path(), &format!("{dataset}.yaml"), &text);
    }
    site.look_until(|flights| flights.catalog.policies().len() == 4).await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    for (prefix, expected) in [("", vec!["jets", "jobs", "lab"]), ("j", vec!["jets", "jobs"])] {
        let criteria = Criteria { expression: prefix.into() };
        let listed = client.list_flights(with_token(&token, criteria)).await.unwrap();
        let infos: Vec<FlightInfo> = listed.into_inner().try_collect().await.unwrap();
        let names: Vec<String> =
            infos.into_iter().map(|info| info.flight_descriptor.unwrap().path.concat()).collect();
        assert_eq!(names, expected);
    }
    let wrong = Criteria { expression: vec![0xff].into() };
    let status = client.list_flights(with_token(&token, wrong)).await.unwrap_err();
    assert_eq!(code(&status), "R001");
    site.stop().await;
}

#[tokio::test]
async fn polling_is_complete_at_once() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let poll = client.poll_flight_info(with_token(&token, path("jobs"))).await.unwrap();
    let poll = poll.into_inner();
    assert_eq!((poll.progress, poll.flight_descriptor), (Some(1.0), None));
    assert_eq!(pull(&mut client, &token, &poll.info.unwrap()).await.len(), 10);
    site.stop().await;
}

#[tokio::test]
async fn actions_are_listed_and_a_policy_explains_itself() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let listed = client.list_actions(with_token(&token, Empty {})).await.unwrap().into_inner();
    let names: Vec<String> = listed.map(|action| action.unwrap().r#type).collect().await;
    assert_eq!(
        names,
        [
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
        ]
    );
    let mut json = Vec::new();
    for (name, body) in [("veilflight.server_info", ""), ("veilflight.policy_info", "jobs")] {
        let action = Action::new(name, body);
        let mut answer = client.do_action(with_token(&token, action)).await.unwrap().into_inner();
        let body = answer.next().await.unwrap().unwrap().body;
        json.push(serde_json::from_slice::<Value>(&body).unwrap());
    }
    assert_eq!(json[0]["name"], "veilflight");
    assert_eq!(json[0]["flight_sql"], true);
    assert_eq!(json[1]["columns"].as_array().unwrap().len(), 1, "what is dropped is not named");
    assert_eq!(json[1]["columns"][0]["name"], "Id");
    assert_eq!(json[1]["columns"][0]["protection"], "keep");
    assert!(json[1]["columns"][0]["still_leaks"].as_str().is_some_and(|text| !text.is_empty()));
    site.stop().await;
}

#[tokio::test]
async fn data_that_drifted_or_went_away_fail_with_fixed_words() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let data = site.folder.path().join("policies/jobs.parquet");
    std::fs::write(&data, CANARY).unwrap();
    // The server looked at the files when it started, and a look is good for a second.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let status = info(&mut client, &token, "jobs").await.unwrap_err();
    assert_eq!((status.code(), code(&status)), (Code::Internal, "S001"));
    assert!(!format!("{status:?}").contains(CANARY) && !format!("{status:?}").contains("parquet"));
    std::fs::remove_file(&data).unwrap();
    let status = info(&mut client, &token, "jobs").await.unwrap_err();
    assert_eq!(code(&status), "S001");
    assert!(!format!("{status:?}").contains("jobs.parquet"));
    crate::site::write_jobs(site.folder.path(), 10);
    let changed = JOBS.replace("User: drop", "User: drop\n  Gone: keep");
    write_policy(site.folder.path(), "jobs.yaml", &changed);
    let has_gone = |policy: &veilflight::policy::Policy| policy.columns.len() == 3;
    site.look_until(|flights| flights.catalog.policy("jobs").is_some_and(|p| has_gone(&p))).await;
    let status = info(&mut client, &token, "jobs").await.unwrap_err();
    assert_eq!((status.code(), code(&status)), (Code::FailedPrecondition, "D003"));
    assert!(!status.message().contains("Gone"));
    let listed = client.list_flights(with_token(&token, Criteria::default())).await.unwrap();
    assert_eq!(listed.into_inner().count().await, 0);
    site.stop().await;
}
