//! A buffer for a body that arrives in chunks. Nearly every body is one chunk, and the buffer returns that chunk without a copy.

use bytes::{Bytes, BytesMut};

/// The chunks of a body that have arrived so far.
#[derive(Debug, Default)]
pub struct BodyBuffer {
    first: Bytes,
    rest: Option<BytesMut>,
}

impl BodyBuffer {
    /// Returns the number of bytes that have arrived.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.rest.as_ref().map_or(self.first.len(), BytesMut::len)
    }

    /// Appends a chunk. The caller limits the size of the body.
    pub fn push(&mut self, chunk: Bytes) {
        match &mut self.rest {
            Some(rest) => rest.extend_from_slice(&chunk),
            None if self.first.is_empty() => self.first = chunk,
            None => {
                let mut joined = BytesMut::from(self.first.as_ref());
                joined.extend_from_slice(&chunk);
                self.rest = Some(joined);
            }
        }
    }

    /// Reserves capacity for a large body of `bytes` bytes in total.
    pub fn make_room(&mut self, bytes: usize) {
        let first = std::mem::take(&mut self.first);
        let rest = self.rest.get_or_insert_with(|| {
            let mut rest = BytesMut::with_capacity(bytes);
            rest.extend_from_slice(&first);
            rest
        });
        rest.reserve(bytes.saturating_sub(rest.len()));
    }

    /// Returns the whole body.
    #[must_use]
    pub fn whole(self) -> Bytes {
        self.rest.map_or(self.first, BytesMut::freeze)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_chunks_are_joined_in_order() {
        for whole in ["", "a", "ab", "abcd"] {
            let mut buffer = BodyBuffer::default();
            for at in 0..whole.len() {
                buffer.push(Bytes::copy_from_slice(&whole.as_bytes()[at..=at]));
                assert_eq!(buffer.bytes(), at + 1);
                if at == 1 {
                    buffer.make_room(whole.len());
                }
            }
            assert_eq!(buffer.whole(), whole);
        }
    }
}
