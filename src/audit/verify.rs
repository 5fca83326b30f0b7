//! Whether the log is whole. Each fault is told with the number of the record. It repairs nothing.
//!
//! What it cannot see by itself: a state file put back as it was at an earlier time is whole, only
//! older. An auditor who noted a number and hash before ([`Anchor`]) sees that too, and a log deleted
//! altogether as well.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::book::{self, Discord};
use super::chain;
use super::record::{Ending, Event, Record};
use crate::error::{Code, Result};
use crate::keys::KeyRing;
use crate::state::{AuditHead, AuditRow, Kept, Store};

/// A record's number and hash, noted at an earlier time and kept elsewhere: `SEQ:HASH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The number.
    pub seq: u64,
    /// The hash.
    pub hash: [u8; 32],
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, chain::hex(&self.hash))
    }
}

impl FromStr for Anchor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shape = || format!("`{text}` is not of the form SEQ:HASH");
        let (seq, hash) = text.split_once(':').ok_or_else(shape)?;
        let hash = data_encoding::HEXLOWER_PERMISSIVE
            .decode(hash.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(shape)?;
        Ok(Self { seq: seq.parse().map_err(|_| shape())?, hash })
    }
}

/// What is wrong at a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The text is not the one that was sealed.
    Edited,
    /// Hash and seal were not made with our key, or the record does not follow the one before.
    Forged,
    /// Sealed with a key that the ring does not hold, so nothing can be said.
    KeyMissing {
        /// The epoch of that key.
        epoch: u32,
    },
    /// A record that stood at another place.
    Reordered {
        /// The place that its own text names.
        own_seq: u64,
    },
    /// Records from this one on are not there.
    Missing {
        /// The last one that is not there.
        to_seq: u64,
    },
    /// The log ends before the record that its head names.
    Cut {
        /// The number of the last record that is there.
        last_seq: u64,
    },
    /// The head is not there, or was not made with our key, or does not belong to this record.
    Head,
    /// It closes a record that was not open.
    Unpaired {
        /// The record that it closes.
        closes: u64,
    },
    /// The record is not the one that was noted.
    NotAsNoted,
    /// The log ends before the record that was noted.
    RolledBack {
        /// The number of the last record that is there.
        last_seq: u64,
    },
}

/// A fault and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The number of the record.
    pub seq: u64,
    /// What is wrong there.
    pub fault: Fault,
}

impl Fault {
    /// One word for machines.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Cut { .. } => "cut",
            Self::Edited => "edited",
            Self::Forged => "forged",
            Self::Head => "head",
            Self::KeyMissing { .. } => "key_missing",
            Self::Missing { .. } => "missing",
            Self::NotAsNoted => "not_as_noted",
            Self::Reordered { .. } => "reordered",
            Self::RolledBack { .. } => "rolled_back",
            Self::Unpaired { .. } => "unpaired",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seq = self.seq;
        match self.fault {
            Fault::Cut { last_seq } => {
                write!(f, "cut: the head names record {seq}, the log ends at {last_seq}")
            }
            Fault::Edited => write!(f, "edited: record {seq} is not the text that was sealed"),
            Fault::Forged => write!(f, "forged: record {seq} was not sealed with the audit key"),
            Fault::Head => write!(f, "forged: the head does not belong to record {seq}"),
            Fault::KeyMissing { epoch } => {
                write!(f, "unknown: record {seq} is sealed with key epoch {epoch}, not in the ring")
            }
            Fault::Missing { to_seq } if to_seq == seq => write!(f, "missing: record {seq}"),
            Fault::Missing { to_seq } => write!(f, "missing: records {seq} to {to_seq}"),
            Fault::NotAsNoted => write!(f, "replaced: record {seq} is not the one that was noted"),
            Fault::Reordered { own_seq } => {
                write!(f, "reordered: at place {seq} stands record {own_seq}")
            }
            Fault::RolledBack { last_seq } => {
                write!(f, "rolled back: record {seq} was noted, the log ends at {last_seq}")
            }
            Fault::Unpaired { closes } => {
                write!(f, "unpaired: record {seq} closes {closes}, which was not open")
            }
        }
    }
}

/// The result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How many records are there.
    pub records: u64,
    /// The faults, the first [`FINDINGS_MAX`] of them, in order of their records.
    pub findings: Vec<Finding>,
    /// How many faults there are in all.
    pub findings_total: u64,
    /// Entries that are open: requests under way, or left by a crash.
    pub open: Vec<u64>,
    /// The end of the log, to be noted for the next time.
    pub end: Option<Anchor>,
    /// How many entries the account book of privacy losses has.
    pub entries: u64,
    /// How many of them no record ties to the log, because they were written before there were such records and
    /// none came after.
    pub untied: u64,
    /// Where the account book does not agree with the log, the first [`FINDINGS_MAX`].
    pub discords: Vec<Discord>,
    /// How many of these there are in all.
    pub discords_total: u64,
}

impl Report {
    /// Whether no fault was found, and the account book agrees with the log.
    pub fn is_whole(&self) -> bool {
        self.findings_total == 0 && self.discords_total == 0
    }
}

/// Reads the whole log and checks every link, and holds every entry of the account book against it.
///
/// # Errors
/// [`Code::State`] when the state cannot be read. Faults are not errors.
pub fn verify(store: &dyn Store, ring: &KeyRing, noted: Option<&Anchor>) -> Result<Report> {
    let mut check = Check::new(ring, noted);
    let head = store.audit_all(&mut |kept| {
        match kept {
            Kept::Record(row) => check.row(&row)?,
            Kept::Entry(entry) => check.book.entry(&entry),
            Kept::Sums { dataset, partner, sums } => check.book.sums(dataset, partner, sums),
        }
        Ok(())
    })?;
    check.end(head.as_ref())
}

/// The state of a walk through the log.
struct Check<'a> {
    ring: &'a KeyRing,
    noted: Option<&'a Anchor>,
    noted_seen: bool,
    records: u64,
    /// The row before.
    last: Option<(u64, [u8; 32])>,
    /// Whether the row before was at fault, so that its broken link to the next says nothing new.
    last_at_fault: bool,
    /// Open entries; `true` where a recovery closed one that may still be closed by its owner.
    open: BTreeMap<u64, bool>,
    findings: Vec<Finding>,
    findings_total: u64,
    book: book::Check,
}

impl<'a> Check<'a> {
    fn new(ring: &'a KeyRing, noted: Option<&'a Anchor>) -> Self {
        Self {
            ring,
            noted,
            noted_seen: false,
            records: 0,
            last: None,
            last_at_fault: false,
            open: BTreeMap::new(),
            findings: Vec::new(),
            findings_total: 0,
            book: book::Check::default(),
        }
    }

    fn find(&mut self, seq: u64, fault: Fault) {
        self.findings_total += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { seq, fault });
        }
    }

    fn row(&mut self, row: &AuditRow) -> Result<()> {
        self.records += 1;
        let expected = self.last.map_or(1, |(seq, _)| seq + 1);
        let gap = row.seq != expected;
        if gap {
            self.find(expected, Fault::Missing { to_seq: row.seq.saturating_sub(1) });
        }
        if let Some(noted) = self.noted.filter(|noted| noted.seq == row.seq) {
            self.noted_seen = true;
            if noted.hash != row.hash {
                self.find(row.seq, Fault::NotAsNoted);
            }
        }
        let link_known = !gap && !self.last_at_fault;
        let fault = self.judge(row, link_known)?;
        self.last_at_fault = fault.is_some();
        if let Some(fault) = fault {
            self.find(row.seq, fault);
        }
        self.last = Some((row.seq, row.hash));
        Ok(())
    }

    /// What is wrong with a row, looking at itself and, where the row before is sound, at the link.
    fn judge(&mut self, row: &AuditRow, link_known: bool) -> Result<Option<Fault>> {
        let Ok(record) = Record::from_body(&row.body) else {
            return Ok(Some(Fault::Edited));
        };
        let authentic = match chain::row_is_authentic(self.ring, record.epoch, row) {
            Ok(authentic) => authentic,
            Err(error) if error.code() == Code::Keys => {
                return Ok(Some(Fault::KeyMissing { epoch: record.epoch }));
            }
            Err(error) => return Err(error),
        };
        let Some(previous) = unhex(&record.previous) else {
            return Ok(Some(Fault::Edited));
        };
        let untouched = chain::link(&previous, &row.body) == row.hash;
        Ok(match (untouched, authentic) {
            (false, _) => Some(Fault::Edited),
            (true, false) => Some(Fault::Forged),
            (true, true) if record.seq != row.seq => Some(Fault::Reordered { own_seq: record.seq }),
            (true, true) if chain::links(&record.event) != (row.opens, row.closes) => {
                Some(Fault::Edited)
            }
            (true, true) => {
                let before = self.last.map_or(chain::GENESIS, |(_, hash)| hash);
                if link_known && previous != before {
                    return Ok(Some(Fault::Forged));
                }
                self.pair(row.seq, &record.event)
            }
        })
    }

    /// Keeps the book of open entries.
    fn pair(&mut self, seq: u64, event: &Event) -> Option<Fault> {
        match event {
            Event::Open(_) => {
                self.open.insert(seq, false);
                None
            }
            Event::Close(close) if close.outcome == Ending::Interrupted => {
                // The owner may still be alive and close it for good.
                match self.open.get_mut(&close.opened) {
                    Some(interrupted) => *interrupted = true,
                    None => return self.unpaired(close.opened),
                }
                None
            }
            Event::Close(close) => match self.open.remove(&close.opened) {
                Some(_) => None,
                None => self.unpaired(close.opened),
            },
            Event::Book(booked) => {
                self.book.record(seq, booked);
                None
            }
            Event::Refuse(_) => None,
        }
    }

    /// A close without its open is a fault of its own only where the log is sound up to here.
    fn unpaired(&self, closes: u64) -> Option<Fault> {
        (self.findings_total == 0).then_some(Fault::Unpaired { closes })
    }

    fn end(mut self, head: Option<&AuditHead>) -> Result<Report> {
        let last = self.last;
        let last_seq = last.map_or(0, |(seq, _)| seq);
        match head {
            None if last_seq > 0 => self.find(last_seq, Fault::Head),
            None => {}
            Some(head) => {
                let authentic = match chain::head_is_authentic(self.ring, head) {
                    Err(error) if error.code() == Code::Keys => false,
                    other => other?,
                };
                if !authentic {
                    self.find(head.seq, Fault::Head);
                } else if head.seq > last_seq {
                    self.find(head.seq, Fault::Cut { last_seq });
                } else if last != Some((head.seq, head.hash)) && !self.last_at_fault {
                    self.find(last_seq, Fault::Head);
                }
            }
        }
        if let Some(noted) = self.noted.filter(|noted| noted.seq > last_seq) {
            self.find(noted.seq, Fault::RolledBack { last_seq });
        } else if let Some(noted) = self.noted.filter(|_| !self.noted_seen) {
            self.find(noted.seq, Fault::NotAsNoted);
        }
        self.findings.sort_by_key(|finding| finding.seq);
        self.book.end();
        Ok(Report {
            records: self.records,
            findings: self.findings,
            findings_total: self.findings_total,
            open: self
                .open
                .into_iter()
                .filter_map(|(seq, interrupted)| (!interrupted).then_some(seq))
                .collect(),
            end: last.map(|(seq, hash)| Anchor { seq, hash }),
            entries: self.book.entries,
            untied: self.book.untied,
            discords: self.book.found,
            discords_total: self.book.total,
        })
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// How many findings a report lists.
pub const FINDINGS_MAX: usize = 100;
