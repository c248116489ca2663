//! Sends whose rows this replica has opened, or may have opened.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::{Claim, JournalRow, Settlement};

/// The time for which the sweep looks for a row that may have been opened unnoticed. A commit that waits for a standby may become
/// visible long after its connection has ended.
const ABANDONED_MAX: Duration = Duration::from_secs(600);

/// The time for which an ended send is remembered, because a standby may lack it. A standby that lags more than this is of no use.
const REMEMBERED: Duration = Duration::from_secs(30);

/// Maximum number of remembered sends: some 16 MiB.
const REMEMBERED_MAX: usize = 8192;

/// A send under way.
#[derive(Default)]
struct TrackedSend {
    /// True if the row was opened.
    is_open: bool,
    /// The opened row, until the send is about to end.
    row: Option<Box<JournalRow>>,
    /// The claim of the send's key.
    claim: Option<Claim>,
}

/// A send that has ended.
pub(super) struct EndedSend {
    at: Instant,
    pub(super) row: JournalRow,
    pub(super) claim: Option<Claim>,
    pub(super) settlement: Option<Settlement>,
}

/// The sends of one replica.
#[derive(Default)]
pub(super) struct SendTracker(Mutex<Sends>);

#[derive(Default)]
struct Sends {
    /// Sends under way: from before their rows are written until their outcomes are written.
    held: HashMap<i64, TrackedSend>,
    /// Sends that have ended recently, the oldest first.
    ended: VecDeque<EndedSend>,
    /// Abandoned sends, whose rows may exist or appear later, each with the time when it was abandoned.
    abandoned: HashMap<i64, Instant>,
}

impl SendTracker {
    /// Records a send whose row is about to be opened.
    pub(super) fn begin(&self, id: i64) {
        self.0.lock().held.insert(id, TrackedSend::default());
    }

    /// Stores the row and the claim of a send that was opened.
    pub(super) fn keep(&self, row: Box<JournalRow>, claim: Option<Claim>) {
        if let Some(held) = self.0.lock().held.get_mut(&row.id) {
            *held = TrackedSend {
                is_open: true,
                row: Some(row),
                claim,
            };
        }
    }

    /// Takes the opened row. The send itself stays under way.
    pub(super) fn take_row(&self, id: i64) -> Option<Box<JournalRow>> {
        self.0.lock().held.get_mut(&id)?.row.take()
    }

    /// Removes a send that has ended or was never opened.
    pub(super) fn end(&self, id: i64) {
        self.0.lock().held.remove(&id);
    }

    /// Removes a send that has ended, and remembers its outcome for a while.
    pub(super) fn end_with(&self, row: JournalRow, settlement: Option<Settlement>, now: Instant) {
        let mut sends = self.0.lock();
        let held = sends.held.remove(&row.id);
        sends.ended.push_back(EndedSend {
            at: now,
            row,
            claim: held.and_then(|held| held.claim),
            settlement,
        });
        let is_old = |send: &mut EndedSend| now.saturating_duration_since(send.at) > REMEMBERED;
        while sends.ended.len() > REMEMBERED_MAX || sends.ended.front_mut().is_some_and(is_old) {
            sends.ended.pop_front();
        }
    }

    /// Returns the opened sends that have not ended, with the texts of their rows. The text of a send that is about to end is an
    /// empty object.
    pub(super) fn under_way(
        &self,
        text: impl Fn(&JournalRow) -> String,
    ) -> Vec<(i64, String, Option<Claim>)> {
        let sends = self.0.lock();
        let held = sends.held.iter();
        let open = held.filter(|(_, held)| held.is_open);
        let sends = open.map(|(id, held)| {
            let row = held
                .row
                .as_ref()
                .map_or_else(|| "{}".to_owned(), |row| text(row));
            (*id, row, held.claim.clone())
        });
        sends.collect()
    }

    /// Takes the sends that have ended recently.
    pub(super) fn take_ended(&self, now: Instant) -> Vec<EndedSend> {
        let ended = std::mem::take(&mut self.0.lock().ended);
        let is_young = |send: &EndedSend| now.saturating_duration_since(send.at) <= REMEMBERED;
        ended.into_iter().filter(is_young).collect()
    }

    /// Puts back taken sends, which are remembered as long as others.
    pub(super) fn restore_ended(&self, ended: Vec<EndedSend>) {
        let mut sends = self.0.lock();
        for send in ended.into_iter().rev() {
            sends.ended.push_front(send);
        }
    }

    /// Records that a send does not take place although its row may have been opened.
    pub(super) fn abandon(&self, id: i64, now: Instant) {
        let mut sends = self.0.lock();
        sends.held.remove(&id);
        sends.abandoned.insert(id, now);
    }

    /// Returns the abandoned sends that still have to be looked for, and forgets the oldest ones.
    pub(super) fn abandoned(&self, now: Instant) -> Vec<i64> {
        let mut sends = self.0.lock();
        let is_looked_for = |since: &Instant| now.saturating_duration_since(*since) < ABANDONED_MAX;
        sends.abandoned.retain(|_, since| is_looked_for(since));
        sends.abandoned.keys().copied().collect()
    }

    /// Forgets abandoned sends whose rows were found.
    pub(super) fn found(&self, ids: &[i64]) {
        let mut sends = self.0.lock();
        for id in ids {
            sends.abandoned.remove(id);
        }
    }

    /// Returns the rows among these that belong to no known send.
    pub(super) fn unknown(&self, mut ids: Vec<i64>) -> Vec<i64> {
        let sends = self.0.lock();
        ids.retain(|id| !sends.held.contains_key(id) && !sends.abandoned.contains_key(id));
        ids
    }

    /// Forgets the sends under way, because the process ends.
    pub(super) fn forget(&self) {
        self.0.lock().held.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opened_sends_stay_in_progress_until_their_end_is_recorded() {
        let sends = SendTracker::default();
        for id in 1..=3 {
            sends.begin(id);
        }
        for id in 1..=2 {
            let row = JournalRow {
                id,
                ..JournalRow::default()
            };
            sends.keep(Box::new(row), None);
        }
        assert!(sends.take_row(2).is_some());
        let mut under_way = sends.under_way(|row| format!("row {}", row.id));
        under_way.sort_by_key(|(id, ..)| *id);
        let texts: Vec<_> = under_way
            .iter()
            .map(|(id, text, _)| (*id, text.as_str()))
            .collect();
        // The third send was not opened, so it is rejected if the database fails.
        assert_eq!(texts, [(1, "row 1"), (2, "{}")]);
        sends.end(2);
        assert_eq!(sends.under_way(|_| String::new()).len(), 1);
    }
}
