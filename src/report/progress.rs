//! How far a report is, told to whoever shows it. Shows nothing itself.

use std::fmt::Debug;

/// Hears how far a report is.
pub trait Watch: Debug {
    /// What is being done.
    fn step(&self, what: &str);

    /// So many more rows were read.
    fn rows(&self, more: u64);
}

/// Nobody looks on.
#[derive(Debug, Clone, Copy)]
pub struct Unseen;

impl Watch for Unseen {
    fn step(&self, _: &str) {}

    fn rows(&self, _: u64) {}
}
