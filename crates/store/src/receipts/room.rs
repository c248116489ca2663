//! The room that receipts may take: each access's own, and that of all together. Triggers of the store count what is taken, in
//! the transaction that changes it.

use super::receipt::{Claim, NoRoom};

/// Longest answer that a receipt keeps, in bytes: the result of a send is empty as a rule. A send with a longer one is
/// answered again as sent, with an empty result. The store counts an open receipt with as much.
pub const RECEIPT_ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What an open receipt takes besides its request id, in bytes, as the store counts it.
const OPEN_BYTES: i64 = 512 + 1024 + 17 * 4096;

/// When to try again while the receipts of all accesses take all room: some of them expire at any time.
const ALL_RETRY_S: i64 = 60;

impl Claim {
    /// Why the receipt of this claim finds no room, with what is taken by the access and by all; nothing when it fits.
    pub(crate) fn refused(&self, (own, all): (i64, i64), oldest: Option<i64>) -> Option<NoRoom> {
        let bytes = OPEN_BYTES + i64::try_from(self.request_id.len()).unwrap_or(i64::MAX / 2);
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
