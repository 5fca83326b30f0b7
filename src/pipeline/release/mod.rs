//! Whole-table releases: tables in which every row looks like several others. The engine counts distinct
//! combinations of quasi-identifiers (`Table`), a method decides what each becomes (`Recoding`), and rows
//! are rewritten by it, measured again and stored. Nothing but `build` sees rows.

mod assembly;
#[cfg(test)]
mod attacks;
pub mod build;
mod checkpoint;
pub mod choice;
mod classes;
pub mod count;
mod hierarchy;
mod keyless;
pub mod lattice;
pub mod manifest;
pub mod measure;
pub mod microaggregation;
pub mod model;
pub mod mondrian;
pub mod objective;
mod order;
pub mod pins;
pub mod progress;
pub mod recoding;
mod ruled;
mod scatter;
mod shown;
mod spill;
mod steps;
pub mod store;
pub mod suppression;
pub mod survey;
pub mod table;
#[cfg(test)]
mod testing;
mod text;
mod whole;
mod write;
