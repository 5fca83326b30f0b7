//! Names in statements: exact ones first, then whatever their capitals; and what must stay as written.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};

use super::super::Statement;
use super::*;

fn schemas() -> Vec<(&'static str, SchemaRef)> {
    let inside = DataType::Struct(vec![Field::new("City", DataType::Utf8, true)].into());
    let table = |names: &[&str]| {
        let mut fields: Vec<Field> =
            names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect();
        fields.push(Field::new("Place", inside.clone(), true));
        Arc::new(Schema::new(fields))
    };
    vec![
        ("jobs", table(&["User", "wait_s", "Date", "date"])),
        ("sites", table(&["Site", "site_id"])),
    ]
}

fn resolved(sql: &str) -> String {
    resolve(Statement::parse(sql).unwrap().query(), &schemas()).to_string()
}

#[test]
fn a_name_without_quotes_finds_the_one_that_differs_in_capitals() {
    let cases = [
        ("SELECT user FROM jobs", "SELECT User FROM \"public\".\"jobs\""),
        ("SELECT USER, Wait_S FROM Jobs", "SELECT User, wait_s FROM \"public\".\"jobs\""),
        ("SELECT JOBS.USER FROM jobs", "SELECT jobs.User FROM \"public\".\"jobs\""),
        ("SELECT Public.JOBS.user FROM jobs", "SELECT public.jobs.User FROM \"public\".\"jobs\""),
        ("SELECT J.user FROM jobs AS j", "SELECT j.User FROM \"public\".\"jobs\" AS j"),
        ("SELECT j.* FROM jobs AS J", "SELECT J.* FROM \"public\".\"jobs\" AS J"),
        (
            "SELECT max(user + 1) FROM jobs WHERE USER > 1",
            "SELECT max(User + 1) FROM \"public\".\"jobs\" WHERE User > 1",
        ),
        (
            "SELECT user, count(*) FROM jobs GROUP BY user HAVING max(user) > 1 ORDER BY USER",
            "SELECT User, count(*) FROM \"public\".\"jobs\" GROUP BY User HAVING max(User) > 1 ORDER BY User",
        ),
        (
            "SELECT * FROM jobs JOIN sites USING (SITE_ID)",
            "SELECT * FROM \"public\".\"jobs\" JOIN \"public\".\"sites\" USING(site_id)",
        ),
        ("SELECT * EXCLUDE (user) FROM jobs", "SELECT * EXCLUDE (User) FROM \"public\".\"jobs\""),
        ("SELECT * EXCEPT (user) FROM jobs", "SELECT * EXCEPT (User) FROM \"public\".\"jobs\""),
        (
            "SELECT place.city, jobs.PLACE.CITY FROM jobs",
            "SELECT Place.City, jobs.Place.City FROM \"public\".\"jobs\"",
        ),
        (
            "SELECT sum(wait_s) OVER W FROM jobs WINDOW w AS (PARTITION BY user)",
            "SELECT sum(wait_s) OVER w FROM \"public\".\"jobs\" WINDOW w AS (PARTITION BY User)",
        ),
    ];
    for (sql, expected) in cases {
        assert_eq!(resolved(sql), expected);
    }
}

#[test]
fn names_that_the_statement_gives_are_found_too() {
    let cases = [
        (
            "SELECT count(*) AS N FROM jobs ORDER BY n",
            "SELECT count(*) AS N FROM \"public\".\"jobs\" ORDER BY N",
        ),
        (
            "WITH Big AS (SELECT user AS Who FROM jobs) SELECT who FROM big WHERE BIG.who > 1",
            "WITH Big AS (SELECT User AS Who FROM \"public\".\"jobs\") SELECT Who FROM \"Big\" WHERE Big.Who > 1",
        ),
        (
            "WITH t(Alpha) AS (SELECT 1) SELECT ALPHA FROM T",
            "WITH t (Alpha) AS (SELECT 1) SELECT Alpha FROM \"t\"",
        ),
        (
            "SELECT x FROM (SELECT user AS X FROM jobs) AS q(X)",
            "SELECT X FROM (SELECT User AS X FROM \"public\".\"jobs\") AS q (X)",
        ),
    ];
    for (sql, expected) in cases {
        assert_eq!(resolved(sql), expected);
    }
}

#[test]
fn a_select_reads_the_column_that_it_gives_the_same_name() {
    assert_eq!(
        resolved("SELECT upper(user) AS user FROM jobs WHERE user > 1 ORDER BY user"),
        "SELECT upper(User) AS user FROM \"public\".\"jobs\" WHERE User > 1 ORDER BY user"
    );
    assert_eq!(
        resolved("SELECT user FROM (SELECT upper(user) AS user FROM jobs)"),
        "SELECT user FROM (SELECT upper(User) AS user FROM \"public\".\"jobs\")"
    );
}

#[test]
fn what_is_exact_quoted_ambiguous_or_unknown_stays() {
    for sql in [
        "SELECT \"user\" FROM \"jobs\"",
        "SELECT Date, date FROM \"jobs\"",
        "SELECT DATE FROM \"jobs\"",
        "SELECT nobody FROM \"jobs\"",
        "SELECT COUNT(*), Upper('User'), CAST(1 AS DATE), date '2026-01-01' FROM \"jobs\"",
        "SELECT EXTRACT(YEAR FROM date) FROM \"jobs\"",
    ] {
        let written = Statement::parse(sql).unwrap().query().to_string();
        assert_eq!(resolved(sql), written, "{sql}");
    }
}

#[test]
fn resolving_twice_changes_nothing_more() {
    let sql =
        "WITH a AS (SELECT user AS U FROM jobs) SELECT u, (SELECT max(user) FROM jobs) FROM A";
    let once = resolve(Statement::parse(sql).unwrap().query(), &schemas());
    assert_eq!(resolve(&once, &schemas()), once);
}
