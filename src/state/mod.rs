//! WHERE it is remembered: partners, tokens, the audit log and what was taken a day, behind one trait. SQLite implements it;
//! PostgreSQL will, for several servers. The trait speaks of records, never of SQL, and knows nothing
//! of credentials, of hashes of the audit chain, or of what a record means: that is for the rooms.

use std::fmt::Debug;
use std::sync::Arc;

use chrono::NaiveDate;

use crate::error::Result;
use crate::keys::KeyRing;
use crate::keys::originals::{Private, Public};
use crate::pipeline::transform::TokenMap;

#[cfg(test)]
pub(crate) mod conformance;
mod privacy;
pub mod sqlite;

pub use privacy::{
    Decide, Kept, Link, NO_LINK, NewPrivacyEntry, PrivacyAccount, PrivacyEntry, PrivacyState,
    PrivacySums, Tell,
};
pub use sqlite::Sqlite;

/// What the rooms need to remember.
///
/// INVARIANT: a method that returns `Ok` has made its change durable, and a method that returns `Err`
/// has changed nothing.
pub trait Store: TokenMap + Send + Sync + Debug {
    /// Adds a partner. Returns `false`, and changes nothing, where the name, the token hash, a
    /// certificate or a subject name is taken.
    ///
    /// # Errors
    /// [`crate::error::Code::State`] when the store cannot be read or written.
    fn add_partner(&self, record: &PartnerRecord) -> Result<bool>;

    /// Rewrites a partner in one step: reads the record, lets `change` edit it, writes it back. The
    /// name stays. Returns `false` where there is no such partner.
    ///
    /// # Errors
    /// [`crate::error::Code::State`] when the store cannot be read or written, or the change takes a
    /// hash, certificate or subject name of another partner.
    fn update_partner(
        &self,
        name: &str,
        change: &mut dyn FnMut(&mut PartnerRecord),
    ) -> Result<bool>;

    /// The partner of this name.
    ///
    /// # Errors
    /// [`crate::error::Code::State`] when the store cannot be read.
    fn partner(&self, name: &str) -> Result<Option<PartnerRecord>>;

    /// The partner who holds the token with this SHA-256 hash.
    ///
    /// # Errors
    /// [`crate::error::Code::State`] when the store cannot be read.
    fn partner_by_token(&self, token_hash: &[u8; 32]) -> Result<Option<PartnerRecord>>;

    /// The partner whose certificate has this SHA-256 fingerprint.
    ///
    /// # Errors
    /// [`crate::error::Code::State`] when the store cannot be read.
    fn partner_by_certificate(&self, fingerprint: &[u8; 32]) -> Result<Option<PartnerRecord>>;

    /// The partner who owns this subject name.
    ///
    /// # Errors
    /// [`crate::error::Code::State`] when the store cannot be read.
    fn partner_by_subject(&self, subject: &str) -> Result<Option<PartnerRecord>>;

    /// All partners, by name.
    ///
    /// # Errors
    /// [`crate::error::Code::State`] when the store cannot be read.
    fn partners(&self) -> Result<Vec<PartnerRecord>>;

    /// The tokens of a scope, by number, or `only` one of them: the way back to originals. For the
    /// command line on the custodian's machine only. Originals that are sealed are opened with `key`.
    ///
    /// # Errors
    /// [`crate::error::Code::State`] when the store cannot be read, [`crate::error::Code::Keys`] when
    /// `key` does not open what is sealed.
    fn tokens(
        &self,
        scope: &str,
        only: Option<u64>,
        key: Option<&Private>,
    ) -> Result<Vec<TokenRecord>>;

    /// The scopes that hold tokens, by name.
    ///
    /// # Errors
    /// [`crate::error::Code::State`] when the store cannot be read.
    fn token_scopes(&self) -> Result<Vec<ScopeRecord>>;

    /// Takes in tokens that were numbered elsewhere, in one step. New values go on after the highest
    /// number, and after `last`. Where a number or a value is taken, nothing is changed and every clash
    /// is told.
    ///
    /// # Errors
    /// [`crate::error::Code::State`] when the store cannot be read or written.
    fn import_tokens(
        &self,
        scope: &str,
        tokens: &[NewToken],
        last: u64,
    ) -> Result<Result<Imported, Vec<Clash>>>;

    /// The key that originals are sealed with, where they are.
    ///
    /// # Errors
    /// [`crate::error::Code::State`] when the store cannot be read.
    fn originals_key(&self) -> Result<Option<Public>>;

    /// Seals new originals with this key from now on; values are then known by a hash keyed from `ring`.
    /// Returns `false`, and changes nothing, where there is a key.
    ///
    /// # Errors
    /// [`crate::error::Code::State`] when the store cannot be written.
    fn set_originals_key(&self, public: &Public, ring: &Arc<KeyRing>) -> Result<bool>;

    /// Seals the originals that lie plain, and clears the store of what is left of them. Numbers stay.
    ///
    /// # Errors
    /// [`crate::error::Code::Usage`] without a key to seal with, [`crate::error::Code::State`] when the
    /// store cannot be read or written. What was sealed until then stays sealed.
    fn seal_originals(&self) -> Result<SealedOriginals>;

    /// Seals all sealed originals with another key, all or none of them, and clears the store of what was
    /// sealed with the old one. Numbers stay; originals that lie plain stay plain.
    ///
    /// # Errors
    /// [`crate::error::Code::Usage`] where nothing is sealed, [`crate::error::Code::Keys`] when `old` is not
    /// the key in use, [`crate::error::Code::State`] when the store cannot be read or written.
    fn rotate_originals(&self, old: &Private, new: &Public) -> Result<SealedOriginals>;

    /// Clears the store of what was deleted or replaced. Says whether nothing of it is left in the files.
    ///
    /// # Errors
    /// [`crate::error::Code::State`] when the store cannot be written.
    fn clear(&self) -> Result<bool>;

    /// Appends one row to the audit log: `compose` gets the head and returns the row that follows it
    /// with the new head. Nothing comes between the two, from any thread or process.
    ///
    /// # Errors
    /// What `compose` returns, and [`crate::error::Code::State`] when the row cannot be made durable.
    fn audit_append(&self, compose: &mut Compose<'_>) -> Result<()>;

    /// Shows `visit` all rows of the audit log in order of their number and returns the head, all from
    /// one moment.
    ///
    /// # Errors
    /// What `visit` returns, and [`crate::error::Code::State`] when the store cannot be read.
    fn audit_read(
        &self,
        visit: &mut dyn FnMut(AuditRow) -> Result<()>,
    ) -> Result<Option<AuditHead>>;

    /// Shows all records of the audit log in their order, then all entries of the account book in theirs, then all
    /// sums that are kept, as they are at one moment; gives the log's head.
    ///
    /// # Errors
    /// What `visit` returns, and [`crate::error::Code::State`] when the store cannot be read.
    fn audit_all(&self, visit: &mut dyn FnMut(Kept) -> Result<()>) -> Result<Option<AuditHead>>;

    /// The audit rows that a later row may close, and none does.
    ///
    /// # Errors
    /// [`crate::error::Code::State`] when the store cannot be read.
    fn audit_unclosed(&self) -> Result<Vec<AuditRow>>;

    /// Rewrites what a partner took on a day, in one step: `claim` gets the day and the amounts of
    /// `counters` in their order, each a dataset or `None` for all of them together, and edits them.
    /// Returns the day.
    ///
    /// The day is `today`, or the latest one of which this partner took anything, if that is later: a
    /// clock that goes back opens no new day.
    ///
    /// # Errors
    /// What `claim` returns, and [`crate::error::Code::State`] when the store cannot be read or written.
    fn claim_usage(
        &self,
        partner: &str,
        today: NaiveDate,
        counters: &[Option<&str>],
        claim: &mut Claim<'_>,
    ) -> Result<NaiveDate>;

    /// Takes amounts off what a partner took on a day, down to nothing.
    ///
    /// # Errors
    /// [`crate::error::Code::State`] when the store cannot be read or written.
    fn return_usage(
        &self,
        partner: &str,
        day: NaiveDate,
        amounts: &[(Option<String>, Amount)],
    ) -> Result<()>;

    /// What one partner took, or all did, from a day on; by day, partner and dataset, with the amount of
    /// all datasets first.
    ///
    /// # Errors
    /// [`crate::error::Code::State`] when the store cannot be read.
    fn usage(&self, partner: Option<&str>, since: NaiveDate) -> Result<Vec<Usage>>;

    /// Forgets what a partner took, of all days. For the command line on the custodian's machine only.
    ///
    /// # Errors
    /// [`crate::error::Code::State`] when the store cannot be read or written.
    fn forget_usage(&self, partner: &str) -> Result<()>;

    /// Appends one entry to the account book of privacy losses, in one step: `decide` gets the sums of all
    /// entries before, and says what is written or that nothing is. `question` is the digest of the question
    /// that is paid for; nothing for what is granted by hand. Returns the entry's number.
    ///
    /// Nothing comes between the sums and the entry, from any thread or process. Entries are never changed
    /// and never removed. `tell` makes the entry's record, which is added to the audit log in the same step: there
    /// is no entry without a record, and no record without an entry.
    ///
    /// # Errors
    /// What `decide` and `tell` return, and [`crate::error::Code::State`] when the entry cannot be made durable or the
    /// sums are larger than decimals hold.
    fn privacy_append(
        &self,
        account: PrivacyAccount<'_>,
        question: Option<&str>,
        at_seconds: i64,
        decide: &mut Decide<'_>,
        tell: &mut Tell<'_>,
    ) -> Result<u64>;

    /// Keeps the answer to the question of an entry. The first answer to a question is the one that is given
    /// again; an entry has one.
    ///
    /// # Errors
    /// [`crate::error::Code::State`] when there is no such question, when it has an answer, or when the
    /// answer cannot be made durable.
    fn privacy_keep(&self, entry: u64, answer: &[u8]) -> Result<()>;

    /// The first answer to a question of a partner.
    ///
    /// # Errors
    /// [`crate::error::Code::State`] when the store cannot be read.
    fn privacy_answer(
        &self,
        account: PrivacyAccount<'_>,
        question: &str,
    ) -> Result<Option<Vec<u8>>>;

    /// The sums of all entries; `answered` is false.
    ///
    /// # Errors
    /// [`crate::error::Code::State`] when the store cannot be read.
    fn privacy_sums(&self, account: PrivacyAccount<'_>) -> Result<PrivacyState>;

    /// Shows `visit` the entries of one partner or of all, of one dataset or of all, in the order in which
    /// they were written.
    ///
    /// # Errors
    /// What `visit` returns, and [`crate::error::Code::State`] when the store cannot be read.
    fn privacy_entries(
        &self,
        partner: Option<&str>,
        dataset: Option<&str>,
        visit: &mut dyn FnMut(PrivacyEntry) -> Result<()>,
    ) -> Result<()>;
}

/// Says which row and head follow a head.
pub type Compose<'a> = dyn FnMut(Option<&AuditHead>) -> Result<(AuditRow, AuditHead)> + 'a;

/// Edits what was taken on a day.
pub type Claim<'a> = dyn FnMut(NaiveDate, &mut [Amount]) -> Result<()> + 'a;

/// Rows and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Amount {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        let rows = self.rows.saturating_add(other.rows);
        Self { rows, bytes: self.bytes.saturating_add(other.bytes) }
    }

    /// What is left, nothing where there is less.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        let rows = self.rows.saturating_sub(other.rows);
        Self { rows, bytes: self.bytes.saturating_sub(other.bytes) }
    }

    /// Whether there is at least as much of both.
    pub const fn covers(self, other: Self) -> bool {
        self.rows >= other.rows && self.bytes >= other.bytes
    }
}

/// What a partner took on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Who.
    pub partner: String,
    /// When (UTC).
    pub day: NaiveDate,
    /// Of which dataset; `None` for all together.
    pub dataset: Option<String>,
    /// How much; part of it may be claimed and not taken yet.
    pub amount: Amount,
}

/// A partner as remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartnerRecord {
    /// The name that grants and the audit log use.
    pub name: String,
    /// SHA-256 of the bearer token; the token itself is nowhere.
    pub token_hash: Option<[u8; 32]>,
    /// SHA-256 of each certificate (DER) that proves this partner by itself.
    pub certificates: Vec<[u8; 32]>,
    /// Subject alternative names, `dns:`, `uri:` or `email:` before each, that prove this partner in a
    /// certificate of the configured authority.
    pub subjects: Vec<String>,
    /// Whether a token without a certificate is refused.
    pub require_certificate: bool,
    /// The last day (UTC) on which the partner may come.
    pub expires: Option<NaiveDate>,
    /// Whether the partner is refused.
    pub disabled: bool,
    /// When the record was made, in seconds since 1970.
    pub created_seconds: i64,
}

/// One token and the original that it stands for.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// The number, from 1.
    pub number: u64,
    /// The original value; `None` where it is sealed and was not opened.
    pub original: Option<String>,
    /// When the value was first seen, in seconds since 1970.
    pub first_seen_seconds: i64,
    /// In how many rows it stood, when they were last counted, of all columns that use the map.
    pub rows: u64,
}

impl Debug for TokenRecord {
    // PRIVACY: an original must not reach a log through `{:?}`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenRecord").field("number", &self.number).finish_non_exhaustive()
    }
}

/// A token map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeRecord {
    /// Its name.
    pub name: String,
    /// The highest number that was given out or taken in.
    pub last: u64,
    /// How many tokens it holds.
    pub tokens: u64,
    /// How many of them have a sealed original.
    pub sealed: u64,
}

/// A token that was numbered elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct NewToken {
    /// The number, from 1.
    pub number: u64,
    /// The original value.
    pub original: String,
    /// In how many rows it stood, where that is to be kept.
    pub rows: Option<u64>,
}

impl Debug for NewToken {
    // PRIVACY: as for `TokenRecord`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewToken").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Why a token cannot be taken in; `at` is its place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clash {
    /// The number stands for another value.
    Number {
        /// Which token.
        at: usize,
    },
    /// The value has another number.
    Value {
        /// Which token.
        at: usize,
        /// The number that the value has.
        number: u64,
    },
}

/// What was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// Tokens that are new here.
    pub added: u64,
    /// Tokens that were here already, with the same numbers.
    pub known: u64,
    /// The number after which new values go on.
    pub last: u64,
}

/// What was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedOriginals {
    /// How many originals.
    pub sealed: u64,
    /// Whether nothing of them is left in the store's files.
    pub cleared: bool,
}

/// Whether a value can be meant: it is not blank, and where it is written like an IP address (digits and
/// at least two dots, or hexadecimal digits, dots and at least two colons) it is one. Blanks around it
/// do not count, nor do leading zeros of an IPv4 address. Null has no token, so it is neither.
pub fn is_valid(value: &str) -> bool {
    let value = value.trim();
    let many = |what: char| value.matches(what).count() >= 2;
    let made_of = |part: fn(char) -> bool| value.chars().all(part);
    if many('.') && made_of(|c| c.is_ascii_digit() || c == '.') {
        let parts: Vec<&str> = value.split('.').collect();
        let octet = |part: &&str| part.len() <= 3 && part.parse::<u8>().is_ok();
        return parts.len() == 4 && parts.iter().all(octet);
    }
    if many(':') && made_of(|c| c.is_ascii_hexdigit() || matches!(c, ':' | '.')) {
        return value.parse::<std::net::Ipv6Addr>().is_ok();
    }
    !value.is_empty()
}

/// One row of the audit log as remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its place in the log, from 1.
    pub seq: u64,
    /// Whether a later row closes this one.
    pub opens: bool,
    /// The row that this one closes.
    pub closes: Option<u64>,
    /// The record as canonical JSON.
    pub body: String,
    /// SHA-256 of the hash before and the body.
    pub hash: [u8; 32],
    /// The keyed seal of the hash.
    pub mac: [u8; 32],
}

/// The end of the audit log, kept apart from the rows so that a cut shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditHead {
    /// The number of the last row.
    pub seq: u64,
    /// Its hash.
    pub hash: [u8; 32],
    /// The epoch of the key that made `mac`.
    pub epoch: u32,
    /// The keyed seal of `seq` and `hash`.
    pub mac: [u8; 32],
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn blank_values_and_what_only_looks_like_an_address_are_not_valid() {
        let valid = [
            "jsmith",
            " jsmith ",
            "NULL",
            "None",
            "0.0.0.0",
            "255.255.255.255",
            " 1.2.3.4",
            "010.1.2.3",
            "2001:db8::1",
            "::ffff:1.2.3.4",
            "1.2",
            "a.b.c",
            "v1.2.3",
            "12:30",
        ];
        let invalid = [
            "",
            " ",
            "\t",
            "256.0.0.1",
            "1.2.3",
            "1.2.3.4.5",
            "1..2.3",
            "1.2.3.0004",
            ":::",
            "a:b:c",
        ];
        for value in valid {
            assert!(is_valid(value), "`{value}`");
        }
        for value in invalid {
            assert!(!is_valid(value), "`{value}`");
        }
    }
}
