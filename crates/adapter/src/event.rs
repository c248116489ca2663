//! The words and limits of event requests and their answers.

/// The method that requests events.
pub const GET_EVENTS: &str = "getevents";

/// Maximum wait for an event, in seconds. It is below the timeout of callers' libraries, which is usually 30 s.
pub const WAIT_MAX_S: u16 = 25;

/// Maximum number of events in one answer.
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

/// The cursors that are words. `now` is the position after the newest event, and `earliest` the position before the oldest stored
/// event.
pub const CURSOR_WORDS: [&str; 2] = ["now", "earliest"];

/// Length of all other cursors, in bytes.
pub(crate) const CURSOR_BYTES: usize = 13;

/// The fields of an event in the answer to a call.
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
