//! The facts learned from callers' calls, and the names of their channels.

use std::collections::{HashMap, HashSet};

use adapter::{PLATFORMS, Response};
use serde_json::Value;

/// The platform of a channel and the channel's id on it.
pub(crate) type ChannelName = (String, String);

/// The polled channels: ids by platform.
pub(crate) type WatchedNames = HashMap<String, HashSet<String>>;

/// A caller's call that has shown or changed something.
pub(crate) struct ObservedCall {
    /// The platform of the channel and the channel's id on it.
    pub(crate) channel: ChannelName,
    /// The chats of the channel, if the call has listed them.
    pub(crate) chats: Option<Response>,
}

/// Reads the channels of a result; `None` if it is not a list.
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
    // PHP writes a list with gaps in its numbering as an object.
    let names: Vec<_> = match result.get("list")? {
        Value::Array(list) => list.iter().filter_map(name).collect(),
        Value::Object(list) => list.values().filter_map(name).collect(),
        _ => return None,
    };
    Some(
        names
            .into_iter()
            .filter(|(platform, _)| PLATFORMS.contains(&platform.as_str()))
            .collect(),
    )
}
