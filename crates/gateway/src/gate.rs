//! What every request shares: the ways in, the way out, the store and the keys.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use adapter::{Adapter, Way};
use adapter_basic::BasicAdapter;
use adapter_http::HttpAdapter;
use adapter_jwt::JwtAdapter;
use adapter_soap::SoapAdapter;
use console::{Failed, KeyRow, Pending};
use forward::Forwarder;
use http::{HeaderMap, HeaderValue, header};
use ipnet::IpNet;
use store::Store;
use tokio_util::task::TaskTracker;

use crate::client_addr::ForwardedHeader;
use crate::config::{Config, Limits};
use crate::telemetry::Metrics;
use crate::tokens::Tokens;

/// The shared state of one gateway.
pub(crate) struct Gate {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) forwarder: Forwarder,
    pub(crate) store: Arc<Store>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) limits: Limits,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) forwarded_header: ForwardedHeader,
    pub(crate) wsdl: String,
    pub(crate) public_url: String,
    /// Calls that are finished whether their callers wait or not.
    pub(crate) under_way: TaskTracker,
    /// The ways in, in the order of [`Way::ALL`].
    adapters: [Box<dyn Adapter>; 4],
    cors_origins: Vec<String>,
    draining: AtomicBool,
}

/// The parts that a gate is made of and the configuration does not hold.
pub(crate) struct Parts {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) forwarder: Forwarder,
    pub(crate) store: Arc<Store>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) public_url: String,
}

impl Gate {
    pub(crate) fn new(config: &Config, parts: Parts) -> Gate {
        let Parts {
            metrics,
            forwarder,
            store,
            tokens,
            public_url,
        } = parts;
        Gate {
            metrics,
            forwarder,
            store,
            tokens,
            limits: config.limits,
            trusted_proxies: config.trusted_proxies.clone(),
            forwarded_header: config.forwarded_header,
            wsdl: adapter_soap::wsdl(&public_url),
            public_url,
            under_way: TaskTracker::new(),
            adapters: Way::ALL.map(|way| -> Box<dyn Adapter> {
                match way {
                    Way::Http => Box::new(HttpAdapter::new(config.ways.http)),
                    Way::Basic => Box::new(BasicAdapter::new(config.ways.basic)),
                    Way::Jwt => Box::new(JwtAdapter::new(config.ways.jwt)),
                    Way::Soap => Box::new(SoapAdapter::new(config.ways.soap)),
                }
            }),
            cors_origins: config.cors_origins.clone(),
            draining: AtomicBool::new(false),
        }
    }

    pub(crate) fn adapter(&self, way: Way) -> &dyn Adapter {
        self.adapters[way as usize].as_ref()
    }

    pub(crate) fn body_bytes_max(&self, way: Way) -> usize {
        match way {
            Way::Soap => self.limits.soap_bytes,
            Way::Http | Way::Basic | Way::Jwt => self.limits.body_bytes,
        }
    }

    /// Seconds since 1970, UTC. The one place where a request asks the clock for the time of day.
    pub(crate) fn now() -> i64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }

    /// The origin of a browser's call, if it is one of those configured.
    pub(crate) fn cors_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        self.cors_origins
            .iter()
            .any(|allowed| allowed.as_bytes() == origin.as_bytes())
            .then(|| origin.clone())
    }

    /// The JWKS document of our own keys.
    pub(crate) fn jwks(&self) -> String {
        self.tokens.jwks()
    }

    /// From now on the gateway says that it is not ready.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

impl console::Gateway for Gate {
    fn not_ready(&self) -> Option<&'static str> {
        self.draining.load(Ordering::Relaxed).then_some("draining")
    }

    fn metrics(&self) -> String {
        self.metrics.render()
    }

    fn now(&self) -> i64 {
        Gate::now()
    }

    fn status(&self) -> serde_json::Value {
        serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "public_url": self.public_url,
            "config_generation": 1,
            "accesses": self.store.accesses().len(),
            "ready": self.not_ready().is_none(),
        })
    }
}

impl console::Keys for Gate {
    fn keys(&self) -> Vec<KeyRow> {
        self.tokens.rows()
    }

    fn rotate(self: Arc<Self>) -> Pending<Vec<KeyRow>> {
        Box::pin(async move {
            let keys = self.tokens.rotate(&self.store, Gate::now()).await?;
            let kid = keys.first().map(|key| key.kid.as_str());
            tracing::info!(kid, "a new key signs tokens");
            Ok(keys)
        })
    }
}

impl console::Backups for Gate {
    fn backup(self: Arc<Self>) -> Pending<File> {
        Box::pin(async move {
            let copied = self.store.backup().await;
            let copy = copied.map_err(|error| Failed::Broken(error.to_string()))?;
            tracing::info!("a copy of the store was made");
            Ok(copy)
        })
    }
}
