//! What the command target calls with arbitrary bytes, and what must hold then. Shared by the libFuzzer
//! target and by the smoke test on a stable compiler; makes no bytes of its own.

use arrow_flight::FlightData;
use veilflight::error::Code;
use veilflight::wire::sql::command::{Command, STATEMENT_BYTES_MAX};
use veilflight::wire::sql::parameters::{PARAMETERS_BYTES_MAX, Reader};

/// Any bytes are a command within bounds, or refused by a partner's own code.
pub(crate) fn command(bytes: &[u8]) {
    match Command::parse(&bytes.to_vec().into()) {
        Ok(Command::Statement(sql)) => assert!(!sql.is_empty() && sql.len() <= STATEMENT_BYTES_MAX),
        Ok(Command::Metadata(metadata)) => {
            let again = Command::parse(&metadata.encode());
            assert!(again.is_ok_and(|again| again == Command::Metadata(metadata)));
        }
        Ok(Command::Prepared(handle)) => assert!(handle.len() <= bytes.len()),
        Err(error) => {
            assert!(matches!(error.code(), Code::RequestInvalid | Code::Unsupported));
        }
    }
}

/// Any message is a part of a row of parameters within bounds, or refused; none is a panic. The first
/// two bytes say where the header ends, and the messages before it are genuine.
pub(crate) fn parameters(before: &[FlightData], bytes: &[u8]) {
    let mut reader = Reader::default();
    let Some((end, rest)) = bytes.split_first_chunk::<2>() else { return };
    let end = usize::from(u16::from_le_bytes(*end)).min(rest.len());
    let (header, body) = rest.split_at(end);
    let message = FlightData {
        data_header: header.to_vec().into(),
        data_body: body.to_vec().into(),
        ..FlightData::default()
    };
    let read = before.iter().chain([&message]).try_for_each(|message| reader.push(message));
    match read.and_then(|()| reader.finish()) {
        Ok(row) => assert!(row.len() <= PARAMETERS_BYTES_MAX),
        Err(error) => assert_eq!(error.code(), Code::ParametersInvalid),
    }
}
