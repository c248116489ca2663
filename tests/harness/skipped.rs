//! What a test says that checks nothing for want of something.

use std::io::Write;

/// Says that this test is skipped, and for want of what: on standard error itself, since the macros' output is shown for
/// failures alone. Where everything has to be there, it is a failure.
///
/// # Panics
/// When `CI` is `true`.
pub(crate) fn skipped(want: &str) {
    let thread = std::thread::current();
    let line = format!("skipped: {}: {want}", thread.name().unwrap_or("a test"));
    // A standard error that is gone hears nothing.
    let _ = writeln!(std::io::stderr(), "{line}");
    let is_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(!is_ci, "{line}, and under CI nothing may be");
}
