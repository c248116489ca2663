//! The clock of the chat service.

use jiff::Timestamp;

/// The time as the API writes it, in UTC.
pub(crate) fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%d %H:%M:%S").to_string()
}
