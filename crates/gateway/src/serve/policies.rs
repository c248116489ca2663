//! Makes the connection policies of the two listeners from the configuration.

use std::sync::Arc;

use server::tls::{Tls, TlsFiles};
use server::{ConnectionPolicy, Deadlines, fd_limit};
use settings::read_trusted_bytes;

use crate::config::Config;
use crate::state::current::ListenerPolicies;

/// Number of open files other than the counted connections: the store and its readers, the lock, logs, event queues, issuers' keys,
/// a backup, and closed connections that the system still holds.
const OTHER_FILES_MAX: usize = 128;

/// Maximum number of open connections of operators: people, a scraper, probes.
const OPERATORS_MAX: usize = 128;

/// Returns the policies of the public and the admin listener. A certificate whose files are those of a `current` one is renewed, so
/// that an expired certificate does not replace a valid one.
///
/// # Errors
/// A sentence, when certificates can't be read.
pub(crate) fn from_config(
    config: &Config,
    current: &[Arc<Tls>],
) -> Result<ListenerPolicies, String> {
    let open = |files: &Option<TlsFiles>| {
        let opened = files.as_ref().map(|files| {
            let current = current.iter().find(|tls| tls.files() == files);
            match current {
                Some(tls) => {
                    tls.renew();
                    Ok(Arc::clone(tls))
                }
                None => Tls::open(files, read_trusted_bytes).map(Arc::new),
            }
        });
        opened.transpose()
    };
    let public = ConnectionPolicy {
        connections_max: connections_max(config),
        proxy_protocol: config.proxy_protocol,
        ..policy(config, open(&config.tls)?)
    };
    let admin = ConnectionPolicy {
        connections_max: config.limits.connections.min(OPERATORS_MAX),
        ..policy(config, open(&config.admin_tls)?)
    };
    Ok(ListenerPolicies { public, admin })
}

/// Returns the maximum number of connections of callers: the configured number, reduced if necessary to fit into the limit of open
/// files.
fn connections_max(config: &Config) -> usize {
    let calls = config.upstream_limits.calls_max;
    // With the embedded sandbox, the process also holds the other end of each connection.
    let is_sandbox = config.upstream.is_none();
    let upstream = calls.saturating_mul(if is_sandbox { 2 } else { 1 });
    let others = upstream.saturating_add(OTHER_FILES_MAX + OPERATORS_MAX);
    let (configured, open_files) = (config.limits.connections, fd_limit::open_files_max());
    let allowed = configured.min(fd_limit::room_for_connections(open_files, others));
    if allowed < configured {
        tracing::warn!(
            connections_allowed = allowed,
            connections_configured = configured,
            open_files,
            "the limit of open files allows fewer connections than limits.connections"
        );
    }
    allowed
}

/// Returns the policy as configured, without PROXY headers.
fn policy(config: &Config, tls: Option<Arc<Tls>>) -> ConnectionPolicy {
    ConnectionPolicy {
        deadlines: Deadlines {
            head: config.limits.header_timeout,
            idle: config.limits.idle_timeout,
            request: config.limits.request_timeout,
            body: config.limits.body_timeout,
            write: config.limits.write_timeout,
            rate: config.limits.rate,
        },
        connections_max: config.limits.connections,
        per_address_max: config.limits.connections_per_address,
        trusted_proxies: config.trusted_proxies.clone(),
        proxy_protocol: false,
        tls,
    }
}
