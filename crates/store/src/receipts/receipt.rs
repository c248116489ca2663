//! The types for receipts: the claim of a key, the receipt, and the settlement of a claim.

use aws_lc_rs::hmac;
use serde::Serialize;

/// Number of stored bytes of a key's hash: enough that no two keys of a gateway have the same hash.
const KEY_BYTES: usize = 16;

/// A send's claim of an idempotency key.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The client id of the access.
    pub client_id: String,
    /// The operation.
    pub method: &'static str,
    /// The key as the caller wrote it.
    pub key: String,
    /// SHA-256 of the canonical request.
    pub fingerprint: [u8; 32],
    /// The id of the request with the claim.
    pub request_id: String,
    /// The current time, in seconds since 1970, UTC.
    pub now: i64,
    /// Receipts that were made before this time have expired; in seconds since 1970, UTC.
    pub kept_since: i64,
    /// The room that receipts may take.
    pub room: ReceiptRoom,
}

/// The obstacle to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The key was already claimed.
    Known(Receipt),
    /// There is no room for another receipt.
    ReceiptsFull(ReceiptsFull),
}

/// The outcome of a send, and the answer that its caller got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The operation.
    pub method: String,
    /// The state of the send.
    pub state: ReceiptState,
    /// The id of the first request with this key.
    pub request_id: String,
    /// The creation time; seconds since 1970, UTC.
    #[serde(skip)]
    pub made_at: i64,
    /// SHA-256 of the canonical request.
    #[serde(skip)]
    pub fingerprint: [u8; 32],
    /// The result as JSON text if the message was sent, the code if the outcome is unknown; `None` while the send is in progress.
    #[serde(skip)]
    pub answer: Option<String>,
}

/// The state of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptState {
    /// The send is in progress.
    Open,
    /// The upstream has accepted the message.
    Sent,
    /// The outcome is unknown.
    Unknown,
}

impl ReceiptState {
    /// Returns the state for this word in the table.
    pub(crate) fn from_word(word: &str) -> Option<ReceiptState> {
        match word {
            "open" => Some(ReceiptState::Open),
            "sent" => Some(ReceiptState::Sent),
            "unknown" => Some(ReceiptState::Unknown),
            _ => None,
        }
    }
}

/// The settlement of a claimed key.
#[derive(Clone, Debug)]
pub enum Settlement {
    /// The upstream has accepted the message, with this result as JSON text.
    Sent(String),
    /// The outcome is unknown; the caller got this code.
    Unknown(&'static str),
    /// Nothing was sent, so that the key is free again.
    Free,
}

/// The room that receipts may take, in bytes of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptRoom {
    /// The room of the receipts of one access.
    pub per_access: i64,
    /// The room of the receipts of all accesses.
    pub all: i64,
}

/// The reason why a key can't be claimed: receipts that have not expired take all the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptsFull {
    /// True if the access's own receipts fill its room; false if the receipts of all accesses together fill theirs.
    pub own: bool,
    /// Time until the next attempt makes sense, in seconds; at least 1.
    pub retry_s: i64,
}

impl Claim {
    /// Returns whether this receipt of the claim's key still counts. A receipt expires, but not while its send is open.
    pub(crate) fn counts(&self, receipt: &Receipt) -> bool {
        receipt.made_at >= self.kept_since || receipt.state == ReceiptState::Open
    }

    /// Returns the hash under which the claim's key is stored.
    pub(crate) fn hashed_key(&self, secret: &hmac::Key) -> Vec<u8> {
        hash_of(secret, &self.client_id, &self.key)
    }
}

/// Returns the hash under which a key of an access is stored and found.
pub(crate) fn hash_of(secret: &hmac::Key, client_id: &str, key: &str) -> Vec<u8> {
    let mut context = hmac::Context::with_key(secret);
    // Neither the client id nor the key contains the zero byte, so that two different pairs never make the same text, and no
    // destination's hash is a key's hash.
    for part in ["receipt", "\0", client_id, "\0", key] {
        context.update(part.as_bytes());
    }
    context.sign().as_ref()[..KEY_BYTES].to_vec()
}
