//! What somebody with an editor can do to the account book, and that each of it is found where it is.

use std::sync::Arc;

use super::super::tests::{World, ring};
use super::*;
use crate::audit::verify::Report;
use crate::budget::ledger::{Account, Ledger};
use crate::policy::privacy::Accounting;
use crate::state::PrivacyAccount;

fn loss(epsilon: &str) -> Loss {
    Loss { epsilon: epsilon.parse().unwrap(), delta: Loss::default().delta }
}

fn account(partner: &str) -> Account {
    Account {
        partner: partner.to_owned(),
        dataset: "jobs".to_owned(),
        accounting: Accounting::Pure,
        total: loss("10"),
        cap: Some(loss("20")),
    }
}

fn ledger(world: &World) -> Arc<Ledger> {
    Ledger::new(Arc::clone(&world.store), Arc::new(world.clock.clone()), ring(&[(1, 5)]))
}

fn spend(world: &World, partner: &str, question: &str) {
    drop(ledger(world).spend(&account(partner), question, "count", loss("0.5")).unwrap());
}

/// Five entries: four were spent by two partners, and one was granted.
fn five() -> World {
    let world = World::new();
    spend(&world, "cern", "a");
    spend(&world, "cern", "b");
    spend(&world, "lab", "a");
    ledger(&world).grant(&account("cern"), loss("1"), "a talk").unwrap();
    spend(&world, "cern", "c");
    let report = world.verify();
    assert!(report.is_whole(), "{report:?}");
    assert_eq!((report.records, report.entries, report.untied), (5, 5, 0));
    world
}

/// Past the triggers, which hold nobody who can drop them.
const OPEN: &str = "DROP TRIGGER privacy_entry_stays; DROP TRIGGER privacy_entry_is_kept;
                    PRAGMA foreign_keys = OFF;";

fn found(world: &World) -> Vec<Discord> {
    let Report { findings, discords, discords_total, .. } = world.verify();
    assert_eq!((findings, discords_total), (vec![], discords.len() as u64));
    discords
}

/// What is found after an edit.
fn after(sql: &str) -> Vec<Discord> {
    let world = five();
    world.edit(&format!("{OPEN} {sql}"));
    assert!(!world.verify().is_whole(), "{sql}");
    found(&world)
}

fn sums(partner: &str) -> Discord {
    Discord::Sums { dataset: "jobs".to_owned(), partner: partner.to_owned() }
}

#[test]
fn an_entry_that_was_removed_is_missed() {
    assert_eq!(
        after("DELETE FROM privacy_entry WHERE number = 2"),
        [Discord::Missing { entry: 2, to: 2 }, sums("cern")]
    );
    // Also where the sums are made to fit.
    assert_eq!(
        after(
            "DELETE FROM privacy_entry WHERE number = 2;
             UPDATE privacy_sum SET epsilon = '1', rho = '0.25' WHERE partner = 'cern'"
        ),
        [Discord::Missing { entry: 2, to: 2 }]
    );
    assert_eq!(
        after("DELETE FROM privacy_entry WHERE number <= 3")[0],
        Discord::Missing { entry: 1, to: 3 }
    );
}

#[test]
fn an_entry_that_was_changed_is_named_and_no_other_one() {
    for (change, also) in [
        ("epsilon = '0.000001'", vec![sums("cern")]),
        ("delta = '0.1'", vec![sums("cern")]),
        ("rho = '0'", vec![sums("cern")]),
        ("partner = 'lab'", vec![sums("cern"), sums("lab")]),
        ("dataset = 'logs'", vec![]),
        ("accounting = 'zcdp'", vec![sums("cern")]),
        ("question = 'x'", vec![]),
        ("canonical = 'x'", vec![]),
        ("at_seconds = 1", vec![]),
    ] {
        let found = after(&format!("UPDATE privacy_entry SET {change} WHERE number = 2"));
        assert_eq!(found[0], Discord::Changed { entry: 2, seq: 2 }, "{change}");
        if !change.starts_with("dataset") {
            assert_eq!(found[1..], also, "{change}");
        }
    }
    let granted = "UPDATE privacy_entry SET epsilon = '9' WHERE number = 4";
    assert_eq!(after(granted), [Discord::Changed { entry: 4, seq: 4 }, sums("cern")]);
    // Whoever makes all links anew does not make the records that hold them.
    let links = "UPDATE privacy_entry SET epsilon = '0.1', link = zeroblob(32) WHERE number = 2";
    assert_eq!(after(links)[0], Discord::Changed { entry: 2, seq: 2 });
}

#[test]
fn entries_that_changed_places_are_found() {
    let swapped = "UPDATE privacy_entry SET number = 99 WHERE number = 2;
                   UPDATE privacy_entry SET number = 2 WHERE number = 3;
                   UPDATE privacy_entry SET number = 3 WHERE number = 99";
    let expected = [Discord::Changed { entry: 2, seq: 2 }, Discord::Changed { entry: 3, seq: 3 }];
    assert_eq!(after(swapped), expected);
}

#[test]
fn a_book_that_was_cut_at_its_end_is_found_also_when_it_goes_on() {
    let cut = "DELETE FROM privacy_entry WHERE number = 5;
               UPDATE privacy_sum SET epsilon = '1', rho = '0.25' WHERE partner = 'cern'";
    assert_eq!(after(cut), [Discord::Cut { last: 4, told: 5 }]);
    let all = "DELETE FROM privacy_entry; DELETE FROM privacy_sum";
    assert_eq!(after(all), [Discord::Cut { last: 0, told: 5 }]);
    // The next entry takes the number, and has a record of its own.
    let world = five();
    world.edit(&format!("{OPEN} {cut}"));
    spend(&world, "cern", "d");
    assert_eq!(found(&world), [Discord::Twice { entry: 5, seq: 6 }]);
}

#[test]
fn sums_that_were_set_by_hand_are_found() {
    assert_eq!(after("UPDATE privacy_sum SET epsilon = '0' WHERE partner = 'lab'"), [sums("lab")]);
    assert_eq!(after("DELETE FROM privacy_sum WHERE partner = 'lab'"), [sums("lab")]);
    let granted = "UPDATE privacy_sum SET granted_epsilon = '5' WHERE partner = 'cern'";
    assert_eq!(after(granted), [sums("cern")]);
}

#[test]
fn an_entry_that_was_put_in_is_found() {
    let put = "INSERT INTO privacy_entry
               SELECT 6, at_seconds, partner, dataset, kind, accounting, epsilon, rho, delta, question,
                      canonical, reason, link FROM privacy_entry WHERE number = 4;";
    assert_eq!(after(put), [Discord::Untold { entry: 6 }, sums("cern")]);
}

#[test]
fn entries_of_before_there_were_records_are_tied_by_the_first_that_has_one() {
    let old = |world: &World| {
        // What an earlier version wrote: entries without links and records.
        world.edit(
            "INSERT INTO privacy_entry
             VALUES (1, 7, 'cern', 'jobs', 'spend', 'pure', '0.5', '0.125', '0', 'a', 'count', NULL, NULL),
                    (2, 7, 'cern', 'jobs', 'spend', 'pure', '0.5', '0.125', '0', 'b', 'count', NULL, NULL);
             INSERT INTO privacy_sum VALUES ('jobs', 'cern', '1', '0.25', '0', 0, '0', '0')",
        );
    };
    let world = World::new();
    old(&world);
    let report = world.verify();
    assert!(report.is_whole(), "{report:?}");
    assert_eq!((report.entries, report.untied), (2, 2));
    spend(&world, "cern", "c");
    let key = PrivacyAccount { partner: "cern", dataset: "jobs" };
    assert_eq!(world.store.privacy_sums(key).unwrap().own.spent, loss("1.5"));
    let report = world.verify();
    assert!(report.is_whole(), "{report:?}");
    assert_eq!((report.entries, report.untied), (3, 0));
    // From then on they stay what they are.
    world.edit(&format!("{OPEN} UPDATE privacy_entry SET epsilon = '0.1' WHERE number = 1"));
    assert_eq!(found(&world), [Discord::Changed { entry: 3, seq: 1 }, sums("cern")]);
}

#[test]
fn nothing_is_spent_where_the_log_was_tampered_with() {
    let world = five();
    world.edit("UPDATE audit_head SET seq = 4");
    let refused = ledger(&world).spend(&account("lab"), "z", "count", loss("0.5"));
    assert_eq!(refused.unwrap_err().code(), crate::error::Code::State);
    let key = PrivacyAccount { partner: "lab", dataset: "jobs" };
    assert_eq!(world.store.privacy_sums(key).unwrap().own.spent, loss("0.5"));
}
