//! The crate's one error, and whose move it is.
//!
//! Rooms return this type. The text in it is for the operator's log: it may name files, columns and
//! library errors. It never travels to a partner; `wire/status.rs` alone decides what they hear, and
//! it decides by [`Code`], not by text.

use std::fmt;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whose move it is: who can make the error go away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The partner: change the request or the credentials.
    Partner,
    /// The author of a policy file: change the file.
    PolicyAuthor,
    /// The operator: change the machine, the data or the settings.
    Operator,
    /// Us: a defect in this program.
    Server,
}

/// What went wrong, as a stable code. Partners see the code; logs and audit entries carry it too.
///
/// Codes are never reused. The letter says which room spoke: `I` identity, `T` ticket, `D` dataset,
/// `S` source data, `L` limits, `R` request, `Q` queries, `K` keys, `M` state, `P` policy, `C`
/// configuration, `X` a defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// No credentials came with the call.
    CredentialsMissing,
    /// The credentials are unknown, expired, malformed or belong to a disabled partner.
    CredentialsRefused,
    /// The ticket or the session token is forged, damaged or made by another installation.
    TicketInvalid,
    /// The ticket is past its expiry.
    TicketExpired,
    /// The ticket was issued to another partner.
    TicketForeign,
    /// The policy or the data changed since the ticket was issued.
    TicketStale,
    /// The dataset does not exist, or this partner may not know that it does.
    DatasetUnknown,
    /// The dataset is known to the partner, but cannot be served as it stands.
    DatasetUnavailable,
    /// The data no longer has the columns or types that its policy names.
    SchemaDrift,
    /// A source file is missing, truncated, changed while it was read, or not readable.
    SourceUnreadable,
    /// A value in the source does not fit what the policy says of its column.
    SourceValue,
    /// The partner has as many streams open as allowed.
    StreamsPartner,
    /// The server has as many streams open as allowed.
    StreamsTotal,
    /// The partner stopped reading for longer than allowed.
    StreamIdle,
    /// One row is larger than a message may be.
    RowTooLarge,
    /// The server is shutting down.
    ShuttingDown,
    /// The statement was worked at for longer than allowed.
    QueryTime,
    /// The statement needs more memory than queries may have, spilling included.
    QueryMemory,
    /// The partner has as many statements running and waiting as allowed.
    QueriesPartner,
    /// The statement waited for its turn for longer than allowed.
    QueryQueue,
    /// The partner took as many rows today as the grant or the settings allow.
    RowsDay,
    /// The partner took as many bytes today as the grant or the settings allow.
    BytesDay,
    /// What is left of the partner's privacy budget of the dataset is less than the statement costs.
    PrivacyBudget,
    /// What is left of the dataset's privacy budget, over all partners, is less than the statement costs.
    PrivacyCap,
    /// The same question of the same partner is being answered.
    QuestionUnderWay,
    /// The statement is not SQL, or names what the partner's catalogue does not hold.
    SqlInvalid,
    /// The statement is SQL that is not answered here: anything but a query over views.
    SqlRefused,
    /// The statement fails on a value that it computes, such as a cast or a division.
    QueryFailed,
    /// The grant allows aggregates over groups, and this is something else.
    AggregatesOnly,
    /// The grant allows differentially private aggregates, and this is something else.
    NoisyOnly,
    /// A differentially private answer could not be made after its loss was spent, whatever the reason.
    AnswerFailed,
    /// Parameters are missing, too many, or of another type than the statement needs.
    ParametersInvalid,
    /// The request is malformed.
    RequestInvalid,
    /// The method or command is not offered.
    Unsupported,
    /// The call was cancelled.
    Cancelled,
    /// A key is missing, malformed, published, or its file is readable by others.
    Keys,
    /// The state store cannot be read or written.
    State,
    /// A policy file is invalid.
    Policy,
    /// The server's settings or files are invalid.
    Config,
    /// A command-line request that cannot be carried out as asked.
    Usage,
    /// A defect in this program.
    Internal,
}

impl Code {
    /// All codes, in the order of the manuals.
    pub const ALL: &[Self] = &[
        Self::CredentialsMissing,
        Self::CredentialsRefused,
        Self::TicketInvalid,
        Self::TicketExpired,
        Self::TicketForeign,
        Self::TicketStale,
        Self::DatasetUnknown,
        Self::DatasetUnavailable,
        Self::SchemaDrift,
        Self::SourceUnreadable,
        Self::SourceValue,
        Self::StreamsPartner,
        Self::StreamsTotal,
        Self::StreamIdle,
        Self::RowTooLarge,
        Self::ShuttingDown,
        Self::QueryTime,
        Self::QueryMemory,
        Self::QueriesPartner,
        Self::QueryQueue,
        Self::RowsDay,
        Self::BytesDay,
        Self::PrivacyBudget,
        Self::PrivacyCap,
        Self::QuestionUnderWay,
        Self::SqlInvalid,
        Self::SqlRefused,
        Self::QueryFailed,
        Self::AggregatesOnly,
        Self::NoisyOnly,
        Self::AnswerFailed,
        Self::ParametersInvalid,
        Self::RequestInvalid,
        Self::Unsupported,
        Self::Cancelled,
        Self::Keys,
        Self::State,
        Self::Policy,
        Self::Config,
        Self::Usage,
        Self::Internal,
    ];

    /// The code as partners and logs see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CredentialsMissing => "I001",
            Self::CredentialsRefused => "I002",
            Self::TicketInvalid => "T001",
            Self::TicketExpired => "T002",
            Self::TicketForeign => "T003",
            Self::TicketStale => "T004",
            Self::DatasetUnknown => "D001",
            Self::DatasetUnavailable => "D002",
            Self::SchemaDrift => "D003",
            Self::SourceUnreadable => "S001",
            Self::SourceValue => "S002",
            Self::StreamsPartner => "L001",
            Self::StreamsTotal => "L002",
            Self::StreamIdle => "L003",
            Self::RowTooLarge => "L004",
            Self::ShuttingDown => "L005",
            Self::QueryTime => "L006",
            Self::QueryMemory => "L007",
            Self::QueriesPartner => "L008",
            Self::QueryQueue => "L009",
            Self::RowsDay => "L010",
            Self::BytesDay => "L011",
            Self::PrivacyBudget => "L012",
            Self::PrivacyCap => "L013",
            Self::QuestionUnderWay => "L014",
            Self::SqlInvalid => "Q001",
            Self::SqlRefused => "Q002",
            Self::QueryFailed => "Q003",
            Self::AggregatesOnly => "Q004",
            Self::NoisyOnly => "Q006",
            Self::AnswerFailed => "Q007",
            Self::ParametersInvalid => "Q005",
            Self::RequestInvalid => "R001",
            Self::Unsupported => "R002",
            Self::Cancelled => "R003",
            Self::Keys => "K001",
            Self::State => "M001",
            Self::Policy => "P001",
            Self::Config => "C001",
            Self::Usage => "C002",
            Self::Internal => "X001",
        }
    }

    /// Whose move it is.
    pub const fn blame(self) -> Blame {
        match self {
            Self::CredentialsMissing
            | Self::CredentialsRefused
            | Self::TicketInvalid
            | Self::TicketExpired
            | Self::TicketForeign
            | Self::TicketStale
            | Self::DatasetUnknown
            | Self::StreamsPartner
            | Self::StreamIdle
            | Self::QueryTime
            | Self::QueryMemory
            | Self::QueriesPartner
            | Self::RowsDay
            | Self::BytesDay
            | Self::PrivacyBudget
            | Self::PrivacyCap
            | Self::QuestionUnderWay
            | Self::SqlInvalid
            | Self::SqlRefused
            | Self::QueryFailed
            | Self::AggregatesOnly
            | Self::NoisyOnly
            | Self::ParametersInvalid
            | Self::RequestInvalid
            | Self::Unsupported
            | Self::Cancelled => Blame::Partner,
            Self::Policy | Self::SchemaDrift | Self::DatasetUnavailable => Blame::PolicyAuthor,
            Self::SourceUnreadable
            | Self::SourceValue
            | Self::StreamsTotal
            | Self::QueryQueue
            | Self::RowTooLarge
            | Self::AnswerFailed
            | Self::ShuttingDown
            | Self::Keys
            | Self::State
            | Self::Config
            | Self::Usage => Blame::Operator,
            Self::Internal => Blame::Server,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What helps a partner to mend a request: a place in their own statement, a name they wrote, a name of
/// their own catalogue.
///
/// PRIVACY: made from the request and from the partner's plans alone, before a row is read, in words of
/// ours. A library's message is never put in, whoever wrote the statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint(String);

/// No hint is longer, in characters: it travels in a header.
const HINT_CHARS_MAX: usize = 300;

impl Hint {
    /// A hint of one line; what is too long is cut, control characters become spaces.
    pub fn new(text: &str) -> Self {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        Self(text.chars().take(HINT_CHARS_MAX).map(plain).collect())
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An error for the operator: a code, what was being done, and the chain of causes.
///
/// PRIVACY: the text may hold paths and library messages, which in turn may hold cell values. It is
/// logged on the custodian's machine and never sent.
#[derive(Debug)]
pub struct Error {
    code: Code,
    context: String,
    hint: Option<Hint>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error with a code and what was being done, in lower case and without a full stop.
    pub fn new(code: Code, context: impl Into<String>) -> Self {
        Self { code, context: context.into(), hint: None, source: None }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error with words that the partner may hear.
    #[must_use]
    pub fn hinting(mut self, hint: Hint) -> Self {
        self.hint = Some(hint);
        self
    }

    /// The same error without what caused it, where that may quote what is not to be logged.
    #[must_use]
    pub fn without_cause(self) -> Self {
        Self { source: None, ..self }
    }

    /// Words that the partner may hear, beside the sentence of the code.
    pub const fn hint(&self) -> Option<&Hint> {
        self.hint.as_ref()
    }

    /// What went wrong.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// Whose move it is.
    pub const fn blame(&self) -> Blame {
        self.code.blame()
    }

    /// The whole chain in one line, for the operator's log.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| {
            let source: &(dyn std::error::Error + 'static) = source.as_ref();
            source
        })
    }
}

/// Adds a code and what was being done to any error.
pub trait Context<T> {
    /// Wraps the error as the cause of a new one.
    fn context(self, code: Code, context: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Box<dyn std::error::Error + Send + Sync>>> Context<T> for Result<T, E> {
    fn context(self, code: Code, context: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|cause| Error::new(code, context()).because(cause))
    }
}
