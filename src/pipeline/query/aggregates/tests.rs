//! Attacks on `group_min`: each test is a way to learn of a person, or of a group that is too small.
//!
//! The fixture has physics (five persons), chemistry (four), law (Liz alone, in four rows) and three
//! persons of no department, of whom the bound of four hides the last two groups.

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use arrow_ipc::writer::StreamWriter;
use bytes::Bytes;

use super::super::logical::Table;
use super::super::testing::{answer, answer_with, jobs, planned, refusal, sites, sorted, visits};
use super::*;

fn tables() -> Vec<Table> {
    vec![jobs("access: aggregates, group_min: 4"), sites()]
}

/// All of these are refused with the grant's own code and a hint.
fn all_refused(statements: &[&str]) {
    for sql in statements {
        let (code, hint) = refusal(sql, &tables());
        assert_eq!(code, Code::AggregatesOnly, "{sql}: {hint}");
        assert!(!hint.is_empty(), "{sql}");
        assert!(!hint.contains('\0'), "{sql}: {hint}");
    }
}

#[tokio::test]
async fn groups_of_enough_units_are_answered() {
    let tables = tables();
    let lines = answer(
        "SELECT dept, count(*) AS n, count(wait_s), count(DISTINCT User) AS persons, sum(wait_s),
                avg(wait_s), stddev_pop(wait_s) > 0, var_pop(age), stddev(age) > 0, var(age) > 0
         FROM jobs GROUP BY dept ORDER BY dept",
        &tables,
    );
    assert_eq!(
        lines.await.unwrap(),
        [
            "chemistry 4 4 4 300 75.0 true 1.25 true true",
            "physics 5 5 5 150 30.0 true 2.0 true true"
        ]
    );
    for sql in [
        "SELECT count(*) FROM jobs",
        "SELECT n FROM (SELECT count(*) AS n FROM jobs)",
        "WITH a AS (SELECT * FROM jobs WHERE age > 0) SELECT count(*) FROM a",
        "SELECT count(*) FROM (SELECT dept AS d, age FROM jobs j) t WHERE t.age BETWEEN 0 AND 99",
        "SELECT count(*) FROM jobs WHERE dept LIKE '%' OR dept IS NULL OR NOT dept IN ('a')",
    ] {
        assert_eq!(answer(sql, &tables).await.unwrap(), ["16"], "{sql}");
    }
    let ratio = "SELECT dept AS d, sum(wait_s) / count(*) AS r FROM jobs WHERE age > 1 GROUP BY 1
                 HAVING count(*) > 1 AND sum(wait_s) > count(*) ORDER BY r DESC LIMIT 1";
    assert_eq!(answer(ratio, &tables).await.unwrap(), ["chemistry 75"]);
    let parts =
        "SELECT date_part('year', opened), count(*) FROM \"grid-sites\" GROUP BY 1 ORDER BY 1";
    assert_eq!(answer(parts, &[sites()]).await.unwrap(), ["1970 2"]);
}

#[tokio::test]
async fn the_same_statements_over_rows_are_not_bounded() {
    let rows = [jobs("access: rows")];
    let lines = sorted("SELECT dept, count(*) FROM jobs GROUP BY dept", &rows).await.unwrap();
    assert_eq!(lines, ["chemistry 4", "law 4", "null 3", "physics 5"]);
}

#[test]
fn rows_are_not_answered() {
    all_refused(&[
        "SELECT * FROM jobs",
        "SELECT dept FROM jobs LIMIT 1",
        "SELECT DISTINCT dept FROM jobs",
        "SELECT DISTINCT ON (dept) dept, wait_s FROM jobs",
        "SELECT 1 FROM jobs",
        "SELECT wait_s FROM jobs ORDER BY wait_s",
        "SELECT row_number() OVER () FROM jobs",
        "SELECT count(*) OVER (PARTITION BY dept) FROM jobs",
        "SELECT max(n) OVER () FROM (SELECT count(*) AS n FROM jobs GROUP BY dept)",
        "SELECT unnest([1, 2]) FROM jobs",
        "SELECT count(*) FROM jobs, UNNEST([1, 2]) AS t(x)",
    ]);
}

#[tokio::test]
async fn small_groups_do_not_show() {
    // Four rows, one person: rows do not count.
    let lines = sorted("SELECT dept, count(*) FROM jobs GROUP BY dept", &tables()).await.unwrap();
    assert_eq!(lines, ["chemistry 4", "physics 5"]);
    // The group of null is a group like others.
    let by_null = "SELECT count(*) FROM jobs WHERE dept IS NULL";
    assert_eq!(answer(by_null, &tables()).await.unwrap(), [""; 0]);
    let three = [jobs("access: aggregates, group_min: 3")];
    assert_eq!(answer(by_null, &three).await.unwrap(), ["3"]);
    // A global aggregation of too few has no row at all, not a row of zero or null.
    for sql in [
        "SELECT count(*), sum(wait_s) FROM jobs WHERE dept = 'law'",
        "SELECT count(*) FROM jobs WHERE dept = 'no such department'",
        "SELECT coalesce(sum(wait_s), 0) FROM jobs WHERE age = 60",
        "SELECT 'seen' FROM jobs WHERE age = 60 GROUP BY dept",
        "SELECT dept FROM jobs WHERE age = 60 GROUP BY dept",
        "SELECT count(*) IS NULL FROM jobs WHERE false",
    ] {
        assert_eq!(answer(sql, &tables()).await.unwrap(), [""; 0], "{sql}");
    }
    // Each of the groups is too small, and all groups together do not add up.
    let ages = "SELECT age, count(*) FROM jobs GROUP BY age";
    assert_eq!(answer(ages, &tables()).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_column_with_few_values_tells_nothing_of_them() {
    // Five physicists, one with a bonus: the sum would be that person's.
    for of in
        ["sum(bonus)", "avg(bonus)", "count(bonus)", "count(DISTINCT bonus)", "var_pop(bonus)"]
    {
        let sql = format!("SELECT dept, {of} > 0 OR {of} = 0 FROM jobs GROUP BY dept");
        assert_eq!(answer(&sql, &tables()).await.unwrap(), ["chemistry true"], "{of}");
    }
    // Beside others it is no different.
    let beside = "SELECT dept, count(*), sum(bonus) FROM jobs GROUP BY dept";
    assert_eq!(answer(beside, &tables()).await.unwrap(), ["chemistry 4 10.0"]);
}

#[test]
fn nothing_but_sums_and_counts_is_answered() {
    all_refused(&[
        "SELECT min(wait_s) FROM jobs",
        "SELECT max(wait_s) FROM jobs",
        "SELECT median(wait_s) FROM jobs",
        "SELECT approx_percentile_cont(wait_s, 0.9) FROM jobs",
        "SELECT percentile_cont(0.9) WITHIN GROUP (ORDER BY wait_s) FROM jobs",
        "SELECT first_value(dept) FROM jobs",
        "SELECT first_value(dept ORDER BY age) FROM jobs",
        "SELECT any_value(dept) FROM jobs",
        "SELECT array_agg(dept) FROM jobs",
        "SELECT string_agg(dept, ',') FROM jobs",
        "SELECT bit_or(age) FROM jobs",
        "SELECT bool_or(age > 3) FROM jobs",
        "SELECT corr(age, wait_s) FROM jobs",
        "SELECT approx_distinct(User) FROM jobs",
        "SELECT sum(DISTINCT wait_s) FROM jobs",
        "SELECT sum(wait_s ORDER BY age) FROM jobs",
        "SELECT grouping(dept) FROM jobs GROUP BY dept",
    ]);
}

#[test]
fn no_person_is_singled_out_inside_an_aggregate() {
    all_refused(&[
        "SELECT sum(wait_s) FILTER (WHERE age = 31) FROM jobs",
        "SELECT count(*) FILTER (WHERE User = 'u-682') FROM jobs",
        "SELECT sum(CASE WHEN age = 31 THEN wait_s END) FROM jobs",
        "SELECT sum(CASE WHEN age = 31 THEN wait_s ELSE 0 END) FROM jobs GROUP BY dept",
        "SELECT sum(wait_s * 1000000) FROM jobs",
        "SELECT sum(wait_s / (age - 31)) FROM jobs",
        "SELECT sum(1 / (wait_s - 5)) FROM jobs",
        "SELECT avg(nullif(wait_s, 10)) FROM jobs",
        "SELECT count(age = 31 OR null) FROM jobs",
        "SELECT count(nullif(age, 31)) FROM jobs",
        "SELECT sum(power(2, wait_s)) FROM jobs",
        "SELECT count(DISTINCT dept || age) FROM jobs",
        "SELECT count(DISTINCT (dept, age)) FROM jobs",
        "SELECT count(dept, age) FROM jobs",
        "SELECT sum(w) FROM (SELECT CASE WHEN age = 31 THEN wait_s END AS w FROM jobs)",
        "SELECT sum(n) FROM (SELECT wait_s * age AS n FROM jobs)",
    ]);
}

#[test]
fn persons_are_neither_chosen_nor_grouped() {
    all_refused(&[
        "SELECT User, count(*) FROM jobs GROUP BY User",
        "SELECT user_id, count(*) FROM jobs GROUP BY user_id",
        "SELECT ip, count(*) FROM jobs GROUP BY ip",
        "SELECT count(*) FROM jobs WHERE User = 'u-682'",
        "SELECT count(*) FROM jobs WHERE User <> 'u-682'",
        "SELECT count(*) FROM jobs WHERE user_id IN ('i-682')",
        "SELECT count(*) FROM jobs WHERE ip LIKE '10.%'",
        "SELECT count(*) FROM jobs WHERE User IS NOT NULL",
        "SELECT count(*) FROM jobs WHERE NOT (age > 3 OR User > 'u')",
        "SELECT dept, count(*) FROM jobs GROUP BY dept, User",
        // By other names.
        "SELECT u, count(*) FROM (SELECT User AS u FROM jobs) GROUP BY u",
        "WITH a(x) AS (SELECT User FROM jobs) SELECT count(*) FROM a WHERE x > 'a'",
        "SELECT count(*) FROM (SELECT dept AS User, User AS dept FROM jobs) t WHERE t.dept = 'u-682'",
        "SELECT age AS User, dept AS d, count(*) FROM jobs j GROUP BY j.User, j.dept, j.age",
        "SELECT count(*) FROM jobs AS a(a, dept, c, d, e, f, g, h, i) WHERE dept = 'u-682'",
        "SELECT count(*) FROM jobs HAVING max(User) > 'a'",
    ]);
}

#[test]
fn the_column_of_units_has_no_name() {
    for sql in [
        "SELECT count(*) FROM jobs WHERE \"\0unit\" = 1",
        "SELECT \"\0unit\", count(*) FROM jobs GROUP BY \"\0unit\"",
        "SELECT count(\"\0unit\") FROM jobs",
        "SELECT dept, \"\0units0\" FROM jobs GROUP BY dept",
        "SELECT dept FROM jobs GROUP BY dept HAVING \"\0units0\" > 1",
        "SELECT * EXCEPT (\"\0unit\") FROM jobs",
    ] {
        let (code, hint) = refusal(sql, &tables());
        assert_eq!(code, Code::SqlInvalid, "{sql:?}: {hint}");
    }
}

#[test]
fn groups_are_made_by_columns_alone() {
    all_refused(&[
        "SELECT count(*) FROM jobs GROUP BY age = 31",
        "SELECT count(*) FROM jobs GROUP BY CASE WHEN age = 31 THEN 1 END",
        "SELECT count(*) FROM jobs GROUP BY age / 0",
        "SELECT count(*) FROM jobs GROUP BY age / -1",
        "SELECT count(*) FROM jobs GROUP BY 1000 / age",
        "SELECT count(*) FROM jobs GROUP BY age % wait_s",
        "SELECT count(*) FROM jobs GROUP BY age * 10 / 10",
        "SELECT count(*) FROM jobs GROUP BY substr(dept, 1, 1)",
        "SELECT count(*) FROM jobs GROUP BY 'a literal'",
        "SELECT count(*) FROM jobs GROUP BY dept, 'a literal'",
        "SELECT dept, count(*) FROM jobs GROUP BY ROLLUP (dept)",
        "SELECT dept, count(*) FROM jobs GROUP BY CUBE (dept, age)",
        "SELECT dept, count(*) FROM jobs GROUP BY GROUPING SETS ((dept), ())",
    ]);
}

#[test]
fn conditions_on_rows_are_comparisons_with_values() {
    all_refused(&[
        "SELECT count(*) FROM jobs WHERE age + 0 = 31",
        "SELECT count(*) FROM jobs WHERE 1 / (age - 31) > 0",
        "SELECT count(*) FROM jobs WHERE wait_s > age",
        "SELECT count(*) FROM jobs WHERE upper(dept) = 'LAW'",
        "SELECT count(*) FROM jobs WHERE CASE WHEN age = 31 THEN true END",
        "SELECT count(*) FROM jobs WHERE notes ~ '.*31'",
        "SELECT count(*) FROM jobs WHERE CAST(notes AS INT) = 1",
        "SELECT count(*) FROM jobs WHERE age IN (SELECT 31)",
        "SELECT count(*) FROM jobs WHERE EXISTS (SELECT 1)",
        "SELECT count(*) FROM jobs WHERE age = (SELECT 31)",
        "SELECT count(*) FROM jobs j WHERE EXISTS (SELECT 1 FROM \"grid-sites\" s WHERE s.dept = j.dept)",
    ]);
}

/// A cast that fails says that a row is there. The planner would write some by itself.
#[tokio::test]
async fn no_condition_can_fail_on_a_value() {
    for sql in [
        "SELECT count(*) FROM jobs WHERE notes = 31",
        "SELECT count(*) FROM jobs WHERE dept > 1",
        "SELECT count(*) FROM jobs WHERE notes BETWEEN 1 AND 2",
        "SELECT dept FROM jobs GROUP BY dept HAVING dept > 1",
        "SELECT dept FROM (SELECT dept, count(*) AS n FROM jobs GROUP BY dept) WHERE dept = 7",
    ] {
        if let Err(error) = answer(sql, &tables()).await {
            assert_ne!(error.code(), Code::QueryFailed, "{sql}");
        }
    }
    // Whole numbers beside fractions widen, which cannot fail.
    let wide = "SELECT count(*) FROM jobs WHERE age > 1.5 AND wait_s < 1e18 AND bonus > 1";
    assert_eq!(answer(wide, &tables()).await.unwrap(), ["8"]);
    let wide = "SELECT count(*) FROM jobs WHERE age > 1.5 AND wait_s < 1e18";
    assert_eq!(answer(wide, &tables()).await.unwrap(), ["16"]);
}

#[tokio::test]
async fn what_stands_above_never_sees_a_small_group() {
    // Law has 4 rows: the division fails if that group reaches the projection or the order.
    for sql in [
        "SELECT dept, 100 / (sum(wait_s) - 10000) FROM jobs GROUP BY dept",
        "SELECT dept FROM jobs GROUP BY dept ORDER BY 100 / (sum(wait_s) - 10000)",
        "SELECT d FROM (SELECT dept AS d, 100 / (sum(wait_s) - 10000) AS x FROM jobs GROUP BY dept)",
        "SELECT dept, CAST(CAST(sum(wait_s) AS VARCHAR) AS SMALLINT) FROM jobs GROUP BY dept
         ORDER BY 100 / (avg(wait_s) - 2500)",
    ] {
        assert_eq!(answer(sql, &tables()).await.unwrap().len(), 2, "{sql}");
    }
    // The order and the limit count only what leaves.
    let first =
        "SELECT dept, sum(wait_s) FROM jobs GROUP BY dept ORDER BY sum(wait_s) DESC LIMIT 1";
    assert_eq!(answer(first, &tables()).await.unwrap(), ["chemistry 300"]);
    let second = "SELECT dept FROM jobs GROUP BY dept ORDER BY sum(wait_s) DESC LIMIT 1 OFFSET 1";
    assert_eq!(answer(second, &tables()).await.unwrap(), ["physics"]);
    let nulls = "SELECT dept FROM jobs GROUP BY dept ORDER BY dept NULLS FIRST LIMIT 1";
    assert_eq!(answer(nulls, &tables()).await.unwrap(), ["chemistry"]);
    // Conditions on groups choose among what leaves.
    for having in
        ["sum(wait_s) = 10000", "count(DISTINCT User) = 1", "dept = 'law'", "dept IS NULL"]
    {
        let sql = format!("SELECT dept FROM jobs GROUP BY dept HAVING {having}");
        assert_eq!(answer(&sql, &tables()).await.unwrap(), [""; 0], "{having}");
    }
}

#[test]
fn conditions_on_groups_are_comparisons() {
    all_refused(&[
        "SELECT dept FROM jobs GROUP BY dept HAVING 1 / (count(*) - 4) > 0",
        "SELECT dept FROM jobs GROUP BY dept HAVING CAST(dept AS INT) > 0",
        "SELECT dept FROM jobs GROUP BY dept HAVING sum(wait_s) / count(*) > 1",
        "SELECT x FROM (SELECT 1 / (count(*) - 4) AS x FROM jobs GROUP BY dept) WHERE x > 0",
        "WITH a AS (SELECT 1 / (count(*) - 4) AS x, dept FROM jobs GROUP BY dept)
         SELECT dept FROM a WHERE dept > 'a'",
        "SELECT dept FROM jobs GROUP BY dept HAVING count(*) > (SELECT 1)",
        "SELECT dept FROM jobs GROUP BY dept HAVING EXISTS (SELECT 1)",
        "SELECT dept, (SELECT 1) FROM jobs GROUP BY dept",
        "SELECT dept FROM jobs GROUP BY dept HAVING max(wait_s) > 0",
    ]);
}

// PRIVACY: whether a statement fails must not tell that a row is there.
#[tokio::test]
async fn parts_of_times_fail_on_no_value_also_not_on_one_under_a_null() {
    let tables = [visits()];
    let counted =
        |key: &str| format!("SELECT {key} AS k, count(*) AS n FROM visits GROUP BY {key}");
    let hours = sorted(&counted("date_trunc('hour', t)"), &tables).await.unwrap();
    assert_eq!(hours, ["1970-01-01T00:00:00 2", "1970-01-01T02:00:00 2", "null 2"]);
    for part in ["year", "month", "week", "day"] {
        for key in [format!("date_trunc('{part}', t)"), format!("date_part('{part}', t)")] {
            assert_eq!(sorted(&counted(&key), &tables).await.unwrap().len(), 2, "{key}");
        }
    }
    // The key's own name goes on.
    let named = "SELECT date_trunc('day', t), count(*) FROM visits GROUP BY 1 ORDER BY date_trunc('day', t)";
    assert_eq!(sorted(named, &tables).await.unwrap().len(), 2);
}

#[test]
fn a_dataset_of_aggregates_stands_alone() {
    all_refused(&[
        "SELECT count(*) FROM jobs a JOIN jobs b USING (User)",
        "SELECT count(*) FROM jobs a JOIN jobs b ON a.age = b.age",
        "SELECT count(*) FROM jobs, jobs AS b",
        // Named, and not read: what is read instead is another dataset.
        "WITH unused AS (SELECT * FROM jobs) SELECT count(*) FROM \"grid-sites\"",
        "WITH unused AS (SELECT * FROM jobs) SELECT dept FROM \"grid-sites\" GROUP BY dept",
        "WITH unused AS (SELECT * FROM jobs) SELECT count(*) FROM information_schema.columns",
        "SELECT count(*) FROM jobs JOIN \"grid-sites\" USING (dept)",
        "SELECT count(*) FROM jobs CROSS JOIN (VALUES (1), (2)) AS t(x)",
        "SELECT count(*) FROM jobs LEFT JOIN LATERAL (SELECT 1) AS t ON true",
        "SELECT count(*) FROM jobs NATURAL JOIN \"grid-sites\"",
        "SELECT count(*) FROM (SELECT * FROM jobs UNION ALL SELECT * FROM jobs)",
        "SELECT count(*) FROM jobs UNION ALL SELECT count(*) FROM jobs WHERE dept <> 'law'",
        "SELECT dept FROM jobs GROUP BY dept EXCEPT SELECT 'physics'",
        "SELECT dept FROM jobs GROUP BY dept INTERSECT SELECT dept FROM \"grid-sites\"",
        "SELECT a.n - b.n FROM (SELECT count(*) n FROM jobs) a, (SELECT count(*) n FROM jobs) b",
        "SELECT (SELECT count(*) FROM jobs) AS n",
        "SELECT * FROM \"grid-sites\" WHERE dept IN (SELECT dept FROM jobs)",
        "SELECT * FROM \"grid-sites\" s WHERE EXISTS (SELECT 1 FROM jobs j WHERE j.dept = s.dept)",
        "SELECT count(*) FROM \"grid-sites\" WHERE (SELECT count(*) FROM jobs) > 3",
        "SELECT table_name, (SELECT count(*) FROM jobs) FROM information_schema.tables",
        // Rows that are chosen by other means than conditions.
        "SELECT sum(wait_s) FROM (SELECT * FROM jobs LIMIT 1)",
        "SELECT sum(wait_s) FROM (SELECT * FROM jobs ORDER BY age LIMIT 5)",
        "SELECT sum(wait_s) FROM (SELECT DISTINCT * FROM jobs)",
        "SELECT avg(n) FROM (SELECT dept, count(*) AS n FROM jobs GROUP BY dept)",
        "SELECT sum(s) FROM (SELECT sum(wait_s) AS s FROM jobs GROUP BY dept, age)",
    ]);
}

#[tokio::test]
async fn values_that_are_bound_are_values() {
    let values = |dept: &str, age: i64| {
        let batch = RecordBatch::try_from_iter([
            ("a", Arc::new(StringArray::from(vec![dept])) as arrow::array::ArrayRef),
            ("b", Arc::new(Int64Array::from(vec![age])) as arrow::array::ArrayRef),
        ]);
        let batch = batch.unwrap();
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        Bytes::from(writer.into_inner().unwrap())
    };
    let sql = "SELECT count(*) FROM jobs WHERE dept = ? AND age > ?";
    let some = answer_with(sql, &values("physics", 1), &tables()).await.unwrap();
    assert_eq!(some, ["5"]);
    let few = answer_with(sql, &values("physics", 33), &tables()).await.unwrap();
    assert_eq!(few, [""; 0]);
    let open = planned(sql, &tables()).unwrap();
    assert!(open.open);
    assert_eq!(open.parameters.field(0).data_type(), &DataType::Utf8);
    // The bound stands in what is described too.
    assert!(
        open.plan.display_indent().to_string().contains("units0"),
        "{}",
        open.plan.display_indent()
    );
    all_refused(&[
        "SELECT count(*) FROM jobs WHERE User = ?",
        "SELECT sum(CASE WHEN age = ? THEN wait_s END) FROM jobs",
        "SELECT count(*) FROM jobs GROUP BY ?",
    ]);
}

/// The attack that remains, see SECURITY.md: two answers, each over enough persons, whose difference is
/// one person. This test is here so that the page stays true.
#[tokio::test]
async fn the_difference_of_two_answers_still_tells_of_one_person() {
    let all = answer("SELECT sum(wait_s) FROM jobs", &tables()).await.unwrap();
    let others = "SELECT sum(wait_s) FROM jobs WHERE dept <> 'law' OR dept IS NULL";
    let others = answer(others, &tables()).await.unwrap();
    let number = |lines: &[String]| lines[0].parse::<i64>().unwrap();
    assert_eq!(number(&all) - number(&others), 1000 + 2000 + 3000 + 4000, "what Liz waited");
}

/// The other one: a person whose values are far larger than all others' is seen in the sum of a group.
#[tokio::test]
async fn a_person_who_dominates_a_group_still_shows() {
    let sql = "SELECT avg(wait_s) FROM jobs WHERE age > 50";
    assert_eq!(answer(sql, &tables()).await.unwrap(), ["1475.7142857142858"], "mostly Liz");
}
