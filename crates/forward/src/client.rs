//! The one place where HTTP clients are built: no redirects, no proxy from the environment, no silent resend, known roots,
//! bounded bodies.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use adapter::BodyBuffer;
use bytes::Bytes;
pub use reqwest::Client;
use reqwest::dns::Resolve;
use reqwest::header::ACCEPT_ENCODING;
use reqwest::{Certificate, ClientBuilder, Identity, Response, redirect};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::boxed::boxed;
use crate::coding::{self, Unpacking};

/// Which certificate authorities an upstream's certificate may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Mozilla's list, built in: works in an image without a CA bundle.
    Bundled,
    /// The machine's own list.
    System,
    /// The PEM files at these paths and nothing else.
    Files(Vec<PathBuf>),
}

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Whom to trust.
    pub roots: Roots,
    /// The PEM file with the client's own certificate and key, for servers that ask for one.
    pub identity: Option<PathBuf>,
    /// Longest wait for a connection, TLS and DNS included.
    pub connect_timeout: Duration,
    /// Longest wait for the whole answer.
    pub timeout: Duration,
}

/// Idle connections kept to one host; more calls than this at once open new ones.
const IDLE_CONNECTIONS_MAX: usize = 256;

/// How long an idle connection is kept: under the 60 s after which common servers close it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// What the files of roots held when they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pems(Vec<(PathBuf, Vec<u8>)>);

impl Pems {
    /// Reads them; there is nothing to read of other roots.
    ///
    /// # Errors
    /// A sentence, when one can't be read.
    pub(crate) fn read(roots: &Roots) -> Result<Pems, String> {
        let Roots::Files(paths) = roots else {
            return Ok(Pems::default());
        };
        let read = |path: &PathBuf| Ok((path.clone(), read_file(path)?));
        Ok(Pems(paths.iter().map(read).collect::<Result<_, String>>()?))
    }
}

/// Builds a client.
///
/// # Errors
/// A sentence, when the roots can't be read.
pub fn build(config: &ClientConfig) -> Result<Client, String> {
    build_with(config, &Pems::read(&config.roots)?)
}

/// Builds one that trusts what was read of its files.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_with(config: &ClientConfig, pems: &Pems) -> Result<Client, String> {
    finished(builder(config, pems)?)
}

/// Builds one that trusts nobody and finds addresses by a resolver of its own, for where there is no TLS.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_resolving(
    config: &ClientConfig,
    resolver: impl Resolve + 'static,
) -> Result<Client, String> {
    let builder = builder(config, &Pems::default())?;
    finished(builder.dns_resolver(Arc::new(resolver)))
}

fn builder(config: &ClientConfig, pems: &Pems) -> Result<ClientBuilder, String> {
    let builder = Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        // With none at all it makes no copy of a request beforehand.
        .retry(reqwest::retry::never().max_retries_per_request(0))
        .referer(false)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .connect_timeout(config.connect_timeout)
        .timeout(config.timeout);
    let builder = match &config.roots {
        Roots::System => builder,
        Roots::Bundled => builder.tls_certs_only(bundled_roots()),
        Roots::Files(_) => {
            let mut roots = Vec::new();
            for (path, pem) in &pems.0 {
                roots.extend(from_pem(path, pem, Certificate::from_pem_bundle)?);
            }
            builder.tls_certs_only(roots)
        }
    };
    Ok(match &config.identity {
        None => builder,
        Some(path) => builder.identity(from_pem(path, &read_file(path)?, Identity::from_pem)?),
    })
}

fn finished(builder: ClientBuilder) -> Result<Client, String> {
    builder.build().map_err(|error| {
        format!(
            "the HTTP client can't be built: {}",
            causes(&error.without_url())
        )
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn from_pem<T>(
    path: &Path,
    pem: &[u8],
    parse: impl Fn(&[u8]) -> reqwest::Result<T>,
) -> Result<T, String> {
    parse(pem).map_err(|_| format!("{}: no PEM", path.display()))
}

fn bundled_roots() -> Vec<Certificate> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .filter_map(|der| Certificate::from_der(der).ok())
        .collect()
}

/// A body of more than this, in bytes, is a large one. So few large ones are read at once, and so long another waits: an
/// upstream that sends what never ends is to cost no more memory for every call that it does so to.
const LARGE_BYTES: usize = 128 * 1024;
const LARGE_AT_ONCE: usize = 2;
const LARGE_WAIT_MAX: Duration = Duration::from_secs(5);

/// Who reads a large body. One for the process, as memory is.
static LARGE: Semaphore = Semaphore::const_new(LARGE_AT_ONCE);

/// Why a body could not be taken.
#[derive(Debug)]
pub enum BodyError {
    /// It is larger than allowed.
    TooLarge,
    /// It is a large one, and so are too many others.
    NoRoom,
    /// It is packed by gzip and can't be unpacked, or breaks off in there.
    Packed,
    /// It broke off or did not come in time.
    Broken(reqwest::Error),
}

/// Reads a body of at most `bytes_max` bytes, counted after decompression.
///
/// # Errors
/// When it is larger, breaks off or takes too long, can't be unpacked, or too many others are large.
pub async fn read_body(response: Response, bytes_max: usize) -> Result<Bytes, BodyError> {
    if response
        .content_length()
        .is_some_and(|announced| announced > bytes_max as u64)
    {
        return Err(BodyError::TooLarge);
    }
    match coding::layers(response.headers()) {
        0 => read_plain(response, bytes_max).await,
        // In a box: most answers are not packed, and don't carry its state along.
        layers => boxed(|| read_packed(response, layers, bytes_max)).await,
    }
}

async fn read_plain(mut response: Response, bytes_max: usize) -> Result<Bytes, BodyError> {
    let mut body = BodyBuffer::default();
    let mut turn = None;
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        if body.bytes() + chunk.len() > bytes_max {
            return Err(BodyError::TooLarge);
        }
        if body.bytes() + chunk.len() > LARGE_BYTES && turn.is_none() {
            turn = Some(turn_to_be_large().await?);
            // Room that is not used costs nothing, and growing step by step leaves the steps behind.
            body.make_room(bytes_max);
        }
        body.push(chunk);
    }
    Ok(body.whole())
}

async fn read_packed(
    mut response: Response,
    layers: usize,
    bytes_max: usize,
) -> Result<Bytes, BodyError> {
    let mut body = Unpacking::new(layers, bytes_max);
    let (mut turn, mut came) = (None, 0);
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        // What is packed is smaller than what it holds, but for a few bytes; a flood of empty blocks holds nothing.
        came += chunk.len();
        if came > bytes_max.saturating_mul(2) {
            return Err(BodyError::TooLarge);
        }
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            // Before it has a turn, no more at once than certainly makes no large body.
            let mut fits = body.fit(LARGE_BYTES);
            if fits == 0 && turn.is_none() {
                turn = Some(turn_to_be_large().await?);
                body.make_room(bytes_max);
            }
            if turn.is_some() {
                fits = rest.len();
            }
            let (piece, others) = rest.split_at(fits.min(rest.len()));
            body.push(piece)
                .map_err(|error| BodyError::unpacking(&error))?;
            rest = others;
        }
    }
    body.whole().map_err(|error| BodyError::unpacking(&error))
}

async fn turn_to_be_large() -> Result<SemaphorePermit<'static>, BodyError> {
    let waited = tokio::time::timeout(LARGE_WAIT_MAX, LARGE.acquire()).await;
    waited.ok().and_then(Result::ok).ok_or(BodyError::NoRoom)
}

impl BodyError {
    fn unpacking(error: &std::io::Error) -> BodyError {
        if error.kind() == coding::TOO_LARGE {
            BodyError::TooLarge
        } else {
            BodyError::Packed
        }
    }
}

/// An error and its causes on one line. The caller has taken the URL out: it may hold credentials.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}

/// A small GET for documents such as a JWKS: bounded in time and size.
///
/// # Errors
/// One line, without the URL.
pub async fn get_document(
    client: &Client,
    url: url::Url,
    bytes_max: usize,
) -> Result<String, String> {
    let response = client
        .get(url)
        .header(ACCEPT_ENCODING, "gzip")
        .send()
        .await
        .map_err(|error| causes(&error.without_url()))?;
    let status = response.status();
    let text = text_of(response, bytes_max).await?;
    if status.is_success() {
        Ok(text)
    } else {
        Err(format!("status {}: {}", status.as_u16(), excerpt(&text)))
    }
}

/// So much of what somebody else has answered goes into a message of ours, in characters: enough to see what it is.
const EXCERPT_CHARACTERS_MAX: usize = 200;

/// The beginning of what somebody else has answered, for the log: bounded, on one line, and without characters that would
/// steer a terminal.
#[must_use]
pub fn excerpt(text: &str) -> String {
    let mut excerpt: String = text
        .chars()
        .take(EXCERPT_CHARACTERS_MAX)
        .map(|c| if steers(c) { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(EXCERPT_CHARACTERS_MAX).is_some() {
        excerpt.push('…');
    }
    excerpt
}

/// Whether a character moves the cursor, or turns the direction of writing.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The body as text, whatever its status.
pub(crate) async fn text_of(response: Response, bytes_max: usize) -> Result<String, String> {
    let body = read_body(response, bytes_max)
        .await
        .map_err(|error| match error {
            BodyError::TooLarge => format!("the answer is larger than {bytes_max} bytes"),
            BodyError::NoRoom => "too many answers are large".to_owned(),
            BodyError::Packed => "the answer can't be unpacked".to_owned(),
            BodyError::Broken(error) => causes(&error.without_url()),
        })?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_on_one_line_and_steers_nothing() {
        assert_eq!(excerpt("not found"), "not found");
        assert_eq!(
            excerpt("a\r\nb\u{1b}[2J\u{202e}c"),
            "a\u{fffd}\u{fffd}b\u{fffd}[2J\u{fffd}c"
        );
        let long = excerpt(&"ä".repeat(300_000));
        assert_eq!(long.chars().count(), EXCERPT_CHARACTERS_MAX + 1);
        assert!(long.ends_with('…'));
    }
}
