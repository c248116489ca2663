//! Bounds of what operators write about an access.

/// Longest owner and note, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 1024;

/// Most networks in one list: each request walks it.
pub(crate) const NETWORKS_MAX: usize = 1000;

/// Most channels, likewise.
pub(crate) const CHANNELS_MAX: usize = 1000;

/// Longest id of a channel, in bytes, as in a call.
pub(crate) const ID_BYTES_MAX: usize = adapter::ParameterKind::Id.bytes_max();

/// Highest rate, in calls per minute or day: nine digits, more than any machine answers.
pub(crate) const RATE_MAX: u32 = 999_999_999;

/// The rules that can be set to report only.
pub(crate) const REPORTS: [&str; 2] = ["networks", "limits"];
