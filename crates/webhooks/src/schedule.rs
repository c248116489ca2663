//! The schedule of one webhook's deliveries: keeps the order of each chat, retries after failures, and tracks how reliable the
//! receiver is. Pure: time and chance are parameters, and nothing is read or written.
//!
//! There are two kinds of failure. If nothing gets through, the receiver fails: the webhook rests, and an occasional delivery
//! probes whether the receiver is back. If other events get through, the event fails: after five attempts in more than half an hour
//! it is given up, and its chat continues. All times are in milliseconds.

mod failing;

use std::collections::{BTreeMap, HashSet};

use store::{Webhook, WebhookDelivery, WebhookProgress, WebhookState};

use crate::outcome::Outcome;
use crate::pauses::of_event;

/// Maximum number of unsettled deliveries of a webhook. The log is the backlog, so a receiver that is away never costs more rows
/// than this.
pub(crate) const UNSETTLED_MAX: usize = 256;

/// Maximum number of concurrent attempts of a webhook.
pub(crate) const PER_WEBHOOK_MAX: usize = 4;

/// The changes of a webhook's deliveries that have to be written.
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
    /// Maximum number of attempts in progress. It is small after a rest, so that a receiver that has just come back does not get
    /// the whole backlog immediately.
    window: usize,
    /// Number of attempts since the rest began.
    probes: u32,
    succeeded_at: i64,
    /// True if the progress has unwritten changes.
    is_changed: bool,
    settled: Vec<u64>,
    changed: HashSet<u64>,
    /// Deliveries given up since the last write.
    dead: Vec<WebhookDelivery>,
}

#[derive(Debug)]
struct PendingDelivery {
    row: WebhookDelivery,
    /// The number of its chat.
    chat: u64,
    is_under_way: bool,
    is_stored: bool,
    tried_at: i64,
    tries: u32,
}

impl Schedule {
    /// Creates the schedule from the stored state of a webhook. Each delivery is paired with the number of its chat.
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
            window: PER_WEBHOOK_MAX,
            probes: 0,
            succeeded_at: 0,
            is_changed: false,
            settled: Vec::new(),
            changed: HashSet::new(),
            dead: Vec::new(),
        }
    }

    /// Takes over the attempts in progress from the schedule that this one replaces.
    pub(crate) fn inherit(&mut self, before: &Schedule) {
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

    /// Returns the number of the chat of a delivery.
    pub(crate) fn chat(&self, position: u64) -> Option<u64> {
        self.pending.get(&position).map(|delivery| delivery.chat)
    }

    /// Returns the number of further deliveries that the schedule has room for.
    pub(crate) fn room(&self) -> usize {
        UNSETTLED_MAX.saturating_sub(self.pending.len())
    }

    /// Returns the number of unsettled deliveries, and the position of the oldest one.
    pub(crate) fn unsettled(&self) -> (usize, Option<u64>) {
        let oldest = self.pending.keys().next().copied();
        (self.pending.len(), oldest)
    }

    /// Adds the delivery of an event, unless the schedule already contains it.
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

    /// Records that all events up to this position have been read.
    pub(crate) fn advance_to(&mut self, position: u64) {
        if position > self.progress.position {
            self.progress.position = position;
            self.is_changed = true;
        }
    }

    /// Counts events that left the log before they were delivered.
    pub(crate) fn add_lost(&mut self, count: u64) {
        self.progress.lost += count;
        self.is_changed |= count > 0;
    }

    /// Settles a delivery without an attempt, because the log no longer contains its event or its access may no longer see it.
    pub(crate) fn discard(&mut self, position: u64, is_lost: bool) {
        self.settle(position);
        self.add_lost(u64::from(is_lost));
    }

    /// Returns the delivery to attempt now, if there is one.
    pub(crate) fn next(&self, now: i64) -> Option<u64> {
        let under_way = self.under_way();
        let next = match self.progress.state {
            WebhookState::Active if under_way < self.window => {
                self.heads().find(|head| head.row.next_at <= now)
            }
            // Probe with the delivery that was tried least recently, because one that never gets through must not hide that others
            // do.
            WebhookState::Resting if under_way == 0 && now >= self.progress.next_at => {
                self.heads().min_by_key(|head| head.tried_at)
            }
            _ => None,
        };
        next.map(|delivery| delivery.row.position)
    }

    /// Returns the time at which the next delivery is due, if it is known.
    pub(crate) fn next_due(&self) -> Option<i64> {
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

    /// Records the start of an attempt. Returns the number of the attempt for its delivery, counted from 1.
    pub(crate) fn begin(&mut self, position: u64, now: i64) -> u32 {
        let Some(delivery) = self.pending.get_mut(&position) else {
            return 0;
        };
        delivery.is_under_way = true;
        delivery.tried_at = now;
        delivery.tries += 1;
        delivery.tries
    }

    /// Records the end of an attempt; `jitter` is from 0 to 1, and `cause` is the reason of a failure.
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
            Outcome::Gone => self.receiver_gone((now, jitter)),
            Outcome::Failed(failure) => self.failed(position, (failure, cause), (now, jitter)),
        }
    }

    /// Records that an attempt was not made after all. It is due again a little later.
    pub(crate) fn cancel_attempt(&mut self, position: u64, now: i64) {
        if let Some(delivery) = self.pending.get_mut(&position) {
            delivery.is_under_way = false;
            delivery.tries = delivery.tries.saturating_sub(1);
            delivery.row.next_at = now + of_event(1);
        }
        if self.progress.state == WebhookState::Resting {
            self.progress.next_at = now + of_event(1);
        }
    }

    /// Returns whether there are changes that have not been taken yet.
    pub(crate) fn is_unwritten(&self) -> bool {
        self.is_changed || !self.settled.is_empty() || !self.changed.is_empty()
    }

    /// Takes the changes since the last call, if there are any.
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

    /// Returns changes to the schedule that could not be written.
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

    /// Returns the number of attempts in progress.
    pub(crate) fn under_way(&self) -> usize {
        let all = self.pending.values();
        all.filter(|delivery| delivery.is_under_way).count()
    }

    /// Returns the oldest delivery of each chat that has no attempt in progress.
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
