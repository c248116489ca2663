//! The accept loop. axum's own loop has no deadlines and no connection limit, so a few thousand slow connections would occupy it
//! forever.

use std::net::{SocketAddr, TcpStream};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper_util::server::graceful::GracefulShutdown;
use socket2::{SockFilter, SockRef};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::connection::{self, Accepted};
use crate::context::{ConnectionContext, ShutdownHandles};
use crate::dispatch::Dispatch;
use crate::permits::ConnectionLimiter;
use crate::policy::{ConnectionPolicy, Shutdown, ShutdownPhase, UNSENT_BYTES_MAX};
use crate::workers::Workers;

/// Pause after a failed accept. The usual cause is a lack of file descriptors, and the process needs time to free some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long the listener continues to accept connections that had begun before the shutdown: a few round trips to a load balancer.
const ACCEPT_GRACE: Duration = Duration::from_millis(20);

/// How long connections without a request stay open after that. A peer may have sent a request before it could notice the shutdown.
const IDLE_GRACE: Duration = Duration::from_millis(200);

/// Maximum number of connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// Binds an address. With port 0 the system chooses a port.
///
/// # Errors
/// When the address can't be bound.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // `[::]` means all addresses, including IPv4. The system's default varies, so it is set here.
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    // Accepted connections inherit the limit.
    if let Err(error) = socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX) {
        tracing::debug!(%error, "the system can't limit the unsent bytes of a connection");
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts and serves connections until the shutdown begins. Then waits for the requests under way, and closes the remaining
/// connections at the end of the shutdown. Each connection runs on the worker with the fewest connections, or on the current
/// runtime if there are no workers. It keeps the policy that was current when it was accepted. During the shutdown, established
/// connections are still served, and so are requests that their peers sent before they could notice the shutdown.
pub async fn serve<D: Dispatch>(
    listener: TcpListener,
    dispatch: D,
    policy: Arc<ArcSwap<ConnectionPolicy>>,
    workers: Option<Arc<Workers>>,
    mut shutdown: Shutdown,
) {
    let (stop_connections, connection_shutdown) = Shutdown::channel();
    let mut connections = ListenerConnections {
        dispatch,
        policy,
        workers,
        limiter: Arc::default(),
        graceful: GracefulShutdown::new(),
        connection_shutdown,
        tasks: JoinSet::new(),
    };
    connections
        .accept_until(&listener, shutdown.announced())
        .await;
    stop_connections.send_replace(Some(ShutdownPhase::Announced));
    let deadline = connections
        .accept_until(&listener, shutdown.requested())
        .await;
    if let Err(error) = drop_handshakes(&listener) {
        tracing::debug!(%error, "new connections can't be held off during shutdown");
    }
    connections
        .accept_until(&listener, sleep(ACCEPT_GRACE))
        .await;
    drop(listener);
    let all_closed = async { while connections.tasks.join_next().await.is_some() {} };
    let _ = timeout_at(deadline.min(Instant::now() + IDLE_GRACE), all_closed).await;
    stop_connections.send_replace(Some(ShutdownPhase::Ending(deadline)));
    connections.end(deadline).await;
}

/// The connections of a listener, and the values with which each of them begins.
struct ListenerConnections<D> {
    dispatch: D,
    policy: Arc<ArcSwap<ConnectionPolicy>>,
    workers: Option<Arc<Workers>>,
    limiter: Arc<ConnectionLimiter>,
    graceful: GracefulShutdown,
    /// The shutdown of the connections. It follows the shutdown of the listener.
    connection_shutdown: Shutdown,
    tasks: JoinSet<()>,
}

impl<D: Dispatch> ListenerConnections<D> {
    /// Accepts connections until `end` completes.
    async fn accept_until<T>(&mut self, listener: &TcpListener, end: impl Future<Output = T>) -> T {
        let mut end = pin!(end);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = self.tasks.join_next() => continue,
                ended = &mut end => return ended,
            };
            let accepted = accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer)));
            match accepted {
                Ok((stream, peer)) => self.begin(stream, peer),
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Begins to serve a connection.
    fn begin(&mut self, stream: TcpStream, peer: SocketAddr) {
        let policy = self.policy.load_full();
        // Above the limit a connection closes without an answer, because an answer would cost what the limit has to save.
        let permit = ConnectionLimiter::take(&self.limiter, peer.ip(), &policy, Arc::default());
        let Some(permit) = permit else { return };
        let guard = self.workers.as_deref().and_then(Workers::least_loaded);
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
            dispatch: self.dispatch.clone(),
            policy,
        };
        let handles = ShutdownHandles {
            watcher: self.graceful.watcher(),
            shutdown: self.connection_shutdown.clone(),
        };
        self.tasks
            .spawn_on(connection::serve(accepted, context, handles), &runtime);
    }

    /// Waits for the requests under way until the deadline.
    async fn end(mut self, deadline: Instant) {
        if timeout_at(deadline, self.graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("requests were still under way at the drain deadline");
        }
        self.tasks.shutdown().await;
    }
}

/// Makes the system drop packets that would begin a connection, and no other packets. A client repeats its attempt after a second
/// and is then refused. Closing the socket instead would reset established connections that are not accepted yet, although their
/// callers have sent requests.
fn drop_handshakes(listener: &TcpListener) -> std::io::Result<()> {
    // Instructions of classic BPF: load a byte, mask it, jump if it is equal, return the number of bytes of the packet to keep.
    let [load, and, jump_if_equal, return_bytes] = [0x30, 0x54, 0x15, 0x06];
    let (flags_at, syn, ack) = (13, 0x02, 0x10);
    let filter = [
        SockFilter::new(load, 0, 0, flags_at),
        SockFilter::new(and, 0, 0, syn | ack),
        SockFilter::new(jump_if_equal, 0, 1, syn),
        SockFilter::new(return_bytes, 0, 0, 0),
        SockFilter::new(return_bytes, 0, 0, u32::MAX),
    ];
    SockRef::from(listener).attach_filter(&filter)
}

#[cfg(test)]
mod tests;
