//! The entries of the journal's queue, which wait to be written.

use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::class::CallerClass;
use super::counted::CountedCalls;
use super::row::{Calls, JournalRow};
use crate::{Claim, Obstacle, Settlement, StoreError};

/// Space that the queue reserves for the outcome of an open row, in bytes: a row without its answer.
pub(crate) const OUTCOME_BYTES: usize = 2 * 1024;

/// An entry of the queue.
pub(crate) enum JournalEntry {
    /// A complete row.
    Row(Box<JournalRow>),
    /// A row that stands for many calls, or an update of its count.
    Counted(Box<CountUpdate>),
    /// A row whose outcome is still to come.
    Open(Box<Opening>),
    /// The outcome of the open row with this number.
    Close(i64, Box<Closing>),
    /// The withdrawal of the open row with this number, because its send was not begun.
    Withdraw(i64),
    /// A caller's wait until everything before it is on the disk.
    Flush(oneshot::Sender<Result<(), StoreError>>),
}

/// A row to be opened.
pub(crate) struct Opening {
    pub(crate) row: JournalRow,
    /// The idempotency key that the row claims.
    pub(crate) claim: Option<Claim>,
    /// The time before which the caller was not authorized yet.
    pub(crate) since: Instant,
    /// The obstacle to the claim, if there was one; the row was not written then.
    pub(crate) obstacle: Option<Obstacle>,
    /// The channel for the row's number once the row is on the disk, or for the obstacle.
    pub(crate) reply: oneshot::Sender<Result<Result<i64, Obstacle>, StoreError>>,
    /// The runtime in which the caller waits.
    pub(crate) runtime: Handle,
}

/// The end of an open row.
pub(crate) struct Closing {
    pub(crate) row: JournalRow,
    pub(crate) settlement: Option<Settlement>,
    /// The channel to a caller that waits until the outcome is on the disk, and the caller's runtime.
    pub(crate) reply: Option<(oneshot::Sender<()>, Handle)>,
}

/// A count to be written.
pub(crate) struct CountUpdate {
    pub(crate) counted: Arc<CountedCalls>,
    /// The row to write; absent if an earlier batch has written it and only its count has grown.
    pub(crate) row: Option<JournalRow>,
    /// The number of the row, and below it the number of calls that the row stands for, once the row is written.
    pub(crate) id: i64,
    pub(crate) calls: u64,
}

impl CountUpdate {
    pub(crate) fn of(counted: Arc<CountedCalls>) -> CountUpdate {
        CountUpdate {
            counted,
            row: None,
            id: 0,
            calls: 0,
        }
    }

    /// Makes the row for its first write, under this number.
    pub(crate) fn begin(&mut self, id: i64) {
        self.id = id;
        self.row = self.counted.row().map(|row| JournalRow {
            id,
            count: Calls(self.calls),
            ..row.clone()
        });
    }

    /// Updates the number of calls that the row stands for. Returns the number of calls that neither the row on the disk nor an
    /// earlier update counted.
    pub(crate) fn count_anew(&mut self) -> u64 {
        let calls = self.counted.calls();
        let before = std::mem::replace(&mut self.calls, calls);
        calls - before.max(self.counted.written_calls())
    }

    fn weight(&self) -> usize {
        self.counted.row().map_or(0, JournalRow::weight)
    }
}

/// A queue lane, in which an entry waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Ends of sends. They are served before the starts of sends because their callers have been waiting for longer.
    Closes,
    /// Starts of sends.
    Opens,
    /// All other rows of known callers.
    Known,
    /// Rows of unknown callers.
    Unknown,
}

impl Lane {
    /// All lanes in the order in which they are served.
    pub(crate) const ALL: [Lane; 4] = [Lane::Closes, Lane::Opens, Lane::Known, Lane::Unknown];

    fn class(self) -> CallerClass {
        match self {
            Lane::Closes | Lane::Opens | Lane::Known => CallerClass::Known,
            Lane::Unknown => CallerClass::Unknown,
        }
    }
}

impl JournalEntry {
    /// Returns the entry's lane; `None` for a flush, which waits for all lanes.
    pub(crate) fn lane(&self) -> Option<Lane> {
        match self {
            JournalEntry::Open(_) => Some(Lane::Opens),
            JournalEntry::Close(..) | JournalEntry::Withdraw(_) => Some(Lane::Closes),
            JournalEntry::Row(_) => Some(Lane::Known),
            JournalEntry::Counted(update) => Some(match update.counted.key().class() {
                CallerClass::Known => Lane::Known,
                CallerClass::Unknown => Lane::Unknown,
            }),
            JournalEntry::Flush(_) => None,
        }
    }

    pub(crate) fn class(&self) -> CallerClass {
        self.lane().map_or(CallerClass::Known, Lane::class)
    }

    /// Returns the entry's approximate size in memory, in bytes.
    pub(crate) fn weight(&self) -> usize {
        match self {
            JournalEntry::Row(row) => row.weight(),
            JournalEntry::Counted(update) => update.weight(),
            JournalEntry::Open(opening) => opening.row.weight(),
            JournalEntry::Close(..) | JournalEntry::Withdraw(_) => OUTCOME_BYTES,
            JournalEntry::Flush(_) => 0,
        }
    }

    /// Returns the row that the entry adds to the journal.
    pub(crate) fn new_row(&self) -> Option<&JournalRow> {
        match self {
            JournalEntry::Row(row) => Some(row),
            JournalEntry::Counted(update) => update.row.as_ref(),
            JournalEntry::Open(opening) => opening.obstacle.is_none().then_some(&opening.row),
            JournalEntry::Close(..) | JournalEntry::Withdraw(_) | JournalEntry::Flush(_) => None,
        }
    }

    /// Returns the time of the row that the entry writes, in milliseconds since 1970; `None` if it writes no row, or only updates a
    /// count.
    pub(crate) fn row_ms(&self) -> Option<i64> {
        match self {
            JournalEntry::Row(row) => Some(row.at_ms),
            JournalEntry::Counted(update) if update.counted.id().is_some() => None,
            JournalEntry::Counted(update) => update.counted.row().map(|row| row.at_ms),
            JournalEntry::Open(opening) => Some(opening.row.at_ms),
            JournalEntry::Close(_, closing) => Some(closing.row.at_ms),
            JournalEntry::Withdraw(_) | JournalEntry::Flush(_) => None,
        }
    }

    /// Returns whether a caller waits for the entry.
    pub(crate) fn is_urgent(&self) -> bool {
        match self {
            JournalEntry::Open(_) | JournalEntry::Flush(_) => true,
            JournalEntry::Close(_, closing) => closing.reply.is_some(),
            JournalEntry::Row(_) | JournalEntry::Counted(_) | JournalEntry::Withdraw(_) => false,
        }
    }

    /// Returns the runtime in which the caller waits for the row to be on the disk.
    pub(crate) fn runtime(&self) -> Option<&Handle> {
        match self {
            JournalEntry::Open(opening) => Some(&opening.runtime),
            JournalEntry::Close(_, closing) => closing.reply.as_ref().map(|(_, runtime)| runtime),
            JournalEntry::Row(_)
            | JournalEntry::Counted(_)
            | JournalEntry::Withdraw(_)
            | JournalEntry::Flush(_) => None,
        }
    }

    /// Returns whether the entry opens a row for a caller that has given up.
    pub(crate) fn is_abandoned(&self) -> bool {
        matches!(self, JournalEntry::Open(opening) if opening.reply.is_closed())
    }
}
