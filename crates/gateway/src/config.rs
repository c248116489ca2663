//! Configuration: [`Sources`] hold it as written in file, environment and flags, and [`Config`] as it is used, complete and
//! immutable. One conversion between the two reports every error at once, before a port is bound.

mod cache;
mod events;
mod exposure;
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

use std::net::SocketAddr;
use std::path::PathBuf;

use ::events::EventsConfig;
use ::webhooks::WebhooksConfig;
use forward::allowlist::Networks;
use forward::{CacheConfig, UpstreamConfig, UpstreamLimits};
use ipnet::IpNet;
use server::tls::{TlsFiles, scheme};
use settings::{ConfigError, Reader, Sources, parse};
use shared::ValkeyOptions;
use store::{ReceiptRoom, Retention, parse_access_network};
use telemetry::LogConfig;
use url::Url;

use crate::client_addr::ForwardedHeader;
use exposure::{forwarded_header, is_loopback, networks, proxy_protocol};
use parse_chatgate::{host_name, origin, public_url};

pub use jwt::{IssuerConfig, JwksSource, JwtConfig, TOKEN_LIFE_MAX_S};
pub use limits::LimitsConfig;
pub use seeds::SeedAccess;
pub(crate) use shared_store::ADMIN_KEY_LEAST;
pub use shared_store::SharedStore;
pub(crate) use tracing::TRACE_ID;
pub use tracing::{TracesConfig, TracingConfig};
pub use ways::WaysConfig;

/// The name of every environment variable of ours begins so: `CHATGATE__SERVER__LISTEN`.
const ENVIRONMENT_PREFIX: &str = "CHATGATE__";

/// The example, which documents every key.
const EXAMPLE: &str = include_str!("../../../config/chatgate.toml");

/// Everything that is configured, with nothing left to interpret.
pub struct Config {
    /// The folder of store, keys and demo access.
    pub data: PathBuf,
    /// The store that replicas share; a file of the data folder when absent.
    pub shared_store: Option<SharedStore>,
    /// Where replicas count together; each for itself when absent.
    pub shared_counts: Option<ValkeyOptions>,
    /// The address of the public listener.
    pub listen: SocketAddr,
    /// The address of the admin listener.
    pub admin_listen: SocketAddr,
    /// Host names that the admin listener accepts, besides addresses and `localhost`; in small letters.
    pub admin_hosts: Vec<String>,
    /// The URL by which callers reach the gateway; the bound address when absent.
    pub public_url: Option<Url>,
    /// Networks of peers whose forwarded header is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// The one header that those peers use.
    pub forwarded_header: ForwardedHeader,
    /// Whether the public listener accepts only trusted proxies, and requires a PROXY header of each connection.
    pub proxy_protocol: bool,
    /// TLS of the public listener; plain HTTP when absent.
    pub tls: Option<TlsFiles>,
    /// TLS of the admin listener; plain HTTP when absent.
    pub admin_tls: Option<TlsFiles>,
    /// Networks from which the deployment accepts calls at all.
    pub networks: Networks,
    /// Browser origins that may call; CORS is off when empty.
    pub cors_origins: Vec<String>,
    /// Bounds on requests and connections.
    pub limits: LimitsConfig,
    /// The upstream; the embedded sandbox when absent.
    pub upstream: Option<UpstreamConfig>,
    /// Whether the first start creates a demo access if it seeds no other.
    pub demo: bool,
    /// Bounds of the upstream client, for the sandbox too.
    pub upstream_limits: UpstreamLimits,
    /// The ways in.
    pub ways: WaysConfig,
    /// The cache of reads.
    pub cache: CacheConfig,
    /// How long the journal keeps rows and payloads, and how much room it may take.
    pub retention: Retention,
    /// Whether every request has a journal row; otherwise only sends and changes by operators have one.
    pub journals_all: bool,
    /// Whether reads are served while the store cannot be written.
    pub serves_without_store: bool,
    /// How long the receipt of a send with an idempotency key is valid, in seconds.
    pub receipts_kept_s: i64,
    /// How much room receipts may take.
    pub receipt_room: ReceiptRoom,
    /// `[events]`: how often channels are looked at, how deep, and how long events are kept.
    pub events: EventsConfig,
    /// Where events are sent.
    pub webhooks: WebhooksConfig,
    /// Whether the documentation pages are served.
    pub docs: bool,
    /// `[jwt]`: life and algorithm of our tokens, and other issuers.
    pub jwt: JwtConfig,
    /// `[log]`: level and format.
    pub log: LogConfig,
    /// `[tracing]`: the receiver of traces, without which nothing is traced, and the share of calls.
    pub traces: TracesConfig,
    /// Accesses for an empty store.
    pub accesses: Vec<SeedAccess>,
    /// Files outside the data folder that hold a secret.
    pub secret_files: Vec<PathBuf>,
}

/// What a reload has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangedKeys {
    /// The keys that are in force with another value.
    pub in_force: Vec<String>,
    /// The keys whose other value changes nothing, each with the reason.
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

    /// Converts the sources while another configuration is in force.
    ///
    /// # Errors
    /// Every error, in the order of the file; a change that only a restart can make is one.
    pub fn read_after(
        sources: &Sources,
        in_force: Option<&Config>,
    ) -> Result<Config, Vec<ConfigError>> {
        let mut reader = Reader::new(sources, ENVIRONMENT_PREFIX);
        let config = Config::convert(&mut reader);
        for key in in_force.iter().flat_map(|old| old.pinned(&config)) {
            reader.reject(key, "it can't change while the gateway runs; restart it");
        }
        match reader.finish() {
            errors if errors.is_empty() => Ok(config),
            errors => Err(errors),
        }
    }

    /// What is allowed and hardly meant, a sentence each.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let mute = |issuer: &&IssuerConfig| issuer.accesses.is_empty();
        let mute = self.jwt.issuers.iter().filter(mute).map(|issuer| {
            format!(
                "the issuer {:?} may name no access, so that none of its tokens is taken; write accesses = [\"partner-*\"] into its block, or [\"*\"] for all",
                issuer.issuer
            )
        });
        let mut proxies = self.trusted_proxies.iter();
        let everybody = proxies.any(|network| network.prefix_len() == 0).then(|| {
            "server.trusted_proxies is \"any\": whoever reaches the gateway chooses the address that networks, limits and the journal go by"
                .to_owned()
        });
        mute.chain(everybody)
    }

    /// The JSON Schema of the file: the keys that the conversion reads, described by the example's comments.
    #[must_use]
    pub fn schema() -> serde_json::Value {
        let nothing = Sources::default();
        let mut reader = Reader::recording(&nothing, ENVIRONMENT_PREFIX);
        Config::convert(&mut reader);
        reader.json_schema("The configuration file of Chatgate", EXAMPLE)
    }

    /// The URL by which callers reach the gateway, without the last slash; the bound address when none is configured. Never
    /// taken from a request.
    pub(crate) fn callers_url(&self, address: SocketAddr) -> String {
        callers_url(self.public_url.as_ref(), self.tls.as_ref(), address)
    }

    /// Logs which secret files of this user every user of the machine may read. This user cannot close a file of another one,
    /// such as a file that an orchestrator mounts.
    pub(crate) fn warn_of_exposed_secrets(&self) {
        for file in self
            .secret_files
            .iter()
            .filter(|file| settings::is_exposed(file))
        {
            let file = file.display();
            ::tracing::warn!(%file, "everybody on this machine may read this secret; close it with chmod 600");
        }
    }

    /// The keys that differ between two files, without their values.
    #[must_use]
    pub fn changed(before: &Sources, after: &Sources) -> ChangedKeys {
        let mut keys = ChangedKeys::default();
        for key in settings::changed(&before.file, &after.file) {
            let why = if key == "server.demo" || key.starts_with("accesses.") {
                Some("it is for the first start of a store; see chatgate access".to_owned())
            } else {
                let name = after.overriding(ENVIRONMENT_PREFIX, &key);
                name.map(|name| format!("{name} sets it"))
            };
            match why {
                Some(why) => keys.without_effect.push(format!("{key}: {why}")),
                None => keys.in_force.push(key),
            }
        }
        keys
    }

    /// The keys that the next configuration changes and that only a restart can change.
    fn pinned(&self, next: &Config) -> impl Iterator<Item = &'static str> {
        let changes = [
            ("server.data", self.data != next.data),
            (
                "store.kind",
                self.shared_store.is_some() != next.shared_store.is_some(),
            ),
            ("shared.url", self.shared_counts != next.shared_counts),
            ("server.listen", self.listen != next.listen),
            (
                "server.admin_listen",
                self.admin_listen != next.admin_listen,
            ),
            ("log.format", self.log.format != next.log.format),
            // The embedded sandbox is started with the process or not at all.
            (
                "upstream.url",
                self.upstream.is_some() && next.upstream.is_none(),
            ),
        ];
        let changes = changes.into_iter().filter(|(_, changes)| *changes);
        let stores = self.shared_store.iter().zip(&next.shared_store);
        let of_store = stores.flat_map(|(store, next)| store.pinned.changed(&next.pinned));
        changes.map(|(key, _)| key).chain(of_store)
    }

    fn convert(reader: &mut Reader<'_>) -> Config {
        let upstream_limits = upstream::upstream_limits(reader);
        let proxies = reader.texts("server.trusted_proxies", &[], parse_access_network);
        let trusted_proxies: Vec<_> = proxies.into_iter().flatten().collect();
        let listen = reader.address("server.listen", "127.0.0.1:8080");
        let admin_listen = reader.address("server.admin_listen", "127.0.0.1:8081");
        exposure::check_ports(reader, listen, admin_listen);
        let public_url = reader.optional_text("server.public_url", public_url);
        let tls = tls::public(reader);
        // The port 0 is another one at each start.
        let own_name = (public_url.is_some() || listen.port() != 0)
            .then(|| callers_url(public_url.as_ref(), tls.as_ref(), listen));
        let upstream = upstream::upstream(reader, &upstream_limits, listen);
        Config {
            data: reader.text("server.data", "./data", parse::path),
            shared_store: shared_store::shared_store(reader),
            shared_counts: shared_counts::shared_counts(reader),
            listen,
            admin_listen,
            admin_hosts: reader.texts("server.admin_hosts", &[], host_name),
            webhooks: webhooks::webhooks(reader, public_url.as_ref()),
            public_url,
            forwarded_header: forwarded_header(reader),
            proxy_protocol: proxy_protocol(reader, &trusted_proxies),
            trusted_proxies,
            tls,
            admin_tls: tls::admin(reader),
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
            serves_without_store: reader.choice(
                "journal.on_store_failure",
                "serve",
                &[("serve", true), ("refuse", false)],
            ),
            receipts_kept_s: journal::receipts_kept_s(reader),
            receipt_room: journal::receipt_room(reader),
            docs: reader
                .optional_boolean("docs.enabled")
                .unwrap_or(is_loopback(listen)),
            jwt: jwt::jwt(reader, own_name.as_deref()),
            log: log::log(reader),
            traces: tracing::traces(reader),
            accesses: seeds::seeds(reader),
            secret_files: std::mem::take(&mut reader.secret_files),
        }
    }
}

fn callers_url(public_url: Option<&Url>, tls: Option<&TlsFiles>, address: SocketAddr) -> String {
    match public_url {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => format!("{}://{address}", scheme(tls)),
    }
}
