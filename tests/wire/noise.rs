//! Answers with noise over the wire: what they cost and show before, that the same question is answered once, and
//! that budgets hold. Attacks, ways around, crashes and the measured epsilon are in files of their own.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Float64Type, Int64Type, Schema};
use arrow_flight::{FlightData, FlightInfo, IpcMessage};
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::Value;
use tempfile::TempDir;
use tonic::Status;
use veilflight::audit::show::{Filter, lines};

use super::prepared::{bind, command, create, numbers};
use super::sql::{Asker, statement};
use crate::site::{CANARY, Site, code, ticket, write_policy};

/// A dataset that two partners are granted with noise, and one as rows.
pub(super) const VISITS: &str = "\
version: 1
dataset: visits
description: Visits of persons
source: {parquet: visits.parquet}
unit: User
columns:
  Id: keep
  User: drop
  Site: keep
  Queue: keep
  Hours: keep
views:
  - {name: per_site, sql: 'SELECT Site, count(*) AS n FROM visits GROUP BY Site'}
  - {name: long_visits, sql: 'SELECT Site, Hours FROM visits WHERE Hours > 10'}
grants:
  - {partner: cern, access: dp, epsilon: 3, delta: 1e-5, groups_max: 2, rows_max: 4,
     bounds: {Hours: [0, 100]}, keys: {Site: [A, B, C]}, query: {epsilon: 0.5, delta: 1e-6}}
  - {partner: desy, access: dp, epsilon: 3, delta: 1e-5, groups_max: 2, rows_max: 4,
     bounds: {Hours: [0, 100]}, keys: {Site: [A, B, C]}, query: {epsilon: 0.5, delta: 1e-6}}
  - {partner: lab, access: rows}
";

/// The question that most tests ask.
pub(super) const PER_SITE: &str = "SELECT Site, count(*) AS n FROM visits GROUP BY Site";

/// One visit: who, where, in which queue, for how long.
pub(super) type Visit = (Option<String>, &'static str, String, Option<i64>);

/// Visits of 300 persons, of nobody, and of one person who alone is in a queue.
pub(super) fn visits() -> Vec<Visit> {
    let mut all = Vec::new();
    for row in 0..1_800_i64 {
        let user = (row % 100 != 99).then(|| format!("{CANARY}-{}", row % 300));
        let site = ["A", "B", "C"][(row % 3) as usize];
        let queue = format!("queue-{}", row % 2);
        all.push((user, site, queue, (row % 50 != 7).then_some(row % 50)));
    }
    all.push((Some(format!("{CANARY}-rare")), "A", format!("rare-{CANARY}"), Some(99)));
    all
}

/// Writes visits as a parquet file in several row groups.
pub(super) fn write_visits(path: &Path, visits: &[Visit]) {
    write_visits_as(path, visits, |_| true);
}

/// The same as writers do that say of each column whether there are nulls in it.
pub(super) fn write_visits_as(path: &Path, visits: &[Visit], nullable: fn(&ArrayRef) -> bool) {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..visits.len() as i64));
    let users: ArrayRef = Arc::new(StringArray::from_iter(visits.iter().map(|it| it.0.clone())));
    let sites: ArrayRef = Arc::new(StringArray::from_iter_values(visits.iter().map(|it| it.1)));
    let queues: ArrayRef =
        Arc::new(StringArray::from_iter_values(visits.iter().map(|it| it.2.clone())));
    let hours: ArrayRef = Arc::new(Int64Array::from_iter(visits.iter().map(|it| it.3)));
    let columns =
        [("Id", ids), ("User", users), ("Site", sites), ("Queue", queues), ("Hours", hours)];
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| {
            let nullable = nullable(&column);
            (name, column, nullable)
        }))
        .unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(visits.len().div_ceil(4).max(1)))
        .build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// A folder with one policy and [`visits`].
pub(super) fn folder_of(policy: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("policies")).unwrap();
    write_policy(folder.path(), "visits.yaml", policy);
    write_visits(&folder.path().join("policies/visits.parquet"), &visits());
    folder
}

/// Ticks that tests need not wait for.
pub(super) const QUICK: (&str, &str) = ("noise_tick_ms", "1");

/// A server over [`VISITS`].
pub(super) async fn site() -> Site {
    Site::start_with(folder_of(VISITS), &[QUICK]).await
}

/// The messages of an answer as they came.
pub(super) async fn messages(
    asker: &mut Asker,
    info: &FlightInfo,
) -> Result<Vec<FlightData>, Status> {
    assert_eq!(info.endpoint.len(), 1);
    let request = crate::site::with_token(&asker.token, ticket(info, 0));
    let messages = asker.client.do_get(request).await?.into_inner();
    messages.try_collect().await
}

/// What is told of costs in an info.
pub(super) fn privacy(info: &FlightInfo) -> Value {
    let told: Value = serde_json::from_slice(&info.app_metadata).unwrap();
    assert!(told["policies"].is_object(), "{told}");
    told["privacy"].clone()
}

/// What an action tells.
async fn told(asker: &mut Asker, action: &str, body: &str) -> Result<Value, Status> {
    let results = asker.act(action, body.as_bytes().to_vec()).await?;
    Ok(serde_json::from_slice(&results[0]).unwrap())
}

/// What a partner has spent of the dataset `visits`, as decimals.
pub(super) async fn spent(asker: &mut Asker) -> (String, String) {
    let budget = told(asker, "veilflight.privacy_budget", "").await.unwrap();
    let of = &budget["datasets"][0];
    assert_eq!(of["dataset"], "visits", "{budget}");
    let text = |name: &str| of["spent"][name].as_str().unwrap().to_owned();
    (text("epsilon"), text("delta"))
}

fn both(epsilon: &str, delta: &str) -> (String, String) {
    (epsilon.to_owned(), delta.to_owned())
}

pub(super) fn column<'a>(batch: &'a RecordBatch, name: &str) -> &'a [i64] {
    batch[name].as_primitive::<Int64Type>().values()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_answer_costs_is_shown_and_nothing_is_spent_for_it() {
    let site = site().await;
    let mut cern = Asker::new(&site, "cern").await;
    let info = cern.info(PER_SITE).await.unwrap();
    let privacy = privacy(&info);
    assert_eq!(privacy["epsilon"], "0.5", "{privacy}");
    // All groups are public: nothing is paid for showing one.
    assert_eq!(privacy["delta"], "0");
    assert_eq!(privacy["stored"], false);
    assert_eq!(privacy["left"]["epsilon"], "3");
    assert_eq!(privacy["total"]["delta"], "0.00001");
    assert_eq!((&privacy["unit"], &privacy["accounting"]), (&"User".into(), &"pure".into()));
    assert_eq!((&privacy["groups_max"], &privacy["rows_max"]), (&2.into(), &4.into()));
    let mechanisms = privacy["mechanisms"].as_array().unwrap();
    assert_eq!(mechanisms.len(), 1);
    assert_eq!(mechanisms[0]["mechanism"], "discrete_laplace");
    // Scale 2 * 4 / 0.5 = 16: of 20 numbers, one is off by more than about 16 ln 20.
    let half_width = mechanisms[0]["half_width_95"].as_f64().unwrap();
    assert!((half_width - 16.0 * 20_f64.ln()).abs() < 2.0, "{half_width}");
    assert!(privacy["clipped"].as_str().unwrap().contains("not told"));

    let cost = told(&mut cern, "veilflight.privacy_cost", PER_SITE).await.unwrap();
    assert_eq!(cost["privacy"], privacy);
    let unknown = "SELECT Queue, count(*) AS n, avg(Hours) AS h FROM visits GROUP BY Queue";
    let cost = told(&mut cern, "veilflight.privacy_cost", unknown).await.unwrap();
    assert_eq!(cost["privacy"]["delta"], "0.000001", "{cost}");
    let names: Vec<&str> = cost["privacy"]["mechanisms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mechanism| mechanism["measure"].as_str().unwrap())
        .collect();
    assert!(names.len() >= 4 && names.contains(&"units") && names.contains(&"rows"), "{names:?}");
    cern.schema(statement(PER_SITE)).await.unwrap();
    create(&mut cern, PER_SITE).await.unwrap();
    assert_eq!(spent(&mut cern).await, both("0", "0"));

    let about = told(&mut cern, "veilflight.policy_info", "visits").await.unwrap();
    assert_eq!(about["access"], "dp");
    let terms = &about["privacy"];
    assert_eq!(terms["unit"], "User", "{about}");
    assert_eq!(terms["bounds"]["Hours"]["high"], 100.0);
    assert_eq!(terms["public_keys"][0], "Site");
    assert_eq!(terms["left"]["epsilon"], "3");
    assert_eq!(terms["statement"]["epsilon"], "0.5");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_question_gives_the_same_bytes_and_costs_once() {
    let site = site().await;
    let mut cern = Asker::new(&site, "cern").await;
    let info = cern.info(PER_SITE).await.unwrap();
    let first = messages(&mut cern, &info).await.unwrap();
    assert_eq!(spent(&mut cern).await, both("0.5", "0"));
    // By the same ticket, and asked anew.
    assert_eq!(messages(&mut cern, &info).await.unwrap(), first);
    let again = cern.info(PER_SITE).await.unwrap();
    assert_eq!(privacy(&again)["stored"], true);
    assert_eq!(messages(&mut cern, &again).await.unwrap(), first);
    let (schema, batches) = cern.get(ticket(&again, 0)).await.unwrap();
    let all = arrow::compute::concat_batches(&Arc::new(schema.clone()), &batches).unwrap();
    // What is promised is what comes.
    assert_eq!(info.clone().try_decode_schema().unwrap(), schema);
    assert_eq!(cern.schema(statement(PER_SITE)).await.unwrap(), schema);
    let created = create(&mut cern, PER_SITE).await.unwrap();
    assert_eq!(Schema::try_from(IpcMessage(created.dataset_schema)).unwrap(), schema);
    let names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
    assert_eq!(names, ["Site", "n", "n_hw95"]);
    let count = schema.field_with_name("n").unwrap().metadata();
    assert_eq!(count["veilflight.protection"], "dp");
    assert_eq!(count["veilflight.dp.mechanism"], "discrete_laplace");
    assert_eq!(
        (count["veilflight.dp.epsilon"].as_str(), count["veilflight.dp.unit"].as_str()),
        ("0.5", "User")
    );
    // Every public key, and counts near those of bounded rows: 100 persons a site, 4 of 6 rows each.
    let sites: BTreeSet<&str> = all["Site"].as_string::<i32>().iter().flatten().collect();
    assert_eq!(sites, BTreeSet::from(["A", "B", "C"]));
    for count in column(&all, "n") {
        assert!((200..600).contains(count), "{count}");
    }
    let half_width = all["n_hw95"].as_primitive::<Float64Type>().value(0);
    let promised = privacy(&info)["mechanisms"][0]["half_width_95"].as_f64().unwrap();
    assert!((half_width - promised).abs() < 1e-9);
    assert_eq!(spent(&mut cern).await, both("0.5", "0"));

    // What stands above the aggregation is free; another partner's answer is another.
    for rewritten in [
        "SELECT v.Site AS place, count(*) AS visits FROM visits v GROUP BY v.Site",
        "SELECT Site, count(*) AS n FROM visits GROUP BY Site ORDER BY n DESC LIMIT 2",
        "SELECT Site, count(*) AS n FROM visits GROUP BY Site HAVING count(*) > 0",
        "SELECT Site, count(*) * 2 AS twice FROM visits GROUP BY Site",
        "SELECT Site, n FROM per_site",
    ] {
        let info = cern.info(rewritten).await.unwrap();
        assert_eq!(privacy(&info)["stored"], true, "{rewritten}");
        cern.pull(&info).await.unwrap();
    }
    assert_eq!(spent(&mut cern).await, both("0.5", "0"));
    let renamed =
        "SELECT Site AS place, count(*) AS visits FROM visits GROUP BY Site ORDER BY Site";
    let renamed = cern.all(renamed).await.unwrap();
    let sorted = cern.all(&format!("{PER_SITE} ORDER BY Site")).await.unwrap();
    assert_eq!(column(&renamed, "visits"), column(&sorted, "n"));
    let mut desy = Asker::new(&site, "desy").await;
    let info = desy.info(PER_SITE).await.unwrap();
    assert_eq!(privacy(&info)["stored"], false);
    desy.pull(&info).await.unwrap();
    assert_eq!(spent(&mut desy).await, both("0.5", "0"));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_kept_over_a_restart_and_other_data_are_another_question() {
    let site = site().await;
    let mut cern = Asker::new(&site, "cern").await;
    let token = cern.token.clone();
    let info = cern.info(PER_SITE).await.unwrap();
    let first = messages(&mut cern, &info).await.unwrap();
    let (clock, store) = (site.clock.clone(), Arc::clone(&site.store));
    let folder = site.stop().await;

    let site = Site::start_over(folder, &[QUICK], clock, store).await;
    let mut cern = Asker::with(&site, &token, &[]).await;
    // The ticket of before, too.
    assert_eq!(messages(&mut cern, &info).await.unwrap(), first);
    assert_eq!(spent(&mut cern).await, both("0.5", "0"));
    let mut more = visits();
    more.push((Some("new".to_owned()), "A", "queue-0".to_owned(), Some(1)));
    write_visits(&site.folder.path().join("policies/visits.parquet"), &more);
    // A look at the files is remembered for a second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(code(&cern.pull(&info).await.unwrap_err()), "T004");
    let info = cern.info(PER_SITE).await.unwrap();
    assert_eq!(privacy(&info)["stored"], false);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn epsilon_is_said_by_header_and_session_and_sealed_in_the_ticket() {
    let site = site().await;
    let token = site.partner("cern");
    let mut cern = Asker::with(&site, &token, &[("veilflight-epsilon", "0.25")]).await;
    let info = cern.info(PER_SITE).await.unwrap();
    assert_eq!(privacy(&info)["epsilon"], "0.25");
    let handle = create(&mut cern, PER_SITE).await.unwrap().prepared_statement_handle;
    // Pulled by a call that says nothing, it costs what was shown.
    let mut plain = Asker::with(&site, &token, &[]).await;
    plain.pull(&info).await.unwrap();
    assert_eq!(spent(&mut plain).await, both("0.25", "0"));
    // Another epsilon is another answer.
    let info = plain.info(PER_SITE).await.unwrap();
    assert_eq!(privacy(&info)["stored"], false);
    // A prepared statement keeps its own, unless the call that executes it says another.
    assert_eq!(privacy(&plain.describe(command(handle.clone())).await.unwrap())["epsilon"], "0.25");
    let mut other = Asker::with(&site, &token, &[("veilflight-epsilon", "0.75")]).await;
    assert_eq!(privacy(&other.describe(command(handle)).await.unwrap())["epsilon"], "0.75");

    for wrong in ["-1", "+1", "0", "NaN", "inf", "1e3", "1e-40", "0.1 ", "1,5", "0x1p-2"] {
        let mut cern = Asker::with(&site, &token, &[("veilflight-epsilon", wrong)]).await;
        // Blanks around it do not matter.
        if wrong.trim() == "0.1" {
            assert_eq!(privacy(&cern.info(PER_SITE).await.unwrap())["epsilon"], "0.1");
            continue;
        }
        let status = cern.info(PER_SITE).await.unwrap_err();
        assert_eq!(code(&status), "R001", "{wrong}");
        assert!(status.message().contains("takes a decimal above 0"), "{}", status.message());
    }
    let mut greedy = Asker::with(&site, &token, &[("veilflight-epsilon", "3.1")]).await;
    let status = greedy.info(PER_SITE).await.unwrap_err();
    assert_eq!(code(&status), "R001");
    assert!(status.message().contains("`epsilon` is at most 3"), "{}", status.message());
    // Nobody asks for next to nothing without end.
    let mut mean = Asker::with(&site, &token, &[("veilflight-epsilon", "0.000299")]).await;
    let status = mean.info(PER_SITE).await.unwrap_err();
    assert_eq!(code(&status), "R001");
    assert!(status.message().contains("`epsilon` is at least 0.0003"), "{}", status.message());
    let mut least = Asker::with(&site, &token, &[("veilflight-epsilon", "0.0003")]).await;
    assert_eq!(privacy(&least.info(PER_SITE).await.unwrap())["epsilon"], "0.0003");
    assert_eq!(spent(&mut plain).await, both("0.25", "0"));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_spent_answers_what_was_answered_and_nothing_else() {
    let site = site().await;
    let mut cern = Asker::new(&site, "cern").await;
    let question =
        |least: usize| format!("SELECT count(*) AS n FROM visits WHERE Hours >= {least}");
    let first = cern.all(&question(0)).await.unwrap();
    for least in 1..6 {
        cern.all(&question(least)).await.unwrap();
    }
    assert_eq!(spent(&mut cern).await, both("3", "0"));
    // It is still shown what it would cost.
    let info = cern.info(&question(6)).await.unwrap();
    assert_eq!(privacy(&info)["left"]["epsilon"], "0");
    let status = cern.pull(&info).await.unwrap_err();
    assert_eq!(code(&status), "L012", "{}", status.message());
    assert_eq!(cern.all(&question(0)).await.unwrap(), first);
    assert_eq!(spent(&mut cern).await, both("3", "0"));
    // Whose budget it is.
    let mut desy = Asker::new(&site, "desy").await;
    desy.all(&question(0)).await.unwrap();
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_partners_together_stay_within_the_cap() {
    let policy = VISITS.replace("grants:", "privacy: {epsilon: 1.5, delta: 1e-5}\ngrants:");
    let site = Site::start_with(folder_of(&policy), &[QUICK]).await;
    let (mut cern, mut desy) = (Asker::new(&site, "cern").await, Asker::new(&site, "desy").await);
    let question =
        |least: usize| format!("SELECT count(*) AS n FROM visits WHERE Hours >= {least}");
    cern.all(&question(0)).await.unwrap();
    desy.all(&question(0)).await.unwrap();
    cern.all(&question(1)).await.unwrap();
    // Each has 2 or more of their own left.
    for asker in [&mut desy, &mut cern] {
        let info = asker.info(&question(2)).await.unwrap();
        assert_eq!(privacy(&info)["left"]["epsilon"], "0");
        assert_eq!(code(&asker.pull(&info).await.unwrap_err()), "L013");
        asker.all(&question(0)).await.unwrap();
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_questions_at_once_never_spend_more_than_there_is() {
    let settings = [QUICK, ("queries_max", "16"), ("queries_partner_max", "16")];
    let site = Site::start_with(folder_of(VISITS), &settings).await;
    let mut cern = Asker::new(&site, "cern").await;
    let token = cern.token.clone();
    let mut tasks = Vec::new();
    for number in 0..64 {
        let mut asker = Asker::with(&site, &token, &[("veilflight-epsilon", "0.1")]).await;
        tasks.push(tokio::spawn(async move {
            let sql = format!("SELECT count(*) AS n FROM visits WHERE Id >= {number}");
            asker.all(&sql).await.map(drop).map_err(|status| code(&status).to_owned())
        }));
    }
    let mut answered = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => answered += 1,
            Err(code) => assert_eq!(code, "L012"),
        }
    }
    assert_eq!(answered, 30, "3 in steps of 0.1");
    assert_eq!(spent(&mut cern).await, both("3", "0"));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_question_at_once_is_paid_once() {
    let settings = [QUICK, ("queries_max", "8"), ("queries_partner_max", "8")];
    let site = Site::start_with(folder_of(VISITS), &settings).await;
    let mut cern = Asker::new(&site, "cern").await;
    let token = cern.token.clone();
    let mut tasks = Vec::new();
    for _ in 0..16 {
        let mut asker = Asker::with(&site, &token, &[]).await;
        tasks.push(tokio::spawn(async move {
            loop {
                match asker.all(PER_SITE).await {
                    Ok(answer) => return answer,
                    Err(status) => assert_eq!(code(&status), "L014"),
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }));
    }
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(spent(&mut cern).await, both("0.5", "0"));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prepared_statements_take_parameters_and_cost_when_they_are_pulled() {
    let site = site().await;
    let mut cern = Asker::new(&site, "cern").await;
    let sql = "SELECT count(*) AS n FROM visits WHERE Hours >= $1";
    let created = create(&mut cern, sql).await.unwrap();
    let parameters = Schema::try_from(IpcMessage(created.parameter_schema)).unwrap();
    assert_eq!(parameters.fields().len(), 1);
    let open = created.prepared_statement_handle;
    assert_eq!(code(&cern.describe(command(open.clone())).await.unwrap_err()), "Q005");
    let bound = bind(&mut cern, open.clone(), numbers("$1", &[30])).await.unwrap();
    let info = cern.describe(command(bound)).await.unwrap();
    let promised = Schema::try_from(IpcMessage(created.dataset_schema)).unwrap();
    assert_eq!(info.clone().try_decode_schema().unwrap(), promised);
    assert_eq!(spent(&mut cern).await, both("0", "0"));
    let by_parameter = cern.pull(&info).await.unwrap();
    // A value that is bound is a value that is written.
    let info = cern.info("SELECT count(*) AS n FROM visits WHERE Hours >= 30").await.unwrap();
    assert_eq!(privacy(&info)["stored"], true);
    assert_eq!(cern.pull(&info).await.unwrap(), by_parameter);
    let other = bind(&mut cern, open, numbers("$1", &[31])).await.unwrap();
    assert_eq!(privacy(&cern.describe(command(other)).await.unwrap())["stored"], false);
    assert_eq!(spent(&mut cern).await, both("0.5", "0"));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_zero_concentrated_accounting_answers_are_cheaper_together() {
    let privacy_of = "privacy: {epsilon: 3, delta: 1e-5, accounting: zcdp}\ngrants:";
    let policy = VISITS.replace("grants:", privacy_of);
    let site = Site::start_with(folder_of(&policy), &[QUICK]).await;
    let token = site.partner("cern");
    let mut cern = Asker::with(&site, &token, &[("veilflight-epsilon", "0.1")]).await;
    let info = cern.info(PER_SITE).await.unwrap();
    let told = privacy(&info);
    assert_eq!(told["accounting"], "zcdp", "{told}");
    assert_eq!(told["mechanisms"][0]["mechanism"], "discrete_gaussian");
    let answer = cern.pull(&info).await.unwrap();
    let metadata = answer.schema().field_with_name("n").unwrap().metadata().clone();
    assert_eq!(metadata["veilflight.dp.mechanism"], "discrete_gaussian");
    for number in 0..40 {
        cern.all(&format!("SELECT count(*) AS n FROM visits WHERE Id > {number}")).await.unwrap();
    }
    // 41 answers of epsilon 0.1 would be 4.1 in a sum.
    let (epsilon, _) = spent(&mut cern).await;
    let epsilon: f64 = epsilon.parse().unwrap();
    assert!(epsilon > 0.5 && epsilon < 3.0, "{epsilon}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_leave_at_ticks_whether_they_are_new_stored_or_failures() {
    let tick = 300;
    let settings = [("noise_tick_ms", "300")];
    let site = Site::start_with(folder_of(VISITS), &settings).await;
    let mut cern = Asker::new(&site, "cern").await;
    // The first answer pays for warming up.
    cern.all(PER_SITE).await.unwrap();
    for sql in ["SELECT count(*) AS n FROM visits", PER_SITE] {
        let info = cern.info(sql).await.unwrap();
        let stored = privacy(&info)["stored"] == true;
        let begun = Instant::now();
        cern.pull(&info).await.unwrap();
        let took = begun.elapsed().as_millis();
        // What comes before and after a tick is planning and sending; both know no rows.
        assert!(took >= tick, "{took} ms, stored: {stored}");
        assert!(took % tick < tick / 2, "{took} ms, stored: {stored}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_what_was_asked_read_and_paid() {
    let site = site().await;
    let mut cern = Asker::new(&site, "cern").await;
    let sql = "SELECT Queue, sum(Hours) AS h FROM visits WHERE Site = 'A' GROUP BY Queue";
    cern.all(sql).await.unwrap();
    cern.all(sql).await.unwrap();
    // Paid also where the statement fails over its own noisy values.
    let failing = "SELECT 1 / (count(*) - count(*)) AS x FROM visits";
    let refused = cern.all(failing).await.unwrap_err();
    assert_eq!(code(&refused), "Q003");
    let (store, ring) = (Arc::clone(&site.store), Arc::clone(&site.ring));
    site.stop().await;
    let lines = lines(store.as_ref(), &Filter::default()).unwrap();
    let pulls: Vec<_> = lines.iter().filter(|line| line.subject.method == "DoGet").collect();
    assert_eq!(pulls.len(), 3);
    for pull in &pulls {
        assert_eq!(pull.subject.reads[0].dataset, "visits");
        assert!(pull.subject.statement.is_some());
    }
    assert_eq!(pulls[0].subject.reads[0].columns, ["Site", "Queue", "Hours"]);
    let paid = |at: usize| {
        let paid = pulls[at].paid.clone().unwrap();
        (paid.epsilon, paid.delta, paid.stored)
    };
    assert_eq!(paid(0), ("0.5".to_owned(), "0.000001".to_owned(), false));
    assert_eq!(paid(1), ("0".to_owned(), "0".to_owned(), true));
    assert_eq!(paid(2), ("0.5".to_owned(), "0".to_owned(), false));
    assert_eq!((pulls[2].outcome, pulls[2].code.as_deref()), ("failed", Some("Q003")));
    assert!(
        lines.iter().filter(|line| line.subject.method != "DoGet").all(|line| line.paid.is_none())
    );
    assert!(veilflight::audit::verify::verify(store.as_ref(), &ring, None).unwrap().is_whole());
}
