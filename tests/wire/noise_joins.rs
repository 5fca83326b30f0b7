//! Public tables over the wire: where they stand, that they are read as they are, and joins with them that are
//! answered with noise, stored, and new once a public file is another.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetTables};
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;
use veilflight::wire::sql::metadata::{Metadata, table};

use super::noise::{QUICK, VISITS, column, folder_of, messages, privacy, spent};
use super::sql::Asker;
use crate::site::{CANARY, JOBS, Site, code, write_jobs, write_policy};

const REGIONS: &str =
    "SELECT region, count(*) AS n FROM visits JOIN visits.sites ON visits.Site = sites.site
    GROUP BY region ORDER BY region";

/// Sites with their regions; `D` has no visits.
fn write_sites(path: &Path, of_d: &str) {
    let text = |values: [&str; 4]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let batch = RecordBatch::try_from_iter([
        ("site", text(["A", "B", "C", "D"])),
        ("region", text(["eu", "eu", "us", of_d])),
        ("tier", Arc::new(Int64Array::from(vec![1, 2, 2, 3])) as ArrayRef),
    ])
    .unwrap();
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn folder() -> TempDir {
    let public = "public_tables: {sites: {parquet: sites.parquet}}\ngrants:\n";
    let folder = folder_of(VISITS);
    write_sites(&folder.path().join("policies/sites.parquet"), "sky");
    write_policy(folder.path(), "visits.yaml", &VISITS.replace("grants:\n", public));
    write_policy(folder.path(), "jobs.yaml", JOBS);
    write_jobs(folder.path(), 100);
    folder
}

fn texts(batch: &RecordBatch, name: &str) -> Vec<String> {
    let column = batch[name].as_string::<i32>();
    column.iter().map(|text| text.unwrap_or("null").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_with_a_public_table_is_answered_for_every_public_group_and_costs_once() {
    let site = Site::start_with(folder(), &[QUICK]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let info = cern.info(REGIONS).await.unwrap();
    // The groups stand in the public table: nothing is paid for showing one.
    assert_eq!((&privacy(&info)["delta"], &privacy(&info)["stored"]), (&"0".into(), &false.into()));
    let first = messages(&mut cern, &info).await.unwrap();
    let answer = cern.all(REGIONS).await.unwrap();
    assert_eq!(texts(&answer, "region"), ["eu", "sky", "us"]);
    assert_eq!(answer.schema().field(0).metadata()["veilflight.protection"], "public");
    // Of 99 persons a site four visits each, and one more: 793 of `eu`, none of `sky`, 396 of `us`. Scale 16: off by
    // more than 336 with a chance of 7.4e-10 each, 2.2e-9 all three.
    let n = column(&answer, "n");
    let off = [n[0] - 793, n[1], n[2] - 396];
    assert!(off.iter().all(|off| off.abs() <= 336), "{n:?}");
    assert_eq!(spent(&mut cern).await.0, "0.5");
    // In other words and another order of tables it is the same question.
    let again = "SELECT s.region AS r, count(*) AS many FROM visits.sites s JOIN visits v ON s.site = v.Site GROUP BY 1";
    assert_eq!(privacy(&cern.info(again).await.unwrap())["stored"], true);
    cern.all(again).await.unwrap();
    assert_eq!(spent(&mut cern).await.0, "0.5");
    let token = cern.token.clone();
    drop(cern);

    // Another content of the public file is another question.
    let (clock, store) = (site.clock.clone(), Arc::clone(&site.store));
    let folder = site.stop().await;
    let site = Site::start_over(folder, &[QUICK], clock, store).await;
    let mut cern = Asker::with(&site, &token, &[]).await;
    assert_eq!(messages(&mut cern, &info).await.unwrap(), first);
    let (clock, store) = (site.clock.clone(), Arc::clone(&site.store));
    let folder = site.stop().await;
    write_sites(&folder.path().join("policies/sites.parquet"), "us");
    let site = Site::start_over(folder, &[QUICK], clock, store).await;
    let mut cern = Asker::with(&site, &token, &[]).await;
    assert_eq!(code(&cern.pull(&info).await.unwrap_err()), "T004");
    assert_eq!(privacy(&cern.info(REGIONS).await.unwrap())["stored"], false);
    assert_eq!(texts(&cern.all(REGIONS).await.unwrap(), "region"), ["eu", "us"]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn public_conditions_leave_groups_out_for_any_data() {
    let site = Site::start_with(folder(), &[QUICK]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let by = |key: &str, condition: &str| {
        format!(
            "SELECT {key} AS key, count(*) AS n FROM visits JOIN visits.sites ON visits.Site = sites.site
                WHERE {condition} GROUP BY 1 ORDER BY 1"
        )
    };
    // `D` has no visits, which nobody is told: its region stays as long as no public value excludes it.
    for (key, condition, groups) in [
        ("region", "tier >= 2 AND Hours < 1000", vec!["eu", "sky", "us"]),
        ("region", "tier = 2", vec!["eu", "us"]),
        ("upper(region)", "sites.site <> 'C'", vec!["EU", "SKY"]),
        ("lower(visits.Site)", "tier < 3 AND Hours > 0", vec!["a", "b", "c"]),
    ] {
        let sql = by(key, condition);
        let info = cern.info(&sql).await.unwrap();
        assert_eq!(privacy(&info)["delta"], "0", "{sql}");
        let answer = cern.all(&sql).await.unwrap();
        assert_eq!(texts(&answer, "key"), groups, "{sql}");
        assert_eq!(answer.schema().field(0).metadata()["veilflight.protection"], "public");
    }
    assert_eq!(spent(&mut cern).await.0, "2");
    // Where no group is left nothing is paid.
    let status = cern.info(&by("region", "tier = 7 AND Hours > 0")).await.unwrap_err();
    assert_eq!(code(&status), "Q006");
    assert!(status.message().contains("no group is left"), "{status:?}");
    assert_eq!(spent(&mut cern).await.0, "2");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn public_tables_are_listed_described_and_read_as_they_are_for_nothing() {
    let site = Site::start_with(folder(), &[QUICK]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let schemas = Metadata::DbSchemas(CommandGetDbSchemas::default());
    let names = |batch: RecordBatch| texts(&batch, "db_schema_name");
    let all = names(table(&site.flights, "cern", &schemas).await.unwrap());
    assert_eq!(all, ["information_schema", "public", "visits"]);
    let tables = CommandGetTables { include_schema: true, ..CommandGetTables::default() };
    let tables = Metadata::Tables(tables);
    let listed = table(&site.flights, "cern", &tables).await.unwrap();
    let full: BTreeSet<String> = texts(&listed, "db_schema_name")
        .into_iter()
        .zip(texts(&listed, "table_name"))
        .map(|(schema, name)| format!("{schema}.{name}"))
        .collect();
    assert!(full.contains("visits.sites") && full.contains("public.visits"), "{full:?}");
    let columns =
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'visits'";
    let columns: BTreeSet<String> =
        texts(&cern.all(columns).await.unwrap(), "column_name").into_iter().collect();
    assert_eq!(columns, ["region", "site", "tier"].map(str::to_owned).into());

    // Rows of it alone are what the file holds, without noise and for nothing.
    let rows = cern.all("SELECT site, region FROM visits.sites ORDER BY site").await.unwrap();
    assert_eq!(texts(&rows, "region"), ["eu", "eu", "us", "sky"]);
    let counted = cern.all("SELECT count(*) AS n FROM veilflight.visits.sites").await.unwrap();
    assert_eq!(column(&counted, "n"), [4]);
    // Beside rows that a partner may have, too.
    let beside = "SELECT count(*) AS n FROM jobs, visits.sites WHERE tier = 1";
    assert_eq!(cern.all(beside).await.unwrap().num_rows(), 1);
    assert_eq!(spent(&mut cern).await.0, "0");

    // Who has nothing of the dataset sees no schema of it, and hears what others hear of no table at all.
    let mut fnal = Asker::new(&site, "fnal").await;
    assert_eq!(
        names(table(&site.flights, "fnal", &schemas).await.unwrap()),
        ["information_schema", "public"]
    );
    let told = |status: tonic::Status| (status.code(), code(&status).to_owned());
    let foreign = told(fnal.info("SELECT * FROM visits.sites").await.unwrap_err());
    let absent = told(fnal.info("SELECT * FROM nobody.sites").await.unwrap_err());
    assert_eq!((&foreign, foreign.1.as_str()), (&absent, "Q001"));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn joins_with_anything_else_give_nothing() {
    let site = Site::start_with(folder(), &[QUICK]).await;
    let mut cern = Asker::new(&site, "cern").await;
    for sql in [
        "SELECT * FROM visits JOIN visits.sites ON visits.Site = sites.site",
        "SELECT count(*) FROM visits a JOIN visits b ON a.Id = b.Id JOIN visits.sites s ON a.Site = s.site",
        "SELECT count(*) FROM visits JOIN jobs ON visits.Site = jobs.Site",
        "SELECT count(*) FROM jobs JOIN visits ON visits.Site = jobs.Site JOIN visits.sites s ON s.site = jobs.Site",
        "SELECT count(*) FROM visits FULL JOIN visits.sites ON visits.Site = sites.site",
        "SELECT count(*) FROM visits, visits.sites",
        "SELECT count(*) FROM visits JOIN visits.sites ON Hours > tier",
        "SELECT count(*) FROM visits JOIN visits.sites ON User = sites.site",
        "SELECT count(*) FROM visits JOIN jobs.sites ON visits.Site = sites.site",
        "SELECT count(*) FROM visits JOIN visits.nodes ON visits.Site = nodes.site",
        "SELECT s.site FROM visits.sites s WHERE s.site IN (SELECT Site FROM visits)",
        "SELECT (SELECT count(*) FROM visits) AS n, site FROM visits.sites",
        "SELECT site FROM visits.sites UNION ALL SELECT Site FROM visits",
    ] {
        let status = cern.info(sql).await.expect_err(sql);
        assert!(matches!(code(&status), "Q001" | "Q006"), "{sql}: {status:?}");
        assert!(!status.message().contains(CANARY), "{status:?}");
    }
    assert_eq!(spent(&mut cern).await.0, "0");
    site.stop().await;
}
