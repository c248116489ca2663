//! What a reader finds behind its cursor: the events that it may hear of, and how far they were looked through.

use std::sync::Arc;

use store::{Event, Position, StoreError};

use crate::EventReader;

/// Events of one page of the log.
const PAGE_EVENTS: usize = 256;

/// Most events that are looked through at once for one reader. One that wants few of many gets a cursor all the same.
const LOOKED_THROUGH_MAX: usize = 4096;

/// How much a reader takes at once.
#[derive(Clone, Copy, Debug)]
pub struct WindowLimits {
    /// Most events.
    pub events: usize,
    /// Bytes of rows after which no event more is taken.
    pub bytes: usize,
}

/// What a reader finds.
#[derive(Debug, Default)]
pub struct EventWindow {
    /// The events for it, in their order.
    pub events: Vec<Arc<Event>>,
    /// The place up to which everything was looked through.
    pub read_to: Position,
    /// Whether there is more behind that place.
    pub more: bool,
    /// The place behind which the oldest event is kept, if events before it are gone that the reader has not had.
    pub reset: Option<Position>,
}

/// Looks through the events behind a cursor.
///
/// # Errors
/// When the log can't be read.
pub async fn read_window(
    reader: &EventReader,
    after: Position,
    limits: WindowLimits,
    may_hear: impl Fn(&Event) -> bool,
) -> Result<EventWindow, StoreError> {
    let mut window = EventWindow {
        read_to: after,
        ..EventWindow::default()
    };
    let (mut bytes, mut looked_through) = (0, 0);
    loop {
        let page = reader.page(window.read_to, PAGE_EVENTS).await?;
        if window.read_to < page.trimmed {
            window.read_to = page.trimmed;
            window.reset = Some(page.trimmed);
        }
        let is_last = page.events.len() < PAGE_EVENTS;
        for event in page.events {
            if looked_through >= LOOKED_THROUGH_MAX
                || window.events.len() >= limits.events
                || bytes >= limits.bytes
            {
                window.more = true;
                return Ok(window);
            }
            looked_through += 1;
            window.read_to = event.position;
            if may_hear(&event) {
                bytes += event.row.as_ref().map_or(0, String::len);
                window.events.push(event);
            }
        }
        if is_last {
            // Behind the last event there was nothing yet.
            window.read_to = window.read_to.max(page.newest);
            return Ok(window);
        }
    }
}
