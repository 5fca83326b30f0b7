//! How far a report is: a line that moves on a terminal, a line every few million rows elsewhere. Decides
//! nothing.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::page::thousands;

/// Where progress is shown.
pub struct Progress<'a> {
    bar: Option<ProgressBar>,
    err: RefCell<&'a mut dyn Write>,
    rows: Cell<u64>,
    told: Cell<u64>,
}

/// Rows between two lines where nothing moves.
const ROWS_A_LINE: u64 = 2_000_000;

impl<'a> Progress<'a> {
    /// On standard error; `moves` where that is a terminal.
    pub fn new(err: &'a mut dyn Write, moves: bool) -> Self {
        let bar = moves.then(|| {
            let bar = ProgressBar::new_spinner();
            let style =
                ProgressStyle::with_template("{spinner} {msg}: {human_pos} rows, {elapsed}");
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar, err: RefCell::new(err), rows: Cell::new(0), told: Cell::new(0) }
    }

    /// What is being done.
    pub fn step(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
        }
    }

    /// So many more rows were read.
    pub fn rows(&self, more: usize) {
        let rows = self.rows.get().saturating_add(more as u64);
        self.rows.set(rows);
        match &self.bar {
            Some(bar) => bar.set_position(rows),
            None if rows.saturating_sub(self.told.get()) >= ROWS_A_LINE => {
                self.told.set(rows);
                self.say(&format!("{} rows read", thousands(&rows.to_string())));
            }
            None => {}
        }
    }

    /// A line for the custodian.
    pub fn say(&self, line: &str) {
        let write = || {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(self.err.borrow_mut(), "{line}");
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// The end.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl fmt::Debug for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("rows", &self.rows).finish_non_exhaustive()
    }
}
