//! Joins with public tables: which are answered, which are the same question, that answers are those of plain
//! SQL, and that one row of the dataset never stands in two units.

use super::equal::{alike, cells};
use super::*;
use crate::pipeline::query::Public;

/// Sites: one of them twice, one that no row has, one without a region.
pub(super) fn sites() -> RecordBatch {
    let text =
        |values: &[Option<&str>]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    RecordBatch::try_from_iter_with_nullable([
        (
            "site",
            text(&[Some("north"), Some("south"), Some("south"), Some("mars"), Some("west"), None]),
            true,
        ),
        (
            "region",
            text(&[Some("eu"), Some("eu"), Some("us"), Some("sky"), None, Some("eu")]),
            true,
        ),
        ("tier", Arc::new(Int32Array::from(vec![1, 2, 2, 3, 1, 1])) as ArrayRef, true),
        ("size", Arc::new(Float64Array::from(vec![1.5, 2.0, 2.5, 9.0, -4.0, 0.0])), true),
    ])
    .unwrap()
}

/// Departments, by a number that the dataset has in another type, and their heads.
pub(super) fn depts() -> RecordBatch {
    RecordBatch::try_from_iter([
        ("dept", Arc::new(StringArray::from(vec!["physics", "law", "arts"])) as ArrayRef),
        ("floor", Arc::new(Int64Array::from(vec![0, 1, 2])) as ArrayRef),
        ("open", Arc::new(BooleanArray::from(vec![true, false, true])) as ArrayRef),
    ])
    .unwrap()
}

pub(super) fn joined(rows: &[Row]) -> Table {
    let publics = [("sites", sites()), ("depts", depts())];
    let publics = publics.map(|(name, rows)| Arc::new(Public::of(name, &rows).unwrap()));
    Table { publics: publics.to_vec(), ..table(rows) }
}

/// Statements that are answered.
pub(super) const ANSWERED: &[&str] = &[
    "SELECT count(*) AS n FROM jobs JOIN jobs.sites ON jobs.site = sites.site",
    "SELECT count(*) AS n FROM jobs j JOIN jobs.sites s ON s.site = j.site WHERE s.tier > 1",
    "SELECT count(*) AS n FROM jobs JOIN jobs.sites USING (site)",
    "SELECT count(*) AS n, count(sites.region) AS c FROM jobs LEFT JOIN jobs.sites USING (site)",
    "SELECT region, count(*) AS n FROM jobs JOIN jobs.sites USING (site) GROUP BY region",
    "SELECT region, tier, sum(x) AS n FROM jobs LEFT JOIN jobs.sites USING (site) GROUP BY 1, 2",
    "SELECT s.region, count(*) AS n FROM jobs.sites s RIGHT JOIN jobs j ON s.site = j.site GROUP BY 1",
    "SELECT s.region, count(*) AS n FROM jobs.sites s JOIN jobs j ON s.site = j.site GROUP BY 1",
    "SELECT jobs.dept, avg(x) AS n FROM jobs JOIN jobs.depts ON jobs.dept = depts.dept GROUP BY 1",
    "SELECT sites.site, dept, avg(y) AS n FROM jobs LEFT JOIN jobs.sites USING (site) GROUP BY 1, 2",
    "SELECT upper(region), count(*) AS n FROM jobs JOIN jobs.sites USING (site) GROUP BY 1",
    "SELECT depts.dept, region, count(*) AS n FROM jobs JOIN jobs.sites USING (site)
       LEFT JOIN jobs.depts ON jobs.dept = depts.dept GROUP BY 1, 2",
    "SELECT count(*) AS n FROM jobs JOIN jobs.depts ON n = floor",
    "SELECT open, count(*) AS n FROM jobs JOIN jobs.depts ON flag = open AND n = floor GROUP BY 1",
    "SELECT region, n FROM (SELECT region, count(*) AS n FROM (SELECT * FROM jobs WHERE x > 0) j
       JOIN jobs.sites ON j.site = sites.site GROUP BY region) t WHERE n > 1",
    "SELECT sum(tier) AS a, sum(x * tier) AS b, avg(size) AS c FROM jobs JOIN jobs.sites USING (site)",
    "SELECT sum(CASE WHEN region = 'eu' THEN x ELSE 0 END) AS n FROM jobs LEFT JOIN jobs.sites USING (site)",
    "WITH j AS (SELECT x, site AS place FROM jobs) SELECT tier, count(*) AS n FROM j
       JOIN jobs.sites s ON j.place = s.site GROUP BY tier",
    "SELECT region, count(*) AS n FROM finished JOIN jobs.depts ON finished.d = depts.dept
       LEFT JOIN jobs.sites ON sites.site = finished.d GROUP BY region",
];

#[tokio::test]
async fn answers_over_joins_are_those_of_plain_sql() {
    let rows = some();
    let table = joined(&rows);
    let beside = [("sites", sites()), ("depts", depts())];
    for sql in ANSWERED.iter().filter(|sql| !sql.contains("finished")) {
        let ours = answer(sql, &table).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let theirs = plain_beside(sql, &rows, &beside).await;
        let shown: Vec<usize> = (0..theirs.num_columns()).collect();
        let (mut ours, theirs) = (cells(&ours.project(&shown).unwrap()), cells(&theirs));
        // Public groups without rows are answered too, with nothing in them.
        let nothing =
            |row: &Vec<String>| row.last().is_some_and(|cell| cell == "null" || alike(cell, "0"));
        ours.retain(|row| {
            theirs.iter().any(|other| other[..row.len() - 1] == row[..row.len() - 1])
                || !nothing(row)
        });
        assert_eq!(ours.len(), theirs.len(), "{sql}\n{ours:?}\n{theirs:?}");
        for (one, other) in ours.iter().zip(&theirs) {
            let same = one.iter().zip(other).all(|(one, other)| alike(one, other));
            assert!(same, "{sql}\n{ours:?}\n{theirs:?}");
        }
    }
    for sql in ANSWERED {
        answer(sql, &table).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

#[tokio::test]
async fn no_row_of_a_public_table_comes_without_one_of_the_dataset() {
    let table = joined(&some());
    for sql in ANSWERED {
        let asked = asked(sql, &table).unwrap();
        let rows = run(&asked.question.rows).await.unwrap();
        assert_eq!(rows.column(0).null_count(), 0, "{sql}");
        // What joins and is not shown is read all the same, and so must be made of its row alone.
        assert!(!asked.reads.is_empty(), "{sql}");
    }
    let asked = asked(ANSWERED[0], &table).unwrap();
    assert_eq!(asked.reads, ["site"]);
}

const REFUSED: &[(&str, &str)] = &[
    ("SELECT count(*) FROM jobs FULL JOIN jobs.sites USING (site)", "`FROM dataset LEFT JOIN"),
    ("SELECT count(*) FROM jobs RIGHT JOIN jobs.sites USING (site)", "`FROM dataset LEFT JOIN"),
    ("SELECT count(*) FROM jobs.sites LEFT JOIN jobs USING (site)", "`FROM dataset LEFT JOIN"),
    ("SELECT count(*) FROM jobs CROSS JOIN jobs.sites", "`ON dataset.site = sites.site`"),
    ("SELECT count(*) FROM jobs, jobs.sites WHERE jobs.site = sites.site", "`ON dataset.site"),
    ("SELECT count(*) FROM jobs JOIN jobs.sites ON x > tier", "in `WHERE`"),
    (
        "SELECT count(*) FROM jobs LEFT JOIN jobs.sites ON jobs.site = sites.site AND tier = 1",
        "`ON dataset.site",
    ),
    (
        "SELECT count(*) FROM jobs JOIN jobs.sites ON jobs.site = sites.site OR x = tier",
        "in `WHERE`",
    ),
    ("SELECT count(*) FROM jobs JOIN jobs.sites ON jobs.site = jobs.dept", "`ON dataset.site"),
    (
        "SELECT count(*) FROM jobs JOIN jobs.sites ON upper(jobs.site) = sites.site",
        "`ON dataset.site",
    ),
    (
        "SELECT count(*) FROM jobs JOIN jobs.sites ON jobs.site = upper(sites.site)",
        "`ON dataset.site",
    ),
    ("SELECT count(*) FROM jobs JOIN jobs.sites ON true", "`ON dataset.site"),
    // Types that are not compared, or where making them fit could fail.
    ("SELECT count(*) FROM jobs JOIN jobs.sites ON y = size", "same type on both sides"),
    ("SELECT count(*) FROM jobs JOIN jobs.sites ON x = size", "same type on both sides"),
    ("SELECT count(*) FROM jobs JOIN jobs.sites ON jobs.site = tier", "same type on both sides"),
    (
        "SELECT count(*) FROM jobs JOIN jobs.sites ON TRY_CAST(jobs.site AS INT) = tier",
        "`ON dataset.site",
    ),
    // The unit.
    ("SELECT count(*) FROM jobs JOIN jobs.sites ON \"User\" = sites.site", "single units"),
    // Twice, one after the other, something else than the table as it is.
    (
        "SELECT count(*) FROM jobs JOIN jobs.sites a ON a.site = jobs.site JOIN jobs.sites b ON b.site = jobs.site",
        "stands once",
    ),
    (
        "SELECT count(*) FROM jobs JOIN jobs.sites USING (site) JOIN jobs.depts ON sites.tier = depts.floor",
        "`ON dataset.site",
    ),
    (
        "SELECT count(*) FROM (jobs.sites JOIN jobs.depts ON tier = floor) JOIN jobs ON jobs.x = tier",
        "the dataset stands first",
    ),
    (
        "SELECT count(*) FROM jobs JOIN (SELECT site FROM jobs.sites WHERE tier = 1) s ON s.site = jobs.site",
        "conditions stand in `WHERE`",
    ),
    (
        "SELECT count(*) FROM jobs.sites WHERE (SELECT count(*) FROM jobs) > 1",
        "alone it is asked without",
    ),
    (
        "SELECT count(*) FROM jobs a JOIN jobs b ON a.site = b.site JOIN jobs.sites s ON s.site = a.site",
        "join the answers",
    ),
    (
        "SELECT count(*) FROM jobs JOIN (SELECT site, count(*) AS n FROM jobs.sites GROUP BY site) s ON s.site = jobs.site",
        "the inner one",
    ),
    ("SELECT count(*) FROM jobs WHERE site IN (SELECT site FROM jobs.sites)", "write the value"),
    // Above the aggregation.
    (
        "SELECT * FROM (SELECT site, count(*) AS n FROM jobs GROUP BY site) t JOIN jobs.sites USING (site)",
        "below the one aggregation",
    ),
    ("SELECT * FROM jobs JOIN jobs.sites USING (site)", "below the one aggregation"),
];

#[test]
fn other_joins_are_refused_with_what_to_write_instead() {
    let table = joined(&some());
    for (sql, told) in REFUSED {
        let error = asked(sql, &table).unwrap_err();
        assert_eq!(error.code(), Code::NoisyOnly, "{sql}: {}", error.chain());
        let hint = error.hint().map_or("", |hint| hint.as_str());
        assert!(hint.contains(told), "{sql}\n{hint}");
        assert!(!hint.contains('\0'), "{hint:?}");
    }
    // Tables that are not there look the same, whoever else has them.
    for sql in [
        "SELECT count(*) FROM jobs JOIN jobs.nodes USING (site)",
        "SELECT count(*) FROM jobs JOIN other.sites USING (site)",
        "SELECT count(*) FROM jobs JOIN veilflight.other.sites USING (site)",
    ] {
        let error = asked(sql, &table).unwrap_err();
        assert_eq!(error.code(), Code::SqlInvalid, "{sql}");
        assert!(error.hint().unwrap().as_str().starts_with("there is no table `"), "{sql}");
    }
}

#[test]
fn one_row_has_at_most_a_thousand_matches() {
    let many = |rows: usize| {
        let sites: ArrayRef = Arc::new(StringArray::from(vec!["north"; rows]));
        let rows = RecordBatch::try_from_iter([("site", sites)]).unwrap();
        let public = Arc::new(Public::of("sites", &rows).unwrap());
        Table { publics: vec![public], ..table(&some()) }
    };
    let sql = "SELECT count(*) FROM jobs JOIN jobs.sites USING (site)";
    assert!(asked(sql, &many(1_000)).is_ok());
    let error = asked(sql, &many(1_001)).unwrap_err();
    assert!(error.hint().unwrap().as_str().contains("1001 matches"), "{}", error.chain());
}

#[test]
fn names_and_orders_of_tables_make_no_new_question() {
    let table = joined(&some());
    let canonical = |sql: &str| asked(sql, &table).unwrap().question.canonical;
    let same: &[&[&str]] = &[
        &[
            "SELECT region, count(*) FROM jobs JOIN jobs.sites USING (site) GROUP BY region",
            "SELECT s.region AS r, count(*) AS n FROM jobs j JOIN jobs.sites s ON j.site = s.site GROUP BY 1",
            "SELECT s.region, count(*) FROM jobs.sites s INNER JOIN jobs ON jobs.site = s.site GROUP BY 1",
            "SELECT region, count(*) FROM (SELECT site AS a FROM jobs) j JOIN jobs.sites s ON s.site = a GROUP BY 1",
            "SELECT region, count(*) FROM jobs JOIN veilflight.jobs.sites USING (site) GROUP BY 1 ORDER BY 2",
        ],
        &[
            "SELECT count(*) FROM jobs JOIN jobs.sites USING (site) LEFT JOIN jobs.depts USING (dept)",
            "SELECT count(*) FROM jobs LEFT JOIN jobs.depts USING (dept) JOIN jobs.sites USING (site)",
        ],
        &[
            "SELECT count(*) FROM jobs LEFT JOIN jobs.depts ON flag = open AND n = floor",
            "SELECT count(*) FROM jobs.depts RIGHT JOIN jobs ON floor = n AND open = flag",
        ],
        // The same column by another name.
        &[
            "SELECT dept, count(*) FROM jobs JOIN jobs.depts USING (dept) GROUP BY 1",
            "SELECT depts.dept, count(*) FROM jobs JOIN jobs.depts USING (dept) GROUP BY 1",
        ],
    ];
    for group in same {
        for sql in *group {
            assert_eq!(canonical(sql), canonical(group[0]), "{sql}");
        }
    }
    let different = [
        "SELECT count(*) FROM jobs",
        "SELECT count(*) FROM jobs JOIN jobs.sites USING (site)",
        "SELECT count(*) FROM jobs LEFT JOIN jobs.sites USING (site)",
        "SELECT count(*) FROM jobs JOIN jobs.depts USING (dept)",
        "SELECT count(*) FROM jobs JOIN jobs.sites ON x = tier",
        "SELECT region, count(*) FROM jobs JOIN jobs.sites USING (site) GROUP BY 1",
        "SELECT tier, count(*) FROM jobs JOIN jobs.sites USING (site) GROUP BY 1",
        "SELECT region, tier, count(*) FROM jobs JOIN jobs.sites USING (site) GROUP BY 1, 2",
        "SELECT count(*) FROM jobs JOIN jobs.sites USING (site) WHERE tier = 1",
        "SELECT count(*) FROM jobs JOIN jobs.sites USING (site) WHERE x = 1",
    ];
    let texts: BTreeSet<String> = different.iter().map(|sql| canonical(sql)).collect();
    assert_eq!(texts.len(), different.len());
    assert!(texts.iter().all(|text| !text.contains('\0')));
}

/// Exact answers of a question, by group as texts: its key columns, then its measures.
async fn bounded(question: &Question) -> BTreeMap<String, Vec<i128>> {
    use crate::keys::{ColumnKeys, KeyRing, Secret};
    use crate::pipeline::noise::bound;
    use crate::pipeline::noise::question::Measured;
    let ring = Arc::new(KeyRing::new(vec![(1, Secret::new([7; 32]))]).unwrap());
    let keys = ColumnKeys::new(ring, "sample:jobs", Some("cern"), 1);
    let exact = bound::exact(question, &test_session(), &keys).await.unwrap();
    let exact = exact.whole().unwrap();
    let key = |group: usize| {
        let cell = |column: &ArrayRef| {
            ArrayFormatter::try_new(column, &FormatOptions::new()).unwrap().value(group).to_string()
        };
        exact.keys.iter().map(cell).collect::<Vec<_>>().join(" ")
    };
    let numbers = |group: usize| {
        let of = |measured: &Measured| match measured {
            Measured::Numbers(numbers) => numbers[group],
            Measured::Cells(cells) => cells[group].iter().map(|count| i128::from(*count)).sum(),
        };
        exact.measured.iter().map(of).collect()
    };
    (0..exact.groups).map(|group| (key(group), numbers(group))).collect()
}

// PRIVACY: a unit's contribution is bounded among the rows that a join made of it, however many they are.
#[tokio::test]
async fn a_unit_whose_rows_a_join_multiplies_changes_no_more_than_another() {
    let grant = DpGrant { groups_max: 2, rows_max: 3, ..grant() };
    let ask = |sql: &str, rows: &[Row]| {
        let (statement, table) = (Statement::parse(sql).unwrap(), joined(rows));
        let policy = Arc::clone(table.plan.policy());
        let terms = Terms::default();
        question(&statement, &terms, &table, &grant, &policy, None, &test_session())
            .unwrap()
            .question
    };
    // A unit with hundreds of rows, each of which has two matches.
    let others = some();
    let mut rows = others.clone();
    rows.extend((0..300_i64).map(|at| Row {
        user: Some(99),
        site: Some(if at % 10 == 0 { "north" } else { "south" }.to_owned()),
        dept: Some(if at % 3 == 0 { "law" } else { "physics" }.to_owned()),
        x: Some(at),
        ..Row::default()
    }));
    for sql in [
        "SELECT count(*), sum(x) FROM jobs JOIN jobs.sites USING (site)",
        "SELECT region, tier, count(*), sum(x) FROM jobs LEFT JOIN jobs.sites USING (site) GROUP BY 1, 2",
        "SELECT region, jobs.dept, count(*) FROM jobs JOIN jobs.sites USING (site) GROUP BY 1, 2",
        "SELECT depts.dept, region, count(*), sum(tier) FROM jobs JOIN jobs.sites USING (site)
           JOIN jobs.depts USING (dept) GROUP BY 1, 2",
    ] {
        let (mut with, mut without) = (ask(sql, &rows), ask(sql, &others));
        for off in [false, true] {
            (with.bounding.off, without.bounding.off) = (off, off);
            let (near, far) = (bounded(&without).await, bounded(&with).await);
            let nothing = vec![0; with.measures.len()];
            let (mut groups, mut most) = (0, 0);
            for group in near.keys().chain(far.keys()).collect::<BTreeSet<_>>() {
                let (one, other) =
                    (near.get(group).unwrap_or(&nothing), far.get(group).unwrap_or(&nothing));
                groups += u64::from(one != other);
                let rows = with.measures.iter().position(|it| *it == Measure::Rows).unwrap();
                most = most.max((one[rows] - other[rows]).abs());
            }
            if off {
                // Unbounded, the same check sees it; and bounded rows of the dataset alone would have two
                // matches each, so that six rows came of three.
                assert!(most > 6, "{sql}: {most}");
            } else {
                assert!(groups <= with.bounding.groups && most == 3, "{sql}: {groups} {most}");
            }
        }
    }
}

/// What the engine makes of a join: one scan of all of the dataset, under nothing that knows what is looked up.
#[tokio::test]
async fn nothing_of_a_join_goes_below_it() {
    let table = joined(&some());
    for sql in [
        "SELECT count(*) FROM jobs JOIN jobs.sites USING (site) WHERE region = 'sky' AND jobs.site = 'x'",
        "SELECT region, count(*) FROM jobs LEFT JOIN jobs.sites USING (site) WHERE tier > 1 GROUP BY 1",
    ] {
        let asked = asked(sql, &table).unwrap();
        let state = test_session();
        let plan = state.optimize(&asked.question.rows).unwrap();
        let plan = state.query_planner().create_physical_plan(&plan, &state).await.unwrap();
        let shown = datafusion::physical_plan::displayable(plan.as_ref()).indent(true).to_string();
        let below = shown.split_once("JoinedScan").unwrap().1;
        assert!(!below.contains("Filter") && !below.contains("predicate"), "{shown}");
        assert!(!shown.contains("HashJoin") && shown.contains("FilterExec"), "{shown}");
    }
}
