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
#[cfg(feature = "server")]
pub mod server;
#[cfg(test)]
#[path = "../tests/shared.rs"]
mod shared;
#[cfg(feature = "server")]
pub mod state;
#[cfg(feature = "server")]
pub mod telemetry;
#[cfg(feature = "server")]
pub mod wire;

pub use error::{Error, Result};
