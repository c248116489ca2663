//! Posts forms to an upstream. The way to the upstream needs no more of an HTTP engine than this. It uses hyper's connections
//! directly, without a client in between that chooses connections itself, so that a failed exchange knows exactly whether a byte of
//! its request has left.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::poll_immediate;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::error::Elapsed;
use url::Url;

use crate::body::{BodyError, Chunks, RoomWait, read_body};
use crate::client::{ClientConfig, RootFiles};
use crate::connection::{Connection, Connector, causes, request};
use crate::error::TransportError;
use crate::pool::Pool;
use crate::target::Target;
use crate::tls::tls_config;
use crate::trace_headers::TraceHeaders;
use crate::write_count::WriteCount;

/// Builds the clients of one upstream. The root files are read once for all clients.
pub struct ClientFactory {
    config: ClientConfig,
    connection_life: Duration,
    files: RootFiles,
    tls: Option<Arc<rustls::ClientConfig>>,
    targets: usize,
}

impl ClientFactory {
    /// Reads the root files and prepares the targets of these URLs in order. A connection takes no new request after
    /// `connection_life`.
    ///
    /// # Errors
    /// A sentence, when a file can't be read or a URL can't be used.
    pub fn new(
        config: ClientConfig,
        connection_life: Duration,
        urls: &[Url],
    ) -> Result<(ClientFactory, Vec<Target>), String> {
        let targets = urls
            .iter()
            .enumerate()
            .map(|(index, url)| Target::new(index, url));
        let targets: Vec<_> = targets.collect::<Result<_, _>>()?;
        let files = RootFiles::read(&config.roots)?;
        // Without TLS no roots are needed, and a list of roots takes a megabyte.
        let with_tls = targets.iter().any(|target| target.server_name.is_some());
        let tls = with_tls
            .then(|| tls_config(&config.roots, &files))
            .transpose()?;
        let factory = ClientFactory {
            config,
            connection_life,
            files,
            tls,
            targets: targets.len(),
        };
        Ok((factory, targets))
    }

    /// Builds a client with its own connections.
    #[must_use]
    pub fn build(&self) -> PostClient {
        let pools = (0..self.targets).map(|_| Pool::new(self.connection_life));
        PostClient(Arc::new(Inner {
            connector: Connector::new(self.tls.clone(), self.config.connect_timeout),
            pools: pools.collect(),
        }))
    }

    /// Returns whether the root files are unchanged since they were read.
    ///
    /// # Errors
    /// A sentence, when a file can't be read.
    pub fn is_current(&self) -> Result<bool, String> {
        Ok(self.files == RootFiles::read(&self.config.roots)?)
    }
}

/// A client that posts forms. Clones share their connections.
#[derive(Clone)]
pub struct PostClient(Arc<Inner>);

struct Inner {
    connector: Connector,
    /// The pools by the index of their target.
    pools: Box<[Pool]>,
}

/// A form to post.
pub struct Post<'a> {
    /// The target of the request.
    pub target: &'a Target,
    /// The header `Authorization`, if the account uses it.
    pub authorization: Option<HeaderValue>,
    /// The form, encoded.
    pub form: String,
    /// The time when the exchange begins.
    pub begins: Instant,
    /// The time by which the whole answer has to be received.
    pub deadline: Instant,
    /// The trace of the call, if the upstream is to receive it.
    pub trace: Option<&'a TraceHeaders>,
}

impl PostClient {
    /// Posts a form once. A request of which a byte has left is never sent again. If an idle connection turns out to be closed
    /// before a byte has left, another connection replaces it.
    ///
    /// # Errors
    /// No head of an answer was received.
    pub async fn post(&self, post: Post<'_>) -> Result<PostAnswer, TransportError> {
        let deadline = post.deadline;
        let mut progress = ExchangeProgress::default();
        let exchanged = {
            // Pinned, because otherwise the timer would get a copy of the future.
            let exchange = pin!(self.exchange(post, &mut progress));
            tokio::time::timeout_at(deadline.into(), exchange).await
        };
        match exchanged {
            Ok(answer) => answer,
            Err(_) => Err(TransportError {
                unsent: progress.is_certainly_unsent(),
                timed_out: true,
                cause: "no answer in time".to_owned(),
            }),
        }
    }

    async fn exchange(
        &self,
        Post {
            target,
            authorization,
            form,
            begins,
            deadline,
            trace,
        }: Post<'_>,
        progress: &mut ExchangeProgress,
    ) -> Result<PostAnswer, TransportError> {
        let pool = &self.0.pools[target.index];
        let form = Bytes::from(form);
        let mut pooled = pool.take(begins);
        loop {
            let was_idle = pooled.is_some();
            let mut connection = match pooled.take() {
                Some(connection) => connection,
                // Boxed, because otherwise every exchange would carry and copy room for a handshake, which cost a tenth of a
                // forward (8,700 instructions).
                None => Box::pin(self.connect(target, pool)).await?,
            };
            let request = request(
                connection.version(),
                target,
                authorization.clone(),
                form.clone(),
                trace,
            );
            progress.begin(&connection);
            let failure = match connection.send(request).await {
                Ok(response) => {
                    let lease = Lease {
                        client: self.clone(),
                        index: target.index,
                        connection,
                    };
                    return Ok(PostAnswer {
                        response,
                        deadline,
                        lease: Some(lease),
                    });
                }
                Err(failure) => failure,
            };
            let unsent = failure.is_unprocessed || progress.was_never_sent();
            // If the connection was closed while it was idle, that shows nothing about the upstream, so a new connection is used.
            if !(unsent && was_idle) {
                return Err(TransportError {
                    unsent,
                    timed_out: false,
                    cause: failure.cause,
                });
            }
            // Later writes on the old connection have nothing to do with this request.
            *progress = ExchangeProgress::default();
        }
    }

    async fn connect(&self, target: &Target, pool: &Pool) -> Result<Connection, TransportError> {
        let made = self.0.connector.connect(target).await;
        let connection = made.map_err(TransportError::unsent)?;
        pool.share(&connection);
        Ok(connection)
    }

    /// Closes connections that have been idle for too long. Has to be called every few seconds.
    pub fn close_idle(&self, now: Instant) {
        for pool in &self.0.pools {
            pool.close_idle(now);
        }
    }
}

/// The progress of an exchange.
#[derive(Default)]
struct ExchangeProgress {
    /// The connection that has the request, and its number of writes before the request; `None` as long as no connection has the
    /// request.
    sent_on: Option<(WriteCount, u64)>,
    /// True if other requests use the same connection, so that its writes may belong to them.
    is_shared: bool,
}

impl ExchangeProgress {
    fn begin(&mut self, connection: &Connection) {
        self.is_shared = connection.version() == Version::HTTP_2;
        self.sent_on = Some((connection.writes.clone(), connection.writes.now()));
    }

    /// Returns whether no byte of an abandoned request has left or will leave. An HTTP/2 connection that has the request sends it
    /// as soon as the upstream lets it open a stream, and the request can't be taken back.
    fn is_certainly_unsent(&self) -> bool {
        match &self.sent_on {
            Some(_) if self.is_shared => false,
            _ => self.was_never_sent(),
        }
    }

    /// Returns whether no byte of a request has left, after its connection has given the request up.
    fn was_never_sent(&self) -> bool {
        match &self.sent_on {
            None => true,
            Some((writes, before)) if self.is_shared => writes.now() == *before,
            Some((writes, before)) => writes.seal_unless_written_since(*before),
        }
    }
}

/// The connection from which an answer is read.
struct Lease {
    client: PostClient,
    index: usize,
    connection: Connection,
}

impl Lease {
    fn return_connection(self) {
        let Lease {
            client,
            index,
            connection,
        } = self;
        client.0.pools[index].put(connection, Instant::now());
    }
}

/// The head of an answer whose body has not been read yet. Dropped before the end of the body, it closes an HTTP/1.1 connection.
pub struct PostAnswer {
    response: Response<Incoming>,
    deadline: Instant,
    lease: Option<Lease>,
}

impl PostAnswer {
    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Returns the headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Reads the body of at most `bytes_max` bytes, counted after decompression. A large body waits at most `wait` for a permit.
    ///
    /// # Errors
    /// The body is larger, breaks off or takes too long, can't be decompressed, or too many other large bodies are being read.
    pub async fn body(&mut self, bytes_max: usize, wait: Duration) -> Result<Bytes, BodyError> {
        let deadline = Some(self.deadline);
        read_body(self, bytes_max, RoomWait { wait, deadline }).await
    }
}

/// Waits for `awaited` until the deadline. Nearly every body arrives together with its head and needs no timer.
async fn in_time<T>(awaited: impl Future<Output = T>, deadline: Instant) -> Result<T, Elapsed> {
    let mut awaited = pin!(awaited);
    match poll_immediate(awaited.as_mut()).await {
        Some(output) => Ok(output),
        None => tokio::time::timeout_at(deadline.into(), awaited).await,
    }
}

impl Chunks for PostAnswer {
    fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    fn content_length(&self) -> Option<u64> {
        self.response.body().size_hint().exact()
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, TransportError> {
        loop {
            let frame = self.response.body_mut().frame();
            // The connection was given back when the body ended.
            let Some(lease) = &mut self.lease else {
                return Ok(None);
            };
            let Ok(frame) = in_time(lease.connection.wait_for(frame), self.deadline).await else {
                return Err(TransportError {
                    unsent: false,
                    timed_out: true,
                    cause: "the answer did not end in time".to_owned(),
                });
            };
            match frame {
                Some(Ok(frame)) => {
                    // Other frames are trailers, which are ignored.
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => {
                    return Err(TransportError {
                        unsent: false,
                        timed_out: false,
                        cause: causes(&error),
                    });
                }
                None => {
                    if let Some(lease) = self.lease.take() {
                        lease.return_connection();
                    }
                    return Ok(None);
                }
            }
        }
    }
}
