//! How far a long verb is: a live line where a person looks on, a line now and then elsewhere. Counts what
//! it is told and nothing by itself.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock::Clock;

/// How often a line is written where nobody looks on.
const EVERY_SECONDS: i64 = 10;

/// Counts rows and bytes, and shows them on standard error.
pub(super) struct Meter {
    what: &'static str,
    clock: Arc<dyn Clock>,
    live: Option<ProgressBar>,
    told_seconds: AtomicI64,
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Meter {
    /// A meter that calls the work `what`, such as `exporting`.
    pub(super) fn new(what: &'static str, clock: Arc<dyn Clock>) -> Self {
        let live = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{spinner} {prefix} {msg} ({elapsed})");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_prefix(what);
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        let told_seconds = AtomicI64::new(clock.now_seconds());
        Self { what, clock, live, told_seconds, rows: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }

    /// Adds what was done.
    pub(super) fn add(&self, rows: u64, bytes: u64) {
        let rows = self.rows.fetch_add(rows, Ordering::Relaxed) + rows;
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let text = || format!("{} rows, {} in memory", HumanCount(rows), HumanBytes(bytes));
        if let Some(bar) = &self.live {
            bar.set_message(text());
            return;
        }
        let (now, last) = (self.clock.now_seconds(), self.told_seconds.load(Ordering::Relaxed));
        let due = now - last >= EVERY_SECONDS;
        if due
            && self
                .told_seconds
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(std::io::stderr(), "{}: {}", self.what, text());
        }
    }

    /// Says what is done now, where a person looks on.
    pub(super) fn at(&self, what: &'static str) {
        if let Some(bar) = &self.live {
            bar.set_prefix(what);
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = &self.live {
            bar.finish_and_clear();
        }
    }
}
