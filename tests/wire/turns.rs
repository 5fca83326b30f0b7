//! Statements that wait for each other, and what their answers count for. That each limit of statements
//! has its code is shown with clients, in `tests/python/test_sql_limits.py`.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{FlightData, FlightDescriptor, Ticket};
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use tempfile::TempDir;
use tonic::{Status, Streaming};
use veilflight::audit::Statement;
use veilflight::audit::record::{Event, Record};
use veilflight::clock::{Clock, SystemClock};
use veilflight::state::{AuditRow, Store};

use crate::site::{
    Client, JOBS, Site, code, folder, ticket, until, with_token, write_jobs, write_policy,
};

/// Sorted, so that it needs a turn, and too long to be sent unread.
const LONG: &str = "SELECT Id, Id + 1, Id + 2 FROM jobs ORDER BY Id DESC";
const COUNT: &str = "SELECT count(*) AS n FROM jobs";

/// [`JOBS`] with many rows, for two partners.
fn long() -> TempDir {
    let folder = folder();
    let grants = "grants:\n  - {partner: lab, access: rows}";
    write_policy(folder.path(), "jobs.yaml", &JOBS.replace("grants:", grants));
    write_jobs(folder.path(), 1_000_000);
    folder
}

async fn asked(client: &mut Client, token: &str, sql: &str) -> Result<Ticket, Status> {
    let query = CommandStatementQuery { query: sql.to_owned(), transaction_id: None };
    let descriptor = FlightDescriptor::new_cmd(query.as_any().encode_to_vec());
    let info = client.get_flight_info(with_token(token, descriptor)).await?.into_inner();
    assert_eq!(info.endpoint.len(), 1, "{sql}");
    Ok(ticket(&info, 0))
}

async fn opened(
    client: &mut Client,
    token: &str,
    sql: &str,
) -> Result<Streaming<FlightData>, Status> {
    let ticket = asked(client, token, sql).await?;
    Ok(client.do_get(with_token(token, ticket)).await?.into_inner())
}

/// The messages of an answer, with the schema.
async fn answered(client: &mut Client, token: &str, sql: &str) -> Result<usize, Status> {
    Ok(opened(client, token, sql).await?.try_collect::<Vec<_>>().await?.len())
}

/// A statement at work whose answer nobody reads.
async fn unread(client: &mut Client, token: &str) -> Streaming<FlightData> {
    let mut stream = opened(client, token, LONG).await.unwrap();
    for _ in 0..2 {
        stream.next().await.unwrap().unwrap();
    }
    stream
}

async fn idle(site: &Site) {
    until("every statement gives its turn back", || site.flights.admission.is_idle()).await;
}

/// Waits until so many statements wait for a turn.
async fn waiting(site: &Site, count: usize) {
    let what = format!("{count} statements wait");
    until(&what, || site.flights.admission.waiting() == count).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_with_many_statements_delays_another_by_one_turn() {
    let settings = [("queries_max", "1"), ("message_bytes", "65536")];
    let site = Site::start_with(long(), &settings).await;
    let (cern, lab) = (site.partner("cern"), site.partner("lab"));
    let mut client = site.client().await;
    let running = unread(&mut client, &cern).await;
    let ask = |token: &str| {
        let (mut client, token) = (client.clone(), token.to_owned());
        // The schema and one row.
        let asking = async move {
            assert_eq!(answered(&mut client, &token, COUNT).await.unwrap(), 2);
        };
        tokio::spawn(asking)
    };
    let mut tasks: Vec<_> = (0..10).map(|_| ask(&cern)).collect();
    waiting(&site, 10).await;
    tasks.push(ask(&lab));
    waiting(&site, 11).await;
    assert!(tasks.iter().all(|task| !task.is_finished()), "nobody runs beside the one that runs");
    drop(running);
    for task in tasks {
        task.await.unwrap();
    }
    idle(&site).await;
    // The log has their ends in the order of their turns, whenever their clients heard of them.
    let (asked, mut pulls, mut turns) = (Statement::new(COUNT, &[]), BTreeMap::new(), Vec::new());
    let look = &mut |row: AuditRow| {
        let record = Record::from_body(&row.body)?;
        match record.event {
            Event::Open(it) if it.method == "DoGet" && it.statement.as_ref() == Some(&asked) => {
                pulls.insert(record.seq, it.partner);
            }
            Event::Close(close) => turns.extend(pulls.remove(&close.opened)),
            _ => {}
        }
        Ok(())
    };
    site.store.audit_read(look).unwrap();
    assert_eq!(turns.len(), 11, "{turns:?}");
    assert!(turns.iter().position(|name| name == "lab").unwrap() <= 2, "{turns:?}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_for_rows_that_ends_while_a_statement_waits_gives_no_rows() {
    let folder = long();
    let today = SystemClock.today();
    let both = format!(
        "unit: User\ncolumns:\n  Id: keep\n  User: drop\ngrants:\n  - {{partner: lab, access: rows}}\n  \
         - {{partner: cern, access: rows, until: {today}}}\n  \
         - {{partner: cern, access: aggregates, group_min: 1000000}}\n"
    );
    let (head, _) = JOBS.split_once("columns:").unwrap();
    write_policy(folder.path(), "jobs.yaml", &format!("{head}{both}"));
    let settings = [("queries_max", "1"), ("message_bytes", "65536")];
    let site = Site::start_with(folder, &settings).await;
    let (cern, lab) = (site.partner("cern"), site.partner("lab"));
    let mut client = site.client().await;
    let running = unread(&mut client, &lab).await;
    let asking = tokio::spawn({
        let (mut client, cern) = (client.clone(), cern.clone());
        async move { answered(&mut client, &cern, LONG).await }
    });
    waiting(&site, 1).await;
    site.clock.advance_seconds(24 * 60 * 60);
    drop(running);
    assert_eq!(code(&asking.await.unwrap().unwrap_err()), "T004");
    idle(&site).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_while_it_waits_leaves_the_line() {
    let settings = [
        ("queries_partner_max", "1"),
        ("queries_waiting_partner_max", "1"),
        ("message_bytes", "65536"),
    ];
    let site = Site::start_with(long(), &settings).await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let running = unread(&mut client, &token).await;
    let waiting = tokio::spawn({
        let (mut client, token) = (client.clone(), token.clone());
        async move { answered(&mut client, &token, COUNT).await }
    });
    self::waiting(&site, 1).await;
    let refused = answered(&mut client, &token, COUNT).await.unwrap_err();
    assert_eq!(code(&refused), "L008");
    // What is answered row by row needs no turn.
    let by_row = "SELECT Id FROM jobs WHERE Id < 0";
    let query = CommandStatementQuery { query: by_row.to_owned(), transaction_id: None };
    let descriptor = FlightDescriptor::new_cmd(query.as_any().encode_to_vec());
    let info = client.get_flight_info(with_token(&token, descriptor)).await.unwrap().into_inner();
    assert!(client.do_get(with_token(&token, ticket(&info, 0))).await.is_ok());
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    let mut other = site.client().await;
    let ticket = asked(&mut other, &token, COUNT).await.unwrap();
    // There is room to wait again, as soon as the server sees that the other one left.
    let next = tokio::spawn(async move {
        loop {
            match other.do_get(with_token(&token, ticket.clone())).await {
                Ok(answer) => break answer.into_inner().try_collect::<Vec<_>>().await,
                Err(status) => assert_eq!(code(&status), "L008"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!next.is_finished());
    drop(running);
    assert_eq!(next.await.unwrap().unwrap().len(), 2);
    idle(&site).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_counts_for_each_dataset_that_it_is_made_from() {
    let folder = folder();
    let limits = |rows: u64| format!("access: rows, limits: {{rows_day: {rows}}}}}");
    for (name, rows) in [("jobs", 5000), ("lab", 9000)] {
        let text = JOBS.replace("dataset: jobs", &format!("dataset: {name}"));
        let text = text.replace("access: rows}", &limits(rows));
        write_policy(folder.path(), &format!("{name}.yaml"), &text);
    }
    let site = Site::start_with(folder, &[("rows_day", "100000")]).await;
    let token = site.partner("cern");
    let mut client = site.client().await;
    let both = "SELECT a.Id FROM jobs a JOIN lab b ON a.Id = b.Id WHERE a.Id < 3000 ORDER BY a.Id";
    assert!(answered(&mut client, &token, both).await.is_ok());
    // What is read and does not leave is not counted.
    assert!(answered(&mut client, &token, COUNT).await.is_ok());
    let refused = answered(&mut client, &token, both).await.unwrap_err();
    assert_eq!(code(&refused), "L010");
    let alone = "SELECT Id FROM lab WHERE Id < 5000 ORDER BY Id";
    assert!(answered(&mut client, &token, alone).await.is_ok());
    idle(&site).await;
    let usage = site.store.usage(Some("cern"), site.clock.today()).unwrap();
    let counted: Vec<_> =
        usage.iter().map(|usage| (usage.dataset.as_deref(), usage.amount.rows)).collect();
    assert_eq!(counted, [(None, 8001), (Some("jobs"), 3001), (Some("lab"), 8000)]);
    site.stop().await;
}
