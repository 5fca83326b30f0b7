//! Differential privacy: a statement over a dataset that is granted as noisy aggregates becomes a
//! question (`question.rs`); the engine answers it exactly over bounded contributions; noise from
//! OpenDP is added; what comes out may leave. Keeps no budget, that is for `crate::budget`.
//!
//! One way: `ask` (a statement, a question) -> `bound` (exact answers, `Exact`) -> `mechanism` (`Noisy`, for a
//! `Spent`) -> `ask` again (an answer in the statement's columns) -> seal.

mod ask;
mod bound;
pub mod curator;
mod mechanism;
mod question;
