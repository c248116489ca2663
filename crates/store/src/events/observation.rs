//! Observations of the upstream, and the stored memory of them.

use std::collections::HashMap;

use crate::{Event, EventKind, Position};

/// A channel of an upstream account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventChannel {
    /// The upstream account: observations are only compared with earlier observations of the same account.
    pub account: String,
    /// The platform.
    pub platform: String,
    /// The channel's id on the platform.
    pub platformid: String,
}

/// The last message of a chat, as a poll returned it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// The message's id.
    pub id: String,
    /// The message's status.
    pub status: String,
    /// The message's datetime, by the upstream's clock. It becomes the end of the chat's history at an erasure.
    pub datetime: Option<String>,
}

/// The end of a chat's history: messages up to it make no events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Floor {
    /// The id of the last message of the history.
    pub id: Option<String>,
    /// The datetime of that message, by the upstream's clock.
    pub datetime: Option<String>,
}

/// The memory of a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelMemory {
    /// The largest datetime in the last poll, or the beginning of the day before the poll if that is earlier. In a chat that begins
    /// later, older messages are history.
    pub newest: Option<String>,
    /// The time since which no poll has succeeded, in milliseconds since 1970, UTC; `None` while polls succeed.
    pub stalled_at: Option<i64>,
    /// The last message of each chat, by destination; `None` for a chat that no poll has returned. An erased chat has another name.
    pub tips: HashMap<String, Option<Tip>>,
}

/// The memory of a chat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChatMemory {
    /// The end of the chat's history.
    pub floor: Floor,
    /// The known messages among the requested ones, by id.
    pub known: HashMap<String, KnownMessage>,
    /// True if the chat was erased. Its history then ends with its last message before the erasure or later, and no message of the
    /// history may become an event again.
    pub is_erased: bool,
}

/// A message that has had an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownMessage {
    /// The last known status.
    pub status: String,
    /// The position of the message's event; these positions give the order of a chat's messages.
    pub position: Position,
    /// True if its order among the other messages is uncertain, because its event was late or is no longer in the log.
    pub is_late: bool,
    /// True if its event was erased. No later status of it may become an event.
    pub is_erased: bool,
}

/// The observations of a channel from a poll or from a list that passed through the gateway. They are stored in one commit.
#[derive(Clone, Debug)]
pub struct ObservedChannel {
    /// The channel.
    pub channel: EventChannel,
    /// The largest datetime of a poll, as in [`ChannelMemory::newest`].
    pub newest: Option<String>,
    /// `Some(Some(time))` if the channel has been stalled since this time, `Some(None)` if it is not stalled any more, `None` if
    /// this observation does not change it.
    pub stalled_at: Option<Option<i64>>,
    /// The observed chats of the channel.
    pub chats: Vec<ObservedChat>,
    /// The event that concerns the channel as a whole, if there is one.
    pub event: Option<NewEvent>,
}

/// The observations of a chat.
#[derive(Clone, Debug, Default)]
pub struct ObservedChat {
    /// The chat's destination.
    pub destination: String,
    /// Its last message, if a poll returned it.
    pub tip: Option<Tip>,
    /// The end of its history; stored only when the chat is observed for the first time.
    pub floor: Floor,
    /// The event that reports a change of the chat, if there is one.
    pub changed: Option<NewEvent>,
    /// Its new or changed messages, oldest first.
    pub messages: Vec<ObservedMessage>,
}

impl ObservedChat {
    /// Returns whether the observation may cause events.
    pub(crate) fn has_events(&self) -> bool {
        self.changed.is_some() || !self.messages.is_empty()
    }
}

/// A message that is new or has another status.
#[derive(Clone, Debug)]
pub struct ObservedMessage {
    /// The message's id.
    pub id: String,
    /// The message's status.
    pub status: String,
    /// The message's datetime.
    pub datetime: Option<String>,
    /// The event for this message.
    pub event: NewEvent,
}

/// An event without a position.
#[derive(Clone)]
pub struct NewEvent {
    /// The event's id.
    pub id: String,
    /// The kind of the event.
    pub kind: EventKind,
    /// True if earlier events of its chat may be missing.
    pub gap: bool,
    /// True if a later message of its chat was logged first.
    pub late: bool,
    /// The upstream's row as JSON text.
    pub row: Option<String>,
}

impl std::fmt::Debug for NewEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("NewEvent");
        shown.field("id", &self.id).field("kind", &self.kind);
        shown.finish_non_exhaustive()
    }
}

impl NewEvent {
    /// Returns the event at this position.
    pub(crate) fn at(
        self,
        position: Position,
        channel: &EventChannel,
        destination: Option<&String>,
    ) -> Event {
        Event {
            position,
            id: self.id,
            kind: self.kind,
            at_ms: position.time_ms(),
            platform: channel.platform.clone(),
            platformid: channel.platformid.clone(),
            destination: destination.cloned(),
            gap: self.gap,
            late: self.late,
            row: self.row,
        }
    }
}
