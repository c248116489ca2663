//! The counters of events, for operators.

use std::sync::atomic::{AtomicU64, Ordering};

use store::{Event, EventKind};

use crate::poll_interval::PollOutcome;

/// The counters since the start of the process.
#[derive(Default)]
pub(crate) struct EventCounts {
    kinds: [AtomicU64; EventKind::ALL.len()],
    polls: [AtomicU64; 3],
    fills: AtomicU64,
    gaps: AtomicU64,
    unstored_lists: AtomicU64,
    watched: AtomicU64,
    stalled: AtomicU64,
}

/// The counters of events and polls, for the status and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventsStatus {
    /// Number of events by kind, since the start.
    pub kinds: Vec<(&'static str, u64)>,
    /// Number of channel polls by outcome, since the start.
    pub polls: Vec<(&'static str, u64)>,
    /// Number of calls for the unread messages of a changed chat, since the start.
    pub fills: u64,
    /// Number of events before which events may be missing, since the start.
    pub gaps: u64,
    /// Number of lists from callers' calls that could not be stored, since the start.
    pub unstored_lists: u64,
    /// Number of channels that are currently polled, including stalled ones.
    pub watched: u64,
    /// Number of channels without a successful poll for a minute.
    pub stalled: u64,
    /// Number of accesses that currently listen.
    pub listening: usize,
}

impl EventCounts {
    pub(crate) fn record_events(&self, events: &[Event]) {
        for event in events {
            let place = EventKind::ALL.iter().position(|kind| *kind == event.kind);
            if let Some(count) = place.and_then(|place| self.kinds.get(place)) {
                count.fetch_add(1, Ordering::Relaxed);
            }
            self.gaps.fetch_add(u64::from(event.gap), Ordering::Relaxed);
        }
    }

    pub(crate) fn record_poll(&self, outcome: PollOutcome) {
        self.polls[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn record_fill(&self) {
        self.fills.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn unstored_lists(&self, lists: usize) {
        self.unstored_lists
            .fetch_add(lists as u64, Ordering::Relaxed);
    }

    pub(crate) fn set_watched(&self, channels: usize) {
        self.watched.store(channels as u64, Ordering::Relaxed);
    }

    pub(crate) fn set_stalled(&self, channels: usize) {
        self.stalled.store(channels as u64, Ordering::Relaxed);
    }

    pub(crate) fn status(&self, listening: usize) -> EventsStatus {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let kinds = EventKind::ALL.iter().zip(&self.kinds);
        let outcomes = ["changed", "quiet", "failed"].into_iter().zip(&self.polls);
        EventsStatus {
            kinds: kinds
                .map(|(kind, count)| (kind.word(), of(count)))
                .collect(),
            polls: outcomes.map(|(word, count)| (word, of(count))).collect(),
            fills: of(&self.fills),
            gaps: of(&self.gaps),
            unstored_lists: of(&self.unstored_lists),
            watched: of(&self.watched),
            stalled: of(&self.stalled),
            listening,
        }
    }
}
