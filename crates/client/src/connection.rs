//! One connection to an upstream: how it is made, and how a request goes over it.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, Uri, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::rt::{Read, Write};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::driver::Driver;
use crate::target::Target;
use crate::trace_headers::TraceHeaders;
use crate::write_count::{CountedIo, WriteCount};

/// The body of a request: a whole form.
pub(crate) type FormBody = Full<Bytes>;

/// Makes connections. Names are resolved for each one anew.
pub(crate) struct Connector {
    tcp: HttpConnector,
    tls: Option<TlsConnector>,
    /// Longest wait for a connection, DNS and TLS included.
    timeout: Duration,
}

impl Connector {
    pub(crate) fn new(tls: Option<Arc<rustls::ClientConfig>>, timeout: Duration) -> Connector {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Shared by the addresses of a name, so that one that swallows everything leaves time for the next.
        tcp.set_connect_timeout(Some(timeout));
        let tls = tls.map(TlsConnector::from);
        Connector { tcp, tls, timeout }
    }

    /// Connects to a target. No byte of a request has left when it fails.
    ///
    /// # Errors
    /// The cause, on one line.
    pub(crate) async fn connect(&self, target: &Target) -> Result<Connection, String> {
        match tokio::time::timeout(self.timeout, self.handshake(target)).await {
            Ok(made) => made,
            Err(_) => Err("no connection in time".to_owned()),
        }
    }

    async fn handshake(&self, target: &Target) -> Result<Connection, String> {
        let tcp = self.tcp.clone().call(target.absolute.clone()).await;
        let tcp = tcp.map_err(|error| causes(&error))?;
        let (Some(tls), Some(name)) = (&self.tls, &target.server_name) else {
            return http1(tcp).await;
        };
        let tls = tls.connect(name.clone(), tcp.into_inner()).await;
        let tls: tokio_rustls::client::TlsStream<TcpStream> =
            tls.map_err(|error| causes(&error))?;
        if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
            http2(TokioIo::new(tls)).await
        } else {
            http1(TokioIo::new(tls)).await
        }
    }
}

/// Most that a connection reads ahead of an answer over HTTP/1.1, in bytes, and the largest head of one. A large body waits until
/// few others are read: hyper's own bound, 400 KiB, is held by each connection meanwhile, and twice.
const READ_AHEAD_BYTES: usize = 64 * 1024;

async fn http1<T>(io: T) -> Result<Connection, String>
where
    T: Read + Write + Unpin + Send + 'static,
{
    let writes = WriteCount::default();
    let io = CountedIo::new(io, writes.clone());
    let made = http1::Builder::new()
        .max_buf_size(READ_AHEAD_BYTES)
        // A form is small: it is copied behind its head, which costs less than to write the two from their places.
        .writev(false)
        .handshake(io);
    let (sender, connection) = made.await.map_err(|error| causes(&error))?;
    let driver = Driver::new(connection);
    Ok(Connection::new(Sender::Http1 { sender, driver }, writes))
}

/// How often an idle HTTP/2 connection is asked whether the peer is still there, and how long that may take.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

async fn http2<T>(io: T) -> Result<Connection, String>
where
    T: Read + Write + Unpin + Send + 'static,
{
    let writes = WriteCount::default();
    let io = CountedIo::new(io, writes.clone());
    let made = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .handshake(io);
    let (sender, connection) = made.await.map_err(|error| causes(&error))?;
    // Several tasks share it. What went wrong is the answer to whoever waits for one.
    tokio::spawn(connection);
    Ok(Connection::new(Sender::Http2(sender), writes))
}

/// A connection that is there for one request at a time, or shared by several (HTTP/2).
pub(crate) struct Connection {
    sender: Sender,
    pub(crate) writes: WriteCount,
    /// When it was made.
    pub(crate) made: Instant,
    /// When its last request ended.
    pub(crate) used: Instant,
}

enum Sender {
    Http1 {
        sender: http1::SendRequest<FormBody>,
        driver: Driver,
    },
    Http2(http2::SendRequest<FormBody>),
}

/// Why a request brought no answer.
pub(crate) struct Unanswered {
    /// The connection never took the request, or the peer says that it has not looked at it.
    pub(crate) is_unprocessed: bool,
    /// The causes, on one line.
    pub(crate) cause: String,
}

impl Connection {
    fn new(sender: Sender, writes: WriteCount) -> Connection {
        let made = Instant::now();
        let used = made;
        Connection {
            sender,
            writes,
            made,
            used,
        }
    }

    pub(crate) fn version(&self) -> Version {
        match self.sender {
            Sender::Http1 { .. } => Version::HTTP_11,
            Sender::Http2(_) => Version::HTTP_2,
        }
    }

    /// Another handle to a connection that several requests share.
    pub(crate) fn shared(&self) -> Option<Connection> {
        match &self.sender {
            Sender::Http1 { .. } => None,
            Sender::Http2(sender) => Some(Connection {
                sender: Sender::Http2(sender.clone()),
                writes: self.writes.clone(),
                made: self.made,
                used: self.used,
            }),
        }
    }

    /// Whether the peer has ended it, as far as is known.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1 { sender, .. } => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }

    /// Notices what the peer has done while it was idle.
    pub(crate) fn look(&mut self) {
        if let Sender::Http1 { driver, .. } = &mut self.sender {
            driver.poll();
        }
    }

    /// Waits for what only this connection can bring.
    pub(crate) async fn wait_for<T>(&mut self, awaited: impl Future<Output = T>) -> T {
        match &mut self.sender {
            Sender::Http1 { driver, .. } => driver.drive(awaited).await,
            Sender::Http2(_) => awaited.await,
        }
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(
        &mut self,
        request: Request<FormBody>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let ready = match &mut self.sender {
            Sender::Http1 { sender, driver } => driver.drive(sender.ready()).await,
            Sender::Http2(sender) => sender.ready().await,
        };
        if let Err(error) = ready {
            return Err(Unanswered {
                is_unprocessed: true,
                cause: causes(&error),
            });
        }
        let answer = match &mut self.sender {
            Sender::Http1 { sender, driver } => {
                driver.drive(sender.try_send_request(request)).await
            }
            Sender::Http2(sender) => sender.try_send_request(request).await,
        };
        answer.map_err(|mut error| Unanswered {
            is_unprocessed: error.take_message().is_some() || is_refused(error.error()),
            cause: causes(error.error()),
        })
    }
}

/// A stream that is refused, or above the last one that a GOAWAY names, has not been processed (RFC 9113, 6.8 and 8.7).
fn is_refused(error: &hyper::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<h2::Error>() {
            let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            return error.is_remote() && (is_refused || error.is_go_away());
        }
        source = cause.source();
    }
    false
}

/// An error and its causes on one line.
pub(crate) fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}

/// The URL of a request for a connection of this version.
pub(crate) fn request(
    version: Version,
    target: &Target,
    authorization: Option<http::HeaderValue>,
    form: Bytes,
    trace: Option<&TraceHeaders>,
) -> Request<FormBody> {
    let (url, mut headers): (Uri, _) = target.head(version);
    if let Some(authorization) = authorization {
        headers.insert(http::header::AUTHORIZATION, authorization);
    }
    if let Some(trace) = trace {
        trace.add_to(&mut headers);
    }
    let mut request = Request::new(Full::new(form));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = url;
    *request.version_mut() = version;
    *request.headers_mut() = headers;
    request
}
