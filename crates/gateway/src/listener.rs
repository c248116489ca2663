//! Our own accept loop: axum's own sets no deadline and no cap, and a few thousand slow connections would hold it for ever.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper_util::server::graceful::GracefulShutdown;
use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::config::{Config, TlsFiles};
use crate::connection::{self, Accepted, Door, Ending};
use crate::descriptors;
use crate::places::Places;
use crate::routes::Paths;
use crate::tls::Tls;
use crate::watched::Deadlines;
use crate::workers::Workers;

/// Turns into an instant when the listener has to stop: until then requests under way may end.
pub(crate) type Stop = watch::Receiver<Option<Instant>>;

/// Pause after the system refused to accept, for want of file descriptors as a rule: it needs time to get some back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// How a listener treats connections.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// The deadlines of each connection.
    pub(crate) deadlines: Deadlines,
    /// Most connections at once.
    pub(crate) connections_max: usize,
    /// Most connections at once from one peer address.
    pub(crate) per_address_max: usize,
    /// Peers to whom the cap per address does not apply: one proxy carries many callers.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Whether each connection has to come from one of them and begin with a PROXY header.
    pub(crate) proxy_protocol: bool,
    /// TLS, if it is spoken here.
    pub(crate) tls: Option<Arc<Tls>>,
}

impl Terms {
    /// Those of the public and those of the admin listener.
    ///
    /// # Errors
    /// A sentence, when certificates can't be read.
    pub(crate) fn of_both(config: &Config) -> Result<[Terms; 2], String> {
        let open = |files: &Option<TlsFiles>| files.as_ref().map(Tls::open).transpose();
        let public = Terms {
            connections_max: descriptors::connections_max(config),
            proxy_protocol: config.proxy_protocol,
            ..Terms::new(config, open(&config.tls)?)
        };
        let admin = Terms {
            connections_max: config.limits.connections.min(descriptors::OPERATORS_MAX),
            ..Terms::new(config, open(&config.admin_tls)?)
        };
        Ok([public, admin])
    }

    /// As configured, without PROXY headers.
    fn new(config: &Config, tls: Option<Tls>) -> Terms {
        Terms {
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
            tls: tls.map(Arc::new),
        }
    }

    /// Whether this is the address of a trusted proxy.
    pub(crate) fn is_proxy(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies
            .iter()
            .any(|network| network.contains(&address))
    }
}

/// Binds an address; port 0 lets the system choose.
///
/// # Errors
/// When the address can't be had.
pub(crate) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        None,
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Without this the system's default decides whether `[::]` takes IPv4 callers; it does, as its name says: all addresses.
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves, each connection at a worker if there are any and under the terms of when it was accepted, until it has to stop; then lets what is under way end, and
/// at the instant that `stop` tells cuts off the rest.
pub(crate) async fn serve(
    listener: TcpListener,
    paths: Paths,
    terms: Arc<ArcSwap<Terms>>,
    workers: Option<Arc<Workers>>,
    mut stop: Stop,
) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Places::default());
    let mut connections = JoinSet::new();
    let deadline = loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            until = stop.wait_for(Option::is_some) => break until.ok().and_then(|until| *until),
        };
        match accepted {
            Ok((stream, peer)) => {
                let Ok(stream) = stream.into_std() else {
                    continue;
                };
                let terms = terms.load_full();
                // Over the cap the connection is closed at once: an answer would cost what the cap is there to save.
                if let Some(place) = Places::take(&places, peer.ip(), &terms) {
                    let (runtime, seat) = match workers.as_deref().and_then(Workers::seat) {
                        Some(seat) => (seat.runtime.clone(), Some(seat)),
                        None => (Handle::current(), None),
                    };
                    let accepted = Accepted {
                        stream,
                        peer,
                        place,
                        seat,
                    };
                    let ending = Ending {
                        watcher: graceful.watcher(),
                        stop: stop.clone(),
                    };
                    let door = Door {
                        paths: paths.clone(),
                        terms,
                    };
                    connections.spawn_on(connection::serve(accepted, door, ending), &runtime);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "accepting failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    };
    drop(listener);
    let deadline = deadline.unwrap_or_else(Instant::now);
    if timeout_at(deadline, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way at the drain deadline");
    }
    // Those that are cut off tell their stories as they end.
    connections.shutdown().await;
}
