//! libFuzzer on the policy loader. What must hold stands in `entry/policy.rs`.
#![no_main]

#[path = "../entry/policy.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::policy(bytes));
