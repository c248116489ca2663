//! The fuzz target of `fuzz/oracles/src/upstream.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oracles::run("upstream", bytes));
