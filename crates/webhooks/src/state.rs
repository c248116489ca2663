//! Determines whether events are sent to a webhook.

use adapter::GET_EVENTS;
use store::{Access, Webhook, WebhookState};

/// Returns the effective state of a webhook of this access, and its cause; `now` is in seconds since 1970, UTC. A webhook stops
/// with an access that is switched off.
#[must_use]
pub fn state_of<'w>(webhook: &'w Webhook, access: &Access, now: i64) -> (WebhookState, &'w str) {
    let at = &webhook.progress;
    if !at.state.is_served() {
        return (at.state, &at.cause);
    }
    if !access.is_live(now) {
        return (WebhookState::Paused, "its access is not active");
    }
    if !access.methods.iter().any(|method| method == GET_EVENTS) {
        return (WebhookState::Paused, "its access may not call getevents");
    }
    (at.state, &at.cause)
}
