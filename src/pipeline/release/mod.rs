//! Whole-table releases: tables in which every row looks like several others. The engine counts distinct
//! combinations of quasi-identifiers (`Table`), a method decides what each becomes (`Recoding`), and rows
//! are rewritten by it, measured again and stored. Nothing but `build` sees rows.

pub mod count;
mod hierarchy;
pub mod model;
pub mod progress;
pub mod recoding;
pub mod table;
mod text;
