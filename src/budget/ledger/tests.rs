//! The account book under threads, processes, crashes and clocks.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::audit::verify::verify;
use crate::clock::{ManualClock, SystemClock};
use crate::keys::Secret;
use crate::policy::decimal::Decimal;
use crate::state::Sqlite;

fn d(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn loss(epsilon: &str, delta: &str) -> Loss {
    Loss { epsilon: d(epsilon), delta: d(delta) }
}

fn account(partner: &str, total: Loss, cap: Option<Loss>) -> Account {
    Account {
        partner: partner.to_owned(),
        dataset: "jobs".to_owned(),
        accounting: Accounting::Pure,
        total,
        cap,
    }
}

fn in_memory() -> Arc<Ledger> {
    let clock = Arc::new(ManualClock::new(0));
    let store = Sqlite::in_memory(Arc::<ManualClock>::clone(&clock)).unwrap();
    Ledger::new(Arc::new(store), clock, ring())
}

fn on(path: &Path) -> Arc<Ledger> {
    let clock = Arc::new(SystemClock);
    let store = Sqlite::open(path, Arc::<SystemClock>::clone(&clock)).unwrap();
    Ledger::new(Arc::new(store), clock, ring())
}

fn ring() -> Arc<KeyRing> {
    Arc::new(KeyRing::new(vec![(1, Secret::new([5; 32]))]).unwrap())
}

/// INVARIANT: each entry has its record in the audit log, whatever threads, processes and crashes did.
fn assert_book_and_log_agree(ledger: &Ledger, entries: u64) {
    let report = verify(&*ledger.store, &ring(), None).unwrap();
    assert!(report.is_whole(), "{report:?}");
    assert_eq!((report.entries, report.records), (entries, entries));
}

/// The code of a refusal.
fn refused<T>(result: Result<T>) -> Code {
    result.err().expect("it is refused").code()
}

#[test]
fn ten_tenths_are_exactly_one_and_the_eleventh_is_refused() {
    let ledger = in_memory();
    let cern = account("cern", loss("1", "0"), None);
    for question in 0..10 {
        ledger.spend(&cern, &question.to_string(), "", loss("0.1", "0")).unwrap();
    }
    let balance = ledger.balance(&cern).unwrap();
    assert_eq!(balance.spent, loss("1", "0"));
    assert_eq!((balance.left, balance.statement_max), (Loss::default(), Loss::default()));
    let least = loss("0.000000000000000000000000000001", "0");
    for more in [loss("0.1", "0"), least] {
        let error = ledger.spend(&cern, "more", "", more).err().expect("it is refused");
        assert_eq!(error.code(), Code::PrivacyBudget);
        assert!(error.hint().unwrap().as_str().starts_with("nothing is left"));
    }
    assert_eq!(ledger.balance(&cern).unwrap(), balance);
    // Another partner and another dataset have budgets of their own.
    ledger.spend(&account("lab", loss("1", "0"), None), "0", "", loss("1", "0")).unwrap();
    let other = Account { dataset: "logs".to_owned(), ..cern };
    ledger.spend(&other, "0", "", loss("1", "0")).unwrap();
}

#[test]
fn a_delta_is_counted_like_an_epsilon() {
    let ledger = in_memory();
    let cern = account("cern", loss("1", "1e-8"), None);
    ledger.spend(&cern, "0", "", loss("0.1", "1e-8")).unwrap();
    assert_eq!(refused(ledger.spend(&cern, "1", "", loss("0.1", "1e-30"))), Code::PrivacyBudget);
    // What the partner hears says what is left, and what to do about it.
    let heard = |more| {
        let error = ledger.spend(&cern, "1", "", more).err().expect("it is refused");
        error.hint().map(|hint| hint.as_str().to_owned()).unwrap_or_default()
    };
    assert!(
        heard(loss("0.1", "1e-30"))
            .contains("a statement may cost 0 now: group by columns with public")
    );
    assert!(
        heard(loss("0.95", "0"))
            .starts_with("it costs epsilon 0.95, and a statement may cost 0.9 now")
    );
    ledger.spend(&cern, "1", "", loss("0.1", "0")).unwrap();
    assert_eq!(ledger.balance(&cern).unwrap().left, loss("0.8", "0"));
}

#[test]
fn what_is_spent_stays_spent_and_a_kept_answer_is_free() {
    let ledger = in_memory();
    let cern = account("cern", loss("1", "0"), None);
    assert_eq!(ledger.answer(&cern, "q").unwrap(), None);
    let spent = ledger.spend(&cern, "q", "count", loss("0.4", "0")).unwrap();
    assert_eq!(spent.loss(), loss("0.4", "0"));
    // The same question of the same partner waits; of another one it does not.
    assert_eq!(
        refused(ledger.spend(&cern, "q", "count", loss("0.4", "0"))),
        Code::QuestionUnderWay
    );
    let lab = account("lab", loss("1", "0"), None);
    drop(ledger.spend(&lab, "q", "count", loss("0.4", "0")).unwrap());
    // Without an answer it is gone and can be asked again, at its cost.
    drop(spent);
    assert_eq!(ledger.answer(&cern, "q").unwrap(), None);
    let again = ledger.spend(&cern, "q", "count", loss("0.4", "0")).unwrap();
    assert_eq!(ledger.balance(&cern).unwrap().spent, loss("0.8", "0"));
    again.keep(b"answer").unwrap();
    assert_eq!(ledger.answer(&cern, "q").unwrap().as_deref(), Some(&b"answer"[..]));
    assert_eq!(ledger.answer(&lab, "q").unwrap(), None);
    // Who did not look for the answer first is told to, and pays nothing.
    assert_eq!(
        refused(ledger.spend(&cern, "q", "count", loss("0.1", "0"))),
        Code::QuestionUnderWay
    );
    assert_eq!(ledger.balance(&cern).unwrap().left, loss("0.2", "0"));
}

#[test]
fn a_cap_holds_over_all_partners() {
    let ledger = in_memory();
    let cap = Some(loss("1.5", "1e-8"));
    let (cern, lab) =
        (account("cern", loss("1", "1e-8"), cap), account("lab", loss("1", "1e-8"), cap));
    ledger.spend(&cern, "0", "", loss("1", "6e-9")).unwrap();
    assert_eq!(refused(ledger.spend(&lab, "0", "", loss("0.6", "0"))), Code::PrivacyCap);
    assert_eq!(refused(ledger.spend(&lab, "0", "", loss("0.1", "5e-9"))), Code::PrivacyCap);
    let balance = ledger.balance(&lab).unwrap();
    assert_eq!(balance.spent, Loss::default());
    assert_eq!((balance.left, balance.statement_max), (loss("0.5", "4e-9"), loss("0.5", "4e-9")));
    assert_eq!(balance.spent_all, loss("1", "6e-9"));
    ledger.spend(&lab, "0", "", loss("0.5", "4e-9")).unwrap();
    assert_eq!(refused(ledger.spend(&lab, "1", "", loss("1e-30", "0"))), Code::PrivacyCap);
}

#[test]
fn what_is_granted_by_hand_stays_below_the_cap() {
    let ledger = in_memory();
    let cern = account("cern", loss("1", "0"), Some(loss("2", "0")));
    ledger.spend(&cern, "0", "", loss("1", "0")).unwrap();
    let balance = ledger.grant(&cern, loss("0.5", "0"), "a talk").unwrap();
    assert_eq!((balance.total, balance.left), (loss("1.5", "0"), loss("0.5", "0")));
    ledger.spend(&cern, "1", "", loss("0.5", "0")).unwrap();
    assert_eq!(refused(ledger.grant(&cern, loss("0.6", "0"), "x")), Code::Usage);
    assert_eq!(refused(ledger.grant(&cern, loss("0", "1e-9"), "x")), Code::Usage);
    assert_eq!(refused(ledger.grant(&cern, Loss::default(), "x")), Code::Usage);
    let uncapped = account("cern", loss("1", "0"), None);
    assert_eq!(refused(ledger.grant(&uncapped, loss("0.1", "0"), "x")), Code::Usage);
    assert_eq!(ledger.balance(&cern).unwrap().left, Loss::default());
}

#[test]
fn losses_of_pure_accounting_count_under_zcdp_and_not_the_other_way() {
    let ledger = in_memory();
    let pure = account("cern", loss("3", "1e-8"), None);
    let zcdp = Account { accounting: Accounting::Zcdp, ..pure.clone() };
    ledger.spend(&pure, "0", "", loss("0.1", "1e-9")).unwrap();
    let all = ledger.balance(&zcdp).unwrap().statement_max;
    assert_eq!(all.delta, d("4e-9"));
    ledger.spend(&zcdp, "1", "", all).unwrap();
    let rest = ledger.balance(&zcdp).unwrap();
    assert!(rest.statement_max.epsilon < d("1e-9"), "{rest:?}");
    let back = ledger.spend(&pure, "2", "", loss("0.1", "0")).unwrap_err();
    assert_eq!(back.code(), Code::DatasetUnavailable);
    assert!(back.to_string().contains("`accounting: zcdp`"), "{back}");
    assert_eq!(refused(ledger.balance(&pure)), Code::DatasetUnavailable);
    // Nor may another partner of the dataset go on without them: the cap is theirs, too.
    let lab = account("lab", loss("3", "1e-8"), None);
    assert_eq!(refused(ledger.spend(&lab, "0", "", loss("0.1", "0"))), Code::DatasetUnavailable);
}

#[test]
fn nothing_and_what_is_too_large_cannot_be_spent() {
    let ledger = in_memory();
    let cern = account("cern", loss("20", "1e-5"), None);
    assert_eq!(refused(ledger.spend(&cern, "0", "", Loss::default())), Code::Internal);
    for huge in ["21", "40000", "340282366"] {
        assert_eq!(refused(ledger.spend(&cern, "0", "", loss(huge, "0"))), Code::PrivacyBudget);
    }
    // No text that is negative or no number is a decimal: there is no loss to spend.
    for text in ["-1", "-0.1", "NaN", "nan", "inf", "1e400", "0x1"] {
        assert!(text.parse::<Decimal>().is_err(), "{text}");
    }
    assert_eq!(ledger.balance(&cern).unwrap().left, loss("20", "1e-5"));
}

#[test]
fn a_clock_that_is_set_changes_nothing() {
    let clock = Arc::new(ManualClock::new(1_800_000_000_000_000));
    let ledger = Ledger::new(
        Arc::new(Sqlite::in_memory(Arc::<ManualClock>::clone(&clock)).unwrap()),
        Arc::<ManualClock>::clone(&clock),
        ring(),
    );
    let cern = account("cern", loss("1", "0"), None);
    for (question, seconds) in [("a", 0), ("b", -900_000_000), ("c", 1_800_000_000)] {
        clock.advance_seconds(seconds);
        ledger.spend(&cern, question, "", loss("0.3", "0")).unwrap();
    }
    assert_eq!(ledger.balance(&cern).unwrap().left, loss("0.1", "0"));
    assert_eq!(refused(ledger.spend(&cern, "d", "", loss("0.3", "0"))), Code::PrivacyBudget);
}

/// A step: who, epsilon in hundredths, delta in units of 1e-9, whether it is answered.
type Step = (bool, u32, u32, bool);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// The same steps over integers and two sums.
    #[test]
    fn the_book_says_what_a_simple_model_says(
        steps in prop::collection::vec((any::<bool>(), 1..60_u32, 0..4_u32, any::<bool>()), 1..40)
    ) {
        let steps: Vec<Step> = steps;
        let ledger = in_memory();
        let of = |first: bool| {
            let partner = if first { "cern" } else { "lab" };
            account(partner, loss("2", "1e-8"), Some(loss("3", "1.5e-8")))
        };
        let mut spent = [(0, 0), (0, 0)];
        for (at, (first, epsilon, delta, keep)) in steps.into_iter().enumerate() {
            let account = of(first);
            let hundredth = Decimal::one() / 100;
            let cost = Loss {
                epsilon: Decimal::of_units(u128::from(epsilon) * hundredth),
                delta: Decimal::of_units(u128::from(delta) * 10_u128.pow(21)),
            };
            let question = at.to_string();
            let own = &mut spent[usize::from(!first)];
            let then = (own.0 + epsilon, own.1 + delta);
            let before = *own;
            *own = then;
            let all = (spent[0].0 + spent[1].0, spent[0].1 + spent[1].1);
            let expected = if then.0 > 200 || then.1 > 10 {
                Some(Code::PrivacyBudget)
            } else if all.0 > 300 || all.1 > 15 {
                Some(Code::PrivacyCap)
            } else {
                None
            };
            match ledger.spend(&account, &question, "", cost) {
                Ok(proof) => {
                    prop_assert_eq!(expected, None);
                    if keep {
                        proof.keep(b"x").unwrap();
                    }
                }
                Err(error) => {
                    prop_assert_eq!(Some(error.code()), expected);
                    spent[usize::from(!first)] = before;
                }
            }
            let left = ledger.balance(&account).unwrap().left.epsilon;
            let all = spent[0].0 + spent[1].0;
            let model = (200 - spent[usize::from(!first)].0).min(300 - all);
            prop_assert_eq!(left, Decimal::of_units(u128::from(model) * hundredth));
        }
    }
}

/// INVARIANT: 64 threads, with two ledgers over handles of their own as two processes would have, spend all
/// of a budget and nothing more.
#[test]
fn concurrent_threads_never_overspend() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let ledgers = [on(&path), on(&path)];
    let granted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..64)
            .map(|thread: usize| {
                let ledger = Arc::clone(&ledgers[thread % 2]);
                scope.spawn(move || {
                    let partner = ["cern", "lab"][thread / 2 % 2];
                    let of = account(partner, loss("2", "0"), Some(loss("3.1", "0")));
                    (0..4)
                        .filter(|at| {
                            let question = format!("{thread}/{at}");
                            match ledger.spend(&of, &question, "", loss("0.1", "0")) {
                                Ok(spent) => {
                                    // Some are answered, some are not.
                                    if at % 2 == 0 {
                                        spent.keep(b"x").unwrap();
                                    }
                                    true
                                }
                                Err(error) => {
                                    let known = [Code::PrivacyBudget, Code::PrivacyCap];
                                    assert!(known.contains(&error.code()), "{}", error.chain());
                                    false
                                }
                            }
                        })
                        .count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(granted, 31);
    assert_book_and_log_agree(&ledgers[0], 31);
    let of = |partner| account(partner, loss("2", "0"), Some(loss("3.1", "0")));
    let (cern, lab) = (of("cern"), of("lab"));
    let spent = [&cern, &lab].map(|of| ledgers[0].balance(of).unwrap().spent.epsilon);
    assert!(spent.iter().all(|spent| *spent <= d("2")), "{spent:?}");
    assert_eq!(spent[0].plus(spent[1]), Some(d("3.1")));
}

/// Names the file for the child processes of the tests below, which run them again.
const CHILD: &str = "VEILFLIGHT_TEST_LEDGER";

fn child(test: &str, path: &Path, number: usize) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([&format!("budget::ledger::tests::{test}"), "--exact", "--nocapture"])
        .env(CHILD, format!("{number}:{}", path.display()))
        .stdout(Stdio::piped());
    command
}

/// The number and the file, in a child.
fn as_child() -> Option<(String, std::path::PathBuf)> {
    let value = std::env::var_os(CHILD)?.into_string().unwrap();
    let (number, path) = value.split_once(':').unwrap();
    Some((number.to_owned(), path.into()))
}

#[test]
fn several_processes_never_overspend() {
    let total = loss("1", "0");
    let cern = account("cern", total, None);
    if let Some((number, path)) = as_child() {
        let ledger = on(&path);
        for at in 0..20 {
            match ledger.spend(&cern, &format!("{number}/{at}"), "", loss("0.05", "0")) {
                Ok(spent) => {
                    println!("SPENT");
                    spent.keep(b"x").unwrap();
                }
                Err(error) => assert_eq!(error.code(), Code::PrivacyBudget, "{}", error.chain()),
            }
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let ledger = on(&path);
    let children: Vec<_> = (0..4)
        .map(|number| child("several_processes_never_overspend", &path, number).spawn().unwrap())
        .collect();
    let mut spent = 0;
    for running in children {
        let output = running.wait_with_output().unwrap();
        assert!(output.status.success());
        spent += String::from_utf8(output.stdout).unwrap().matches("SPENT").count();
    }
    assert_eq!(spent, 20);
    assert_book_and_log_agree(&ledger, 20);
    assert_eq!(ledger.balance(&cern).unwrap().left, Loss::default());
}

#[test]
fn a_process_that_is_killed_before_it_answers_has_spent() {
    let cern = account("cern", loss("1", "0"), None);
    if let Some((_, path)) = as_child() {
        let ledger = on(&path);
        let spent = ledger.spend(&cern, "q", "count", loss("0.4", "0")).unwrap();
        println!("SPENT");
        std::thread::sleep(Duration::from_secs(60));
        spent.keep(b"too late").unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    drop(on(&path));
    let name = "a_process_that_is_killed_before_it_answers_has_spent";
    let mut running = child(name, &path, 0).spawn().unwrap();
    let mut lines = std::io::BufReader::new(running.stdout.take().unwrap());
    let mut seen = String::new();
    while !seen.contains("SPENT") {
        assert_ne!(std::io::BufRead::read_line(&mut lines, &mut seen).unwrap(), 0, "{seen}");
    }
    // SIGKILL: nothing of the process runs any more.
    running.kill().unwrap();
    assert!(!running.wait().unwrap().success());
    let ledger = on(&path);
    assert_book_and_log_agree(&ledger, 1);
    assert_eq!(ledger.balance(&cern).unwrap().spent, loss("0.4", "0"));
    assert_eq!(ledger.answer(&cern, "q").unwrap(), None);
    // It can be asked again, at its cost, and then it is answered for good.
    ledger.spend(&cern, "q", "count", loss("0.4", "0")).unwrap().keep(b"answer").unwrap();
    assert_eq!(on(&path).answer(&cern, "q").unwrap().as_deref(), Some(&b"answer"[..]));
    assert_eq!(ledger.balance(&cern).unwrap().left, loss("0.2", "0"));
}

/// How fast threads spend on a file: `EVERY=1` prints it, beside what a change of the book costs.
#[test]
fn sixty_four_threads_spend_without_waiting_long() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = on(&folder.path().join("state.db"));
    let each = if crate::shared::every_case_asked() { 32 } else { 2 };
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..64 {
            let ledger = Arc::clone(&ledger);
            scope.spawn(move || {
                let of = account("cern", loss("20", "0"), Some(loss("20", "0")));
                for at in 0..each {
                    let question = format!("{thread}/{at}");
                    drop(ledger.spend(&of, &question, "count", loss("0.001", "0")).unwrap());
                }
            });
        }
    });
    let took = begun.elapsed();
    let rate = f64::from(64 * each) / took.as_secs_f64();
    println!("{rate:.0} entries a second by 64 threads");
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert_book_and_log_agree(&ledger, u64::try_from(64 * each).unwrap());
}
