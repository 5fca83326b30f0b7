//! Values that are there in every row are counted by the rows: where the statement says what a missing one is, or
//! where the policy does. Never where a file or its statistics say so.

use proptest::prelude::*;

use super::hostile::hostile;
use super::*;

/// What is measured for a statement, each by its first word, under a grant where nulls of `x` and `y` have a meaning.
fn measured(sql: &str, grant: &DpGrant, table: &Table) -> Vec<&'static str> {
    let asked = asked_under(sql, grant, table).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let word = |measure: &Measure| match measure {
        Measure::Units => "units",
        Measure::Rows => "rows",
        Measure::Count(_) => "count",
        Measure::Sum { center: 0, .. } => "sum",
        Measure::Sum { .. } => "centered",
        Measure::Squares { .. } => "squares",
        Measure::Quantile { .. } => "quantile",
    };
    asked.question.measures.iter().map(word).collect()
}

fn asked_under(sql: &str, grant: &DpGrant, table: &Table) -> Result<Asked> {
    let statement = Statement::parse(sql)?;
    let policy = Arc::clone(table.plan.policy());
    question(&statement, &Terms::default(), table, grant, &policy, None, &test_session())
}

/// A grant under which nulls of `n` and `y` count as values.
fn filling() -> DpGrant {
    let null_as = BTreeMap::from([("n".to_owned(), 7.0), ("y".to_owned(), -3.5)]);
    DpGrant { null_as, ..grant() }
}

#[test]
fn what_is_there_in_every_row_is_counted_by_the_rows() {
    let table = table(&some());
    let check = |calls: &str, expected: &[&str]| {
        let sql = format!("SELECT {calls} FROM jobs");
        assert_eq!(measured(&sql, &grant(), &table), expected, "{calls}");
    };
    // `x` may be null, `n` has the middle 50.
    check("count(*), avg(n)", &["rows", "count", "centered"]);
    check("count(*), avg(coalesce(n, 0))", &["rows", "centered"]);
    check("count(*), avg(coalesce(y, 0)), stddev(coalesce(y, 0))", &["rows", "sum", "squares"]);
    check("count(*), avg(nvl(n, 9)), sum(nvl(n, 9)), count(nvl(n, 9))", &["rows", "centered"]);
    check("avg(coalesce(n, 0)), avg(coalesce(y, 50))", &["rows", "sum", "centered"]);
    check("avg(CASE WHEN n IS NOT NULL THEN n ELSE 0 END)", &["rows", "centered"]);
    check("avg(CASE WHEN flag THEN 1 ELSE 0 END)", &["rows", "sum"]);
    check("avg(coalesce(nullif(n, 99), 0))", &["rows", "centered"]);
    check("avg(coalesce(n, 0) + 2 * coalesce(x, 0))", &["rows", "centered"]);
    check("avg(coalesce(y, 0) / 4.0)", &["rows", "sum"]);
    check("avg(coalesce(nanvl(y, 1), 0))", &["rows", "sum"]);
    check("count(coalesce(dept, 'none')), count(x IS NULL), count(coalesce(y, x, 0))", &["rows"]);
    // A sum beside a count of rows is of distances to the middle of its bounds.
    check("sum(coalesce(n, 0))", &["sum"]);
    check("sum(coalesce(n, 0)), count(*)", &["rows", "centered"]);
    check("sum(n), count(*)", &["rows", "sum"]);
    // What may be missing in a row has a count of its own.
    for may in [
        "coalesce(n, x)",
        "coalesce(n, nullif(x, 0))",
        "nullif(coalesce(n, 0), 9)",
        "CASE WHEN n > 5 THEN n ELSE 0 END",
        "CASE WHEN flag THEN 1 END",
        "coalesce(n, 0) + x",
        "nanvl(y, 0)",
        // Infinities make NaN of two numbers.
        "coalesce(y, 0) * coalesce(y, 0)",
        "coalesce(y, 0) - coalesce(y, 0)",
        "coalesce(y, 0) * 0.0",
    ] {
        let found = measured(&format!("SELECT count({may}) FROM jobs"), &grant(), &table);
        assert_eq!(found, ["count"], "{may}");
    }
    check("avg(coalesce(n, 0)) FILTER (WHERE flag)", &["count", "centered"]);
    check("count(coalesce(n, 0)) FILTER (WHERE flag)", &["count"]);
}

#[test]
fn what_the_policy_says_of_nulls_is_as_if_the_statement_did() {
    let table = table(&some());
    for (policy, statement) in [
        ("count(*), avg(n)", "count(*), avg(coalesce(n, 7))"),
        ("sum(y), count(y)", "sum(coalesce(y, -3.5)), count(*)"),
        ("median(n), min(y)", "median(coalesce(n, 7)), min(coalesce(y, -3.5))"),
        ("avg(n + x)", "avg(coalesce(n, 7) + x)"),
        (
            "sum(CASE WHEN flag THEN n ELSE 0 END)",
            "sum(CASE WHEN flag THEN coalesce(n, 7) ELSE 0 END)",
        ),
        ("avg(n) FILTER (WHERE flag)", "avg(coalesce(n, 7)) FILTER (WHERE flag)"),
        ("avg(least(n, 20))", "avg(least(coalesce(n, 7), 20))"),
        // The statement's own word comes first, and what looks for nulls finds them.
        ("avg(coalesce(n, 1))", "avg(coalesce(n, 1))"),
        ("avg(coalesce(x, n))", "avg(coalesce(x, coalesce(n, 7)))"),
        ("avg(nullif(n, 3))", "avg(nullif(n, 3))"),
        (
            "sum(CASE WHEN n IS NULL THEN 1 ELSE 0 END)",
            "sum(CASE WHEN n IS NULL THEN 1 ELSE 0 END)",
        ),
        ("count(*) FILTER (WHERE n IS NOT NULL)", "count(*) FILTER (WHERE n IS NOT NULL)"),
        ("n IS NULL, count(*)", "n IS NULL, count(*)"),
    ] {
        let by = if policy.starts_with("n IS") { " GROUP BY 1" } else { "" };
        let sql = |calls: &str| format!("SELECT {calls} FROM jobs WHERE n IS NULL OR n < 20{by}");
        let one = asked_under(&sql(policy), &filling(), &table).unwrap().question;
        let other = asked(&sql(statement), &table).unwrap().question;
        assert_eq!(one.canonical, other.canonical, "{policy}");
        assert_eq!(one.values, other.values, "{policy}");
    }
    assert_eq!(
        measured("SELECT count(*), avg(n) FROM jobs", &filling(), &table),
        ["rows", "centered"]
    );
}

#[tokio::test]
async fn nulls_and_nan_count_as_the_value_that_they_are_given() {
    let mut rows = some();
    rows.push(Row { user: Some(1), y: Some(f64::NAN), n: Some(100), ..Row::default() });
    let nan = rows.len() - 1;
    let table = table(&rows);
    let ask = async |sql: &str, grant: &DpGrant| {
        let asked = asked_under(sql, grant, &table).unwrap();
        let stored = asked.answer(&exact(&asked.question).await).unwrap();
        let shown: Vec<usize> = (0..2).collect();
        let answer = run(&asked.upper(&stored, &width).unwrap()).await.unwrap();
        equal::cells(&answer.project(&shown).unwrap())
    };
    let sql = |v: &str| format!("SELECT avg({v}) AS a, count({v}) AS c FROM jobs");
    rows[nan].y = None;
    let theirs = equal::cells(&plain(&sql("coalesce(y, -3.5)"), &rows).await);
    for (ours, grant) in [("y", filling()), ("coalesce(y, -3.5)", grant())] {
        let ours = ask(&sql(ours), &grant).await;
        assert!(
            ours[0].iter().zip(&theirs[0]).all(|(one, other)| equal::alike(one, other)),
            "{ours:?}"
        );
    }
    // A fraction among whole numbers makes them numbers with one.
    let mut halves = filling();
    halves.bounds.insert("n".to_owned(), Bounds { low: 0.0, high: 100.0, step: 0.5 });
    halves.null_as.insert("n".to_owned(), 2.5);
    let theirs = equal::cells(&plain(&sql("coalesce(n, 2.5)"), &rows).await);
    let ours = ask(&sql("n"), &halves).await;
    assert!(
        ours[0].iter().zip(&theirs[0]).all(|(one, other)| equal::alike(one, other)),
        "{ours:?}"
    );
}

#[test]
fn the_schema_tells_as_what_nulls_count() {
    let table = table(&some());
    let sql = "SELECT count(*) AS r, count(n) AS c, avg(n + y) AS a, avg(x) AS x, sum(n) + 1 AS more FROM jobs";
    let asked = asked_under(sql, &filling(), &table).unwrap();
    let told = |name: &str| {
        let field = asked.schema.field_with_name(name).unwrap();
        field.metadata().get("veilflight.dp.null_as").cloned()
    };
    assert_eq!(told("c").as_deref(), Some(r#"{"n":7.0}"#));
    assert_eq!(told("a").as_deref(), Some(r#"{"n":7.0,"y":-3.5}"#));
    assert_eq!([told("r"), told("x"), told("more")], [None, None, None]);
    assert_eq!(asked.null_as, filling().null_as);
    // And the cost in words.
    let sql = "SELECT sum(n), sum(coalesce(y, 1.5)), sum(x), sum(n + x) FROM jobs";
    let said = asked_under(sql, &filling(), &table).unwrap().said;
    for words in ["n, null as 7", "y, null as 1.5", "x"] {
        assert!(said.iter().any(|said| said == words), "{words}: {said:?}");
    }
    assert!(self::asked(sql, &table).unwrap().null_as.is_empty());
}

/// Whatever counts the rows of a mean, their own measure or that of all rows.
#[test]
fn a_count_of_zero_or_less_has_no_mean_and_no_width() {
    let table = table(&some());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (value, divisor) in [("n", Measure::Count(0)), ("coalesce(n, 0)", Measure::Rows)] {
        let sql = format!("SELECT avg({value}), var_pop({value}), stddev({value}) FROM jobs");
        let asked = asked(&sql, &table).unwrap();
        let divides = asked.question.measures.iter().position(|measure| *measure == divisor);
        let divisors: BTreeSet<usize> = asked.divisors().collect();
        assert_eq!(divisors.into_iter().collect::<Vec<_>>(), [divides.unwrap()], "{value}");
        let mut noisy = runtime.block_on(exact(&asked.question));
        for (numbers, measure) in noisy.measured.iter_mut().zip(&asked.question.measures) {
            numbers[0] = if matches!(measure, Measure::Squares { .. }) { 1_000 } else { 4 };
        }
        for (count, nulls) in [(-1, 6), (0, 6), (1, 2), (2, 0)] {
            noisy.measured[divides.unwrap()][0] = count;
            let stored = asked.answer(&noisy).unwrap();
            let plan = asked.upper(&stored, &width).unwrap();
            let line = lines(&runtime.block_on(run(&plan)).unwrap(), false).remove(0);
            let missing = line.split(' ').filter(|cell| *cell == "null").count();
            // Mean, variance and deviation, and the width of each; of one row a sample has none.
            assert_eq!(missing, nulls, "{value} of {count}: {line}");
        }
    }
}

/// Expressions over the hostile columns, most of which have values in every row.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["f64", "f32", "i64", "i32", "u64", "u8", "few"])
            .prop_map(str::to_owned),
        prop::sample::select(vec!["0", "3", "-2.5", "1.0"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            two.clone().prop_map(|(a, b)| format!("coalesce({a}, {b})")),
            inner.clone().prop_map(|a| format!("coalesce({a}, 1)")),
            two.clone()
                .prop_map(|(a, b)| format!("nanvl(CAST({a} AS DOUBLE), CAST({b} AS DOUBLE))")),
            two.clone().prop_map(|(a, b)| format!("CASE WHEN flag THEN {a} ELSE {b} END")),
            two.clone().prop_map(|(a, b)| format!("CASE WHEN {a} IS NOT NULL THEN {b} ELSE 2 END")),
            two.clone().prop_map(|(a, b)| format!("least({a}, {b})")),
            two.clone().prop_map(|(a, b)| format!("greatest({a}, {b})")),
            two.clone().prop_map(|(a, b)| format!("({a} + {b})")),
            two.clone().prop_map(|(a, b)| format!("({a} - {b})")),
            two.prop_map(|(a, b)| format!("({a} * {b})")),
            inner.clone().prop_map(|a| format!("(CAST({a} AS DOUBLE) / 4.0)")),
            inner.clone().prop_map(|a| format!("(-{a})")),
            inner.prop_map(|a| format!("CAST({a} AS DOUBLE)")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    // A row that is counted and has no value would pull a mean to the middle of its bounds.
    #[test]
    fn what_is_counted_by_the_rows_has_a_value_in_each(expr in expression(), fills in any::<bool>()) {
        let table = hostile();
        let unit = Bounds { low: -8.0, high: 8.0, step: 0.5 };
        let columns = ["f64", "f32", "i64", "i32", "u64", "u8", "few"].map(str::to_owned);
        let null_as = columns[..3].iter().filter(|_| fills).map(|name| (name.clone(), 1.0));
        let grant = DpGrant {
            bounds: columns.iter().map(|name| (name.clone(), unit)).collect(),
            null_as: null_as.collect(),
            ..grant()
        };
        let Ok(asked) = asked_under(&format!("SELECT sum({expr}), count(*) FROM jobs"), &grant, &table) else {
            return Ok(());
        };
        // Centered beside a count of rows: only where each of them has a value.
        let counted = asked.question.measures.iter().any(
            |measure| matches!(measure, Measure::Sum { center, .. } if *center != 0),
        );
        let average = measured(&format!("SELECT avg({expr}) FROM jobs"), &grant, &table);
        prop_assert!(!counted || !average.contains(&"count"), "{}", expr);
        if average.contains(&"count") {
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let rows = runtime.block_on(run(&asked.question.rows)).unwrap();
        let values = arrow::compute::cast(rows.column(1), &DataType::Float64).unwrap();
        prop_assert_eq!(values.null_count(), 0, "{}", &expr);
        let values = values.as_primitive::<Float64Type>();
        prop_assert!(values.values().iter().all(|value| !value.is_nan()), "{}", expr);
    }
}
