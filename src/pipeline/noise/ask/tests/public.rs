//! Groups of public values: how many a statement has, that they are those of plain SQL, which conditions leave,
//! and that no row of the dataset is looked at for any of it.

use super::equal::{alike, cells};
use super::joins::{ANSWERED, depts, joined, sites};
use super::*;
use crate::pipeline::query::Public;

/// How many groups a statement has that costs no delta; the answer has as many, with rows in those that plain SQL
/// gives.
async fn public_groups(sql: &str, rows: &[Row]) -> u64 {
    let table = joined(rows);
    let asked = asked(sql, &table).unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
    assert!(asked.question.loss.delta.is_zero(), "{sql}");
    let groups = asked.question.bounding.groups;
    let ours = answer(sql, &table).await.unwrap();
    assert_eq!(ours.num_rows() as u64, groups, "{sql}");
    let theirs = plain_beside(sql, rows, &[("sites", sites()), ("depts", depts())]).await;
    let shown: Vec<usize> = (0..theirs.num_columns()).collect();
    let (ours, theirs) = (cells(&ours.project(&shown).unwrap()), cells(&theirs));
    for row in &ours {
        let same = |other: &&Vec<String>| {
            let (one, other) = (&row[..row.len() - 1], &other[..row.len() - 1]);
            one.iter().zip(other).all(|(one, other)| alike(one, other))
        };
        let count = theirs.iter().find(same).map_or("0", |other| other[row.len() - 1].as_str());
        assert!(alike(&row[row.len() - 1], count), "{sql}\n{ours:?}\n{theirs:?}");
    }
    groups
}

#[tokio::test]
async fn groups_of_public_columns_are_all_combinations_that_stand_in_the_table() {
    let rows = some();
    for (sql, groups) in [
        // `sky` has no rows; the site without a region is a group of its own.
        ("SELECT region, count(*) FROM jobs JOIN jobs.sites USING (site) GROUP BY 1", 4),
        // Without a match and without a region is one group.
        ("SELECT region, count(*) FROM jobs LEFT JOIN jobs.sites USING (site) GROUP BY 1", 4),
        ("SELECT region, tier, count(*) FROM jobs JOIN jobs.sites USING (site) GROUP BY 1, 2", 5),
        (
            "SELECT region, tier, count(*) FROM jobs LEFT JOIN jobs.sites USING (site) GROUP BY 1, 2",
            6,
        ),
        ("SELECT size, count(*) FROM jobs JOIN jobs.sites USING (site) GROUP BY 1", 6),
        // The dataset's own column has the values of the public one.
        ("SELECT dept, count(*) FROM jobs JOIN jobs.depts USING (dept) GROUP BY 1", 3),
        // What the grant lists and what stands in the table: `east` is no site, `south` stands twice.
        (
            "SELECT jobs.site, tier, count(*) FROM jobs JOIN jobs.sites USING (site) GROUP BY 1, 2",
            2,
        ),
        ("SELECT jobs.site, count(*) FROM jobs JOIN jobs.sites USING (site) GROUP BY 1", 2),
        // Rows without a match may be of any site.
        (
            "SELECT jobs.site, tier, count(*) FROM jobs LEFT JOIN jobs.sites USING (site) GROUP BY 1, 2",
            12,
        ),
        (
            "SELECT region, open, count(*) FROM jobs JOIN jobs.sites USING (site)
               LEFT JOIN jobs.depts USING (dept) GROUP BY 1, 2",
            12,
        ),
    ] {
        assert_eq!(public_groups(sql, &rows).await, groups, "{sql}");
        let asked = asked(sql, &joined(&rows)).unwrap();
        let told = |at: usize| asked.schema.field(at).metadata().get("veilflight.protection");
        assert!(told(1).is_some(), "{sql}");
        let listed = sql.contains("jobs.site,");
        assert_eq!(told(0).is_some_and(|told| told == "public"), !listed, "{sql}");
    }
    // Beside a key that is not public there is a threshold.
    for key in ["region, dept", "upper(region), dept"] {
        let sql =
            format!("SELECT count(*) FROM jobs LEFT JOIN jobs.sites USING (site) GROUP BY {key}");
        assert!(!asked(&sql, &joined(&rows)).unwrap().question.loss.delta.is_zero(), "{sql}");
    }
}

#[tokio::test]
async fn groups_by_what_is_computed_of_public_values_need_no_threshold() {
    let rows = some();
    for (sql, groups) in [
        ("SELECT upper(region), count(*) FROM jobs JOIN jobs.sites USING (site) GROUP BY 1", 4),
        // Two regions begin alike; without a match there is a value of its own.
        (
            "SELECT coalesce(substr(region, 1, 1), '?'), count(*) FROM jobs LEFT JOIN jobs.sites USING (site) GROUP BY 1",
            4,
        ),
        // What the words of CASE may be and no row of the table is, is no group.
        (
            "SELECT CASE tier WHEN 1 THEN 'first' WHEN 9 THEN 'never' ELSE 'rest' END, count(*)
               FROM jobs JOIN jobs.sites USING (site) GROUP BY 1",
            2,
        ),
        ("SELECT tier > 1, count(*) FROM jobs JOIN jobs.sites USING (site) GROUP BY 1", 2),
        (
            "SELECT tier / 2, upper(region), count(*) FROM jobs JOIN jobs.sites USING (site) GROUP BY 1, 2",
            5,
        ),
        ("SELECT floor(size / 5), count(*) FROM jobs JOIN jobs.sites USING (site) GROUP BY 1", 3),
        // Of several tables.
        (
            "SELECT CASE WHEN open THEN region ELSE 'closed' END, count(*) FROM jobs
               JOIN jobs.sites USING (site) LEFT JOIN jobs.depts USING (dept) GROUP BY 1",
            5,
        ),
        (
            "SELECT tier + floor, region, count(*) FROM jobs
               JOIN jobs.sites USING (site) JOIN jobs.depts USING (dept) GROUP BY 1, 2",
            13,
        ),
        // Of the dataset's column that is equal to a public one.
        (
            "SELECT substr(dept, 1, 1), count(*) FROM jobs JOIN jobs.depts USING (dept) GROUP BY 1",
            3,
        ),
    ] {
        assert_eq!(public_groups(sql, &rows).await, groups, "{sql}");
    }
}

#[tokio::test]
async fn groups_by_what_is_computed_of_listed_values_need_no_threshold() {
    let rows: Vec<Row> =
        some().into_iter().filter(|row| row.site.as_deref() != Some("west")).collect();
    for (sql, groups) in [
        ("SELECT upper(site), count(*) FROM jobs GROUP BY 1", 3),
        ("SELECT substr(site, 3, 2), count(*) FROM jobs GROUP BY 1", 3),
        ("SELECT site, upper(site), count(*) FROM jobs GROUP BY 1, 2", 3),
        ("SELECT upper(site), flag, count(*) FROM jobs GROUP BY 1, 2", 9),
        ("SELECT upper(site), count(*) FROM jobs WHERE site <> 'south' AND x > 0 GROUP BY 1", 2),
        (
            "SELECT character_length(jobs.site), tier, count(*) FROM jobs JOIN jobs.sites USING (site) GROUP BY 1, 2",
            2,
        ),
        // What the statement says itself, others have as well.
        (
            "SELECT CASE WHEN site = 'north' THEN 'n' ELSE 'else' END, count(*) FROM jobs GROUP BY 1",
            2,
        ),
    ] {
        assert_eq!(public_groups(sql, &rows).await, groups, "{sql}");
    }
    // Rows with values that are not listed are of no group.
    let west = Row { user: Some(1), site: Some("west".to_owned()), ..Row::default() };
    let sql = "SELECT character_length(site), count(*) AS n FROM jobs GROUP BY 1 ORDER BY 1";
    let table = table(&[west]);
    assert_eq!(lines(&answer(sql, &table).await.unwrap(), false), ["4 0 10.0", "5 0 10.0"]);
    assert_eq!(asked(sql, &table).unwrap().reads, ["site"]);
}

#[tokio::test]
async fn groups_that_public_conditions_exclude_are_not_answered() {
    let rows = some();
    for (sql, groups) in [
        ("SELECT region, count(*) FROM jobs JOIN jobs.sites USING (site) WHERE tier = 1 GROUP BY 1", 2),
        // What a condition makes of no match is looked at as well.
        ("SELECT region, count(*) FROM jobs LEFT JOIN jobs.sites USING (site) WHERE tier = 1 GROUP BY 1", 2),
        ("SELECT region, count(*) FROM jobs LEFT JOIN jobs.sites USING (site) WHERE tier IS NULL GROUP BY 1", 1),
        // Public conditions beside others, wherever they stand.
        (
            "SELECT region, count(*) FROM jobs JOIN jobs.sites USING (site) WHERE x > 0 AND (tier = 1 AND flag) GROUP BY 1",
            2,
        ),
        (
            "SELECT region, n FROM (SELECT region, count(*) AS n FROM (SELECT * FROM jobs JOIN jobs.sites
               ON jobs.site = sites.site WHERE tier IN (1, 3)) t WHERE x > 0 GROUP BY region) u",
            3,
        ),
        // Said of the other side of the join.
        ("SELECT region, count(*) FROM jobs JOIN jobs.sites USING (site) WHERE jobs.site LIKE 's%' GROUP BY 1", 2),
        ("SELECT dept, count(*) FROM jobs JOIN jobs.depts USING (dept) WHERE floor > 0 GROUP BY 1", 2),
        ("SELECT jobs.site, count(*) FROM jobs JOIN jobs.sites USING (site) WHERE tier = 2 GROUP BY 1", 1),
        // Listed values.
        ("SELECT site, count(*) FROM jobs WHERE site <> 'north' GROUP BY 1", 2),
        ("SELECT site, flag, count(*) FROM jobs WHERE site <> 'north' AND x < 5 GROUP BY 1, 2", 6),
        // Of two tables, alone and beside each other.
        (
            "SELECT region, open, count(*) FROM jobs JOIN jobs.sites USING (site) JOIN jobs.depts USING (dept)
               WHERE tier > 1 AND open GROUP BY 1, 2",
            3,
        ),
        (
            "SELECT region, depts.dept, count(*) FROM jobs JOIN jobs.sites USING (site) JOIN jobs.depts USING (dept)
               WHERE tier = floor GROUP BY 1, 2",
            4,
        ),
        (
            "SELECT region, count(*) FROM jobs JOIN jobs.sites USING (site) JOIN jobs.depts USING (dept)
               WHERE tier < floor GROUP BY 1",
            2,
        ),
        // What is not of public values alone, excludes nothing.
        ("SELECT region, count(*) FROM jobs JOIN jobs.sites USING (site) WHERE tier = 1 OR x > 5 GROUP BY 1", 4),
        ("SELECT region, count(*) FROM jobs JOIN jobs.sites USING (site) WHERE x < tier GROUP BY 1", 4),
        ("SELECT region, count(*) FROM jobs LEFT JOIN jobs.sites USING (site) WHERE jobs.site = 'north' GROUP BY 1", 4),
    ] {
        assert_eq!(public_groups(sql, &rows).await, groups, "{sql}");
    }
    // Without groups there is one, whatever the conditions.
    let sql = "SELECT count(*) AS n FROM jobs JOIN jobs.sites USING (site) WHERE tier = 99";
    assert_eq!(lines(&answer(sql, &joined(&rows)).await.unwrap(), false), ["0 10.0"]);
    // A condition on a column that no key speaks of leaves the values that are not listed too.
    let sql = "SELECT CASE WHEN site = 'north' THEN 'n' END, count(*) FROM jobs WHERE site <> 'north' GROUP BY 1";
    assert_eq!(public_groups(sql, &rows).await, 2);
    for (sql, told) in [
        (
            "SELECT region, count(*) FROM jobs JOIN jobs.sites USING (site) WHERE tier = 99 GROUP BY 1",
            "no group is left",
        ),
        (
            "SELECT open, count(*) FROM jobs JOIN jobs.sites USING (site) JOIN jobs.depts USING (dept) WHERE tier = 99 GROUP BY 1",
            "no group is left",
        ),
        ("SELECT site, count(*) FROM jobs WHERE site = 'west' GROUP BY 1", "no group is left"),
        (
            "SELECT dept, count(*) FROM jobs JOIN jobs.sites USING (site) WHERE tier > 5 GROUP BY 1",
            "no group is left",
        ),
    ] {
        let error = asked(sql, &joined(&rows)).unwrap_err();
        assert_eq!(error.code(), Code::NoisyOnly, "{sql}");
        assert!(error.hint().unwrap().as_str().contains(told), "{sql}");
    }
}

#[test]
fn a_statement_that_is_looked_at_again_lists_no_groups_again() {
    let table = joined(&some());
    let sql = "SELECT upper(region), count(*) FROM jobs JOIN jobs.sites USING (site) WHERE tier > 1 GROUP BY 1";
    let list = |sql: &str| asked(sql, &table).unwrap().question.keys[0].public.clone().unwrap();
    let first = list(sql);
    assert!(Arc::ptr_eq(&first, &list(sql)));
    // Also in other words, and beside what is not public.
    assert!(Arc::ptr_eq(&first, &list(&sql.replace("tier > 1", "1 < sites.tier AND x > 7"))));
    assert!(!Arc::ptr_eq(&first, &list(&sql.replace("tier > 1", "tier > 2"))));
    assert!(!Arc::ptr_eq(&first, &list(&sql.replace(" JOIN", " LEFT JOIN"))));
}

// PRIVACY: which groups there are is the same for any data.
#[test]
fn which_groups_are_public_does_not_depend_on_the_dataset() {
    let nobody: Vec<Row> = Vec::new();
    let strange = vec![Row {
        user: Some(1),
        site: Some("mars".to_owned()),
        dept: Some("nowhere".to_owned()),
        n: Some(-9),
        ..Row::default()
    }];
    for sql in ANSWERED.iter().filter(|sql| sql.contains("GROUP BY")).chain(&[
        "SELECT upper(region), count(*) FROM jobs LEFT JOIN jobs.sites USING (site) WHERE tier > 0 GROUP BY 1",
        "SELECT substr(jobs.site, 1, 1), tier, count(*) FROM jobs JOIN jobs.sites USING (site) WHERE x > 0 GROUP BY 1, 2",
    ]) {
        let of = |rows: &[Row]| {
            let question = asked(sql, &joined(rows)).unwrap().question;
            let keys: Vec<Option<ArrayRef>> =
                question.keys.iter().map(|key| key.public.clone()).collect();
            (question.canonical, keys, question.bounding)
        };
        assert_eq!(of(&some()), of(&nobody), "{sql}");
        assert_eq!(of(&some()), of(&strange), "{sql}");
    }
}

#[test]
fn more_groups_than_are_answered_are_refused_and_large_tables_are_looked_at_one_by_one() {
    let large = |name: &str, rows: i64| {
        let own: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let text: ArrayRef =
            Arc::new(StringArray::from_iter_values((0..rows).map(|at| format!("{}", at % 90_000))));
        let rows = [("k", Arc::clone(&own)), ("v", own), ("t", text)];
        Arc::new(Public::of(name, &RecordBatch::try_from_iter(rows).unwrap()).unwrap())
    };
    let publics = vec![large("one", 120_000), large("other", 2_000)];
    let table = Table { publics, ..table(&some()) };
    let groups = |sql: &str| asked(sql, &table).map(|asked| asked.question.keys[0].public.clone());
    let of = |key: &str, condition: &str| {
        groups(&format!(
            "SELECT count(*) FROM jobs JOIN jobs.one ON x = one.k LEFT JOIN jobs.other ON n = other.k
               WHERE {condition} GROUP BY {key}"
        ))
    };
    assert_eq!(of("one.t", "true").unwrap().unwrap().len(), 90_000);
    assert_eq!(of("upper(one.t)", "one.v >= 100000").unwrap().unwrap().len(), 20_000);
    let told = |error: Error| error.hint().unwrap().as_str().to_owned();
    assert!(told(of("one.v", "true").unwrap_err()).contains("at most 100000"));
    // Two tables beside each other would be billions of worlds: a condition over both excludes nothing then.
    assert_eq!(of("one.t", "one.v = other.v").unwrap().unwrap().len(), 90_000);
    assert!(told(of("one.v + other.v", "true").unwrap_err()).contains("too many combinations"));
}
