//! Noise is made for a loss that the ledger wrote down, and for that one.

use super::*;
use crate::budget::ledger::{Account, Ledger};
use crate::clock::ManualClock;
use crate::state::Sqlite;

#[test]
fn noise_is_made_for_the_loss_that_was_spent_and_for_no_other() {
    let clock = Arc::new(ManualClock::new(0));
    let store = Sqlite::in_memory(Arc::<ManualClock>::clone(&clock)).unwrap();
    let ring = crate::keys::KeyRing::new(vec![(1, crate::keys::Secret::new([7; 32]))]).unwrap();
    let ledger = Ledger::new(Arc::new(store), clock, Arc::new(ring));
    let account = Account {
        partner: "cern".to_owned(),
        dataset: "jobs".to_owned(),
        accounting: Accounting::Pure,
        total: Loss { epsilon: "1".parse().unwrap(), delta: "0.1".parse().unwrap() },
        cap: None,
    };
    let asked = simple(vec![Measure::Rows], "0.2");
    let generator = Generator::start().unwrap();
    let answer = |question: &str, loss| {
        let spent = ledger.spend(&account, question, "rows of jobs", loss).unwrap();
        let exact = exact(vec![], vec![Measured::Numbers(vec![5])]);
        measure(&asked, exact, &spent, &generator).map(|noisy| noisy.groups)
    };
    assert_eq!(answer("one", asked.loss).unwrap(), 1);
    let more = Loss { epsilon: "0.3".parse().unwrap(), ..asked.loss };
    let less = Loss { epsilon: "0.1".parse().unwrap(), ..asked.loss };
    let delta = Loss { delta: "0.01".parse().unwrap(), ..asked.loss };
    for (question, loss) in [("two", more), ("three", less), ("four", delta)] {
        assert_eq!(answer(question, loss).unwrap_err().code(), Code::Internal);
    }
}
