//! Tests of polls and observed lists with a model of the upstream.

mod erased;
mod model;
mod nobody;
mod observed;
mod odd;
mod shapes;

use std::sync::Arc;

use store::{Event, EventKind, Position};

/// Returns an event at this position, with a row of `bytes` bytes.
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
