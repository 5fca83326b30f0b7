//! What every store must do, as one suite that each implementation's tests call. It does not test how
//! a store keeps its promises through a crash; that is for the implementation's own tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;

use super::{Amount, AuditHead, AuditRow, PartnerRecord, Store, Usage};
use crate::error::{Code, Error};

/// Runs the suite. Each call of `open` opens the same state again, as another process would; `fresh`
/// opens one that is empty.
pub(crate) fn all(fresh: &dyn Fn() -> Opener) {
    partners_are_found_by_all_that_proves_them(&*fresh()());
    a_taken_name_token_certificate_or_subject_is_refused(&*fresh()());
    a_partner_is_changed_in_one_step(&*fresh()());
    concurrent_changes_of_a_partner_are_all_kept(&fresh());
    tokens_are_numbered_in_the_order_given(&*fresh()());
    scopes_do_not_share_numbers(&*fresh()());
    odd_values_are_values_like_others(&*fresh()());
    tokens_stay_when_the_state_is_opened_again(&fresh());
    concurrent_threads_never_share_or_split_a_number(&fresh());
    audit_rows_follow_each_other(&*fresh()());
    a_failed_append_changes_nothing(&*fresh()());
    concurrent_appends_leave_no_gap(&fresh());
    unclosed_rows_are_told(&*fresh()());
    what_was_taken_is_kept_by_day_partner_and_dataset(&*fresh()());
    a_refused_claim_changes_nothing(&*fresh()());
    a_day_does_not_come_back(&*fresh()());
    what_is_given_back_goes_down_to_nothing_and_no_further(&*fresh()());
    what_is_forgotten_is_that_of_one_partner(&*fresh()());
    concurrent_claims_never_pass_a_limit(&fresh());
}

/// Opens the same state, each time anew.
pub(crate) type Opener = Box<dyn Fn() -> Arc<dyn Store> + Send + Sync>;

fn record(name: &str, seed: u8) -> PartnerRecord {
    PartnerRecord {
        name: name.to_owned(),
        token_hash: Some([seed; 32]),
        certificates: vec![[seed; 32], [seed + 100; 32]],
        subjects: vec![format!("dns:{name}.example.org"), format!("uri:spiffe://x/{name}")],
        require_certificate: true,
        expires: Some("2027-06-30".parse().unwrap()),
        disabled: false,
        created_seconds: 1_800_000_000,
    }
}

fn partners_are_found_by_all_that_proves_them(store: &dyn Store) {
    let cern = record("cern", 1);
    let bare = PartnerRecord {
        token_hash: None,
        certificates: Vec::new(),
        subjects: Vec::new(),
        require_certificate: false,
        expires: None,
        disabled: true,
        ..record("bare", 9)
    };
    assert!(store.add_partner(&cern).unwrap());
    assert!(store.add_partner(&bare).unwrap());
    assert_eq!(store.partner("cern").unwrap(), Some(cern.clone()));
    assert_eq!(store.partner("bare").unwrap(), Some(bare.clone()));
    assert_eq!(store.partner_by_token(&[1; 32]).unwrap(), Some(cern.clone()));
    assert_eq!(store.partner_by_certificate(&[101; 32]).unwrap(), Some(cern.clone()));
    assert_eq!(store.partner_by_subject("dns:cern.example.org").unwrap(), Some(cern.clone()));
    assert_eq!(store.partner("CERN").unwrap(), None);
    assert_eq!(store.partner_by_token(&[0; 32]).unwrap(), None);
    assert_eq!(store.partner_by_certificate(&[0; 32]).unwrap(), None);
    assert_eq!(store.partner_by_subject("dns:example.org").unwrap(), None);
    assert_eq!(store.partners().unwrap(), [bare, cern]);
}

fn a_taken_name_token_certificate_or_subject_is_refused(store: &dyn Store) {
    assert!(store.add_partner(&record("cern", 1)).unwrap());
    let other = record("other", 2);
    let clashes = [
        PartnerRecord { name: "cern".to_owned(), ..other.clone() },
        PartnerRecord { token_hash: Some([1; 32]), ..other.clone() },
        PartnerRecord { certificates: vec![[2; 32], [101; 32]], ..other.clone() },
        PartnerRecord { subjects: vec!["dns:cern.example.org".to_owned()], ..other.clone() },
    ];
    for clash in clashes {
        assert!(!store.add_partner(&clash).unwrap(), "{clash:?}");
        assert_eq!(store.partners().unwrap(), [record("cern", 1)]);
        assert_eq!(store.partner_by_certificate(&[2; 32]).unwrap(), None);
    }
    assert!(store.add_partner(&other).unwrap());
    let taken = store.update_partner("other", &mut |record| record.token_hash = Some([1; 32]));
    assert_eq!(taken.unwrap_err().code(), Code::State);
    assert_eq!(store.partner("other").unwrap(), Some(other));
}

fn a_partner_is_changed_in_one_step(store: &dyn Store) {
    assert!(!store.update_partner("cern", &mut |_| {}).unwrap());
    assert!(store.add_partner(&record("cern", 1)).unwrap());
    let changed = store.update_partner("cern", &mut |record| {
        record.name = "renamed".to_owned();
        record.disabled = true;
        record.certificates = vec![[7; 32]];
        record.subjects.clear();
    });
    assert!(changed.unwrap());
    let expected = PartnerRecord {
        disabled: true,
        certificates: vec![[7; 32]],
        subjects: Vec::new(),
        ..record("cern", 1)
    };
    assert_eq!(store.partners().unwrap(), [expected]);
    assert_eq!(store.partner_by_certificate(&[1; 32]).unwrap(), None);
}

fn concurrent_changes_of_a_partner_are_all_kept(open: &Opener) {
    let store = open();
    let start = PartnerRecord { created_seconds: 0, ..record("cern", 1) };
    assert!(store.add_partner(&start).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = open();
                for _ in 0..5 {
                    store.update_partner("cern", &mut |r| r.created_seconds += 1).unwrap();
                }
            });
        }
    });
    assert_eq!(store.partner("cern").unwrap().unwrap().created_seconds, 20);
}

fn tokens_are_numbered_in_the_order_given(store: &dyn Store) {
    assert_eq!(store.numbers("s", &[]).unwrap(), [0; 0]);
    assert_eq!(store.numbers("s", &["b", "a", "b", "c"]).unwrap(), [1, 2, 1, 3]);
    assert_eq!(store.numbers("s", &["d", "a", "e", "d"]).unwrap(), [4, 2, 5, 4]);
    assert_eq!(store.numbers("s", &["c", "b", "a"]).unwrap(), [3, 1, 2]);
    let tokens = store.tokens("s").unwrap();
    let listed: Vec<_> = tokens.iter().map(|t| (t.number, t.original.as_str())).collect();
    assert_eq!(listed, [(1, "b"), (2, "a"), (3, "c"), (4, "d"), (5, "e")]);
}

fn scopes_do_not_share_numbers(store: &dyn Store) {
    assert_eq!(store.numbers("one", &["x", "y"]).unwrap(), [1, 2]);
    assert_eq!(store.numbers("two", &["y"]).unwrap(), [1]);
    assert_eq!(store.numbers("", &["y"]).unwrap(), [1]);
    assert_eq!(
        store.token_scopes().unwrap(),
        [(String::new(), 1), ("one".to_owned(), 2), ("two".to_owned(), 1)]
    );
    assert!(store.tokens("three").unwrap().is_empty());
}

fn odd_values_are_values_like_others(store: &dyn Store) {
    let long = "x".repeat(100_000);
    let odd = ["", " ", "NULL", "a", "A", "a\0b", "a\0c", "é", "e\u{301}", "'; DROP", &long];
    let numbers = store.numbers("s", &odd).unwrap();
    assert_eq!(numbers, (1..=odd.len() as u64).collect::<Vec<_>>());
    assert_eq!(store.numbers("s", &odd).unwrap(), numbers);
    let tokens = store.tokens("s").unwrap();
    assert!(tokens.iter().map(|token| token.original.as_str()).eq(odd));
}

fn tokens_stay_when_the_state_is_opened_again(open: &Opener) {
    assert_eq!(open().numbers("s", &["a", "b"]).unwrap(), [1, 2]);
    assert_eq!(open().numbers("s", &["c", "b"]).unwrap(), [3, 2]);
}

/// Eight threads, half of them with their own connection, ask for overlapping values in different
/// orders.
fn concurrent_threads_never_share_or_split_a_number(open: &Opener) {
    const VALUES: usize = 200;
    let shared = open();
    let mut answers = Vec::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let shared = &shared;
                scope.spawn(move || {
                    let store = if thread % 2 == 0 { Arc::clone(shared) } else { open() };
                    let mut seen = Vec::new();
                    for round in 0..20 {
                        let values: Vec<String> = (0..25)
                            .map(|step| {
                                // Strides that share no factor with the count visit all values.
                                let stride = [1, 3, 7, 9, 11, 13, 17, 19][thread];
                                format!(
                                    "v{}",
                                    (thread * 31 + (round * 25 + step) * stride) % VALUES
                                )
                            })
                            .collect();
                        let texts: Vec<&str> = values.iter().map(String::as_str).collect();
                        let numbers = store.numbers("s", &texts).unwrap();
                        seen.extend(values.into_iter().zip(numbers));
                    }
                    seen
                })
            })
            .collect();
        for thread in threads {
            answers.extend(thread.join().unwrap());
        }
    });
    assert_eq!(answers.len(), 8 * 20 * 25);
    let mut by_value = BTreeMap::new();
    for (value, number) in answers {
        let first = *by_value.entry(value).or_insert(number);
        assert_eq!(first, number, "a value has two numbers");
    }
    let mut numbers: Vec<u64> = by_value.values().copied().collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=VALUES as u64).collect::<Vec<_>>());
}

fn row(seq: u64, opens: bool, closes: Option<u64>) -> (AuditRow, AuditHead) {
    let hash = [u8::try_from(seq % 256).unwrap(); 32];
    let body = format!("{{\"seq\":{seq}}}");
    (
        AuditRow { seq, opens, closes, body, hash, mac: [3; 32] },
        AuditHead { seq, hash, epoch: 1, mac: [4; 32] },
    )
}

fn read(store: &dyn Store) -> (Vec<AuditRow>, Option<AuditHead>) {
    let mut rows = Vec::new();
    let head = store.audit_read(&mut |row| {
        rows.push(row);
        Ok(())
    });
    (rows, head.unwrap())
}

fn append(store: &dyn Store, opens: bool, closes: Option<u64>) {
    store
        .audit_append(&mut |head| Ok(row(head.map_or(1, |head| head.seq + 1), opens, closes)))
        .unwrap();
}

fn audit_rows_follow_each_other(store: &dyn Store) {
    assert_eq!(read(store), (Vec::new(), None));
    append(store, true, None);
    append(store, false, Some(1));
    let (first, _) = row(1, true, None);
    let (second, head) = row(2, false, Some(1));
    assert_eq!(read(store), (vec![first, second], Some(head)));
}

fn a_failed_append_changes_nothing(store: &dyn Store) {
    append(store, true, None);
    let before = read(store);
    let failed = store.audit_append(&mut |_| Err(Error::new(Code::Internal, "refused")));
    assert_eq!(failed.unwrap_err().to_string(), "refused");
    assert!(store.audit_append(&mut |_| Ok(row(1, true, None))).is_err());
    assert!(store.audit_append(&mut |_| Ok(row(3, true, None))).is_err());
    assert_eq!(read(store), before);
    append(store, true, None);
}

fn concurrent_appends_leave_no_gap(open: &Opener) {
    let shared = open();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let shared = &shared;
            scope.spawn(move || {
                let store = if thread % 2 == 0 { Arc::clone(shared) } else { open() };
                for _ in 0..10 {
                    append(&*store, false, None);
                }
            });
        }
    });
    let (rows, head) = read(&*shared);
    assert!(rows.iter().map(|row| row.seq).eq(1..=40));
    assert_eq!(head.unwrap().seq, 40);
}

fn unclosed_rows_are_told(store: &dyn Store) {
    append(store, true, None);
    append(store, true, None);
    append(store, false, None);
    append(store, false, Some(1));
    append(store, true, None);
    let unclosed: Vec<u64> =
        store.audit_unclosed().unwrap().into_iter().map(|row| row.seq).collect();
    assert_eq!(unclosed, [2, 5]);
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

const fn amount(rows: u64, bytes: u64) -> Amount {
    Amount { rows, bytes }
}

/// Adds the same to each counter; gives the day that it was counted on.
fn take(
    store: &dyn Store,
    partner: &str,
    today: &str,
    counters: &[Option<&str>],
    more: Amount,
) -> NaiveDate {
    let mut claim = |_, taken: &mut [Amount]| {
        taken.iter_mut().for_each(|taken| *taken = taken.plus(more));
        Ok(())
    };
    store.claim_usage(partner, day(today), counters, &mut claim).unwrap()
}

fn usage(partner: &str, on: &str, dataset: Option<&str>, amount: Amount) -> Usage {
    let dataset = dataset.map(str::to_owned);
    Usage { partner: partner.to_owned(), day: day(on), dataset, amount }
}

fn what_was_taken_is_kept_by_day_partner_and_dataset(store: &dyn Store) {
    let (first, second) = ("2027-01-15", "2027-01-16");
    assert_eq!(store.usage(None, NaiveDate::MIN).unwrap(), []);
    let all_and_jobs = [None, Some("jobs")];
    assert_eq!(take(store, "cern", first, &all_and_jobs, amount(1, 10)), day(first));
    take(store, "cern", first, &[Some("jobs")], amount(2, 20));
    take(store, "lab", first, &[Some("jobs")], amount(4, 40));
    take(store, "cern", second, &all_and_jobs, amount(8, 80));
    let expected = [
        usage("cern", first, None, amount(1, 10)),
        usage("cern", first, Some("jobs"), amount(3, 30)),
        usage("lab", first, Some("jobs"), amount(4, 40)),
        usage("cern", second, None, amount(8, 80)),
        usage("cern", second, Some("jobs"), amount(8, 80)),
    ];
    assert_eq!(store.usage(None, NaiveDate::MIN).unwrap(), expected);
    assert_eq!(store.usage(None, day(second)).unwrap(), expected[3..]);
    assert_eq!(store.usage(Some("lab"), day(first)).unwrap(), expected[2..3]);
    assert_eq!(store.usage(Some("LAB"), day(first)).unwrap(), []);
}

fn a_refused_claim_changes_nothing(store: &dyn Store) {
    take(store, "cern", "2027-01-15", &[None], amount(5, 5));
    let before = store.usage(None, NaiveDate::MIN).unwrap();
    let counters = [None, Some("jobs")];
    let refused = store.claim_usage("cern", day("2027-01-15"), &counters, &mut |_, taken| {
        assert_eq!(taken, [amount(5, 5), amount(0, 0)]);
        taken.fill(amount(100, 100));
        Err(Error::new(Code::RowsDay, "refused"))
    });
    assert_eq!(refused.unwrap_err().code(), Code::RowsDay);
    // Nor does one that the store cannot hold.
    let too_much = store.claim_usage("cern", day("2027-01-15"), &counters, &mut |_, taken| {
        taken[1].rows = u64::MAX;
        taken[0].rows = 6;
        Ok(())
    });
    assert_eq!(too_much.unwrap_err().code(), Code::State);
    assert_eq!(store.usage(None, NaiveDate::MIN).unwrap(), before);
}

fn a_day_does_not_come_back(store: &dyn Store) {
    take(store, "cern", "2027-01-15", &[None], amount(5, 5));
    let counted = take(store, "cern", "2026-12-31", &[None, Some("jobs")], amount(1, 1));
    assert_eq!(counted, day("2027-01-15"));
    // Another partner took nothing later.
    let counted = take(store, "lab", "2026-12-31", &[None], amount(1, 1));
    assert_eq!(counted, day("2026-12-31"));
    let expected = [
        usage("lab", "2026-12-31", None, amount(1, 1)),
        usage("cern", "2027-01-15", None, amount(6, 6)),
        usage("cern", "2027-01-15", Some("jobs"), amount(1, 1)),
    ];
    assert_eq!(store.usage(None, NaiveDate::MIN).unwrap(), expected);
}

fn what_is_given_back_goes_down_to_nothing_and_no_further(store: &dyn Store) {
    let (first, second) = ("2027-01-15", "2027-01-16");
    take(store, "cern", first, &[None, Some("jobs")], amount(5, 50));
    take(store, "cern", second, &[None], amount(5, 50));
    let back = [(None, amount(2, 20)), (Some("jobs".to_owned()), amount(9, 1))];
    store.return_usage("cern", day(first), &back).unwrap();
    store.return_usage("lab", day(first), &[(None, amount(1, 1))]).unwrap();
    let cern = store.usage(Some("cern"), NaiveDate::MIN).unwrap();
    let expected = [
        usage("cern", first, None, amount(3, 30)),
        usage("cern", first, Some("jobs"), amount(0, 49)),
        usage("cern", second, None, amount(5, 50)),
    ];
    assert_eq!(cern, expected);
    let lab = store.usage(Some("lab"), NaiveDate::MIN).unwrap();
    assert_eq!(lab, []);
}

fn what_is_forgotten_is_that_of_one_partner(store: &dyn Store) {
    take(store, "cern", "2027-01-15", &[None, Some("jobs")], amount(5, 50));
    take(store, "lab", "2027-01-15", &[None], amount(7, 70));
    store.forget_usage("cern").unwrap();
    store.forget_usage("nobody").unwrap();
    let left = [usage("lab", "2027-01-15", None, amount(7, 70))];
    assert_eq!(store.usage(None, NaiveDate::MIN).unwrap(), left);
    // Its days begin anew.
    assert_eq!(take(store, "cern", "2026-12-31", &[None], amount(1, 1)), day("2026-12-31"));
}

/// Eight threads, half of them with their own connection, take threes of a thousand.
fn concurrent_claims_never_pass_a_limit(open: &Opener) {
    const LIMIT: u64 = 1000;
    let shared = open();
    let mut claims = 0;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let shared = &shared;
                scope.spawn(move || {
                    let store = if thread % 2 == 0 { Arc::clone(shared) } else { open() };
                    let today = day("2027-01-15");
                    let mut claims = 0;
                    let mut claim = |_, taken: &mut [Amount]| {
                        taken[0].rows += 3;
                        if taken[0].rows <= LIMIT {
                            Ok(())
                        } else {
                            Err(Error::new(Code::RowsDay, "no more"))
                        }
                    };
                    while store.claim_usage("cern", today, &[None], &mut claim).is_ok() {
                        claims += 1;
                    }
                    claims
                })
            })
            .collect();
        claims = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    });
    assert_eq!(claims, LIMIT / 3);
    let taken = shared.usage(None, NaiveDate::MIN).unwrap();
    assert_eq!(taken, [usage("cern", "2027-01-15", None, amount(LIMIT / 3 * 3, 0))]);
}
