//! Forms posted to an upstream, and how that can end: all that the way to the upstream needs of an HTTP engine.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

use crate::body::{BodyError, read_body};
use crate::client::{Client, ClientConfig, RootFiles, Roots, builder, finish};
use crate::error::TransportError;
use crate::short_hosts::{ShortHosts, Target, targets};

/// Builds the clients of one upstream. The files of roots are read once, for all of them.
pub struct ClientFactory {
    config: ClientConfig,
    files: RootFiles,
    short_hosts: Option<ShortHosts>,
}

impl ClientFactory {
    /// Reads the files of roots, and names the targets of these URLs in their order.
    ///
    /// # Errors
    /// A sentence, when a file can't be read.
    pub fn new(config: ClientConfig, urls: &[Url]) -> Result<(ClientFactory, Vec<Target>), String> {
        let (targets, short_hosts) = targets(urls);
        let roots = match &short_hosts {
            // Without TLS there is nobody to trust, and a list is a megabyte for each client.
            Some(_) => Roots::Files(Vec::new()),
            None => config.roots.clone(),
        };
        let factory = ClientFactory {
            files: RootFiles::read(&roots)?,
            config: ClientConfig { roots, ..config },
            short_hosts,
        };
        Ok((factory, targets))
    }

    /// Builds a client with connections of its own.
    ///
    /// # Errors
    /// A sentence, when it can't be built.
    pub fn build(&self) -> Result<Client, String> {
        let builder = builder(&self.config, &self.files)?;
        finish(match &self.short_hosts {
            Some(short_hosts) => builder.dns_resolver(Arc::new(short_hosts.clone())),
            None => builder,
        })
    }

    /// Whether the files of roots still hold what was read.
    ///
    /// # Errors
    /// A sentence, when a file can't be read.
    pub fn is_current(&self) -> Result<bool, String> {
        Ok(self.files == RootFiles::read(&self.config.roots)?)
    }
}

/// The head of an answer, whose body has not been read yet.
pub struct PostAnswer(reqwest::Response);

impl Client {
    /// Posts a form to a target, once. `timeout` takes the place of the client's own.
    ///
    /// # Errors
    /// When no head of an answer came.
    pub async fn post(
        &self,
        target: &Target,
        authorization: Option<HeaderValue>,
        form: String,
        timeout: Option<Duration>,
    ) -> Result<PostAnswer, TransportError> {
        let mut request = reqwest::Request::new(Method::POST, target.url.clone());
        *request.body_mut() = Some(form.into());
        *request.headers_mut() = target.headers.clone();
        if let Some(authorization) = authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        // The client's own timeout applies unless another one is set.
        if timeout.is_some() {
            *request.timeout_mut() = timeout;
        }
        let answer = self.0.execute(request).await;
        Ok(PostAnswer(answer?))
    }
}

impl PostAnswer {
    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// Its headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// Reads its body of at most `bytes_max` bytes, counted after decompression.
    ///
    /// # Errors
    /// When it is larger, breaks off or takes too long, can't be unpacked, or too many others are large.
    pub async fn body(self, bytes_max: usize) -> Result<Bytes, BodyError> {
        read_body(self.0, bytes_max).await
    }
}
