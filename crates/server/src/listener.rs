//! The accept loop. That of axum has no deadline and no cap: a few thousand slow connections would occupy it for ever.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::connection::{self, Accepted};
use crate::context::{ConnectionContext, ShutdownHandles};
use crate::dispatch::Dispatch;
use crate::permits::ConnectionLimiter;
use crate::policy::{ConnectionPolicy, Shutdown};
use crate::workers::Workers;

/// Pause after a failed accept. The usual cause is a lack of file descriptors, and the process needs time to get some back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// Binds an address; with port 0 the system chooses one.
///
/// # Errors
/// When the address can't be bound.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // `[::]` means all addresses, IPv4 as well; the default depends on the system.
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts and serves connections until the shutdown begins, waits for the requests under way, and cuts off the rest when
/// the shutdown is over. Each connection runs at the worker with the fewest, or here if there are no workers, and keeps the
/// policy that was in force when it was accepted.
pub async fn serve<D: Dispatch>(
    listener: TcpListener,
    dispatch: D,
    policy: Arc<ArcSwap<ConnectionPolicy>>,
    workers: Option<Arc<Workers>>,
    mut shutdown: Shutdown,
) {
    let graceful = GracefulShutdown::new();
    let limiter = Arc::new(ConnectionLimiter::default());
    let mut connections = JoinSet::new();
    let deadline = loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            deadline = shutdown.requested() => break deadline,
        };
        let accepted = accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer)));
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let policy = policy.load_full();
        // Over the cap a connection closes without an answer, which would cost what the cap has to save.
        let permit = ConnectionLimiter::take(&limiter, peer.ip(), &policy, Arc::default());
        let Some(permit) = permit else {
            continue;
        };
        let guard = workers.as_deref().and_then(Workers::least_loaded);
        let runtime = guard
            .as_ref()
            .map_or_else(Handle::current, |guard| guard.runtime.clone());
        let accepted = Accepted {
            stream,
            peer,
            permit,
            guard,
        };
        let context = ConnectionContext {
            dispatch: dispatch.clone(),
            policy,
        };
        let handles = ShutdownHandles {
            watcher: graceful.watcher(),
            shutdown: shutdown.clone(),
        };
        connections.spawn_on(connection::serve(accepted, context, handles), &runtime);
    };
    drop(listener);
    if timeout_at(deadline, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way at the drain deadline");
    }
    connections.shutdown().await;
}
