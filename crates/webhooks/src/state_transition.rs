//! A change of a webhook's state, as the history of its access records it.

use store::{ChangeAuthor, Store, WebhookState};

/// A change of a webhook's state.
pub(crate) struct StateTransition {
    /// The name of the access.
    pub(crate) access: String,
    /// The webhook's id.
    pub(crate) webhook: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

impl StateTransition {
    /// Records the change; The state is already in
    /// force, and the journal contains the change even if it can't be recorded here.
    pub(crate) async fn record(self, store: &Store, by: ChangeAuthor<'_>) {
        let name = format!("webhook {}", self.webhook);
        let what = (&*name, &*self.from, &*self.to);
        if let Err(error) = store.note_change(by, &self.access, what).await {
            tracing::warn!(%error, webhook = self.webhook, "a change of a webhook's state can't be recorded");
        }
    }
}

/// Returns the text for a state and its cause.
pub(crate) fn describe_state(state: WebhookState, cause: &str) -> String {
    let because = if cause.is_empty() { "" } else { ": " };
    format!("{}{because}{cause}", state.word())
}
