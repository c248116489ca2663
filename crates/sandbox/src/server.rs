//! The accept loop and the life of one connection. A connection can be cut with a TCP reset from inside a request.

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

/// Most connections at once; one more waits in the kernel's queue. Below the usual limit of 1,024 open files.
const CONNECTIONS_MAX: usize = 800;

/// How long a connection may stay idle or take over a request head. Longer than clients keep a pooled connection (90 s),
/// so that the sandbox does not close one just when it is used again.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);

/// How long requests under way may take to end when the sandbox stops.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// The pause after a failed accept: without free file descriptors the next one would fail at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves, in a task of its own, until the sender of `stopped` is dropped. The task is begun by no `async fn`, which would be
/// compiled once more by each crate that awaits it.
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
                    connections.spawn(converse(stream, Arc::clone(&state), stopped.clone()));
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
async fn converse(stream: TcpStream, state: Arc<AppState>, mut stopped: watch::Receiver<()>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
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
                    tracing::debug!(%error, "a connection to the sandbox broke");
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
        tracing::warn!(%error, "the sandbox closes a connection that it should reset");
    }
}

/// Every path, with and without its last slash.
async fn route(
    state: &Arc<AppState>,
    handle: &ConnectionHandle,
    stopped: watch::Receiver<()>,
    request: Request<Incoming>,
) -> Response<Body> {
    let path = request.uri().path();
    let path = path.strip_suffix('/').unwrap_or(path);
    let is_api = matches!(path, "/api/http" | "/api/basic");
    // Credentials guard the API. All else is for the people at this machine, and not for the pages in their browsers.
    if !is_api && let Some(why) = web::guard::refusal(&request) {
        return plain(StatusCode::FORBIDDEN, why);
    }
    match path {
        "/api/http" => api::answer(state, handle, Way::Http, request).await,
        "/api/basic" => api::answer(state, handle, Way::Basic, request).await,
        _ if path.starts_with("/sandbox/") && !state.control => plain(
            StatusCode::FORBIDDEN,
            "The control paths answer on loopback alone, unless the sandbox is started with --control.\n",
        ),
        "/sandbox/receive" => control::receive(state, request).await,
        "/sandbox/faults" => control::faults(state, request).await,
        "/sandbox/sent" => control::sent(state, &request),
        _ if state.pages => web::answer(state, stopped, request).await,
        _ => plain(StatusCode::NOT_FOUND, "There is nothing at this path.\n"),
    }
}
