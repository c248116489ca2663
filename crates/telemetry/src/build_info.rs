//! Which program this is.

use std::sync::LazyLock;

/// The version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that the program was built from, and the day of that commit. Both are empty unless the build's environment names
/// them, as that of a release does: a build that asked git itself would differ from the same sources elsewhere.
pub(crate) const COMMIT: &str = or_empty(option_env!("CHATGATE_COMMIT"));
pub(crate) const COMMIT_DATE: &str = or_empty(option_env!("CHATGATE_COMMIT_DATE"));

const fn or_empty(named: Option<&'static str>) -> &'static str {
    match named {
        Some(text) => text,
        None => "",
    }
}

static FULL_VERSION: LazyLock<String> = LazyLock::new(|| {
    if COMMIT.is_empty() {
        return VERSION.to_owned();
    }
    format!("{VERSION} ({COMMIT} {COMMIT_DATE})")
});

/// Returns the version with commit and date, where they are known.
#[must_use]
pub fn full_version() -> &'static str {
    &FULL_VERSION
}
