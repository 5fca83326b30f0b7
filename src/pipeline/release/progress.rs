//! How long work tells how far it is, and hears that it should end. Shows nothing.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// Who watches long work. Called from several threads.
pub trait Progress: Sync {
    /// So much of so much is done; the end may come nearer than it looked.
    fn at(&self, done: u64, of: u64);

    /// Whether the work should end without a result.
    fn cancelled(&self) -> bool;
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Progress for Unwatched {
    fn at(&self, _done: u64, _of: u64) {}

    fn cancelled(&self) -> bool {
        false
    }
}

/// Nobody watches, and somebody may end it.
impl Progress for AtomicBool {
    fn at(&self, _done: u64, _of: u64) {}

    fn cancelled(&self) -> bool {
        self.load(Relaxed)
    }
}
