//! No way gives a partner who is granted noise a row or an exact number: every path by which others get one is tried.

use arrow::array::AsArray;
use arrow_flight::sql::{CommandGetTables, CommandGetXdbcTypeInfo};
use arrow_flight::{Criteria, FlightDescriptor, IpcMessage};
use futures::TryStreamExt;
use prost::Message;
use veilflight::wire::sql::metadata::{Metadata, table};

use super::noise::{PER_SITE, VISITS, folder_of, privacy, site, spent};
use super::prepared::create;
use super::sql::{Asker, statement};
use crate::site::{CANARY, JOBS, Site, code, path, ticket, with_token, write_jobs, write_policy};

/// Statements that ask for rows, for exact numbers, or for noise beside something else.
const REFUSED: &[&str] = &[
    "SELECT * FROM visits",
    "SELECT Id FROM visits",
    "SELECT DISTINCT Site FROM visits",
    "SELECT Site FROM visits GROUP BY Site",
    "SELECT * FROM visits ORDER BY Hours DESC LIMIT 1",
    "SELECT Site, Hours FROM long_visits",
    "SELECT max(Id) FROM visits",
    "SELECT array_agg(Hours) FROM visits",
    "SELECT string_agg(Site, ',') FROM visits",
    "SELECT first_value(Hours) FROM visits",
    "SELECT count(DISTINCT Hours) FROM visits",
    "SELECT count(*) OVER () FROM visits",
    "SELECT row_number() OVER (ORDER BY Hours) FROM visits",
    "SELECT sum(Hours) OVER (PARTITION BY Site) FROM visits",
    "SELECT count(*) FROM visits UNION ALL SELECT count(*) FROM visits",
    "SELECT Id FROM visits UNION SELECT 1",
    "SELECT Id FROM visits EXCEPT SELECT 1",
    "SELECT count(*) FROM visits a JOIN visits b ON a.Id = b.Id",
    "SELECT count(*) FROM visits a, visits b",
    "SELECT count(*) FROM visits WHERE Id IN (SELECT Id FROM visits)",
    "SELECT count(*) FROM visits WHERE EXISTS (SELECT 1 FROM visits v WHERE v.Id = 3)",
    "SELECT (SELECT max(Hours) FROM visits) AS x",
    "SELECT (SELECT count(*) FROM visits) AS x, count(*) FROM visits",
    "SELECT count(*) FROM visits, jobs",
    "SELECT count(*) FROM jobs WHERE Id IN (SELECT Id FROM visits)",
    "SELECT Id FROM jobs UNION ALL SELECT Id FROM visits",
    "SELECT count(*) FROM jobs, (SELECT Site, count(*) AS n FROM visits GROUP BY Site) v",
    "SELECT count(*) FROM visits, information_schema.tables",
    "SELECT table_name FROM information_schema.tables WHERE EXISTS (SELECT 1 FROM visits)",
    "SELECT sum(n) FROM (SELECT Site, count(*) AS n FROM visits GROUP BY Site) GROUP BY 1 > (SELECT count(*) FROM visits)",
    "WITH v AS (SELECT * FROM visits) SELECT * FROM v",
    "WITH v AS (SELECT Id FROM visits LIMIT 5) SELECT count(*) FROM v",
    "SELECT count(*) FROM (SELECT DISTINCT Id FROM visits)",
    "SELECT count(*) FROM (SELECT * FROM visits ORDER BY Hours LIMIT 1)",
    "SELECT count(*) FROM visits WHERE 1 / (Hours - 7) > 0",
    "SELECT count(*) FROM visits WHERE CAST(Queue AS BIGINT) > 0",
    "SELECT count(*) FROM visits GROUP BY GROUPING SETS ((Site), ())",
    "SELECT sum(Id) FROM visits",
    "SELECT User, count(*) FROM visits GROUP BY User",
    "SELECT count(*) FROM visits WHERE User = 'x'",
];

/// A partner with rows of `jobs` and noise of `visits`.
async fn mixed() -> Site {
    let folder = folder_of(VISITS);
    write_policy(folder.path(), "jobs.yaml", JOBS);
    write_jobs(folder.path(), 100);
    Site::start_with(folder, &[super::noise::QUICK]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_gives_a_row_or_an_exact_number() {
    let site = mixed().await;
    let mut cern = Asker::new(&site, "cern").await;
    for sql in REFUSED {
        let refused = [
            cern.info(sql).await.map(drop),
            cern.schema(statement(sql)).await.map(drop),
            create(&mut cern, sql).await.map(drop),
            cern.act("veilflight.privacy_cost", sql.as_bytes().to_vec()).await.map(drop),
        ];
        for (way, refused) in refused.into_iter().enumerate() {
            let status = refused.expect_err(sql);
            let code = code(&status);
            assert!(matches!(code, "Q001" | "Q002" | "Q006"), "{sql} by way {way}: {status:?}");
            assert!(!status.message().contains(CANARY), "{status:?}");
        }
    }
    // Beside it, rows of the other dataset are there.
    assert_eq!(cern.all("SELECT count(*) AS n FROM jobs").await.unwrap().num_rows(), 1);
    assert_eq!(spent(&mut cern).await.0, "0");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dataset_is_seen_and_not_pulled() {
    let site = site().await;
    let mut cern = Asker::new(&site, "cern").await;
    let token = cern.token.clone();
    for descriptor in [path("visits"), path("long_visits")] {
        let status = cern.describe(descriptor.clone()).await.unwrap_err();
        assert_eq!(code(&status), "Q006", "{status:?}");
        assert!(status.message().contains("Hint:"), "{}", status.message());
        assert_eq!(code(&cern.schema(descriptor.clone()).await.unwrap_err()), "Q006");
        let request = with_token(&token, descriptor);
        let status = cern.client.poll_flight_info(request).await.unwrap_err();
        assert_eq!(code(&status), "Q006");
    }
    let request = with_token(&token, Criteria::default());
    let flights = site.client().await.list_flights(request).await.unwrap().into_inner();
    let flights: Vec<_> = flights.try_collect().await.unwrap();
    let name = |at: usize| flights[at].flight_descriptor.clone().unwrap().path[0].clone();
    assert_eq!((flights.len(), name(0), name(1)), (2, "visits".to_owned(), "per_site".to_owned()));
    assert_eq!(flights[0].endpoint.len(), 0, "there is nothing to pull");
    let schema = flights[0].clone().try_decode_schema().unwrap();
    assert!(schema.field_with_name("User").is_err() && schema.field_with_name("Site").is_ok());
    // A view of groups is an answer with its cost.
    assert_eq!(privacy(&flights[1])["epsilon"], "0.5");
    let info = cern.describe(path("per_site")).await.unwrap();
    assert_eq!(info.schema, flights[1].schema);
    assert_eq!(cern.pull(&info).await.unwrap().num_rows(), 3);
    let by_name = cern.info(PER_SITE).await.unwrap();
    assert_eq!(privacy(&by_name)["stored"], true);

    let asked = CommandGetTables { include_schema: true, ..CommandGetTables::default() };
    let asked = Metadata::Tables(asked);
    let tables = table(&site.flights, "cern", &asked).await.unwrap();
    let names: Vec<_> = tables["table_name"].as_string::<i32>().iter().flatten().collect();
    let at = names.iter().position(|name| *name == "visits").unwrap();
    assert!(names.contains(&"per_site") && names.contains(&"long_visits"), "{names:?}");
    let schema = tables["table_schema"].as_binary::<i32>().value(at).to_vec();
    let schema = arrow::datatypes::Schema::try_from(IpcMessage(schema.into())).unwrap();
    assert_eq!(schema.metadata()["veilflight.access"], "dp");
    assert_eq!(schema.metadata()["veilflight.dp.unit"], "User");
    let listed = cern
        .all("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1")
        .await
        .unwrap();
    let listed: Vec<_> = listed["table_name"].as_string::<i32>().iter().flatten().collect();
    assert!(listed.contains(&"visits"), "{listed:?}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_of_rows_are_not_good_for_who_is_granted_noise() {
    let site = site().await;
    let (mut cern, mut lab) = (Asker::new(&site, "cern").await, Asker::new(&site, "lab").await);
    let rows = lab.describe(path("visits")).await.unwrap();
    let sql = lab.info("SELECT Id FROM visits").await.unwrap();
    for info in [rows, sql] {
        for endpoint in 0..info.endpoint.len() {
            let status = cern.get(ticket(&info, endpoint)).await.unwrap_err();
            assert_eq!(code(&status), "T003");
        }
    }
    // Nor is an answer with noise another's.
    let info = cern.info(PER_SITE).await.unwrap();
    let mut desy = Asker::new(&site, "desy").await;
    assert_eq!(code(&desy.pull(&info).await.unwrap_err()), "T003");
    assert_eq!(spent(&mut cern).await.0, "0");
    // Metadata commands show names and types alone.
    let types = Metadata::XdbcTypeInfo(CommandGetXdbcTypeInfo { data_type: None });
    let types = cern.describe(FlightDescriptor::new_cmd(types.encode())).await.unwrap();
    assert!(!types.encode_to_vec().windows(CANARY.len()).any(|it| it == CANARY.as_bytes()));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_for_rows_that_ended_leaves_noise_and_no_rows() {
    let today = veilflight::clock::Clock::today(&veilflight::clock::SystemClock);
    let policy = VISITS.replace("{partner: lab, access: rows}", &format!(
        "{{partner: lab, access: rows, until: {today}, dangerous_rows_and_dp: true}}\n  - {{partner: lab, access: dp, \
         epsilon: 1, groups_max: 1, rows_max: 1, dangerous_rows_and_dp: true}}"
    ));
    let site = Site::start_with(folder_of(&policy), &[super::noise::QUICK]).await;
    let mut lab = Asker::new(&site, "lab").await;
    let rows = lab.describe(path("visits")).await.unwrap();
    let ids = lab.info("SELECT Id FROM visits").await.unwrap();
    let count = lab.info("SELECT count(*) AS n FROM visits").await.unwrap();
    site.clock.advance_seconds(24 * 60 * 60);
    // Tickets live for an hour; renewed ones ended as well.
    for info in [&rows, &ids, &count] {
        assert!(matches!(code(&lab.pull(info).await.unwrap_err()), "T002" | "Q006"));
    }
    assert_eq!(code(&lab.describe(path("visits")).await.unwrap_err()), "Q006");
    assert_eq!(code(&lab.info("SELECT Id FROM visits").await.unwrap_err()), "Q006");
    let info = lab.info("SELECT count(*) AS n FROM visits").await.unwrap();
    assert_eq!(privacy(&info)["epsilon"], "0.1");
    site.stop().await;
}
