//! The fuzz target of `fuzz/oracles/src/edge.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oracles::run("edge", bytes));
