//! Records of privacy losses: what was spent on which question, what was granted by hand, and their sums.
//! How losses are read and what may be spent is not known here: that is for `budget/`.

use sha2::{Digest, Sha256};

use super::{AuditHead, AuditRow};
use crate::policy::decimal::Decimal;
use crate::policy::privacy::{Accounting, Loss};

/// Whose losses, of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrivacyAccount<'a> {
    /// Who asks.
    pub partner: &'a str,
    /// What is asked about.
    pub dataset: &'a str,
}

/// The sums of all entries of a partner, or of all partners, of a dataset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PrivacySums {
    /// Epsilons and deltas that were spent.
    pub spent: Loss,
    /// Rhos that were spent.
    pub rho: Decimal,
    /// How many entries were spent with zero-concentrated accounting.
    pub zcdp: u64,
    /// What was granted by hand.
    pub granted: Loss,
}

impl PrivacySums {
    /// Both together; `None` where it is larger than is counted.
    pub fn and(self, other: Self) -> Option<Self> {
        let losses = |one: Loss, other: Loss| {
            let epsilon = one.epsilon.plus(other.epsilon)?;
            Some(Loss { epsilon, delta: one.delta.plus(other.delta)? })
        };
        Some(Self {
            spent: losses(self.spent, other.spent)?,
            rho: self.rho.plus(other.rho)?,
            zcdp: self.zcdp.checked_add(other.zcdp)?,
            granted: losses(self.granted, other.granted)?,
        })
    }

    /// What one entry adds.
    pub fn of(entry: &NewPrivacyEntry) -> Self {
        match entry {
            NewPrivacyEntry::Spend { accounting, loss, rho, .. } => Self {
                spent: *loss,
                rho: *rho,
                zcdp: u64::from(*accounting == Accounting::Zcdp),
                granted: Loss::default(),
            },
            NewPrivacyEntry::Grant { loss, .. } => Self { granted: *loss, ..Self::default() },
        }
    }
}

/// What there is before an entry is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrivacyState {
    /// Of the partner.
    pub own: PrivacySums,
    /// Of all partners of the dataset, this one included.
    pub all: PrivacySums,
    /// Whether there is an answer to the question already.
    pub answered: bool,
}

/// An entry that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewPrivacyEntry {
    /// Spent for a question.
    Spend {
        /// How losses add up.
        accounting: Accounting,
        /// The loss.
        loss: Loss,
        /// Its rho.
        rho: Decimal,
        /// The question without what does not matter. Words of the partner; holds no data.
        canonical: String,
    },
    /// Granted by hand.
    Grant {
        /// How much.
        loss: Loss,
        /// Why.
        reason: String,
    },
}

/// An entry of the account book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivacyEntry {
    /// Its place in the book, from 1.
    pub number: u64,
    /// When, in seconds since 1970. Nothing is decided by it.
    pub at_seconds: i64,
    /// Who.
    pub partner: String,
    /// Of what.
    pub dataset: String,
    /// The question's digest; nothing where it was granted by hand.
    pub question: Option<String>,
    /// Whether an answer is kept.
    pub answered: bool,
    /// What was written.
    pub what: NewPrivacyEntry,
}

/// The hash that ties an entry to all entries before it.
pub type Link = [u8; 32];

/// The link before the first entry.
pub const NO_LINK: Link = [0; 32];

impl PrivacyEntry {
    /// The link of this entry, after the one before: SHA-256 over that one's link and all that was written. Never
    /// changed: links of old entries stand in audit logs.
    pub fn link(&self, previous: &Link) -> Link {
        let mut hash = Sha256::new().chain_update(previous);
        let mut text = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        text(&self.number.to_string());
        text(&self.at_seconds.to_string());
        text(&self.partner);
        text(&self.dataset);
        match &self.what {
            NewPrivacyEntry::Spend { accounting, loss, rho, canonical } => {
                text("spend");
                text(accounting.as_str());
                text(&loss.epsilon.to_string());
                text(&loss.delta.to_string());
                text(&rho.to_string());
                text(self.question.as_deref().unwrap_or_default());
                text(canonical);
            }
            NewPrivacyEntry::Grant { loss, reason } => {
                text("grant");
                text(&loss.epsilon.to_string());
                text(&loss.delta.to_string());
                text(reason);
            }
        }
        hash.finalize().into()
    }
}

/// Something of what [`super::Store::audit_all`] shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// A record of the audit log.
    Record(AuditRow),
    /// An entry of the account book.
    Entry(PrivacyEntry),
    /// The sums of a partner's entries about a dataset, as they are kept.
    Sums {
        /// The dataset.
        dataset: String,
        /// The partner.
        partner: String,
        /// The sums.
        sums: PrivacySums,
    },
}

/// Makes the audit record of an entry that is being written, with the entry's link.
pub type Tell<'a> = dyn FnMut(&PrivacyEntry, &Link, Option<&AuditHead>) -> crate::error::Result<(AuditRow, AuditHead)>
    + 'a;

/// Says what is written, given what there is.
pub type Decide<'a> = dyn FnMut(&PrivacyState) -> crate::error::Result<NewPrivacyEntry> + 'a;
