//! The parts into which a journal is split to be written over several connections, so that a slow connection does not delay the
//! others.

use std::thread::Thread;

use tokio::sync::Notify;

use super::entry::Lane;

/// A part of the journal, which one connection writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JournalPart {
    /// Starts of sends.
    Opens,
    /// Ends of sends.
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

/// The writer of the journal.
pub(super) enum QueueWriter {
    /// One thread writes all of it.
    Thread(Thread),
    /// A task writes each part.
    Parts(PartTasks),
}

/// The notifications that wake the tasks, in the order of [`JournalPart::ALL`].
#[derive(Default)]
pub(super) struct PartTasks([Notify; JournalPart::ALL.len()]);

impl PartTasks {
    /// Wakes the task that writes this lane. The task for rows also handles flushes.
    pub(super) fn wake(&self, lane: Option<Lane>) {
        let part = match lane {
            Some(Lane::Opens) => JournalPart::Opens,
            Some(Lane::Closes) => JournalPart::Closes,
            Some(Lane::Known | Lane::Unknown) | None => JournalPart::Rows,
        };
        self.0[part as usize].notify_one();
    }

    /// Waits for the next wake-up of this part.
    pub(super) async fn woken(&self, part: JournalPart) {
        self.0[part as usize].notified().await;
    }

    pub(super) fn wake_all(&self) {
        self.0.iter().for_each(Notify::notify_one);
    }
}
