//! Whether anything that names a person stands in files that are to leave: every distinct raw identifier of
//! a dataset, and what its rules take out of texts, is looked for in every cell. Reads raw rows, and tells counts; values only where asked by name.
//! Reads no file of output itself; whoever has one shows its cells.

use std::sync::Arc;

use super::scan::Scan;
use super::source::Snapshot;
use crate::audit::{Entry, Outcome};
use crate::error::Result;
use crate::policy::plan::Plan;

mod dictionary;
mod gather;
mod scanner;
mod sources;
#[cfg(test)]
mod tests;

pub use sources::identifying;

use gather::{Gather, Share};
use scanner::Scanner;

/// What counts as a find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Texts of so many characters are also looked for inside longer texts, between word boundaries.
    pub inside_chars_min: usize,
    /// Numbers of so many digits are looked for everywhere; shorter ones only in columns of the same name.
    pub number_digits_min: usize,
    /// Whether `A` and `a` are the same.
    pub any_case: bool,
    /// Whether a few of the values found are told.
    pub show_values: bool,
    /// About how many bytes of identifiers are looked for at a time.
    pub dictionary_bytes: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            inside_chars_min: 3,
            number_digits_min: 5,
            any_case: false,
            show_values: false,
            dictionary_bytes: 8 << 20,
        }
    }
}

/// Cells of output, in any order.
pub trait Outputs {
    /// Shows every cell to a visitor; the same each time.
    ///
    /// # Errors
    /// When a file cannot be read.
    fn visit(&self, visitor: &mut dyn Visitor) -> Result<()>;
}

/// Who looks at cells.
pub trait Visitor {
    /// The number of a column; the same for the same name.
    fn column(&mut self, name: &str) -> usize;
    /// One cell that is not null.
    fn cell(&mut self, column: usize, text: &str);
}

/// What was found in one column of the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The column; a name that is itself an identifier is not told.
    pub column: String,
    /// Whether the column's name is an identifier.
    pub by_name: bool,
    /// Cells that are an identifier.
    pub whole: u64,
    /// Cells with an identifier inside.
    pub inside: u64,
    /// How many distinct identifiers.
    pub distinct: u64,
    /// The raw columns that the identifiers are of.
    pub of: Vec<String>,
    /// Whether so many are to be expected of a permutation of the same values.
    pub by_chance: bool,
    /// A few of the values, where they were asked for.
    pub values: Vec<String>,
}

/// How a scan ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scanned {
    /// The raw columns whose values, or parts of them, were looked for.
    pub of: Vec<String>,
    /// Distinct identifiers that were looked for.
    pub identifiers: u64,
    /// Of these, short ones: looked for as whole cells only.
    pub short: u64,
    /// Of these, short numbers: looked for only in columns of the same name.
    pub numbers: u64,
    /// Raw values that say nothing, such as `NULL`, and were not looked for.
    pub empty: u64,
    /// Cells with a word that a scrub rule leaves alone by `except`; not counted as finds.
    pub spared: u64,
    /// The cells that were looked at.
    pub cells: u64,
    /// How often everything was read.
    pub passes: u64,
    /// By column.
    pub findings: Vec<Finding>,
}

/// Looks for every raw identifier of a dataset in what `outputs` show. `progress` hears how many cells were
/// looked at since it last heard.
///
/// PRIVACY: what comes back are counts and names of columns; values only under [`Rules::show_values`], which
/// is for the custodian's own screen.
///
/// # Errors
/// When raw rows or outputs cannot be read, or the entry cannot be closed.
pub fn scan(
    plan: &Plan,
    snapshot: &Snapshot,
    rules: Rules,
    outputs: &dyn Outputs,
    progress: &dyn Fn(u64),
    entry: Entry,
) -> Result<Scanned> {
    let scanned = look(plan, snapshot, rules, outputs, progress);
    let outcome = match &scanned {
        Ok(_) => Outcome::Done,
        Err(error) => Outcome::Failed(error.code()),
    };
    let closed = entry.close(outcome, 0, 0);
    let scanned = scanned?;
    closed.map(|()| scanned)
}

fn look(
    plan: &Plan,
    snapshot: &Snapshot,
    rules: Rules,
    outputs: &dyn Outputs,
    progress: &dyn Fn(u64),
) -> Result<Scanned> {
    let sources = sources::of(plan.policy())?;
    let columns: Vec<String> = sources.iter().map(|source| source.column.clone()).collect();
    let scan = Arc::new(Scan::everything(&columns));
    let gather = Gather { scan, snapshot, sources: &sources, rules };
    let mut scanner = Scanner::new(&sources, plan.policy(), rules, progress);
    let mut share = Share::default();
    loop {
        let dictionary = gather.share(&mut share)?;
        scanner.load(dictionary)?;
        outputs.visit(&mut scanner)?;
        share.index += 1;
        if share.index >= share.of {
            break;
        }
    }
    Ok(scanner.end(plan, share.of))
}
