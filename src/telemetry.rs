//! Logs by tracing, text or JSON, to standard error. What may be logged is decided where it is logged:
//! never a secret, never a cell value.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

use crate::error::{Code, Context, Result};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl std::str::FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("is neither `text` nor `json`"),
        }
    }
}

/// Starts logging. `filter` is as in `info,veilflight=debug`.
///
/// # Errors
/// [`Code::Config`] when the filter is malformed, or logging was started before.
pub fn start(format: LogFormat, filter: &str) -> Result<()> {
    let filter = EnvFilter::try_new(filter)
        .context(Code::Config, || format!("the log filter `{filter}` is malformed"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(SystemTime)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.context(Code::Config, || "logging was started before".to_owned())
}

/// From now on a panic is logged by its place and the way there alone.
///
/// PRIVACY: the message of a panic is written by whatever panicked and may quote a cell: slicing text in
/// the middle of a character does.
pub fn hush_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or_default();
        // Names of functions and lines; no arguments.
        let way = std::backtrace::Backtrace::force_capture();
        tracing::error!(place, thread, %way, "a defect: the program panicked");
    }));
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_told_by_its_place_and_not_in_its_words() {
        let lines = Lines::default();
        let writer = lines.clone();
        let before = std::panic::take_hook();
        hush_panics();
        let thread = std::thread::spawn(move || {
            let log =
                tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false);
            tracing::subscriber::with_default(log.finish(), || {
                let cell = String::from("canary-cell-\u{e9}");
                // What the library says when a character is cut through.
                let _ = cell.split_at(cell.len() - 1);
            });
        });
        let ended = thread.join();
        std::panic::set_hook(before);
        assert!(ended.is_err());
        let told = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(told.contains("the program panicked") && !told.contains("canary"), "{told}");
    }

    #[test]
    fn a_malformed_filter_is_refused() {
        let error = start(LogFormat::Text, "info,,=x=").unwrap_err();
        assert_eq!(error.code(), Code::Config);
    }
}
