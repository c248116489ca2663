//! The words of events: what a caller asks for and gets.

/// The method that asks for events.
pub const GET_EVENTS: &str = "getevents";

/// Longest wait for an event, in seconds: below the time that callers' libraries give a call, which is 30 s as a rule.
pub const WAIT_MAX_S: u16 = 25;

/// Most events of one answer.
pub const EVENTS_MAX: u16 = 1000;

/// The types of events.
pub const EVENT_TYPES: [&str; 6] = [
    "chat.changed",
    "message.received",
    "message.sent",
    "message.status",
    "channel.stalled",
    "channel.resumed",
];

/// The cursors that are words: the place behind the newest event, and the one before the oldest that is kept.
pub const CURSOR_WORDS: [&str; 2] = ["now", "earliest"];

/// Length of every other cursor, in bytes.
pub(crate) const CURSOR_BYTES: usize = 13;

/// The fields of an event as the answer to a call has them.
pub(crate) const EVENT_FIELDS: &[&str] = &[
    "id",
    "type",
    "timestamp",
    "platformid",
    "platform",
    "destination",
    "messageid",
    "message",
    "sent",
    "status",
    "datetime",
    "gap",
    "late",
];
