//! `budget show`: what there is, what is spent and what is left, by dataset and partner.

use std::io::Write;

use serde_json::json;

use super::{Hand, Policies, account, budgets, json, short};
use crate::budget::ledger::{Account, Balance, balance};
use crate::error::{Code, Context, Result};
use crate::policy::Policy;
use crate::policy::privacy::{Loss, accounting};

/// Show what is left of privacy budgets
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  veilflight budget show
  veilflight budget show jobs --partner cern --json

Numbers are cut to six digits, what is spent upwards and what is left downwards; --json has all of them.")]
pub(super) struct Show {
    /// Only this dataset
    dataset: Option<String>,
    /// Only this partner
    #[arg(long, value_name = "NAME")]
    partner: Option<String>,
    #[command(flatten)]
    policies: Policies,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(&self, hand: &Hand, out: &mut dyn Write) -> Result<()> {
        let mut found = Vec::new();
        for policy in self.policies.with_budgets(self.dataset.as_deref())? {
            let accounts: Vec<Account> = match &self.partner {
                Some(partner) if self.dataset.is_some() => vec![account(&policy, partner)?],
                only => budgets(&policy)
                    .filter(|(name, _)| only.as_ref().is_none_or(|only| only == name))
                    .map(|(name, grant)| Account::new(&policy, name, grant))
                    .collect(),
            };
            let balances = accounts
                .into_iter()
                .map(|account| Ok((balance(&*hand.store, &account)?, account)))
                .collect::<Result<Vec<_>>>()?;
            if !balances.is_empty() {
                found.push((policy, balances));
            }
        }
        let told = if self.json { as_json(&found, out) } else { text(&found, out) };
        told.context(Code::Usage, || "the answer cannot be written".to_owned())
    }
}

/// Budgets of a dataset.
type Found = (Policy, Vec<(Balance, Account)>);

fn word(policy: &Policy) -> &'static str {
    accounting(policy).as_str()
}

fn as_json(found: &[Found], out: &mut dyn Write) -> std::io::Result<()> {
    let list: Vec<_> = found
        .iter()
        .flat_map(|(policy, balances)| balances.iter().map(move |both| (policy, both)))
        .map(|(policy, (balance, account))| {
            json!({
                "dataset": account.dataset,
                "partner": account.partner,
                "accounting": word(policy),
                "total": json(balance.total),
                "spent": json(balance.spent),
                "left": json(balance.left),
                "statement_max": json(balance.statement_max),
                "cap": account.cap.map(json),
                "spent_all": json(balance.spent_all),
            })
        })
        .collect();
    serde_json::to_writer_pretty(&mut *out, &list)?;
    writeln!(out)
}

fn text(found: &[Found], out: &mut dyn Write) -> std::io::Result<()> {
    if found.is_empty() {
        return writeln!(out, "no grant has a privacy budget");
    }
    for (at, (policy, balances)) in found.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        let all = balances.first().map_or_else(Loss::default, |(balance, _)| balance.spent_all);
        let cap = match policy.privacy {
            Some(privacy) => format!(
                "cap of all partners: epsilon {}, delta {}",
                privacy.cap.epsilon, privacy.cap.delta
            ),
            None => "no cap of all partners".to_owned(),
        };
        writeln!(
            out,
            "{}  ({} accounting; {cap}; spent by all: epsilon {}, delta {})",
            policy.dataset,
            word(policy),
            short(all.epsilon, true),
            short(all.delta, true)
        )?;
        let mut rows =
            vec![["partner", "", "total", "spent", "left", "for one statement"].map(str::to_owned)];
        for (balance, account) in balances {
            let row =
                |name: &str, what: &str, of: &dyn Fn(Loss) -> crate::policy::decimal::Decimal| {
                    [
                        name.to_owned(),
                        what.to_owned(),
                        of(balance.total).to_string(),
                        short(of(balance.spent), true),
                        short(of(balance.left), false),
                        short(of(balance.statement_max), false),
                    ]
                };
            rows.push(row(&account.partner, "epsilon", &|loss| loss.epsilon));
            rows.push(row("", "delta", &|loss| loss.delta));
        }
        table(&rows, out)?;
    }
    Ok(())
}

fn table(rows: &[[String; 6]], out: &mut dyn Write) -> std::io::Result<()> {
    let mut widths = [0; 6];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .enumerate()
            .map(
                |(at, (cell, width))| {
                    if at < 2 { format!("{cell:width$}") } else { format!("{cell:>width$}") }
                },
            )
            .collect();
        writeln!(out, "  {}", cells.join("  ").trim_end())?;
    }
    Ok(())
}
