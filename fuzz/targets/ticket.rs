//! libFuzzer on tickets. What must hold stands in `entry/ticket.rs`.
#![no_main]

#[path = "../entry/ticket.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::ticket(bytes));
