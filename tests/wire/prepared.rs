//! Prepared statements over the wire: handles that any server understands, the parameters that they
//! carry, and what is no handle or no parameter.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int64Type, Schema};
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, Any, CommandPreparedStatementQuery,
    DoPutPreparedStatementResult, ProstMessageExt,
};
use arrow_flight::utils::batches_to_flight_data;
use arrow_flight::{FlightData, FlightDescriptor, IpcMessage};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use prost::Message;
use tonic::{Code, Status};

use super::sql::{Asker, runs, statement, told};
use crate::site::{Site, with_token};

/// Prepares a statement.
pub(super) async fn create(
    asker: &mut Asker,
    sql: &str,
) -> Result<ActionCreatePreparedStatementResult, Status> {
    let request =
        ActionCreatePreparedStatementRequest { query: sql.to_owned(), transaction_id: None };
    let body = request.as_any().encode_to_vec();
    let results = asker.act("CreatePreparedStatement", body).await?;
    let any = Any::decode(results[0].as_slice()).unwrap();
    Ok(any.unpack().unwrap().unwrap())
}

/// A prepared statement as it is executed.
pub(super) fn command(handle: Bytes) -> FlightDescriptor {
    let command = CommandPreparedStatementQuery { prepared_statement_handle: handle };
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

fn row(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    )
    .unwrap()
}

pub(super) fn numbers(name: &str, values: &[i64]) -> RecordBatch {
    row(vec![(name, Arc::new(Int64Array::from(values.to_vec())))])
}

/// Binds parameters; gives the new handle.
pub(super) async fn bind(
    asker: &mut Asker,
    handle: Bytes,
    batch: RecordBatch,
) -> Result<Bytes, Status> {
    let mut messages = batches_to_flight_data(&batch.schema(), vec![batch]).unwrap();
    messages[0].flight_descriptor = Some(command(handle));
    put(asker, messages).await
}

async fn put(asker: &mut Asker, messages: Vec<FlightData>) -> Result<Bytes, Status> {
    let request = with_token(&asker.token, stream::iter(messages));
    let mut results = asker.client.do_put(request).await?.into_inner();
    let result = results.next().await.unwrap()?;
    assert!(results.next().await.is_none());
    let result = DoPutPreparedStatementResult::decode(result.app_metadata).unwrap();
    Ok(result.prepared_statement_handle.unwrap())
}

const BOUND: &str = "SELECT id, site FROM runs WHERE id >= $1 AND id < $2";

#[tokio::test]
async fn parameters_bound_on_one_server_are_executed_on_another_and_pulled_from_a_third() {
    let first = Site::start_with(runs(), &[]).await;
    let (second, third) = (first.replica().await, first.replica().await);
    let mut one = Asker::new(&first, "cern").await;
    let token = one.token.clone();
    let mut two = Asker::with(&second, &token, &[]).await;
    let mut three = Asker::with(&third, &token, &[]).await;

    let created = create(&mut one, BOUND).await.unwrap();
    let parameters = Schema::try_from(IpcMessage(created.parameter_schema)).unwrap();
    let kinds: Vec<&DataType> = parameters.fields().iter().map(|field| field.data_type()).collect();
    assert_eq!(kinds, [&DataType::Int64, &DataType::Int64]);
    let answer = Schema::try_from(IpcMessage(created.dataset_schema)).unwrap();
    let names: Vec<&String> = answer.fields().iter().map(|field| field.name()).collect();
    assert_eq!(names, ["id", "site"]);

    let handle = created.prepared_statement_handle;
    for (from, to) in [(10, 13), (397, 500), (5, 5)] {
        let values = row(vec![
            ("$1", Arc::new(Int64Array::from(vec![from])) as ArrayRef),
            ("$2", Arc::new(Int64Array::from(vec![to]))),
        ]);
        let bound = bind(&mut two, handle.clone(), values).await.unwrap();
        assert_ne!(bound, handle);
        assert_eq!(one.schema(command(bound.clone())).await.unwrap(), answer);
        let info = one.describe(command(bound)).await.unwrap();
        let all = three.pull(&info).await.unwrap();
        let ids = all["id"].as_primitive::<Int64Type>().values();
        assert!(ids.iter().copied().eq(from..to.min(400)), "{ids:?}");
    }
    third.stop().await;
    second.stop().await;
    first.stop().await;
}

#[tokio::test]
async fn bound_again_the_old_values_are_gone_and_the_old_handle_is_still_good() {
    let site = Site::start_with(runs(), &[]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let created = create(&mut cern, "SELECT count(*) AS n FROM runs WHERE id < $1").await.unwrap();
    let mut handle = created.prepared_statement_handle.clone();
    for n in [3, 7] {
        handle = bind(&mut cern, handle, numbers("$1", &[n])).await.unwrap();
        let info = cern.describe(command(handle.clone())).await.unwrap();
        let all = cern.pull(&info).await.unwrap();
        assert_eq!(all["n"].as_primitive::<Int64Type>().values(), &[n]);
    }
    // A client that does not take the new handle hears that nothing is bound, and how to go on.
    let old = cern.describe(command(created.prepared_statement_handle)).await.unwrap_err();
    assert_eq!(told(&old), (Code::InvalidArgument, "Q005"));
    assert!(old.message().contains("the handle that the binding returned"), "{}", old.message());
    site.stop().await;
}

#[tokio::test]
async fn the_flight_sql_client_of_rust_prepares_binds_and_closes() {
    let site = Site::start_with(runs(), &[]).await;
    let mut client = FlightSqlServiceClient::new_from_inner(site.client().await);
    client.set_token(site.partner("cern"));
    let sql = "SELECT count(*) AS n FROM runs WHERE site = $1".to_owned();
    let mut prepared = client.prepare(sql, None).await.unwrap();
    assert_eq!(prepared.dataset_schema().unwrap().field(0).name(), "n");
    assert_eq!(prepared.parameter_schema().unwrap().fields().len(), 1);
    let text: ArrayRef = Arc::new(StringArray::from(vec!["site-3"]));
    prepared.set_parameters(row(vec![("$1", text)])).unwrap();
    let info = prepared.execute().await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let batches: Vec<_> = client.do_get(ticket).await.unwrap().try_collect().await.unwrap();
    assert_eq!(batches[0]["n"].as_primitive::<Int64Type>().values(), &[80]);
    prepared.close().await.unwrap();

    let mut plain = client.prepare("SELECT 1 AS one".to_owned(), None).await.unwrap();
    assert!(plain.parameter_schema().unwrap().fields().is_empty());
    let info = plain.execute().await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let batches: Vec<_> = client.do_get(ticket).await.unwrap().try_collect().await.unwrap();
    assert_eq!(batches[0].num_rows(), 1);
    site.stop().await;
}

#[tokio::test]
async fn parameters_that_do_not_fit_are_refused() {
    let site = Site::start_with(runs(), &[]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let created = create(&mut cern, BOUND).await.unwrap();
    let handle = created.prepared_statement_handle;
    let q005 = (Code::InvalidArgument, "Q005");
    for batch in [numbers("$1", &[]), numbers("$1", &[1, 2])] {
        let refused = bind(&mut cern, handle.clone(), batch).await.unwrap_err();
        assert_eq!(told(&refused), q005);
    }
    let long: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(70_000)]));
    let refused = bind(&mut cern, handle.clone(), row(vec![("$1", long)])).await.unwrap_err();
    assert_eq!(told(&refused), q005);
    let garbage = FlightData {
        data_header: vec![7; 64].into(),
        flight_descriptor: Some(command(handle.clone())),
        ..FlightData::default()
    };
    assert_eq!(told(&put(&mut cern, vec![garbage]).await.unwrap_err()), q005);
    // One row, but too few values; and no values at all.
    let few = bind(&mut cern, handle.clone(), numbers("$1", &[1])).await.unwrap();
    assert_eq!(told(&cern.describe(command(few)).await.unwrap_err()), q005);
    assert_eq!(told(&cern.describe(command(handle)).await.unwrap_err()), q005);
    assert_eq!(told(&cern.info(BOUND).await.unwrap_err()), q005);
    assert_eq!(cern.schema(statement(BOUND)).await.unwrap().fields().len(), 2);
    site.stop().await;
}

#[tokio::test]
async fn what_is_no_handle_of_this_partner_is_refused_everywhere() {
    let site = Site::start_with(runs(), &[]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let mut desy = Asker::new(&site, "desy").await;
    let sql = "SELECT count(*) AS n FROM runs";
    let genuine = create(&mut cern, sql).await.unwrap().prepared_statement_handle;
    let info = cern.info(sql).await.unwrap();
    let mut changed = genuine.to_vec();
    changed[30] ^= 1;
    let forged = [
        Bytes::new(),
        sql.into(),
        changed.into(),
        info.endpoint[0].ticket.clone().unwrap().ticket,
        vec![7; 200_000].into(),
    ];
    for (asker, handle, expected) in forged
        .into_iter()
        .map(|handle| (false, handle, (Code::InvalidArgument, "T001")))
        .chain([(true, genuine, (Code::PermissionDenied, "T003"))])
    {
        let asker = if asker { &mut desy } else { &mut cern };
        let close =
            ActionClosePreparedStatementRequest { prepared_statement_handle: handle.clone() };
        let body = close.as_any().encode_to_vec();
        for status in [
            asker.describe(command(handle.clone())).await.unwrap_err(),
            asker.schema(command(handle.clone())).await.unwrap_err(),
            bind(asker, handle, numbers("$1", &[1])).await.unwrap_err(),
            asker.act("ClosePreparedStatement", body).await.unwrap_err(),
        ] {
            assert_eq!(told(&status), expected);
        }
    }
    site.stop().await;
}

#[tokio::test]
async fn closing_has_no_result_and_takes_nothing_away() {
    let site = Site::start_with(runs(), &[]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let handle = create(&mut cern, "SELECT 1").await.unwrap().prepared_statement_handle;
    let close = ActionClosePreparedStatementRequest { prepared_statement_handle: handle.clone() };
    for _ in 0..2 {
        let body = close.as_any().encode_to_vec();
        assert!(cern.act("ClosePreparedStatement", body).await.unwrap().is_empty());
    }
    assert!(cern.describe(command(handle)).await.is_ok());
    site.stop().await;
}

#[tokio::test]
async fn what_cannot_be_prepared_says_why() {
    let site = Site::start_with(runs(), &[]).await;
    let mut cern = Asker::new(&site, "cern").await;
    for (sql, code) in [
        ("", "R001"),
        ("SELECT 1 +", "Q001"),
        ("DELETE FROM runs", "R002"),
        ("EXPLAIN SELECT 1", "Q002"),
        ("SELECT * FROM nothing", "D001"),
    ] {
        assert_eq!(told(&create(&mut cern, sql).await.unwrap_err()).1, code, "{sql}");
    }
    let request = ActionCreatePreparedStatementRequest {
        query: "SELECT 1".to_owned(),
        transaction_id: Some("t".into()),
    };
    let body = request.as_any().encode_to_vec();
    let refused = cern.act("CreatePreparedStatement", body).await.unwrap_err();
    assert_eq!(told(&refused), (Code::Unimplemented, "R002"));
    for body in [Vec::new(), b"SELECT 1".to_vec(), close_body()] {
        let refused = cern.act("CreatePreparedStatement", body).await.unwrap_err();
        assert_eq!(told(&refused), (Code::InvalidArgument, "R001"));
    }
    site.stop().await;
}

fn close_body() -> Vec<u8> {
    ActionClosePreparedStatementRequest::default().as_any().encode_to_vec()
}
