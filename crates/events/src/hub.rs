//! Holds the newest events in memory and wakes the readers that wait for the next one. The log on disk contains all events.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use store::{Event, EventPage, Position};
use tokio::sync::watch;

/// Maximum number of events in memory. It covers the events that arrive while each of a thousand readers handles its own page.
const RING_EVENTS_MAX: usize = 4096;

/// Maximum size of the events' rows, in bytes.
const RING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Maximum age of an event in memory, in milliseconds. It is far below the shortest retention of the log.
const RING_AGE_MAX_MS: i64 = 60_000;

/// The newest events, and the readers that wait for more.
pub struct EventHub {
    ring: Mutex<EventRing>,
    newest: watch::Sender<Position>,
}

#[derive(Default)]
struct EventRing {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    /// The ring contains every event after this position.
    from: Position,
}

impl EventHub {
    /// Creates a hub for a log that ends at this position.
    #[must_use]
    pub fn new(newest: Position) -> EventHub {
        EventHub {
            ring: Mutex::new(EventRing {
                from: newest,
                ..EventRing::default()
            }),
            newest: watch::Sender::new(newest),
        }
    }

    /// Returns the newest known position.
    #[must_use]
    pub fn newest(&self) -> Position {
        *self.newest.borrow()
    }

    /// Returns a receiver of the newest position. To miss nothing, subscribe first, then read, then wait.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Position> {
        self.newest.subscribe()
    }

    /// Returns whether a reader waits for the next event.
    pub(crate) fn has_waiters(&self) -> bool {
        self.newest.receiver_count() > 0
    }

    /// Adds events of the log, in its order and without a gap before them, and wakes the waiting readers.
    pub fn publish(&self, events: impl IntoIterator<Item = Arc<Event>>) {
        let mut ring = self.ring.lock();
        let mut newest = self.newest();
        for event in events {
            if event.position > newest {
                newest = event.position;
                ring.push(event);
            }
        }
        drop(ring);
        self.newest.send_if_modified(|known| {
            let is_newer = newest > *known;
            *known = newest.max(*known);
            is_newer
        });
    }

    /// Returns the page after a position; `None` if the ring does not reach back that far.
    pub(crate) fn page(&self, after: Position, limit: usize, bytes: usize) -> Option<EventPage> {
        let ring = self.ring.lock();
        if after < ring.from {
            return None;
        }
        let start = ring.events.partition_point(|event| event.position <= after);
        let mut page = EventPage {
            newest: ring.events.back().map_or(ring.from, |event| event.position),
            ..EventPage::default()
        };
        let mut taken = 0;
        for event in ring.events.range(start..) {
            if page.events.len() == limit || taken > bytes {
                page.more = true;
                break;
            }
            taken += weight(event);
            page.events.push(Arc::clone(event));
        }
        Some(page)
    }

    /// Drops events that are too old for memory. Call it every few seconds; `now_ms` is in milliseconds since 1970, UTC.
    pub(crate) fn sweep(&self, now_ms: i64) {
        let oldest = Position::first_at(now_ms.saturating_sub(RING_AGE_MAX_MS));
        let mut ring = self.ring.lock();
        while ring
            .events
            .front()
            .is_some_and(|event| event.position < oldest)
        {
            ring.pop();
        }
    }

    /// Drops all events from memory, because data has been erased from the log.
    pub(crate) fn clear(&self) {
        let mut ring = self.ring.lock();
        while ring.pop() {}
    }
}

impl EventRing {
    fn push(&mut self, event: Arc<Event>) {
        self.bytes += weight(&event);
        self.events.push_back(event);
        while self.events.len() > RING_EVENTS_MAX || self.bytes > RING_BYTES_MAX {
            self.pop();
        }
    }

    fn pop(&mut self) -> bool {
        let Some(event) = self.events.pop_front() else {
            return false;
        };
        self.bytes -= weight(&event);
        self.from = event.position;
        true
    }
}

fn weight(event: &Event) -> usize {
    event.row.as_ref().map_or(0, String::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::event;

    fn numbers(hub: &EventHub, after: i64, limit: usize) -> Option<Vec<i64>> {
        let page = hub.page(Position::of(after), limit, usize::MAX)?;
        let numbers = page.events.iter().map(|event| event.position.number());
        Some(numbers.collect())
    }

    #[test]
    fn the_ring_returns_complete_pages_or_none() {
        let hub = EventHub::new(Position::of(5));
        assert_eq!(numbers(&hub, 4, 9), None);
        assert_eq!(numbers(&hub, 5, 9), Some(vec![]));
        hub.publish([event(7, 1), event(9, 1), event(9, 1), event(8, 1)]);
        assert_eq!(numbers(&hub, 5, 9), Some(vec![7, 9]));
        assert_eq!(numbers(&hub, 7, 9), Some(vec![9]));
        assert_eq!(numbers(&hub, 5, 1), Some(vec![7]));
        assert_eq!(hub.newest(), Position::of(9));
        hub.publish([event(10, RING_BYTES_MAX)]);
        // Events that are no longer in memory must be read from the log.
        assert_eq!(numbers(&hub, 5, 9), None);
        assert_eq!(numbers(&hub, 9, 9), Some(vec![10]));
        hub.clear();
        assert_eq!(numbers(&hub, 9, 9), None);
        assert_eq!(numbers(&hub, 10, 9), Some(vec![]));
    }

    #[tokio::test]
    async fn a_subscriber_is_notified_of_a_new_event_and_not_of_a_repeated_one() {
        let hub = EventHub::new(Position::ZERO);
        let mut woken = hub.subscribe();
        woken.mark_unchanged();
        hub.publish([event(1, 1)]);
        woken.changed().await.unwrap();
        assert_eq!(*woken.borrow_and_update(), Position::of(1));
        assert_eq!(numbers(&hub, 0, 9), Some(vec![1]));
        hub.publish([event(1, 1)]);
        assert!(!woken.has_changed().unwrap());
        assert_eq!(numbers(&hub, 0, 9), Some(vec![1]));
    }
}
