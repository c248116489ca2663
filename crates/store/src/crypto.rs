//! Random bytes and digests, for the crates above this one that contain no cryptography.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;

use crate::StoreError;

/// Returns this number of random bytes.
///
/// # Errors
/// When the system returns no randomness.
pub fn random_bytes(count: usize) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![0; count];
    rand::fill(&mut bytes).map_err(|_| StoreError::new("the system returns no random bytes"))?;
    Ok(bytes)
}

/// Returns the SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest(&SHA256, bytes).as_ref());
    sum
}
