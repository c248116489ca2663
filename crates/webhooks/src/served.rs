//! One webhook that is served: its schedule, and what of it is not written yet.

use std::sync::Arc;

use events::visible;
use store::{
    Access, EventPage, JournalKind, JournalRow, Position, Store, Webhook, WebhookAttempt,
    WebhookSettlement, WebhookState,
};

use crate::attempt::{AttemptEnd, AttemptResult, number};
use crate::pauses::MINUTE;
use crate::schedule::{Changes, Schedule};
use crate::state_turn::{StateTurn, state_in_words};

/// Attempts of one webhook that wait to be written; further ones are left out of its list while the store can't be written.
const UNWRITTEN_MAX: usize = 1000;

/// Least time between two notes that one webhook rests or goes on, in milliseconds: a receiver that fails every second time would fill
/// the changes of its access, which are kept for good.
const NOTED_APART: i64 = 10 * MINUTE;

/// The name that stands in the journal where a webhook's state has changed by itself.
pub(crate) const ACTOR: &str = "(webhooks)";

/// A webhook that is served, or that was and has something left to write.
pub(crate) struct ServedWebhook {
    pub(crate) webhook: Arc<Webhook>,
    /// The term of this process in which it is served.
    pub(crate) term: i64,
    /// Whether attempts are begun. One that has been stopped is kept until those under way have ended.
    pub(crate) is_serving: bool,
    pub(crate) schedule: Schedule,
    /// Attempts that are not written yet.
    pub(crate) attempts: Vec<WebhookAttempt>,
    /// The state that was last noted.
    pub(crate) noted: WebhookState,
    /// When that was, if it was noted here.
    pub(crate) noted_at: Option<i64>,
    /// Whether events were not kept for long enough, and no delivery says so yet.
    pub(crate) owes_gap: bool,
    /// The delivery that says so, each time that it is attempted.
    pub(crate) gap_at: Option<u64>,
    pub(crate) may_have_more: bool,
    /// How far it has come by what is written.
    pub(crate) committed: u64,
}

impl ServedWebhook {
    /// Whether nothing has changed of the webhook, and nobody else has served it.
    pub(crate) fn is_of(&self, webhook: &Webhook, term: i64) -> bool {
        self.term == term && self.webhook.version == webhook.version
    }

    /// Whether something is to be written.
    pub(crate) fn is_unwritten(&self) -> bool {
        self.schedule.is_unwritten() || !self.attempts.is_empty()
    }

    /// Stops it in this term of the process; nothing if nothing of it would be missed.
    pub(crate) fn stopped(mut self, term: Option<i64>) -> Option<ServedWebhook> {
        (self.is_serving, self.may_have_more) = (false, false);
        let at = self.schedule.progress().position;
        // After an operator's change its position stays where it was, and beyond that some may have been delivered.
        let is_ahead = Some(self.term) == term && at != self.committed;
        let is_missed = is_ahead || self.is_unwritten() || self.schedule.under_way() > 0;
        is_missed.then_some(self)
    }

    /// Takes a page of the log after a position; `chats` says what stands for the chat of each event.
    pub(crate) fn take_page(
        &mut self,
        (access, after): (&Access, Position),
        page: &EventPage,
        chats: impl Iterator<Item = u64>,
    ) {
        if after < page.trimmed {
            // How many there were nobody knows any longer; one at least.
            self.schedule.lose(1);
            self.owes_gap = true;
        }
        let types = &self.webhook.settings.types;
        for (event, chat) in page.events.iter().zip(chats) {
            let is_wanted = types.iter().any(|name| name == event.kind.word());
            if is_wanted && visible(access, event) {
                self.schedule.add(number(event.position), &event.id, chat);
            }
        }
        self.schedule.move_to(number(page.read_up_to(after)));
        self.may_have_more = page.more;
    }

    /// Whether the delivery that is attempted now has to say that events before it may be missing. The first one that can does, whatever
    /// stands before it in the log and is not for this webhook.
    pub(crate) fn has_gap(&mut self, position: u64) -> bool {
        if std::mem::take(&mut self.owes_gap) {
            self.gap_at = Some(position);
        }
        self.gap_at == Some(position)
    }

    /// An attempt has ended; `now` in milliseconds since 1970, UTC, and `chance` from 0 to 1.
    pub(crate) fn ended(&mut self, ended: AttemptEnd, (now, chance): (i64, f64)) {
        let has_said_nothing = match &ended.result {
            AttemptResult::Lost => true,
            AttemptResult::Hidden => self.gap_at == Some(ended.position),
            AttemptResult::Sent(_) | AttemptResult::Withheld => false,
        };
        self.owes_gap |= has_said_nothing;
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
            AttemptResult::Lost => self.schedule.pass_over(ended.position, true),
            AttemptResult::Hidden => self.schedule.pass_over(ended.position, false),
            AttemptResult::Withheld => self.schedule.withdraw(ended.position, now),
        }
    }

    /// Nothing stops or goes on in silence: a row in the journal and a line in the log say so, and what is returned has to be noted
    /// among the changes of the access. What changes to and fro is noted now and then, and its end at once.
    pub(crate) fn note_state(&mut self, store: &Store, now: i64) -> Option<StateTurn> {
        let at = self.schedule.progress();
        if at.state == self.noted {
            return None;
        }
        let is_soon = self.noted_at.is_some_and(|at| now - at < NOTED_APART);
        if is_soon && at.state.is_served() {
            return None;
        }
        self.noted_at = Some(now);
        let from = std::mem::replace(&mut self.noted, at.state);
        let (id, state, cause) = (&self.webhook.id, at.state.word(), &at.cause);
        tracing::warn!(webhook = id, state, %cause, "a webhook's state has changed");
        let to = state_in_words(at.state, cause);
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
        Some(StateTurn {
            access: access?.name.clone(),
            webhook: id.clone(),
            from: from.word().to_owned(),
            to,
        })
    }

    /// What is to be written, if anything is.
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
