//! Veilflight serves sensitive tables over Apache Arrow Flight, each value through a policy first.
//!
//! ```text
//!                 policy file ──► policy::Plan
//!                                     │
//!   parquet, text ──► source ──► scan ──► transform ──► seal ──► stream ──► wire ──► partner
//!                    └──────────── pipeline (raw rows exist only here) ───┘
//!
//!   beside the flow:  identity (who asks)     keys (with which secret)    state (where it is kept)
//!                     budget (how much)       audit (what happened)
//! ```
//!
//! Start reading at [`pipeline`], then [`policy`]. `ARCHITECTURE.md` names the invariants.

// The tests' servers name the crate as the integration tests do.
#[cfg(feature = "server")]
#[cfg(test)]
extern crate self as veilflight;

#[cfg(feature = "server")]
pub mod audit;
#[cfg(feature = "server")]
pub mod budget;
#[cfg(feature = "server")]
pub mod cli;
pub mod clock;
#[cfg(feature = "server")]
pub mod config;
pub mod diagnostic;
pub mod error;
#[cfg(feature = "server")]
pub mod export;
#[cfg(feature = "server")]
mod hashed;
#[cfg(feature = "server")]
pub mod identity;
pub mod keys;
#[cfg(feature = "server")]
pub mod local;
pub mod pairs;
pub mod pipeline;
pub mod policy;
#[cfg(feature = "server")]
pub mod report;
#[cfg(feature = "server")]
pub mod risk;
// Over the wire like the integration tests, but in the build where tests can switch bounding off.
#[cfg(feature = "server")]
#[cfg(test)]
#[path = "../tests/wire/noise_epsilon.rs"]
mod noise_epsilon;
#[cfg(feature = "server")]
pub mod server;
#[cfg(test)]
#[path = "../tests/shared.rs"]
mod shared;
#[cfg(feature = "server")]
#[cfg(test)]
#[expect(dead_code, reason = "most of it is for the integration tests")]
#[path = "../tests/site.rs"]
mod site;
#[cfg(feature = "server")]
pub mod state;
#[cfg(feature = "server")]
pub mod telemetry;
#[cfg(feature = "server")]
pub mod wire;

pub use error::{Error, Result};
