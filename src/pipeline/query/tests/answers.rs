//! What statements answer: values, schemas, and how answers are split.

use super::*;

#[tokio::test]
async fn a_statement_picks_counts_joins_and_orders() {
    let world = World::new();
    let cases: &[(&str, &[&str])] = &[
        ("SELECT count(*) FROM jobs", &["1000"]),
        ("SELECT count(*) FROM jobs WHERE \"Id\" < 10", &["10"]),
        (
            "SELECT \"Site\", count(*) AS n FROM jobs GROUP BY 1 ORDER BY 1 NULLS LAST",
            &["cern 250", "fnal 250", "kit 250", "- 250"],
        ),
        (
            "SELECT j.\"Id\", s.\"Country\" FROM jobs j LEFT JOIN sites s ON j.\"Site\" = s.\"Site\" \
             ORDER BY j.\"Id\" LIMIT 4",
            &["0 CH", "1 US", "2 -", "3 -"],
        ),
        (
            "SELECT s.\"Site\", count(j.\"Id\") FROM jobs j FULL JOIN sites s USING (\"Site\") \
             GROUP BY s.\"Site\" ORDER BY 1",
            &["cern 250", "desy 0", "fnal 250", "- 500"],
        ),
        (
            "WITH few AS (SELECT \"Id\" % 3 AS k FROM jobs WHERE \"Id\" < 7) \
             SELECT k, row_number() OVER (ORDER BY k DESC), sum(k) OVER () FROM \
             (SELECT DISTINCT k FROM few) ORDER BY k",
            &["0 3 3", "1 2 3", "2 1 3"],
        ),
        (
            "SELECT \"Site\" FROM sites WHERE \"Site\" IN (SELECT \"Site\" FROM jobs) \
             UNION SELECT 'x' UNION ALL SELECT \"Country\" FROM sites WHERE \"Country\" IS NULL \
             ORDER BY 1",
            &["cern", "fnal", "x", "-"],
        ),
        ("SELECT \"Id\" FROM jobs ORDER BY \"Id\" DESC LIMIT 2 OFFSET 1", &["998", "997"]),
        (
            "SELECT (SELECT max(\"Id\") FROM jobs) - count(*) FROM jobs WHERE \"Site\" = 'kit'",
            &["749"],
        ),
        (
            "SELECT \"Site\" FROM jobs INTERSECT SELECT \"Site\" FROM sites ORDER BY 1",
            &["cern", "fnal"],
        ),
        ("SELECT count(\"User\"), count(DISTINCT \"User\") FROM jobs", &["858 50"]),
        ("SELECT 1 + 1 AS two", &["2"]),
    ];
    for (sql, rows) in cases {
        assert_eq!(world.rows(sql).await, *rows, "{sql}");
    }
    let limited = world.rows("SELECT \"Id\" FROM jobs LIMIT 150").await;
    assert_eq!(limited.len(), 150);
}

#[tokio::test]
async fn a_plain_pull_and_select_star_give_the_same_values_and_schema() {
    let world = World::new();
    let view = world.view(JOBS);
    let query = world.plan("SELECT * FROM jobs").await.unwrap();
    assert_eq!(query.schema(), view.plan.schema());
    assert_eq!(query.shards(), view.snapshot.shards());
    let direct = world.answer(query).await.unwrap();
    // The same through the engine: something is computed.
    let sql =
        "SELECT \"Id\", \"User\", \"Site\", \"Cpus\", \"Start\" FROM jobs WHERE \"Id\" + 0 >= 0";
    let computed = world.ask(sql).await.unwrap();
    assert_eq!(direct, computed);
    let partner = partner("cern");
    for shard in 0..view.snapshot.shards() {
        let reservation = world.admission.reserve(&partner, &[]).unwrap();
        let entry = world.log.open(Request::default()).unwrap();
        let (plan, snapshot, format) =
            (view.plan.clone(), view.snapshot.clone(), Format::default());
        let pipeline = &world.engine.pipeline;
        let pull =
            pipeline.open(&partner, plan, snapshot, shard, format, reservation, entry).unwrap();
        let query = world.plan("SELECT * FROM jobs").await.unwrap();
        let asked = world.open(query, shard).unwrap();
        let bytes =
            |message: Result<Sealed>| message.map(|m| (m.header().clone(), m.body().clone()));
        let pull: Vec<_> = pull.map(|message| bytes(message).unwrap()).collect().await;
        let asked: Vec<_> = asked.map(|message| bytes(message).unwrap()).collect().await;
        assert_eq!(pull, asked);
    }
}

#[tokio::test]
async fn columns_may_be_renamed_reordered_and_repeated_without_the_engine() {
    let world = World::new();
    let sql = "SELECT t.b AS c, \"Id\", b FROM (SELECT \"Site\" AS b, \"Id\" FROM jobs) t";
    let query = world.plan(sql).await.unwrap();
    assert!(matches!(query.0.work, Work::Direct { .. }));
    assert_eq!(query.shards(), 4);
    let rows = world.rows(sql).await;
    assert_eq!(rows[..3], ["cern 0 cern", "fnal 1 fnal", "kit 2 kit"]);
    assert_eq!(rows.len(), 1000);
}

#[tokio::test]
async fn only_what_looks_at_one_row_of_one_view_is_split() {
    let world = World::new();
    let split = [
        "SELECT * FROM jobs",
        "SELECT \"Id\" + 1 FROM jobs",
        "SELECT upper(\"Site\") AS s FROM jobs WHERE \"Id\" > 500 AND \"User\" IS NOT NULL",
        "SELECT x FROM (SELECT \"Id\" * 2 AS x FROM jobs WHERE \"Site\" = 'kit') WHERE x > 4",
    ];
    for sql in split {
        let query = world.plan(sql).await.unwrap();
        assert_eq!(query.shards(), 4, "{sql}");
        assert!(!query.ordered());
        assert_eq!(world.open(query, 4).err().unwrap().code(), Code::TicketStale, "{sql}");
    }
    let whole = [
        "SELECT * FROM jobs LIMIT 5",
        "SELECT count(*) FROM jobs",
        "SELECT DISTINCT \"Site\" FROM jobs",
        "SELECT \"Id\", rank() OVER (ORDER BY \"Id\") FROM jobs",
        "SELECT a.\"Id\" FROM jobs a JOIN jobs b ON a.\"Id\" = b.\"Id\"",
        "SELECT \"Id\" FROM jobs UNION ALL SELECT \"Id\" FROM jobs",
        "SELECT \"Id\" FROM jobs WHERE \"Id\" = (SELECT max(\"Id\") FROM jobs)",
        "SELECT \"Id\" FROM jobs WHERE \"Site\" IN (SELECT \"Site\" FROM sites)",
        "SELECT \"Id\", now() FROM jobs WHERE \"Id\" > 3",
        "SELECT \"Id\" FROM jobs WHERE \"Start\" < current_date",
        "SELECT \"Id\" FROM jobs ORDER BY \"Id\"",
        "SELECT 1",
    ];
    for sql in whole {
        let query = world.plan(sql).await.unwrap();
        assert_eq!(query.shards(), 1, "{sql}");
        assert_eq!(query.ordered(), sql.ends_with("ORDER BY \"Id\""), "{sql}");
        assert_eq!(world.open(query, 1).err().unwrap().code(), Code::TicketStale, "{sql}");
    }
}

#[tokio::test]
async fn the_schema_is_that_of_the_stream_whatever_is_asked() {
    let world = World::new();
    let shapes = [
        "SELECT * FROM jobs",
        "SELECT * FROM sites",
        "SELECT * FROM jobs WHERE false",
        "SELECT * FROM jobs WHERE \"Id\" < 0",
        "SELECT count(*), count(\"User\"), sum(\"Id\"), avg(\"Id\") FROM jobs WHERE \"Id\" < 0",
        "SELECT min(\"Site\"), max(\"Start\"), min(\"Cpus\") FROM jobs",
        "SELECT s.*, j.\"Id\" FROM sites s LEFT JOIN jobs j ON j.\"Site\" = s.\"Site\" AND j.\"Id\" < 2",
        "SELECT s.*, j.* FROM jobs j RIGHT JOIN sites s ON j.\"Site\" = s.\"Site\" AND j.\"Id\" = 0",
        "SELECT * FROM sites a FULL JOIN (SELECT \"Site\" AS x FROM jobs) b ON a.\"Site\" = b.x",
        "SELECT a.\"Site\" AS l, b.\"Site\" AS r FROM sites a CROSS JOIN sites b",
        "SELECT coalesce(\"Site\", 'none') FROM jobs",
        "SELECT nullif(\"Site\", 'cern') FROM sites",
        "SELECT CASE WHEN \"Id\" > 5 THEN 'big' END FROM jobs",
        "SELECT CASE WHEN \"Id\" > 5 THEN 'big' ELSE 'small' END FROM jobs",
        "SELECT 1, 'a', NULL, true, 1.5, X'00ff'",
        "SELECT NULL AS n FROM jobs LIMIT 3",
        "SELECT DATE '2026-01-01', TIMESTAMP '2026-01-01 00:00:00', INTERVAL '1 day'",
        "SELECT CAST(\"Id\" AS DECIMAL(20, 2)) AS a, CAST(\"Id\" AS FLOAT) AS b, CAST(\"Id\" AS TEXT) FROM jobs",
        "SELECT TRY_CAST(\"Site\" AS INT) FROM jobs",
        "SELECT upper(\"Site\"), length(\"User\"), substr(\"User\", 2, 3) FROM jobs",
        "SELECT \"Site\" || '-' || \"Id\" FROM jobs",
        "SELECT concat(\"Site\", \"User\"), left(\"User\", 3) FROM jobs",
        "SELECT date_trunc('hour', \"Start\"), date_part('year', \"Start\") FROM jobs",
        "SELECT to_char(\"Start\", '%Y') FROM jobs LIMIT 2",
        "SELECT \"Site\", count(*) FROM jobs GROUP BY \"Site\"",
        "SELECT \"Site\", \"Cpus\", count(*) FROM jobs GROUP BY ROLLUP (\"Site\", \"Cpus\")",
        "SELECT \"Site\", array_agg(\"Id\") FROM jobs WHERE \"Id\" < 9 GROUP BY \"Site\"",
        "SELECT array_agg(\"User\") FROM jobs WHERE \"Id\" < 9",
        "SELECT string_agg(\"Site\", ',') FROM sites",
        "SELECT [1, 2, \"Id\"] AS l, struct(\"Id\", \"Site\") AS s FROM jobs",
        "SELECT named_struct('a', \"Site\", 'b', [\"User\"]) FROM jobs",
        "SELECT map(['a'], [\"Id\"]) FROM jobs LIMIT 3",
        "SELECT unnest([\"Id\", NULL]) FROM jobs WHERE \"Id\" < 4",
        "SELECT DISTINCT \"Site\" FROM jobs",
        "SELECT \"Site\" FROM jobs UNION SELECT 'x'",
        "SELECT \"Id\" FROM jobs UNION ALL SELECT NULL",
        "SELECT \"Site\" FROM sites EXCEPT SELECT \"Site\" FROM jobs",
        "SELECT \"Id\", lag(\"Id\") OVER (ORDER BY \"Id\"), ntile(3) OVER (ORDER BY \"Id\") FROM jobs",
        "SELECT first_value(\"Site\") OVER (PARTITION BY \"Cpus\" ORDER BY \"Id\") FROM jobs",
        "SELECT (SELECT max(\"Country\") FROM sites) AS c, \"Id\" FROM jobs LIMIT 3",
        "SELECT \"Site\" = 'cern', \"Site\" IS NULL, NOT (\"Id\" > 1), \"Site\" LIKE 'c%' FROM jobs",
        "SELECT approx_distinct(\"User\"), median(\"Id\"), stddev(\"Id\") FROM jobs",
        "SELECT * FROM (VALUES (1, 'a'), (2, NULL)) AS t(x, y)",
        "SELECT regexp_match(\"Site\", 'c(.)') FROM sites",
        "SELECT encode(CAST(\"Site\" AS BYTEA), 'hex') FROM sites",
    ];
    for sql in shapes {
        let query =
            world.plan(sql).await.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
        let answer = world.answer(query.clone()).await;
        // Sealing refuses another type, and a null where the schema has none.
        let answer = answer.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
        assert_eq!(answer.schema(), *query.schema(), "{sql}");
        for field in query.schema().fields() {
            assert_eq!(canonical(field.data_type()), *field.data_type(), "{sql}");
            assert!(field.metadata().keys().all(|key| key == "veilflight.protection"), "{sql}");
        }
    }
}

#[tokio::test]
async fn a_column_tells_how_it_was_protected_under_its_new_name() {
    let world = World::new();
    let query = world.plan("SELECT \"User\" AS who, \"Id\" + 1 AS n FROM jobs").await.unwrap();
    let told =
        |at: usize| query.schema().field(at).metadata().get("veilflight.protection").cloned();
    assert_eq!(told(0).as_deref(), Some("pseudonym.hmac"));
    assert_eq!(told(1), None);
    let kinds: Vec<_> = query.schema().fields().iter().map(|field| field.data_type()).collect();
    assert_eq!(kinds, [&DataType::Utf8, &DataType::Int64]);
    assert_eq!(query.reads(), [("jobs".to_owned(), vec!["Id".to_owned(), "User".to_owned()])]);
    let counted =
        world.plan("SELECT count(*) FROM jobs, sites WHERE \"Admin\" = 'x'").await.unwrap();
    let reads = [("jobs".to_owned(), vec![]), ("sites".to_owned(), vec!["Admin".to_owned()])];
    assert_eq!(counted.reads(), reads);
}

#[tokio::test]
async fn the_sessions_time_zone_is_that_of_the_terms() {
    let world = World::new();
    let statement = Statement::parse("SELECT TIMESTAMPTZ '2026-01-01 00:00:00' AS t").unwrap();
    for (zone, expected) in [(None, "UTC"), (Some("+02:00"), "+02:00")] {
        let terms = Terms { time_zone: zone.map(str::to_owned), ..Terms::default() };
        let query = world.engine.plan(&statement, &terms, Vec::new()).await.unwrap();
        let DataType::Timestamp(_, Some(told)) = query.schema().field(0).data_type() else {
            panic!("{:?}", query.schema())
        };
        assert_eq!(&**told, expected);
    }
}

#[tokio::test]
async fn the_time_is_told_once_a_statement() {
    let world = World::new();
    let told = world.rows("SELECT now() = now(), count(DISTINCT now()) FROM jobs").await;
    assert_eq!(told, ["true 1"]);
}
