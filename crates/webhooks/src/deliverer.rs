//! The task that delivers events. It reads the log of events at the pace of each webhook, makes attempts, and writes their outcomes
//! in group commits. The only queues are the schedules.

mod refresh;

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use events::{Events, InterestGuard};
use store::{ChangeAuthor, Event, WebhookSettlement};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::attempt::{AttemptEnd, AttemptResult, PendingAttempt, position};
use crate::manage::Webhooks;
use crate::schedule::Changes;
use crate::served::{ACTOR, ServedWebhook};
use crate::state_transition::StateTransition;
use crate::stats::StatsCell;

/// Maximum number of concurrent attempts, over all webhooks.
const TOTAL_MAX: usize = 64;

/// Maximum time that a finished attempt waits for others that are written in the same commit.
const COMMIT_AFTER: Duration = Duration::from_millis(50);

/// Interval between two checks for changed webhooks or accesses. Checks are necessary because another replica may have changed
/// them.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum number of events that one webhook reads before the next webhook gets a turn.
const PAGE_EVENTS: usize = 64;

/// Delivers events until the task is aborted.
pub async fn deliver(webhooks: Arc<Webhooks>, events: Arc<Events>) {
    let mut newest = events.hub.subscribe();
    let changed = Arc::clone(webhooks.changed());
    let mut refresh = interval(REFRESH_INTERVAL);
    refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut deliverer = Deliverer {
        webhooks,
        events,
        served: BTreeMap::new(),
        held: HashMap::new(),
        attempts: JoinSet::new(),
        commit_at: None,
        hasher: RandomState::new(),
        last_started: String::new(),
        lease_until: Instant::now(),
    };
    loop {
        let next_due = deliverer.next_due();
        let attempts = &mut deliverer.attempts;
        tokio::select! {
            _ = refresh.tick() => deliverer.refresh().await,
            () = changed.notified() => deliverer.refresh().await,
            Ok(()) = newest.changed() => {}
            Some(ended) = attempts.join_next() => if let Ok(ended) = ended { deliverer.ended(ended) },
            () = sleep_until(next_due) => {}
        }
        while let Some(ended) = deliverer.attempts.try_join_next() {
            if let Ok(ended) = ended {
                deliverer.ended(ended);
            }
        }
        deliverer.fill().await;
        deliverer.start();
        deliverer.commit_if_due().await;
    }
}

struct Deliverer {
    webhooks: Arc<Webhooks>,
    events: Arc<Events>,
    served: BTreeMap<String, ServedWebhook>,
    /// The guards that keep channels polled for webhooks that will get the events, now or after they are resumed.
    held: HashMap<String, InterestGuard>,
    attempts: JoinSet<AttemptEnd>,
    /// The time at which unwritten changes are written.
    commit_at: Option<Instant>,
    hasher: RandomState,
    /// The id of the webhook that began the latest attempt. The next one in order has the next turn.
    last_started: String,
    /// The time until which no other process delivers.
    lease_until: Instant,
}

impl Deliverer {
    /// Returns the time at which the task has to wake up if nothing wakes it earlier.
    fn next_due(&self) -> Instant {
        let (now, now_ms) = (Instant::now(), self.webhooks.now_ms());
        let has_capacity = self.attempts.len() < TOTAL_MAX && now < self.lease_until;
        let due = self
            .served
            .values()
            .filter(|served| has_capacity && served.is_serving)
            .filter_map(|served| {
                let at = served.schedule.next_due()?;
                let wait = u64::try_from(at.saturating_sub(now_ms)).unwrap_or(0);
                Some(now + Duration::from_millis(wait))
            });
        let has_more = self.served.values().any(|served| served.may_have_more);
        let next_page = has_more.then_some(now);
        let all = due.chain(self.commit_at).chain(next_page);
        all.min().unwrap_or(now + REFRESH_INTERVAL)
    }

    /// Returns a number for the chat of an event. Events of one chat are sent one after the other.
    fn chat_of(&self, event: &Event) -> u64 {
        self.hasher
            .hash_one((&event.platform, &event.platformid, &event.destination))
    }

    /// Returns the ids of the served webhooks, in order.
    fn serving(&self) -> Vec<String> {
        let serving = self.served.iter().filter(|(_, served)| served.is_serving);
        serving.map(|(id, _)| id.clone()).collect()
    }

    /// Reads a page of the log for each webhook that has room.
    async fn fill(&mut self) {
        let newest = self.events.hub.newest();
        for id in self.serving() {
            let Some(served) = self.served.get(&id) else {
                continue;
            };
            let (after, room) = (
                position(served.schedule.progress().position),
                served.schedule.room(),
            );
            if room == 0 || after >= newest {
                if let Some(served) = self.served.get_mut(&id) {
                    served.may_have_more = false;
                }
                continue;
            }
            match self.events.reader.page(after, room.min(PAGE_EVENTS)).await {
                Ok(page) => {
                    let chats: Vec<u64> = page
                        .events
                        .iter()
                        .map(|event| self.chat_of(event))
                        .collect();
                    let accesses = self.webhooks.store().accesses();
                    let Some(served) = self.served.get_mut(&id) else {
                        continue;
                    };
                    // Until the next check notices that the access was deleted, there is nothing to deliver.
                    let Some(access) = accesses.of_client(&served.webhook.client_id) else {
                        served.may_have_more = false;
                        continue;
                    };
                    served.take_page((access, after), &page, chats.into_iter());
                    self.commit_at.get_or_insert(Instant::now() + COMMIT_AFTER);
                }
                Err(error) => {
                    tracing::warn!(%error, "the log of events can't be read");
                    // The next check tries again.
                    if let Some(served) = self.served.get_mut(&id) {
                        served.may_have_more = false;
                    }
                }
            }
        }
    }

    /// Begins attempts, one per webhook in turn, until no place is free.
    fn start(&mut self) {
        let now = self.webhooks.now_ms();
        if Instant::now() >= self.lease_until {
            return;
        }
        let ids: Vec<String> = {
            let (after, before): (Vec<_>, Vec<_>) = self
                .serving()
                .into_iter()
                .partition(|id| *id > self.last_started);
            after.into_iter().chain(before).collect()
        };
        let mut has_started = true;
        while has_started {
            has_started = false;
            for id in &ids {
                if self.attempts.len() >= TOTAL_MAX {
                    return;
                }
                if let Some(served) = self.served.get_mut(id)
                    && let Some(position) = served.schedule.next(now)
                {
                    let number = served.schedule.begin(position, now);
                    let attempt = PendingAttempt {
                        webhooks: Arc::clone(&self.webhooks),
                        events: Arc::clone(&self.events),
                        webhook: Arc::clone(&served.webhook),
                        has_gap: served.has_gap(position),
                        position,
                        number,
                    };
                    self.attempts.spawn(attempt.run());
                    self.last_started.clone_from(id);
                    has_started = true;
                }
            }
        }
    }

    fn ended(&mut self, ended: AttemptEnd) {
        let now = self.webhooks.now_ms();
        self.commit_at.get_or_insert(Instant::now() + COMMIT_AFTER);
        if let AttemptResult::Sent(sent) = &ended.result {
            self.webhooks.stats_cell().count(sent.cause);
        }
        if let Some(served) = self.served.get_mut(&ended.webhook) {
            served.ended(ended, (now, chance()));
        }
    }

    async fn commit_if_due(&mut self) {
        if self.commit_at.is_some_and(|at| at <= Instant::now()) {
            self.commit_at = None;
            self.write().await;
        }
    }

    /// Writes all changes. Changes that can't be written remain queued.
    async fn write(&mut self) {
        let settlements: Vec<_> = self
            .served
            .values_mut()
            .filter_map(ServedWebhook::settlement)
            .collect();
        if settlements.is_empty() {
            return;
        }
        let now = self.webhooks.own_now_ms();
        let mut transitions = Vec::new();
        match self.webhooks.store().settle(settlements.clone()).await {
            Ok(outdated) => {
                for settlement in &settlements {
                    let Some(served) = self.served.get_mut(&settlement.id) else {
                        continue;
                    };
                    if outdated.contains(&settlement.id) {
                        // Make the next check load the current state.
                        Arc::make_mut(&mut served.webhook).version = -1;
                        self.webhooks.changed().notify_one();
                    } else {
                        served.committed = settlement.progress.position;
                        report_given_up(settlement, self.webhooks.stats_cell());
                        transitions.extend(served.record_state(self.webhooks.store(), now));
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the outcomes of deliveries can't be stored");
                for settlement in settlements {
                    if let Some(served) = self.served.get_mut(&settlement.id) {
                        served.schedule.put_back(Changes {
                            settled: settlement.settled,
                            deliveries: settlement.deliveries,
                        });
                        served.attempts.splice(0..0, settlement.attempts);
                    }
                }
                self.commit_at = Some(Instant::now() + REFRESH_INTERVAL);
            }
        }
        self.record_transitions(transitions, now).await;
    }

    /// Records state changes in the history of their accesses; `now` is a time of this machine, in milliseconds since 1970, UTC.
    async fn record_transitions(&self, transitions: Vec<StateTransition>, now: i64) {
        for transition in transitions {
            transition
                .record(self.webhooks.store(), ChangeAuthor::new(ACTOR, now / 1000))
                .await;
        }
    }
}

/// Logs and counts the events that were given up, once that is stored.
fn report_given_up(settlement: &WebhookSettlement, stats: &StatsCell) {
    for row in settlement.deliveries.iter().filter(|row| row.is_dead) {
        stats.count_given_up();
        let (webhook, event, cause) = (&settlement.id, &row.event_id, &row.cause);
        let hint = format!("chatgate webhook redeliver {webhook} --dead");
        tracing::warn!(
            webhook,
            event,
            cause,
            hint,
            "an event of a webhook was given up"
        );
    }
}

/// Returns a random number from 0 to 1.
fn chance() -> f64 {
    let mut bytes = [0; 4];
    // Without random bytes every pause gets the maximum jitter.
    match rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    }
}

#[cfg(test)]
mod tests;
