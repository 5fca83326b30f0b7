//! What statements are split into, and what comes out of them.

use super::*;

#[tokio::test]
async fn counts_sums_and_means_are_those_of_sql_where_noise_is_zero() {
    let rows = some();
    let table = table(&rows);
    for sql in [
        "SELECT count(*) FROM jobs",
        "SELECT count(*) AS n, sum(x), avg(x), sum(y), avg(y), count(n) FROM jobs",
        "SELECT dept, count(*), sum(x) FROM jobs GROUP BY dept",
        "SELECT sum(x) / count(*) AS r, dept AS d FROM jobs WHERE n > 3 AND flag GROUP BY 2",
        "SELECT dept FROM jobs GROUP BY dept HAVING count(*) > 4 ORDER BY sum(x) DESC LIMIT 2",
        "SELECT var(x), var_pop(x), stddev(y), stddev_pop(y) FROM jobs",
        "SELECT n % 3 AS b, date_trunc('day', t) AS day, count(*) FROM jobs GROUP BY 1, 2",
        "SELECT a.dept, z FROM (SELECT dept, sum(amount) AS z FROM jobs j GROUP BY j.dept) a WHERE z > 5",
    ] {
        let ours = answer(sql, &table).await.unwrap();
        let theirs = plain(sql, &rows).await;
        let shown: Vec<usize> = (0..theirs.num_columns()).collect();
        let cut = ours.project(&shown).unwrap();
        assert_eq!(lines(&cut, true), lines(&theirs, true), "{sql}");
    }
}

/// A rare value becomes another one when somebody else's rows come or go.
#[test]
fn what_depends_on_other_peoples_rows_cannot_be_asked_about() {
    let rare = table_under(&POLICY.replace("  site: keep", "  site: {rare: {below: 5}}"), &some());
    for sql in [
        "SELECT site, count(*) FROM jobs GROUP BY site",
        "SELECT count(*) FROM jobs WHERE site = 'a'",
        "SELECT count(site) FROM jobs",
        "SELECT sum(CASE WHEN site = 'a' THEN x ELSE 0 END) FROM jobs",
        "SELECT count(*) FILTER (WHERE site IS NULL) FROM jobs",
        "SELECT dept, count(*) FROM (SELECT * FROM jobs WHERE lower(site) = 'a') j GROUP BY dept",
    ] {
        let error = asked(sql, &rare).err().unwrap_or_else(|| panic!("{sql}"));
        assert_eq!(error.code(), Code::NoisyOnly, "{sql}: {}", error.chain());
        assert!(error.to_string().contains("`site` depends on other people's rows"), "{error}");
    }
    for sql in ["SELECT count(*) FROM jobs", "SELECT dept, sum(x) FROM jobs GROUP BY dept"] {
        assert!(asked(sql, &rare).is_ok(), "{sql}");
    }
}
