//! A proxy that only forwards, with the same server and client libraries as Chatgate. The difference between Chatgate's cost and
//! this proxy's is the cost of Chatgate's own work. `bare-proxy URL` prints its port, makes the same call to the URL for every
//! request, and returns the number of its answers at `/counted`.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use reqwest::{Client, Method, Request, Url, redirect, retry};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The call as Chatgate sends it for the benchmark's call.
const CALL: &str = "class=chat&method=getmessages&user=bench&password=upstream-password&platform=whatsapp&platformid=100&destination=34600000000";

/// Chatgate's default timeout for an answer.
const TIMEOUT: Duration = Duration::from_secs(15);

struct Proxy {
    client: Client,
    url: Url,
    answers: AtomicU64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("usage: bare-proxy URL")?;
    let client = Client::builder()
        .tls_certs_only([])
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never().max_retries_per_request(0))
        .timeout(TIMEOUT)
        .build()?;
    let proxy = Proxy {
        client,
        url: url.parse()?,
        answers: AtomicU64::new(0),
    };
    let counted = |State(proxy): State<Arc<Proxy>>| async move {
        proxy.answers.load(Ordering::Relaxed).to_string()
    };
    let app = Router::new()
        .route("/counted", get(counted))
        .fallback(forward)
        .with_state(Arc::new(proxy));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?.port())?;
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, app).await?)
}

async fn forward(State(proxy): State<Arc<Proxy>>) -> Response {
    match ask(&proxy).await {
        Ok(answer) => {
            proxy.answers.fetch_add(1, Ordering::Relaxed);
            ([(CONTENT_TYPE, "application/json")], answer).into_response()
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

async fn ask(proxy: &Proxy) -> reqwest::Result<Body> {
    let mut post = Request::new(Method::POST, proxy.url.clone());
    *post.body_mut() = Some(CALL.into());
    let answer = proxy.client.execute(post).await?.error_for_status()?;
    Ok(answer.bytes().await?.into())
}
