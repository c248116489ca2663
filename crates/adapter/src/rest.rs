//! The rest of a body that is too long to be built in one piece. It is written while the client reads it.

use std::fmt;

use bytes::Bytes;

use crate::response::Response;

/// The size of one slice of a shared text, in bytes. A connection's buffer accepts one slice.
const SLICE_BYTES: usize = 64 * 1024;

/// The bytes that follow the beginning of a long body.
pub struct BodyRest {
    bytes: u64,
    pieces: Box<dyn Iterator<Item = Bytes> + Send>,
}

impl BodyRest {
    /// Creates a rest from pieces that have `bytes` bytes in total. No piece may be empty.
    #[must_use]
    pub fn new(bytes: u64, pieces: impl Iterator<Item = Bytes> + Send + 'static) -> BodyRest {
        BodyRest {
            bytes,
            pieces: Box::new(pieces),
        }
    }

    /// Creates a rest that is a shared result, without a copy of it, followed by `end`.
    #[must_use]
    pub fn result(response: Response, end: String) -> BodyRest {
        let bytes = (response.bytes() + end.len()) as u64;
        let mut text = Bytes::from_owner(Shared(response));
        let slices = std::iter::from_fn(move || {
            let slice = text.split_to(text.len().min(SLICE_BYTES));
            (!slice.is_empty()).then_some(slice)
        });
        let end = Some(Bytes::from(end)).filter(|end| !end.is_empty());
        BodyRest::new(bytes, slices.chain(end))
    }

    /// Returns the number of remaining bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Iterator for BodyRest {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let piece = self.pieces.next()?;
        self.bytes = self.bytes.saturating_sub(piece.len() as u64);
        Some(piece)
    }
}

impl fmt::Debug for BodyRest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest").field("bytes", &self.bytes).finish()
    }
}

struct Shared(Response);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.result().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slices_of_a_long_result_add_up_to_the_announced_body() {
        for length in [1, SLICE_BYTES, SLICE_BYTES + 1, 3 * SLICE_BYTES] {
            let text = "1".repeat(length);
            let response = Response::of(&text).unwrap();
            let mut rest = BodyRest::result(response, "}".to_owned());
            assert_eq!(rest.bytes(), length as u64 + 1);
            let pieces: Vec<_> = rest.by_ref().collect();
            assert!(pieces.iter().all(|piece| !piece.is_empty()));
            assert_eq!(pieces.concat(), format!("{text}}}").into_bytes());
            assert_eq!(rest.bytes(), 0);
        }
    }
}
