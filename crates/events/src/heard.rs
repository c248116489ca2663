//! What is heard of callers' calls, and of which channels.

use std::collections::{HashMap, HashSet};

use adapter::Response;

/// A channel's platform and its id on it.
pub(crate) type ChannelName = (String, String);

/// The channels that are looked at: ids by platform.
pub(crate) type WatchedNames = HashMap<String, HashSet<String>>;

/// What a caller's call has shown or changed.
pub(crate) struct Heard {
    /// The channel's platform and its id on it.
    pub(crate) channel: ChannelName,
    /// Its chats, where the call has listed them.
    pub(crate) chats: Option<Response>,
}
