//! The fuzz target of `fuzz/oracles/src/same_call.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oracles::run("same_call", bytes));
