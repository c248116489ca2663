//! Sends whose rows this replica has opened, or may have.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::JournalRow;

/// How long a row is looked for that was perhaps opened without anybody knowing: a commit that waits for a standby may become
/// visible long after its connection is gone.
const ABANDONED_MAX: Duration = Duration::from_secs(600);

/// The sends of one replica.
#[derive(Default)]
pub(super) struct HeldSends(Mutex<Sends>);

#[derive(Default)]
struct Sends {
    /// Those under way, from before their rows are written until their outcomes are. Each with its row once that is opened.
    held: HashMap<i64, Option<Box<JournalRow>>>,
    /// Those that nobody waits for, whose rows may be there or come later; with the time since when.
    abandoned: HashMap<i64, Instant>,
}

impl HeldSends {
    /// A row is about to be opened.
    pub(super) fn begin(&self, id: i64) {
        self.sends().held.insert(id, None);
    }

    /// It is opened.
    pub(super) fn keep(&self, id: i64, row: Box<JournalRow>) {
        if let Some(held) = self.sends().held.get_mut(&id) {
            *held = Some(row);
        }
    }

    /// The row as it was opened. The send goes on to be held.
    pub(super) fn take_row(&self, id: i64) -> Option<Box<JournalRow>> {
        self.sends().held.get_mut(&id)?.take()
    }

    /// It has ended, or was never opened.
    pub(super) fn end(&self, id: i64) {
        self.sends().held.remove(&id);
    }

    /// Nobody knows whether it was opened, and nothing is sent.
    pub(super) fn abandon(&self, id: i64, now: Instant) {
        let mut sends = self.sends();
        sends.held.remove(&id);
        sends.abandoned.insert(id, now);
    }

    /// Those that are looked for, without those that have been for long enough.
    pub(super) fn abandoned(&self, now: Instant) -> Vec<i64> {
        let mut sends = self.sends();
        let is_looked_for = |since: &Instant| now.saturating_duration_since(*since) < ABANDONED_MAX;
        sends.abandoned.retain(|_, since| is_looked_for(since));
        sends.abandoned.keys().copied().collect()
    }

    /// These were found.
    pub(super) fn found(&self, ids: &[i64]) {
        let mut sends = self.sends();
        for id in ids {
            sends.abandoned.remove(id);
        }
    }

    /// Those of these rows that belong to no send that is known.
    pub(super) fn unknown(&self, mut ids: Vec<i64>) -> Vec<i64> {
        let sends = self.sends();
        ids.retain(|id| !sends.held.contains_key(id) && !sends.abandoned.contains_key(id));
        ids
    }

    /// Forgets those under way: the process ends.
    pub(super) fn forget(&self) {
        self.sends().held.clear();
    }

    fn sends(&self) -> MutexGuard<'_, Sends> {
        // Nothing between two changes of it can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
