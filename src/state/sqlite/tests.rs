//! What is special to SQLite: the conformance suite on a file and in memory, modes of files, migrations,
//! and what is left after `kill -9`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::*;
use crate::clock::{ManualClock, SystemClock};
use crate::state::conformance::{self, Opener};

fn open(path: &Path) -> Result<Sqlite> {
    Sqlite::open(path, Arc::new(SystemClock))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn refusal(path: &Path) -> String {
    let error = open(path).unwrap_err();
    assert_eq!(error.code(), Code::State);
    error.to_string()
}

#[test]
fn a_file_conforms() {
    conformance::all(&|| -> Opener {
        let folder = tempfile::tempdir().unwrap();
        Box::new(move || Arc::new(open(&folder.path().join("state.sqlite")).unwrap()))
    });
}

#[test]
fn memory_conforms() {
    conformance::all(&|| -> Opener {
        let store: Arc<dyn Store> = Arc::new(Sqlite::in_memory(Arc::new(SystemClock)).unwrap());
        Box::new(move || Arc::clone(&store))
    });
}

#[test]
fn files_are_made_with_mode_0600_in_a_folder_with_0700() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/state.sqlite");
    let store = open(&path).unwrap();
    store.numbers("s", &["x"]).unwrap();
    assert_eq!(mode(&folder.path().join("a")), 0o700);
    assert_eq!(mode(&folder.path().join("a/b")), 0o700);
    let mut names: Vec<_> = fs::read_dir(folder.path().join("a/b"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .inspect(|entry| assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.path()))
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["state.sqlite", "state.sqlite-shm", "state.sqlite-wal"]);
}

#[test]
fn a_file_open_to_others_is_refused_with_the_command_to_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.sqlite");
    drop(open(&path).unwrap());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let shown = path.display();
    assert_eq!(
        refusal(&path),
        format!("the state file `{shown}` is open to others (mode 0640); run `chmod 600 {shown}`")
    );
}

#[test]
fn a_folder_that_others_may_write_to_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let text = refusal(&folder.path().join("state.sqlite"));
    assert!(text.ends_with(&format!("run `chmod 700 {}`", folder.path().display())), "{text}");
}

#[test]
fn the_file_of_a_newer_version_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.sqlite");
    let store = open(&path).unwrap();
    store
        .writer
        .lock()
        .unwrap()
        .execute("INSERT INTO schema_migrations VALUES (1000, 0)", [])
        .unwrap();
    drop(store);
    let text = refusal(&path);
    assert!(text.ends_with("knows 2: it was written by a newer version"), "{text}");
}

#[test]
fn the_file_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.sqlite");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(refusal(&path).ends_with("is the file of another program"));
    fs::write(&path, "this is a text and no database, long enough for a header".repeat(9)).unwrap();
    assert_eq!(refusal(&path), format!("the state file `{}`", path.display()));
}

#[test]
fn writes_wait_for_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("state.sqlite")).unwrap();
    let pragma = |name: &str| -> String {
        let writer = store.writer.lock().unwrap();
        writer
            .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
            .map(|value| format!("{value:?}"))
            .unwrap()
    };
    assert_eq!(pragma("journal_mode"), "Text(\"wal\")");
    assert_eq!(pragma("synchronous"), "Integer(2)");
    assert_eq!(pragma("foreign_keys"), "Integer(1)");
}

#[test]
fn a_token_remembers_when_it_was_first_seen() {
    let clock = ManualClock::new(1_800_000_000_000_000);
    let store = Sqlite::in_memory(Arc::new(clock.clone())).unwrap();
    store.numbers("s", &["a"]).unwrap();
    clock.advance_seconds(5);
    store.numbers("s", &["a", "b"]).unwrap();
    let seen: Vec<i64> =
        store.tokens("s").unwrap().iter().map(|token| token.first_seen_seconds).collect();
    assert_eq!(seen, [1_800_000_000, 1_800_000_005]);
}

/// Kills two processes that assign tokens in the same file, several times over, in the middle of their
/// work. Every number that either of them was given must still stand.
#[test]
fn numbers_survive_kill_9_and_none_is_given_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.sqlite");
    drop(open(&path).unwrap());
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    for round in 0..4 {
        let mut children: Vec<_> = (0..2)
            .map(|_| {
                Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "state::sqlite::tests::child_that_assigns_tokens"])
                    .args(["--nocapture", "--test-threads=1"])
                    .env(CHILD, &path)
                    .stdout(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let mut lines: Vec<_> = children
            .iter_mut()
            .map(|child| BufReader::new(child.stdout.take().unwrap()).lines())
            .collect();
        let mut note = |line: String| {
            let Some(rest) = line.strip_prefix("token ") else { return };
            // A kill can cut the last line short; `end` says that this one is whole.
            let Some((value, number)) = rest.strip_suffix(" end").and_then(|r| r.split_once(' '))
            else {
                return;
            };
            let number = number.parse().unwrap();
            let first = *told.entry(value.to_owned()).or_insert(number);
            assert_eq!(first, number, "`{value}` has two numbers");
        };
        for line in lines.iter_mut().flat_map(|lines| lines.by_ref().take(30 + 20 * round)) {
            note(line.unwrap());
        }
        for child in &mut children {
            // SIGKILL.
            child.kill().unwrap();
            child.wait().unwrap();
        }
        for line in lines.into_iter().flatten() {
            note(line.unwrap());
        }
    }
    assert!(told.len() > 60, "the children did too little: {}", told.len());
    let store = open(&path).unwrap();
    let kept = store.tokens("s").unwrap();
    assert!(kept.iter().map(|token| token.number).eq(1..=kept.len() as u64));
    let kept: BTreeMap<_, _> =
        kept.into_iter().map(|token| (token.original, token.number)).collect();
    for (value, number) in &told {
        assert_eq!(kept.get(value), Some(number), "`{value}` lost its number");
    }
    let values: Vec<&str> = told.keys().map(String::as_str).collect();
    assert_eq!(store.numbers("s", &values).unwrap(), told.values().copied().collect::<Vec<_>>());
}

/// Not a test of its own: the process that [`numbers_survive_kill_9_and_none_is_given_twice`] kills.
#[test]
fn child_that_assigns_tokens() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let store = open(Path::new(&path)).unwrap();
    for step in 0_u64.. {
        // The same values in both children and in all rounds, three new ones a step.
        let values: Vec<String> = (0..5).map(|offset| format!("v{}", step * 3 + offset)).collect();
        let texts: Vec<&str> = values.iter().map(String::as_str).collect();
        let numbers = store.numbers("s", &texts).unwrap();
        for (value, number) in values.iter().zip(numbers) {
            println!("token {value} {number} end");
        }
    }
}

/// Tells the test binary that it is the child.
const CHILD: &str = "VEILFLIGHT_TEST_TOKEN_CHILD";

/// Kills a process that claims, in the middle of its work: what it was given stays claimed.
#[test]
fn claims_survive_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.sqlite");
    drop(open(&path).unwrap());
    let mut told = 0;
    for round in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "state::sqlite::tests::child_that_claims", "--nocapture"])
            .env(CLAIMING_CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut note = |line: String| {
            let rows = line.strip_prefix("claimed ").and_then(|rest| rest.strip_suffix(" end"));
            told = rows.map_or(told, |rows| rows.parse::<u64>().unwrap().max(told));
        };
        lines.by_ref().take(20 + 10 * round).for_each(|line| note(line.unwrap()));
        // SIGKILL.
        child.kill().unwrap();
        child.wait().unwrap();
        lines.for_each(|line| note(line.unwrap()));
        let kept = open(&path).unwrap().usage(None, NaiveDate::MIN).unwrap()[0].amount;
        // At most the claim that it could not tell any more.
        assert!(kept.rows == told || kept.rows == told + 7, "{} of {told}", kept.rows);
    }
    assert!(told > 200, "the children did too little: {told}");
}

/// Not a test of its own: the process that [`claims_survive_kill_9`] kills.
#[test]
fn child_that_claims() {
    let Some(path) = std::env::var_os(CLAIMING_CHILD) else { return };
    let store = open(Path::new(&path)).unwrap();
    loop {
        let mut rows = 0;
        let mut claim = |_, taken: &mut [Amount]| {
            taken[0].rows += 7;
            rows = taken[0].rows;
            Ok(())
        };
        let today = NaiveDate::from_ymd_opt(2027, 1, 15).unwrap();
        store.claim_usage("cern", today, &[None], &mut claim).unwrap();
        println!("claimed {rows} end");
    }
}

/// Tells the test binary that it is the claiming child.
const CLAIMING_CHILD: &str = "VEILFLIGHT_TEST_CLAIMING_CHILD";
