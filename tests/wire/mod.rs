//! The wire as a partner meets it: over a real connection, from outside.

mod access;
mod bounds;
mod pull;
mod tickets;
mod tls;
