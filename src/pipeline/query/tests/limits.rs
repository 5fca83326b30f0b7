//! How statements end: errors, memory, time, partners who leave.

use super::*;

#[tokio::test]
async fn an_error_of_a_value_says_nothing_of_it() {
    let world = World::new();
    let failing = [
        "SELECT CAST(\"Site\" AS BIGINT) FROM jobs",
        "SELECT 1 / (\"Id\" - \"Id\") FROM jobs",
        "SELECT CAST(\"Id\" + 1001 AS TINYINT) FROM jobs",
        "SELECT to_timestamp(\"User\") FROM jobs",
        "SELECT CAST(\"User\" AS DATE) AS d, count(*) FROM jobs GROUP BY 1 ORDER BY 1",
    ];
    for sql in failing {
        let error = world.ask(sql).await.unwrap_err();
        assert_eq!(error.code(), Code::QueryFailed, "{sql}: {}", error.chain());
        assert!(error.hint().is_none());
        for value in ["cern", "fnal", "user", "9223", "1001"] {
            assert!(!error.chain().contains(value), "{sql}: {}", error.chain());
        }
    }
}

#[tokio::test]
async fn an_error_of_the_policy_keeps_its_code_on_the_way_through_the_engine() {
    let world = World::new();
    let policy =
        JOBS.replace("{pseudonym: {method: hmac}}", "{ip: {method: crypto_pan, invalid: error}}");
    for sql in ["SELECT max(\"User\") FROM jobs", "SELECT \"User\" || 'x' FROM jobs ORDER BY 1"] {
        let statement = Statement::parse(sql).unwrap();
        let views = vec![world.view(&policy)];
        let query = world.engine.plan(&statement, &Terms::default(), views).await.unwrap();
        let error = world.answer(query).await.unwrap_err();
        assert_eq!(error.code(), Code::SourceValue, "{sql}");
        assert_eq!(error.chain(), "column `User`: a value is no IP address");
    }
}

#[tokio::test]
async fn what_does_not_fit_into_memory_is_spilled_and_then_refused() {
    let sorted = "SELECT \"Id\", \"User\", \"Start\" FROM jobs ORDER BY \"User\" DESC, \"Id\"";
    let plenty =
        World::with(256 << 20, 400_000, Duration::from_secs(60)).ask(sorted).await.unwrap();
    let world = World::with(20 << 20, 400_000, Duration::from_secs(60));
    assert_eq!(world.ask(sorted).await.unwrap(), plenty);
    let disk = &world.engine.environment.disk_manager;
    assert_eq!(disk.used_disk_space(), 0);
    // Without room on the disk the same is refused: so it was there.
    disk.set_max_temp_directory_size(0).unwrap();
    assert_eq!(world.fails(sorted).await, Code::QueryMemory);
    // A join holds one of its sides in memory and cannot spill it.
    let joined = "SELECT count(*) FROM jobs a JOIN jobs b \
         ON a.\"User\" || a.\"Id\" = b.\"User\" || b.\"Id\"";
    assert_eq!(world.fails(joined).await, Code::QueryMemory);
    assert_eq!(world.rows("SELECT count(*) FROM jobs").await, ["400000"]);
}

// The engine counts a text in a view as sixteen bytes; 400,000 of two hundred bytes are eighty megabytes.
#[tokio::test]
async fn texts_that_are_gathered_are_counted_whole() {
    let long =
        "concat(\"User\", repeated, repeated, repeated, repeated, repeated, repeated, repeated)";
    let from = "FROM (SELECT *, concat(\"User\", '-0123') AS repeated FROM jobs) x";
    let statements = [
        format!("SELECT array_agg({long}) AS all {from}"),
        format!("SELECT \"Site\", array_agg({long}) {from} GROUP BY \"Site\""),
        format!(
            "SELECT \"Site\", array_agg({long}) FILTER (WHERE \"Id\" >= 0) {from} GROUP BY \"Site\""
        ),
    ];
    let world = World::with(40 << 20, 400_000, Duration::from_secs(60));
    for sql in &statements {
        assert_eq!(world.fails(sql).await, Code::QueryMemory, "{sql}");
    }
    // As many numbers have room, with the copy that leaves; and so have fewer texts.
    assert_eq!(world.rows("SELECT array_length(array_agg(\"Id\")) FROM jobs").await, ["400000"]);
    let few = format!("SELECT array_length(array_agg({long})) {from} WHERE \"Id\" < 20000");
    assert_eq!(world.rows(&few).await, ["20000"]);
}

const ENDLESS: &str = "SELECT count(*) FROM jobs a, jobs b, jobs c \
     WHERE a.\"Id\" + b.\"Id\" + c.\"Id\" = -1";

#[tokio::test]
async fn a_statement_ends_when_its_time_is_over() {
    let world = World::with(64 << 20, 2000, Duration::from_millis(200));
    assert_eq!(world.fails(ENDLESS).await, Code::QueryTime);
    assert_eq!(world.closed(), [(Some("L006".to_owned()), Some(0))]);
    world.places_are_free().await;
}

/// Joins that look at billions of pairs and give nothing: by loops, by hash, without a filter.
const FRUITLESS: &[&str] = &[
    "SELECT count(*) FROM jobs a CROSS JOIN jobs b WHERE a.\"Id\" + b.\"Id\" = -1",
    "SELECT count(*) FROM jobs a JOIN jobs b ON a.\"Id\" * 0 = b.\"Id\" * 0 AND a.\"Id\" + b.\"Id\" < 0",
    "SELECT sum(a.\"Id\" * b.\"Id\" % 7) FROM jobs a CROSS JOIN jobs b",
];

/// Waits until nobody holds a place: until the threads of all statements are free.
async fn free(world: &World) {
    let free = async {
        while world.admission.open_streams() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), free).await.expect("the work goes on");
}

#[tokio::test]
async fn a_fruitless_join_ends_with_its_time_and_with_its_partner() {
    for sql in FRUITLESS {
        let world = World::with(256 << 20, 400_000, Duration::from_millis(300));
        assert_eq!(world.fails(sql).await, Code::QueryTime, "{sql}");
        free(&world).await;
        let world = World::with(256 << 20, 400_000, Duration::from_secs(600));
        let query = world.plan(sql).await.unwrap();
        let stream = world.open(query, 0).unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        drop(stream);
        free(&world).await;
    }
}

#[tokio::test]
async fn statements_wait_for_a_place_to_be_planned() {
    let world = World::with(64 << 20, 100, Duration::from_secs(60));
    let planners = Arc::clone(&world.engine.planners);
    let all = u32::try_from(planners.available_permits()).unwrap();
    let busy = planners.acquire_many_owned(all).await.unwrap();
    let planning = world.plan("SELECT count(*) FROM jobs");
    tokio::pin!(planning);
    let soon = tokio::time::timeout(Duration::from_millis(200), &mut planning).await;
    assert!(soon.is_err(), "planned without a place");
    drop(busy);
    assert_eq!(planning.await.unwrap().shards(), 1);
    assert_eq!(world.engine.planners.available_permits(), all as usize);
}

#[tokio::test]
async fn the_time_that_the_partner_takes_is_not_the_statements() {
    // Working at it takes a tenth of a second; the pauses together take more than what it has.
    let world = World::with(64 << 20, 20_000, Duration::from_secs(5));
    let query = world.plan("SELECT \"Id\" + 1, \"User\" FROM jobs ORDER BY 1").await.unwrap();
    let mut stream = world.open(query, 0).unwrap();
    let mut rows = 0;
    let mut slow = 5;
    while let Some(message) = stream.next().await {
        rows += message.unwrap().rows();
        if slow > 0 {
            slow -= 1;
            tokio::time::sleep(Duration::from_millis(1_200)).await;
        }
    }
    assert_eq!((rows, slow), (20_000, 0));
}

#[tokio::test]
async fn a_partner_who_hangs_up_ends_the_work() {
    let world = World::with(64 << 20, 2000, Duration::from_secs(600));
    let query = world.plan(ENDLESS).await.unwrap();
    let stream = world.open(query, 0).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.admission.open_streams(), 1);
    drop(stream);
    world.places_are_free().await;
    assert_eq!(world.closed(), [(Some("R003".to_owned()), Some(0))]);
}

#[tokio::test]
async fn an_engine_that_is_dropped_fails_its_streams_and_blocks_nobody() {
    let world = World::with(64 << 20, 2000, Duration::from_secs(600));
    let query = world.plan(ENDLESS).await.unwrap();
    let mut stream = world.open(query, 0).unwrap();
    let World { engine, .. } = world;
    drop(engine);
    let ended = tokio::time::timeout(Duration::from_secs(120), stream.next()).await.unwrap();
    assert_eq!(ended.unwrap().unwrap_err().code(), Code::Internal);
}

#[tokio::test]
async fn a_query_of_one_partner_is_not_opened_for_another() {
    let world = World::new();
    for sql in ["SELECT * FROM jobs", "SELECT count(*) FROM jobs"] {
        let query = world.plan(sql).await.unwrap();
        let other = partner("other");
        let reservation = world.admission.reserve(&other, &[]).unwrap();
        let entry = world.log.open(Request::default()).unwrap();
        let refused = world
            .engine
            .open(&other, query, 0, Format::default(), reservation, entry)
            .err()
            .unwrap();
        assert_eq!(refused.code(), Code::DatasetUnknown);
    }
    assert_eq!(world.closed().len(), 2);
}

#[tokio::test]
async fn streams_that_end_well_are_closed_with_their_rows() {
    let world = World::new();
    world.ask("SELECT \"Id\" * 2 FROM jobs WHERE \"Id\" < 30 ORDER BY 1").await.unwrap();
    assert_eq!(world.closed(), [(None, Some(30))]);
}

#[tokio::test]
async fn a_panic_is_a_failed_stream_and_the_engine_lives_on() {
    let world = World::made(64 << 20, 1000, Duration::from_secs(60), true);
    let policy = JOBS.replace("method: hmac", "method: token");
    for sql in [
        "SELECT \"User\" || 'x' FROM jobs",
        "SELECT \"User\", count(*) FROM jobs GROUP BY 1 ORDER BY 2",
        "SELECT a.\"User\" FROM jobs a JOIN jobs b ON a.\"User\" = b.\"User\" ORDER BY 1",
    ] {
        let statement = Statement::parse(sql).unwrap();
        let views = vec![world.view(&policy)];
        let query = world.engine.plan(&statement, &Terms::default(), views).await.unwrap();
        assert_eq!(world.answer(query).await.unwrap_err().code(), Code::Internal, "{sql}");
    }
    assert_eq!(world.closed(), vec![(Some("X001".to_owned()), Some(0)); 3]);
    assert_eq!(world.rows("SELECT count(*) FROM jobs").await, ["1000"]);
}
