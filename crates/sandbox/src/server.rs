//! The accept loop and the handling of a connection. A request can cut its own connection with a TCP reset.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use adapter::Way;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::answer::{Body, plain};
use crate::app_state::AppState;
use crate::connection_handle::ConnectionHandle;
use crate::{api, control, web};

/// Maximum number of connections at the same time. Further connections wait in the kernel's queue. The maximum is below the usual
/// limit of 1,024 open files.
const CONNECTIONS_MAX: usize = 800;

/// Timeout for an idle connection and for reading a request head. It is longer than clients keep a pooled connection (90 s), so
/// that the sandbox does not close a connection just when a client reuses it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);

/// Maximum time for requests in progress to end when the sandbox stops.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// The pause after a failed accept. Without free file descriptors, the next accept would fail immediately.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves in a separate task until the sender of `stopped` is dropped. This is not an `async fn`, because each crate that awaits
/// one compiles it again.
pub(crate) fn start(
    listener: TcpListener,
    state: Arc<AppState>,
    stopped: watch::Receiver<()>,
) -> JoinHandle<()> {
    tokio::spawn(serve(listener, state, stopped))
}

async fn serve(listener: TcpListener, state: Arc<AppState>, mut stopped: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        let has_room = connections.len() < CONNECTIONS_MAX;
        tokio::select! {
            _ = stopped.changed() => break,
            _ = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, Arc::clone(&state), stopped.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the sandbox could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_GRACE, all_ended).await.is_err() {
        connections.shutdown().await;
    }
}

/// Answers requests on one connection until either side ends it.
async fn serve_connection(
    stream: TcpStream,
    state: Arc<AppState>,
    mut stopped: watch::Receiver<()>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY can't be set");
    }
    let handle = ConnectionHandle::default();
    let cut = handle.clone();
    let until = stopped.clone();
    let service = service_fn(move |request| {
        let (state, handle) = (Arc::clone(&state), handle.clone());
        let stopped = until.clone();
        async move { Ok::<_, Infallible>(route(&state, &handle, stopped, request).await) }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection to the sandbox failed");
                }
                return;
            }
            () = cut.cut() => break,
            _ = stopped.changed(), if !stopping => {
                stopping = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    }
    let stream = connection.into_parts().io.into_inner();
    if let Err(error) = stream.set_zero_linger() {
        tracing::warn!(%error, "the sandbox can't reset a connection and closes it instead");
    }
}

/// Routes a request. Every path is accepted with and without a trailing slash.
async fn route(
    state: &Arc<AppState>,
    handle: &ConnectionHandle,
    stopped: watch::Receiver<()>,
    request: Request<Incoming>,
) -> Response<Body> {
    let path = request.uri().path();
    let path = path.strip_suffix('/').unwrap_or(path);
    let is_api = matches!(path, "/api/http" | "/api/basic");
    // Credentials protect the API. All other paths are for the people at this machine, and not for foreign pages in their browsers.
    if !is_api && let Some(why) = web::guard::refusal(&request) {
        return plain(StatusCode::FORBIDDEN, why);
    }
    match path {
        "/api/http" => api::answer(state, handle, Way::Http, request).await,
        "/api/basic" => api::answer(state, handle, Way::Basic, request).await,
        _ if path.starts_with("/sandbox/") && !state.control => plain(
            StatusCode::FORBIDDEN,
            "The control paths are available on loopback only, unless the sandbox is started with --control.\n",
        ),
        "/sandbox/receive" => control::receive(state, request).await,
        "/sandbox/faults" => control::faults(state, request).await,
        "/sandbox/sent" => control::sent(state, &request),
        _ if state.pages => web::answer(state, stopped, request).await,
        _ => plain(StatusCode::NOT_FOUND, "There is nothing at this path.\n"),
    }
}
