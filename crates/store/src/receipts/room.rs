//! The room that receipts may take: each access's own, and that of all together. Triggers of the store count what is taken, in
//! the transaction that changes it.

use super::receipt::{Claim, NoRoom, Settlement};

/// Longest answer that a receipt keeps, in bytes: the result of a send is empty as a rule. A send with a longer one is
/// answered again as sent, with an empty result. The store counts an open receipt with as much.
pub const RECEIPT_ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What an open receipt takes besides its request id, in bytes, as the store counts it.
const OPEN_BYTES: i64 = 512 + 1024 + 17 * 4096;

/// When to try again while the receipts of all accesses take all room: some of them expire at any time.
const ALL_RETRY_S: i64 = 60;

/// The result of a send whose own is too long to be kept.
const NO_RESULT: &str = "{}";

/// The code of a send that was broken off: something may have left, and no answer came.
pub(crate) const BROKEN_OFF: &str = "UPSTREAM_ERROR";

impl Settlement {
    /// The state and the answer that the receipt keeps; none when the key is free again.
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
    /// What its receipt takes while it is open, in bytes.
    pub(crate) fn open_bytes(&self) -> i64 {
        OPEN_BYTES + i64::try_from(self.request_id.len()).unwrap_or(i64::MAX / 2)
    }

    /// Why the receipt of this claim finds no room, with what is taken by the access and by all; nothing when it fits.
    pub(crate) fn refused(&self, (own, all): (i64, i64), oldest: Option<i64>) -> Option<NoRoom> {
        let bytes = self.open_bytes();
        let own = own + bytes > self.room.per_access;
        if !own && all + bytes <= self.room.all {
            return None;
        }
        // One expires as soon as it was made before `kept_since`.
        let until_oldest = oldest.map_or(1, |made_at| made_at - self.kept_since + 1);
        let retry_s = if own { until_oldest } else { ALL_RETRY_S };
        Some(NoRoom {
            own,
            retry_s: retry_s.max(1),
        })
    }
}
