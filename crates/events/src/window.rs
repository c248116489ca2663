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
        // A page ends by its bytes as well as by its events: only the page itself knows whether there is more.
        let is_last = !page.more;
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

#[cfg(test)]
mod tests {
    use store::Store;

    use super::*;
    use crate::hub::EventHub;
    use crate::reader::PAGE_BYTES;
    use crate::tests::event;

    const EVENTS: i64 = 600;

    /// What a reader gets in windows of so many events until it is told that there is no more.
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
    async fn a_page_that_its_bytes_end_is_not_taken_for_the_last_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("chatgate.db")).await;
        let hub = Arc::new(EventHub::new(Position::ZERO));
        hub.publish((1..=EVENTS).map(|number| event(number, 4096)));
        let reader = EventReader::new(Arc::new(store.unwrap()), hub);
        for events in [100, 1000] {
            let heard = all(&reader, events, |_| true).await;
            assert_eq!(heard, (1..=EVENTS).collect::<Vec<_>>());
        }
        // One that hears of few passes over the others and gets all of its own.
        let heard = all(&reader, 100, |event| event.position.number() % 97 == 0).await;
        assert_eq!(heard, [97, 194, 291, 388, 485, 582]);
    }
}
