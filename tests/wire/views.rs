//! Views over the wire: listed, described and pulled as tables, by their names and in statements; and no
//! way around a grant, a column that stays, or a change of the policy.

use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Float32Type;
use arrow_flight::sql::CommandGetTables;
use arrow_flight::{Criteria, FlightInfo, IpcMessage};
use futures::TryStreamExt;
use tempfile::TempDir;
use tonic::{Code, Status};
use veilflight::audit::show::{Filter, lines};
use veilflight::wire::sql::metadata::{Metadata, table};

use super::prepared::{bind, command, create, numbers};
use super::sql::{Asker, runs};
use crate::site::{CANARY, PATIENCE, Site, code, path, ticket, with_token, write_policy};

/// The views of `runs`, as a block of its policy.
const VIEWS: &str = "\
views:
  - name: site_costs
    description: What each site cost
    sql: |
      SELECT site, count(*) AS n, sum(cost) AS total
      FROM runs
      GROUP BY site
  - {name: users, sql: 'SELECT user AS token, count(*) AS count FROM runs GROUP BY user'}
  - {name: busy_users, sql: SELECT token FROM users WHERE count >= 100}
  - {name: vectors, sql: 'SELECT id, CAST(make_array(cpu, id) AS REAL[2]) AS features FROM runs'}
  - {name: early, sql: 'SELECT id, site, cpu FROM runs WHERE id < 10'}
  - {name: failing, sql: 'SELECT id, 1 / (id - 399) AS x FROM runs'}
";

/// The folder of [`runs`] with [`VIEWS`] in their policy.
fn folder() -> TempDir {
    let folder = runs();
    rewrite(&folder, |policy| policy.replace("grants:", &format!("{VIEWS}grants:")));
    folder
}

fn rewrite(folder: &TempDir, change: impl Fn(String) -> String) {
    let path = folder.path().join("policies/runs.yaml");
    let policy = std::fs::read_to_string(path).unwrap();
    write_policy(folder.path(), "runs.yaml", &change(policy));
}

async fn flights(site: &Site, token: &str, prefix: &str) -> Vec<FlightInfo> {
    let criteria = Criteria { expression: prefix.to_owned().into() };
    let request = with_token(token, criteria);
    let answers = site.client().await.list_flights(request).await.unwrap().into_inner();
    answers.try_collect().await.unwrap()
}

fn names(flights: &[FlightInfo]) -> Vec<String> {
    let name = |flight: &FlightInfo| flight.flight_descriptor.clone().unwrap().path[0].clone();
    flights.iter().map(name).collect()
}

fn told(status: &Status) -> (Code, String) {
    let sentence = status.message().split(" [").next().unwrap().to_owned();
    (status.code(), sentence)
}

#[tokio::test]
async fn views_are_listed_and_pulled_as_datasets_are() {
    let site = Site::start_with(folder(), &[]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let token = cern.token.clone();
    let all = flights(&site, &token, "").await;
    let views = ["site_costs", "users", "busy_users", "vectors", "early", "failing"];
    assert_eq!(names(&all), [&["jobs", "runs"][..], &views[..]].concat());
    assert_eq!(names(&flights(&site, &token, "u").await), ["users"]);
    for info in &all[2..7] {
        let name = info.flight_descriptor.clone().unwrap().path[0].clone();
        let described = cern.describe(path(&name)).await.unwrap();
        assert_eq!(described.schema, info.schema, "{name}");
        assert_eq!(described.flight_descriptor, Some(path(&name)));
        let schema = cern.schema(path(&name)).await.unwrap();
        let by_path = cern.pull(&described).await.unwrap();
        assert_eq!(by_path.schema().as_ref(), &schema, "{name}");
        let listed = cern.pull(info).await.unwrap();
        let asked = cern.all(&format!("SELECT * FROM {}", name.to_uppercase())).await.unwrap();
        assert_eq!(by_path.num_rows(), asked.num_rows(), "{name}");
        assert_eq!(listed.num_rows(), asked.num_rows(), "{name}");
        assert!(asked.num_rows() > 0);
    }
    let users = cern.all("SELECT count(*) AS n FROM busy_users JOIN users USING (token)").await;
    assert_eq!(users.unwrap()["n"].as_primitive::<arrow::datatypes::Int64Type>().value(0), 4);
    let protection = cern.schema(path("early")).await.unwrap().field(1).metadata().clone();
    assert_eq!(protection["veilflight.protection"], "keep");
    // What was asked is in the log as what it is.
    let log = lines(site.store.as_ref(), &Filter::default()).unwrap();
    let log = format!("{log:?}");
    assert!(log.contains("site_costs"), "{log}");
    site.stop().await;
}

#[tokio::test]
async fn a_list_of_fixed_length_arrives_as_it_was_made() {
    let site = Site::start_with(folder(), &[]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let batch = cern.all("SELECT * FROM vectors WHERE id IN (7, 8) ORDER BY id").await.unwrap();
    let vectors = batch["features"].as_fixed_size_list();
    assert_eq!(vectors.value_length(), 2);
    let values = vectors.values().as_primitive::<Float32Type>().values().to_vec();
    assert_eq!(values, [1.75, 7.0, 2.0, 8.0]);
    let sql = "SELECT nullif(features, features) AS none FROM vectors WHERE id < 3";
    let batch = cern.all(sql).await.unwrap();
    let none = batch["none"].as_fixed_size_list();
    assert_eq!(arrow::array::Array::null_count(none), 3);
    // Under a null there is nothing of what stood there.
    assert!(none.values().as_primitive::<Float32Type>().values().iter().all(|v| *v == 0.0));
    site.stop().await;
}

#[tokio::test]
async fn clients_find_views_among_the_tables() {
    let site = Site::start_with(folder(), &[]).await;
    let views = CommandGetTables {
        table_types: vec!["VIEW".to_owned()],
        include_schema: true,
        ..CommandGetTables::default()
    };
    let batch = table(&site.flights, "cern", &Metadata::Tables(views.clone())).await.unwrap();
    let found: Vec<&str> = batch["table_name"].as_string::<i32>().iter().flatten().collect();
    assert_eq!(found, ["busy_users", "early", "failing", "site_costs", "users", "vectors"]);
    let message = IpcMessage(batch["table_schema"].as_binary::<i32>().value(3).to_vec().into());
    let schema = arrow::datatypes::Schema::try_from(message).unwrap();
    assert_eq!(schema.metadata()["veilflight.description"], "What each site cost");
    assert_eq!(schema.metadata()["veilflight.view_of"], "runs");
    assert_eq!(schema.fields().len(), 3);
    // Who may ask for aggregates alone sees what there is to ask.
    let batch = table(&site.flights, "desy", &Metadata::Tables(views.clone())).await.unwrap();
    assert_eq!(batch.num_rows(), 6);
    let batch = table(&site.flights, "fnal", &Metadata::Tables(views)).await.unwrap();
    assert_eq!(batch.num_rows(), 0);

    let mut cern = Asker::new(&site, "cern").await;
    let sql = "SELECT table_type, table_comment FROM information_schema.tables WHERE table_name = 'site_costs'";
    let batch = cern.all(sql).await.unwrap();
    assert_eq!(batch["table_type"].as_string::<i32>().value(0), "VIEW");
    assert_eq!(batch["table_comment"].as_string::<i32>().value(0), "What each site cost");
    let sql = "SELECT column_name || ' ' || data_type AS c FROM information_schema.columns
               WHERE table_name = 'vectors' ORDER BY ordinal_position";
    let batch = cern.all(sql).await.unwrap();
    let columns: Vec<&str> = batch["c"].as_string::<i32>().iter().flatten().collect();
    assert_eq!(columns, ["id Int64", "features FixedSizeList(2 x Float32)"]);
    site.stop().await;
}

#[tokio::test]
async fn who_may_not_read_the_dataset_neither_sees_nor_names_its_views() {
    let site = Site::start_with(folder(), &[]).await;
    let mut fnal = Asker::new(&site, "fnal").await;
    let token = fnal.token.clone();
    assert!(names(&flights(&site, &token, "").await).is_empty());
    for (there, nowhere) in [("users", "userz"), ("site_costs", "site_coats")] {
        let by_path = fnal.describe(path(there)).await.unwrap_err();
        let unknown = fnal.describe(path(nowhere)).await.unwrap_err();
        assert_eq!(code(&by_path), "D001");
        assert_eq!(told(&by_path), told(&unknown));
        let schema = fnal.schema(path(there)).await.unwrap_err();
        assert_eq!(told(&schema), told(&unknown));
        let by_name = fnal.all(&format!("SELECT * FROM {there}")).await.unwrap_err();
        let unknown = fnal.all(&format!("SELECT * FROM {nowhere}")).await.unwrap_err();
        assert_eq!(by_name.code(), unknown.code());
        assert_eq!(
            by_name.message().replace(there, nowhere).split(" [").next(),
            unknown.message().split(" [").next()
        );
    }
    let sql = "SELECT count(*) AS n FROM information_schema.tables WHERE table_schema = 'public'";
    let n = fnal.all(sql).await.unwrap();
    assert_eq!(n["n"].as_primitive::<arrow::datatypes::Int64Type>().value(0), 0);
    site.stop().await;
}

#[tokio::test]
async fn a_grant_of_aggregates_holds_through_a_view() {
    let site = Site::start_with(folder(), &[]).await;
    let mut desy = Asker::new(&site, "desy").await;
    let token = desy.token.clone();
    // Aggregates over groups of enough persons can be pulled; the rest can be asked for aggregates.
    assert_eq!(names(&flights(&site, &token, "").await), ["site_costs"]);
    let info = desy.describe(path("site_costs")).await.unwrap();
    assert_eq!(desy.pull(&info).await.unwrap().num_rows(), 5);
    let batch = desy.all("SELECT site, avg(cpu) AS mean FROM early GROUP BY site").await.unwrap();
    // Ten rows: no site has three persons among them.
    assert_eq!(batch.num_rows(), 0);
    for refused in ["users", "busy_users", "vectors", "early", "failing"] {
        let by_path = desy.describe(path(refused)).await.unwrap_err();
        assert_eq!((code(&by_path), by_path.code()), ("Q004", Code::PermissionDenied), "{refused}");
    }
    let persons = "SELECT count(*) AS n FROM vectors GROUP BY features";
    assert_eq!(code(&desy.all(persons).await.unwrap_err()), "Q004");
    site.stop().await;
}

#[tokio::test]
async fn nothing_of_a_view_that_fails_is_told() {
    let folder = folder();
    rewrite(&folder, |policy| {
        policy.replace("views:\n", "views:\n  - {name: gone, sql: SELECT lost_column FROM runs}\n")
    });
    let site = Site::start_with(folder, &[]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let token = cern.token.clone();
    // It divides by zero in one row.
    let failed = cern.all("SELECT * FROM failing").await.unwrap_err();
    assert_eq!(code(&failed), "Q003");
    for word in ["399", "id -", "zero", "runs"] {
        assert!(!failed.message().contains(word), "{failed:?}");
    }
    // Its column is not there: the others are listed, and it says that the custodian has to look.
    assert!(!names(&flights(&site, &token, "").await).contains(&"gone".to_owned()));
    let failed = cern.all("SELECT * FROM gone").await.unwrap_err();
    assert_eq!(code(&failed), "D003");
    assert!(!failed.message().contains("lost_column"), "{failed:?}");
    let all = cern.all("SELECT count(*) AS n FROM information_schema.tables").await.unwrap();
    assert!(all["n"].as_primitive::<arrow::datatypes::Int64Type>().value(0) >= 8);
    site.stop().await;
}

#[tokio::test]
async fn a_ticket_is_stale_once_the_view_says_something_else() {
    let site = Site::start_with(folder(), &[]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let info = cern.describe(path("early")).await.unwrap();
    let digest = site.flights.catalog.policy("runs").unwrap().digest.clone();
    rewrite(&site.folder, |policy| policy.replace("WHERE id < 10", "WHERE id < 300"));
    site.look_until(|flights| flights.catalog.policy("runs").unwrap().digest != digest).await;
    let stale = cern.get(ticket(&info, 0)).await.unwrap_err();
    assert_eq!(code(&stale), "T004");
    let again = cern.describe(path("early")).await.unwrap();
    assert_eq!(cern.pull(&again).await.unwrap().num_rows(), 300);
    site.stop().await;
}

#[tokio::test]
async fn all_columns_of_a_view_are_those_that_leave_now() {
    let folder = folder();
    rewrite(&folder, |policy| {
        policy.replace("views:\n", "views:\n  - {name: everything, sql: SELECT * FROM runs}\n")
    });
    let site = Site::start_with(folder, &[]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let columns = cern.schema(path("everything")).await.unwrap();
    assert_eq!(columns, cern.schema(path("runs")).await.unwrap());
    let digest = site.flights.catalog.policy("runs").unwrap().digest.clone();
    rewrite(&site.folder, |policy| policy.replace("cost: keep", "cost: drop"));
    site.look_until(|flights| flights.catalog.policy("runs").unwrap().digest != digest).await;
    let columns = cern.schema(path("everything")).await.unwrap();
    assert!(columns.field_with_name("cost").is_err() && columns.field_with_name("cpu").is_ok());
    // What names the column is out of order, and says no more than that.
    let gone = cern.all("SELECT * FROM site_costs").await.unwrap_err();
    assert_eq!(code(&gone), "D003");
    assert!(!gone.message().contains("cost:") && !gone.message().contains("`cost`"), "{gone:?}");
    // A column that comes and has no rule leaves by no way.
    let at = site.folder.path().join("policies/runs.parquet");
    std::fs::copy(site.folder.path().join("policies/jobs.parquet"), at).unwrap();
    let begun = Instant::now();
    while cern.schema(path("everything")).await.is_ok() {
        assert!(begun.elapsed() < PATIENCE, "the column is not seen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(code(&cern.schema(path("everything")).await.unwrap_err()), "D003");
    assert_eq!(code(&cern.all("SELECT id FROM early").await.unwrap_err()), "D003");
    site.stop().await;
}

#[tokio::test]
async fn a_name_means_one_thing_on_a_server() {
    let site = Site::start_with(folder(), &[]).await;
    let mut cern = Asker::new(&site, "cern").await;
    // Another policy comes with a view of a name that is taken, and stays out.
    let other = crate::site::JOBS
        .replace("dataset: jobs", "dataset: more")
        .replace("grants:", "views:\n  - {name: users, sql: SELECT Id FROM more}\ngrants:");
    write_policy(site.folder.path(), "more.yaml", &other);
    let fine = crate::site::JOBS.replace("dataset: jobs", "dataset: fine");
    write_policy(site.folder.path(), "fine.yaml", &fine);
    site.look_until(|flights| flights.catalog.policy("fine").is_some()).await;
    assert!(site.flights.catalog.policy("more").is_none());
    let users = cern.all("SELECT token FROM users").await.unwrap();
    assert_eq!(users.num_rows(), 4);
    // And one whose views cannot be asked is refused with what is wrong.
    let broken =
        other.replace("name: users", "name: others").replace("Id FROM more", "* FROM users");
    write_policy(site.folder.path(), "more.yaml", &broken);
    let fine = fine.replace("Batch jobs", "Fine jobs");
    write_policy(site.folder.path(), "fine.yaml", &fine);
    let described = |flights: &veilflight::wire::flights::Flights| {
        flights.catalog.policy("fine").unwrap().description == "Fine jobs"
    };
    site.look_until(described).await;
    assert!(site.flights.catalog.policy("more").is_none());
    site.stop().await;
}

#[tokio::test]
async fn a_prepared_statement_over_a_view_takes_parameters() {
    let site = Site::start_with(folder(), &[]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let created =
        create(&mut cern, "SELECT id FROM early WHERE id < $1 ORDER BY id").await.unwrap();
    let handle = bind(&mut cern, created.prepared_statement_handle, numbers("$1", &[3])).await;
    let info = cern.describe(command(handle.unwrap())).await.unwrap();
    assert_eq!(cern.pull(&info).await.unwrap().num_rows(), 3);
    site.stop().await;
}

#[tokio::test]
async fn no_byte_that_stays_leaves_through_a_view() {
    let site = Site::start_with(folder(), &[]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let users = cern.all("SELECT * FROM users").await.unwrap();
    let text = format!("{users:?}");
    assert!(text.contains("token") && !text.contains(CANARY), "{text}");
    site.stop().await;
}
