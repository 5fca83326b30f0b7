//! The last step before the wire: copies what the plan lets out into one fresh Arrow IPC message.

use bytes::Bytes;

/// One encoded Arrow IPC record-batch message that holds only what the plan lets out.
///
/// INVARIANT: made in this file alone, from fresh buffers, under the plan's schema.
#[derive(Debug, Clone)]
pub struct Sealed {
    header: Bytes,
    body: Bytes,
    rows: u64,
}

impl Sealed {
    /// The IPC message's flatbuffer header.
    pub fn header(&self) -> &Bytes {
        &self.header
    }

    /// The IPC message's body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The number of rows.
    pub const fn rows(&self) -> u64 {
        self.rows
    }
}
