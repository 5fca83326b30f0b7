//! How far a verb is, on standard error: a bar on a terminal, else a line at every tenth of long work.
//! Shows numbers only, never data.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work shorter than this is not talked about where there is no terminal.
const LONG_BYTES: u64 = 256 << 20;

/// The progress of work that is counted in bytes.
#[derive(Debug)]
pub(super) struct Progress {
    verb: &'static str,
    bar: ProgressBar,
    terminal: bool,
    total: AtomicU64,
    done: AtomicU64,
}

impl Progress {
    /// Nothing done yet of what this word says.
    pub(super) fn new(verb: &'static str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target =
            if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let style = "{msg} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(verb);
        Self { verb, bar, terminal, total: AtomicU64::new(0), done: AtomicU64::new(0) }
    }

    /// So many bytes are to be done.
    pub(super) fn begin(&self, bytes: u64) {
        self.total.store(bytes, Ordering::Relaxed);
        self.bar.set_length(bytes);
    }

    /// So many more are done.
    pub(super) fn advance(&self, bytes: u64) {
        let before = self.done.fetch_add(bytes, Ordering::Relaxed);
        self.bar.inc(bytes);
        let total = self.total.load(Ordering::Relaxed);
        if self.terminal || total < LONG_BYTES {
            return;
        }
        let tenths = |done: u64| u128::from(done) * 10 / u128::from(total.max(1));
        let now = tenths(before + bytes);
        if now > tenths(before) {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(std::io::stderr(), "{}: {} %", self.verb, now.min(10) * 10);
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
