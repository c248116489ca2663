//! Webhooks: where deliveries may go, and whose certificates are trusted.

use settings::Reader;
use store::parse_network;
use url::Url;
use webhooks::{DestinationRules, WebhooksConfig};

use super::upstream::parse_roots;

/// How webhooks are sent. Nothing goes to the name under which callers reach the gateway.
pub(super) fn webhooks(reader: &mut Reader<'_>, public_url: Option<&Url>) -> WebhooksConfig {
    let own_name = public_url.and_then(|url| {
        let name = url.host_str()?.trim_end_matches('.').to_owned();
        Some((name, url.port_or_known_default()?))
    });
    WebhooksConfig {
        rules: DestinationRules {
            allow_networks: reader.texts("webhooks.allow_networks", &[], parse_network),
            own_listeners: Vec::new(),
            own_name,
        },
        roots: reader.text("webhooks.roots", "bundled", parse_roots),
    }
}
