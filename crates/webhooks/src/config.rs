//! The configuration and the surroundings of webhooks.

use std::net::SocketAddr;
use std::sync::Arc;

use client::{Lookup, OutsideClient, Roots};
use events::Events;

use crate::destination::DestinationRules;
use crate::sender::WebhookSender;

/// This machine's clock, which returns the time in milliseconds since 1970, UTC.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The configuration of webhooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhooksConfig {
    /// The addresses that deliveries may go to.
    pub rules: DestinationRules,
    /// The root certificates that are trusted for receivers.
    pub roots: Roots,
}

/// The surroundings of webhooks, which stay the same for the life of the process.
#[derive(Clone)]
pub struct WebhookEnvironment {
    /// The events that webhooks send.
    pub events: Arc<Events>,
    /// The gateway's own listeners. Deliveries may not go there.
    pub own_listeners: Vec<SocketAddr>,
    /// Resolves the names of receivers.
    pub lookup: Lookup,
    /// This machine's clock.
    pub clock: Clock,
}

/// The sender for a configuration that is not in force yet.
pub struct PreparedSender(pub(crate) Arc<WebhookSender>);

/// Makes the sender for a configuration.
///
/// # Errors
/// Returns a sentence if the roots can't be read.
pub(crate) fn sender(
    config: &WebhooksConfig,
    around: &WebhookEnvironment,
) -> Result<WebhookSender, String> {
    Ok(WebhookSender {
        rules: DestinationRules {
            own_listeners: around.own_listeners.clone(),
            ..config.rules.clone()
        },
        client: OutsideClient::new(&config.roots, Arc::clone(&around.lookup))?,
    })
}
