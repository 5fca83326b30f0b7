//! Brings data in: text of schedulers and plain tables becomes typed parquet, in constant memory and in the
//! order of the rows. `format.rs` is the contract with formats, `column.rs` what a column is, `rows.rs` what
//! readers give. Raw values go to files of the custodian's machine (mode 0600) and nowhere else; no policy
//! is asked here.

mod attributes;
mod cells;
mod chunk;
pub mod column;
mod condor;
mod csv;
mod distinct;
mod encode;
pub mod format;
mod infer;
pub mod input;
mod jsonl;
mod lsf;
mod manifest;
mod moments;
pub mod nodes;
pub mod normalize;
mod numbers;
mod output;
mod pbs;
pub mod rows;
mod run;
mod slurm;
mod swf;
#[cfg(test)]
mod testing;
mod typing;
mod uge;
pub mod zone;

pub use cells::fits;
pub use encode::Counts;
use format::Format;
pub use run::{Earlier, FORMAT, Limits, Observer, Request, Summary, run};

/// All formats, in the order of the manual.
pub const ALL: &[&dyn Format] = &[
    &slurm::Slurm,
    &condor::Condor,
    &lsf::Lsf,
    &pbs::Pbs,
    &swf::Swf,
    &uge::Uge,
    &csv::Csv,
    &jsonl::JsonLines,
];

/// The format of this name.
pub fn format(name: &str) -> Option<&'static dyn Format> {
    ALL.iter().copied().find(|format| format.name() == name)
}
