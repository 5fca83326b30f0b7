//! What is counted, on which day, and what comes back: against stores in memory and in a file.

use std::path::Path;

use super::*;
use crate::budget::tests::quotas;
use crate::clock::ManualClock;
use crate::state::Sqlite;

const DAY_SECONDS: i64 = 86_400;

struct World {
    store: Arc<dyn Store>,
    clock: ManualClock,
    meter: Arc<Meter>,
}

/// 2027-01-15 08:00 UTC.
fn clock() -> ManualClock {
    ManualClock::new(1_800_000_000_000_000)
}

fn file(path: &Path, clock: &ManualClock) -> Arc<dyn Store> {
    Arc::new(Sqlite::open(path, Arc::new(clock.clone())).unwrap())
}

impl World {
    fn over(store: Arc<dyn Store>, clock: ManualClock, in_all: (Option<u64>, Option<u64>)) -> Self {
        let mut quotas = quotas();
        (quotas.rows_day, quotas.bytes_day) = in_all;
        let meter = Meter::new(&quotas, Arc::clone(&store), Arc::new(clock.clone()));
        Self { store, clock, meter }
    }

    fn new(rows_day: Option<u64>, bytes_day: Option<u64>) -> Self {
        let clock = clock();
        let store = Arc::new(Sqlite::in_memory(Arc::new(clock.clone())).unwrap());
        Self::over(store, clock, (rows_day, bytes_day))
    }

    fn purse(&self, allowances: &[Allowance]) -> Result<Option<Purse>> {
        self.meter.purse("cern", allowances)
    }

    /// What stands in the store, as `day dataset rows bytes`.
    fn usage(&self) -> Vec<String> {
        let usage = self.store.usage(None, NaiveDate::MIN).unwrap();
        usage
            .into_iter()
            .map(|Usage { day, dataset, amount, .. }| {
                let dataset = dataset.unwrap_or_else(|| "*".to_owned());
                format!("{day} {dataset} {} {}", amount.rows, amount.bytes)
            })
            .collect()
    }
}

fn allowance(dataset: &str, rows_day: Option<u64>, bytes_day: Option<u64>) -> Allowance {
    let dataset = dataset.to_owned();
    Allowance { dataset, rows_day, bytes_day, queries: None, query_time: None }
}

fn refusal(result: Result<()>) -> Code {
    result.unwrap_err().code()
}

#[test]
fn where_nothing_is_limited_nothing_is_counted() {
    let world = World::new(None, None);
    assert!(world.purse(&[allowance("jobs", None, None)]).unwrap().is_none());
    assert!(world.usage().is_empty());
}

#[test]
fn a_message_that_passes_the_limit_does_not_leave_and_one_that_reaches_it_does() {
    let world = World::new(None, None);
    let jobs = [allowance("jobs", Some(100), None)];
    let purse = world.purse(&jobs).unwrap().unwrap();
    purse.charge(60, 1000).unwrap();
    assert_eq!(refusal(purse.charge(41, 1)), Code::RowsDay);
    // What was refused cost nothing.
    purse.charge(40, 1).unwrap();
    assert_eq!(refusal(purse.charge(1, 1)), Code::RowsDay);
    assert_eq!(world.purse(&jobs).unwrap_err().code(), Code::RowsDay);
    drop(purse);
    assert_eq!(world.usage(), ["2027-01-15 jobs 100 1001"]);
    assert_eq!(world.purse(&jobs).unwrap_err().code(), Code::RowsDay);
    // Another dataset is not touched by it.
    assert!(world.purse(&[allowance("stays", Some(1), None)]).is_ok());
}

#[test]
fn bytes_are_limited_as_rows_are() {
    let world = World::new(None, Some(1000));
    let purse = world.purse(&[]).unwrap().unwrap();
    purse.charge(5, 999).unwrap();
    assert_eq!(refusal(purse.charge(0, 2)), Code::BytesDay);
    purse.charge(0, 1).unwrap();
    drop(purse);
    assert_eq!(world.usage(), ["2027-01-15 * 5 1000"]);
    assert_eq!(world.purse(&[]).unwrap_err().code(), Code::BytesDay);
}

#[test]
fn what_is_taken_counts_for_the_partner_and_for_each_dataset() {
    let world = World::new(Some(1000), None);
    let both = [allowance("jobs", Some(50), None), allowance("stays", None, Some(10_000))];
    let purse = world.purse(&both).unwrap().unwrap();
    purse.charge(30, 400).unwrap();
    assert_eq!(refusal(purse.charge(21, 1)), Code::RowsDay);
    drop(purse);
    let unlimited = [allowance("other", None, None)];
    world.purse(&unlimited).unwrap().unwrap().charge(7, 7).unwrap();
    assert_eq!(
        world.usage(),
        ["2027-01-15 * 37 407", "2027-01-15 jobs 30 400", "2027-01-15 stays 30 400"]
    );
}

#[test]
fn what_was_claimed_and_not_used_comes_back_and_a_crash_brings_nothing_back() {
    let world = World::new(Some(80_000), None);
    let purse = world.purse(&[]).unwrap().unwrap();
    purse.charge(10, 10).unwrap();
    // A piece of an eighth of what was left.
    assert_eq!(world.usage(), [format!("2027-01-15 * 10000 {}", PIECE.bytes)]);
    drop(purse);
    assert_eq!(world.usage(), ["2027-01-15 * 10 10"]);
    let crashed = world.purse(&[]).unwrap().unwrap();
    crashed.charge(10, 10).unwrap();
    std::mem::forget(crashed);
    let after = World::over(Arc::clone(&world.store), world.clock.clone(), (Some(80_000), None));
    let left = 80_000 - 10 - (80_000 - 10) / 8;
    let purse = after.purse(&[]).unwrap().unwrap();
    assert_eq!(refusal(purse.charge(left + 1, 1)), Code::RowsDay);
    purse.charge(left, 1).unwrap();
}

#[test]
fn many_messages_are_paid_from_one_claim() {
    let world = World::new(Some(1 << 40), None);
    let purse = world.purse(&[]).unwrap().unwrap();
    purse.charge(1, 1).unwrap();
    let claimed = world.usage();
    for _ in 0..100 {
        purse.charge(100, 1000).unwrap();
    }
    assert_eq!(world.usage(), claimed);
    purse.charge(PIECE.rows, 1).unwrap();
    assert_ne!(world.usage(), claimed);
}

#[test]
fn streams_of_one_process_share_what_is_left_to_the_last_row() {
    let world = World::new(None, None);
    let jobs = [allowance("jobs", Some(1000), None)];
    let left = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let purse = world.purse(&jobs).unwrap().unwrap();
                while purse.charge(7, 70).is_ok() {
                    left.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    // 142 messages are 994 rows, the next one would be the 1001st.
    assert_eq!(left.load(Ordering::SeqCst), 142);
    assert_eq!(world.usage(), ["2027-01-15 jobs 994 9940"]);
}

#[test]
fn processes_that_share_a_state_never_pass_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.sqlite");
    let worlds: Vec<World> =
        (0..3).map(|_| World::over(file(&path, &clock()), clock(), (Some(5000), None))).collect();
    let rows = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for world in worlds.iter().cycle().take(6) {
            let rows = &rows;
            scope.spawn(move || {
                for _ in 0..4 {
                    let Ok(purse) = world.purse(&[]) else { return };
                    for _ in 0..40 {
                        if purse.as_ref().unwrap().charge(11, 5).is_ok() {
                            rows.fetch_add(11, Ordering::SeqCst);
                        }
                    }
                }
            });
        }
    });
    let rows = rows.load(Ordering::SeqCst);
    // 6 threads asked for 10,560 rows.
    assert!(rows <= 5000 && rows > 4900, "{rows}");
    assert_eq!(worlds[0].usage(), [format!("2027-01-15 * {rows} {}", rows / 11 * 5)]);
}

#[test]
fn at_midnight_a_new_day_begins_and_the_old_one_keeps_what_was_taken() {
    let world = World::new(Some(1000), None);
    let purse = world.purse(&[]).unwrap().unwrap();
    purse.charge(900, 9).unwrap();
    assert_eq!(refusal(purse.charge(200, 2)), Code::RowsDay);
    world.clock.advance_seconds(DAY_SECONDS);
    purse.charge(200, 2).unwrap();
    drop(purse);
    assert_eq!(world.usage(), ["2027-01-15 * 900 9", "2027-01-16 * 200 2"]);
}

#[test]
fn what_is_claimed_before_midnight_does_not_pay_for_what_leaves_after_it() {
    let world = World::new(Some(80_000), None);
    let purse = world.purse(&[]).unwrap().unwrap();
    purse.charge(10, 10).unwrap();
    world.clock.advance_seconds(DAY_SECONDS);
    purse.charge(20, 20).unwrap();
    drop(purse);
    assert_eq!(world.usage(), ["2027-01-15 * 10 10", "2027-01-16 * 20 20"]);
}

#[test]
fn a_clock_that_goes_back_gives_nothing_back() {
    let world = World::new(Some(1000), None);
    let purse = world.purse(&[]).unwrap().unwrap();
    purse.charge(1000, 1).unwrap();
    world.clock.advance_seconds(-3 * DAY_SECONDS);
    assert_eq!(refusal(purse.charge(1, 1)), Code::RowsDay);
    drop(purse);
    assert_eq!(world.purse(&[]).unwrap_err().code(), Code::RowsDay);
    // Nor does it to a process that begins then.
    let later = World::over(Arc::clone(&world.store), world.clock.clone(), (Some(1000), None));
    assert_eq!(later.purse(&[]).unwrap_err().code(), Code::RowsDay);
    let more = World::over(Arc::clone(&world.store), world.clock.clone(), (Some(1001), None));
    let purse = more.purse(&[]).unwrap().unwrap();
    purse.charge(1, 1).unwrap();
    assert_eq!(refusal(purse.charge(1, 1)), Code::RowsDay);
    drop(purse);
    assert_eq!(world.usage(), ["2027-01-15 * 1001 2"]);
}
