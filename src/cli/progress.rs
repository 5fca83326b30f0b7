//! How far a long verb is, on standard error: a live line where a person looks on, a line every ten seconds
//! elsewhere. Every verb that reads data has one. Counts what it is told and nothing by itself; shows
//! numbers and fixed words, never data.
//!
//! ```text
//! let progress = Progress::start("exporting", Unit::Rows);   // shown from here on
//! progress.expect(snapshot_rows);                            // where it is known: a bar, and a share
//! progress.message("sorting");                               // what is done now
//! progress.advance(8_192);  progress.position(16_384);       // from any thread, by reference or `Arc`
//! progress.finish();                                         // or when it is dropped
//! ```
//!
//! Work that cannot say where it is still shows that it goes on: the line comes by itself.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a line is written where nobody looks on.
const EVERY: Duration = Duration::from_secs(10);

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Bytes of files.
    Bytes,
    /// Values that are looked at.
    Cells,
    /// Rows.
    Rows,
    /// Parts of the work, each of its own length.
    Steps,
    /// Tokens of a map.
    Tokens,
}

impl Unit {
    fn amount(self, count: u64) -> String {
        match self {
            Self::Bytes => HumanBytes(count).to_string(),
            _ => HumanCount(count).to_string(),
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Bytes => "",
            Self::Cells => " values",
            Self::Rows => " rows",
            Self::Steps => " steps",
            Self::Tokens => " tokens",
        }
    }
}

/// The progress of one verb. May be told of from several threads at once.
#[derive(Debug)]
pub(super) struct Progress {
    shared: Arc<Shared>,
    bar: Option<ProgressBar>,
    lines: Mutex<Option<Lines>>,
}

/// The thread that writes lines, and what ends it.
type Lines = (Sender<()>, JoinHandle<()>);

#[derive(Debug)]
struct Shared {
    verb: &'static str,
    unit: Unit,
    message: Mutex<String>,
    done: AtomicU64,
    total: AtomicU64,
    is_total_known: AtomicBool,
}

impl Progress {
    /// Nothing is done yet of what `verb` says, such as `exporting`.
    pub(super) fn start(verb: &'static str, unit: Unit) -> Self {
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_prefix(verb);
            bar.enable_steady_tick(Duration::from_millis(200));
            let this = Self { shared: Shared::new(verb, unit), bar: Some(bar), lines: None.into() };
            this.style();
            this
        } else {
            Self::lines(verb, unit, EVERY, std::io::stderr())
        }
    }

    /// Lines only, to `sink`.
    fn lines(
        verb: &'static str,
        unit: Unit,
        every: Duration,
        mut sink: impl Write + Send + 'static,
    ) -> Self {
        let shared = Shared::new(verb, unit);
        let (end, ended) = channel();
        let told = Arc::clone(&shared);
        let lines = std::thread::Builder::new().name("progress".to_owned()).spawn(move || {
            let mut elapsed = Duration::ZERO;
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                elapsed += every;
                // Nobody is left to tell when standard error is closed.
                let _ = sink.write_all((told.line(elapsed) + "\n").as_bytes());
            }
        });
        // Without a thread to spare the work goes on untold.
        Self { shared, bar: None, lines: lines.ok().map(|lines| (end, lines)).into() }
    }

    /// So much is to be done in all, as far as is known now.
    pub(super) fn expect(&self, total: u64) {
        self.shared.total.store(total, Ordering::Relaxed);
        self.shared.is_total_known.store(true, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            self.style();
        }
    }

    /// So much is done in all.
    pub(super) fn position(&self, done: u64) {
        self.shared.done.store(done, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    /// So much more is done.
    pub(super) fn advance(&self, more: u64) {
        self.shared.done.fetch_add(more, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.inc(more);
        }
    }

    /// What is done now; a fixed word or the name of a column, file or dataset.
    pub(super) fn message(&self, what: &str) {
        what.clone_into(&mut self.shared.message());
        if let Some(bar) = &self.bar {
            bar.set_message(if what.is_empty() { String::new() } else { format!(": {what}") });
        }
    }

    /// Takes the line away; nothing is written once this returns. Also done when it is dropped.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((end, lines)) = lines {
            drop(end);
            let _ = lines.join();
        }
    }

    fn style(&self) {
        let known = self.shared.is_total_known.load(Ordering::Relaxed);
        let style = match (known, self.shared.unit) {
            (true, Unit::Bytes) => {
                "{prefix}{msg} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left"
                    .to_owned()
            }
            (true, unit) => {
                let word = unit.word();
                format!(
                    "{{prefix}}{{msg}} [{{bar:30}}] {{human_pos}} of {{human_len}}{word}, {{eta}} left"
                )
            }
            (false, Unit::Bytes) => "{spinner} {prefix}{msg}: {bytes} ({elapsed})".to_owned(),
            (false, unit) => {
                format!("{{spinner}} {{prefix}}{{msg}}: {{human_pos}}{} ({{elapsed}})", unit.word())
            }
        };
        if let (Some(bar), Ok(style)) = (&self.bar, ProgressStyle::with_template(&style)) {
            bar.set_style(style.progress_chars("=> "));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Shared {
    fn new(verb: &'static str, unit: Unit) -> Arc<Self> {
        Arc::new(Self {
            verb,
            unit,
            message: Mutex::default(),
            done: AtomicU64::new(0),
            total: AtomicU64::new(0),
            is_total_known: AtomicBool::new(false),
        })
    }

    fn message(&self) -> MutexGuard<'_, String> {
        self.message.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `exporting: sorting: 1,000 of 4,000 rows, 25 % (20 s)`.
    fn line(&self, elapsed: Duration) -> String {
        let (done, total) = (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        let mut line = self.verb.to_owned();
        let message = self.message();
        if !message.is_empty() {
            line.push_str(": ");
            line.push_str(&message);
        }
        let (amount, word) = (self.unit.amount(done), self.unit.word());
        if self.is_total_known.load(Ordering::Relaxed) {
            let percent = (u128::from(done) * 100 / u128::from(total.max(1))).min(100);
            let total = self.unit.amount(total);
            line.push_str(&format!(": {amount} of {total}{word}, {percent} %"));
        } else if done > 0 {
            line.push_str(&format!(": {amount}{word}"));
        }
        line.push_str(&format!(" ({} s)", elapsed.as_secs()));
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands each line over.
    struct Sink(Sender<String>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_says_what_is_done_and_how_much_of_it() {
        let shared = Shared::new("exporting", Unit::Rows);
        assert_eq!(shared.line(EVERY), "exporting (10 s)");
        shared.done.store(1_234_567, Ordering::Relaxed);
        assert_eq!(shared.line(EVERY), "exporting: 1,234,567 rows (10 s)");
        "sorting".clone_into(&mut shared.message());
        shared.total.store(2_000_000, Ordering::Relaxed);
        shared.is_total_known.store(true, Ordering::Relaxed);
        let expected = "exporting: sorting: 1,234,567 of 2,000,000 rows, 61 % (20 s)";
        assert_eq!(shared.line(2 * EVERY), expected);
        let shared = Shared::new("ingest", Unit::Bytes);
        shared.done.store(3 << 30, Ordering::Relaxed);
        shared.is_total_known.store(true, Ordering::Relaxed);
        assert_eq!(shared.line(EVERY), "ingest: 3.00 GiB of 0 B, 100 % (10 s)");
    }

    #[test]
    fn work_that_says_nothing_is_told_of_all_the_same_until_it_ends() {
        let (told, lines) = channel();
        let progress =
            Progress::lines("sealing", Unit::Tokens, Duration::from_millis(5), Sink(told));
        let next = || lines.recv_timeout(Duration::from_secs(60)).unwrap();
        while !next().contains("sealing (") {}
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| progress.advance(1)));
            }
        });
        progress.message("originals");
        while !next().contains("sealing: originals: 4,000 tokens (") {}
        progress.position(7);
        while !next().contains(": 7 tokens (") {}
        progress.finish();
        // The writer is gone, so what it had written is all.
        while lines.try_recv().is_ok() {}
        assert!(
            lines
                .recv_timeout(Duration::ZERO)
                .is_err_and(|end| end == RecvTimeoutError::Disconnected)
        );
        progress.advance(1);
        progress.finish();
    }
}
