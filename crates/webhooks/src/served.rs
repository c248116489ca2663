//! A served webhook: its schedule and its unwritten changes.

use std::sync::Arc;

use events::may_see_event;
use store::{
    Access, EventPage, JournalKind, JournalRow, Position, Store, Webhook, WebhookAttempt,
    WebhookSettlement, WebhookState,
};

use crate::attempt::{AttemptEnd, AttemptResult, number};
use crate::pauses::MINUTE;
use crate::schedule::{Changes, Schedule};
use crate::state_transition::{StateTransition, describe_state};

/// Maximum number of unwritten attempts of one webhook. While the store can't be written, further attempts are missing from the
/// webhook's list.
const UNWRITTEN_MAX: usize = 1000;

/// Minimum interval, in milliseconds, between two records that a webhook rests or continues. Without it, a receiver that fails
/// every second time would fill the history of its access, which is stored forever.
const RECORD_INTERVAL: i64 = 10 * MINUTE;

/// The author of automatic state changes in the journal.
pub(crate) const ACTOR: &str = "(webhooks)";

/// A webhook that is served, or that was served and has something left to write.
pub(crate) struct ServedWebhook {
    pub(crate) webhook: Arc<Webhook>,
    /// The term of this process during which it serves the webhook.
    pub(crate) term: i64,
    /// True if attempts are begun. A stopped webhook stays until its attempts in progress have ended.
    pub(crate) is_serving: bool,
    pub(crate) schedule: Schedule,
    /// Attempts that are not written yet.
    pub(crate) attempts: Vec<WebhookAttempt>,
    /// The state that was recorded last.
    pub(crate) recorded_state: WebhookState,
    /// The time of that record, if this process made it.
    pub(crate) recorded_at: Option<i64>,
    /// True if events have left the log undelivered and no delivery has reported the gap yet.
    pub(crate) has_unreported_gap: bool,
    /// The position of the delivery that reports the gap, in each of its attempts.
    pub(crate) gap_at: Option<u64>,
    pub(crate) may_have_more: bool,
    /// The position that is written.
    pub(crate) committed: u64,
}

impl ServedWebhook {
    /// Returns whether the webhook has not changed and no other process has served it since.
    pub(crate) fn is_of(&self, webhook: &Webhook, term: i64) -> bool {
        self.term == term && self.webhook.version == webhook.version
    }

    /// Returns whether there are changes to write.
    pub(crate) fn is_unwritten(&self) -> bool {
        self.schedule.is_unwritten() || !self.attempts.is_empty()
    }

    /// Stops serving the webhook in this term of the process. Returns `None` if nothing would be lost by dropping it.
    pub(crate) fn stopped(mut self, term: Option<i64>) -> Option<ServedWebhook> {
        (self.is_serving, self.may_have_more) = (false, false);
        let at = self.schedule.progress().position;
        // After an operator's change the stored position is the old one, and events beyond it may already have been delivered.
        let is_ahead = Some(self.term) == term && at != self.committed;
        let is_missed = is_ahead || self.is_unwritten() || self.schedule.under_way() > 0;
        is_missed.then_some(self)
    }

    /// Adds a page of the log that was read after a position; `chats` contains the number of each event's chat.
    pub(crate) fn take_page(
        &mut self,
        (access, after): (&Access, Position),
        page: &EventPage,
        chats: impl Iterator<Item = u64>,
    ) {
        if after < page.trimmed {
            // The number of lost events is unknown, but it is at least one.
            self.schedule.add_lost(1);
            self.has_unreported_gap = true;
        }
        let types = &self.webhook.settings.types;
        for (event, chat) in page.events.iter().zip(chats) {
            let is_wanted = types.iter().any(|name| name == event.kind.word());
            if is_wanted && may_see_event(access, event) {
                self.schedule.add(number(event.position), &event.id, chat);
            }
        }
        self.schedule.advance_to(number(page.read_up_to(after)));
        self.may_have_more = page.more;
    }

    /// Returns whether the delivery that is attempted now has to report that earlier events may be missing. The first delivery
    /// after a gap reports it, even if the log contains earlier events that are not for this webhook.
    pub(crate) fn has_gap(&mut self, position: u64) -> bool {
        if std::mem::take(&mut self.has_unreported_gap) {
            self.gap_at = Some(position);
        }
        self.gap_at == Some(position)
    }

    /// Records the end of an attempt; `now` is in milliseconds since 1970, UTC, and `chance` is from 0 to 1.
    pub(crate) fn ended(&mut self, ended: AttemptEnd, (now, chance): (i64, f64)) {
        let has_said_nothing = match &ended.result {
            AttemptResult::Lost => true,
            AttemptResult::Hidden => self.gap_at == Some(ended.position),
            AttemptResult::Sent(_) | AttemptResult::Withheld => false,
        };
        self.has_unreported_gap |= has_said_nothing;
        match ended.result {
            AttemptResult::Sent(sent) => {
                let what = (sent.outcome, sent.cause);
                self.schedule.ended(ended.position, what, (now, chance));
                if self.attempts.len() < UNWRITTEN_MAX {
                    self.attempts.push(WebhookAttempt {
                        position: ended.position,
                        event_id: ended.event_id,
                        at: ended.at,
                        number: ended.number,
                        status: sent.status,
                        cause: sent.cause.to_owned(),
                        ms: sent.ms,
                    });
                }
            }
            AttemptResult::Lost => self.schedule.discard(ended.position, true),
            AttemptResult::Hidden => self.schedule.discard(ended.position, false),
            AttemptResult::Withheld => self.schedule.cancel_attempt(ended.position, now),
        }
    }

    /// Reports a state change in the journal and in the log, so that no webhook stops or resumes silently. The caller has to record
    /// the returned change in the history of the access. Changes back and forth are recorded only now and then, but the end of
    /// serving immediately. `now` is a time of this machine, in milliseconds since 1970, UTC.
    pub(crate) fn record_state(&mut self, store: &Store, now: i64) -> Option<StateTransition> {
        let at = self.schedule.progress();
        if at.state == self.recorded_state {
            return None;
        }
        let is_soon = self
            .recorded_at
            .is_some_and(|at| now - at < RECORD_INTERVAL);
        if is_soon && at.state.is_served() {
            return None;
        }
        self.recorded_at = Some(now);
        let from = std::mem::replace(&mut self.recorded_state, at.state);
        let (id, state, cause) = (&self.webhook.id, at.state.word(), &at.cause);
        tracing::warn!(webhook = id, state, %cause, "a webhook's state has changed");
        let to = describe_state(at.state, cause);
        let accesses = store.accesses();
        let access = accesses.of_client(&self.webhook.client_id);
        store.journal().add(JournalRow {
            at_ms: now,
            kind: JournalKind::Operator,
            access: access.map(|access| access.name.clone()),
            actor: Some(ACTOR.into()),
            cause: Some(format!("webhook {id} is {to}").into()),
            ..JournalRow::default()
        });
        Some(StateTransition {
            access: access?.name.clone(),
            webhook: id.clone(),
            from: from.word().to_owned(),
            to,
        })
    }

    /// Returns the changes to write, if there are any.
    pub(crate) fn settlement(&mut self) -> Option<WebhookSettlement> {
        let changes = self.schedule.take_changes();
        if changes.is_none() && self.attempts.is_empty() {
            return None;
        }
        let Changes {
            settled,
            deliveries,
        } = changes.unwrap_or_default();
        Some(WebhookSettlement {
            id: self.webhook.id.clone(),
            version: self.webhook.version,
            term: self.term,
            progress: self.schedule.progress().clone(),
            settled,
            deliveries,
            attempts: std::mem::take(&mut self.attempts),
        })
    }
}

#[cfg(test)]
mod tests;
