//! Bounds of the values that operators write for an access.

/// Maximum length of an owner and of a note, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 1024;

/// Maximum number of networks in one list, because each request searches the whole list.
pub(crate) const NETWORKS_MAX: usize = 1000;

/// Maximum number of channels, for the same reason.
pub(crate) const CHANNELS_MAX: usize = 1000;

/// Maximum length of a channel id, in bytes, as in a call.
pub(crate) const ID_BYTES_MAX: usize = adapter::ParameterKind::Id.bytes_max();

/// Maximum rate, in calls per minute or day: nine digits, more than any machine answers.
pub(crate) const RATE_MAX: u32 = 999_999_999;

/// The rules that an operator can set to report only.
pub(crate) const REPORTS: [&str; 2] = ["networks", "limits"];
