//! The wire as a partner meets it: over a real connection, from outside.

mod access;
mod audit;
mod bounds;
mod process;
mod pull;
mod tickets;
mod tls;
mod types;
