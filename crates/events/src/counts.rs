//! What is counted of events, for operators.

use std::sync::atomic::{AtomicU64, Ordering};

use store::{Event, EventKind};

use crate::pace::LookOutcome;

/// Counts since the start of the process.
#[derive(Default)]
pub(crate) struct EventCounts {
    kinds: [AtomicU64; EventKind::ALL.len()],
    looks: [AtomicU64; 3],
    fills: AtomicU64,
    gaps: AtomicU64,
    unharvested: AtomicU64,
    watched: AtomicU64,
    stalled: AtomicU64,
}

/// The counts of events and looks, for the status and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventsStatus {
    /// Events by kind, since the start.
    pub kinds: Vec<(&'static str, u64)>,
    /// Looks at channels by how they went, since the start.
    pub looks: Vec<(&'static str, u64)>,
    /// Calls for the unread messages of a chat that had changed, since the start.
    pub fills: u64,
    /// Events before which something may be missing, since the start.
    pub gaps: u64,
    /// Lists of callers' calls that could not be kept, since the start.
    pub unharvested: u64,
    /// Channels that are looked at now, stalled ones included.
    pub watched: u64,
    /// Those of them of which nothing has been known for a minute.
    pub stalled: u64,
    /// Accesses that listen now.
    pub listening: usize,
}

impl EventCounts {
    pub(crate) fn recorded(&self, events: &[Event]) {
        for event in events {
            let place = EventKind::ALL.iter().position(|kind| *kind == event.kind);
            if let Some(count) = place.and_then(|place| self.kinds.get(place)) {
                count.fetch_add(1, Ordering::Relaxed);
            }
            self.gaps.fetch_add(u64::from(event.gap), Ordering::Relaxed);
        }
    }

    pub(crate) fn looked(&self, outcome: LookOutcome) {
        self.looks[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn filled(&self) {
        self.fills.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn unharvested(&self, lists: usize) {
        self.unharvested.fetch_add(lists as u64, Ordering::Relaxed);
    }

    pub(crate) fn watched(&self, channels: usize) {
        self.watched.store(channels as u64, Ordering::Relaxed);
    }

    pub(crate) fn stalled(&self, channels: usize) {
        self.stalled.store(channels as u64, Ordering::Relaxed);
    }

    pub(crate) fn status(&self, listening: usize) -> EventsStatus {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let kinds = EventKind::ALL.iter().zip(&self.kinds);
        let outcomes = ["changed", "quiet", "failed"].into_iter().zip(&self.looks);
        EventsStatus {
            kinds: kinds
                .map(|(kind, count)| (kind.word(), of(count)))
                .collect(),
            looks: outcomes.map(|(word, count)| (word, of(count))).collect(),
            fills: of(&self.fills),
            gaps: of(&self.gaps),
            unharvested: of(&self.unharvested),
            watched: of(&self.watched),
            stalled: of(&self.stalled),
            listening,
        }
    }
}
