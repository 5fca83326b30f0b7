//! Records of privacy losses: what was spent on which question, what was granted by hand, and their sums.
//! How losses are read and what may be spent is not known here: that is for `budget/`.

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

/// Says what is written, given what there is.
pub type Decide<'a> = dyn FnMut(&PrivacyState) -> crate::error::Result<NewPrivacyEntry> + 'a;
