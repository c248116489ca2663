//! An event of the log.

use std::fmt;
use std::sync::Arc;

use crate::Position;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A chat has another last message, or that has another status. What came before it may not be known.
    ChatChanged,
    /// A message came in.
    MessageReceived,
    /// A message was sent, by whomever.
    MessageSent,
    /// A message has got further: delivered, read, failed.
    MessageStatus,
    /// Nothing is known of a channel any more: looks at it have failed for a minute.
    ChannelStalled,
    /// A look at a stalled channel has succeeded.
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

    /// Its name in documents.
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

    /// The kind of this name.
    #[must_use]
    pub fn named(word: &str) -> Option<EventKind> {
        EventKind::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// An event of the log. Its `Debug` shows no text and no destination.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// Where it stands in the log.
    pub position: Position,
    /// `evt_…`: the same for the same happening, after a crash, a restore and on every replica.
    pub id: String,
    /// What happened.
    pub kind: EventKind,
    /// When the gateway saw it, in milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// The channel's platform; empty for a test of a webhook.
    pub platform: String,
    /// The channel's id on it; empty for a test of a webhook.
    pub platformid: String,
    /// The chat; absent for what is of a whole channel.
    pub destination: Option<String>,
    /// Whether something before it in its chat may be missing.
    pub gap: bool,
    /// Whether a later message of its chat came first.
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

/// Events in the order of their positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventPage {
    /// Those beyond a position, the oldest first.
    pub events: Vec<Arc<Event>>,
    /// Nothing up to here is kept any more.
    pub trimmed: Position,
    /// The newest position of the log when the page was read.
    pub newest: Position,
    /// Whether there are more than these.
    pub more: bool,
}

impl EventPage {
    /// How far a reader has come who has read this page after `after`: to the page's end, or to the log's.
    #[must_use]
    pub fn read_up_to(&self, after: Position) -> Position {
        let last = self.events.last().map(|event| event.position);
        let newest = (!self.more).then_some(self.newest);
        last.max(newest).unwrap_or(after).max(after)
    }
}
