//! Runs tests that gateways over a file pass over PostgreSQL as well: some of them every day, all of them in the release check.

use std::process::Command;

use crate::harness::{is_postgres, load, skipped};

/// The tests that cover most in the least time.
const SAMPLE: [&str; 4] = [
    "matrix::every_operation_by_every_way_in_renders_success_and_every_code",
    "crash::kills_at_any_instant_lose_no_acknowledged_result_and_double_no_send",
    "receipts::concurrent_requests_with_one_key_send_once",
    "journal::the_journal_is_searchable_by_every_filter_and_contains_changes",
];

#[test]
fn tests_that_pass_on_a_file_store_also_pass_on_postgresql() {
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
