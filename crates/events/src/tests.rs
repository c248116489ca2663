//! Looks and lists that pass, against a model of the upstream.

mod model;
mod nobody;
mod observed;
mod shapes;

use std::sync::Arc;

use store::{Event, EventKind, Position};

/// An event at this position, with a row of so many bytes.
pub(crate) fn event(number: i64, bytes: usize) -> Arc<Event> {
    Arc::new(Event {
        position: Position::of(number),
        id: format!("evt_{number}"),
        kind: EventKind::MessageReceived,
        at_ms: 0,
        platform: String::new(),
        platformid: String::new(),
        destination: None,
        gap: false,
        late: false,
        row: Some("x".repeat(bytes)),
    })
}
