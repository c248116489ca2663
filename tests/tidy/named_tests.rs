//! Checks that the tests exist that scripts and documents name. A filter that no longer matches a test would run nothing and pass.

use std::fs;
use std::process::Command;

use super::{root, sources};
use crate::harness::{repository, skipped};

/// Minimum length of a test's name, which distinguishes it from the short names of keys and commands.
const TEST_NAME_BYTES_MIN: usize = 12;

/// A mutation whose pattern no longer exists in the code shows nothing. Running all mutations takes too long for every day.
#[test]
fn every_mutation_matches_its_code_and_names_a_test() {
    let mut looking = Command::new("python3");
    looking.arg(repository().join("tests/mutations"));
    let Ok(looked) = looking.arg("--places").output() else {
        return skipped("python3");
    };
    let said = String::from_utf8_lossy(&looked.stderr);
    assert!(looked.status.success(), "{said}");
}

#[test]
fn every_test_that_the_security_page_names_exists() {
    let page = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let table = page.lines().filter(|line| line.starts_with("| "));
    // Only the second column names tests; the first is the requirement, and the third is a remark.
    let shown_by: String = table.filter_map(|row| row.split('|').nth(2)).collect();
    let is_test = |name: &&str| name.len() >= TEST_NAME_BYTES_MIN && name.contains('_');
    let named: Vec<_> = shown_by
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(is_test)
        .collect();
    assert!(named.len() > 50, "the table is there: {}", named.len());
    let code: String = sources().into_iter().map(|(_, text)| text).collect();
    let missing: Vec<_> = named
        .into_iter()
        .filter(|name| !code.contains(&format!("fn {name}(")))
        .collect();
    assert!(missing.is_empty(), "there are no such tests: {missing:#?}");
}

/// Returns the filters of end-to-end tests in a text, after each of these marks and before the next quotation mark or backtick.
fn filters<'t>(text: &'t str, marks: &[&str]) -> Vec<&'t str> {
    let after = marks.iter().flat_map(|mark| text.split(mark).skip(1));
    let named = after.filter_map(|rest| rest.split(['"', '`', '\'']).next());
    // What follows a second `--` are the options of the test program.
    let words = named.flat_map(|named| named.trim_start_matches("-- ").split(" -- ").take(1));
    words.flat_map(str::split_whitespace).collect()
}

#[test]
fn every_filter_of_scripts_and_documents_matches_a_test() {
    let program = std::env::current_exe().unwrap();
    let listed = Command::new(program).arg("--list").output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let tests: Vec<_> = listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .collect();
    for (file, marks, count_min) in [
        ("CONTRIBUTING.md", &["`E "][..], 40),
        (
            "tests/release",
            &["end_to_end(\"", "load(\"", "KEPT = \""],
            30,
        ),
        ("tests/bare", &["AS_USER='", "AS_ROOT='"], 10),
    ] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let filters = filters(&text, marks);
        assert!(filters.len() >= count_min, "{file}: {}", filters.len());
        for filter in filters.into_iter().filter(|filter| *filter != "--") {
            let is_named = tests.iter().any(|test| test.contains(filter));
            assert!(is_named, "{file}: no test's name contains {filter}");
        }
    }
}
