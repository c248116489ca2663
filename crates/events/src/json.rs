//! Writes an event as JSON, for streams and webhooks.

use std::fmt::Write as _;

use adapter::JsonPairs;
use jiff::Timestamp;
use store::Event;

/// The part of an event that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The whole event.
    Full,
    /// The event without the text of the message.
    Thin,
}

/// The member of a row that holds the text.
const TEXT: &str = "message";

/// Writes the event as one line of JSON: `id`, `type`, `timestamp` (the time at which the gateway saw it), `cursor`, `gap`, `late`,
/// and in `data` the upstream's row, value for value.
#[must_use]
pub fn json(event: &Event, payload: Payload) -> String {
    let mut line = String::with_capacity(event.row.as_ref().map_or(0, String::len) + 256);
    let timestamp = timestamp(event);
    let gap = if event.gap { "possible" } else { "none" };
    // Ids, kinds, times and cursors come from the gateway and need no escaping. Writing into a String cannot fail.
    let _ = write!(
        line,
        r#"{{"id":"{}","type":"{}","timestamp":"{timestamp}","cursor":"{}","gap":"{gap}","late":{},"data":"#,
        event.id,
        event.kind.word(),
        event.position,
        event.late,
    );
    match (&event.row, payload) {
        (Some(row), Payload::Full) => line.push_str(row),
        (Some(row), Payload::Thin) => line.push_str(&without_text(row)),
        (None, _) => line.push_str(&channel(event)),
    }
    line.push('}');
    line
}

/// Returns the time at which the gateway saw an event.
pub(crate) fn timestamp(event: &Event) -> String {
    let timestamp = Timestamp::from_millisecond(event.at_ms).unwrap_or_default();
    format!("{timestamp:.3}")
}

/// Returns a row without the text of its message.
pub(crate) fn without_text(row: &str) -> String {
    let Ok(pairs) = serde_json::from_str::<JsonPairs<'_, String>>(row) else {
        return "{}".to_owned();
    };
    let pairs = pairs.0.into_iter().filter(|(name, _)| name != TEXT);
    object(pairs.map(|(name, value)| (name, value.get())))
}

/// Writes an object from members whose values are JSON text.
pub(crate) fn object<'v>(members: impl Iterator<Item = (String, &'v str)>) -> String {
    let members = members.map(|(name, value)| format!("{}:{value}", quoted(&name)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// Returns a text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Writes the known fields of an event without a row.
fn channel(event: &Event) -> String {
    let mut members = vec![
        ("platformid".to_owned(), quoted(&event.platformid)),
        ("platform".to_owned(), quoted(&event.platform)),
    ];
    if let Some(destination) = &event.destination {
        members.push(("destination".to_owned(), quoted(destination)));
    }
    let members = members
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str()));
    object(members)
}

#[cfg(test)]
mod tests {
    use store::{EventKind, Position};

    use super::*;

    #[test]
    fn an_event_is_one_json_line_with_the_upstream_row() {
        let mut event = Event {
            position: Position::first_at(1_795_900_000_123),
            id: "evt_5k".to_owned(),
            kind: EventKind::MessageReceived,
            at_ms: 1_795_900_000_123,
            platform: "what\"sapp".to_owned(),
            platformid: "100".to_owned(),
            destination: Some("346".to_owned()),
            gap: true,
            late: false,
            row: Some(r#"{"messageid":1.0,"message":"a\u0020b","sent":"0"}"#.to_owned()),
        };
        let head = format!(
            r#"{{"id":"evt_5k","type":"message.received","timestamp":"2026-11-28T21:06:40.123Z","cursor":"{}","gap":"possible","late":false,"data":"#,
            event.position
        );
        let full = format!(r#"{head}{{"messageid":1.0,"message":"a\u0020b","sent":"0"}}}}"#);
        assert_eq!(json(&event, Payload::Full), full);
        let thin = format!(r#"{head}{{"messageid":1.0,"sent":"0"}}}}"#);
        assert_eq!(json(&event, Payload::Thin), thin);
        event.row = None;
        let bare = r#"{"platformid":"100","platform":"what\"sapp","destination":"346"}}"#;
        assert_eq!(json(&event, Payload::Full), format!("{head}{bare}"));
    }
}
