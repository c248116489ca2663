//! Requests to hosts that an operator names. Each address is checked after its name is resolved, and the connection goes to exactly
//! the checked address.
//!
//! A connection serves one request. The client follows no redirect and uses no proxy from the environment. Of an answer it returns
//! only the status and the Retry-After header.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use crate::client::{RootFiles, Roots};
use crate::tls::tls_config;

/// Longest wait for each of: the lookup of the name, TCP to all addresses, TLS, and the end of an answer.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Longest wait for the head of an answer, including all steps before it.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// Maximum number of bytes of an answer's body that are read and discarded, so that the receiver sees its answer accepted.
const BODY_BYTES_MAX: usize = 4096;

/// Maximum length of an answer's head, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Finds the addresses of a name.
pub type Lookup = Arc<
    dyn Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> + Send + Sync,
>;

/// A client for hosts that an operator names. Clones share the configuration.
#[derive(Clone)]
pub struct OutsideClient {
    tls: TlsConnector,
    lookup: Lookup,
}

/// A POST request to such a host.
pub struct OutsidePost<'p> {
    /// The URL of the request.
    pub url: &'p Url,
    /// Headers of the request, without `Host`.
    pub headers: HeaderMap,
    /// The body of the request.
    pub body: Bytes,
    /// Returns whether an address may be contacted.
    pub may_dial: &'p (dyn Fn(SocketAddr) -> bool + Send + Sync),
}

/// The result of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutsideAnswer {
    /// The status of the answer.
    pub status: u16,
    /// The header `Retry-After` of the answer.
    pub retry_after: Option<HeaderValue>,
}

/// The reason why there was no answer. It names only a class, and nothing about the network behind the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutsideError {
    /// At least one address of the name is in a blocked network.
    BlockedAddress,
    /// The name has no address.
    Dns,
    /// No address accepted the connection.
    Connect,
    /// The receiver could not prove its identity.
    Tls,
    /// There was no answer in time.
    Timeout,
    /// The connection broke, or the answer was not HTTP.
    Broken,
}

impl OutsideError {
    /// Returns the word for operators.
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

/// Returns a lookup that uses the machine's own resolver.
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
    /// Builds a client that trusts these roots and resolves names with this lookup.
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

    /// Sends a request and waits for the head of its answer, for at most fifteen seconds.
    ///
    /// # Errors
    /// The class of the error.
    pub async fn post(&self, post: OutsidePost<'_>) -> Result<OutsideAnswer, OutsideError> {
        let answered = timeout(ANSWER_MAX, self.ask(post)).await;
        Ok(answered
            .unwrap_or(Err(OutsideError::Timeout))?
            .taken()
            .await)
    }

    async fn ask(&self, post: OutsidePost<'_>) -> Result<OpenAnswer, OutsideError> {
        let tcp = self.dial(&post).await?;
        let is_tls = post.url.scheme() == "https";
        let name = server_name(post.url).ok_or(OutsideError::Dns)?;
        let request = request(post).ok_or(OutsideError::Broken)?;
        if !is_tls {
            return exchange(TokioIo::new(tcp), request).await;
        }
        // A timeout means the same as a failed handshake: the receiver did not prove its identity.
        let tls = timeout(CONNECT_MAX, self.tls.connect(name, tcp)).await;
        let tls = tls.ok().and_then(Result::ok).ok_or(OutsideError::Tls)?;
        exchange(TokioIo::new(tls), request).await
    }

    /// Connects to the first address that accepts the connection, if all addresses may be contacted.
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
        // The addresses of a name share this time, so that an address that drops all packets leaves time for the next one.
        let each = CONNECT_MAX / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for address in addresses {
            if let Ok(Ok(tcp)) = timeout(each, TcpStream::connect(address)).await {
                return Ok(tcp);
            }
        }
        Err(OutsideError::Connect)
    }
}

/// An answer whose body has not been read. Its connection ends when it is dropped.
struct OpenAnswer {
    answer: Response<Incoming>,
    _driver: JoinSet<hyper::Result<()>>,
}

impl OpenAnswer {
    /// Returns the result. Only the status matters, whatever the body is and whether it ends.
    async fn taken(self) -> OutsideAnswer {
        let kept = OutsideAnswer {
            status: self.answer.status().as_u16(),
            retry_after: self.answer.headers().get(RETRY_AFTER).cloned(),
        };
        let body = Limited::new(self.answer.into_body(), BODY_BYTES_MAX);
        let _ = timeout(CONNECT_MAX, body.collect()).await;
        kept
    }
}

/// Returns the name for which the certificate has to be valid.
fn server_name(url: &Url) -> Option<ServerName<'static>> {
    match url.host()? {
        Host::Ipv4(address) => Some(ServerName::from(IpAddr::V4(address))),
        Host::Ipv6(address) => Some(ServerName::from(IpAddr::V6(address))),
        // Names in certificates have no dot at the end.
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
) -> Result<OpenAnswer, OutsideError> {
    let broken = |_| OutsideError::Broken;
    let made = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(io);
    let (mut sender, connection) = made.await.map_err(broken)?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let answer = sender.send_request(request).await.map_err(broken)?;
    Ok(OpenAnswer {
        answer,
        _driver: driver,
    })
}

#[cfg(test)]
mod tests;
