//! An access: one caller, and everything that is decided about them in one place.

use std::num::NonZeroU32;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::StoredSecret;

/// One caller and what they may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Its name in configuration, logs and metrics, and the subject of its tokens.
    pub name: String,
    /// The user name that it presents.
    pub user: String,
    /// The client id that it presents at the token endpoint, `cga_…`.
    pub client_id: String,
    /// The secrets that prove it; two of them may live side by side.
    pub secrets: Vec<StoredSecret>,
    /// Whether it is switched on.
    pub active: bool,
    /// Before this time it is refused; seconds since 1970, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// From this time on it is refused; seconds since 1970, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
    /// Networks that it may call from. None listed means none allowed.
    pub allow: Vec<IpNet>,
    /// Networks that it may not call from, asked before `allow`.
    #[serde(default)]
    pub deny: Vec<IpNet>,
    /// The ways in that it may use, by name.
    pub ways: Vec<String>,
    /// The methods that it may call, by name.
    pub methods: Vec<String>,
    /// The platforms that it may use; absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platforms: Option<Vec<String>>,
    /// The channels that it may use; absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<Channel>>,
    /// How often it may call; absent means as often as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
}

/// A channel of the chat API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// One of the four platforms.
    pub platform: String,
    /// The channel's id on that platform.
    pub platformid: String,
}

/// Calls per minute, as GCRA with a burst of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate {
    /// Calls per minute.
    pub per_minute: NonZeroU32,
}

impl Access {
    /// Whether it is switched on and within its time; `now` in seconds since 1970, UTC.
    #[must_use]
    pub fn is_live(&self, now: i64) -> bool {
        self.active
            && self.not_before.is_none_or(|not_before| now >= not_before)
            && self.expires.is_none_or(|expires| now < expires)
    }
}
