//! The parts in which a journal is written over more than one connection, so that one that is slow holds up no other.

use std::thread::Thread;

use tokio::sync::Notify;

use super::entry::Lane;

/// What one connection writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JournalPart {
    /// Sends that begin.
    Opens,
    /// Sends that end.
    Closes,
    /// All other rows.
    Rows,
}

impl JournalPart {
    pub(crate) const ALL: [JournalPart; 3] =
        [JournalPart::Opens, JournalPart::Closes, JournalPart::Rows];

    pub(super) fn lanes(self) -> &'static [Lane] {
        match self {
            JournalPart::Opens => &[Lane::Opens],
            JournalPart::Closes => &[Lane::Closes],
            JournalPart::Rows => &[Lane::Known, Lane::Unknown],
        }
    }
}

/// What writes the journal.
pub(super) enum QueueWriter {
    /// One thread writes all of it.
    Thread(Thread),
    /// A task writes each part.
    Parts(PartTasks),
}

/// What wakes the tasks, in the order of [`JournalPart::ALL`].
#[derive(Default)]
pub(super) struct PartTasks([Notify; JournalPart::ALL.len()]);

impl PartTasks {
    /// Wakes the task that writes this lane. Flushes are looked after with rows.
    pub(super) fn wake(&self, lane: Option<Lane>) {
        let part = match lane {
            Some(Lane::Opens) => JournalPart::Opens,
            Some(Lane::Closes) => JournalPart::Closes,
            Some(Lane::Known | Lane::Unknown) | None => JournalPart::Rows,
        };
        self.0[part as usize].notify_one();
    }

    /// Waits until it is woken for this part.
    pub(super) async fn woken(&self, part: JournalPart) {
        self.0[part as usize].notified().await;
    }

    pub(super) fn wake_all(&self) {
        self.0.iter().for_each(Notify::notify_one);
    }
}
