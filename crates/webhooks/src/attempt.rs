//! Makes one delivery attempt: reads the event from the log, checks the access's current rights, and sends the event.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use client::OutsideError;
use events::{Events, Payload, json, may_see_event};
use futures_util::FutureExt;
use store::{Event, Position, StoreError, Webhook};

use crate::manage::Webhooks;
use crate::sender::SendOutcome;

/// A finished attempt.
pub(crate) struct AttemptEnd {
    pub(crate) webhook: String,
    pub(crate) position: u64,
    pub(crate) event_id: String,
    pub(crate) at: i64,
    pub(crate) number: u32,
    pub(crate) result: AttemptResult,
}

pub(crate) enum AttemptResult {
    /// The attempt was made.
    Sent(SendOutcome),
    /// The log no longer contains the event.
    Lost,
    /// The access may no longer see the event.
    Hidden,
    /// Nothing was sent, because the access is not in force or the store could not be read.
    Withheld,
}

/// An attempt in progress.
pub(crate) struct PendingAttempt {
    pub(crate) webhooks: Arc<Webhooks>,
    pub(crate) events: Arc<Events>,
    pub(crate) webhook: Arc<Webhook>,
    pub(crate) has_gap: bool,
    pub(crate) position: u64,
    pub(crate) number: u32,
}

impl PendingAttempt {
    pub(crate) async fn run(self) -> AttemptEnd {
        let at = self.webhooks.now_ms();
        let mut event_id = String::new();
        let attempt = AssertUnwindSafe(self.attempt(&mut event_id, at)).catch_unwind();
        // A panic, which is logged, counts as a failed attempt. The event is then retried, and later events do not wait forever.
        let failed = |_| AttemptResult::Sent(SendOutcome::failed(OutsideError::Broken, 0));
        AttemptEnd {
            result: attempt.await.unwrap_or_else(failed),
            webhook: self.webhook.id.clone(),
            position: self.position,
            event_id,
            at,
            number: self.number,
        }
    }

    /// Reads the event, stores its id in `event_id`, and sends the event.
    async fn attempt(&self, event_id: &mut String, at: i64) -> AttemptResult {
        match event_at(&self.events, self.position).await {
            Ok(Some(event)) => {
                event_id.clone_from(&event.id);
                self.send(&event, at).await
            }
            Ok(None) => AttemptResult::Lost,
            Err(_) => AttemptResult::Withheld,
        }
    }

    /// Checks the access's current rights, and sends the event.
    async fn send(&self, event: &Event, at: i64) -> AttemptResult {
        // A process that was stopped may not know yet that the access was suspended in the meantime.
        if !self.webhooks.store().has_lease() {
            return AttemptResult::Withheld;
        }
        let accesses = self.webhooks.store().accesses();
        let Some(access) = accesses.of_client(&self.webhook.client_id) else {
            return AttemptResult::Withheld;
        };
        if !access.is_live(at / 1000) {
            return AttemptResult::Withheld;
        }
        if !may_see_event(access, event) {
            return AttemptResult::Hidden;
        }
        let payload = if self.webhook.settings.thin {
            Payload::Thin
        } else {
            Payload::Full
        };
        let body = if self.has_gap {
            let mut event = event.clone();
            event.gap = true;
            json(&event, payload)
        } else {
            json(event, payload)
        };
        let sender = self.webhooks.sender();
        let sent = sender.send(&self.webhook, (&event.id, Bytes::from(body)), at / 1000);
        AttemptResult::Sent(sent.await)
    }
}

/// Returns the event at a position, if the log still contains it.
pub(crate) async fn event_at(events: &Events, at: u64) -> Result<Option<Arc<Event>>, StoreError> {
    let page = events
        .reader
        .page(position(at.saturating_sub(1)), 1)
        .await?;
    let event = page.events.into_iter().next();
    Ok(event.filter(|event| event.position == position(at)))
}

pub(crate) fn position(number: u64) -> Position {
    Position::of(i64::try_from(number).unwrap_or(i64::MAX))
}

pub(crate) fn number(position: Position) -> u64 {
    position.number().unsigned_abs()
}
