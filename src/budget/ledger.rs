//! How much privacy loss is left: every differentially private answer is paid here, durably, before it is
//! computed, and never refunded. What an answer costs is decided in `pipeline/noise/`, what there is to
//! spend in `policy/`.

use std::sync::Arc;

use bytes::Bytes;

use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::policy::privacy::{Accounting, Loss};
use crate::state::Store;

/// Whose budget, of what, and how large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Who asks.
    pub partner: String,
    /// What is asked about.
    pub dataset: String,
    /// How losses add up.
    pub accounting: Accounting,
    /// What the grant gives.
    pub total: Loss,
    /// What all partners of the dataset may spend together.
    pub cap: Option<Loss>,
}

/// What there is and what is gone, in epsilon and delta as the policy states them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// What the grant gives, and what was granted by hand.
    pub total: Loss,
    /// What is spent.
    pub spent: Loss,
    /// What is left, of the grant and of the dataset's cap, whichever is less.
    pub left: Loss,
}

/// The durable account book.
#[derive(Debug)]
pub struct Ledger {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl Ledger {
    /// A book kept in `store`.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { store, clock })
    }

    /// The stored answer to a question, by its digest: given again without a charge.
    ///
    /// # Errors
    /// [`Code::State`] when the store cannot be read.
    pub fn answer(&self, _account: &Account, _question: &str) -> Result<Option<Bytes>> {
        Err(Error::new(Code::Unsupported, "no ledger yet"))
    }

    /// What is left.
    ///
    /// # Errors
    /// [`Code::State`] when the store cannot be read.
    pub fn balance(&self, _account: &Account) -> Result<Balance> {
        let _ = (&self.store, &self.clock);
        Err(Error::new(Code::Unsupported, "no ledger yet"))
    }

    /// Spends a loss for a question, durably; waits for the disk.
    ///
    /// # Errors
    /// [`Code::PrivacyBudget`] and [`Code::PrivacyCap`] where it is more than is left,
    /// [`Code::QuestionUnderWay`] where this process is answering the same question of the same partner,
    /// [`Code::State`] when it cannot be made durable. Then nothing was spent.
    pub fn spend(
        self: &Arc<Self>,
        _account: &Account,
        _question: &str,
        _loss: Loss,
    ) -> Result<Spent> {
        Err(Error::new(Code::Unsupported, "no ledger yet"))
    }
}

/// A loss that is written down and durable: what noise is made for.
///
/// INVARIANT: made by [`Ledger::spend`] alone. Whatever happens to it, the loss stays spent; dropped, the
/// question can be asked again at its cost.
#[derive(Debug)]
pub struct Spent {
    loss: Loss,
}

impl Spent {
    /// What was spent.
    pub const fn loss(&self) -> Loss {
        self.loss
    }

    /// Keeps the answer, durably: from now on it is given to whoever asks the same.
    ///
    /// # Errors
    /// [`Code::State`] when it cannot be written; then nothing may leave.
    pub fn keep(self, _answer: &[u8]) -> Result<()> {
        Err(Error::new(Code::Unsupported, "no ledger yet"))
    }
}
