//! Releases over the wire: nothing before one is built, then its rows by every way there is, and tickets that
//! end with it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;
use tonic::Status;
use veilflight::error::Result;
use veilflight::pipeline::release::build::{Built, Job, Watch, build};
use veilflight::pipeline::release::manifest::Manifest;
use veilflight::pipeline::release::pins::Withdrawn;
use veilflight::pipeline::release::progress::Progress;
use veilflight::pipeline::release::store::Releases;
use veilflight::policy::load::load;

use super::sql::Asker;
use crate::site::{Site, code, folder, path, ticket, write_policy};

/// What stands in quasi-identifiers of rows that are suppressed, and in a column that stays.
const CANARY: &str = "c4n4ry";

/// Persons in rows that are alike in age and town; every hundredth is alone.
const POLICY: &str = "\
version: 1
dataset: persons
source: {parquet: persons.parquet}
unit: name
columns:
  name: {pseudonym: {method: hmac}}
  age: keep
  town: keep
  income: {bucket: {edges: [1000, 2000, 4000]}}
  day: keep
  note: drop
release:
  quasi_identifiers:
    - {column: age, intervals: {from: 0, widths: [10, 20]}}
    - town
  suppress_max: 0.05
  k_anonymity: {k: 5}
  l_diversity: {column: income, l: 2}
views:
  - {name: towns, sql: 'SELECT town, count(*) AS n FROM persons GROUP BY town'}
grants:
  - {partner: cern, access: rows}
  - {partner: desy, access: rows}
  - {partner: kek, access: aggregates, group_min: 5}
";

const ROWS: i64 = 20_000;

fn persons() -> TempDir {
    let folder = folder();
    write_persons(&folder, ROWS);
    write_policy(folder.path(), "persons.yaml", POLICY);
    folder
}

fn write_persons(folder: &TempDir, rows: i64) {
    let alone = |row: i64| row % 100 == 7;
    let texts = |of: &dyn Fn(i64) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..rows).map(of)))
    };
    let numbers = |of: &dyn Fn(i64) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values((0..rows).map(of)))
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("name", texts(&|row| format!("{CANARY}-{}", row % 3_000))),
        ("age", numbers(&|row| 20 + (row * 7) % 40)),
        (
            "town",
            texts(&|row| match alone(row) {
                true => format!("{CANARY}-{row}"),
                false => format!("town-{}", row % 7),
            }),
        ),
        ("income", numbers(&|row| (row * 37) % 5_000)),
        ("day", numbers(&|row| row)),
        ("note", texts(&|row| format!("{CANARY}-{row}"))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(3_000)).build();
    let path = folder.path().join("policies/persons.parquet");
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Nobody looks on.
struct Quiet;

impl Progress for Quiet {
    fn at(&self, _: u64, _: u64) {}

    fn cancelled(&self) -> bool {
        false
    }
}

impl Watch for Quiet {
    fn phase(&self, _: &'static str) {}
}

fn releases(site: &Site) -> Releases {
    Releases::new(&site.folder.path().join("state"), Arc::clone(&site.ring))
}

fn built(site: &Site) -> Result<Manifest> {
    let releases = releases(site);
    let policy = load(&site.folder.path().join("policies/persons.yaml")).unwrap().policy;
    let lock = releases.lock("persons")?;
    let built = build(&Job {
        policy: &Arc::new(policy),
        releases: &releases,
        lock: &lock,
        clock: &site.clock,
        reason: None,
        keep: false,
        threads: 2,
        memory_bytes: 64 << 20,
        watch: &Quiet,
    })?;
    match built {
        Built::Made(manifest) | Built::Exists(manifest) => Ok(manifest),
    }
}

/// Waits for the moment for which a look at files is good.
async fn later() {
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
}

fn refused<T>(answer: Result<T, Status>) -> String {
    match answer {
        Ok(_) => panic!("it was answered"),
        Err(status) => code(&status).to_owned(),
    }
}

fn text(batch: &RecordBatch, column: &str, row: usize) -> Option<String> {
    let column = batch.column_by_name(column).unwrap().as_string::<i32>();
    column.is_valid(row).then(|| column.value(row).to_owned())
}

#[tokio::test]
async fn a_release_is_pulled_by_every_way_and_before_it_is_built_by_none() {
    let site = Site::start_with(persons(), &[]).await;
    let mut cern = Asker::new(&site, "cern").await;
    assert_eq!(refused(cern.describe(path("persons")).await), "D002");
    assert_eq!(refused(cern.all("SELECT count(*) FROM persons").await), "D002");
    let manifest = built(&site).unwrap();
    later().await;
    let info = cern.describe(path("persons")).await.unwrap();
    assert!(info.endpoint.len() > 2, "{} shards", info.endpoint.len());
    let rows = cern.pull(&info).await.unwrap();
    assert_eq!(rows.num_rows() as u64, manifest.rows.released);
    assert_eq!(manifest.rows.read, ROWS as u64);
    assert_eq!(manifest.rows.suppressed, 200);
    // What was promised is what came, and it says what was done.
    let schema = rows.schema();
    let field = |name: &str| schema.field_with_name(name).unwrap();
    let told = |name: &str, key: &str| field(name).metadata().get(key).cloned().unwrap_or_default();
    assert_eq!(field("age").data_type(), &DataType::Utf8);
    assert_eq!(told("age", "veilflight.protection"), "release");
    assert_eq!(told("age", "veilflight.release"), manifest.id);
    assert_eq!(told("income", "veilflight.protection"), "bucket");
    assert_eq!(told("name", "veilflight.protection"), "pseudonym.hmac");
    assert!(schema.field_with_name("note").is_err());
    // Each class has five persons and two incomes, counted by what the partner sees.
    let mut classes: BTreeMap<_, (std::collections::BTreeSet<_>, std::collections::BTreeSet<_>)> =
        BTreeMap::new();
    let income = rows.column_by_name("income").unwrap();
    let income = arrow::compute::cast(income, &DataType::Utf8).unwrap();
    for row in 0..rows.num_rows() {
        let class = (text(&rows, "age", row), text(&rows, "town", row));
        let class = classes.entry(class).or_default();
        class.0.insert(text(&rows, "name", row));
        class.1.insert(income.as_string::<i32>().value(row).to_owned());
    }
    assert_eq!(classes.len() as u64, manifest.rows.classes);
    assert!(classes.values().all(|(persons, incomes)| persons.len() >= 5 && incomes.len() >= 2));
    assert!(!format!("{rows:?}").contains(CANARY));
    // The same by a statement, by a view, and as aggregates.
    let asked = cern.all("SELECT * FROM persons ORDER BY day").await.unwrap();
    assert_eq!(asked.num_rows(), rows.num_rows());
    let count = |batch: &RecordBatch, column: &str| -> i64 {
        let counts = batch.column_by_name(column).unwrap().as_primitive::<Int64Type>();
        counts.values().iter().sum()
    };
    let towns = cern.describe(path("towns")).await.unwrap();
    let towns = cern.pull(&towns).await.unwrap();
    assert_eq!(count(&towns, "n") as usize, rows.num_rows());
    let mut kek = Asker::new(&site, "kek").await;
    assert_eq!(refused(kek.describe(path("persons")).await), "Q004");
    let told = kek.all("SELECT age, count(*) AS n FROM persons GROUP BY age").await.unwrap();
    assert_eq!(count(&told, "n") as usize, rows.num_rows());
    // Another partner gets the same rows in the same order under pseudonyms of their own: what two put
    // together tells of classes what each has alone.
    let mut desy = Asker::new(&site, "desy").await;
    let info = desy.describe(path("persons")).await.unwrap();
    let others = desy.pull(&info).await.unwrap();
    for name in ["age", "town", "income", "day"] {
        assert!(rows.column_by_name(name) == others.column_by_name(name), "{name}");
    }
    assert!(rows.column_by_name("name") != others.column_by_name("name"));
    let mut pairs = std::collections::BTreeSet::new();
    for row in 0..rows.num_rows() {
        pairs.insert((text(&rows, "name", row), text(&others, "name", row)));
    }
    let names: std::collections::BTreeSet<_> = pairs.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), pairs.len(), "pseudonyms of two partners are one to one");
    site.stop().await;
}

#[tokio::test]
async fn no_byte_that_leaves_or_is_refused_holds_what_a_release_left_out() {
    let site = Site::start_with(persons(), &[]).await;
    built(&site).unwrap();
    let mut cern = Asker::new(&site, "cern").await;
    for sql in [
        "SELECT * FROM persons",
        "SELECT DISTINCT town FROM persons",
        "SELECT min(town), max(town), max(age), max(name) FROM persons",
        "SELECT town FROM persons WHERE town LIKE 'c4%' OR age = '27'",
        "SELECT age, count(DISTINCT name) AS n FROM persons GROUP BY age HAVING count(*) < 5",
        "SELECT CAST(town AS BIGINT) FROM persons",
        "SELECT note FROM persons",
        "SELECT 1 / (day - 107) FROM persons",
    ] {
        match cern.all(sql).await {
            Ok(rows) => assert!(!format!("{rows:?}").contains(CANARY), "{sql}"),
            Err(status) => assert!(!format!("{status:?}").contains("c4n4ry-"), "{sql}"),
        }
    }
    // Rows that were suppressed are not there to fail, to be counted or to be found.
    let found = cern.all("SELECT day FROM persons WHERE day % 100 = 7").await.unwrap();
    assert_eq!(found.num_rows(), 0);
    assert!(cern.all("SELECT 1 / (day - 107) AS x FROM persons").await.is_ok());
    site.stop().await;
}

#[tokio::test]
async fn tickets_of_a_release_end_with_it() {
    let site = Site::start_with(persons(), &[]).await;
    let first = built(&site).unwrap();
    let mut cern = Asker::new(&site, "cern").await;
    let info = cern.describe(path("persons")).await.unwrap();
    assert!(cern.get(ticket(&info, 0)).await.is_ok());
    // New data are built at the levels that were pinned, and take the place of the old.
    write_persons(&site.folder, ROWS + 4_000);
    assert!(cern.get(ticket(&info, 1)).await.is_ok(), "until then the old release is served");
    let second = built(&site).unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(first.levels, second.levels);
    assert_eq!(second.levels_of, Some(first.id));
    assert_eq!(refused(cern.get(ticket(&info, 1)).await), "T004");
    let info = cern.describe(path("persons")).await.unwrap();
    let rows = cern.pull(&info).await.unwrap();
    assert_eq!(rows.num_rows() as u64, second.rows.released);
    // Withdrawn, with its files left: nothing is served all the same.
    let releases = releases(&site);
    let why = Withdrawn { date: "2027-01-15T08:00:00Z".to_owned(), reason: "why".to_owned() };
    let lock = releases.lock("persons").unwrap();
    releases.withdraw(&lock, &second.id, why, true).unwrap();
    assert_eq!(refused(cern.get(ticket(&info, 0)).await), "T004");
    assert_eq!(refused(cern.describe(path("persons")).await), "D002");
    assert_eq!(refused(cern.all("SELECT day FROM persons").await), "D002");
    site.stop().await;
}

/// Changes one byte in the middle of a file, which is a page of values; the footer stays as it was.
fn flip(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let at = bytes.len() / 3;
    bytes[at] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn a_changed_page_of_a_release_is_served_to_nobody() {
    let site = Site::start_with(persons(), &[]).await;
    let manifest = built(&site).unwrap();
    let place = releases(&site).place("persons", &manifest.id);
    let file = place.join(&manifest.files[0].name);
    let whole = std::fs::read(&file).unwrap();
    // Before anything of it was read.
    flip(&file);
    let mut cern = Asker::new(&site, "cern").await;
    let mut desy = Asker::new(&site, "desy").await;
    assert_eq!(refused(cern.describe(path("persons")).await), "S001");
    assert_eq!(refused(desy.all("SELECT day FROM persons").await), "S001");
    // What is mended is served.
    std::fs::write(&file, &whole).unwrap();
    later().await;
    let info = cern.describe(path("persons")).await.unwrap();
    assert_eq!(cern.pull(&info).await.unwrap().num_rows() as u64, manifest.rows.released);
    // While it is served: tickets that are there end, and there are no new ones.
    flip(&file);
    assert_eq!(refused(cern.get(ticket(&info, 0)).await), "S001");
    assert_eq!(refused(desy.describe(path("persons")).await), "S001");
    let why = Withdrawn { date: "2027-01-15T08:00:00Z".to_owned(), reason: "why".to_owned() };
    let lock = releases(&site).lock("persons").unwrap();
    releases(&site).withdraw(&lock, &manifest.id, why, false).unwrap();
    drop(lock);
    assert_eq!(built(&site).unwrap().files, manifest.files, "built again it is what it was");
    later().await;
    assert!(cern.describe(path("persons")).await.is_ok());
    site.stop().await;
}
