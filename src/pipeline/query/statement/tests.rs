//! What may be asked and what is refused, statement by statement, with the hint that is told.

use super::*;

fn refusal(sql: &str) -> (Code, String) {
    let error = Statement::parse(sql).map(|statement| statement.sql).expect_err(sql);
    let hint = error.hint().expect("a hint").as_str().to_owned();
    (error.code(), hint)
}

fn tables(sql: &str) -> Vec<String> {
    Statement::parse(sql).unwrap().tables().to_vec()
}

#[test]
fn only_queries_are_taken() {
    let cases = [
        ("INSERT INTO jobs VALUES (1)", Code::Unsupported),
        ("UPDATE jobs SET a = 1", Code::Unsupported),
        ("delete from jobs", Code::Unsupported),
        ("MERGE INTO jobs USING b ON a = b WHEN MATCHED THEN DELETE", Code::Unsupported),
        ("COPY jobs TO '/tmp/x.parquet'", Code::Unsupported),
        ("COPY (SELECT * FROM jobs) TO '/tmp/x.csv'", Code::Unsupported),
        ("TRUNCATE TABLE jobs", Code::Unsupported),
        ("WITH a AS (SELECT 1) INSERT INTO jobs SELECT * FROM a", Code::Unsupported),
        ("WITH a AS (SELECT 1) DELETE FROM jobs", Code::Unsupported),
        ("SELECT * INTO copy FROM jobs", Code::Unsupported),
        ("EXPLAIN SELECT * FROM jobs", Code::SqlRefused),
        ("explain analyze verbose select 1", Code::SqlRefused),
        ("/* a */ EXPLAIN SELECT 1", Code::SqlRefused),
        ("SET datafusion.execution.parquet.pushdown_filters = true", Code::SqlRefused),
        ("RESET ALL", Code::SqlRefused),
        ("SHOW TABLES", Code::SqlRefused),
        ("SHOW ALL", Code::SqlRefused),
        ("DESCRIBE jobs", Code::SqlRefused),
        ("CREATE VIEW v AS SELECT ssn FROM jobs", Code::SqlRefused),
        ("CREATE TABLE t AS SELECT * FROM jobs", Code::SqlRefused),
        ("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '/data/raw'", Code::SqlRefused),
        ("CREATE FUNCTION f(x int) RETURNS int RETURN x", Code::SqlRefused),
        ("DROP TABLE jobs", Code::SqlRefused),
        ("PREPARE p AS SELECT 1", Code::SqlRefused),
        ("EXECUTE p", Code::SqlRefused),
        ("BEGIN", Code::SqlRefused),
        ("COMMIT", Code::SqlRefused),
        ("USE veilflight", Code::SqlRefused),
        ("TABLE jobs", Code::SqlRefused),
        ("SELECT 1 UNION TABLE jobs", Code::SqlRefused),
        ("FROM jobs SELECT *", Code::SqlRefused),
        ("SELECT 1; SELECT 2", Code::SqlRefused),
        ("SELECT 1; DROP TABLE jobs", Code::SqlRefused),
        ("SELECT * FROM jobs FOR UPDATE", Code::SqlRefused),
        ("SELECT * FROM read_parquet('/data/x.parquet')", Code::SqlRefused),
        ("SELECT * FROM generate_series(1, 1000000000)", Code::SqlRefused),
        ("SELECT * FROM jobs, LATERAL generate_series(1, 9)", Code::SqlRefused),
        ("SELECT * FROM TABLE(f(1))", Code::SqlRefused),
        ("SELECT * FROM jobs TABLESAMPLE BERNOULLI (1)", Code::SqlRefused),
        (
            "SELECT * FROM (SELECT user_id u FROM jobs) PIVOT(count(u) FOR u IN ('a', 'b'))",
            Code::SqlRefused,
        ),
        ("SELECT * FROM jobs UNPIVOT(a FOR b IN (c, d))", Code::SqlRefused),
        (
            "WITH RECURSIVE t AS (SELECT 1 UNION ALL SELECT * FROM t) SELECT * FROM t",
            Code::SqlRefused,
        ),
        ("SELECT @@version", Code::SqlRefused),
        ("SELECT TOP 3 * FROM jobs", Code::SqlRefused),
        ("SELECT * FROM jobs FETCH FIRST 3 ROWS ONLY", Code::SqlRefused),
        ("SELECT * FROM jobs |> WHERE a = 1", Code::SqlRefused),
        ("hello", Code::SqlInvalid),
        ("", Code::SqlInvalid),
        (" ;; ", Code::SqlInvalid),
        ("-- nothing", Code::SqlInvalid),
        ("SELECT 'open", Code::SqlInvalid),
        ("SELECT", Code::SqlInvalid),
        ("SELECT * FROM", Code::SqlInvalid),
    ];
    for (sql, code) in cases {
        let (found, hint) = refusal(sql);
        assert_eq!(found, code, "{sql}: {hint}");
        for word in ["Expected", "sqlparser", "Error", "DataFusion", "not_impl"] {
            assert!(!hint.contains(word), "{sql}: {hint}");
        }
    }
}

#[test]
fn every_kind_of_query_is_taken() {
    for sql in [
        "SELECT 1",
        "select * from jobs;",
        "(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1 LIMIT 3 OFFSET 1",
        "VALUES (1, 'a'), (2, 'b')",
        "WITH a AS (SELECT * FROM jobs) SELECT * FROM a JOIN jobs USING (x)",
        "SELECT a, count(*) FILTER (WHERE b) FROM jobs GROUP BY ROLLUP (a) HAVING count(*) > 1",
        "SELECT row_number() OVER w FROM jobs WINDOW w AS (PARTITION BY a ORDER BY b) QUALIFY 1 = 1",
        "SELECT DISTINCT ON (a) a, b FROM jobs ORDER BY a",
        "SELECT * FROM jobs j, LATERAL (SELECT * FROM jobs k WHERE k.a = j.a) l",
        "SELECT unnest(a), x FROM jobs, UNNEST([1, 2]) AS t(x)",
        "SELECT * EXCEPT (a) FROM jobs",
        "-- a comment\nSELECT /* and another */ 1",
    ] {
        Statement::parse(sql).unwrap_or_else(|error| panic!("{sql}: {:?}", error.hint()));
    }
}

#[test]
fn a_syntax_error_is_told_by_its_place_and_the_partners_own_word() {
    let (code, hint) = refusal("SELECT a\n  FROM jobs WHERE )");
    assert_eq!(code, Code::SqlInvalid);
    assert_eq!(hint, "`)` is not expected at line 2, column 19");
    assert_eq!(refusal("SELECT (1").1, "the statement ends too early");
    assert_eq!(refusal("SELEC 1").1, "`SELEC` is not expected at line 1, column 1");
    assert!(refusal("SELECT 'abc").1.contains("line 1, column 8"));
}

#[test]
fn tables_are_found_wherever_they_stand_and_shared_tables_are_not_among_them() {
    assert_eq!(tables("SELECT * FROM Jobs, public.jobs, VEILFLIGHT.PUBLIC.\"jobs\""), ["jobs"]);
    assert_eq!(
        tables(
            "SELECT (SELECT max(x) FROM a) FROM b WHERE EXISTS (SELECT 1 FROM c) AND y IN (SELECT 1 FROM d)"
        ),
        ["a", "b", "c", "d"]
    );
    // A shared table hides a dataset only after its own definition.
    assert_eq!(tables("WITH jobs AS (SELECT * FROM jobs) SELECT * FROM jobs"), ["jobs"]);
    assert_eq!(tables("WITH a AS (SELECT 1), b AS (SELECT * FROM A) SELECT * FROM B"), [""; 0]);
    assert_eq!(tables("WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a, b"), ["b"]);
    assert_eq!(
        tables("SELECT * FROM (WITH x AS (SELECT * FROM a) SELECT * FROM x) y, x"),
        ["a", "x"]
    );
    assert_eq!(
        tables("WITH Jobs AS (SELECT * FROM jobs) SELECT * FROM public.jobs, jobs"),
        ["jobs"]
    );
    let statement = Statement::parse("SELECT * FROM information_schema.COLUMNS").unwrap();
    assert!(statement.reads_information_schema() && statement.tables().is_empty());
    assert!(!Statement::parse("SELECT * FROM jobs").unwrap().reads_information_schema());
}

#[test]
fn a_name_outside_the_catalogue_is_no_table() {
    for name in [
        "other.public.jobs",
        "a.b.c.d",
        "information_schema.df_settings",
        "veilflight.information_schema.parameters",
        "\"VEILFLIGHT\".public.jobs",
    ] {
        let (code, hint) = refusal(&format!("SELECT * FROM {name}"));
        assert_eq!(code, Code::SqlInvalid);
        assert!(hint.starts_with("there is no table `"), "{hint}");
    }
    // What may be a dataset's own schema is for planning to find, which knows of none that is not granted.
    for name in ["veilflight.raw.jobs", "raw.jobs", "pg_catalog.pg_class"] {
        let statement = Statement::parse(&format!("SELECT * FROM {name}")).unwrap();
        assert!(statement.tables().is_empty() && statement.publics().len() == 1, "{name}");
        let terms = crate::pipeline::query::Terms::default();
        let state = crate::pipeline::query::test_session();
        let error = super::super::logical::plan(&statement, &terms, &[], &[], &state).unwrap_err();
        assert_eq!(error.code(), Code::SqlInvalid);
        assert!(error.hint().unwrap().as_str().starts_with("there is no table `"), "{name}");
    }
    // A path is the name of a dataset that nobody can be granted.
    assert_eq!(tables("SELECT * FROM \"/data/x.parquet\""), ["/data/x.parquet"]);
    assert_eq!(tables("SELECT * FROM '/data/x.parquet'"), ["/data/x.parquet"]);
}

#[test]
fn parameters_are_numbered_in_the_order_of_the_text() {
    let statement =
        Statement::parse("SELECT ?, a FROM (SELECT ? AS a) WHERE a > ? LIMIT ?").unwrap();
    assert_eq!(statement.parameters(), 4);
    let text = statement.query().to_string();
    assert_eq!(text, "SELECT $1, a FROM (SELECT $2 AS a) WHERE a > $3 LIMIT $4");
    assert_eq!(Statement::parse("SELECT '?', $2, $1 -- ?").unwrap().parameters(), 2);
    assert_eq!(Statement::parse("SELECT 1").unwrap().parameters(), 0);
    for sql in
        ["SELECT ?, $1", "SELECT $name", "SELECT :name", "SELECT $0", "SELECT $1001", "SELECT ?3"]
    {
        assert_eq!(refusal(sql).0, Code::SqlInvalid, "{sql}");
    }
}

/// What would overflow a small stack if it were parsed, walked or dropped.
#[test]
fn hostile_shapes_are_refused_before_they_hurt() {
    let hostile: Vec<String> = vec![
        format!("SELECT {}1{}", "(".repeat(20_000), ")".repeat(20_000)),
        format!("SELECT {}1", "- ".repeat(30_000)),
        format!("SELECT {}1", "NOT ".repeat(15_000)),
        format!("SELECT 1{}", " OR 1".repeat(12_000)),
        format!("SELECT 1{}", "+1".repeat(30_000)),
        format!("SELECT a{}", "[1]".repeat(20_000)),
        format!("SELECT a{}", "::int".repeat(12_000)),
        format!("SELECT 1{}", " IS NULL".repeat(8_000)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(4_000)),
        format!("SELECT * FROM a{}", " JOIN a".repeat(8_000)),
        format!("SELECT * FROM a{}", ", a".repeat(20_000)),
        format!("SELECT * FROM {}a{}", "(SELECT * FROM ".repeat(3_000), ")".repeat(3_000)),
        format!("WITH {}x AS (SELECT 1) SELECT 1", "x AS (SELECT 1), ".repeat(3_000)),
        format!("SELECT {}", "CASE WHEN ".repeat(5_000)),
        format!("SELECT '{}'", "a".repeat(70_000)),
        // Each shared table reads the one before twice: a thousand reads for ten lines.
        (1..12).fold("WITH t0 AS (SELECT * FROM jobs)".to_owned(), |sql, at| {
            format!("{sql}, t{at} AS (SELECT a.* FROM t{0} a, t{0} b)", at - 1)
        }) + " SELECT * FROM t11",
        // A walk that visits shared tables twice would take 2^20 steps here.
        (0..20).fold("SELECT * FROM a, a".to_owned(), |sql, at| {
            format!("WITH t{at} AS ({sql}) SELECT x.* FROM t{at} x, t{at} y")
        }),
    ];
    let parsed = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
        for sql in hostile {
            let start: String = sql.chars().take(40).collect();
            let error = Statement::parse(&sql).map(|_| ()).expect_err(&start);
            assert_eq!(error.code(), Code::SqlRefused, "{start}: {:?}", error.hint());
        }
        // What is just allowed is walked, copied and dropped on a small stack as well.
        let long = [
            format!("SELECT 1{}", " OR 1".repeat(490)),
            format!("SELECT 1{}", " IS NULL".repeat(245)),
            format!("SELECT 1{}", " UNION SELECT 1".repeat(245)),
            format!("SELECT a IN ({}1)", "1, ".repeat(20_000)),
        ];
        for sql in long {
            let statement = Statement::parse(&sql).unwrap();
            drop(statement.clone());
        }
    });
    parsed.unwrap().join().unwrap();
}
