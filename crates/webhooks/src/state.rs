//! Determines whether events are sent to a webhook.

use adapter::GET_EVENTS;
use store::{Access, Webhook, WebhookState};

use crate::manage::Webhooks;

impl Webhooks {
    /// Returns the effective state of a webhook of this access, and its cause. A webhook stops with events and with an access that
    /// are switched off.
    #[must_use]
    pub fn state_of<'w>(&self, webhook: &'w Webhook, access: &Access) -> (WebhookState, &'w str) {
        let at = &webhook.progress;
        if !at.state.is_served() {
            return (at.state, &at.cause);
        }
        if !self.has_events() {
            return (WebhookState::Paused, "events are off (events.enabled)");
        }
        if !access.is_live(self.now_ms() / 1000) {
            return (WebhookState::Paused, "its access is not active");
        }
        if !access.methods.iter().any(|method| method == GET_EVENTS) {
            return (WebhookState::Paused, "its access may not call getevents");
        }
        (at.state, &at.cause)
    }
}
