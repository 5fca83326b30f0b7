//! What is refused, with what to write instead, and what is not.

use super::*;

/// Statements, and a part of what the partner is told instead.
const REFUSED: &[(&str, &str)] = &[
    // Rows.
    ("SELECT * FROM jobs", "ask for COUNT"),
    ("SELECT dept FROM jobs LIMIT 1", "ask for COUNT"),
    ("SELECT x FROM jobs ORDER BY x DESC LIMIT 1", "ask for COUNT"),
    ("SELECT d FROM finished", "ask for COUNT"),
    ("SELECT 1 FROM jobs", "ask for COUNT"),
    // No aggregation at all.
    ("SELECT 1", "write one aggregation"),
    ("VALUES (1), (2)", "write one aggregation"),
    ("WITH unused AS (SELECT * FROM jobs) SELECT 1", "write one aggregation"),
    // Distinct.
    ("SELECT DISTINCT dept FROM jobs", "`GROUP BY`"),
    ("SELECT DISTINCT ON (dept) dept, x FROM jobs", "`GROUP BY`"),
    ("SELECT DISTINCT count(*) FROM jobs GROUP BY dept", "`GROUP BY`"),
    ("SELECT dept FROM jobs GROUP BY dept", "ask for `COUNT(*)`"),
    ("SELECT dept, site FROM jobs GROUP BY 1, 2 ORDER BY 1", "ask for `COUNT(*)`"),
    ("SELECT count(*) FROM (SELECT DISTINCT dept FROM jobs)", "`GROUP BY`"),
    ("SELECT count(DISTINCT dept) FROM jobs", "`COUNT(DISTINCT \"User\")`"),
    ("SELECT sum(DISTINCT x) FROM jobs", "`COUNT(DISTINCT \"User\")`"),
    ("SELECT avg(DISTINCT x) FROM jobs GROUP BY dept", "`COUNT(DISTINCT \"User\")`"),
    ("SELECT approx_distinct(dept) FROM jobs", "`COUNT(DISTINCT \"User\")`"),
    ("SELECT count(DISTINCT \"User\") FILTER (WHERE flag) FROM jobs", "`WHERE`"),
    // Joins and other tables.
    ("SELECT count(*) FROM jobs a JOIN jobs b ON a.x = b.x", "join the answers"),
    ("SELECT count(*) FROM jobs, finished", "join the answers"),
    ("SELECT count(*) FROM jobs CROSS JOIN (VALUES (1), (2)) AS t(v)", "join the answers"),
    ("SELECT count(*) FROM jobs NATURAL JOIN finished", "join the answers"),
    ("SELECT count(*) FROM jobs JOIN sites USING (site)", "join the answers"),
    ("SELECT count(*) FROM information_schema.columns", "join the answers"),
    // Subqueries.
    ("SELECT count(*) FROM jobs WHERE x > (SELECT avg(x) FROM jobs)", "write the value"),
    ("SELECT count(*) FROM jobs WHERE dept IN (SELECT dept FROM jobs)", "write the value"),
    (
        "SELECT count(*) FROM jobs a WHERE EXISTS (SELECT 1 FROM jobs b WHERE a.x = b.n)",
        "write the value",
    ),
    ("SELECT dept FROM jobs GROUP BY dept HAVING count(*) > (SELECT 1)", "write the value"),
    ("SELECT (SELECT count(*) FROM jobs)", "write one aggregation"),
    // Windows.
    ("SELECT row_number() OVER () FROM jobs", "window functions"),
    ("SELECT dept, rank() OVER (ORDER BY count(*)) FROM jobs GROUP BY dept", "window functions"),
    ("SELECT sum(count(*)) OVER () FROM jobs GROUP BY dept", "window functions"),
    // Sets.
    ("SELECT count(*) FROM jobs UNION ALL SELECT count(*) FROM jobs", "each side"),
    ("SELECT count(*) FROM jobs UNION SELECT count(*) FROM jobs", "each side"),
    ("SELECT avg(t - t) FROM jobs", "a column of numbers"),
    ("SELECT count(*) FROM (SELECT * FROM jobs UNION ALL SELECT * FROM jobs)", "each side"),
    ("SELECT dept, count(*) FROM jobs GROUP BY ROLLUP (dept)", "one `GROUP BY` at a time"),
    ("SELECT dept, count(*) FROM jobs GROUP BY CUBE (dept, site)", "one `GROUP BY` at a time"),
    (
        "SELECT dept, count(*) FROM jobs GROUP BY GROUPING SETS ((dept), ())",
        "one `GROUP BY` at a time",
    ),
    // Aggregations of aggregations, and rows that are chosen by others.
    ("SELECT avg(n) FROM (SELECT dept, count(*) AS n FROM jobs GROUP BY dept)", "the inner one"),
    ("SELECT max(n) FROM (SELECT count(*) AS n FROM jobs)", "the inner one"),
    ("SELECT sum(x) FROM (SELECT x FROM jobs LIMIT 5)", "choose rows by `WHERE`"),
    ("SELECT sum(x) FROM (SELECT x FROM jobs ORDER BY x LIMIT 5)", "choose rows by `WHERE`"),
    // Bounds.
    ("SELECT sum(free) FROM jobs", "`amount`, `n`, `x`, `y`"),
    ("SELECT avg(free + x) FROM jobs", "bounds of `free`"),
    ("SELECT max(free) FROM jobs", "ask the custodian"),
    ("SELECT median(free) FROM jobs", "ask the custodian"),
    ("SELECT stddev(CASE WHEN flag THEN free END) FROM jobs", "ask the custodian"),
    ("SELECT sum(floor(y)) FROM jobs", "CASE, LEAST, GREATEST"),
    ("SELECT sum(x % 7) FROM jobs", "CASE, LEAST, GREATEST"),
    ("SELECT max(dept) FROM jobs", "of numbers"),
    ("SELECT min(t) FROM jobs", "of numbers"),
    // Functions of groups.
    ("SELECT array_agg(dept) FROM jobs", "`GROUP BY`"),
    ("SELECT string_agg(dept, ',') FROM jobs", "`GROUP BY`"),
    ("SELECT first_value(dept ORDER BY x) FROM jobs", "leave `ORDER BY`"),
    ("SELECT any_value(dept) FROM jobs", "`MEDIAN`"),
    ("SELECT bool_or(flag) FROM jobs", "`WHERE`"),
    ("SELECT bit_xor(x) FROM jobs", "COUNT, SUM, AVG"),
    ("SELECT corr(x, y) FROM jobs", "COUNT, SUM, AVG"),
    ("SELECT sum(x ORDER BY y) FROM jobs", "leave `ORDER BY`"),
    ("SELECT count(x, y) FROM jobs", "one column"),
    (
        "SELECT approx_percentile_cont(x, 0.5, 100) FROM jobs",
        "as in `approx_percentile_cont(x, 0.9)`",
    ),
    ("SELECT dept, grouping(dept) FROM jobs GROUP BY dept", "ask for `COUNT(*)`"),
    // What may fail on a value.
    ("SELECT count(*) FROM jobs WHERE 1 / x > 0", "CAST(... AS DOUBLE)"),
    ("SELECT count(*) FROM jobs WHERE x / 0 > 0", "CAST(... AS DOUBLE)"),
    ("SELECT count(*) FROM jobs WHERE x % n = 0", "CAST(... AS DOUBLE)"),
    ("SELECT count(*) FROM jobs WHERE CAST(dept AS INT) = 1", "TRY_CAST"),
    ("SELECT count(*) FROM jobs WHERE CAST(y AS INT) = 1", "TRY_CAST"),
    ("SELECT count(*) FROM jobs GROUP BY CAST(x AS SMALLINT)", "TRY_CAST"),
    ("SELECT sum(CAST(dept AS DOUBLE)) FROM jobs", "TRY_CAST"),
    ("SELECT count(*) FROM jobs WHERE dept = 1", "TRY_CAST"),
    ("SELECT count(*) FROM jobs WHERE amount * 2 > 5", "CAST(... AS DOUBLE)"),
    ("SELECT count(*) FROM jobs WHERE abs(x) > 5", "abs(CAST(... AS DOUBLE))"),
    ("SELECT count(*) FROM jobs WHERE power(x, 60) > 5", "may fail on a value"),
    ("SELECT date_trunc('fortnight', t), count(*) FROM jobs GROUP BY 1", "by year, quarter"),
    ("SELECT count(*) FROM jobs WHERE sqrt(sqrt(sqrt(sqrt(y)))) > 1", "fewer of them"),
    ("SELECT count(*) FROM jobs WHERE factorial(x) > 5", "may fail on a value"),
    ("SELECT count(*) FROM jobs WHERE chr(x) = 'a'", "may fail on a value"),
    ("SELECT count(*) FROM jobs WHERE to_timestamp(dept) > t", "may fail on a value"),
    ("SELECT count(*) FROM jobs WHERE regexp_replace(dept, 'a', 'b') = 'c'", "may fail on a value"),
    ("SELECT count(*) FROM jobs WHERE dept || site = 'ab'", "group by each"),
    (
        "SELECT count(*) FROM jobs WHERE t + INTERVAL '1 day' > now()",
        "compare the column with a value",
    ),
    ("SELECT count(*) FROM jobs WHERE left(dept, x) = 'a'", "written in the statement"),
    ("SELECT count(*) FROM jobs WHERE split_part(dept, 'a', 0) = 'a'", "written in the statement"),
    ("SELECT count(*) FROM jobs WHERE dept LIKE site", "a pattern is written"),
    ("SELECT count(*) FROM jobs WHERE dept SIMILAR TO 'a'", "instead of `SIMILAR TO`"),
    ("SELECT count(*) FROM jobs WHERE x << 70 > 0", "this operator"),
    // The unit, where it does not leave.
    ("SELECT \"User\", count(*) FROM jobs GROUP BY \"User\"", "COUNT(DISTINCT \"User\")"),
    ("SELECT count(*) FROM jobs WHERE \"User\" = 'ann'", "COUNT(DISTINCT \"User\")"),
    ("SELECT count(\"User\") FROM jobs", "COUNT(DISTINCT \"User\")"),
    ("SELECT count(*) FROM jobs GROUP BY 'a literal'", "by columns"),
    ("SELECT approx_percentile_cont(x, 1.5) FROM jobs", "from 0 to 1"),
    ("SELECT count(NULL) FROM jobs", "nothing is asked"),
];

/// Statements that are answered, with a rule for what is asked by each: how many measures, how many keys.
const ANSWERED: &[(&str, usize, usize)] = &[
    ("SELECT count(*) FROM jobs", 1, 0),
    ("SELECT count(1) FROM jobs", 1, 0),
    ("SELECT COUNT(*) AS n FROM jobs WHERE x > 5", 1, 0),
    ("SELECT count(*) FROM jobs WHERE dept = 'law' AND NOT flag OR y IS NULL", 1, 0),
    (
        "SELECT count(*) FROM jobs WHERE x BETWEEN 1 AND 9 AND dept IN ('a', 'b', 'c', 'd', 'e')",
        1,
        0,
    ),
    (
        "SELECT count(*) FROM jobs WHERE dept LIKE 'a%' AND site ILIKE '%N%' AND dept ~ '^[a-f]+$'",
        1,
        0,
    ),
    (
        "SELECT count(*) FROM jobs WHERE x + n * 2 - 1 > 5 AND y / 3.0 < 1 AND x / 10 = 2 AND x % 2 = 0",
        1,
        0,
    ),
    ("SELECT count(*) FROM jobs WHERE t >= TIMESTAMP '2023-11-14' AND d < DATE '2024-01-01'", 1, 0),
    ("SELECT count(*) FROM jobs WHERE t > now() - INTERVAL '30 days'", 1, 0),
    (
        "SELECT count(*) FROM jobs WHERE TRY_CAST(dept AS INT) > 3 OR CAST(x AS DOUBLE) / y > 2",
        1,
        0,
    ),
    (
        "SELECT count(*) FROM jobs WHERE coalesce(x, 0) = nullif(n, 3) AND greatest(x, n) > least(x, 5)",
        1,
        0,
    ),
    ("SELECT count(*) FROM jobs WHERE abs(y) > 1 AND floor(y) = 2 AND sqrt(y) < 3", 1, 0),
    ("SELECT count(*) FROM jobs WHERE upper(dept) = 'LAW' AND character_length(site) = 5", 1, 0),
    ("SELECT count(*) FROM jobs WHERE date_part('hour', t) >= 8 AND EXTRACT(dow FROM d) = 3", 1, 0),
    ("SELECT count(*) FROM jobs WHERE CASE WHEN flag THEN x > 3 ELSE n > 3 END", 1, 0),
    ("SELECT count(dept) FROM jobs", 1, 0),
    ("SELECT count(x), avg(x), sum(x) FROM jobs", 2, 0),
    ("SELECT sum(x) FROM jobs", 1, 0),
    ("SELECT sum(x), sum(n), sum(y), sum(amount) FROM jobs", 4, 0),
    ("SELECT sum(x), sum(x) AS again, sum(x) + 1 FROM jobs", 1, 0),
    ("SELECT avg(x) FROM jobs", 2, 0),
    ("SELECT stddev(y), var(y), avg(y), count(y), sum(y) FROM jobs", 3, 0),
    ("SELECT median(x), min(x), max(x), approx_percentile_cont(x, 0.9) FROM jobs", 4, 0),
    (
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x), approx_median(x), quantile_cont(x, 0.5) FROM jobs",
        1,
        0,
    ),
    (
        "SELECT sum(CASE WHEN flag THEN 1 ELSE 0 END), sum(CASE WHEN flag THEN x END) FROM jobs",
        2,
        0,
    ),
    ("SELECT sum(x) FILTER (WHERE flag), count(*) FILTER (WHERE x > 5) FROM jobs", 2, 0),
    (
        "SELECT sum(LEAST(x, 100)), sum(x * 2 + n), avg(y / 3600.0), sum(-x), sum(coalesce(x, 0)) FROM jobs",
        6,
        0,
    ),
    ("SELECT count(DISTINCT \"User\") FROM jobs", 1, 0),
    (
        "SELECT count(DISTINCT \"User\"), count(*), count(*) * 1.0 / count(DISTINCT \"User\") FROM jobs",
        2,
        0,
    ),
    ("SELECT dept, count(*) FROM jobs GROUP BY dept", 2, 1),
    ("SELECT site, count(*) FROM jobs GROUP BY site", 1, 1),
    ("SELECT site, dept, count(*) FROM jobs GROUP BY 1, 2", 2, 2),
    ("SELECT site, site AS s, count(*) FROM jobs GROUP BY site, s", 1, 1),
    ("SELECT x / 10 AS bucket, count(*) FROM jobs GROUP BY 1 ORDER BY 1", 2, 1),
    ("SELECT floor(y / 0.5), count(*) FROM jobs GROUP BY 1", 2, 1),
    (
        "SELECT CASE WHEN x < 0 THEN 'low' WHEN x < 100 THEN 'mid' ELSE 'high' END, count(*) FROM jobs GROUP BY 1",
        1,
        1,
    ),
    ("SELECT date_trunc('month', t), count(*) FROM jobs GROUP BY 1", 2, 1),
    ("SELECT date_part('dow', t), flag, avg(x) FROM jobs GROUP BY 1, 2", 2, 2),
    ("SELECT substr(dept, 1, 2), lower(site), count(*) FROM jobs GROUP BY 1, 2", 2, 2),
    ("SELECT dept FROM jobs GROUP BY dept HAVING count(*) > 5", 2, 1),
    ("SELECT dept FROM jobs GROUP BY dept ORDER BY sum(x) DESC LIMIT 3 OFFSET 1", 2, 1),
    ("SELECT round(100.0 * sum(x) / nullif(count(*), 0), 2) AS p FROM jobs", 2, 0),
    ("SELECT 1 / (count(*) - 24) FROM jobs", 1, 0),
    ("SELECT CASE WHEN count(*) > 5 THEN 'many' ELSE 'few' END FROM jobs", 1, 0),
    ("SELECT n FROM (SELECT count(*) AS n FROM jobs) t WHERE n > 0", 1, 0),
    (
        "WITH a AS (SELECT dept AS d, x AS y FROM jobs WHERE flag) SELECT d, sum(y) FROM a GROUP BY d",
        2,
        1,
    ),
    ("SELECT d, count(*), sum(waited) FROM finished GROUP BY d", 3, 1),
    ("SELECT sum(v) FROM (SELECT w * 2 AS v FROM (SELECT x + 1 AS w FROM jobs))", 1, 0),
    ("select COUNT(*) from JOBS where DEPT is not null", 1, 0),
];

#[test]
fn what_is_refused_says_what_to_write_instead() {
    let table = table(&some());
    assert!(REFUSED.len() >= 40);
    for (sql, instead) in REFUSED {
        let error = match asked(sql, &table) {
            Ok(asked) => panic!("{sql}: {}", asked.question.canonical),
            Err(error) => error,
        };
        let hint = error.hint().map_or("", |hint| hint.as_str());
        assert_eq!(error.code(), Code::NoisyOnly, "{sql}: {}", error.chain());
        assert!(hint.contains(instead), "{sql}: {hint}");
        assert!(!hint.contains('\0'), "{sql}: {hint}");
    }
}

#[tokio::test]
async fn what_is_answered_is_measured_once_and_answered() {
    let table = table(&some());
    assert!(ANSWERED.len() >= 40);
    for (sql, measures, keys) in ANSWERED {
        let asked = asked(sql, &table).unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
        let question = &asked.question;
        assert_eq!(question.measures.len(), *measures, "{sql}: {:?}", question.measures);
        assert_eq!(question.keys.len(), *keys, "{sql}: {}", question.canonical);
        let unknown = question.keys.iter().any(|key| key.public.is_none());
        assert_eq!(!question.loss.delta.is_zero(), unknown, "{sql}");
        assert!(!unknown || question.measures.contains(&Measure::Units), "{sql}");
        // All of them run but the one that divides by the exact count, which is zero here.
        let answer = answer(sql, &table).await;
        assert_eq!(answer.is_ok(), !sql.contains("- 24"), "{sql}: {answer:?}");
    }
}

#[test]
fn names_that_are_not_there_are_no_matter_of_noise() {
    let table = table(&some());
    for (sql, code) in [
        ("SELECT count(*) FROM elsewhere", Code::SqlInvalid),
        ("SELECT count(*) FROM jobs WHERE depth = 1", Code::SqlInvalid),
        ("SELECT count(*) FROM jobs WHERE \"\0unit\" = 1", Code::SqlInvalid),
        ("SELECT \"\0unit\", count(*) FROM jobs GROUP BY 1", Code::SqlInvalid),
        ("SELECT \"\0width1\" FROM (SELECT count(*) FROM jobs)", Code::SqlInvalid),
        ("DELETE FROM jobs", Code::Unsupported),
        ("SELECT random(), count(*) FROM jobs", Code::SqlRefused),
        ("SELECT count(*) FROM jobs WHERE x > 1 / 0", Code::NoisyOnly),
    ] {
        let error = asked(sql, &table).map(|asked| asked.question.canonical).unwrap_err();
        assert_eq!(error.code(), code, "{sql}: {}", error.chain());
    }
}
