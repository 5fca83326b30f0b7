//! The account book of privacy losses and the log: the record that an entry of the book has, and whether each entry
//! is still the one that its record tells of. It does not say what may be spent.
//!
//! A record holds the entry's link, a hash over the entry and all entries before it. Who edits the state file can
//! make links anew, but not records, which are sealed with a key; so what is taken out of the book, put into it or
//! changed in it does not agree with the log any more.

use std::collections::BTreeMap;
use std::fmt;

use super::chain;
use super::record::{Booked, Event};
use super::verify::FINDINGS_MAX;
use crate::error::Result;
use crate::keys::KeyRing;
use crate::policy::privacy::Loss;
use crate::state::{AuditHead, AuditRow, Link, NewPrivacyEntry, PrivacyEntry, PrivacySums};

/// The record of an entry that is being written, and the head after it.
///
/// # Errors
/// [`crate::error::Code::State`] when the log's head is not authentic: then nothing is spent either.
pub fn record(
    ring: &KeyRing,
    head: Option<&AuditHead>,
    now_micros: i64,
    entry: &PrivacyEntry,
    link: &Link,
) -> Result<(AuditRow, AuditHead)> {
    let (kind, Loss { epsilon, delta }) = match entry.what {
        NewPrivacyEntry::Spend { loss, .. } => ("spend", loss),
        NewPrivacyEntry::Grant { loss, .. } => ("grant", loss),
    };
    let booked = Booked {
        entry: entry.number,
        kind: kind.to_owned(),
        partner: entry.partner.clone(),
        dataset: entry.dataset.clone(),
        epsilon: epsilon.to_string(),
        delta: delta.to_string(),
        link: chain::hex(link),
    };
    chain::follow(ring, head, now_micros, Event::Book(booked))
}

/// Where book and log do not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discord {
    /// An entry is not the one that its record tells of; where it is the first that has a record, one of those
    /// before it may be it.
    Changed {
        /// The entry.
        entry: u64,
        /// The record.
        seq: u64,
    },
    /// Entries are not there.
    Missing {
        /// The first.
        entry: u64,
        /// The last.
        to: u64,
    },
    /// The book ends before entries that records tell of.
    Cut {
        /// The last entry that is there.
        last: u64,
        /// The last one that has a record.
        told: u64,
    },
    /// An entry that no record tells of, after others that have theirs: it was put in by hand.
    Untold {
        /// The entry.
        entry: u64,
    },
    /// Two records tell of entries with the same number: one was taken out, and its number used again.
    Twice {
        /// The entry.
        entry: u64,
        /// The second record.
        seq: u64,
    },
    /// Sums that are not those of the entries.
    Sums {
        /// The dataset.
        dataset: String,
        /// The partner.
        partner: String,
    },
}

impl Discord {
    /// One word for machines.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Changed { .. } => "entry_changed",
            Self::Missing { .. } => "entry_missing",
            Self::Cut { .. } => "book_cut",
            Self::Untold { .. } => "entry_untold",
            Self::Twice { .. } => "entry_twice",
            Self::Sums { .. } => "sums",
        }
    }
}

impl fmt::Display for Discord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { entry, seq } => write!(
                f,
                "changed: entry {entry} of the account book is not the one that record {seq} tells of"
            ),
            Self::Missing { entry, to } if entry == to => {
                write!(f, "missing: entry {entry} of the account book")
            }
            Self::Missing { entry, to } => {
                write!(f, "missing: entries {entry} to {to} of the account book")
            }
            Self::Cut { last, told } => write!(
                f,
                "cut: records tell of {told} entries of the account book, which ends at {last}"
            ),
            Self::Untold { entry } => {
                write!(f, "added: entry {entry} of the account book stands in no record")
            }
            Self::Twice { entry, seq } => write!(
                f,
                "replaced: record {seq} tells of entry {entry} of the account book, which had a record before"
            ),
            Self::Sums { dataset, partner } => write!(
                f,
                "changed: the sums of `{partner}` and `{dataset}` are not those of the account book's entries"
            ),
        }
    }
}

/// A walk through the records, then the entries, then the sums.
#[derive(Default)]
pub(super) struct Check {
    /// By entry: the record, and the link that it holds.
    told: BTreeMap<u64, (u64, String)>,
    /// The last entry, and its link.
    last: (u64, Link),
    sums: BTreeMap<(String, String), Option<PrivacySums>>,
    pub(super) entries: u64,
    /// Entries that no record ties to the log yet: those of before there were such records.
    pub(super) untied: u64,
    pub(super) found: Vec<Discord>,
    pub(super) total: u64,
}

impl Check {
    fn find(&mut self, discord: Discord) {
        self.total += 1;
        if self.found.len() < FINDINGS_MAX {
            self.found.push(discord);
        }
    }

    /// A record, which is authentic.
    pub(super) fn record(&mut self, seq: u64, booked: &Booked) {
        let entry = booked.entry;
        if self.told.insert(entry, (seq, booked.link.clone())).is_some() {
            self.find(Discord::Twice { entry, seq });
        }
    }

    pub(super) fn entry(&mut self, entry: &PrivacyEntry) {
        let (last, previous) = self.last;
        self.entries += 1;
        let number = entry.number;
        if number != last + 1 {
            self.find(Discord::Missing { entry: last + 1, to: number.saturating_sub(1) });
        }
        // Where the entry before has a record, its link is what that says: one entry that was changed is one.
        let noted = number.checked_sub(1).and_then(|before| self.link(before));
        let link = entry.link(&noted.unwrap_or(previous));
        match self.told.get(&number) {
            Some((seq, told)) if *told != chain::hex(&link) => {
                let seq = *seq;
                self.find(Discord::Changed { entry: number, seq });
            }
            Some(_) => {}
            None if self.told.range(..number).next().is_some() => {
                self.find(Discord::Untold { entry: number });
            }
            None => {}
        }
        self.last = (number, link);
        let key = (entry.dataset.clone(), entry.partner.clone());
        let sums = self.sums.entry(key).or_insert_with(|| Some(PrivacySums::default()));
        *sums = sums.and_then(|sums| sums.and(PrivacySums::of(&entry.what)));
    }

    fn link(&self, entry: u64) -> Option<Link> {
        let (_, link) = self.told.get(&entry)?;
        data_encoding::HEXLOWER.decode(link.as_bytes()).ok()?.try_into().ok()
    }

    pub(super) fn sums(&mut self, dataset: String, partner: String, sums: PrivacySums) {
        let key = (dataset, partner);
        if self.sums.remove(&key) != Some(Some(sums)) {
            let (dataset, partner) = key;
            self.find(Discord::Sums { dataset, partner });
        }
    }

    pub(super) fn end(&mut self) {
        // Entries of which there is no sum.
        for (dataset, partner) in std::mem::take(&mut self.sums).into_keys() {
            self.find(Discord::Sums { dataset, partner });
        }
        let (last, _) = self.last;
        let first = self.told.first_key_value().map(|(entry, _)| *entry);
        match self.told.last_key_value().map(|(entry, _)| *entry) {
            Some(told) if told > last => self.find(Discord::Cut { last, told }),
            _ => {}
        }
        // What comes before the first record is tied by its link.
        self.untied = if first.is_none() { self.entries } else { 0 };
    }
}

#[cfg(test)]
mod tests;
