//! A body that comes in pieces. Nearly every one comes in a single piece, which is then taken as it is.

use bytes::{Bytes, BytesMut};

/// What has come so far.
#[derive(Debug, Default)]
pub struct Pieces {
    first: Bytes,
    rest: Option<BytesMut>,
}

impl Pieces {
    /// How much has come, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.rest.as_ref().map_or(self.first.len(), BytesMut::len)
    }

    /// One more piece. Whoever calls this has bounded how much may come.
    pub fn push(&mut self, piece: Bytes) {
        match &mut self.rest {
            Some(rest) => rest.extend_from_slice(&piece),
            None if self.first.is_empty() => self.first = piece,
            None => {
                let mut joined = BytesMut::from(self.first.as_ref());
                joined.extend_from_slice(&piece);
                self.rest = Some(joined);
            }
        }
    }

    /// Makes room for so many bytes in all, for a body that is large.
    pub fn make_room(&mut self, bytes: usize) {
        let first = std::mem::take(&mut self.first);
        let rest = self.rest.get_or_insert_with(|| {
            let mut rest = BytesMut::with_capacity(bytes);
            rest.extend_from_slice(&first);
            rest
        });
        rest.reserve(bytes.saturating_sub(rest.len()));
    }

    /// All of it.
    #[must_use]
    pub fn whole(self) -> Bytes {
        self.rest.map_or(self.first, BytesMut::freeze)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_together_in_their_order() {
        for whole in ["", "a", "ab", "abcd"] {
            let mut pieces = Pieces::default();
            for at in 0..whole.len() {
                pieces.push(Bytes::copy_from_slice(&whole.as_bytes()[at..=at]));
                assert_eq!(pieces.bytes(), at + 1);
                if at == 1 {
                    pieces.make_room(whole.len());
                }
            }
            assert_eq!(pieces.whole(), whole);
        }
    }
}
