//! Prepared statements without a memory: the handle is the statement, sealed for one partner, so that any
//! replica serves it and nothing has to be closed. Binding parameters gives another handle that holds
//! them. Plans and runs nothing.

use std::time::Duration;

use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, DoPutPreparedStatementResult, ProstMessageExt,
};
use arrow_flight::{FlightData, PutResult};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use prost::Message;
use tonic::Status;

use super::super::authenticate::Call;
use super::super::flights::{Asks, Flights, asks};
use super::super::record::Record;
use super::super::ticket::{Asked, put, text};
use super::command::{self, Command, STATEMENT_BYTES_MAX};
use super::parameters::{PARAMETERS_BYTES_MAX, Reader};
use super::statement;
use crate::error::{Code, Context, Error, Hint, Result};
use crate::keys::KeyRing;
use crate::keys::envelope::Envelope;
use crate::pipeline::format::Format;
use crate::pipeline::seal::schema_encapsulated;

/// No genuine handle is longer, in bytes.
const HANDLE_BYTES_MAX: usize = STATEMENT_BYTES_MAX + PARAMETERS_BYTES_MAX + (1 << 10);

/// The layout of the sealed bytes.
const VERSION: u8 = 2;

/// How long a caller may take to send parameters.
const BIND_WAIT: Duration = Duration::from_secs(30);

/// Makes and opens handles.
///
/// A handle does not expire: it is worth nothing without its partner's credentials, and each use is
/// planned under the policies of that moment.
#[derive(Debug)]
pub struct Handles {
    envelope: Envelope,
}

impl Handles {
    /// Handles sealed with a key from `ring`; every replica with the same ring can open them.
    ///
    /// # Errors
    /// [`Code::Keys`] when a key cannot be derived.
    pub fn new(ring: &KeyRing) -> Result<Self> {
        Ok(Self { envelope: Envelope::new(ring, "prepared")? })
    }

    /// The handle of a statement for `partner`.
    ///
    /// # Errors
    /// [`Code::Internal`] when there are no random bytes.
    pub fn seal(&self, partner: &str, asked: &Asked) -> Result<Bytes> {
        let mut bytes = vec![VERSION];
        put(&mut bytes, partner.as_bytes());
        asked.encode(&mut bytes);
        Ok(self.envelope.seal(&bytes)?.into())
    }

    /// The statement of a handle that `partner` holds.
    ///
    /// # Errors
    /// [`Code::TicketInvalid`], [`Code::TicketForeign`].
    pub fn open(&self, partner: &str, handle: &[u8]) -> Result<Asked> {
        let invalid = |what: &str| {
            let hint = Hint::new("it is the handle of the prepared statement: prepare it again");
            Error::new(Code::TicketInvalid, what).hinting(hint)
        };
        if handle.len() > HANDLE_BYTES_MAX {
            return Err(invalid("longer than any handle"));
        }
        let bytes = self.envelope.open(handle).map_err(|error| invalid(&error.chain()))?;
        let (owner, asked) = decode(&bytes).ok_or_else(|| invalid("of another layout"))?;
        if owner != partner {
            let what = format!("`{partner}` came with a handle of `{owner}`");
            return Err(Error::new(Code::TicketForeign, what));
        }
        Ok(asked)
    }
}

/// The partner and the statement that a handle holds.
fn decode(bytes: &[u8]) -> Option<(String, Asked)> {
    let mut rest = bytes.strip_prefix(&[VERSION])?;
    let decoded = (text(&mut rest)?, Asked::decode(&mut rest)?);
    rest.is_empty().then_some(decoded)
}

/// Plans a statement and makes its handle.
///
/// # Errors
/// Those of [`statement::plan`], [`Code::Unsupported`] for one in a transaction.
pub(in crate::wire) async fn create(
    flights: &Flights,
    call: &Call,
    request: ActionCreatePreparedStatementRequest,
    record: &mut Record,
) -> Result<Bytes> {
    command::without_transaction(request.transaction_id.as_ref())?;
    command::statement_fits(&request.query)?;
    let asked = statement::asked(call, request.query);
    let lane = statement::plan(flights, call, record, &asked).await?.lane;
    let parameters = lane.parameters();
    let result = ActionCreatePreparedStatementResult {
        prepared_statement_handle: flights.handles.seal(call.partner().name(), &asked)?,
        dataset_schema: schema_encapsulated(lane.schema(), call.options().format)?,
        // Nothing says that there are none.
        parameter_schema: if parameters.fields().is_empty() {
            Bytes::new()
        } else {
            schema_encapsulated(parameters, Format::default())?
        },
    };
    Ok(result.as_any().encode_to_vec().into())
}

/// What a call asks with a handle: the statement as it was prepared, at the call's own cost where it names one.
///
/// # Errors
/// Those of [`Handles::open`].
pub(super) fn asked(flights: &Flights, call: &Call, handle: &[u8]) -> Result<Asked> {
    let asked = flights.handles.open(call.partner().name(), handle)?;
    Ok(Asked { epsilon: call.options().epsilon.or(asked.epsilon), ..asked })
}

/// Lets go of a handle, which is nothing but a look at whether it is one.
///
/// # Errors
/// Those of [`Handles::open`].
pub(in crate::wire) fn close(
    flights: &Flights,
    call: &Call,
    request: &ActionClosePreparedStatementRequest,
) -> Result<()> {
    flights.handles.open(call.partner().name(), &request.prepared_statement_handle).map(drop)
}

/// Reads the parameters that a `DoPut` binds, and answers with the handle that holds them.
///
/// Since 2024 Flight SQL lets a server change the handle: arrow-go (and ADBC's driver, which is made with it),
/// arrow-rs and arrow-java execute the new one. An older client does not look at the answer: it executes the
/// old handle and hears that the parameters are open, and never gets the answer to another question. Java
/// closes the old handle, which is as good.
///
/// # Errors
/// [`Code::Unsupported`] when anything else is put, [`Code::ParametersInvalid`], and those of
/// [`Handles::open`].
pub(in crate::wire) async fn bind(
    flights: &Flights,
    call: &Call,
    messages: impl Stream<Item = Result<FlightData, Status>> + Send + Unpin,
    record: &mut Record,
) -> Result<PutResult> {
    let reading = tokio::time::timeout(BIND_WAIT, read(flights, call, messages, record));
    let asked = reading
        .await
        .context(Code::ParametersInvalid, || "the parameters did not come in time".to_owned())??;
    record.asks(&asked);
    let result = DoPutPreparedStatementResult {
        prepared_statement_handle: Some(flights.handles.seal(call.partner().name(), &asked)?),
    };
    Ok(PutResult { app_metadata: result.encode_to_vec().into() })
}

async fn read(
    flights: &Flights,
    call: &Call,
    mut messages: impl Stream<Item = Result<FlightData, Status>> + Send + Unpin,
    record: &mut Record,
) -> Result<Asked> {
    let unread = || "a message that cannot be read".to_owned();
    let first = messages
        .next()
        .await
        .ok_or_else(|| Error::new(Code::RequestInvalid, "nothing was put"))?
        .context(Code::RequestInvalid, unread)?;
    let handle = match first.flight_descriptor.as_ref().map(asks) {
        Some(asks) => match asks? {
            Asks::Command(Command::Prepared(handle)) => handle,
            _ => return Err(Error::new(Code::Unsupported, "partners do not write")),
        },
        None => return Err(Error::new(Code::Unsupported, "data without a command")),
    };
    let asked = flights.handles.open(call.partner().name(), &handle)?;
    record.asks(&asked);
    let mut reader = Reader::default();
    reader.push(&first)?;
    while let Some(message) = messages.next().await {
        reader.push(&message.context(Code::RequestInvalid, unread)?)?;
    }
    Ok(Asked { parameters: reader.finish()?, ..asked })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Secret;

    fn handles(byte: u8) -> Handles {
        Handles::new(&KeyRing::new(vec![(1, Secret::new([byte; 32]))]).unwrap()).unwrap()
    }

    fn asked() -> Asked {
        Asked {
            sql: "SELECT $1".to_owned(),
            parameters: vec![1, 2].into(),
            time_zone: Some("UTC".to_owned()),
            epsilon: "0.5".parse().ok(),
        }
    }

    #[test]
    fn a_handle_opens_for_its_partner_on_any_replica() {
        let handle = handles(1).seal("cern", &asked()).unwrap();
        assert_eq!(handles(1).open("cern", &handle).unwrap(), asked());
        assert!(!handle.windows(6).any(|window| window == b"SELECT"));
    }

    #[test]
    fn another_partner_is_told_so() {
        let handle = handles(1).seal("cern", &asked()).unwrap();
        assert_eq!(handles(1).open("fnal", &handle).unwrap_err().code(), Code::TicketForeign);
    }

    #[test]
    fn forged_handles_do_not_open() {
        let handle = handles(1).seal("cern", &asked()).unwrap();
        let mut forgeries = vec![Bytes::new(), "SELECT 1".into(), vec![0; 300_000].into()];
        forgeries.push(handle.slice(..handle.len() - 1));
        forgeries.push(handles(2).seal("cern", &asked()).unwrap());
        for at in 0..handle.len() {
            let mut changed = handle.to_vec();
            changed[at] ^= 0x10;
            forgeries.push(changed.into());
        }
        for forgery in forgeries {
            let error = handles(1).open("cern", &forgery).unwrap_err();
            assert_eq!(error.code(), Code::TicketInvalid);
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn the_longest_statement_with_the_longest_parameters_has_a_handle() {
        let long = Asked {
            sql: "x".repeat(STATEMENT_BYTES_MAX),
            parameters: vec![7; PARAMETERS_BYTES_MAX].into(),
            ..asked()
        };
        let handle = handles(1).seal("cern", &long).unwrap();
        assert_eq!(handles(1).open("cern", &handle).unwrap(), long);
    }

    #[test]
    fn a_ticket_is_no_handle() {
        let ring = KeyRing::new(vec![(1, Secret::new([1; 32]))]).unwrap();
        let sealed = Envelope::new(&ring, "ticket").unwrap().seal(&[VERSION]).unwrap();
        assert_eq!(handles(1).open("cern", &sealed).unwrap_err().code(), Code::TicketInvalid);
    }
}
