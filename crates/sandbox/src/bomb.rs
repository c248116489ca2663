//! A gzip body that is small on the wire and large unpacked, written without a compressor.
//!
//! RFC 1951 with fixed Huffman codes: one literal space, then copies of 258 bytes from one byte back, 13 bits each.

/// Number of bytes that one copy unpacks to, which is the maximum in the format.
const COPY_BYTES: usize = 258;

/// Magic number, deflate, no flags, no time, no hints, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Returns at least `bytes` bytes of white space, packed to about a hundred-and-sixtieth of that size.
#[must_use]
pub fn gzip_bomb(bytes: usize) -> Vec<u8> {
    let copies = bytes.div_ceil(COPY_BYTES);
    let unpacked = 1 + copies * COPY_BYTES;
    let mut bits = Bits(HEADER.to_vec(), 0, 0);
    bits.low_first(0b1, 1); // The last block.
    bits.low_first(0b01, 2); // Fixed codes.
    bits.code(0x30 + u32::from(b' '), 8);
    for _ in 0..copies {
        bits.code(0b1100_0101, 8); // Length 258.
        bits.code(0, 5); // Distance 1.
    }
    bits.code(0, 7); // End of block.
    let mut packed = bits.finish();
    packed.extend(crc32_of_spaces(unpacked).to_le_bytes());
    packed.extend((unpacked as u32).to_le_bytes());
    packed
}

/// Finished bytes, the bits not written yet, and the number of these bits.
struct Bits(Vec<u8>, u32, u32);

impl Bits {
    /// Appends a number, lowest bit first.
    fn low_first(&mut self, bits: u32, count: u32) {
        self.1 |= bits << self.2;
        self.2 += count;
        while self.2 >= 8 {
            self.0.push(self.1 as u8);
            self.1 >>= 8;
            self.2 -= 8;
        }
    }

    /// Appends a Huffman code, highest bit first.
    fn code(&mut self, code: u32, count: u32) {
        self.low_first(code.reverse_bits() >> (32 - count), count);
    }

    fn finish(mut self) -> Vec<u8> {
        if self.2 > 0 {
            self.0.push(self.1 as u8);
        }
        self.0
    }
}

/// Returns the checksum of this number of spaces. Appending n bytes is an affine map of the register, so the maps of 1, 2, 4 …
/// spaces are enough, and a hundred million bytes take 27 steps.
fn crc32_of_spaces(mut count: usize) -> u32 {
    let one = |register: u32| {
        (0..8).fold(register ^ u32::from(b' '), |r, _| {
            (r >> 1) ^ (0xedb8_8320 & (r & 1).wrapping_neg())
        })
    };
    // The affine map of one space: the image of each single bit, and the constant that is added.
    let constant = one(0);
    let mut map: [u32; 32] = std::array::from_fn(|bit| one(1 << bit) ^ constant);
    let mut added = constant;
    let apply = |map: &[u32; 32], register: u32| {
        (0..32).fold(0, |sum, bit| {
            sum ^ (map[bit] & (register >> bit & 1).wrapping_neg())
        })
    };
    let mut register = u32::MAX;
    while count > 0 {
        if count & 1 == 1 {
            register = apply(&map, register) ^ added;
        }
        added ^= apply(&map, added);
        map = map.map(|column| apply(&map, column));
        count >>= 1;
    }
    !register
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spaces: usize, crc32: u32) {
        assert_eq!(crc32_of_spaces(spaces), crc32);
    }

    #[test]
    fn the_checksum_matches_zlib() {
        check(0, 0);
        check(1, 0xe96c_cf45);
        check(259, 0xb950_a881);
        check(104_857_909, 0x98e6_b9e2);
    }

    #[test]
    fn gzip_bomb_produces_valid_gzip_bytes() {
        // Verified with zlib: `gzip.decompress` returns 259 spaces.
        assert_eq!(
            gzip_bomb(1),
            [
                0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0x53, 0x18, 0x05, 0x00,
                0x81, 0xa8, 0x50, 0xb9, 0x03, 0x01, 0x00, 0x00
            ]
        );
        assert!(gzip_bomb(100 * 1024 * 1024).len() < 700_000);
    }
}
