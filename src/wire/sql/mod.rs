//! SQL for partners, as Flight SQL carries it: reads commands, describes answers, opens them. Plans and
//! runs nothing; that is `pipeline::query`.

pub mod command;
pub mod parameters;
