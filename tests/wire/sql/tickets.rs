//! Tickets of statements: whose they are, until when, renewed and cancelled.

use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, Any, CommandGetTables, ProstMessageExt,
};
use arrow_flight::{
    CancelFlightInfoRequest, FlightDescriptor, FlightEndpoint, RenewFlightEndpointRequest, Ticket,
};
use futures::StreamExt;
use prost::Message;
use tonic::Code;
use veilflight::wire::ticket::{Subject, Tickets};

use super::{Asker, runs, statement, told};
use crate::site::{JOBS, ROWS, Site, ticket, until, with_token, write_jobs, write_policy};

#[tokio::test]
async fn a_ticket_of_a_statement_is_its_partners_until_it_expires_or_anything_changes() {
    let site = Site::start_with(runs(), &[]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let mut desy = Asker::new(&site, "desy").await;
    let sql = "SELECT count(*) AS n FROM jobs";
    let info = cern.info(sql).await.unwrap();
    let first = cern.pull(&info).await.unwrap();
    assert_eq!(cern.pull(&info).await.unwrap(), first, "it may be used again");
    let foreign = desy.get(ticket(&info, 0)).await.unwrap_err();
    assert_eq!(told(&foreign), (Code::PermissionDenied, "T003"));

    let genuine = ticket(&info, 0).ticket.to_vec();
    for at in [0, 4, 20, 36, genuine.len() - 1] {
        let mut changed = genuine.clone();
        changed[at] ^= 1;
        let forged = cern.get(Ticket { ticket: changed.into() }).await.unwrap_err();
        assert_eq!(told(&forged), (Code::InvalidArgument, "T001"));
    }
    // A command is no ticket, in whatever form.
    for bare in [statement(sql).cmd, sql.into()] {
        let refused = cern.get(Ticket { ticket: bare }).await.unwrap_err();
        assert_eq!(told(&refused), (Code::InvalidArgument, "T001"));
    }
    // A shard that there is not, in a ticket that only this installation can make.
    let tickets = Tickets::new(&site.ring).unwrap();
    let mut beyond = tickets.open(&genuine).unwrap();
    let Subject::Query { shard, .. } = &mut beyond.subject else { panic!("{beyond:?}") };
    *shard = 99;
    let beyond = Ticket { ticket: tickets.seal(&beyond).unwrap().into() };
    assert_eq!(told(&cern.get(beyond).await.unwrap_err()), (Code::FailedPrecondition, "T004"));

    write_jobs(site.folder.path(), ROWS + 5);
    let stale = cern.get(ticket(&info, 0)).await.unwrap_err();
    assert_eq!(told(&stale), (Code::FailedPrecondition, "T004"));
    let info = cern.info(sql).await.unwrap();
    assert_ne!(cern.pull(&info).await.unwrap(), first);

    let digest = site.flights.catalog.policy("jobs").unwrap().digest.clone();
    let changed = JOBS.replace("access: rows}", "access: rows, until: 2999-12-31}");
    write_policy(site.folder.path(), "jobs.yaml", &changed);
    site.look_until(|flights| flights.catalog.policy("jobs").unwrap().digest != digest).await;
    assert_eq!(told(&cern.get(ticket(&info, 0)).await.unwrap_err()).1, "T004");

    let info = cern.info(sql).await.unwrap();
    site.clock.advance_seconds(3601);
    let late = cern.get(ticket(&info, 0)).await.unwrap_err();
    assert_eq!(told(&late), (Code::FailedPrecondition, "T002"));
    site.stop().await;
}

#[tokio::test]
async fn tickets_of_statements_and_of_metadata_are_renewed() {
    let site = Site::start_with(runs(), &[]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let tables = CommandGetTables::default().as_any().encode_to_vec();
    for descriptor in [statement("SELECT max(id) FROM runs"), FlightDescriptor::new_cmd(tables)] {
        let info = cern.describe(descriptor).await.unwrap();
        site.clock.advance_seconds(3000);
        let request = RenewFlightEndpointRequest { endpoint: Some(info.endpoint[0].clone()) };
        let renewed = cern.act("RenewFlightEndpoint", request.encode_to_vec()).await.unwrap();
        let renewed = FlightEndpoint::decode(renewed[0].as_slice()).unwrap();
        site.clock.advance_seconds(3000);
        assert_eq!(told(&cern.get(ticket(&info, 0)).await.unwrap_err()).1, "T002");
        assert!(cern.get(renewed.ticket.unwrap()).await.is_ok());
    }
    site.stop().await;
}

#[tokio::test]
async fn cancelling_ends_a_statement_that_is_worked_at() {
    let site = Site::start_with(runs(), &[]).await;
    let mut cern = Asker::new(&site, "cern").await;
    // Ten thousand squared: long enough to be cancelled, and nothing to be seen for a while.
    let sql = "SELECT sum(a.Id * b.Id % 7) FROM jobs a CROSS JOIN jobs b CROSS JOIN jobs c";
    for old in [false, true] {
        let info = cern.info(sql).await.unwrap();
        let request = with_token(&cern.token, ticket(&info, 0));
        let mut stream = cern.client.do_get(request).await.unwrap().into_inner();
        assert!(stream.next().await.unwrap().is_ok(), "the schema comes at once");
        let results = if old {
            let request = ActionCancelQueryRequest { info: info.encode_to_vec().into() };
            let body = request.as_any().encode_to_vec();
            let results = cern.act("CancelQuery", body).await.unwrap();
            let any = Any::decode(results[0].as_slice()).unwrap();
            any.unpack::<ActionCancelQueryResult>().unwrap().unwrap().result
        } else {
            let request = CancelFlightInfoRequest { info: Some(info.clone()) };
            let results = cern.act("CancelFlightInfo", request.encode_to_vec()).await.unwrap();
            arrow_flight::CancelFlightInfoResult::decode(results[0].as_slice()).unwrap().status
        };
        assert_eq!(results, 1, "cancelled");
        until("the work ends", || site.flights.admission.open_streams() == 0).await;
        let last = stream.collect::<Vec<_>>().await.into_iter().find_map(Result::err).unwrap();
        assert_eq!(told(&last), (Code::Cancelled, "R003"));
        let again = cern.get(ticket(&info, 0)).await.unwrap_err();
        assert_eq!(told(&again), (Code::Cancelled, "R003"));
        let request = RenewFlightEndpointRequest { endpoint: Some(info.endpoint[0].clone()) };
        let renewed = cern.act("RenewFlightEndpoint", request.encode_to_vec()).await.unwrap_err();
        assert_eq!(told(&renewed), (Code::Cancelled, "R003"));
    }
    site.stop().await;
}
