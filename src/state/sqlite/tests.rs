//! What is special to SQLite: the conformance suite on a file and in memory, modes of files, migrations,
//! and what is left after `kill -9`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::*;
use crate::clock::{ManualClock, SystemClock};
use crate::keys::Secret;
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
    assert!(text.ends_with("knows 5: it was written by a newer version"), "{text}");
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
    let seen: Vec<i64> = store
        .tokens("s", None, None)
        .unwrap()
        .iter()
        .map(|token| token.first_seen_seconds)
        .collect();
    assert_eq!(seen, [1_800_000_000, 1_800_000_005]);
}

/// A state as the version before wrote it, with tokens in two maps.
fn of_version_2(path: &Path) {
    create(path).unwrap();
    let mut connection = connect(path).unwrap();
    prepare_file(&connection).unwrap();
    migrate_to(&mut connection, "the state", 0, &MIGRATIONS[..2]).unwrap();
    for (scope, values) in [("s", ["jsmith", "mjones"]), ("t", ["NULL", "jsmith"])] {
        connection.execute("INSERT INTO token_scope (name, last) VALUES (?1, 2)", [scope]).unwrap();
        let scope_id = connection.last_insert_rowid();
        for (number, value) in (1..).zip(values) {
            let fingerprint: [u8; 32] = Sha256::digest(value).into();
            connection
                .execute(
                    "INSERT INTO token VALUES (?1, ?2, ?3, ?4, 1700000000)",
                    (scope_id, fingerprint, number, value),
                )
                .unwrap();
        }
    }
}

#[test]
fn the_state_of_the_version_before_opens_with_equal_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.sqlite");
    of_version_2(&path);
    let store = open(&path).unwrap();
    assert_eq!(store.numbers("s", &["mjones", "alee", "jsmith"]).unwrap(), [2, 3, 1]);
    assert_eq!(store.numbers("t", &["jsmith", "NULL"]).unwrap(), [2, 1]);
    let tokens = store.tokens("s", None, None).unwrap();
    let told: Vec<_> =
        tokens.iter().map(|t| (t.number, t.original.as_deref().unwrap(), t.rows)).collect();
    assert_eq!(told, [(1, "jsmith", 0), (2, "mjones", 0), (3, "alee", 0)]);
    assert_eq!(tokens[0].first_seen_seconds, 1_700_000_000);
}

/// All bytes of the files of a state.
fn bytes_of(folder: &Path) -> Vec<(String, Vec<u8>)> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
        })
        .collect()
}

fn holds(files: &[(String, Vec<u8>)], what: &[u8]) -> bool {
    files.iter().any(|(_, bytes)| bytes.windows(what.len()).any(|window| window == what))
}

#[test]
fn after_sealing_no_original_is_in_the_files_and_the_same_numbers_are_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/state.sqlite");
    of_version_2(&path);
    let store = open(&path).unwrap();
    let names: Vec<String> = (0..2_000).map(|at| format!("canary-{at:05}@example.org")).collect();
    let texts: Vec<&str> = names.iter().map(String::as_str).collect();
    let numbers = store.numbers("s", &texts).unwrap();
    let state = folder.path().join("state");
    let plain = Sha256::digest("jsmith");
    assert!(holds(&bytes_of(&state), b"canary-0"), "the search finds what is there");
    assert!(holds(&bytes_of(&state), &plain));
    let private = Private::generate().unwrap();
    let ring = Arc::new(KeyRing::new(vec![(1, Secret::new([9; 32]))]).unwrap());
    assert!(store.set_originals_key(&private.public().unwrap(), &ring).unwrap());
    assert_eq!(store.seal_originals().unwrap(), SealedOriginals { sealed: 2_004, cleared: true });
    let later = store.numbers("s", &["canary-later", "canary-00007@example.org"]).unwrap();
    assert_eq!(later, [2_003, numbers[7]]);
    // While it is in use, with the log and the index beside it, and after it is closed.
    for closed in [false, true] {
        let files = bytes_of(&state);
        assert!(files.iter().any(|(name, _)| name == "state.sqlite"));
        for what in [b"canary-".as_slice(), b"jsmith", b"mjones", &plain] {
            assert!(!holds(&files, what), "closed: {closed}");
        }
        if !closed {
            assert_eq!(store.numbers("s", &texts).unwrap(), numbers);
        }
    }
    drop(store);
    let store = open(&path).unwrap();
    store.give_keys(&ring);
    assert_eq!(store.numbers("s", &texts).unwrap(), numbers);
    let opened = store.tokens("s", None, Some(&private)).unwrap();
    assert_eq!(opened.last().unwrap().original.as_deref(), Some("canary-later"));
}

#[test]
fn after_a_change_of_key_nothing_sealed_with_the_old_one_is_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.sqlite");
    let store = open(&path).unwrap();
    let ring = Arc::new(KeyRing::new(vec![(1, Secret::new([9; 32]))]).unwrap());
    let [old, new] = [(); 2].map(|()| Private::generate().unwrap());
    assert!(store.set_originals_key(&old.public().unwrap(), &ring).unwrap());
    store.give_keys(&ring);
    store.numbers("s", &["canary-one@example.org", "canary-two@example.org"]).unwrap();
    let sealed = |column: &str, table: &str| -> Vec<Vec<u8>> {
        let connection = connect(&path).unwrap();
        let mut rows = connection.prepare(&format!("SELECT {column} FROM {table}")).unwrap();
        let rows = rows.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<rusqlite::Result<_>>().unwrap()
    };
    let before = [sealed("sealed", "token"), sealed("encapsulated", "token_batch")].concat();
    assert_eq!(before.len(), 3);
    assert!(before.iter().all(|bytes| holds(&bytes_of(folder.path()), bytes)), "the search finds");
    let done = store.rotate_originals(&old, &new.public().unwrap()).unwrap();
    assert_eq!(done, SealedOriginals { sealed: 2, cleared: true });
    let files = bytes_of(folder.path());
    assert!(!before.iter().any(|bytes| holds(&files, bytes)));
    assert!(!holds(&files, b"canary-"));
    assert_eq!(sealed("sealed", "token").len(), 2);
}

#[test]
fn a_reader_that_holds_old_pages_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.sqlite");
    let store = open(&path).unwrap();
    store.numbers("s", &["jsmith"]).unwrap();
    let ring = Arc::new(KeyRing::new(vec![(1, Secret::new([9; 32]))]).unwrap());
    let public = Private::generate().unwrap().public().unwrap();
    assert!(store.set_originals_key(&public, &ring).unwrap());
    store.writer.lock().unwrap().busy_timeout(Duration::from_millis(50)).unwrap();
    let other = connect(&path).unwrap();
    let reading = other.unchecked_transaction().unwrap();
    reading.query_row("SELECT count(*) FROM token", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(store.seal_originals().unwrap(), SealedOriginals { sealed: 1, cleared: false });
    drop(reading);
    assert_eq!(store.seal_originals().unwrap(), SealedOriginals { sealed: 0, cleared: true });
    assert!(!holds(&bytes_of(folder.path()), b"jsmith"));
}

/// Threads with stores of their own, as processes have them, number values while originals are sealed
/// and a map is taken in.
#[test]
fn sealing_and_taking_in_meanwhile_give_no_number_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.sqlite");
    let ring = Arc::new(KeyRing::new(vec![(1, Secret::new([9; 32]))]).unwrap());
    let opened = || {
        let store = open(&path).unwrap();
        store.give_keys(&ring);
        store
    };
    let by_hand = opened();
    let private = Private::generate().unwrap();
    let answers = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|thread| {
                let opened = &opened;
                scope.spawn(move || {
                    let store = opened();
                    let mut seen = Vec::new();
                    for round in 0..60 {
                        let values: Vec<String> = (0..5)
                            .map(|step| format!("v{}", (round * 3 + step) + thread))
                            .collect();
                        let texts: Vec<&str> = values.iter().map(String::as_str).collect();
                        let numbers = store.numbers("s", &texts).unwrap();
                        seen.extend(values.into_iter().zip(numbers));
                    }
                    seen
                })
            })
            .collect();
        assert!(by_hand.set_originals_key(&private.public().unwrap(), &ring).unwrap());
        for round in 0..10_u64 {
            by_hand.seal_originals().unwrap();
            let original = format!("theirs{round}");
            let token = NewToken { number: 10_000 + round * 100, original, rows: None };
            let taken = by_hand.import_tokens("s", &[token], 0).unwrap();
            // The number may be given out by then; then nothing is changed.
            assert!(matches!(taken, Ok(Imported { added: 1, .. }) | Err(_)));
        }
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let mut by_value = BTreeMap::new();
    for (value, number) in answers {
        assert_eq!(*by_value.entry(value).or_insert(number), number);
    }
    by_hand.seal_originals().unwrap();
    let tokens = by_hand.tokens("s", None, Some(&private)).unwrap();
    let kept: BTreeMap<String, u64> =
        tokens.iter().map(|token| (token.original.clone().unwrap(), token.number)).collect();
    assert_eq!(kept.len(), tokens.len());
    for (value, number) in by_value {
        assert_eq!(kept.get(&value), Some(&number), "`{value}`");
    }
}

/// A crash between the numbers and the counts: the next time they are learned, the rows are counted.
#[test]
fn rows_that_a_crash_left_uncounted_are_counted_the_next_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.sqlite");
    assert_eq!(open(&path).unwrap().numbers("s", &["a", "b"]).unwrap(), [1, 2]);
    let store = open(&path).unwrap();
    assert_eq!(store.numbers("s", &["a", "b"]).unwrap(), [1, 2]);
    let of = Counted { dataset: "jobs", column: "User", version: "1" };
    // A count that the store cannot hold changes nothing, not even what version was counted.
    assert_eq!(store.count("s", of, &[(1, 4), (2, u64::MAX)]).unwrap_err().code(), Code::State);
    let rows = || -> Vec<u64> {
        store.tokens("s", None, None).unwrap().iter().map(|token| token.rows).collect()
    };
    assert_eq!(rows(), [0, 0]);
    store.count("s", of, &[(1, 4), (2, 5)]).unwrap();
    assert_eq!(rows(), [4, 5]);
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
    let kept = store.tokens("s", None, None).unwrap();
    assert!(kept.iter().map(|token| token.number).eq(1..=kept.len() as u64));
    let kept: BTreeMap<_, _> =
        kept.into_iter().map(|token| (token.original.unwrap(), token.number)).collect();
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

#[test]
fn entries_are_never_changed_or_removed() {
    use crate::policy::privacy::{Accounting, Loss};
    use crate::state::{NewPrivacyEntry, PrivacyAccount};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.sqlite");
    let store = open(&path).unwrap();
    let account = PrivacyAccount { partner: "cern", dataset: "jobs" };
    let loss = Loss { epsilon: "0.1".parse().unwrap(), delta: "0".parse().unwrap() };
    let entry = NewPrivacyEntry::Spend {
        accounting: Accounting::Pure,
        loss,
        rho: "0.005".parse().unwrap(),
        canonical: String::new(),
    };
    let tell = conformance::told;
    store.privacy_append(account, Some("q"), 0, &mut |_| Ok(entry.clone()), &mut { tell }).unwrap();
    let run = |sql: &str| store.writer.lock().unwrap().execute(sql, []);
    for sql in ["UPDATE privacy_entry SET epsilon = '0'", "DELETE FROM privacy_entry"] {
        assert!(run(sql).unwrap_err().to_string().contains("are never"), "{sql}");
    }
    // What is no decimal any more is an error, and not nothing.
    run("UPDATE privacy_sum SET epsilon = '-1'").unwrap();
    assert_eq!(store.privacy_sums(account).unwrap_err().code(), Code::State);
    let refused =
        store.privacy_append(account, Some("r"), 0, &mut |_| Ok(entry.clone()), &mut { tell });
    assert_eq!(refused.unwrap_err().code(), Code::State);
}
