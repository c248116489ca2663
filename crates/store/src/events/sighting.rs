//! What was seen of the upstream, as it is kept.

use std::collections::HashMap;

use crate::{Event, EventKind, Position};

/// A channel of an upstream account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventChannel {
    /// The account: what it shows is compared with what the same one has shown before.
    pub account: String,
    /// The platform.
    pub platform: String,
    /// The channel's id on it.
    pub platformid: String,
}

/// The last message of a chat, as a look has shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Its id.
    pub id: String,
    /// Its status.
    pub status: String,
}

/// Up to where a chat is history, of which nothing is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Floor {
    /// The id of the last message of it.
    pub id: Option<String>,
    /// Its datetime, by the upstream's clock.
    pub datetime: Option<String>,
}

/// What is known of a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelMemory {
    /// The largest datetime of the last look.
    pub newest: Option<String>,
    /// Since when no look succeeded, in milliseconds since 1970, UTC; nothing while looks do.
    pub stalled_at: Option<i64>,
    /// The last message of each chat, by destination; nothing for one that no look has shown.
    pub tips: HashMap<String, Option<Tip>>,
}

/// What is known of a chat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChatMemory {
    /// Up to where it is history.
    pub floor: Floor,
    /// The messages that are known of those that were asked for, by id.
    pub known: HashMap<String, KnownMessage>,
}

/// A message of which there was an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownMessage {
    /// Its last status.
    pub status: String,
    /// The position of its event: messages of a chat have the order of these.
    pub position: Position,
    /// Whether its place among the others is in doubt: its event was late, or is in the log no more.
    pub is_late: bool,
}

/// What a look, or a list that passed, has shown of a channel. It is kept in one commit.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// The channel.
    pub channel: EventChannel,
    /// The largest datetime of a look.
    pub newest: Option<String>,
    /// That the channel has stalled at this time, or no longer is.
    pub stalled_at: Option<Option<i64>>,
    /// Its chats.
    pub chats: Vec<SeenChat>,
    /// What happened to the channel as a whole.
    pub event: Option<NewEvent>,
}

/// What was seen of a chat.
#[derive(Clone, Debug, Default)]
pub struct SeenChat {
    /// The chat.
    pub destination: String,
    /// Its last message, if it was a look.
    pub tip: Option<Tip>,
    /// Up to where it is history, if it is seen for the first time.
    pub floor: Floor,
    /// That it changed.
    pub changed: Option<NewEvent>,
    /// Its messages, the oldest first.
    pub messages: Vec<SeenMessage>,
}

/// A message that is new, or has another status.
#[derive(Clone, Debug)]
pub struct SeenMessage {
    /// Its id.
    pub id: String,
    /// Its status.
    pub status: String,
    /// Its datetime.
    pub datetime: Option<String>,
    /// What happened to it.
    pub event: NewEvent,
}

/// An event that has no position yet.
#[derive(Clone)]
pub struct NewEvent {
    /// Its id.
    pub id: String,
    /// What happened.
    pub kind: EventKind,
    /// Whether something before it may be missing.
    pub gap: bool,
    /// Whether a later message of its chat came first.
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
    /// The event at its position.
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
