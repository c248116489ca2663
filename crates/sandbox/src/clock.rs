//! The clock of the chat service.

use jiff::Timestamp;

/// Returns the current time in UTC, in the API's format.
pub(crate) fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%d %H:%M:%S").to_string()
}
