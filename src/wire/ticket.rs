//! Tickets: what a partner hands back to get one stream. Sealed, so that a ticket can be neither read
//! nor made up, and bound to one partner, one question, one state of policies and data, and a time. A
//! ticket may be used again until it expires, so that a broken pull can be repeated. Whether policies
//! and data are still the same is for the caller to compare.

use bytes::Bytes;

use super::sql::command::{METADATA_BYTES_MAX, STATEMENT_BYTES_MAX};
use super::sql::parameters::PARAMETERS_BYTES_MAX;
use crate::error::{Code, Error, Result};
use crate::keys::KeyRing;
use crate::keys::envelope::Envelope;
use crate::pipeline::format::{Compression, Format, Strings};
use crate::pipeline::source::Snapshot;
use crate::policy::decimal::Decimal;
use crate::policy::plan::Plan;

/// No genuine ticket is longer, in bytes: the longest statement, the longest parameters, and the names
/// of what they read. More is refused before it is decrypted or decoded.
pub const TICKET_BYTES_MAX: usize = STATEMENT_BYTES_MAX + PARAMETERS_BYTES_MAX + (256 << 10);

/// The layout of the sealed bytes.
const VERSION: u8 = 3;

/// One answer to "what flights are there", which all its tickets share.
pub type PlanId = [u8; 16];

/// What a ticket says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Who may use it.
    pub partner: String,
    /// What it is for.
    pub subject: Subject,
    /// The answer it belongs to; cancelling works on all tickets of one answer.
    pub plan: PlanId,
    /// How values travel: as the answer that gave the ticket said.
    pub format: Format,
    /// The last second it is good for, since 1970.
    pub expires_seconds: i64,
}

/// What a ticket is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// One shard of a dataset.
    Dataset {
        /// What was planned.
        seen: Seen,
        /// Which shard, from 0.
        shard: u32,
    },
    /// One shard of a statement's answer.
    Query {
        /// The statement.
        asked: Asked,
        /// What it reads.
        reads: Vec<Read>,
        /// Which shard, from 0.
        shard: u32,
    },
    /// A table about the catalogue or the server: its command.
    Metadata(Bytes),
}

impl Subject {
    /// The datasets that it was planned over.
    pub fn seen(&self) -> impl Iterator<Item = &Seen> {
        let (one, several) = match self {
            Self::Dataset { seen, .. } => (Some(seen), [].as_slice()),
            Self::Query { reads, .. } => (None, reads.as_slice()),
            Self::Metadata(_) => (None, [].as_slice()),
        };
        one.into_iter().chain(several.iter().map(|read| &read.seen))
    }
}

/// A dataset that a statement reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The dataset.
    pub seen: Seen,
    /// The columns that the plan reads of it, for the record.
    pub columns: Vec<String>,
}

/// A dataset in the state in which it was planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The dataset.
    pub dataset: String,
    /// The digest of its policy.
    pub policy_digest: String,
    /// The version of its data.
    pub data_version: String,
}

/// A statement and what it is asked with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The statement.
    pub sql: String,
    /// Its parameters, as an Arrow IPC stream of one row; empty for none.
    pub parameters: Bytes,
    /// The time zone of the session in which it was asked.
    pub time_zone: Option<String>,
    /// What it may cost where it is answered with noise.
    pub epsilon: Option<Decimal>,
}

impl Ticket {
    /// Whether `partner` may use it at this second.
    ///
    /// # Errors
    /// [`Code::TicketForeign`], [`Code::TicketExpired`].
    pub fn check(&self, partner: &str, now_seconds: i64) -> Result<()> {
        if self.partner != partner {
            return Err(Error::new(
                Code::TicketForeign,
                format!("`{partner}` came with a ticket of `{}`", self.partner),
            ));
        }
        if now_seconds > self.expires_seconds {
            let late = now_seconds.saturating_sub(self.expires_seconds);
            return Err(Error::new(Code::TicketExpired, format!("expired {late} s ago")));
        }
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        put(&mut bytes, self.partner.as_bytes());
        match &self.subject {
            Subject::Dataset { seen, shard } => {
                bytes.push(DATASET);
                seen.encode(&mut bytes);
                bytes.extend_from_slice(&shard.to_be_bytes());
            }
            Subject::Query { asked, reads, shard } => {
                bytes.push(QUERY);
                asked.encode(&mut bytes);
                put_len(&mut bytes, reads.len());
                for read in reads {
                    read.encode(&mut bytes);
                }
                bytes.extend_from_slice(&shard.to_be_bytes());
            }
            Subject::Metadata(command) => {
                bytes.push(METADATA);
                put(&mut bytes, command);
            }
        }
        bytes.extend_from_slice(&self.plan);
        bytes.extend_from_slice(&format_bytes(self.format));
        bytes.extend_from_slice(&self.expires_seconds.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let [VERSION] = *take::<1>(&mut rest)? else { return None };
        let partner = text(&mut rest)?;
        let subject = match *take::<1>(&mut rest)? {
            [DATASET] => Subject::Dataset {
                seen: Seen::decode(&mut rest)?,
                shard: u32::from_be_bytes(*take(&mut rest)?),
            },
            [QUERY] => Subject::Query {
                asked: Asked::decode(&mut rest)?,
                reads: (0..len(&mut rest)?)
                    .map(|_| Read::decode(&mut rest))
                    .collect::<Option<Vec<_>>>()?,
                shard: u32::from_be_bytes(*take(&mut rest)?),
            },
            [METADATA] => {
                let command = bytes_of(&mut rest)?;
                if command.len() > METADATA_BYTES_MAX * 2 {
                    return None;
                }
                Subject::Metadata(Bytes::copy_from_slice(command))
            }
            _ => return None,
        };
        let ticket = Self {
            partner,
            subject,
            plan: *take(&mut rest)?,
            format: format_of(*take(&mut rest)?)?,
            expires_seconds: i64::from_be_bytes(*take(&mut rest)?),
        };
        rest.is_empty().then_some(ticket)
    }
}

impl Read {
    fn encode(&self, bytes: &mut Vec<u8>) {
        self.seen.encode(bytes);
        put_len(bytes, self.columns.len());
        for column in &self.columns {
            put(bytes, column.as_bytes());
        }
    }

    fn decode(rest: &mut &[u8]) -> Option<Self> {
        let seen = Seen::decode(rest)?;
        let columns = (0..len(rest)?).map(|_| text(rest)).collect::<Option<Vec<_>>>()?;
        Some(Self { seen, columns })
    }
}

impl Seen {
    /// A dataset as it was planned now.
    pub fn of(plan: &Plan, snapshot: &Snapshot) -> Self {
        Self {
            dataset: plan.dataset().to_owned(),
            policy_digest: plan.policy().digest.clone(),
            data_version: snapshot.version().to_owned(),
        }
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        for text in [&self.dataset, &self.policy_digest, &self.data_version] {
            put(bytes, text.as_bytes());
        }
    }

    fn decode(rest: &mut &[u8]) -> Option<Self> {
        Some(Self { dataset: text(rest)?, policy_digest: text(rest)?, data_version: text(rest)? })
    }
}

impl Asked {
    /// Adds it to bytes that are to be sealed.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        put(bytes, self.sql.as_bytes());
        put(bytes, &self.parameters);
        // No time zone has an empty name.
        put(bytes, self.time_zone.as_deref().unwrap_or_default().as_bytes());
        bytes.extend_from_slice(&self.epsilon.unwrap_or_default().units().to_be_bytes());
    }

    /// Reads it from bytes that were sealed.
    pub(super) fn decode(rest: &mut &[u8]) -> Option<Self> {
        Some(Self {
            sql: text(rest)?,
            parameters: Bytes::copy_from_slice(bytes_of(rest)?),
            time_zone: Some(text(rest)?).filter(|name| !name.is_empty()),
            // Nothing costs nothing.
            epsilon: Some(Decimal::of_units(u128::from_be_bytes(*take(rest)?)))
                .filter(|epsilon| !epsilon.is_zero()),
        })
    }
}

/// What stands before each sort of subject.
const DATASET: u8 = 0;
const QUERY: u8 = 1;
const METADATA: u8 = 2;

const fn format_bytes(format: Format) -> [u8; 3] {
    let strings = match format.strings {
        Strings::Plain => 0,
        Strings::Large => 1,
        Strings::View => 2,
    };
    let compression = match format.compression {
        Compression::None => 0,
        Compression::Lz4 => 1,
        Compression::Zstd => 2,
    };
    [strings, format.dictionaries as u8, compression]
}

fn format_of([strings, dictionaries, compression]: [u8; 3]) -> Option<Format> {
    Some(Format {
        strings: match strings {
            0 => Strings::Plain,
            1 => Strings::Large,
            2 => Strings::View,
            _ => return None,
        },
        dictionaries: match dictionaries {
            0 => false,
            1 => true,
            _ => return None,
        },
        compression: match compression {
            0 => Compression::None,
            1 => Compression::Lz4,
            2 => Compression::Zstd,
            _ => return None,
        },
    })
}

/// Makes and opens tickets.
#[derive(Debug)]
pub struct Tickets {
    envelope: Envelope,
}

impl Tickets {
    /// Tickets sealed with a key from `ring`; every replica with the same ring can open them.
    ///
    /// # Errors
    /// [`Code::Keys`] when a key cannot be derived.
    pub fn new(ring: &KeyRing) -> Result<Self> {
        Ok(Self { envelope: Envelope::new(ring, "ticket")? })
    }

    /// The sealed ticket.
    ///
    /// # Errors
    /// [`Code::RequestInvalid`] when the question is too long, [`Code::Internal`] when there are no
    /// random bytes.
    pub fn seal(&self, ticket: &Ticket) -> Result<Vec<u8>> {
        let bytes = ticket.encode();
        if bytes.len() > TICKET_BYTES_MAX - OVERHEAD {
            return Err(Error::new(Code::RequestInvalid, "the question is too long for a ticket"));
        }
        self.envelope.seal(&bytes)
    }

    /// What a sealed ticket says. Nothing of it is to be believed before [`Ticket::check`].
    ///
    /// # Errors
    /// [`Code::TicketInvalid`] when it was not made here, or was changed since.
    pub fn open(&self, sealed: &[u8]) -> Result<Ticket> {
        if sealed.len() > TICKET_BYTES_MAX {
            return Err(Error::new(Code::TicketInvalid, "longer than any ticket"));
        }
        let bytes = self.envelope.open(sealed)?;
        Ticket::decode(&bytes)
            .ok_or_else(|| Error::new(Code::TicketInvalid, "authentic, but of another layout"))
    }
}

/// A new plan id.
///
/// # Errors
/// [`Code::Internal`] when the system has no random bytes.
pub fn new_plan_id() -> Result<PlanId> {
    let mut id = PlanId::default();
    getrandom::fill(&mut id)
        .map_err(|cause| Error::new(Code::Internal, "no random bytes").because(cause))?;
    Ok(id)
}

/// What sealing adds, in bytes.
const OVERHEAD: usize = 64;

/// Adds a part with its length before it.
pub(super) fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    put_len(bytes, part.len());
    bytes.extend_from_slice(part);
}

/// A length beyond the largest ticket is cut; the ticket is refused for its own length then.
fn put_len(bytes: &mut Vec<u8>, len: usize) {
    bytes.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
}

/// A length or a count, which is never larger than what is left.
fn len(rest: &mut &[u8]) -> Option<usize> {
    let len = usize::try_from(u32::from_be_bytes(*take(rest)?)).ok()?;
    (len <= rest.len()).then_some(len)
}

fn bytes_of<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = len(rest)?;
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(head)
}

/// A text that [`put`] added.
pub(super) fn text(rest: &mut &[u8]) -> Option<String> {
    String::from_utf8(bytes_of(rest)?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::Secret;

    fn tickets(byte: u8) -> Tickets {
        Tickets::new(&KeyRing::new(vec![(1, Secret::new([byte; 32]))]).unwrap()).unwrap()
    }

    fn ticket() -> Ticket {
        Ticket {
            partner: "cern".to_owned(),
            subject: Subject::Dataset { seen: seen("jobs"), shard: 7 },
            plan: [9; 16],
            format: Format::default(),
            expires_seconds: 1_000,
        }
    }

    fn seen(dataset: &str) -> Seen {
        Seen {
            dataset: dataset.to_owned(),
            policy_digest: "ab".repeat(32),
            data_version: "cd".repeat(32),
        }
    }

    fn read(dataset: &str) -> Read {
        Read { seen: seen(dataset), columns: vec!["Id".to_owned(), String::new()] }
    }

    fn query(sql: &str) -> Ticket {
        let asked = Asked {
            sql: sql.to_owned(),
            parameters: vec![1, 2, 3].into(),
            time_zone: Some("Europe/Zurich".to_owned()),
            epsilon: "0.25".parse().ok(),
        };
        let reads = vec![read("jobs"), Read { columns: Vec::new(), ..read("users") }];
        let subject = Subject::Query { asked, reads, shard: 3 };
        Ticket { subject, ..ticket() }
    }

    /// One of each sort.
    fn all() -> [Ticket; 4] {
        let metadata = Subject::Metadata(vec![10, 0].into());
        let format =
            Format { strings: Strings::View, dictionaries: true, compression: Compression::Zstd };
        [
            ticket(),
            query("SELECT 1"),
            Ticket { subject: metadata, ..ticket() },
            Ticket { format, ..query("") },
        ]
    }

    #[test]
    fn a_sealed_ticket_opens_as_it_was() {
        for ticket in all() {
            let sealed = tickets(1).seal(&ticket).unwrap();
            assert_eq!(tickets(1).open(&sealed).unwrap(), ticket);
        }
    }

    #[test]
    fn a_ticket_shows_nothing_it_says() {
        let sealed = tickets(1).seal(&query("SELECT 1")).unwrap();
        for secret in ["cern", "jobs", "abab", "cdcd", "SELE", "Euro"] {
            assert!(!sealed.windows(4).any(|window| window == secret.as_bytes()), "{secret}");
        }
    }

    #[test]
    fn a_ticket_of_another_installation_is_invalid() {
        let sealed = tickets(1).seal(&ticket()).unwrap();
        assert_eq!(tickets(2).open(&sealed).unwrap_err().code(), Code::TicketInvalid);
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let sealed = tickets(1).seal(&ticket()).unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 0x40;
            assert_eq!(tickets(1).open(&changed).unwrap_err().code(), Code::TicketInvalid, "{at}");
        }
    }

    #[test]
    fn what_is_too_long_is_refused_unread() {
        let error = tickets(1).open(&vec![0; TICKET_BYTES_MAX + 1]).unwrap_err();
        assert_eq!(error.code(), Code::TicketInvalid);
        let long = query(&"x".repeat(TICKET_BYTES_MAX));
        assert_eq!(tickets(1).seal(&long).unwrap_err().code(), Code::RequestInvalid);
    }

    #[test]
    fn the_longest_question_there_may_be_fits_a_ticket_that_opens() {
        let mut long = query(&"x".repeat(STATEMENT_BYTES_MAX));
        if let Subject::Query { asked, reads, .. } = &mut long.subject {
            asked.parameters = vec![7; PARAMETERS_BYTES_MAX].into();
            *reads = vec![reads[0].clone(); 300];
        }
        let sealed = tickets(1).seal(&long).unwrap();
        assert_eq!(tickets(1).open(&sealed).unwrap(), long);
    }

    #[test]
    fn the_last_second_counts_and_the_next_does_not() {
        assert!(ticket().check("cern", 1_000).is_ok());
        assert_eq!(ticket().check("cern", 1_001).unwrap_err().code(), Code::TicketExpired);
    }

    #[test]
    fn another_partner_is_told_so_even_after_expiry() {
        assert_eq!(ticket().check("fnal", 2_000).unwrap_err().code(), Code::TicketForeign);
    }

    #[test]
    fn bytes_after_the_end_and_other_versions_are_refused() {
        for ticket in all() {
            let mut bytes = ticket.encode();
            bytes.push(0);
            assert_eq!(Ticket::decode(&bytes), None);
            let mut bytes = ticket.encode();
            bytes[0] = 1;
            assert_eq!(Ticket::decode(&bytes), None);
        }
    }

    #[test]
    fn a_ticket_cut_anywhere_is_refused() {
        for ticket in all() {
            let bytes = ticket.encode();
            for end in 0..bytes.len() {
                assert_eq!(Ticket::decode(&bytes[..end]), None, "{end}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_ticket_survives_and_any_bytes_are_safe_to_decode(
            partner in ".{0,40}", dataset in ".{0,40}", sql in ".{0,200}", shard: u32,
            zone in "[A-Za-z/]{1,20}", parameters: Vec<u8>, expires_seconds: i64, noise: Vec<u8>,
            epsilon: u128,
        ) {
            let epsilon = Some(Decimal::of_units(epsilon.max(1)));
            let asked =
                Asked { sql, parameters: parameters.into(), time_zone: Some(zone), epsilon };
            for subject in [
                Subject::Dataset { seen: seen(&dataset), shard },
                Subject::Query { asked, reads: vec![read(&dataset)], shard },
            ] {
                let partner = partner.clone();
                let ticket = Ticket { partner, subject, expires_seconds, ..ticket() };
                prop_assert_eq!(Ticket::decode(&ticket.encode()), Some(ticket));
            }
            let _ = Ticket::decode(&noise);
            let _ = Ticket::decode(&[&[VERSION], noise.as_slice()].concat());
            let _ = tickets(1).open(&noise);
        }
    }
}
