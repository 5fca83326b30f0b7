//! Where noise is zero and no bound binds, answers are those of the engine itself over the same rows.

use proptest::prelude::*;

use super::*;

/// Whether two cells are the same, numbers up to rounding. A sum of nothing is zero here, null there.
pub(super) fn alike(ours: &str, theirs: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    let theirs = if theirs == "null" && ours.parse::<f64>() == Ok(0.0) { "0" } else { theirs };
    match (number(ours), number(theirs)) {
        (Some(one), Some(other)) => (one - other).abs() <= 1e-6 * other.abs().max(1.0),
        _ => ours == theirs,
    }
}

/// Cells of an answer, sorted by the first columns, which are the keys.
pub(super) fn cells(answer: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::new().with_null("null");
    let column = |column: &ArrayRef| {
        let text = ArrayFormatter::try_new(column, &options).unwrap();
        (0..column.len()).map(|row| text.value(row).to_string()).collect::<Vec<_>>()
    };
    let columns: Vec<Vec<String>> = answer.columns().iter().map(column).collect();
    let row = |row: usize| columns.iter().map(|column| column[row].clone()).collect::<Vec<_>>();
    let mut rows: Vec<Vec<String>> = (0..answer.num_rows()).map(row).collect();
    rows.sort();
    rows
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        0..5_u64,
        prop::option::of(prop_oneof![Just("law"), Just("art"), Just("")]),
        prop::option::of(-1000..=1000_i64),
        prop::option::of(0..=100_i32),
        prop::option::of((-400..=400_i32).prop_map(|eighths| f64::from(eighths) / 8.0)),
        prop::option::of(0..=100_000_i128),
        prop::option::of(0..400_000_000_000_i64),
        prop::option::of(any::<bool>()),
    );
    let row = row.prop_map(|(user, dept, x, n, y, amount, t, flag)| Row {
        user: Some(user),
        dept: dept.map(str::to_owned),
        x,
        n,
        y,
        amount,
        t,
        flag,
        ..Row::default()
    });
    prop::collection::vec(row, 0..40)
}

fn statement() -> impl Strategy<Value = String> {
    let aggregates = [
        "count(*)",
        "count(x)",
        "count(y)",
        "count(dept)",
        "sum(x)",
        "sum(n)",
        "sum(y)",
        "sum(amount)",
        "avg(x)",
        "avg(y)",
        "avg(n)",
        "avg(amount)",
        "var(x)",
        "var_pop(y)",
        "stddev(y)",
        "stddev_pop(n)",
        "sum(CASE WHEN flag THEN x ELSE 0 END)",
        "sum(x) FILTER (WHERE flag)",
        "sum(x + 2 * n)",
        "avg(y / 4.0)",
        "count(*) FILTER (WHERE x > 10)",
        "sum(least(x, 100))",
        "avg(-x)",
        "sum(coalesce(n, 7))",
        "avg(coalesce(n, 7))",
        "count(coalesce(x, y))",
        "stddev(coalesce(y, 1))",
        "count(coalesce(dept, upper(dept)))",
    ];
    let keys = [
        "dept",
        "flag",
        "n % 3",
        "x / 500",
        "date_trunc('hour', t)",
        "upper(dept)",
        "CASE WHEN x > 0 THEN 'more' ELSE 'less' END",
        "floor(y / 10)",
    ];
    let conditions = [
        "x > 0",
        "flag",
        "dept = 'law'",
        "dept IS NULL",
        "n BETWEEN 10 AND 60",
        "y < 3.5 OR x < 0",
        "NOT (flag AND n > 50)",
        "date_part('hour', t) < 60",
        "x IN (1, 2, 3) OR n <> 4",
    ];
    let some = prop::sample::subsequence(aggregates.to_vec(), 1..5);
    let by = prop::sample::subsequence(keys.to_vec(), 0..3);
    let which = prop::option::of(prop::sample::select(conditions.to_vec()));
    (some, by, which).prop_map(|(aggregates, keys, condition)| {
        let mut shown: Vec<String> =
            keys.iter().enumerate().map(|(at, key)| format!("{key} AS key{at}")).collect();
        shown.extend(aggregates.iter().enumerate().map(|(at, call)| format!("{call} AS a{at}")));
        let condition = condition.map_or(String::new(), |text| format!(" WHERE {text}"));
        let by = match keys.as_slice() {
            [] => String::new(),
            keys => format!(" GROUP BY {}", keys.join(", ")),
        };
        format!("SELECT {} FROM jobs{condition}{by}", shown.join(", "))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn answers_without_noise_are_those_of_plain_sql(rows in rows(), sql in statement()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let table = table(&rows);
        let ours = runtime.block_on(answer(&sql, &table)).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let theirs = runtime.block_on(plain(&sql, &rows));
        for (at, field) in theirs.schema().fields().iter().enumerate() {
            let ours = plain_type(ours.schema().field(at).data_type());
            prop_assert_eq!(ours, plain_type(field.data_type()), "{}", &sql);
        }
        let shown: Vec<usize> = (0..theirs.num_columns()).collect();
        let (mut ours, theirs) = (cells(&ours.project(&shown).unwrap()), cells(&theirs));
        // Groups that the statement itself names are answered without rows too: with nothing in them.
        let keys = sql.matches(" AS key").count();
        let there = |row: &Vec<String>| theirs.iter().any(|other| other[..keys] == row[..keys]);
        let nothing = |row: &Vec<String>| row[keys..].iter().all(|cell| alike(cell, "null") || cell == "null");
        ours.retain(|row| keys == 0 || there(row) || !nothing(row));
        prop_assert_eq!(ours.len(), theirs.len(), "{}\n{:?}\n{:?}", &sql, &ours, &theirs);
        for (one, other) in ours.iter().zip(&theirs) {
            let same = one.iter().zip(other).all(|(one, other)| alike(one, other));
            prop_assert!(same, "{}\n{:?}\n{:?}", &sql, one, other);
        }
    }
}

#[tokio::test]
async fn public_keys_are_all_answered_and_no_others() {
    let rows = some();
    let table = table(&rows);
    // `west` is not public, and nobody is in `east`.
    let sql = "SELECT site, count(*) AS n, avg(x) AS a FROM jobs GROUP BY site ORDER BY site";
    let counted = lines(&answer(sql, &table).await.unwrap(), false);
    assert_eq!(counted.len(), 3, "{counted:?}");
    assert_eq!(counted[0], "east 0 null 10.0 null");
    assert!(
        counted[1].starts_with("north 8 ") && counted[2].starts_with("south 8 "),
        "{counted:?}"
    );
    let asked = asked(sql, &table).unwrap();
    assert_eq!(asked.question.bounding.groups, 3);
    assert!(asked.question.loss.delta.is_zero());
    // Beside a key that is not public, one is in as many groups as the grant says.
    let both = self::asked("SELECT site, dept, count(*) FROM jobs GROUP BY 1, 2", &table).unwrap();
    assert_eq!(both.question.bounding.groups, 20);
    assert_eq!(
        self::asked("SELECT count(*) FROM jobs", &table).unwrap().question.bounding.groups,
        1
    );
}

/// Flags, written branches and parts of a time have values that are known without the data.
#[tokio::test]
async fn groups_that_the_statement_names_are_all_answered_without_a_threshold() {
    let rows: Vec<Row> = some().into_iter().filter(|row| row.flag == Some(true)).collect();
    let table = table(&rows);
    for (sql, groups) in [
        ("SELECT flag, count(*) FROM jobs GROUP BY flag", 3),
        ("SELECT x > 5 AS f, count(*) FROM jobs GROUP BY 1", 3),
        (
            "SELECT CASE WHEN x < 0 THEN 'low' WHEN x < 9 THEN 'mid' ELSE 'low' END AS c, count(*) FROM jobs GROUP BY 1",
            2,
        ),
        ("SELECT CASE WHEN x < 9 THEN 'low' ELSE NULL END AS c, count(*) FROM jobs GROUP BY 1", 2),
        ("SELECT CASE WHEN x < 9 THEN true ELSE NULL END AS c, count(*) FROM jobs GROUP BY 1", 3),
        (
            "SELECT CASE WHEN x < 0 THEN 1 WHEN x < 9 THEN 2 END AS c, count(*) FROM jobs GROUP BY 1",
            3,
        ),
        ("SELECT date_part('hour', t) AS h, count(*) FROM jobs GROUP BY 1", 25),
        ("SELECT EXTRACT(MONTH FROM d) AS m, flag, count(*) FROM jobs GROUP BY 1, 2", 39),
        ("SELECT site, x > 5 AS f, count(*) FROM jobs GROUP BY 1, 2", 9),
    ] {
        let asked = asked(sql, &table).unwrap();
        assert!(asked.question.loss.delta.is_zero(), "{sql}");
        assert_eq!(asked.question.bounding.groups, groups.min(20), "{sql}");
        assert_eq!(answer(sql, &table).await.unwrap().num_rows() as u64, groups, "{sql}");
    }
    // What is computed from a column's own values is not among them.
    for key in [
        "dept",
        "x % 3",
        "date_part('year', t)",
        "CASE WHEN x < 0 THEN n ELSE 1 END",
        "upper(dept)",
    ] {
        let asked = asked(&format!("SELECT count(*) FROM jobs GROUP BY {key}"), &table).unwrap();
        assert!(asked.question.keys.iter().all(|key| key.public.is_none()), "{key}");
        assert!(!asked.question.loss.delta.is_zero(), "{key}");
    }
}
