//! Sends whose rows this replica has opened, or may have.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{Claim, JournalRow, Settlement};

/// How long a row is looked for that was perhaps opened without anybody knowing: a commit that waits for a standby may become
/// visible long after its connection is gone.
const ABANDONED_MAX: Duration = Duration::from_secs(600);

/// How long a send is remembered that has ended while a standby may lack it: a standby that lags more is not worth the name.
const REMEMBERED: Duration = Duration::from_secs(30);

/// Most that are remembered: some 16 MiB.
const REMEMBERED_MAX: usize = 8192;

/// A send under way.
#[derive(Default)]
struct HeldSend {
    /// Whether its row was opened.
    is_open: bool,
    /// As it was opened, until it is about to end.
    row: Option<Box<JournalRow>>,
    /// The key that it has claimed.
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
pub(super) struct HeldSends(Mutex<Sends>);

#[derive(Default)]
struct Sends {
    /// Those under way, from before their rows are written until their outcomes are.
    held: HashMap<i64, HeldSend>,
    /// Those that ended a moment ago, the oldest first.
    ended: VecDeque<EndedSend>,
    /// Those that nobody waits for, whose rows may be there or come later; with the time since when.
    abandoned: HashMap<i64, Instant>,
}

impl HeldSends {
    /// A row is about to be opened.
    pub(super) fn begin(&self, id: i64) {
        self.sends().held.insert(id, HeldSend::default());
    }

    /// It is opened.
    pub(super) fn keep(&self, row: Box<JournalRow>, claim: Option<Claim>) {
        if let Some(held) = self.sends().held.get_mut(&row.id) {
            *held = HeldSend {
                is_open: true,
                row: Some(row),
                claim,
            };
        }
    }

    /// The row as it was opened. The send goes on to be held.
    pub(super) fn take_row(&self, id: i64) -> Option<Box<JournalRow>> {
        self.sends().held.get_mut(&id)?.row.take()
    }

    /// It has ended, or was never opened.
    pub(super) fn end(&self, id: i64) {
        self.sends().held.remove(&id);
    }

    /// It has ended so, and is remembered for a while.
    pub(super) fn end_with(&self, row: JournalRow, settlement: Option<Settlement>, now: Instant) {
        let mut sends = self.sends();
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

    /// Those that are opened and have not ended, with the texts of their rows. The text of one that is about to end is empty.
    pub(super) fn under_way(
        &self,
        text: impl Fn(&JournalRow) -> String,
    ) -> Vec<(i64, String, Option<Claim>)> {
        let sends = self.sends();
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

    /// Takes those that ended lately.
    pub(super) fn take_ended(&self, now: Instant) -> Vec<EndedSend> {
        let ended = std::mem::take(&mut self.sends().ended);
        let is_young = |send: &EndedSend| now.saturating_duration_since(send.at) <= REMEMBERED;
        ended.into_iter().filter(is_young).collect()
    }

    /// Gives them back, to be remembered as long as others.
    pub(super) fn give_back(&self, ended: Vec<EndedSend>) {
        let mut sends = self.sends();
        for send in ended.into_iter().rev() {
            sends.ended.push_front(send);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_to_end_is_under_way_with_and_without_a_key() {
        let sends = HeldSends::default();
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
        // The third one has not been opened: it is refused if the database fails.
        assert_eq!(texts, [(1, "row 1"), (2, "{}")]);
        sends.end(2);
        assert_eq!(sends.under_way(|_| String::new()).len(), 1);
    }
}
