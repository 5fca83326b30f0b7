//! `veilflight budget`: privacy budgets by hand: what is left, what was asked, more for a partner. One file a
//! verb; how losses add up is in `budget/`.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use super::hand::Hand;
use super::place::Place;
use super::policy::policy_files;
use crate::budget::ledger::Account;
use crate::clock::Clock;
use crate::diagnostic::{Diagnostic, did_you_mean, render};
use crate::error::{Code, Error, Result};
use crate::policy::decimal::Decimal;
use crate::policy::load::load;
use crate::policy::privacy::{DpGrant, Loss};
use crate::policy::{Access, Policy};

mod grant;
mod history;
mod show;
#[cfg(test)]
mod tests;

/// Show privacy budgets, what was asked on them, and grant more
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  veilflight budget show                     all partners of all datasets
  veilflight budget show jobs --partner cern
  veilflight budget history jobs             every question that was paid for
  veilflight budget grant jobs --partner cern --epsilon 0.5 --reason 'review of the paper'

A budget is what a grant with `access: dp` gives, and what was granted by hand. What is spent stays spent: \
there is no way to give it back, and a budget does not begin anew with time.")]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Show(show::Show),
    Grant(grant::Grant),
    History(history::History),
}

/// Where policies are.
#[derive(Debug, clap::Args)]
struct Policies {
    /// The folder of policies
    #[arg(long, value_name = "FOLDER", default_value = "policies", env = "VEILFLIGHT_POLICIES")]
    policies: PathBuf,
}

/// Runs the verb and returns the exit code.
///
/// # Errors
/// When what is asked for is not there, or cannot be done.
pub(super) fn run(args: Args, clock: Arc<dyn Clock>, out: &mut dyn Write) -> anyhow::Result<u8> {
    let hand = Hand::new(args.place, clock)?;
    match args.verb {
        Verb::Show(show) => show.run(&hand, out)?,
        Verb::Grant(grant) => grant.run(&hand, out)?,
        Verb::History(history) => history.run(&hand, out)?,
    }
    Ok(0)
}

impl Policies {
    /// The policies that grant differentially private answers, by dataset; of one dataset, where it is named.
    ///
    /// # Errors
    /// [`Code::Policy`] where one that may be meant is invalid, [`Code::Usage`] where none has the dataset.
    fn with_budgets(&self, dataset: Option<&str>) -> Result<Vec<Policy>> {
        let told = |found: &[Diagnostic]| Error::new(Code::Policy, render::human(found, false));
        let files = policy_files(std::slice::from_ref(&self.policies))
            .map_err(|diagnostic| told(&[*diagnostic]))?;
        let (mut policies, mut refused) = (Vec::new(), None);
        for file in files {
            match load(&file) {
                Ok(loaded) => policies.push(loaded.policy),
                Err(report) => refused = refused.or(Some(report)),
            }
        }
        if let Some(dataset) = dataset {
            let Some(found) = policies.iter().position(|policy| policy.dataset == dataset) else {
                let names = policies.iter().map(|policy| policy.dataset.as_str());
                return Err(match refused {
                    Some(report) => told(report.diagnostics()),
                    None => unknown("there is no dataset", dataset, names),
                });
            };
            return Ok(vec![policies.swap_remove(found)]);
        }
        if let Some(report) = refused {
            return Err(told(report.diagnostics()));
        }
        policies.retain(|policy| budgets(policy).next().is_some());
        policies.sort_by(|one, other| one.dataset.cmp(&other.dataset));
        Ok(policies)
    }
}

/// The partners with a budget, in the order of the policy.
fn budgets(policy: &Policy) -> impl Iterator<Item = (&str, &DpGrant)> {
    policy.grants.iter().filter_map(|grant| match &grant.access {
        Access::Dp(dp) => Some((grant.partner.as_str(), dp)),
        Access::Rows | Access::Aggregates { .. } => None,
    })
}

/// The account of a partner.
///
/// # Errors
/// [`Code::Usage`] where the policy gives this partner no budget.
fn account(policy: &Policy, partner: &str) -> Result<Account> {
    let grant = budgets(policy).find(|(name, _)| *name == partner);
    let what = || format!("the policy of `{}` gives no budget to", policy.dataset);
    grant
        .map(|(_, grant)| Account::new(policy, partner, grant))
        .ok_or_else(|| unknown(&what(), partner, budgets(policy).map(|(name, _)| name)))
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let near = did_you_mean(name, known)
        .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    Error::new(Code::Usage, format!("{what} `{name}`{near}"))
}

/// A decimal of at most six places that are not nought, for people; rounded up where that is the careful way.
fn short(value: Decimal, up: bool) -> String {
    let units = value.units();
    let digits = units.checked_ilog10().unwrap_or(0);
    let grain = 10_u128.pow(digits.saturating_sub(5));
    let cut = units - units % grain;
    let rounded = if up && cut < units { cut.saturating_add(grain) } else { cut };
    Decimal::of_units(rounded).to_string()
}

fn json(loss: Loss) -> serde_json::Value {
    // Texts: a number of JSON is read as a floating-point number.
    serde_json::json!({ "epsilon": loss.epsilon.to_string(), "delta": loss.delta.to_string() })
}
