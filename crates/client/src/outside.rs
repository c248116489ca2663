//! Requests to hosts that an operator names: each address is judged after its name is resolved, and what was judged is dialled.
//!
//! A connection serves one request. It follows no redirect, takes no proxy from the environment, and of an answer nothing is
//! kept but its status and how long the receiver asks to be left alone.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use crate::client::{RootFiles, Roots};
use crate::tls::tls_config;

/// Longest wait for a connection: the name, TCP and TLS each.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Longest wait for an answer, with all before it.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// Most of an answer's body that is read, and thrown away, so that the receiver sees its answer taken.
const BODY_BYTES_MAX: usize = 4096;

/// Most of an answer's head, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Finds the addresses of a name.
pub type Lookup = Arc<
    dyn Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> + Send + Sync,
>;

/// A client for hosts that an operator names; clones share it.
#[derive(Clone)]
pub struct OutsideClient {
    tls: TlsConnector,
    lookup: Lookup,
}

/// A POST to such a host.
pub struct OutsidePost<'p> {
    /// Where it goes.
    pub url: &'p Url,
    /// Its headers, without the host's.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Whether an address may be dialled.
    pub may_dial: &'p (dyn Fn(SocketAddr) -> bool + Send + Sync),
}

/// What is kept of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutsideAnswer {
    /// Its status.
    pub status: u16,
    /// What it says about when to come again.
    pub retry_after: Option<String>,
}

/// Why there was no answer: a class, and nothing of what was found there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutsideError {
    /// The name leads, with one of its addresses at least, where nothing may go.
    BlockedAddress,
    /// The name leads nowhere.
    Dns,
    /// No address took the connection.
    Connect,
    /// The receiver could not prove who it is.
    Tls,
    /// There was no answer in time.
    Timeout,
    /// The connection broke off, or the answer was not HTTP.
    Broken,
}

impl OutsideError {
    /// The word for operators.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            OutsideError::BlockedAddress => "blocked_address",
            OutsideError::Dns => "dns",
            OutsideError::Connect => "connect",
            OutsideError::Tls => "tls",
            OutsideError::Timeout => "timeout",
            OutsideError::Broken => "broken",
        }
    }
}

/// Asks the machine's own resolver.
#[must_use]
pub fn system_lookup() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            let found = lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

impl OutsideClient {
    /// Builds a client that trusts these roots and finds addresses so.
    ///
    /// # Errors
    /// A sentence, when the roots can't be read.
    pub fn new(roots: &Roots, lookup: Lookup) -> Result<OutsideClient, String> {
        let config = tls_config(roots, &RootFiles::read(roots)?)?;
        let mut config = Arc::unwrap_or_clone(config);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tls = TlsConnector::from(Arc::new(config));
        Ok(OutsideClient { tls, lookup })
    }

    /// Sends a request and waits for the head of its answer, for no longer than fifteen seconds.
    ///
    /// # Errors
    /// The class of what went wrong.
    pub async fn post(&self, post: OutsidePost<'_>) -> Result<OutsideAnswer, OutsideError> {
        let posted = timeout(ANSWER_MAX, self.post_unhurried(post)).await;
        posted.unwrap_or(Err(OutsideError::Timeout))
    }

    async fn post_unhurried(&self, post: OutsidePost<'_>) -> Result<OutsideAnswer, OutsideError> {
        let tcp = self.dial(&post).await?;
        let is_tls = post.url.scheme() == "https";
        let name = server_name(post.url).ok_or(OutsideError::Dns)?;
        let request = request(post).ok_or(OutsideError::Broken)?;
        if !is_tls {
            return exchange(TokioIo::new(tcp), request).await;
        }
        let tls = timeout(CONNECT_MAX, self.tls.connect(name, tcp)).await;
        let tls = tls.map_err(|_| OutsideError::Timeout)?;
        exchange(TokioIo::new(tls.map_err(|_| OutsideError::Tls)?), request).await
    }

    /// Connects to the first address that takes the connection, if all of them may be dialled.
    async fn dial(&self, post: &OutsidePost<'_>) -> Result<TcpStream, OutsideError> {
        let port = post.url.port_or_known_default().ok_or(OutsideError::Dns)?;
        let addresses = match post.url.host().ok_or(OutsideError::Dns)? {
            Host::Ipv4(address) => vec![IpAddr::V4(address)],
            Host::Ipv6(address) => vec![IpAddr::V6(address)],
            Host::Domain(name) => {
                let found = timeout(CONNECT_MAX, (self.lookup)(name.to_owned())).await;
                found.ok().and_then(Result::ok).ok_or(OutsideError::Dns)?
            }
        };
        let addresses: Vec<_> = addresses
            .into_iter()
            .map(|address| SocketAddr::new(address.to_canonical(), port))
            .collect();
        if addresses.is_empty() {
            return Err(OutsideError::Dns);
        }
        if !addresses.iter().all(|address| (post.may_dial)(*address)) {
            return Err(OutsideError::BlockedAddress);
        }
        let connected = timeout(CONNECT_MAX, TcpStream::connect(&addresses[..])).await;
        let tcp = connected.map_err(|_| OutsideError::Timeout)?;
        tcp.map_err(|_| OutsideError::Connect)
    }
}

/// Whom the certificate has to be for.
fn server_name(url: &Url) -> Option<ServerName<'static>> {
    match url.host()? {
        Host::Ipv4(address) => Some(ServerName::from(IpAddr::V4(address))),
        Host::Ipv6(address) => Some(ServerName::from(IpAddr::V6(address))),
        // Certificates write no dot at the end.
        Host::Domain(name) => ServerName::try_from(name.trim_end_matches('.').to_owned()).ok(),
    }
}

fn request(post: OutsidePost<'_>) -> Option<Request<Full<Bytes>>> {
    let url = post.url;
    let mut request = Request::new(Full::new(post.body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = url[url::Position::BeforePath..].parse().ok()?;
    *request.headers_mut() = post.headers;
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let host = HeaderValue::try_from(host).ok()?;
    request.headers_mut().insert(HOST, host);
    let close = HeaderValue::from_static("close");
    request
        .headers_mut()
        .insert(http::header::CONNECTION, close);
    Some(request)
}

async fn exchange<T: Read + Write + Unpin + Send + 'static>(
    io: T,
    request: Request<Full<Bytes>>,
) -> Result<OutsideAnswer, OutsideError> {
    let broken = |_| OutsideError::Broken;
    let made = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(io);
    let (mut sender, driver) = made.await.map_err(broken)?;
    // Ends with its connection, at the latest when the answer is given up.
    let driver = tokio::spawn(driver);
    let answered = sender.send_request(request).await;
    let answer = match answered {
        Ok(answer) => answer,
        Err(error) => {
            driver.abort();
            return Err(broken(error));
        }
    };
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get(RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok());
    let retry_after = retry_after.map(str::to_owned);
    // Whatever the body is, and whether it ends: the status counts.
    let _ = timeout(
        CONNECT_MAX,
        Limited::new(answer.into_body(), BODY_BYTES_MAX).collect(),
    )
    .await;
    driver.abort();
    Ok(OutsideAnswer {
        status,
        retry_after,
    })
}

#[cfg(test)]
mod tests;
