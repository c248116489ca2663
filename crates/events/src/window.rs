//! Reads the events after a reader's cursor that the reader may see, and the position up to which the log was searched.

use std::sync::Arc;

use store::{Event, Position, StoreError};

use crate::EventReader;

/// Number of events per page of the log.
const PAGE_EVENTS: usize = 256;

/// Maximum number of events that are searched for one reader at a time. A reader that matches few events still gets a new cursor.
const EVENTS_SCANNED_MAX: usize = 4096;

/// Maximum amount for one read.
#[derive(Clone, Copy, Debug)]
pub struct WindowLimits {
    /// Maximum number of events.
    pub events: usize,
    /// Size of the rows after which no further event is added, in bytes.
    pub bytes: usize,
}

/// The result of a read.
#[derive(Debug, Default)]
pub struct EventWindow {
    /// The reader's events, in their order.
    pub events: Vec<Arc<Event>>,
    /// The position up to which the log was searched.
    pub read_to: Position,
    /// True if the log continues after that position.
    pub more: bool,
    /// The position after which events are still stored, if events that the reader has not had were deleted.
    pub reset: Option<Position>,
}

/// Searches the events after a cursor.
///
/// # Errors
/// The log cannot be read.
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
        // A page may end because of its size or its number of events, so only the page itself knows whether more follows.
        let is_last = !page.more;
        for event in page.events {
            if looked_through >= EVENTS_SCANNED_MAX
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
            // There was nothing after the last event yet.
            window.read_to = window.read_to.max(page.newest);
            return Ok(window);
        }
    }
}

#[cfg(test)]
mod tests {
    use store::Store;

    use super::*;
    use crate::hub::EventHub;
    use crate::reader::PAGE_BYTES;
    use crate::tests::event;

    const EVENTS: i64 = 600;

    /// Reads windows of `events` events until there are no more. Returns the numbers of all events.
    async fn all(reader: &EventReader, events: usize, may_hear: fn(&Event) -> bool) -> Vec<i64> {
        let (mut heard, mut after) = (Vec::new(), Position::ZERO);
        let limits = WindowLimits {
            events,
            bytes: PAGE_BYTES,
        };
        loop {
            let window = read_window(reader, after, limits, may_hear).await.unwrap();
            heard.extend(window.events.iter().map(|event| event.position.number()));
            after = window.read_to;
            if !window.more {
                return heard;
            }
        }
    }

    #[tokio::test]
    async fn windows_return_all_events_across_pages_cut_by_the_byte_limit() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("chatgate.db")).await;
        let hub = Arc::new(EventHub::new(Position::ZERO));
        hub.publish((1..=EVENTS).map(|number| event(number, 4096)));
        let reader = EventReader::new(Arc::new(store.unwrap()), hub);
        for events in [100, 1000] {
            let heard = all(&reader, events, |_| true).await;
            assert_eq!(heard, (1..=EVENTS).collect::<Vec<_>>());
        }
        // A reader that matches few events skips the others and gets all of its own.
        let heard = all(&reader, 100, |event| event.position.number() % 97 == 0).await;
        assert_eq!(heard, [97, 194, 291, 388, 485, 582]);
    }
}
