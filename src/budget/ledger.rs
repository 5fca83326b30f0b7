//! How much privacy loss is left: every differentially private answer is paid here, durably, before it is
//! computed, and never refunded. What an answer costs is decided in `pipeline/noise/`, what there is to
//! spend in `policy/`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::accounting::{Limit, Sum, rho_of};
use crate::audit::book;
use crate::clock::Clock;
use crate::error::{Code, Error, Hint, Result};
use crate::keys::KeyRing;
use crate::policy::Policy;
use crate::policy::privacy::{Accounting, DpGrant, Loss, accounting};
use crate::state::{
    AuditHead, Decide, Link, NewPrivacyEntry, PrivacyAccount, PrivacyEntry, PrivacyState,
    PrivacySums, Store,
};

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

impl Account {
    /// The account of a partner under a policy that grants them this.
    pub fn new(policy: &Policy, partner: &str, grant: &DpGrant) -> Self {
        Self {
            partner: partner.to_owned(),
            dataset: policy.dataset.clone(),
            accounting: accounting(policy),
            total: grant.total,
            cap: policy.privacy.map(|privacy| privacy.cap),
        }
    }

    fn key(&self) -> PrivacyAccount<'_> {
        PrivacyAccount { partner: &self.partner, dataset: &self.dataset }
    }
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
    /// The most that one statement may cost now. With pure accounting that is what is left; with
    /// zero-concentrated accounting a statement costs its epsilon squared, so it is another number.
    pub statement_max: Loss,
    /// What all partners of the dataset spent together.
    pub spent_all: Loss,
}

/// What is left. To look at it needs no key.
///
/// # Errors
/// Those of [`Ledger::balance`].
pub fn balance(store: &dyn Store, account: &Account) -> Result<Balance> {
    let state = store.privacy_sums(account.key())?;
    countable(account, &state)?;
    Ok(Limits::new(account, &state)?.balance(&state))
}

/// The durable account book.
#[derive(Debug)]
pub struct Ledger {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Seals the records that entries have in the audit log.
    ring: Arc<KeyRing>,
    /// Questions that this process is answering: partner, dataset, digest.
    under_way: Mutex<BTreeSet<Question>>,
}

type Question = (String, String, String);

impl Ledger {
    /// A book kept in `store`. Each entry has a record in the audit log there, sealed with a key from `ring`.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, ring: Arc<KeyRing>) -> Arc<Self> {
        Arc::new(Self { store, clock, ring, under_way: Mutex::default() })
    }

    /// The stored answer to a question, by its digest: given again without a charge.
    ///
    /// # Errors
    /// [`Code::State`] when the store cannot be read.
    pub fn answer(&self, account: &Account, question: &str) -> Result<Option<Bytes>> {
        Ok(self.store.privacy_answer(account.key(), question)?.map(Bytes::from))
    }

    /// What is left.
    ///
    /// # Errors
    /// [`Code::State`] when the store cannot be read, [`Code::DatasetUnavailable`] where losses were spent
    /// that the account's accounting cannot count.
    pub fn balance(&self, account: &Account) -> Result<Balance> {
        balance(&*self.store, account)
    }

    /// Spends a loss for a question, durably; waits for the disk. `question` is its digest, `canonical` its
    /// words, which are kept for auditors.
    ///
    /// # Errors
    /// [`Code::PrivacyBudget`] and [`Code::PrivacyCap`] where it is more than is left,
    /// [`Code::QuestionUnderWay`] where this process is answering the same question of the same partner, or
    /// another answered it just now, [`Code::DatasetUnavailable`] where losses were spent that the account's
    /// accounting cannot count, [`Code::State`] when it cannot be made durable. Then nothing was spent.
    pub fn spend(
        self: &Arc<Self>,
        account: &Account,
        question: &str,
        canonical: &str,
        loss: Loss,
    ) -> Result<Spent> {
        if loss.epsilon.is_zero() {
            return Err(Error::new(Code::Internal, "an answer without a loss of privacy is none"));
        }
        let under_way = UnderWay::begin(self, account, question)?;
        let too_large = || Error::new(Code::PrivacyBudget, "the loss is larger than is counted");
        let rho = rho_of(loss.epsilon).ok_or_else(too_large)?;
        let now = self.clock.now_seconds();
        let mut decide = |state: &PrivacyState| {
            if state.answered {
                let what = "the same question was answered just now; its answer is free";
                return Err(Error::new(Code::QuestionUnderWay, what));
            }
            countable(account, state)?;
            Limits::new(account, state)?.afford(account, state, loss)?;
            let canonical = canonical.to_owned();
            Ok(NewPrivacyEntry::Spend { accounting: account.accounting, loss, rho, canonical })
        };
        let entry = self.append(account, Some(question), now, &mut decide)?;
        Ok(Spent { loss, entry, under_way })
    }

    /// Grants more by hand, for good. Returns what there is then.
    ///
    /// # Errors
    /// [`Code::Usage`] without a cap in the policy, or where it would pass the cap, or where nothing is
    /// granted; [`Code::State`] when it cannot be made durable. Then nothing was granted.
    pub fn grant(&self, account: &Account, more: Loss, reason: &str) -> Result<Balance> {
        let refused = |what: String| Error::new(Code::Usage, what);
        let dataset = &account.dataset;
        let Some(cap) = account.cap else {
            return Err(refused(format!(
                "the policy of `{dataset}` has no cap, and nothing is granted by hand past one; write \
                 `privacy: {{epsilon: ..., delta: ...}}`, or change the grant"
            )));
        };
        if more == Loss::default() {
            return Err(refused("nothing is granted; give --epsilon or --delta".to_owned()));
        }
        let now = self.clock.now_seconds();
        let mut decide = |state: &PrivacyState| {
            let there = sum(account.total, state.own.granted)?;
            let then = sum(there, more)?;
            if then.epsilon > cap.epsilon || then.delta > cap.delta {
                return Err(refused(format!(
                    "`{}` would have epsilon {} and delta {} of `{dataset}`, and the policy's cap over all \
                     partners is epsilon {} and delta {}",
                    account.partner, then.epsilon, then.delta, cap.epsilon, cap.delta
                )));
            }
            Ok(NewPrivacyEntry::Grant { loss: more, reason: reason.to_owned() })
        };
        self.append(account, None, now, &mut decide)?;
        self.balance(account)
    }

    /// INVARIANT: an entry and its record in the audit log are written in one step: neither is there without the other.
    fn append(
        &self,
        account: &Account,
        question: Option<&str>,
        now: i64,
        decide: &mut Decide<'_>,
    ) -> Result<u64> {
        let micros = self.clock.now_micros();
        let mut tell = |entry: &PrivacyEntry, link: &Link, head: Option<&AuditHead>| {
            book::record(&self.ring, head, micros, entry, link)
        };
        self.store.privacy_append(account.key(), question, now, decide, &mut tell)
    }
}

/// A loss that is written down and durable: what noise is made for.
///
/// INVARIANT: made by [`Ledger::spend`] alone. Whatever happens to it, the loss stays spent; dropped, the
/// question can be asked again at its cost.
#[derive(Debug)]
pub struct Spent {
    loss: Loss,
    entry: u64,
    under_way: UnderWay,
}

impl Spent {
    /// What was spent.
    pub const fn loss(&self) -> Loss {
        self.loss
    }

    /// The number of its entry in the account book.
    pub const fn entry(&self) -> u64 {
        self.entry
    }

    /// Keeps the answer, durably: from now on it is given to whoever asks the same.
    ///
    /// # Errors
    /// [`Code::State`] when it cannot be written; then nothing may leave.
    pub fn keep(&self, answer: &[u8]) -> Result<()> {
        self.under_way.ledger.store.privacy_keep(self.entry, answer)
    }
}

/// A question that is being answered, until this value goes away.
#[derive(Debug)]
struct UnderWay {
    ledger: Arc<Ledger>,
    question: Question,
}

impl UnderWay {
    fn begin(ledger: &Arc<Ledger>, account: &Account, question: &str) -> Result<Self> {
        let key = (account.partner.clone(), account.dataset.clone(), question.to_owned());
        let mut all = ledger.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.insert(key.clone()) {
            return Err(Error::new(Code::QuestionUnderWay, "the same question is being answered"));
        }
        Ok(Self { ledger: Arc::clone(ledger), question: key })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut all = self.ledger.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&self.question);
    }
}

/// What an account may spend, and what all partners may.
struct Limits {
    own: Limit,
    all: Option<Limit>,
    total: Loss,
    cap: Option<Loss>,
}

impl Limits {
    fn new(account: &Account, state: &PrivacyState) -> Result<Self> {
        let total = sum(account.total, state.own.granted)?;
        let limit = |total| Limit::new(account.accounting, total);
        Ok(Self { own: limit(total), all: account.cap.map(limit), total, cap: account.cap })
    }

    /// PRIVACY: both sums, each with the new loss, stay within what the policy says; nothing is rounded.
    fn afford(&self, account: &Account, state: &PrivacyState, loss: Loss) -> Result<()> {
        let Account { partner, dataset, .. } = account;
        let with = |limit: &Limit, sums: &PrivacySums| {
            read(sums).plus(loss).is_some_and(|sum| limit.covers(&sum))
        };
        if !with(&self.own, &state.own) {
            let left = self.own.largest(&read(&state.own));
            let error = Error::new(
                Code::PrivacyBudget,
                format!(
                    "`{partner}` asks for epsilon {} and delta {} of `{dataset}`, and a statement may cost \
                     epsilon {} and delta {}",
                    loss.epsilon, loss.delta, left.epsilon, left.delta
                ),
            );
            return Err(error.hinting(too_dear(loss, left)));
        }
        if let Some(all) = &self.all
            && !with(all, &state.all)
        {
            let left = all.largest(&read(&state.all));
            let error = Error::new(
                Code::PrivacyCap,
                format!(
                    "`{partner}` asks for epsilon {} and delta {} of `{dataset}`, and of the cap over all \
                     partners a statement may cost epsilon {} and delta {}",
                    loss.epsilon, loss.delta, left.epsilon, left.delta
                ),
            );
            return Err(error.hinting(too_dear(loss, left)));
        }
        Ok(())
    }

    fn balance(&self, state: &PrivacyState) -> Balance {
        let less = |of: Loss, by: Loss| Loss {
            epsilon: of.epsilon.minus(by.epsilon).unwrap_or_default(),
            delta: of.delta.minus(by.delta).unwrap_or_default(),
        };
        let least = |one: Loss, other: Loss| Loss {
            epsilon: one.epsilon.min(other.epsilon),
            delta: one.delta.min(other.delta),
        };
        let (own, all) = (read(&state.own), read(&state.all));
        let spent = self.own.spent(&own);
        let mut left = less(self.total, spent);
        let mut statement_max = self.own.largest(&own);
        let mut spent_all = self.own.spent(&all);
        if let (Some(limit), Some(cap)) = (&self.all, self.cap) {
            spent_all = limit.spent(&all);
            left = least(left, less(cap, spent_all));
            statement_max = least(statement_max, limit.largest(&all));
        }
        Balance { total: self.total, spent, left, statement_max, spent_all }
    }
}

/// What the partner hears of a loss that is more than is left: the same numbers that their own balance tells.
fn too_dear(loss: Loss, left: Loss) -> Hint {
    let Loss { epsilon, delta } = loss;
    Hint::new(&if left.epsilon.is_zero() {
        "nothing is left; what was answered before is answered again for free".to_owned()
    } else if epsilon > left.epsilon {
        format!(
            "it costs epsilon {epsilon}, and a statement may cost {} now: say less, by the option `epsilon` of a \
             session or the header `veilflight-epsilon`",
            left.epsilon
        )
    } else {
        format!(
            "it costs delta {delta}, and a statement may cost {} now: group by columns with public values, which \
             needs none",
            left.delta
        )
    })
}

/// Refuses pure accounting over what was spent with rhos: a Gaussian has no epsilon without a delta. The
/// other way is fine, since an epsilon has a rho.
fn countable(account: &Account, state: &PrivacyState) -> Result<()> {
    if account.accounting == Accounting::Pure && state.all.zcdp > 0 {
        return Err(Error::new(
            Code::DatasetUnavailable,
            format!(
                "{} answers about `{}` were paid for with `accounting: zcdp`, which `accounting: pure` cannot \
                 count; write `zcdp` again in the policy",
                state.all.zcdp, account.dataset
            ),
        ));
    }
    Ok(())
}

fn read(sums: &PrivacySums) -> Sum {
    Sum { epsilon: sums.spent.epsilon, rho: sums.rho, delta: sums.spent.delta }
}

fn sum(one: Loss, other: Loss) -> Result<Loss> {
    let epsilon = one.epsilon.plus(other.epsilon);
    epsilon
        .zip(one.delta.plus(other.delta))
        .map(|(epsilon, delta)| Loss { epsilon, delta })
        .ok_or_else(|| Error::new(Code::State, "what was granted is larger than is counted"))
}

#[cfg(test)]
mod tests;
