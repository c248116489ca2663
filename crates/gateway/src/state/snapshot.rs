//! One configuration with the services that it uses: adapters, forwarder, store and keys. A snapshot never changes; a new
//! configuration makes a new snapshot.

use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use adapter::{Adapter, Code, Effect, Error, Operation, Way};
use adapter_basic::BasicAdapter;
use adapter_http::HttpAdapter;
use adapter_jwt::JwtAdapter;
use adapter_soap::{SoapAdapter, WsdlPorts};
use arc_swap::ArcSwap;
use axum::http::{HeaderMap, HeaderValue, header};
use docs::PublicInterface;
use events::Events;
use forward::{AuthContext, Forwarder};
use ipnet::IpNet;
use store::{Access, LastUse, ReceiptRoom, Retention, Store};
use telemetry::Metrics;
use tokio_util::task::TaskTracker;

use crate::client_addr::{ForwardedHeader, Trust};
use crate::config::{Config, LimitsConfig};
use crate::state::traces::ConfiguredTracer;
use crate::tokens::Tokens;

/// Seconds after which a caller may retry while the store is unreachable.
const CUT_OFF_RETRY_S: u32 = 2;

/// Everything that the requests of one configuration share.
pub(crate) struct Snapshot {
    /// The generation of the configuration: 1 at the start, incremented by each reload.
    pub(crate) generation: u64,
    /// The time at which the configuration was read, in seconds since 1970, UTC.
    pub(crate) loaded_at: i64,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) forwarder: Forwarder,
    pub(crate) store: Arc<Store>,
    pub(crate) tokens: Arc<Tokens>,
    /// The tracer of calls, if calls are traced.
    pub(crate) traces: Option<Arc<ConfiguredTracer>>,
    /// The address by which a viewer shows a trace, with a placeholder for the trace's id.
    pub(crate) trace_viewer: Option<String>,
    pub(crate) limits: LimitsConfig,
    pub(crate) retention: Retention,
    /// Maximum age of the known accesses, if other processes can change them.
    pub(crate) stale_max: Option<Duration>,
    /// True if every request has a journal row; false if only sends have one.
    pub(crate) journals_all: bool,
    /// True if reads are served while the store can't be written.
    pub(crate) serves_without_store: bool,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) forwarded_header: ForwardedHeader,
    /// The WSDL documents, in the order of [`WsdlPorts::ALL`].
    wsdl: [String; 3],
    pub(crate) public_url: String,
    /// True if the documentation pages are served.
    pub(crate) docs: bool,
    /// Tracks the calls that run to their end even if their callers disconnect.
    pub(crate) under_way: TaskTracker,
    events: Arc<Events>,
    /// The ways in, in the order of [`Way::ALL`].
    adapters: [Box<dyn Adapter>; 4],
    enabled: [bool; 4],
    /// How long a receipt is valid, in seconds.
    pub(crate) receipts_kept_s: i64,
    /// Maximum size of the receipts.
    pub(crate) receipt_room: ReceiptRoom,
    cors_origins: Vec<String>,
    /// The host names of the admin listener, in addition to its address.
    pub(crate) admin_hosts: Vec<String>,
    /// The reference to the current snapshot, set when this snapshot becomes current.
    current: OnceLock<Weak<ArcSwap<Snapshot>>>,
}

/// The services of a snapshot. The rest of the snapshot comes from the configuration.
pub(crate) struct SnapshotParts {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) forwarder: Forwarder,
    pub(crate) store: Arc<Store>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) traces: Option<Arc<ConfiguredTracer>>,
    pub(crate) under_way: TaskTracker,
    pub(crate) events: Arc<Events>,
    pub(crate) public_url: String,
}

impl Snapshot {
    pub(crate) fn new(generation: u64, config: &Config, parts: SnapshotParts) -> Snapshot {
        let SnapshotParts {
            metrics,
            forwarder,
            store,
            tokens,
            traces,
            under_way,
            events,
            public_url,
        } = parts;
        Snapshot {
            generation,
            loaded_at: Snapshot::now(),
            metrics,
            forwarder,
            store,
            tokens,
            traces,
            trace_viewer: config.traces.viewer.clone(),
            limits: config.limits,
            retention: config.retention,
            stale_max: config.shared_store.as_ref().map(|shared| shared.stale_max),
            journals_all: config.journals_all,
            serves_without_store: config.serves_without_store,
            trusted_proxies: config.trusted_proxies.clone(),
            forwarded_header: config.forwarded_header,
            wsdl: WsdlPorts::ALL
                .map(|ports| adapter_soap::wsdl(&public_url, ports, config.events.enabled)),
            public_url,
            docs: config.docs,
            under_way,
            events,
            adapters: Way::ALL.map(|way| -> Box<dyn Adapter> {
                match way {
                    Way::Http => Box::new(HttpAdapter::new(config.ways.http)),
                    Way::Basic => Box::new(BasicAdapter::new(config.ways.basic)),
                    Way::Jwt => Box::new(JwtAdapter::new(config.ways.jwt)),
                    Way::Soap => Box::new(SoapAdapter::new(config.ways.soap)),
                }
            }),
            enabled: config.ways.enabled,
            receipts_kept_s: config.receipts_kept_s,
            receipt_room: config.receipt_room,
            cors_origins: config.cors_origins.clone(),
            admin_hosts: config.admin_hosts.clone(),
            current: OnceLock::new(),
        }
    }

    /// Returns the current snapshot: this one, or the snapshot with which a reload has replaced it. Returns `None` if this snapshot
    /// has never been current.
    pub(crate) fn current(&self) -> Option<Arc<Snapshot>> {
        let current = self.current.get().and_then(Weak::upgrade)?;
        Some(current.load_full())
    }

    /// Stores the reference to the current snapshot, because this snapshot becomes current now.
    pub(crate) fn set_current(&self, current: &Arc<ArcSwap<Snapshot>>) {
        let _ = self.current.set(Arc::downgrade(current));
    }

    /// Returns the WSDL with these ports.
    pub(crate) fn wsdl(&self, ports: WsdlPorts) -> &str {
        &self.wsdl[ports as usize]
    }

    /// Returns whether a way in is switched on.
    pub(crate) fn is_open(&self, way: Way) -> bool {
        self.enabled[way as usize]
    }

    pub(crate) fn adapter(&self, way: Way) -> &dyn Adapter {
        self.adapters[way as usize].as_ref()
    }

    /// Returns the events. If they are switched off, their method does not exist.
    ///
    /// # Errors
    /// INCORRECT_METHOD when events are switched off.
    pub(crate) fn events(&self) -> Result<&Arc<Events>, Error> {
        let is_on = self.events.config().enabled;
        let off = || Error::refused(Code::IncorrectMethod).because("events are switched off");
        is_on.then_some(&self.events).ok_or_else(off)
    }

    /// Returns whether an operation is switched on.
    pub(crate) fn offers(&self, operation: &Operation) -> bool {
        operation.effect != Effect::Watch || self.events().is_ok()
    }

    /// Returns the description of the public interface for the documentation.
    pub(crate) fn public_interface(&self) -> PublicInterface<'_> {
        let open = Way::ALL.into_iter().filter(|way| self.is_open(*way));
        PublicInterface {
            url: self.public_url.trim_end_matches('/'),
            ways: open.map(|way| (way, self.adapter(way))).collect(),
            has_events: self.events().is_ok(),
        }
    }

    /// Returns the proxies that are trusted to name a caller's address, and the header in which they do so.
    pub(crate) fn trust(&self) -> Trust<'_> {
        Trust {
            proxies: &self.trusted_proxies,
            header: self.forwarded_header,
        }
    }

    pub(crate) fn body_bytes_max(&self, way: Way) -> usize {
        match way {
            Way::Soap => self.limits.soap_bytes,
            Way::Http | Way::Basic | Way::Jwt => self.limits.body_bytes,
        }
    }

    /// Returns the time in seconds since 1970, UTC.
    pub(crate) fn now() -> i64 {
        Snapshot::now_ms() / 1000
    }

    /// Returns the time by which accesses, tokens and keys are judged, in seconds since 1970, UTC. If several processes share the
    /// store, all of them use the store's clock.
    pub(crate) fn auth_now(&self) -> i64 {
        Snapshot::now() + self.store.clock_ahead_s()
    }

    /// Returns the time in milliseconds since 1970, UTC.
    pub(crate) fn now_ms() -> i64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    /// Rejects a call if other processes can change the store and this process has not read its changes for so long that a change
    /// may have been acknowledged without this process.
    ///
    /// # Errors
    /// OVERLOADED, with a retry time that allows for a new connection to the store.
    pub(crate) fn check_fresh(&self) -> Result<(), Error> {
        let Some((age, stale_max)) = self.store.stale_for().zip(self.stale_max) else {
            return Ok(());
        };
        if age <= stale_max {
            return Ok(());
        }
        let refused = Error::refused(Code::Overloaded).because("cut off from the store");
        Err(refused.retry_after(CUT_OFF_RETRY_S))
    }

    /// Stores the time, address and way in of the last use of an access.
    pub(crate) fn note_use(&self, access: &Access, context: AuthContext) {
        let last = LastUse {
            at: context.now,
            address: context.address,
            way: context.way.name().into(),
        };
        self.store.note_use(access, last);
    }

    /// Saves the last uses that were noted since the previous call.
    pub(crate) async fn save_uses(&self) {
        if let Err(error) = self.store.save_uses().await {
            tracing::warn!(%error, "the last uses of accesses can't be stored");
        }
    }

    /// Returns the origin of a browser's call, if calls from that origin are allowed.
    pub(crate) fn cors_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if self.cors_origins.is_empty() {
            return None;
        }
        let origin = headers.get(header::ORIGIN)?;
        self.cors_origins
            .iter()
            .any(|allowed| allowed.as_bytes() == origin.as_bytes())
            .then(|| origin.clone())
    }

    /// Returns the JWKS document of our own keys.
    pub(crate) fn jwks(&self) -> String {
        self.tokens.jwks()
    }
}
