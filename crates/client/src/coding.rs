//! Decompresses an answer (RFC 9110, 8.4). Supports gzip, the only coding that we ask for, with any number of members (RFC 1952,
//! 2.2). The answer is decompressed piece by piece, so that an answer that grows too large is abandoned early.

use std::io::{self, Write};

use bytes::{Bytes, BytesMut};
use flate2::write::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// Maximum number of codings that one answer may have on top of each other. A proxy may compress again what a server has
/// compressed; more than that does not occur.
const LAYERS_MAX: usize = 2;

/// Maximum number of bytes that deflate can produce from one byte.
const GROWTH_MAX: usize = 1032;

/// Returns how many times the answer is compressed by gzip. An answer with another coding, which was not asked for, is taken as it
/// is.
pub(crate) fn layers(headers: &HeaderMap) -> usize {
    let mut layers = 0;
    for line in headers.get_all(CONTENT_ENCODING) {
        // A list, in which empty elements are ignored (RFC 9110, 5.6.1).
        let line = line.to_str().unwrap_or_default();
        for coding in line.split(',').map(str::trim) {
            if coding.is_empty() || coding.eq_ignore_ascii_case("identity") {
                continue;
            }
            let is_gzip = ["gzip", "x-gzip"]
                .iter()
                .any(|name| coding.eq_ignore_ascii_case(name));
            layers += 1;
            if !is_gzip || layers > LAYERS_MAX {
                return 0;
            }
        }
    }
    layers
}

/// A compressed answer that is being received.
pub(crate) struct BodyDecoder(Layers);

enum Layers {
    One(Box<MultiGzDecoder<Unpacked>>),
    Two(Box<MultiGzDecoder<MultiGzDecoder<Unpacked>>>),
}

/// The decompressed part of the body so far.
struct Unpacked {
    body: BytesMut,
    bytes_max: usize,
}

/// The kind of error for an answer whose content is larger than allowed.
pub(crate) const TOO_LARGE: io::ErrorKind = io::ErrorKind::FileTooLarge;

impl Write for Unpacked {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.body.len() + piece.len() > self.bytes_max {
            return Err(TOO_LARGE.into());
        }
        self.body.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BodyDecoder {
    /// Creates the state for an answer with this number of layers that may decompress to this number of bytes.
    pub(crate) fn new(layers: usize, bytes_max: usize) -> BodyDecoder {
        let unpacked = MultiGzDecoder::new(Unpacked {
            body: BytesMut::new(),
            bytes_max,
        });
        BodyDecoder(match layers {
            0 | 1 => Layers::One(Box::new(unpacked)),
            _ => Layers::Two(Box::new(MultiGzDecoder::new(unpacked))),
        })
    }

    /// Returns how many further bytes can be pushed such that the decompressed body certainly stays within `room` bytes.
    pub(crate) fn fit(&self, room: usize) -> usize {
        match &self.0 {
            Layers::One(one) => room.saturating_sub(one.get_ref().body.len()) / GROWTH_MAX,
            Layers::Two(_) => 0,
        }
    }

    /// Reserves memory for this number of bytes in total.
    pub(crate) fn make_room(&mut self, bytes: usize) {
        let unpacked = match &mut self.0 {
            Layers::One(one) => one.get_mut(),
            Layers::Two(two) => two.get_mut().get_mut(),
        };
        let more = bytes.saturating_sub(unpacked.body.len());
        unpacked.body.reserve(more);
    }

    /// Decompresses a piece.
    ///
    /// # Errors
    /// [`TOO_LARGE`], or the error in the data.
    pub(crate) fn push(&mut self, piece: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            Layers::One(one) => one.write_all(piece),
            Layers::Two(two) => two.write_all(piece),
        }
    }

    /// Returns the whole body.
    ///
    /// # Errors
    /// [`TOO_LARGE`], or the error in the data. Incomplete data is an error.
    pub(crate) fn whole(self) -> io::Result<Bytes> {
        let unpacked = match self.0 {
            Layers::One(one) => one.finish()?,
            Layers::Two(two) => two.finish()?.finish()?,
        };
        Ok(unpacked.body.freeze())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn unpacked(layers: usize, packed: &[u8], piece: usize) -> io::Result<Bytes> {
        let mut unpacking = BodyDecoder::new(layers, 1000);
        for piece in packed.chunks(piece) {
            unpacking.push(piece)?;
        }
        unpacking.whole()
    }

    #[test]
    fn gzip_layers_are_counted_from_content_encoding_in_any_case() {
        let check = |lines: &[&str], expected| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CONTENT_ENCODING, line.parse().unwrap());
            }
            assert_eq!(layers(&headers), expected, "{lines:?}");
        };
        for one in [
            "gzip",
            "GZIP",
            "x-gzip",
            "X-GZip",
            " gzip ,",
            "identity, gzip",
        ] {
            check(&[one], 1);
        }
        check(&["gzip, x-gzip"], 2);
        check(&["gzip", "gzip"], 2);
        for other in [
            "",
            "identity",
            "br",
            "deflate",
            "gzip, br",
            "utf-8",
            "gzip, gzip, gzip",
        ] {
            check(&[other], 0);
        }
        check(&[], 0);
    }

    #[test]
    fn gzip_members_and_layers_are_decompressed_from_chunks_of_any_size() {
        let two_members = [packed(b"one "), packed(b"two")].concat();
        let twice = packed(&two_members);
        for piece in [1, 2, 7, 1000] {
            assert_eq!(unpacked(1, &two_members, piece).unwrap(), "one two");
            assert_eq!(unpacked(2, &twice, piece).unwrap(), "one two");
            assert_eq!(unpacked(1, &packed(b""), piece).unwrap(), "");
        }
    }

    #[test]
    fn truncated_or_invalid_gzip_data_is_rejected() {
        let members = [packed(b"one "), packed(b"two")].concat();
        let whole = [packed(b"one ").len(), members.len()];
        for length in (0..members.len()).filter(|length| !whole.contains(length)) {
            assert!(unpacked(1, &members[..length], 5).is_err(), "{length}");
        }
        let followed = [members.clone(), b"{}".to_vec()].concat();
        assert!(unpacked(1, &followed, 5).is_err());
        assert!(unpacked(1, b"{\"status\":\"SUCCESS\"}", 5).is_err());
        let mut wrong_sum = members;
        *wrong_sum.last_mut().unwrap() ^= 1;
        assert!(unpacked(1, &wrong_sum, 5).is_err());
    }

    #[test]
    fn decompression_fails_if_the_output_exceeds_its_limit() {
        let bomb = packed(&[b' '; 100_000]);
        let error = unpacked(1, &bomb, 16).unwrap_err();
        assert_eq!(error.kind(), TOO_LARGE);
        let error = unpacked(2, &packed(&bomb), 16).unwrap_err();
        assert_eq!(error.kind(), TOO_LARGE);
        assert_eq!(unpacked(1, &packed(&[b' '; 1000]), 16).unwrap().len(), 1000);
    }
}
