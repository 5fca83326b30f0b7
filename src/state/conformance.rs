//! What every store must do, as one suite that each implementation's tests call. It does not test how
//! a store keeps its promises through a crash; that is for the implementation's own tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;

use super::{Amount, AuditHead, AuditRow, Clash, Imported, NewToken, PartnerRecord, Store, Usage};
use crate::error::{Code, Error};
use crate::keys::{KeyRing, Secret};
use crate::pipeline::transform::Counted;

mod originals;
mod privacy;

use originals::{
    another_key_for_originals_opens_all_and_the_old_one_none,
    another_master_key_numbers_nothing_once_originals_are_sealed,
    sealing_changes_no_number_and_only_the_private_key_opens,
};
pub(in crate::state) use privacy::told;
use privacy::{
    a_refused_entry_changes_nothing, an_entry_has_a_record_or_is_not_written,
    answers_belong_to_questions_that_were_paid, concurrent_entries_see_each_other,
    entries_are_summed_exactly_by_partner_and_dataset, sums_that_cannot_be_counted_are_refused,
};

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
    rows_are_counted_once_a_version_and_summed_over_columns(&*fresh()());
    what_is_taken_in_keeps_its_number_and_new_values_go_on_after_it(&*fresh()());
    a_clash_takes_nothing_in_and_every_one_is_told(&*fresh()());
    sealing_changes_no_number_and_only_the_private_key_opens(&fresh());
    another_master_key_numbers_nothing_once_originals_are_sealed(&fresh());
    another_key_for_originals_opens_all_and_the_old_one_none(&fresh());
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
    entries_are_summed_exactly_by_partner_and_dataset(&fresh());
    a_refused_entry_changes_nothing(&*fresh()());
    an_entry_has_a_record_or_is_not_written(&fresh());
    sums_that_cannot_be_counted_are_refused(&*fresh()());
    answers_belong_to_questions_that_were_paid(&fresh());
    concurrent_entries_see_each_other(&fresh());
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
    let tokens = store.tokens("s", None, None).unwrap();
    let listed: Vec<_> =
        tokens.iter().map(|t| (t.number, t.original.as_deref().unwrap())).collect();
    assert_eq!(listed, [(1, "b"), (2, "a"), (3, "c"), (4, "d"), (5, "e")]);
}

fn scopes_do_not_share_numbers(store: &dyn Store) {
    assert_eq!(store.numbers("one", &["x", "y"]).unwrap(), [1, 2]);
    assert_eq!(store.numbers("two", &["y"]).unwrap(), [1]);
    assert_eq!(store.numbers("", &["y"]).unwrap(), [1]);
    let scopes = store.token_scopes().unwrap();
    let scopes: Vec<_> =
        scopes.iter().map(|scope| (&*scope.name, scope.last, scope.tokens, scope.sealed)).collect();
    assert_eq!(scopes, [("", 1, 1, 0), ("one", 2, 2, 0), ("two", 1, 1, 0)]);
    assert!(store.tokens("three", None, None).unwrap().is_empty());
}

fn odd_values_are_values_like_others(store: &dyn Store) {
    let long = "x".repeat(100_000);
    let odd = ["", " ", "NULL", "a", "A", "a\0b", "a\0c", "é", "e\u{301}", "'; DROP", &long];
    let numbers = store.numbers("s", &odd).unwrap();
    assert_eq!(numbers, (1..=odd.len() as u64).collect::<Vec<_>>());
    assert_eq!(store.numbers("s", &odd).unwrap(), numbers);
    let tokens = store.tokens("s", None, None).unwrap();
    assert!(tokens.iter().map(|token| token.original.as_deref().unwrap()).eq(odd));
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

fn ring(seed: u8) -> Arc<KeyRing> {
    Arc::new(KeyRing::new(vec![(1, Secret::new([seed; 32]))]).unwrap())
}

fn rows(store: &dyn Store) -> Vec<u64> {
    store.tokens("s", None, None).unwrap().iter().map(|token| token.rows).collect()
}

fn rows_are_counted_once_a_version_and_summed_over_columns(store: &dyn Store) {
    store.numbers("s", &["a", "b"]).unwrap();
    store.numbers("other", &["a"]).unwrap();
    assert_eq!(rows(store), [0, 0]);
    let of = |column, version| Counted { dataset: "jobs", column, version };
    store.count("s", of("User", "1"), &[(1, 5), (2, 7)]).unwrap();
    // The same version again: another process, or the next start of the server.
    store.count("s", of("User", "1"), &[(1, 5), (2, 7)]).unwrap();
    assert_eq!(rows(store), [5, 7]);
    store.count("s", of("Owner", "1"), &[(2, 1)]).unwrap();
    assert_eq!(rows(store), [5, 8]);
    // A later version takes the place of the earlier one; what is gone from the data is not counted.
    store.count("s", of("User", "2"), &[(1, 6)]).unwrap();
    assert_eq!(rows(store), [6, 1]);
    assert_eq!(store.tokens("other", None, None).unwrap()[0].rows, 0);
}

fn new_tokens(tokens: &[(u64, &str, Option<u64>)]) -> Vec<NewToken> {
    let token = |(number, original, rows): &(u64, &str, Option<u64>)| NewToken {
        number: *number,
        original: (*original).to_owned(),
        rows: *rows,
    };
    tokens.iter().map(token).collect()
}

fn what_is_taken_in_keeps_its_number_and_new_values_go_on_after_it(store: &dyn Store) {
    let tokens = new_tokens(&[(5, "10.0.0.1", Some(3)), (6, "10.0.0.2", None)]);
    let first = store.import_tokens("s", &tokens, 0).unwrap().unwrap();
    assert_eq!(first, Imported { added: 2, known: 0, last: 6 });
    assert_eq!(store.numbers("s", &["10.0.0.2", "new", "10.0.0.1"]).unwrap(), [6, 7, 5]);
    assert_eq!(rows(store), [3, 0, 0]);
    // Again, with a counter that is further on: the same tokens, the same counts.
    let again = store.import_tokens("s", &tokens, 20).unwrap().unwrap();
    assert_eq!(again, Imported { added: 0, known: 2, last: 20 });
    assert_eq!(rows(store), [3, 0, 0]);
    assert_eq!(store.numbers("s", &["newer"]).unwrap(), [21]);
    let all = store.tokens("s", None, None).unwrap();
    assert!(all.iter().map(|token| token.number).eq([5, 6, 7, 21]));
    let one = store.tokens("s", Some(6), None).unwrap();
    assert_eq!(one, all[1..2]);
    assert_eq!(store.tokens("s", Some(8), None).unwrap(), []);
}

fn a_clash_takes_nothing_in_and_every_one_is_told(store: &dyn Store) {
    store.numbers("s", &["a", "b"]).unwrap();
    let before = (store.tokens("s", None, None).unwrap(), store.token_scopes().unwrap());
    let tokens = new_tokens(&[
        (1, "a", Some(9)),
        (2, "c", None),
        (3, "b", None),
        (4, "d", None),
        (4, "e", None),
        (5, "d", None),
        (4, "d", None),
    ]);
    let clashes = store.import_tokens("s", &tokens, 50).unwrap().unwrap_err();
    let expected = [
        Clash::Number { at: 1 },
        Clash::Value { at: 2, number: 2 },
        Clash::Number { at: 4 },
        Clash::Value { at: 5, number: 4 },
    ];
    assert_eq!(clashes, expected);
    assert_eq!((store.tokens("s", None, None).unwrap(), store.token_scopes().unwrap()), before);
    assert!(
        store
            .import_tokens("none", &new_tokens(&[(1, "x", None), (1, "y", None)]), 0)
            .unwrap()
            .is_err()
    );
    assert_eq!(store.token_scopes().unwrap(), before.1);
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
