//! The room that receipts may take: a limit for each access, and a limit for all accesses together. Triggers of the store count the
//! occupied room in the same transaction as each change.

use super::receipt::{Claim, ReceiptsFull, Settlement};

/// Maximum length of the answer in a receipt, in bytes; the result of a send is usually empty. If a send has a longer answer, a
/// repeated request gets the answer that the message was sent, with an empty result. The store counts an open receipt with this
/// maximum length.
pub const RECEIPT_ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The room that an open receipt takes in addition to its request id, in bytes, as the store counts it.
const OPEN_BYTES: i64 = 512 + 1024 + 17 * 4096;

/// Time until the next attempt while the receipts of all accesses take all room, in seconds; some receipts may expire at any time.
const ALL_RETRY_S: i64 = 60;

/// The result in a receipt whose actual result is too long to be stored.
const NO_RESULT: &str = "{}";

/// The code of an interrupted send: data may have reached the upstream, but no answer came.
pub(crate) const BROKEN_OFF: &str = "UPSTREAM_ERROR";

impl Settlement {
    /// Returns the state and the answer that the receipt stores; `None` if the key is free again.
    pub(crate) fn kept(&self) -> Option<(&'static str, &str)> {
        match self {
            Settlement::Free => None,
            Settlement::Sent(result) if result.len() > RECEIPT_ANSWER_BYTES_MAX => {
                Some(("sent", NO_RESULT))
            }
            Settlement::Sent(result) => Some(("sent", result)),
            Settlement::Unknown(code) => Some(("unknown", code)),
        }
    }
}

impl Claim {
    /// Returns the room that the claim's receipt takes while it is open, in bytes.
    pub(crate) fn open_bytes(&self) -> i64 {
        OPEN_BYTES + i64::try_from(self.request_id.len()).unwrap_or(i64::MAX / 2)
    }

    /// Returns the reason why this claim's receipt has no room, given the room occupied by the access and by all accesses; `None`
    /// if the receipt fits.
    pub(crate) fn refused(
        &self,
        (own, all): (i64, i64),
        oldest: Option<i64>,
    ) -> Option<ReceiptsFull> {
        let bytes = self.open_bytes();
        let own = own + bytes > self.room.per_access;
        if !own && all + bytes <= self.room.all {
            return None;
        }
        // A receipt expires as soon as its creation time is before `kept_since`.
        let until_oldest = oldest.map_or(1, |made_at| made_at - self.kept_since + 1);
        let retry_s = if own { until_oldest } else { ALL_RETRY_S };
        Some(ReceiptsFull {
            own,
            retry_s: retry_s.max(1),
        })
    }
}
