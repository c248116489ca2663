//! When each delivery of one webhook is made: in the order of its chat, again after failures, and how far the receiver is trusted. Pure:
//! time and chance are passed in, nothing is read or written.
//!
//! Two kinds of failure are told apart. When nothing gets through, it is the receiver's: the webhook rests, and one delivery now and then
//! shows whether it is back. When others get through, it is the event's: after five attempts in over half an hour it is given up, and its
//! chat goes on. Times are milliseconds.

mod failing;

use std::collections::{BTreeMap, HashSet};

use store::{Webhook, WebhookDelivery, WebhookProgress, WebhookState};

use crate::outcome::Outcome;
use crate::pauses::of_event;

/// Most deliveries of a webhook that are not settled: the log is the backlog, and a receiver that is away costs no more rows than these.
pub(crate) const UNSETTLED_MAX: usize = 256;

/// Most attempts of a webhook at once.
pub(crate) const AT_ONCE_MAX: usize = 4;

/// What has to be written of a webhook.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Changes {
    pub(crate) settled: Vec<u64>,
    pub(crate) deliveries: Vec<WebhookDelivery>,
}

/// The deliveries of one webhook.
#[derive(Debug)]
pub(crate) struct Schedule {
    progress: WebhookProgress,
    pending: BTreeMap<u64, PendingDelivery>,
    /// How many attempts may be under way. Small after a rest, so that a backlog does not fall on a receiver that has just come back.
    window: usize,
    /// Attempts since the rest began.
    probes: u32,
    succeeded_at: i64,
    /// Whether something has changed that is not written.
    is_changed: bool,
    settled: Vec<u64>,
    changed: HashSet<u64>,
    /// Those given up since the last writing.
    dead: Vec<WebhookDelivery>,
}

#[derive(Debug)]
struct PendingDelivery {
    row: WebhookDelivery,
    /// What stands for its chat.
    chat: u64,
    is_under_way: bool,
    is_stored: bool,
    tried_at: i64,
    tries: u32,
}

impl Schedule {
    /// Begins with what the store has of a webhook. `chats` says what stands for the chat of each delivery.
    pub(crate) fn new(webhook: &Webhook, deliveries: Vec<(WebhookDelivery, u64)>) -> Schedule {
        let alive = deliveries.into_iter().filter(|(row, _)| !row.is_dead);
        let pending = alive.map(|(row, chat)| {
            let tries = row.attempts;
            let delivery = PendingDelivery {
                chat,
                is_under_way: false,
                is_stored: true,
                tried_at: 0,
                tries,
                row,
            };
            (delivery.row.position, delivery)
        });
        Schedule {
            progress: webhook.progress.clone(),
            pending: pending.collect(),
            window: AT_ONCE_MAX,
            probes: 0,
            succeeded_at: 0,
            is_changed: false,
            settled: Vec::new(),
            changed: HashSet::new(),
            dead: Vec::new(),
        }
    }

    /// Takes over from the schedule before it what is under way.
    pub(crate) fn go_on_from(&mut self, before: &Schedule) {
        self.succeeded_at = before.succeeded_at;
        for (position, was) in &before.pending {
            if let Some(now) = self.pending.get_mut(position) {
                now.is_under_way = was.is_under_way;
                (now.tried_at, now.tries) = (was.tried_at, was.tries);
            }
        }
    }

    pub(crate) fn progress(&self) -> &WebhookProgress {
        &self.progress
    }

    /// What stands for the chat of a delivery.
    pub(crate) fn chat(&self, position: u64) -> Option<u64> {
        self.pending.get(&position).map(|delivery| delivery.chat)
    }

    /// How many further deliveries it has room for.
    pub(crate) fn room(&self) -> usize {
        UNSETTLED_MAX.saturating_sub(self.pending.len())
    }

    /// How many deliveries are not settled, and since when the oldest waits, as its position.
    pub(crate) fn unsettled(&self) -> (usize, Option<u64>) {
        let oldest = self.pending.keys().next().copied();
        (self.pending.len(), oldest)
    }

    /// Adds the delivery of an event, unless it is there.
    pub(crate) fn add(&mut self, position: u64, event_id: &str, chat: u64) {
        self.pending.entry(position).or_insert_with(|| {
            self.changed.insert(position);
            let row = WebhookDelivery {
                position,
                event_id: event_id.to_owned(),
                is_dead: false,
                attempts: 0,
                first_at: 0,
                next_at: 0,
                cause: String::new(),
            };
            PendingDelivery {
                row,
                chat,
                is_under_way: false,
                is_stored: false,
                tried_at: 0,
                tries: 0,
            }
        });
    }

    /// All events up to this position were looked at.
    pub(crate) fn move_to(&mut self, position: u64) {
        if position > self.progress.position {
            self.progress.position = position;
            self.is_changed = true;
        }
    }

    /// So many events were not kept for long enough.
    pub(crate) fn lose(&mut self, count: u64) {
        self.progress.lost += count;
        self.is_changed |= count > 0;
    }

    /// A delivery whose event is not kept any longer, or that its access may not see any longer, ends without one.
    pub(crate) fn pass_over(&mut self, position: u64, is_lost: bool) {
        self.settle(position);
        self.lose(u64::from(is_lost));
    }

    /// The delivery to attempt now, if there is one.
    pub(crate) fn next(&self, now: i64) -> Option<u64> {
        let under_way = self.under_way();
        let next = match self.progress.state {
            WebhookState::Active if under_way < self.window => {
                self.heads().find(|head| head.row.next_at <= now)
            }
            // Those that were tried least lately: one that never gets through must not hide that others do.
            WebhookState::Resting if under_way == 0 && now >= self.progress.next_at => {
                self.heads().min_by_key(|head| head.tried_at)
            }
            _ => None,
        };
        next.map(|delivery| delivery.row.position)
    }

    /// When something is due next, if that is known.
    pub(crate) fn wakes_at(&self) -> Option<i64> {
        let under_way = self.under_way();
        match self.progress.state {
            WebhookState::Active if under_way < self.window => {
                self.heads().map(|head| head.row.next_at).min()
            }
            WebhookState::Resting if under_way == 0 => {
                self.heads().next().map(|_| self.progress.next_at)
            }
            _ => None,
        }
    }

    /// An attempt begins. Returns which one of its delivery it is, from 1 on.
    pub(crate) fn begin(&mut self, position: u64, now: i64) -> u32 {
        let Some(delivery) = self.pending.get_mut(&position) else {
            return 0;
        };
        delivery.is_under_way = true;
        delivery.tried_at = now;
        delivery.tries += 1;
        delivery.tries
    }

    /// An attempt has ended; `jitter` is from 0 to 1, and `cause` says why it failed.
    pub(crate) fn ended(
        &mut self,
        position: u64,
        (outcome, cause): (Outcome, &str),
        (now, jitter): (i64, f64),
    ) {
        if let Some(delivery) = self.pending.get_mut(&position) {
            delivery.is_under_way = false;
        }
        match outcome {
            Outcome::Delivered => self.succeeded(position, now),
            Outcome::Gone => self.said_gone((now, jitter)),
            Outcome::Failed(failure) => self.failed(position, (failure, cause), (now, jitter)),
        }
    }

    /// An attempt was not made after all: there is another one a little later.
    pub(crate) fn withdraw(&mut self, position: u64, now: i64) {
        if let Some(delivery) = self.pending.get_mut(&position) {
            delivery.is_under_way = false;
            delivery.tries = delivery.tries.saturating_sub(1);
            delivery.row.next_at = now + of_event(1);
        }
        if self.progress.state == WebhookState::Resting {
            self.progress.next_at = now + of_event(1);
        }
    }

    /// Whether something has changed since the last time that changes were taken.
    pub(crate) fn is_unwritten(&self) -> bool {
        self.is_changed || !self.settled.is_empty() || !self.changed.is_empty()
    }

    /// Takes what has changed since the last time, if anything has.
    pub(crate) fn take_changes(&mut self) -> Option<Changes> {
        if !self.is_unwritten() {
            return None;
        }
        self.is_changed = false;
        let mut deliveries = std::mem::take(&mut self.dead);
        for position in self.changed.drain() {
            if let Some(delivery) = self.pending.get_mut(&position) {
                delivery.is_stored = true;
                deliveries.push(delivery.row.clone());
            }
        }
        Some(Changes {
            settled: std::mem::take(&mut self.settled),
            deliveries,
        })
    }

    /// Takes back what could not be written.
    pub(crate) fn put_back(&mut self, changes: Changes) {
        self.is_changed = true;
        self.settled.extend(changes.settled);
        for row in changes.deliveries {
            if self.pending.contains_key(&row.position) {
                self.changed.insert(row.position);
            } else if row.is_dead {
                self.dead.push(row);
            }
        }
    }

    /// How many attempts are under way.
    pub(crate) fn under_way(&self) -> usize {
        let all = self.pending.values();
        all.filter(|delivery| delivery.is_under_way).count()
    }

    /// The oldest delivery of each chat, of those chats of which none is under way.
    fn heads(&self) -> impl Iterator<Item = &PendingDelivery> {
        let mut seen = HashSet::new();
        let all = self.pending.values();
        all.filter(move |delivery| seen.insert(delivery.chat) && !delivery.is_under_way)
    }

    fn settle(&mut self, position: u64) {
        self.changed.remove(&position);
        if let Some(delivery) = self.pending.remove(&position)
            && delivery.is_stored
        {
            self.settled.push(position);
        }
        self.is_changed = true;
    }
}

#[cfg(test)]
pub(crate) mod tests;
