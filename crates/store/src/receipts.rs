//! Receipts: what became of the sends that carried an idempotency key, so that asking again sends nothing again. They are kept
//! under a keyed hash of the key, which may hold anything, and in room of their own (`room.rs`).

mod receipt;
mod room;
mod verbs;

pub use receipt::{Claim, NoRoom, Obstacle, Receipt, ReceiptRoom, ReceiptState, Settlement};
pub use room::RECEIPT_ANSWER_BYTES_MAX;

pub(crate) use receipt::hash_of;
pub(crate) use room::BROKEN_OFF;

#[cfg(test)]
pub(crate) mod tests;
