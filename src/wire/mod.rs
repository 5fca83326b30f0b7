//! SEND it: Flight service, tickets, encoding, status. Streams `Sealed` and nothing else.
//!
//! A call passes [`authenticate`], is answered in [`service`], and where it fails hears what [`status`]
//! says. [`catalog`] holds the policies, [`flights`] turns one into an answer for one partner,
//! [`outgoing`] carries a stream.

pub mod actions;
pub mod authenticate;
pub mod catalog;
pub mod encode;
pub mod flights;
pub mod outgoing;
mod privacy;
pub mod record;
pub mod service;
pub mod session;
pub mod sql;
pub mod status;
pub mod ticket;
