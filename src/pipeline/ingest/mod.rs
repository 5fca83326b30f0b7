//! Brings data in: text of schedulers and plain tables becomes typed parquet, in constant memory and in the
//! order of the rows. `format.rs` is the contract with formats, `column.rs` what a column is, `rows.rs` what
//! readers give. Raw values go to files of the custodian's machine (mode 0600) and nowhere else; no policy
//! is asked here.

pub mod column;
pub mod format;
pub mod input;
pub mod nodes;
pub mod rows;
pub mod zone;

use format::Format;

/// All formats, in the order of the manual.
pub const ALL: &[&dyn Format] = &[];

/// The format of this name.
pub fn format(name: &str) -> Option<&'static dyn Format> {
    ALL.iter().copied().find(|format| format.name() == name)
}
