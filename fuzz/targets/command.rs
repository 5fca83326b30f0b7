//! libFuzzer on commands. What must hold stands in `entry/command.rs`.
#![no_main]

#[path = "../entry/command.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    entry::command(bytes);
    entry::parameters(&[], bytes);
});
