//! What views mean wherever they are named, and that they give nothing that their text would not give in a
//! partner's own statement.

use super::super::logical::Table;
use super::super::testing::{answer, answer_with, jobs_with, planned, refusal, sites, sorted};
use super::*;

const VIEWS: &[(&str, &str)] = &[
    ("physicists", "SELECT pk, User, age AS Years, wait_s FROM jobs WHERE dept = 'physics'"),
    (
        "by_dept",
        "WITH own AS (SELECT dept, wait_s FROM jobs WHERE dept IS NOT NULL) \
         SELECT own.dept, count(*) AS n, max(WAIT_S) AS longest FROM own GROUP BY dept",
    ),
    ("old_physicists", "SELECT p.* FROM physicists p WHERE p.years > 33"),
    ("halves", "SELECT pk, 100 / (wait_s - 10) AS half FROM jobs"),
    ("means", "SELECT dept, avg(wait_s) AS mean FROM jobs GROUP BY dept"),
    ("ages", "SELECT dept AS d, age FROM jobs WHERE age > 30"),
    ("medians", "SELECT dept, median(wait_s) AS m FROM jobs GROUP BY dept"),
    ("now_and_then", "SELECT pk, now() AS at FROM jobs"),
];

fn rows() -> Vec<Table> {
    vec![jobs_with("access: rows", VIEWS), sites()]
}

fn aggregates() -> Vec<Table> {
    vec![jobs_with("access: aggregates, group_min: 3", VIEWS)]
}

#[tokio::test]
async fn a_view_is_a_table_wherever_a_table_stands() {
    let cases: &[(&str, &[&str])] = &[
        ("SELECT pk FROM physicists ORDER BY pk LIMIT 2", &["1", "2"]),
        ("SELECT count(*) FROM Public.PHYSICISTS", &["5"]),
        ("SELECT count(*) FROM veilflight.public.\"physicists\"", &["5"]),
        ("SELECT YEARS FROM physicists WHERE years = 31", &["31"]),
        ("SELECT p.Years FROM physicists AS p WHERE P.YEARS = 31", &["31"]),
        ("SELECT a FROM physicists AS p (a, b, c, d) WHERE c = 31", &["1"]),
        ("SELECT physicists.pk FROM physicists WHERE years = 31", &["1"]),
        ("SELECT count(*) FROM old_physicists", &["2"]),
        ("SELECT count(*) FROM physicists, old_physicists", &["10"]),
        ("SELECT count(*) FROM physicists a JOIN physicists b USING (pk)", &["5"]),
        ("SELECT count(*) FROM jobs WHERE pk IN (SELECT pk FROM physicists)", &["5"]),
        ("SELECT (SELECT max(longest) FROM by_dept) FROM physicists WHERE pk = 1", &["4000"]),
        ("SELECT count(*) FROM (SELECT * FROM (SELECT * FROM physicists) x) y", &["5"]),
        ("WITH a AS (SELECT * FROM physicists) SELECT count(*) FROM a, a b", &["25"]),
        ("SELECT n FROM by_dept WHERE dept = 'law' UNION SELECT 4 FROM by_dept", &["4"]),
        ("SELECT Site FROM by_dept JOIN \"grid-sites\" USING (dept) WHERE n = 4", &["Hague"]),
        (
            "SELECT count(*) FROM jobs j WHERE EXISTS (SELECT 1 FROM physicists p WHERE p.pk = j.pk)",
            &["5"],
        ),
    ];
    for (sql, expected) in cases {
        let found = answer(sql, &rows()).await;
        assert_eq!(found.unwrap_or_else(|error| panic!("{sql}: {error:?}")), *expected, "{sql}");
    }
    let bound = super::super::testing::stream_of_whole(33);
    let sql = "SELECT count(*) FROM physicists WHERE years > ?";
    assert_eq!(answer_with(sql, &bound, &rows()).await.unwrap(), ["2"]);
}

#[tokio::test]
async fn a_view_gives_what_its_text_gives_in_a_statement() {
    for (name, sql) in VIEWS.iter().filter(|(name, _)| !["halves", "now_and_then"].contains(name)) {
        let by_name = sorted(&format!("SELECT * FROM {name}"), &rows()).await.unwrap();
        assert_eq!(by_name, sorted(sql, &rows()).await.unwrap(), "{name}");
        assert!(!by_name.is_empty());
    }
    // And refuses what its text refuses, whatever is asked through it.
    for (name, sql) in VIEWS {
        let by_name = planned(&format!("SELECT * FROM {name}"), &aggregates()).map(drop);
        let by_text = planned(sql, &aggregates()).map(drop);
        let code = |planned: &Result<()>| planned.as_ref().err().map(Error::code);
        assert_eq!(code(&by_name), code(&by_text), "{name}");
    }
}

#[tokio::test]
async fn what_stands_around_a_view_does_not_change_it() {
    let fake =
        "WITH jobs AS (SELECT 1 AS pk, 'x' AS User, 9 AS age, 2 AS wait_s, 'physics' AS dept)";
    let physicists = format!("{fake} SELECT count(*) FROM physicists");
    assert_eq!(answer(&physicists, &rows()).await.unwrap(), ["5"]);
    let own = "WITH own AS (SELECT 'x' AS dept, 7 AS wait_s) SELECT count(*) FROM by_dept, own";
    assert_eq!(answer(own, &rows()).await.unwrap(), ["3"]);
    // A table of WITH hides the view from what comes after it, and not from itself.
    let hidden =
        "WITH physicists AS (SELECT * FROM physicists WHERE pk < 3) SELECT pk FROM physicists";
    assert_eq!(sorted(hidden, &rows()).await.unwrap(), ["1", "2"]);
    let schema = "WITH physicists AS (SELECT 1 AS x) SELECT count(*) FROM public.physicists";
    assert_eq!(answer(schema, &rows()).await.unwrap(), ["5"]);
    let dataset = "WITH jobs AS (SELECT 1 AS x) SELECT count(*) FROM public.jobs";
    assert_eq!(answer(dataset, &rows()).await.unwrap(), ["16"]);
    // Columns around it do not reach into it, whatever they are called.
    let outer = "SELECT age AS dept, wait_s AS own FROM jobs WHERE (SELECT max(n) FROM by_dept) = 5 AND pk = 1";
    assert_eq!(answer(outer, &rows()).await.unwrap(), ["31 10"]);
    let aliases = "SELECT years AS WAIT_S, pk AS Wait_S2 FROM physicists, by_dept WHERE n = 4 AND pk = 1 LIMIT 1";
    assert_eq!(answer(aliases, &rows()).await.unwrap(), ["31 1"]);
    // Nothing that a statement says can name what views are written out with.
    for sql in [
        "SELECT * FROM \"\0jobs\"",
        "SELECT * FROM \"\0by_dept\0own\"",
        "WITH \"\0jobs\" AS (SELECT 1) SELECT * FROM physicists",
        "SELECT own.dept FROM by_dept",
        "SELECT dept FROM physicists",
        "SELECT jobs.pk FROM physicists",
    ] {
        let (code, _) = refusal(sql, &rows());
        assert!([Code::SqlInvalid, Code::SqlRefused].contains(&code), "{sql:?}");
    }
}

#[tokio::test]
async fn small_groups_stay_small_through_a_view() {
    // `law` is one person's, however many rows.
    let expected = ["chemistry 75.0", "null 110.0", "physics 30.0"];
    assert_eq!(sorted("SELECT * FROM means", &aggregates()).await.unwrap(), expected);
    let over = "SELECT d, avg(age) FROM ages GROUP BY d";
    assert_eq!(
        sorted(over, &aggregates()).await.unwrap(),
        ["chemistry 42.5", "null 52.0", "physics 33.0"]
    );
    for sql in [
        "SELECT * FROM ages",
        "SELECT * FROM physicists",
        "SELECT count(*) FROM means",
        "SELECT avg(mean) FROM means",
        "SELECT sum(n) FROM by_dept GROUP BY longest",
        "SELECT User, count(*) FROM physicists GROUP BY User",
        "SELECT count(*) FROM physicists WHERE User = 'u-682'",
        "SELECT * FROM means a JOIN means b USING (dept)",
        "SELECT d, max(age) FROM ages GROUP BY d",
        "SELECT count(half) FROM halves",
    ] {
        assert_eq!(refusal(sql, &aggregates()).0, Code::AggregatesOnly, "{sql}");
    }
}

#[test]
fn a_refusal_repeats_no_word_of_a_views_text() {
    // The function stands in the view and not in the statement.
    let (code, hint) = refusal("SELECT * FROM medians", &aggregates());
    assert_eq!(code, Code::AggregatesOnly);
    assert!(!hint.contains("median`"), "{hint}");
    let (_, hint) = refusal("SELECT dept, median(wait_s) FROM jobs GROUP BY dept", &aggregates());
    assert!(hint.contains("`median`"), "{hint}");
    let (code, hint) = refusal("SELECT Yers FROM physicists", &rows());
    assert_eq!(
        (code, hint.as_str()),
        (Code::SqlInvalid, "there is no column `Yers`; did you mean `Years`?")
    );
    let (_, hint) = refusal("SELECT agee FROM physicists", &rows());
    assert_eq!(hint, "there is no column `agee`");
    let (_, hint) = refusal("SELECT * FROM physicist", &rows());
    assert_eq!(hint, "there is no table `physicist`; did you mean `physicists`?");
    // What is wrong inside a view is the custodian's.
    let broken = vec![jobs_with("access: rows", &[("late", "SELECT salry, ssn FROM jobs")])];
    let error = planned("SELECT * FROM late", &broken).map(drop).unwrap_err();
    assert_eq!((error.code(), error.hint()), (Code::SchemaDrift, None));
    assert!(error.chain().contains("salry"), "{}", error.chain());
}

#[test]
fn a_view_that_asks_the_time_is_not_split() {
    assert!(planned("SELECT * FROM now_and_then", &rows()).unwrap().views_ask_the_time);
    assert!(!planned("SELECT * FROM physicists", &rows()).unwrap().views_ask_the_time);
}

#[test]
fn columns_of_a_view_say_how_they_are_protected() {
    let plan = planned("SELECT * FROM old_physicists", &rows()).unwrap().plan;
    let told: Vec<_> = plan
        .schema()
        .fields()
        .iter()
        .map(|field| field.metadata().get("veilflight.protection").map_or("", String::as_str))
        .collect();
    assert_eq!(told, ["keep", "pseudonym.hmac", "keep", "keep"]);
}

#[test]
fn what_views_stand_for_is_bounded() {
    let names: Vec<String> = (0..12).map(|at| format!("v{at}")).collect();
    let chain = |body: fn(&str) -> String| -> Vec<(String, String)> {
        let first = (names[0].clone(), "SELECT pk FROM jobs".to_owned());
        let rest = names.windows(2).map(|pair| (pair[1].clone(), body(&pair[0])));
        std::iter::once(first).chain(rest).collect()
    };
    let asked = |views: &[(String, String)], sql: &str| {
        let views: Vec<(&str, &str)> =
            views.iter().map(|(n, s)| (n.as_str(), s.as_str())).collect();
        planned(sql, &[jobs_with("access: rows", &views)]).map(drop)
    };
    // Each reads the one before twice.
    let twice = chain(|below| format!("SELECT a.pk FROM {below} a JOIN {below} b USING (pk)"));
    asked(&twice, "SELECT * FROM v5").unwrap();
    assert_eq!(asked(&twice, "SELECT * FROM v7").unwrap_err().code(), Code::SchemaDrift);
    let deep = chain(|below| format!("SELECT pk FROM {below}"));
    asked(&deep, "SELECT * FROM v7").unwrap();
    assert_eq!(asked(&deep, "SELECT * FROM v8").unwrap_err().code(), Code::SchemaDrift);
    // One statement that uses a view a hundred times.
    let unions = vec!["SELECT pk FROM v0"; 100].join(" UNION ALL ");
    let error = asked(&deep, &unions).unwrap_err();
    assert_eq!(error.code(), Code::SqlRefused);
    let many = format!(
        "SELECT a0.pk FROM v5 a0{}",
        (1..3).map(|at| format!(", v5 a{at}")).collect::<String>()
    );
    assert_eq!(asked(&twice, &many).unwrap_err().code(), Code::SqlRefused);
    // Much text, used often.
    let long = vec!["pk IS NULL"; 160].join(" OR ");
    let wide = vec![("v0".to_owned(), format!("SELECT pk FROM jobs WHERE {long}"))];
    asked(&wide, "SELECT * FROM v0 a, v0 b").unwrap();
    let often = format!(
        "SELECT 1 FROM {}",
        (0..20).map(|at| format!("v0 a{at}")).collect::<Vec<_>>().join(", ")
    );
    let error = asked(&wide, &often).unwrap_err();
    assert!(error.hint().unwrap().as_str().contains("written out"), "{error:?}");
}

#[test]
fn a_list_of_a_fixed_length_is_bounded() {
    planned("SELECT CAST(make_array(age, wait_s) AS REAL[2]) FROM jobs", &rows()).unwrap();
    for sql in [
        "SELECT CAST(NULL AS REAL[2000000000]) FROM jobs",
        "SELECT NULL::REAL[5000] FROM jobs",
        "SELECT TRY_CAST(make_array() AS REAL[100][100]) FROM jobs",
        "SELECT * FROM jobs WHERE CAST(NULL AS ARRAY<INT[9999]>) IS NULL",
    ] {
        let error = Statement::parse(sql).map(drop).unwrap_err();
        assert_eq!(error.code(), Code::SqlRefused, "{sql}: {:?}", error.hint());
    }
}
