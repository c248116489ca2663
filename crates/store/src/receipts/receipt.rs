//! What a receipt is, what claims one, and how a claim ends.

use aws_lc_rs::hmac;
use serde::Serialize;

/// Bytes of the hash of a key that are kept: enough that no two keys of a gateway share one.
const KEY_BYTES: usize = 16;

/// A key that a send claims for itself.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The client id of the access.
    pub client_id: String,
    /// The operation.
    pub method: &'static str,
    /// The key as the caller gave it.
    pub key: String,
    /// SHA-256 of the canonical request.
    pub fingerprint: [u8; 32],
    /// The id of the request that carries it.
    pub request_id: String,
    /// Now, in seconds since 1970, UTC.
    pub now: i64,
    /// Receipts made before this do not count any more; in seconds since 1970, UTC.
    pub kept_since: i64,
    /// The room that receipts may take.
    pub room: ReceiptRoom,
}

/// What stands in the way of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The key was claimed before.
    Known(Receipt),
    /// There is no room for another receipt.
    NoRoom(NoRoom),
}

/// What became of a send, and what its caller was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The operation.
    pub method: String,
    /// How far it has come.
    pub state: ReceiptState,
    /// Of the first request with this key.
    pub request_id: String,
    /// When it was made; seconds since 1970, UTC.
    #[serde(skip)]
    pub made_at: i64,
    /// SHA-256 of the canonical request.
    #[serde(skip)]
    pub fingerprint: [u8; 32],
    /// The result as JSON text where something was sent, the code where nobody knows; none while it is under way.
    #[serde(skip)]
    pub answer: Option<String>,
}

/// How far a send has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptState {
    /// It is under way.
    Open,
    /// The upstream has taken it.
    Sent,
    /// Nobody knows.
    Unknown,
}

impl ReceiptState {
    /// The word in the table.
    pub(crate) fn from_word(word: &str) -> Option<ReceiptState> {
        match word {
            "open" => Some(ReceiptState::Open),
            "sent" => Some(ReceiptState::Sent),
            "unknown" => Some(ReceiptState::Unknown),
            _ => None,
        }
    }
}

/// How a claimed key is left.
#[derive(Clone, Debug)]
pub enum Settlement {
    /// The upstream has taken it, with this result as JSON text.
    Sent(String),
    /// Nobody knows; the caller was answered with this code.
    Unknown(&'static str),
    /// Nothing was sent: the key is free again.
    Free,
}

/// How much room receipts may take, in bytes of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptRoom {
    /// Those of one access.
    pub per_access: i64,
    /// Those of all accesses.
    pub all: i64,
}

/// Why a key can't be claimed: the receipts that count take all the room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom {
    /// Whether the receipts of the access itself take its room, and not those of all accesses together.
    pub own: bool,
    /// When to try again, in seconds from now; at least 1.
    pub retry_s: i64,
}

impl Claim {
    /// The hash under which its key is kept.
    pub(crate) fn hashed_key(&self, secret: &hmac::Key) -> Vec<u8> {
        hash_of(secret, &self.client_id, &self.key)
    }
}

/// The hash under which a key of an access is kept and found again.
pub(crate) fn hash_of(secret: &hmac::Key, client_id: &str, key: &str) -> Vec<u8> {
    let mut context = hmac::Context::with_key(secret);
    // The zero stands in neither, so that no two of them are one text, and no destination is hashed so.
    for part in ["receipt", "\0", client_id, "\0", key] {
        context.update(part.as_bytes());
    }
    context.sign().as_ref()[..KEY_BYTES].to_vec()
}
