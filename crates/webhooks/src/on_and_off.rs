//! Stopping webhooks and having them go on, on an operator's word.

use store::{Webhook, WebhookState};

use crate::draft::WebhookError;
use crate::manage::{Webhooks, changed};
use crate::state_turn::{StateTurn, state_in_words};

/// Why a webhook is paused that an operator has stopped.
pub const PAUSED: &str = "by an operator";

/// What an operator says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OperatorWord {
    Stop,
    GoOn,
    /// To go on from now on, without what is left to send.
    Skip,
}

impl Webhooks {
    /// Stops a webhook; its events are kept for it as long as the log keeps them. `by` is the name of the admin key, for the history of
    /// the access.
    ///
    /// # Errors
    /// When there is none, or the store can't be written.
    pub async fn pause(&self, by: &str, id: &str) -> Result<(), WebhookError> {
        self.turn(by, (id, None), OperatorWord::Stop).await
    }

    /// Has a webhook go on where it stopped, or with `skips` from now on, without what is left to send.
    ///
    /// # Errors
    /// When there is none, or the store can't be written. Nothing has changed then, and nothing is skipped.
    pub async fn resume(&self, by: &str, id: &str, skips: bool) -> Result<(), WebhookError> {
        let word = if skips {
            OperatorWord::Skip
        } else {
            OperatorWord::GoOn
        };
        self.turn(by, (id, None), word).await
    }

    /// Has a webhook go on from now on, without what is left to send. `seen` is the version that the operator has seen; absent for any.
    ///
    /// # Errors
    /// `Missing`, `Stale`, or `Store`. Nothing has changed then, and nothing is skipped.
    pub async fn skip(
        &self,
        by: &str,
        (id, seen): (&str, Option<i64>),
    ) -> Result<(), WebhookError> {
        self.turn(by, (id, seen), OperatorWord::Skip).await
    }

    /// Changes the state of a webhook, and notes it among the changes of its access.
    async fn turn(
        &self,
        by: &str,
        (id, seen): (&str, Option<i64>),
        word: OperatorWord,
    ) -> Result<(), WebhookError> {
        let (state, cause) = match word {
            OperatorWord::Stop => (WebhookState::Paused, PAUSED),
            OperatorWord::GoOn | OperatorWord::Skip => (WebhookState::Active, ""),
        };
        let now_ms = self.now_ms();
        let (webhook, access) = self.find(id).await?;
        let of = (id, webhook.client_id.as_str());
        let put = changed((id, seen), move |webhook| {
            set_state(webhook, (state, cause), now_ms);
            Ok(())
        });
        // What is skipped and the state are one change: a backlog that is gone while the webhook stays stopped can't be had back.
        match word {
            OperatorWord::Skip => self.store().skip_deliveries(of, put).await?,
            OperatorWord::Stop | OperatorWord::GoOn => self.store().change_webhook(of, put).await?,
        };
        self.changed().notify_one();
        if webhook.progress.state == state {
            return Ok(());
        }
        let turn = StateTurn {
            access: access.name.clone(),
            webhook: webhook.id,
            from: state_in_words(webhook.progress.state, &webhook.progress.cause),
            to: state_in_words(state, cause),
        };
        turn.note(self.store(), (by, now_ms / 1000)).await;
        Ok(())
    }
}

/// An operator's word: the receiver is trusted anew.
fn set_state(webhook: &mut Webhook, (state, cause): (WebhookState, &str), now_ms: i64) {
    let at = &mut webhook.progress;
    if at.state != state {
        at.state_at = now_ms;
    }
    at.state = state;
    cause.clone_into(&mut at.cause);
    at.failing_since = None;
    at.failures = 0;
    at.next_at = 0;
    at.gone_at = None;
}
