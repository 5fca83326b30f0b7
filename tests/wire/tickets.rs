//! Tickets that are forged, foreign, late or stale; and policies that change under way.

use arrow_flight::{
    Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightEndpoint,
    RenewFlightEndpointRequest, Ticket,
};
use futures::StreamExt;
use prost::Message;
use tonic::{Code, Status};
use veilflight::clock::Clock;
use veilflight::identity::enrol;
use veilflight::keys::{KeyRing, Secret};
use veilflight::wire::ticket::{Subject, Ticket as Plain, Tickets};

use crate::site::{
    Client, JOBS, ROWS, Site, code, folder, info, ticket, until, with_token, write_jobs,
    write_policy,
};

async fn get(client: &mut Client, token: &str, ticket: Ticket) -> Result<usize, Status> {
    let mut stream = client.do_get(with_token(token, ticket)).await?.into_inner();
    let mut messages = 0;
    while let Some(message) = stream.next().await {
        message?;
        messages += 1;
    }
    Ok(messages)
}

#[tokio::test]
async fn a_ticket_may_be_used_twice_until_it_expires() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let info = info(&mut client, &token, "jobs").await.unwrap();
    let first = get(&mut client, &token, ticket(&info, 0)).await.unwrap();
    assert!(first >= 2, "a schema and at least one batch");
    assert_eq!(get(&mut client, &token, ticket(&info, 0)).await.unwrap(), first);
    site.clock.advance_seconds(3600);
    assert_eq!(get(&mut client, &token, ticket(&info, 0)).await.unwrap(), first);
    site.clock.advance_seconds(1);
    let late = get(&mut client, &token, ticket(&info, 0)).await.unwrap_err();
    assert_eq!((late.code(), code(&late)), (Code::FailedPrecondition, "T002"));
    site.stop().await;
}

#[tokio::test]
async fn another_partner_cannot_use_a_ticket() {
    let site = Site::start().await;
    write_policy(
        site.folder.path(),
        "jobs.yaml",
        &JOBS.replace("grants:\n", "grants:\n  - {partner: fnal, access: rows}\n"),
    );
    site.look_until(|flights| flights.granted("fnal", "jobs").is_ok()).await;
    let (cern, fnal) = (site.partner("cern"), site.partner("fnal"));
    let mut client = site.client().await;
    let info = info(&mut client, &cern, "jobs").await.unwrap();
    let foreign = get(&mut client, &fnal, ticket(&info, 0)).await.unwrap_err();
    assert_eq!((foreign.code(), code(&foreign)), (Code::PermissionDenied, "T003"));
    site.stop().await;
}

#[tokio::test]
async fn a_changed_or_made_up_ticket_is_refused() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let genuine = ticket(&info(&mut client, &token, "jobs").await.unwrap(), 0).ticket.to_vec();
    let mut forgeries = vec![Vec::new(), b"jobs".to_vec(), vec![0; 3000], vec![0xff; 200]];
    for at in [0, 4, 20, 36, genuine.len() - 1] {
        let mut changed = genuine.clone();
        changed[at] ^= 1;
        forgeries.push(changed);
    }
    forgeries.push(genuine[..genuine.len() - 1].to_vec());
    let other = KeyRing::new(vec![(1, Secret::new([0x11; 32]))]).unwrap();
    let plain = Tickets::new(&site.ring).unwrap().open(&genuine).unwrap();
    forgeries.push(Tickets::new(&other).unwrap().seal(&plain).unwrap());
    for forgery in forgeries {
        let status = get(&mut client, &token, Ticket { ticket: forgery.into() }).await.unwrap_err();
        assert_eq!((status.code(), code(&status)), (Code::InvalidArgument, "T001"));
    }
    site.stop().await;
}

#[tokio::test]
async fn a_shard_that_does_not_exist_is_stale() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let genuine = ticket(&info(&mut client, &token, "jobs").await.unwrap(), 0);
    let tickets = Tickets::new(&site.ring).unwrap();
    let plain = tickets.open(&genuine.ticket).unwrap();
    let Subject::Dataset { seen, .. } = plain.subject.clone() else { panic!("{plain:?}") };
    let plain = Plain { subject: Subject::Dataset { seen, shard: 99 }, ..plain };
    let beyond = Ticket { ticket: tickets.seal(&plain).unwrap().into() };
    assert_eq!(code(&get(&mut client, &token, beyond).await.unwrap_err()), "T004");
    site.stop().await;
}

#[tokio::test]
async fn changed_data_and_changed_policies_make_tickets_stale() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let before = info(&mut client, &token, "jobs").await.unwrap();
    write_jobs(site.folder.path(), ROWS + 5);
    let stale = get(&mut client, &token, ticket(&before, 0)).await.unwrap_err();
    assert_eq!((stale.code(), code(&stale)), (Code::FailedPrecondition, "T004"));
    let after = info(&mut client, &token, "jobs").await.unwrap();
    assert!(get(&mut client, &token, ticket(&after, 0)).await.is_ok());

    let digest = site.flights.catalog.policy("jobs").unwrap().digest.clone();
    let changed = JOBS.replace("access: rows}", "access: rows, until: 2999-12-31}");
    write_policy(site.folder.path(), "jobs.yaml", &changed);
    site.look_until(|flights| flights.catalog.policy("jobs").unwrap().digest != digest).await;
    let stale = get(&mut client, &token, ticket(&after, 0)).await.unwrap_err();
    assert_eq!(code(&stale), "T004");
    site.stop().await;
}

#[tokio::test]
async fn a_withdrawn_grant_ends_tickets_and_an_invalid_policy_changes_nothing() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let info = info(&mut client, &token, "jobs").await.unwrap();
    write_policy(site.folder.path(), "jobs.yaml", &JOBS.replace("User: drop", "User: dorp"));
    let lab = JOBS.replace("dataset: jobs", "dataset: lab");
    write_policy(site.folder.path(), "lab.yaml", &lab);
    site.look_until(|flights| flights.catalog.policy("lab").is_some()).await;
    assert!(get(&mut client, &token, ticket(&info, 0)).await.is_ok(), "the old policy stays");
    write_policy(site.folder.path(), "jobs.yaml", &JOBS.replace("cern", "fnal"));
    site.look_until(|flights| flights.granted("cern", "jobs").is_err()).await;
    assert_eq!(code(&get(&mut client, &token, ticket(&info, 0)).await.unwrap_err()), "D001");
    site.stop().await;
}

#[tokio::test]
async fn a_ticket_does_not_outlive_the_grant_or_the_partner() {
    let site = Site::start_with(folder(), &[("ticket_minutes", "10000")]).await;
    let token = site.partner("cern");
    let today = site.clock.today();
    let until = format!("access: rows, until: {today}}}");
    write_policy(site.folder.path(), "jobs.yaml", &JOBS.replace("access: rows}", &until));
    let digest = site.flights.catalog.policy("jobs").unwrap().digest.clone();
    site.look_until(|flights| flights.catalog.policy("jobs").unwrap().digest != digest).await;
    let mut client = site.client().await;
    let info = info(&mut client, &token, "jobs").await.unwrap();
    assert!(get(&mut client, &token, ticket(&info, 0)).await.is_ok());
    enrol::set_disabled(site.store.as_ref(), "cern", true).unwrap();
    assert_eq!(code(&get(&mut client, &token, ticket(&info, 0)).await.unwrap_err()), "I002");
    enrol::set_disabled(site.store.as_ref(), "cern", false).unwrap();
    assert!(get(&mut client, &token, ticket(&info, 0)).await.is_ok());
    site.clock.advance_seconds(86_400);
    assert_eq!(code(&get(&mut client, &token, ticket(&info, 0)).await.unwrap_err()), "D001");
    let renew = RenewFlightEndpointRequest { endpoint: Some(info.endpoint[0].clone()) };
    let action = Action::new("RenewFlightEndpoint", renew.encode_to_vec());
    let refused = client.do_action(with_token(&token, action)).await.unwrap_err();
    assert_eq!(code(&refused), "D001");
    site.stop().await;
}

#[tokio::test]
async fn cancelling_voids_all_tickets_of_the_answer_and_no_others() {
    let site = Site::start().await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let doomed = info(&mut client, &token, "jobs").await.unwrap();
    let other = info(&mut client, &token, "jobs").await.unwrap();
    let mut running =
        client.do_get(with_token(&token, ticket(&doomed, 0))).await.unwrap().into_inner();
    running.next().await.unwrap().unwrap();
    let mut one = doomed.clone();
    one.endpoint.truncate(1);
    let body = CancelFlightInfoRequest { info: Some(one) }.encode_to_vec();
    let action = Action::new("CancelFlightInfo", body);
    let mut answer = client.do_action(with_token(&token, action)).await.unwrap().into_inner();
    let body = answer.next().await.unwrap().unwrap().body;
    let result = CancelFlightInfoResult::decode(body).unwrap();
    assert_eq!(result.status(), CancelStatus::Cancelled);
    for endpoint in [0, 1] {
        let status = get(&mut client, &token, ticket(&doomed, endpoint)).await.unwrap_err();
        assert_eq!((status.code(), code(&status)), (Code::Cancelled, "R003"));
    }
    assert!(get(&mut client, &token, ticket(&other, 0)).await.is_ok());
    site.stop().await;
}

#[tokio::test]
async fn cancelling_ends_a_stream_that_is_under_way() {
    let folder = folder();
    // Large enough that the stream cannot end before it is read.
    write_jobs(folder.path(), 8_000_000);
    let site = Site::start_with(folder, &[("shards_max", "1")]).await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let info = info(&mut client, &token, "jobs").await.unwrap();
    let mut running =
        client.do_get(with_token(&token, ticket(&info, 0))).await.unwrap().into_inner();
    running.next().await.unwrap().unwrap();
    let body = CancelFlightInfoRequest { info: Some(info) }.encode_to_vec();
    let action = Action::new("CancelFlightInfo", body);
    client.do_action(with_token(&token, action)).await.unwrap();
    until("the work ends", || site.flights.admission.open_streams() == 0).await;
    let messages = running.collect::<Vec<_>>().await;
    let last = messages.into_iter().find_map(Result::err).unwrap();
    assert_eq!((last.code(), code(&last)), (Code::Cancelled, "R003"));
    site.stop().await;
}

#[tokio::test]
async fn a_renewed_ticket_lives_longer_and_a_foreign_one_is_not_renewed() {
    let site = Site::start().await;
    let (cern, fnal) = (site.partner("cern"), site.partner("fnal"));
    let mut client = site.client().await;
    let info = info(&mut client, &cern, "jobs").await.unwrap();
    site.clock.advance_seconds(3000);
    let renew = |token: &str| {
        let endpoint = Some(info.endpoint[0].clone());
        let body = RenewFlightEndpointRequest { endpoint }.encode_to_vec();
        with_token(token, Action::new("RenewFlightEndpoint", body))
    };
    let foreign = client.do_action(renew(&fnal)).await.unwrap_err();
    assert_eq!(code(&foreign), "T003");
    let mut answer = client.do_action(renew(&cern)).await.unwrap().into_inner();
    let body = answer.next().await.unwrap().unwrap().body;
    let renewed = FlightEndpoint::decode(body).unwrap();
    let later = renewed.expiration_time.unwrap().seconds;
    assert_eq!(later - info.endpoint[0].expiration_time.unwrap().seconds, 3000);
    site.clock.advance_seconds(3000);
    let old = get(&mut client, &cern, ticket(&info, 0)).await.unwrap_err();
    assert_eq!(code(&old), "T002");
    assert!(get(&mut client, &cern, renewed.ticket.unwrap()).await.is_ok());
    site.stop().await;
}
