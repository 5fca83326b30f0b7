//! What statements are split into, and what comes out of them.

use super::*;
use crate::pipeline::noise::mechanism::interval::half_width;
use crate::pipeline::noise::mechanism::noise_of;

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

/// One person more must change nothing but their own rows.
#[test]
fn what_depends_on_other_peoples_rows_cannot_be_asked_about() {
    for rule in ["{pseudonym: {method: token, domain: dept}}", "{rare: {below: 5}}"] {
        let policy = POLICY.replace("dept: keep", &format!("dept: {rule}"));
        let table = table_under(&policy, &some());
        for sql in [
            "SELECT dept, count(*) FROM jobs GROUP BY dept",
            "SELECT count(dept) FROM jobs",
            "SELECT count(*) FROM jobs WHERE dept = 'a'",
            "SELECT sum(CASE WHEN dept = 'a' THEN x ELSE 0 END) FROM jobs",
            "SELECT count(*) FILTER (WHERE dept IS NULL) FROM jobs",
            "SELECT site, count(*) FROM (SELECT * FROM jobs WHERE lower(dept) = 'a') j GROUP BY site",
        ] {
            let error = asked(sql, &table).map(|asked| asked.reads).unwrap_err();
            assert_eq!(error.code(), Code::NoisyOnly, "{sql}");
            assert!(error.hint().unwrap().as_str().contains("`dept` depends on more"), "{sql}");
        }
        assert!(asked("SELECT site, sum(x) FROM jobs GROUP BY site", &table).is_ok());
    }
}

#[test]
fn what_stands_for_too_much_is_refused() {
    let table = table(&some());
    let steps = |count: usize| {
        let start = "SELECT x, y AS a FROM jobs".to_owned();
        let inner = (0..count).fold(start, |inner, at| {
            format!("SELECT x, exp(a * 0.{at}) + ln(a + {at}.5) AS a FROM ({inner})")
        });
        format!("SELECT count(*) FROM ({inner}) WHERE CASE WHEN x = 5 THEN a > 3 ELSE false END")
    };
    let error = asked(&steps(9), &table).map(|asked| asked.reads).unwrap_err();
    let hint = error.hint().unwrap().as_str();
    assert!(error.code() == Code::NoisyOnly && hint.contains("fewer steps"), "{hint}");
    asked(&steps(4), &table).unwrap();
    let many: Vec<String> = (0..5_000).map(|at| at.to_string()).collect();
    let list = format!("SELECT count(*) FROM jobs WHERE x IN ({})", many.join(", "));
    asked(&list, &table).unwrap();
}

// PRIVACY: the answer would fail for one person's value, and be there without it.
#[test]
fn what_one_value_makes_fail_cannot_be_asked_about() {
    for (rule, fails) in [
        ("{ip: {method: crypto_pan, invalid: error}}", true),
        ("{ip: {method: crypto_pan}}", false),
    ] {
        let table = table_under(&POLICY.replace("dept: keep", &format!("dept: {rule}")), &some());
        for sql in [
            "SELECT dept, count(*) FROM jobs GROUP BY dept",
            "SELECT count(*) FROM jobs WHERE CASE WHEN x = 5 THEN dept = 'a' END",
        ] {
            match asked(sql, &table) {
                Ok(_) => assert!(!fails, "{rule}: {sql}"),
                Err(error) => {
                    let hint = error.hint().unwrap().as_str();
                    assert!(fails && hint.contains("`null` for `error`"), "{rule}: {sql}: {hint}");
                }
            }
        }
        assert!(asked("SELECT site, sum(x) FROM jobs GROUP BY site", &table).is_ok());
    }
}

#[test]
fn the_schema_tells_mechanism_cost_unit_and_bounds() {
    let table = table(&some());
    let sql =
        "SELECT site, dept, count(*) AS n, sum(x) AS s, sum(x) / count(*) AS r, median(y) AS m
               FROM jobs GROUP BY site, dept";
    let asked = asked(sql, &table).unwrap();
    let names: Vec<&str> =
        asked.schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["site", "dept", "n", "s", "r", "m", "n_hw95", "s_hw95", "m_hw95"]);
    let told = |name: &str, key: &str| {
        asked.schema.field_with_name(name).unwrap().metadata().get(key).cloned()
    };
    let said = |text: &str| Some(text.to_owned());
    assert_eq!(told("site", "veilflight.protection"), said("keep"));
    for name in ["n", "s", "r", "m", "n_hw95"] {
        assert_eq!(told(name, "veilflight.protection"), said("dp"), "{name}");
        assert_eq!(told(name, "veilflight.dp.epsilon"), said("0.1"), "{name}");
        assert_eq!(told(name, "veilflight.dp.delta"), said("0.0000000001"), "{name}");
        assert_eq!(told(name, "veilflight.dp.unit"), said("User"), "{name}");
        assert_eq!(told(name, "veilflight.dp.groups_max"), said("20"), "{name}");
        assert_eq!(told(name, "veilflight.dp.rows_max"), said("50"), "{name}");
    }
    assert_eq!(told("n", "veilflight.dp.mechanism"), said("discrete_laplace"));
    assert_eq!(told("m", "veilflight.dp.mechanism"), said("permute_and_flip"));
    assert_eq!(told("s", "veilflight.dp.bounds"), said("[-1000, 1000] by 1"));
    assert_eq!(told("m", "veilflight.dp.bounds"), said("[-50, 50] by 0.125"));
    assert_eq!(told("n", "veilflight.dp.bounds"), None);
    // How large noise will be, before it is paid for: of counts and sums, of a choice's rank, and from how many
    // units on a group shows.
    let noises = noise_of(&asked.question).unwrap();
    let at = asked.question.measures.iter().position(|measure| *measure == Measure::Rows).unwrap();
    let width = half_width(&[(1.0, &noises[at])], 0.95).unwrap();
    assert_eq!(told("n", "veilflight.dp.half_width_95"), Some(width.to_string()));
    let number = |name: &str, key: &str| told(name, key).and_then(|text| text.parse::<f64>().ok());
    assert!(
        number("s", "veilflight.dp.half_width_95") > number("n", "veilflight.dp.half_width_95")
    );
    assert!(number("m", "veilflight.dp.rows_off_95") > Some(1.0));
    for (name, key) in [("r", "half_width_95"), ("m", "half_width_95"), ("n", "rows_off_95")] {
        assert_eq!(told(name, &format!("veilflight.dp.{key}")), None, "{name}");
    }
    for name in ["n", "s", "r", "m"] {
        assert!(number(name, "veilflight.dp.threshold") > Some(1.0), "{name}");
    }
    assert_eq!(asked.reads, ["dept", "site", "x", "y"]);
    let kinds: Vec<&DataType> =
        asked.schema.fields().iter().map(|field| field.data_type()).collect();
    assert_eq!(kinds[..4], [&DataType::Utf8, &DataType::Utf8, &DataType::Int64, &DataType::Int64]);
    // Where all groups show there is no threshold.
    let open = super::asked("SELECT site, count(*) AS n FROM jobs GROUP BY site", &table).unwrap();
    let told = open.schema.field_with_name("n").unwrap().metadata();
    assert_eq!(told.get("veilflight.dp.threshold"), None);
    assert_eq!(told.get("veilflight.dp.clipped_expected"), None);
    // What is left out is estimated where the policy says how many rows there are: here, of a million rows of a
    // hundred persons, most.
    let numbers = "unit: User\npublic_numbers: {units: 100, rows: 1000000}\n";
    let table = table_under(&POLICY.replace("unit: User\n", numbers), &some());
    let clipped = super::asked("SELECT count(*) AS n FROM jobs", &table).unwrap();
    let told = clipped.schema.field_with_name("n").unwrap().metadata();
    let share: f64 = told["veilflight.dp.clipped_expected"].parse().unwrap();
    assert!(share > 0.99 && share < 1.0, "{share}");
}

#[test]
fn values_are_called_by_their_columns_where_the_cost_is_told() {
    let table = table(&some());
    let asked = asked("SELECT sum(x), avg(y + 1), count(*) FROM jobs", &table).unwrap();
    assert!(asked.said.contains(&"x".to_owned()), "{:?}", asked.said);
    assert!(asked.said.iter().any(|text| text.contains("\"y\"")), "{:?}", asked.said);
    assert_eq!(asked.said.len(), asked.question.values.len());
}

/// What constants make of a column, they make of its half-width; what cuts adds its step.
#[tokio::test]
async fn half_widths_are_scaled_by_constants_and_by_nothing_else() {
    let table = table(&some());
    let scaled = [
        ("count(*) * 100", 1_000.0),
        ("100.0 * count(*) / 4", 250.0),
        ("-count(*) / 2.0 + 7", 5.0),
        ("3 - count(*) * -2", 20.0),
        ("count(*) / (24 * 60 / 144.0)", 1.0),
        ("CAST(count(*) AS DOUBLE) / 3600", 10.0 / 3600.0),
        ("count(*) / 7", 10.0 / 7.0 + 1.0),
        ("CAST(count(*) / 4.0 AS BIGINT)", 3.5),
        ("round(count(*) / 4.0)", 3.5),
        ("round(count(*) / 4.0, 1)", 2.6),
        ("floor(count(*) / 4.0)", 3.5),
    ];
    for (expr, width) in scaled {
        let sql = format!("SELECT {expr} AS a FROM jobs");
        let found = answer(&sql, &table).await.unwrap();
        assert_eq!(found.num_columns(), 2, "{expr}");
        let told = found.column(1).as_primitive::<Float64Type>().value(0);
        assert!((told - width).abs() < 1e-9, "{expr}: {told}");
    }
    // Also from query to query, and beside one another.
    let sql = "SELECT b * 5 AS c, b + 1 AS d, a FROM
               (SELECT a * 3 AS b, a FROM (SELECT count(*) * 2 AS a FROM jobs) t) u";
    let found = answer(sql, &table).await.unwrap();
    assert!(lines(&found, false)[0].ends_with(" 300.0 60.0 20.0"), "{found:?}");
    for expr in [
        "count(*) * count(*)",
        "sum(x) / count(*)",
        "1.0 / count(*)",
        "sqrt(count(*))",
        "abs(count(*))",
        "count(*) % 5",
        "CAST(count(*) AS TEXT)",
        "CASE WHEN count(*) > 5 THEN count(*) END",
    ] {
        let found = answer(&format!("SELECT {expr} AS a FROM jobs"), &table).await.unwrap();
        assert_eq!(found.num_columns(), 1, "{expr}");
    }
}

#[tokio::test]
async fn half_widths_go_with_aggregates_that_leave_as_they_are_or_in_another_unit() {
    let table = table(&some());
    let names = |answer: &RecordBatch| {
        answer.schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>()
    };
    // By another name, from inside, beside a column that has the name already.
    let sql = "SELECT d, z AS n, n AS n_hw95, z * 2 AS twice FROM
               (SELECT dept AS d, count(*) AS n, sum(x) AS z FROM jobs GROUP BY dept ORDER BY sum(y)) t
               WHERE n > 0 ORDER BY n LIMIT 10";
    let found = answer(sql, &table).await.unwrap();
    let expected = ["d", "n", "n_hw95", "twice", "n_hw95_2", "n_hw95_hw95", "twice_hw95"];
    assert_eq!(names(&found), expected);
    // A sum of steps of one has the width of its own noise.
    assert!(lines(&found, false).iter().all(|line| line.ends_with(" 10.0 10.0 20.0")), "{found:?}");
    let sql = "SELECT count(*) + 1 AS n, sum(x) > 3 AS s FROM jobs";
    assert_eq!(names(&answer(sql, &table).await.unwrap()), ["n", "s", "n_hw95"]);
    // Of a mean: the sum's noise over the count, and the mean's distance from the middle times the count's.
    let found =
        answer("SELECT avg(n), count(n), sum(n), var_pop(n) FROM jobs", &table).await.unwrap();
    let number = |at: usize| {
        let column = arrow::compute::cast(found.column(at), &DataType::Float64).unwrap();
        column.as_primitive::<Float64Type>().value(0)
    };
    let (mean, count) = (number(0), number(1));
    assert_eq!(
        names(&found)[4..],
        ["avg(jobs.n)_hw95", "count(jobs.n)_hw95", "sum(jobs.n)_hw95", "var_pop(jobs.n)_hw95"]
    );
    let near =
        |one: f64, other: f64| assert!((one - other).abs() < 1e-9 * other.abs(), "{one} {other}");
    near(number(4), 10.0 / count * (1.0 + (mean - 50.0).powi(2)).sqrt());
    near(number(5), 10.0);
    near(number(6), 10.0 * (1.0_f64 + 2500.0).sqrt());
    let (variance, off) = (number(3), mean - 50.0);
    let terms = [1.0, 2.0 * off, variance - off * off].map(|term: f64| term.powi(2));
    near(number(7), 10.0 / count * terms.iter().sum::<f64>().sqrt());
    // Of a choice there is none.
    assert!(
        lines(&answer("SELECT median(x) FROM jobs", &table).await.unwrap(), false)[0]
            .ends_with("null")
    );
}

#[test]
fn noise_that_makes_no_sense_of_a_column_gives_the_stated_values() {
    let table = table(&some());
    let sql = "SELECT count(*), avg(x), var(x), stddev_pop(x), sum(x), avg(amount) FROM jobs";
    let asked = asked(sql, &table).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut noisy = runtime.block_on(exact(&asked.question));
    let mut with = |change: &dyn Fn(&Measure) -> i128| {
        for (numbers, measure) in noisy.measured.iter_mut().zip(&asked.question.measures) {
            numbers[0] = change(measure);
        }
        let stored = asked.answer(&noisy).unwrap();
        let plan = asked.upper(&stored, &width).unwrap();
        lines(&runtime.block_on(run(&plan)).unwrap(), false).remove(0)
    };
    // A count of zero or less: no mean and no spread; counts and sums as they are.
    let line = with(&|measure| if matches!(measure, Measure::Count(_)) { -3 } else { -7 });
    assert!(line.starts_with("-7 null null null -7 null 10.0 null null null "), "{line}");
    // A mean far outside is the bound; a variance below zero is zero, and its root has no width.
    let line = with(&|measure| match measure {
        Measure::Count(_) | Measure::Rows | Measure::Units => 2,
        Measure::Sum { .. } => 1_000_000_000,
        _ => -5,
    });
    assert!(line.starts_with("2 1000.0 0.0 0.0 1000000000 1000.000000 "), "{line}");
    // What no type holds is the outermost that it does.
    let line = with(&|measure| match measure {
        Measure::Sum { .. } => i128::MAX,
        _ => 5,
    });
    assert!(line.contains(&format!(" {} ", i64::MAX)), "{line}");
}

#[tokio::test]
async fn errors_above_are_of_noisy_numbers() {
    let rows = some();
    let table = table(&rows);
    // The exact count is 24: with noise of one the same statement has an answer.
    let asked = asked("SELECT 100 / (count(*) - 24) AS r FROM jobs", &table).unwrap();
    let mut noisy = exact(&asked.question).await;
    let stored = asked.answer(&noisy).unwrap();
    assert!(run(&asked.upper(&stored, &width).unwrap()).await.is_err());
    noisy.measured[0][0] += 1;
    let stored = asked.answer(&noisy).unwrap();
    assert_eq!(lines(&run(&asked.upper(&stored, &width).unwrap()).await.unwrap(), false), ["100"]);
    // HAVING, ORDER BY and LIMIT choose among noisy numbers: the largest true group is not the first here.
    let sql = "SELECT flag FROM jobs GROUP BY flag ORDER BY count(*) DESC LIMIT 1";
    let asked = self::asked(sql, &table).unwrap();
    let mut noisy = exact(&asked.question).await;
    let at = asked.question.measures.iter().position(|measure| *measure == Measure::Rows).unwrap();
    noisy.measured[at] = vec![1_000, 5, 7];
    let expected =
        lines(&RecordBatch::try_from_iter([("k", Arc::clone(&noisy.keys[0]))]).unwrap(), false);
    let stored = asked.answer(&noisy).unwrap();
    let found = lines(&run(&asked.upper(&stored, &width).unwrap()).await.unwrap(), false);
    assert_eq!(found, expected[..1]);
}

#[test]
fn what_is_stored_is_read_again_and_nothing_else_is() {
    let table = table(&some());
    let asked = asked("SELECT dept, avg(x), stddev(y) FROM jobs GROUP BY dept", &table).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut noisy = runtime.block_on(exact(&asked.question));
    noisy.noise[0] = Noise::Gaussian { variance: RBig::from_parts(7.into(), 3_u8.into()) };
    noisy.measured[0][0] = i128::MIN;
    let stored = asked.answer(&noisy).unwrap();
    let mut writer =
        arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &stored.0.schema()).unwrap();
    writer.write(&stored.0).unwrap();
    let bytes = writer.into_inner().unwrap();
    let read = arrow_ipc::reader::StreamReader::try_new(bytes.as_slice(), None).unwrap().next();
    let read = Answer(read.unwrap().unwrap());
    let unpacked = stored::unpacked(&read, 1, asked.question.measures.len()).unwrap();
    assert_eq!(unpacked.noise, noisy.noise);
    assert_eq!(unpacked.measured[0].value(0), i128::MIN);
    // Another question's answer, and a damaged one.
    let other = self::asked("SELECT count(*) FROM jobs", &table).unwrap();
    assert_eq!(other.upper(&read, &width).unwrap_err().code(), Code::State);
    let cut = Answer(read.0.project(&[0, 1]).unwrap());
    assert_eq!(asked.upper(&cut, &width).unwrap_err().code(), Code::State);
    noisy.measured.pop();
    assert_eq!(asked.answer(&noisy).unwrap_err().code(), Code::Internal);
}

#[test]
fn parameters_are_values_and_open_ones_are_described() {
    let table = table(&some());
    let open = asked("SELECT count(*), sum(x + $2) FROM jobs WHERE dept = $1", &table).unwrap();
    assert!(open.open);
    assert_eq!(open.parameters.fields().len(), 2);
    let value: ArrayRef = Arc::new(StringArray::from(vec!["law"]));
    let batch = RecordBatch::try_from_iter([("$1", value)]).unwrap();
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    let terms = Terms { parameters: writer.into_inner().unwrap().into(), time_zone: None };
    let statement = Statement::parse("SELECT count(*) FROM jobs WHERE dept = $1").unwrap();
    let policy = Arc::clone(table.plan.policy());
    let bound = question(&statement, &terms, &table, &grant(), &policy, None, &test_session());
    let bound = bound.unwrap();
    assert!(!bound.open);
    let written = asked("SELECT count(*) FROM jobs WHERE 'law' = dept", &table).unwrap();
    assert_eq!(bound.question.canonical, written.question.canonical);
}

#[test]
fn a_statement_costs_what_it_says_or_what_the_grant_says() {
    let table = table(&some());
    let statement = Statement::parse("SELECT dept, count(*) FROM jobs GROUP BY dept").unwrap();
    let policy = Arc::clone(table.plan.policy());
    let ask = |grant: &DpGrant, epsilon: Option<&str>| {
        let epsilon = epsilon.map(|text| text.parse().unwrap());
        question(&statement, &Terms::default(), &table, grant, &policy, epsilon, &test_session())
    };
    assert_eq!(ask(&grant(), None).unwrap().question.loss, grant().query);
    let loss = ask(&grant(), Some("0.25")).unwrap().question.loss;
    assert_eq!((loss.epsilon.to_string(), loss.delta), ("0.25".to_owned(), grant().query.delta));
    assert_eq!(ask(&grant(), Some("0")).unwrap_err().code(), Code::RequestInvalid);
    // Without a delta no group can pass a threshold.
    let mut none = grant();
    none.query.delta = Decimal::ZERO;
    let error = ask(&none, None).unwrap_err();
    assert_eq!(error.code(), Code::NoisyOnly);
    assert!(error.hint().unwrap().as_str().contains("`site`"), "{error:?}");
    // Too many public groups, and public keys that are none.
    let mut many = grant();
    many.keys.insert("dept".to_owned(), (0..100_001).map(|at| at.to_string()).collect());
    assert_eq!(ask(&many, None).unwrap_err().code(), Code::NoisyOnly);
    let mut odd = grant();
    odd.keys.insert("x".to_owned(), vec!["1".to_owned(), "one".to_owned()]);
    let by_x = Statement::parse("SELECT x, count(*) FROM jobs GROUP BY x").unwrap();
    let asked = question(&by_x, &Terms::default(), &table, &odd, &policy, None, &test_session());
    assert_eq!(asked.unwrap_err().code(), Code::DatasetUnavailable);
}
