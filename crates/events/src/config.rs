//! What of events is configured.

use std::num::NonZeroU32;
use std::time::Duration;

use store::EventRetention;

use crate::places::StreamLimits;

/// How deep a look goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventDepth {
    /// `getchats` alone: a chat that moved is an event, the messages between two looks are not.
    Hint,
    /// `getunreadmessages` of a chat that moved besides, where the upstream leaves the marks: every message that came in is one.
    Unread,
}

/// The configuration of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsConfig {
    /// Whether there are events at all.
    pub enabled: bool,
    /// How deep a look goes.
    pub depth: EventDepth,
    /// Pause between two looks at a channel in which something happens.
    pub poll_min: Duration,
    /// Longest pause between two looks at a channel.
    pub poll_max: Duration,
    /// Most calls a second to the upstream, for all channels together.
    pub calls_per_second: NonZeroU32,
    /// How long channels are looked at after somebody has last listened.
    pub interest: Duration,
    /// Whether the log keeps the texts of messages.
    pub keeps_texts: bool,
    /// How long events are kept, and in how much room.
    pub retention: EventRetention,
    /// Most streams and waiting calls at once.
    pub streams: StreamLimits,
    /// How long a stream goes on, a fifth more or less.
    pub stream_life: Duration,
}
