//! What a partner hears when something fails: a gRPC code, a fixed sentence, our code and the id of
//! the request. The one place that makes a status. The operator's story stays in the log.

use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::{Code as Grpc, Status};

use crate::error::{Blame, Code, Error, Hint};

/// The trailer that carries our code.
pub const CODE_TRAILER: &str = "veilflight-code";
/// The header and trailer that carry the request's id.
pub const REQUEST_ID_TRAILER: &str = "veilflight-request-id";

/// The status for `error`, and a log line with the whole story for the operator.
///
/// PRIVACY: nothing of the error's text goes into the status; it is chosen by the code alone. A
/// [`Hint`] is added, which is made from the request itself.
pub fn refuse(error: &Error, request_id: &str, method: &str, partner: &str) -> Status {
    let code = error.code();
    let story = error.chain();
    match error.blame() {
        Blame::Partner => {
            tracing::info!(%code, request_id, method, partner, story, "request refused");
        }
        Blame::PolicyAuthor | Blame::Operator => {
            tracing::error!(%code, request_id, method, partner, story, "request failed");
        }
        Blame::Server => {
            tracing::error!(%code, request_id, method, partner, story, "request hit a defect");
        }
    }
    told(code, error.hint(), request_id)
}

/// The status for a code.
pub fn status(code: Code, request_id: &str) -> Status {
    told(code, None, request_id)
}

fn told(code: Code, hint: Option<&Hint>, request_id: &str) -> Status {
    let (grpc, sentence) = sentence(code);
    let message = match hint {
        Some(hint) => {
            let hint = hint.as_str();
            // A question keeps its mark.
            let end = if hint.ends_with('?') { "" } else { "." };
            format!("{sentence} Hint: {hint}{end} [{code}, request {request_id}]")
        }
        None => format!("{sentence} [{code}, request {request_id}]"),
    };
    let mut trailers = MetadataMap::new();
    trailers.insert(CODE_TRAILER, MetadataValue::from_static(code.as_str()));
    if let Some(id) = request_id_value(request_id) {
        trailers.insert(REQUEST_ID_TRAILER, id);
    }
    Status::with_metadata(grpc, message, trailers)
}

/// A request's id as a metadata value.
pub fn request_id_value(request_id: &str) -> Option<MetadataValue<Ascii>> {
    request_id.parse().ok()
}

/// The gRPC code and the sentence for each of our codes.
///
/// INVARIANT: no catch-all arm; a new code does not compile until someone decides what a partner may
/// hear.
pub const fn sentence(code: Code) -> (Grpc, &'static str) {
    match code {
        Code::CredentialsMissing => (
            Grpc::Unauthenticated,
            "Credentials are missing: send a bearer token, Basic credentials or a client certificate.",
        ),
        Code::CredentialsRefused => {
            (Grpc::Unauthenticated, "The credentials are not valid here, or not any more.")
        }
        Code::TicketInvalid => {
            (Grpc::InvalidArgument, "The ticket was not issued by this service, or was damaged.")
        }
        Code::TicketExpired => {
            (Grpc::FailedPrecondition, "The ticket has expired: ask for the flight's info again.")
        }
        Code::TicketForeign => {
            (Grpc::PermissionDenied, "The ticket was issued to another partner.")
        }
        Code::TicketStale => (
            Grpc::FailedPrecondition,
            "The policy or the data changed since the ticket was issued: ask for the flight's info \
             again.",
        ),
        Code::DatasetUnknown => {
            (Grpc::NotFound, "There is no such dataset, or you have no grant for it.")
        }
        Code::DatasetUnavailable => (
            Grpc::FailedPrecondition,
            "The dataset cannot be served in the way you are granted it.",
        ),
        Code::SchemaDrift => (
            Grpc::FailedPrecondition,
            "The data no longer match the dataset's policy: the custodian has to look at it.",
        ),
        Code::SourceUnreadable => {
            (Grpc::Internal, "The data cannot be read: the custodian has to look at it.")
        }
        Code::SourceValue => (
            Grpc::Internal,
            "The data hold a value that the policy does not provide for: the custodian has to look \
             at it.",
        ),
        Code::StreamsPartner => {
            (Grpc::ResourceExhausted, "You have as many streams open as you may: finish one first.")
        }
        Code::StreamsTotal => {
            (Grpc::ResourceExhausted, "The server has as many streams open as it can: try later.")
        }
        Code::StreamIdle => {
            (Grpc::DeadlineExceeded, "The stream was not read for too long and was closed.")
        }
        Code::RowTooLarge => (
            Grpc::FailedPrecondition,
            "A row is larger than a message may be: the custodian has to look at it.",
        ),
        Code::ShuttingDown => (Grpc::Unavailable, "The server is shutting down: try again soon."),
        Code::QueryTime => {
            (Grpc::DeadlineExceeded, "The statement took longer than statements may: ask for less.")
        }
        Code::QueryMemory => (
            Grpc::ResourceExhausted,
            "The statement needs more memory than statements may have: ask for less.",
        ),
        Code::QueriesPartner => (
            Grpc::ResourceExhausted,
            "You have as many statements running and waiting as you may: finish one first.",
        ),
        Code::QueryQueue => {
            (Grpc::ResourceExhausted, "The statement waited too long for its turn: try later.")
        }
        Code::RowsDay => {
            (Grpc::ResourceExhausted, "You took as many rows today as you may: come back tomorrow.")
        }
        Code::BytesDay => (
            Grpc::ResourceExhausted,
            "You took as many bytes today as you may: come back tomorrow.",
        ),
        Code::PrivacyBudget => (
            Grpc::ResourceExhausted,
            "Your privacy budget of this dataset does not suffice for the statement.",
        ),
        Code::PrivacyCap => (
            Grpc::ResourceExhausted,
            "The dataset's privacy budget, over all partners, does not suffice for the statement.",
        ),
        Code::QuestionUnderWay => {
            (Grpc::Unavailable, "The same question of yours is being answered just now.")
        }
        Code::SqlInvalid => (Grpc::InvalidArgument, "The statement cannot be understood."),
        Code::SqlRefused => {
            (Grpc::PermissionDenied, "Only queries over the datasets you are granted are answered.")
        }
        Code::QueryFailed => (
            Grpc::InvalidArgument,
            "The statement fails on a value that it computes: look at its casts, divisions and \
             functions.",
        ),
        Code::AggregatesOnly => (
            Grpc::PermissionDenied,
            "You are granted aggregates over groups of this dataset, and nothing else.",
        ),
        Code::NoisyOnly => (
            Grpc::PermissionDenied,
            "You are granted differentially private aggregates of this dataset, and nothing else.",
        ),
        Code::AnswerFailed => (
            Grpc::Internal,
            "The answer could not be made, and what it costs stays spent: tell the custodian the number of \
             the request.",
        ),
        Code::ParametersInvalid => {
            (Grpc::InvalidArgument, "The statement's parameters are missing or do not fit.")
        }
        Code::RequestInvalid => (Grpc::InvalidArgument, "The request is malformed."),
        Code::Unsupported => {
            (Grpc::Unimplemented, "This is not offered: partners read, and do not write.")
        }
        Code::Cancelled => (Grpc::Cancelled, "The call was cancelled."),
        Code::Keys | Code::State | Code::Policy | Code::Config | Code::Usage | Code::Internal => {
            (Grpc::Internal, "The server failed: tell the custodian the number of the request.")
        }
    }
}

/// What a partner does who hears a code, for the manual.
///
/// INVARIANT: no catch-all arm, as for the sentence.
pub const fn advice(code: Code) -> &'static str {
    match code {
        Code::CredentialsMissing => {
            "Send the token with every call; ADBC, for example, takes it as `authorization_header`."
        }
        Code::CredentialsRefused => {
            "Look at the token, the certificate and their last day; ask the custodian for new ones. \
             A session token is good for an hour."
        }
        Code::TicketInvalid => {
            "Use tickets and cookies as they came, on the service that gave them. After a rebuilt \
             service, ask for the flight's info again, or connect anew."
        }
        Code::TicketExpired | Code::TicketStale => {
            "Ask for the flight's info again and use the new tickets."
        }
        Code::TicketForeign => {
            "Come with the credentials that asked for the info. Tickets, prepared statements and \
             cookies are one partner's."
        }
        Code::DatasetUnknown => {
            "List what you may read: `ListFlights`, or the tables of the catalogue. If the dataset \
             is missing, ask the custodian for a grant."
        }
        Code::DatasetUnavailable
        | Code::SchemaDrift
        | Code::SourceUnreadable
        | Code::SourceValue
        | Code::RowTooLarge => "Tell the custodian the number of the request.",
        Code::StreamsPartner => {
            "Finish or close a stream, then try again; pull with fewer threads."
        }
        Code::StreamsTotal | Code::QueryQueue | Code::ShuttingDown => {
            "Try again, and wait longer each time."
        }
        Code::StreamIdle => "Read streams as they come; pull again if you need the rest.",
        Code::QueryTime => {
            "Ask for less: fewer rows by `WHERE`, fewer columns, less to sort or join; or pull the \
             rows and compute at home."
        }
        Code::QueryMemory => {
            "Sort, group or join less at a time; pull the rows and compute at home."
        }
        Code::QueriesPartner => "Wait until one of your statements is done, then try again.",
        Code::RowsDay | Code::BytesDay => {
            "Come back tomorrow (days are in UTC), or ask the custodian for more."
        }
        Code::PrivacyBudget => {
            "Ask for a smaller epsilon, ask what was answered before (that is free), or ask the \
             custodian for more."
        }
        Code::PrivacyCap => {
            "Ask what was answered before (that is free), or ask the custodian for more."
        }
        Code::QuestionUnderWay => "Wait a moment and ask again: the stored answer is free.",
        Code::SqlInvalid => {
            "Mend the statement: the hint names the place or the word. `GetTables` and \
             `information_schema` have the names."
        }
        Code::SqlRefused => {
            "Ask in one `SELECT` over your tables; the hint names what is not offered."
        }
        Code::QueryFailed => {
            "Guard casts and divisions: `TRY_CAST`, `NULLIF(x, 0)`, `WHERE`. The value is not told."
        }
        Code::AggregatesOnly => {
            "Ask for aggregates of groups (`GROUP BY`, `count`, `avg`, ...), not for rows."
        }
        Code::NoisyOnly => {
            "Ask for `COUNT`, `SUM`, `AVG`, `VARIANCE`, `STDDEV` or quantiles, with `WHERE` and \
             `GROUP BY`; the hint names what is not offered."
        }
        Code::AnswerFailed => {
            "Tell the custodian the number of the request. The code says nothing of why: that could tell of the \
             data. The same question costs again."
        }
        Code::ParametersInvalid => {
            "Bind as many values as the statement has parameters, of the types that preparing it \
             told."
        }
        Code::RequestInvalid => "Mend the request: the hint says where it is wrong.",
        Code::Unsupported => {
            "Leave it out; clients need no writing, transactions or Substrait here."
        }
        Code::Cancelled => "Nothing, if you cancelled; else try again.",
        Code::Keys | Code::State | Code::Policy | Code::Config | Code::Usage | Code::Internal => {
            "Tell the custodian the number of the request."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[(Code, Grpc)] = &[
        (Code::CredentialsMissing, Grpc::Unauthenticated),
        (Code::CredentialsRefused, Grpc::Unauthenticated),
        (Code::TicketInvalid, Grpc::InvalidArgument),
        (Code::TicketExpired, Grpc::FailedPrecondition),
        (Code::TicketForeign, Grpc::PermissionDenied),
        (Code::TicketStale, Grpc::FailedPrecondition),
        (Code::DatasetUnknown, Grpc::NotFound),
        (Code::DatasetUnavailable, Grpc::FailedPrecondition),
        (Code::SchemaDrift, Grpc::FailedPrecondition),
        (Code::SourceUnreadable, Grpc::Internal),
        (Code::SourceValue, Grpc::Internal),
        (Code::StreamsPartner, Grpc::ResourceExhausted),
        (Code::StreamsTotal, Grpc::ResourceExhausted),
        (Code::StreamIdle, Grpc::DeadlineExceeded),
        (Code::RowTooLarge, Grpc::FailedPrecondition),
        (Code::ShuttingDown, Grpc::Unavailable),
        (Code::QueryTime, Grpc::DeadlineExceeded),
        (Code::QueryMemory, Grpc::ResourceExhausted),
        (Code::QueriesPartner, Grpc::ResourceExhausted),
        (Code::QueryQueue, Grpc::ResourceExhausted),
        (Code::RowsDay, Grpc::ResourceExhausted),
        (Code::BytesDay, Grpc::ResourceExhausted),
        (Code::PrivacyBudget, Grpc::ResourceExhausted),
        (Code::PrivacyCap, Grpc::ResourceExhausted),
        (Code::QuestionUnderWay, Grpc::Unavailable),
        (Code::SqlInvalid, Grpc::InvalidArgument),
        (Code::SqlRefused, Grpc::PermissionDenied),
        (Code::QueryFailed, Grpc::InvalidArgument),
        (Code::AggregatesOnly, Grpc::PermissionDenied),
        (Code::NoisyOnly, Grpc::PermissionDenied),
        (Code::AnswerFailed, Grpc::Internal),
        (Code::ParametersInvalid, Grpc::InvalidArgument),
        (Code::RequestInvalid, Grpc::InvalidArgument),
        (Code::Unsupported, Grpc::Unimplemented),
        (Code::Cancelled, Grpc::Cancelled),
        (Code::Keys, Grpc::Internal),
        (Code::State, Grpc::Internal),
        (Code::Policy, Grpc::Internal),
        (Code::Config, Grpc::Internal),
        (Code::Usage, Grpc::Internal),
        (Code::Internal, Grpc::Internal),
    ];

    #[test]
    fn every_code_has_its_status_and_says_code_and_request() {
        let codes: Vec<Code> = ALL.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes, Code::ALL);
        for (code, grpc) in ALL {
            let status = status(*code, "r-17");
            assert_eq!(status.code(), *grpc, "{code}");
            assert!(status.message().ends_with(&format!(" [{code}, request r-17]")), "{code}");
            assert_eq!(status.metadata().get(CODE_TRAILER).unwrap(), code.as_str());
            assert_eq!(status.metadata().get(REQUEST_ID_TRAILER).unwrap(), "r-17");
            assert!(status.details().is_empty());
        }
    }

    #[test]
    fn a_hint_is_told_and_is_one_short_line() {
        let hint = Hint::new(&format!("no column `a\r\nb`{}", "x".repeat(1_000)));
        let error = Error::new(Code::SqlInvalid, "canary").hinting(hint);
        let status = refuse(&error, "r-1", "GetFlightInfo", "cern");
        assert!(status.message().contains("Hint: no column `a  b`"), "{}", status.message());
        assert!(status.message().len() < 420, "{}", status.message().len());
        assert!(!status.message().contains("canary"));
    }

    #[test]
    fn a_hint_ends_once() {
        let message = |hint: &str| {
            let error = Error::new(Code::SqlInvalid, "x").hinting(Hint::new(hint));
            refuse(&error, "r-1", "GetFlightInfo", "cern").message().to_owned()
        };
        assert!(message("did you mean `a`?").contains("Hint: did you mean `a`? [Q001"));
        assert!(message("no column `a`").contains("Hint: no column `a`. [Q001"));
    }

    #[test]
    fn no_word_of_the_error_reaches_the_partner() {
        for (code, _) in ALL {
            let cause = std::io::Error::other("/secret/path: canary-cell");
            let error = Error::new(*code, "canary-context").because(cause);
            let status = refuse(&error, "r-1", "DoGet", "canary-partner");
            let sent = format!("{status:?} {}", status.message());
            assert!(!sent.contains("canary") && !sent.contains("/secret"), "{code}: {sent}");
        }
    }

    #[test]
    fn the_sentence_depends_on_the_code_alone() {
        let unknown = Error::new(Code::DatasetUnknown, "there is no file for `a`");
        let forbidden = Error::new(Code::DatasetUnknown, "`p` has no grant for `a`");
        let left = refuse(&unknown, "r", "GetFlightInfo", "p");
        let right = refuse(&forbidden, "r", "GetFlightInfo", "p");
        assert_eq!(
            (left.code(), left.message(), left.details()),
            (right.code(), right.message(), right.details())
        );
    }
}
