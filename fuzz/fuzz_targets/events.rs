//! The fuzz target of `fuzz/oracles/src/events.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oracles::run("events", bytes));
