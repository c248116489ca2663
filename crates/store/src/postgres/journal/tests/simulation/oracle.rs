//! The checks of the simulation, by an observer that knows everything.

use std::time::Instant;

use super::database::Word;
use super::{OUTCOME_MS, ProcessId, Simulation};

/// A call, as seen by an observer that knows everything.
pub(super) struct Attempt {
    pub(super) asker: ProcessId,
    /// The life of its process in the database.
    pub(super) owner: i64,
    /// The time at which the row was requested.
    pub(super) since: Instant,
    pub(super) key: usize,
    pub(super) id: i64,
    /// True if the send has begun.
    pub(super) has_begun: bool,
    pub(super) answer: Option<Word>,
    pub(super) is_first_hand: bool,
    pub(super) delivered: bool,
}

impl Simulation {
    /// Checks that no row is closed while its replica can begin to send.
    pub(super) fn check_reaped(&self, began: u64) {
        let gone = self.database.gone(began);
        for attempt in gone.iter().filter_map(|id| self.rows.get(id)) {
            let Attempt {
                asker,
                owner,
                since,
                key,
                ..
            } = self.attempts[*attempt];
            let lives = self.lives(asker) && self.has_lease(asker, (owner, since));
            assert!(
                !lives,
                "the row of key {key} is closed, and its replica alive"
            );
        }
    }

    /// Ends the wait of a caller whose send has not begun. Other callers wait for the outcome.
    pub(super) fn give_up(&mut self, attempt: usize) {
        if !self.attempts[attempt].has_begun {
            self.answer(attempt, (Word::NotSent, self.now), true);
        }
    }

    /// Gives the caller of an attempt its answer, from a statement that began at `asked_at`. Does nothing if the caller has an
    /// answer already.
    pub(super) fn answer(
        &mut self,
        attempt: usize,
        (word, asked_at): (Word, u64),
        is_first_hand: bool,
    ) {
        let attempt = &mut self.attempts[attempt];
        if attempt.answer.is_some() {
            return;
        }
        attempt.answer = Some(word);
        attempt.is_first_hand = is_first_hand;
        let (key, now) = (attempt.key, self.now);
        let sent_at = &mut self.sent_at[key];
        match word {
            Word::Sent => *sent_at = Some(sent_at.unwrap_or(now)),
            Word::Unknown => {
                let is_late = sent_at.is_some_and(|sent_at| sent_at < asked_at);
                assert!(!is_late, "key {key} was sent, and is unknown now");
            }
            Word::Open | Word::NotSent => {}
        }
    }

    /// Sends the first byte of a message. Returns the outcome and its time.
    pub(super) fn deliver(&mut self, attempt: usize) -> (Word, u64) {
        let Attempt { key, id, .. } = self.attempts[attempt];
        self.attempts[attempt].has_begun = true;
        assert!(
            self.database.is_open(id),
            "key {key} is sent, and others heard what became of it"
        );
        let (is_delivered, word) = match self.chance.below(10) {
            0 => (false, Word::NotSent),
            1 => (false, Word::Unknown),
            2 => (true, Word::Unknown),
            _ => (true, Word::Sent),
        };
        if is_delivered {
            self.attempts[attempt].delivered = true;
            self.delivered[key] += 1;
            assert_eq!(self.delivered[key], 1, "key {key} was delivered twice");
        }
        let takes = if self.chance.one_in(20) {
            OUTCOME_MS
        } else {
            500
        };
        (word, self.now + 5 + self.chance.below(takes))
    }

    pub(super) fn check_the_end(&self) {
        assert_eq!(self.database.open(), 0, "rows are open for ever");
        let open = self.database.receipts.values();
        let open = open.filter(|(_, word)| *word == Word::Open).count();
        assert_eq!(open, 0, "keys are under way for ever");
        for attempt in &self.attempts {
            let key = attempt.key;
            match attempt.answer {
                Some(Word::Sent) => assert_eq!(self.delivered[key], 1, "key {key} was not sent"),
                Some(Word::NotSent) => assert!(!attempt.delivered, "key {key} was sent"),
                _ => {}
            }
            if attempt.is_first_hand && matches!(attempt.answer, Some(Word::Sent | Word::Unknown)) {
                let row = self.database.journal.get(&attempt.id);
                assert!(row.is_some(), "an answered send of key {key} has no row");
            }
            if attempt.delivered {
                let receipt = self.database.receipts.get(&key).map(|(_, word)| *word);
                let is_kept = matches!(receipt, Some(Word::Sent | Word::Unknown));
                assert!(is_kept, "key {key} was delivered, and is free again");
            }
        }
    }
}
