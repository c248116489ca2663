//! Whether events are sent to a webhook.

use adapter::GET_EVENTS;
use store::{Access, Webhook, WebhookState};

/// Whether events are sent to a webhook of this access, and why not; `now` in seconds since 1970, UTC. An access that is switched off
/// takes its webhooks along.
#[must_use]
pub fn state_of<'w>(webhook: &'w Webhook, access: &Access, now: i64) -> (WebhookState, &'w str) {
    let at = &webhook.progress;
    if !at.state.is_served() {
        return (at.state, &at.cause);
    }
    if !access.is_live(now) {
        return (WebhookState::Paused, "its access is not in force");
    }
    if !access.methods.iter().any(|method| method == GET_EVENTS) {
        return (WebhookState::Paused, "its access may not call getevents");
    }
    (at.state, &at.cause)
}
