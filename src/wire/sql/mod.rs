//! SQL for partners, as Flight SQL carries it: reads commands, describes answers, opens them. Plans and
//! runs nothing; that is `pipeline::query`.

use arrow_flight::{FlightDescriptor, FlightInfo};
use bytes::Bytes;

use self::command::Command;
use super::authenticate::Call;
use super::flights::{Flights, Opened};
use super::record::Record;
use super::ticket::{Subject, Ticket};
use crate::error::{Code, Error, Result};
use crate::pipeline::format::Format;
use crate::pipeline::seal::{schema_encapsulated, schema_message};

pub mod command;
pub mod info;
mod lane;
pub mod metadata;
pub mod parameters;
pub mod prepared;
pub mod statement;
pub mod types;

/// How metadata travels: as Flight SQL prescribes it, whatever the session says of values.
const PLAIN: Format = Format {
    strings: crate::pipeline::format::Strings::Plain,
    dictionaries: false,
    compression: crate::pipeline::format::Compression::None,
};

/// The answer that describes what a command asks for.
///
/// # Errors
/// Those of the statement, or of the handle.
pub(super) async fn describe(
    flights: &Flights,
    call: &Call,
    record: &mut Record,
    descriptor: FlightDescriptor,
    command: Command,
) -> Result<FlightInfo> {
    let asked = match command {
        Command::Metadata(asked) => {
            record.open().await?;
            let schema = schema_encapsulated(&metadata::schema(&asked), PLAIN)?;
            let subject = Subject::Metadata(asked.encode());
            return flights.answer(call, descriptor, schema, vec![subject]);
        }
        Command::Statement(sql) => statement::asked(call, sql),
        Command::Prepared(handle) => prepared::asked(flights, call, &handle)?,
    };
    statement::describe(flights, call, record, descriptor, asked).await
}

/// The schema of what a command asks for, as an encapsulated message.
///
/// # Errors
/// Those of the statement, or of the handle.
pub(super) async fn schema(
    flights: &Flights,
    call: &Call,
    record: &mut Record,
    command: Command,
) -> Result<Bytes> {
    let asked = match command {
        Command::Metadata(asked) => {
            return schema_encapsulated(&metadata::schema(&asked), PLAIN);
        }
        Command::Statement(sql) => statement::asked(call, sql),
        Command::Prepared(handle) => prepared::asked(flights, call, &handle)?,
    };
    let planned = statement::plan(flights, call, record, &asked).await?;
    schema_encapsulated(planned.lane.schema(), call.options().format)
}

/// Opens the stream of a metadata ticket.
///
/// # Errors
/// [`Code::TicketInvalid`] when another release made the ticket, and those of [`metadata::stream`].
pub(super) async fn open(
    flights: &Flights,
    ticket: &Ticket,
    command: &Bytes,
    record: &mut Record,
) -> Result<Opened> {
    let asked = match Command::parse(command) {
        Ok(Command::Metadata(asked)) => asked,
        _ => return Err(Error::new(Code::TicketInvalid, "a ticket for no metadata")),
    };
    record.open().await?;
    let sealed = metadata::stream(flights, &ticket.partner, &asked, PLAIN).await?;
    Ok((schema_message(&metadata::schema(&asked), PLAIN), sealed))
}
