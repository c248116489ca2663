//! Writes the result of `getevents`. Its values are flat texts, so that SOAP and the page's clients can read them like messages.

use std::fmt::Write as _;
use std::sync::Arc;

use adapter::{JsonPairs, Operation};
use store::{Event, Position};

use crate::json::{quoted, timestamp};

/// The flags of a result.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListFlags {
    /// True if more events follow.
    pub more: bool,
    /// True if events before these have been deleted.
    pub reset: bool,
}

/// Writes a result as JSON text: the events, the cursor after them, and the flags.
#[must_use]
pub fn list(events: &[Arc<Event>], cursor: Position, flags: ListFlags) -> String {
    let fields = Operation::named(adapter::GET_EVENTS).map_or(&[][..], |row| row.result_fields);
    let mut text = String::from("{\"list\":[");
    for (number, event) in events.iter().enumerate() {
        text.push_str(if number == 0 { "{" } else { ",{" });
        push_fields(&mut text, event, fields);
        text.push('}');
    }
    let flag = |set| if set { '1' } else { '0' };
    let (more, reset) = (flag(flags.more), flag(flags.reset));
    // Writing into a String cannot fail.
    let _ = write!(
        text,
        "],\"cursor\":\"{cursor}\",\"more\":\"{more}\",\"reset\":\"{reset}\"}}"
    );
    text
}

fn push_fields(text: &mut String, event: &Event, fields: &[&str]) {
    let row = event.row.as_deref().unwrap_or("{}");
    let row: JsonPairs<'_, String> =
        serde_json::from_str(row).unwrap_or_else(|_| JsonPairs(Vec::new()));
    let of_row = |name: &str| {
        let mut pairs = row.0.iter();
        let found = pairs.find(|(known, _)| known == name);
        found.map(|(_, value)| value.get())
    };
    for (number, field) in fields.iter().enumerate() {
        if number > 0 {
            text.push(',');
        }
        let _ = write!(text, "\"{field}\":");
        match *field {
            "id" => push_text(text, &event.id),
            "type" => push_text(text, event.kind.word()),
            "timestamp" => push_text(text, &timestamp(event)),
            "platform" => push_text(text, &event.platform),
            "platformid" => push_text(text, &event.platformid),
            "destination" => push_text(text, event.destination.as_deref().unwrap_or_default()),
            "gap" => push_text(text, if event.gap { "possible" } else { "none" }),
            "late" => push_text(text, if event.late { "1" } else { "0" }),
            name => match of_row(name) {
                None | Some("null") => text.push_str("\"\""),
                Some(string) if string.starts_with('"') => text.push_str(string),
                Some(source) => push_text(text, source),
            },
        }
    }
}

fn push_text(text: &mut String, value: &str) {
    text.push_str(&quoted(value));
}

#[cfg(test)]
mod tests {
    use store::EventKind;

    use super::*;

    #[test]
    fn an_event_list_contains_flat_text_fields_and_the_cursor() {
        let event = Event {
            position: Position::of(7),
            id: "evt_5k".to_owned(),
            kind: EventKind::MessageReceived,
            at_ms: 1_795_900_000_123,
            platform: "whatsapp".to_owned(),
            platformid: "100".to_owned(),
            destination: Some("346".to_owned()),
            gap: true,
            late: false,
            row: Some(
                r#"{"messageid":812,"message":"a\u0020\"b\"","sent":"0","status":null,"x":[1]}"#
                    .to_owned(),
            ),
        };
        let flags = ListFlags {
            more: true,
            reset: false,
        };
        let text = list(&[Arc::new(event)], Position::of(9), flags);
        let expected = r#"{"list":[{"id":"evt_5k","type":"message.received","timestamp":"2026-11-28T21:06:40.123Z","platformid":"100","platform":"whatsapp","destination":"346","messageid":"812","message":"a\u0020\"b\"","sent":"0","status":"","datetime":"","gap":"possible","late":"0"}],"cursor":"0000000000009","more":"1","reset":"0"}"#;
        assert_eq!(text, expected);
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        let flags = ListFlags {
            more: false,
            reset: true,
        };
        assert_eq!(
            list(&[], Position::of(9), flags),
            r#"{"list":[],"cursor":"0000000000009","more":"0","reset":"1"}"#
        );
    }
}
