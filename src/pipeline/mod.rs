//! DO it: the only place where raw rows exist. `source` finds and reads files, `scan` turns them into
//! raw batches under the policy's row filter, `transform` rewrites columns, `seal` copies what may
//! leave into fresh buffers, `stream` moves it to the wire within limits.

#[cfg(feature = "server")]
pub mod cells;
#[cfg(feature = "server")]
mod encode;
#[cfg(feature = "server")]
pub mod format;
#[cfg(feature = "server")]
pub mod ingest;
#[cfg(feature = "server")]
mod keep_alive;
#[cfg(feature = "server")]
mod learn;
#[cfg(feature = "server")]
mod message;
#[cfg(feature = "server")]
pub mod noise;
pub mod profile;
#[cfg(feature = "server")]
pub mod query;
#[cfg(feature = "server")]
pub mod reidentify;
#[cfg(feature = "server")]
pub mod release;
#[cfg(feature = "server")]
mod rows;
#[cfg(feature = "server")]
pub mod scan;
#[cfg(feature = "server")]
pub mod seal;
#[cfg(feature = "server")]
pub mod source;
#[cfg(feature = "server")]
pub mod stream;
pub mod transform;
#[cfg(feature = "server")]
pub mod verify;

/// Rows as they lie in the files.
///
/// INVARIANT: this type has no `Debug`, `Display` or `Serialize`, and its field is open to the rooms
/// below `pipeline` alone, so that raw rows have no way out but the seal.
#[cfg(feature = "server")]
struct RawBatch(arrow::array::RecordBatch);
