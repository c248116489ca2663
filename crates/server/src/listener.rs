//! Our own accept loop: axum's own sets no deadline and no cap, and a few thousand slow connections would hold it for ever.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::connection::{self, Accepted};
use crate::context::{ConnectionContext, ShutdownHandles};
use crate::dispatch::Dispatch;
use crate::permits::ConnectionLimiter;
use crate::policy::{ConnectionPolicy, Stop};
use crate::workers::Workers;

/// Pause after the system refused to accept, for want of file descriptors as a rule: it needs time to get some back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// Binds an address; port 0 lets the system choose.
///
/// # Errors
/// When the address can't be had.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
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

/// Serves, each connection at a worker if there are any and under the policy of when it was accepted, until it has to stop; then lets what is under way end, and
/// at the instant that `stop` tells cuts off the rest.
pub async fn serve<D: Dispatch>(
    listener: TcpListener,
    dispatch: D,
    policy: Arc<ArcSwap<ConnectionPolicy>>,
    workers: Option<Arc<Workers>>,
    mut stop: Stop,
) {
    let graceful = GracefulShutdown::new();
    let limiter = Arc::new(ConnectionLimiter::default());
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
                let policy = policy.load_full();
                // Over the cap the connection is closed at once: an answer would cost what the cap is there to save.
                if let Some(permit) = ConnectionLimiter::take(&limiter, peer.ip(), &policy) {
                    let (runtime, guard) = match workers.as_deref().and_then(Workers::least_loaded)
                    {
                        Some(guard) => (guard.runtime.clone(), Some(guard)),
                        None => (Handle::current(), None),
                    };
                    let accepted = Accepted {
                        stream,
                        peer,
                        permit,
                        guard,
                    };
                    let handles = ShutdownHandles {
                        watcher: graceful.watcher(),
                        stop: stop.clone(),
                    };
                    let context = ConnectionContext {
                        dispatch: dispatch.clone(),
                        policy,
                    };
                    connections.spawn_on(connection::serve(accepted, context, handles), &runtime);
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
