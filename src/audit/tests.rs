//! The log as a whole: what is written, and that each kind of tampering is found where it is.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::show::{Filter, Line, export, lines, write_table};
use super::verify::{Anchor, Fault, Finding, Report, verify};
use super::*;
use crate::clock::ManualClock;
use crate::error::Error;
use crate::keys::Secret;
use crate::state::Sqlite;

/// A log in a file that an editor can get at. The time is 2027-01-15 08:00 UTC.
pub(super) struct World {
    pub(super) path: PathBuf,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: ManualClock,
    pub(super) log: Log,
    _folder: TempDir,
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.sqlite");
        let clock = ManualClock::new(1_800_000_000_000_000);
        let store: Arc<dyn Store> = Arc::new(Sqlite::open(&path, Arc::new(clock.clone())).unwrap());
        let log = Log::new(Arc::clone(&store), Arc::new(clock.clone()), ring(&[(1, 5)]));
        Self { path, store, clock, log, _folder: folder }
    }

    /// Six records: three requests, opened and closed one after the other.
    fn with_six_records() -> Self {
        let world = Self::new();
        for id in ["one", "two", "three"] {
            let entry = world.log.open(request(id)).unwrap();
            world.clock.advance_seconds(2);
            entry.close(Outcome::Done, 10, 200).unwrap();
        }
        assert_eq!(world.findings(), []);
        world
    }

    pub(super) fn verify(&self) -> Report {
        verify(&*self.store, &ring(&[(1, 5)]), None).unwrap()
    }

    fn findings(&self) -> Vec<(u64, Fault)> {
        self.verify().findings.into_iter().map(|Finding { seq, fault }| (seq, fault)).collect()
    }

    /// Does what someone with an SQLite editor can do.
    pub(super) fn edit(&self, sql: &str) {
        Connection::open(&self.path).unwrap().execute_batch(sql).unwrap();
    }

    pub(super) fn body(&self, seq: u64) -> String {
        let mut body = String::new();
        self.store
            .audit_read(&mut |row| {
                if row.seq == seq {
                    body = row.body;
                }
                Ok(())
            })
            .unwrap();
        body
    }

    fn end(&self) -> Anchor {
        self.verify().end.unwrap()
    }

    pub(super) fn lines(&self, filter: &Filter) -> Vec<Line> {
        lines(&*self.store, filter).unwrap()
    }
}

pub(super) fn ring(epochs: &[(u32, u8)]) -> Arc<KeyRing> {
    let epochs = epochs.iter().map(|(epoch, seed)| (*epoch, Secret::new([*seed; 32]))).collect();
    Arc::new(KeyRing::new(epochs).unwrap())
}

pub(super) fn request(id: &str) -> Request {
    Request {
        id: id.to_owned(),
        partner: "cern".to_owned(),
        peer: "192.0.2.7:40000".to_owned(),
        method: "DoGet".to_owned(),
        dataset: Some("jobs".to_owned()),
        policy_digest: Some("sha256:ab".to_owned()),
        columns: vec!["User".to_owned(), "Site".to_owned()],
        shard: Some(3),
        ..Request::default()
    }
}

fn stranger(peer: &str) -> Request {
    Request { peer: peer.to_owned(), method: "Handshake".to_owned(), ..Request::default() }
}

#[test]
fn a_record_is_one_json_object_in_a_fixed_order() {
    let world = World::new();
    let entry = world.log.open(request("r1")).unwrap();
    assert_eq!(entry.id(), "r1");
    world.clock.advance_seconds(2);
    entry.close(Outcome::Failed(Code::StreamIdle), 10, 200).unwrap();
    assert_eq!(
        world.body(1),
        concat!(
            r#"{"seq":1,"previous":"0000000000000000000000000000000000000000000000000000000000000000","#,
            r#""epoch":1,"time":"2027-01-15T08:00:00.000000Z","event":{"open":{"request":"r1","#,
            r#""partner":"cern","peer":"192.0.2.7:40000","method":"DoGet","dataset":"jobs","#,
            r#""policy_digest":"sha256:ab","columns":["User","Site"],"shard":3}}}"#
        )
    );
    let first = Sha256::new().chain_update([0; 32]).chain_update(world.body(1)).finalize();
    assert_eq!(
        world.body(2),
        format!(
            concat!(
                r#"{{"seq":2,"previous":"{}","epoch":1,"time":"2027-01-15T08:00:02.000000Z","#,
                r#""event":{{"close":{{"opened":1,"request":"r1","outcome":"failed","code":"L003","#,
                r#""rows":10,"bytes":200,"duration_ms":2000}}}}}}"#
            ),
            data_encoding::HEXLOWER.encode(&first)
        )
    );
}

#[test]
fn an_entry_is_in_the_log_before_anything_is_read() {
    let world = World::new();
    let entry = world.log.open(request("r1")).unwrap();
    let report = world.verify();
    assert_eq!((report.records, report.open, report.findings_total), (1, vec![1], 0));
    drop(entry);
}

#[test]
fn a_dropped_entry_closes_as_abandoned_with_what_has_left() {
    let world = World::new();
    let mut entry = world.log.open(request("r1")).unwrap();
    entry.note(7, 99);
    drop(entry);
    let line = world.lines(&Filter::default()).remove(0);
    assert_eq!((line.outcome, line.code.as_deref()), ("failed", Some("R003")));
    assert_eq!((line.rows, line.bytes), (Some(7), Some(99)));
    assert_eq!(world.findings(), []);
}

#[test]
fn what_a_crash_left_open_is_closed_as_interrupted() {
    let world = World::with_six_records();
    // A crash runs no destructors.
    std::mem::forget(world.log.open(request("four")).unwrap());
    assert_eq!(world.verify().open, [7]);
    assert_eq!(world.log.recover().unwrap(), 1);
    assert_eq!(world.log.recover().unwrap(), 0);
    let report = world.verify();
    assert_eq!((report.records, report.findings_total), (8, 0));
    assert!(report.open.is_empty());
    let line = world.lines(&Filter::default()).pop().unwrap();
    assert_eq!((line.seq, line.outcome, line.rows), (7, "interrupted", None));
}

#[test]
fn a_request_that_outlives_a_recovery_still_closes() {
    let world = World::new();
    let entry = world.log.open(request("r1")).unwrap();
    world.log.recover().unwrap();
    entry.close(Outcome::Done, 1, 2).unwrap();
    assert_eq!(world.findings(), []);
    assert_eq!(world.lines(&Filter::default())[0].outcome, "done");
}

#[test]
fn an_empty_log_is_whole() {
    let report = World::new().verify();
    assert!(report.is_whole());
    assert_eq!((report.records, report.end), (0, None));
}

#[test]
fn an_edited_record_is_found() {
    let world = World::with_six_records();
    world.edit("UPDATE audit SET body = replace(body, '\"rows\":10', '\"rows\":11') WHERE seq = 4");
    assert_eq!(world.findings(), [(4, Fault::Edited)]);
    assert_eq!(
        world.verify().findings[0].to_string(),
        "edited: record 4 is not the text that was sealed"
    );
    let world = World::with_six_records();
    world.edit("UPDATE audit SET body = 'no json' WHERE seq = 6");
    assert_eq!(world.findings(), [(6, Fault::Edited)]);
    let world = World::with_six_records();
    world.edit("UPDATE audit SET closes = 1 WHERE seq = 4");
    assert_eq!(world.findings(), [(4, Fault::Edited)]);
}

#[test]
fn an_edited_record_whose_hash_was_recomputed_is_forged() {
    let world = World::with_six_records();
    let previous = Sha256::new().chain_update([0; 32]).chain_update(world.body(1)).finalize();
    let body = world.body(2).replace("\"rows\":10", "\"rows\":99");
    let hash = Sha256::new().chain_update(previous).chain_update(&body).finalize();
    let hex = data_encoding::HEXLOWER.encode(&hash);
    world.edit(&format!("UPDATE audit SET body = '{body}', hash = x'{hex}' WHERE seq = 2"));
    assert_eq!(world.findings(), [(2, Fault::Forged)]);
}

#[test]
fn a_whole_chain_recomputed_without_the_key_is_forged_from_there_on() {
    let world = World::with_six_records();
    let mut previous: [u8; 32] =
        Sha256::new().chain_update([0; 32]).chain_update(world.body(1)).finalize().into();
    for seq in 2..=6 {
        let mut body = world.body(seq).replace("\"request\":\"", "\"request\":\"x");
        let old = body.split('"').nth(5).unwrap().to_owned();
        body = body.replace(&old, &data_encoding::HEXLOWER.encode(&previous));
        previous = Sha256::new().chain_update(previous).chain_update(&body).finalize().into();
        let hex = data_encoding::HEXLOWER.encode(&previous);
        world.edit(&format!("UPDATE audit SET body = '{body}', hash = x'{hex}' WHERE seq = {seq}"));
    }
    let hex = data_encoding::HEXLOWER.encode(&previous);
    world.edit(&format!("UPDATE audit_head SET hash = x'{hex}'"));
    let forged = |seq| (seq, Fault::Forged);
    assert_eq!(
        world.findings(),
        [forged(2), forged(3), forged(4), forged(5), forged(6), (6, Fault::Head)]
    );
}

#[test]
fn a_chain_made_with_another_key_is_forged() {
    let world = World::with_six_records();
    let report = verify(&*world.store, &ring(&[(1, 6)]), None).unwrap();
    assert_eq!(report.findings_total, 7);
    assert!(report.findings[..6].iter().all(|finding| finding.fault == Fault::Forged));
}

#[test]
fn a_missing_record_is_found() {
    let world = World::with_six_records();
    world.edit("DELETE FROM audit WHERE seq = 3");
    assert_eq!(world.findings(), [(3, Fault::Missing { to_seq: 3 })]);
    world.edit("DELETE FROM audit WHERE seq IN (1, 2)");
    assert_eq!(world.findings(), [(1, Fault::Missing { to_seq: 3 })]);
    assert_eq!(world.verify().findings[0].to_string(), "missing: records 1 to 3");
}

#[test]
fn records_that_close_up_after_one_is_gone_are_found() {
    let world = World::with_six_records();
    world.edit(
        "DELETE FROM audit WHERE seq = 5; UPDATE audit SET seq = 5 WHERE seq = 6;
         UPDATE audit_head SET seq = 5",
    );
    assert_eq!(world.findings(), [(5, Fault::Reordered { own_seq: 6 }), (5, Fault::Head)]);
}

#[test]
fn swapped_records_are_found() {
    let world = World::with_six_records();
    world.edit(
        "UPDATE audit SET seq = 100 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 4;
         UPDATE audit SET seq = 4 WHERE seq = 100",
    );
    assert_eq!(
        world.findings(),
        [(2, Fault::Reordered { own_seq: 4 }), (4, Fault::Reordered { own_seq: 2 })]
    );
}

#[test]
fn a_log_cut_at_its_end_is_found() {
    let world = World::with_six_records();
    world.edit("DELETE FROM audit WHERE seq > 4");
    assert_eq!(world.findings(), [(6, Fault::Cut { last_seq: 4 })]);
    world.edit("DELETE FROM audit");
    assert_eq!(world.findings(), [(6, Fault::Cut { last_seq: 0 })]);
}

#[test]
fn a_cut_log_with_a_head_to_match_is_found() {
    let world = World::with_six_records();
    let cut = "DELETE FROM audit WHERE seq > 4;
               UPDATE audit_head SET seq = 4, hash = (SELECT hash FROM audit WHERE seq = 4)";
    world.edit(cut);
    assert_eq!(world.findings(), [(4, Fault::Head)]);
    // The mac of the record is no help: it is under another key.
    world.edit("UPDATE audit_head SET mac = (SELECT mac FROM audit WHERE seq = 4)");
    assert_eq!(world.findings(), [(4, Fault::Head)]);
    world.edit("DELETE FROM audit_head");
    assert_eq!(world.findings(), [(4, Fault::Head)]);
}

#[test]
fn records_behind_the_head_are_found() {
    let world = World::with_six_records();
    world.edit(
        "INSERT INTO audit SELECT 7, opens, closes, body, hash, mac FROM audit WHERE seq = 6",
    );
    assert_eq!(world.findings(), [(7, Fault::Reordered { own_seq: 6 })]);
}

#[test]
fn nothing_is_added_to_a_log_whose_head_is_forged() {
    let world = World::with_six_records();
    world.edit(
        "DELETE FROM audit WHERE seq > 4;
         UPDATE audit_head SET seq = 4, hash = (SELECT hash FROM audit WHERE seq = 4)",
    );
    let error: Error = world.log.open(request("five")).unwrap_err();
    assert_eq!(error.code(), Code::State);
    assert!(error.to_string().starts_with("the head of the audit log is not authentic"));
    assert_eq!(world.verify().records, 4);
}

#[test]
fn an_older_state_put_back_is_whole_and_not_as_noted() {
    let world = World::with_six_records();
    // A copy of the state as it is now.
    let copy = world.path.with_file_name("copy.sqlite");
    world.edit(&format!("VACUUM INTO '{}'", copy.display()));
    world.log.open(request("four")).unwrap().close(Outcome::Done, 1, 1).unwrap();
    let noted = world.end();
    assert_eq!(noted.seq, 8);
    assert!(verify(&*world.store, &ring(&[(1, 5)]), Some(&noted)).unwrap().is_whole());
    let old = open_copy(&copy);
    assert!(verify(&old, &ring(&[(1, 5)]), None).unwrap().is_whole());
    let report = verify(&old, &ring(&[(1, 5)]), Some(&noted)).unwrap();
    assert_eq!(report.findings, [Finding { seq: 8, fault: Fault::RolledBack { last_seq: 6 } }]);
    // The old state goes on under the same key and grows as long as before.
    let log = Log::new(Arc::new(open_copy(&copy)), Arc::new(world.clock.clone()), ring(&[(1, 5)]));
    log.open(request("other")).unwrap().close(Outcome::Done, 9, 9).unwrap();
    let report = verify(&old, &ring(&[(1, 5)]), Some(&noted)).unwrap();
    assert_eq!(report.findings, [Finding { seq: 8, fault: Fault::NotAsNoted }]);
}

fn open_copy(path: &Path) -> Sqlite {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    Sqlite::open(path, Arc::new(ManualClock::new(0))).unwrap()
}

#[test]
fn a_log_goes_on_over_a_key_rotation_and_needs_the_old_key_to_verify() {
    let world = World::with_six_records();
    let rotated = ring(&[(1, 5), (2, 9)]);
    let log =
        Log::new(Arc::clone(&world.store), Arc::new(world.clock.clone()), Arc::clone(&rotated));
    log.open(request("four")).unwrap().close(Outcome::Done, 1, 1).unwrap();
    assert!(verify(&*world.store, &rotated, None).unwrap().is_whole());
    let report = verify(&*world.store, &ring(&[(2, 9)]), None).unwrap();
    assert_eq!(report.findings_total, 6);
    assert_eq!(report.findings[0], Finding { seq: 1, fault: Fault::KeyMissing { epoch: 1 } });
}

#[test]
fn a_close_without_an_open_is_found() {
    let world = World::with_six_records();
    world
        .log
        .shared
        .append(Event::Close(Close {
            opened: 3,
            request: "x".to_owned(),
            outcome: Ending::Done,
            code: None,
            rows: None,
            bytes: None,
            duration_ms: None,
            paid: None,
        }))
        .unwrap();
    assert_eq!(world.findings(), [(7, Fault::Unpaired { closes: 3 })]);
}

#[test]
fn failed_credentials_are_counted_by_address_and_minute() {
    let world = World::new();
    let refuse = |peer: &str| {
        world.log.refused(&stranger(peer), Code::CredentialsRefused).unwrap();
    };
    for port in 0..100 {
        refuse(&format!("192.0.2.1:{}", 40_000 + port));
    }
    refuse("[2001:db8::1]:40000");
    // The first of each address stands there at once, the other 99 not yet.
    let counts = |lines: Vec<Line>| -> Vec<(String, u64)> {
        lines.into_iter().map(|line| (line.subject.peer, line.count)).collect()
    };
    let first = ("192.0.2.1:40000".to_owned(), 1);
    let second = ("[2001:db8::1]:40000".to_owned(), 1);
    assert_eq!(counts(world.lines(&Filter::default())), [first.clone(), second.clone()]);
    world.clock.advance_seconds(60);
    refuse("192.0.2.9:1");
    let later = [first, second, ("192.0.2.1:40099".to_owned(), 99), ("192.0.2.9:1".to_owned(), 1)];
    assert_eq!(counts(world.lines(&Filter::default())), later);
    assert_eq!(world.findings(), []);
}

#[test]
fn a_flood_from_many_addresses_stays_bounded_and_loses_no_count() {
    let world = World::new();
    for host in 0..1500 {
        let peer = format!("10.0.{}.{}:1", host / 250, host % 250);
        world.log.refused(&stranger(&peer), Code::CredentialsMissing).unwrap();
    }
    world.log.flush().unwrap();
    let lines = world.lines(&Filter::default());
    assert_eq!(lines.len(), 1024 + 2);
    assert_eq!(lines.iter().map(|line| line.count).sum::<u64>(), 1500);
    assert_eq!(lines.last().unwrap().subject.peer, "many addresses");
}

#[test]
fn counted_refusals_are_written_when_the_log_ends() {
    let world = World::new();
    let World { store, clock, .. } = &world;
    let log = Log::new(Arc::clone(store), Arc::new(clock.clone()), ring(&[(1, 5)]));
    for _ in 0..3 {
        log.refused(&stranger("192.0.2.1:1"), Code::CredentialsMissing).unwrap();
    }
    let copy = log.clone();
    drop(log);
    assert_eq!(world.lines(&Filter::default()).len(), 1);
    drop(copy);
    let counts: Vec<u64> = world.lines(&Filter::default()).iter().map(|line| line.count).collect();
    assert_eq!(counts, [1, 2]);
}

#[test]
fn refusals_of_known_partners_are_written_one_by_one() {
    let world = World::new();
    for _ in 0..3 {
        world.log.refused(&request("r"), Code::DatasetUnknown).unwrap();
    }
    let lines = world.lines(&Filter::default());
    assert_eq!(lines.len(), 3);
    assert_eq!((lines[0].outcome, lines[0].code.as_deref()), ("refused", Some("D001")));
}

#[test]
fn texts_from_outside_are_cut_and_cleaned() {
    let world = World::new();
    let request = Request {
        partner: "x".repeat(10_000),
        method: "Do\u{1b}[2JGet\n".to_owned(),
        ..request("r1")
    };
    world.log.refused(&request, Code::Unsupported).unwrap();
    let line = world.lines(&Filter::default()).remove(0);
    assert_eq!(line.subject.partner.len(), 256);
    assert_eq!(line.subject.method, "Do\u{fffd}[2JGet\u{fffd}");
}

#[test]
fn lines_are_filtered() {
    let world = World::with_six_records();
    let other = Request {
        partner: "other".to_owned(),
        dataset: Some("nodes".to_owned()),
        ..request("four")
    };
    drop(world.log.open(other).unwrap());
    let seqs = |filter: Filter| -> Vec<u64> {
        world.lines(&filter).into_iter().map(|line| line.seq).collect()
    };
    assert_eq!(seqs(Filter::default()), [1, 3, 5, 7]);
    assert_eq!(seqs(Filter { partner: Some("cern".to_owned()), ..Filter::default() }), [1, 3, 5]);
    assert_eq!(seqs(Filter { dataset: Some("nodes".to_owned()), ..Filter::default() }), [7]);
    let since = Some(1_800_000_004_000_000);
    assert_eq!(seqs(Filter { since_micros: since, ..Filter::default() }), [5, 7]);
    assert_eq!(seqs(Filter { limit: Some(2), ..Filter::default() }), [5, 7]);
}

#[test]
fn the_table_reads_well() {
    let world = World::new();
    let entry = world.log.open(request("r1")).unwrap();
    world.clock.advance_seconds(2);
    entry.close(Outcome::Done, 200_000, 123).unwrap();
    world.log.refused(&stranger("192.0.2.1:1"), Code::CredentialsMissing).unwrap();
    let mut text = Vec::new();
    write_table(&world.lines(&Filter::default()), &mut text).unwrap();
    insta::assert_snapshot!(String::from_utf8(text).unwrap(), @r"
    seq  time                  partner  peer             method     dataset  outcome         rows  bytes    ms  request
      1  2027-01-15T08:00:00Z  cern     192.0.2.7:40000  DoGet      jobs#3   done          200000    123  2000  r1
      3  2027-01-15T08:00:02Z           192.0.2.1:1      Handshake           refused I001
    ");
}

#[test]
fn an_export_can_be_verified_by_others() {
    let world = World::with_six_records();
    let mut text = Vec::new();
    assert_eq!(export(&*world.store, &mut text).unwrap(), 6);
    let text = String::from_utf8(text).unwrap();
    let mut previous = vec![0; 32];
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let body = line.strip_prefix(r#"{"record":"#).unwrap().split_once(r#","hash":"#).unwrap().0;
        assert_eq!(value["record"].to_string(), body);
        previous = Sha256::new().chain_update(&previous).chain_update(body).finalize().to_vec();
        assert_eq!(value["hash"], data_encoding::HEXLOWER.encode(&previous));
    }
    assert_eq!(
        data_encoding::HEXLOWER.encode(&previous),
        data_encoding::HEXLOWER.encode(&world.end().hash)
    );
}

#[test]
fn an_anchor_reads_back_and_nonsense_does_not() {
    let anchor = World::with_six_records().end();
    assert_eq!(anchor.to_string().parse::<Anchor>().unwrap(), anchor);
    for wrong in ["", "6", "6:", "x:00", "6:00", ":"] {
        assert_eq!(
            wrong.parse::<Anchor>().unwrap_err(),
            format!("`{wrong}` is not of the form SEQ:HASH")
        );
    }
}

#[test]
fn many_threads_keep_one_chain() {
    let world = World::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let log = world.log.clone();
            scope.spawn(move || {
                for step in 0..10 {
                    let entry = log.open(request(&format!("{thread}-{step}"))).unwrap();
                    entry.close(Outcome::Done, 1, 1).unwrap();
                }
            });
        }
    });
    let report = world.verify();
    assert_eq!((report.records, report.findings_total, report.open.len()), (80, 0, 0));
}
