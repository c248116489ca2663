//! What is heard of callers' calls, and of which channels.

use std::collections::{HashMap, HashSet};

use adapter::{PLATFORMS, Response};
use serde_json::Value;

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

/// The channels of a list; nothing if it is none.
pub(crate) fn channel_names(result: &str) -> Option<Vec<ChannelName>> {
    let result: Value = serde_json::from_str(result).ok()?;
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let name = |channel: &Value| {
        Some((
            text(channel.get("platform")?)?,
            text(channel.get("platformid")?)?,
        ))
    };
    let names = result.get("list")?.as_array()?.iter().filter_map(name);
    Some(
        names
            .filter(|(platform, _)| PLATFORMS.contains(&platform.as_str()))
            .collect(),
    )
}
