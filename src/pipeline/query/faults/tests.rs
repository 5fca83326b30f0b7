//! What authors of views hear, and where.

use std::path::Path;

use super::*;
use crate::diagnostic::render;
use crate::policy::load::load_bytes;

fn loaded(views: &str) -> Loaded {
    let policy = format!(
        "version: 1
dataset: jobs
description: Jobs
source: {{parquet: jobs.parquet}}
unit: User
columns:
  User: {{pseudonym: hmac}}
  Site: keep
  Cpus: keep
  Note: drop
views:
{views}
grants:
  - {{partner: cern, access: rows}}
  - {{partner: fnal, access: aggregates, group_min: 5}}
"
    );
    load_bytes(Path::new("policy.yaml"), policy.as_bytes())
        .unwrap_or_else(|report| panic!("{}", render::human(report.diagnostics(), false)))
}

fn raw() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let fields =
        vec![text("User"), text("Site"), Field::new("Cpus", DataType::Int64, true), text("Note")];
    Arc::new(Schema::new(fields))
}

fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 1, 1).unwrap()
}

fn texts(views: &str, with_data: bool) -> Vec<String> {
    let data = raw();
    let found = faults(&loaded(views).policy, with_data.then_some((&data, today())));
    found.into_iter().map(|fault| format!("{}: {}", fault.view, fault.text)).collect()
}

#[test]
fn good_views_have_no_faults() {
    let views = "
  - {name: sites, sql: \"SELECT site, count(*) AS jobs FROM jobs GROUP BY Site\"}
  - {name: busy, sql: \"SELECT site FROM sites WHERE jobs > 10\"}
  - name: rows_of_one
    sql: |
      SELECT \"User\", Cpus
      FROM jobs WHERE Cpus = 1";
    assert_eq!(texts(views, false), [""; 0]);
    assert_eq!(texts(views, true), [""; 0]);
}

#[test]
fn what_a_views_text_cannot_be_is_told_without_data() {
    for (sql, expected) in [
        (
            "SELECT * FROM sites",
            "a view cannot read `sites`: it reads `jobs` and the views before it",
        ),
        ("SELECT * FROM jbs", "a view cannot read `jbs`; did you mean `jobs`?"),
        ("SELECT * FROM v", "a view cannot read `v`; a view cannot stand on itself"),
        (
            "SELECT * FROM later",
            "a view cannot read `later`; a view stands on those before it: put that one first",
        ),
        (
            "SELECT * FROM information_schema.tables",
            "a view reads the dataset and the views before it, and no `information_schema`",
        ),
        (
            "SELECT random() FROM jobs",
            "the function `random` is not offered: it gives another answer each time",
        ),
        ("SELECT cuont(*) FROM jobs", "there is no function `cuont`; did you mean `count`?"),
        ("SELECT * FROM jobs WHERE Cpus > ?", "a view has no parameters"),
        ("DELETE FROM jobs", "nothing can be written here: `DELETE` is not offered"),
        ("SELECT * FROM jobs; SELECT 1", "one statement at a time"),
        ("SELECT * FRM jobs x", "`FRM` is not expected at line 1, column 10"),
        (
            "WITH RECURSIVE a AS (SELECT 1) SELECT * FROM a",
            "`WITH RECURSIVE` is not offered: nothing bounds it",
        ),
        ("SELECT * FROM read_parquet('x')", "table functions are not offered"),
    ] {
        let views = format!(
            "  - {{name: v, sql: \"{sql}\"}}\n  - {{name: later, sql: SELECT * FROM jobs}}"
        );
        assert_eq!(texts(&views, false), [format!("0: {expected}")], "{sql}");
    }
}

#[test]
fn columns_are_looked_for_among_those_that_leave() {
    for (sql, expected) in [
        ("SELECT Note FROM jobs", "there is no column `Note`: it does not leave"),
        ("SELECT Usr FROM jobs", "there is no column `Usr`; did you mean `User`?"),
        ("SELECT j.Cups FROM jobs j", "there is no column `Cups` in `j`; did you mean `Cpus`?"),
        (
            "SELECT Cpus, Cpus FROM jobs",
            "two columns of the answer have the same name: give one another name with `AS`",
        ),
        (
            "SELECT Site, sum(Cpus) FROM jobs",
            "what stands outside of aggregate functions must stand in `GROUP BY`",
        ),
        ("SELECT sum(Site) FROM jobs", "the arguments of `sum` do not fit in number or type"),
    ] {
        let views = format!("  - {{name: v, sql: \"{sql}\"}}");
        assert_eq!(texts(&views, false), [""; 0], "{sql}");
        assert_eq!(texts(&views, true), [format!("0: {expected}")], "{sql}");
    }
}

#[test]
fn a_view_on_a_broken_view_is_not_told_of_as_well() {
    let views = "
  - {name: a, sql: SELECT Nobody FROM jobs}
  - {name: b, sql: SELECT * FROM a}
  - {name: c, sql: SELECT * FROM b}
  - {name: d, sql: SELECT Nothing FROM jobs}";
    assert_eq!(
        texts(views, true),
        ["0: there is no column `Nobody`", "3: there is no column `Nothing`"]
    );
}

#[test]
fn a_fault_is_shown_at_its_word() {
    let views = "
  - name: v
    sql: >-
      SELECT Site, Csite
      FROM jobs
      WHERE Site = 'Csit'";
    let loaded = loaded(views);
    let data = raw();
    let found = check_views(&loaded, Some((&data, today())));
    let shown = render::human(&found, false);
    assert!(
        shown.contains("error[P055]: the view `v` cannot be asked: there is no column `Csite`"),
        "{shown}"
    );
    assert!(shown.contains("policy.yaml:15:20"), "{shown}");
    assert_eq!(found.len(), 1);
}
