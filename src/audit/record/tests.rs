//! Records of all versions: that old ones read and verify, and what the newer ones add.

use super::*;
use crate::audit::show::{Filter, Line, export, write_table};
use crate::audit::tests::{World, request, ring};
use crate::audit::verify::verify;
use crate::state::{AuditHead, AuditRow, Store};

/// A log of seven records and the mac of its head, as the first version wrote it.
const VERSION_1: &str = include_str!("version-1.jsonl");

fn bytes(text: &str) -> [u8; 32] {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
}

/// Puts the rows and the head of an export into a store, as they stand there.
fn restore(store: &dyn Store, text: &str) {
    let (lines, head) = text.trim_end().rsplit_once('\n').unwrap();
    let head: serde_json::Value = serde_json::from_str(head).unwrap();
    for line in lines.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let body = line.strip_prefix(r#"{"record":"#).unwrap().split_once(r#","hash":"#).unwrap().0;
        let record = Record::from_body(body).unwrap();
        let closes = match &record.event {
            Event::Close(close) => Some(close.opened),
            _ => None,
        };
        let (hash, mac) = ["hash", "mac"].map(|name| bytes(value[name].as_str().unwrap())).into();
        let row = AuditRow {
            seq: record.seq,
            opens: matches!(record.event, Event::Open(_)),
            closes,
            body: body.to_owned(),
            hash,
            mac,
        };
        let mac = bytes(head["head"].as_str().unwrap());
        let head = AuditHead { seq: record.seq, hash, epoch: record.epoch, mac };
        store.audit_append(&mut |_| Ok((row.clone(), head.clone()))).unwrap();
    }
}

fn statement() -> Request {
    let read = |dataset: &str, columns: &[&str]| Read {
        dataset: dataset.to_owned(),
        policy_digest: format!("digest of {dataset}"),
        columns: columns.iter().map(|&column| column.to_owned()).collect(),
    };
    Request {
        dataset: None,
        policy_digest: None,
        columns: Vec::new(),
        statement: Some(Statement::new("SELECT User,\n  n\tFROM jobs", b"secret of a kind")),
        reads: vec![read("jobs", &["User", "Site"]), read("nodes", &["Name"])],
        ..request("r1")
    }
}

#[test]
fn a_log_of_the_first_version_reads_verifies_and_goes_on() {
    let world = World::new();
    restore(&*world.store, VERSION_1);
    let report = world.verify();
    assert_eq!((report.records, report.findings, report.open), (7, vec![], vec![]));
    let told: Vec<_> = world
        .lines(&Filter::default())
        .into_iter()
        .map(|Line { seq, outcome, rows, subject, .. }| (seq, outcome, rows, subject.shard))
        .collect();
    let expected = [
        (1, "done", Some(10), Some(3)),
        (3, "refused", None, None),
        (4, "failed", Some(7), Some(3)),
        (6, "interrupted", None, Some(3)),
    ];
    assert_eq!(told, expected);
    // It is exported as it was written, and what is read is written the same again.
    let mut out = Vec::new();
    export(&*world.store, &mut out).unwrap();
    assert!(VERSION_1.starts_with(std::str::from_utf8(&out).unwrap()));
    for seq in 1..=7 {
        let body = world.body(seq);
        assert_eq!(Record::from_body(&body).unwrap().to_body().unwrap(), body);
    }
    // Old and new records make one chain.
    drop(world.log.open(statement()).unwrap());
    world.log.open(request("r2")).unwrap();
    let report = verify(&*world.store, &ring(&[(1, 5)]), None).unwrap();
    assert_eq!((report.records, report.findings), (11, vec![]));
}

#[test]
fn a_record_without_a_statement_is_one_of_the_first_version() {
    let world = World::new();
    drop(world.log.open(request("one")).unwrap());
    // But for the outcome it is what the first version wrote.
    let first = VERSION_1.lines().next().unwrap();
    assert!(first.contains(&world.body(1)));
    assert!(!world.body(2).contains("version"));
}

#[test]
fn a_statement_stands_in_the_log_with_what_it_reads_and_without_its_parameters() {
    let world = World::new();
    drop(world.log.open(statement()).unwrap());
    let body = world.body(1);
    insta::assert_snapshot!(body, @r#"{"seq":1,"previous":"0000000000000000000000000000000000000000000000000000000000000000","epoch":1,"version":2,"time":"2027-01-15T08:00:00.000000Z","event":{"open":{"request":"r1","partner":"cern","peer":"192.0.2.7:40000","method":"DoGet","shard":3,"statement":{"text":"SELECT User,\n  n\tFROM jobs","sha256":"038df3852caaddaec740f90ccf862250a5ae5937802f614fcaee821124a563d9","parameters_sha256":"e3582f219e6caf08fef5d39abecbe91c88298d952d3e1c3a1046a054c97a385f"},"reads":[{"dataset":"jobs","policy_digest":"digest of jobs","columns":["User","Site"]},{"dataset":"nodes","policy_digest":"digest of nodes","columns":["Name"]}]}}}"#);
    assert!(!world.body(2).contains("version"));
    let record = Record::from_body(&body).unwrap();
    assert_eq!(record.version, 2);
    assert_eq!(record.to_body().unwrap(), body);
    // PRIVACY: parameters may name persons; only their hash is kept.
    assert!(!body.contains("secret"));
    assert_eq!(world.verify().findings, []);
}

#[test]
fn what_was_paid_stands_in_the_close_whoever_makes_it() {
    let world = World::new();
    let loss = Loss { epsilon: "0.1".parse().unwrap(), delta: "1e-9".parse().unwrap() };
    let mut entry = world.log.open(request("one")).unwrap();
    entry.note_payment(Payment::of(loss, 7));
    entry.close(Outcome::Done, 3, 100).unwrap();
    let mut entry = world.log.open(request("two")).unwrap();
    entry.note_payment(Payment::stored());
    // Dropped, as by a panic.
    drop(entry);
    let body = world.body(2);
    assert!(
        body.contains(r#""paid":{"epsilon":"0.1","delta":"0.000000001","stored":false,"entry":7}"#),
        "{body}"
    );
    let record = Record::from_body(&body).unwrap();
    assert_eq!((record.version, record.to_body().unwrap()), (5, body));
    assert!(world.body(4).contains(r#""version":4"#));
    assert!(world.body(4).contains(r#""paid":{"epsilon":"0","delta":"0","stored":true}"#));
    let lines = world.lines(&Filter::default());
    let mut out = Vec::new();
    write_table(&lines, &mut out).unwrap();
    let table = String::from_utf8(out).unwrap();
    assert!(table.contains("done epsilon=0.1") && table.contains("failed R003 stored"), "{table}");
    assert_eq!(world.verify().findings, []);
}

#[test]
fn what_is_done_by_hand_stands_in_the_log_with_its_reason_and_without_its_answer() {
    let world = World::new();
    let deed = Deed {
        reason: format!("ticket 4711:\nabuse {}", "x".repeat(2_000)),
        scope: Some("domain:person|partner:cern|1".to_owned()),
        pseudonym: Some("user_0042".to_owned()),
        file: None,
    };
    let request =
        Request { deed: Some(deed.clone()), method: "MappingLookup".to_owned(), ..request("r1") };
    drop(world.log.open(request).unwrap());
    drop(world.log.open(statement()).unwrap());
    let body = world.body(1);
    let record = Record::from_body(&body).unwrap();
    assert_eq!(record.version, 3);
    assert_eq!(record.to_body().unwrap(), body);
    let Event::Open(subject) = &record.event else { panic!("{body}") };
    let kept = subject.deed.as_ref().unwrap();
    assert_eq!(kept.reason.chars().count(), 1_000);
    assert!(kept.reason.starts_with("ticket 4711:\u{fffd}abuse xxx"), "{}", kept.reason);
    assert_eq!((&kept.scope, &kept.pseudonym), (&deed.scope, &deed.pseudonym));
    assert!(!world.body(2).contains("version"));
    assert_eq!(world.verify().findings, []);
    let mut text = Vec::new();
    write_table(&world.lines(&Filter::default()), &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with("request  statement or reason"), "{text}");
    assert!(lines[1].contains("user_0042: ticket 4711:"), "{text}");
    assert!(lines[2].ends_with("SELECT User, n FROM jobs"), "{text}");
}

#[test]
fn a_long_statement_is_cut_and_its_hash_is_that_of_the_whole() {
    let sql = format!("SELECT '{}\u{1b}é'", "x".repeat(4_000));
    let cut = Statement::new(&sql, &[]);
    assert_eq!(Some(cut.text()), sql.get(..4_000));
    assert_eq!(cut.parameters_sha256, None);
    assert_eq!(cut.sha256, hex(&Sha256::digest(&sql)));
    let short = Statement::new("SELECT\n\u{1b}[2J 'é'", &[]);
    assert_eq!(short.text(), "SELECT\n\u{fffd}[2J 'é'");
}

#[test]
fn statements_are_found_by_each_dataset_and_shown_in_one_line() {
    let world = World::new();
    drop(world.log.open(request("plain")).unwrap());
    drop(world.log.open(statement()).unwrap());
    let long = Statement::new(&format!("SELECT {}", "x, ".repeat(100)), &[]);
    drop(world.log.open(Request { statement: Some(long), ..statement() }).unwrap());
    let seqs = |dataset: &str| -> Vec<u64> {
        let filter = Filter { dataset: Some(dataset.to_owned()), ..Filter::default() };
        world.lines(&filter).into_iter().map(|line| line.seq).collect()
    };
    assert_eq!(seqs("jobs"), [1, 3, 5]);
    assert_eq!(seqs("nodes"), [3, 5]);
    assert!(seqs("job").is_empty());
    let mut text = Vec::new();
    write_table(&world.lines(&Filter::default()), &mut text).unwrap();
    insta::assert_snapshot!(String::from_utf8(text).unwrap(), @r"
    seq  time                  partner  peer             method  dataset       outcome      rows  bytes  ms  request  statement
      1  2027-01-15T08:00:00Z  cern     192.0.2.7:40000  DoGet   jobs#3        failed R003     0      0   0  plain
      3  2027-01-15T08:00:00Z  cern     192.0.2.7:40000  DoGet   jobs+nodes#3  failed R003     0      0   0  r1       SELECT User, n FROM jobs
      5  2027-01-15T08:00:00Z  cern     192.0.2.7:40000  DoGet   jobs+nodes#3  failed R003     0      0   0  r1       SELECT x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x,...
    ");
}
