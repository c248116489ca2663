//! Writes the frames of an event stream (WHATWG HTML, 9.2). Events have no name, so that one handler receives every type; notices
//! of the gateway about the stream itself have a name.

use std::fmt::Write as _;

use store::{Event, Position};

use crate::{Payload, json};

/// Frames that are sent together.
#[derive(Debug, Default)]
pub struct Frames(String);

impl Frames {
    /// Adds the time that a reader waits before it reconnects after the end of the connection, in milliseconds.
    pub fn push_retry(&mut self, ms: u64) {
        self.write(format_args!("retry: {ms}\n"));
    }

    /// Adds a heartbeat. With a cursor it moves the position from which the reader resumes, without being an event.
    pub fn push_comment(&mut self, cursor: Option<Position>) {
        self.0.push_str(":\n");
        if let Some(cursor) = cursor {
            self.write(format_args!("id: {cursor}\n"));
        }
        self.0.push('\n');
    }

    /// Adds one event on one line.
    pub fn push_event(&mut self, event: &Event) {
        let line = json(event, Payload::Full);
        self.write(format_args!("id: {}\ndata: {line}\n\n", event.position));
    }

    /// Adds a notice of the gateway about the stream. It carries no cursor, so that no reader resumes from a position that it has
    /// not read.
    pub fn push_notice(&mut self, name: &str, json: &str) {
        self.write(format_args!("event: {name}\ndata: {json}\n\n"));
    }

    /// Returns the length in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// Returns the text of all frames.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }

    /// Appends text.
    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = self.0.write_fmt(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::event;

    #[test]
    fn only_events_and_comments_carry_a_cursor() {
        let mut frames = Frames::default();
        frames.push_retry(2719);
        frames.push_comment(Some(Position::of(1)));
        frames.push_comment(None);
        frames.push_notice("reset", r#"{"oldest":"0000000000001"}"#);
        let event = event(2, 0);
        frames.push_event(&event);
        let line = json(&event, Payload::Full);
        let expected = format!(
            "retry: 2719\n:\nid: 0000000000001\n\n:\n\nevent: reset\ndata: {{\"oldest\":\"0000000000001\"}}\n\n\
             id: 0000000000002\ndata: {line}\n\n"
        );
        assert_eq!(frames.bytes(), expected.len());
        assert_eq!(frames.into_text(), expected);
    }
}
