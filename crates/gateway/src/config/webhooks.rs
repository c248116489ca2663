//! Reads the settings of webhooks: the networks to which deliveries may go, and the trusted certificate authorities.

use settings::Reader;
use store::parse_network;
use url::Url;
use webhooks::{DestinationRules, WebhooksConfig};

use super::upstream::parse_roots;

/// Reads how webhooks are sent. Deliveries to the public name of this gateway are not allowed.
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
