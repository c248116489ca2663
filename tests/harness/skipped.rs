//! The report of a test that checks nothing because something is missing.

use std::io::Write;

/// Reports that this test is skipped, and what is missing. Writes to standard error directly, because the macros' output is shown
/// for failed tests alone. Under CI, where everything has to be present, a skipped test is a failure.
///
/// # Panics
/// When `CI` is `true`.
pub(crate) fn skipped(want: &str) {
    let thread = std::thread::current();
    let line = format!("skipped: {}: {want}", thread.name().unwrap_or("a test"));
    // A closed standard error cannot take the report.
    let _ = writeln!(std::io::stderr(), "{line}");
    let is_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(!is_ci, "{line}, and under CI nothing may be");
}
