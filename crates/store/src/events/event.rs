//! An event of the log.

use std::fmt;
use std::sync::Arc;

use crate::Position;

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A chat has another last message, or its last message has another status. Earlier messages may be unknown.
    ChatChanged,
    /// A message was received.
    MessageReceived,
    /// A message was sent, by any sender.
    MessageSent,
    /// The status of a message has changed: delivered, read, failed.
    MessageStatus,
    /// The state of a channel is unknown because polls of it have failed for a minute.
    ChannelStalled,
    /// A poll of a stalled channel has succeeded.
    ChannelResumed,
    /// A test of a webhook.
    WebhookPing,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [EventKind; 7] = [
        EventKind::ChatChanged,
        EventKind::MessageReceived,
        EventKind::MessageSent,
        EventKind::MessageStatus,
        EventKind::ChannelStalled,
        EventKind::ChannelResumed,
        EventKind::WebhookPing,
    ];

    /// Returns the kind's name in documents.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            EventKind::ChatChanged => "chat.changed",
            EventKind::MessageReceived => "message.received",
            EventKind::MessageSent => "message.sent",
            EventKind::MessageStatus => "message.status",
            EventKind::ChannelStalled => "channel.stalled",
            EventKind::ChannelResumed => "channel.resumed",
            EventKind::WebhookPing => "webhook.ping",
        }
    }

    /// Returns the kind with this name.
    #[must_use]
    pub fn named(word: &str) -> Option<EventKind> {
        EventKind::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// An event of the log. Its `Debug` shows no text and no destination.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// The position in the log.
    pub position: Position,
    /// `evt_…`: the same occurrence has the same id after a crash, after a restore and on every replica.
    pub id: String,
    /// The kind of the event.
    pub kind: EventKind,
    /// The time when the gateway observed it, in milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// The channel's platform; empty for a test of a webhook.
    pub platform: String,
    /// The channel's id on the platform; empty for a test of a webhook.
    pub platformid: String,
    /// The chat; absent if the event concerns a whole channel.
    pub destination: Option<String>,
    /// True if earlier events of its chat may be missing.
    pub gap: bool,
    /// True if a later message of its chat was logged first.
    pub late: bool,
    /// The upstream's row as JSON text.
    pub row: Option<String>,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Event");
        shown.field("position", &self.position);
        shown.field("id", &self.id).field("kind", &self.kind);
        shown.finish_non_exhaustive()
    }
}

/// A page of events in the order of their positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventPage {
    /// The events after the requested position, oldest first.
    pub events: Vec<Arc<Event>>,
    /// The position up to which events were trimmed: events up to it are not stored any more.
    pub trimmed: Position,
    /// The newest position of the log when the page was read.
    pub newest: Position,
    /// True if further events follow the page.
    pub more: bool,
}

impl EventPage {
    /// Returns the position that a reader has reached after it has read this page from `after`: the end of the page, or the end of
    /// the log if no events follow.
    #[must_use]
    pub fn read_up_to(&self, after: Position) -> Position {
        let last = self.events.last().map(|event| event.position);
        let newest = (!self.more).then_some(self.newest);
        last.max(newest).unwrap_or(after).max(after)
    }
}
