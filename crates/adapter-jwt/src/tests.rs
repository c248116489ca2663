//! Tests the public functions of this crate with valid and forged tokens, forms and keys.
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

/// A file of the end-to-end tests, shared so that all tests report a skip in the same form.
#[path = "../../../tests/harness/skipped.rs"]
mod skipped;
