//! `budget grant`: more for one partner, by hand and for good, told in the audit log first.

use std::io::Write;
use std::sync::Arc;

use super::{Hand, Policies, account, short};
use crate::audit::{Deed, Request};
use crate::budget::ledger::Ledger;
use crate::cli::hand::reason;
use crate::error::{Code, Context, Result};
use crate::policy::decimal::Decimal;
use crate::policy::privacy::Loss;

/// Grant a partner more of a privacy budget, for good
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  veilflight budget grant jobs --partner cern --epsilon 0.5 --reason 'review of the paper'
  veilflight budget grant jobs --partner cern --delta 1e-9 --reason 'groups of users'

It adds to what the grant in the policy gives, up to what the policy's cap says (`privacy`). Without a cap \
nothing is granted by hand. The reason stands in the account book and in the audit log.")]
pub(super) struct Grant {
    /// The dataset
    dataset: String,
    /// The partner
    #[arg(long, value_name = "NAME")]
    partner: String,
    /// Epsilon more
    #[arg(long, value_name = "DECIMAL", required_unless_present = "delta")]
    epsilon: Option<Decimal>,
    /// Delta more
    #[arg(long, value_name = "DECIMAL")]
    delta: Option<Decimal>,
    /// Why
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    #[command(flatten)]
    policies: Policies,
}

impl Grant {
    pub(super) fn run(&self, hand: &Hand, out: &mut dyn Write) -> Result<()> {
        let mut policies = self.policies.with_budgets(Some(&self.dataset))?;
        let policy = policies.pop().ok_or_else(|| {
            crate::error::Error::new(Code::Usage, format!("there is no dataset `{}`", self.dataset))
        })?;
        let account = account(&policy, &self.partner)?;
        let epsilon = self.epsilon.unwrap_or_default();
        let more = Loss { epsilon, delta: self.delta.unwrap_or_default() };
        // PRIVACY: what is granted by hand stands in the audit log, with its reason, before it is granted.
        let request = Request {
            method: "BudgetGrant".to_owned(),
            partner: self.partner.clone(),
            dataset: Some(self.dataset.clone()),
            policy_digest: Some(policy.digest.clone()),
            deed: Some(Deed {
                reason: self.reason.clone(),
                scope: Some(format!("epsilon {} and delta {} more", more.epsilon, more.delta)),
                pseudonym: None,
                file: None,
            }),
            ..Request::default()
        };
        let balance = hand.audited(request, || {
            let (store, clock) = (Arc::clone(&hand.store), Arc::clone(&hand.clock));
            let ledger = Ledger::new(store, clock, hand.place.ring()?);
            Ok((ledger.grant(&account, more, &self.reason)?, 0))
        })?;
        writeln!(
            out,
            "`{}` has epsilon {} and delta {} of `{}` now; left: epsilon {}, delta {}",
            self.partner,
            balance.total.epsilon,
            balance.total.delta,
            self.dataset,
            short(balance.left.epsilon, false),
            short(balance.left.delta, false)
        )
        .context(Code::Usage, || "the answer cannot be written".to_owned())
    }
}
