//! The fuzz target of `fuzz/oracles/src/jwt.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oracles::run("jwt", bytes));
