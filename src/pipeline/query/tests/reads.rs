//! What statements read: what is compared, chosen and decoded.

use std::collections::BTreeSet;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::UInt64Type;
use datafusion::catalog::TableProvider;
use datafusion::common::Statistics;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::provider_as_source;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{ExecutionPlan, Partitioning};
use datafusion::prelude::{col, lit};
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::super::view::{ViewScan, ViewTable};
use super::*;
use crate::pipeline::rows::{Pick, Rows};

/// How many pieces of files the scans of a plan read.
fn pieces(query: &Query) -> usize {
    let (Work::ByRow { plan, .. } | Work::Whole(plan)) = &query.0.work else {
        panic!("there is no plan that runs")
    };
    of_scans(plan, ViewScan::pieces)
}

/// The sum of something over all scans of a plan.
fn of_scans(plan: &Arc<dyn ExecutionPlan>, of: impl Fn(&ViewScan) -> usize) -> usize {
    let mut sum = 0;
    plan.apply(|node| {
        sum += node.downcast_ref::<ViewScan>().map_or(0, &of);
        Ok(TreeNodeRecursion::Continue)
    })
    .unwrap();
    sum
}

/// Overwrites the data of some columns of some row groups of a file, and leaves the footer.
fn spoil(path: &Path, spoilt: impl Fn(usize, &str) -> bool) {
    let mut bytes = std::fs::read(path).unwrap();
    let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    for (at, group) in reader.metadata().row_groups().iter().enumerate() {
        for chunk in group.columns() {
            let (start, length) = chunk.byte_range();
            if spoilt(at, &chunk.column_path().string()) {
                bytes[start as usize..(start + length) as usize].fill(0xff);
            }
        }
    }
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_filter_compares_what_leaves_and_not_what_is_there() {
    let world = World::new();
    let raw = "SELECT count(*) FROM jobs WHERE \"User\" = 'user-0@example.org'";
    assert_eq!(world.rows(raw).await, ["0"]);
    let pseudonym = world.rows("SELECT \"User\" FROM jobs WHERE \"Id\" = 0").await.remove(0);
    let seen = format!("SELECT \"Id\" FROM jobs WHERE \"User\" = '{pseudonym}' ORDER BY 1 LIMIT 3");
    assert_eq!(world.rows(&seen).await, ["0", "50", "100"]);
    // Raw values reach 63; buckets are told by their edges.
    let buckets = "SELECT \"Cpus\", count(*) FROM jobs GROUP BY 1 ORDER BY 1";
    let told = world.rows(buckets).await;
    let by_filter = world.rows("SELECT count(*) FROM jobs WHERE \"Cpus\" = '[10, 100)'").await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().any(|row| *row == format!("[10, 100) {}", by_filter[0])), "{told:?}");
}

// PRIVACY: what is read must not depend on raw values of a column that leaves changed.
#[tokio::test]
async fn row_groups_are_chosen_by_columns_kept_in_clear_alone() {
    let world = World::new();
    let cases = [
        ("\"Id\" < 10", 1),
        ("\"Id\" BETWEEN 100 AND 299", 2),
        ("\"Id\" IN (5, 905)", 2),
        ("\"Start\" < '2023-11-14T23:00:00'", 1),
        ("\"Site\" = 'zzz'", 0),
        ("\"Id\" < 10 AND \"User\" = 'x'", 1),
        // Every raw user begins with `user-`, every raw number is below 64.
        ("\"User\" = 'aaa'", 10),
        ("\"User\" > 'v'", 10),
        ("\"Cpus\" = 'none such'", 10),
        ("\"Id\" < 10 OR \"User\" = 'x'", 10),
        ("\"User\" IS NULL", 10),
        ("length(\"User\") < \"Id\"", 10),
    ];
    for (filter, expected) in cases {
        let query = world.plan(&format!("SELECT \"Id\" FROM jobs WHERE {filter}")).await.unwrap();
        assert_eq!(pieces(&query), expected, "{filter}");
        let bare = world.rows(&format!("SELECT count(*) FROM jobs WHERE {filter}")).await;
        let held = format!("SELECT sum(CASE WHEN {filter} THEN 1 ELSE 0 END) FROM jobs");
        assert_eq!(bare, world.rows(&held).await, "{filter}");
    }
    // What comes together while the query runs reaches no scan.
    let joined = "SELECT count(*) FROM jobs j JOIN sites s ON j.\"User\" = s.\"Admin\"";
    assert_eq!(pieces(&world.plan(joined).await.unwrap()), 11);
}

#[tokio::test]
async fn a_statement_of_two_columns_decodes_two() {
    let world = World::new();
    let path = world.folder.path().join("jobs.parquet");
    spoil(&path, |_, column| !["Id", "Site"].contains(&column));
    assert_eq!(world.rows("SELECT \"Site\", \"Id\" FROM jobs").await[1], "fnal 1");
    let grouped = "SELECT max(\"Id\") FROM jobs WHERE \"Site\" = 'kit' GROUP BY \"Site\"";
    assert_eq!(world.rows(grouped).await, ["998"]);
    let counted = "SELECT \"Site\", count(*) FROM jobs GROUP BY \"Site\" ORDER BY 1 LIMIT 1";
    assert_eq!(world.rows(counted).await, ["cern 250"]);
    for sql in ["SELECT * FROM jobs", "SELECT max(\"User\") FROM jobs"] {
        assert_eq!(world.fails(sql).await, Code::SourceUnreadable, "{sql}");
    }
    spoil(&path, |_, _| true);
    assert_eq!(world.rows("SELECT count(*) FROM jobs").await, ["1000"]);
    let exists = "SELECT count(*) FROM sites WHERE EXISTS (SELECT 1 FROM jobs)";
    assert_eq!(world.rows(exists).await, ["3"]);
}

#[tokio::test]
async fn rows_that_the_policy_takes_out_are_out_for_every_statement() {
    let world = World::new();
    let policy = JOBS.replace(
        "columns:",
        "rows: \"Note <> 'secret 3' AND Id < 500\"\nnulls: suppress_row\ncolumns:",
    );
    let views = || vec![world.view(&policy)];
    let ask = async |sql: &str| {
        let statement = Statement::parse(sql).unwrap();
        let query = world.engine.plan(&statement, &Terms::default(), views()).await.unwrap();
        let batch = world.answer(query).await.unwrap();
        array_value_to_string(batch.column(0), 0).unwrap()
    };
    let stays = |row: &i64| row % 7 != 6 && row % 4 != 3 && *row != 3;
    let expected = (0..500).filter(stays).count().to_string();
    assert_eq!(ask("SELECT count(*) FROM jobs").await, expected);
    assert_eq!(ask("SELECT count(\"Cpus\") FROM jobs").await, expected);
    assert_eq!(ask("SELECT count(*) FROM jobs WHERE \"Id\" >= 500").await, "0");
}

#[tokio::test]
async fn tokens_do_not_depend_on_which_column_is_asked_first() {
    let policy = SITES.replace("Country: keep", "Country: {pseudonym: {method: token, domain: d}}");
    let policy = policy.replace("method: token}}", "method: token, domain: d}}");
    let sql = "SELECT \"Country\", \"Admin\" FROM sites ORDER BY 1, 2";
    let mut answers = Vec::new();
    for first in ["SELECT \"Admin\" FROM sites", "SELECT max(\"Country\") FROM sites", sql] {
        let world = World::new();
        let mut last = None;
        for sql in ["SELECT \"Site\" FROM sites", first, sql] {
            let statement = Statement::parse(sql).unwrap();
            let views = vec![world.view(&policy)];
            let query = world.engine.plan(&statement, &Terms::default(), views).await.unwrap();
            last = Some(world.answer(query).await.unwrap());
        }
        answers.push(last.unwrap());
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
}

// PRIVACY: what the engine is told of a scan is what it may use in answers, in plans and in the order of
// work: nothing that comes from raw values.
#[tokio::test]
async fn the_scan_of_a_view_tells_the_engine_no_statistics() {
    let world = World::new();
    let query =
        world.plan("SELECT \"Id\", \"Site\", \"User\", \"Start\" FROM jobs ORDER BY 1").await;
    let query = query.unwrap();
    let Work::Whole(plan) = &query.0.work else { panic!("there is no plan") };
    let mut scan = Arc::clone(plan);
    while let Some(child) = scan.children().first().map(|child| Arc::clone(child)) {
        scan = child;
    }
    assert_eq!(scan.name(), "ViewScan");
    let parts = scan.properties().output_partitioning().partition_count();
    for part in std::iter::once(None).chain((0..parts).map(Some)) {
        let mut asked = StatisticsArgs::new();
        asked.set_partition(part);
        let told = StatisticsContext::new().compute(&*scan, &asked).unwrap();
        assert_eq!(*told, Statistics::new_unknown(&scan.schema()), "{part:?}");
    }
    assert!(matches!(
        scan.properties().output_partitioning(),
        Partitioning::UnknownPartitioning(_)
    ));
    assert_eq!(scan.properties().output_ordering(), None);
    let known = scan.properties().equivalence_properties();
    assert!(known.constants().is_empty() && known.eq_group().is_empty());
    assert_eq!(scan.metrics().map(|metrics| metrics.iter().count()), None);
    // Nor does the table that it is planned from.
    let view = world.view(JOBS);
    let table = ViewTable::new(Arc::clone(&world.engine.pipeline), view, false);
    assert!(table.constraints().is_none_or(|all| all.is_empty()));
    assert!(table.get_column_default("Id").is_none());
    // The files tell it: there is something to keep back.
    let path = world.folder.path().join("jobs.parquet");
    let footer = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let column = footer.metadata().row_group(0).column(0).statistics().cloned();
    assert!(column.unwrap().min_bytes_opt().is_some());
}

#[tokio::test]
async fn who_asks_for_few_rows_has_few_read() {
    let world = World::new();
    let path = world.folder.path().join("jobs.parquet");
    spoil(&path, |group, _| group % 5 != 0);
    assert_eq!(world.rows("SELECT \"Id\", \"Site\" FROM jobs LIMIT 5").await.len(), 5);
    assert_eq!(
        world.fails("SELECT \"Id\", \"Site\" FROM jobs LIMIT 500").await,
        Code::SourceUnreadable
    );
}

// PRIVACY: how long a noisy answer takes must not tell in which part of the files a condition holds.
#[tokio::test]
async fn what_is_granted_with_noise_is_read_whole_whatever_is_asked() {
    let world = World::new();
    let noisy = "access: dp, epsilon: 1, unit: User, groups_max: 1, rows_max: 1";
    let filters = [
        col(r#""Id""#).lt(lit(10_i64)),
        col(r#""Id""#).gt(lit(1_000_000_i64)),
        col(r#""Site""#).eq(lit("zzz")),
        col(r#""Id""#).is_not_null(),
    ];
    for access in ["access: rows", noisy] {
        let view = world.view(&JOBS.replace("access: rows", access));
        let terms = Terms::default();
        let named = Statement::parse("SELECT count(*) FROM jobs").unwrap();
        let look =
            |table: &Table, state: &SessionState| Ok((Arc::clone(&table.provider), state.clone()));
        let (provider, state) = world.engine.look(&terms, view, &named, look).await.unwrap();
        let read = async |filter: &Expr| {
            let source = provider_as_source(Arc::clone(&provider));
            let plan = LogicalPlanBuilder::scan("jobs", source, None)
                .and_then(|plan| plan.filter(filter.clone()))
                .and_then(|plan| plan.project([col(r#""Id""#)]))
                .and_then(LogicalPlanBuilder::build);
            let plan = state.create_physical_plan(&plan.unwrap()).await.unwrap();
            of_scans(&plan, ViewScan::pieces)
        };
        let mut pieces = BTreeSet::new();
        for filter in &filters {
            pieces.insert(read(filter).await);
        }
        let chosen: &[usize] = if access == noisy { &[10] } else { &[0, 1, 10] };
        assert_eq!(pieces.into_iter().collect::<Vec<_>>(), chosen, "{access}");
    }
}

// PRIVACY: what counts privacy units is neither the raw value nor a pseudonym, and reads no more than its
// column.
#[test]
fn units_are_numbered_by_raw_values_whatever_leaves_of_them() {
    let world = World::new();
    let path = world.folder.path().join("jobs.parquet");
    spoil(&path, |_, column| column != "User");
    let numbers = |policy: &str| {
        let View { plan, snapshot } = world.view(policy);
        let pieces = snapshot.pieces().cloned().collect();
        let pipeline = &world.engine.pipeline;
        let mut rows =
            Rows::open(pipeline, &plan, &snapshot, &[Pick::Unit], pieces, &|| false).unwrap();
        let mut numbers = Vec::new();
        while let Some(batch) = rows.next().unwrap() {
            let plain = cast(&batch.columns[0], &DataType::UInt64).unwrap();
            numbers.extend(plain.as_primitive::<UInt64Type>().iter());
        }
        numbers
    };
    let policy = JOBS.replace("columns:", "unit: User\ncolumns:");
    let dropped = policy.replace("{pseudonym: {method: hmac}}", "drop");
    let told = numbers(&policy);
    assert_eq!(told, numbers(&dropped));
    assert_eq!(told.len(), 1000);
    for (row, number) in told.iter().enumerate() {
        assert_eq!(number.is_none(), row % 7 == 6);
        assert!(number.is_none() || told[row % 50].is_none() || *number == told[row % 50]);
    }
    let distinct: BTreeSet<_> = told.iter().flatten().collect();
    assert_eq!(distinct.len(), 50);
}
