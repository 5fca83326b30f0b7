//! Planning over views: what is answered, what is refused, and what refusals say.

use std::collections::BTreeSet;

use super::super::testing::{answer, jobs, planned, refusal, sites, sorted};
use super::*;

fn rows() -> Vec<Table> {
    vec![jobs("access: rows"), sites()]
}

/// The shared cases of the mode `mask` that a statement can show; the proof over the wire runs them all.
#[tokio::test]
async fn the_shared_cases_are_answered_or_refused_as_they_say() {
    // M01, M03: the masked value, of the masked type.
    let first = answer("SELECT user_id FROM jobs LIMIT 1", &rows()).await.unwrap();
    assert_eq!(first, ["i-682"]);
    let schema = planned("SELECT user_id FROM jobs", &rows()).unwrap();
    assert_eq!(schema.plan.schema().field(0).data_type(), &DataType::Utf8View);
    // M07: a raw value equals no pseudonym.
    let none = answer("SELECT user_id FROM jobs WHERE user_id = 'ann'", &rows()).await.unwrap();
    assert_eq!(none, [""; 0]);
    // M09: a lookup by key has no way of its own.
    let one = answer("SELECT * FROM jobs WHERE pk IN (1)", &rows()).await.unwrap();
    assert_eq!(one, ["1 u-682 i-682 10.0.0-682 31 note of 31 physics 10 700.0"]);
    // M11, M13: what is dropped is not there.
    for sql in [
        "SELECT dept FROM jobs WHERE salary > 100000",
        "SELECT a.dept FROM jobs a JOIN jobs b ON a.salary = b.wait_s",
        "SELECT dept FROM jobs ORDER BY salary",
        "SELECT dept FROM jobs GROUP BY dept HAVING max(ssn) > 'a'",
        "SELECT sum(salary) OVER () FROM jobs",
    ] {
        assert_eq!(refusal(sql, &rows()).0, Code::SqlInvalid, "{sql}");
    }
    // M21: the catalogue has what is released.
    let columns =
        "SELECT column_name, data_type, \"veilflight.protection\" FROM information_schema.columns
                   WHERE table_name = 'jobs' AND column_name IN ('User', 'ssn', 'salary', 'dept')";
    assert_eq!(
        sorted(columns, &rows()).await.unwrap(),
        ["User Utf8 pseudonym.hmac", "dept Utf8 keep"]
    );
    // M23: compares what is released.
    assert_eq!(answer("SELECT count(*) FROM jobs WHERE age = 37", &rows()).await.unwrap(), ["0"]);
    // M25: the limit counts what the filter left.
    let limited = "SELECT user_id FROM jobs WHERE user_id > 'i-73' LIMIT 10";
    assert_eq!(answer(limited, &rows()).await.unwrap().len(), 9);
    // M29: a function of the pseudonym.
    let upper = answer("SELECT upper(user_id) FROM jobs LIMIT 1", &rows()).await.unwrap();
    assert_eq!(upper, ["I-682"]);
    // M27, M17, M31, M33, M35 never reach a plan; M37 neither.
    for sql in [
        "SELECT * FROM (SELECT user_id u FROM jobs) PIVOT(count(u) FOR u IN ('a'))",
        "EXPLAIN SELECT * FROM jobs",
        "CREATE VIEW v AS SELECT ssn FROM jobs",
        "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '/data/raw'",
        "SET datafusion.execution.parquet.pushdown_filters = true",
        "SELECT input_file_name(), _rowid FROM jobs",
    ] {
        assert_eq!(refusal(sql, &rows()).0, Code::SqlRefused, "{sql}");
    }
    assert_eq!(refusal("SELECT _rowid FROM jobs", &rows()).0, Code::SqlInvalid);
    // M15: a failing cast fails when it runs; its words are `run`'s business.
    let failed = answer("SELECT CAST(notes AS INT) FROM jobs", &rows()).await.unwrap_err();
    assert_eq!(failed.code(), Code::QueryFailed);
}

#[tokio::test]
async fn joins_windows_sets_and_subqueries_are_answered() {
    for (sql, expected) in [
        (
            "SELECT DISTINCT Site FROM jobs JOIN \"grid-sites\" USING (DEPT) ORDER BY site",
            vec!["Geneva", "Hague"],
        ),
        (
            "SELECT dept FROM (SELECT dept, row_number() OVER (ORDER BY pk DESC) AS n FROM jobs) WHERE n = 4",
            vec!["law"],
        ),
        (
            "SELECT count(*) FROM (SELECT dept FROM jobs UNION SELECT dept FROM \"grid-sites\")",
            vec!["4"],
        ),
        (
            "SELECT dept FROM jobs EXCEPT SELECT dept FROM \"grid-sites\" ORDER BY 1",
            vec!["chemistry", "null"],
        ),
        (
            "SELECT count(*) FROM jobs j WHERE EXISTS (SELECT 1 FROM \"grid-sites\" s WHERE s.dept = j.dept)",
            vec!["9"],
        ),
        ("SELECT count(*) FROM jobs WHERE wait_s > (SELECT avg(wait_s) FROM jobs)", vec!["4"]),
        ("SELECT sum(x) FROM (VALUES (1), (2)) AS t(x)", vec!["3"]),
        ("SELECT 1 + 1, now() IS NULL, current_date IS NULL", vec!["2 false false"]),
        (
            "SELECT count(USER), dept AS d FROM Jobs GROUP BY D HAVING count(user) > 4",
            vec!["5 physics"],
        ),
        ("SELECT jobs.USER FROM public.Jobs WHERE veilflight.public.jobs.pk = 1", vec!["u-682"]),
        ("SELECT extract(year FROM opened) FROM \"grid-sites\" LIMIT 1", vec!["1970"]),
        ("SELECT [1, 2][2], {a: 1}['a'], CAST(1 AS VARCHAR) || 'x'", vec!["2 1 1x"]),
    ] {
        let found =
            answer(sql, &rows()).await.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
        assert_eq!(found, expected, "{sql}");
    }
}

#[tokio::test]
async fn the_information_schema_is_that_of_the_partners_datasets() {
    let tables =
        "SELECT table_catalog, table_schema, table_name, table_type FROM information_schema.tables";
    assert_eq!(
        sorted(tables, &rows()).await.unwrap(),
        [
            "veilflight information_schema columns VIEW",
            "veilflight information_schema schemata VIEW",
            "veilflight information_schema tables VIEW",
            "veilflight public grid-sites BASE TABLE",
            "veilflight public jobs BASE TABLE",
        ]
    );
    let schemata = "SELECT schema_name FROM Veilflight.Information_Schema.SCHEMATA ORDER BY 1";
    assert_eq!(sorted(schemata, &rows()).await.unwrap(), ["information_schema", "public"]);
    let columns =
        "SELECT column_name, ordinal_position, is_nullable FROM information_schema.columns
                   WHERE table_name = 'grid-sites' ORDER BY ordinal_position";
    assert_eq!(
        answer(columns, &rows()).await.unwrap(),
        ["dept 1 YES", "Site 2 YES", "opened 3 YES"]
    );
    // The column of units is in no schema.
    let counted = [jobs("access: aggregates, group_min: 4")];
    let units = "SELECT count(*) FROM information_schema.columns";
    assert_eq!(answer(units, &counted).await.unwrap(), ["9"]);
}

/// PRIVACY: what the policy drops looks in every way like what never was.
#[test]
fn a_dropped_column_looks_like_one_that_never_was() {
    for (dropped, never) in
        [("salary", "xalary"), ("ssn", "zzn"), ("jobs.ssn", "jobs.zzn"), ("\"ssn\"", "\"zzn\"")]
    {
        for shape in [
            "SELECT @ FROM jobs",
            "SELECT 1 FROM jobs WHERE @ = 1",
            "SELECT count(@) FROM jobs",
            "SELECT * EXCEPT (@) FROM jobs",
        ] {
            if shape.contains("EXCEPT") && dropped.contains('.') {
                continue;
            }
            let (code, hint) = refusal(&shape.replace('@', dropped), &rows());
            let (same, other) = refusal(&shape.replace('@', never), &rows());
            let name = |text: &str| text.trim_start_matches("jobs.").trim_matches('"').to_owned();
            assert_eq!(code, same);
            assert_eq!(hint, other.replace(&name(never), &name(dropped)), "{shape}");
        }
    }
    // Nor is it suggested to who misspells it.
    for near in ["salar", "salarie", "sssn", "secret_sit", "SALARY_"] {
        let (_, hint) = refusal(&format!("SELECT {near} FROM jobs, \"grid-sites\""), &rows());
        assert_eq!(hint, format!("there is no column `{near}`"));
    }
    let (_, hint) = refusal("SELECT wait FROM jobs", &rows());
    assert_eq!(hint, "there is no column `wait`; did you mean `wait_s`?");
}

/// PRIVACY: hints are made of the partner's own words and of names of their views. The fixture's cells and
/// dropped columns are the canaries.
#[tokio::test]
async fn hints_hold_no_cell_no_hidden_name_and_no_words_of_a_library() {
    let canaries = [
        "note of",
        "u-6",
        "u-7",
        "i-6",
        "10.0.0",
        "9999",
        "ssn",
        "salary",
        "secret_site",
        "Geneva",
        "Hague",
        "\0",
        "DataFusion",
        "Arrow",
        "error",
        "Error",
        "Schema",
        "Utf8",
        "Valid fields",
        "bug",
        "Internal",
        "physical",
        "optimizer",
    ];
    for sql in [
        "SELECT nope FROM jobs",
        "SELECT nope.pk FROM jobs",
        "SELECT jobs.nope FROM jobs",
        "SELECT * FROM nowhere",
        "SELECT dept FROM jobs, \"grid-sites\"",
        "SELECT pk, pk FROM jobs",
        "SELECT dept, pk FROM jobs GROUP BY dept",
        "SELECT dept + 1 FROM jobs",
        "SELECT abs(dept), substr(pk) FROM jobs",
        "SELECT sum(dept) FROM jobs",
        "SELECT * FROM jobs WHERE dept",
        "SELECT count(DISTINCT pk, dept) OVER () FROM jobs",
        "SELECT lag(pk) FROM jobs",
        "SELECT CAST('abc' AS INT)",
        "SELECT INTERVAL 'foo'",
        "SELECT TIMESTAMP 'foo'",
        "SELECT regexp_like(dept, '(') FROM jobs",
        "SELECT regexp_replace('a', '(', 'b')",
        "SELECT dept ~ '(' FROM jobs",
        "SELECT CAST(pk AS nothing) FROM jobs",
        "SELECT pk UNION SELECT 1, 2",
        "SELECT pk FROM jobs UNION SELECT 1, 2",
        "SELECT pk FROM jobs ORDER BY 7",
        "SELECT pk FROM jobs LIMIT dept",
        "SELECT pk FROM jobs LIMIT -1",
        "SELECT (SELECT pk, dept FROM jobs)",
        "SELECT pk IN (SELECT pk, dept FROM jobs) FROM jobs",
        "SELECT sum(count(pk)) FROM jobs",
        "SELECT max(pk) FROM jobs WHERE max(pk) > 1",
        "SELECT row_number() OVER w FROM jobs",
        "SELECT unnest(pk) FROM jobs",
        "SELECT date_trunc(opened) FROM \"grid-sites\"",
        "SELECT dept.a.b FROM jobs",
        "SELECT $1 + $1 || 'a'",
        "SELECT pk FROM jobs QUALIFY pk > 1",
        "SELECT * FROM jobs a JOIN jobs a ON true",
        "SELECT * FROM jobs JOIN \"grid-sites\" USING (nope)",
        "WITH a AS (SELECT 1), a AS (SELECT 2) SELECT * FROM a",
        "WITH a(x, y) AS (SELECT 1) SELECT * FROM a",
        "SELECT a.b.c.d.e.f FROM jobs",
        "SELECT x -> 'a' FROM jobs",
        "SELECT pk::jsonb FROM jobs",
        "SELECT * REPLACE (1 AS nope) FROM jobs",
    ] {
        let Err(error) = planned(sql, &rows()) else { continue };
        let code = error.code();
        let fair = matches!(code, Code::SqlInvalid | Code::SqlRefused | Code::ParametersInvalid);
        assert!(fair, "{sql}: {code:?} {}", error.chain());
        let hint = error.hint().map_or(String::new(), |hint| hint.as_str().to_owned());
        assert!(!hint.is_empty(), "{sql}: {}", error.chain());
        for canary in canaries {
            assert!(!hint.contains(canary), "{sql}: {hint}");
        }
    }
}

#[test]
fn a_regular_expression_that_is_none_is_the_statements_fault() {
    for condition in ["regexp_like(dept, '(')", "dept ~ '('"] {
        let (code, _) = refusal(&format!("SELECT pk FROM jobs WHERE {condition}"), &rows());
        assert_eq!(code, Code::SqlInvalid, "{condition}");
    }
}

#[test]
fn a_table_of_a_dataset_that_is_not_given_is_unknown() {
    let (code, hint) = refusal("SELECT * FROM grid_sites", &rows());
    assert_eq!(
        (code, hint.as_str()),
        (Code::SqlInvalid, "there is no table `grid_sites`; did you mean `grid-sites`?")
    );
    let (_, hint) = refusal("SELECT * FROM '/data/x.parquet'", &rows());
    assert_eq!(hint, "there is no table `/data/x.parquet`");
}

/// What the optimizer finds out by folding may come from nowhere but the statement.
#[test]
fn plans_read_the_given_tables_and_nothing_else() {
    let tables = rows();
    let logical = planned("SELECT * FROM jobs JOIN \"grid-sites\" USING (dept)", &tables).unwrap();
    let mut scans = BTreeSet::new();
    logical
        .plan
        .apply(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                let provider = datafusion::datasource::source_as_provider(&scan.source).unwrap();
                assert!(tables.iter().any(|table| Arc::ptr_eq(&table.provider, &provider)));
                scans.insert(scan.table_name.to_string());
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .unwrap();
    assert_eq!(scans.len(), 2);
}

/// The longest statements that are taken are planned within a second or two and the stack of an engine's
/// thread, and what they leave is dropped on a small one.
#[test]
fn the_largest_statements_that_are_taken_are_planned() {
    let chain = (1..60).map(|at| format!(" JOIN jobs a{at} ON a{at}.pk = a{}.pk", at - 1));
    let large = [
        format!("SELECT pk FROM jobs WHERE pk = 1{}", " OR pk = 1".repeat(245)),
        format!("SELECT pk{} FROM jobs", "+1".repeat(490)),
        format!("SELECT pk{} FROM jobs", " IS NULL".repeat(245)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(60)),
        format!("SELECT 1 FROM jobs WHERE pk IN ({}1)", "1, ".repeat(20_000)),
        format!("SELECT count(*) FROM jobs a0{}", chain.collect::<String>()),
    ];
    let planning = std::thread::Builder::new().stack_size(16 << 20).spawn(move || {
        let tables = rows();
        large.iter().map(|sql| planned(sql, &tables).unwrap()).collect::<Vec<_>>()
    });
    let plans = planning.unwrap().join().unwrap();
    std::thread::Builder::new().stack_size(2 << 20).spawn(|| drop(plans)).unwrap().join().unwrap();
}
