//! What a partner asks for in Flight SQL: the command inside a descriptor or in the first message of a
//! `DoPut`, read from bytes. Says what is asked and whether it is offered at all; answers nothing.

use arrow_flight::sql::{Any, Command as Message, ProstMessageExt};
use bytes::Bytes;
use prost::Message as _;

use super::metadata::Metadata;
use crate::error::{Code, Context, Error, Hint, Result};

/// No statement is longer, in bytes: it is parsed, planned, recorded, and carried by every ticket.
pub const STATEMENT_BYTES_MAX: usize = 64 << 10;

/// No metadata command is longer, in bytes: its names and patterns are carried by a ticket.
pub const METADATA_BYTES_MAX: usize = 8 << 10;

/// The package of Flight SQL's messages, as it stands in a type's URL.
const PACKAGE: &str = "arrow.flight.protocol.sql.";

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// The answer to a statement.
    Statement(String),
    /// The answer to a prepared statement, by its sealed handle.
    Prepared(Bytes),
    /// A table about the catalogue or the server.
    Metadata(Metadata),
}

impl Command {
    /// Reads a command: one of Flight SQL's messages, or a statement as plain text.
    ///
    /// # Errors
    /// [`Code::Unsupported`] for commands that are not offered, [`Code::RequestInvalid`] for what is
    /// malformed or too long.
    pub fn parse(bytes: &Bytes) -> Result<Self> {
        match message(bytes)? {
            Some(any) => Self::of(any),
            None => match std::str::from_utf8(bytes) {
                Ok(text) => statement(text.to_owned()),
                Err(cause) => Err(malformed("a command that is neither a message nor text")
                    .because(cause)
                    .hinting(Hint::new("a command is a Flight SQL message or a statement's text"))),
            },
        }
    }

    fn of(any: Any) -> Result<Self> {
        let len = any.value.len();
        let message = Message::try_from(any)
            .context(Code::RequestInvalid, || "a message that cannot be read".to_owned())?;
        let metadata = match message {
            Message::CommandStatementQuery(query) => {
                without_transaction(query.transaction_id.as_ref())?;
                return statement(query.query);
            }
            Message::CommandPreparedStatementQuery(query) => {
                return Ok(Self::Prepared(query.prepared_statement_handle));
            }
            Message::CommandGetCatalogs(_) => Metadata::Catalogs,
            Message::CommandGetDbSchemas(command) => Metadata::DbSchemas(command),
            Message::CommandGetTables(command) => Metadata::Tables(command),
            Message::CommandGetTableTypes(_) => Metadata::TableTypes,
            Message::CommandGetSqlInfo(command) => Metadata::SqlInfo(command),
            Message::CommandGetXdbcTypeInfo(command) => Metadata::XdbcTypeInfo(command),
            Message::CommandGetPrimaryKeys(command) => Metadata::PrimaryKeys(command),
            Message::CommandGetExportedKeys(command) => Metadata::ExportedKeys(command),
            Message::CommandGetImportedKeys(command) => Metadata::ImportedKeys(command),
            Message::CommandGetCrossReference(command) => Metadata::CrossReference(command),
            // What writes, Substrait, and what is no command but an action's or a ticket's message.
            other => {
                let url = short(other.type_url());
                return Err(Error::new(Code::Unsupported, format!("`{url}` is not offered")));
            }
        };
        if len > METADATA_BYTES_MAX {
            return Err(malformed("a metadata command that is too long"));
        }
        Ok(Self::Metadata(metadata))
    }
}

/// The message in `bytes`, or `None` where they are something else.
///
/// A statement that begins with a line break looks like the beginning of a message. What such text
/// would say where a type's URL belongs is no URL, so the two are not taken for each other.
///
/// # Errors
/// [`Code::Unsupported`] for a message that is none of Flight SQL's.
pub fn message(bytes: &Bytes) -> Result<Option<Any>> {
    let Ok(mut any) = Any::decode(bytes.clone()) else { return Ok(None) };
    let part = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let Some((host, name)) = any.type_url.rsplit_once('/') else { return Ok(None) };
    if name.is_empty() || !name.chars().all(part) || !host.chars().all(|c| part(c) || c == '/') {
        return Ok(None);
    }
    if !name.starts_with(PACKAGE) {
        let name = short(name);
        return Err(Error::new(Code::Unsupported, format!("`{name}` is no message of Flight SQL")));
    }
    // The host is anybody's choice: the type is what comes after it.
    any.type_url = format!("type.googleapis.com/{name}");
    Ok(Some(any))
}

/// The message of type `M` that the body of an action holds.
///
/// # Errors
/// [`Code::RequestInvalid`] when it holds anything else.
pub fn body<M: ProstMessageExt>(bytes: &Bytes) -> Result<M> {
    let any = message(bytes).ok().flatten().ok_or_else(|| malformed("a body without a message"))?;
    any.unpack::<M>()
        .context(Code::RequestInvalid, || "a body that cannot be read".to_owned())?
        .ok_or_else(|| malformed("a body with a message of another action"))
}

/// Statements stand for themselves here.
///
/// # Errors
/// [`Code::Unsupported`] when one belongs to a transaction.
pub fn without_transaction(id: Option<&Bytes>) -> Result<()> {
    match id {
        Some(id) if !id.is_empty() => {
            Err(Error::new(Code::Unsupported, "a statement in a transaction"))
        }
        _ => Ok(()),
    }
}

fn statement(text: String) -> Result<Command> {
    statement_fits(&text)?;
    Ok(Command::Statement(text))
}

/// Whether a statement may be asked as far as its length says.
///
/// # Errors
/// [`Code::RequestInvalid`] when there is none, or it is too long.
pub fn statement_fits(text: &str) -> Result<()> {
    if text.trim().is_empty() {
        return Err(malformed("an empty statement").hinting(Hint::new("the statement is empty")));
    }
    if text.len() > STATEMENT_BYTES_MAX {
        let hint = format!(
            "the statement has {} bytes and may have {STATEMENT_BYTES_MAX}; parameters can carry \
             long lists",
            text.len()
        );
        return Err(malformed("a statement that is too long").hinting(Hint::new(&hint)));
    }
    Ok(())
}

fn malformed(what: &str) -> Error {
    Error::new(Code::RequestInvalid, what)
}

/// So much of a partner's text as the log takes.
fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use arrow_flight::sql::{
        ActionCreatePreparedStatementRequest, CommandGetCrossReference, CommandGetDbSchemas,
        CommandGetExportedKeys, CommandGetImportedKeys, CommandGetPrimaryKeys, CommandGetSqlInfo,
        CommandGetTables, CommandGetXdbcTypeInfo, CommandPreparedStatementQuery,
        CommandPreparedStatementUpdate, CommandStatementIngest, CommandStatementQuery,
        CommandStatementSubstraitPlan, CommandStatementUpdate, TicketStatementQuery,
    };
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: impl Into<Bytes>) -> Result<Command> {
        Command::parse(&bytes.into())
    }

    fn packed(message: &impl ProstMessageExt) -> Bytes {
        message.as_any().encode_to_vec().into()
    }

    fn query(text: &str) -> CommandStatementQuery {
        CommandStatementQuery { query: text.to_owned(), transaction_id: None }
    }

    #[test]
    fn a_statement_is_read_from_a_message_and_from_plain_text() {
        let expected = Command::Statement("SELECT 1".to_owned());
        assert_eq!(parse(packed(&query("SELECT 1"))).unwrap(), expected);
        assert_eq!(parse("SELECT 1").unwrap(), expected);
    }

    #[test]
    fn text_that_looks_like_the_beginning_of_a_message_is_text() {
        // A line break is the key of a message's first field, and the next character its length.
        for text in [
            "\nSELECT 1",
            "\n SELECT a/b FROM jobs -- thirty-two characters",
            "\n\u{8}SELECT 1",
            "\n\u{b}SELECT 1/2;",
        ] {
            assert_eq!(parse(text).unwrap(), Command::Statement(text.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn the_host_of_a_type_is_anybodys_choice() {
        let mut any = query("SELECT 1").as_any();
        any.type_url = "example.org/x/arrow.flight.protocol.sql.CommandStatementQuery".to_owned();
        let parsed = parse(any.encode_to_vec()).unwrap();
        assert_eq!(parsed, Command::Statement("SELECT 1".to_owned()));
    }

    #[test]
    fn every_metadata_command_survives_its_ticket() {
        let names = || Some("a%".to_owned());
        let tables = CommandGetTables {
            catalog: Some(String::new()),
            db_schema_filter_pattern: names(),
            table_name_filter_pattern: names(),
            table_types: vec!["VIEW".to_owned()],
            include_schema: true,
        };
        for metadata in [
            Metadata::Catalogs,
            Metadata::DbSchemas(CommandGetDbSchemas {
                catalog: names(),
                db_schema_filter_pattern: None,
            }),
            Metadata::Tables(tables),
            Metadata::TableTypes,
            Metadata::SqlInfo(CommandGetSqlInfo { info: vec![0, 500, u32::MAX] }),
            Metadata::XdbcTypeInfo(CommandGetXdbcTypeInfo { data_type: Some(-5) }),
            Metadata::PrimaryKeys(CommandGetPrimaryKeys::default()),
            Metadata::ExportedKeys(CommandGetExportedKeys::default()),
            Metadata::ImportedKeys(CommandGetImportedKeys::default()),
            Metadata::CrossReference(CommandGetCrossReference::default()),
        ] {
            assert_eq!(parse(metadata.encode()).unwrap(), Command::Metadata(metadata));
        }
    }

    #[test]
    fn a_prepared_statement_is_known_by_its_handle() {
        let command = CommandPreparedStatementQuery { prepared_statement_handle: "h".into() };
        assert_eq!(parse(packed(&command)).unwrap(), Command::Prepared("h".into()));
    }

    #[test]
    fn what_writes_and_what_is_no_command_is_not_offered() {
        for bytes in [
            packed(&CommandStatementUpdate { query: "DELETE".to_owned(), transaction_id: None }),
            packed(&CommandPreparedStatementUpdate::default()),
            packed(&CommandStatementIngest::default()),
            packed(&CommandStatementSubstraitPlan::default()),
            packed(&ActionCreatePreparedStatementRequest::default()),
            packed(&TicketStatementQuery::default()),
            packed(&CommandStatementQuery {
                transaction_id: Some("t".into()),
                ..query("SELECT 1")
            }),
            Any { type_url: format!("x/{PACKAGE}CommandOfTomorrow"), value: Bytes::new() }
                .encode_to_vec()
                .into(),
            Any { type_url: "x/google.protobuf.Duration".to_owned(), value: Bytes::new() }
                .encode_to_vec()
                .into(),
        ] {
            assert_eq!(parse(bytes).unwrap_err().code(), Code::Unsupported);
        }
    }

    #[test]
    fn what_is_malformed_or_too_long_is_refused() {
        let url = |name: &str| format!("type.googleapis.com/{PACKAGE}{name}");
        let broken = Any { type_url: url("CommandStatementQuery"), value: vec![0xff; 9].into() };
        let long = CommandGetTables {
            catalog: Some("x".repeat(METADATA_BYTES_MAX)),
            ..CommandGetTables::default()
        };
        for bytes in [
            Bytes::new(),
            "  \n".into(),
            vec![0xff; 40].into(),
            broken.encode_to_vec().into(),
            packed(&query("")),
            packed(&query(&"x".repeat(STATEMENT_BYTES_MAX + 1))),
            "x".repeat(STATEMENT_BYTES_MAX + 1).into(),
            packed(&long),
        ] {
            assert_eq!(parse(bytes).unwrap_err().code(), Code::RequestInvalid);
        }
        assert!(parse("x".repeat(STATEMENT_BYTES_MAX)).is_ok());
    }

    #[test]
    fn a_body_is_of_its_action_or_nothing() {
        let request = ActionCreatePreparedStatementRequest {
            query: "SELECT 1".to_owned(),
            transaction_id: None,
        };
        assert_eq!(
            body::<ActionCreatePreparedStatementRequest>(&packed(&request)).unwrap(),
            request
        );
        for wrong in [Bytes::new(), "SELECT 1".into(), packed(&query("SELECT 1"))] {
            let error = body::<ActionCreatePreparedStatementRequest>(&wrong).unwrap_err();
            assert_eq!(error.code(), Code::RequestInvalid);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe_to_read(
            noise: Vec<u8>, name in "[A-Za-z]{0,30}", value: Vec<u8>,
        ) {
            let _ = parse(noise);
            let any = Any { type_url: format!("x/{PACKAGE}{name}"), value: value.into() };
            let _ = parse(any.encode_to_vec());
        }
    }
}
