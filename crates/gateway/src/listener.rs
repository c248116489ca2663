//! Our own accept loop: axum's own sets no deadline and no cap, and a few thousand slow connections would hold it for ever.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::client_addr::PeerAddr;
use crate::inbound::Inbound;
use crate::watched::{Activity, Deadlines, Watched};

/// Largest head, in bytes: a message of 16 KiB in a query is 48 KiB once encoded, beside 16 KiB for everything else.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Most header lines: clients behind two proxies send some thirty.
const HEADERS_MAX: usize = 100;

/// How long requests under way may take once the gateway is told to stop: the request time-out's own default.
pub(crate) const DRAIN_DEADLINE: Duration = Duration::from_secs(30);

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
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves until `stop` turns true, then lets what is under way end within [`DRAIN_DEADLINE`].
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    terms: Terms,
    mut stop: watch::Receiver<bool>,
) {
    let graceful = GracefulShutdown::new();
    let counted = Arc::new(Counted::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Over the cap the connection is closed at once: an answer would cost what the cap is there to save.
                if let Some(place) = Counted::take(&counted, peer.ip(), &terms) {
                    serve_connection((stream, peer), router.clone(), &terms, (&graceful, place));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "accepting failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_DEADLINE, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests were still under way at the drain deadline");
    }
}

fn serve_connection(
    (stream, peer): (TcpStream, SocketAddr),
    router: Router,
    terms: &Terms,
    (graceful, place): (&GracefulShutdown, Place),
) {
    // Answers are small; waiting to fill a segment only delays them.
    let _ = stream.set_nodelay(true);
    let activity = Arc::new(Activity::default());
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&activity), terms.deadlines));
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(PeerAddr(peer));
        let busy = Activity::begin(&activity);
        let request = request.map(|body| Body::new(Inbound::new(body, &activity)));
        let mut router = router.clone();
        async move {
            let response = tower_service::Service::call(&mut router, request).await;
            drop(busy);
            Ok::<_, Infallible>(response.unwrap_or_else(|never| match never {}))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Its clock runs through the rest between two requests as well; ours tells the two apart.
        .header_read_timeout(None)
        // A client may close its side once it has asked, as old ones do; one that is gone shows when it is written to.
        .half_close(true)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(io, service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%peer, %error, "connection ended");
        }
        drop(place);
    });
}

/// How many connections are open, in all and by peer address.
#[derive(Default)]
struct Counted {
    by_address: Mutex<(usize, HashMap<IpAddr, usize>)>,
}

/// One open connection's place; given back when dropped.
struct Place {
    counted: Arc<Counted>,
    address: IpAddr,
}

impl Counted {
    fn take(counted: &Arc<Counted>, address: IpAddr, terms: &Terms) -> Option<Place> {
        let address = address.to_canonical();
        let mut guard = counted
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (total, by_address) = &mut *guard;
        let mine = by_address.get(&address).copied().unwrap_or(0);
        let is_proxy = || {
            terms
                .trusted_proxies
                .iter()
                .any(|network| network.contains(&address))
        };
        if *total >= terms.connections_max || (mine >= terms.per_address_max && !is_proxy()) {
            return None;
        }
        *total += 1;
        by_address.insert(address, mine + 1);
        Some(Place {
            counted: Arc::clone(counted),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut guard = self
            .counted
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (total, by_address) = &mut *guard;
        *total -= 1;
        if let Some(mine) = by_address.get_mut(&self.address) {
            *mine -= 1;
            if *mine == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_capped_in_all_and_by_address_and_come_back() {
        let terms = Terms {
            deadlines: Deadlines::default(),
            connections_max: 3,
            per_address_max: 1,
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        };
        let counted = Arc::new(Counted::default());
        let take = |address: &str| Counted::take(&counted, address.parse().unwrap(), &terms);
        let first = take("192.0.2.1");
        assert!(first.is_some());
        assert!(take("192.0.2.1").is_none());
        assert!(take("::ffff:192.0.2.1").is_none());
        let proxied = (take("10.0.0.1"), take("10.0.0.1"));
        assert!(proxied.0.is_some() && proxied.1.is_some());
        assert!(take("192.0.2.2").is_none());
        drop(first);
        assert!(take("192.0.2.1").is_some());
    }
}
