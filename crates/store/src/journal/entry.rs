//! What waits in the journal's queue to be written.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::class::CallerClass;
use super::counted::CountedCalls;
use super::row::{Calls, JournalRow};
use crate::{Claim, Obstacle, Settlement, StoreError};

/// What the queue keeps free for the outcome of an open row, in bytes: a row without its answer.
pub(crate) const OUTCOME_BYTES: usize = 2 * 1024;

/// Something to write.
pub(crate) enum JournalEntry {
    /// A row that is whole.
    Row(Box<JournalRow>),
    /// A row that stands for many calls, or how many they are by now.
    Counted(Box<CountUpdate>),
    /// A row whose outcome is still to come.
    Open(Box<Opening>),
    /// The outcome of the open row with this number.
    Close(i64, Box<Closing>),
    /// The open row with this number has no outcome: nothing was begun.
    Withdraw(i64),
    /// Somebody waits until everything before it is on the disk.
    Flush(oneshot::Sender<Result<(), StoreError>>),
}

/// A row that is to be opened.
pub(crate) struct Opening {
    pub(crate) row: JournalRow,
    /// The key that it claims.
    pub(crate) claim: Option<Claim>,
    /// What stood in the way of the claim; the row was not written then.
    pub(crate) obstacle: Option<Obstacle>,
    /// Gets the number of the row as soon as it is on the disk, or the obstacle.
    pub(crate) reply: oneshot::Sender<Result<Result<i64, Obstacle>, StoreError>>,
    /// Where its caller waits.
    pub(crate) runtime: Handle,
}

/// How an open row ends.
pub(crate) struct Closing {
    pub(crate) row: JournalRow,
    pub(crate) settlement: Option<Settlement>,
    /// For a caller who waits until it is on the disk, and where.
    pub(crate) reply: Option<(oneshot::Sender<()>, Handle)>,
}

/// A count that is to be written.
pub(crate) struct CountUpdate {
    pub(crate) counted: Arc<CountedCalls>,
    /// The row that is written; absent where an earlier batch has written it and only its count has grown.
    pub(crate) row: Option<JournalRow>,
    /// The number of the row, and the calls that it stands for, once it is written.
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

    /// Makes the row that is written first, under this number.
    pub(crate) fn begin(&mut self, id: i64) {
        self.id = id;
        self.row = self.counted.row().map(|row| JournalRow {
            id,
            count: Calls(self.calls),
            ..row.clone()
        });
    }

    /// Counts anew what the row stands for, and returns the calls that neither the row on the disk nor an earlier count had.
    pub(crate) fn count_anew(&mut self) -> u64 {
        let calls = self.counted.calls();
        let before = std::mem::replace(&mut self.calls, calls);
        calls - before.max(self.counted.written_calls())
    }

    fn weight(&self) -> usize {
        self.counted.row().map_or(0, JournalRow::weight)
    }
}

/// The line that an entry waits in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Sends that end. They go before those that begin: somebody has been waiting for longer.
    Closes,
    /// Sends that begin.
    Opens,
    /// All other rows of known callers.
    Known,
    /// Rows of unknown callers.
    Unknown,
}

impl Lane {
    /// In the order in which they are served.
    pub(crate) const ALL: [Lane; 4] = [Lane::Closes, Lane::Opens, Lane::Known, Lane::Unknown];

    fn class(self) -> CallerClass {
        match self {
            Lane::Closes | Lane::Opens | Lane::Known => CallerClass::Known,
            Lane::Unknown => CallerClass::Unknown,
        }
    }
}

impl JournalEntry {
    /// `None` for a flush, which waits for all lanes.
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

    /// What it takes in memory, in bytes.
    pub(crate) fn weight(&self) -> usize {
        match self {
            JournalEntry::Row(row) => row.weight(),
            JournalEntry::Counted(update) => update.weight(),
            JournalEntry::Open(opening) => opening.row.weight(),
            JournalEntry::Close(..) | JournalEntry::Withdraw(_) => OUTCOME_BYTES,
            JournalEntry::Flush(_) => 0,
        }
    }

    /// The row that it adds to the journal.
    pub(crate) fn new_row(&self) -> Option<&JournalRow> {
        match self {
            JournalEntry::Row(row) => Some(row),
            JournalEntry::Counted(update) => update.row.as_ref(),
            JournalEntry::Open(opening) => opening.obstacle.is_none().then_some(&opening.row),
            JournalEntry::Close(..) | JournalEntry::Withdraw(_) | JournalEntry::Flush(_) => None,
        }
    }

    /// Whether somebody waits for it.
    pub(crate) fn is_urgent(&self) -> bool {
        match self {
            JournalEntry::Open(_) | JournalEntry::Flush(_) => true,
            JournalEntry::Close(_, closing) => closing.reply.is_some(),
            JournalEntry::Row(_) | JournalEntry::Counted(_) | JournalEntry::Withdraw(_) => false,
        }
    }

    /// Where its caller waits for the row to be on the disk.
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

    /// Whether it opens a row for somebody who has given up.
    pub(crate) fn is_given_up(&self) -> bool {
        matches!(self, JournalEntry::Open(opening) if opening.reply.is_closed())
    }
}
