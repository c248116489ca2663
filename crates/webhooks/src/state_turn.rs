//! A change of a webhook's state, as it is noted among the changes of its access.

use store::{Store, WebhookState};

/// What has changed.
pub(crate) struct StateTurn {
    /// The name of the access.
    pub(crate) access: String,
    /// The webhook's id.
    pub(crate) webhook: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

impl StateTurn {
    /// Notes it; `by` is who changed it and when, in seconds since 1970, UTC. The state is in force already: what can't be noted is
    /// in the journal all the same.
    pub(crate) async fn note(self, store: &Store, by: (&str, i64)) {
        let name = format!("webhook {}", self.webhook);
        let what = (&*name, &*self.from, &*self.to);
        if let Err(error) = store.note_change(by, &self.access, what).await {
            tracing::warn!(%error, webhook = self.webhook, "a change of a webhook's state can't be noted");
        }
    }
}

/// A state and why it is so.
pub(crate) fn state_in_words(state: WebhookState, cause: &str) -> String {
    let because = if cause.is_empty() { "" } else { ": " };
    format!("{}{because}{cause}", state.word())
}
