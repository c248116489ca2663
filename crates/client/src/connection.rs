//! One connection to an upstream: how it is established, and how it sends a request.

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

/// The body of a request, a whole form.
pub(crate) type FormBody = Full<Bytes>;

/// Establishes connections. Each connection resolves the name again.
pub(crate) struct Connector {
    tcp: HttpConnector,
    tls: Option<TlsConnector>,
    /// Longest wait for a connection, including DNS and TLS.
    timeout: Duration,
}

impl Connector {
    pub(crate) fn new(tls: Option<Arc<rustls::ClientConfig>>, timeout: Duration) -> Connector {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // The addresses of a name share this time, so that an address that drops all packets leaves time for the next one.
        tcp.set_connect_timeout(Some(timeout));
        let tls = tls.map(TlsConnector::from);
        Connector { tcp, tls, timeout }
    }

    /// Connects to a target. If that fails, no byte of a request has left.
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

/// Maximum number of bytes that an HTTP/1.1 connection reads ahead of an answer, and the maximum size of an answer's head. A large
/// body waits until few others are read. With hyper's own limit, 400 KiB, each waiting connection would hold twice that much.
const READ_AHEAD_BYTES: usize = 64 * 1024;

async fn http1<T>(io: T) -> Result<Connection, String>
where
    T: Read + Write + Unpin + Send + 'static,
{
    let writes = WriteCount::default();
    let io = CountedIo::new(io, writes.clone());
    let made = http1::Builder::new()
        .max_buf_size(READ_AHEAD_BYTES)
        // A form is small. It is copied behind its head, which costs less than a write from two places.
        .writev(false)
        .handshake(io);
    let (sender, connection) = made.await.map_err(|error| causes(&error))?;
    let driver = Driver::new(connection);
    Ok(Connection::new(Sender::Http1 { sender, driver }, writes))
}

/// Interval of the pings that check whether the peer of an idle HTTP/2 connection is still there, and the longest wait for the
/// answer.
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
    // Several tasks share the connection. Each task that waits for an answer gets the error instead.
    tokio::spawn(connection);
    Ok(Connection::new(Sender::Http2(sender), writes))
}

/// A connection that serves one request at a time, or several at the same time (HTTP/2).
pub(crate) struct Connection {
    sender: Sender,
    pub(crate) writes: WriteCount,
    /// The time when the connection was established.
    pub(crate) made: Instant,
    /// The time when the last request ended.
    pub(crate) used: Instant,
}

enum Sender {
    Http1 {
        sender: http1::SendRequest<FormBody>,
        driver: Driver,
    },
    Http2(http2::SendRequest<FormBody>),
}

/// The reason why a request got no answer.
pub(crate) struct ExchangeError {
    /// True if the connection never took the request, or the peer reports that it has not processed it.
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

    /// Returns another handle to the connection if several requests can share it.
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

    /// Returns whether the peer has closed the connection, as far as is known.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1 { sender, .. } => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }

    /// Detects whether the peer has closed the connection while it was idle.
    pub(crate) fn poll_idle(&mut self) {
        if let Sender::Http1 { driver, .. } = &mut self.sender {
            driver.poll();
        }
    }

    /// Waits for a result that only this connection can deliver.
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
    ) -> Result<Response<Incoming>, ExchangeError> {
        let ready = match &mut self.sender {
            Sender::Http1 { sender, driver } => driver.drive(sender.ready()).await,
            Sender::Http2(sender) => sender.ready().await,
        };
        if let Err(error) = ready {
            return Err(ExchangeError {
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
        answer.map_err(|mut error| ExchangeError {
            is_unprocessed: error.take_message().is_some() || is_refused(error.error()),
            cause: causes(error.error()),
        })
    }
}

/// Returns whether the peer has not processed the request: its stream was refused, or is above the last one that a GOAWAY names
/// (RFC 9113, 6.8 and 8.7).
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

/// Returns an error and its causes on one line.
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

/// Builds a request for a connection of this version.
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
