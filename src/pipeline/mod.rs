//! DO it: the only place where raw rows exist. `source` finds and reads files, `scan` turns them into
//! raw batches under the policy's row filter, `transform` rewrites columns, `seal` copies what may
//! leave into fresh buffers, `stream` moves it to the wire within limits.

#[cfg(feature = "server")]
pub mod scan;
#[cfg(feature = "server")]
pub mod seal;
#[cfg(feature = "server")]
pub mod source;
#[cfg(feature = "server")]
pub mod stream;
pub mod transform;
