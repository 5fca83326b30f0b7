//! What stands in the log: one JSON object a row, in a fixed order of fields and without spaces. It
//! never holds a raw value, a token or a secret; texts that come from outside are cut and cleaned here.

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::chain::hex;
use super::{Outcome, Request};
use crate::error::{Code, Context, Error, Result};
use crate::policy::privacy::Loss;

/// A record: its place in the chain, the time, and what happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The number of the record, from 1.
    pub seq: u64,
    /// The hash of the record before, in hexadecimal; zeros for the first.
    pub previous: String,
    /// The epoch of the key that seals this record.
    pub epoch: u32,
    /// The first version of records that has all fields which this one uses.
    #[serde(default = "first_version", skip_serializing_if = "is_first_version")]
    pub version: u32,
    /// When, in UTC (RFC 3339).
    pub time: String,
    /// What happened.
    pub event: Event,
}

const fn first_version() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_first_version(version: &u32) -> bool {
    *version == 1
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// An entry of the account book of privacy losses was written (from version 5 on).
    Book(Booked),
    /// A request ended.
    Close(Close),
    /// A request was let in, and nothing has been read for it yet.
    Open(Subject),
    /// Requests were turned away.
    Refuse(Refuse),
}

/// Who asked for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The request's id.
    pub request: String,
    /// Who asked; empty where credentials failed.
    pub partner: String,
    /// From where.
    pub peer: String,
    /// The method.
    pub method: String,
    /// The dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// The digest of the policy that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_digest: Option<String>,
    /// The columns that leave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// The shard of a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<u32>,
    /// The statement (from version 2 on).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<Statement>,
    /// What the statement reads (from version 2 on).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<Read>,
    /// What the custodian did by hand (from version 3 on).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deed: Option<Deed>,
}

/// What the custodian did by hand: the way back from pseudonyms to originals, and changes of it. It says
/// what was asked and why, never what was answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deed {
    /// Why, in the custodian's words; empty where none are asked for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The token map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The pseudonym that was looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pseudonym: Option<String>,
    /// The file that was written or read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl Deed {
    fn cleaned(&self) -> Self {
        Self {
            reason: clean_to(&self.reason, REASON_CHARS_MAX),
            scope: self.scope.as_deref().map(clean),
            pseudonym: self.pseudonym.as_deref().map(clean),
            file: self.file.as_deref().map(clean),
        }
    }
}

/// A statement as it is recorded: the partner's own text, and what its parameters were hashed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The beginning of the text, up to 4,000 characters.
    text: String,
    /// SHA-256 of the whole text, in hexadecimal.
    sha256: String,
    /// SHA-256 of the parameters as they came, in hexadecimal. They are the partner's as well, but may
    /// be large, and name persons that nobody looks for in the text of a statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parameters_sha256: Option<String>,
}

impl Statement {
    /// A statement with its parameters; no bytes for none.
    pub fn new(sql: &str, parameters: &[u8]) -> Self {
        let sha256 = |bytes: &[u8]| hex(&Sha256::digest(bytes));
        Self {
            text: sql
                .chars()
                .take(STATEMENT_CHARS_MAX)
                .map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c })
                .collect(),
            sha256: sha256(sql.as_bytes()),
            parameters_sha256: (!parameters.is_empty()).then(|| sha256(parameters)),
        }
    }

    /// The beginning of the text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What a statement reads of one dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The dataset.
    pub dataset: String,
    /// The digest of the policy that answers.
    pub policy_digest: String,
    /// The columns that are read.
    pub columns: Vec<String>,
}

impl Read {
    fn cleaned(&self) -> Self {
        Self {
            dataset: clean(&self.dataset),
            policy_digest: clean(&self.policy_digest),
            columns: self.columns.iter().map(|column| clean(column)).collect(),
        }
    }
}

impl Subject {
    /// The request as it is recorded.
    pub fn new(request: &Request) -> Self {
        Self {
            request: clean(&request.id),
            partner: clean(&request.partner),
            peer: clean(&request.peer),
            method: clean(&request.method),
            dataset: request.dataset.as_deref().map(clean),
            policy_digest: request.policy_digest.as_deref().map(clean),
            columns: request.columns.iter().map(|column| clean(column)).collect(),
            shard: request.shard,
            statement: request.statement.clone(),
            reads: request.reads.iter().map(Read::cleaned).collect(),
            deed: request.deed.as_ref().map(Deed::cleaned),
        }
    }
}

impl Subject {
    /// The datasets that the request is about, by name.
    pub fn datasets(&self) -> Vec<&str> {
        let read = self.reads.iter().map(|read| read.dataset.as_str());
        self.dataset.as_deref().into_iter().chain(read).collect()
    }

    /// Whether the request is about this dataset, alone or beside others.
    pub fn is_about(&self, dataset: &str) -> bool {
        self.datasets().contains(&dataset)
    }
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Close {
    /// The number of the record that opened it.
    pub opened: u64,
    /// The request's id.
    pub request: String,
    /// How it ended.
    pub outcome: Ending,
    /// The code, where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The rows that left; unknown after an interruption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The bytes that left; unknown after an interruption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How long it took; unknown after an interruption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// What was paid of a privacy budget (from version 4 on); unknown after an interruption, where the ledger
    /// alone knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid: Option<Payment>,
}

/// What a differentially private answer was paid with. A loss that was spent stays spent, whatever the outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payment {
    /// Epsilon, as a decimal; 0 for a stored answer.
    pub epsilon: String,
    /// Delta, as a decimal; 0 for a stored answer.
    pub delta: String,
    /// Whether the answer was there already.
    pub stored: bool,
    /// The number of the account book's entry (from version 5 on); none for a stored answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
}

/// An entry of the account book, as it is recorded in the same step in which it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Booked {
    /// Its number.
    pub entry: u64,
    /// `spend`, or `grant` for what was granted by hand.
    pub kind: String,
    /// Whose account.
    pub partner: String,
    /// Of what.
    pub dataset: String,
    /// Epsilon, as a decimal.
    pub epsilon: String,
    /// Delta, as a decimal.
    pub delta: String,
    /// The hash, in hexadecimal, over this entry and all before it.
    pub link: String,
}

impl Payment {
    /// Nothing, for a stored answer.
    pub fn stored() -> Self {
        let nothing = Loss::default();
        let (epsilon, delta) = (nothing.epsilon.to_string(), nothing.delta.to_string());
        Self { epsilon, delta, stored: true, entry: None }
    }

    /// A loss that was spent, and the entry that says so.
    pub fn of(loss: Loss, entry: u64) -> Self {
        let (epsilon, delta) = (loss.epsilon.to_string(), loss.delta.to_string());
        Self { epsilon, delta, stored: false, entry: Some(entry) }
    }
}

/// The word for an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Answered in full.
    Done,
    /// Failed or was broken off, with a code.
    Failed,
    /// The server ended before the request did; written at the next start.
    Interrupted,
}

impl Ending {
    /// The word as it stands in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::Failed(_) => Self::Failed,
        }
    }
}

/// Requests that were turned away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refuse {
    /// Who asked for what; the latest one where several are counted together.
    pub subject: Subject,
    /// Why.
    pub code: String,
    /// How many are counted together.
    pub count: u64,
}

impl Event {
    /// The first version of records that has all fields which this event uses.
    pub const fn version(&self) -> u32 {
        let subject = match self {
            Self::Book(_)
            | Self::Close(Close { paid: Some(Payment { entry: Some(_), .. }), .. }) => {
                return 5;
            }
            Self::Close(Close { paid: Some(_), .. }) => return 4,
            Self::Close(_) => return 1,
            Self::Open(subject) => subject,
            Self::Refuse(refuse) => &refuse.subject,
        };
        match subject {
            Subject { deed: Some(_), .. } => 3,
            Subject { statement: Some(_), .. } => 2,
            Subject { reads, .. } if !reads.is_empty() => 2,
            _ => 1,
        }
    }
}

impl Record {
    /// The record as it is hashed and stored.
    ///
    /// # Errors
    /// [`Code::Internal`] when it cannot be written as JSON.
    pub fn to_body(&self) -> Result<String> {
        serde_json::to_string(self)
            .context(Code::Internal, || "an audit record cannot be written".to_owned())
    }

    /// Reads a stored record.
    ///
    /// # Errors
    /// [`Code::State`] when it is not one.
    pub fn from_body(body: &str) -> Result<Self> {
        serde_json::from_str(body).map_err(|cause| {
            Error::new(Code::State, "an audit record cannot be read").because(cause)
        })
    }

    /// The time in microseconds since 1970.
    pub fn time_micros(&self) -> Option<i64> {
        DateTime::parse_from_rfc3339(&self.time).ok().map(|time| time.timestamp_micros())
    }
}

/// A time as it stands in the log.
pub fn time_text(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros)
        .map(|time| time.to_rfc3339_opts(SecondsFormat::Micros, true))
        .unwrap_or_default()
}

/// Cuts a text to a bounded length and replaces control characters, so that a name cannot flood the
/// log or play tricks on the terminal of whoever reads it.
fn clean(text: &str) -> String {
    clean_to(text, TEXT_CHARS_MAX)
}

fn clean_to(text: &str, chars_max: usize) -> String {
    text.chars()
        .take(chars_max)
        .map(|character| if character.is_control() { '\u{fffd}' } else { character })
        .collect()
}

/// The longest text in a record, in characters.
const TEXT_CHARS_MAX: usize = 256;

/// The most that a record holds of a reason, in characters.
const REASON_CHARS_MAX: usize = 1_000;

/// The most that a record holds of a statement's text, in characters.
const STATEMENT_CHARS_MAX: usize = 4_000;

#[cfg(test)]
mod tests;
