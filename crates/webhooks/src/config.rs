//! How webhooks are sent, and what is around them.

use std::net::SocketAddr;
use std::sync::Arc;

use client::{Lookup, OutsideClient, Roots};

use crate::destination::DestinationRules;
use crate::sender::WebhookSender;

/// The time in milliseconds since 1970, UTC.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How webhooks are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhooksConfig {
    /// Where deliveries may go.
    pub rules: DestinationRules,
    /// Whom receivers' certificates may come from.
    pub roots: Roots,
}

/// What is around webhooks, for the life of the process.
#[derive(Clone)]
pub struct Surroundings {
    /// The gateway's own listeners, which no delivery goes to.
    pub own_listeners: Vec<SocketAddr>,
    /// Finds the addresses of receivers.
    pub lookup: Lookup,
    /// The time.
    pub clock: Clock,
}

/// What sends by a configuration that is not in force yet.
pub struct PreparedSender(pub(crate) Arc<WebhookSender>);

/// Prepares what sends.
///
/// # Errors
/// A sentence, when the roots can't be read.
pub(crate) fn sender(
    config: &WebhooksConfig,
    around: &Surroundings,
) -> Result<WebhookSender, String> {
    Ok(WebhookSender {
        rules: DestinationRules {
            own_listeners: around.own_listeners.clone(),
            ..config.rules.clone()
        },
        client: OutsideClient::new(&config.roots, Arc::clone(&around.lookup))?,
    })
}
