//! Receipts: the outcomes of sends with an idempotency key, so that a repeated request does not send again. They are stored under a
//! keyed hash of the key, because a key may contain anything, and they have a separate limit for their room (`room.rs`).

mod receipt;
mod room;
mod verbs;

pub use receipt::{Claim, Obstacle, Receipt, ReceiptRoom, ReceiptState, ReceiptsFull, Settlement};
pub use room::RECEIPT_ANSWER_BYTES_MAX;

pub(crate) use receipt::hash_of;
pub(crate) use room::BROKEN_OFF;

#[cfg(test)]
pub(crate) mod tests;
