//! The configuration. [`Sources`] contain it as written in the file, the environment and flags; [`Config`] contains it as it is
//! used, complete and immutable. The conversion between the two reports all errors together, before a port is bound.

mod cache;
mod events;
mod exposure;
mod files;
mod journal;
mod jwt;
mod limits;
mod log;
mod parse_chatgate;
mod seeds;
mod shared_counts;
mod shared_store;
mod tls;
mod tracing;
mod upstream;
mod ways;
mod webhooks;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use ::events::EventsConfig;
use ::webhooks::WebhooksConfig;
use forward::allowlist::Networks;
use forward::{CacheConfig, UpstreamConfig, UpstreamLimits};
use ipnet::IpNet;
use server::tls::{TlsFiles, scheme};
use settings::{ConfigError, Reader, SecretSource, Sources, parse};
use shared::ValkeyOptions;
use store::{ReceiptRoom, Retention};
use telemetry::LogConfig;
use url::Url;

use crate::client_addr::ForwardedHeader;
use exposure::{access_networks, forwarded_header, is_loopback, networks, proxy_protocol};
use parse_chatgate::{host_name, origin, public_url};

pub(crate) use files::ConfigFiles;
pub use jwt::{IssuerConfig, JwksSource, JwtConfig, TOKEN_LIFE_MAX_S};
pub use limits::LimitsConfig;
pub use seeds::SeedAccess;
pub(crate) use shared_store::ADMIN_KEY_CHARACTERS_MIN;
use shared_store::SettingHashes;
pub use shared_store::SharedStore;
pub(crate) use tracing::TRACE_ID;
pub use tracing::{TracesConfig, TracingConfig};
pub use ways::WaysConfig;

/// The prefix of our environment variables, such as `CHATGATE__SERVER__LISTEN`.
const ENVIRONMENT_PREFIX: &str = "CHATGATE__";

/// The name of a store's file in the data folder.
pub(crate) const STORE_FILE: &str = "chatgate.db";

/// The example configuration, which documents every key.
const EXAMPLE: &str = include_str!("../../../config/chatgate.toml");

/// The complete configuration. All its values are parsed.
pub struct Config {
    /// The folder of the store, the keys and the demo access.
    pub data: PathBuf,
    /// The store that replicas share. If absent, the store is a file of the data folder.
    pub shared_store: Option<SharedStore>,
    /// The server on which replicas share their counts. If absent, each process counts for itself.
    pub shared_counts: Option<ValkeyOptions>,
    /// Hashes of the settings of shared counts. Only a restart can change these settings.
    counts_pinned: SettingHashes,
    /// The address of the public listener.
    pub listen: SocketAddr,
    /// The address of the admin listener.
    pub admin_listen: SocketAddr,
    /// Host names in lower case that the admin listener accepts in addition to IP addresses and `localhost`.
    pub admin_hosts: Vec<String>,
    /// The URL by which callers reach the gateway. If absent, it is the bound address.
    pub public_url: Option<Url>,
    /// Networks of peers whose forwarded header is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// The header that those peers use.
    pub forwarded_header: ForwardedHeader,
    /// True if the public listener accepts only trusted proxies and requires a PROXY header on each connection.
    pub proxy_protocol: bool,
    /// TLS of the public listener; plain HTTP when absent.
    pub tls: Option<TlsFiles>,
    /// TLS of the admin listener; plain HTTP when absent.
    pub admin_tls: Option<TlsFiles>,
    /// A warning for each certificate that is not valid now.
    tls_warnings: Vec<String>,
    /// Networks from which the deployment accepts calls.
    pub networks: Networks,
    /// Browser origins that may call. If empty, CORS is off.
    pub cors_origins: Vec<String>,
    /// Limits on requests and connections.
    pub limits: LimitsConfig,
    /// The upstream. If absent, it is the embedded sandbox.
    pub upstream: Option<UpstreamConfig>,
    /// True if the first start creates a demo access when the configuration seeds no access.
    pub demo: bool,
    /// Limits of the upstream client, which also apply to the sandbox.
    pub upstream_limits: UpstreamLimits,
    /// The ways in.
    pub ways: WaysConfig,
    /// The cache of reads.
    pub cache: CacheConfig,
    /// How long the journal stores rows and payloads, and its maximum size.
    pub retention: Retention,
    /// True if every request has a journal row. Otherwise only sends and changes by operators have one.
    pub journals_all: bool,
    /// True if reads are served while the store can't be written.
    pub serves_without_store: bool,
    /// How long the receipt of a send with an idempotency key is valid, in seconds.
    pub receipts_kept_s: i64,
    /// Maximum size of the receipts.
    pub receipt_room: ReceiptRoom,
    /// `[events]`: how often and how deeply channels are polled, and how long events are stored.
    pub events: EventsConfig,
    /// The rules for webhook deliveries.
    pub webhooks: WebhooksConfig,
    /// True if the documentation pages are served.
    pub docs: bool,
    /// `[jwt]`: lifetime and algorithm of our tokens, and the outside issuers.
    pub jwt: JwtConfig,
    /// `[log]`: level and format.
    pub log: LogConfig,
    /// `[tracing]`: the receiver of traces and the share of traced calls. Without a receiver no call is traced.
    pub traces: TracesConfig,
    /// Accesses that are created in an empty store.
    pub accesses: Vec<SeedAccess>,
    /// The errors of the passwords of further such accesses that can't be read. A store that has started does not need them.
    pub(crate) unread_seeds: Vec<ConfigError>,
    /// Files outside the data folder that contain a secret.
    pub secret_files: Vec<PathBuf>,
    /// The secrets that are used after the first start, by key.
    secrets: BTreeMap<String, SecretSource>,
}

/// The keys that a reload has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangedKeys {
    /// The keys whose new value is now current.
    pub in_force: Vec<String>,
    /// The keys whose new value has no effect, each with the reason.
    pub without_effect: Vec<String>,
}

impl Config {
    /// Converts the sources.
    ///
    /// # Errors
    /// Every error, in the order of the file.
    pub fn read(sources: &Sources) -> Result<Config, Vec<ConfigError>> {
        Config::read_after(sources, None)
    }

    /// Converts the sources while another configuration is current.
    ///
    /// # Errors
    /// Every error, in the order of the file. A change that only a restart can make is also an error.
    pub fn read_after(
        sources: &Sources,
        in_force: Option<&Config>,
    ) -> Result<Config, Vec<ConfigError>> {
        let mut reader = Reader::new(sources, ENVIRONMENT_PREFIX);
        let config = Config::convert(&mut reader, in_force.is_some());
        for key in in_force.iter().flat_map(|old| old.pinned(&config)) {
            reader.reject(
                key,
                "it can't change while the gateway runs; restart the gateway",
            );
        }
        match reader.finish() {
            errors if errors.is_empty() => Ok(config),
            errors => Err(errors),
        }
    }

    /// Returns warnings about settings that are allowed but probably not intended, one sentence each.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let mute = |issuer: &&IssuerConfig| issuer.accesses.is_empty();
        let mute = self.jwt.issuers.iter().filter(mute).map(|issuer| {
            format!(
                "all tokens of the issuer {:?} are rejected, because it may not name any access; write accesses = [\"partner-*\"] \
                 into its block, or [\"*\"] for all",
                issuer.issuer
            )
        });
        let mut proxies = self.trusted_proxies.iter();
        let everybody = proxies.any(|network| network.prefix_len() == 0).then(|| {
            "server.trusted_proxies is \"any\": every client can choose the address that networks, limits and the journal use"
                .to_owned()
        });
        let unread = self.unread_seeds.iter().map(|error| {
            format!("{error}; only the first start of a store needs it, so it is ignored")
        });
        let tls = self.tls_warnings.iter().cloned();
        mute.chain(everybody).chain(unread).chain(tls)
    }

    /// Returns the JSON Schema of the file. It contains the keys that the conversion reads, described by the example's comments.
    #[must_use]
    pub fn schema() -> serde_json::Value {
        let nothing = Sources::default();
        let mut reader = Reader::recording(&nothing, ENVIRONMENT_PREFIX);
        Config::convert(&mut reader, false);
        reader.json_schema("The configuration file of Chatgate", EXAMPLE)
    }

    /// Returns the URL by which callers reach the gateway, without the final slash. If none is configured, the URL is made from the
    /// bound address. It is never taken from a request.
    pub(crate) fn callers_url(&self, address: SocketAddr) -> String {
        callers_url(self.public_url.as_ref(), self.tls.as_ref(), address)
    }

    /// Returns the keys that differ between two files, without their values.
    #[must_use]
    pub fn changed(before: &Sources, after: &Sources) -> ChangedKeys {
        let mut keys = ChangedKeys::default();
        for key in settings::changed(&before.file, &after.file) {
            let why = if key == "server.demo" || key.starts_with("accesses.") {
                Some(
                    "it is used only at the first start of a store; see chatgate access".to_owned(),
                )
            } else {
                let name = after.overriding(ENVIRONMENT_PREFIX, &key);
                name.map(|name| format!("{name} overrides it"))
            };
            match why {
                Some(why) => keys.without_effect.push(format!("{key}: {why}")),
                None => keys.in_force.push(key),
            }
        }
        keys
    }

    /// Returns the keys that the next configuration changes although only a restart can change them.
    fn pinned(&self, next: &Config) -> impl Iterator<Item = &'static str> {
        let changes = [
            ("server.data", self.data != next.data),
            (
                "store.kind",
                self.shared_store.is_some() != next.shared_store.is_some(),
            ),
            ("server.listen", self.listen != next.listen),
            (
                "server.admin_listen",
                self.admin_listen != next.admin_listen,
            ),
            ("log.format", self.log.format != next.log.format),
            // The embedded sandbox can only be started together with the process.
            (
                "upstream.url",
                self.upstream.is_some() && next.upstream.is_none(),
            ),
        ];
        let changes = changes.into_iter().filter(|(_, changes)| *changes);
        let stores = self.shared_store.iter().zip(&next.shared_store);
        let of_store = stores.flat_map(|(store, next)| store.pinned.changed(&next.pinned));
        let of_counts = self.counts_pinned.changed(&next.counts_pinned);
        let changes = changes.map(|(key, _)| key);
        changes.chain(of_store).chain(of_counts)
    }

    /// Converts the sources. `is_running` is true if the store has been opened.
    fn convert(reader: &mut Reader<'_>, is_running: bool) -> Config {
        let data = reader.text("server.data", "./data", parse::path);
        let shared_store = shared_store::shared_store(reader);
        let has_started = is_running || shared_store.is_none() && data.join(STORE_FILE).exists();
        let (accesses, unread_seeds) = seeds::seeds(reader, has_started);
        let upstream_limits = upstream::upstream_limits(reader);
        let trusted_proxies = access_networks(reader, "server.trusted_proxies");
        let listen = reader.address("server.listen", "127.0.0.1:8080");
        let admin_listen = reader.address("server.admin_listen", "127.0.0.1:8081");
        exposure::check_ports(reader, listen, admin_listen);
        let public_url = reader.optional_text("server.public_url", public_url);
        let (tls, admin_tls, tls_warnings) = tls::of_both_listeners(reader);
        // With port 0 the system chooses another port at each start, so the name is unknown.
        let own_name = (public_url.is_some() || listen.port() != 0)
            .then(|| callers_url(public_url.as_ref(), tls.as_ref(), listen));
        let upstream = upstream::upstream(reader, &upstream_limits, listen);
        let (shared_counts, counts_pinned) = shared_counts::shared_counts(reader);
        Config {
            data,
            shared_store,
            shared_counts,
            counts_pinned,
            listen,
            admin_listen,
            admin_hosts: reader.texts("server.admin_hosts", &[], host_name),
            webhooks: webhooks::webhooks(reader, public_url.as_ref()),
            public_url,
            forwarded_header: forwarded_header(reader),
            proxy_protocol: proxy_protocol(reader, &trusted_proxies),
            trusted_proxies,
            tls,
            admin_tls,
            tls_warnings,
            networks: networks(reader),
            cors_origins: reader.texts("server.cors_origins", &[], origin),
            limits: limits::limits(reader),
            demo: reader
                .optional_boolean("server.demo")
                .unwrap_or(upstream.is_none() && is_loopback(listen)),
            events: events::events(reader, upstream.is_some()),
            upstream,
            upstream_limits,
            ways: ways::ways(reader),
            cache: cache::cache(reader),
            retention: journal::retention(reader),
            journals_all: reader.choice("journal.rows", "all", &[("all", true), ("sends", false)]),
            serves_without_store: journal::serves_without_store(reader),
            receipts_kept_s: journal::receipts_kept_s(reader),
            receipt_room: journal::receipt_room(reader),
            docs: reader
                .optional_boolean("docs.enabled")
                .unwrap_or(is_loopback(listen)),
            jwt: jwt::jwt(reader, own_name.as_deref()),
            log: log::log(reader),
            traces: tracing::traces(reader),
            accesses,
            unread_seeds,
            secret_files: std::mem::take(&mut reader.secret_files),
            secrets: files::secrets(reader),
        }
    }
}

fn callers_url(public_url: Option<&Url>, tls: Option<&TlsFiles>, address: SocketAddr) -> String {
    match public_url {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => format!("{}://{address}", scheme(tls)),
    }
}
