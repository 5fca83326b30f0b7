//! A server that dies, and partners who leave, between paying and being answered.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_flight::Action;
use futures::TryStreamExt;
use serde_json::Value;
use tempfile::TempDir;
use tonic::transport::Endpoint;
use veilflight::clock::SystemClock;
use veilflight::identity::enrol::{self, Enrolment};
use veilflight::state::Sqlite;

use super::noise::{PER_SITE, QUICK, VISITS, Visit, folder_of, privacy, spent, write_visits};
use super::sql::{Asker, statement};
use crate::site::{Client, PATIENCE, Site, ticket, until, with_token};

/// 32 bytes that nobody uses.
const KEY: &str = "9a1f0c2b7a4e5d6690b1c2d3e4f5a6b7c8d9eafb0c1d2e3f405162738495a6b2";

/// So many rows that answering takes seconds.
const ROWS: i64 = 1_500_000;

fn large() -> TempDir {
    let folder = folder_of(VISITS);
    let visit = |row: i64| -> Visit {
        (Some(format!("user-{}", row % 40_000)), "A", format!("queue-{}", row % 50), Some(row % 90))
    };
    let visits: Vec<Visit> = (0..ROWS).map(visit).collect();
    write_visits(&folder.path().join("policies/visits.parquet"), &visits);
    folder
}

/// A question that takes long, and another for each number.
fn long(number: usize) -> String {
    format!(
        "SELECT Queue, count(*) AS n, avg(Hours) AS h, approx_percentile_cont(Hours, 0.5) AS m \
         FROM visits WHERE Hours > -{number} GROUP BY Queue"
    )
}

struct Running {
    child: Child,
    client: Client,
}

/// The program itself, over the folder's own state.
async fn serve(folder: &Path) -> Running {
    let ready = folder.join("ready");
    let _ = std::fs::remove_file(&ready);
    let child = Command::new(env!("CARGO_BIN_EXE_veilflight"))
        .arg("serve")
        .args(["--listen", "127.0.0.1:0", "--key", "env:TEST_MASTER_KEY", "--noise-tick-ms", "1"])
        .arg("--policies")
        .arg(folder.join("policies"))
        .arg("--state")
        .arg(folder.join("state"))
        .arg("--ready-file")
        .arg(&ready)
        .env("TEST_MASTER_KEY", KEY)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !ready.exists() {
        assert!(begun.elapsed() < PATIENCE, "the server did not start");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let uri = std::fs::read_to_string(&ready).unwrap();
    let endpoint = Endpoint::from_shared(uri.trim().replace("grpc+tcp", "http")).unwrap();
    Running { child, client: Client::new(endpoint.connect().await.unwrap()) }
}

async fn told(client: &mut Client, token: &str, action: &str, body: &str) -> Value {
    let request = with_token(token, Action::new(action, body.as_bytes().to_vec()));
    let results = client.do_action(request).await.unwrap().into_inner();
    let results: Vec<_> = results.try_collect().await.unwrap();
    serde_json::from_slice(&results[0].body).unwrap()
}

async fn epsilon(client: &mut Client, token: &str) -> String {
    let budget = told(client, token, "veilflight.privacy_budget", "").await;
    budget["datasets"][0]["spent"]["epsilon"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_paid_when_the_server_was_killed_stays_paid() {
    let folder = large();
    let state = folder.path().join("state");
    std::fs::create_dir_all(&state).unwrap();
    let store = Sqlite::open(&state.join("state.sqlite"), Arc::new(SystemClock)).unwrap();
    let enrolment = Enrolment { name: "cern".to_owned(), ..Enrolment::default() };
    let token = enrol::add(&store, &SystemClock, enrolment).unwrap().unwrap().expose().to_owned();
    drop(store);

    let mut server = serve(folder.path()).await;
    // Where this test is not given seconds of time between, the answer is there before the server is killed: then
    // it is another question's turn.
    let mut paid = "0";
    let mut killed = None;
    for (number, next) in ["0.5", "1", "1.5", "2"].into_iter().enumerate() {
        let sql = long(number);
        let info = server.client.get_flight_info(with_token(&token, statement(&sql))).await;
        let info = info.unwrap().into_inner();
        let pulling = tokio::spawn({
            let (mut client, token) = (server.client.clone(), token.clone());
            async move {
                let answer = client.do_get(with_token(&token, ticket(&info, 0))).await?;
                answer.into_inner().try_collect::<Vec<_>>().await
            }
        });
        let begun = Instant::now();
        while epsilon(&mut server.client, &token).await == paid {
            assert!(begun.elapsed() < PATIENCE, "nothing was spent");
        }
        server.child.kill().unwrap();
        server.child.wait().unwrap();
        let pulled = pulling.await.unwrap();

        server = serve(folder.path()).await;
        paid = next;
        assert_eq!(epsilon(&mut server.client, &token).await, paid);
        let cost = told(&mut server.client, &token, "veilflight.privacy_cost", &sql).await;
        if cost["privacy"]["stored"] == false {
            assert!(pulled.is_err(), "an answer left that was not kept");
            killed = Some(sql);
            break;
        }
    }
    // There is no answer, and the same question costs again.
    let sql = killed.expect("every answer came before the server was killed");
    let info = server.client.get_flight_info(with_token(&token, statement(&sql))).await.unwrap();
    let request = with_token(&token, ticket(&info.into_inner(), 0));
    let answer = server.client.do_get(request).await.unwrap().into_inner();
    assert!(answer.try_collect::<Vec<_>>().await.unwrap().len() >= 2);
    let after: f64 = epsilon(&mut server.client, &token).await.parse().unwrap();
    assert_eq!(after, paid.parse::<f64>().unwrap() + 0.5);
    server.child.kill().unwrap();
    server.child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_has_paid_and_finds_the_answer_when_they_ask_again() {
    let site = Site::start_with(folder_of(VISITS), &[QUICK]).await;
    let mut cern = Asker::new(&site, "cern").await;
    for sql in [PER_SITE, "SELECT Queue, count(*) AS n FROM visits GROUP BY Queue"] {
        let info = cern.info(sql).await.unwrap();
        let request = with_token(&cern.token, ticket(&info, 0));
        drop(cern.client.do_get(request).await.unwrap());
        let begun = Instant::now();
        loop {
            let info = cern.info(sql).await.unwrap();
            if privacy(&info)["stored"] == true {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "the answer was not kept");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cern.all(sql).await.unwrap();
    }
    assert_eq!(spent(&mut cern).await.0, "1");
    until("nothing is under way", || site.flights.admission.is_idle()).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_after_paying_is_told_in_one_code_and_stays_paid() {
    let folder = folder_of(VISITS);
    let site = Site::start_with(folder, &[("noise_tick_ms", "400")]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let info = cern.info(PER_SITE).await.unwrap();
    // What is in the file is damaged, its size and time are as they were: nothing sees it before rows are read.
    let path = site.folder.path().join("policies/visits.parquet");
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes[4..half].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(modified).unwrap();
    let begun = Instant::now();
    let status = cern.pull(&info).await.unwrap_err();
    assert_eq!(crate::site::code(&status), "Q007", "{status:?}");
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
    assert!(!status.message().contains("Hint"), "{}", status.message());
    assert_eq!(spent(&mut cern).await.0, "0.5");
    assert_eq!(privacy(&cern.info(PER_SITE).await.unwrap())["stored"], false);
    site.stop().await;
}
