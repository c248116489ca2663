//! Runs tests that gateways over a file pass over PostgreSQL as well: some of them every day, all of them in the release check.

use std::process::Command;

use crate::harness::{is_postgres, load, skipped};

/// The tests that cover most in the least time.
const SAMPLE: [&str; 4] = [
    "matrix::every_operation_by_every_way_shows_success_and_every_code_that_applies",
    "crash::killed_at_any_instant_nothing_acknowledged_is_lost_and_nothing_is_sent_twice",
    "receipts::however_many_ask_at_once_each_key_is_one_send",
    "journal::operators_find_rows_by_every_filter_and_changes_among_them",
];

#[test]
fn what_passes_over_a_file_passes_over_postgresql() {
    if is_postgres() || load(0, 1) == 1 {
        return println!("all of the tests are run over PostgreSQL");
    }
    if !std::path::Path::new("/usr/lib/postgresql").exists() {
        return skipped("PostgreSQL");
    }
    let mut tests = Command::new(std::env::current_exe().unwrap());
    tests.args(["--exact", "--nocapture"]).args(SAMPLE);
    let ran = tests.env("CHATGATE_STORE", "postgres").output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    print!("{said}");
    let passed = format!("{} passed", SAMPLE.len());
    let error = String::from_utf8_lossy(&ran.stderr);
    assert!(
        ran.status.success() && said.contains(&passed),
        "{said}{error}"
    );
}
