//! Reads bodies of answers up to a size limit and decompresses them. Few large bodies are read at the same time.

use std::time::{Duration, Instant};

use adapter::BodyBuffer;
use bytes::Bytes;
use http::HeaderMap;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::coding::{self, BodyDecoder};
use crate::error::TransportError;

/// A body of more bytes than this counts as large. An upstream that sends endless answers must not cost more memory with every
/// call, so only a few large bodies are read at the same time, and others wait.
const LARGE_BYTES: usize = 128 * 1024;
const CONCURRENT_LARGE_MAX: usize = 2;

/// The time for which a large body waits for a permit if the request can be repeated. Other bodies are read within seconds.
pub const ROOM_WAIT: Duration = Duration::from_secs(5);

/// The permits to read a large body. The process has one semaphore, because it has one memory.
static LARGE: Semaphore = Semaphore::const_new(CONCURRENT_LARGE_MAX);

/// The reason why a body could not be read.
#[derive(Debug)]
pub enum BodyError {
    /// The body is larger than allowed.
    TooLarge,
    /// The body is large, and too many other large bodies were being read for as long as it could wait.
    NoRoom,
    /// The body is compressed by gzip, and is damaged or incomplete.
    Packed,
    /// The connection broke, or the rest of the body did not arrive in time.
    Broken(TransportError),
}

/// An answer that arrives in pieces.
pub(crate) trait Chunks {
    /// Returns the headers of the answer.
    fn headers(&self) -> &HeaderMap;

    /// Returns the announced length of the body in bytes, if the answer announces one.
    fn content_length(&self) -> Option<u64>;

    /// Returns the next piece, or `None` at the end.
    async fn chunk(&mut self) -> Result<Option<Bytes>, TransportError>;
}

impl Chunks for reqwest::Response {
    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn content_length(&self) -> Option<u64> {
        self.content_length()
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, TransportError> {
        Ok(self.chunk().await?)
    }
}

/// The limits on the time that a large body waits for a permit.
#[derive(Clone, Copy)]
pub(crate) struct RoomWait {
    pub(crate) wait: Duration,
    /// The time by which the whole body has to be read; `None` if the caller enforces a deadline itself.
    pub(crate) deadline: Option<Instant>,
}

/// Reads a body of at most `bytes_max` bytes, counted after decompression.
///
/// # Errors
/// The body is larger, breaks off or takes too long, can't be decompressed, or too many other large bodies are being read.
pub(crate) async fn read_body(
    response: &mut impl Chunks,
    bytes_max: usize,
    room_wait: RoomWait,
) -> Result<Bytes, BodyError> {
    let announced = response.content_length();
    if announced.is_some_and(|announced| announced > bytes_max as u64) {
        return Err(BodyError::TooLarge);
    }
    match coding::layers(response.headers()) {
        0 => read_plain(response, bytes_max, room_wait).await,
        // Boxed, because most answers are not compressed and need not carry this state.
        layers => Box::pin(read_packed(response, layers, bytes_max, room_wait)).await,
    }
}

async fn read_plain(
    response: &mut impl Chunks,
    bytes_max: usize,
    room_wait: RoomWait,
) -> Result<Bytes, BodyError> {
    let mut body = BodyBuffer::default();
    let mut permit = None;
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        if body.bytes() + chunk.len() > bytes_max {
            return Err(BodyError::TooLarge);
        }
        if body.bytes() + chunk.len() > LARGE_BYTES && permit.is_none() {
            permit = Some(large_permit(room_wait).await?);
            // Reserved memory that is not used costs nothing, and growing step by step would leave fragments behind.
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
    room_wait: RoomWait,
) -> Result<Bytes, BodyError> {
    let mut body = BodyDecoder::new(layers, bytes_max);
    let (mut permit, mut received) = (None, 0);
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        // A compressed body is smaller than its content, apart from a few bytes. A flood of empty blocks has no content.
        received += chunk.len();
        if received > bytes_max.saturating_mul(2) {
            return Err(BodyError::TooLarge);
        }
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            // Without a permit, decompresses only as many bytes at a time as certainly do not make a large body.
            let mut fits = body.fit(LARGE_BYTES);
            if fits == 0 && permit.is_none() {
                permit = Some(large_permit(room_wait).await?);
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

async fn large_permit(room_wait: RoomWait) -> Result<SemaphorePermit<'static>, BodyError> {
    let RoomWait { wait, deadline } = room_wait;
    let waits_until = Instant::now() + wait;
    let until = deadline.map_or(waits_until, |deadline| deadline.min(waits_until));
    let waited = tokio::time::timeout_at(until.into(), LARGE.acquire()).await;
    waited.ok().and_then(Result::ok).ok_or(BodyError::NoRoom)
}

fn unpacking(error: &std::io::Error) -> BodyError {
    if error.kind() == coding::TOO_LARGE {
        BodyError::TooLarge
    } else {
        BodyError::Packed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer in one piece that is just large enough to count as large.
    struct Large {
        headers: HeaderMap,
        is_read: bool,
    }

    impl Chunks for Large {
        fn headers(&self) -> &HeaderMap {
            &self.headers
        }

        fn content_length(&self) -> Option<u64> {
            None
        }

        async fn chunk(&mut self) -> Result<Option<Bytes>, TransportError> {
            let is_first = !std::mem::replace(&mut self.is_read, true);
            Ok(is_first.then(|| Bytes::from(vec![b' '; LARGE_BYTES + 1])))
        }
    }

    async fn read(wait: Duration, deadline: Option<Instant>) -> Result<Bytes, BodyError> {
        let mut large = Large {
            headers: HeaderMap::new(),
            is_read: false,
        };
        read_body(&mut large, 2 * LARGE_BYTES, RoomWait { wait, deadline }).await
    }

    #[tokio::test]
    async fn a_large_body_waits_for_room_no_longer_than_its_deadline() {
        let others = LARGE
            .acquire_many(CONCURRENT_LARGE_MAX as u32)
            .await
            .unwrap();
        let began = Instant::now();
        let late = read(ROOM_WAIT, Some(began)).await;
        assert!(matches!(late, Err(BodyError::NoRoom)));
        assert!(began.elapsed() < ROOM_WAIT);
        // It also waits no longer than `wait`, whatever its deadline is.
        let hasty = read(Duration::ZERO, None).await;
        assert!(matches!(hasty, Err(BodyError::NoRoom)));
        let patient = read(ROOM_WAIT, Some(began + ROOM_WAIT));
        let (whole, ()) = tokio::join!(patient, async { drop(others) });
        assert_eq!(whole.unwrap().len(), LARGE_BYTES + 1);
    }
}
