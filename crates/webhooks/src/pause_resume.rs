//! Pauses and resumes webhooks on an operator's request.

use store::{ChangeAuthor, Webhook, WebhookState};

use crate::draft::WebhookError;
use crate::manage::{Webhooks, changed};
use crate::state_transition::{StateTransition, describe_state};
use crate::webhook_target::WebhookTarget;

/// The cause of a pause that an operator requested.
pub const PAUSED: &str = "by an operator";

/// The operator's request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OperatorAction {
    Pause,
    Resume,
    /// Resume from now on, without the pending deliveries.
    Skip,
}

impl Webhooks {
    /// Pauses a webhook. Its events wait in the log until their retention ends. `by` is the name of the admin key, for the history
    /// of the access.
    ///
    /// # Errors
    /// Returns an error if the webhook does not exist or the store can't be written.
    pub async fn pause(&self, by: &str, id: &str) -> Result<(), WebhookError> {
        self.change_state(by, WebhookTarget::any(id), OperatorAction::Pause)
            .await
    }

    /// Resumes a webhook where it stopped.
    ///
    /// # Errors
    /// Returns an error if the webhook does not exist or the store can't be written. In these cases nothing changes.
    pub async fn resume(&self, by: &str, id: &str) -> Result<(), WebhookError> {
        self.change_state(by, WebhookTarget::any(id), OperatorAction::Resume)
            .await
    }

    /// Resumes a webhook from now on, without the pending deliveries.
    ///
    /// # Errors
    /// Returns `Missing`, `Stale`, or `Store`. In these cases nothing changes, and nothing is skipped.
    pub async fn skip(&self, by: &str, target: WebhookTarget<'_>) -> Result<(), WebhookError> {
        self.change_state(by, target, OperatorAction::Skip).await
    }

    /// Changes the state of a webhook, and records the change in the history of its access.
    async fn change_state(
        &self,
        by: &str,
        target: WebhookTarget<'_>,
        action: OperatorAction,
    ) -> Result<(), WebhookError> {
        let (state, cause) = match action {
            OperatorAction::Pause => (WebhookState::Paused, PAUSED),
            OperatorAction::Resume | OperatorAction::Skip => (WebhookState::Active, ""),
        };
        let now_ms = self.now_ms();
        let (webhook, access) = self.find(target.id).await?;
        let of = (target.id, webhook.client_id.as_str());
        let put = changed(target, move |webhook| {
            set_state(webhook, (state, cause), now_ms);
            Ok(())
        });
        // The skip and the new state are one transaction. Otherwise the webhook could lose its backlog and still stay paused.
        match action {
            OperatorAction::Skip => self.store().skip_deliveries(of, put).await?,
            OperatorAction::Pause | OperatorAction::Resume => {
                self.store().change_webhook(of, put).await?
            }
        };
        self.changed().notify_one();
        if webhook.progress.state == state {
            return Ok(());
        }
        let transition = StateTransition {
            access: access.name.clone(),
            webhook: webhook.id,
            from: describe_state(webhook.progress.state, &webhook.progress.cause),
            to: describe_state(state, cause),
        };
        let by = ChangeAuthor::new(by, self.own_now_ms() / 1000);
        transition.record(self.store(), by).await;
        Ok(())
    }
}

/// Sets the state that an operator requested, and clears all failures of the receiver.
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
