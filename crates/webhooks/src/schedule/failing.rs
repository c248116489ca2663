//! Updates the schedule after an attempt: tells failures of the receiver and of the event apart, and sets the pauses.

use store::WebhookState;

use super::Schedule;
use crate::outcome::{Failure, FailureScope};
use crate::pauses::{
    EVENT_AGE, EVENT_ATTEMPTS_MAX, FAILURES_MAX, GIVE_UP, GONE_APART, RETRY_AFTER_MAX, later,
    of_event, of_rest,
};
use crate::schedule::PER_WEBHOOK_MAX;

impl Schedule {
    pub(super) fn succeeded(&mut self, position: u64, now: i64) {
        self.settle(position);
        self.succeeded_at = now;
        self.progress.failures = 0;
        self.progress.failing_since = None;
        self.progress.gone_at = None;
        match self.progress.state {
            WebhookState::Active => self.window = (self.window * 2).min(PER_WEBHOOK_MAX),
            WebhookState::Resting => {
                self.window = 1;
                self.change_state(WebhookState::Active, "", now);
            }
            WebhookState::Paused | WebhookState::Disabled => {}
        }
    }

    pub(super) fn receiver_gone(&mut self, (now, jitter): (i64, f64)) {
        let first = *self.progress.gone_at.get_or_insert(now);
        if now - first >= GONE_APART {
            self.change_state(WebhookState::Disabled, "gone", now);
            return;
        }
        self.count_failure(now);
        self.rest("gone", (now, jitter), GONE_APART);
    }

    pub(super) fn failed(
        &mut self,
        position: u64,
        (failure, cause): (Failure, &str),
        (now, jitter): (i64, f64),
    ) {
        self.progress.gone_at = None;
        self.count_failure(now);
        self.postpone(position, (failure.of, cause), (now, jitter));
        let since = self.progress.failing_since.unwrap_or(now);
        if now - since >= GIVE_UP {
            self.change_state(WebhookState::Disabled, "failing", now);
            return;
        }
        let is_resting = self.progress.state == WebhookState::Resting;
        if is_resting
            || failure.of == FailureScope::Overload
            || self.progress.failures >= FAILURES_MAX
        {
            let asked = failure.retry_after.unwrap_or_default().as_millis();
            let asked = i64::try_from(asked).unwrap_or(RETRY_AFTER_MAX);
            self.rest(cause, (now, jitter), asked.min(RETRY_AFTER_MAX));
        }
    }

    /// Starts serving at `now`, after a time in which the webhook may not have been served. The time since an attempt was due is
    /// not counted as the receiver's failure, because nobody made an attempt.
    pub(crate) fn serve_from(&mut self, now: i64) {
        let due = self.pending.values().map(|delivery| delivery.row.next_at);
        let due = due.max().unwrap_or(0).max(self.progress.next_at);
        if let Some(since) = &mut self.progress.failing_since {
            *since = now.min(*since + (now - due).max(0));
        }
    }

    fn count_failure(&mut self, now: i64) {
        self.progress.failures = self.progress.failures.saturating_add(1);
        self.progress.failing_since.get_or_insert(now);
        self.is_changed = true;
    }

    /// Postpones a delivery after a failure, or gives it up.
    fn postpone(
        &mut self,
        position: u64,
        (of, cause): (FailureScope, &str),
        (now, jitter): (i64, f64),
    ) {
        // While the webhook rests, it is unknown whether the receiver or the event causes a failure.
        let is_own = of == FailureScope::Event && self.progress.state == WebhookState::Active;
        let Some(delivery) = self.pending.get_mut(&position) else {
            return;
        };
        let row = &mut delivery.row;
        cause.clone_into(&mut row.cause);
        row.next_at = now + later(of_event(1), jitter);
        if is_own {
            row.attempts += 1;
            if row.first_at == 0 {
                row.first_at = now;
            }
            let pause = of_event(row.attempts);
            row.next_at = now + later(pause, jitter);
            let is_old = now - row.first_at >= EVENT_AGE;
            if row.attempts >= EVENT_ATTEMPTS_MAX && is_old && self.succeeded_at > row.first_at {
                let mut row = row.clone();
                row.is_dead = true;
                self.pending.remove(&position);
                self.changed.remove(&position);
                self.dead.push(row);
                return;
            }
        }
        self.changed.insert(position);
    }

    /// Rests for at least `least`. The pause grows with the time since the first failure.
    fn rest(&mut self, cause: &str, (now, jitter): (i64, f64), least: i64) {
        match self.progress.state {
            WebhookState::Active => {
                self.probes = 0;
                self.change_state(WebhookState::Resting, cause, now);
            }
            // An attempt that was in progress when the rest began shows nothing new.
            WebhookState::Resting if now < self.progress.next_at => {
                self.progress.next_at = self.progress.next_at.max(now + later(least, jitter));
                return;
            }
            WebhookState::Resting => self.probes += 1,
            WebhookState::Paused | WebhookState::Disabled => return,
        }
        let failing = now - self.progress.failing_since.unwrap_or(now);
        let pause = of_rest(self.probes, failing);
        self.progress.next_at = now + later(pause.max(least), jitter);
        self.is_changed = true;
    }

    fn change_state(&mut self, state: WebhookState, cause: &str, now: i64) {
        let at = &mut self.progress;
        if !at.state.is_served() || at.state == state {
            return;
        }
        at.state = state;
        at.state_at = now;
        cause.clone_into(&mut at.cause);
        self.is_changed = true;
    }
}
