//! Forged and honest tokens, forms and keys against the public functions of this crate.
#![expect(
    clippy::needless_pass_by_value,
    reason = "a case reads better as `json!(…)` than with a borrow before it"
)]

mod forge;
mod keys;
mod oauth;
mod outside;
mod property;
mod request;
mod token;
mod vectors;
mod way;

/// Of the end-to-end tests: there is one way to say it.
#[path = "../../../tests/harness/skipped.rs"]
mod skipped;
