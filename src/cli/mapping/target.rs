//! Which token map is meant: a column of a dataset for a partner, by name. Reads policies and the key
//! ring; opens no token map.

use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::place::Place;
use crate::cli::policy::policy_files;
use crate::diagnostic::{did_you_mean, render};
use crate::error::{Code, Error, Result};
use crate::keys::{ColumnKeys, KeyRing};
use crate::pipeline::transform::TokenStyle;
use crate::policy::load::load;
use crate::policy::plan::domain;
use crate::policy::{Column, Linkage, Policy};
use crate::state::Store;

/// A column of a dataset for a partner.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct Which {
    /// The dataset
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) dataset: String,
    /// The column
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) column: String,
    /// The partner whose pseudonyms are meant
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) partner: String,
    #[command(flatten)]
    pub(in crate::cli) policies: Policies,
}

/// Where policies are, and under which key.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct Policies {
    /// The folder of policies
    #[arg(long, value_name = "FOLDER", default_value = "policies", env = "VEILFLIGHT_POLICIES")]
    pub(in crate::cli) policies: PathBuf,
    /// The epoch of the master key, where it is not the one in force
    #[arg(long, value_name = "N")]
    pub(in crate::cli) epoch: Option<u32>,
}

/// What was meant.
#[derive(Debug)]
pub(in crate::cli) struct Target {
    pub(in crate::cli) policy: Arc<Policy>,
    pub(in crate::cli) column: Column,
    pub(in crate::cli) epoch: u32,
    pub(in crate::cli) keys: ColumnKeys,
    pub(in crate::cli) ring: Arc<KeyRing>,
}

impl Target {
    /// Finds policy and column, and checks that the partner is one.
    ///
    /// # Errors
    /// [`Code::Usage`] with a suggestion where a name is none, [`Code::Policy`] where a policy is
    /// invalid, [`Code::Keys`] without keys.
    pub(in crate::cli) fn find(which: &Which, place: &Place, store: &dyn Store) -> Result<Self> {
        let Which { dataset, column, partner, policies } = which;
        let policy = policy_of(policies, dataset)?;
        let found = policy.columns.iter().find(|known| known.name == *column).cloned();
        let found = found.ok_or_else(|| {
            let names = policy.columns.iter().map(|column| column.name.as_str());
            unknown(&format!("`{dataset}` has no column"), column, names)
        })?;
        // A misspelt name would be a partner of whom nothing is known.
        let granted = policy.grants.iter().any(|grant| grant.partner == *partner);
        if !granted && store.partner(partner)?.is_none() {
            let names = policy.grants.iter().map(|grant| grant.partner.as_str());
            return Err(unknown("there is no partner", partner, names));
        }
        let ring = place.ring()?;
        let epoch = policies.epoch.or(policy.epoch).unwrap_or_else(|| ring.newest());
        if !ring.epochs().any(|known| known == epoch) {
            return Err(Error::new(Code::Usage, format!("the key ring has no epoch {epoch}")));
        }
        let audience = match policy.linkage {
            Linkage::PerPartner => Some(partner.as_str()),
            Linkage::Shared => None,
        };
        let keys = ColumnKeys::new(Arc::clone(&ring), &domain(&policy, &found), audience, epoch);
        Ok(Self { policy, column: found, epoch, keys, ring })
    }

    /// The name of the token map and how its tokens are written.
    ///
    /// # Errors
    /// [`Code::Usage`] where the column has no token map.
    pub(in crate::cli) fn tokens(&self) -> Result<(String, TokenStyle)> {
        if !self.has_tokens() {
            let what = format!(
                "column `{}` is under `{}`, which keeps no map; `veilflight reidentify` finds the value \
                 behind a pseudonym",
                self.column.name,
                self.column.rule.transform.spec().name()
            );
            return Err(Error::new(Code::Usage, what));
        }
        Ok((self.keys.token_scope(), TokenStyle::new(&self.column.rule.args)))
    }

    /// Whether the column's pseudonyms are tokens.
    pub(in crate::cli) fn has_tokens(&self) -> bool {
        self.column.rule.transform.spec().name() == "pseudonym.token"
    }
}

/// The policy of a dataset. Other policies in the folder need not be valid.
fn policy_of(policies: &Policies, dataset: &str) -> Result<Arc<Policy>> {
    let told = |report: &[_]| Error::new(Code::Policy, render::human(report, false));
    let files = policy_files(std::slice::from_ref(&policies.policies))
        .map_err(|diagnostic| told(&[*diagnostic]))?;
    let (mut names, mut refused) = (Vec::new(), Vec::new());
    for file in files {
        match load(&file) {
            Ok(loaded) if loaded.policy.dataset == dataset => return Ok(Arc::new(loaded.policy)),
            Ok(loaded) => names.push(loaded.policy.dataset),
            Err(report) => refused.push(report),
        }
    }
    // It may be the one that is meant.
    match refused.first() {
        Some(report) => Err(told(report.diagnostics())),
        None => Err(unknown("there is no dataset", dataset, names.iter().map(String::as_str))),
    }
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let near = did_you_mean(name, known)
        .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    Error::new(Code::Usage, format!("{what} `{name}`{near}"))
}
