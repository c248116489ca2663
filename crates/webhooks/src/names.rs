//! Makes ids of webhooks and of tests, and converts times to positions.

use aws_lc_rs::rand;
use store::{Position, StoreError};

use crate::draft::WebhookError;

/// Returns the first position of a time.
pub(crate) fn position_at(ms: i64) -> u64 {
    Position::first_at(ms).number().unsigned_abs()
}

/// Returns the prefix followed by 20 random base32 characters, which are lower-case letters and digits.
pub(crate) fn new_name(prefix: &str) -> Result<String, WebhookError> {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut bytes = [0; 20];
    rand::fill(&mut bytes).map_err(|_| failed("the system returns no random bytes".to_owned()))?;
    let random = bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    Ok(prefix.chars().chain(random).collect())
}

pub(crate) fn failed(text: String) -> WebhookError {
    WebhookError::Store(StoreError::new(text))
}
