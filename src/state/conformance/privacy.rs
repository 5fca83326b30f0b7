//! What a store must do with privacy losses: sums that are exact, entries that stay, answers that were paid.

use std::sync::Arc;

use super::Opener;
use crate::error::{Code, Error, Result};
use crate::policy::decimal::Decimal;
use crate::policy::privacy::{Accounting, Loss};
use crate::state::{
    AuditHead, AuditRow, Kept, Link, NO_LINK, NewPrivacyEntry, PrivacyAccount, PrivacyEntry,
    PrivacyState, PrivacySums, Store,
};

const CERN: PrivacyAccount<'_> = PrivacyAccount { partner: "cern", dataset: "jobs" };
const LAB: PrivacyAccount<'_> = PrivacyAccount { partner: "lab", dataset: "jobs" };
const LOGS: PrivacyAccount<'_> = PrivacyAccount { partner: "cern", dataset: "logs" };

fn d(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn loss(epsilon: &str, delta: &str) -> Loss {
    Loss { epsilon: d(epsilon), delta: d(delta) }
}

fn spend(accounting: Accounting, loss: Loss, rho: &str) -> NewPrivacyEntry {
    NewPrivacyEntry::Spend { accounting, loss, rho: d(rho), canonical: "count".to_owned() }
}

fn grant(loss: Loss) -> NewPrivacyEntry {
    NewPrivacyEntry::Grant { loss, reason: "a talk".to_owned() }
}

/// A record that says nothing.
pub(in crate::state) fn told(
    _: &PrivacyEntry,
    _: &Link,
    head: Option<&AuditHead>,
) -> Result<(AuditRow, AuditHead)> {
    let seq = head.map_or(1, |head| head.seq + 1);
    let row = AuditRow {
        seq,
        opens: false,
        closes: None,
        body: String::new(),
        hash: [0; 32],
        mac: [0; 32],
    };
    Ok((row, AuditHead { seq, hash: [0; 32], epoch: 1, mac: [0; 32] }))
}

fn append(
    store: &dyn Store,
    account: PrivacyAccount<'_>,
    question: Option<&str>,
    entry: &NewPrivacyEntry,
) -> Result<u64> {
    store.privacy_append(account, question, 7, &mut |_| Ok(entry.clone()), &mut told)
}

fn entries(store: &dyn Store, partner: Option<&str>, dataset: Option<&str>) -> Vec<PrivacyEntry> {
    let mut found = Vec::new();
    let mut visit = |entry| {
        found.push(entry);
        Ok(())
    };
    store.privacy_entries(partner, dataset, &mut visit).unwrap();
    found
}

pub(super) fn entries_are_summed_exactly_by_partner_and_dataset(open: &Opener) {
    let store = open();
    let nothing =
        PrivacyState { own: PrivacySums::default(), all: PrivacySums::default(), answered: false };
    assert_eq!(store.privacy_sums(CERN).unwrap(), nothing);
    let tenth = spend(Accounting::Pure, loss("0.1", "1e-30"), "0.005");
    let third = spend(Accounting::Zcdp, loss("0.3", "0"), "0.045");
    for (account, question, entry) in [
        (CERN, Some("a"), &tenth),
        (CERN, Some("b"), &third),
        (LAB, Some("a"), &tenth),
        (CERN, None, &grant(loss("0.5", "1e-9"))),
        (LOGS, Some("a"), &tenth),
    ] {
        append(&*store, account, question, entry).unwrap();
    }
    let own = PrivacySums {
        spent: loss("0.4", "1e-30"),
        rho: d("0.05"),
        zcdp: 1,
        granted: loss("0.5", "1e-9"),
    };
    let all = PrivacySums { spent: loss("0.5", "2e-30"), rho: d("0.055"), ..own };
    let expected = PrivacyState { own, all, answered: false };
    assert_eq!(store.privacy_sums(CERN).unwrap(), expected);
    // So another process sees it, and whoever is to decide.
    assert_eq!(open().privacy_sums(CERN).unwrap(), expected);
    let mut seen = None;
    let refused = open().privacy_append(
        CERN,
        Some("c"),
        7,
        &mut |state| {
            seen = Some(*state);
            Err(Error::new(Code::PrivacyBudget, "refused"))
        },
        &mut told,
    );
    assert_eq!(refused.unwrap_err().code(), Code::PrivacyBudget);
    assert_eq!(seen, Some(expected));
    let all = entries(&*store, None, None);
    assert!(all.iter().map(|entry| entry.number).eq(1..=5));
    assert_eq!(
        all[1],
        PrivacyEntry {
            number: 2,
            at_seconds: 7,
            partner: "cern".to_owned(),
            dataset: "jobs".to_owned(),
            question: Some("b".to_owned()),
            answered: false,
            what: third,
        }
    );
    assert_eq!((&all[3].question, &all[3].what), (&None, &grant(loss("0.5", "1e-9"))));
    let numbers = |partner, dataset| -> Vec<u64> {
        entries(&*store, partner, dataset).iter().map(|entry| entry.number).collect()
    };
    assert_eq!(numbers(Some("cern"), None), [1, 2, 4, 5]);
    assert_eq!(numbers(None, Some("jobs")), [1, 2, 3, 4]);
    assert_eq!(numbers(Some("lab"), Some("logs")), [0; 0]);
}

pub(super) fn a_refused_entry_changes_nothing(store: &dyn Store) {
    append(store, CERN, Some("a"), &spend(Accounting::Pure, loss("1", "0"), "0.5")).unwrap();
    let before = store.privacy_sums(CERN).unwrap();
    let refused = store.privacy_append(
        CERN,
        Some("b"),
        7,
        &mut |_| Err(Error::new(Code::PrivacyCap, "refused")),
        &mut told,
    );
    assert_eq!(refused.unwrap_err().to_string(), "refused");
    // What is spent is for a question, and what is granted for none.
    let paid = spend(Accounting::Pure, loss("1", "0"), "0.5");
    assert_eq!(append(store, CERN, None, &paid).unwrap_err().code(), Code::State);
    let granted = grant(loss("1", "0"));
    assert_eq!(append(store, CERN, Some("b"), &granted).unwrap_err().code(), Code::State);
    assert_eq!(store.privacy_sums(CERN).unwrap(), before);
    assert_eq!(entries(store, None, None).len(), 1);
}

/// An entry and its record are written together or not at all, and the record is told the links of all entries.
pub(super) fn an_entry_has_a_record_or_is_not_written(open: &Opener) {
    let store = open();
    let tenth = spend(Accounting::Pure, loss("0.1", "0"), "0.005");
    let mut links = Vec::new();
    let mut tell = |entry: &PrivacyEntry, link: &Link, head: Option<&AuditHead>| {
        links.push((entry.clone(), *link));
        told(entry, link, head)
    };
    for (account, question) in [(CERN, "a"), (LAB, "a"), (CERN, "b")] {
        let mut decide = |_: &PrivacyState| Ok(tenth.clone());
        open().privacy_append(account, Some(question), 7, &mut decide, &mut tell).unwrap();
    }
    let mut link = NO_LINK;
    for (entry, told) in &links {
        link = entry.link(&link);
        assert_eq!(link, *told);
    }
    let before = (store.privacy_sums(CERN).unwrap(), entries(&*store, None, None));
    assert_eq!(before.1, links.into_iter().map(|(entry, _)| entry).collect::<Vec<_>>());
    let mut untold = |_: &PrivacyEntry, _: &Link, _: Option<&AuditHead>| {
        Err(Error::new(Code::State, "no record"))
    };
    let mut decide = |_: &PrivacyState| Ok(tenth.clone());
    let refused = store.privacy_append(CERN, Some("c"), 7, &mut decide, &mut untold);
    assert_eq!(refused.unwrap_err().to_string(), "no record");
    assert_eq!((store.privacy_sums(CERN).unwrap(), entries(&*store, None, None)), before);
    // All of it is seen at one moment: records, entries, sums.
    let mut seen = (0, 0, 0);
    let head = store.audit_all(&mut |kept| {
        match kept {
            Kept::Record(_) => seen.0 += 1,
            Kept::Entry(_) => seen.1 += 1,
            Kept::Sums { .. } => seen.2 += 1,
        }
        Ok(())
    });
    assert_eq!((head.unwrap().unwrap().seq, seen), (3, (3, 3, 2)));
}

pub(super) fn sums_that_cannot_be_counted_are_refused(store: &dyn Store) {
    let half = loss("170141183", "0");
    let large = spend(Accounting::Pure, half, "1");
    append(store, CERN, Some("a"), &large).unwrap();
    append(store, CERN, Some("b"), &large).unwrap();
    let before = store.privacy_sums(CERN).unwrap();
    // Of the partner's own, and of all partners.
    for account in [CERN, LAB] {
        assert_eq!(append(store, account, Some("c"), &large).unwrap_err().code(), Code::State);
    }
    assert_eq!(store.privacy_sums(CERN).unwrap(), before);
}

pub(super) fn answers_belong_to_questions_that_were_paid(open: &Opener) {
    let store = open();
    let tenth = spend(Accounting::Pure, loss("0.1", "0"), "0.005");
    let first = append(&*store, CERN, Some("a"), &tenth).unwrap();
    let second = append(&*store, CERN, Some("a"), &tenth).unwrap();
    let given = append(&*store, CERN, None, &grant(loss("0.1", "0"))).unwrap();
    assert_eq!(store.privacy_answer(CERN, "a").unwrap(), None);
    store.privacy_keep(second, b"second").unwrap();
    assert_eq!(open().privacy_answer(CERN, "a").unwrap(), Some(b"second".to_vec()));
    // Who was faster is given again, though the other one paid, too.
    store.privacy_keep(first, b"first").unwrap();
    assert_eq!(store.privacy_answer(CERN, "a").unwrap(), Some(b"second".to_vec()));
    for (entry, why) in [(first, "again"), (given, "a grant"), (99, "no entry"), (u64::MAX, "none")]
    {
        assert_eq!(store.privacy_keep(entry, b"x").unwrap_err().code(), Code::State, "{why}");
    }
    for (account, question) in [(LAB, "a"), (LOGS, "a"), (CERN, "b"), (CERN, "A")] {
        assert_eq!(store.privacy_answer(account, question).unwrap(), None);
    }
    let answered = |question: &str| {
        let mut seen = None;
        let _ = store.privacy_append(
            CERN,
            Some(question),
            7,
            &mut |state| {
                seen = Some(state.answered);
                Err(Error::new(Code::Internal, "enough"))
            },
            &mut told,
        );
        seen.unwrap()
    };
    assert!(answered("a") && !answered("b"));
    let marks: Vec<bool> =
        entries(&*store, None, None).iter().map(|entry| entry.answered).collect();
    assert_eq!(marks, [true, true, false]);
    // An answer is bytes, nothing at all among them.
    let empty = append(&*store, LAB, Some("e"), &tenth).unwrap();
    store.privacy_keep(empty, b"").unwrap();
    assert_eq!(store.privacy_answer(LAB, "e").unwrap(), Some(Vec::new()));
}

/// Eight threads, half of them with their own connection, spend sevenths of a hundredth; each decides by what
/// it sees.
pub(super) fn concurrent_entries_see_each_other(open: &Opener) {
    let shared = open();
    let limit = d("0.5");
    let paid: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let shared = &shared;
                scope.spawn(move || {
                    let store = if thread % 2 == 0 { Arc::clone(shared) } else { open() };
                    let account = if thread % 3 == 0 { CERN } else { LAB };
                    let more = spend(Accounting::Pure, loss("0.007", "0"), "0.0000245");
                    let mut decide =
                        |state: &PrivacyState| match state.all.spent.epsilon.plus(d("0.007")) {
                            Some(then) if then <= limit => Ok(more.clone()),
                            _ => Err(Error::new(Code::PrivacyCap, "no more")),
                        };
                    let mut spend = || {
                        store.privacy_append(account, Some("q"), 7, &mut decide, &mut told).is_ok()
                    };
                    std::iter::repeat_with(&mut spend).take_while(|paid| *paid).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(paid, 71);
    assert_eq!(entries(&*shared, None, None).len(), 71);
    let state = shared.privacy_sums(CERN).unwrap();
    assert_eq!(state.all.spent, loss("0.497", "0"));
}
