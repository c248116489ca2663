//! The fuzz target of `fuzz/oracles/src/proxy.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oracles::run("proxy", bytes));
