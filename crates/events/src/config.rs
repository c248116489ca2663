//! The configuration of events.

use std::num::NonZeroU32;
use std::time::Duration;

use store::EventRetention;

use crate::stream_limiter::StreamLimits;

/// The depth of a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventDepth {
    /// `getchats` alone. A chat with a new last message is an event; the messages between two polls are not.
    Hint,
    /// In addition, `getunreadmessages` of each chat with a new last message. It requires an upstream that does not change the
    /// unread marks in response. Every received message is an event.
    Unread,
}

/// The configuration of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsConfig {
    /// True if events are enabled.
    pub enabled: bool,
    /// The depth of a poll.
    pub depth: EventDepth,
    /// Pause between two polls of an active channel.
    pub poll_min: Duration,
    /// Maximum pause between two polls of a channel.
    pub poll_max: Duration,
    /// Maximum number of calls per second to the upstream, for all channels together.
    pub calls_per_second: NonZeroU32,
    /// Time for which channels are polled after the last listener has left.
    pub interest: Duration,
    /// True if the log stores the texts of messages.
    pub keeps_texts: bool,
    /// The limits of the age and the size of the log.
    pub retention: EventRetention,
    /// Maximum numbers of concurrent streams and waiting calls.
    pub streams: StreamLimits,
    /// The duration of a stream, varied by up to a fifth.
    pub stream_life: Duration,
}
