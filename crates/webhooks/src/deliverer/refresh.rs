//! Determines which webhooks are served. Runs every second and after each operation of an operator.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use store::{DELIVERING_HELD_MS, StoreError, Webhook, WebhookDelivery, WebhookState};
use tokio::time::Instant;

use super::Deliverer;
use crate::attempt::{event_at, position};
use crate::schedule::Schedule;
use crate::served::ServedWebhook;
use crate::stats::WebhookStats;

impl Deliverer {
    /// Reads all webhooks, and adopts the changes of operators.
    pub(super) async fn refresh(&mut self) {
        if let Err(error) = self.try_refresh().await {
            tracing::warn!(%error, "webhooks can't be read");
        }
    }

    async fn try_refresh(&mut self) -> Result<(), StoreError> {
        // Write first, so that the state that is read below contains all changes.
        self.write().await;
        let store = Arc::clone(self.webhooks.store());
        let asked = Instant::now();
        // Without events, another process may deliver whose configuration has events.
        let term = if self.webhooks.has_events() {
            store.may_deliver().await?
        } else {
            None
        };
        if term.is_some() {
            self.lease_until = asked + Duration::from_millis(DELIVERING_HELD_MS.unsigned_abs());
        }
        let all = store.webhooks().await?;
        let (accesses, now) = (store.accesses(), self.webhooks.now_ms() / 1000);
        let mut served = BTreeMap::new();
        let mut held = HashMap::new();
        let mut stats = WebhookStats::default();
        for webhook in all {
            let Some(access) = accesses.of_client(&webhook.client_id) else {
                continue;
            };
            let (state, _) = self.webhooks.state_of(&webhook, access);
            *stats.states.entry(state.word()).or_default() += 1;
            stats.lost += webhook.progress.lost;
            let is_stopped = webhook.progress.state == WebhookState::Paused;
            let waits =
                term.is_some() && (state.is_served() || (is_stopped && access.is_live(now)));
            if waits {
                let interest = self.held.remove(&webhook.id);
                let hold = || self.events.interests.hold(&webhook.client_id);
                held.insert(webhook.id.clone(), interest.unwrap_or_else(hold));
            }
            if let Some(kept) = self.adopt(webhook, (term, state.is_served())).await {
                served.insert(kept.webhook.id.clone(), kept);
            }
        }
        self.served = served;
        self.held = held;
        for served in self.served.values().filter(|served| served.is_serving) {
            let (unsettled, oldest) = served.schedule.unsettled();
            let oldest = oldest.map(|at| position(at).time_ms());
            stats.unsettled += unsettled as u64;
            stats.oldest_ms = stats.oldest_ms.into_iter().chain(oldest).min();
        }
        self.webhooks.stats_cell().replace(stats);
        self.record_late_states().await;
        Ok(())
    }

    /// Records state changes that were held back because an earlier one was recorded shortly before.
    async fn record_late_states(&mut self) {
        let (store, now) = (self.webhooks.store(), self.webhooks.own_now_ms());
        let served = self.served.values_mut();
        let written = served.filter(|served| served.is_serving && !served.is_unwritten());
        let transitions: Vec<_> = written
            .filter_map(|served| served.record_state(store, now))
            .collect();
        self.record_transitions(transitions, now).await;
    }

    /// Starts to serve a webhook, adopts a change by an operator or another process, or stops serving the webhook. Returns `None`
    /// for a webhook that is not served and has nothing left to write.
    async fn adopt(
        &mut self,
        webhook: Webhook,
        (term, is_served): (Option<i64>, bool),
    ) -> Option<ServedWebhook> {
        let before = self.served.remove(&webhook.id);
        let stopped = |before: Option<ServedWebhook>| before.and_then(|it| it.stopped(term));
        let Some(now) = term.filter(|_| is_served) else {
            return stopped(before);
        };
        match &before {
            Some(served) if served.is_serving && served.is_of(&webhook, now) => return before,
            // Reading now would miss changes that are not written yet.
            Some(served) if served.is_unwritten() => return stopped(before),
            _ => {}
        }
        match self.resumed((webhook, now), before.as_ref()).await {
            Ok(resumed) => Some(resumed),
            Err(error) => {
                tracing::warn!(%error, "a webhook's deliveries can't be read");
                stopped(before)
            }
        }
    }

    async fn resumed(
        &self,
        (webhook, term): (Webhook, i64),
        before: Option<&ServedWebhook>,
    ) -> Result<ServedWebhook, StoreError> {
        let rows = self.webhooks.store().deliveries(&webhook.id).await?;
        let (mut known, mut lost) = (Vec::new(), Vec::new());
        for row in rows.into_iter().filter(|row| !row.is_dead) {
            let chat = before.and_then(|it| it.schedule.chat(row.position));
            let chat = match chat {
                Some(chat) => Some(chat),
                None => {
                    let event = event_at(&self.events, row.position).await?;
                    event.map(|event| self.chat_of(&event))
                }
            };
            match chat {
                Some(chat) => known.push((row, chat)),
                None => lost.push((row, 0)),
            }
        }
        let gone: Vec<u64> = lost
            .iter()
            .map(|(row, _): &(WebhookDelivery, u64)| row.position)
            .collect();
        known.extend(lost);
        let has_unreported_gap =
            !gone.is_empty() || before.is_some_and(|before| before.has_unreported_gap);
        let mut schedule = Schedule::new(&webhook, known);
        for position in gone {
            schedule.discard(position, true);
        }
        if let Some(before) = before {
            schedule.inherit(&before.schedule);
            // If nobody has moved the position, continue from the position in memory, which may be ahead of the written one. After
            // the process's term nothing beyond the written position was stored.
            if before.term == term && webhook.progress.position == before.committed {
                schedule.advance_to(before.schedule.progress().position);
            }
        }
        if before.is_none_or(|before| !before.is_serving) {
            schedule.serve_from(self.webhooks.now_ms());
        }
        // If no operator and no other process has changed the state (they record their own changes), the state that was recorded
        // here last is still the latest one on record.
        let state = webhook.progress.state;
        let noting = before
            .filter(|it| it.is_serving && it.term == term && it.schedule.progress().state == state);
        Ok(ServedWebhook {
            recorded_state: noting.map_or(state, |before| before.recorded_state),
            recorded_at: before.and_then(|before| before.recorded_at),
            committed: webhook.progress.position,
            webhook: Arc::new(webhook),
            term,
            is_serving: true,
            schedule,
            attempts: Vec::new(),
            has_unreported_gap,
            gap_at: before.and_then(|before| before.gap_at),
            may_have_more: true,
        })
    }
}
