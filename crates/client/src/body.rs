//! Bodies of answers: read up to a bound, unpacked, and few large ones at once.

use std::time::Duration;

use adapter::BodyBuffer;
use bytes::Bytes;
use http::HeaderMap;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::coding::{self, Unpacking};
use crate::error::TransportError;

/// A body of more bytes than this is a large one. An upstream that sends endless answers must not cost more memory with every
/// call, so few large bodies are read at once, and another one waits at most for this long.
const LARGE_BYTES: usize = 128 * 1024;
const LARGE_AT_ONCE: usize = 2;
const LARGE_WAIT_MAX: Duration = Duration::from_secs(5);

/// The permits to read a large body. One semaphore for the process, as memory is.
static LARGE: Semaphore = Semaphore::const_new(LARGE_AT_ONCE);

/// Why a body could not be read.
#[derive(Debug)]
pub enum BodyError {
    /// It is larger than allowed.
    TooLarge,
    /// It is a large one, and too many others are read at this moment.
    NoRoom,
    /// It is packed by gzip and can't be unpacked, or breaks off in there.
    Packed,
    /// The connection broke off, or the rest did not come in time.
    Broken(TransportError),
}

/// An answer that comes piece by piece.
pub(crate) trait Chunks {
    /// Its headers.
    fn headers(&self) -> &HeaderMap;

    /// How many bytes are said to come.
    fn announced(&self) -> Option<u64>;

    /// The next piece, or nothing at the end.
    async fn chunk(&mut self) -> Result<Option<Bytes>, TransportError>;
}

impl Chunks for reqwest::Response {
    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn announced(&self) -> Option<u64> {
        self.content_length()
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, TransportError> {
        Ok(self.chunk().await?)
    }
}

/// Reads a body of at most `bytes_max` bytes, counted after decompression.
///
/// # Errors
/// When it is larger, breaks off or takes too long, can't be unpacked, or too many others are large.
pub(crate) async fn read_body(
    response: &mut impl Chunks,
    bytes_max: usize,
) -> Result<Bytes, BodyError> {
    let announced = response.announced();
    if announced.is_some_and(|announced| announced > bytes_max as u64) {
        return Err(BodyError::TooLarge);
    }
    match coding::layers(response.headers()) {
        0 => read_plain(response, bytes_max).await,
        // In a box: most answers are not packed, and don't carry its state along.
        layers => Box::pin(read_packed(response, layers, bytes_max)).await,
    }
}

async fn read_plain(response: &mut impl Chunks, bytes_max: usize) -> Result<Bytes, BodyError> {
    let mut body = BodyBuffer::default();
    let mut permit = None;
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        if body.bytes() + chunk.len() > bytes_max {
            return Err(BodyError::TooLarge);
        }
        if body.bytes() + chunk.len() > LARGE_BYTES && permit.is_none() {
            permit = Some(large_permit().await?);
            // Room that is not used costs nothing, and growing step by step leaves the steps behind.
            body.make_room(bytes_max);
        }
        body.push(chunk);
    }
    Ok(body.whole())
}

async fn read_packed(
    response: &mut impl Chunks,
    layers: usize,
    bytes_max: usize,
) -> Result<Bytes, BodyError> {
    let mut body = Unpacking::new(layers, bytes_max);
    let (mut permit, mut received) = (None, 0);
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        // A packed body is smaller than what it holds, but for a few bytes; a flood of empty blocks holds nothing.
        received += chunk.len();
        if received > bytes_max.saturating_mul(2) {
            return Err(BodyError::TooLarge);
        }
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            // Before it has a permit, no more at once than certainly makes no large body.
            let mut fits = body.fit(LARGE_BYTES);
            if fits == 0 && permit.is_none() {
                permit = Some(large_permit().await?);
                body.make_room(bytes_max);
            }
            if permit.is_some() {
                fits = rest.len();
            }
            let (piece, others) = rest.split_at(fits.min(rest.len()));
            body.push(piece).map_err(|error| unpacking(&error))?;
            rest = others;
        }
    }
    body.whole().map_err(|error| unpacking(&error))
}

async fn large_permit() -> Result<SemaphorePermit<'static>, BodyError> {
    let waited = tokio::time::timeout(LARGE_WAIT_MAX, LARGE.acquire()).await;
    waited.ok().and_then(Result::ok).ok_or(BodyError::NoRoom)
}

fn unpacking(error: &std::io::Error) -> BodyError {
    if error.kind() == coding::TOO_LARGE {
        BodyError::TooLarge
    } else {
        BodyError::Packed
    }
}
