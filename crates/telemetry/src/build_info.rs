//! The name and version of this build.

use std::sync::LazyLock;

/// The version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit from which the program was built, and the date of that commit. Both are empty unless the environment of the build
/// sets them, as a release does. The build does not ask git, because then the same sources would give different binaries elsewhere.
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

/// Returns the version with commit and date, if they are known.
#[must_use]
pub fn full_version() -> &'static str {
    &FULL_VERSION
}
